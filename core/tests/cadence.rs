//! When a connected database asks the mailbox: polls, writes, pushes, the network, a full mailbox, and which
//! of several processes does it. In virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use common::sim::{Executor, World};
use interocitor_core::{
    Background, Config, ConnectionStatus, Event, Events, Interocitor, Phase, Status, StoreLocation,
    WriteMark,
    mailbox::{
        Body, Capabilities, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, MemoryMailbox,
        StorageAdapter,
    },
};
use serde_json::json;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// What a mailbox answers in place of doing something: the kind, and the wait that it asks for.
type Refusal = Option<(MailboxErrorKind, Option<Duration>)>;

/// Decides by the operation.
type Decide = Box<dyn Fn(&str) -> Refusal + Send>;

/// A mailbox that notes when it is asked for what, and refuses when told to.
#[derive(Clone)]
struct Logged {
    inner: MemoryMailbox,
    world: Arc<World>,
    log: Arc<Mutex<Vec<(u64, String)>>>,
    refuse: Arc<Mutex<Decide>>,
    /// How long every call takes, in ms.
    latency: Arc<AtomicU64>,
    /// Writes take effect and answer with an error.
    loses_answers: Arc<AtomicBool>,
}

impl std::fmt::Debug for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logged").finish_non_exhaustive()
    }
}

impl Logged {
    fn new(world: &Arc<World>) -> Self {
        Self {
            inner: MemoryMailbox::new(),
            world: Arc::clone(world),
            log: Arc::default(),
            refuse: Arc::new(Mutex::new(Box::new(|_| None))),
            latency: Arc::default(),
            loses_answers: Arc::default(),
        }
    }

    fn refuse(&self, refuse: impl Fn(&str) -> Refusal + Send + 'static) {
        *self.refuse.lock().unwrap() = Box::new(refuse);
    }

    async fn call(&self, operation: &'static str, path: &str) -> MailboxResult<()> {
        self.log.lock().unwrap().push((self.world.now_ms(), format!("{operation} {path}")));
        let latency = self.latency.load(Ordering::Relaxed);
        if latency > 0 {
            use interocitor_core::host::Host as _;
            self.world.host(0).sleep(Duration::from_millis(latency)).await;
        }
        match (self.refuse.lock().unwrap())(operation) {
            None => Ok(()),
            Some((kind, wait)) => {
                Err(MailboxError::new(kind, operation, path, "refused").with_retry_after(wait))
            }
        }
    }

    /// Seconds since `from` at which the pointer was read, which every pull does first.
    fn pulls(&self, from: u64) -> Vec<u64> {
        let log = self.log.lock().unwrap();
        log.iter()
            .filter(|(at, call)| *at >= from && call == "read /Mesh/manifest.json")
            .map(|(at, _)| (at - from) / 1000)
            .collect()
    }

    fn calls(&self, from: u64) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(at, _)| *at >= from).map(|(_, call)| call.clone()).collect()
    }
}

#[async_trait]
impl StorageAdapter for Logged {
    fn kind(&self) -> &'static str {
        "logged"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.call("ensure", path).await?;
        self.inner.ensure_folder(path).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.call("list", folder).await?;
        self.inner.list_files(folder).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.inner.list_folders(folder).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.call("read", path).await?;
        self.inner.read_file(path).await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.call("write", path).await?;
        self.inner.write_file(path, body).await?;
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(MailboxError::new(MailboxErrorKind::Unavailable, "write", path, "lost"));
        }
        Ok(())
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.call("create", path).await?;
        self.inner.create_file(path, body).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.inner.replace_file(path, body, etag).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.inner.delete_file(path).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.inner.metadata(path).await
    }
}

/// One run with its world.
struct Run {
    world: Arc<World>,
    executor: Executor<'static>,
    mailbox: Logged,
}

impl Run {
    fn new() -> Self {
        let world = World::new(7);
        Self { executor: Executor::new(&world), mailbox: Logged::new(&world), world }
    }

    fn open(&mut self, store: StoreLocation) -> Interocitor {
        let mut config = Config::new("cadence", store);
        config.remote_path = Some("/Mesh".into());
        config.passphrase = Some(PASSPHRASE.into());
        config.host = self.world.host(0);
        let adapter = Arc::new(self.mailbox.clone());
        self.executor.complete(async move {
            let db = Interocitor::open(config).await.unwrap();
            db.set_remote_storage(Some(adapter)).await;
            db
        })
    }

    /// A connected database.
    fn online(&mut self, store: StoreLocation) -> Interocitor {
        let db = self.open(store);
        let handle = db.clone();
        assert!(self.executor.complete(async move { handle.connect().await.unwrap().is_online() }));
        db
    }

    fn put(&mut self, db: &Interocitor, id: &str, value: u64) {
        let (db, id) = (db.clone(), id.to_owned());
        self.executor.complete(async move { db.table("t").put(id, &json!({"v": value})).await.unwrap() });
    }

    fn status(&mut self, db: &Interocitor) -> Status {
        let db = db.clone();
        self.executor.complete(async move { db.status().await.unwrap() })
    }

    fn pass(&mut self, seconds: u64) {
        self.executor.run_for(seconds * 1000);
    }
}

fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[test]
fn polls_slow_down_while_nothing_comes_and_failures_have_waits_of_their_own() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    let other = run.online(StoreLocation::Memory);
    let quiet = other.clone();
    run.executor.complete(async move { quiet.disconnect().await });
    let begin = run.world.now_ms();
    run.pass(200);
    let polls = run.mailbox.pulls(begin);
    let steps: Vec<u64> = polls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps[steps.len() - 2..], [60, 60], "{polls:?}");

    // Rows of another device bring the short step back.
    run.put(&other, "theirs", 1);
    let sending = other.clone();
    run.executor.complete(async move {
        sending.connect().await.unwrap();
        sending.disconnect().await;
    });
    run.pass(1);
    let begin = run.world.now_ms();
    run.pass(160);
    let polls = run.mailbox.pulls(begin);
    assert_eq!(polls[1] - polls[0], 30, "{polls:?}");
    assert_eq!(polls[2] - polls[1], 60, "{polls:?}");

    // Failures: 2, 4, 8 seconds; afterwards the step is what it was.
    run.mailbox.refuse(|_| Some((MailboxErrorKind::Unavailable, None)));
    let begin = run.world.now_ms();
    run.pass(80);
    let polls = run.mailbox.pulls(begin);
    let steps: Vec<u64> = polls.windows(2).map(|pair| pair[1] - pair[0]).take(3).collect();
    assert_eq!(steps, [2, 4, 8], "{polls:?}");
    run.mailbox.refuse(|_| None);
    run.pass(90);
    let begin = run.world.now_ms();
    run.pass(200);
    let polls = run.mailbox.pulls(begin);
    assert_eq!(polls[1] - polls[0], 60, "{polls:?}");
    drop(db);
}

#[test]
fn a_wait_that_the_mailbox_asks_for_is_kept_whatever_happens() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    run.mailbox.refuse(|_| Some((MailboxErrorKind::RateLimited, Some(Duration::from_mins(15)))));
    let mut events = db.events();
    run.pass(61);
    assert!(drain(&mut events).iter().any(|event| matches!(
        event,
        Event::RemoteAccess { kind, retry_in_ms: 900_000, .. } if kind == "REMOTE_ACCESS"
    )));
    run.mailbox.refuse(|_| None);
    let begin = run.world.now_ms();
    run.put(&db, "r", 1);
    db.poke();
    db.set_foreground(false);
    db.set_foreground(true);
    run.pass(700);
    assert_eq!(run.mailbox.calls(begin), Vec::<String>::new());
    run.pass(300);
    assert_eq!(run.status(&db).pending.count, 0);
}

#[test]
fn pushes_collapse_and_one_that_comes_during_a_pull_gets_its_own() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    run.pass(1);
    let begin = run.world.now_ms();
    for _ in 0..50 {
        db.poke();
    }
    run.executor.run_for(900);
    assert_eq!(run.mailbox.pulls(begin), [0]);
    db.poke();
    run.executor.run_for(4000);
    assert_eq!(run.mailbox.pulls(begin), [0, 1]);

    // A pull of two seconds, and pushes in the midst of it.
    run.mailbox.latency.store(1000, Ordering::Relaxed);
    let begin = run.world.now_ms();
    db.poke();
    run.executor.run_for(1500);
    db.poke();
    db.poke();
    run.pass(15);
    assert_eq!(run.mailbox.pulls(begin), [0, 2]);
    run.mailbox.latency.store(0, Ordering::Relaxed);

    // While pulls fail, pushes hasten nothing.
    run.mailbox.refuse(|_| Some((MailboxErrorKind::Unavailable, None)));
    let begin = run.world.now_ms();
    for _ in 0..100 {
        db.poke();
        run.executor.run_for(1000);
    }
    let tries = run.mailbox.pulls(begin);
    assert!((4..=7).contains(&tries.len()), "{tries:?}");
    run.mailbox.refuse(|_| None);
    run.pass(130);
    let calm = run.world.now_ms();
    run.pass(20);
    assert!(run.mailbox.pulls(calm).len() <= 1);
}

#[test]
fn without_a_network_nothing_is_tried_and_its_return_syncs() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    run.pass(1);
    let mut events = db.events();
    assert_eq!(db.connection_status(), ConnectionStatus::Idle);
    db.set_network(false);
    db.set_network(false);
    assert_eq!(db.connection_status(), ConnectionStatus::Offline);
    assert_eq!(drain(&mut events), [Event::ConnectionStatus { status: ConnectionStatus::Offline }]);
    let begin = run.world.now_ms();
    run.put(&db, "r", 1);
    db.poke();
    run.pass(4000);
    assert_eq!(run.mailbox.calls(begin), Vec::<String>::new());
    let status = run.status(&db);
    assert!(!status.has_network && status.pending.count == 1);
    db.set_network(true);
    run.executor.run_for(10);
    assert_eq!(run.status(&db).pending.count, 0);
    assert_eq!(db.connection_status(), ConnectionStatus::Idle);
}

#[test]
fn a_mailbox_out_of_reach_is_told_and_found_again() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    let mut events = db.events();
    run.mailbox.refuse(|_| Some((MailboxErrorKind::Offline, None)));
    run.pass(65);
    let status = run.status(&db);
    assert_eq!(status.connection, ConnectionStatus::Offline);
    assert_eq!(status.problem.unwrap().code, "OFFLINE");
    let told = drain(&mut events);
    assert!(told.contains(&Event::ConnectionStatus { status: ConnectionStatus::Offline }));
    assert!(told.iter().any(|event| matches!(event, Event::RemoteAccess { kind, .. } if kind == "OFFLINE")));
    run.put(&db, "r", 1);
    run.mailbox.refuse(|_| None);
    run.pass(130);
    let status = run.status(&db);
    assert_eq!((status.connection, status.problem, status.pending.count), (ConnectionStatus::Idle, None, 0));
}

#[test]
fn a_full_mailbox_is_read_on_and_written_to_later() {
    let mut run = Run::new();
    let db = run.online(StoreLocation::Memory);
    let other = run.online(StoreLocation::Memory);
    run.put(&db, "first", 0);
    run.pass(100);
    let full = |operation: &str| (operation == "write").then_some((MailboxErrorKind::QuotaFull, None));
    run.mailbox.refuse(full);
    let mut events = db.events();
    run.put(&db, "mine", 1);
    run.pass(30);
    let status = run.status(&db);
    assert_eq!((status.problem.unwrap().code.as_str(), status.pending.count), ("QUOTA_FULL", 1));
    assert_eq!(status.connection, ConnectionStatus::Idle);
    assert!(drain(&mut events).iter().any(|event| matches!(
        event,
        Event::RemoteAccess { kind, retry_in_ms: 300_000, .. } if kind == "QUOTA_FULL"
    )));
    // Another device has room, so to speak; its rows arrive here, while nothing of ours is tried.
    run.mailbox.refuse(|_| None);
    run.put(&other, "theirs", 2);
    let begin = run.world.now_ms();
    run.pass(100);
    run.put(&db, "more", 3);
    run.pass(20);
    let written = |calls: &[String]| calls.iter().filter(|call| call.starts_with("write /Mesh/ch")).count();
    assert_eq!(written(&run.mailbox.calls(begin)), 2, "a change and the head, of the other");
    let reading = db.clone();
    assert!(run.executor.complete(async move { reading.table("t").row("theirs").await.unwrap().is_some() }));
    assert_eq!(run.status(&db).problem.unwrap().code, "QUOTA_FULL", "still");
    run.pass(300);
    let status = run.status(&db);
    assert_eq!((status.problem, status.pending.count), (None, 0));

    // Full for longer: each try waits twice as long, and the polls go on between them.
    run.mailbox.refuse(full);
    drain(&mut events);
    let begin = run.world.now_ms();
    run.put(&db, "again", 4);
    run.pass(700);
    let waits: Vec<u64> = drain(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            Event::RemoteAccess { retry_in_ms, .. } => Some(retry_in_ms / 1000),
            _ => None,
        })
        .collect();
    assert_eq!(waits, [300, 600]);
    let polls = run.mailbox.pulls(begin).len() / 2;
    assert!((10..=14).contains(&polls), "of each device: {polls}");
}

fn changes(mailbox: &Logged) -> Vec<String> {
    use futures_util::FutureExt as _;
    let files = mailbox.inner.list_files("/Mesh/changes").now_or_never().unwrap().unwrap();
    files.into_iter().map(|file| file.name).filter(|name| name != "head.json").collect()
}

fn leads(run: &mut Run, db: &Interocitor) -> bool {
    run.status(db).background == Background::Here
}

fn file(folder: &Path) -> StoreLocation {
    StoreLocation::File(folder.join("t.db"))
}

#[test]
fn of_two_handles_on_one_store_one_exchanges_and_the_other_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new();
    let a = run.online(file(folder.path()));
    let b = run.online(file(folder.path()));
    // Whoever was asked last leads; the other learns it at its next poll.
    run.pass(61);
    assert_eq!((leads(&mut run, &a), leads(&mut run, &b)), (false, true));
    let begin = run.world.now_ms();
    run.pass(600);
    let polls = run.mailbox.pulls(begin);
    assert!((9..=12).contains(&polls.len()), "{polls:?}");

    // One writes, the other publishes, and both hear of it.
    let (mut told_a, mut told_b) = (a.events(), b.events());
    run.put(&a, "of a", 1);
    run.pass(8);
    assert_eq!(run.status(&a).pending.count, 0);
    assert_eq!(changes(&run.mailbox).len(), 1);
    assert!(drain(&mut told_b).contains(&Event::Lagged));
    let told = drain(&mut told_a);
    assert!(told.iter().any(|event| matches!(event, Event::Change { .. })));
    assert!(!told.contains(&Event::Lagged), "publishing changes no rows");
    let mut live = a.observe(a.table("t").query()).unwrap();
    let (rows, mut live) =
        run.executor.complete(async move { (live.next().await.unwrap().unwrap().len(), live) });
    assert_eq!(rows, 1);
    run.put(&b, "of b", 2);
    run.pass(8);
    assert!(drain(&mut told_a).contains(&Event::Lagged));
    assert_eq!(run.executor.complete(async move { live.next().await.unwrap().unwrap().len() }), 2);
    assert_eq!(changes(&run.mailbox).len(), 2);

    // A push message reaches the one that leads.
    let begin = run.world.now_ms();
    a.poke();
    run.pass(6);
    assert_eq!(run.mailbox.pulls(begin).len(), 1);
    run.pass(6);
    assert_eq!(run.mailbox.pulls(begin).len(), 1);

    assert_eq!(run.status(&a).background, Background::Elsewhere);
    // Suspending gives the lease up; the other takes it at once.
    let leaving = b.clone();
    run.executor.complete(async move { leaving.suspend().await.unwrap() });
    run.pass(3);
    assert!(leads(&mut run, &a));
    // The one that the user looks at leads.
    let coming = b.clone();
    run.executor.complete(async move { coming.resume().await.unwrap() });
    run.pass(61);
    assert_eq!((leads(&mut run, &a), leads(&mut run, &b)), (false, true));
    // A holder that is gone without a word loses it in time.
    drop((b, told_b));
    run.put(&a, "last", 3);
    run.pass(90);
    assert!(leads(&mut run, &a));
    assert_eq!(run.status(&a).pending.count, 0);
}

#[test]
fn two_who_publish_at_once_write_every_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new();
    let a = run.online(file(folder.path()));
    let b = run.online(file(folder.path()));
    for round in 0..20 {
        for (name, db) in [("a", &a), ("b", &b)] {
            let (db, id) = (db.clone(), format!("{name}{round}"));
            run.executor.complete(async move {
                db.batch(|batch| batch.table("t").put(id, &json!({"v": round}))).await.unwrap();
            });
        }
        run.mailbox.latency.store(5, Ordering::Relaxed);
        // Now and then every upload happens, and the answers are lost; both try again.
        run.mailbox.loses_answers.store(round % 5 == 4, Ordering::Relaxed);
        let (one, two) = (a.clone(), b.clone());
        run.executor.complete(async move {
            let _ = futures_util::future::join(one.sync(), two.sync()).await;
        });
        run.mailbox.loses_answers.store(false, Ordering::Relaxed);
        run.mailbox.latency.store(0, Ordering::Relaxed);
    }
    let last = a.clone();
    run.executor.complete(async move { last.sync().await.unwrap() });
    assert_eq!(changes(&run.mailbox).len(), 40);
}

#[test]
fn a_mark_is_published_when_all_before_it_is_confirmed() {
    let mut run = Run::new();
    let db = run.open(StoreLocation::Memory);
    run.put(&db, "before the mesh", 1);
    let early = db.write_mark().unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let wait = |db: &Interocitor, mark: WriteMark, name: &'static str| {
        let (db, done) = (db.clone(), Arc::clone(&done));
        async move {
            let outcome = db.await_published(&mark).await.map_err(|error| error.code().as_str());
            done.lock().unwrap().push((name, outcome));
        }
    };
    run.executor.add(wait(&db, early, "early"));
    run.pass(100);
    assert!(done.lock().unwrap().is_empty());
    run.mailbox.refuse(|operation| (operation == "write").then_some((MailboxErrorKind::Unavailable, None)));
    let connecting = db.clone();
    run.executor.complete(async move { drop(connecting.connect().await.unwrap()) });
    assert!(done.lock().unwrap().is_empty());
    run.mailbox.refuse(|_| None);
    run.pass(30);
    assert_eq!(std::mem::take(&mut *done.lock().unwrap()), [("early", Ok(()))]);

    // Nothing waits: done at once.
    let mark = db.write_mark().unwrap();
    run.executor.complete(wait(&db, mark, "nothing"));
    // One large batch goes out in parts, the last of which counts.
    let big = db.clone();
    run.executor.complete(async move {
        big.batch(|batch| {
            (0..8).try_for_each(|n| {
                batch.table("t").put(format!("big{n}"), &json!({"v": "x".repeat(2_000_000)}))
            })
        })
        .await
        .unwrap();
    });
    let mark = db.write_mark().unwrap();
    run.executor.add(wait(&db, mark, "big"));
    let parts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&parts);
    run.mailbox.refuse(move |operation| {
        let refuses = operation == "write" && counted.fetch_add(1, Ordering::SeqCst) >= 2;
        refuses.then_some((MailboxErrorKind::Unavailable, None))
    });
    run.pass(10);
    assert!(parts.load(Ordering::SeqCst) > 2);
    assert_eq!(std::mem::take(&mut *done.lock().unwrap()), [("nothing", Ok(()))]);
    run.mailbox.refuse(|_| None);
    run.pass(60);
    assert_eq!(std::mem::take(&mut *done.lock().unwrap()), [("big", Ok(()))]);

    db.set_network(false);
    run.put(&db, "late", 1);
    let mark = db.write_mark().unwrap();
    run.executor.add(wait(&db, mark, "late"));
    run.pass(10);
    let ending = db.clone();
    run.executor.complete(async move { ending.shutdown().await.unwrap() });
    run.pass(3);
    assert_eq!(std::mem::take(&mut *done.lock().unwrap()), [("late", Err("SHUT_DOWN"))]);
}

#[test]
fn the_status_streams_what_goes_on_and_ends() {
    let mut run = Run::new();
    let writer = run.online(StoreLocation::Memory);
    for n in 0..6 {
        let (db, id) = (writer.clone(), format!("r{n}"));
        run.executor.complete(async move {
            db.table("t").put(id, &json!({"v": "x".repeat(500)})).await.unwrap();
            db.sync().await.unwrap();
        });
    }
    let db = run.open(StoreLocation::Memory);
    let seen: Arc<Mutex<Vec<(u64, Status)>>> = Arc::default();
    let (watching, noted, world) = (db.clone(), Arc::clone(&seen), Arc::clone(&run.world));
    run.executor.add(async move {
        let mut statuses = watching.watch_status().unwrap();
        drop(watching);
        while let Some(status) = statuses.next().await {
            noted.lock().unwrap().push((world.now_ms(), status.unwrap()));
        }
        noted.lock().unwrap().clear();
    });
    run.executor.run_for(10);
    assert_eq!(seen.lock().unwrap().len(), 1);
    run.mailbox.latency.store(300, Ordering::Relaxed);
    let connecting = db.clone();
    assert!(run.executor.complete(async move { connecting.connect().await.unwrap().is_online() }));
    run.pass(2);
    let steps = std::mem::take(&mut *seen.lock().unwrap());
    assert!(steps.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 250 && pair[0].1 != pair[1].1));
    let phases: Vec<Phase> =
        steps.iter().filter_map(|(_, status)| status.operation.map(|now| now.phase)).collect();
    assert!(phases.contains(&Phase::Connecting) && phases.contains(&Phase::Pulling), "{phases:?}");
    let pulling =
        steps.iter().filter_map(|(_, status)| status.operation).find(|now| now.phase == Phase::Pulling);
    let pulling = pulling.unwrap();
    assert_eq!(pulling.files_total, Some(6));
    assert!(pulling.bytes_total.unwrap() > 3000);
    let last = &steps.last().unwrap().1;
    assert_eq!((last.connection, last.operation, last.pending.count), (ConnectionStatus::Idle, None, 0));
    assert!(last.last_sync_ms.is_some());
    // A burst of writes is a few values only.
    for n in 0..50 {
        run.put(&db, &format!("w{n}"), n);
    }
    run.executor.run_for(1000);
    let count = seen.lock().unwrap().len();
    assert!((1..=5).contains(&count), "{count}");
    run.executor.complete(async move { db.shutdown().await.unwrap() });
    run.pass(1);
    assert!(seen.lock().unwrap().is_empty(), "it ended");
}
