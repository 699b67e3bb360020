//! Every fault becomes the right error, and no error tells a secret.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, Capabilities, MailboxError, MailboxErrorKind as K, MailboxResult, StorageAdapter, TokenProvider,
    WebDavAuth, WebDavConfig, WebDavMailbox,
};
use zeroize::Zeroizing;

use super::server::{Reading, Reply, Request, Server, file, folder};

const PASSWORD: &str = "s3cret-pass";
/// `user:s3cret-pass` as it is sent.
const ENCODED: &str = "dXNlcjpzM2NyZXQtcGFzcw==";

pub(super) fn config(server: &Server) -> WebDavConfig {
    let config = WebDavConfig::new(&server.url).unwrap();
    config.with_auth(WebDavAuth::basic("user", PASSWORD)).with_timeout(Duration::from_secs(20))
}

pub(super) fn client(server: &Server) -> WebDavMailbox {
    WebDavMailbox::new(&config(server)).unwrap()
}

pub(super) fn impatient(server: &Server) -> WebDavMailbox {
    WebDavMailbox::new(&config(server).with_timeout(Duration::from_millis(300))).unwrap()
}

/// The error of a call, looked through for secrets.
#[track_caller]
pub(super) fn error<T>(outcome: MailboxResult<T>) -> MailboxError {
    let Err(error) = outcome else { panic!("succeeded") };
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        shown.extend([inner.to_string(), format!("{inner:?}")]);
        source = inner.source();
    }
    for secret in [PASSWORD, ENCODED] {
        assert!(!shown.contains(secret), "a secret in {shown}");
    }
    error
}

#[track_caller]
pub(super) fn kind<T>(outcome: MailboxResult<T>) -> K {
    error(outcome).kind()
}

/// The outcome of every method, without the values.
async fn kinds(client: &WebDavMailbox) -> Vec<K> {
    let path = "/Mesh/x";
    let broken_stream = client.read_stream(path).await.map(drop);
    vec![
        kind(client.authenticate().await),
        kind(client.ensure_folder("/Mesh").await),
        kind(client.list_files("/Mesh").await),
        kind(client.list_folders("/Mesh").await),
        kind(client.read_file(path).await),
        kind(broken_stream),
        kind(client.read_many(&[path.to_owned()]).await.remove(0)),
        kind(client.write_file(path, Body::from("body")).await),
        kind(client.create_file(path, Body::from("body")).await),
        kind(client.replace_file(path, Body::from("body"), "\"etag\"").await),
        kind(client.delete_file(path).await),
        kind(client.metadata(path).await),
    ]
}

#[tokio::test]
async fn every_call_tells_what_a_status_means() {
    let table = [
        (400, K::Protocol),
        (401, K::Unauthorized),
        (403, K::Forbidden),
        (408, K::Timeout),
        (413, K::TooLarge),
        (418, K::Protocol),
        (423, K::Unavailable),
        (429, K::RateLimited),
        (500, K::Unavailable),
        (502, K::Unavailable),
        (503, K::Unavailable),
        (507, K::QuotaFull),
    ];
    for (status, expected) in table {
        let server = Server::start(move |_| Reply::status(status)).await;
        assert_eq!(kinds(&client(&server)).await, [expected; 12], "HTTP {status}");
        let error = error(client(&server).read_file("/Mesh/x").await);
        assert_eq!((error.status(), error.operation(), error.path()), (Some(status), "read", "/Mesh/x"));
        let sent = server.seen();
        let header = format!("Basic {ENCODED}");
        assert!(sent.iter().all(|request| request.header("authorization") == Some(header.as_str())));
    }
}

#[tokio::test]
async fn a_writing_call_tells_what_a_status_means() {
    // Reading works; what fails is the writing itself.
    for (status, expected) in
        [(401, K::Unauthorized), (413, K::TooLarge), (423, K::Unavailable), (507, K::QuotaFull)]
    {
        let server = Server::start(move |request| match request.method.as_str() {
            "PROPFIND" if request.path == "/dav/" => Reply::multistatus(&folder("/dav/")),
            "PROPFIND" => Reply::status(404),
            _ => Reply::status(status),
        })
        .await;
        let client = client(&server);
        assert_eq!(kind(client.write_file("/x", Body::from("body")).await), expected);
        assert_eq!(kind(client.create_file("/x", Body::from("body")).await), expected);
        assert_eq!(kind(client.ensure_folder("/Mesh").await), expected);
    }
}

#[tokio::test]
async fn waits_are_passed_on() {
    for (value, expected) in [("17", Some(17)), ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)), ("soon", None)] {
        for status in [429, 503] {
            let server = Server::start(move |_| Reply::status(status).header("Retry-After", value)).await;
            let error = error(client(&server).list_files("/").await);
            assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{value}");
            assert!(error.is_retryable());
        }
    }
}

#[tokio::test]
async fn not_found_is_certain_only_while_the_base_exists() {
    let missing = Server::start(|_| Reply::status(404)).await;
    assert_eq!(kinds(&client(&missing)).await, [K::Unavailable; 12]);

    let there = Server::start(|request| match request.path.as_str() {
        "/dav/" => Reply::multistatus(&folder("/dav/")),
        _ => Reply::status(404),
    })
    .await;
    let client = client(&there);
    assert_eq!(kind(client.read_file("/Mesh/x").await), K::NotFound);
    assert_eq!(kind(client.list_files("/Mesh").await), K::NotFound);
    assert!(client.metadata("/Mesh/x").await.unwrap().is_none());
    client.delete_file("/Mesh/x").await.unwrap();
    assert_eq!(kind(client.replace_file("/x", Body::from(""), "\"e\"").await), K::Conflict);

    // The base cannot be asked for: that is what is told.
    let denied = Server::start(|request| match request.method.as_str() {
        "GET" => Reply::status(404),
        _ => Reply::status(401),
    })
    .await;
    assert_eq!(kind(self::client(&denied).read_file("/x").await), K::Unauthorized);
}

#[tokio::test]
async fn a_body_cut_short_is_no_body() {
    let cut = || Reply::Cut { status: 200, announced: 1000, body: vec![b'x'; 400] };
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => cut(),
        _ => {
            Reply::Cut { status: 207, announced: 10_000, body: b"<d:multistatus xmlns:d=\"DAV:\">".to_vec() }
        }
    })
    .await;
    let client = client(&server);
    assert_eq!(kind(client.read_file("/x").await), K::Unavailable);
    assert_eq!(kind(client.read_many(&["/x".to_owned()]).await.remove(0)), K::Unavailable);
    assert_eq!(kind(client.list_files("/").await), K::Unavailable);
    assert_eq!(kind(client.metadata("/x").await), K::Unavailable);
    let pieces: Vec<_> = client.read_stream("/x").await.unwrap().collect().await;
    let bytes: usize = pieces.iter().filter_map(|piece| piece.as_ref().ok()).map(Bytes::len).sum();
    assert_eq!(bytes, 400);
    assert_eq!(kind(pieces.into_iter().next_back().unwrap()), K::Unavailable);

    let closing = Server::start(|_| Reply::Close).await;
    assert_eq!(kinds(&self::client(&closing)).await, [K::Unavailable; 12]);
}

#[tokio::test]
async fn one_broken_answer_is_asked_for_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |_| {
        if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Reply::Cut { status: 200, announced: 3, body: b"a".to_vec() };
        }
        Reply::with(200, "application/octet-stream", "abc")
    })
    .await;
    assert_eq!(client(&server).read_file("/x").await.unwrap(), "abc");

    // A request that may do harm twice is not sent again.
    for (method, sent) in [("PUT", 2), ("DELETE", 2), ("MKCOL", 1)] {
        let first = std::sync::atomic::AtomicBool::new(true);
        let server = Server::start(move |request| match request.method.as_str() {
            "PROPFIND" if method == "MKCOL" => Reply::status(404),
            "PROPFIND" => Reply::multistatus(&file(&request.path)),
            _ if first.swap(false, std::sync::atomic::Ordering::SeqCst) => Reply::Close,
            _ => Reply::status(201),
        })
        .await;
        let client = client(&server);
        let outcome = match method {
            "PUT" => client.write_file("/x", Body::from("body")).await,
            "DELETE" => client.delete_file("/x").await,
            _ => client.ensure_folder("/Mesh").await,
        };
        assert_eq!(outcome.is_ok(), sent == 2, "{method}");
        assert_eq!(server.seen().iter().filter(|request| request.method == method).count(), sent, "{method}");
    }
}

#[tokio::test]
async fn an_upload_cut_short_is_an_error() {
    let server = Server::reading(Reading::Half, |_| Reply::status(201)).await;
    let client = client(&server);
    let large = vec![7; 20_000_000];
    assert_eq!(kind(client.write_file("/x", Body::from(large)).await), K::Unavailable);
    assert_eq!(kind(client.write_file("/x", Body::from(vec![7; 100])).await), K::Unavailable);
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_whole_body_is_heard() {
    for (status, expected) in [(413, K::TooLarge), (507, K::QuotaFull), (401, K::Unauthorized)] {
        let server = Server::reading(Reading::Never, move |_| Reply::status(status)).await;
        let large = Body::from(vec![7; 20_000_000]);
        assert_eq!(kind(client(&server).write_file("/x", large).await), expected);
    }
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    for status in [200, 207] {
        let server =
            Server::start(move |_| Reply::with(status, "text/html; charset=utf-8", "<html>Log in</html>"))
                .await;
        let client = client(&server);
        let kinds = kinds(&client).await;
        assert_eq!(kinds, [K::Protocol; 12], "HTTP {status}");
    }
    // Without its type, it is still no multistatus.
    for body in ["<html>Log in</html>", "<!doctype html><p>", "", "{}", "<d:multistatus xmlns:d='DAV:'>"] {
        for status in [200, 207] {
            let server = Server::start(move |_| Reply::with(status, "application/xml", body)).await;
            let client = client(&server);
            assert_eq!(kind(client.list_files("/Mesh").await), K::Protocol, "{status} {body}");
            assert_eq!(kind(client.metadata("/Mesh").await), K::Protocol, "{status} {body}");
            assert_eq!(kind(client.authenticate().await), K::Protocol, "{status} {body}");
        }
    }
    // A page that the server knows as a file is one.
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => Reply::with(200, "text/html", "<p>"),
        _ => Reply::multistatus(&file(&request.path)),
    })
    .await;
    assert_eq!(client(&server).read_file("/page").await.unwrap(), "<p>");
}

#[tokio::test]
async fn a_listing_of_nothing_or_of_something_else_is_no_listing() {
    let answers = ["", &file("/dav/Other/x"), &folder("/dav/Other/"), &file("/x")].map(str::to_owned);
    for inside in answers {
        let server = Server::start(move |_| Reply::multistatus(&inside)).await;
        assert_eq!(kind(client(&server).list_files("/Mesh").await), K::Protocol);
    }
    let cut_off =
        "<d:response><d:href>/dav/Mesh/</d:href><d:status>HTTP/1.1 507 More</d:status></d:response>";
    let server =
        Server::start(move |_| Reply::multistatus(&(folder("/dav/Mesh/") + &file("/dav/Mesh/a") + cut_off)))
            .await;
    assert_eq!(kind(client(&server).list_files("/Mesh").await), K::Unavailable);
    let gone = "<d:response><d:href>/dav/Mesh/</d:href><d:status>HTTP/1.1 404 Gone</d:status></d:response>";
    let server = Server::start(move |request| match request.path.as_str() {
        "/dav/" => Reply::multistatus(&folder("/dav/")),
        _ => Reply::multistatus(gone),
    })
    .await;
    assert_eq!(kind(client(&server).list_files("/Mesh").await), K::NotFound);
    assert!(client(&server).metadata("/Mesh").await.unwrap().is_none());
}

#[tokio::test]
async fn a_listing_is_read_however_it_names_things() {
    let forms = [
        // The folder itself last, absolute addresses, a deeper entry, other escapes.
        [
            &file("http://elsewhere/dav/My%20Mesh/a%26b"),
            &file("/dav/My%20Mesh/sub/no"),
            &folder("/dav/My%20Mesh"),
        ],
        // Not escaped at all; without the slash.
        [&file("/dav/My Mesh/a&amp;b"), &folder("/dav/My Mesh/"), &file("/dav/My Mesh/.hidden")],
        // Behind a proxy that moves paths.
        [&folder("/inside/My%20Mesh/"), &file("/inside/My%20Mesh/a%26b"), &folder("/inside/My%20Mesh/sub/")],
    ];
    for form in forms.map(|entries| entries.map(String::as_str).concat()) {
        let server = Server::start(move |_| Reply::multistatus(&form)).await;
        let files = client(&server).list_files("/My Mesh").await.unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!((files[0].name.as_str(), files[0].path.as_str()), ("a&b", "/My Mesh/a&b"));
        assert_eq!(files[0].size, Some(3));
        assert_eq!(server.seen()[0].path, "/dav/My%20Mesh/");
    }
}

#[tokio::test]
async fn a_huge_listing_is_read_and_an_endless_one_refused() {
    let huge: String = (0..100_000).map(|number| file(&format!("/dav/Mesh/file-{number}"))).collect();
    let server = Server::start(move |_| Reply::multistatus(&(folder("/dav/Mesh/") + &huge))).await;
    assert_eq!(client(&server).list_files("/Mesh").await.unwrap().len(), 100_000);
    let endless = " ".repeat(65 * 1024 * 1024);
    let server = Server::start(move |_| Reply::multistatus(&endless)).await;
    assert_eq!(kind(client(&server).list_files("/Mesh").await), K::TooLarge);
}

#[tokio::test]
async fn credentials_stay_at_their_origin() {
    let elsewhere = Server::start(|_| Reply::with(200, "application/octet-stream", "bait")).await;
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url.clone();
        let server =
            Server::start(move |_| Reply::status(status).header("Location", format!("{target}/Mesh/x")))
                .await;
        assert_eq!(kinds(&client(&server)).await, [K::Protocol; 12]);
    }
    assert!(elsewhere.seen().is_empty(), "the other server was asked: {:?}", elsewhere.seen());
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_without_changing_the_request() {
    let seen_put = |request: &Request| request.method == "PUT" && request.body == b"body";
    for status in [301, 302, 307, 308] {
        let server = Server::start(move |request| match request.path.strip_prefix("/dav/") {
            Some(rest) => Reply::status(status).header("Location", format!("/new%20dav/{rest}")),
            None if seen_put(request) => Reply::status(201),
            None if request.method == "GET" => Reply::with(200, "application/octet-stream", "abc"),
            None => Reply::multistatus(&(folder("/new%20dav/Mesh/") + &file("/new%20dav/Mesh/x"))),
        })
        .await;
        let client = client(&server);
        assert_eq!(client.read_file("/Mesh/x").await.unwrap(), "abc");
        client.write_file("/Mesh/x", Body::from("body")).await.unwrap();
        assert_eq!(client.list_files("/Mesh").await.unwrap().len(), 1);
        assert!(server.seen().iter().all(|request| request.header("authorization").is_some()));
    }
    // Something else answers there.
    for (status, location) in
        [(302, "/login"), (307, "/login?next=/dav/x"), (303, "/other/x"), (302, "/other/y")]
    {
        let server = Server::start(move |request| match request.path.as_str() {
            "/dav/x" => Reply::status(status).header("Location", location),
            _ => Reply::with(200, "text/plain", "Log in"),
        })
        .await;
        assert_eq!(kind(client(&server).read_file("/x").await), K::Protocol, "{status} {location}");
        assert_eq!(
            kind(client(&server).write_file("/x", Body::from("body")).await),
            K::Protocol,
            "{status} {location}"
        );
    }
    // Or nothing does.
    for location in ["/login?next=/dav/x", "/login", "/dav/x", "http://["] {
        let server = Server::start(move |_| Reply::status(302).header("Location", location)).await;
        assert_eq!(kind(client(&server).read_file("/x").await), K::Protocol, "{location}");
        assert_eq!(
            kind(client(&server).write_file("/x", Body::from("body")).await),
            K::Protocol,
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_and_a_slow_one_is_not() {
    let silent = Server::start(|_| Reply::Silence).await;
    assert_eq!(kind(impatient(&silent).read_file("/x").await), K::Timeout);
    assert_eq!(kind(impatient(&silent).list_files("/").await), K::Timeout);
    assert_eq!(kind(impatient(&silent).write_file("/x", Body::from(vec![7; 3_000_000])).await), K::Timeout);
    let stalling = Server::start(|_| Reply::Stall { status: 200, announced: 100, body: vec![7; 50] }).await;
    assert_eq!(kind(impatient(&stalling).read_file("/x").await), K::Timeout);
    let mut stream = impatient(&stalling).read_stream("/x").await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), vec![7; 50]);
    assert_eq!(kind(stream.next().await.unwrap()), K::Timeout);

    // It takes several times as long as the server may be silent.
    let slow = Server::reading(Reading::Slowly, |request| match request.method.as_str() {
        "PROPFIND" => Reply::multistatus(&folder(&request.path)),
        _ => Reply::status(201),
    })
    .await;
    let client = WebDavMailbox::new(&config(&slow).with_timeout(Duration::from_secs(1))).unwrap();
    client.write_file("/x", Body::from(vec![7; 30_000_000])).await.unwrap();
    let pieces = stream::iter((0..300).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
    client.write_file("/y", Body::Stream { len: 30_000_000, stream: pieces.boxed() }).await.unwrap();
    let uploads = slow.seen().into_iter().filter(|request| request.method == "PUT");
    assert_eq!(uploads.map(|request| request.body.len()).collect::<Vec<_>>(), [30_000_000; 2]);
}

#[tokio::test]
async fn nobody_there_is_offline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dav", listener.local_addr().unwrap());
    drop(listener);
    let config = WebDavConfig::new(&url).unwrap().with_auth(WebDavAuth::basic("user", PASSWORD));
    assert_eq!(kinds(&WebDavMailbox::new(&config).unwrap()).await, [K::Offline; 12]);
    let config = WebDavConfig::new("http://no-such-host.invalid/").unwrap();
    assert_eq!(kind(WebDavMailbox::new(&config).unwrap().read_file("/x").await), K::Offline);
}

#[tokio::test]
async fn a_server_that_allows_no_probing_still_serves() {
    let server = Server::start(|request| match request.method.as_str() {
        "PROPFIND" if request.path == "/dav/" => Reply::multistatus(&folder("/dav/")),
        "PROPFIND" => Reply::status(404),
        "PUT" => Reply::status(201),
        "GET" => Reply::with(200, "application/octet-stream", "abc"),
        _ => Reply::status(403),
    })
    .await;
    let client = client(&server);
    client.authenticate().await.unwrap();
    let plain = Capabilities { streaming: true, ..Capabilities::default() };
    assert_eq!(client.capabilities(), plain);
    client.write_file("/x", Body::from("body")).await.unwrap();
    client.create_file("/x", Body::from("body")).await.unwrap();
    assert_eq!(client.read_file("/x").await.unwrap(), "abc");
    let before = server.seen().len();
    client.authenticate().await.unwrap();
    assert_eq!(server.seen().len(), before + 1, "probed again");
}

#[tokio::test]
async fn promises_are_not_believed() {
    // Everything is fine, nothing is refused, every lock is granted.
    let server = Server::start(|request| match request.method.as_str() {
        "PROPFIND" if request.path == "/dav/" => Reply::multistatus(&folder("/dav/")),
        "PROPFIND" => Reply::multistatus(&file(&request.path)),
        "LOCK" => Reply::with(200, "application/xml", "<x/>").header("Lock-Token", "<urn:x>"),
        _ => Reply::status(201).header("DAV", "1, 2, 3").header("ETag", "\"x\""),
    })
    .await;
    let client = client(&server);
    client.authenticate().await.unwrap();
    let plain = Capabilities { streaming: true, ..Capabilities::default() };
    assert_eq!(client.capabilities(), plain);
    let left = server.seen();
    let last = left.last().unwrap();
    assert!(
        last.method == "DELETE" && last.path.starts_with("/dav/.interocitor-tmp-"),
        "not cleaned up: {last:?}"
    );
}

#[tokio::test]
async fn a_folder_is_never_deleted_as_a_file() {
    let server = Server::start(|request| match request.method.as_str() {
        "PROPFIND" => Reply::multistatus(&folder(&request.path)),
        _ => Reply::status(204),
    })
    .await;
    assert_eq!(kind(client(&server).delete_file("/Mesh").await), K::InvalidPath);
    assert!(server.seen().iter().all(|request| request.method != "DELETE"));
}

#[tokio::test]
async fn shows_no_secret() {
    let server = Server::start(|_| Reply::status(500)).await;
    let shown = format!("{:?} {:?}", client(&server), config(&server));
    assert!(!shown.contains(PASSWORD) && !shown.contains(ENCODED), "{shown}");
    let url = server.url.replace("http://", &format!("http://user:{PASSWORD}@"));
    let client = WebDavMailbox::new(&WebDavConfig::new(&url).unwrap()).unwrap();
    assert!(!format!("{client:?}").contains(PASSWORD));
    error(client.read_file("/x").await);
    // Some services put the secret into the address.
    let closed = format!("http://127.0.0.1:1/{PASSWORD}/");
    error(WebDavMailbox::new(&WebDavConfig::new(&closed).unwrap()).unwrap().read_file("/x").await);
    assert_eq!(server.seen()[0].header("authorization"), Some(format!("Basic {ENCODED}").as_str()));
}

/// Gives `fresh-1`, `fresh-2`, … and then nothing any more.
#[derive(Debug, Default)]
struct Tokens {
    given: std::sync::Mutex<u32>,
    ends: bool,
}

#[async_trait::async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        let mut given = self.given.lock().unwrap();
        assert_eq!(rejected.map(str::to_owned), (*given > 0).then(|| format!("fresh-{given}")));
        if self.ends && *given == 1 {
            return Err(MailboxError::new(K::Unauthorized, "token", "/", "sign in again"));
        }
        *given += 1;
        Ok(Zeroizing::new(format!("fresh-{given}")))
    }
}

#[tokio::test]
async fn tokens_are_asked_for_once_and_again_when_one_is_refused() {
    let old = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let expired = std::sync::Arc::clone(&old);
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Bearer fresh-1") if !expired.load(std::sync::atomic::Ordering::SeqCst) => {
            Reply::with(200, "application/octet-stream", "abc")
        }
        Some("Bearer fresh-2") => Reply::with(200, "application/octet-stream", "def"),
        _ => Reply::status(401),
    })
    .await;
    let with = |tokens: std::sync::Arc<Tokens>| {
        WebDavMailbox::new(&config(&server).with_auth(WebDavAuth::Provider(tokens))).unwrap()
    };
    let tokens = std::sync::Arc::new(Tokens::default());
    let mailbox = with(std::sync::Arc::clone(&tokens));
    assert_eq!(mailbox.read_file("/x").await.unwrap(), "abc");
    assert_eq!(mailbox.read_file("/x").await.unwrap(), "abc");
    assert_eq!(*tokens.given.lock().unwrap(), 1);
    old.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(mailbox.read_file("/x").await.unwrap(), "def");
    assert_eq!(*tokens.given.lock().unwrap(), 2);

    // Where signing in has to be done by hand, the provider's word counts.
    let ending = with(std::sync::Arc::new(Tokens { ends: true, ..Tokens::default() }));
    assert_eq!(kind(ending.read_file("/x").await), K::Unauthorized);
}
