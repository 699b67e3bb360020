//! Mailboxes of the engine.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::{FolderMailbox, MemoryMailbox, StorageAdapter as CoreAdapter};

use crate::{Failure, StorageAdapter, TokenProvider, adapter::ForeignAdapter};

/// A dumb remote: stores ciphertext under paths and merges nothing.
#[derive(Debug)]
pub struct Mailbox(Arc<dyn CoreAdapter>);

/// Where a WebDAV mailbox is, and who asks.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct WebDavOptions {
    pub url: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    pub token_provider: Option<Arc<dyn TokenProvider>>,
    pub authorities: Option<String>,
    pub timeout_ms: i64,
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

    /// An adapter written in the app's language.
    pub fn custom(adapter: Arc<dyn StorageAdapter>) -> Self {
        Self(Arc::new(ForeignAdapter::new(adapter)))
    }

    /// `folder`, `memory`, `webdav` or `custom`.
    pub fn kind(&self) -> String {
        self.0.kind().to_owned()
    }

    pub(crate) fn adapter(&self) -> Arc<dyn CoreAdapter> {
        Arc::clone(&self.0)
    }
}
