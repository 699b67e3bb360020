//! Credentials of a WebDAV server, and the header that shows them.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{
    super::{MailboxErrorKind, MailboxResult, TokenProvider},
    config::refuse,
};

/// Credentials of a WebDAV server. Wiped from memory when dropped, never shown.
#[derive(Clone, Default)]
pub enum WebDavAuth {
    /// No credentials.
    #[default]
    None,
    /// User and password, sent as UTF-8.
    Basic {
        /// The user; cannot contain a colon.
        user: String,
        /// The password, or the app password that many services want here.
        password: Zeroizing<String>,
    },
    /// A bearer token.
    Bearer(Zeroizing<String>),
    /// Bearer tokens that are asked for as they are needed, and again when one is refused.
    Provider(Arc<dyn TokenProvider>),
}

impl WebDavAuth {
    /// User and password.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { user: user.into(), password: Zeroizing::new(password.into()) }
    }

    /// A bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(Zeroizing::new(token.into()))
    }
}

impl fmt::Debug for WebDavAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(***)",
            Self::Bearer(_) => "Bearer(***)",
            Self::Provider(_) => "Provider(***)",
        })
    }
}

/// What goes into the `Authorization` header.
pub(super) enum Authorization {
    /// Always the same.
    Fixed(Option<HeaderValue>),
    /// The token that the provider gave last.
    Provided(Arc<dyn TokenProvider>, Mutex<Option<Zeroizing<String>>>),
}

impl Authorization {
    pub(super) fn new(auth: &WebDavAuth) -> MailboxResult<Self> {
        Ok(Self::Fixed(match auth {
            WebDavAuth::None => None,
            WebDavAuth::Basic { user, .. } if user.contains(':') => {
                return Err(refuse(MailboxErrorKind::Unauthorized, "the user name has a colon"));
            }
            WebDavAuth::Basic { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
                let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                Some(sensitive(&Zeroizing::new(format!("Basic {}", *encoded)))?)
            }
            WebDavAuth::Bearer(token) => Some(bearer(token)?),
            WebDavAuth::Provider(provider) => {
                return Ok(Self::Provided(Arc::clone(provider), Mutex::new(None)));
            }
        }))
    }

    /// The header for the next request.
    pub(super) async fn header(&self) -> MailboxResult<Option<HeaderValue>> {
        match self {
            Self::Fixed(header) => Ok(header.clone()),
            Self::Provided(provider, last) => {
                // Held while asking: requests that start together ask once.
                let mut last = last.lock().await;
                if last.is_none() {
                    *last = Some(provider.token(None).await?);
                }
                last.as_ref().map(|token| bearer(token)).transpose()
            }
        }
    }

    /// Asks for another token after one was refused; tells whether there is a new one to try.
    pub(super) async fn renew(&self, refused: Option<&HeaderValue>) -> MailboxResult<bool> {
        let Self::Provided(provider, last) = self else { return Ok(false) };
        let mut last = last.lock().await;
        let Some(token) = last.as_ref() else { return Ok(true) };
        if refused != Some(&bearer(token)?) {
            // Another request was faster.
            return Ok(true);
        }
        let next = provider.token(Some(token)).await?;
        let is_new = next != *token;
        *last = Some(next);
        Ok(is_new)
    }
}

fn bearer(token: &str) -> MailboxResult<HeaderValue> {
    sensitive(&Zeroizing::new(format!("Bearer {token}")))
}

/// A header value marked so that nothing logs it.
fn sensitive(text: &str) -> MailboxResult<HeaderValue> {
    // The error of the conversion is dropped: it could show what it refused.
    let Ok(mut value) = HeaderValue::from_str(text) else {
        return Err(refuse(MailboxErrorKind::Unauthorized, "the token cannot be sent in a header"));
    };
    value.set_sensitive(true);
    Ok(value)
}
