//! What phones do to a database: background, suspension, short moments to sync, live lists, biometrics.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{
    faulty::{Failure, FaultyMailbox},
    open_at,
};
use interocitor_core::{
    Condition, ConnectionStatus, Direction, Error, Event, Interocitor, LiveQuery, Result, StoreLocation,
    Value,
    credentials::{BiometricPrompt, CredentialStore, MemoryCredentials},
    mailbox::{FolderMailbox, MailboxErrorKind, MemoryMailbox, StorageAdapter},
};
use serde_json::json;
use zeroize::Zeroizing;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> &'static str {
    outcome.unwrap_err().code().as_str()
}

async fn at(adapter: Arc<dyn StorageAdapter>, auto_sync: bool) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.auto_sync = auto_sync;
    })
    .await;
    db.set_remote_storage(Some(adapter)).await;
    db
}

#[cfg(target_os = "linux")]
fn open_files(of: &std::path::Path) -> Vec<String> {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    let folder = of.to_str().unwrap().to_owned();
    links.map(|link| link.display().to_string()).filter(|link| link.starts_with(&folder)).collect()
}

#[tokio::test]
async fn a_write_that_waits_for_another_process_holds_up_no_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = open_at(StoreLocation::File(path.clone()), |config| config.auto_sync = false).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn({
        let table = db.table("t");
        async move { table.put("r", &json!({"a": 1})).await }
    });
    // There is one thread: it comes back here only if the write does not keep it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!writing.is_finished());
    assert_eq!(db.table("t").row("r").await.unwrap(), None, "reads go on");
    other.execute_batch("COMMIT").unwrap();
    writing.await.unwrap().unwrap();
    assert!(db.table("t").row("r").await.unwrap().is_some());
    db.shutdown().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn suspend_lets_go_of_every_file_and_resume_takes_them_up() {
    let (folder, mailbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open_at(StoreLocation::File(folder.path().join("t.db")), |config| {
        config.passphrase = Some(PASSPHRASE.into());
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
    assert!(db.connect().await.unwrap().is_online());
    // Readers, writers and an exchange are under way while the app is sent away.
    let mut busy = Vec::new();
    for n in 0..8 {
        let db = db.clone();
        busy.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for at in 0.. {
                let id = format!("{n}-{at}");
                match db.table("t").put(&*id, &json!({"a": at})).await {
                    Ok(()) => acknowledged.push(id),
                    Err(error) => return (acknowledged, error),
                }
                let _ = db.query(&db.table("t").query()).await;
                if n == 0 {
                    let _ = db.sync().await;
                }
                tokio::task::yield_now().await;
            }
            unreachable!()
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!open_files(folder.path()).is_empty());
    db.suspend().await.unwrap();
    assert_eq!(open_files(folder.path()), Vec::<String>::new());
    assert_eq!(open_files(mailbox.path()), Vec::<String>::new());
    db.suspend().await.unwrap();
    let mut acknowledged = Vec::new();
    for task in busy {
        let (ids, error) = task.await.unwrap();
        assert!(matches!(error, Error::Suspended), "{error}");
        acknowledged.extend(ids);
    }
    assert!(!acknowledged.is_empty());
    assert_eq!(code(db.sync().await), "SUSPENDED");
    assert_eq!(code(db.status().await), "SUSPENDED");
    assert_eq!(code(db.sync_once(Duration::from_secs(1)).await), "SUSPENDED");
    assert_eq!(code(db.begin_batch()), "SUSPENDED");

    db.resume().await.unwrap();
    db.resume().await.unwrap();
    assert_eq!(db.count(&db.table("t").query()).await.unwrap(), acknowledged.len() as u64);
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    db.suspend().await.unwrap();
    db.shutdown().await.unwrap();
    assert_eq!(code(db.resume().await), "SHUT_DOWN");
    assert_eq!(code(db.suspend().await), "SHUT_DOWN");
}

#[tokio::test]
async fn suspend_and_disconnect_break_off_what_hangs() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory, |_, _| None);
    let db = at(Arc::new(mailbox.clone()), false).await;
    assert!(db.connect().await.unwrap().is_online());
    for is_suspend in [true, false] {
        db.table("t").put("r", &json!({"a": is_suspend})).await.unwrap();
        mailbox.set(|operation, _| (operation == "write").then_some(Failure::Hangs));
        let syncing = tokio::spawn({
            let db = db.clone();
            async move { db.sync().await }
        });
        while db.connection_status() != ConnectionStatus::Syncing {
            tokio::task::yield_now().await;
        }
        if is_suspend {
            db.suspend().await.unwrap();
            db.resume().await.unwrap();
        } else {
            db.disconnect().await;
        }
        assert_eq!(code(syncing.await.unwrap()), "CANCELLED");
        mailbox.set(|_, _| None);
        let status = db.status().await.unwrap();
        let wanted = if is_suspend { ConnectionStatus::Idle } else { ConnectionStatus::Offline };
        assert_eq!((status.connection, status.problem, status.pending.count), (wanted, None, 1));
        assert!(db.connect().await.unwrap().is_online());
        db.sync().await.unwrap();
        assert_eq!(db.status().await.unwrap().pending.count, 0);
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_true_status() {
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), |_, _| Some(Failure::Hangs));
    let db = at(Arc::new(mailbox.clone()), false).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), db.connect()).await.is_err());
    assert_eq!(db.connection_status(), ConnectionStatus::Offline);
    mailbox.set(|_, _| None);
    assert!(db.connect().await.unwrap().is_online());
    mailbox.set(|_, _| Some(Failure::Hangs));
    assert!(tokio::time::timeout(Duration::from_millis(50), db.sync()).await.is_err());
    assert_eq!(db.connection_status(), ConnectionStatus::Idle);
}

#[tokio::test(start_paused = true)]
async fn sync_once_connects_exchanges_and_keeps_to_its_deadline() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory.clone(), |_, _| None);
    let db = at(Arc::new(mailbox.clone()), true).await;
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync_once(Duration::from_secs(5)).await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    // It starts no background work; connecting afterwards does.
    db.table("t").put("r", &json!({"a": 2})).await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(db.status().await.unwrap().pending.count, 1);
    mailbox.set(|operation, _| (operation == "write").then_some(Failure::Hangs));
    let begin = tokio::time::Instant::now();
    assert_eq!(code(db.sync_once(Duration::from_secs(5)).await), "REMOTE_TIMEOUT");
    assert_eq!(begin.elapsed().as_secs(), 5);
    mailbox.set(|_, _| Some(Failure::Before(MailboxErrorKind::Offline)));
    assert_eq!(code(db.sync_once(Duration::from_secs(5)).await), "OFFLINE");
    mailbox.set(|_, _| None);
    assert!(db.connect().await.unwrap().is_online());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    db.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_app_that_nobody_sees_polls_ten_times_as_seldom() {
    let polls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&polls);
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), move |operation, _| {
        counted.fetch_add(u32::from(operation == "list"), Ordering::SeqCst);
        None
    });
    let db = at(Arc::new(mailbox), true).await;
    assert!(db.connect().await.unwrap().is_online());
    let during = async |time| {
        let before = polls.load(Ordering::SeqCst);
        tokio::time::sleep(time).await;
        polls.load(Ordering::SeqCst) - before
    };
    let seen = during(Duration::from_hours(1)).await;
    assert!((55..=70).contains(&seen), "{seen}");
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.set_foreground(false);
    during(Duration::from_millis(100)).await;
    assert_eq!(db.status().await.unwrap().pending.count, 0, "hiding publishes at once");
    let hidden = during(Duration::from_hours(1)).await;
    assert!((4..=8).contains(&hidden), "{hidden}");
    db.set_foreground(true);
    assert_eq!(during(Duration::from_millis(100)).await, 1, "coming back exchanges at once");
    db.set_foreground(true);
    assert_eq!(during(Duration::from_millis(100)).await, 0);
    db.shutdown().await.unwrap();
}

async fn ids(live: &mut LiveQuery) -> Vec<String> {
    live.next().await.unwrap().unwrap().iter().map(|row| row.id.to_string()).collect()
}

async fn is_quiet(live: &mut LiveQuery) -> bool {
    tokio::time::timeout(Duration::from_millis(80), live.next()).await.is_err()
}

#[tokio::test]
async fn a_live_query_gives_its_rows_now_and_after_every_change_of_them() {
    let mailbox = MemoryMailbox::new();
    let (a, b) = (at(Arc::new(mailbox.clone()), false).await, at(Arc::new(mailbox.clone()), false).await);
    let open = a.table("todos").query().filter("done", Condition::Equals(Value::parse("false").unwrap()));
    let mut live = a.observe(open.order_by("rank", Direction::Descending)).unwrap();
    assert_eq!(ids(&mut live).await, Vec::<String>::new());
    let put = async |db: &Interocitor, id: &str, done: bool, rank: u32| {
        db.table("todos").put(id, &json!({"done": done, "rank": rank})).await.unwrap();
    };
    put(&a, "one", false, 1).await;
    assert_eq!(ids(&mut live).await, ["one"]);
    // Of many changes only the last state is given.
    for rank in 2..20 {
        put(&a, &format!("more{rank}"), rank != 7, rank).await;
    }
    assert_eq!(ids(&mut live).await, ["more7", "one"]);
    // Changes that leave the rows as they were, and other tables, are passed over.
    put(&a, "hidden", true, 9).await;
    a.table("other").put("x", &json!({"done": false})).await.unwrap();
    put(&a, "one", false, 1).await;
    assert!(is_quiet(&mut live).await);
    // A change by another device wakes it, also while it waits.
    assert!(a.connect().await.unwrap().is_online());
    assert!(b.connect().await.unwrap().is_online());
    put(&b, "theirs", false, 99).await;
    b.table("todos").delete("one").await.unwrap();
    b.sync().await.unwrap();
    let waiting = tokio::spawn(async move {
        let found = ids(&mut live).await;
        (live, found)
    });
    tokio::task::yield_now().await;
    a.sync().await.unwrap();
    let (mut live, found) = waiting.await.unwrap();
    assert_eq!(found, ["theirs", "more7"]);
    let mut json = a.observe(a.table("other").query()).unwrap();
    assert_eq!(json.next_json().await.unwrap().unwrap(), br#"[{"id":"x","row":{"done":false}}]"#);
    a.shutdown().await.unwrap();
    assert!(live.next().await.is_none());
    assert!(json.next_json().await.is_none());
    assert_eq!(code(a.observe(a.table("t").query())), "SHUT_DOWN");
}

#[tokio::test]
async fn a_live_query_waits_while_the_database_is_suspended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    db.table("t").put("a", &json!({"v": 1})).await.unwrap();
    let mut live = db.observe(db.table("t").query()).unwrap();
    let mut fresh = db.observe(db.table("t").query()).unwrap();
    assert_eq!(ids(&mut live).await, ["a"]);
    db.suspend().await.unwrap();
    assert!(is_quiet(&mut live).await);
    assert!(is_quiet(&mut fresh).await);
    // Another process writes meanwhile.
    let other = open_at(StoreLocation::File(path), |_| {}).await;
    other.table("t").put("b", &json!({"v": 1})).await.unwrap();
    db.resume().await.unwrap();
    assert_eq!(ids(&mut live).await, ["a", "b"]);
    assert_eq!(ids(&mut fresh).await, ["a", "b"]);
}

/// Biometrics of a phone: a key that is there or gone, a user who agrees or not.
#[derive(Debug, Default)]
struct Finger {
    refuses: Mutex<bool>,
    is_enrolled_anew: Mutex<bool>,
    reasons: Mutex<Vec<String>>,
}

impl Finger {
    fn ask(&self, reason: &str) -> Result<()> {
        self.reasons.lock().unwrap().push(reason.to_owned());
        if *self.refuses.lock().unwrap() { Err(Error::UserCancelled) } else { Ok(()) }
    }
}

#[async_trait]
impl BiometricPrompt for Finger {
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, reason: &str) -> Result<Vec<u8>> {
        self.ask(reason)?;
        Ok(secret.iter().map(|byte| byte ^ 0x55).collect())
    }

    async fn unseal(&self, sealed: &[u8], reason: &str) -> Result<Zeroizing<Vec<u8>>> {
        if *self.is_enrolled_anew.lock().unwrap() {
            return Err(Error::CredentialInvalidated { reason: "a finger was added".into() });
        }
        self.ask(reason)?;
        Ok(Zeroizing::new(sealed.iter().map(|byte| byte ^ 0x55).collect()))
    }
}

#[tokio::test]
async fn biometrics_bring_the_passphrase_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let (credentials, finger) = (Arc::new(MemoryCredentials::default()), Arc::new(Finger::default()));
    let mailbox = MemoryMailbox::new();
    let open = async || {
        let db = open_at(StoreLocation::File(path.clone()), |config| {
            config.credentials = Some(credentials.clone());
            config.biometrics = Some(finger.clone());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        db
    };
    let db = open().await;
    assert_eq!(code(db.secure_with_biometrics("Secure").await), "PASSPHRASE_REQUIRED");
    assert_eq!(code(db.restore_with_biometrics("Unlock").await), "BIOMETRICS_UNAVAILABLE");
    assert!(db.connect().await.unwrap().is_online());
    let passphrase = db.get_passphrase().unwrap();
    *finger.refuses.lock().unwrap() = true;
    assert_eq!(code(db.secure_with_biometrics("Secure").await), "USER_CANCELLED");
    *finger.refuses.lock().unwrap() = false;
    db.secure_with_biometrics("Secure").await.unwrap();
    assert_eq!(code(db.clear_credentials().await), "INVALID_ARGUMENT");
    assert_eq!(code(db.restore_with_biometrics("Unlock").await), "INVALID_ARGUMENT");
    db.disconnect().await;
    db.clear_credentials().await.unwrap();
    assert_eq!(db.get_passphrase(), None);
    let name = format!("test:{}", path.display());
    assert_eq!(credentials.load(&name).await.unwrap().unwrap().passphrase, None);
    assert_eq!(code(db.connect().await), "PASSPHRASE_REQUIRED");
    db.shutdown().await.unwrap();

    let db = open().await;
    assert_eq!(db.get_passphrase(), None);
    *finger.refuses.lock().unwrap() = true;
    assert_eq!(code(db.restore_with_biometrics("Unlock").await), "USER_CANCELLED");
    *finger.refuses.lock().unwrap() = false;
    let mut events = db.events();
    db.restore_with_biometrics("Unlock the list").await.unwrap();
    assert_eq!(db.get_passphrase(), Some(passphrase.clone()));
    assert_eq!(finger.reasons.lock().unwrap().last().unwrap(), "Unlock the list");
    assert!(std::iter::from_fn(|| events.try_next()).any(|event| {
        matches!(event, Event::CredentialsRestored { source: "biometrics", had_passphrase: true, .. })
    }));
    assert!(db.connect().await.unwrap().is_online());
    let saved = credentials.load(&name).await.unwrap().unwrap();
    assert_eq!(saved.passphrase, Some(passphrase));
    assert!(saved.sealed.is_some(), "connecting keeps the copy");
    db.disconnect().await;
    db.clear_credentials().await.unwrap();
    *finger.is_enrolled_anew.lock().unwrap() = true;
    assert_eq!(code(db.restore_with_biometrics("Unlock").await), "CREDENTIAL_INVALIDATED");

    let plain = open_at(StoreLocation::Memory, |_| {}).await;
    assert_eq!(code(plain.secure_with_biometrics("Secure").await), "BIOMETRICS_UNAVAILABLE");
    plain.clear_credentials().await.unwrap();
}
