//! The WebDAV mailbox from its options.

use std::sync::Arc;

use interocitor_core::mailbox::{
    MailboxError, MailboxErrorKind, StorageAdapter, WebDavAuth, WebDavConfig, WebDavMailbox,
};
use zeroize::Zeroizing;

use crate::{
    Failure, WebDavOptions,
    adapter::ForeignTokens,
    configuration::{duration, invalid},
};

pub(crate) fn open(options: WebDavOptions) -> Result<Arc<dyn StorageAdapter>, Failure> {
    let core = |error: MailboxError| match error.kind() {
        MailboxErrorKind::InvalidPath => invalid("url", error.to_string()),
        _ => Failure::from(interocitor_core::Error::from(error)),
    };
    let mut config = WebDavConfig::new(&options.url).map_err(core)?;
    let given = (options.user, options.password, options.token, options.token_provider);
    if options.digest && given.0.is_none() {
        return Err(invalid("credentials", "digest needs a user with a password"));
    }
    let auth = match given {
        (None, None, None, None) => None,
        (Some(user), password, None, None) => {
            let password = Zeroizing::new(password.unwrap_or_default());
            Some(if options.digest {
                WebDavAuth::Digest { user, password }
            } else {
                WebDavAuth::Basic { user, password }
            })
        }
        (None, None, Some(token), None) => Some(WebDavAuth::bearer(token)),
        (None, None, None, Some(provider)) => Some(WebDavAuth::Provider(Arc::new(ForeignTokens(provider)))),
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
        config = config
            .with_authorities(authorities)
            .map_err(|error| invalid("authorities", error.to_string()))?;
    }
    config = config.with_timeout(duration("timeout_ms", options.timeout_ms)?);
    if let Some(uploads) = options.uploads {
        config = config.with_platform_uploads(uploads.of_core());
    }
    Ok(Arc::new(WebDavMailbox::new(&config).map_err(core)?))
}
