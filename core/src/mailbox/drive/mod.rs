//! A mailbox in Google Drive.
//!
//! # What it costs
//!
//! Requests of a whole device, as `core/tests/drive.rs` counts them:
//!
//! | what | requests |
//! |---|---|
//! | a poll that finds nothing | 1: all folders of the mesh in one query, while they fit on one page of 1000 files; else 2, now and then 3 |
//! | the same within 15 minutes of a compaction | 4: the manifest is looked for again, since no create is exclusive |
//! | the same within 15 minutes of the founding | up to three times as much: folders may still be doubled, and are looked for again |
//! | a poll that finds n change files | 1 + n |
//! | publishing n change files | 3 + n: pointer, listing, the files, the head |
//! | joining a mesh of two devices | 14 |
//! | founding | 66: every folder and file is looked for before and after it is made |
//!
//! Drive allows a user some 12,000 requests a minute.

mod api;
mod config;
mod fault;
mod heal;
mod item;
mod memory;
mod query;
mod tree;
mod upload;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use self::api::Api;
use self::memory::Known;
use self::tree::{Tree, not_found};
use super::body::WHOLE_BODY_MAX;
use super::http::{Answer, is_broken};
use super::place::Place;
use super::{
    Body, ByteStream, Capabilities, FileEntry, MailboxErrorKind, MailboxResult, StorageAdapter, path,
};

pub use config::GoogleDriveConfig;

/// How many files are read at once.
const READS: usize = 6;

/// A mailbox in Google Drive, by version 3 of its interface.
///
/// - **Layout**: folders and files by their names below My Drive, as the JavaScript client lays them out. Both
///   see the same mailbox if both are clients of one Google project: the scope `drive.file` shows an app
///   nothing else.
/// - **Capabilities**: no exclusive create and no conditional replace, since Drive has neither. Two devices that
///   create a name in the same moment make two files of it; the later one notices and takes its own back, but
///   nobody can rely on that, and callers read back.
/// - **Doubled names**: of several files one is meant, by the same rule on every device: the one that was
///   overwritten last, else the first. The others go when the name is overwritten or removed, never by mere
///   listing. Folders of one name are read as one, and [`ensure_folder`](StorageAdapter::ensure_folder) moves
///   what is in them into the first.
/// - **Busy**: what Drive refuses because there are too many requests (403 or 429) is tried again after the wait
///   that it asks for, up to 20 seconds, by everybody who uses the mailbox; after that it is
///   [`RateLimited`](MailboxErrorKind::RateLimited) with that wait.
/// - **Large bodies** (over 5 MB) go up in parts of 8 MiB, which are sent again from where they broke off.
/// - **The trash**: what the user puts there is gone for the mailbox.
///
/// Needs a tokio runtime with time and I/O. Clones share one state.
#[derive(Clone)]
pub struct GoogleDriveMailbox {
    inner: Arc<Inner>,
}

struct Inner {
    tree: Tree,
    client_id: Option<String>,
}

impl GoogleDriveMailbox {
    /// A mailbox. Nothing is sent yet.
    pub fn new(config: &GoogleDriveConfig) -> MailboxResult<Self> {
        let tree = Tree::new(Api::new(config)?, config.folder());
        let client_id = config.client_id().map(str::to_owned);
        Ok(Self { inner: Arc::new(Inner { tree, client_id }) })
    }

    fn tree(&self) -> &Tree {
        &self.inner.tree
    }

    /// Asks for a file and waits for the head of the answer.
    async fn get(&self, path: &str) -> MailboxResult<Answer> {
        let (tree, file) = (self.tree(), Place::file("read", path)?);
        if let Known::Ids(ids) = tree.memory.file(&file)
            && let Some(id) = ids.first()
        {
            match tree.api.media(&file, id).await {
                // Gone by now; another file may have the name.
                Err(error) if error.kind() == MailboxErrorKind::NotFound => tree.memory.forget_file(&file),
                outcome => return outcome,
            }
        }
        let found = tree.find(&file).await?;
        let Some(item) = found.files.first() else { return Err(not_found(&file)) };
        tree.api.media(&file, &item.id).await
    }

    async fn read(&self, path: &str) -> MailboxResult<Bytes> {
        let attempt = async || self.get(path).await?.whole(WHOLE_BODY_MAX).await;
        match attempt().await {
            Err(error) if is_broken(&error) => attempt().await,
            outcome => outcome,
        }
    }
}

#[async_trait]
impl StorageAdapter for GoogleDriveMailbox {
    fn kind(&self) -> &'static str {
        "gdrive"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        let base = Place::root("authenticate");
        self.tree().api.about(&base).await?;
        self.tree().check_base(&base).await
    }

    fn is_carried(&self, len: u64) -> bool {
        self.inner.tree.carries(len)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { exclusive_create: false, conditional_replace: false, streaming: true, max_body: None }
    }

    fn handshake_config(&self) -> Option<String> {
        let client_id = self.inner.client_id.as_ref()?;
        Some(serde_json::json!({ "clientId": client_id }).to_string())
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let folder = Place::folder("ensure", path)?;
        let ids = self.tree().make_folder(&folder).await?;
        self.tree().heal(&folder, &ids).await;
        Ok(())
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.tree().files(&Place::folder("list", folder)?).await
    }

    async fn list_tree(&self, folder: &str) -> MailboxResult<Option<Vec<FileEntry>>> {
        self.tree().everything(&Place::folder("list", folder)?).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.tree().folders(&Place::folder("list", folder)?).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.read(path).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        self.get(path).await?.stream()
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let reads: Vec<_> = paths.iter().map(|path| self.read(path)).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        Box::pin(self.tree().write(&Place::file("write", path)?, body)).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        Box::pin(self.tree().create(&Place::file("create", path)?, body)).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        Box::pin(self.tree().replace(&Place::file("replace", path)?, body, etag)).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.tree().remove(&Place::file("delete", path)?).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let file = Place::file("stat", path)?;
        let found = self.tree().find(&file).await?;
        Ok(found.files.first().map(|item| item.entry(&path::join(&file.parent().segments()))))
    }
}

impl fmt::Debug for GoogleDriveMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleDriveMailbox").finish_non_exhaustive()
    }
}
