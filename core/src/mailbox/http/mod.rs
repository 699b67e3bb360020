//! Requests and their outcomes: credentials, redirects, waiting, and errors. What every mailbox behind HTTP
//! needs; what a status means beyond the standard is the adapter's business.

mod answer;
mod authorization;
#[cfg(feature = "webdav")]
mod digest;
mod platform;
mod spool;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use rustls::pki_types::CertificateDer;

#[cfg(any(feature = "cloudflare", feature = "s3", feature = "webdav"))]
pub(super) use tls::certificates;

use super::body::Meter;
use super::{ByteStream, MailboxError, MailboxErrorKind, MailboxResult};

pub(super) use answer::Answer;
#[cfg(any(feature = "cloudflare", feature = "drive", feature = "s3"))]
pub(super) use answer::meaning;
pub(super) use authorization::Authorization;
pub use platform::{PlatformHttp, PlatformUploads, UploadRequest, UploadResponse};

use platform::CARRIED_MIN;
use spool::Spooled;

/// How long nothing may move before a request is given up.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Redirects followed for one call.
const REDIRECTS_MAX: usize = 4;
/// Pieces that a body in memory is sent in, so that its progress can be seen.
const SEND_PIECE: usize = 64 * 1024;
/// A body waits for its answer once more for each of these, up to four.
const SEND_AHEAD: u64 = 1024 * 1024;
/// Who asks.
const USER_AGENT: &str = concat!("interocitor/", env!("CARGO_PKG_VERSION"));

/// One request.
pub(super) struct Call<'a> {
    head: Head<'a>,
    payload: Payload,
    /// Whether it is part of the upload of a large body, which the platform may carry.
    is_part: bool,
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
    /// A body in memory that is not in one piece.
    #[cfg(feature = "s3")]
    Pieces(Vec<Bytes>),
    Stream(u64, ByteStream),
    /// A body in a file, for the platform to send.
    Spooled(Arc<Spooled>),
}

impl Payload {
    /// The same once more, unless it can be sent only once.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::None => Some(Self::None),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            #[cfg(feature = "s3")]
            Self::Pieces(pieces) => Some(Self::Pieces(pieces.clone())),
            Self::Stream(..) => None,
            Self::Spooled(spooled) => Some(Self::Spooled(Arc::clone(spooled))),
        }
    }

    /// Whether it should not be sent in vain.
    fn is_dear(&self) -> bool {
        matches!(self, Self::Stream(..) | Self::Spooled(_))
    }

    /// In pieces.
    fn into_stream(self) -> ByteStream {
        match self {
            Self::None | Self::Spooled(_) => stream::empty().boxed(),
            Self::Whole(bytes) => slices(bytes),
            #[cfg(feature = "s3")]
            Self::Pieces(pieces) => stream::iter(pieces.into_iter().map(Ok)).boxed(),
            Self::Stream(_, stream) => stream,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            #[cfg(feature = "s3")]
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::Stream(len, _) => *len,
            Self::Spooled(spooled) => spooled.len,
        }
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: &'static str, path: &'a str, method: &'static str, url: Url) -> Self {
        let head = Head { operation, path, method, url, headers: HeaderMap::new() };
        Self { head, payload: Payload::None, is_part: false }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> MailboxResult<Self> {
        // A value that no header can hold comes from outside: an etag, a lock token.
        let value = HeaderValue::from_str(value).map_err(|error| {
            self.head.error(MailboxErrorKind::Protocol, "a header cannot be sent").with_source(error)
        })?;
        self.head.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// As part of the upload of a large body: the platform may carry it, as it carries streams.
    #[cfg(any(feature = "drive", feature = "s3"))]
    pub(super) fn part(mut self) -> Self {
        self.is_part = true;
        self
    }

    /// With the headers of a request that somebody else has put together and signed.
    #[cfg(feature = "s3")]
    pub(super) fn signed(mut self, headers: HeaderMap, payload: Payload) -> Self {
        self.head.headers = headers;
        self.payload = payload;
        self
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
        // A part of an upload: what arrived of it has to be asked for.
        let partial = self.headers.contains_key(CONTENT_RANGE);
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "PUT" | "DELETE")
            && !conditional
            && !partial
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
    uploads: Option<PlatformUploads>,
}

/// What a client of a server is made of.
pub(super) struct Setup<'a> {
    /// Whether the server is asked over TLS.
    pub(super) is_secure: bool,
    pub(super) authorities: &'a [CertificateDer<'static>],
    pub(super) authorization: Authorization,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    /// Who carries large uploads, if it is not the client itself.
    pub(super) uploads: Option<PlatformUploads>,
}

/// Decides where a redirect leads; it is followed within the origin, and to the same thing only.
pub(super) type Follow<'a> = &'a (dyn Fn(&Redirect<'_>) -> MailboxResult<Url> + Sync);

/// A redirect that was answered.
pub(super) struct Redirect<'a> {
    head: &'a Head<'a>,
    pub(super) status: u16,
    /// Where to, without a fragment.
    pub(super) to: Option<Url>,
}

impl Redirect<'_> {
    /// Path within the mailbox of what was asked for.
    pub(super) fn path(&self) -> &str {
        self.head.path
    }

    pub(super) fn refuse(&self, message: &str) -> MailboxError {
        self.head.error(MailboxErrorKind::Protocol, message).with_status(self.status)
    }
}

impl Http {
    pub(super) fn new(setup: Setup<'_>) -> MailboxResult<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            refuse(MailboxErrorKind::Io, &format!("the HTTP client cannot be set up: {error}"))
        };
        let tls = tls::config(setup.is_secure, setup.authorities).map_err(|error| failed(&error))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(setup.connect_timeout)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| failed(&error.without_url()))?;
        Ok(Self {
            client,
            authorization: setup.authorization,
            timeout: setup.timeout,
            uploads: setup.uploads,
        })
    }

    /// Whether the platform carries streams of this length.
    pub(super) fn carries(&self, len: u64) -> bool {
        self.uploads.is_some() && len >= CARRIED_MIN
    }

    /// Brings what the platform is to carry into a file.
    async fn spool(&self, head: &Head<'_>, payload: Payload, is_part: bool) -> MailboxResult<Payload> {
        let (Some(uploads), len) = (&self.uploads, payload.len()) else { return Ok(payload) };
        if len < CARRIED_MIN || !(is_part || matches!(payload, Payload::Stream(..))) {
            return Ok(payload);
        }
        let spooled = Spooled::write(uploads, head, len, payload.into_stream()).await?;
        Ok(Payload::Spooled(Arc::new(spooled)))
    }

    /// Sends a request and waits for the head of the answer, whatever its status. Without `follow`, a
    /// redirect is an answer like any other.
    pub(super) async fn send(&self, call: Call<'_>, follow: Option<Follow<'_>>) -> MailboxResult<Answer> {
        let Call { mut head, payload, is_part } = call;
        let mut payload = self.spool(&head, payload, is_part).await?;
        let mut is_renewed = false;
        if self.authorization.is_challenged() && payload.is_dear() {
            // What is large or can be sent only once must not meet with a challenge: another request goes ahead and
            // takes it.
            let ahead = Call::new(head.operation, head.path, "OPTIONS", head.url.clone());
            Box::pin(self.send(ahead, follow)).await?.drain().await;
        }
        for _ in 0..=REDIRECTS_MAX {
            let (again, is_carried) = (payload.again(), matches!(payload, Payload::Spooled(_)));
            if let Some(authorization) =
                self.authorization.header(head.method, &head.url, self.timeout).await?
            {
                head.headers.insert(AUTHORIZATION, authorization);
            }
            let answer = match self.exchange(&head, payload).await {
                // An idle connection that the server was just closing.
                Err(error) if is_broken(&error) && head.may_repeat() && !is_carried => {
                    match again.as_ref().and_then(Payload::again) {
                        Some(payload) => self.exchange(&head, payload).await?,
                        None => return Err(error),
                    }
                }
                outcome => outcome?,
            };
            if answer.status() == 401 && !std::mem::replace(&mut is_renewed, true) {
                let refused = head.headers.get(AUTHORIZATION);
                let headers = answer.headers();
                let is_new = self.authorization.renew(refused, headers, self.timeout).await?;
                if is_new && let Some(again) = again {
                    answer.drain().await;
                    payload = again;
                    continue;
                }
            }
            let Some(follow) = follow.filter(|_| answer.is_redirect()) else {
                answer.refuse_page()?;
                return Ok(answer);
            };
            head.url = follow(&answer.redirect(&head))?;
            answer.drain().await;
            let Some(again) = again else {
                return Err(head.error(MailboxErrorKind::Protocol, "the server redirects a streamed body"));
            };
            payload = again;
        }
        Err(head.error(MailboxErrorKind::Protocol, "the server redirects in a circle"))
    }

    /// The access token of the next request to `url`, for a place other than its head.
    #[cfg(feature = "cloudflare")]
    pub(super) async fn token(&self, url: &Url) -> MailboxResult<Option<zeroize::Zeroizing<String>>> {
        let header = self.authorization.header("GET", url, self.timeout).await?;
        let bearer = header.as_ref().and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
        Ok(bearer.map(|token| zeroize::Zeroizing::new(token.to_owned())))
    }

    async fn exchange(&self, call: &Head<'_>, payload: Payload) -> MailboxResult<Answer> {
        if let (Payload::Spooled(spooled), Some(uploads)) = (&payload, &self.uploads) {
            return Ok(Answer::new(call, uploads.carry(call, spooled).await?, self.timeout));
        }
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
            Payload::None | Payload::Spooled(_) => {}
            Payload::Whole(bytes) if bytes.len() <= SEND_PIECE => {
                // Of an empty body too, which nginx refuses without.
                headers.insert(CONTENT_LENGTH, len.into());
                request = request.body(bytes);
            }
            Payload::Whole(bytes) => {
                headers.insert(CONTENT_LENGTH, len.into());
                request = request.body(metered(call, len, slices(bytes), &progress));
            }
            #[cfg(feature = "s3")]
            Payload::Pieces(pieces) => {
                headers.insert(CONTENT_LENGTH, len.into());
                let stream = stream::iter(pieces.into_iter().map(Ok)).boxed();
                request = request.body(metered(call, len, stream, &progress));
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
            Ok(response) => Ok(Answer::new(call, response, self.timeout)),
            // What broke may have been the body that we were to send.
            Err(error) => {
                Err(progress.take_fault().unwrap_or_else(|| broken(call.operation, call.path, error)))
            }
        }
    }
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

/// An error of a configuration. It never shows the address, which may hold a password.
pub(super) fn refuse(kind: MailboxErrorKind, why: &str) -> MailboxError {
    MailboxError::new(kind, "configure", "/", why)
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
