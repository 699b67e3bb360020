//! Compaction by hand: what it covers, what it deletes and when, and that two never both win.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use common::{
    ahead::Ahead,
    between::Between,
    faulty::FaultyMailbox,
    open_at,
    sim::{Executor, World},
    tree,
};
use interocitor_core::{
    Compaction, Config, Error, Interocitor, StoreLocation,
    mailbox::{FolderMailbox, MemoryMailbox},
};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";
const DAY: Duration = Duration::from_hours(24);

async fn device(mailbox: &Path, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        change(config);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn dump(db: &Interocitor) -> Value {
    let dump: Value = serde_json::from_str(&db.dump().await.unwrap()).unwrap();
    json!({"tables": dump["tables"], "tombstones": dump["tombstones"]})
}

fn changes(mailbox: &Path) -> usize {
    tree(mailbox).keys().filter(|name| name.contains("-chg_")).count()
}

/// Rows of every kind: live, deleted, and come back to life.
async fn fill(db: &Interocitor) {
    for at in 0..20 {
        db.table("todos").put(format!("r{at}"), &json!({"at": at, "text": "K\u{f6}ln"})).await.unwrap();
    }
    db.table("odd/\u{1f600}").put("row\u{0}", &json!({"q\"": [1, {"a": null}]})).await.unwrap();
    for id in ["r1", "r2"] {
        db.table("todos").delete(id).await.unwrap();
    }
    db.table("todos").put("r2", &json!({"back": true})).await.unwrap();
    db.sync().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_stands_for_the_files_it_covers() {
    for encrypted in [true, false] {
        let mailbox = tempfile::tempdir().unwrap();
        let plain = |config: &mut Config| config.encrypted = encrypted;
        let (a, b) = (device(mailbox.path(), plain).await, device(mailbox.path(), plain).await);
        fill(&a).await;
        b.sync().await.unwrap();
        b.table("todos").put("r3", &json!({"by": "b"})).await.unwrap();
        b.sync().await.unwrap();
        let files = changes(mailbox.path()) as u64;
        // Unpublished work goes out first.
        a.table("todos").put("r4", &json!({"by": "a"})).await.unwrap();
        let compacted = a.compact(Duration::ZERO).await.unwrap();
        let wanted = Compaction::Written { epoch: 1, rows: 21, covered: files + 1, deleted: files + 1 };
        assert_eq!(compacted, wanted);
        assert_eq!(changes(mailbox.path()), 0);
        let state = dump(&a).await;
        assert_eq!(state["tables"]["todos"]["r3"]["by"], "b");
        // A fresh device and one that merged every file see the same, and go on from there.
        let fresh = device(mailbox.path(), plain).await;
        b.sync().await.unwrap();
        assert_eq!((dump(&fresh).await, dump(&b).await), (state.clone(), state));
        let status = b.status().await.unwrap();
        assert_eq!((status.epoch, status.generation, status.quarantined), (1, 2, 0));
        fresh.table("todos").put("r1", &json!({"again": true})).await.unwrap();
        fresh.sync().await.unwrap();
        for db in [&a, &b] {
            db.sync().await.unwrap();
            assert_eq!(dump(db).await, dump(&fresh).await);
        }
        if encrypted {
            for (name, body) in tree(mailbox.path()) {
                assert!(!String::from_utf8_lossy(&body).contains("K\u{f6}ln"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn files_go_only_after_the_grace_and_the_former_snapshot_with_them() {
    let mailbox = tempfile::tempdir().unwrap();
    let host = Arc::new(Ahead::default());
    let db = device(mailbox.path(), |config| config.host = host.clone()).await;
    fill(&db).await;
    let files = changes(mailbox.path()) as u64;
    let compact = async || match db.compact(DAY).await.unwrap() {
        Compaction::Written { covered, deleted, .. } => (covered, deleted),
        other => panic!("{other:?}"),
    };
    assert_eq!(compact().await, (files, 0));
    *host.0.lock().unwrap() += 23 * 3_600_000;
    assert_eq!(compact().await, (files, 0));
    let snapshots = |mailbox: &Path| tree(mailbox).keys().filter(|name| name.contains("snapshot-")).count();
    assert_eq!((changes(mailbox.path()) as u64, snapshots(mailbox.path())), (files, 2));
    *host.0.lock().unwrap() += 2 * 3_600_000;
    // Deleted files stay covered, should a synced folder bring them back.
    assert_eq!(compact().await, (files, files));
    assert_eq!((changes(mailbox.path()), snapshots(mailbox.path())), (0, 3));
    assert_eq!(compact().await, (files, 0));
    *host.0.lock().unwrap() += 31 * 24 * 3_600_000;
    let (covered, deleted) = compact().await;
    assert_eq!(
        (covered, deleted),
        (0, 6),
        "after a month they are forgotten; old snapshots are gone, with their coverage"
    );
    assert_eq!(snapshots(mailbox.path()), 2, "the last one and the one before it");
    let fresh = device(mailbox.path(), |_| {}).await;
    assert_eq!(dump(&fresh).await, dump(&db).await);
}

#[tokio::test]
async fn what_cannot_be_read_is_neither_covered_nor_deleted() {
    let mailbox = tempfile::tempdir().unwrap();
    let db = device(mailbox.path(), |_| {}).await;
    fill(&db).await;
    let folder = mailbox.path().join("Mesh/changes");
    let bad = folder.join("001795352695000-0000-peer-chg_damaged.json");
    std::fs::write(&bad, "{\"v\":1,\"iv\":\"").unwrap();
    let Compaction::Written { covered, deleted, .. } = db.compact(Duration::ZERO).await.unwrap() else {
        panic!("it was overtaken")
    };
    assert_eq!(covered, deleted);
    assert!(bad.exists());
    assert_eq!(changes(mailbox.path()), 1);
    // A snapshot that cannot be read is not compacted over: its rows would be lost.
    let other = device(mailbox.path(), |_| {}).await;
    other.table("todos").put("new", &json!({"v": 1})).await.unwrap();
    assert!(matches!(other.compact(DAY).await.unwrap(), Compaction::Written { epoch: 2, .. }));
    let mainline = mailbox.path().join("Mesh/mainline");
    let mut snapshots = std::fs::read_dir(&mainline).unwrap().map(|entry| entry.unwrap().path());
    let second = snapshots.find(|path| path.to_str().unwrap().contains("snapshot-2-")).unwrap();
    let whole = std::fs::read(&second).unwrap();
    std::fs::write(&second, &whole[..whole.len() / 2]).unwrap();
    let before = tree(mailbox.path());
    assert!(matches!(db.compact(Duration::ZERO).await, Err(Error::ManifestInvalid { .. })));
    let after = tree(mailbox.path());
    let names =
        |files: &std::collections::BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
}

#[tokio::test]
async fn an_abandoned_manifest_is_passed_over_after_ten_minutes() {
    let mailbox = tempfile::tempdir().unwrap();
    let host = Arc::new(Ahead::default());
    let db = device(mailbox.path(), |config| config.host = host.clone()).await;
    fill(&db).await;
    std::fs::write(mailbox.path().join("Mesh/manifest-2.json"), "{}").unwrap();
    assert_eq!(db.compact(DAY).await.unwrap(), Compaction::Overtaken);
    assert!(!tree(mailbox.path()).keys().any(|name| name.contains("snapshot-")));
    *host.0.lock().unwrap() += 11 * 60_000;
    assert!(matches!(db.compact(DAY).await.unwrap(), Compaction::Written { epoch: 1, .. }));
    assert_eq!(db.status().await.unwrap().generation, 3);
    let fresh = device(mailbox.path(), |_| {}).await;
    assert_eq!(dump(&fresh).await, dump(&db).await);
}

#[tokio::test]
async fn a_managed_mesh_is_compacted_by_its_server_alone() {
    let mailbox = tempfile::tempdir().unwrap();
    let managed = |id: &'static str| {
        move |config: &mut Config| {
            config.device_id = Some(id.into());
            config.server_managed = true;
            config.server_id = "server".into();
        }
    };
    let (server, phone) =
        (device(mailbox.path(), managed("server")).await, device(mailbox.path(), managed("phone")).await);
    fill(&phone).await;
    assert!(matches!(phone.compact(DAY).await, Err(Error::WriterMismatch { .. })));
    assert!(matches!(server.compact(DAY).await.unwrap(), Compaction::Written { epoch: 1, .. }));
    phone.sync().await.unwrap();
    assert_eq!(dump(&phone).await, dump(&server).await);
}

/// Three devices compact at the same time, step by step as the seed wants it.
fn race(seed: u64) -> usize {
    let world = World::new(seed);
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), |_, _| None);
    let mut executor = Executor::new(&world);
    let mut devices = Vec::new();
    for at in 0..3 {
        let mut config = Config::new("race", StoreLocation::Memory);
        config.remote_path = Some("/Mesh".into());
        config.passphrase = Some(PASSPHRASE.into());
        config.auto_sync = false;
        config.host = world.host(0);
        let adapter = Arc::new(mailbox.clone());
        devices.push(executor.complete(async move {
            let db = Interocitor::open(config).await.unwrap();
            db.set_remote_storage(Some(adapter)).await;
            assert!(db.connect().await.unwrap().is_online());
            db.table("t").put(format!("r{at}"), &json!({"v": at})).await.unwrap();
            db
        }));
    }
    let wins = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    for db in &devices {
        let (db, wins) = (db.clone(), std::rc::Rc::clone(&wins));
        executor.add(async move {
            if let Compaction::Written { epoch, .. } = db.compact(Duration::ZERO).await.unwrap() {
                wins.borrow_mut().push(epoch);
            }
        });
    }
    executor.run_for(60_000);
    let mut epochs = wins.borrow().clone();
    epochs.sort_unstable();
    let won = epochs.len();
    epochs.dedup();
    assert_eq!(epochs.len(), won, "two compactors won one epoch, seed {seed}");
    assert!(won > 0, "nobody won, seed {seed}");
    let mut states = Vec::new();
    for _ in 0..2 {
        for db in &devices {
            let db = db.clone();
            states.push(executor.complete(async move {
                db.sync().await.unwrap();
                dump(&db).await
            }));
        }
    }
    let wanted = json!({"tables": {"t": {"r0": {"v": 0}, "r1": {"v": 1}, "r2": {"v": 2}}}, "tombstones": {}});
    assert!(states[3..].iter().all(|state| *state == wanted), "seed {seed}: {states:?}");
    won
}

#[test]
fn of_several_compactors_one_wins_and_nothing_is_lost() {
    let wins: Vec<usize> = (0..150).map(race).collect();
    assert!(wins.contains(&1), "the race never happened");
}

/// Who has seen what, told by device records: those of our kind say what they merged, others which snapshot.
#[tokio::test]
async fn a_device_that_has_seen_a_write_says_so() {
    let mailbox = tempfile::tempdir().unwrap();
    let host = Arc::new(Ahead::default());
    let at = async || device(mailbox.path(), |config| config.host = host.clone()).await;
    let (a, b) = (at().await, at().await);
    let (to_b, put) = (b.device_id(), async |id: &str| a.table("t").put(id, &json!({"v": 1})).await.unwrap());
    put("one").await;
    let one = a.write_mark().unwrap();
    assert!(!a.seen_by(&to_b, &one).await.unwrap(), "it is not even published");
    a.sync().await.unwrap();
    a.await_published(&one).await.unwrap();
    assert!(!a.seen_by(&to_b, &one).await.unwrap() && a.seen_by(&a.device_id(), &one).await.unwrap());
    b.sync().await.unwrap();
    assert!(!a.seen_by(&to_b, &one).await.unwrap(), "records are written once a day");
    host.days(2);
    b.sync().await.unwrap();
    assert!(a.seen_by(&to_b, &one).await.unwrap());

    // What comes later is not seen with it, and a newcomer has seen what was there when it came.
    put("two").await;
    a.sync().await.unwrap();
    let two = a.write_mark().unwrap();
    assert!(!a.seen_by(&to_b, &two).await.unwrap() && a.seen_by(&to_b, &one).await.unwrap());
    let c = at().await;
    assert!(a.seen_by(&c.device_id(), &two).await.unwrap());
    // By a snapshot of another device, and by an own one, as of clients that say nothing more.
    let strip = |id: &str| {
        let path = mailbox.path().join(format!("Mesh/devices/{id}.json"));
        let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(record.as_object_mut().unwrap().remove("merged").is_some(), "{record}");
        std::fs::write(&path, record.to_string()).unwrap();
    };
    for (compactor, id) in [(&c, "three"), (&a, "four")] {
        put(id).await;
        a.sync().await.unwrap();
        let mark = a.write_mark().unwrap();
        c.sync().await.unwrap();
        compactor.compact(DAY).await.unwrap();
        a.sync().await.unwrap();
        assert!(!a.seen_by(&to_b, &mark).await.unwrap(), "{id}");
        b.sync().await.unwrap();
        strip(&to_b);
        assert!(a.seen_by(&to_b, &mark).await.unwrap(), "{id}");
    }
    // Later writes do not take it back.
    put("five").await;
    a.sync().await.unwrap();
    a.compact(DAY).await.unwrap();
    assert!(a.seen_by(&to_b, &two).await.unwrap());
    assert!(!a.seen_by(&to_b, &a.write_mark().unwrap()).await.unwrap());

    for unknown in ["nobody", "../manifest", ""] {
        let refused = a.seen_by(unknown, &one).await.unwrap_err();
        assert!(refused.to_string().contains("no device"), "{refused}");
    }
    a.disconnect().await;
    assert_eq!(a.seen_by(&to_b, &one).await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
}

/// A write that comes while a snapshot is made is in it before any file has it. Whoever takes the epoch without reading the
/// snapshot would miss it, should its writer never come back.
#[tokio::test]
async fn a_write_that_only_the_snapshot_has_reaches_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (device(folder.path(), |_| {}).await, device(folder.path(), |_| {}).await);
    fill(&a).await;
    b.sync().await.unwrap();
    let between = Arc::new(Between::new(FolderMailbox::new(folder.path())));
    a.set_remote_storage(Some(between.clone())).await;
    assert!(a.connect().await.unwrap().is_online());
    let late = a.clone();
    // The compactor looks for a free number just before it reads the rows.
    between.before("manifest-", async move {
        late.table("todos").put("late", &json!({"by": "a"})).await.unwrap();
    });
    assert!(matches!(a.compact(DAY).await.unwrap(), Compaction::Written { .. }));
    assert!(between.is_done());
    // Its only copy was in memory.
    drop(a);
    b.sync().await.unwrap();
    let fresh = device(folder.path(), |_| {}).await;
    assert_eq!(dump(&fresh).await["tables"]["todos"]["late"], json!({"by": "a"}));
    assert_eq!(dump(&b).await, dump(&fresh).await);
}
