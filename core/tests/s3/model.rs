//! An S3 service in memory, with the flat namespace of the real one, that can be told what not to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::server::{Reply, Request, Server};

/// What the service does about conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    Strict,
    /// Everybody who comes within a moment of the winner wins too.
    Late,
    Ignored,
    /// Answers 501.
    Refused,
    /// Finds every other time that somebody else is writing the same, and wants to be asked again.
    Busy,
}

/// What the service is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    pub(crate) conditions: Conditions,
    /// Keys of a page.
    pub(crate) page: usize,
    /// Whether keys in listings are escaped, if that is asked for.
    pub(crate) escapes: bool,
    /// Whether each part of an upload is refused once, for want of time.
    pub(crate) stumbles: bool,
}

pub(crate) const ALL: Abilities =
    Abilities { conditions: Conditions::Strict, page: 1000, escapes: true, stumbles: false };

/// How long a moment is.
const MOMENT: Duration = Duration::from_millis(150);

struct Object {
    body: Vec<u8>,
    etag: String,
    before: Option<String>,
    written: Instant,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    /// Parts by number, by the number of the upload.
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    count: u64,
    stumbled: BTreeSet<String>,
}

pub(crate) struct Model {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl Model {
    pub(crate) async fn start(can: Abilities) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = Arc::clone(&state);
        let server = Server::start(move |request| answer(&mut state.lock().unwrap(), request, can)).await;
        Self { server, state: kept }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Uploads that were begun and neither completed nor given up.
    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Stores an object past the adapter.
    pub(crate) fn store(&self, key: &str, body: &[u8]) {
        put(&mut self.state.lock().unwrap(), key, body.to_vec());
    }
}

/// The address of the bucket of any server here.
pub(crate) fn address(server: &Server) -> String {
    let endpoint = server.url.trim_end_matches("/dav");
    format!("s3://access:s3cret@mailbox/in/side?endpoint={endpoint}")
}

/// A refusal.
pub(crate) fn refusal(status: u16, code: &str) -> Reply {
    Reply::with(status, "application/xml", format!("<Error><Code>{code}</Code></Error>"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn put(state: &mut State, key: &str, body: Vec<u8>) -> String {
    let etag = hexadecimal(&Sha256::digest(&body)[..16]);
    let before = state.objects.get(key).map(|object| object.etag.clone());
    let object = Object { body, etag: etag.clone(), before, written: Instant::now() };
    state.objects.insert(key.to_owned(), object);
    etag
}

fn answer(state: &mut State, request: &Request, can: Abilities) -> Reply {
    // What a real service checks of a signature, but for the signature itself: a real service does that.
    let signed = request.header("authorization").is_some_and(|text| {
        text.starts_with("AWS4-HMAC-SHA256 Credential=access/")
            && text.contains("host;")
            && text.contains(";x-amz-content-sha256;x-amz-date,")
    });
    if !signed || request.header("x-amz-date").is_none_or(|date| date.len() != 16) {
        return refusal(403, "AccessDenied");
    }
    if request.header("x-amz-content-sha256") != Some(&hexadecimal(&Sha256::digest(&request.body))) {
        return refusal(400, "XAmzContentSHA256Mismatch");
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').expect("every name has a value"))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    let Some(key) = path.strip_prefix("/mailbox/").map(decode) else {
        return refusal(404, "NoSuchBucket");
    };
    let names: Vec<&str> = query.keys().map(String::as_str).collect();
    match (request.method.as_str(), names.as_slice()) {
        ("GET", _) if key.is_empty() => list(state, &query, can),
        ("GET" | "HEAD", []) => match state.objects.get(&key) {
            Some(object) => Reply::with(200, "application/octet-stream", object.body.clone())
                .header("ETag", format!("\"{}\"", object.etag))
                .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            None if request.method == "HEAD" => Reply::status(404),
            None => refusal(404, "NoSuchKey"),
        },
        ("PUT", []) => conditionally(state, request, &key, can, |state| {
            let etag = put(state, &key, request.body.clone());
            Reply::status(200).header("ETag", format!("\"{etag}\""))
        }),
        ("DELETE", []) => {
            state.objects.remove(&key);
            Reply::status(204)
        }
        ("POST", ["uploads"]) => {
            state.count += 1;
            let upload = format!("upload/{}", state.count);
            state.uploads.insert(upload.clone(), BTreeMap::new());
            let told = format!(
                "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            );
            Reply::with(200, "application/xml", told)
        }
        ("PUT", ["partNumber", "uploadId"]) => {
            let Some(parts) = state.uploads.get_mut(&query["uploadId"]) else {
                return refusal(404, "NoSuchUpload");
            };
            if can.stumbles && state.stumbled.insert(request.path.clone()) {
                return refusal(503, "ServiceUnavailable");
            }
            let number = query["partNumber"].parse().unwrap();
            parts.insert(number, request.body.clone());
            Reply::status(200).header("ETag", format!("\"part-{number}\""))
        }
        ("DELETE", ["uploadId"]) => {
            state.uploads.remove(&query["uploadId"]);
            Reply::status(204)
        }
        ("POST", ["uploadId"]) => complete(state, request, &key, &query["uploadId"], can),
        other => panic!("the service knows no {other:?}"),
    }
}

fn complete(state: &mut State, request: &Request, key: &str, upload: &str, can: Abilities) -> Reply {
    let Some(parts) = state.uploads.get(upload) else { return refusal(404, "NoSuchUpload") };
    let told = String::from_utf8(request.body.clone()).unwrap().replace("&quot;", "\"");
    for (expected, number) in (1..).zip(parts.keys()) {
        let etag = format!("<PartNumber>{number}</PartNumber><ETag>\"part-{number}\"</ETag>");
        assert!(expected == *number && told.contains(&etag), "{told}");
    }
    let last = parts.len();
    let is_small = |(at, part): (usize, &Vec<u8>)| at + 1 < last && part.len() < 5 * 1024 * 1024;
    if parts.values().enumerate().any(is_small) {
        return refusal(400, "EntityTooSmall");
    }
    let whole: Vec<u8> = parts.values().flatten().copied().collect();
    conditionally(state, request, key, can, |state| {
        state.uploads.remove(upload);
        put(state, key, whole);
        Reply::with(200, "application/xml", "<CompleteMultipartUploadResult/>")
    })
}

fn conditionally(
    state: &mut State,
    request: &Request,
    key: &str,
    can: Abilities,
    write: impl FnOnce(&mut State) -> Reply,
) -> Reply {
    let (absent, version) = (request.header("if-none-match"), request.header("if-match"));
    match can.conditions {
        Conditions::Ignored => return write(state),
        Conditions::Refused if absent.is_some() || version.is_some() => {
            return refusal(501, "NotImplemented");
        }
        Conditions::Busy if absent.is_some() || version.is_some() => {
            state.count += 1;
            if state.count % 2 == 1 {
                return refusal(409, "ConditionalRequestConflict");
            }
        }
        _ => {}
    }
    let is_late = |object: &&Object| can.conditions != Conditions::Late || object.written.elapsed() > MOMENT;
    let holds = |etag: &str| {
        state.objects.get(key).is_some_and(|object| {
            let quoted = |stored: &str| etag == format!("\"{stored}\"");
            quoted(&object.etag) || (!is_late(&object) && object.before.as_deref().is_some_and(quoted))
        })
    };
    if absent.is_some() && state.objects.get(key).as_ref().is_some_and(is_late) {
        return refusal(412, "PreconditionFailed");
    }
    match version {
        Some(_) if !state.objects.contains_key(key) => refusal(404, "NoSuchKey"),
        Some(etag) if !holds(etag) => refusal(412, "PreconditionFailed"),
        _ => write(state),
    }
}

fn list(state: &State, query: &BTreeMap<String, String>, can: Abilities) -> Reply {
    let known = ["list-type", "encoding-type", "prefix", "delimiter", "max-keys", "continuation-token"];
    for (name, value) in query {
        assert!(known.contains(&name.as_str()), "{name}={value}");
    }
    assert_eq!((query["list-type"].as_str(), query["encoding-type"].as_str()), ("2", "url"));
    let escape = |key: &str| {
        if can.escapes {
            percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
                .replace("%20", "+")
        } else {
            key.replace('&', "&amp;").replace('<', "&lt;")
        }
    };
    let prefix = query["prefix"].as_str();
    let most = query.get("max-keys").map_or(can.page, |most| most.parse().unwrap()).min(can.page);
    let from = query.get("continuation-token").cloned().unwrap_or_default();
    let (mut inside, mut seen, mut next) = (String::new(), Vec::new(), None);
    for (key, object) in state.objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let below = &key[prefix.len()..];
        let end = query.get("delimiter").and_then(|delimiter| below.find(delimiter.as_str()));
        let shown = end.map_or(key.as_str(), |end| &key[..=prefix.len() + end]);
        if shown <= from.as_str() || seen.last().is_some_and(|last| last == shown) {
            continue;
        }
        if seen.len() == most {
            next = seen.last().cloned();
            break;
        }
        seen.push(shown.to_owned());
        let name = escape(shown);
        if end.is_some() {
            write!(inside, "<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>").unwrap();
        } else {
            let (size, etag) = (object.body.len(), &object.etag);
            write!(
                inside,
                "<Contents><Key>{name}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                 <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
            )
            .unwrap();
        }
    }
    let encoding = if can.escapes { "<EncodingType>url</EncodingType>" } else { "" };
    let next = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |next| {
        let next = next.replace('&', "&amp;").replace('<', "&lt;");
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>")
    });
    let body = format!("<ListBucketResult>{encoding}{next}{inside}</ListBucketResult>");
    Reply::with(200, "application/xml", body)
}
