//! What the seeds found, and what cannot be promised beside a JavaScript peer, told step by step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use interocitor_core::{Compaction, Interocitor, Status, mailbox::Capabilities};
use interocitor_simulation::{
    oracle::Verdict,
    peers::{Habits, Kind, NUMBER, Peer},
    reference::Rows,
    simulation::Simulation,
    weather::{Fault, Weather},
    wire::Codec,
};
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

fn quiet(devices: usize) -> Simulation {
    let mut mesh = Simulation::quiet(2, devices).unwrap();
    mesh.executor.run_for(1000);
    mesh
}

fn put(mesh: &mut Simulation, at: usize, row: &'static str, columns: Value) {
    mesh.executor.run_for(1000);
    mesh.with(at, move |db| async move { db.table("todos").put(row, &columns).await }).unwrap().unwrap();
}

fn delete(mesh: &mut Simulation, at: usize, row: &'static str) {
    mesh.executor.run_for(1000);
    mesh.with(at, move |db| async move { db.table("todos").delete(row).await }).unwrap().unwrap();
}

fn sync(mesh: &mut Simulation, at: usize) {
    assert_eq!(mesh.exchange(at), None);
}

fn compact(mesh: &mut Simulation, at: usize) -> Compaction {
    mesh.with(at, |db: Interocitor| async move { db.compact(Duration::ZERO).await }).unwrap().unwrap()
}

fn status(mesh: &mut Simulation, at: usize) -> Status {
    mesh.with(at, |db| async move { db.status().await }).unwrap().unwrap()
}

fn columns(rows: &Rows, row: &str) -> Vec<String> {
    let place = ("todos".to_owned(), row.to_owned());
    rows.get(&place).map(|row| row.cells.keys().cloned().collect()).unwrap_or_default()
}

/// Seeds 270, 307, 372: the first of two writes put the manifest into force, the answer was that to the second.
#[test]
fn a_pointer_that_was_written_twice_keeps_its_snapshot() {
    for (operation, part) in [("replace", "manifest.json"), ("create", "manifest-2.json")] {
        let mut mesh = quiet(2);
        put(&mut mesh, 0, "r", json!({"a": 1}));
        mesh.remote.order(operation, part, Fault::Doubles);
        assert!(matches!(compact(&mut mesh, 0), Compaction::Written { epoch: 1, .. }), "{operation}");
        put(&mut mesh, 1, "s", json!({"a": 2}));
        assert!(matches!(compact(&mut mesh, 1), Compaction::Written { epoch: 2, .. }), "{operation}");
        mesh.finish().unwrap();
    }
}

/// Seeds 41, 71.
#[test]
fn a_file_whose_effects_came_with_a_snapshot_leaves_quarantine() {
    let mut mesh = quiet(2);
    put(&mut mesh, 0, "r", json!({"a": 1}));
    sync(&mut mesh, 0);
    mesh.remote.order("read", "-chg_", Fault::Cuts);
    sync(&mut mesh, 1);
    assert_eq!(status(&mut mesh, 1).quarantined, 1);
    compact(&mut mesh, 0);
    sync(&mut mesh, 1);
    sync(&mut mesh, 1);
    assert_eq!(status(&mut mesh, 1).quarantined, 0);
    mesh.finish().unwrap();
}

/// Seeds 7, 290.
#[test]
fn a_snapshot_that_was_superseded_leaves_quarantine() {
    let mut mesh = quiet(2);
    put(&mut mesh, 0, "r", json!({"a": 1}));
    compact(&mut mesh, 0);
    mesh.remote.order("read", "mainline/snapshot-", Fault::Cuts);
    sync(&mut mesh, 1);
    assert_eq!(status(&mut mesh, 1).quarantined, 1);
    compact(&mut mesh, 0);
    sync(&mut mesh, 1);
    assert_eq!(status(&mut mesh, 1).quarantined, 0);
    mesh.finish().unwrap();
}

/// Seed 231.
#[test]
fn an_own_file_that_was_read_cut_leaves_quarantine() {
    let mut mesh = quiet(1);
    put(&mut mesh, 0, "r", json!({"a": 1}));
    mesh.remote.order("write", "-chg_", Fault::LosesAnswer);
    assert!(mesh.exchange(0).is_some(), "the answer to the upload was lost");
    mesh.remote.order("read", "-chg_", Fault::Cuts);
    sync(&mut mesh, 0);
    sync(&mut mesh, 0);
    let status = status(&mut mesh, 0);
    assert_eq!((status.quarantined, status.pending.count), (0, 0));
}

#[test]
fn a_file_that_was_not_found_is_read_when_it_is_there() {
    let mut mesh = quiet(2);
    put(&mut mesh, 0, "r", json!({"a": 1}));
    sync(&mut mesh, 0);
    mesh.remote.order("read", "-chg_", Fault::Hides);
    sync(&mut mesh, 1);
    sync(&mut mesh, 1);
    assert_eq!(columns(&mesh.rows(1).unwrap(), "r"), ["a"]);
    assert_eq!(status(&mut mesh, 1).quarantined, 0);
}

/// What is read back decides, and no answer to a write.
#[test]
fn a_compactor_that_comes_too_late_says_so() {
    let mut mesh = quiet(2);
    put(&mut mesh, 0, "r", json!({"a": 1}));
    mesh.remote.order("create", "manifest-2.json", Fault::Dawdles(20_000));
    let db = mesh.devices[0].db.clone().unwrap();
    let outcome = std::rc::Rc::new(std::cell::Cell::new(None));
    let told = std::rc::Rc::clone(&outcome);
    mesh.executor.add(0, async move { told.set(Some(db.compact(Duration::ZERO).await.unwrap())) });
    mesh.executor.run_for(5_000);
    assert!(matches!(compact(&mut mesh, 1), Compaction::Written { epoch: 1, .. }));
    mesh.executor.run_for(60_000);
    assert_eq!(outcome.get(), Some(Compaction::Overtaken));
    mesh.finish().unwrap();
}

/// Whoever puts an older manifest back, a backup say, needs the files that only the newer one made superfluous.
#[test]
fn a_compactor_whose_manifest_is_not_in_force_any_more_deletes_nothing() {
    let mut mesh = quiet(2);
    let pointer = mesh.remote.file("/Mesh/manifest.json").unwrap();
    put(&mut mesh, 0, "r", json!({"a": 1}));
    sync(&mut mesh, 0);
    let changes = |mesh: &Simulation| {
        mesh.remote.names("/Mesh/changes").into_iter().filter(|name| name.contains("-chg_")).count()
    };
    assert_eq!(changes(&mesh), 1);
    // It has won and acknowledges, when the pointer goes back.
    mesh.remote.order("write", "devices/", Fault::Dawdles(20_000));
    begin_compacting(&mut mesh, 0);
    mesh.executor.run_for(5_000);
    assert_ne!(mesh.remote.file("/Mesh/manifest.json").unwrap(), pointer, "its manifest was in force");
    mesh.remote.put(NUMBER, "/Mesh/manifest.json", pointer);
    mesh.executor.run_for(60_000);
    assert_eq!(changes(&mesh), 1);
    sync(&mut mesh, 1);
    assert_eq!(columns(&mesh.rows(1).unwrap(), "r"), ["a"]);
}

#[test]
fn a_restored_backup_is_a_device_of_its_own() {
    let mut mesh = quiet(1);
    put(&mut mesh, 0, "r", json!({"a": "before"}));
    mesh.copy(0).unwrap();
    let id = |mesh: &Simulation, at: usize| mesh.devices[at].db.as_ref().unwrap().device_id();
    assert_ne!(id(&mesh, 0), id(&mesh, 1));
    // Both hold the same unpublished write, and write on at the very same moment.
    for (at, value) in [(0, "first"), (1, "second")] {
        mesh.with(at, move |db| async move { db.table("todos").put("r", &json!({"a": value})).await });
    }
    mesh.finish().unwrap();
}

/// Two compactors where creating is a check and then a write: the later one writes its manifest over that of the
/// earlier one, which was in force already.
#[test]
fn a_manifest_that_is_written_over_another_loses_nobody_a_write() {
    a_manifest_is_written_over_another().unwrap();
}

fn a_manifest_is_written_over_another() -> Verdict {
    let mut mesh = quiet(3);
    mesh.remote.set_weather(Weather::calm(Capabilities::default()));
    put(&mut mesh, 0, "r", json!({"a": 1}));
    (0..3).for_each(|at| sync(&mut mesh, at));
    // The first has read everything and written its snapshot; on its way the second publishes, and compacts too.
    mesh.remote.order("write", "mainline/", Fault::Dawdles(5_000));
    begin_compacting(&mut mesh, 0);
    mesh.executor.run_for(1_000);
    put(&mut mesh, 1, "s", json!({"a": 2}));
    mesh.remote.order("create", "manifest-2.json", Fault::Dawdles(20_000));
    begin_compacting(&mut mesh, 1);
    mesh.executor.run_for(60_000);
    mesh.finish()
}

fn begin_compacting(mesh: &mut Simulation, at: usize) {
    let db = mesh.devices[at].db.clone().unwrap();
    mesh.executor.add(at, async move {
        db.compact(Duration::ZERO).await.unwrap();
    });
}

fn peer(kind: Kind) -> Peer {
    Peer::new(kind, Habits { compacts: true, founds_anew: false }, 1, Codec::Plain)
}

/// The limit: B10 prunes by watermark, so a file that only some have read is gone for the others.
#[test]
fn beside_b10_a_write_can_stay_with_those_who_read_it_in_time() {
    let mut mesh = quiet(3);
    let mut peer = peer(Kind::B10);
    put(&mut mesh, 0, "r", json!({"a": "early"}));
    sync(&mut mesh, 0);
    peer.connect(&mesh.remote, mesh.world.now_ms());
    mesh.executor.run_for(HOUR_MS);
    // Its own write moves its cursor over a file that it has not read.
    put(&mut mesh, 0, "s", json!({"a": "lost on the way"}));
    sync(&mut mesh, 0);
    sync(&mut mesh, 1);
    mesh.executor.run_for(1000);
    peer.write(mesh.world.now_ms());
    peer.flush(&mesh.remote, mesh.world.now_ms());
    peer.compact(&mesh.remote, mesh.world.now_ms());
    (0..3).for_each(|at| sync(&mut mesh, at));
    let has = |mesh: &Simulation, at| !columns(&mesh.rows(at).unwrap(), "s").is_empty();
    assert!(has(&mesh, 0) && has(&mesh, 1), "who wrote or read it keeps it");
    assert!(!has(&mesh, 2), "who had not read it does not get it, until somebody writes the row again");
    put(&mut mesh, 1, "s", json!({"b": "again"}));
    (0..3).for_each(|at| sync(&mut mesh, [1, 0, 2][at]));
    assert_eq!(columns(&mesh.rows(2).unwrap(), "s"), ["a", "b"], "whole rows heal");
}

/// Seed 1119: behind a compaction by another client numbers are counted on from the last entry that was read; what failed
/// before that was taken for published.
#[test]
fn beside_new_an_upload_that_failed_is_tried_again_whatever_was_read_of_later_ones() {
    let mut mesh = quiet(2);
    let mut peer = peer(Kind::New);
    peer.connect(&mesh.remote, mesh.world.now_ms());
    put(&mut mesh, 0, "first", json!({"a": 1}));
    put(&mut mesh, 0, "second", json!({"a": 2}));
    mesh.remote.order("write", "-chg_", Fault::Fails);
    assert!(mesh.exchange(0).is_some(), "the upload of the first has failed");
    // Another client, and then one of ours behind it, go on from the second.
    sync(&mut mesh, 1);
    peer.pull(&mesh.remote, mesh.world.now_ms());
    peer.compact(&mesh.remote, mesh.world.now_ms());
    sync(&mut mesh, 1);
    compact(&mut mesh, 1);
    for _ in 0..2 {
        (0..2).for_each(|at| sync(&mut mesh, at));
    }
    for at in 0..2 {
        let rows = mesh.rows(at).unwrap();
        assert_eq!(
            (columns(&rows, "first"), columns(&rows, "second")),
            (vec!["a".into()], vec!["a".into()]),
            "d{at}"
        );
    }
}

/// At and below the floor of a B10 peer its snapshot is the state, whatever it overlooked. Who wrote that makes good for it.
#[test]
fn beside_b10_a_write_below_its_floor_is_kept_by_its_writer() {
    let mut mesh = quiet(2);
    let mut peer = peer(Kind::B10);
    put(&mut mesh, 1, "known", json!({"a": "old", "b": "old"}));
    (0..2).for_each(|at| sync(&mut mesh, at));
    peer.connect(&mesh.remote, mesh.world.now_ms());
    // The clock of the first stands still for nine days: B10 takes the device for one that is away.
    let (days, ms) = (9 * 24 * HOUR_MS, 9 * 24 * 3_600_000_i64);
    mesh.world.leap(days);
    mesh.devices[0].host.set_skew(-ms);
    mesh.executor.run_for(1000);
    put(&mut mesh, 0, "known", json!({"a": "overlooked"}));
    put(&mut mesh, 0, "unknown", json!({"a": "overlooked too"}));
    sync(&mut mesh, 0);
    mesh.executor.run_for(1000);
    // Its own write moves its cursor over the files; it deletes them, and the floor rises above what was in them.
    peer.write(mesh.world.now_ms());
    peer.flush(&mesh.remote, mesh.world.now_ms());
    peer.compact(&mesh.remote, mesh.world.now_ms());
    sync(&mut mesh, 1);
    sync(&mut mesh, 1);
    mesh.executor.run_for(1000);
    peer.compact(&mesh.remote, mesh.world.now_ms());
    for _ in 0..2 {
        (0..2).for_each(|at| sync(&mut mesh, at));
    }
    for at in 0..2 {
        let rows = mesh.rows(at).unwrap();
        let known = &rows[&("todos".to_owned(), "known".to_owned())];
        assert_eq!(
            known.cells["a"].value, "overlooked",
            "d{at}: the row is there, the column is published again"
        );
        assert_eq!(known.cells["b"].value, "old");
        assert!(columns(&rows, "unknown").is_empty());
    }
    // It cannot know whether that row was deleted: its user decides.
    let list = mesh.with(0, |db| async move { db.quarantined().await }).unwrap().unwrap();
    let put_aside: Vec<_> = list.iter().filter_map(|kept| kept.write.as_ref()).collect();
    assert_eq!((put_aside.len(), put_aside[0].row_id.as_str()), (1, "unknown"), "{list:?}");
}

/// A JavaScript snapshot does not say when a row that lives was deleted, and NEW deletes the change files at once: who
/// knows the deletion publishes it again. Where nobody knows it any more, the column stays.
#[test]
fn beside_new_a_column_older_than_its_deletion_goes_when_somebody_knows_the_deletion() {
    let mut mesh = quiet(2);
    let mut peer = peer(Kind::New);
    put(&mut mesh, 0, "r", json!({"ghost": 1}));
    (0..2).for_each(|at| sync(&mut mesh, at));
    // Deleted and resurrected while the other one is away.
    delete(&mut mesh, 0, "r");
    put(&mut mesh, 0, "r", json!({"new": 2}));
    sync(&mut mesh, 0);
    peer.connect(&mesh.remote, mesh.world.now_ms());
    peer.compact(&mesh.remote, mesh.world.now_ms());
    sync(&mut mesh, 1);
    assert_eq!(columns(&mesh.rows(1).unwrap(), "r"), ["ghost", "new"], "a ghost column");
    (0..2).for_each(|at| sync(&mut mesh, at));
    for at in 0..2 {
        assert_eq!(columns(&mesh.rows(at).unwrap(), "r"), ["new"], "d{at}");
    }
    assert!(mesh.remote.log_since(0).iter().any(|file| file.by == NUMBER && file.path.contains("mainline")));
}
