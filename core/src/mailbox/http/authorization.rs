//! The `Authorization` header, and the tokens that go into it.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::super::{MailboxErrorKind, MailboxResult, TokenProvider};
#[cfg(feature = "webdav")]
use super::digest::Digest;
use super::refuse;

/// What goes into the `Authorization` header.
pub(in super::super) enum Authorization {
    /// Always the same.
    Fixed(Option<HeaderValue>),
    /// The token that the provider gave last.
    Provided(Arc<dyn TokenProvider>, Mutex<Option<Zeroizing<String>>>),
    /// Answers to the challenges of the server.
    #[cfg(feature = "webdav")]
    Digest(Digest),
}

impl Authorization {
    /// User and password.
    pub(in super::super) fn basic(user: &str, password: &str) -> MailboxResult<Self> {
        if user.contains(':') {
            return Err(refuse(MailboxErrorKind::Unauthorized, "the user name has a colon"));
        }
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Ok(Self::Fixed(Some(sensitive(&Zeroizing::new(format!("Basic {}", *encoded)))?)))
    }

    /// A token that stays.
    pub(in super::super) fn bearer(token: &str) -> MailboxResult<Self> {
        Ok(Self::Fixed(Some(bearer(token)?)))
    }

    /// Tokens that somebody else keeps fresh.
    pub(in super::super) fn provided(provider: Arc<dyn TokenProvider>) -> Self {
        Self::Provided(provider, Mutex::new(None))
    }

    /// User and password that are not sent themselves.
    #[cfg(feature = "webdav")]
    pub(in super::super) fn digest(user: &str, password: &str) -> Self {
        Self::Digest(Digest::new(user, password))
    }

    /// Whether requests are refused now and then, though nothing is wrong with them.
    pub(super) fn is_challenged(&self) -> bool {
        match self {
            #[cfg(feature = "webdav")]
            Self::Digest(_) => true,
            _ => false,
        }
    }

    /// The header for the next request. A provider gets as long as a server would.
    #[cfg_attr(
        not(feature = "webdav"),
        expect(unused_variables, reason = "digest alone looks at the request")
    )]
    pub(in super::super) async fn header(
        &self,
        method: &str,
        url: &Url,
        patience: Duration,
    ) -> MailboxResult<Option<HeaderValue>> {
        match self {
            #[cfg(feature = "webdav")]
            Self::Digest(digest) => Ok(digest.header(method, url)),
            Self::Fixed(header) => Ok(header.clone()),
            Self::Provided(provider, last) => {
                // Held while asking: requests that start together ask once.
                let mut last = last.lock().await;
                if last.is_none() {
                    *last = Some(ask(&**provider, None, patience).await?);
                }
                last.as_ref().map(|token| bearer(token)).transpose()
            }
        }
    }

    /// Asks for another token after one was refused, or takes the challenge of the answer; tells whether there is
    /// something new to try.
    #[cfg_attr(
        not(feature = "webdav"),
        expect(unused_variables, reason = "digest alone looks at the answer")
    )]
    pub(in super::super) async fn renew(
        &self,
        refused: Option<&HeaderValue>,
        answer: &HeaderMap,
        patience: Duration,
    ) -> MailboxResult<bool> {
        let (provider, last) = match self {
            Self::Fixed(_) => return Ok(false),
            Self::Provided(provider, last) => (provider, last),
            #[cfg(feature = "webdav")]
            Self::Digest(digest) => return digest.renew(refused, answer),
        };
        let mut last = last.lock().await;
        let Some(token) = last.as_ref() else { return Ok(true) };
        if refused != Some(&bearer(token)?) {
            // Another request was faster.
            return Ok(true);
        }
        let next = ask(&**provider, Some(token), patience).await?;
        let is_new = next != *token;
        *last = Some(next);
        Ok(is_new)
    }
}

async fn ask(
    provider: &dyn TokenProvider,
    rejected: Option<&str>,
    patience: Duration,
) -> MailboxResult<Zeroizing<String>> {
    tokio::time::timeout(patience, provider.token(rejected))
        .await
        .unwrap_or_else(|_| Err(refuse(MailboxErrorKind::Timeout, "the token provider does not answer")))
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
