//! Requests and their outcomes: credentials, redirects, waiting, and errors.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::super::body::{self, Meter};
use super::super::{ByteStream, MailboxError, MailboxErrorKind, MailboxResult};
use super::address::{self, Address};
use super::auth::Authorization;
use super::config::{WebDavConfig, refuse};
use super::tls;

/// Redirects followed for one call.
const REDIRECTS_MAX: usize = 4;
/// Pieces that a body in memory is sent in, so that its progress can be seen.
const SEND_PIECE: usize = 64 * 1024;
/// A body waits for its answer once more for each of these, up to four.
const SEND_AHEAD: u64 = 1024 * 1024;
/// Bodies that do not matter are read up to here, so that their connection can be used again.
const DRAIN_MAX: usize = 64 * 1024;
/// A server cannot send us away for longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// One request.
pub(super) struct Call<'a> {
    head: Head<'a>,
    payload: Payload,
}

/// A request without what is sent along.
struct Head<'a> {
    operation: &'static str,
    /// Path within the mailbox, for errors.
    path: &'a str,
    method: &'static str,
    url: Url,
    headers: HeaderMap,
}

/// What is sent along.
pub(super) enum Payload {
    None,
    Whole(Bytes),
    Stream(u64, ByteStream),
}

impl Payload {
    /// The same once more, unless it can be sent only once.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::None => Some(Self::None),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(..) => None,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(len, _) => *len,
        }
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: &'static str, path: &'a str, method: &'static str, url: Url) -> Self {
        let head = Head { operation, path, method, url, headers: HeaderMap::new() };
        Self { head, payload: Payload::None }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> MailboxResult<Self> {
        // A value that no header can hold comes from outside: an etag, a lock token.
        let value = HeaderValue::from_str(value).map_err(|error| {
            self.head.error(MailboxErrorKind::Protocol, "a header cannot be sent").with_source(error)
        })?;
        self.head.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    pub(super) fn payload(mut self, content_type: &'static str, payload: Payload) -> Self {
        self.head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.payload = payload;
        self
    }
}

impl Head<'_> {
    /// Whether the request does no harm when it was carried out the first time.
    fn may_repeat(&self) -> bool {
        let conditional = self.headers.contains_key(IF_MATCH) || self.headers.contains_key(IF_NONE_MATCH);
        matches!(self.method, "GET" | "PROPFIND" | "PUT" | "DELETE") && !conditional
    }

    fn error(&self, kind: MailboxErrorKind, message: &str) -> MailboxError {
        MailboxError::new(kind, self.operation, self.path, message)
    }
}

/// A client of one server.
pub(super) struct Http {
    client: Client,
    authorization: Authorization,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(config: &WebDavConfig) -> MailboxResult<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            refuse(MailboxErrorKind::Io, &format!("the HTTP client cannot be set up: {error}"))
        };
        let tls = tls::config(config.url().scheme() == "https", config.authorities())
            .map_err(|error| failed(&error))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(config.connect_timeout())
            .user_agent(concat!("interocitor/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(&error.without_url()))?;
        Ok(Self { client, authorization: Authorization::new(config.auth())?, timeout: config.timeout() })
    }

    /// Sends a request and waits for the head of the answer, whatever its status. Redirects are followed
    /// within the origin only: nobody else gets to see the credentials.
    pub(super) async fn send(&self, address: &Address, call: Call<'_>) -> MailboxResult<Answer> {
        let Call { mut head, mut payload } = call;
        let mut is_renewed = false;
        for _ in 0..=REDIRECTS_MAX {
            let again = payload.again();
            if let Some(authorization) = self.authorization.header().await? {
                head.headers.insert(AUTHORIZATION, authorization);
            }
            let answer = match self.exchange(&head, payload).await {
                // An idle connection that the server was just closing.
                Err(error) if is_broken(&error) && head.may_repeat() => {
                    match again.as_ref().and_then(Payload::again) {
                        Some(payload) => self.exchange(&head, payload).await?,
                        None => return Err(error),
                    }
                }
                outcome => outcome?,
            };
            if answer.status() == 401 && !std::mem::replace(&mut is_renewed, true) {
                let is_new = self.authorization.renew(head.headers.get(AUTHORIZATION)).await?;
                if is_new && let Some(again) = again {
                    answer.drain().await;
                    payload = again;
                    continue;
                }
            }
            if !answer.is_redirect() {
                answer.refuse_page()?;
                return Ok(answer);
            }
            head.url = redirected(address, &head, &answer)?;
            answer.drain().await;
            let Some(again) = again else {
                return Err(head.error(MailboxErrorKind::Protocol, "the server redirects a streamed body"));
            };
            payload = again;
        }
        Err(head.error(MailboxErrorKind::Protocol, "the server redirects in a circle"))
    }

    async fn exchange(&self, call: &Head<'_>, payload: Payload) -> MailboxResult<Answer> {
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| call.error(MailboxErrorKind::Protocol, "no such method"))?;
        let mut headers = call.headers.clone();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let progress = Arc::new(Progress::new());
        let mut request = self.client.request(method, call.url.clone());
        let len = payload.len();
        match payload {
            Payload::None if matches!(call.method, "PUT") => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Payload::None => {}
            Payload::Whole(bytes) if bytes.len() <= SEND_PIECE => request = request.body(bytes),
            Payload::Whole(bytes) => {
                headers.insert(CONTENT_LENGTH, len.into());
                request = request.body(metered(call, len, slices(bytes), &progress));
            }
            Payload::Stream(len, stream) => {
                headers.insert(CONTENT_LENGTH, len.into());
                request = request.body(metered(call, len, stream, &progress));
            }
        }
        // What we are rid of may still be on its way, in the buffers of the system.
        let patience = self.timeout * (1 + u32::try_from(len / SEND_AHEAD).unwrap_or(u32::MAX).min(4));
        let sending = request.headers(headers).send();
        tokio::pin!(sending);
        let response = loop {
            match tokio::time::timeout(patience, &mut sending).await {
                Ok(outcome) => break outcome,
                // An upload may take its time as long as it moves.
                Err(_) if progress.idle() < patience => {}
                Err(_) => return Err(call.error(MailboxErrorKind::Timeout, "the server does not answer")),
            }
        };
        match response {
            Ok(response) => Ok(Answer {
                operation: call.operation,
                path: call.path.to_owned(),
                timeout: self.timeout,
                meter: response
                    .content_length()
                    .filter(|_| call.method == "GET")
                    .map(|len| Meter::new(call.operation, call.path, len)),
                method: call.method,
                response,
            }),
            // What broke may have been the body that we were to send.
            Err(error) => {
                Err(progress.take_fault().unwrap_or_else(|| broken(call.operation, call.path, error)))
            }
        }
    }
}

/// Where to go instead: only within the origin, and only to the same thing in another place, so that a
/// login page is not taken for a file.
fn redirected(address: &Address, call: &Head<'_>, answer: &Answer) -> MailboxResult<Url> {
    let location = answer.response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let refuse =
        |message: &str| Err(call.error(MailboxErrorKind::Protocol, message).with_status(answer.status()));
    let Some(mut url) = location.and_then(|location| call.url.join(location).ok()) else {
        return refuse("the server redirects to nowhere");
    };
    if !address.same_origin(&url) {
        return refuse("the server redirects to another address");
    }
    url.set_fragment(None);
    let kept = call.path.trim_end_matches('/');
    let same = url.query().is_none() && address::path_of(&url).is_some_and(|path| path.ends_with(kept));
    if !same || answer.response.status() == StatusCode::SEE_OTHER {
        return refuse("the server redirects to something else");
    }
    Ok(url)
}

/// The state of an upload.
struct Progress {
    inner: Mutex<(Instant, Option<MailboxError>)>,
}

impl Progress {
    fn new() -> Self {
        Self { inner: Mutex::new((Instant::now(), None)) }
    }

    fn moved(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0 = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.elapsed()
    }

    fn fail(&self, error: MailboxError) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(error);
    }

    fn take_fault(&self) -> Option<MailboxError> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }
}

/// A body that breaks off the request when it is not as long as announced.
fn metered(call: &Head<'_>, len: u64, stream: ByteStream, progress: &Arc<Progress>) -> reqwest::Body {
    let state = Some((stream, Meter::new(call.operation, call.path, len), Arc::clone(progress)));
    reqwest::Body::wrap_stream(stream::unfold(state, |state| async move {
        let (mut stream, mut meter, progress) = state?;
        let piece = match stream.next().await {
            Some(Ok(piece)) => meter.add(piece.len()).map(|()| Some(piece)),
            Some(Err(error)) => Err(error),
            None => meter.finish().map(|()| None),
        };
        progress.moved();
        match piece {
            Ok(Some(piece)) => Some((Ok(piece), Some((stream, meter, progress)))),
            Ok(None) => None,
            Err(error) => {
                progress.fail(error);
                Some((Err("the body broke off"), None))
            }
        }
    }))
}

fn slices(bytes: Bytes) -> ByteStream {
    stream::unfold(bytes, |mut rest| async move {
        let piece = rest.split_to(rest.len().min(SEND_PIECE));
        (!piece.is_empty()).then_some((Ok(piece), rest))
    })
    .boxed()
}

/// The answer to a request, its body unread.
pub(super) struct Answer {
    operation: &'static str,
    path: String,
    timeout: Duration,
    method: &'static str,
    meter: Option<Meter>,
    response: Response,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    pub(super) fn url(&self) -> &Url {
        self.response.url()
    }

    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    fn is_redirect(&self) -> bool {
        matches!(self.status(), 301 | 302 | 303 | 307 | 308)
    }

    pub(super) fn error(&self, kind: MailboxErrorKind, message: impl Into<String>) -> MailboxError {
        MailboxError::new(kind, self.operation, self.path.as_str(), message).with_status(self.status())
    }

    /// Whether a web page came.
    pub(super) fn is_page(&self) -> bool {
        self.response.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            value.starts_with(b"text/html") || value.starts_with(b"application/xhtml")
        })
    }

    /// Login pages and captive portals answer "OK" to anything, which is no success. Pages that decorate
    /// another status do no harm, and a page that is read may be what was stored.
    fn refuse_page(&self) -> MailboxResult<()> {
        if self.method != "GET" && matches!(self.status(), 200 | 203 | 207) && self.is_page() {
            return Err(self.page_error());
        }
        Ok(())
    }

    pub(super) fn page_error(&self) -> MailboxError {
        self.error(MailboxErrorKind::Protocol, "a web page came instead of an answer")
    }

    /// The next piece of the body, or `None` at its proper end.
    pub(super) async fn piece(&mut self) -> MailboxResult<Option<Bytes>> {
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
    pub(super) async fn whole(mut self, limit: u64) -> MailboxResult<Bytes> {
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
    pub(super) fn stream(self) -> MailboxResult<ByteStream> {
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
    pub(super) async fn drain(mut self) {
        let mut read = 0;
        while read < DRAIN_MAX {
            match self.piece().await {
                Ok(Some(piece)) => read += piece.len(),
                _ => return,
            }
        }
    }

    /// The error that a status means. What a status means to one call only is that call's business.
    pub(super) async fn fault(self) -> MailboxError {
        use MailboxErrorKind as K;
        let (kind, message) = match self.status() {
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
        };
        let error = self.error(kind, format!("{message} (HTTP {})", self.status()));
        let wait =
            self.response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        self.drain().await;
        error.with_retry_after(wait)
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

/// The error of a request that got no proper answer. The address is left out: it may hold a secret.
fn broken(operation: &'static str, path: &str, error: reqwest::Error) -> MailboxError {
    let (kind, message) = if error.is_timeout() {
        (MailboxErrorKind::Timeout, "no connection in time")
    } else if error.is_connect() && is_tls(&error) {
        (MailboxErrorKind::Protocol, "no secure connection to the server")
    } else if error.is_connect() {
        (MailboxErrorKind::Offline, "the server cannot be reached")
    } else {
        (MailboxErrorKind::Unavailable, "the connection broke off")
    };
    MailboxError::new(kind, operation, path, message).with_source(error.without_url())
}

/// Whether a connection ended in the middle of things.
pub(super) fn is_broken(error: &MailboxError) -> bool {
    error.kind() == MailboxErrorKind::Unavailable && error.status().is_none()
}

/// Whether a connection failed over TLS, for instance over a certificate that nobody trusts. I/O errors hide
/// what they are made of from `source`, and stand in each other.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || inner.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
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
