//! Quotas, tokens, uploads that break off, and a server that means ill.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, GoogleDriveConfig, GoogleDriveMailbox, MailboxError, MailboxErrorKind as K, MailboxResult,
    StorageAdapter, TokenProvider,
};
use serde_json::json;
use zeroize::Zeroizing;

use super::scripted::{Reply, Server};
use super::server::{Drive, Tokens, ask};
use super::{error, kind};

/// A body of which no two parts are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

fn pieces(body: &[u8]) -> Body {
    let pieces: Vec<_> = body.chunks(100_003).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Body::Stream { len: body.len() as u64, stream: stream::iter(pieces).boxed() }
}

#[tokio::test]
async fn what_drive_is_too_busy_for_is_done_after_the_wait() {
    let drive = Drive::start();
    let client = drive.client();
    client.write_file("/Mesh/x", Body::from("before")).await.unwrap();
    for (status, reason) in
        [(403, "userRateLimitExceeded"), (403, "rateLimitExceeded"), (429, "rateLimitExceeded")]
    {
        drive.fail(2, "", status, reason, Some("0"));
        client.write_file("/Mesh/x", Body::from("after")).await.unwrap();
        drive.fail(2, "^POST", status, reason, Some("0"));
        client.write_file(&format!("/Mesh/{status}{reason}"), Body::from("new")).await.unwrap();
        drive.fail(3, "^GET", status, reason, Some("0"));
        let names = drive.client().list_files("/Mesh").await.unwrap();
        assert!(names.iter().any(|file| file.name == format!("{status}{reason}")));
    }
    // Without a wait that Drive asks for, the pauses are ours.
    let start = Instant::now();
    drive.fail(1, "alt=media", 403, "userRateLimitExceeded", None);
    client.read_file("/Mesh/x").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(500));
    // So long nobody waits: the engine does other things meanwhile.
    drive.fail(1, "", 429, "rateLimitExceeded", Some("120"));
    let limited = error(client.read_file("/Mesh/x").await);
    assert_eq!((limited.kind(), limited.retry_after()), (K::RateLimited, Some(Duration::from_mins(2))));
    assert!(limited.is_retryable());
    // A drive that stays busy ends every call.
    let hasty = GoogleDriveMailbox::new(&drive.config().with_retries(2)).unwrap();
    drive.fail(3, "", 403, "userRateLimitExceeded", Some("0"));
    assert_eq!(kind(hasty.list_files("/Mesh").await), K::RateLimited);
    hasty.list_files("/Mesh").await.unwrap();
}

#[tokio::test]
async fn one_refusal_makes_all_calls_wait() {
    let drive = Drive::start();
    let client = drive.client();
    for number in 0..6 {
        client.write_file(&format!("/Mesh/{number}"), Body::from("x")).await.unwrap();
    }
    client.list_files("/Mesh").await.unwrap();
    drive.fail(1, "alt=media", 403, "userRateLimitExceeded", Some("1"));
    let paths: Vec<_> = (0..6).map(|number| format!("/Mesh/{number}")).collect();
    let start = Instant::now();
    for outcome in client.read_many(&paths).await {
        outcome.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_secs(1));
    // Who reads on all the time meanwhile reads a few times before and after the wait, and not once in it.
    drive.fail(1, "alt=media", 403, "userRateLimitExceeded", Some("2"));
    let refused = tokio::spawn({
        let client = client.clone();
        async move { client.read_file("/Mesh/0").await }
    });
    while !drive.log().iter().any(|line| line.contains("alt=media")) {
        tokio::task::yield_now().await;
    }
    let mut others = 0;
    while !refused.is_finished() {
        client.read_file("/Mesh/1").await.unwrap();
        others += 1;
    }
    refused.await.unwrap().unwrap();
    assert!(others < 20, "{others} calls did not wait");
}

#[tokio::test]
async fn a_refusal_says_what_to_do_about_it() {
    let drive = Drive::start();
    let client = GoogleDriveMailbox::new(&drive.config().with_retries(0)).unwrap();
    client.write_file("/Mesh/x", Body::from("x")).await.unwrap();
    for (status, reason, expected, words) in [
        (403, "storageQuotaExceeded", K::QuotaFull, "free some space"),
        (403, "numChildrenInNonRootLimitExceeded", K::QuotaFull, "no more files"),
        (403, "insufficientPermissions", K::Forbidden, "drive.file"),
        (403, "accessNotConfigured", K::Forbidden, "not enabled"),
        (403, "appNotAuthorizedToFile", K::Forbidden, "one Google project"),
        (403, "", K::Forbidden, "does not allow"),
        (403, "dailyLimitExceeded", K::RateLimited, "today"),
        (429, "", K::RateLimited, "too many"),
        (400, "badRequest", K::Protocol, "unexpected"),
        (500, "backendError", K::Unavailable, "now"),
        (503, "", K::Unavailable, "now"),
    ] {
        drive.fail(1, "^PATCH", status, reason, None);
        let refused = error(client.write_file("/Mesh/x", Body::from("y")).await);
        assert_eq!((refused.kind(), refused.status()), (expected, Some(status)), "{reason}: {refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!((refused.operation(), refused.path()), ("write", "/Mesh/x"));
    }
    assert_eq!(client.read_file("/Mesh/x").await.unwrap(), "x");
}

#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    let drive = Drive::start();
    let client = drive.client();
    client.write_file("/Mesh/x", Body::from("x")).await.unwrap();
    drive.fail(2, "^(GET|PATCH)", 503, "backendError", Some("0"));
    client.write_file("/Mesh/x", Body::from("y")).await.unwrap();
    drive.log();
    drive.fail(1, "^POST", 503, "backendError", Some("0"));
    assert_eq!(kind(client.write_file("/Mesh/new", Body::from("n")).await), K::Unavailable);
    assert_eq!(drive.log().iter().filter(|line| line.starts_with("POST")).count(), 1);
    client.write_file("/Mesh/new", Body::from("n")).await.unwrap();
    assert_eq!(drive.named("new").len(), 1);
    // Folders are created no differently.
    drive.fail(1, "^POST", 503, "backendError", Some("0"));
    assert_eq!(kind(client.write_file("/Other/x", Body::from("x")).await), K::Unavailable);
    assert_eq!(drive.named("Other").len(), 0);
}

#[tokio::test]
async fn what_was_carried_out_without_an_answer_is_not_doubled() {
    let drive = Drive::start();
    let client = drive.client();
    client.write_file("/Mesh/x", Body::from("x")).await.unwrap();
    drive.lose("^PATCH");
    client.write_file("/Mesh/x", Body::from("y")).await.unwrap();
    assert_eq!(client.read_file("/Mesh/x").await.unwrap(), "y");
    // A file that is created, and a folder: the caller hears of it, and its next try finds them.
    for (path, name, matching) in
        [("/Mesh/new", "new", "^POST /upload/"), ("/Other/y", "Other", "^POST /drive/v3/files")]
    {
        drive.lose(matching);
        assert_eq!(kind(client.write_file(path, Body::from("first")).await), K::Unavailable, "{path}");
        assert_eq!(drive.named(name).len(), 1, "{path}");
        client.write_file(path, Body::from("second")).await.unwrap();
        assert_eq!(drive.named(name).len(), 1, "{path}");
        assert_eq!(drive.client().read_file(path).await.unwrap(), "second");
    }
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_is_renewed() {
    let drive = Drive::start();
    let tokens = Arc::new(Tokens::new(&drive));
    let config = GoogleDriveConfig::new(tokens.clone()).unwrap().with_endpoint(&drive.url).unwrap();
    let client = GoogleDriveMailbox::new(&config).unwrap();
    let body = noise(20_000_000);
    client.write_file("/Mesh/x", Body::from("x")).await.unwrap();
    drive.tell("expire", &json!({}));
    // In the middle of an upload: the parts that went are not sent again.
    let half = stream::iter(
        body.chunks(1_000_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>(),
    );
    let url = drive.url.clone();
    let mut count = 0;
    let expiring = half.inspect(move |_| {
        count += 1;
        if count == 12 {
            ask(&url, "POST", "expire", &json!({}));
        }
    });
    client
        .write_file("/Mesh/large", Body::Stream { len: 20_000_000, stream: expiring.boxed() })
        .await
        .unwrap();
    assert_eq!(tokens.refused(), ["token-1", "token-2"]);
    assert!(drive.client().read_file("/Mesh/large").await.unwrap() == body);
    let puts = drive.log().iter().filter(|line| line.starts_with("PUT")).count();
    assert_eq!(puts, 4, "three parts, one of them twice");

    // One fixed token cannot be renewed, and shows nowhere.
    let fixed = GoogleDriveConfig::with_token("token-s3cret").unwrap().with_endpoint(&drive.url).unwrap();
    let fixed = GoogleDriveMailbox::new(&fixed).unwrap();
    let refused = error(fixed.authenticate().await);
    assert_eq!((refused.kind(), refused.is_retryable()), (K::Unauthorized, false));
    assert!(!format!("{refused} {refused:?} {fixed:?}").contains("s3cret"));
}

#[derive(Debug)]
enum Bad {
    Fails,
    Hangs,
    HangsLater,
    Repeats,
}

#[async_trait]
impl TokenProvider for Bad {
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        match self {
            Bad::Fails => Err(MailboxError::new(K::Unauthorized, "token", "/", "sign in again")),
            Bad::HangsLater if rejected.is_none() => Ok(Zeroizing::new("stale".into())),
            Bad::Hangs | Bad::HangsLater => std::future::pending().await,
            Bad::Repeats => Ok(Zeroizing::new("stale".into())),
        }
    }
}

#[tokio::test]
async fn a_token_provider_that_fails_or_hangs_ends_the_call() {
    let drive = Drive::start();
    for (provider, expected) in [
        (Bad::Fails, K::Unauthorized),
        (Bad::Hangs, K::Timeout),
        (Bad::HangsLater, K::Timeout),
        (Bad::Repeats, K::Unauthorized),
    ] {
        let what = format!("{provider:?}");
        let config = GoogleDriveConfig::new(Arc::new(provider)).unwrap();
        let config = config.with_endpoint(&drive.url).unwrap().with_timeout(Duration::from_millis(300));
        let client = GoogleDriveMailbox::new(&config).unwrap();
        let start = Instant::now();
        // Several at once: nobody waits for somebody else's turn for ever.
        let calls = (0..3).map(|_| client.read_file("/Mesh/x"));
        for outcome in futures_util::future::join_all(calls).await {
            assert_eq!(kind(outcome), expected, "{what}");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
    }
}

#[tokio::test]
async fn a_large_body_goes_on_where_it_broke_off() {
    let drive = Drive::start();
    let client = drive.client();
    let body = noise(20_000_001);
    // In the middle of the first part, before anything of the second, in the middle of the last.
    for cuts in [vec![3_000_000], vec![8_388_608, 100], vec![0, 5_000_000, 1_000_000]] {
        for bytes in cuts {
            drive.tell("cut", &json!({"bytes": bytes}));
        }
        client.write_file("/Mesh/x", pieces(&body)).await.unwrap();
        assert!(drive.client().read_file("/Mesh/x").await.unwrap() == body);
        client.create_file("/Mesh/y", Body::from(body.clone())).await.unwrap();
        let again = client.create_file("/Mesh/y", pieces(&body)).await;
        assert_eq!(kind(again), K::AlreadyExists);
        client.delete_file("/Mesh/y").await.unwrap();
    }
    assert_eq!((drive.named("x").len(), drive.tell("sessions", &json!({}))), (1, json!(0)));
    // A busy server in the middle; a session that nobody knows any more.
    drive.fail(2, "^PUT", 503, "backendError", Some("0"));
    drive.fail(1, "^PUT", 403, "userRateLimitExceeded", Some("0"));
    client.write_file("/Mesh/x", pieces(&body)).await.unwrap();
    drive.fail(1, "^PUT", 404, "notFound", None);
    let lost = error(client.write_file("/Mesh/x", pieces(&body)).await);
    assert_eq!(lost.kind(), K::Unavailable);
    assert!(lost.to_string().contains("started again"), "{lost}");
    assert!(drive.client().read_file("/Mesh/x").await.unwrap() == body);
}

#[tokio::test]
async fn a_body_that_gets_on_is_sent_however_often_it_breaks_off() {
    let drive = Drive::start();
    let client = GoogleDriveMailbox::new(&drive.config().with_retries(2)).unwrap();
    let body = noise(6_000_000);
    for _ in 0..4 {
        drive.tell("cut", &json!({"bytes": 1_000_000}));
    }
    client.write_file("/Mesh/x", pieces(&body)).await.unwrap();
    assert!(drive.client().read_file("/Mesh/x").await.unwrap() == body);
}

#[tokio::test]
async fn nobody_believes_that_more_arrived_than_was_sent() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => listing(&mesh(), None),
        "PUT" => Reply::status(308).header("Range", "bytes=0-7000000"),
        "POST" => {
            let host = request.header("host").unwrap();
            Reply::status(200).header("Location", format!("http://{host}/upload?upload_id=x"))
        }
        _ => Reply::status(204),
    })
    .await;
    assert_eq!(kind(scripted(&server).write_file("/Mesh/x", pieces(&noise(6_000_000))).await), K::Protocol);
    assert_eq!(server.seen().iter().filter(|request| request.method == "PUT").count(), 1);
}

#[tokio::test]
async fn of_a_large_body_that_breaks_off_nothing_stays() {
    let drive = Drive::start();
    let client = drive.client();
    client.write_file("/Mesh/old", Body::from("old")).await.unwrap();
    let body = noise(20_000_000);
    let half = || {
        stream::iter(
            body[..16_777_216]
                .chunks(1 << 20)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect::<Vec<_>>(),
        )
    };
    let broken = || MailboxError::new(K::Forbidden, "spool", "/spool", "the source broke");
    for path in ["/Mesh/old", "/Mesh/new"] {
        let short = Body::Stream { len: 20_000_000, stream: half().boxed() };
        assert_eq!(kind(client.write_file(path, short).await), K::Io);
        let long = Body::Stream { len: 16_777_215, stream: half().boxed() };
        assert_eq!(kind(client.write_file(path, long).await), K::Io);
        // Too long by what comes after its announced end.
        let long = Body::Stream { len: 16_777_216, stream: half().chain(half()).boxed() };
        assert_eq!(kind(client.write_file(path, long).await), K::Io);
        let failing = half().chain(stream::iter([Err(broken())]));
        let failing = Body::Stream { len: 20_000_000, stream: failing.boxed() };
        assert_eq!(kind(client.write_file(path, failing).await), K::Forbidden);
    }
    assert_eq!(client.read_file("/Mesh/old").await.unwrap(), "old");
    assert_eq!((drive.named("new").len(), drive.tell("sessions", &json!({}))), (0, json!(0)));
}

#[tokio::test]
async fn a_listing_of_thousands_comes_in_pages() {
    let drive = Drive::start();
    drive.client().ensure_folder("/Mesh/changes").await.unwrap();
    let folder = drive.id("changes");
    for number in 0..2300 {
        drive.add(&folder, &format!("{number:05}-chg_x.json"), "{}");
    }
    let client = drive.client();
    drive.log();
    assert_eq!(client.list_files("/Mesh/changes").await.unwrap().len(), 2300);
    assert_eq!(drive.log().len(), 2 + 23);
    // Too large to be listed at once: that is found out once.
    assert!(client.list_tree("/Mesh").await.unwrap().is_none());
    drive.log();
    assert!(client.list_tree("/Mesh").await.unwrap().is_none());
    assert_eq!(drive.log().len(), 0);
    let paths: Vec<_> = (0..40).map(|number| format!("/Mesh/changes/{number:05}-chg_x.json")).collect();
    for body in client.read_many(&paths).await {
        assert_eq!(body.unwrap(), "{}");
    }
    assert_eq!(drive.log().len(), 40, "listed files are read without asking for their ids");
}

fn listing(files: &serde_json::Value, next: Option<&str>) -> Reply {
    let mut page = json!({"files": files});
    if let Some(next) = next {
        page["nextPageToken"] = next.into();
    }
    Reply::with(200, "application/json", page.to_string())
}

fn scripted(server: &Server) -> GoogleDriveMailbox {
    let endpoint = server.url.strip_suffix("/dav").unwrap();
    let config = GoogleDriveConfig::with_token("token-s3cret").unwrap().with_endpoint(endpoint).unwrap();
    GoogleDriveMailbox::new(&config.with_retries(0).with_timeout(Duration::from_secs(5))).unwrap()
}

fn mesh() -> serde_json::Value {
    json!([{"id": "mesh", "name": "Mesh", "mimeType": super::server::FOLDER}])
}

#[tokio::test]
async fn what_has_no_place_in_a_folder_is_left_out() {
    let server = Server::start(|request| {
        if request.path.contains("name") && request.path.contains("Mesh") {
            return listing(&mesh(), None);
        }
        let doc = "application/vnd.google-apps.document";
        listing(
            &json!([
                {"id": "1", "name": ".."}, {"id": "2", "name": "."}, {"id": "3", "name": ""},
                {"id": "4", "name": "../../etc"}, {"id": "5", "name": "a/b"}, {"id": "6", "name": "a\u{0}b"},
                {"id": "../about", "name": "id"}, {"id": "x' or name != '", "name": "id"}, {"name": "none"},
                {"id": "7", "name": "doc", "mimeType": doc}, {"id": "8", "name": ".hidden"},
                {"id": "9", "name": "trashed", "trashed": true},
                {"id": "10", "name": "good", "size": "3", "parents": ["mesh"]},
                {"id": "10", "name": "good", "size": "3", "parents": ["mesh"]},
                {"id": "11", "name": "strange", "size": "-1", "modifiedTime": "soon", "parents": ["mesh"]},
                {"id": "mesh", "name": "circle", "mimeType": super::server::FOLDER, "parents": ["mesh"]},
            ]),
            None,
        )
    })
    .await;
    let client = scripted(&server);
    let mut files = client.list_files("/Mesh").await.unwrap();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let seen: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.path.as_str(), file.size)).collect();
    assert_eq!(seen, [("good", "/Mesh/good", Some(3)), ("strange", "/Mesh/strange", None)]);
    // A folder in itself is listed once, and left.
    assert_eq!(client.list_tree("/Mesh").await.unwrap().unwrap().len(), 2);
    assert_eq!(client.list_folders("/Mesh").await.unwrap(), ["circle"]);
}

#[tokio::test]
async fn a_listing_that_is_none_is_an_error_and_never_an_empty_mailbox() {
    type Answer = fn() -> Reply;
    let bad: [(Answer, K); 10] = [
        (|| listing(&mesh(), Some("again")), K::Protocol),
        (|| Reply::with(200, "application/json", "[]"), K::Protocol),
        (|| Reply::with(200, "application/json", "[[]]"), K::Protocol),
        (|| Reply::with(200, "application/json", "{}"), K::Protocol),
        (|| Reply::with(200, "application/json", r#"{"files": 1}"#), K::Protocol),
        (|| Reply::with(200, "application/json", ""), K::Protocol),
        (|| Reply::with(200, "text/html", "<html>log in</html>"), K::Protocol),
        (
            || Reply::with(200, "application/json", r#"{"files": [], "incompleteSearch": true}"#),
            K::Unavailable,
        ),
        (|| Reply::status(302).header("Location", "http://127.0.0.1:1/"), K::Protocol),
        (
            || {
                Reply::with(
                    403,
                    "application/json",
                    r#"{"error":{"errors":[{"reason":"userRateLimitExceeded"}]}}"#,
                )
            },
            K::RateLimited,
        ),
    ];
    for (number, (answer, expected)) in bad.into_iter().enumerate() {
        let server = Server::start(move |_| answer()).await;
        let client = scripted(&server);
        assert_eq!(kind(client.read_file("/Mesh/manifest.json").await), expected, "{number}");
        assert_eq!(kind(client.metadata("/Mesh/manifest.json").await), expected, "{number}");
        assert_eq!(kind(client.list_files("/Mesh").await), expected, "{number}");
        assert_eq!(kind(client.list_tree("/Mesh").await), expected, "{number}");
        assert_eq!(kind(client.write_file("/Mesh/x", Body::from("x")).await), expected, "{number}");
        assert!(server.seen().len() < 100, "{number}");
    }
}

#[tokio::test]
async fn a_listing_that_always_goes_on_is_left() {
    let pages = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.path.contains("name") && request.path.contains("Mesh") {
            return listing(&mesh(), None);
        }
        let page = pages.fetch_add(1, Ordering::Relaxed);
        // It ends some time, so that the test does.
        listing(&json!([]), (page < 11_000).then(|| format!("page-{page}")).as_deref())
    })
    .await;
    assert_eq!(kind(scripted(&server).list_files("/Mesh").await), K::Protocol);
}

#[tokio::test]
async fn no_other_server_gets_to_see_the_token() {
    let other = Server::start(|_| Reply::status(200)).await;
    let place = format!("{}/upload", other.url);
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => listing(&json!([{"id": "x", "name": "Mesh", "mimeType": super::server::FOLDER}]), None),
        _ => Reply::status(200).header("Location", place.clone()),
    })
    .await;
    let client = scripted(&server);
    assert_eq!(kind(client.write_file("/Mesh/large", pieces(&noise(6_000_000))).await), K::Protocol);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_mailbox_in_a_folder_that_is_gone_is_away_and_not_empty() {
    let drive = Drive::start();
    let folder = drive.add_folder("root", "Shared");
    let client = |id: &str| GoogleDriveMailbox::new(&drive.config().with_folder(id).unwrap()).unwrap();
    let there = client(&folder);
    there.authenticate().await.unwrap();
    there.write_file("/Mesh/x", Body::from("x")).await.unwrap();
    assert_eq!(drive.named("Mesh")[0]["parents"], json!([folder]));
    let gone = client("nobody");
    assert_eq!(kind(gone.authenticate().await), K::Unavailable);
    assert_eq!(kind(gone.read_file("/Mesh/x").await), K::Unavailable);
    assert_eq!(kind(gone.list_files("/Mesh").await), K::Unavailable);
    assert_eq!(kind(gone.write_file("/Mesh/x", Body::from("x")).await), K::Unavailable);
    drive.tell("set", &json!({"id": folder, "trashed": true}));
    assert_eq!(kind(client(&folder).authenticate().await), K::Unavailable);
}
