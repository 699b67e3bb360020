//! Whole devices that meet in Google Drive.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use interocitor_core::{Compaction, Config, Interocitor, StoreLocation, mailbox::StorageAdapter};
use serde_json::{Value, json};

use super::ahead::Ahead;
use super::server::Drive;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device(adapter: Arc<dyn StorageAdapter>, host: &Arc<Ahead>) -> Interocitor {
    let mut config = Config::new("test", StoreLocation::Memory);
    config.remote_path = Some("/Mesh".into());
    config.auto_sync = false;
    config.auto_compact = None;
    config.passphrase = Some(PASSPHRASE.into());
    config.batch_window = Duration::ZERO;
    config.host = host.clone();
    let db = Interocitor::open(config).await.unwrap();
    db.set_remote_storage(Some(adapter)).await;
    db
}

async fn connected(drive: &Drive) -> Interocitor {
    connected_at(drive, &Arc::default()).await
}

async fn connected_at(drive: &Drive, host: &Arc<Ahead>) -> Interocitor {
    let db = device(drive.adapter(), host).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn dump(db: &Interocitor) -> Value {
    let dump: Value = serde_json::from_str(&db.dump().await.unwrap()).unwrap();
    json!({"tables": dump["tables"], "tombstones": dump["tombstones"]})
}

async fn assert_converged(devices: &[Interocitor]) {
    for _ in 0..2 {
        for db in devices {
            db.sync().await.unwrap();
        }
    }
    let wanted = dump(&devices[0]).await;
    for db in devices {
        assert_eq!(dump(db).await, wanted);
        assert_eq!(db.status().await.unwrap().quarantined, 0);
    }
}

#[tokio::test]
async fn two_devices_converge_while_drive_is_busy_and_tokens_expire() {
    let drive = Drive::start();
    let devices = [connected(&drive).await, connected(&drive).await];
    for round in 0..6 {
        for (number, db) in devices.iter().enumerate() {
            for row in 0..4 {
                let row = format!("r{row}");
                db.table("todos").put(&*row, &json!({format!("by {number}"): round})).await.unwrap();
            }
            drive.fail(2, "", 403, "userRateLimitExceeded", Some("0"));
            if round % 2 == 0 {
                drive.tell("expire", &json!({}));
            }
            db.sync().await.unwrap();
        }
    }
    assert_converged(&devices).await;
    assert_eq!(dump(&devices[0]).await["tables"]["todos"]["r3"], json!({"by 0": 5, "by 1": 5}));
    // What the JavaScript client lays out, in the folders where it looks; one file of every name.
    for name in ["Mesh", "changes", "mainline", "devices", "manifest.json", "manifest-1.json", "head.json"] {
        assert_eq!(drive.named(name).len(), 1, "{name}");
    }
    let parent = |name: &str| drive.named(name)[0]["parents"][0].as_str().unwrap().to_owned();
    assert_eq!(parent("manifest.json"), drive.id("Mesh"));
    assert_eq!(parent("head.json"), drive.id("changes"));
}

#[tokio::test]
async fn devices_that_found_a_mesh_in_the_same_moment_share_one() {
    for round in 0..4 {
        let drive = Drive::start();
        let host = Arc::default();
        let devices = future::join_all((0..3).map(|_| device(drive.adapter(), &host))).await;
        for (number, db) in devices.iter().enumerate() {
            db.table("todos").put(format!("r{number}"), &json!({"by": number})).await.unwrap();
        }
        for _ in 0..20 {
            let outcomes = future::join_all(devices.iter().map(|db| db.connect())).await;
            if outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|connection| connection.is_online()))
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_converged(&devices).await;
        let rows = dump(&devices[0]).await["tables"]["todos"].as_object().unwrap().len();
        assert_eq!(rows, 3, "round {round}");
    }
}

#[tokio::test]
async fn compactors_in_the_same_moment_lose_nothing() {
    let drive = Drive::start();
    let devices = [connected(&drive).await, connected(&drive).await, connected(&drive).await];
    for round in 0..4 {
        for (number, db) in devices.iter().enumerate() {
            db.table("todos").put(format!("r{number}"), &json!({"round": round})).await.unwrap();
            db.table("notes").put(format!("{round} {number}"), &json!({"x": 1})).await.unwrap();
        }
        for db in &devices {
            db.sync().await.unwrap();
        }
        let outcomes = future::join_all(devices.iter().map(|db| db.compact(Duration::ZERO))).await;
        let written =
            outcomes.iter().filter(|outcome| matches!(outcome, Ok(Compaction::Written { .. }))).count();
        assert!(written > 0, "{outcomes:?}");
    }
    assert_converged(&devices).await;
    let fresh = connected(&drive).await;
    fresh.sync().await.unwrap();
    assert_eq!(dump(&fresh).await, dump(&devices[0]).await);
    assert_eq!(dump(&fresh).await["tables"]["notes"].as_object().unwrap().len(), 12);
}

#[tokio::test]
async fn a_doubled_pointer_of_another_client_is_healed() {
    let drive = Drive::start();
    let devices = [connected(&drive).await, connected(&drive).await];
    // Another client wrote the first pointer in the same moment as ours.
    let mesh = drive.id("Mesh");
    let ours = devices[0].dump().await.unwrap();
    let pointer = drive.client().read_file("/Mesh/manifest.json").await.unwrap();
    drive.add(&mesh, "manifest.json", std::str::from_utf8(&pointer).unwrap());
    for (number, db) in devices.iter().enumerate() {
        db.table("todos").put(format!("r{number}"), &json!({"by": number})).await.unwrap();
    }
    assert_converged(&devices).await;
    assert_eq!(drive.named("manifest.json").len(), 2, "nobody removes what is only doubled");
    // A device that sees both overwrites the one that is meant.
    connected(&drive).await.compact(Duration::ZERO).await.unwrap();
    assert_eq!(drive.named("manifest.json").len(), 1);
    assert_converged(&devices).await;
    assert_ne!(ours, devices[0].dump().await.unwrap());
}

/// The figures that the documentation of the mailbox gives.
#[tokio::test]
async fn polls_and_bursts_cost_what_the_documentation_says() {
    let drive = Drive::start();
    let host = Arc::default();
    let count = |what: &str| {
        let log = drive.log();
        println!("{what}: {} requests\n  {}", log.len(), log.join("\n  "));
        log.len()
    };
    let a = connected_at(&drive, &host).await;
    let founding = count("founding a mesh");
    let b = connected_at(&drive, &host).await;
    let joining = count("joining it at once");
    assert!(founding <= 66 && joining <= 20, "{founding} {joining}");
    // For the first minutes, what was made may still be doubled, and is looked for each time.
    host.days(1);
    drive.tell("age", &json!({}));
    drive.log();
    connected_at(&drive, &host).await;
    let joining = count("joining later");
    assert!(joining <= 14, "{joining}");
    a.table("todos").put("first", &json!({"x": 0})).await.unwrap();
    for db in [&a, &b, &a, &b] {
        db.sync().await.unwrap();
    }
    drive.log();
    b.pull().await.unwrap();
    let idle = count("idle poll");
    a.table("todos").put("r", &json!({"x": 1})).await.unwrap();
    a.flush().await.unwrap();
    let one = count("one write");
    b.pull().await.unwrap();
    let read = count("its reading");
    for number in 0..10 {
        a.table("todos").put(format!("r{number}"), &json!({"x": 1})).await.unwrap();
    }
    a.flush().await.unwrap();
    let burst = count("a burst of ten");
    assert_eq!((idle, one, read, burst), (1, 4, 2, 13));
}
