//! What the tests share: the executor, databases, what crossed.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use interocitor_ffi::{
    Configuration, Connection, Failure, Interocitor, JoinPolicy, Mailbox, MergeStrategy, Publish,
    SchemaPolicy,
};

pub(crate) const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Polls as a foreign executor does: on a thread that knows nothing of tokio.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
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

pub(crate) fn configuration() -> Configuration {
    Configuration {
        app_name: "test".into(),
        path: None,
        store_encryption: None,
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
        auto_compact: None,
        file_form: None,
        max_file_bytes: 5_000_000_000,
        file_cache_bytes: 268_435_456,
        replicas: Vec::new(),
    }
}

pub(crate) fn open(change: impl FnOnce(&mut Configuration)) -> Interocitor {
    let mut configuration = configuration();
    change(&mut configuration);
    wait(Interocitor::open(configuration)).unwrap()
}

pub(crate) fn member(mailbox: &Arc<Mailbox>, change: impl FnOnce(&mut Configuration)) -> Interocitor {
    let db = open(change);
    wait(db.set_remote_storage(Some(Arc::clone(mailbox)))).unwrap();
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    db
}

pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    let (Failure::Remote { code, .. }
    | Failure::Mesh { code, .. }
    | Failure::Credential { code, .. }
    | Failure::Store { code, .. }
    | Failure::Rejected { code, .. }
    | Failure::Cancelled { code, .. }
    | Failure::Closed { code, .. }) = outcome.unwrap_err();
    code
}

pub(crate) fn text(json: Option<Vec<u8>>) -> Option<String> {
    json.map(|json| String::from_utf8(json).unwrap())
}

/// A row by meaning: the order of its columns is nobody's business.
pub(crate) fn row(json: Option<Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(&json.unwrap()).unwrap()
}

pub(crate) fn broken() -> Failure {
    Failure::Rejected { code: "INVALID_ARGUMENT".into(), reason: "the app threw".into(), retryable: false }
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
