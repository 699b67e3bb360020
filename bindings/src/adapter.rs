//! Mailboxes and token providers written in Swift or Kotlin.

use std::{fmt, sync::Arc, sync::Mutex, sync::PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, Capabilities, FileEntry, MailboxResult, StorageAdapter as CoreAdapter, TokenProvider as CoreTokens,
    file_path, folder_path,
};
use zeroize::Zeroizing;

use crate::MailboxFailure;

/// How many files are asked for at once.
const READS: usize = 6;

/// One file of a listing.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct MailboxFile {
    pub name: String,
    pub path: String,
    pub size: Option<i64>,
    pub modified_ms: Option<i64>,
    pub etag: Option<String>,
}

/// What a remote can do beyond the plain contract.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct MailboxCapabilities {
    pub exclusive_create: bool,
    pub conditional_replace: bool,
    pub max_body: Option<i64>,
}

/// A remote, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
#[expect(missing_docs, reason = "explained in the interface")]
pub trait StorageAdapter: Send + Sync {
    async fn authenticate(&self) -> Result<MailboxCapabilities, MailboxFailure>;
    async fn ensure_folder(&self, path: String) -> Result<(), MailboxFailure>;
    async fn list_files(&self, folder: String) -> Result<Vec<MailboxFile>, MailboxFailure>;
    async fn list_folders(&self, folder: String) -> Result<Vec<String>, MailboxFailure>;
    async fn read_file(&self, path: String) -> Result<Vec<u8>, MailboxFailure>;
    async fn write_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure>;
    async fn create_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure>;
    async fn replace_file(&self, path: String, body: Vec<u8>, etag: String) -> Result<(), MailboxFailure>;
    async fn delete_file(&self, path: String) -> Result<(), MailboxFailure>;
    async fn metadata(&self, path: String) -> Result<Option<MailboxFile>, MailboxFailure>;
}

/// Gives access tokens, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
pub trait TokenProvider: Send + Sync {
    /// The token to use now; another one than `rejected`.
    async fn token(&self, rejected: Option<String>) -> Result<String, MailboxFailure>;
}

pub(crate) struct ForeignAdapter {
    foreign: Arc<dyn StorageAdapter>,
    capabilities: Mutex<Capabilities>,
}

impl ForeignAdapter {
    pub(crate) fn new(foreign: Arc<dyn StorageAdapter>) -> Self {
        Self { foreign, capabilities: Mutex::default() }
    }
}

impl fmt::Debug for ForeignAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignAdapter")
    }
}

fn entry(file: MailboxFile) -> FileEntry {
    FileEntry {
        name: file.name,
        path: file.path,
        size: file.size.and_then(|size| u64::try_from(size).ok()),
        modified_ms: file.modified_ms,
        etag: file.etag,
    }
}

#[async_trait]
impl CoreAdapter for ForeignAdapter {
    fn kind(&self) -> &'static str {
        "custom"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        let found =
            self.foreign.authenticate().await.map_err(|failure| failure.about("authenticate", "/"))?;
        *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = Capabilities {
            exclusive_create: found.exclusive_create,
            conditional_replace: found.conditional_replace,
            streaming: false,
            max_body: found.max_body.and_then(|max| u64::try_from(max).ok()),
        };
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Paths are checked here, bodies gathered, and hidden names left out of listings: an adapter of an app has no
    // need to know of either.

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let folder = folder_path("ensure", path)?;
        self.foreign.ensure_folder(folder).await.map_err(|failure| failure.about("ensure", path))
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let files = self.foreign.list_files(folder_path("list", folder)?).await;
        let files = files.map_err(|failure| failure.about("list", folder))?;
        Ok(files.into_iter().filter(|file| !is_hidden(&file.name)).map(entry).collect())
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        let folders = self.foreign.list_folders(folder_path("list", folder)?).await;
        let folders = folders.map_err(|failure| failure.about("list", folder))?;
        Ok(folders.into_iter().filter(|name| !is_hidden(name)).collect())
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        let body = self.foreign.read_file(file_path("read", path)?).await;
        body.map(Bytes::from).map_err(|failure| failure.about("read", path))
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let reads: Vec<_> = paths.iter().map(|path| self.read_file(path)).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        let (file, body) = (file_path("write", path)?, body.whole("write", path).await?);
        self.foreign.write_file(file, body.into()).await.map_err(|failure| failure.about("write", path))
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        let (file, body) = (file_path("create", path)?, body.whole("create", path).await?);
        self.foreign.create_file(file, body.into()).await.map_err(|failure| failure.about("create", path))
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        let (file, body) = (file_path("replace", path)?, body.whole("replace", path).await?);
        let outcome = self.foreign.replace_file(file, body.into(), etag.to_owned()).await;
        outcome.map_err(|failure| failure.about("replace", path))
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        let file = file_path("delete", path)?;
        self.foreign.delete_file(file).await.map_err(|failure| failure.about("delete", path))
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let file = self.foreign.metadata(file_path("metadata", path)?).await;
        Ok(file.map_err(|failure| failure.about("metadata", path))?.map(entry))
    }
}

/// Whether listings leave the name out.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

#[cfg_attr(
    not(any(feature = "cloudflare", feature = "drive", feature = "webdav")),
    expect(dead_code, reason = "no mailbox of this build asks for tokens")
)]
pub(crate) struct ForeignTokens(pub(crate) Arc<dyn TokenProvider>);

impl fmt::Debug for ForeignTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignTokens")
    }
}

#[async_trait]
impl CoreTokens for ForeignTokens {
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        let token = self.0.token(rejected.map(str::to_owned)).await;
        token.map(Zeroizing::new).map_err(|failure| failure.about("token", "/"))
    }
}
