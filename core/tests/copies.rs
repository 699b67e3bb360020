//! Copies of stores: backups that are restored beside their original, and what a store leaves behind for another mesh.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    ahead::Ahead,
    faulty::{Failure, FaultyMailbox},
    open_at,
};
use interocitor_core::{
    Event, Interocitor, StoreLocation,
    config::JoinPolicy,
    mailbox::{MailboxErrorKind, MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Opens a store without connecting it.
async fn open(path: &Path, clock: &Arc<Ahead>) -> Interocitor {
    open_at(StoreLocation::File(path.to_owned()), |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        config.host = clock.clone();
        config.join_existing_mesh_policy = JoinPolicy::ResetToRemote;
    })
    .await
}

async fn connect(db: &Interocitor, mailbox: impl StorageAdapter + 'static) {
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    assert!(db.connect().await.unwrap().is_online());
}

async fn put(db: &Interocitor, id: &str, columns: Value) {
    db.table("t").put(id, &columns).await.unwrap();
}

async fn rows(db: &Interocitor) -> Value {
    serde_json::from_str::<Value>(&db.dump().await.unwrap()).unwrap()["tables"]["t"].clone()
}

async fn compact(db: &Interocitor) {
    db.compact(Duration::ZERO).await.unwrap();
}

async fn settle(devices: &[&Interocitor]) {
    for _ in 0..2 {
        for db in devices {
            db.sync().await.unwrap();
        }
    }
}

async fn floor(mailbox: &MemoryMailbox) -> String {
    let mut path = "/Mesh/manifest.json".to_owned();
    let mut manifest = Value::Null;
    for _ in 0..2 {
        manifest = serde_json::from_slice(&mailbox.read_file(&path).await.unwrap()).unwrap();
        path = format!("/Mesh/{}", manifest["file"].as_str().unwrap_or_default());
    }
    manifest["gcFloorHlc"].as_str().unwrap_or_default().to_owned()
}

fn copy(from: &Path, to: &str) -> PathBuf {
    let to = from.with_file_name(to);
    for suffix in ["", "-wal"] {
        let place = |path: &Path| format!("{}{suffix}", path.display());
        if Path::new(&place(from)).exists() {
            std::fs::copy(place(from), place(&to)).unwrap();
        }
    }
    to
}

/// The floor rises only where every entry that a device tells of was read: its numbers must have no hole.
#[tokio::test]
async fn a_copied_store_counts_its_entries_from_one() {
    let (folder, clock, memory) =
        (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()), MemoryMailbox::new());
    let store = folder.path().join("t.db");
    let a = open(&store, &clock).await;
    let mailbox = FaultyMailbox::new(memory.clone(), |_, _| None);
    connect(&a, mailbox.clone()).await;
    put(&a, "r0", json!({"v": 0})).await;
    a.sync().await.unwrap();
    // One upload arrives without an answer, one does not: both are bound to their names when the copy is made.
    for (id, failure) in [("arrived", Failure::After as fn(_) -> _), ("waiting", Failure::Before)] {
        put(&a, id, json!({"v": id})).await;
        mailbox.set(move |operation, path| {
            (operation == "write" && path.contains("-chg_")).then(|| failure(MailboxErrorKind::Timeout))
        });
        assert!(a.sync().await.is_err());
    }
    let b = open(&copy(&store, "copy.db"), &clock).await;
    assert_ne!(a.device_id(), b.device_id());
    mailbox.set(|_, _| None);
    connect(&b, memory.clone()).await;
    put(&b, "by b", json!({"v": 1})).await;
    let fresh = open(&folder.path().join("fresh.db"), &clock).await;
    connect(&fresh, memory.clone()).await;
    let mut events = fresh.events();
    settle(&[&a, &b, &fresh]).await;
    // A hole would be told after a day.
    for _ in 0..2 {
        clock.days(2);
        settle(&[&a, &b, &fresh]).await;
    }
    let told: Vec<Event> = std::iter::from_fn(|| events.try_next())
        .filter(|event| matches!(event, Event::RemoteWithheld { .. }))
        .collect();
    assert_eq!(told, []);
    for _ in 0..3 {
        compact(&fresh).await;
        settle(&[&a, &b, &fresh]).await;
    }
    assert_ne!(floor(&memory).await, "", "nobody waits for an entry that never comes");
    let all =
        json!({"r0": {"v": 0}, "arrived": {"v": "arrived"}, "waiting": {"v": "waiting"}, "by b": {"v": 1}});
    for db in [&a, &b, &fresh] {
        assert_eq!(rows(db).await, all);
    }
}

/// Rule 3.12 for a copy: what waits in it may have been published by its original, and deleted since.
#[tokio::test]
async fn what_waited_in_a_copied_store_does_not_bring_a_row_back() {
    let (folder, clock, mailbox) =
        (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()), MemoryMailbox::new());
    let store = folder.path().join("t.db");
    let a = open(&store, &clock).await;
    connect(&a, mailbox.clone()).await;
    put(&a, "born", json!({"v": 1})).await;
    let backup = copy(&store, "copy.db");
    a.sync().await.unwrap();
    a.table("t").delete("born").await.unwrap();
    for _ in 0..4 {
        a.sync().await.unwrap();
        compact(&a).await;
    }
    let b = open(&backup, &clock).await;
    connect(&b, mailbox.clone()).await;
    settle(&[&b, &a]).await;
    for db in [&a, &b] {
        assert_eq!(rows(db).await, Value::Null, "it was deleted, and the deletion is forgotten");
    }
    let list = b.quarantined().await.unwrap();
    assert_eq!(list.len(), 1, "its user can bring it back: {list:?}");
    assert_eq!(list[0].write.as_ref().unwrap().row_id, "born");
}

/// Numbers that were given out in one mesh are none of another one's.
#[tokio::test]
async fn a_store_that_changes_its_mesh_counts_anew() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
    let (former, next) = (MemoryMailbox::new(), MemoryMailbox::new());
    let a = open(&folder.path().join("a.db"), &clock).await;
    connect(&a, former.clone()).await;
    put(&a, "former", json!({"v": 1})).await;
    a.sync().await.unwrap();
    let b = open(&folder.path().join("b.db"), &clock).await;
    connect(&b, next.clone()).await;
    put(&b, "next", json!({"v": 2})).await;
    b.sync().await.unwrap();
    connect(&a, next.clone()).await;
    put(&a, "by a", json!({"v": 3})).await;
    for _ in 0..3 {
        settle(&[&a, &b]).await;
        compact(&b).await;
    }
    assert_ne!(floor(&next).await, "");
    assert_eq!(rows(&b).await, json!({"next": {"v": 2}, "by a": {"v": 3}}));
}

/// Copying and clearing are one step: another handle that writes all the time loses nothing in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_a_store_is_reset_is_in_the_copy_or_in_the_mesh() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
    let (former, next) = (MemoryMailbox::new(), MemoryMailbox::new());
    let store = folder.path().join("t.db");
    let a = open(&store, &clock).await;
    connect(&a, former.clone()).await;
    a.batch(|batch| (0..5_000).try_for_each(|at| batch.table("t").put(format!("r{at}"), &json!({"v": at}))))
        .await
        .unwrap();
    let other = open(&folder.path().join("other.db"), &clock).await;
    connect(&other, next.clone()).await;
    let (writer, is_done) = (open(&store, &clock).await, Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let is_done = Arc::clone(&is_done);
        async move {
            let mut written = 0;
            loop {
                let is_last = is_done.load(Ordering::Acquire);
                put(&writer, &format!("w{written}"), json!({"v": written})).await;
                written += 1;
                if is_last {
                    return written;
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    connect(&a, next.clone()).await;
    is_done.store(true, Ordering::Release);
    let written: u32 = writing.await.unwrap();
    let copy = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && path.display().to_string().contains(".before-join-"))
        .expect("a copy lies beside the store");
    let (before, after) = (rows(&open(&copy, &clock).await).await, rows(&a).await);
    assert_eq!(before["r4999"], json!({"v": 4999}));
    let lost: Vec<u32> = (0..written)
        .filter(|at| [&before, &after].iter().all(|rows| rows[format!("w{at}")].is_null()))
        .collect();
    assert_eq!(lost, [0; 0], "of {written}");
    assert!(after[format!("w{}", written - 1)].is_object(), "it writes on afterwards");
}
