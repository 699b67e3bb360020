//! Replicas: what is written there, what a device can be restored from, and that nothing they do concerns the main
//! mailbox.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    faulty::{Failure, FaultyMailbox},
    open_at,
};
use interocitor_core::{
    Config, Event, Events, Interocitor, Replica, StoreLocation,
    mailbox::{Body, MailboxErrorKind as Kind, MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device_at(
    store: StoreLocation,
    mailbox: impl StorageAdapter + 'static,
    change: impl FnOnce(&mut Config),
) -> Interocitor {
    let db = open_at(store, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        change(config);
        if !config.encrypted {
            config.passphrase = None;
        }
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    let connection = db.connect().await.unwrap();
    assert!(connection.is_online(), "{connection:?}");
    db
}

async fn device(mailbox: impl StorageAdapter + 'static, change: impl FnOnce(&mut Config)) -> Interocitor {
    device_at(StoreLocation::Memory, mailbox, change).await
}

async fn dump(db: &Interocitor) -> Value {
    let dump: Value = serde_json::from_str(&db.dump().await.unwrap()).unwrap();
    json!({"meshId": dump["meshId"], "tables": dump["tables"], "tombstones": dump["tombstones"]})
}

async fn put(db: &Interocitor, id: &str, at: u64) {
    db.table("todos").put(id, &json!({ "at": at })).await.unwrap();
}

async fn content(db: &Interocitor, path: &str) -> Vec<u8> {
    db.get_file(path).await.unwrap().bytes().await.unwrap()
}

/// Names in a folder of a mailbox.
async fn names(mailbox: &MemoryMailbox, folder: &str) -> Vec<String> {
    let files = mailbox.list_files(folder).await.unwrap_or_default();
    files.into_iter().map(|file| file.name).collect()
}

fn problems(events: &mut Events) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::ReplicaError { replica, code, .. } = event {
            problems.push((replica, code));
        }
    }
    problems
}

/// What a fresh device sees that knows this mailbox alone.
async fn restored(mirror: &MemoryMailbox, change: impl FnOnce(&mut Config)) -> Interocitor {
    // On a copy: a device that joins writes its record.
    let copy = MemoryMailbox::new();
    copy_tree(mirror, &copy, "/Mesh").await;
    device(copy, change).await
}

async fn copy_tree(from: &MemoryMailbox, to: &MemoryMailbox, folder: &str) {
    for file in from.list_files(folder).await.unwrap_or_default() {
        to.write_file(&file.path, from.read_file(&file.path).await.unwrap().into()).await.unwrap();
    }
    for name in from.list_folders(folder).await.unwrap_or_default() {
        Box::pin(copy_tree(from, to, &format!("{folder}/{name}"))).await;
    }
}

/// Rows of every kind, files of every size, a compaction and news behind it.
async fn live(db: &Interocitor) {
    for at in 0..30 {
        put(db, &format!("r{at}"), at).await;
    }
    db.table("todos").delete("r1").await.unwrap();
    db.put_file("docs/small", b"small".to_vec(), Some("text/plain")).await.unwrap();
    db.put_file("large", vec![7; 700_000], None).await.unwrap();
    db.sync().await.unwrap();
    db.compact(Duration::ZERO).await.unwrap();
    put(db, "later", 1).await;
    db.table("todos").delete("r2").await.unwrap();
    db.sync().await.unwrap();
}

#[tokio::test]
async fn a_fresh_device_on_a_mirror_alone_has_the_same_rows_and_files() {
    for encrypted in [true, false] {
        let (main, mirror) = (MemoryMailbox::new(), MemoryMailbox::new());
        let change = |config: &mut Config| config.encrypted = encrypted;
        let db = device(main.clone(), |config| {
            change(config);
            config.replicas = vec![Replica::mirror("backup", Arc::new(mirror.clone()))];
        })
        .await;
        live(&db).await;
        let fresh = restored(&mirror, change).await;
        assert_eq!(dump(&fresh).await, dump(&db).await);
        assert_eq!(content(&fresh, "docs/small").await, b"small");
        assert_eq!(content(&fresh, "large").await, vec![7; 700_000]);
        // It is the same mesh: the pointer of both is the same, and nothing more is to be copied.
        let pointer = "/Mesh/manifest.json";
        assert_eq!(mirror.read_file(pointer).await.unwrap(), main.read_file(pointer).await.unwrap());
        let again = db.replicate("backup", true).await.unwrap();
        assert_eq!((again.copied, again.bytes, again.damaged), (0, 0, 0), "{again:?}");
        assert!(again.files > 5);
    }
}

#[tokio::test]
async fn a_plain_replica_gets_change_files_and_head_and_nothing_else() {
    let (main, plain) = (MemoryMailbox::new(), MemoryMailbox::new());
    let db = device(main.clone(), |config| {
        let replica = Replica::new("copy", Arc::new(plain.clone()));
        config.replicas = vec![Replica { remote_path: Some("/Elsewhere".into()), ..replica }];
    })
    .await;
    put(&db, "a", 1).await;
    db.put_file("file", b"content".to_vec(), None).await.unwrap();
    db.sync().await.unwrap();
    put(&db, "b", 2).await;
    db.flush().await.unwrap();
    let changes = names(&main, "/Mesh/changes").await;
    assert_eq!(changes.len(), 3);
    assert_eq!(names(&plain, "/Elsewhere/changes").await, changes);
    for name in &changes {
        let read = |mailbox: MemoryMailbox, root: &str| {
            let path = format!("{root}/changes/{name}");
            async move { mailbox.read_file(&path).await.unwrap() }
        };
        assert_eq!(read(plain.clone(), "/Elsewhere").await, read(main.clone(), "/Mesh").await, "{name}");
    }
    assert_eq!(plain.list_folders("/Elsewhere").await.unwrap(), ["changes"]);
    assert!(names(&plain, "/Elsewhere").await.is_empty());
}

#[tokio::test]
async fn what_a_replica_lacks_survives_restarts_and_the_main_mailbox_never_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreLocation::File(folder.path().join("a.db"));
    let (main, box_) = (MemoryMailbox::new(), MemoryMailbox::new());
    let faulty = FaultyMailbox::new(box_.clone(), |_, _| None);
    let replicas = |mirror| {
        let replica = Replica::new("copy", Arc::new(faulty.clone()));
        vec![Replica { mirror, ..replica }]
    };
    for mirror in [false, true] {
        for (at, (kind, code)) in [
            (Kind::Offline, "OFFLINE"),
            (Kind::QuotaFull, "QUOTA_FULL"),
            (Kind::Unavailable, "REMOTE_ACCESS"),
            (Kind::Unauthorized, "REMOTE_ACCESS"),
            (Kind::Timeout, "REMOTE_TIMEOUT"),
        ]
        .into_iter()
        .enumerate()
        {
            faulty.set(|_, _| None);
            let db =
                device_at(store.clone(), main.clone(), |config| config.replicas = replicas(mirror)).await;
            let mut events = db.events();
            faulty.set(move |operation, _| (operation == "write").then_some(Failure::Before(kind)));
            let id = format!("{mirror}{at}");
            put(&db, &id, 1).await;
            db.sync().await.unwrap();
            assert_eq!(db.status().await.unwrap().pending.count, 0);
            assert_eq!(problems(&mut events), [("copy".to_owned(), code.to_owned())], "{kind:?}");
            let state = db.replicas().await.unwrap().remove(0);
            assert_eq!((state.waiting, state.problem.unwrap().code.as_str()), (1, code));
            db.shutdown().await.unwrap();
            // The next process knows, and brings it.
            faulty.set(|_, _| None);
            let db =
                device_at(store.clone(), main.clone(), |config| config.replicas = replicas(mirror)).await;
            let state = db.replicas().await.unwrap().remove(0);
            assert_eq!((state.waiting, state.problem), (0, None));
            assert_eq!(names(&box_, "/Mesh/changes").await, names(&main, "/Mesh/changes").await);
            db.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_replica_that_never_answers_holds_nobody_up() {
    let (main, other) = (MemoryMailbox::new(), MemoryMailbox::new());
    let hanging = FaultyMailbox::new(MemoryMailbox::new(), |_, _| Some(Failure::Hangs));
    let db = device(main, |config| {
        config.connect_stage_timeout = Duration::from_millis(300);
        config.replicas = vec![
            Replica::mirror("hangs", Arc::new(hanging.clone())),
            Replica::mirror("works", Arc::new(other.clone())),
        ];
    })
    .await;
    let mut events = db.events();
    put(&db, "a", 1).await;
    let start = Instant::now();
    db.sync().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(problems(&mut events), [("hangs".to_owned(), "REMOTE_TIMEOUT".to_owned())]);
    assert_eq!(names(&other, "/Mesh/changes").await.len(), 2);
    // Nor does it make a moment to sync a failure.
    let other = device(MemoryMailbox::new(), |config| {
        config.replicas = vec![Replica::new("hangs", Arc::new(hanging.clone()))];
        config.connect_stage_timeout = Duration::from_millis(300);
    })
    .await;
    put(&other, "a", 1).await;
    other.sync_once(Duration::from_millis(200)).await.unwrap();
    // Nor does one keep the connection from ending.
    let (first, ()) = tokio::join!(db.replicate("hangs", false), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        db.disconnect().await;
    });
    assert_eq!(first.unwrap_err().code().as_str(), "CANCELLED");
}

#[tokio::test]
async fn the_background_tasks_write_to_replicas_and_try_again() {
    let (main, box_) = (MemoryMailbox::new(), MemoryMailbox::new());
    let writes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&writes);
    let faulty = FaultyMailbox::new(box_.clone(), move |operation, _| {
        let fails = operation == "write" && counted.fetch_add(1, Ordering::SeqCst) == 0;
        fails.then_some(Failure::Before(Kind::Unavailable))
    });
    let hanging = FaultyMailbox::new(MemoryMailbox::new(), |_, _| Some(Failure::Hangs));
    let plain = MemoryMailbox::new();
    let db = device(main.clone(), |config| {
        config.auto_sync = true;
        config.flush_debounce = Duration::from_millis(10);
        config.replicas = vec![
            Replica::mirror("backup", Arc::new(faulty)),
            Replica::new("copy", Arc::new(plain.clone())),
            Replica::new("hangs", Arc::new(hanging)),
        ];
    })
    .await;
    put(&db, "a", 1).await;
    db.put_file("file", b"content".to_vec(), None).await.unwrap();
    let whole = async {
        loop {
            let ours = names(&main, "/Mesh/changes").await;
            let is_same = |theirs: Vec<String>| ours.len() == 2 && theirs == ours;
            if is_same(names(&box_, "/Mesh/changes").await)
                && is_same(names(&plain, "/Mesh/changes").await)
                && names(&box_, "/Mesh/files").await.len() == 1
                && names(&box_, "/Mesh").await.len() == 2
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), whole).await.unwrap();
    assert!(writes.load(Ordering::SeqCst) > 1, "the first try failed");
    let fresh = restored(&box_, |_| {}).await;
    assert_eq!(dump(&fresh).await, dump(&db).await);
    // A task in a request that never ends does not keep the database.
    tokio::time::timeout(Duration::from_secs(5), db.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_mirror_can_be_restored_wherever_a_pass_is_broken_off() {
    let main = MemoryMailbox::new();
    let mirror = MemoryMailbox::new();
    let faulty = FaultyMailbox::new(mirror.clone(), |_, _| None);
    let db = device(main.clone(), |config| {
        config.replicas = vec![Replica::mirror("backup", Arc::new(faulty.clone()))];
    })
    .await;
    live(&db).await;
    let before = dump(&db).await;
    let kept = MemoryMailbox::new();
    copy_tree(&mirror, &kept, "/Mesh").await;
    // The replica is away while the mesh goes on, is compacted twice, and forgets the files of before.
    faulty.set(|_, _| Some(Failure::Before(Kind::Offline)));
    for at in 0..5 {
        put(&db, &format!("news{at}"), at).await;
        db.put_file(&format!("news/{at}"), vec![1; 300_000], None).await.unwrap();
        db.sync().await.unwrap();
    }
    for _ in 0..2 {
        db.compact(Duration::ZERO).await.unwrap();
        put(&db, "between", 1).await;
        db.sync().await.unwrap();
    }
    let after = dump(&db).await;
    let mut stops = 0;
    for stop in 1.. {
        // From the same state each time, and broken off one write later.
        faulty.set(|_, _| None);
        for file in all(&mirror, "/Mesh").await {
            mirror.delete_file(&file).await.unwrap();
        }
        copy_tree(&kept, &mirror, "/Mesh").await;
        let mut writes = 0;
        faulty.set(move |operation, _| {
            writes += u64::from(matches!(operation, "write" | "create" | "replace"));
            (writes >= stop).then_some(Failure::Before(Kind::Offline))
        });
        let outcome = db.replicate("backup", false).await;
        let fresh = restored(&mirror, |_| {}).await;
        let seen = dump(&fresh).await;
        for at in 0..5 {
            // A row whose file belongs to it never stands there without it.
            if seen["tables"]["todos"].get(format!("news{at}")).is_some() {
                assert_eq!(content(&fresh, &format!("news/{at}")).await.len(), 300_000, "at write {stop}");
            }
        }
        assert_eq!(seen["tables"]["todos"]["r5"], before["tables"]["todos"]["r5"], "at write {stop}");
        assert!(seen["tables"]["todos"].get("r1").is_none() && seen["tables"]["todos"].get("r2").is_none());
        if outcome.is_ok() {
            assert_eq!(seen, after);
            break;
        }
        stops += 1;
    }
    assert!(stops > 8, "{stops} writes");
}

async fn all(mailbox: &MemoryMailbox, folder: &str) -> Vec<String> {
    let mut paths: Vec<String> =
        mailbox.list_files(folder).await.unwrap_or_default().into_iter().map(|file| file.path).collect();
    for name in mailbox.list_folders(folder).await.unwrap_or_default() {
        paths.extend(Box::pin(all(mailbox, &format!("{folder}/{name}"))).await);
    }
    paths
}

#[tokio::test]
async fn the_pointer_of_a_mirror_moves_last_and_only_over_a_whole_snapshot() {
    let main = MemoryMailbox::new();
    let mirror = MemoryMailbox::new();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let faulty = FaultyMailbox::new(mirror.clone(), move |operation, path| {
        if matches!(operation, "write" | "create" | "replace") {
            seen.lock().unwrap().push(path.to_owned());
        }
        None
    });
    let db = device(main.clone(), |config| {
        config.replicas = vec![Replica::mirror("backup", Arc::new(faulty.clone()))];
    })
    .await;
    live(&db).await;
    order.lock().unwrap().clear();
    db.compact(Duration::ZERO).await.unwrap();
    db.replicate("backup", false).await.unwrap();
    let order: Vec<String> = order.lock().unwrap().clone();
    let at =
        |part: &str| order.iter().position(|path| path.contains(part)).unwrap_or_else(|| panic!("{part}"));
    assert!(at("/mainline/snapshot-2-") < at("/manifest-3.json"), "{order:?}");
    assert!(at("/manifest-3.json") < at("/manifest.json"), "{order:?}");
    // A snapshot that is damaged in the main mailbox comes into force nowhere else.
    let pointer = mirror.read_file("/Mesh/manifest.json").await.unwrap();
    put(&db, "more", 1).await;
    db.compact(Duration::ZERO).await.unwrap();
    let snapshot = all(&main, "/Mesh/mainline")
        .await
        .into_iter()
        .find(|path| path.contains("snapshot-3-") && !path.contains("coverage"));
    let snapshot = snapshot.unwrap();
    let mut bytes = main.read_file(&snapshot).await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    main.write_file(&snapshot, bytes.into()).await.unwrap();
    let error = db.replicate("backup", false).await.unwrap_err();
    assert_eq!(error.code().as_str(), "DECODE");
    assert_eq!(mirror.read_file("/Mesh/manifest.json").await.unwrap(), pointer);
    assert!(!all(&mirror, "/Mesh/mainline").await.iter().any(|path| path.contains("snapshot-3-")));
}

#[tokio::test]
async fn a_compaction_in_the_middle_of_a_pass_is_followed() {
    // Also the first one: until then everything is in change files.
    for is_first in [false, true] {
        compacted_in_the_middle(is_first).await;
    }
}

async fn compacted_in_the_middle(is_first: bool) {
    let main = MemoryMailbox::new();
    let source = FaultyMailbox::new(main.clone(), |_, _| None);
    let mirror = MemoryMailbox::new();
    let db = device(source.clone(), |config| {
        config.replicas = vec![Replica::mirror("backup", Arc::new(mirror.clone()))];
    })
    .await;
    if is_first {
        put(&db, "a", 1).await;
        db.sync().await.unwrap();
    } else {
        live(&db).await;
    }
    for file in all(&mirror, "/Mesh").await {
        mirror.delete_file(&file).await.unwrap();
    }
    // What was listed is gone when it is read; the pointer names another snapshot by then.
    let other = device(main.clone(), |_| {}).await;
    put(&other, "theirs", 1).await;
    other.sync().await.unwrap();
    db.sync().await.unwrap();
    for file in all(&mirror, "/Mesh").await {
        mirror.delete_file(&file).await.unwrap();
    }
    let mut compactor = Some(other.clone());
    source.set(move |operation, path| {
        if operation == "read"
            && path.contains("-chg_")
            && let Some(other) = compactor.take()
        {
            // On a thread of its own: the request waits for it.
            let compact = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(other.compact(Duration::ZERO)).unwrap();
            };
            std::thread::spawn(compact).join().unwrap();
        }
        None
    });
    db.replicate("backup", false).await.unwrap();
    let pointer = "/Mesh/manifest.json";
    assert_eq!(mirror.read_file(pointer).await.unwrap(), main.read_file(pointer).await.unwrap());
    assert_eq!(dump(&restored(&mirror, |_| {}).await).await, dump(&other).await);
}

#[tokio::test]
async fn replicate_mends_what_was_damaged_and_copies_nothing_twice() {
    let (main, mirror) = (MemoryMailbox::new(), MemoryMailbox::new());
    let db = device(main.clone(), |config| {
        config.replicas = vec![Replica::mirror("backup", Arc::new(mirror.clone()))];
    })
    .await;
    live(&db).await;
    let changes = names(&main, "/Mesh/changes").await;
    let change = format!("/Mesh/changes/{}", changes.iter().find(|name| name.contains("-chg_")).unwrap());
    // Of the same length, so that only its digest tells.
    let whole = mirror.read_file(&change).await.unwrap();
    mirror.write_file(&change, vec![b'x'; whole.len()].into()).await.unwrap();
    assert_eq!(db.replicate("backup", false).await.unwrap().copied, 0);
    assert_eq!(db.replicate("backup", true).await.unwrap().copied, 1);
    assert_eq!(mirror.read_file(&change).await.unwrap(), whole);
    // Of another length: told by the listing.
    mirror.write_file(&change, Body::from("cut")).await.unwrap();
    assert_eq!(db.replicate("backup", false).await.unwrap().copied, 1);
    assert_eq!(mirror.read_file(&change).await.unwrap(), whole);
    // What is damaged in the main mailbox does not take the place of what is not.
    main.write_file(&change, vec![b'x'; whole.len() + 1].into()).await.unwrap();
    let done = db.replicate("backup", false).await.unwrap();
    assert_eq!((done.copied, done.damaged), (0, 1));
    assert_eq!(mirror.read_file(&change).await.unwrap(), whole);
    // A file that was put anew goes there anew, although it is as long as before.
    main.write_file(&change, whole.into()).await.unwrap();
    db.put_file("docs/small", b"other".to_vec(), Some("text/plain")).await.unwrap();
    db.sync().await.unwrap();
    assert_eq!(content(&restored(&mirror, |_| {}).await, "docs/small").await, b"other");
}

#[tokio::test]
async fn another_mesh_and_a_later_state_are_left_alone() {
    let (main, theirs, ahead) = (MemoryMailbox::new(), MemoryMailbox::new(), MemoryMailbox::new());
    device(theirs.clone(), |_| {}).await;
    let before = all(&theirs, "/Mesh").await;
    let db = device(main.clone(), |config| {
        config.replicas = vec![
            Replica::mirror("theirs", Arc::new(theirs.clone())),
            Replica::mirror("ahead", Arc::new(ahead.clone())),
        ];
    })
    .await;
    let error = db.replicate("theirs", false).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    assert_eq!(all(&theirs, "/Mesh").await, before);
    live(&db).await;
    let pointer = ahead.read_file("/Mesh/manifest.json").await.unwrap();
    // The main mailbox is put back to its first state.
    main.write_file("/Mesh/manifest.json", Body::from(r#"{"currentGeneration":1,"file":"manifest-1.json"}"#))
        .await
        .unwrap();
    let error = db.replicate("ahead", false).await.unwrap_err();
    assert_eq!(error.code().as_str(), "REMOTE_ROLLBACK");
    assert_eq!(ahead.read_file("/Mesh/manifest.json").await.unwrap(), pointer);
    assert_eq!(db.replicate("nobody", false).await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
    db.disconnect().await;
    assert_eq!(db.replicate("ahead", false).await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
}
