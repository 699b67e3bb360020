//! The mailbox behind a Cloudflare Worker, from its options.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::StorageAdapter;
#[cfg(feature = "cloudflare")]
use interocitor_core::mailbox::{CloudflareConfig, CloudflareMailbox};

use crate::{Failure, PlatformUploads, TokenProvider, configuration::invalid};

/// Where a mailbox behind a Cloudflare Worker is, and who asks.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct CloudflareOptions {
    pub url: String,
    pub token: Option<String>,
    pub token_provider: Option<Arc<dyn TokenProvider>>,
    pub access_secret: Option<String>,
    pub push: bool,
    pub max_file_bytes: i64,
    pub authorities: Option<String>,
    pub timeout_ms: i64,
    pub uploads: Option<Arc<PlatformUploads>>,
}

impl fmt::Debug for CloudflareOptions {
    /// The address may hold a password by mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudflareOptions")
            .field("push", &self.push)
            .field("max_file_bytes", &self.max_file_bytes)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "cloudflare")]
pub(crate) fn open(options: CloudflareOptions) -> Result<Arc<dyn StorageAdapter>, Failure> {
    use zeroize::Zeroizing;

    let unusable =
        |what| move |error: interocitor_core::mailbox::MailboxError| invalid(what, error.to_string());
    let secret = options.access_secret.map(Zeroizing::new);
    let mut config = CloudflareConfig::new(&options.url)
        .map_err(unusable("url"))?
        .with_max_file(crate::configuration::number("max_file_bytes", options.max_file_bytes)?)
        .with_timeout(crate::configuration::duration("timeout_ms", options.timeout_ms)?);
    config = match (options.token.map(Zeroizing::new), options.token_provider, secret) {
        (None, None, None) => config,
        (Some(token), None, None) => config.with_token(token.as_str()),
        (None, Some(provider), None) => {
            config.with_token_provider(Arc::new(crate::adapter::ForeignTokens(provider)))
        }
        (None, None, Some(secret)) => config.with_access_secret(&secret),
        _ => {
            return Err(invalid(
                "credentials",
                "give a token, or a token provider, or the access secret of the Worker",
            ));
        }
    };
    if !options.push {
        config = config.without_push();
    }
    if let Some(authorities) = &options.authorities {
        config = config.with_authorities(authorities).map_err(unusable("authorities"))?;
    }
    if let Some(uploads) = options.uploads {
        config = config.with_platform_uploads(uploads.of_core());
    }
    Ok(Arc::new(CloudflareMailbox::new(&config).map_err(unusable("credentials"))?))
}

#[cfg(not(feature = "cloudflare"))]
pub(crate) fn open(options: CloudflareOptions) -> Result<Arc<dyn StorageAdapter>, Failure> {
    drop(options);
    Err(invalid("mailbox", "this build has no Cloudflare"))
}
