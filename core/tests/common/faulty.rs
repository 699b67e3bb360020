//! A mailbox that fails on purpose.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use interocitor_core::mailbox::{
    Body, Capabilities, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, MemoryMailbox,
    StorageAdapter,
};

/// Decides whether a call fails, from its operation and path.
pub(crate) type Decide = Box<dyn FnMut(&'static str, &str) -> Option<Failure> + Send>;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing happens but the error.
    Before(MailboxErrorKind),
    /// The call takes effect, and the answer is lost.
    After(MailboxErrorKind),
    /// The call never answers.
    Hangs,
}

/// A memory mailbox behind a chance to fail; every call yields once, so that a scheduler can step
/// between requests.
#[derive(Clone)]
pub(crate) struct FaultyMailbox {
    pub(crate) inner: MemoryMailbox,
    /// As a WebDAV server does.
    pub(crate) keeps_sidecars: bool,
    decide: Arc<Mutex<Decide>>,
}

impl fmt::Debug for FaultyMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyMailbox").finish_non_exhaustive()
    }
}

impl FaultyMailbox {
    pub(crate) fn new(
        inner: MemoryMailbox,
        decide: impl FnMut(&'static str, &str) -> Option<Failure> + Send + 'static,
    ) -> Self {
        Self { inner, keeps_sidecars: false, decide: Arc::new(Mutex::new(Box::new(decide))) }
    }

    pub(crate) fn set(&self, decide: impl FnMut(&'static str, &str) -> Option<Failure> + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        path: &str,
        work: impl Future<Output = MailboxResult<T>>,
    ) -> MailboxResult<T> {
        yield_once().await;
        let failure = (self.decide.lock().unwrap())(operation, path);
        let error = |kind| MailboxError::new(kind, operation, path, "injected");
        match failure {
            None => work.await,
            Some(Failure::Before(kind)) => Err(error(kind)),
            Some(Failure::After(kind)) => {
                work.await?;
                Err(error(kind))
            }
            Some(Failure::Hangs) => futures_util::future::pending().await,
        }
    }
}

/// Lets others run.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[async_trait]
impl StorageAdapter for FaultyMailbox {
    fn kind(&self) -> &'static str {
        "faulty"
    }

    fn keeps_sidecars(&self) -> bool {
        self.keeps_sidecars
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.call("authenticate", "/", self.inner.authenticate()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.call("ensure", path, self.inner.ensure_folder(path)).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.call("list", folder, self.inner.list_files(folder)).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.call("list", folder, self.inner.list_folders(folder)).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.call("read", path, self.inner.read_file(path)).await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.call("write", path, self.inner.write_file(path, body)).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.call("create", path, self.inner.create_file(path, body)).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.call("replace", path, self.inner.replace_file(path, body, etag)).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.call("delete", path, self.inner.delete_file(path)).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.call("metadata", path, self.inner.metadata(path)).await
    }
}
