//! The interface as Swift and Kotlin use it, with their side played in Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use interocitor_ffi::{
    BiometricPrompt, CancelToken, Condition, Configuration, Connection, ConnectionState, CredentialStore,
    Event, EventListener, Failure, Filter, Interocitor, JoinPolicy, LogLevel, LogRecord, LogSink, Mailbox,
    MailboxCapabilities, MailboxFailure, MailboxFault, MailboxFile, MergeConflict, MergeFunction, MergeRule,
    MergeStrategy, MeshConfiguration, Order, Publish, QueryOptions, SchemaPolicy, StorageAdapter,
    StoredCredentials, TokenProvider, WebDavOptions, describe_failure, library_version, set_aside_store,
    set_log_sink,
};

use serde_json::json;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Polls as a foreign executor does: on a thread that knows nothing of tokio.
fn wait<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        thread::park();
    }
}

fn configuration() -> Configuration {
    Configuration {
        app_name: "test".into(),
        path: None,
        remote_path: Some("/Mesh".into()),
        passphrase: Some(PASSPHRASE.into()),
        encrypted: true,
        credentials: None,
        biometrics: None,
        device_id: None,
        device_name: None,
        device_type: None,
        server_managed: false,
        server_id: "server_relay_1".into(),
        schema: None,
        schema_policy: SchemaPolicy::Exact,
        merge: MergeStrategy::LastWriterWins,
        merge_rules: Vec::new(),
        join_policy: JoinPolicy::ResetToRemote,
        publish: Publish::FullRows,
        full_durability: false,
        batch_window_ms: 1000,
        flush_debounce_ms: 2000,
        flush_threshold: 50,
        poll_interval_ms: 30_000,
        connect_stage_timeout_ms: 15_000,
        auto_sync: false,
    }
}

fn open(change: impl FnOnce(&mut Configuration)) -> Interocitor {
    let mut configuration = configuration();
    change(&mut configuration);
    wait(Interocitor::open(configuration)).unwrap()
}

fn member(mailbox: &Arc<Mailbox>, change: impl FnOnce(&mut Configuration)) -> Interocitor {
    let db = open(change);
    wait(db.set_remote_storage(Some(Arc::clone(mailbox)))).unwrap();
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    db
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    let (Failure::Remote { code, .. }
    | Failure::Mesh { code, .. }
    | Failure::Credential { code, .. }
    | Failure::Store { code, .. }
    | Failure::Rejected { code, .. }
    | Failure::Cancelled { code, .. }
    | Failure::Closed { code, .. }) = outcome.unwrap_err();
    code
}

fn text(json: Option<Vec<u8>>) -> Option<String> {
    json.map(|json| String::from_utf8(json).unwrap())
}

/// A row by meaning: the order of its columns is nobody's business.
fn row(json: Option<Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(&json.unwrap()).unwrap()
}

fn broken() -> Failure {
    Failure::Rejected { code: "INVALID_ARGUMENT".into(), reason: "the app threw".into(), retryable: false }
}

#[test]
fn rows_batches_and_queries() {
    let db = open(|_| {});
    assert_eq!(db.app_name(), "test");
    assert!(!db.device_id().is_empty());
    assert_eq!(library_version(), env!("CARGO_PKG_VERSION"));
    let todos = db.table("todos".into());
    assert_eq!(todos.name(), "todos");
    let id = wait(todos.add(br#"{"rank":1}"#.to_vec(), Some("todo".into()))).unwrap();
    assert!(id.starts_with("todo_"));
    wait(todos.put("a".into(), br#"{"rank":2,"done":false}"#.to_vec())).unwrap();
    wait(todos.put("a".into(), br#"{"done":true}"#.to_vec())).unwrap();
    assert_eq!(row(wait(todos.row("a".into())).unwrap()), json!({"done": true, "rank": 2}));
    wait(todos.replace("a".into(), br#"{"rank":3}"#.to_vec())).unwrap();
    assert_eq!(row(wait(todos.row("a".into())).unwrap()), json!({"done": null, "rank": 3}));

    let batch = db.begin_batch().unwrap();
    batch.put("todos".into(), "b".into(), br#"{"rank":5}"#.to_vec()).unwrap();
    batch.replace("todos".into(), "c".into(), br#"{"rank":7}"#.to_vec()).unwrap();
    let added = batch.add("log".into(), b"{}".to_vec(), None).unwrap();
    batch.delete("todos".into(), id).unwrap();
    assert_eq!(text(batch.row("todos".into(), "b".into()).unwrap()).unwrap(), r#"{"rank":5}"#);
    assert_eq!(text(wait(todos.row("b".into())).unwrap()), None);
    wait(batch.commit()).unwrap();
    assert_eq!(code(wait(batch.commit())), "INVALID_ARGUMENT");
    assert_eq!(code(batch.delete("t".into(), "x".into())), "INVALID_ARGUMENT");
    assert_eq!(wait(db.table_names()).unwrap().len(), 2);
    assert!(wait(db.dump()).unwrap().contains(&added));

    let options = |filters, limit| QueryOptions {
        filters,
        order: vec![Order { field: "rank".into(), descending: true }],
        limit,
        offset: 0,
    };
    let above = |value: &str| {
        vec![Filter { field: "rank".into(), condition: Condition::AboveOrEqual { value: value.into() } }]
    };
    let query = todos.query(options(above("4"), None)).unwrap();
    assert_eq!(wait(query.count()).unwrap(), 2);
    let page = String::from_utf8(wait(query.rows(None)).unwrap()).unwrap();
    assert_eq!(page, r#"[{"id":"c","row":{"rank":7}},{"id":"b","row":{"rank":5}}]"#);
    assert_eq!(code(todos.query(options(above("?"), None))), "INVALID_ARGUMENT");
    assert_eq!(code(todos.query(options(Vec::new(), Some(-1)))), "INVALID_ARGUMENT");
    assert_eq!(code(wait(todos.put("x".into(), b"[1]".to_vec()))), "INVALID_ARGUMENT");
    assert_eq!(code(wait(todos.put("x".into(), vec![0xff]))), "INVALID_ARGUMENT");
    wait(todos.delete("c".into())).unwrap();
    assert_eq!(wait(query.count()).unwrap(), 1);

    wait(db.shutdown()).unwrap();
    for outcome in [
        wait(todos.put("x".into(), b"{}".to_vec())),
        wait(query.rows(None)).map(drop),
        wait(db.status()).map(drop),
        db.begin_batch().map(drop),
        query.observe().map(drop),
    ] {
        assert_eq!(code(outcome), "SHUT_DOWN");
    }
}

#[test]
fn every_condition_arrives() {
    let db = open(|_| {});
    let table = db.table("t".into());
    for (id, row) in
        [("1", r#"{"v":1}"#), ("2", r#"{"v":2}"#), ("3", r#"{"v":3}"#), ("s", r#"{"v":"straw"}"#)]
    {
        wait(table.put(id.into(), row.as_bytes().to_vec())).unwrap();
    }
    let one = |value: &str| value.to_owned();
    let cases: [(Condition, &str); 9] = [
        (Condition::Equals { value: one("2") }, "2"),
        (Condition::Above { value: one("1") }, "23"),
        (Condition::AboveOrEqual { value: one("2") }, "23"),
        (Condition::Below { value: one("3") }, "12"),
        (Condition::BelowOrEqual { value: one("2") }, "12"),
        (Condition::Between { low: one("1"), high: one("3"), low_open: true, high_open: false }, "23"),
        (Condition::Between { low: one("1"), high: one("3"), low_open: false, high_open: true }, "12"),
        (Condition::StartsWith { prefix: one("str") }, "s"),
        (Condition::AnyOf { values: vec![one("1"), one("\"straw\"")] }, "1s"),
    ];
    for (condition, wanted) in cases {
        let shown = format!("{condition:?}");
        let options = QueryOptions {
            filters: vec![Filter { field: "v".into(), condition }],
            ..QueryOptions::default()
        };
        let page = wait(table.query(options).unwrap().rows(None)).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&page).unwrap();
        let ids: String = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted, "{shown}");
    }
}

#[test]
fn live_queries_are_asked_and_ended() {
    let db = open(|_| {});
    let table = db.table("t".into());
    let live = table.query(QueryOptions::default()).unwrap().observe().unwrap();
    assert_eq!(text(wait(live.next()).unwrap()).unwrap(), "[]");
    wait(table.put("a".into(), br#"{"v":1}"#.to_vec())).unwrap();
    assert_eq!(text(wait(live.next()).unwrap()).unwrap(), r#"[{"id":"a","row":{"v":1}}]"#);
    let waiting = Arc::clone(&live);
    let waiter = thread::spawn(move || wait(waiting.next()).unwrap());
    thread::sleep(Duration::from_millis(50));
    assert!(!waiter.is_finished());
    live.cancel();
    assert_eq!(waiter.join().unwrap(), None);
    assert_eq!(wait(live.next()).unwrap(), None);
    let ends = table.query(QueryOptions::default()).unwrap().observe().unwrap();
    wait(ends.next()).unwrap();
    wait(db.shutdown()).unwrap();
    assert_eq!(wait(ends.next()).unwrap(), None);
}

/// Passes on what it hears, and does what it is told to.
struct Listener<F>(Mutex<mpsc::Sender<Vec<Event>>>, F);

impl<F: Fn(&[Event]) -> Result<(), Failure> + Send + Sync> EventListener for Listener<F> {
    fn on_events(&self, events: Vec<Event>) -> Result<(), Failure> {
        let outcome = (self.1)(&events);
        let _ = self.0.lock().unwrap().send(events);
        outcome
    }
}

fn listener<F: Fn(&[Event]) -> Result<(), Failure> + Send + Sync + 'static>(
    act: F,
) -> (Arc<dyn EventListener>, mpsc::Receiver<Vec<Event>>) {
    let (sender, heard) = mpsc::channel();
    (Arc::new(Listener(Mutex::new(sender), act)), heard)
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn listeners_hear_each_commit_until_they_are_cancelled() {
    let db = open(|_| {});
    let (first, heard) = listener(|_| Ok(()));
    let subscription = db.subscribe(first).unwrap();
    wait(db.table("t".into()).put("a".into(), br#"{"v":1}"#.to_vec())).unwrap();
    let change = Event::Change { table: "t".into(), row_ids: vec!["a".into()] };
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), [change]);
    subscription.cancel();
    wait(db.table("t".into()).put("b".into(), br#"{"v":1}"#.to_vec())).unwrap();
    // The listener is let go, and with it the sender.
    assert!(heard.recv_timeout(PATIENCE).is_err());

    let (second, heard) = listener(|_| Ok(()));
    drop(db.subscribe(second).unwrap());
    assert!(heard.recv_timeout(PATIENCE).is_err(), "a subscription that nobody holds is over");

    let (third, heard) = listener(|_| Ok(()));
    let _subscription = db.subscribe(third).unwrap();
    wait(db.shutdown()).unwrap();
    assert!(heard.recv_timeout(PATIENCE).is_err(), "shutdown lets go of listeners");
    let (fourth, _heard) = listener(|_| Ok(()));
    assert_eq!(code(db.subscribe(fourth)), "SHUT_DOWN");
}

#[test]
fn a_listener_that_throws_panics_or_calls_back_does_no_harm() {
    let db = Arc::new(open(|_| {}));
    let (throws, heard) = listener(|_| Err(broken()));
    let _throwing = db.subscribe(throws).unwrap();
    let (panics, _) = listener(|_| panic!("the app fell over"));
    let _panicking = db.subscribe(panics).unwrap();
    let inner = Arc::clone(&db);
    let (calls, called) = listener(move |events| {
        if events.iter().any(|event| matches!(event, Event::Change { table, .. } if table == "t")) {
            wait(inner.table("echo".into()).put("e".into(), br#"{"v":1}"#.to_vec()))?;
        }
        Ok(())
    });
    let _calling = db.subscribe(calls).unwrap();
    for id in ["a", "b"] {
        wait(db.table("t".into()).put(id.into(), br#"{"v":1}"#.to_vec())).unwrap();
        heard.recv_timeout(PATIENCE).unwrap();
        called.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(wait(db.table_names()).unwrap().len(), 2);
}

#[test]
fn a_listener_that_blocks_holds_up_nobody_and_learns_that_it_lags() {
    let mailbox = Arc::new(Mailbox::memory());
    let db = member(&mailbox, |_| {});
    let gate = Arc::new(AtomicBool::new(false));
    let shut = Arc::clone(&gate);
    let (blocks, heard) = listener(move |_| {
        while !shut.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    });
    let _subscription = db.subscribe(blocks).unwrap();
    for at in 0..400 {
        wait(db.table(format!("t{at}")).put("r".into(), br#"{"v":1}"#.to_vec())).unwrap();
    }
    wait(db.sync(None)).unwrap();
    assert_eq!(wait(db.status()).unwrap().pending_count, 0);
    gate.store(true, Ordering::SeqCst);
    heard.recv_timeout(PATIENCE).unwrap();
    assert!(heard.recv_timeout(PATIENCE).unwrap().contains(&Event::Lagged));
}

#[test]
fn fifty_thousand_changes_in_one_pull_are_told_once_a_commit() {
    let mailbox = Arc::new(Mailbox::memory());
    let writer = member(&mailbox, |_| {});
    let reader = member(&mailbox, |_| {});
    let batch = writer.begin_batch().unwrap();
    for at in 0..5000 {
        batch.put("t".into(), at.to_string(), br#"{"v":1}"#.to_vec()).unwrap();
    }
    wait(batch.commit()).unwrap();
    wait(writer.sync(None)).unwrap();
    let (counts, heard) = listener(|_| Ok(()));
    let _subscription = reader.subscribe(counts).unwrap();
    assert_eq!(wait(reader.pull(None)).unwrap(), 5000);
    let (mut calls, mut ids) = (0, 0);
    while ids < 5000 {
        for event in heard.recv_timeout(PATIENCE).unwrap() {
            if let Event::Change { row_ids, .. } = event {
                calls += 1;
                ids += row_ids.len();
            }
        }
    }
    assert_eq!((calls, ids), (1, 5000));
}

#[test]
fn a_cancelled_call_stops_and_leaves_things_whole() {
    struct Silent;
    #[async_trait]
    impl TokenProvider for Silent {
        async fn token(&self, _: Option<String>) -> Result<String, MailboxFailure> {
            std::future::pending().await
        }
    }
    let options = WebDavOptions {
        url: "http://127.0.0.1:9/".into(),
        user: None,
        password: None,
        token: None,
        token_provider: Some(Arc::new(Silent)),
        authorities: None,
        timeout_ms: 60_000,
    };
    let db = Arc::new(open(|_| {}));
    wait(db.set_remote_storage(Some(Arc::new(Mailbox::webdav(options).unwrap())))).unwrap();
    let cancel = Arc::new(CancelToken::new());
    let (token, handle) = (Arc::clone(&cancel), Arc::clone(&db));
    let connecting = thread::spawn(move || wait(handle.connect(Some(token))));
    while db.connection_state() != ConnectionState::Connecting {
        thread::yield_now();
    }
    let begin = Instant::now();
    cancel.cancel();
    assert!(cancel.is_cancelled());
    assert_eq!(code(connecting.join().unwrap()), "CANCELLED");
    assert!(begin.elapsed() < PATIENCE);
    let ended = Instant::now();
    while db.connection_state() != ConnectionState::Offline && ended.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(db.connection_state(), ConnectionState::Offline);
    assert_eq!(code(wait(db.connect(Some(cancel)))), "CANCELLED", "a token stays cancelled");
    wait(db.table("t".into()).put("r".into(), b"{}".to_vec())).unwrap();
}

/// A remote written outside the engine.
#[derive(Default)]
struct Shelf {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    fault: Mutex<Option<MailboxFault>>,
    calls: AtomicUsize,
}

impl Shelf {
    fn touch(&self) -> Result<(), MailboxFailure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.fault.lock().unwrap() {
            Some(fault) => {
                Err(MailboxFailure::Failed { fault, reason: "on purpose".into(), retry_after_ms: Some(5) })
            }
            None => Ok(()),
        }
    }

    fn fail<T>(fault: MailboxFault) -> Result<T, MailboxFailure> {
        Err(MailboxFailure::Failed { fault, reason: "no".into(), retry_after_ms: None })
    }
}

#[async_trait]
impl StorageAdapter for Shelf {
    async fn authenticate(&self) -> Result<MailboxCapabilities, MailboxFailure> {
        self.touch()?;
        Ok(MailboxCapabilities { exclusive_create: true, conditional_replace: false, max_body: None })
    }

    async fn ensure_folder(&self, _: String) -> Result<(), MailboxFailure> {
        self.touch()
    }

    async fn list_files(&self, folder: String) -> Result<Vec<MailboxFile>, MailboxFailure> {
        self.touch()?;
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let files = self.files.lock().unwrap();
        let names = files.iter().filter_map(|(path, body)| {
            let name = path.strip_prefix(&prefix).filter(|name| !name.contains('/'))?;
            let size = i64::try_from(body.len()).unwrap();
            Some(MailboxFile {
                name: name.into(),
                path: path.clone(),
                size: Some(size),
                modified_ms: None,
                etag: None,
            })
        });
        Ok(names.collect())
    }

    async fn list_folders(&self, _: String) -> Result<Vec<String>, MailboxFailure> {
        self.touch()?;
        Ok(Vec::new())
    }

    async fn read_file(&self, path: String) -> Result<Vec<u8>, MailboxFailure> {
        self.touch()?;
        match self.files.lock().unwrap().get(&path) {
            Some(body) => Ok(body.clone()),
            None => Self::fail(MailboxFault::NotFound),
        }
    }

    async fn write_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure> {
        self.touch()?;
        self.files.lock().unwrap().insert(path, body);
        Ok(())
    }

    async fn create_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure> {
        self.touch()?;
        let mut files = self.files.lock().unwrap();
        if files.contains_key(&path) {
            return Self::fail(MailboxFault::AlreadyExists);
        }
        files.insert(path, body);
        Ok(())
    }

    async fn replace_file(&self, path: String, body: Vec<u8>, _: String) -> Result<(), MailboxFailure> {
        self.write_file(path, body).await
    }

    async fn delete_file(&self, path: String) -> Result<(), MailboxFailure> {
        self.touch()?;
        self.files.lock().unwrap().remove(&path);
        Ok(())
    }

    async fn metadata(&self, path: String) -> Result<Option<MailboxFile>, MailboxFailure> {
        let files = self.list_files(path.rsplit_once('/').unwrap().0.to_owned()).await?;
        Ok(files.into_iter().find(|file| file.path == path))
    }
}

#[test]
fn a_custom_adapter_carries_a_mesh_and_its_faults_have_their_codes() {
    let shelf = Arc::new(Shelf::default());
    let mailbox = Arc::new(Mailbox::custom(Arc::clone(&shelf) as Arc<dyn StorageAdapter>));
    assert_eq!(mailbox.kind(), "custom");
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    wait(a.table("t".into()).put("r".into(), br#"{"v":"secret"}"#.to_vec())).unwrap();
    wait(a.sync(None)).unwrap();
    wait(b.sync(None)).unwrap();
    assert_eq!(text(wait(b.table("t".into()).row("r".into())).unwrap()).unwrap(), r#"{"v":"secret"}"#);
    assert!(
        !shelf.files.lock().unwrap().values().any(|body| String::from_utf8_lossy(body).contains("secret"))
    );
    let table = [
        (MailboxFault::Offline, "OFFLINE"),
        (MailboxFault::Timeout, "REMOTE_TIMEOUT"),
        (MailboxFault::Unauthorized, "REMOTE_ACCESS"),
        (MailboxFault::RateLimited, "REMOTE_ACCESS"),
        (MailboxFault::QuotaFull, "QUOTA_FULL"),
        (MailboxFault::NotFound, "REMOTE_MISSING"),
    ];
    for (fault, wanted) in table {
        *shelf.fault.lock().unwrap() = Some(fault);
        assert_eq!(code(wait(a.sync(None))), wanted, "{fault:?}");
    }
    *shelf.fault.lock().unwrap() = None;
    wait(a.sync(None)).unwrap();
}

/// Passphrase, device, mesh, sealed copy.
type Record = (Option<String>, String, Option<String>, Option<Vec<u8>>);

/// A keychain and a finger, both of which may fail.
#[derive(Default)]
struct Chain {
    saved: Mutex<BTreeMap<String, Record>>,
    broken: AtomicBool,
    refuses: AtomicBool,
}

#[async_trait]
impl CredentialStore for Chain {
    async fn load(&self, name: String) -> Result<Option<StoredCredentials>, Failure> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let saved = self.saved.lock().unwrap().get(&name).cloned();
        Ok(saved.map(|(passphrase, device_id, mesh_id, sealed)| StoredCredentials {
            passphrase,
            device_id,
            mesh_id,
            sealed,
        }))
    }

    async fn save(&self, name: String, given: StoredCredentials) -> Result<(), Failure> {
        let record = (given.passphrase, given.device_id, given.mesh_id, given.sealed);
        self.saved.lock().unwrap().insert(name, record);
        Ok(())
    }

    async fn clear(&self, name: String) -> Result<(), Failure> {
        self.saved.lock().unwrap().remove(&name);
        Ok(())
    }
}

#[async_trait]
impl BiometricPrompt for Chain {
    async fn seal(&self, secret: Vec<u8>, _: String) -> Result<Vec<u8>, Failure> {
        Ok(secret.into_iter().rev().collect())
    }

    async fn unseal(&self, sealed: Vec<u8>, _: String) -> Result<Vec<u8>, Failure> {
        if self.refuses.load(Ordering::SeqCst) {
            let (code, reason) = ("USER_CANCELLED".into(), "cancelled".into());
            return Err(Failure::Cancelled { code, reason, retryable: false });
        }
        Ok(sealed.into_iter().rev().collect())
    }
}

#[test]
fn keychains_and_biometrics_of_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db").display().to_string();
    let chain = Arc::new(Chain::default());
    let mailbox = Arc::new(Mailbox::memory());
    let with = |chain: &Arc<Chain>| {
        let chain = Arc::clone(chain);
        let path = path.clone();
        move |configuration: &mut Configuration| {
            configuration.path = Some(path);
            configuration.passphrase = None;
            configuration.credentials = Some(Arc::clone(&chain) as _);
            configuration.biometrics = Some(chain as _);
        }
    };
    let db = member(&mailbox, with(&chain));
    let passphrase = db.get_passphrase().unwrap();
    wait(db.secure_with_biometrics("why".into())).unwrap();
    wait(db.disconnect()).unwrap();
    wait(db.clear_credentials()).unwrap();
    assert_eq!(db.get_passphrase(), None);
    assert_eq!(code(wait(db.connect(None))), "PASSPHRASE_REQUIRED");
    chain.refuses.store(true, Ordering::SeqCst);
    assert_eq!(code(wait(db.restore_with_biometrics("why".into()))), "USER_CANCELLED");
    chain.refuses.store(false, Ordering::SeqCst);
    wait(db.restore_with_biometrics("why".into())).unwrap();
    assert_eq!(db.get_passphrase(), Some(passphrase));
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    wait(db.shutdown()).unwrap();
    chain.broken.store(true, Ordering::SeqCst);
    let mut configuration = configuration();
    with(&chain)(&mut configuration);
    assert_eq!(code(wait(Interocitor::open(configuration))), "CREDENTIALS_UNAVAILABLE");
}

/// Takes the greater number, or misbehaves.
struct Greatest(AtomicUsize);

impl MergeFunction for Greatest {
    fn merge(&self, conflicts: Vec<MergeConflict>) -> Result<Vec<String>, Failure> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(conflicts.into_iter().map(|met| met.local.max(met.remote)).collect()),
            1 => Err(broken()),
            2 => Ok(Vec::new()),
            _ => Ok(conflicts.into_iter().map(|_| "no JSON".into()).collect()),
        }
    }
}

#[test]
fn merge_functions_of_the_app_decide_and_may_misbehave() {
    for mode in 0..4 {
        let mailbox = Arc::new(Mailbox::memory());
        let with_rule = |configuration: &mut Configuration| {
            let function = Arc::new(Greatest(AtomicUsize::new(mode)));
            configuration.merge_rules =
                vec![MergeRule { table: "t".into(), field: Some("score".into()), function }];
        };
        let (a, b) = (member(&mailbox, with_rule), member(&mailbox, with_rule));
        for (db, row) in [(&a, r#"{"score":9,"by":"a"}"#), (&b, r#"{"score":5,"by":"b"}"#)] {
            wait(db.table("t".into()).put("r".into(), row.as_bytes().to_vec())).unwrap();
            thread::sleep(Duration::from_millis(3));
        }
        for db in [&a, &b, &a, &b] {
            wait(db.sync(None)).unwrap();
        }
        let wanted = json!({"by": "b", "score": if mode == 0 { 9 } else { 5 }});
        for db in [&a, &b] {
            assert_eq!(row(wait(db.table("t".into()).row("r".into())).unwrap()), wanted, "{mode}");
        }
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| Some(folder.path().join(name).display().to_string());
    let failing = |change: &dyn Fn(&mut Configuration)| {
        let mut configuration = configuration();
        change(&mut configuration);
        code(wait(Interocitor::open(configuration)))
    };
    std::fs::write(folder.path().join("garbage"), "no database").unwrap();
    assert_eq!(failing(&|configuration| configuration.path = place("garbage")), "STORE_CORRUPT");
    assert_eq!(failing(&|configuration| configuration.path = place("missing/t.db")), "STORE_OPEN");
    assert_eq!(failing(&|configuration| configuration.path = Some(String::new())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.schema = Some("{".into())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.device_id = Some("a b".into())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.poll_interval_ms = -1), "INVALID_ARGUMENT");
    let aside = wait(set_aside_store(place("garbage").unwrap())).unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), b"no database");
    let db = open(|configuration| configuration.path = place("garbage"));
    let stores = db.connected_stores();
    stores.put(r#"{"id":"s"}"#.into()).unwrap();
    assert_eq!((stores.list().unwrap().len(), stores.get("s".into()).unwrap().is_some()), (1, true));
    assert!(stores.remove("s".into()).unwrap());
    assert_eq!(code(stores.put("{}".into())), "INVALID_ARGUMENT");
    wait(db.suspend()).unwrap();
    assert_eq!(code(wait(db.status())), "SUSPENDED");
    wait(db.resume()).unwrap();
    db.set_foreground(false);
    assert_eq!(wait(db.quarantined()).unwrap(), []);
    let failure = wait(db.devices(None)).unwrap_err();
    assert!(describe_failure(failure.clone()).contains("connect first"), "{failure}");
    let empty =
        MeshConfiguration { remote_path: "/M".into(), passphrase: Some(PASSPHRASE.into()), encrypted: true };
    wait(db.set_remote_storage(Some(Arc::new(Mailbox::memory())))).unwrap();
    assert_eq!(code(wait(db.join(empty, None))), "REMOTE_MISSING");
    assert_eq!(code(wait(db.rebuild_remote(None))), "INVALID_ARGUMENT");
    assert_eq!(code(db.set_passphrase("no base58: 0OIl".into())), "PASSPHRASE_WRONG");
    assert_eq!(code(wait(db.sync_once(-1, None))), "INVALID_ARGUMENT");
    wait(db.sync_once(20_000, None)).unwrap();
    assert_eq!(wait(db.devices(None)).unwrap().len(), 1);
    assert_eq!(wait(db.flush(None)).unwrap(), 0);
}

#[test]
fn webdav_options_exclude_each_other_and_show_no_secret() {
    let options = |user: Option<&str>, token: Option<&str>, url: &str| WebDavOptions {
        url: url.into(),
        user: user.map(Into::into),
        password: user.map(|_| "s3cret".into()),
        token: token.map(Into::into),
        token_provider: None,
        authorities: None,
        timeout_ms: 1000,
    };
    for (user, token) in [(Some("u"), None), (None, Some("t")), (None, None)] {
        assert_eq!(Mailbox::webdav(options(user, token, "https://host/dav/")).unwrap().kind(), "webdav");
    }
    let both = Mailbox::webdav(options(Some("u"), Some("t"), "https://host/")).unwrap_err();
    assert!(both.to_string().contains("credentials"), "{both}");
    let bad = Mailbox::webdav(options(None, None, "ftp://u:s3cret@host/")).unwrap_err();
    assert!(!format!("{bad} {bad:?}").contains("s3cret"));
    assert_eq!(code(Err::<(), _>(bad)), "INVALID_ARGUMENT");
    assert!(!format!("{:?}", options(Some("u"), None, "https://u:s3cret@host/")).contains("s3cret"));
    let shown = format!("{:?}", configuration());
    assert!(!shown.contains(PASSPHRASE));
}

/// Collects lines; the first one takes its time.
struct Lines(Mutex<mpsc::Sender<LogRecord>>, AtomicBool);

impl LogSink for Lines {
    fn log(&self, record: LogRecord) -> Result<(), Failure> {
        while self.1.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.lock().unwrap().send(record);
        Err(broken())
    }
}

#[test]
fn a_log_sink_gets_lines_of_its_level_and_may_be_slow() {
    let (sender, lines) = mpsc::channel();
    let sink = Arc::new(Lines(Mutex::new(sender), AtomicBool::new(true)));
    set_log_sink(Some(Arc::clone(&sink) as _), LogLevel::Debug);
    let db = open(|_| {});
    for at in 0..3000 {
        wait(db.table("t".into()).put(format!("r{at}"), br#"{"v":"very private"}"#.to_vec())).unwrap();
        let _ = wait(db.connect(None));
    }
    sink.1.store(false, Ordering::SeqCst);
    let mut left_out = false;
    while !left_out {
        let _ = wait(db.connect(None));
        while let Ok(record) = lines.try_recv() {
            assert!(record.target.starts_with("interocitor"));
            assert!(!record.message.contains("very private") && !record.message.contains(PASSPHRASE));
            left_out |= record.message.contains("log lines were left out");
        }
        thread::sleep(Duration::from_millis(5));
    }
    set_log_sink(None, LogLevel::Error);
    let begin = Instant::now();
    while lines.recv_timeout(Duration::from_millis(200)).is_ok() && begin.elapsed() < PATIENCE {}
    let _ = wait(db.connect(None));
    assert!(lines.recv_timeout(Duration::from_millis(100)).is_err());
}
