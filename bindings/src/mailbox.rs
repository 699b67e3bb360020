//! Mailboxes of the engine.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::{
    FolderMailbox, MemoryMailbox, StorageAdapter as CoreAdapter, WebDavAuth, WebDavConfig, WebDavMailbox,
};
use zeroize::Zeroizing;

use crate::{
    Failure, StorageAdapter, TokenProvider,
    adapter::{ForeignAdapter, ForeignTokens},
    configuration::{duration, invalid},
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
        let core = |error| Failure::from(interocitor_core::Error::from(error));
        let mut config = WebDavConfig::new(&options.url).map_err(core)?;
        let given = (options.user, options.password, options.token, options.token_provider);
        let auth = match given {
            (None, None, None, None) => None,
            (Some(user), password, None, None) => {
                Some(WebDavAuth::Basic { user, password: Zeroizing::new(password.unwrap_or_default()) })
            }
            (None, None, Some(token), None) => Some(WebDavAuth::bearer(token)),
            (None, None, None, Some(provider)) => {
                Some(WebDavAuth::Provider(Arc::new(ForeignTokens(provider))))
            }
            _ => {
                return Err(invalid(
                    "credentials",
                    "give a user with a password, or a token, or a token provider",
                ));
            }
        };
        if let Some(auth) = auth {
            config = config.with_auth(auth);
        }
        if let Some(authorities) = &options.authorities {
            config = config.with_authorities(authorities).map_err(core)?;
        }
        config = config.with_timeout(duration("timeout_ms", options.timeout_ms)?);
        Ok(Self(Arc::new(WebDavMailbox::new(&config).map_err(core)?)))
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
