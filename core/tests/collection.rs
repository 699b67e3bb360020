//! Forgetting deletions: when, by whom, and what becomes of work that comes too late.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use common::{ahead::Ahead, between::Between, open_at};
use interocitor_core::{Compaction, Event, Events, Interocitor, StoreLocation, mailbox::FolderMailbox};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// A mesh on one clock.
struct Mesh {
    mailbox: tempfile::TempDir,
    clock: Arc<Ahead>,
}

impl Mesh {
    fn new() -> Self {
        Self { mailbox: tempfile::tempdir().unwrap(), clock: Arc::new(Ahead::default()) }
    }

    async fn device(&self, name: &str) -> Interocitor {
        let db = open_at(StoreLocation::Memory, |config| {
            config.passphrase = Some(PASSPHRASE.into());
            config.batch_window = Duration::ZERO;
            config.device_id = Some(name.into());
            config.host = self.clock.clone();
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(self.mailbox.path())))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    }

    fn floor(&self) -> String {
        manifest(self.mailbox.path())["gcFloorHlc"].as_str().unwrap_or_default().to_owned()
    }
}

fn manifest(mailbox: &Path) -> Value {
    let read = |name: &str| {
        serde_json::from_slice::<Value>(&std::fs::read(mailbox.join("Mesh").join(name)).unwrap()).unwrap()
    };
    read(read("manifest.json")["file"].as_str().unwrap())
}

async fn dump(db: &Interocitor) -> Value {
    let dump: Value = serde_json::from_str(&db.dump().await.unwrap()).unwrap();
    json!({"tables": dump["tables"], "tombstones": dump["tombstones"]})
}

async fn compact(db: &Interocitor) {
    let outcome = db.compact(Duration::ZERO).await.unwrap();
    assert!(matches!(outcome, Compaction::Written { .. }), "{outcome:?}");
}

/// Two rounds in which everybody merges and acknowledges the last snapshot.
async fn settle(devices: &[&Interocitor]) {
    for _ in 0..2 {
        for db in devices {
            db.sync().await.unwrap();
        }
    }
}

async fn put(db: &Interocitor, id: &str, columns: Value) {
    db.table("t").put(id, &columns).await.unwrap();
}

fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[tokio::test]
async fn a_deletion_is_forgotten_when_everybody_has_merged_a_snapshot_with_it() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.device("a").await, mesh.device("b").await);
    for at in 0..4 {
        put(&a, &format!("r{at}"), json!({"v": at})).await;
    }
    settle(&[&a, &b]).await;
    a.table("t").delete("r1").await.unwrap();
    // A row that lives again keeps its delete clock, until that is forgotten as well.
    a.table("t").delete("r2").await.unwrap();
    put(&a, "r2", json!({"again": true})).await;
    settle(&[&a, &b]).await;
    compact(&a).await;
    assert_eq!(mesh.floor(), "");
    // Only one of two has acknowledged: nothing is forgotten.
    a.sync().await.unwrap();
    compact(&a).await;
    assert_eq!((mesh.floor().as_str(), dump(&a).await["tombstones"]["t"].clone()), ("", json!(["r1"])));
    settle(&[&a, &b]).await;
    compact(&a).await;
    assert_ne!(mesh.floor(), "");
    let state = dump(&a).await;
    assert_eq!(state["tombstones"], json!({}));
    assert_eq!(state["tables"]["t"], json!({"r0": {"v": 0}, "r2": {"again": true}, "r3": {"v": 3}}));
    let fresh = mesh.device("fresh").await;
    settle(&[&a, &b, &fresh]).await;
    assert_eq!((dump(&b).await, dump(&fresh).await), (state.clone(), state));
    // Life goes on, with the forgotten row too.
    put(&b, "r1", json!({"new": 1})).await;
    settle(&[&b, &a, &fresh]).await;
    for db in [&a, &fresh] {
        assert_eq!(dump(db).await, dump(&b).await);
    }
    assert_eq!(dump(&a).await["tables"]["t"]["r1"], json!({"new": 1}));
}

#[tokio::test]
async fn who_has_merged_every_file_needs_no_snapshot() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.device("a").await, mesh.device("b").await);
    for at in 0..4 {
        put(&a, &format!("r{at}"), json!({"v": at})).await;
    }
    a.table("t").delete("r1").await.unwrap();
    settle(&[&a, &b]).await;
    let mainline = mesh.mailbox.path().join("Mesh/mainline");
    for epoch in 1..=4 {
        compact(&a).await;
        // Work that the snapshot does not hold is no obstacle.
        put(&b, "r3", json!({"by b": epoch})).await;
        let snapshot = std::fs::read_dir(&mainline).unwrap().map(|entry| entry.unwrap().path());
        let snapshot = snapshot
            .into_iter()
            .find(|path| path.to_str().unwrap().contains(&format!("/snapshot-{epoch}-")))
            .unwrap();
        let hidden = snapshot.with_extension("hidden");
        std::fs::rename(&snapshot, &hidden).unwrap();
        b.sync().await.unwrap();
        std::fs::rename(&hidden, &snapshot).unwrap();
        let status = b.status().await.unwrap();
        assert_eq!((status.epoch, status.quarantined), (epoch, 0));
        settle(&[&a, &b]).await;
        assert_eq!(dump(&b).await, dump(&a).await, "epoch {epoch}");
    }
    assert_ne!(mesh.floor(), "");
    assert_eq!(dump(&b).await["tombstones"], json!({}), "a deletion is forgotten without the snapshot, too");
    // Who has not merged everything reads it.
    put(&a, "r4", json!({"v": 4})).await;
    a.sync().await.unwrap();
    compact(&a).await;
    let mut events = b.events();
    b.sync().await.unwrap();
    assert!(drain(&mut events).iter().any(|event| matches!(event, Event::RehydrateComplete { .. })));
    assert_eq!(dump(&b).await, dump(&a).await);
}

#[tokio::test]
async fn a_device_that_is_away_is_waited_for_until_its_grace_is_over_or_it_is_retired() {
    for retire in [false, true] {
        let mesh = Mesh::new();
        let (a, b) = (mesh.device("a").await, mesh.device("b").await);
        put(&a, "r1", json!({"v": 1})).await;
        settle(&[&a, &b]).await;
        // From here on b is away.
        a.table("t").delete("r1").await.unwrap();
        for _ in 0..3 {
            a.sync().await.unwrap();
            compact(&a).await;
        }
        mesh.clock.days(6);
        a.sync().await.unwrap();
        compact(&a).await;
        assert_eq!(dump(&a).await["tombstones"]["t"], json!(["r1"]), "it is waited for");
        if retire {
            a.retire_device("b").await.unwrap();
            let devices = a.devices().await.unwrap();
            assert!(devices.iter().any(|device| device.device_id == "b" && device.retired));
        } else {
            mesh.clock.days(2);
            a.sync().await.unwrap();
        }
        compact(&a).await;
        assert_eq!(dump(&a).await["tombstones"], json!({}));
        b.sync().await.unwrap();
        assert_eq!(dump(&b).await, dump(&a).await, "it comes back, and the row does not");
        assert!(a.retire_device("a").await.is_err() && a.retire_device("nobody").await.is_err());
    }
}

#[tokio::test]
async fn work_that_comes_after_the_floor_is_published_or_put_aside_and_never_lost() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.device("a").await, mesh.device("b").await);
    for id in ["deleted", "kept", "beaten", "gone twice"] {
        put(&a, id, json!({"v": 0, "w": 0})).await;
    }
    settle(&[&a, &b]).await;
    let mut events = b.events();
    // b is away for a month, and works.
    put(&b, "deleted", json!({"v": "b"})).await;
    put(&b, "kept", json!({"v": "b"})).await;
    put(&b, "beaten", json!({"v": "b", "w": "b"})).await;
    b.table("t").delete("gone twice").await.unwrap();
    for at in 0..1000 {
        put(&b, &format!("new{at}"), json!({"v": at})).await;
    }
    put(&b, "new0", json!({"w": "later"})).await;
    mesh.clock.days(30);
    put(&a, "beaten", json!({"v": "a"})).await;
    for id in ["deleted", "gone twice"] {
        a.table("t").delete(id).await.unwrap();
    }
    for _ in 0..3 {
        a.sync().await.unwrap();
        compact(&a).await;
    }
    a.sync().await.unwrap();
    compact(&a).await;
    assert_eq!(dump(&a).await["tombstones"], json!({}), "the deletions are forgotten");
    // Written after the deletion, without having seen it: too late as well.
    put(&b, "deleted", json!({"x": "b"})).await;
    settle(&[&b, &a]).await;
    let state = dump(&a).await;
    assert_eq!(dump(&b).await, state);
    let rows = state["tables"]["t"].as_object().unwrap();
    assert_eq!(rows.len(), 2 + 1000);
    assert_eq!(rows["kept"], json!({"v": "b", "w": 0}));
    assert_eq!(rows["beaten"], json!({"v": "a", "w": "b"}), "the greater clock wins, as ever");
    assert_eq!(rows["new0"], json!({"v": 0, "w": "later"}));
    assert_eq!(b.status().await.unwrap().pending.count, 0);

    let told = drain(&mut events);
    let told = told.iter().filter(|event| matches!(event, Event::WriteQuarantined { .. })).count();
    let list = b.quarantined().await.unwrap();
    assert_eq!((list.len(), told), (1, 1));
    assert_eq!(b.status().await.unwrap().quarantined, 1);
    let write = list[0].write.as_ref().unwrap();
    assert_eq!((list[0].code.as_str(), write.row_id.as_str()), ("ROW_DELETED", "deleted"));
    assert_eq!(serde_json::from_str::<Value>(&write.columns).unwrap(), json!({"v": "b", "w": 0, "x": "b"}));
    // The user decides: it comes back everywhere.
    b.restore_quarantined(&list[0].name).await.unwrap();
    assert_eq!(b.quarantined().await.unwrap(), []);
    assert!(b.restore_quarantined(&list[0].name).await.is_err());
    assert!(b.discard_quarantined("changes/nothing").await.is_err());
    settle(&[&b, &a]).await;
    assert_eq!(dump(&a).await["tables"]["t"]["deleted"], json!({"v": "b", "w": 0, "x": "b"}));
    assert_eq!(dump(&b).await, dump(&a).await);
}

/// Rule 3.12: nobody else knows a row that was made here, until others write to it as well.
#[tokio::test]
async fn a_row_that_others_wrote_to_is_not_brought_back_by_who_made_it_too() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.device("a").await, mesh.device("b").await);
    for id in ["seen", "seen and written", "unseen"] {
        put(&b, id, json!({"b": 1})).await;
        if id != "unseen" {
            put(&a, id, json!({"a": 1})).await;
        }
    }
    a.sync().await.unwrap();
    // It reads, and does not come to publish.
    b.pull().await.unwrap();
    put(&b, "seen and written", json!({"a": 2, "b": 2})).await;
    mesh.clock.days(30);
    for id in ["seen", "seen and written"] {
        a.table("t").delete(id).await.unwrap();
    }
    for _ in 0..4 {
        a.sync().await.unwrap();
        compact(&a).await;
    }
    assert_eq!(dump(&a).await["tombstones"], json!({}), "the deletions are forgotten");
    settle(&[&b, &a]).await;
    for db in [&a, &b] {
        assert_eq!(dump(db).await["tables"], json!({"t": {"unseen": {"b": 1}}}));
    }
    let list = b.quarantined().await.unwrap();
    let put_aside: Vec<_> = list.iter().map(|kept| kept.write.as_ref().unwrap().row_id.as_str()).collect();
    assert_eq!(put_aside, ["seen", "seen and written"]);
}

/// A device that was away publishes and acknowledges while the others, who did not wait for it, raise the floor: what it
/// promises came too late for them.
#[tokio::test]
async fn a_promise_that_the_compactor_had_not_seen_loses_nothing() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.device("a").await, mesh.device("b").await);
    put(&a, "shared", json!({"v": 0})).await;
    settle(&[&a, &b]).await;
    put(&b, "shared", json!({"w": "b"})).await;
    put(&b, "own", json!({"v": "b"})).await;
    mesh.clock.days(30);
    put(&a, "shared", json!({"v": 1})).await;
    a.sync().await.unwrap();
    compact(&a).await;
    a.sync().await.unwrap();
    let between = Arc::new(Between::new(FolderMailbox::new(mesh.mailbox.path())));
    b.set_remote_storage(Some(between.clone())).await;
    let (other, before) = (a.clone(), mesh.floor());
    between.before("changes/", async move {
        put(&other, "shared", json!({"v": 2})).await;
        compact(&other).await;
    });
    assert!(b.connect().await.unwrap().is_online());
    assert!(between.is_done());
    assert!(mesh.floor() > before);
    settle(&[&b, &a]).await;
    let state = dump(&a).await;
    assert_eq!(dump(&b).await, state);
    assert_eq!(state["tables"]["t"]["own"], json!({"v": "b"}));
    assert_eq!(state["tables"]["t"]["shared"], json!({"v": 2, "w": "b"}));
}
