//! Replicas: what they are given, how they stand, and what is told of them.

use std::sync::Arc;

use interocitor_ffi::{CancelToken, Configuration, Event, Interocitor, Mailbox, Replica};

use crate::{
    events::listener,
    support::{PATIENCE, code, member, open, text, wait},
};

fn replica(name: &str, mailbox: &Arc<Mailbox>, mirror: bool) -> Replica {
    Replica { name: name.into(), mailbox: Arc::clone(mailbox), mirror, remote_path: None }
}

fn with(replicas: Vec<Replica>) -> impl FnOnce(&mut Configuration) {
    move |configuration| configuration.replicas = replicas
}

fn put(db: &Interocitor, row: &str) {
    wait(db.table("t".into()).put(row.into(), br#"{"v":1}"#.to_vec())).unwrap();
}

#[test]
fn a_device_is_restored_from_a_mirror() {
    let (main, copy) = (Arc::new(Mailbox::memory()), Arc::new(Mailbox::memory()));
    let db = member(&main, with(vec![replica("copy", &copy, true)]));
    let (heard, events) = listener(|_| Ok(()));
    let _subscription = db.subscribe(heard).unwrap();
    put(&db, "r");
    wait(db.flush(None)).unwrap();
    let done = wait(db.replicate("copy".into(), true, None)).unwrap();
    assert!(done.files > 2 && done.damaged == 0, "{done:?}");
    let states = wait(db.replicas()).unwrap();
    assert_eq!((states.len(), states[0].name.as_str(), states[0].mirror), (1, "copy", true));
    assert_eq!((states[0].waiting, &states[0].problem), (0, &None));
    let restored = member(&copy, |_| {});
    assert_eq!(text(wait(restored.table("t".into()).row("r".into())).unwrap()).unwrap(), r#"{"v":1}"#);

    let mut complete = None;
    while complete.is_none() {
        let events = events.recv_timeout(PATIENCE).unwrap();
        complete = events.into_iter().find(|event| {
            matches!(event, Event::ReplicaComplete { replica, copied, bytes, .. }
                if replica == "copy" && *copied > 0 && *bytes > 0)
        });
    }
}

#[test]
fn a_plain_replica_gets_changes_under_its_own_path() {
    let (main, copy) = (Arc::new(Mailbox::memory()), Arc::new(Mailbox::memory()));
    let elsewhere = Replica { remote_path: Some("/Copy".into()), ..replica("copy", &copy, false) };
    let db = member(&main, with(vec![elsewhere]));
    put(&db, "r");
    wait(db.flush(None)).unwrap();
    wait(db.replicate("copy".into(), false, None)).unwrap();
    assert!(!wait(db.replicas()).unwrap()[0].mirror);
    let fresh = open(|configuration| configuration.remote_path = Some("/Copy".into()));
    wait(fresh.set_remote_storage(Some(copy))).unwrap();
    assert!(wait(fresh.connect(None)).is_err(), "there are changes, and no mesh to restore from");
}

#[test]
fn one_that_is_down_is_told_and_holds_nothing_up() {
    let main = Arc::new(Mailbox::memory());
    let gone = Arc::new(Mailbox::folder("/nonexistent/folder".into()));
    let db = member(&main, with(vec![replica("gone", &gone, true)]));
    let (heard, events) = listener(|_| Ok(()));
    let _subscription = db.subscribe(heard).unwrap();
    put(&db, "r");
    assert_eq!(wait(db.flush(None)).unwrap(), 1);
    assert_eq!(wait(db.status()).unwrap().pending_count, 0);
    let failure = wait(db.replicate("gone".into(), false, None));
    let told = loop {
        let events = events.recv_timeout(PATIENCE).unwrap();
        if let Some(event) = events.into_iter().find(|event| matches!(event, Event::ReplicaError { .. })) {
            break event;
        }
    };
    let Event::ReplicaError { replica, code: told, reason, retry_in_ms, .. } = told else { unreachable!() };
    assert_eq!((replica.as_str(), retry_in_ms), ("gone", None));
    assert!(!reason.is_empty());
    assert_eq!(code(failure), told);
    let problem = wait(db.replicas()).unwrap().remove(0).problem.unwrap();
    assert_eq!(problem.code, told);
}

#[test]
fn what_is_wrong_with_replicas_is_told() {
    let main = Arc::new(Mailbox::memory());
    let copy = || replica("copy", &Arc::new(Mailbox::memory()), false);
    for replicas in [vec![copy(), copy()], vec![Replica { name: String::new(), ..copy() }]] {
        let mut configuration = crate::support::configuration();
        configuration.replicas = replicas;
        assert_eq!(code(wait(Interocitor::open(configuration))), "INVALID_ARGUMENT");
    }
    let db = open(with(vec![copy()]));
    assert_eq!(code(wait(db.replicate("copy".into(), false, None))), "INVALID_ARGUMENT", "not connected");
    wait(db.set_remote_storage(Some(main))).unwrap();
    wait(db.connect(None)).unwrap();
    assert_eq!(code(wait(db.replicate("other".into(), false, None))), "INVALID_ARGUMENT");
    let cancelled = Arc::new(CancelToken::new());
    cancelled.cancel();
    assert_eq!(code(wait(db.replicate("copy".into(), false, Some(cancelled)))), "CANCELLED");
    wait(db.shutdown()).unwrap();
    assert_eq!(code(wait(db.replicate("copy".into(), false, None))), "SHUT_DOWN");
    assert_eq!(code(wait(db.replicas())), "SHUT_DOWN");
}
