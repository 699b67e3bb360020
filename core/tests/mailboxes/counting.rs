//! A mailbox that counts what is asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use interocitor_core::mailbox::{Body, ByteStream, Capabilities, FileEntry, MailboxResult, StorageAdapter};

/// Counts the calls that cost a remote at least one request each.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    inner: Arc<dyn StorageAdapter>,
    calls: Arc<AtomicU64>,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn StorageAdapter>) -> Self {
        Self { inner, calls: Arc::default() }
    }

    /// The calls since the last time.
    pub(crate) fn take(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    fn count(&self, calls: usize) {
        self.calls.fetch_add(calls as u64, Ordering::Relaxed);
    }
}

#[async_trait]
impl StorageAdapter for Counting {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.count(1);
        self.inner.authenticate().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn listing_lag(&self) -> std::time::Duration {
        self.inner.listing_lag()
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.count(1);
        self.inner.ensure_folder(path).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.count(1);
        self.inner.list_files(folder).await
    }

    async fn list_tree(&self, folder: &str) -> MailboxResult<Option<Vec<FileEntry>>> {
        let files = self.inner.list_tree(folder).await?;
        // Who cannot list a tree was not asked over the network.
        self.count(usize::from(files.is_some()));
        Ok(files)
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.count(1);
        self.inner.list_folders(folder).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.count(1);
        self.inner.read_file(path).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        self.count(1);
        self.inner.read_stream(path).await
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        self.count(paths.len());
        self.inner.read_many(paths).await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.count(1);
        self.inner.write_file(path, body).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.count(1);
        self.inner.create_file(path, body).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.count(1);
        self.inner.replace_file(path, body, etag).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.count(1);
        self.inner.delete_file(path).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.count(1);
        self.inner.metadata(path).await
    }
}
