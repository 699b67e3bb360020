//! The one conversion between the engine's error and what crosses to Swift and Kotlin.

use interocitor_core::{
    Error, ErrorCode,
    mailbox::{MailboxError, MailboxErrorKind},
};
use std::time::Duration;

/// Why a call failed, by what an app can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Failure {
    #[error("{reason}")]
    Remote { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Mesh { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Credential { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Store { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Rejected { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Cancelled { code: String, reason: String, retryable: bool },
    #[error("{reason}")]
    Closed { code: String, reason: String, retryable: bool },
}

/// What happened and what to do, for people.
pub fn describe_failure(failure: Failure) -> String {
    failure.to_string()
}

impl Failure {
    pub(crate) fn cancelled() -> Self {
        Error::Cancelled.into()
    }

    /// Code and text.
    pub(crate) fn parts(&self) -> (&str, &str) {
        let (Failure::Remote { code, reason, .. }
        | Failure::Mesh { code, reason, .. }
        | Failure::Credential { code, reason, .. }
        | Failure::Store { code, reason, .. }
        | Failure::Rejected { code, reason, .. }
        | Failure::Cancelled { code, reason, .. }
        | Failure::Closed { code, reason, .. }) = self;
        (code, reason)
    }

    /// What a keychain or a prompt written in another language means.
    pub(crate) fn into_credential_error(self) -> Error {
        let (code, reason) = self.parts();
        let reason = reason.to_owned();
        match code {
            "USER_CANCELLED" => Error::UserCancelled,
            "BIOMETRICS_UNAVAILABLE" => Error::BiometricsUnavailable { reason },
            "BIOMETRICS_NOT_ENROLLED" => Error::BiometricsNotEnrolled,
            "BIOMETRICS_LOCKED_OUT" => Error::BiometricsLockedOut,
            "CREDENTIAL_INVALIDATED" => Error::CredentialInvalidated { reason },
            "CREDENTIALS_LOCKED" => Error::CredentialsLocked { reason },
            _ => Error::CredentialsUnavailable { reason },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use ErrorCode as Code;
        let retryable = error.is_retryable();
        let (kind, reason) = (error.code(), error.to_string());
        let code = kind.as_str().to_owned();
        match kind {
            Code::Offline | Code::RemoteTimeout | Code::RemoteAccess | Code::QuotaFull => {
                Failure::Remote { code, reason, retryable }
            }
            Code::RemoteMissing
            | Code::RemoteRollback
            | Code::ManifestInvalid
            | Code::ManifestHash
            | Code::SchemaMismatch
            | Code::WriterMismatch
            | Code::MeshEncryptionMismatch => Failure::Mesh { code, reason, retryable },
            Code::PassphraseRequired
            | Code::PassphraseWrong
            | Code::MeshCredentialMismatch
            | Code::CredentialsUnavailable
            | Code::CredentialsLocked
            | Code::CredentialInvalidated
            | Code::MasterPassphraseWrong
            | Code::BiometricsUnavailable
            | Code::BiometricsNotEnrolled
            | Code::BiometricsLockedOut => Failure::Credential { code, reason, retryable },
            Code::StoreOpen
            | Code::StoreNewer
            | Code::StoreCorrupt
            | Code::StoreLocked
            | Code::StoreBusy
            | Code::DiskFull => Failure::Store { code, reason, retryable },
            Code::Cancelled | Code::UserCancelled => Failure::Cancelled { code, reason, retryable },
            Code::ShutDown | Code::Suspended => Failure::Closed { code, reason, retryable },
            // `ErrorCode` may grow; the rest are about what was given or found.
            _ => Failure::Rejected { code, reason, retryable },
        }
    }
}

/// Foreign code threw something that its method does not declare.
impl From<uniffi::UnexpectedUniFFICallbackError> for Failure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Error::CredentialsUnavailable { reason: format!("the app's code failed: {}", error.reason) }.into()
    }
}

/// What a mailbox adapter answers where a call fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum MailboxFailure {
    #[error("{reason}")]
    Failed { fault: MailboxFault, reason: String, retry_after_ms: Option<i64> },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for MailboxFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        let reason = format!("the app's code failed: {}", error.reason);
        MailboxFailure::Failed { fault: MailboxFault::Io, reason, retry_after_ms: None }
    }
}

/// What went wrong in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum MailboxFault {
    NotFound,
    AlreadyExists,
    Conflict,
    Unauthorized,
    Forbidden,
    RateLimited,
    Unavailable,
    Timeout,
    Offline,
    QuotaFull,
    TooLarge,
    InvalidPath,
    Protocol,
    Io,
}

impl MailboxFailure {
    /// As the engine's error about `operation` on `path`.
    pub(crate) fn about(self, operation: &'static str, path: &str) -> MailboxError {
        use MailboxErrorKind as Kind;
        let MailboxFailure::Failed { fault, reason, retry_after_ms } = self;
        let kind = match fault {
            MailboxFault::NotFound => Kind::NotFound,
            MailboxFault::AlreadyExists => Kind::AlreadyExists,
            MailboxFault::Conflict => Kind::Conflict,
            MailboxFault::Unauthorized => Kind::Unauthorized,
            MailboxFault::Forbidden => Kind::Forbidden,
            MailboxFault::RateLimited => Kind::RateLimited,
            MailboxFault::Unavailable => Kind::Unavailable,
            MailboxFault::Timeout => Kind::Timeout,
            MailboxFault::Offline => Kind::Offline,
            MailboxFault::QuotaFull => Kind::QuotaFull,
            MailboxFault::TooLarge => Kind::TooLarge,
            MailboxFault::InvalidPath => Kind::InvalidPath,
            MailboxFault::Protocol => Kind::Protocol,
            MailboxFault::Io => Kind::Io,
        };
        let wait = retry_after_ms.and_then(|wait| u64::try_from(wait).ok()).map(Duration::from_millis);
        MailboxError::new(kind, operation, path, reason).with_retry_after(wait)
    }
}
