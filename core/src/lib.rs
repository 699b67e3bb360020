//! The engine of Interocitor: end-to-end encrypted, local-first data over storage the user already owns.
//!
//! App data lives in a local SQLite database as typed rows that merge column by column. It syncs,
//! encrypted, through a dumb remote folder: the *mailbox*. [`Interocitor`] is the handle:
//!
//! ```
//! use std::sync::Arc;
//! use interocitor_core::{Config, Interocitor, StoreLocation, mailbox::MemoryMailbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> interocitor_core::Result<()> {
//! let mailbox = MemoryMailbox::new();
//! let open = |name: &str| {
//!     let mut config = Config::new("todo", StoreLocation::Memory);
//!     config.remote_path = Some("/Todo".into());
//!     config.device_name = Some(name.into());
//!     Interocitor::open(config)
//! };
//!
//! let phone = open("phone").await?;
//! phone.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
//! phone.connect().await?; // an empty mailbox: the mesh is founded, with a new key
//! phone.table("todos").put("milk", &serde_json::json!({ "done": false, "title": "Buy milk" })).await?;
//! phone.sync().await?;
//!
//! let tablet = open("tablet").await?;
//! tablet.set_remote_storage(Some(Arc::new(mailbox))).await;
//! tablet.set_passphrase(phone.get_passphrase().expect("the mesh is encrypted"))?;
//! tablet.connect().await?;
//! let milk = tablet.table("todos").row("milk").await?.expect("it was synced");
//! assert_eq!(milk.json, r#"{"done":false,"title":"Buy milk"}"#);
//! # phone.shutdown().await?;
//! # tablet.shutdown().await
//! # }
//! ```
//!
//! # Finding your room
//!
//! From the bottom up, each module importing only what stands before it:
//!
//! | room | what is in it |
//! |---|---|
//! | [`value`], [`clock`] | JSON kept as text, names of any characters; hybrid logical clocks |
//! | `row`, `merge` | the state of a row and its join: order does not matter |
//! | `wire` | names and JSON shapes of what lies in a mailbox |
//! | [`error`], [`host`] | the one error; time, randomness and tasks behind a trait |
//! | [`diagnosis`] | what a doctor can find, and what to do about it |
//! | [`mailbox`] | the remote: one trait, one error, one suite; folder, memory, WebDAV, S3, Google Drive, Cloudflare |
//! | `store`, `bodies` | SQLite: rows, fields, outbox, receipts, quarantine; the contents of files, beside it |
//! | [`schema`], [`query`] | declared fields and indexes; filters, order, pages |
//! | `local`, `transfer`, [`events`] | an app's writes; what is done about files; what the app is told |
//! | [`credentials`], [`recovery`], [`config`] | where passphrases live, and how people keep one; every option with its default |
//! | `sync` | connect, pull, flush, snapshots, acknowledgements, progress |
//! | `files` | durable files: staged, queued, brought into the mailbox and back, kept within a budget |
//! | [`images`] | images among the files: media types, temporary files in the clear, small pictures |
//! | `replica` | further mailboxes that are written to, and can restore a mesh |
//! | `export` | a mesh as readable files or one encrypted archive, and back |
//! | [`pairing`] | codes that a new device scans, what passes between the two, QR codes |
//! | `engine` | [`Interocitor`] itself, tables, batches, the background task, status, doctor |
#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod connected_stores;
pub mod credentials;
pub mod diagnosis;
pub mod error;
pub mod events;
pub mod host;
pub mod images;
pub mod mailbox;
pub mod pairing;
pub mod query;
pub mod recovery;
pub mod schema;
pub mod value;

mod bodies;
mod engine;
mod export;
mod files;
mod local;
mod merge;
mod replica;
mod row;
mod store;
mod sync;
mod transfer;
mod wire;

pub use config::{Config, StoreEncryption, StoreLocation};
#[cfg(feature = "simulation")]
pub use engine::InspectedRow;
pub use engine::{
    Background, Batch, BatchTable, Compaction, Connection, Device, FileTransferWatch, FilesSynced,
    Interocitor, LiveQuery, MeshConfig, Paired, Pairing, Pending, Status, StatusWatch, Table, WriteMark,
    set_aside_store,
};
pub use error::{Error, ErrorCode, Problem, Result};
pub use events::{ConnectionStatus, Event, Events};
pub use export::{ExportFormat, Exported, Imported};
pub use files::{
    FileContent, FileInfo, FileListing, FilePath, FileReader, FileSource, GetFile, StagedFile, Transfer,
};
pub use interocitor_crypto::{Key, Passphrase};
pub use local::{Fields, IntoFields};
pub use merge::{Conflict, MergeFunction, MergeStrategy};
pub use query::{Condition, Direction, Query, Row};
pub use replica::{Replica, ReplicaState, Replicated};
pub use schema::Schema;
pub use store::quarantine::{Quarantined, QuarantinedWrite};
pub use sync::progress::{Operation, Phase};
pub use transfer::{FileForm, TransferKind, TransferState};
pub use value::{Name, Value};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
