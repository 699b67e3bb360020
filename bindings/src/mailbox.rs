//! Mailboxes of the engine.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::{FolderMailbox, MemoryMailbox, StorageAdapter as CoreAdapter};
#[cfg(feature = "adapter-tests")]
use interocitor_core::{ErrorCode, mailbox::suite};

use crate::{
    CloudflareOptions, Failure, GoogleDriveOptions, PlatformUploads, S3Options, StorageAdapter,
    TokenProvider,
    adapter::ForeignAdapter,
    runtime::{CancelToken, until_cancelled},
};

/// A dumb remote: stores ciphertext under paths and merges nothing.
#[derive(Debug)]
pub struct Mailbox(Arc<dyn CoreAdapter>);

/// Where a WebDAV mailbox is, and who asks.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct WebDavOptions {
    pub url: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub digest: bool,
    pub token: Option<String>,
    pub token_provider: Option<Arc<dyn TokenProvider>>,
    pub authorities: Option<String>,
    pub timeout_ms: i64,
    pub uploads: Option<Arc<PlatformUploads>>,
}

impl fmt::Debug for WebDavOptions {
    /// The address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebDavOptions").field("timeout_ms", &self.timeout_ms).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// A directory.
    pub fn folder(path: String) -> Self {
        Self(Arc::new(FolderMailbox::new(path)))
    }

    /// Memory, for tests and previews.
    pub fn memory() -> Self {
        Self(Arc::new(MemoryMailbox::new()))
    }

    /// A WebDAV server.
    ///
    /// # Errors
    ///
    /// A `Remote` failure for an unusable address, `Rejected` for options that exclude each other.
    pub fn webdav(options: WebDavOptions) -> Result<Self, Failure> {
        #[cfg(feature = "webdav")]
        return Ok(Self(crate::webdav::open(options)?));
        #[cfg(not(feature = "webdav"))]
        {
            drop(options);
            Err(crate::configuration::invalid("mailbox", "this build has no WebDAV"))
        }
    }

    /// A bucket on S3 or a compatible service.
    ///
    /// # Errors
    ///
    /// A `Rejected` failure for unusable options.
    pub fn s3(options: S3Options) -> Result<Self, Failure> {
        Ok(Self(crate::s3::open(options)?))
    }

    /// The user's Google Drive.
    ///
    /// # Errors
    ///
    /// A `Rejected` failure for unusable options.
    pub fn google_drive(options: GoogleDriveOptions) -> Result<Self, Failure> {
        Ok(Self(crate::google_drive::open(options)?))
    }

    /// A Cloudflare Worker, which pushes.
    ///
    /// # Errors
    ///
    /// A `Rejected` failure for unusable options.
    pub fn cloudflare(options: CloudflareOptions) -> Result<Self, Failure> {
        Ok(Self(crate::cloudflare::open(options)?))
    }

    /// An adapter written in the app's language.
    pub fn custom(adapter: Arc<dyn StorageAdapter>) -> Self {
        Self(Arc::new(ForeignAdapter::new(adapter)))
    }

    /// `folder`, `memory`, `webdav`, `s3`, `gdrive`, `cloudflare` or `custom`.
    pub fn kind(&self) -> String {
        self.0.kind().to_owned()
    }

    /// Puts the mailbox through the conformance suite.
    ///
    /// # Errors
    ///
    /// The first check that was not passed, or what authenticating failed with.
    pub async fn check(
        &self,
        root: String,
        others: Vec<Arc<Self>>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<(), Failure> {
        let clients: Vec<_> =
            std::iter::once(self.adapter()).chain(others.iter().map(|other| other.adapter())).collect();
        until_cancelled(cancel, async move { checked(&clients, &root).await }).await
    }

    pub(crate) fn adapter(&self) -> Arc<dyn CoreAdapter> {
        Arc::clone(&self.0)
    }
}

#[cfg(feature = "adapter-tests")]
async fn checked(clients: &[Arc<dyn CoreAdapter>], root: &str) -> Result<(), Failure> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    // A remote that cannot be reached is that, and no fault of the adapter.
    clients[0].authenticate().await.map_err(interocitor_core::Error::from)?;
    let next = AtomicUsize::new(0);
    let make = || Arc::clone(&clients[next.fetch_add(1, Ordering::Relaxed) % clients.len()]);
    suite::check(&make, root).await.map_err(|unsound| Failure::Remote {
        code: ErrorCode::RemoteAccess.as_str().into(),
        reason: unsound.to_string(),
        retryable: false,
    })
}

#[cfg(not(feature = "adapter-tests"))]
#[expect(clippy::unused_async, reason = "as the one above")]
async fn checked(_: &[Arc<dyn CoreAdapter>], _: &str) -> Result<(), Failure> {
    Err(crate::configuration::invalid("mailbox", "this build has no conformance suite"))
}
