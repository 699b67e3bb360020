//! Mailboxes that show less than they did: told, repaired where possible, and what was lost published again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc, time::Duration};

use common::{ahead::Ahead, open_at, tree};
use interocitor_core::{Error, Event, Events, Interocitor, StoreLocation, mailbox::FolderMailbox};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device(mailbox: &Path, clock: &Arc<Ahead>) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        config.host = clock.clone();
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn rows(db: &Interocitor) -> Value {
    serde_json::from_str::<Value>(&db.dump().await.unwrap()).unwrap()["tables"].clone()
}

async fn put(db: &Interocitor, id: &str) {
    db.table("t").put(id, &json!({"id": id})).await.unwrap();
}

fn names(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| event.name())
        .filter(|name| name.starts_with("remote:"))
        .collect()
}

/// Puts a folder back to what it was.
fn put_back(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for name in tree(folder).keys().filter(|name| !files.contains_key(*name)) {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    for (name, body) in files {
        std::fs::write(folder.join(name), body).unwrap();
    }
}

/// What a JavaScript client founds when it cannot read the pointer.
fn found_over(folder: &Path) {
    use sha2::Digest;
    let mut manifest = json!({
        "generation": 1, "parentGeneration": 0, "writtenBy": "server_relay_1", "writtenAt": "2026-01-01T00:00:00.000Z",
        "version": 3, "meshId": "mesh_of_somebody_else", "schema": 1, "encrypted": true,
        "server": {"managed": false, "relayUrl": null, "serverId": "server_relay_1"},
        "createdAt": "2026-01-01T00:00:00.000Z", "epoch": 0, "watermarkHlc": "", "snapshotPath": null, "deltaPath": null
    });
    let hash = sha2::Sha256::digest(serde_json::to_vec(&manifest).unwrap());
    let mut text = String::from("sha256:");
    hash.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    manifest["contentHash"] = text.into();
    let mesh = folder.join("Mesh");
    std::fs::write(mesh.join("manifest-1.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    std::fs::write(mesh.join("manifest.json"), r#"{"currentGeneration": 1, "file": "manifest-1.json"}"#)
        .unwrap();
}

#[tokio::test]
async fn what_a_rolled_back_mailbox_lost_is_published_again() {
    for compacted in [false, true] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
        let (a, b) = (device(folder.path(), &clock).await, device(folder.path(), &clock).await);
        put(&a, "early").await;
        a.sync().await.unwrap();
        if compacted {
            a.compact(Duration::ZERO).await.unwrap();
        }
        let backup = tree(folder.path());
        put(&a, "late").await;
        a.table("t").delete("early").await.unwrap();
        a.sync().await.unwrap();
        a.compact(Duration::ZERO).await.unwrap();
        b.sync().await.unwrap();
        put_back(folder.path(), &backup);
        let mut events = a.events();
        a.sync().await.unwrap();
        assert_eq!(names(&mut events), ["remote:rollback"]);
        a.sync().await.unwrap();
        assert_eq!(names(&mut events), [""; 0], "it is told once");
        let fresh = device(folder.path(), &clock).await;
        let wanted = json!({"t": {"late": {"id": "late"}}});
        b.sync().await.unwrap();
        for db in [&a, &b, &fresh] {
            assert_eq!(rows(db).await, wanted);
        }
        // The mesh goes on, with compactions too.
        put(&b, "on").await;
        b.sync().await.unwrap();
        b.compact(Duration::ZERO).await.unwrap();
        for db in [&a, &fresh] {
            db.sync().await.unwrap();
            assert_eq!(rows(db).await, rows(&b).await);
        }
        assert_eq!(a.status().await.unwrap().generation, b.status().await.unwrap().generation);
    }
}

#[tokio::test]
async fn a_mesh_founded_over_ours_by_mistake_is_taken_away_again() {
    for generation in [1, 2] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
        let (a, b) = (device(folder.path(), &clock).await, device(folder.path(), &clock).await);
        put(&a, "r").await;
        a.sync().await.unwrap();
        if generation == 2 {
            a.compact(Duration::ZERO).await.unwrap();
        }
        b.sync().await.unwrap();
        let mesh = a.status().await.unwrap().mesh_id;
        found_over(folder.path());
        let mut events = b.events();
        if generation == 1 {
            // The pointer looks as before: what it names is read again when connecting, and once an hour.
            b.sync().await.unwrap();
            assert_eq!(names(&mut events), [""; 0]);
            *clock.0.lock().unwrap() += 3_700_000;
        }
        put(&b, "s").await;
        b.sync().await.unwrap();
        assert_eq!(names(&mut events), ["remote:repaired"], "generation {generation}");
        a.disconnect().await;
        assert!(a.connect().await.unwrap().is_online());
        let fresh = device(folder.path(), &clock).await;
        for db in [&a, &fresh] {
            assert_eq!((rows(db).await, db.status().await.unwrap().mesh_id), (rows(&b).await, mesh.clone()));
        }
        // Where the folder was emptied before, it is another mesh indeed.
        for name in tree(folder.path()).keys() {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        found_over(folder.path());
        assert!(matches!(a.sync().await, Err(Error::MeshCredentialMismatch { .. })));
    }
}

#[tokio::test]
async fn a_former_mesh_in_another_folder_is_not_covered_up() {
    let (former, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Arc::new(Ahead::default());
    let a = device(former.path(), &clock).await;
    put(&a, "r").await;
    a.sync().await.unwrap();
    let mesh = a.status().await.unwrap().mesh_id;
    device(other.path(), &clock).await.shutdown().await.unwrap();
    let mut events = a.events();
    for (folder, expected) in [(&other, json!({})), (&former, json!({"t": {"r": {"id": "r"}}}))] {
        let before = std::fs::read(folder.path().join("Mesh/manifest.json")).unwrap();
        a.disconnect().await;
        a.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder.path())))).await;
        assert!(a.connect().await.unwrap().is_online());
        assert_eq!(rows(&a).await, expected);
        assert_eq!(std::fs::read(folder.path().join("Mesh/manifest.json")).unwrap(), before);
    }
    assert_eq!(a.status().await.unwrap().mesh_id, mesh);
    assert!(!names(&mut events).contains(&"remote:repaired".to_owned()));
}

#[tokio::test]
async fn a_change_file_that_stays_away_for_a_day_is_told_and_one_that_comes_late_is_not() {
    for comes in [false, true] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
        let (a, b) = (device(folder.path(), &clock).await, device(folder.path(), &clock).await);
        put(&a, "r1").await;
        a.sync().await.unwrap();
        let before = tree(folder.path());
        put(&a, "r2").await;
        a.sync().await.unwrap();
        let (hidden, body) = tree(folder.path())
            .into_iter()
            .find(|(name, _)| name.contains("-chg_") && !before.contains_key(name))
            .unwrap();
        std::fs::remove_file(folder.path().join(&hidden)).unwrap();
        put(&a, "r3").await;
        a.sync().await.unwrap();
        let mut events = b.events();
        b.sync().await.unwrap();
        clock.days(1);
        if comes {
            std::fs::write(folder.path().join(&hidden), body).unwrap();
        }
        b.sync().await.unwrap();
        b.sync().await.unwrap();
        let told: Vec<Event> = std::iter::from_fn(|| events.try_next())
            .filter(|event| matches!(event, Event::RemoteWithheld { .. }))
            .collect();
        if comes {
            assert_eq!(told, []);
        } else {
            let device = Some(a.device_id());
            assert_eq!(told, [Event::RemoteWithheld { path: None, device, first: 2, last: 2 }]);
        }
    }
}

#[tokio::test]
async fn a_lost_snapshot_is_told_and_its_rows_published_again() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
    let a = device(folder.path(), &clock).await;
    let behind = device(folder.path(), &clock).await;
    put(&a, "r").await;
    a.sync().await.unwrap();
    assert!(matches!(a.compact(Duration::ZERO).await.unwrap(), interocitor_core::Compaction::Written { .. }));
    let mainline = folder.path().join("Mesh/mainline");
    for entry in std::fs::read_dir(mainline).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut events = behind.events();
    behind.sync().await.unwrap();
    assert_eq!(names(&mut events), ["remote:withheld"]);
    assert_eq!(behind.quarantined().await.unwrap().len(), 1, "it goes on without");
    let mut events = a.events();
    a.disconnect().await;
    assert!(a.connect().await.unwrap().is_online());
    assert_eq!(names(&mut events), ["remote:withheld"]);
    behind.sync().await.unwrap();
    assert_eq!(rows(&behind).await, rows(&a).await);
    a.compact(Duration::ZERO).await.unwrap();
    behind.sync().await.unwrap();
    assert_eq!(
        behind.quarantined().await.unwrap(),
        [],
        "what the manifest does not name any more is forgotten"
    );
}
