//! Mailboxes that fail, hang, or are asked too much.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use interocitor_core::{
    Connection, Error, StoreLocation,
    mailbox::{MailboxErrorKind, MemoryMailbox, StorageAdapter},
};
use serde_json::json;

use crate::common::{
    faulty::{Failure, FaultyMailbox},
    open_at,
};

fn pointer_fails(kind: MailboxErrorKind) -> impl FnMut(&'static str, &str) -> Option<Failure> + Send {
    move |operation, path| {
        (operation == "read" && path.ends_with("/manifest.json")).then_some(Failure::Before(kind))
    }
}

#[tokio::test]
async fn an_unreadable_pointer_is_never_an_empty_mailbox() {
    use MailboxErrorKind as K;
    for (kind, code) in [
        (K::Unauthorized, "REMOTE_ACCESS"),
        (K::Forbidden, "REMOTE_ACCESS"),
        (K::Unavailable, "REMOTE_ACCESS"),
        (K::RateLimited, "REMOTE_ACCESS"),
        (K::Protocol, "REMOTE_ACCESS"),
        (K::Timeout, "REMOTE_TIMEOUT"),
        (K::Offline, "OFFLINE"),
    ] {
        let memory = MemoryMailbox::new();
        let mailbox = FaultyMailbox::new(memory.clone(), pointer_fails(kind));
        let db = open_at(StoreLocation::Memory, |_| {}).await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        match db.connect().await.unwrap() {
            Connection::Offline { error, .. } => assert_eq!(error.code().as_str(), code),
            other => panic!("{kind:?}: {other:?}"),
        }
        assert!(memory.list_files("/Mesh").await.is_err(), "{kind:?}: something was written");
        assert_eq!(db.get_passphrase(), None, "{kind:?}: no key is made for a mesh that may exist");
        db.table("t").put("r", &json!({"a": 1})).await.unwrap();
        assert_eq!(db.status().await.unwrap().problem.unwrap().code, code);
        // The mailbox recovers: the same call works.
        mailbox.set(|_, _| None);
        assert!(db.connect().await.unwrap().is_online());
        assert_eq!(db.status().await.unwrap().problem, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_never_answers_stalls_one_stage_and_is_retried_in_the_background() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory, |_, _| Some(Failure::Hangs));
    let stalled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stalled);
    let db = open_at(StoreLocation::Memory, |config| {
        config.auto_sync = true;
        config.on_connect_stalled =
            Some(Arc::new(move |stage: &str| seen.lock().unwrap().push(stage.to_owned())));
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    db.set_passphrase("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE").unwrap();
    let connection = db.connect().await.unwrap();
    assert!(matches!(
        connection,
        Connection::Offline { stage: "authenticate", error: Error::RemoteTimeout { .. } }
    ));
    assert_eq!(*stalled.lock().unwrap(), ["authenticate"]);
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    mailbox.set(|_, _| None);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let status = db.status().await.unwrap();
    assert_eq!((status.pending.count, status.problem), (0, None));
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_app_that_writes_at_every_request_does_not_keep_a_flush_from_ending() {
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), |_, _| None);
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        config.batch_window = Duration::ZERO;
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    let (writer, mut count) = (db.clone(), 0);
    mailbox.set(move |_, _| {
        count += 1;
        let row = json!({"n": count});
        let table = writer.table("t");
        let write = table.put(format!("r{count}"), &row);
        futures_util::FutureExt::now_or_never(write).expect("a single write is done at once").unwrap();
        None
    });
    db.table("t").put("first", &json!({"n": 0})).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), db.sync()).await.unwrap().unwrap();
    mailbox.set(|_, _| None);
    let waiting = db.status().await.unwrap().pending.count;
    assert!((1..30).contains(&waiting), "{waiting}");
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.count, 0);
}
