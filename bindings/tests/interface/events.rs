//! Listeners, and what they may do wrong.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use interocitor_ffi::{Event, EventListener, Failure, Mailbox};

use crate::support::{PATIENCE, broken, code, member, open, wait};

/// Passes on what it hears, and does what it is told to.
struct Listener<F>(Mutex<mpsc::Sender<Vec<Event>>>, F);

impl<F: Fn(&[Event]) -> Result<(), Failure> + Send + Sync> EventListener for Listener<F> {
    fn on_events(&self, events: Vec<Event>) -> Result<(), Failure> {
        let outcome = (self.1)(&events);
        let _ = self.0.lock().unwrap().send(events);
        outcome
    }
}

pub(crate) fn listener<F: Fn(&[Event]) -> Result<(), Failure> + Send + Sync + 'static>(
    act: F,
) -> (Arc<dyn EventListener>, mpsc::Receiver<Vec<Event>>) {
    let (sender, heard) = mpsc::channel();
    (Arc::new(Listener(Mutex::new(sender), act)), heard)
}

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
fn five_thousand_changes_in_one_pull_are_told_once_a_commit() {
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
