//! What a database does by itself, and how an app learns that it is done: marks, pushes, the network, compaction.

use std::{sync::Arc, thread, time::Duration};

use interocitor_ffi::{AutoCompaction, CancelToken, Interocitor, Mailbox};

use crate::support::{PATIENCE, code, configuration, member, wait};

fn put(db: &Interocitor, id: &str) {
    wait(db.table("t".into()).put(id.into(), br#"{"v":1}"#.to_vec())).unwrap();
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("it never came about: {what}");
}

#[test]
fn a_mark_is_published_and_then_seen() {
    let mailbox = Arc::new(Mailbox::memory());
    let db = member(&mailbox, |_| {});
    put(&db, "a");
    let mark = wait(db.write_mark()).unwrap();
    let token = Arc::new(CancelToken::new());
    let (canceller, soon) = (Arc::clone(&token), Duration::from_millis(50));
    let cancelling = thread::spawn(move || {
        thread::sleep(soon);
        canceller.cancel();
    });
    assert_eq!(code(wait(db.await_published(Arc::clone(&mark), Some(token)))), "CANCELLED");
    cancelling.join().unwrap();
    wait(db.sync(None)).unwrap();
    wait(db.await_published(Arc::clone(&mark), None)).unwrap();
    let other = member(&mailbox, |_| {});
    assert!(wait(db.seen_by(other.device_id(), Arc::clone(&mark), None)).unwrap(), "it came later");
    put(&db, "b");
    wait(db.sync(None)).unwrap();
    let later = wait(db.write_mark()).unwrap();
    assert!(!wait(db.seen_by(other.device_id(), later, None)).unwrap());
    assert_eq!(code(wait(db.seen_by("nobody".into(), Arc::clone(&mark), None))), "INVALID_ARGUMENT");
    wait(db.shutdown()).unwrap();
    assert_eq!(code(wait(db.write_mark())), "SHUT_DOWN");
    assert_eq!(code(wait(db.await_published(mark, None))), "SHUT_DOWN");
}

#[test]
fn a_push_is_followed_and_without_a_network_nothing_is_tried() {
    let mailbox = Arc::new(Mailbox::memory());
    let writer = member(&mailbox, |_| {});
    let reader = member(&mailbox, |given| given.auto_sync = true);
    let rows = |expected: usize| {
        let dump: serde_json::Value = serde_json::from_str(&wait(reader.dump()).unwrap()).unwrap();
        dump["tables"]["t"].as_object().map_or(0, serde_json::Map::len) == expected
    };
    put(&writer, "a");
    wait(writer.sync(None)).unwrap();
    assert!(rows(0));
    // The next poll is half a minute away.
    reader.poke();
    eventually("what was pushed is pulled", || rows(1));
    reader.set_network(false);
    assert!(!wait(reader.status()).unwrap().has_network);
    put(&writer, "b");
    wait(writer.sync(None)).unwrap();
    reader.poke();
    thread::sleep(Duration::from_millis(1500));
    assert!(rows(1));
    reader.set_network(true);
    eventually("the network brings what is new", || rows(2));
    assert!(wait(reader.status()).unwrap().has_network);
}

#[test]
fn it_compacts_when_it_is_told_to_and_never_when_it_is_not() {
    let eager = AutoCompaction {
        enabled: true,
        batches: 1,
        compactors: 1,
        first_delay_ms: 600_000,
        second_delay_ms: 900_000,
        jitter_ms: 0,
        change_files: 2,
        grace_ms: 0,
    };
    let epoch = |db: &Interocitor| wait(db.status()).unwrap().epoch;
    let open = |auto_compact| {
        member(&Arc::new(Mailbox::memory()), |given| {
            (given.auto_sync, given.auto_compact) = (true, auto_compact);
            (given.batch_window_ms, given.flush_debounce_ms) = (0, 0);
        })
    };
    let (eagerly, never) = (open(Some(eager)), open(Some(AutoCompaction { enabled: false, ..eager })));
    for db in [&eagerly, &never] {
        put(db, "a");
        wait(db.await_published(wait(db.write_mark()).unwrap(), None)).unwrap();
    }
    eventually("a snapshot is written", || epoch(&eagerly) > 0);
    assert_eq!(epoch(&never), 0);
    for bad in [
        AutoCompaction { first_delay_ms: -1, ..eager },
        AutoCompaction { second_delay_ms: -1, ..eager },
        AutoCompaction { jitter_ms: -1, ..eager },
        AutoCompaction { change_files: -1, ..eager },
        AutoCompaction { grace_ms: -1, ..eager },
    ] {
        let mut given = configuration();
        given.auto_compact = Some(bad);
        assert_eq!(code(wait(Interocitor::open(given))), "INVALID_ARGUMENT");
    }
}
