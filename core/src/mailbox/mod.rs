//! The mailbox: a dumb remote that stores ciphertext under paths and merges nothing.
//!
//! One trait, [`StorageAdapter`], one error, [`MailboxError`], and one conformance suite (`suite`)
//! for every implementation: [`FolderMailbox`], `WebDavMailbox` (feature `webdav`), `S3Mailbox` (feature `s3`),
//! `GoogleDriveMailbox` (feature `drive`), `CloudflareMailbox` (feature `cloudflare`) and [`MemoryMailbox`].
//!
//! Paths are absolute within the adapter, `/`-separated and never percent-encoded
//! (`/Mesh/changes/x.json`). What a server can do beyond the plain contract is found out by
//! [`StorageAdapter::authenticate`], which probes and never trusts an announcement.

mod body;
#[cfg(feature = "cloudflare")]
mod cloudflare;
#[cfg(feature = "drive")]
mod drive;
mod error;
mod folder;
#[cfg(feature = "http")]
#[cfg_attr(not(feature = "webdav"), allow(dead_code, reason = "some of it is for WebDAV only"))]
mod http;
mod memory;
mod path;
#[cfg(feature = "http")]
#[cfg_attr(not(feature = "webdav"), allow(dead_code, reason = "some of it is for WebDAV only"))]
mod place;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(test, feature = "adapter-tests"))]
pub mod suite;
mod token;
#[cfg(feature = "webdav")]
mod webdav;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

#[cfg(feature = "cloudflare")]
pub use cloudflare::{CloudflareConfig, CloudflareMailbox};
#[cfg(feature = "drive")]
pub use drive::{GoogleDriveConfig, GoogleDriveMailbox};
pub use error::{MailboxError, MailboxErrorKind};
pub use folder::FolderMailbox;
#[cfg(feature = "http")]
pub use http::{PlatformHttp, PlatformUploads, UploadRequest, UploadResponse};
pub use memory::MemoryMailbox;
#[cfg(feature = "s3")]
pub use s3::{S3Addressing, S3Config, S3Credentials, S3Mailbox};
pub use token::TokenProvider;
#[cfg(feature = "webdav")]
pub use webdav::{WebDavAuth, WebDavConfig, WebDavMailbox};

/// What every mailbox call returns.
pub type MailboxResult<T> = Result<T, MailboxError>;

/// A body that arrives or leaves in pieces; an error ends it.
pub type ByteStream = BoxStream<'static, MailboxResult<Bytes>>;

/// Called, from any thread, when a mailbox has news. It is quick.
pub type Notice = Arc<dyn Fn() + Send + Sync>;

/// Ends the watching of a mailbox when it is dropped.
pub type Watch = Box<dyn Send + Sync>;

/// A body to be written.
pub enum Body {
    /// The whole body in memory.
    Bytes(Bytes),
    /// A body of known length that is produced while it is sent.
    Stream {
        /// Exact length in bytes; a stream that yields another number of bytes fails the write.
        len: u64,
        /// The pieces, in order.
        stream: ByteStream,
    },
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Stream { len, .. } => *len,
        }
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in memory, for an adapter that cannot stream.
    ///
    /// # Errors
    ///
    /// What the stream ends with, or [`MailboxErrorKind::Io`] where it is not as long as announced.
    pub async fn whole(self, operation: &'static str, path: &str) -> MailboxResult<Bytes> {
        body::collect(operation, path, self).await
    }
}

/// The absolute path of a file, for an adapter to check it before anything else.
///
/// # Errors
///
/// [`MailboxErrorKind::InvalidPath`] for one that leaves the tree, blurs it or names no file.
pub fn file_path(operation: &'static str, path: &str) -> MailboxResult<String> {
    Ok(path::join(&path::file(operation, path)?))
}

/// As [`file_path`], for a folder; `/` is the root.
///
/// # Errors
///
/// [`MailboxErrorKind::InvalidPath`] for one that leaves the tree or blurs it.
pub fn folder_path(operation: &'static str, path: &str) -> MailboxResult<String> {
    Ok(path::join(&path::folder(operation, path)?))
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Bytes(bytes.into())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Body::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

/// One file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Last path segment, decoded.
    pub name: String,
    /// Absolute path within the adapter.
    pub path: String,
    /// Size in bytes, where the remote tells it.
    pub size: Option<u64>,
    /// Modification time in milliseconds since the Unix epoch, where the remote tells it.
    pub modified_ms: Option<i64>,
    /// Opaque version of the content, usable in [`StorageAdapter::replace_file`].
    pub etag: Option<String>,
}

/// What a remote was found to honour; see [`StorageAdapter::capabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// [`StorageAdapter::create_file`] lets exactly one of several racing writers win.
    pub exclusive_create: bool,
    /// [`StorageAdapter::replace_file`] refuses when the stored version is not the expected one.
    pub conditional_replace: bool,
    /// Bodies are streamed in bounded memory in both directions.
    pub streaming: bool,
    /// Largest body the remote is known to accept, in bytes.
    pub max_body: Option<u64>,
}

/// A remote, seen as a tree of files.
///
/// Every implementation must be safe to call from several tasks at once. A write is all or nothing:
/// a reader sees the old body or the new one, never a part.
///
/// # Errors
///
/// Each method answers a [`MailboxError`] whose [`kind`](MailboxError::kind) says what happened; a
/// missing file or folder is [`MailboxErrorKind::NotFound`], and only where the remote is certain of it.
#[async_trait]
pub trait StorageAdapter: Send + Sync + fmt::Debug {
    /// Short name of the kind of remote, for events and logs: `folder`, `webdav`, …
    fn kind(&self) -> &'static str;

    /// Checks access and finds out the capabilities. Called once for a connection, before the other
    /// methods; cheap when called again.
    async fn authenticate(&self) -> MailboxResult<()> {
        Ok(())
    }

    /// What the remote can do beyond the plain contract. Valid after
    /// [`authenticate`](Self::authenticate); all off before it where it has to be probed.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Whether durable files in the plain form have their metadata in a file beside them, as the JavaScript client keeps
    /// them on WebDAV.
    fn keeps_sidecars(&self) -> bool {
        false
    }

    /// Whether the remote keeps the first body of a path for good. A second write of other content is then
    /// [`MailboxErrorKind::AlreadyExists`], and so is a replacing; the file can be deleted and made anew.
    fn is_write_once(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// For so long a listing may lack what somebody else wrote, or show what is gone.
    fn listing_lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether everything that others write is told at this moment, through [`watch`](Self::watch): then polls
    /// need come seldom only. When that changes, the notice of the watch is called.
    fn is_push_healthy(&self) -> bool {
        false
    }

    /// Whether writing a stream of this length goes on by itself while the app is frozen, because the operating system
    /// carries it: then the write is not broken off when the database is suspended.
    fn is_carried(&self, len: u64) -> bool {
        let _ = len;
        false
    }

    /// Tells which device asks, for remotes that keep record of it.
    fn introduce(&self, device_id: &str) {
        let _ = device_id;
    }

    /// How another device reaches this remote, as JSON for a pairing code, without credentials. `None` where
    /// that says nothing elsewhere.
    fn handshake_config(&self) -> Option<String> {
        None
    }

    /// Makes sure that a folder and its parents exist.
    async fn ensure_folder(&self, path: &str) -> MailboxResult<()>;

    /// The files directly in a folder, in any order; folders, temporary and hidden files left out.
    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>>;

    /// Every file below a folder at any depth, where the remote lists a tree at once; `None` where it does
    /// not. Saves a request at every poll.
    async fn list_tree(&self, folder: &str) -> MailboxResult<Option<Vec<FileEntry>>> {
        let _ = folder;
        Ok(None)
    }

    /// Lets `notice` be called when something below a folder may have changed, as soon as the remote tells; too
    /// often does no harm, and own writes count as well. Ends when what is given back is dropped. `None` where the
    /// remote tells nothing; polls come in any case.
    async fn watch(&self, folder: &str, notice: Notice) -> MailboxResult<Option<Watch>> {
        let _ = (folder, notice);
        Ok(None)
    }

    /// Temporary files in a folder that writers left behind when they were killed, where the adapter writes
    /// such files. Other listings leave them out.
    async fn list_leftovers(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let _ = folder;
        Ok(Vec::new())
    }

    /// Removes those that are certainly abandoned: nobody has written to them for an hour.
    async fn remove_leftovers(&self, folder: &str) -> MailboxResult<()> {
        let _ = folder;
        Ok(())
    }

    /// The names of the folders directly in a folder.
    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>>;

    /// A whole file.
    async fn read_file(&self, path: &str) -> MailboxResult<Bytes>;

    /// A file as a stream, for bodies that should not be held in memory. A body cut short by the
    /// remote ends with an error.
    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        let bytes = self.read_file(path).await?;
        Ok(Box::pin(futures_util::stream::once(async move { Ok(bytes) })))
    }

    /// Several files, each with its own outcome, in the order asked for. Implementations choose how
    /// many run at once.
    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let mut outcomes = Vec::with_capacity(paths.len());
        for path in paths {
            outcomes.push(self.read_file(path).await);
        }
        outcomes
    }

    /// Writes or overwrites a file, creating missing parent folders.
    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()>;

    /// Writes a file that must not exist yet; otherwise [`MailboxErrorKind::AlreadyExists`]. Without
    /// [`Capabilities::exclusive_create`] this is a check followed by a write, and callers read back.
    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()>;

    /// Overwrites a file whose stored version is still `etag` (as given by [`metadata`](Self::metadata)
    /// or a listing); otherwise [`MailboxErrorKind::Conflict`]. Without
    /// [`Capabilities::conditional_replace`] this is a check followed by a write, and callers read back.
    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()>;

    /// Removes a file; a missing one counts as removed.
    async fn delete_file(&self, path: &str) -> MailboxResult<()>;

    /// Completes when nothing works on any more, not even for calls whose callers gave up: then no lock
    /// of this process is left on the remote's files.
    async fn quiesce(&self) {}

    /// Facts about one file, or `None` where it is certain that there is none.
    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>>;
}
