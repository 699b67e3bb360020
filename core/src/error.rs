//! The one error of the engine, and the stable codes behind it.

use std::time::Duration;

use serde::Serialize;

use crate::mailbox::{MailboxError, MailboxErrorKind};

/// What every fallible call of the engine returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Stable codes, the same in Rust, Swift, Kotlin and on the command line. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each code is explained at the error that carries it")]
pub enum ErrorCode {
    MeshCredentialMismatch,
    MeshEncryptionMismatch,
    SchemaMismatch,
    WriterMismatch,
    ManifestInvalid,
    ManifestHash,
    PassphraseRequired,
    PassphraseWrong,
    RemoteMissing,
    RemoteRollback,
    StoreNewer,
    StoreCorrupt,
    StoreLocked,
    Limit,
    EntryTooLarge,
    UniqueViolation,
    InvalidArgument,
    Decode,
    BiometricsUnavailable,
    CredentialInvalidated,
    ShutDown,
    RemoteAccess,
    RemoteTimeout,
    QuotaFull,
    StoreOpen,
    StoreBusy,
    DiskFull,
    Cancelled,
    Offline,
    CredentialsUnavailable,
    UserCancelled,
    Suspended,
    PairingRejected,
    PairingTimeout,
    BiometricsNotEnrolled,
    BiometricsLockedOut,
    CredentialsLocked,
    MasterPassphraseWrong,
    FileNotFound,
    FileIntegrity,
    ExportInvalid,
    ExportNewer,
}

impl ErrorCode {
    /// The code as it appears on the command line and in other languages.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::MeshCredentialMismatch => "MESH_CREDENTIAL_MISMATCH",
            ErrorCode::MeshEncryptionMismatch => "MESH_ENCRYPTION_MISMATCH",
            ErrorCode::SchemaMismatch => "SCHEMA_MISMATCH",
            ErrorCode::WriterMismatch => "WRITER_MISMATCH",
            ErrorCode::ManifestInvalid => "MANIFEST_INVALID",
            ErrorCode::ManifestHash => "MANIFEST_HASH",
            ErrorCode::PassphraseRequired => "PASSPHRASE_REQUIRED",
            ErrorCode::PassphraseWrong => "PASSPHRASE_WRONG",
            ErrorCode::RemoteMissing => "REMOTE_MISSING",
            ErrorCode::RemoteRollback => "REMOTE_ROLLBACK",
            ErrorCode::StoreNewer => "STORE_NEWER",
            ErrorCode::StoreCorrupt => "STORE_CORRUPT",
            ErrorCode::StoreLocked => "STORE_LOCKED",
            ErrorCode::Limit => "LIMIT",
            ErrorCode::EntryTooLarge => "ENTRY_TOO_LARGE",
            ErrorCode::UniqueViolation => "UNIQUE_VIOLATION",
            ErrorCode::InvalidArgument => "INVALID_ARGUMENT",
            ErrorCode::Decode => "DECODE",
            ErrorCode::BiometricsUnavailable => "BIOMETRICS_UNAVAILABLE",
            ErrorCode::CredentialInvalidated => "CREDENTIAL_INVALIDATED",
            ErrorCode::ShutDown => "SHUT_DOWN",
            ErrorCode::RemoteAccess => "REMOTE_ACCESS",
            ErrorCode::RemoteTimeout => "REMOTE_TIMEOUT",
            ErrorCode::QuotaFull => "QUOTA_FULL",
            ErrorCode::StoreOpen => "STORE_OPEN",
            ErrorCode::StoreBusy => "STORE_BUSY",
            ErrorCode::DiskFull => "DISK_FULL",
            ErrorCode::Cancelled => "CANCELLED",
            ErrorCode::Offline => "OFFLINE",
            ErrorCode::CredentialsUnavailable => "CREDENTIALS_UNAVAILABLE",
            ErrorCode::UserCancelled => "USER_CANCELLED",
            ErrorCode::Suspended => "SUSPENDED",
            ErrorCode::PairingRejected => "PAIRING_REJECTED",
            ErrorCode::PairingTimeout => "PAIRING_TIMEOUT",
            ErrorCode::BiometricsNotEnrolled => "BIOMETRICS_NOT_ENROLLED",
            ErrorCode::BiometricsLockedOut => "BIOMETRICS_LOCKED_OUT",
            ErrorCode::CredentialsLocked => "CREDENTIALS_LOCKED",
            ErrorCode::MasterPassphraseWrong => "MASTER_PASSPHRASE_WRONG",
            ErrorCode::FileNotFound => "FILE_NOT_FOUND",
            ErrorCode::FileIntegrity => "FILE_INTEGRITY",
            ErrorCode::ExportInvalid => "EXPORT_INVALID",
            ErrorCode::ExportNewer => "EXPORT_NEWER",
        }
    }
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub error: String,
}

/// Why a call failed. The text says what happened and what to do; it never holds values, keys or
/// passphrases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stored credential belongs to another mesh than the mailbox.
    #[error(
        "the stored credential belongs to mesh {stored}, but the mailbox holds mesh {active}; use the credential of that mesh or another remote path"
    )]
    MeshCredentialMismatch {
        /// Mesh that the credential was saved for.
        stored: String,
        /// Mesh that the mailbox holds.
        active: String,
    },
    /// The mesh is encrypted and this client is configured for plaintext, or the other way round.
    #[error(
        "the mesh is {} but this client is configured {}; change the configuration", mode(*.mesh_encrypted), with_mode(*.client_encrypted)
    )]
    MeshEncryptionMismatch {
        /// Whether the mesh is encrypted.
        mesh_encrypted: bool,
        /// Whether this client is configured for encryption.
        client_encrypted: bool,
    },
    /// The app declares another schema version than the mesh has.
    #[error("the mesh has schema version {remote}, this app declares {local}; update the app that is behind")]
    SchemaMismatch {
        /// Version that the app declares.
        local: u64,
        /// Version of the mesh.
        remote: u64,
    },
    /// A managed mesh was written by another server id.
    #[error(
        "the mesh is managed by {writer:?} alone, and this client is {configured:?}; let that one do it, or configure its server id here"
    )]
    WriterMismatch {
        /// Who wrote the manifest.
        writer: String,
        /// The configured server id.
        configured: String,
    },
    /// The pointer or manifest is no manifest of this protocol.
    #[error("{path} is not a usable manifest: {reason}")]
    ManifestInvalid {
        /// Path in the mailbox.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The manifest's content hash does not match: it was damaged or edited.
    #[error("{path} was changed after it was written: its content hash does not match")]
    ManifestHash {
        /// Path in the mailbox.
        path: String,
    },
    /// The mesh exists and is encrypted, and no passphrase was given.
    #[error("this mesh is encrypted and exists already: give its passphrase")]
    PassphraseRequired,
    /// The passphrase cannot open the mesh, or is no passphrase.
    #[error("the passphrase does not open this mesh: {reason}")]
    PassphraseWrong {
        /// What was tried.
        reason: String,
    },
    /// A mesh that this store knows is gone from the mailbox.
    #[error(
        "the mailbox no longer holds mesh {mesh_id}: {reason}; check the remote path, or rebuild the remote from this device"
    )]
    RemoteMissing {
        /// The mesh.
        mesh_id: String,
        /// What was looked for.
        reason: String,
    },
    /// The mailbox shows an older state than this device has seen.
    #[error("the mailbox went back in time: {reason}")]
    RemoteRollback {
        /// What regressed.
        reason: String,
    },
    /// The store file was written by a newer version.
    #[error(
        "the store {path} was written by a newer version (format {found}, this one knows {known}); update the app"
    )]
    StoreNewer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The store file is damaged or no store.
    #[error(
        "the store {path} is damaged or not an Interocitor store ({reason}); restore a backup, or move it aside and join the mesh again"
    )]
    StoreCorrupt {
        /// The file.
        path: String,
        /// What was found.
        reason: String,
    },
    /// The store file is encrypted, and there is no key that opens it.
    #[error(
        "the store {path} is encrypted, and the credential store holds no key that opens it; bring that key back, or move the store aside and join the mesh again"
    )]
    StoreLocked {
        /// The file.
        path: String,
    },
    /// Something is larger than allowed.
    #[error("{what} is too large: {actual}, {}", at_most(*limit))]
    Limit {
        /// What is too large.
        what: &'static str,
        /// Its size.
        actual: u64,
        /// The greatest size allowed; [`u64::MAX`] where whoever refuses it does not say.
        limit: u64,
    },
    /// A batch cannot be published through this mailbox.
    #[error("a change of {size} bytes is over the mailbox's limit of {limit}; it stays in the outbox")]
    EntryTooLarge {
        /// Size in bytes.
        size: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// A unique field of another row holds the value.
    #[error("another row of {table} holds that value in its unique field {field}")]
    UniqueViolation {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Neither this device nor the mailbox has a durable file.
    #[error("there is no file {path}; check its path, or put it again from where it is")]
    FileNotFound {
        /// Its path.
        path: String,
    },
    /// The body of a durable file is not what it should be. Nothing of it was given out.
    #[error("the file {path} is not what it should be: {reason}; put it again from a device that has it")]
    FileIntegrity {
        /// Its path.
        path: String,
        /// What gave it away.
        reason: String,
    },
    /// What was to be imported is no export, or not whole. Nothing was changed.
    #[error("the export cannot be imported: {entry}: {reason}; nothing was changed: use another copy of it")]
    ExportInvalid {
        /// Which part of it.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be imported was written by a newer version. Nothing was changed.
    #[error(
        "the export was written by a newer version (format {found}, this one knows {known}); update the app"
    )]
    ExportNewer {
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// The passphrase does not open an archive. Nothing was changed.
    #[error("the archive is not opened: {reason}; nothing was changed")]
    ArchivePassphrase {
        /// What is wrong with it.
        reason: String,
    },
    /// The caller passed something unusable.
    #[error("{what}: {reason}")]
    InvalidArgument {
        /// Which argument.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the mailbox cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Decode {
        /// Path in the mailbox.
        path: String,
        /// Why.
        reason: String,
    },
    /// The engine was shut down.
    #[error("the database was shut down")]
    ShutDown,
    /// The mailbox refused or failed; the kind says which.
    #[error("the mailbox is not accessible: {0}")]
    RemoteAccess(#[source] MailboxError),
    /// The mailbox did not answer in time.
    #[error("the mailbox did not answer in time ({stage}); the change is kept and tried again")]
    RemoteTimeout {
        /// What was waited for.
        stage: &'static str,
    },
    /// The mailbox is full.
    #[error("the mailbox is full: {0}; free space there, the changes wait in the outbox")]
    QuotaFull(#[source] MailboxError),
    /// The store file cannot be opened or written.
    #[error("the store {path} cannot be used: {reason}")]
    StoreOpen {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Another process holds the store for too long.
    #[error("the store is busy: another process holds it; try again")]
    StoreBusy,
    /// The local disk is full.
    #[error("the local disk is full; nothing of this change was stored")]
    DiskFull,
    /// Biometric restore cannot be used here and now.
    #[error("biometric restore is not available: {reason}")]
    BiometricsUnavailable {
        /// Why not.
        reason: String,
    },
    /// The device could use biometrics, but nobody is enrolled.
    #[error("no face or finger is enrolled on this device; enrol one in its settings, or use the passphrase")]
    BiometricsNotEnrolled,
    /// Biometrics are blocked after too many failed tries.
    #[error("biometrics are locked after too many tries; unlock the device with its code, then try again")]
    BiometricsLockedOut,
    /// What was secured, with biometrics or otherwise, can never be opened again.
    #[error("a stored credential is lost: {reason}; give the passphrase, and secure it again")]
    CredentialInvalidated {
        /// What invalidated it, such as a new enrolment.
        reason: String,
    },
    /// The place where credentials are kept cannot be used now.
    #[error("the stored credentials cannot be used now: {reason}")]
    CredentialsUnavailable {
        /// Why not.
        reason: String,
    },
    /// The place where credentials are kept is locked, as a keychain is before the first unlock.
    #[error("the stored credentials are locked: {reason}; unlock the device or keyring, then try again")]
    CredentialsLocked {
        /// What is locked.
        reason: String,
    },
    /// The master passphrase does not open the file of credentials.
    #[error("the master passphrase does not open {path}; nothing was changed")]
    MasterPassphraseWrong {
        /// The file.
        path: String,
    },
    /// The user dismissed a prompt.
    #[error("cancelled by the user")]
    UserCancelled,
    /// A pairing cannot go on: what was scanned is no code for it, another device was quicker, or what came is
    /// not what it should be.
    #[error("the devices were not paired: {reason}")]
    PairingRejected {
        /// Why.
        reason: String,
    },
    /// The other device of a pairing did not do its part in time.
    #[error("the devices were not paired: waited too long for {waited_for}{}; start again with a new code", said(.problem.as_ref()))]
    PairingTimeout {
        /// What was waited for.
        waited_for: &'static str,
        /// What the mailbox answered last, where it failed.
        problem: Option<String>,
    },
    /// The database was suspended, so that the operating system may freeze the app.
    #[error("the database is suspended; resume it first")]
    Suspended,
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// There is no network or no such host.
    #[error("offline: {0}")]
    Offline(#[source] MailboxError),
}

fn mode(encrypted: bool) -> &'static str {
    if encrypted { "encrypted" } else { "not encrypted" }
}

fn with_mode(encrypted: bool) -> &'static str {
    if encrypted { "with encryption" } else { "without encryption" }
}

fn said(problem: Option<&String>) -> String {
    problem.map_or_else(String::new, |problem| format!(" (the mailbox: {problem})"))
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::MeshCredentialMismatch { .. } => ErrorCode::MeshCredentialMismatch,
            Error::MeshEncryptionMismatch { .. } => ErrorCode::MeshEncryptionMismatch,
            Error::SchemaMismatch { .. } => ErrorCode::SchemaMismatch,
            Error::WriterMismatch { .. } => ErrorCode::WriterMismatch,
            Error::ManifestInvalid { .. } => ErrorCode::ManifestInvalid,
            Error::ManifestHash { .. } => ErrorCode::ManifestHash,
            Error::PassphraseRequired => ErrorCode::PassphraseRequired,
            Error::PassphraseWrong { .. } | Error::ArchivePassphrase { .. } => ErrorCode::PassphraseWrong,
            Error::RemoteMissing { .. } => ErrorCode::RemoteMissing,
            Error::RemoteRollback { .. } => ErrorCode::RemoteRollback,
            Error::StoreNewer { .. } => ErrorCode::StoreNewer,
            Error::StoreCorrupt { .. } => ErrorCode::StoreCorrupt,
            Error::StoreLocked { .. } => ErrorCode::StoreLocked,
            Error::Limit { .. } => ErrorCode::Limit,
            Error::EntryTooLarge { .. } => ErrorCode::EntryTooLarge,
            Error::UniqueViolation { .. } => ErrorCode::UniqueViolation,
            Error::InvalidArgument { .. } => ErrorCode::InvalidArgument,
            Error::Decode { .. } => ErrorCode::Decode,
            Error::BiometricsUnavailable { .. } => ErrorCode::BiometricsUnavailable,
            Error::CredentialInvalidated { .. } => ErrorCode::CredentialInvalidated,
            Error::CredentialsUnavailable { .. } => ErrorCode::CredentialsUnavailable,
            Error::BiometricsNotEnrolled => ErrorCode::BiometricsNotEnrolled,
            Error::BiometricsLockedOut => ErrorCode::BiometricsLockedOut,
            Error::CredentialsLocked { .. } => ErrorCode::CredentialsLocked,
            Error::MasterPassphraseWrong { .. } => ErrorCode::MasterPassphraseWrong,
            Error::FileNotFound { .. } => ErrorCode::FileNotFound,
            Error::FileIntegrity { .. } => ErrorCode::FileIntegrity,
            Error::ExportInvalid { .. } => ErrorCode::ExportInvalid,
            Error::ExportNewer { .. } => ErrorCode::ExportNewer,
            Error::UserCancelled => ErrorCode::UserCancelled,
            Error::Suspended => ErrorCode::Suspended,
            Error::PairingRejected { .. } => ErrorCode::PairingRejected,
            Error::PairingTimeout { .. } => ErrorCode::PairingTimeout,
            Error::ShutDown => ErrorCode::ShutDown,
            Error::RemoteAccess(_) => ErrorCode::RemoteAccess,
            Error::RemoteTimeout { .. } => ErrorCode::RemoteTimeout,
            Error::QuotaFull(_) => ErrorCode::QuotaFull,
            Error::StoreOpen { .. } => ErrorCode::StoreOpen,
            Error::StoreBusy => ErrorCode::StoreBusy,
            Error::DiskFull => ErrorCode::DiskFull,
            Error::Cancelled => ErrorCode::Cancelled,
            Error::Offline(_) => ErrorCode::Offline,
        }
    }

    /// Whether the same call may succeed later without a change by the app.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::RemoteAccess(source) => source.is_retryable(),
            Error::RemoteTimeout { .. }
            | Error::QuotaFull(_)
            | Error::StoreBusy
            | Error::DiskFull
            | Error::CredentialsUnavailable { .. }
            | Error::CredentialsLocked { .. }
            | Error::BiometricsLockedOut
            | Error::Suspended
            | Error::PairingTimeout { .. }
            | Error::Offline(_) => true,
            _ => false,
        }
    }

    /// How long the mailbox asked to wait, where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::RemoteAccess(source) | Error::QuotaFull(source) | Error::Offline(source) => {
                source.retry_after()
            }
            _ => None,
        }
    }

    /// Which part of the mailbox's answer a [`Error::RemoteAccess`] stands for.
    pub fn mailbox_kind(&self) -> Option<MailboxErrorKind> {
        match self {
            Error::RemoteAccess(source) | Error::QuotaFull(source) | Error::Offline(source) => {
                Some(source.kind())
            }
            _ => None,
        }
    }

    pub(crate) fn rejected(reason: impl Into<String>) -> Self {
        Error::PairingRejected { reason: reason.into() }
    }

    pub(crate) fn integrity(path: &str, reason: impl Into<String>) -> Self {
        Error::FileIntegrity { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Error::InvalidArgument { what, reason: reason.into() }
    }
}

impl From<MailboxError> for Error {
    fn from(error: MailboxError) -> Self {
        match error.kind() {
            MailboxErrorKind::Timeout => Error::RemoteTimeout { stage: error.operation() },
            MailboxErrorKind::QuotaFull => Error::QuotaFull(error),
            MailboxErrorKind::Offline => Error::Offline(error),
            MailboxErrorKind::DiskFull => Error::DiskFull,
            _ => Error::RemoteAccess(error),
        }
    }
}

/// An SQLite error inside a store call. The store's file is added where it is known.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        from_sqlite(&error, "")
    }
}

/// Translates an SQLite error about the store at `path`.
pub(crate) fn from_sqlite(error: &rusqlite::Error, path: &str) -> Error {
    use rusqlite::ErrorCode as Sqlite;
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(Sqlite::DiskFull) => Error::DiskFull,
        Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked) => Error::StoreBusy,
        Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => {
            Error::StoreCorrupt { path, reason: error.to_string() }
        }
        Some(Sqlite::ReadOnly) => {
            Error::StoreOpen { path, reason: "the file or its folder is read-only".into() }
        }
        Some(Sqlite::CannotOpen | Sqlite::PermissionDenied) => {
            Error::StoreOpen { path, reason: "the file cannot be opened; does its folder exist?".into() }
        }
        Some(Sqlite::TooBig) => Error::Limit { what: "a row", actual: 0, limit: 1_000_000_000 },
        // Everything else that SQLite can say points at a file that is not what it should be.
        _ => Error::StoreOpen { path, reason: error.to_string() },
    }
}

fn at_most(limit: u64) -> String {
    match limit {
        u64::MAX => "more than is accepted".into(),
        limit => format!("at most {limit}"),
    }
}

/// What a damaged row or outbox record means for the store.
impl From<crate::row::DamagedRow> for Error {
    fn from(error: crate::row::DamagedRow) -> Self {
        Error::StoreCorrupt { path: String::new(), reason: error.to_string() }
    }
}
