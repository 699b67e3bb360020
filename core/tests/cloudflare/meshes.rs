//! Whole devices that meet behind a Worker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future;
use interocitor_core::mailbox::{CloudflareConfig, MailboxErrorKind, StorageAdapter};
use interocitor_core::{Compaction, Config, Interocitor, StoreLocation};
use serde_json::{Value, json};

use super::common::ahead::Ahead;
use super::common::open_at;
use super::server::{Line, address, client, config, url};

pub(super) const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

pub(super) async fn device(config: &CloudflareConfig, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |settings| {
        settings.passphrase = Some(PASSPHRASE.into());
        settings.batch_window = Duration::ZERO;
        settings.auto_compact = None;
        change(settings);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(client(config)))).await;
    db
}

pub(super) async fn connected(config: &CloudflareConfig) -> Interocitor {
    let db = device(config, |_| {}).await;
    let connection = db.connect().await.unwrap();
    assert!(connection.is_online(), "{connection:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn devices_converge_and_compact_at_once() {
    let config = config("near");
    let devices = [connected(&config).await, connected(&config).await, connected(&config).await];
    for round in 0..3 {
        for (number, db) in devices.iter().enumerate() {
            db.table("todos").put(format!("r{number}"), &json!({"round": round})).await.unwrap();
            db.table("todos").put("shared", &json!({format!("by {number}"): round})).await.unwrap();
            db.table("notes").put(format!("{round} {number}"), &json!({"x": 1})).await.unwrap();
        }
        for db in &devices {
            db.sync().await.unwrap();
        }
        let outcomes = future::join_all(devices.iter().map(|db| db.compact(Duration::ZERO))).await;
        let mut epochs: Vec<u64> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome.unwrap() {
                Compaction::Written { epoch, .. } => Some(epoch),
                _ => None,
            })
            .collect();
        let won = epochs.len();
        epochs.dedup();
        assert!(won > 0 && epochs.len() == won, "winners of one epoch: {epochs:?}");
    }
    assert_converged(&devices).await;
    let fresh = connected(&config).await;
    fresh.sync().await.unwrap();
    let wanted = dump(&fresh).await;
    assert_eq!(wanted, dump(&devices[0]).await);
    assert_eq!(wanted["tables"]["notes"].as_object().unwrap().len(), 9);
    assert_eq!(wanted["tables"]["todos"]["shared"], json!({"by 0": 2, "by 1": 2, "by 2": 2}));
    let diagnosis = fresh.doctor(false).await.unwrap();
    let bad = |finding: &interocitor_core::diagnosis::Finding| {
        use interocitor_core::diagnosis::Trouble as T;
        !matches!(finding.trouble, T::ManifestSuperseded | T::SnapshotOrphaned)
    };
    assert!(!diagnosis.findings.iter().any(bad), "{:?}", diagnosis.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn founders_in_one_moment_share_one_mesh() {
    let config = config("near");
    let devices = future::join_all((0..3).map(|_| device(&config, |_| {}))).await;
    for (number, db) in devices.iter().enumerate() {
        db.table("todos").put(format!("r{number}"), &json!({"by": number})).await.unwrap();
    }
    for outcome in future::join_all(devices.iter().map(|db| db.connect())).await {
        assert!(outcome.unwrap().is_online());
    }
    assert_converged(&devices).await;
    assert_eq!(dump(&devices[0]).await["tables"]["todos"].as_object().unwrap().len(), 3);
}

/// Listings that are a minute old: what they lack comes later, nothing is lost, and nobody is told of damage.
#[tokio::test(flavor = "multi_thread")]
async fn old_listings_delay_and_lose_nothing() {
    let mesh = address();
    let (near, far) = (
        CloudflareConfig::new(&url(&super::server::host(), "near", &mesh)).unwrap(),
        CloudflareConfig::new(&url(&super::server::host(), "far", &mesh)).unwrap(),
    );
    let (a, b) = (connected(&near).await, connected(&far).await);
    a.sync().await.unwrap();
    b.sync().await.unwrap();
    for round in 0..3 {
        a.table("t").put(format!("a{round}"), &json!({"x": round})).await.unwrap();
        b.table("t").put(format!("b{round}"), &json!({"x": round})).await.unwrap();
        a.sync().await.unwrap();
        b.sync().await.unwrap();
    }
    a.sync().await.unwrap();
    // The far location has not seen a single one of them; b has its own, a has all.
    assert_eq!(dump(&b).await["tables"]["t"].as_object().unwrap().len(), 3);
    assert_eq!(dump(&a).await["tables"]["t"].as_object().unwrap().len(), 6);
    // Both compact at the same time: b's list of what is there is short, and it covers no more than it read.
    let outcomes = future::join(a.compact(Duration::ZERO), b.compact(Duration::ZERO)).await;
    outcomes.0.unwrap();
    outcomes.1.unwrap();
    a.sync().await.unwrap();
    let again = a.compact(Duration::ZERO).await.unwrap();
    assert!(matches!(again, Compaction::Written { rows: 6, .. }), "{again:?}");
    let later = connected(&near).await;
    for db in [&a, &later] {
        db.sync().await.unwrap();
        assert_eq!(dump(db).await["tables"]["t"].as_object().unwrap().len(), 6);
        assert_eq!(db.status().await.unwrap().quarantined, 0);
    }
    b.sync().await.unwrap();
    assert_eq!(dump(&b).await, dump(&a).await, "a snapshot needs no listing");
}

/// Older clients read nothing below the head: what is published must be above it, also where the listing does not show
/// how far others are.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_above_a_head_that_no_listing_shows() {
    let mesh = address();
    let at = |mount| CloudflareConfig::new(&url(&super::server::host(), mount, &mesh)).unwrap();
    let two_minutes = Arc::new(Ahead(Mutex::new(120_000)));
    let a = device(&at("near"), |settings| settings.host = two_minutes).await;
    assert!(a.connect().await.unwrap().is_online());
    let b = connected(&at("far")).await;
    b.table("t").put("first", &json!({"x": 1})).await.unwrap();
    b.sync().await.unwrap();
    a.table("t").put("ahead", &json!({"x": 1})).await.unwrap();
    a.flush().await.unwrap();
    b.table("t").put("second", &json!({"x": 1})).await.unwrap();
    b.flush().await.unwrap();
    let files = client(&at("near")).list_files("/Mesh/changes").await.unwrap();
    let mut names: Vec<_> =
        files.into_iter().map(|file| file.name).filter(|name| name.contains("-chg_")).collect();
    names.sort();
    assert_eq!(names.len(), 3);
    let by = |db: &Interocitor| names.iter().rposition(|name| name.contains(&db.device_id())).unwrap();
    assert_eq!((by(&a), by(&b)), (1, 2), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_changes_nothing() {
    let (line, mesh) = (Line::start().await, address());
    let through = CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap();
    let direct = CloudflareConfig::new(&url(&super::server::host(), "near", &mesh)).unwrap();
    let a = connected(&through).await;
    let b = connected(&direct).await;
    // Once: repeated by itself. Twice: by the next sync, with the same content under other random numbers.
    let lost = [("-chg_", 1), ("-chg_", 2), ("head.json", 2), ("manifest.json", 2)];
    for (row, (text, count)) in lost.into_iter().enumerate() {
        a.table("t").put(format!("{row}"), &json!({"x": row})).await.unwrap();
        line.swallow(text, count);
        let first = a.sync().await;
        assert!(text != "-chg_" || first.is_err() == (count == 2), "{text}: {first:?}");
        a.sync().await.unwrap();
        assert_eq!(a.status().await.unwrap().pending.count, 0, "{text}");
        b.sync().await.unwrap();
        assert_eq!(b.count(&b.table("t").query()).await.unwrap(), row as u64 + 1, "{text}");
    }
    let files = client(&direct).list_files("/Mesh/changes").await.unwrap();
    assert_eq!(files.iter().filter(|file| file.name.contains("-chg_")).count(), 4);
}

/// Whoever creates a file and hears nothing looks whose it is that lies there.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_created_without_an_answer_is_ours() {
    let (line, mesh) = (Line::start().await, address());
    let through = client(&CloudflareConfig::new(&url(&line.host, "near", &mesh)).unwrap());
    let direct = client(&CloudflareConfig::new(&url(&super::server::host(), "near", &mesh)).unwrap());
    line.swallow("-chg_", 1);
    through.create_file("/Mesh/changes/1-chg_a.json", "ours".into()).await.unwrap();
    let theirs = "/Mesh/changes/2-chg_b.json";
    direct.create_file(theirs, "theirs".into()).await.unwrap();
    line.swallow("-chg_", 1);
    let error = through.create_file(theirs, "ours".into()).await.unwrap_err();
    assert_eq!(error.kind(), MailboxErrorKind::AlreadyExists);
    assert_eq!(through.read_file(theirs).await.unwrap(), "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_files_go_from_device_to_device() {
    let config = config("near");
    let (a, b) = (connected(&config).await, connected(&config).await);
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    a.put_file("notes/ü 1.bin", large.clone(), Some("application/x-test")).await.unwrap();
    a.put_file("small", b"x".to_vec(), None).await.unwrap();
    assert_eq!((a.sync_files().await.unwrap().done, line_of(&a).await), (2, None));
    assert_eq!(b.get_file("notes/ü 1.bin").await.unwrap().bytes().await.unwrap(), large);
    assert_eq!(b.get_file("small").await.unwrap().bytes().await.unwrap(), b"x");
    a.put_file("small", b"y".to_vec(), None).await.unwrap();
    a.sync_files().await.unwrap();
    b.evict_file("small").await.unwrap();
    assert_eq!(b.get_file("small").await.unwrap().bytes().await.unwrap(), b"y");
    a.delete_file("small").await.unwrap();
    a.sync_files().await.unwrap();
    b.evict_file("small").await.unwrap();
    assert_eq!(b.get_file("small").await.unwrap_err().code().as_str(), "FILE_NOT_FOUND");
    // One that no Worker takes is refused before it is sent.
    a.put_file("huge", vec![0; 32 * 1024 * 1024], None).await.unwrap();
    assert_eq!(a.sync_files().await.unwrap().failed, 1);
    assert_eq!(line_of(&a).await.as_deref(), Some("LIMIT"));
}

/// What keeps a file in line, if one is in it.
async fn line_of(db: &Interocitor) -> Option<String> {
    let waiting = db.file_transfers().await.unwrap();
    waiting.into_iter().find_map(|file| Some(file.transfer?.problem?.code))
}

#[tokio::test]
async fn a_wrong_token_keeps_the_rows_here() {
    let mesh = super::ADDRESS;
    let secret = CloudflareConfig::new(&url(&super::server::host(), "secret", mesh)).unwrap();
    let db = device(&secret.with_token("s3cret"), |_| {}).await;
    db.table("t").put("r", &json!({"x": 1})).await.unwrap();
    let outcome = db.connect().await;
    let text = format!("{outcome:?}");
    assert!(text.contains("401") && !text.contains("s3cret"), "{text}");
    assert_eq!(db.status().await.unwrap().pending.count, 1);
}

/// The figures that the documentation of the mailbox gives.
#[tokio::test(flavor = "multi_thread")]
async fn polls_and_bursts_cost_what_the_documentation_says() {
    let line = Line::start().await;
    let through = CloudflareConfig::new(&url(&line.host, "near", &address())).unwrap();
    let count = |what: &str| {
        let requests = line.take();
        println!("{what}: {} requests\n  {}", requests.len(), requests.join("\n  "));
        requests.len()
    };
    let (a, b) = (connected(&through).await, connected(&through).await);
    count("founding and joining");
    a.table("todos").put("first", &json!({"x": 0})).await.unwrap();
    for db in [&a, &b, &a, &b] {
        db.sync().await.unwrap();
    }
    line.take();
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
    assert_eq!((idle, one, read, burst), (2, 5, 3, 14));
}
