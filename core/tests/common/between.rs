//! A mailbox at which something happens between two requests.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use interocitor_core::mailbox::{
    Body, Capabilities, FileEntry, FolderMailbox, MailboxResult, StorageAdapter,
};

type Happening = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A folder, before whose next request about a certain path something is done.
pub(crate) struct Between {
    inner: FolderMailbox,
    next: Mutex<Option<(&'static str, Happening)>>,
}

impl Between {
    pub(crate) fn new(inner: FolderMailbox) -> Self {
        Self { inner, next: Mutex::default() }
    }

    /// Does it once, before the next write or look at a path with `part` in it.
    pub(crate) fn before(&self, part: &'static str, what: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock().unwrap() = Some((part, Box::pin(what)));
    }

    /// Whether it has been done.
    pub(crate) fn is_done(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }

    async fn happen(&self, path: &str) {
        let is_now = |next: &(&str, Happening)| path.contains(next.0);
        let now = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            if next.as_ref().is_some_and(is_now) { next.take() } else { None }
        };
        if let Some((_, what)) = now {
            what.await;
        }
    }
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageAdapter for Between {
    fn kind(&self) -> &'static str {
        "between"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.inner.ensure_folder(path).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.inner.list_files(folder).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.inner.list_folders(folder).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.inner.read_file(path).await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.happen(path).await;
        self.inner.write_file(path, body).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.happen(path).await;
        self.inner.create_file(path, body).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.happen(path).await;
        self.inner.replace_file(path, body, etag).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.inner.delete_file(path).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.happen(path).await;
        self.inner.metadata(path).await
    }
}
