//! The status, as a value and as a stream.

use std::{sync::Arc, thread, time::Duration};

use interocitor_ffi::{Background, ConnectionState, Mailbox, Phase, Status, StatusWatch};

use crate::support::{code, member, open, wait};

fn next(watch: &StatusWatch) -> Option<Status> {
    wait(watch.next()).unwrap()
}

#[test]
fn the_stream_gives_each_new_state_and_ends() {
    let db = open(|_| {});
    let watch = db.watch_status().unwrap();
    let first = next(&watch).unwrap();
    assert_eq!(first, wait(db.status()).unwrap());
    let state = (first.connection, first.has_network, first.background, first.operation);
    assert_eq!(state, (ConnectionState::Offline, true, Background::Nowhere, None));
    assert_eq!((first.pending_count, first.quarantined_items.len()), (0, 0));
    wait(db.table("t".into()).put("a".into(), br#"{"v":1}"#.to_vec())).unwrap();
    assert_eq!(next(&watch).unwrap().pending_count, 1);
    // Of many changes the last is given.
    for at in 0..20 {
        wait(db.table("t".into()).put(at.to_string(), br#"{"v":1}"#.to_vec())).unwrap();
    }
    assert_eq!(next(&watch).unwrap().pending_count, 21);
    db.set_network(false);
    assert!(!next(&watch).unwrap().has_network);
    // While the database is suspended a question waits.
    wait(db.suspend()).unwrap();
    let resting = db.watch_status().unwrap();
    let waiting = thread::spawn(move || next(&resting));
    thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    wait(db.resume()).unwrap();
    assert!(waiting.join().unwrap().is_some());

    let (waiting, other) = (Arc::clone(&watch), db.watch_status().unwrap());
    let ended = thread::spawn(move || next(&waiting));
    thread::sleep(Duration::from_millis(50));
    watch.cancel();
    assert_eq!((ended.join().unwrap(), next(&watch)), (None, None));
    assert!(next(&other).is_some(), "the others go on");
    let waiting = Arc::clone(&other);
    let ended = thread::spawn(move || next(&waiting));
    wait(db.shutdown()).unwrap();
    assert_eq!((ended.join().unwrap(), next(&other)), (None, None));
    assert_eq!(code(db.watch_status()), "SHUT_DOWN");
}

#[test]
fn it_tells_what_goes_on_and_what_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::folder(folder.path().display().to_string()));
    let db = member(&mailbox, |_| {});
    let damaged = folder.path().join("Mesh/changes/001795352695000-0000-peer-chg_damaged.json");
    std::fs::write(&damaged, "{").unwrap();
    wait(db.sync(None)).unwrap();
    let status = wait(db.status()).unwrap();
    assert_eq!((status.quarantined, status.background), (1, Background::Nowhere));
    assert_eq!(status.quarantined_items, wait(db.quarantined()).unwrap());
    assert!(status.last_sync_ms.is_some_and(|at| at > 1_700_000_000_000));

    for at in 0..400 {
        let batch = db.begin_batch().unwrap();
        batch.put("t".into(), at.to_string(), br#"{"v":1}"#.to_vec()).unwrap();
        wait(batch.commit()).unwrap();
    }
    let db = Arc::new(db);
    let flushing = Arc::clone(&db);
    let publishing = thread::spawn(move || wait(flushing.flush(None)).unwrap());
    let mut operations = Vec::new();
    while !publishing.is_finished() {
        operations.extend(wait(db.status()).unwrap().operation);
    }
    assert_eq!(publishing.join().unwrap(), 400);
    let of_it: Vec<_> = operations.iter().filter(|now| now.phase == Phase::Publishing).collect();
    assert!(of_it.iter().any(|now| now.files_total == Some(400)), "{operations:?}");
    assert!(of_it.windows(2).all(|pair| pair[0].files <= pair[1].files && pair[0].bytes <= pair[1].bytes));
    assert_eq!(wait(db.status()).unwrap().operation, None);
    let keeper = member(&mailbox, |given| given.auto_sync = true);
    assert_eq!(wait(keeper.status()).unwrap().background, Background::Here);
}
