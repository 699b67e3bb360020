//! Interocitor for Swift and Kotlin.
//!
//! `interocitor.udl` is the interface; everything here carries it out by [`interocitor_core`]. No logic of its
//! own: it converts, moves work onto the one tokio runtime, and keeps faults of foreign code out of the engine.
//!
//! | room | what is in it |
//! |---|---|
//! | `runtime` | the runtime, the hop onto it, cancelling |
//! | `failure` | the one conversion from the engine's error, and back for foreign code |
//! | `configuration` | options, mesh, merge functions |
//! | `database`, `table`, `query`, `batch` | the handle and what hangs off it |
//! | `file`, `image` | durable files, and those that are images |
//! | `status`, `diagnosis` | how things stand, and what the doctor found |
//! | `event`, `subscription` | what the app is told |
//! | `mailbox`, `webdav`, `s3`, `google_drive`, `cloudflare` | mailboxes of the engine |
//! | `adapter` | mailboxes written in Swift or Kotlin |
//! | `replica`, `export` | a mesh in further mailboxes, and in files |
//! | `credential`, `place` | keychains and biometrics written in Swift or Kotlin, and those of the engine |
//! | `pairing`, `recovery` | a mesh for another device, and for safekeeping |
//! | `log` | log lines for a foreign sink |

#![allow(clippy::needless_pass_by_value, reason = "arguments cross by value")]

mod adapter;
mod batch;
mod cloudflare;
mod configuration;
mod credential;
mod database;
mod diagnosis;
mod event;
mod export;
mod failure;
mod file;
mod google_drive;
mod image;
mod log;
mod mailbox;
mod pairing;
mod place;
mod platform;
mod query;
mod recovery;
mod replica;
mod runtime;
mod s3;
mod status;
mod subscription;
mod table;
#[cfg(feature = "webdav")]
mod webdav;

pub use adapter::{MailboxCapabilities, MailboxFile, StorageAdapter, TokenProvider};
pub use batch::Batch;
pub use cloudflare::CloudflareOptions;
pub use configuration::{
    AutoCompaction, Configuration, JoinPolicy, MergeConflict, MergeFunction, MergeRule, MergeStrategy,
    MeshConfiguration, Publish, SchemaPolicy, StoreEncryption,
};
pub use credential::{BiometricPrompt, CredentialStore, StoredCredentials};
pub use database::{Compaction, Connection, Interocitor, WriteMark, set_aside_store};
pub use diagnosis::{Diagnosis, Finding, Severity};
pub use event::{ConnectionState, Event};
pub use export::{ExportFormat, Exported, Imported};
pub use failure::{Failure, MailboxFailure, MailboxFault, describe_failure};
pub use file::{
    FileContent, FileForm, FileInfo, FileInput, FileListing, FileReader, FileSource, FileTransfer,
    FileTransferWatch, FilesSynced, StagedFile, TransferKind, TransferState,
};
pub use google_drive::GoogleDriveOptions;
pub use image::{ImageContent, ImageSource, ImageUrl, Thumbnail};
pub use log::{LogLevel, LogRecord, LogSink, set_log_sink};
pub use mailbox::{Mailbox, WebDavOptions};
pub use pairing::{Paired, Pairing, PairingIntent, PairingOptions, PairingPayload, QrCode};
pub use place::{file_credentials, keychain_biometrics, keychain_credentials};
pub use platform::{HttpHeader, PlatformHttp, PlatformUploads, UploadRequest, UploadResponse};
pub use query::{Condition, Filter, LiveQuery, Order, Query, QueryOptions};
pub use recovery::{RecoveryKit, SupersededKey};
pub use replica::{Replica, ReplicaState, Replicated};
pub use runtime::CancelToken;
pub use s3::{S3Addressing, S3Options};
pub use status::{
    Background, ConnectedStores, Device, Operation, Phase, Problem, QuarantinedItem, QuarantinedWrite,
    Status, StatusWatch,
};
pub use subscription::{EventListener, Subscription};
pub use table::Table;

/// Version of the engine.
pub fn library_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::pedantic,
    clippy::used_underscore_binding,
    reason = "generated"
)]
mod scaffolding {
    use super::*;
    uniffi::include_scaffolding!("interocitor");
}

// The derive macros look for it in the crate root.
use scaffolding::UniFfiTag;
