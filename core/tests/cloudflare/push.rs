//! Push: what others write arrives without a poll, and with polls where there is no push.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use interocitor_core::host::{Host, Job, TokioHost};
use interocitor_core::mailbox::{CloudflareConfig, Notice, StorageAdapter};
use interocitor_core::{Event, Interocitor};
use serde_json::json;

use super::meshes::{connected, device};
use super::scripted::{Reply, Server};
use super::server::{Line, address, client, config, host, url};

/// A device that listens; nothing comes by a poll unless it says so.
async fn listening(config: &CloudflareConfig, poll: Duration) -> Interocitor {
    let db = device(config, |settings| {
        settings.auto_sync = true;
        settings.poll_interval = poll;
        settings.flush_debounce = Duration::ZERO;
    })
    .await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

const NEVER: Duration = Duration::from_hours(1);

/// Waits until a row is there; gives how long it took, up to a limit.
async fn arrives(db: &Interocitor, row: &str, limit: Duration) -> Option<Duration> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if db.table("t").row(row).await.unwrap().is_some() {
            return Some(begin.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

async fn write(db: &Interocitor, row: &str) {
    db.table("t").put(row, &json!({"x": 1})).await.unwrap();
    db.flush().await.unwrap();
}

/// Until the socket of a device is open, and what that brings with it is over.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_becomes_an_event_elsewhere_at_once() {
    let config = config("near");
    let (a, b) = (connected(&config).await, listening(&config, NEVER).await);
    let mut events = b.events();
    settled().await;
    let mut took = Vec::new();
    for number in 0..20 {
        let row = format!("r{number}");
        let begin = Instant::now();
        write(&a, &row).await;
        loop {
            let event =
                tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("it never came");
            if matches!(event, Some(Event::Change { row_ids, .. }) if row_ids.contains(&row)) {
                break;
            }
        }
        took.push(begin.elapsed());
        // Further apart than messages that are pulled together.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    took.sort_unstable();
    // Shown though the test passes: only what is printed by the macro is captured.
    let (median, most) = (took[10], took[19]);
    let line =
        format!("push: a write becomes an event elsewhere in {median:?} (median of 20), {most:?} at most\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn own_writes_are_no_news_and_those_of_others_cost_one_pull() {
    let (line, mesh) = (Line::start().await, address());
    let through = CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap();
    let direct = CloudflareConfig::new(&url(&host(), "near", &mesh)).unwrap();
    // Polls would be frequent, but rest while the relay tells of everything.
    let poll = Duration::from_millis(300);
    let (live, other) = (listening(&through, poll).await, connected(&direct).await);
    settled().await;
    // Publishing lists too, but only a pull asks for the pointer.
    let pulls = || line.take().iter().filter(|line| line.ends_with("manifest.json")).count();
    // Whoever publishes for the first time looks at everything first.
    live.table("t").put("zero", &json!({"x": 1})).await.unwrap();
    settled().await;
    pulls();
    for row in ["one", "two", "three"] {
        live.table("t").put(row, &json!({"x": 1})).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    assert!(arrives(&live, "three", Duration::from_secs(1)).await.is_some());
    assert_eq!(live.status().await.unwrap().pending.count, 0);
    assert_eq!(pulls(), 0, "echoes of own writes were pulled for");
    // Change file and head are two messages, and one pull.
    write(&other, "four").await;
    assert!(arrives(&live, "four", Duration::from_secs(20)).await.is_some());
    settled().await;
    assert_eq!(pulls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_went_away_is_found_again_and_polls_stand_in() {
    let (line, mesh) = (Line::start().await, address());
    let through = CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap();
    let direct = CloudflareConfig::new(&url(&host(), "near", &mesh)).unwrap();
    let (live, other) = (listening(&through, NEVER).await, connected(&direct).await);
    settled().await;
    line.cut().await;
    write(&other, "away").await;
    assert_eq!(arrives(&live, "away", Duration::from_secs(2)).await, None);
    line.mend();
    // The socket comes back within a few seconds, and with it what was missed.
    assert!(arrives(&live, "away", Duration::from_secs(20)).await.is_some());
    settled().await;
    write(&other, "back").await;
    assert!(arrives(&live, "back", Duration::from_secs(5)).await.is_some());

    // No relay at all: it is polled as often as it was to be.
    let bare = CloudflareConfig::new(&url(&host(), "bare", &mesh)).unwrap();
    let polling = listening(&bare, Duration::from_millis(500)).await;
    // The first may still come with what connecting looks at.
    for row in ["polled", "again", "and again"] {
        write(&other, row).await;
        assert!(arrives(&polling, row, Duration::from_secs(20)).await.is_some(), "{row}");
    }
}

/// What a healthy push says of itself, and that its end is told.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_is_told_of_everything_while_the_socket_is_open() {
    let (line, mesh) = (Line::start().await, address());
    let through = client(&CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap());
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let notice = Arc::new(move || {
        let _ = sender.send(());
    });
    let mut news = async |wanted: bool| {
        let came = tokio::time::timeout(Duration::from_secs(if wanted { 10 } else { 1 }), told.recv()).await;
        assert_eq!(came.is_ok_and(|news| news.is_some()), wanted);
    };
    assert!(!through.is_push_healthy());
    let watch = through.watch("/Mesh", notice).await.unwrap().unwrap();
    news(true).await;
    assert!(through.is_push_healthy());
    line.cut().await;
    news(true).await;
    assert!(!through.is_push_healthy());
    line.mend();
    news(true).await;
    assert!(through.is_push_healthy());
    news(false).await;
    drop(watch);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!through.is_push_healthy());
    let direct = client(&CloudflareConfig::new(&url(&host(), "near", &mesh)).unwrap());
    direct.write_file("/Mesh/changes/1-chg_a.json", "x".into()).await.unwrap();
    news(false).await;
}

/// A clock whose waits are fifty times as short.
#[derive(Debug)]
struct Hasty;

impl Host for Hasty {
    fn now_ms(&self) -> u64 {
        TokioHost.now_ms()
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioHost.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioHost.sleep(duration / 50)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioHost.spawn(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        TokioHost.blocking(job)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_sockets_that_never_opened_there_is_a_rest_until_the_worker_is_back() {
    let line = Line::start().await;
    let config = CloudflareConfig::new(&url(&line.host, "near", &address())).unwrap();
    let client = client(&config.with_host(Arc::new(Hasty)));
    let is_told = async |within: Duration| {
        let begin = Instant::now();
        while begin.elapsed() < within && !client.is_push_healthy() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.is_push_healthy()
    };
    let _watch = client.watch("/Mesh", Arc::new(|| ())).await.unwrap().unwrap();
    assert!(is_told(Duration::from_secs(10)).await);
    line.cut().await;
    // Five sockets take 32 seconds of that clock, the rest takes 72 of ours.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(client.list_files("/").await.is_err());
    line.mend();
    assert!(!is_told(Duration::from_secs(2)).await, "the Worker got no rest");
    client.list_files("/").await.unwrap();
    assert!(is_told(Duration::from_secs(10)).await);
}

/// Waits until something is so, for ten seconds.
async fn comes_true(is_so: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) && !is_so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_so()
}

/// A notice that counts.
fn counting() -> (Notice, Arc<AtomicUsize>) {
    let count: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&count);
    let notice = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (Arc::new(notice), count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_relay_is_asked_whether_it_is_there() {
    let (line, mesh) = (Line::start().await, address());
    let config = CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap();
    let client = client(&config.with_host(Arc::new(Hasty)));
    let (notice, told) = counting();
    let _watch = client.watch("/Mesh", notice).await.unwrap().unwrap();
    assert!(comes_true(|| client.is_push_healthy()).await);
    // It answers each time, and the socket stays the first one: three silences of that clock.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((told.load(Ordering::SeqCst), client.is_push_healthy()), (1, true));
    // What is told of is looked for at once, and again when listings show it.
    let direct = super::server::client(&CloudflareConfig::new(&url(&host(), "near", &mesh)).unwrap());
    direct.write_file("/Mesh/changes/1-chg_a.json", "x".into()).await.unwrap();
    assert!(comes_true(|| told.load(Ordering::SeqCst) == 3).await);
    line.go_dead();
    assert!(comes_true(|| !client.is_push_healthy()).await, "a dead socket is believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_like_no_relay_is_none() {
    // The second with the answer to the key of the example in the standard.
    for (status, accept) in [(101, ""), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), (200, "")] {
        let server = Server::start(move |_| {
            let upgrade =
                Reply::status(status).header("Connection", "Upgrade").header("Upgrade", "websocket");
            if accept.is_empty() { upgrade } else { upgrade.header("Sec-WebSocket-Accept", accept) }
        })
        .await;
        let config = CloudflareConfig::new(&server.url.replace("/dav", "/io/uuid.tag")).unwrap();
        let client = client(&config.with_token("t0ken").with_host(Arc::new(Hasty)));
        let (notice, told) = counting();
        let _watch = client.watch("/Mesh", notice).await.unwrap().unwrap();
        assert!(comes_true(|| server.seen().len() >= 3).await);
        assert_eq!((told.load(Ordering::SeqCst), client.is_push_healthy()), (0, false));
        let asked = &server.seen()[0];
        assert!(asked.path.contains("access_token=t0ken"), "where Workers look for it: {}", asked.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_helps_where_listings_are_old_and_where_messages_are_held_back() {
    for (ours, theirs) in [("far", "far"), ("batched", "batched")] {
        let mesh = address();
        let at = |mount| CloudflareConfig::new(&url(&host(), mount, &mesh)).unwrap();
        let (other, live) = (connected(&at(theirs)).await, listening(&at(ours), NEVER).await);
        settled().await;
        for row in ["one", "two"] {
            write(&other, row).await;
            assert!(arrives(&live, row, Duration::from_secs(20)).await.is_some(), "{ours}: {row}");
            settled().await;
        }
    }
}
