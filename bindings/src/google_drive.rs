//! The mailbox in Google Drive, from its options.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::StorageAdapter;
#[cfg(feature = "drive")]
use interocitor_core::mailbox::{GoogleDriveConfig, GoogleDriveMailbox};

use crate::{Failure, PlatformUploads, TokenProvider, configuration::invalid};

/// Where a mailbox in Google Drive is, and who asks.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct GoogleDriveOptions {
    pub token_provider: Option<Arc<dyn TokenProvider>>,
    pub token: Option<String>,
    pub folder: Option<String>,
    pub client_id: Option<String>,
    pub endpoint: Option<String>,
    pub timeout_ms: i64,
    pub retries: u32,
    pub uploads: Option<Arc<PlatformUploads>>,
}

impl fmt::Debug for GoogleDriveOptions {
    /// Without the token; the endpoint may hold a password by mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleDriveOptions")
            .field("folder", &self.folder)
            .field("timeout_ms", &self.timeout_ms)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "drive")]
pub(crate) fn open(options: GoogleDriveOptions) -> Result<Arc<dyn StorageAdapter>, Failure> {
    let unusable =
        |what| move |error: interocitor_core::mailbox::MailboxError| invalid(what, error.to_string());
    let config = match (options.token_provider, options.token) {
        (Some(provider), None) => GoogleDriveConfig::new(Arc::new(crate::adapter::ForeignTokens(provider))),
        (None, Some(token)) => GoogleDriveConfig::with_token(token),
        (_, token) => {
            // Wiped here, too.
            drop(token.map(zeroize::Zeroizing::new));
            return Err(invalid("credentials", "give a token provider, or a token"));
        }
    };
    let mut config = config
        .map_err(unusable("credentials"))?
        .with_timeout(crate::configuration::duration("timeout_ms", options.timeout_ms)?)
        .with_retries(options.retries);
    if let Some(folder) = &options.folder {
        config = config.with_folder(folder).map_err(unusable("folder"))?;
    }
    if let Some(client_id) = options.client_id {
        config = config.with_client_id(client_id);
    }
    if let Some(endpoint) = &options.endpoint {
        config = config.with_endpoint(endpoint).map_err(unusable("endpoint"))?;
    }
    if let Some(uploads) = options.uploads {
        config = config.with_platform_uploads(uploads.of_core());
    }
    Ok(Arc::new(GoogleDriveMailbox::new(&config).map_err(unusable("credentials"))?))
}

#[cfg(not(feature = "drive"))]
pub(crate) fn open(options: GoogleDriveOptions) -> Result<Arc<dyn StorageAdapter>, Failure> {
    drop(options);
    Err(invalid("mailbox", "this build has no Google Drive"))
}
