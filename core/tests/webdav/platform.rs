//! Large uploads in the hands of a platform: what it is given, and what is believed of its answers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, MailboxError, MailboxErrorKind as K, MailboxResult, PlatformUploads, StorageAdapter, TokenProvider,
    UploadResponse, WebDavAuth, WebDavConfig, WebDavMailbox, suite,
};
use interocitor_core::{FileSource, Interocitor, StoreLocation};
use zeroize::Zeroizing;

use super::common::carrier::Carrier;
use super::common::open_at;
use super::faults::{config, error, kind};
use super::model::{ALL, Model};
use super::server::{Reply, Server, file, folder};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// The least that is carried.
const LARGE: usize = 1024 * 1024;

fn streamed(len: usize) -> Body {
    let pieces = (0..len).step_by(100_000).map(move |at| Ok(Bytes::from(vec![7; (len - at).min(100_000)])));
    Body::Stream { len: len as u64, stream: stream::iter(pieces.collect::<Vec<_>>()).boxed() }
}

fn with(server: &Server, carrier: &Arc<Carrier>, spool: &Path) -> WebDavMailbox {
    WebDavMailbox::new(&config(server).with_platform_uploads(carrier.uploads(spool))).unwrap()
}

fn spooled(spool: &Path) -> usize {
    std::fs::read_dir(spool).unwrap().count()
}

/// Waits until nothing is spooled any more.
async fn emptied(spool: &Path) {
    for _ in 0..2000 {
        if spooled(spool) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a spooled file stays");
}

/// A server that knows one file, and answers to a `PUT` of it as told.
async fn answering(put: impl Fn(&super::server::Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.method.as_str() {
        "PUT" => put(request),
        "PROPFIND" => Reply::multistatus(&(folder("/dav/Mesh/") + &file("/dav/Mesh/x"))),
        _ => Reply::status(200),
    })
    .await
}

#[tokio::test]
async fn large_streams_are_carried_and_everything_else_is_not() {
    let (model, carrier, spool) = (Model::start(ALL).await, Carrier::new(), tempfile::tempdir().unwrap());
    let mailbox = with(&model.server, &carrier, spool.path());
    mailbox.authenticate().await.unwrap();
    mailbox.write_file("/Mesh/small", streamed(LARGE - 1)).await.unwrap();
    mailbox.write_file("/Mesh/whole", Body::from(vec![7; 3 * LARGE])).await.unwrap();
    assert!(
        carrier.seen().is_empty()
            && mailbox.is_carried(LARGE as u64)
            && !mailbox.is_carried(LARGE as u64 - 1)
    );
    mailbox.write_file("/Mesh/large", streamed(LARGE)).await.unwrap();
    mailbox.create_file("/Mesh/new", streamed(3 * LARGE)).await.unwrap();
    let etag = mailbox.metadata("/Mesh/new").await.unwrap().unwrap().etag.unwrap();
    mailbox.replace_file("/Mesh/new", streamed(2 * LARGE), &etag).await.unwrap();
    assert_eq!(mailbox.read_file("/Mesh/large").await.unwrap(), vec![7; LARGE]);
    assert_eq!(mailbox.read_file("/Mesh/new").await.unwrap(), vec![7; 2 * LARGE]);
    let seen = carrier.seen();
    assert_eq!(seen.iter().map(|upload| upload.len / LARGE as u64).collect::<Vec<_>>(), [1, 3, 2]);
    for upload in &seen {
        let has = |name: &str| upload.headers.iter().any(|(known, _)| known == name);
        assert!(upload.method == "PUT" && has("authorization") && has("content-type") && has("user-agent"));
        assert!(upload.headers.contains(&("accept-encoding".into(), "identity".into())));
        let shown = format!("{upload:?}");
        assert!(!shown.contains("Basic") && !shown.contains("http"), "{shown}");
    }
    let ids: std::collections::HashSet<_> = seen.iter().map(|upload| &upload.id).collect();
    assert_eq!((ids.len(), spooled(spool.path())), (3, 0), "names, and files that stay");
    assert!(!WebDavMailbox::new(&config(&model.server)).unwrap().is_carried(u64::MAX));
    suite::run(&|| Arc::new(with(&model.server, &carrier, spool.path())), "/suite").await;
    assert_eq!(spooled(spool.path()), 0);
}

#[tokio::test]
async fn an_answer_means_what_it_means_without_a_platform() {
    let table = [
        (400, K::Protocol),
        (401, K::Unauthorized),
        (403, K::Forbidden),
        (413, K::TooLarge),
        (429, K::RateLimited),
        (503, K::Unavailable),
        (507, K::QuotaFull),
    ];
    for (status, expected) in table {
        let server = answering(move |_| Reply::status(status).header("Retry-After", "7")).await;
        let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
        let error = error(with(&server, &carrier, spool.path()).write_file("/Mesh/x", streamed(LARGE)).await);
        assert_eq!((error.kind(), error.status()), (expected, Some(status)));
        assert_eq!(
            (error.retry_after(), error.path()),
            (Some(Duration::from_secs(7)), "/Mesh/x"),
            "{status}"
        );
        assert_eq!((carrier.seen().len(), spooled(spool.path())), (1, 0), "{status}");
    }
    let server = answering(|_| Reply::with(200, "text/html", "Log in")).await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    assert_eq!(
        kind(with(&server, &carrier, spool.path()).write_file("/Mesh/x", streamed(LARGE)).await),
        K::Protocol
    );
}

#[tokio::test]
async fn redirects_are_followed_here_and_within_the_origin_only() {
    let server = answering(|request| match request.path.strip_prefix("/dav/") {
        Some(rest) => Reply::status(307).header("Location", format!("/new/{rest}")),
        None => Reply::status(201),
    })
    .await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    with(&server, &carrier, spool.path()).write_file("/Mesh/x", streamed(LARGE)).await.unwrap();
    let urls: Vec<_> = carrier.seen().iter().map(|upload| upload.url.clone()).collect();
    assert!(urls.len() == 2 && urls[1].ends_with("/new/Mesh/x"), "{urls:?}");
    let bodies = server.seen().into_iter().filter(|request| request.method == "PUT");
    assert!(bodies.into_iter().all(|request| request.body == vec![7; LARGE]));
    let elsewhere = Server::start(|_| Reply::status(201)).await;
    let target = elsewhere.url.clone();
    let server = answering(move |_| Reply::status(307).header("Location", format!("{target}/Mesh/x"))).await;
    let carrier = Carrier::new();
    assert_eq!(
        kind(with(&server, &carrier, spool.path()).write_file("/Mesh/x", streamed(LARGE)).await),
        K::Protocol
    );
    assert!(carrier.seen().len() == 1 && elsewhere.seen().is_empty() && spooled(spool.path()) == 0);
}

#[tokio::test]
async fn what_no_server_can_have_said_is_not_believed() {
    let server = answering(|_| Reply::status(500)).await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let mailbox = with(&server, &carrier, spool.path());
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let lies = [
        UploadResponse { status: 0, ..UploadResponse::default() },
        UploadResponse { status: 101, ..UploadResponse::default() },
        UploadResponse { status: 600, ..UploadResponse::default() },
        UploadResponse { status: 201, headers: header("a b", "c"), ..UploadResponse::default() },
        UploadResponse { status: 201, headers: header("a", "b\r\nc: d"), ..UploadResponse::default() },
        UploadResponse { status: 201, body: vec![0; LARGE + 1], ..UploadResponse::default() },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        carrier.answer(Ok(lie));
        let error = error(mailbox.write_file("/Mesh/x", streamed(LARGE)).await);
        // No server said so: no status is passed on.
        assert_eq!((error.kind(), error.status()), (K::Protocol, None), "{number}");
    }
    carrier.answer(Ok(UploadResponse { status: 201, body: vec![0; LARGE], ..UploadResponse::default() }));
    mailbox.write_file("/Mesh/x", streamed(LARGE)).await.unwrap();
    assert_eq!(spooled(spool.path()), 0);
}

#[tokio::test]
async fn a_platform_that_fails_is_asked_once_and_says_nothing_of_the_file() {
    let server = answering(|_| Reply::status(201)).await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let mailbox = with(&server, &carrier, spool.path());
    let table = [
        (K::Offline, K::Offline),
        (K::Timeout, K::Timeout),
        (K::DiskFull, K::DiskFull),
        (K::Unavailable, K::Unavailable),
        (K::NotFound, K::Unavailable),
        (K::AlreadyExists, K::Unavailable),
        (K::Conflict, K::Unavailable),
    ];
    for (count, (told, expected)) in table.into_iter().enumerate() {
        carrier.answer(Err(MailboxError::new(told, "upload", "/elsewhere", "it failed")));
        let error = error(mailbox.write_file("/Mesh/x", streamed(LARGE)).await);
        assert_eq!((error.kind(), error.path()), (expected, "/Mesh/x"), "{told:?}");
        assert_eq!((carrier.seen().len(), spooled(spool.path())), (count + 1, 0), "{told:?}");
    }
}

#[tokio::test]
async fn giving_up_the_wait_cancels_the_upload() {
    let server = answering(|_| Reply::status(201)).await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let mailbox = with(&server, &carrier, spool.path());
    carrier.hold();
    let writing = tokio::spawn(async move { mailbox.write_file("/Mesh/x", streamed(LARGE)).await });
    carrier.begun(1).await;
    assert_eq!(spooled(spool.path()), 1);
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    assert_eq!(carrier.cancelled(), [carrier.seen()[0].id.clone()]);
    assert_eq!(spooled(spool.path()), 0);
}

#[tokio::test]
async fn what_a_dead_process_spooled_goes_and_what_is_under_way_stays() {
    let server = answering(|_| Reply::status(201)).await;
    let (carrier, root) = (Carrier::new(), tempfile::tempdir().unwrap());
    let spool = root.path().join("a/b");
    let mailbox = with(&server, &carrier, &spool);
    let (left, foreign) = (spool.join("interocitor-upload-1-2-3"), spool.join("holiday.jpg"));
    std::fs::write(&left, "left").unwrap();
    std::fs::write(&foreign, "keep").unwrap();
    carrier.hold();
    let writing = tokio::spawn(async move { mailbox.write_file("/Mesh/x", streamed(LARGE)).await });
    carrier.begun(1).await;
    carrier.uploads(&spool);
    assert!(!left.exists() && foreign.exists() && carrier.seen()[0].body.exists());
    carrier.let_go();
    writing.await.unwrap().unwrap();
    assert_eq!(spooled(&spool), 1);
    // A folder that cannot be one is told at once.
    let refused = PlatformUploads::new(Carrier::new(), &foreign).unwrap_err();
    assert_eq!(refused.kind(), K::Io);
}

#[tokio::test]
async fn a_broken_body_reaches_nobody() {
    let server = answering(|_| Reply::status(201)).await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let mailbox = with(&server, &carrier, spool.path());
    let piece = || stream::iter([Ok(Bytes::from(vec![7; LARGE]))]);
    let broken = MailboxError::new(K::Io, "write", "/Mesh/x", "the source broke off");
    let bodies = [
        Body::Stream { len: 2 * LARGE as u64, stream: piece().boxed() },
        Body::Stream { len: LARGE as u64, stream: piece().chain(piece()).boxed() },
        Body::Stream { len: 2 * LARGE as u64, stream: piece().chain(stream::iter([Err(broken)])).boxed() },
    ];
    for body in bodies {
        assert_eq!(kind(mailbox.write_file("/Mesh/x", body).await), K::Io);
    }
    assert!(carrier.seen().is_empty() && spooled(spool.path()) == 0);
    // Gone while the app runs, as a cache may be.
    std::fs::remove_dir(spool.path()).unwrap();
    assert_eq!(kind(mailbox.write_file("/Mesh/x", streamed(LARGE)).await), K::Io);
}

/// Gives another token each time.
#[derive(Debug, Default)]
struct Tokens(AtomicUsize);

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, _: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        Ok(Zeroizing::new(format!("token-{}", self.0.fetch_add(1, Ordering::SeqCst))))
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_body_sent_again() {
    let server = answering(|request| match request.header("authorization") {
        Some("Bearer token-1") => Reply::status(201),
        _ => Reply::status(401),
    })
    .await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let config = config(&server).with_auth(WebDavAuth::Provider(Arc::new(Tokens::default())));
    let mailbox = WebDavMailbox::new(&config.with_platform_uploads(carrier.uploads(spool.path()))).unwrap();
    mailbox.write_file("/Mesh/x", streamed(LARGE)).await.unwrap();
    assert_eq!((carrier.seen().len(), spooled(spool.path())), (2, 0));
}

#[tokio::test]
async fn a_large_body_does_not_meet_with_a_challenge() {
    // Nothing asks for it before the body is on its way.
    let challenging = Server::start(|request| match request.header("authorization") {
        _ if request.method == "PROPFIND" => {
            Reply::multistatus(&(folder("/dav/Mesh/") + &file("/dav/Mesh/x")))
        }
        Some(answer) if answer.starts_with("Digest") => Reply::status(201),
        _ => Reply::status(401).header("WWW-Authenticate", r#"Digest realm="r", nonce="n", qop="auth""#),
    })
    .await;
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let config = WebDavConfig::new(&challenging.url).unwrap().with_auth(WebDavAuth::digest("user", "s3cret"));
    let mailbox = WebDavMailbox::new(&config.with_platform_uploads(carrier.uploads(spool.path()))).unwrap();
    mailbox.write_file("/Mesh/x", streamed(LARGE)).await.unwrap();
    assert_eq!(carrier.seen().len(), 1);
}

async fn device(mailbox: WebDavMailbox) -> Interocitor {
    device_at(StoreLocation::Memory, mailbox).await
}

async fn device_at(store: StoreLocation, mailbox: WebDavMailbox) -> Interocitor {
    let db = open_at(store, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// A database with a file of 2 MB whose upload is under way.
async fn uploading(model: &Model, carrier: &Arc<Carrier>, spool: &Path) -> Interocitor {
    uploading_from(StoreLocation::Memory, model, carrier, spool).await
}

async fn uploading_from(
    store: StoreLocation,
    model: &Model,
    carrier: &Arc<Carrier>,
    spool: &Path,
) -> Interocitor {
    let db = device_at(store, with(&model.server, carrier, spool)).await;
    db.put_file("film", FileSource::from(vec![5; 2 * LARGE]), None).await.unwrap();
    carrier.hold();
    let syncing = tokio::spawn({
        let db = db.clone();
        async move { db.sync_once(Duration::from_mins(1)).await }
    });
    carrier.begun(1).await;
    drop(syncing);
    db
}

#[tokio::test]
async fn a_suspended_database_does_not_break_an_upload_off() {
    let (model, carrier, spool) = (Model::start(ALL).await, Carrier::new(), tempfile::tempdir().unwrap());
    let db = uploading(&model, &carrier, spool.path()).await;
    db.suspend().await.unwrap();
    // Not even where it is suspended and resumed again and again, and the time of a job runs out.
    db.resume().await.unwrap();
    assert!(db.sync_once(Duration::from_millis(50)).await.is_err());
    db.suspend().await.unwrap();
    assert_eq!((carrier.cancelled().len(), spooled(spool.path())), (0, 1));
    carrier.let_go();
    emptied(spool.path()).await;
    db.resume().await.unwrap();
    db.sync_once(Duration::from_mins(1)).await.unwrap();
    assert!(db.file_transfers().await.unwrap().is_empty());
    assert_eq!((carrier.seen().len(), carrier.cancelled().len()), (1, 0), "it was sent once");
    let other = device(with(&model.server, &carrier, spool.path())).await;
    let content = other.get_file("film").await.unwrap();
    assert_eq!(content.bytes().await.unwrap(), vec![5; 2 * LARGE]);
}

#[tokio::test]
async fn whoever_does_not_want_an_upload_any_more_breaks_it_off() {
    for how in ["cancel", "pause", "delete", "replace", "disconnect", "shut down", "suspended, then replaced"]
    {
        let (model, carrier, spool) = (Model::start(ALL).await, Carrier::new(), tempfile::tempdir().unwrap());
        let db = uploading(&model, &carrier, spool.path()).await;
        match how {
            "cancel" => db.cancel_file("film").await.unwrap(),
            "pause" => db.pause_file("film").await.unwrap(),
            "delete" => db.delete_file("film").await.unwrap(),
            "disconnect" => db.disconnect().await,
            "shut down" => db.shutdown().await.unwrap(),
            _ => {
                if how != "replace" {
                    db.suspend().await.unwrap();
                    db.resume().await.unwrap();
                }
                db.put_file("film", FileSource::from(b"short".to_vec()), None).await.unwrap();
            }
        }
        emptied(spool.path()).await;
        assert_eq!(carrier.cancelled().len(), 1, "{how}");
        if how.contains("replace") {
            db.sync().await.unwrap();
            let other = device(with(&model.server, &carrier, spool.path())).await;
            let content = other.get_file("film").await.unwrap();
            assert_eq!(content.bytes().await.unwrap(), b"short", "{how}");
        }
        assert_eq!(carrier.seen().len(), 1, "{how}");
    }
}

#[tokio::test]
async fn an_upload_that_failed_is_begun_anew() {
    let (model, carrier, spool) = (Model::start(ALL).await, Carrier::new(), tempfile::tempdir().unwrap());
    let db = device(with(&model.server, &carrier, spool.path())).await;
    db.put_file("film", FileSource::from(vec![5; 2 * LARGE]), None).await.unwrap();
    carrier.answer(Err(MailboxError::new(K::Unavailable, "upload", "/", "it failed")));
    assert_eq!(db.sync_files().await.unwrap().failed, 1);
    assert_eq!(db.sync_files().await.unwrap().done, 1);
    assert_eq!((carrier.seen().len(), spooled(spool.path())), (2, 0));
}

/// A share extension, say, that puts a file anew which the app is uploading.
#[tokio::test]
async fn an_upload_counts_only_for_what_it_was_begun_for() {
    for ends_late in [true, false] {
        let (model, carrier, spool) = (Model::start(ALL).await, Carrier::new(), tempfile::tempdir().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = || StoreLocation::File(folder.path().join("a.db"));
        let db = uploading_from(store(), &model, &carrier, spool.path()).await;
        if !ends_late {
            db.suspend().await.unwrap();
        }
        let extension = open_at(store(), |config| config.passphrase = Some(PASSPHRASE.into())).await;
        extension.put_file("film", FileSource::from(b"newer".to_vec()), None).await.unwrap();
        if ends_late {
            carrier.let_go();
            emptied(spool.path()).await;
        } else {
            db.resume().await.unwrap();
        }
        db.sync_once(Duration::from_mins(1)).await.unwrap();
        assert_eq!((carrier.seen().len(), carrier.cancelled().len()), (1, usize::from(!ends_late)));
        assert!(db.file_transfers().await.unwrap().is_empty());
        let other = device(with(&model.server, &carrier, spool.path())).await;
        let content = other.get_file("film").await.unwrap();
        assert_eq!(content.bytes().await.unwrap(), b"newer", "ends late: {ends_late}");
    }
}
