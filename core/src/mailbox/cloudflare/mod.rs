//! A mailbox behind a Cloudflare Worker, with push.
//!
//! # What it costs
//!
//! Requests of a whole device, as `core/tests/cloudflare.rs` counts them:
//!
//! | what | requests |
//! |---|---|
//! | a poll that finds nothing | 2: the pointer and a listing; every 5 minutes while push works |
//! | a push message of somebody else | the same, at once, and once more a minute later |
//! | a poll that finds n change files | 2 + n |
//! | publishing n change files | 4 + n: pointer, listing and head are read, the files and the head written |
//!
//! # Limits
//!
//! A Worker takes change files up to 8 MiB, snapshots up to 16 MiB, durable files up to 32 MiB, and 512 MiB of
//! those in a mesh, unless its owner set others. A mesh whose snapshot is larger cannot be compacted here.
//! Durable files are not listed by a Worker: `list_files` of the engine shows those that this device knows.

mod class;
mod config;
mod message;
mod push;
mod recent;
mod socket;
mod worker;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::Url;

use self::class::Class;
use self::recent::Recent;
use self::worker::Worker;
use super::body::WHOLE_BODY_MAX;
use super::http::is_broken;
use super::place::Place;
use super::{
    Body, ByteStream, Capabilities, FileEntry, MailboxErrorKind, MailboxResult, Notice, StorageAdapter, Watch,
};
use crate::host::Host;

pub use config::CloudflareConfig;

/// How many files are read at once.
const READS: usize = 6;

/// A mailbox behind a Cloudflare Worker, by the routes of the JavaScript project.
///
/// - **Write once**: of change files, numbered manifests, snapshots and whatever else is no pointer, head, device
///   record or durable file, a Worker keeps the first body for good. Such a file is created exclusively: of
///   several writers in one moment one wins. A second write of another body is
///   [`AlreadyExists`](MailboxErrorKind::AlreadyExists).
/// - **Never back**: a pointer or head that is behind the stored one is refused with
///   [`Conflict`](MailboxErrorKind::Conflict). Nothing else is conditional.
/// - **Durable files** are what lies below a folder that is called `files`; they have routes of their own. The
///   remote path of a mesh must not have such a folder.
/// - **Listings** may be a minute old. What this mailbox wrote, or was told of by push, is put right in them; the
///   rest is looked for again a minute after the last message.
/// - **Push**: [`watch`](StorageAdapter::watch) opens a WebSocket to the relay. What it repeats of our own writes
///   is no news. When the socket ends it is opened again after a second, twice as long each time up to half a
///   minute; after five that never opened, in an hour, or as soon as a Worker that was out of reach answers again.
/// - **Refusals**: an address that the Worker does not know, or that it does not serve any more, is
///   [`Forbidden`](MailboxErrorKind::Forbidden) or [`Unavailable`](MailboxErrorKind::Unavailable), never a missing
///   file.
///
/// Needs a tokio runtime with time and I/O. Clones share one state.
#[derive(Clone)]
pub struct CloudflareMailbox {
    inner: Arc<Inner>,
}

/// What the mailbox and its push task share.
struct Inner {
    worker: Worker,
    recent: Recent,
    /// The socket of the relay is open.
    is_told: AtomicBool,
    relay: Option<Url>,
    host: Arc<dyn Host>,
    shown: String,
    max_file: u64,
}

impl Inner {
    fn now_ms(&self) -> u64 {
        self.host.now_ms()
    }

    async fn read(&self, place: &Place) -> MailboxResult<Bytes> {
        let class = Class::of(place);
        let attempt = async || self.worker.get(place, class).await?.whole(WHOLE_BODY_MAX).await;
        match attempt().await {
            Err(error) if is_broken(&error) => attempt().await,
            outcome => outcome,
        }
    }

    /// What listings say, put right. The Worker has no empty folders: one is there if it was made here.
    async fn files(&self, folder: &Place) -> MailboxResult<Vec<FileEntry>> {
        let mut files = self.worker.files(folder).await?;
        self.recent.correct_files(&folder.path, &mut files, self.now_ms());
        if files.is_empty() {
            self.check_folder(folder).await?;
        }
        files.retain(|file| !super::path::is_hidden(&file.name));
        Ok(files)
    }

    async fn folders(&self, folder: &Place) -> MailboxResult<Vec<String>> {
        let mut folders = self.worker.folders(folder).await?;
        self.recent.correct_folders(&folder.path, &mut folders);
        if folders.is_empty() {
            self.check_folder(folder).await?;
        }
        Ok(folders)
    }

    /// Whether a folder in which nothing was found is one.
    async fn check_folder(&self, folder: &Place) -> MailboxResult<()> {
        if folder.segments.is_empty() || self.recent.knows_folder(&folder.path) {
            return Ok(());
        }
        let is_empty =
            self.worker.files(folder).await?.is_empty() && self.worker.folders(folder).await?.is_empty();
        if is_empty { Err(folder.error(MailboxErrorKind::NotFound, "not found")) } else { Ok(()) }
    }
}

impl CloudflareMailbox {
    /// A mailbox. Nothing is sent yet.
    pub fn new(config: &CloudflareConfig) -> MailboxResult<Self> {
        let inner = Inner {
            worker: Worker::new(config)?,
            recent: Recent::default(),
            is_told: AtomicBool::new(false),
            relay: config.has_push().then(|| config.relay()),
            host: Arc::clone(config.host()),
            shown: config.url().to_owned(),
            max_file: config.max_file(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl StorageAdapter for CloudflareMailbox {
    fn kind(&self) -> &'static str {
        "cloudflare"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.inner.worker.health().await
    }

    fn is_carried(&self, len: u64) -> bool {
        self.inner.worker.http().carries(len)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exclusive_create: true,
            conditional_replace: false,
            streaming: true,
            max_body: Some(self.inner.max_file),
        }
    }

    fn is_write_once(&self, path: &str) -> bool {
        Place::file("stat", path).is_ok_and(|place| Class::of(&place).is_write_once())
    }

    fn listing_lag(&self) -> Duration {
        Duration::from_millis(recent::LISTING_LAG_MS)
    }

    fn is_push_healthy(&self) -> bool {
        self.inner.is_told.load(Ordering::Acquire)
    }

    fn introduce(&self, device_id: &str) {
        self.inner.worker.introduce(device_id);
    }

    fn handshake_config(&self) -> Option<String> {
        Some(serde_json::json!({ "baseUrl": self.inner.shown }).to_string())
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let folder = Place::folder("ensure", path)?;
        if !self.inner.recent.knows_folder(&folder.path) {
            self.inner.worker.ensure_folder(&folder).await?;
            self.inner.recent.remember_folder(&folder.path);
        }
        Ok(())
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.inner.files(&Place::folder("list", folder)?).await
    }

    async fn watch(&self, folder: &str, notice: Notice) -> MailboxResult<Option<Watch>> {
        let folder = Place::folder("watch", folder)?;
        let Some(relay) = self.inner.relay.clone() else { return Ok(None) };
        Ok(Some(push::start(Arc::clone(&self.inner), relay, folder, notice)))
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.inner.folders(&Place::folder("list", folder)?).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.inner.read(&Place::file("read", path)?).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        let place = Place::file("read", path)?;
        self.inner.worker.get(&place, Class::of(&place)).await?.stream()
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let read = async |path: &String| self.inner.read(&Place::file("read", path)?).await;
        let reads: Vec<_> = paths.iter().map(read).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        Box::pin(self.inner.write(&Place::file("write", path)?, body)).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        Box::pin(self.inner.create(&Place::file("create", path)?, body)).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        Box::pin(self.inner.replace(&Place::file("replace", path)?, body, etag)).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.inner.remove(&Place::file("delete", path)?).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let place = Place::file("stat", path)?;
        self.inner.worker.about(&place, Class::of(&place)).await
    }
}

impl fmt::Debug for CloudflareMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudflareMailbox")
            .field("url", &self.inner.shown)
            .field("is_push_healthy", &self.is_push_healthy())
            .finish_non_exhaustive()
    }
}
