//! Files that a bad or careless peer leaves in the mailbox.

use interocitor_core::{Event, Key};
use serde_json::json;

use crate::{
    GOOD_CLOCK, beside, change,
    common::{self, Fixture, tree},
    sealed, tables, upsert,
};

/// Every kind of file in `changes/` that must not stop anything.
fn bad_changes(fixture: &Fixture) -> Vec<(String, Vec<u8>)> {
    let mesh = &fixture.mesh_id;
    let good = sealed(fixture, &change(mesh, "chg_good", &upsert("r", "1", GOOD_CLOCK)));
    let foreign_key = Key::from_bytes([9; 32]);
    let named = |id: &str| format!("{GOOD_CLOCK}-{id}.json");
    let with = |id: &str, payload: String| (named(id), sealed(fixture, &payload));
    vec![
        (named("chg_truncated"), good[..good.len() / 2].to_vec()),
        (named("chg_empty"), Vec::new()),
        (named("chg_garbage"), vec![0xff, 0, 1, 2]),
        (named("chg_html"), b"<html>Please log in</html>".to_vec()),
        (named("chg_renamed"), good.clone()),
        (
            named("chg_foreign"),
            interocitor_crypto::seal(&foreign_key, [1; 12], change(mesh, "chg_foreign", "").as_bytes())
                .unwrap(),
        ),
        with("chg_mesh", change("mesh_other", "chg_mesh", "")),
        (
            named("chg_version"),
            String::from_utf8(good).unwrap().replacen("\"v\":1", "\"v\":2", 1).into_bytes(),
        ),
        with("chg_kind", change(mesh, "chg_kind", "").replace("\"change\"", "\"epic\"")),
        with("chg_op", change(mesh, "chg_op", r#"{"type":"increment","table":"bad","rowId":"r"}"#)),
        with("chg_clock", change(mesh, "chg_clock", &upsert("r", "1", "soon"))),
        with("chg_nan", change(mesh, "chg_nan", &upsert("r", "NaN", GOOD_CLOCK))),
        ("not-a-clock-chg_x.json".into(), sealed(fixture, &change(mesh, "chg_x", ""))),
        ("001795352695000-0000-peer-chg_x (conflicted copy).json".into(), b"{}".to_vec()),
    ]
}

#[tokio::test]
async fn bad_changes_are_quarantined_and_everything_else_syncs() {
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let changes = mailbox.path().join("Mesh/changes");
    let bad = bad_changes(&fixture);
    for (name, body) in &bad {
        std::fs::write(changes.join(name), body).unwrap();
    }
    let db = beside(&fixture, mailbox.path(), |_| {}).await;
    let mut events = db.events();
    assert!(db.connect().await.unwrap().is_online());
    common::assert_json(&tables(&db).await, &fixture.expected["tables"], "tables");

    let mut wanted: Vec<String> = bad.iter().map(|(name, _)| format!("changes/{name}")).collect();
    wanted.sort();
    let listed = db.quarantined().await.unwrap();
    assert_eq!(listed.iter().map(|file| file.name.clone()).collect::<Vec<_>>(), wanted);
    assert!(listed.iter().all(|file| file.code == "DECODE" && !file.reason.is_empty() && file.tries == 1));
    assert_eq!(db.status().await.unwrap().quarantined, bad.len() as u64);
    let mut told = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::DecodeError { path, .. } = event {
            told.push(path);
        }
    }
    told.sort();
    assert_eq!(told, wanted);

    // Our own writes still go out, nothing was deleted, and an unchanged file is not read at every pull.
    db.table("bad").put("mine", &json!({"v": 1})).await.unwrap();
    db.sync().await.unwrap();
    assert_eq!(db.quarantined().await.unwrap()[0].tries, 1);
    assert!(bad.iter().all(|(name, _)| changes.join(name).exists()));

    // A file that is whole at last, as a slow upload is, is read at once.
    let good =
        sealed(&fixture, &change(&fixture.mesh_id, "chg_truncated", &upsert("late", "\"ok\"", GOOD_CLOCK)));
    std::fs::write(changes.join(format!("{GOOD_CLOCK}-chg_truncated.json")), good).unwrap();
    // One that is gone is forgotten.
    std::fs::remove_file(changes.join(format!("{GOOD_CLOCK}-chg_garbage.json"))).unwrap();
    db.sync().await.unwrap();
    assert_eq!(db.table("bad").row("late").await.unwrap().unwrap().json, r#"{"v":"ok"}"#);
    assert_eq!(db.status().await.unwrap().quarantined, bad.len() as u64 - 2);
}

/// What Dropbox, iCloud, Syncthing and others leave beside a file that two machines stored at once, and while they
/// bring one: neither read nor counted, and nothing of it is deleted.
#[tokio::test]
async fn copies_that_file_sync_services_make_are_left_alone() {
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let changes = mailbox.path().join("Mesh/changes");
    let name = std::fs::read_dir(&changes).unwrap().map(|entry| entry.unwrap().file_name());
    let name = name.map(|name| name.into_string().unwrap()).find(|name| name.contains("-chg_")).unwrap();
    let stem = name.strip_suffix(".json").unwrap();
    let extra = [
        format!("{stem} (Jo's conflicted copy 2026-01-02).json"),
        format!("{stem} 2.json"),
        format!("{stem}.sync-conflict-20260102-030405-ABCDEFG.json"),
        format!("~syncthing~{name}.tmp"),
        format!("{name}.part"),
    ];
    for extra in &extra {
        std::fs::write(changes.join(extra), "half of it").unwrap();
    }
    let db = beside(&fixture, mailbox.path(), |_| {}).await;
    assert!(db.connect().await.unwrap().is_online());
    common::assert_json(&tables(&db).await, &fixture.expected["tables"], "tables");
    assert_eq!(db.status().await.unwrap().quarantined, 0);
    db.compact(std::time::Duration::ZERO).await.unwrap();
    db.compact(std::time::Duration::ZERO).await.unwrap();
    assert!(extra.iter().all(|extra| changes.join(extra).exists()));
    assert_eq!(db.status().await.unwrap().quarantined, 0);
    // Without its original a copy may be all there is: it is looked at, and told.
    std::fs::write(changes.join(format!("{GOOD_CLOCK}-chg_alone 2.json")), "half of it").unwrap();
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().quarantined, 1);
}

#[tokio::test]
async fn a_bad_snapshot_is_quarantined_and_the_changes_are_read() {
    let fixture = Fixture::load("compacted");
    let snapshot = "Mesh/mainline/snapshot-2-server_relay_1.json";
    let key = Key::from_bytes([9; 32]);
    let payload = |mesh: &str, kind: &str, rest: &str| {
        format!(r#"{{"meshId":"{mesh}","kind":"{kind}","snapshot":{rest}}}"#)
    };
    let tables = r#"{"epoch":2,"tables":{"t":{"r":{"_meta":{"table":"t","rowId":"r","deleted":false},"payload":{}}}}}"#;
    let mesh = fixture.mesh_id.as_str();
    let bodies = [
        Some(b"garbage".to_vec()),
        Some(Vec::new()),
        Some(interocitor_crypto::seal(&key, [1; 12], b"{}").unwrap()),
        Some(sealed(&fixture, &payload("mesh_other", "snapshot", tables))),
        Some(sealed(&fixture, &payload(mesh, "change", tables))),
        Some(sealed(&fixture, &payload(mesh, "snapshot", &tables.replace("\"epoch\":2", "\"epoch\":7")))),
        Some(sealed(&fixture, &payload(mesh, "snapshot", "{}"))),
        Some(sealed(&fixture, &payload(mesh, "snapshot", tables)[..90])),
        None,
    ];
    for (at, body) in bodies.into_iter().enumerate() {
        let mailbox = fixture.unpack();
        match body {
            Some(body) => std::fs::write(mailbox.path().join(snapshot), body).unwrap(),
            None => std::fs::remove_file(mailbox.path().join(snapshot)).unwrap(),
        }
        let db = beside(&fixture, mailbox.path(), |_| {}).await;
        assert!(db.connect().await.unwrap().is_online(), "{at}");
        let listed = db.quarantined().await.unwrap();
        assert_eq!(listed.len(), 1, "{at}: {listed:?}");
        assert_eq!(listed[0].name, "mainline/snapshot-2-server_relay_1.json");
        // This fixture's change files are all still there, so nothing is lost; the epoch is not ours.
        common::assert_json(&self::tables(&db).await, &fixture.expected["tables"], &format!("{at}"));
        assert_eq!(db.status().await.unwrap().epoch, 0, "{at}");
    }
}

#[tokio::test]
async fn a_peer_may_write_what_we_would_refuse() {
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long_name = "n".repeat(200_000);
    let ops = [
        upsert("deep", &deep, GOOD_CLOCK),
        upsert(&long_name, "1", GOOD_CLOCK),
        upsert("after", "1e400", GOOD_CLOCK),
    ];
    let body = sealed(&fixture, &change(&fixture.mesh_id, "chg_wild", &ops.join(",")));
    std::fs::write(mailbox.path().join(format!("Mesh/changes/{GOOD_CLOCK}-chg_wild.json")), body).unwrap();
    let db = beside(&fixture, mailbox.path(), |_| {}).await;
    assert!(db.connect().await.unwrap().is_online());
    assert!(db.quarantined().await.unwrap().is_empty());
    assert_eq!(db.table("bad").row("after").await.unwrap().unwrap().json, r#"{"v":1e400}"#);
    assert_eq!(db.table("bad").row("deep").await.unwrap().unwrap().json, format!("{{\"v\":{deep}}}"));
    assert!(db.table("bad").row(&*long_name).await.unwrap().is_some());
}

#[tokio::test]
async fn a_peer_ten_years_ahead_cannot_swallow_our_writes() {
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let far = "002110971895000-0000-peer";
    let payload = change(&fixture.mesh_id, "chg_far", &upsert("r", "\"from the future\"", far))
        .replace(GOOD_CLOCK, far);
    let body = sealed(&fixture, &payload);
    std::fs::write(mailbox.path().join(format!("Mesh/changes/{far}-chg_far.json")), body).unwrap();
    let db = beside(&fixture, mailbox.path(), |_| {}).await;
    let mut events = db.events();
    assert!(db.connect().await.unwrap().is_online());
    assert_eq!(db.table("bad").row("r").await.unwrap().unwrap().json, r#"{"v":"from the future"}"#);
    let skew = std::iter::from_fn(|| events.try_next()).find(|event| event.name() == "clock:skew");
    assert!(
        matches!(skew, Some(Event::ClockSkew { device, ahead_ms }) if device == "peer" && ahead_ms > 8 * 365 * 86_400_000)
    );
    for value in ["ours", "ours again"] {
        db.table("bad").put("r", &json!({"v": value})).await.unwrap();
        db.sync().await.unwrap();
        let other = beside(&fixture, mailbox.path(), |_| {}).await;
        assert!(other.connect().await.unwrap().is_online());
        assert_eq!(
            other.table("bad").row("r").await.unwrap().unwrap().json,
            format!("{{\"v\":\"{value}\"}}")
        );
    }
    // The greatest clock in a file name stays readable: our entries come after the peer's.
    let names: Vec<String> = tree(&mailbox.path().join("Mesh/changes")).into_keys().collect();
    assert!(names.iter().filter(|name| name.starts_with("002110971895000")).count() >= 2, "{names:?}");
}
