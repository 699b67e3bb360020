//! How opendal's requests travel: signed by the signer that comes with it, sent by the one HTTP client of all
//! mailboxes, and with a record of what went wrong.
//!
//! Here is the place for what opendal leaves to others or gets wrong:
//!
//! - **Keys go through opendal escaped**, and are brought into their own form here, before the signature. opendal trims
//!   blanks and doubled slashes, and asks for no escaping in listings, whose XML then cannot hold every key.
//! - **Refusals** are read here, with the wait that the service asks for; opendal keeps less of them.
//! - **Answers are looked at** before opendal reads them: it takes any XML for an empty listing, and panics over
//!   names of more than 64 KiB.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Request, Response, StatusCode, Uri};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest};
use reqwest::Url;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::super::http::{Answer, Call, Http, Payload};
use super::super::place::Place;
use super::super::{ByteStream, MailboxError, MailboxErrorKind, MailboxResult};
use super::config::S3Credentials;
use super::fault::{self, Fault};

/// The longest answer that is read whole: a page of 1000 keys.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;
/// The longest name or header that opendal is given.
const TEXT_MAX: usize = 8 * 1024;
/// A request is sent again so often, with a pause that doubles: a write when somebody else is in the middle of writing
/// the same, and a part of an upload when the service cannot take it now.
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(30);
const PART_RETRIES: u32 = 2;
const PART_PAUSE: Duration = Duration::from_millis(300);

const NO_ANSWER: &str = "the service answers what is no answer to the request";

/// Where the bucket is and how its service is asked.
pub(super) struct Service {
    pub(super) http: Http,
    /// What keys are appended to, without a slash at its end.
    pub(super) base: String,
    /// The bucket, which opendal puts before each key.
    pub(super) bucket: String,
    pub(super) signer: RequestSigner,
    pub(super) credentials: S3Credentials,
}

/// One operation: what it is about, and what became of its requests.
pub(super) struct Exchange {
    pub(super) place: Place,
    fault: Mutex<Option<Fault>>,
    /// Pages of a listing that may still be asked for.
    pages: AtomicUsize,
    has_page: AtomicBool,
    is_too_long: AtomicBool,
    is_escaped: AtomicBool,
}

impl Exchange {
    pub(super) fn new(place: &Place, pages: usize) -> Self {
        Self {
            place: place.clone(),
            fault: Mutex::default(),
            pages: AtomicUsize::new(pages),
            has_page: AtomicBool::new(false),
            is_too_long: AtomicBool::new(false),
            is_escaped: AtomicBool::new(false),
        }
    }

    /// Why the operation failed: what went wrong on the way, or else what opendal could not read.
    pub(super) fn fault(&self, error: Error) -> Fault {
        self.fault_or(MailboxErrorKind::Protocol, error)
    }

    /// The same, with the kind of an answer that opendal could not read.
    pub(super) fn fault_or(&self, kind: MailboxErrorKind, error: Error) -> Fault {
        let kept = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| self.place.error(kind, NO_ANSWER).with_source(error).into())
    }

    /// Whether the keys of the listing came escaped, as they were asked for.
    pub(super) fn is_escaped(&self) -> bool {
        self.is_escaped.load(Ordering::Relaxed)
    }

    /// Whether a listing ended because it has more pages than wanted.
    pub(super) fn is_too_long(&self) -> bool {
        self.is_too_long.load(Ordering::Relaxed)
    }

    fn keep(&self, fault: Fault) -> Error {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        Error::new(ErrorKind::Unexpected, "the request failed")
    }

    fn protocol(&self, message: &str) -> MailboxError {
        self.place.error(MailboxErrorKind::Protocol, message)
    }
}

/// Carries the requests of one operation.
pub(super) struct Transport {
    pub(super) service: Arc<Service>,
    pub(super) exchange: Arc<Exchange>,
}

/// What a request is for, as far as it matters on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    List,
    /// The body of an object is the answer.
    Read,
    Stat,
    Begin,
    Part,
    Complete,
    Delete,
    Put,
}

impl Purpose {
    fn of<T>(request: &Request<T>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match request.method().as_str() {
            "GET" if has("list-type") => Self::List,
            "GET" => Self::Read,
            "HEAD" => Self::Stat,
            "DELETE" => Self::Delete,
            "POST" if has("uploads") => Self::Begin,
            "POST" => Self::Complete,
            _ if has("partNumber") => Self::Part,
            _ => Self::Put,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::List | Self::Read => "GET",
            Self::Stat => "HEAD",
            Self::Begin | Self::Complete => "POST",
            Self::Part | Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The element that the answer must be.
    fn root(self) -> Option<&'static str> {
        match self {
            Self::List => Some("ListBucketResult"),
            Self::Begin => Some("InitiateMultipartUploadResult"),
            Self::Complete => Some("CompleteMultipartUploadResult"),
            _ => None,
        }
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>, Error> {
        let purpose = Purpose::of(&request);
        let outcome = async { self.response(purpose, self.send(purpose, request).await?).await };
        outcome.await.map_err(|fault| self.exchange.keep(fault))
    }
}

impl Transport {
    /// Sends a request until it succeeds or there is no sense in going on.
    async fn send(&self, purpose: Purpose, request: Request<Buffer>) -> Result<Answer, Fault> {
        let uri = self.uri(purpose, &request)?;
        if purpose == Purpose::List {
            self.turn(&uri)?;
        }
        let mut headers = request.headers().clone();
        // The client's to set.
        headers.remove(CONTENT_LENGTH);
        let pieces: Vec<Bytes> = Iterator::collect(request.into_body());
        let digest = pieces.iter().fold(Sha256::new(), |digest, piece| digest.chain_update(piece));
        if let Ok(digest) = HeaderValue::from_str(&hexadecimal(&digest.finalize())) {
            headers.insert(HeaderName::from_static("x-amz-content-sha256"), digest);
        }
        let is_conditional = headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH);
        let (mut tries, mut pause) = match purpose {
            Purpose::Part => (PART_RETRIES, PART_PAUSE),
            _ => (RETRIES, PAUSE),
        };
        loop {
            let fault = match self.try_once(purpose, &uri, &headers, &pieces).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            // Some services want to hear nothing of conditions; then what the caller looked at has to do.
            if is_conditional
                && fault.status == 501
                && headers.remove(IF_MATCH).is_some() | headers.remove(IF_NONE_MATCH).is_some()
            {
                continue;
            }
            // A wait that is asked for is the caller's to keep.
            let is_in_vain = match purpose {
                Purpose::Part => !fault.error.is_retryable() || fault.error.retry_after().is_some(),
                _ => !(is_conditional && fault.is_race()),
            };
            if is_in_vain || tries == 0 {
                return Err(fault);
            }
            tries -= 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_once(
        &self,
        purpose: Purpose,
        uri: &Uri,
        headers: &HeaderMap,
        pieces: &[Bytes],
    ) -> Result<Answer, Fault> {
        let Service { http, signer, credentials, .. } = &*self.service;
        let place = &self.exchange.place;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = http::Method::from_bytes(purpose.method().as_bytes()).unwrap_or_default();
        parts.uri = uri.clone();
        parts.headers = headers.clone();
        let mut credential = Credential {
            access_key_id: credentials.access_key.clone(),
            secret_access_key: credentials.secret_key.to_string(),
            session_token: credentials.session_token.as_ref().map(|token| token.to_string()),
            expires_in: None,
        };
        let signed = signer.sign_request(&Context::new(), &mut parts, Some(&credential), None).await;
        credential.secret_access_key.zeroize();
        credential.session_token.zeroize();
        // Not a source of the error: it could show what it refused.
        if signed.is_err() {
            let message = "no request can be signed with the keys";
            return Err(place.error(MailboxErrorKind::Unauthorized, message).into());
        }
        // The client's to set.
        parts.headers.remove(HOST);
        let url = Url::parse(&uri.to_string()).map_err(|error| {
            place.error(MailboxErrorKind::InvalidPath, "no URL can be made of the path").with_source(error)
        })?;
        let payload = match (purpose.method(), pieces) {
            ("PUT" | "POST", []) => Payload::Whole(Bytes::new()),
            (_, []) => Payload::None,
            (_, [piece]) => Payload::Whole(piece.clone()),
            _ => Payload::Pieces(pieces.to_vec()),
        };
        let call =
            Call::new(place.operation, &place.path, purpose.method(), url).signed(parts.headers, payload);
        let call = if purpose == Purpose::Part { call.part() } else { call };
        let answer = http.send(call, None).await?;
        if answer.is_success() { Ok(answer) } else { Err(Fault::read(answer).await) }
    }

    /// The address of a request, with the key in its own form.
    fn uri<T>(&self, purpose: Purpose, request: &Request<T>) -> MailboxResult<Uri> {
        let (base, bucket) = (&self.service.base, &self.service.bucket);
        let path = request.uri().path().strip_prefix('/').unwrap_or_default();
        let key = path.strip_prefix(bucket.as_str()).unwrap_or_default();
        let key = key.strip_prefix('/').unwrap_or_default();
        let mut uri = format!("{base}/{}", in_own_form(key));
        let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut mark = '?';
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = if name == "prefix" { in_own_form(value) } else { value.to_owned() };
            uri.extend([mark.to_string().as_str(), name, "=", &value]);
            mark = '&';
        }
        if purpose == Purpose::List {
            uri.push_str("&encoding-type=url");
        }
        Uri::try_from(uri).map_err(|error| {
            let place = &self.exchange.place;
            place.error(MailboxErrorKind::InvalidPath, "no URL can be made of the path").with_source(error)
        })
    }

    /// Whether one more page may be asked for.
    fn turn(&self, uri: &Uri) -> MailboxResult<()> {
        let exchange = &self.exchange;
        let goes_on = uri.query().is_some_and(|query| query.contains("continuation-token="));
        if exchange.has_page.swap(true, Ordering::Relaxed) && !goes_on {
            // Without a token it would be the first page again, and must not pass for a whole listing.
            return Err(exchange.protocol("the listing is cut short"));
        }
        let left = &exchange.pages;
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            exchange.is_too_long.store(true, Ordering::Relaxed);
            return Err(exchange.protocol("the listing does not end"));
        }
        Ok(())
    }

    /// The answer as opendal gets it.
    async fn response(&self, purpose: Purpose, answer: Answer) -> Result<Response<HttpBody>, Fault> {
        let mut response = Response::new(());
        // The one success that opendal knows.
        *response.status_mut() =
            if purpose == Purpose::Delete { StatusCode::NO_CONTENT } else { StatusCode::OK };
        for name in ["content-length", "etag", "last-modified"] {
            let is_date = |text: &str| httpdate::parse_http_date(text).is_ok();
            let is_readable =
                |text: &&str| text.len() <= TEXT_MAX && (name != "last-modified" || is_date(text));
            let text = answer.header(name).filter(is_readable);
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        let body = match purpose {
            Purpose::Read => {
                // opendal wants a length; what arrives is counted elsewhere.
                response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
                let exchange = Arc::clone(&self.exchange);
                HttpBody::new(Pieces { stream: Mutex::new(answer.stream()?), exchange }, None)
            }
            Purpose::Stat => HttpBody::new(futures_util::stream::empty(), None),
            _ => {
                let body = self.read(purpose, answer).await?;
                let body = futures_util::stream::iter([Ok(Buffer::from(body))]);
                HttpBody::new(body, None)
            }
        };
        Ok(response.map(|()| body))
    }

    /// The body of an answer, if it is one to the request.
    async fn read(&self, purpose: Purpose, answer: Answer) -> Result<Bytes, Fault> {
        let status = answer.status();
        let error = |kind, message: &str| self.exchange.place.error(kind, message).with_status(status);
        let body = answer.whole(ANSWER_MAX).await?;
        let Some(wanted) = purpose.root() else { return Ok(Bytes::new()) };
        let found = fault::root(&body);
        if found.as_deref() == Some("Error") && purpose == Purpose::Complete {
            // The service says "OK" first and puts the parts together afterwards.
            return Err(Fault::late(&body, &self.exchange.place));
        }
        if found.as_deref() != Some(wanted) {
            // Whether an upload that got no proper answer was carried out, nobody knows.
            let kind = match purpose {
                Purpose::Complete => MailboxErrorKind::Unavailable,
                _ => MailboxErrorKind::Protocol,
            };
            return Err(error(kind, NO_ANSWER).into());
        }
        if purpose != Purpose::List {
            return Ok(body);
        }
        if body.split(|byte| *byte == b'<').any(|text| text.len() > TEXT_MAX) {
            return Err(error(MailboxErrorKind::Protocol, "a name in the listing is too long").into());
        }
        let text = String::from_utf8_lossy(&body);
        let is_escaped = text.contains("EncodingType>url<");
        self.exchange.is_escaped.store(is_escaped, Ordering::Relaxed);
        Ok(if is_escaped { plain_slashes(&text).into() } else { body })
    }
}

/// The body of an object on its way through opendal, which wants to share it between threads.
struct Pieces {
    stream: Mutex<ByteStream>,
    exchange: Arc<Exchange>,
}

impl Stream for Pieces {
    type Item = Result<Buffer, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        let piece = task::ready!(stream.poll_next_unpin(context));
        Poll::Ready(piece.map(|piece| match piece {
            Ok(piece) => Ok(Buffer::from(piece)),
            Err(error) => Err(self.exchange.keep(error.into())),
        }))
    }
}

/// A key as opendal gets it: a path of which it changes nothing. With the slash at its end escaped, the mark of a folder
/// is an object like any other.
pub(super) fn escaped(key: &str) -> String {
    match key.strip_suffix('/') {
        Some(folder) => format!("{}%2F", escaped_prefix(folder)),
        None => escaped_prefix(key),
    }
}

/// What keys begin with, as opendal gets it.
pub(super) fn escaped_prefix(prefix: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(prefix, ESCAPED).to_string()
}

/// The way back, from what opendal made of it: it escaped the percent signs, and nothing else was to be escaped.
fn in_own_form(text: &str) -> String {
    text.replace("%25", "%").replace("%2F", "/")
}

/// A listing in which slashes are no more escaped than elsewhere, but for the token of the next page.
fn plain_slashes(listing: &str) -> String {
    const TOKEN: &str = "NextContinuationToken>";
    let plain = |text: &str| text.replace("%2F", "/").replace("%2f", "/");
    let mut is_token = true;
    let parts = listing.split(TOKEN).map(|text| {
        is_token = !is_token;
        if is_token { text.to_owned() } else { plain(text) }
    });
    parts.collect::<Vec<_>>().join(TOKEN)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_as_they_went_in() {
        let through_opendal = |escaped: &str| in_own_form(&opendal::raw::percent_encode_path(escaped));
        for (key, expected) in [
            ("a b/\u{fc}~-._", "a%20b/%C3%BC~-._"),
            (" blanks ", "%20blanks%20"),
            ("%2F%25%", "%252F%2525%25"),
            ("made/here/", "made/here/"),
            ("a'(b)*!", "a%27%28b%29%2A%21"),
        ] {
            assert_eq!(through_opendal(&opendal::raw::normalize_path(&escaped(key))), expected, "{key}");
        }
    }

    #[test]
    fn tokens_keep_their_slashes() {
        let page = |token: &str, slash: &str| {
            format!(
                "<Key>a{slash}b%252F</Key><NextContinuationToken>{token}</NextContinuationToken><Key>{slash}</Key>"
            )
        };
        assert_eq!(plain_slashes(&page("t%2F", "%2F")), page("t%2F", "/"));
        assert_eq!(plain_slashes("a%2fb"), "a/b");
    }
}
