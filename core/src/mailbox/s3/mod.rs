//! A mailbox in a bucket of S3 or of a compatible service, over opendal.
//!
//! opendal makes the requests and reads the answers: paging, uploads in parts, conditions, listings. Its requests are
//! signed by its own signer and sent by the HTTP client of the other mailboxes (`transport`), so that there is one TLS
//! stack, one set of time limits, and one reading of what a refusal means.

mod bucket;
mod config;
mod fault;
mod listing;
mod probe;
mod transport;
mod upload;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use tokio::sync::OnceCell;

use self::bucket::{Bucket, Condition, Extent, Put, entry};
use self::probe::Findings;
use super::body::WHOLE_BODY_MAX;
use super::path;
use super::place::Place;
use super::{Body, ByteStream, Capabilities, FileEntry, MailboxErrorKind, MailboxResult, StorageAdapter};

pub use config::{S3Addressing, S3Config, S3Credentials};

/// How many files are read at once.
const READS: usize = 16;
/// Folders that are remembered; a mailbox has few.
const FOLDERS_MAX: usize = 10_000;
/// A tree of more pages than this is listed folder by folder, which is cheaper: pages of 1000 files.
const TREE_PAGES: usize = 4;
/// So many polls later a large tree is looked at again.
const TREE_REST: u32 = 100;

/// A mailbox in a bucket of S3 or of a compatible service.
///
/// - **The bucket must exist.** Where it is gone, calls answer [`MailboxErrorKind::Unavailable`], never "not
///   found".
/// - **[`authenticate`](StorageAdapter::authenticate) probes** once for an instance whether the service lets
///   one of several racing writers win, with an object that it removes again: 17 small requests.
/// - **Capabilities**: `exclusive_create` and `conditional_replace` where the probe found them. AWS, Cloudflare
///   R2, MinIO and newer versions of many others have them.
/// - **Requests**: a poll that finds nothing new costs one, as long as the whole mesh has fewer than 4000 files;
///   beyond that, one for the pointer and one for each 1000 change files. A batch is published with three, a burst
///   of n batches with n + 2, and taken in by another device with n + 1. A fresh device comes in with 11, and with
///   n + 2 more for n changes since the last snapshot; the probe comes on top. The first write in a folder asks once
///   whether a file is in the way.
/// - **Bodies** over 8 MiB are sent in parts, one at a time; 16 MiB of memory suffice. An upload that is cut off by
///   the end of the process stays invisible; let the bucket remove such uploads after a few days.
/// - **Folders** do not exist in a bucket. [`ensure_folder`](StorageAdapter::ensure_folder) leaves an empty
///   object whose name ends with a slash, as other tools do. What keeps a file from taking the place of a folder
///   is what this client has seen; another client may not have.
/// - **Names** may have any character; those that XML has no room for (control characters) are listed as they are only
///   by services that escape listings, as AWS does and versitygw does not.
/// - **The clock** of the device must be right by a quarter of an hour: opendal signs by it and by no other. The
///   error says how wrong it is.
/// - **Not** for directory buckets (S3 Express), whose listings have no order.
///
/// Needs a tokio runtime with time and I/O. Clones share one state.
#[derive(Clone)]
pub struct S3Mailbox {
    inner: Arc<Inner>,
}

struct Inner {
    bucket: Bucket,
    shown: String,
    handshake: String,
    findings: OnceCell<Findings>,
    /// Folders that certainly are none but folders, by path.
    folders: Mutex<HashSet<String>>,
    /// Polls that still do without a listing of the tree, which was too large.
    tree_rest: AtomicU32,
}

impl S3Mailbox {
    /// A mailbox at an address. Nothing is sent yet.
    pub fn new(config: &S3Config) -> MailboxResult<Self> {
        let inner = Inner {
            bucket: Bucket::new(config)?,
            shown: config.shown(),
            handshake: config.handshake(),
            findings: OnceCell::new(),
            folders: Mutex::default(),
            tree_rest: AtomicU32::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn read(&self, path: &str) -> MailboxResult<Bytes> {
        let place = Place::file("read", path)?;
        self.inner.bucket.read(&place, WHOLE_BODY_MAX).await
    }
}

impl Inner {
    fn findings(&self) -> Findings {
        self.findings.get().copied().unwrap_or_default()
    }

    fn folders(&self) -> MutexGuard<'_, HashSet<String>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_folder_known(&self, place: &Place) -> bool {
        self.folders().contains(&place.path)
    }

    fn remember_folder(&self, place: &Place) {
        let mut folders = self.folders();
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(place.path.clone());
    }

    /// Refuses where one of `folders` is a file. Asks only about those that it does not know.
    async fn check_folders(&self, place: &Place, folders: Vec<Place>) -> MailboxResult<()> {
        let unknown: Vec<Place> =
            folders.into_iter().filter(|folder| !self.is_folder_known(folder)).collect();
        for outcome in future::join_all(unknown.iter().map(|folder| self.bucket.head(folder))).await {
            if outcome.map_err(|error| error.at(&place.path))?.is_some() {
                let message = "a file stands where a folder is needed";
                return Err(place.error(MailboxErrorKind::InvalidPath, message));
            }
        }
        for folder in &unknown {
            self.remember_folder(folder);
        }
        Ok(())
    }

    async fn write(&self, place: &Place, body: Body, condition: Option<Condition<'_>>) -> MailboxResult<Put> {
        if self.is_folder_known(place) {
            let message = "a folder stands where a file is to be written";
            return Err(place.error(MailboxErrorKind::InvalidPath, message));
        }
        self.check_folders(place, ancestors(place).collect()).await?;
        self.bucket.upload(place, body, condition).await
    }

    /// The files and the folders in a folder.
    async fn list(&self, folder: &Place) -> MailboxResult<(Vec<FileEntry>, Vec<String>)> {
        let prefix = self.bucket.prefix_of(folder);
        let listing = self.bucket.list(folder, &prefix, Extent::Folder).await?.unwrap_or_default();
        let is_there = !listing.objects.is_empty() || !listing.folders.is_empty();
        if !is_there && !folder.segments.is_empty() && !self.is_folder_known(folder) {
            return Err(folder.error(MailboxErrorKind::NotFound, "not found"));
        }
        self.remember_folder(folder);
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for object in listing.objects {
            let name = object.key.strip_prefix(&prefix).filter(|name| is_shown(name));
            if let Some(path) = name.and_then(|_| self.bucket.path_of(&object.key)) {
                files.push(entry(path, object));
            }
        }
        for below in listing.folders {
            let name = below.strip_prefix(&prefix).and_then(|name| name.strip_suffix('/'));
            folders.extend(name.filter(|name| is_shown(name)).map(str::to_owned));
        }
        Ok((files, folders))
    }
}

/// Every folder above, the root left out.
fn ancestors(place: &Place) -> impl Iterator<Item = Place> {
    (1..place.segments.len()).map(|depth| place.ancestor(depth))
}

/// Whether a listing shows a name. Others come from careless tools: `a//b`, `../a`.
fn is_shown(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !path::is_hidden(name)
}

#[async_trait]
impl StorageAdapter for S3Mailbox {
    fn kind(&self) -> &'static str {
        "s3"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        let bucket = &self.inner.bucket;
        bucket.has_any(&Place::root("authenticate")).await?;
        let findings = self.inner.findings.get_or_init(|| Box::pin(probe::run(bucket))).await;
        tracing::debug!(?findings, "probed the S3 service");
        Ok(())
    }

    fn is_carried(&self, len: u64) -> bool {
        self.inner.bucket.carries(len)
    }

    fn capabilities(&self) -> Capabilities {
        let findings = self.inner.findings();
        Capabilities {
            exclusive_create: findings.creates_once,
            conditional_replace: findings.replaces_once,
            streaming: true,
            max_body: None,
        }
    }

    fn handshake_config(&self) -> Option<String> {
        Some(self.inner.handshake.clone())
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let folder = Place::folder("ensure", path)?;
        if folder.segments.is_empty() {
            return self.inner.bucket.has_any(&folder).await.map(drop);
        }
        let mut folders: Vec<Place> = ancestors(&folder).collect();
        folders.push(folder.clone());
        self.inner.check_folders(&folder, folders).await?;
        self.inner.bucket.mark(&folder).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        Ok(self.inner.list(&Place::folder("list", folder)?).await?.0)
    }

    async fn list_tree(&self, folder: &str) -> MailboxResult<Option<Vec<FileEntry>>> {
        let folder = Place::folder("list", folder)?;
        let rest = &self.inner.tree_rest;
        if rest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(None);
        }
        let bucket = &self.inner.bucket;
        let prefix = bucket.prefix_of(&folder);
        let Some(listing) = bucket.list(&folder, &prefix, Extent::Tree(TREE_PAGES)).await? else {
            rest.store(TREE_REST, Ordering::Relaxed);
            return Ok(None);
        };
        let mut files = Vec::new();
        for object in listing.objects {
            let below = object.key.strip_prefix(&prefix);
            let is_shown = below.is_some_and(|below| !below.split('/').any(path::is_hidden));
            if let Some(path) = bucket.path_of(&object.key).filter(|_| is_shown) {
                files.push(entry(path, object));
            }
        }
        Ok(Some(files))
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        Ok(self.inner.list(&Place::folder("list", folder)?).await?.1)
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.read(path).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        self.inner.bucket.stream(&Place::file("read", path)?).await
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let reads: Vec<_> = paths.iter().map(|path| self.read(path)).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.inner.write(&Place::file("write", path)?, body, None).await.map(drop)
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        let place = Place::file("create", path)?;
        let exists = || place.error(MailboxErrorKind::AlreadyExists, "the file exists");
        // A large body is not sent in vain, and where conditions mean nothing this is all there is.
        let is_cheap = self.inner.findings().creates_once && matches!(body, Body::Bytes(_));
        if !is_cheap && self.inner.bucket.head(&place).await?.is_some() {
            return Err(exists());
        }
        match self.inner.write(&place, body, Some(Condition::Absent)).await? {
            Put::Done => Ok(()),
            Put::Refused => Err(exists()),
        }
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        let place = Place::file("replace", path)?;
        let changed = || place.error(MailboxErrorKind::Conflict, "the file has changed");
        let is_cheap = self.inner.findings().replaces_once && matches!(body, Body::Bytes(_));
        if !is_cheap {
            let stored = self.inner.bucket.head(&place).await?;
            if stored.and_then(|facts| facts.etag).as_deref() != Some(etag) {
                return Err(changed());
            }
        }
        match self.inner.write(&place, body, Some(Condition::Version(etag))).await? {
            Put::Done => Ok(()),
            Put::Refused => Err(changed()),
        }
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        let place = Place::file("delete", path)?;
        if self.inner.is_folder_known(&place) {
            return Err(place.error(MailboxErrorKind::InvalidPath, "a folder is not deleted as a file"));
        }
        self.inner.bucket.delete_file(&place).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.inner.bucket.head(&Place::file("stat", path)?).await
    }
}

impl fmt::Debug for S3Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Mailbox")
            .field("address", &self.inner.shown)
            .field("findings", &self.inner.findings.get())
            .finish_non_exhaustive()
    }
}
