//! Devices stepped by seed on one thread, in virtual time, through a mailbox that fails at random.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::{
    faulty::{Failure, FaultyMailbox},
    sim::{Executor, Rng, World},
};
use interocitor_core::{
    Config, Interocitor, Passphrase, StoreLocation,
    mailbox::{MailboxErrorKind, MemoryMailbox},
};
use serde_json::json;

const TABLES: [&str; 2] = ["todos", "notes"];
const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

fn config(world: &Arc<World>, skew_ms: i64, auto_sync: bool) -> Config {
    let mut config = Config::new("sim", StoreLocation::Memory);
    config.remote_path = Some("/Mesh".into());
    config.passphrase = Some(Passphrase::from(PASSPHRASE));
    config.auto_sync = auto_sync;
    // Else there is no moment at which everybody is at rest.
    config.auto_compact = None;
    config.host = world.host(skew_ms);
    config
}

/// Fails about one call in eight; reports what was asked for.
fn unreliable(
    seed: u64,
    on: &Arc<Mutex<bool>>,
) -> impl FnMut(&'static str, &str) -> Option<Failure> + Send + 'static {
    let mut rng = Rng(seed);
    let on = Arc::clone(on);
    move |operation, _| {
        use MailboxErrorKind as K;
        if !*on.lock().unwrap() || !rng.chance(12) {
            return None;
        }
        let kind = [K::Unavailable, K::Timeout, K::Offline, K::RateLimited, K::Unauthorized, K::QuotaFull]
            [rng.below(6)];
        // An answer that is lost after the effect is what makes retries dangerous.
        let lost = matches!(operation, "write" | "create" | "replace" | "delete") && rng.chance(50);
        Some(if lost { Failure::After(kind) } else { Failure::Before(kind) })
    }
}

/// Some writes; all of them must succeed, whatever the mailbox does.
async fn scribble(db: &Interocitor, rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let table = db.table(TABLES[rng.below(2)]);
        let row = format!("r{}", rng.below(6));
        let value = rng.next() % 1000;
        match rng.below(10) {
            0 => table.delete(row).await.unwrap(),
            1 => table.replace(row, &json!({"a": value})).await.unwrap(),
            2 => {
                let other = format!("r{}", rng.below(6));
                db.batch(|batch| {
                    batch.table("todos").put(&*row, &json!({"a": value, "batch": true}))?;
                    batch.table("notes").put(&*other, &json!({"b": value, "batch": true}))?;
                    batch.table("todos").delete(&*other)
                })
                .await
                .unwrap();
            }
            _ => {
                let field = ["a", "b", "c"][rng.below(3)];
                table.put(row, &json!({field: value})).await.unwrap();
            }
        }
    }
}

/// One run; gives what every device holds in the end.
fn run(seed: u64, auto_sync: bool) -> String {
    let world = World::new(seed);
    let failing = Arc::new(Mutex::new(true));
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), unreliable(seed ^ 0xabcd, &failing));
    let mut rng = Rng(seed.wrapping_mul(7));
    let mut executor = Executor::new(&world);
    let mut devices = Vec::new();
    for skew in [0, i64::try_from(rng.below(2_000_000)).unwrap() - 1_000_000] {
        let config = config(&world, skew, auto_sync);
        let db = executor.complete(Interocitor::open(config)).unwrap();
        let (handle, adapter) = (db.clone(), Arc::new(mailbox.clone()));
        executor.complete(async move { handle.set_remote_storage(Some(adapter)).await });
        devices.push(db);
    }
    for _ in 0..12 {
        for db in &devices {
            let (db, mut rng) = (db.clone(), Rng(rng.next()));
            // Both devices write and sync at the same time, step by step as the seed wants it.
            executor.add(async move {
                scribble(&db, &mut rng).await;
                let _ = db.connect().await;
                scribble(&db, &mut rng).await;
                if rng.chance(60) {
                    let _ = db.sync().await;
                }
            });
        }
        executor.run_for(20_000);
    }
    *failing.lock().unwrap() = false;
    if auto_sync {
        // Nobody asks for anything any more: the background tasks find each other.
        executor.run_for(1_000_000);
    } else {
        for _ in 0..3 {
            for db in &devices {
                let db = db.clone();
                assert!(
                    executor
                        .complete({
                            let db = db.clone();
                            async move { db.connect().await }
                        })
                        .unwrap()
                        .is_online()
                );
                executor.complete(async move { db.sync().await }).unwrap();
            }
        }
    }
    let fresh = executor.complete(Interocitor::open(config(&world, 0, false))).unwrap();
    executor.complete({
        let (fresh, mailbox) = (fresh.clone(), mailbox.clone());
        async move {
            fresh.set_remote_storage(Some(Arc::new(mailbox))).await;
            assert!(fresh.connect().await.unwrap().is_online());
        }
    });
    let wanted = executor
        .complete({
            let fresh = fresh.clone();
            async move { fresh.dump().await }
        })
        .unwrap();
    for db in devices {
        let (dump, status) = executor.complete({
            let db = db.clone();
            async move { (db.dump().await.unwrap(), db.status().await.unwrap()) }
        });
        assert_eq!(sorted(&dump), sorted(&wanted), "seed {seed}");
        assert_eq!(status.pending.count, 0, "seed {seed}");
        assert_eq!(status.quarantined, 0, "seed {seed}");
        executor.complete(async move { db.shutdown().await }).unwrap();
    }
    wanted
}

fn sorted(dump: &str) -> serde_json::Value {
    serde_json::from_str(dump).unwrap()
}

#[test]
fn devices_converge_through_an_unreliable_mailbox() {
    for seed in 0..150 {
        run(seed, false);
    }
}

#[test]
fn background_sync_converges_by_itself() {
    for seed in 1000..1100 {
        run(seed, true);
    }
}

#[test]
fn a_seed_decides_everything() {
    for auto_sync in [false, true] {
        assert_eq!(run(77, auto_sync), run(77, auto_sync));
    }
    assert_ne!(run(77, false), run(78, false));
}
