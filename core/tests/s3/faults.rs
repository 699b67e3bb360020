//! Every fault becomes the right error, and no error tells a secret.

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use interocitor_core::mailbox::{
    Body, MailboxError, MailboxErrorKind as K, MailboxResult, S3Config, S3Mailbox, StorageAdapter,
};

use super::model::{address, refusal};
use super::server::{Reading, Reply, Server};

pub(super) fn client(server: &Server) -> S3Mailbox {
    S3Mailbox::new(&S3Config::new(&address(server)).unwrap()).unwrap()
}

fn impatient(server: &Server) -> S3Mailbox {
    let config = S3Config::new(&address(server)).unwrap();
    S3Mailbox::new(&config.with_timeout(Duration::from_millis(300))).unwrap()
}

/// The error of a call, looked through for secrets.
#[track_caller]
fn error<T>(outcome: MailboxResult<T>) -> MailboxError {
    let Err(error) = outcome else { panic!("succeeded") };
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        shown.extend([inner.to_string(), format!("{inner:?}")]);
        source = inner.source();
    }
    for secret in ["s3cret", "Signature=", "access/"] {
        assert!(!shown.contains(secret), "a secret in {shown}");
    }
    error
}

#[track_caller]
fn kind<T>(outcome: MailboxResult<T>) -> K {
    error(outcome).kind()
}

/// The outcome of every method, without the values.
async fn kinds(client: &S3Mailbox) -> Vec<K> {
    let path = "/Mesh/x";
    let streamed = client.read_stream(path).await.map(drop);
    vec![
        kind(client.authenticate().await),
        kind(client.ensure_folder("/Mesh").await),
        kind(client.list_files("/Mesh").await),
        kind(client.list_tree("/Mesh").await),
        kind(client.list_folders("/Mesh").await),
        kind(client.read_file(path).await),
        kind(streamed),
        kind(client.read_many(&[path.to_owned()]).await.remove(0)),
        kind(client.write_file(path, Body::from("body")).await),
        kind(client.create_file(path, Body::from("body")).await),
        kind(client.replace_file(path, Body::from("body"), "etag").await),
        kind(client.delete_file(path).await),
        kind(client.metadata(path).await),
    ]
}

#[tokio::test]
async fn every_call_tells_what_a_refusal_means() {
    let table = [
        (400, "", K::Protocol),
        (400, "ExpiredToken", K::Unauthorized),
        (403, "InvalidAccessKeyId", K::Unauthorized),
        (403, "SignatureDoesNotMatch", K::Unauthorized),
        (403, "AccessDenied", K::Forbidden),
        (403, "", K::Forbidden),
        // Never "not found": nobody founds a mesh over a bucket that is away.
        (404, "NoSuchBucket", K::Unavailable),
        (404, "", K::Unavailable),
        (409, "OperationAborted", K::Unavailable),
        (400, "EntityTooLarge", K::TooLarge),
        (301, "PermanentRedirect", K::Protocol),
        (429, "", K::RateLimited),
        (503, "SlowDown", K::RateLimited),
        (503, "", K::Unavailable),
        (500, "InternalError", K::Unavailable),
        (507, "", K::QuotaFull),
        (400, "QuotaExceeded", K::QuotaFull),
    ];
    for (status, code, expected) in table {
        let server = Server::start(move |_| refusal(status, code)).await;
        let seen = kinds(&client(&server)).await;
        assert_eq!(seen, vec![expected; seen.len()], "HTTP {status} {code}");
        let error = error(client(&server).read_file("/Mesh/x").await);
        assert_eq!((error.status(), error.operation(), error.path()), (Some(status), "read", "/Mesh/x"));
    }
}

#[tokio::test]
async fn waits_are_passed_on() {
    for (status, code) in [(429, ""), (503, "SlowDown"), (503, "")] {
        let server = Server::start(move |_| refusal(status, code).header("Retry-After", "17")).await;
        let error = error(client(&server).list_files("/").await);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
        assert!(error.is_retryable());
    }
}

/// Temporary keys come with a token, which is signed too, and shown nowhere.
#[tokio::test]
async fn session_tokens_are_sent() {
    let server = Server::start(|request| {
        let token = request.header("x-amz-security-token") == Some("t0k/s3cret");
        let is_signed =
            request.header("authorization").is_some_and(|text| text.contains("x-amz-security-token"));
        if token && is_signed { refusal(403, "ExpiredToken") } else { refusal(400, "") }
    })
    .await;
    let address = address(&server) + "&session_token=t0k%2Fs3cret";
    let client = S3Mailbox::new(&S3Config::new(&address).unwrap()).unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
    assert_eq!(kind(client.list_files("/").await), K::Unauthorized);
}

/// opendal signs by the clock of the device and by no other.
#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    for (date, expected) in
        [("Sun, 01 Jan 2040 00:00:00 GMT", "behind"), ("Mon, 01 Jan 2001 00:00:00 GMT", "ahead of")]
    {
        let server = Server::start(move |_| refusal(403, "RequestTimeTooSkewed").header("Date", date)).await;
        let error = error(client(&server).list_files("/").await);
        assert_eq!(error.kind(), K::Unauthorized);
        let text = error.to_string();
        assert!(text.contains("clock of this device is wrong") && text.contains(expected), "{text}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_is_cut_off_is_never_taken_for_a_body() {
    let cut = Server::start(|_| Reply::Cut { status: 200, announced: 1000, body: vec![b'x'; 400] }).await;
    assert_eq!(kind(client(&cut).read_file("/x").await), K::Unavailable);
    let mut stream = client(&cut).read_stream("/x").await.unwrap();
    let mut last = None;
    while let Some(piece) = stream.next().await {
        last = Some(piece);
    }
    assert_eq!(kind(last.unwrap()), K::Unavailable);

    let stall = Server::start(|_| Reply::Stall { status: 200, announced: 1000, body: vec![b'x'; 400] }).await;
    assert_eq!(kind(impatient(&stall).read_file("/x").await), K::Timeout);
    let silent = Server::start(|_| Reply::Silence).await;
    assert!(kinds(&impatient(&silent)).await.iter().all(|kind| *kind == K::Timeout));
    let closing = Server::start(|_| Reply::Close).await;
    assert!(kinds(&client(&closing)).await.iter().all(|kind| *kind == K::Unavailable));
    let half = Server::reading(Reading::Half, |_| refusal(404, "NoSuchKey")).await;
    let outcome = client(&half).write_file("/x", Body::from(vec![1; 1_000_000])).await;
    assert_eq!(kind(outcome), K::Unavailable);
}

/// A service says "OK" first and puts the parts together afterwards.
#[tokio::test]
async fn an_upload_that_fails_late_is_no_success() {
    let ends = [
        ("<Error><Code>InternalError</Code></Error>", K::Unavailable),
        ("<Error><Code>SlowDown</Code></Error>", K::RateLimited),
        ("<Error><Code>PreconditionFailed</Code></Error>", K::AlreadyExists),
        ("<CompleteMultipartUploadResult><ETag>", K::Unavailable),
        ("<html>Welcome</html>", K::Unavailable),
        ("", K::Unavailable),
    ];
    for (end, expected) in ends {
        let server =
            Server::start(move |request| match (request.method.as_str(), request.path.contains("uploads")) {
                ("HEAD", _) => Reply::status(404),
                ("GET", _) => Reply::with(200, "application/xml", "<ListBucketResult/>"),
                ("POST", true) => Reply::with(
                    200,
                    "application/xml",
                    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                ),
                ("POST", false) => Reply::with(200, "application/xml", end),
                ("PUT", _) => Reply::status(200).header("ETag", "\"part\""),
                _ => Reply::status(204),
            })
            .await;
        let outcome = client(&server).create_file("/x", Body::from(vec![1; 9_000_000])).await;
        assert_eq!(kind(outcome), expected, "{end}");
        let last = server.seen().pop().unwrap();
        assert_eq!((last.method.as_str(), last.path.ends_with("uploadId=u")), ("DELETE", true), "{end}");
    }
}

#[tokio::test]
async fn what_is_no_listing_is_refused() {
    let bodies = [
        "",
        "OK",
        "<Error/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents>",
    ];
    for body in bodies {
        let server = Server::start(move |_| Reply::with(200, "application/xml", body)).await;
        let client = client(&server);
        assert_eq!(kind(client.list_files("/").await), K::Protocol, "{body}");
        assert_eq!(kind(client.list_tree("/").await), K::Protocol, "{body}");
    }
}

#[tokio::test]
async fn a_listing_that_never_ends_is_given_up() {
    let server = Server::start(|_| {
        Reply::with(
            200,
            "application/xml",
            "<ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>again</NextContinuationToken></ListBucketResult>",
        )
    })
    .await;
    assert_eq!(kind(client(&server).list_files("/").await), K::Protocol);
    assert!(client(&server).list_tree("/").await.unwrap().is_none());
}

/// What stands in a listing beside each key.
const FACTS: &str = "<Size>1</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified>";

/// Keys of other tools, and of somebody who means ill.
#[tokio::test]
async fn odd_keys_are_left_out() {
    let keys = ["a", "..", "../b", "/c", "d//e", "f/", ".g", "h/./i", "j/../../k", "l/m"];
    let entries = keys.map(|key| format!("<Contents><Key>in/side/{key}</Key>{FACTS}</Contents>")).concat();
    let other = format!("<Contents><Key>elsewhere/n</Key>{FACTS}</Contents>");
    let end = "<IsTruncated>false</IsTruncated>";
    let body = format!("<ListBucketResult>{entries}{other}{end}</ListBucketResult>");
    let server = Server::start(move |_| Reply::with(200, "application/xml", body.clone())).await;
    let paths = |files: Vec<interocitor_core::mailbox::FileEntry>| -> Vec<String> {
        files.into_iter().map(|file| file.path).collect()
    };
    assert_eq!(paths(client(&server).list_files("/").await.unwrap()), ["/a"]);
    assert_eq!(paths(client(&server).list_tree("/").await.unwrap().unwrap()), ["/a", "/l/m"]);
}

/// opendal has no room for them, and says so by a panic.
#[tokio::test]
async fn what_is_too_long_does_no_harm() {
    let long = "k".repeat(100_000);
    let body = format!("<ListBucketResult><Contents><Key>{long}</Key>{FACTS}</Contents></ListBucketResult>");
    let header = "e".repeat(70_000);
    let server = Server::start(move |request| {
        let body = if request.method == "GET" { body.clone() } else { String::new() };
        Reply::with(200, "application/xml", body).header("ETag", header.clone())
    })
    .await;
    let client = client(&server);
    assert_eq!(kind(client.list_tree("/").await), K::Protocol);
    assert_eq!(client.metadata("/x").await.unwrap().unwrap().etag, None);
}

#[test]
fn keys_are_needed() {
    let config = S3Config::new("s3://mailbox?endpoint=http://127.0.0.1:1").unwrap();
    assert_eq!(kind(S3Mailbox::new(&config)), K::Unauthorized);
}
