//! A Worker that refuses, lies or means ill.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, CloudflareConfig, CloudflareMailbox, MailboxErrorKind as K, StorageAdapter,
};
use serde_json::json;

use super::scripted::{Reply, Server};
use super::{TOKEN, error, kind};

fn client(server: &Server) -> CloudflareMailbox {
    let url = server.url.replace("/dav", "/io/uuid.tag");
    let config = CloudflareConfig::new(&url).unwrap().with_token(TOKEN);
    CloudflareMailbox::new(&config.with_timeout(Duration::from_millis(500))).unwrap()
}

fn report(status: u16, body: &serde_json::Value) -> Reply {
    Reply::with(status, "application/json; charset=utf-8", body.to_string())
}

#[tokio::test]
async fn every_refusal_says_what_it_means() {
    for (status, wanted) in [
        (401, K::Unauthorized),
        (403, K::Forbidden),
        (413, K::TooLarge),
        (429, K::RateLimited),
        (500, K::Unavailable),
        (503, K::Unavailable),
        (507, K::QuotaFull),
        (301, K::Protocol),
    ] {
        let server =
            Server::start(move |_| report(status, &json!({"error": "no"})).header("Retry-After", "7")).await;
        let client = client(&server);
        let outcomes = [
            error(client.authenticate().await),
            error(client.ensure_folder("/Mesh").await),
            error(client.list_files("/Mesh/changes").await),
            error(client.list_folders("/Mesh").await),
            error(client.read_file("/Mesh/manifest.json").await),
            error(client.read_stream("/Mesh/files/x").await.map(drop)),
            error(client.write_file("/Mesh/changes/1-chg_a.json", Body::from("x")).await),
            error(client.write_file("/Mesh/files/x", Body::from("x")).await),
            error(client.create_file("/Mesh/manifest-1.json", Body::from("x")).await),
            error(client.delete_file("/Mesh/changes/1-chg_a.json").await),
            error(client.metadata("/Mesh/manifest.json").await),
        ];
        for outcome in outcomes {
            assert_eq!((outcome.kind(), outcome.status()), (wanted, Some(status)), "{outcome}");
            assert_eq!(outcome.retry_after(), Some(Duration::from_secs(7)), "{outcome}");
        }
    }
}

/// "No mesh" is said by the Worker alone, and outright.
#[tokio::test]
async fn a_missing_file_is_told_from_a_missing_worker() {
    let text = |status, body: &str| Reply::with(status, "text/plain", body);
    let server = Server::start(move |_| text(404, "Not found")).await;
    assert_eq!(kind(client(&server).read_file("/Mesh/manifest.json").await), K::NotFound);
    assert_eq!(kind(client(&server).authenticate().await), K::Forbidden);
    assert_eq!(kind(client(&server).metadata("/Mesh/manifest.json").await), K::Unavailable);
    let gate = Server::start(move |_| report(404, &json!({"error": "Not found"}))).await;
    let page = Server::start(move |_| Reply::with(404, "text/html", "<html>")).await;
    for server in [&gate, &page] {
        let client = client(server);
        assert_eq!(kind(client.read_file("/Mesh/manifest.json").await), K::Unavailable);
        assert_eq!(kind(client.metadata("/Mesh/manifest.json").await), K::Unavailable);
        assert_eq!(kind(client.list_files("/Mesh").await), K::Unavailable);
        assert_eq!(kind(client.delete_file("/Mesh/changes/1-chg_a.json").await), K::Unavailable);
    }
    let none = Server::start(move |_| report(404, &json!({"file": null}))).await;
    assert!(client(&none).metadata("/Mesh/manifest.json").await.unwrap().is_none());
    // A portal that answers anything.
    let portal = Server::start(move |_| Reply::with(200, "text/html", "<html>sign in</html>")).await;
    assert_eq!(kind(client(&portal).authenticate().await), K::Protocol);
    assert_eq!(kind(client(&portal).list_files("/Mesh").await), K::Protocol);
    assert_eq!(kind(client(&portal).write_file("/Mesh/devices/a.json", Body::from("x")).await), K::Protocol);
}

#[tokio::test]
async fn lies_about_lengths_are_noticed() {
    let cut = Server::start(|_| Reply::Cut { status: 200, announced: 10, body: b"five!".to_vec() }).await;
    assert_eq!(kind(client(&cut).read_file("/Mesh/manifest.json").await), K::Unavailable);
    let mut stream = client(&cut).read_stream("/Mesh/files/x").await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "five!");
    assert_eq!(kind(stream.next().await.unwrap()), K::Unavailable);
    let stall = Server::start(|_| Reply::Stall { status: 200, announced: 10, body: b"five!".to_vec() }).await;
    assert_eq!(kind(client(&stall).read_file("/Mesh/manifest.json").await), K::Timeout);
    assert_eq!(kind(client(&Server::start(|_| Reply::Silence).await).list_files("/x").await), K::Timeout);
    let closing = Server::start(|_| Reply::Close).await;
    assert_eq!(kind(client(&closing).list_files("/x").await), K::Unavailable);
    assert_eq!(closing.seen().len(), 2, "a question may be asked once more");
    let whole = Server::start(|_| report(201, &json!({}))).await;
    for (len, piece) in [(5, "four"), (3, "four")] {
        let pieces = stream::iter([Ok(Bytes::from(piece))]).boxed();
        let body = Body::Stream { len, stream: pieces };
        assert_eq!(kind(client(&whole).write_file("/Mesh/files/x", body).await), K::Io);
    }
}

#[tokio::test]
async fn a_hostile_listing_leads_nowhere() {
    let server = Server::start(|request| {
        let item =
            |name: &str| json!({"name": name, "path": "/etc/passwd", "size": 1, "modifiedTime": "soon"});
        if request.path.ends_with("/list-folders") {
            return report(
                200,
                &json!({"folders": ["..", ".", "", "a/b", "a\u{0}b", ".hidden", "good", "good"]}),
            );
        }
        let names = ["..", ".", "", "../../etc", "a/b", "a\u{0}b", ".hidden", "good", "good", "big"];
        let mut files: Vec<_> = names.map(item).to_vec();
        files[9] =
            json!({"name": "big", "size": u64::MAX, "modifiedTime": "2026-01-02T03:04:05.678Z", "etag": ""});
        files.push(json!({"path": "/Mesh/nameless"}));
        report(200, &json!({"files": files, "more": [1]}))
    })
    .await;
    let files = client(&server).list_files("/Mesh").await.unwrap();
    let seen: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.size, file.modified_ms)).collect();
    assert_eq!(seen, [("/Mesh/good", Some(1), None), ("/Mesh/big", Some(u64::MAX), Some(1_767_323_045_678))]);
    assert!(files.iter().all(|file| file.etag.is_none()));
    assert_eq!(client(&server).list_folders("/Mesh").await.unwrap(), ["good"]);
    for nonsense in ["", "[", r#"{"files":7}"#, r#"{"files":[{"name":7}]}"#] {
        let server = Server::start(move |_| Reply::with(200, "application/json", nonsense)).await;
        assert_eq!(kind(client(&server).list_files("/Mesh").await), K::Protocol, "{nonsense}");
        assert_eq!(kind(client(&server).metadata("/Mesh/x").await), K::Unavailable, "{nonsense}");
    }
    // Longer than any listing can be.
    let endless =
        Server::start(|_| Reply::Cut { status: 200, announced: 70_000_000, body: b"{".to_vec() }).await;
    assert_eq!(kind(client(&endless).list_files("/Mesh").await), K::TooLarge);
}
