//! The mailbox on S3 and compatible services, from its options.

use std::{fmt, sync::Arc};

use interocitor_core::mailbox::StorageAdapter;
#[cfg(feature = "s3")]
use interocitor_core::mailbox::{S3Addressing as CoreAddressing, S3Config, S3Credentials, S3Mailbox};

use crate::{Failure, PlatformUploads, configuration::invalid};

/// Where a bucket stands in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum S3Addressing {
    Path,
    VirtualHost,
}

/// Where an S3 mailbox is, and who asks.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct S3Options {
    pub bucket: String,
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: String,
    pub addressing: Option<S3Addressing>,
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    pub authorities: Option<String>,
    pub timeout_ms: i64,
    pub uploads: Option<Arc<PlatformUploads>>,
}

impl fmt::Debug for S3Options {
    /// Without keys; the endpoint may hold some by mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .field("addressing", &self.addressing)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "s3")]
pub(crate) fn open(options: S3Options) -> Result<Arc<dyn StorageAdapter>, Failure> {
    let mut credentials = S3Credentials::new(options.access_key.as_str(), options.secret_key);
    if let Some(token) = options.session_token {
        credentials = credentials.with_session_token(token);
    }
    if options.access_key.is_empty() {
        return Err(invalid("credentials", "the access key is empty"));
    }
    // What ends a bucket in an address is no part of its name, and keys are not taken from there.
    if options.bucket.contains(['/', '?', '#', '@']) {
        return Err(invalid("bucket", "it is not the name of a bucket"));
    }
    let prefix = options.prefix.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    let unusable =
        |what| move |error: interocitor_core::mailbox::MailboxError| invalid(what, error.to_string());
    let mut config = S3Config::new(&format!("s3://{}/{prefix}", options.bucket))
        .map_err(unusable("bucket and prefix"))?
        .with_credentials(credentials)
        .with_region(options.region)
        .with_timeout(crate::configuration::duration("timeout_ms", options.timeout_ms)?);
    if let Some(endpoint) = &options.endpoint {
        config = config.with_endpoint(endpoint).map_err(unusable("endpoint"))?;
    }
    if let Some(addressing) = options.addressing {
        config = config.with_addressing(match addressing {
            S3Addressing::Path => CoreAddressing::Path,
            S3Addressing::VirtualHost => CoreAddressing::VirtualHost,
        });
    }
    if let Some(authorities) = &options.authorities {
        config = config.with_authorities(authorities).map_err(unusable("authorities"))?;
    }
    if let Some(uploads) = options.uploads {
        config = config.with_platform_uploads(uploads.of_core());
    }
    Ok(Arc::new(S3Mailbox::new(&config).map_err(unusable("mailbox"))?))
}

#[cfg(not(feature = "s3"))]
pub(crate) fn open(options: S3Options) -> Result<Arc<dyn StorageAdapter>, Failure> {
    drop(options);
    Err(invalid("mailbox", "this build has no S3"))
}
