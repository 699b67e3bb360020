//! Compaction by itself, in virtual time: when, by whom, and when it is left to others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{sync::Arc, time::Duration};

use common::sim::{Executor, World};
use interocitor_core::{
    Config, Event, Events, Interocitor, StoreLocation,
    mailbox::{MemoryMailbox, StorageAdapter},
};
use serde_json::json;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

struct Run {
    world: Arc<World>,
    executor: Executor<'static>,
    mailbox: MemoryMailbox,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        Self { executor: Executor::new(&world), mailbox: MemoryMailbox::new(), world }
    }

    fn online(&mut self, change: impl FnOnce(&mut Config)) -> (Interocitor, Events) {
        let mut config = Config::new("auto", StoreLocation::Memory);
        config.remote_path = Some("/Mesh".into());
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        config.host = self.world.host(0);
        change(&mut config);
        let adapter = Arc::new(self.mailbox.clone());
        let db = self.executor.complete(async move {
            let db = Interocitor::open(config).await.unwrap();
            db.set_remote_storage(Some(adapter)).await;
            assert!(db.connect().await.unwrap().is_online());
            db
        });
        let events = db.events();
        (db, events)
    }

    /// So many batches at once.
    fn put(&mut self, db: &Interocitor, batches: u32) {
        let db = db.clone();
        self.executor.complete(async move {
            for at in 0..batches {
                db.table("t").put(format!("r{at}"), &json!({"v": at})).await.unwrap();
            }
        });
    }

    fn pass(&mut self, minutes: u64) {
        self.executor.run_for(minutes * 60_000);
    }
}

/// What was told of compactions, as `name trigger`.
fn told(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .filter_map(|event| match event {
            Event::CompactAutoStart { trigger } => Some(format!("start {trigger}")),
            Event::CompactAutoComplete { trigger, epoch, .. } => Some(format!("epoch {epoch} {trigger}")),
            Event::CompactAutoSkip { trigger, reason } => Some(format!("skip {reason} {trigger}")),
            Event::CompactAutoError { code, .. } => Some(format!("error {code}")),
            _ => None,
        })
        .collect()
}

#[test]
fn many_batches_at_once_are_compacted_at_once() {
    let mut run = Run::new(1);
    let (db, mut events) = run.online(|_| {});
    run.put(&db, 50);
    run.pass(1);
    assert_eq!(told(&mut events), ["start immediate", "epoch 1 immediate"]);
    run.put(&db, 49);
    run.pass(1);
    assert_eq!(told(&mut events), [""; 0]);
}

#[test]
fn a_few_files_are_compacted_after_a_quiet_while_and_fewer_are_left_alone() {
    let mut run = Run::new(2);
    let (db, mut events) = run.online(|_| {});
    run.put(&db, 2);
    run.pass(60);
    assert_eq!(told(&mut events), [""; 0], "two files are no burden");
    run.put(&db, 2);
    run.pass(9);
    // A newer batch takes the place of what was planned; all four waits lie between 5 and 20 minutes.
    run.put(&db, 1);
    run.pass(13);
    assert_eq!(told(&mut events), [""; 0], "not before 5 and 10 minutes");
    run.pass(25);
    assert_eq!(told(&mut events), ["start delayed", "epoch 1 delayed"]);
    run.pass(120);
    assert_eq!(told(&mut events), [""; 0]);
    let (off, mut events) = run.online(|config| config.auto_compact = None);
    run.put(&off, 60);
    run.pass(60);
    assert_eq!(told(&mut events), [""; 0]);
}

#[test]
fn of_many_devices_some_are_drawn_and_two_never_compact_together() {
    let (mut compacted, mut skipped) = (0, 0);
    for seed in 0..12 {
        let mut run = Run::new(seed);
        let mut devices: Vec<_> = (0..4)
            .map(|_| run.online(|config| config.auto_compact.as_mut().unwrap().compactors = 2))
            .collect();
        for (db, _) in &devices {
            run.put(db, 50);
        }
        run.pass(4);
        for (_, events) in &mut devices {
            for line in told(events) {
                compacted += u32::from(line.starts_with("epoch"));
                skipped += u32::from(line.starts_with("skip sampling"));
                assert!(!line.starts_with("error"), "{line}");
            }
        }
        let states: Vec<String> = devices
            .iter()
            .map(|(db, _)| {
                let db = db.clone();
                run.executor.complete(async move {
                    db.sync().await.unwrap();
                    db.dump().await.unwrap()
                })
            })
            .collect();
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
    }
    // Each of 48 with a chance of a half.
    assert!((12..=36).contains(&compacted) && (12..=36).contains(&skipped), "{compacted} {skipped}");
}

#[test]
fn beside_other_clients_and_for_another_writer_nobody_compacts_by_itself() {
    let mut run = Run::new(5);
    let (db, mut events) = run.online(|_| {});
    let record = r#"{"deviceId":"web","registeredAt":"2026-01-01T00:00:00.000Z","lastSeenAt":"2027-01-15T08:00:00.000Z"}"#;
    let mailbox = run.mailbox.clone();
    run.executor.complete(async move {
        mailbox.write_file("/Mesh/devices/web.json", record.as_bytes().to_vec().into()).await.unwrap();
    });
    run.put(&db, 50);
    run.pass(1);
    assert_eq!(told(&mut events), ["skip other-clients immediate"]);

    let mut run = Run::new(6);
    let managed = |config: &mut Config| {
        config.server_managed = true;
        config.server_id = "server".into();
    };
    let (server, mut server_events) = run.online(|config| {
        managed(config);
        config.device_id = Some("server".into());
    });
    let (db, mut events) = run.online(managed);
    run.put(&db, 50);
    run.pass(2);
    assert_eq!(told(&mut events), ["skip not-the-writer immediate"]);
    run.put(&server, 50);
    run.pass(2);
    assert_eq!(told(&mut server_events), ["start immediate", "epoch 1 immediate"]);
}
