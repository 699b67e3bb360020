//! The answer to a request, and what it means.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Response, Url};

use super::super::body::{self, Meter};
use super::super::{ByteStream, MailboxError, MailboxErrorKind, MailboxResult};
use super::{Head, Redirect, broken};

/// Bodies that do not matter are read up to here, so that their connection can be used again.
const DRAIN_MAX: usize = 64 * 1024;
/// A server cannot send us away for longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The answer to a request, its body unread.
pub(in super::super) struct Answer {
    operation: &'static str,
    path: String,
    timeout: Duration,
    method: &'static str,
    meter: Option<Meter>,
    response: Response,
}

impl Answer {
    pub(super) fn new(call: &Head<'_>, response: Response, timeout: Duration) -> Self {
        Self {
            operation: call.operation,
            path: call.path.to_owned(),
            timeout,
            meter: response
                .content_length()
                .filter(|_| call.method == "GET")
                .map(|len| Meter::new(call.operation, call.path, len)),
            method: call.method,
            response,
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(in super::super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(in super::super) fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    pub(in super::super) fn url(&self) -> &Url {
        self.response.url()
    }

    pub(in super::super) fn header(&self, name: &'static str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status(), 301 | 302 | 303 | 307 | 308)
    }

    pub(super) fn redirect<'a>(&self, head: &'a Head<'a>) -> Redirect<'a> {
        let location = self.response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = location.and_then(|location| head.url.join(location).ok()).map(|mut url| {
            url.set_fragment(None);
            url
        });
        Redirect { head, status: self.status(), to }
    }

    /// The connection itself, after the server agreed to speak another protocol on it.
    #[cfg(feature = "cloudflare")]
    pub(in super::super) async fn upgraded(self) -> MailboxResult<reqwest::Upgraded> {
        let (operation, path) = (self.operation, self.path);
        self.response.upgrade().await.map_err(|error| broken(operation, &path, error))
    }

    pub(in super::super) fn error(&self, kind: MailboxErrorKind, message: impl Into<String>) -> MailboxError {
        MailboxError::new(kind, self.operation, self.path.as_str(), message).with_status(self.status())
    }

    /// Whether a web page came.
    pub(in super::super) fn is_page(&self) -> bool {
        self.response.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            value.starts_with(b"text/html") || value.starts_with(b"application/xhtml")
        })
    }

    /// Login pages and captive portals answer "OK" to anything, which is no success. Pages that decorate
    /// another status do no harm, and a page that is read may be what was stored.
    pub(super) fn refuse_page(&self) -> MailboxResult<()> {
        if self.method != "GET" && matches!(self.status(), 200 | 203 | 207) && self.is_page() {
            return Err(self.page_error());
        }
        Ok(())
    }

    pub(in super::super) fn page_error(&self) -> MailboxError {
        self.error(MailboxErrorKind::Protocol, "a web page came instead of an answer")
    }

    /// The next piece of the body, or `None` at its proper end.
    pub(in super::super) async fn piece(&mut self) -> MailboxResult<Option<Bytes>> {
        let piece = match tokio::time::timeout(self.timeout, self.response.chunk()).await {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Err(broken(self.operation, &self.path, error)),
            Err(_) => return Err(self.error(MailboxErrorKind::Timeout, "the server stopped in the middle")),
        };
        if let Some(meter) = &mut self.meter {
            let counted = match &piece {
                Some(piece) => meter.add(piece.len()),
                None => meter.finish(),
            };
            counted.map_err(|error| {
                let message = "the body does not have the announced length";
                MailboxError::new(MailboxErrorKind::Unavailable, self.operation, self.path.as_str(), message)
                    .with_source(error)
            })?;
        }
        Ok(piece)
    }

    /// The whole body, unless it is longer than `limit`.
    pub(in super::super) async fn whole(mut self, limit: u64) -> MailboxResult<Bytes> {
        self.refuse_encoding()?;
        let announced = self.response.content_length().unwrap_or(0);
        let mut whole = BytesMut::new();
        if announced <= limit {
            whole.reserve(body::reserve(announced));
            while let Some(piece) = self.piece().await? {
                if whole.len() as u64 + piece.len() as u64 > limit {
                    return Err(
                        self.error(MailboxErrorKind::TooLarge, "the body is too large to be read at once")
                    );
                }
                whole.extend_from_slice(&piece);
            }
            return Ok(whole.freeze());
        }
        Err(self.error(MailboxErrorKind::TooLarge, "the body is too large to be read at once"))
    }

    /// The body as a stream.
    pub(in super::super) fn stream(self) -> MailboxResult<ByteStream> {
        self.refuse_encoding()?;
        let pieces = stream::try_unfold(self, |mut answer| async move {
            Ok(answer.piece().await?.map(|piece| (piece, answer)))
        });
        Ok(pieces.boxed())
    }

    /// We asked for the plain bytes; a server that compresses all the same cannot be counted against.
    fn refuse_encoding(&self) -> MailboxResult<()> {
        match self.response.headers().get(CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => {
                Err(self.error(MailboxErrorKind::Protocol, "the server encodes the body"))
            }
            _ => Ok(()),
        }
    }

    /// Reads what is left and does not matter.
    pub(in super::super) async fn drain(mut self) {
        let mut read = 0;
        while read < DRAIN_MAX {
            match self.piece().await {
                Ok(Some(piece)) => read += piece.len(),
                _ => return,
            }
        }
    }

    /// The error that a status means. What a status means to one call only is that call's business.
    pub(in super::super) async fn fault(self) -> MailboxError {
        let (kind, message) = meaning(self.status());
        let error = self.error(kind, format!("{message} (HTTP {})", self.status()));
        let wait = self.retry_after();
        self.drain().await;
        error.with_retry_after(wait)
    }

    /// How long the server asks to wait.
    pub(in super::super) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?)
    }
}

/// What a status means, where the call has no meaning of its own for it.
pub(in super::super) fn meaning(status: u16) -> (MailboxErrorKind, &'static str) {
    use MailboxErrorKind as K;
    match status {
        401 => (K::Unauthorized, "the server does not accept the credentials"),
        403 => (K::Forbidden, "the server does not allow it"),
        404 | 410 => (K::NotFound, "not found"),
        408 => (K::Timeout, "the server waited too long for the request"),
        409 => (K::Unavailable, "the server finds the path in a conflicting state"),
        412 => (K::Conflict, "the stored version is another one"),
        413 => (K::TooLarge, "the server does not accept so large a body"),
        414 => (K::InvalidPath, "the path is too long for the server"),
        423 => (K::Unavailable, "locked by somebody else"),
        429 => (K::RateLimited, "too many requests"),
        507 => (K::QuotaFull, "the server is full"),
        500..=599 => (K::Unavailable, "the server cannot do it now"),
        _ => (K::Protocol, "an unexpected answer"),
    }
}

/// Seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        until.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1000));
        assert!(retry_after(&soon).is_some_and(|wait| wait > Duration::from_mins(15)));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(nonsense), None, "{nonsense}");
        }
    }
}
