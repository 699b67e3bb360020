//! What a bad peer, a bad remote, a bad disk or a bad caller may do, and what must come of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Fixture,
    faulty::{Failure, FaultyMailbox},
    open_at, tree,
};
use interocitor_core::{
    Config, Connection, Error, Event, Interocitor, Key, Passphrase, Schema, StoreLocation,
    mailbox::{FolderMailbox, MailboxErrorKind, MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};

/// A database on the fixture's mailbox, not yet connected.
async fn beside(fixture: &Fixture, mailbox: &Path, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.remote_path = Some(fixture.remote_path.clone());
        config.passphrase = fixture.passphrase.as_deref().map(Passphrase::from);
        config.encrypted = fixture.encrypted;
        change(config);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    db
}

async fn tables(db: &Interocitor) -> Value {
    let dump = common::without_lone_surrogates(&db.dump().await.unwrap());
    serde_json::from_str::<Value>(&dump).unwrap()["tables"].clone()
}

fn sealed(fixture: &Fixture, payload: &str) -> Vec<u8> {
    let key = Passphrase::from(fixture.passphrase.as_deref().unwrap()).to_key().unwrap();
    interocitor_crypto::seal(&key, [7; 12], payload.as_bytes()).unwrap()
}

const GOOD_CLOCK: &str = "001795352695000-0000-peer";

fn change(mesh_id: &str, id: &str, ops: &str) -> String {
    format!(
        r#"{{"meshId":"{mesh_id}","kind":"change","entry":{{"id":"{id}","ts":1,"device":"peer","hlc":"{GOOD_CLOCK}","ops":[{ops}]}}}}"#
    )
}

fn upsert(row: &str, value: &str, clock: &str) -> String {
    format!(
        r#"{{"type":"upsert","table":"bad","rowId":"{row}","columns":{{"v":{{"value":{value},"hlc":"{clock}"}}}}}}"#
    )
}

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

fn edit_manifest(mailbox: &Path, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    // A manifest under a hash that is right again, as another client would have written it.
    let path = mailbox.join("Mesh/manifest-1.json");
    let script = "import json,sys,hashlib\nm=json.load(open(sys.argv[1]));m.pop('contentHash',None);m.update(json.loads(sys.argv[2]))\nt=json.dumps(m,separators=(',',':'),ensure_ascii=False)\nm['contentHash']='sha256:'+hashlib.sha256(t.encode()).hexdigest()\nopen(sys.argv[1],'w').write(json.dumps(m,indent=2,ensure_ascii=False))";
    let mut changes = serde_json::Map::new();
    change(&mut changes);
    let status = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .arg(Value::Object(changes).to_string())
        .status()
        .unwrap();
    assert!(status.success());
}

async fn refused(fixture: &Fixture, mailbox: &Path, code: &str, change: impl FnOnce(&mut Config)) -> Error {
    let before = tree(mailbox);
    let db = beside(fixture, mailbox, change).await;
    db.table("t").put("mine", &json!({"a": 1})).await.unwrap();
    let local = db.dump().await.unwrap();
    let error = db.connect().await.unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(!error.is_retryable());
    assert_eq!(tree(mailbox), before, "{code}: the mailbox was written");
    assert_eq!(db.dump().await.unwrap(), local, "{code}: the store was changed");
    assert!(db.sync().await.is_err());
    db.table("t").put("mine", &json!({"a": 2})).await.unwrap();
    error
}

#[tokio::test]
async fn what_must_not_be_joined_is_refused_before_anything_changes() {
    let fixture = Fixture::load("basic");
    let fresh = || fixture.unpack();
    refused(&fixture, fresh().path(), "PASSPHRASE_REQUIRED", |config| config.passphrase = None).await;
    refused(&fixture, fresh().path(), "MESH_ENCRYPTION_MISMATCH", |config| config.encrypted = false).await;
    for nonsense in ["", "0OIl", "hunter2", &"z".repeat(60)] {
        let error = refused(&fixture, fresh().path(), "PASSPHRASE_WRONG", |config| {
            config.passphrase = Some(nonsense.into());
        })
        .await;
        assert!(nonsense.is_empty() || !error.to_string().contains(nonsense), "{error}");
    }
    let schema =
        |version: u64| Schema::from_json(&format!(r#"{{"version":{version},"tables":{{}}}}"#)).unwrap();
    refused(&fixture, fresh().path(), "SCHEMA_MISMATCH", |config| config.schema = Some(schema(2))).await;

    let mailbox = fresh();
    edit_manifest(mailbox.path(), |manifest| {
        manifest
            .insert("server".into(), json!({"managed": true, "relayUrl": null, "serverId": "their-server"}));
        manifest.insert("writtenBy".into(), json!("their-server"));
    });
    refused(&fixture, mailbox.path(), "WRITER_MISMATCH", |_| {}).await;
    let db = beside(&fixture, mailbox.path(), |config| config.server_id = "their-server".into()).await;
    assert!(db.connect().await.unwrap().is_online());

    let mailbox = fresh();
    edit_manifest(mailbox.path(), |manifest| drop(manifest.insert("version".into(), json!(4))));
    refused(&fixture, mailbox.path(), "MANIFEST_INVALID", |_| {}).await;

    let mailbox = fresh();
    let path = mailbox.path().join("Mesh/manifest-1.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"epoch\": 0", "\"epoch\": 9");
    std::fs::write(&path, text).unwrap();
    refused(&fixture, mailbox.path(), "MANIFEST_HASH", |_| {}).await;

    let mailbox = fresh();
    std::fs::remove_file(mailbox.path().join("Mesh/manifest-1.json")).unwrap();
    refused(&fixture, mailbox.path(), "MANIFEST_INVALID", |_| {}).await;

    let mailbox = fresh();
    std::fs::write(mailbox.path().join("Mesh/manifest.json"), "{\"currentGener").unwrap();
    refused(&fixture, mailbox.path(), "MANIFEST_INVALID", |_| {}).await;

    // No pointer, but the rest of a mesh: that is damage, not an empty mailbox.
    let mailbox = fresh();
    std::fs::remove_file(mailbox.path().join("Mesh/manifest.json")).unwrap();
    refused(&fixture, mailbox.path(), "MANIFEST_INVALID", |_| {}).await;
    for left in ["changes", "devices", "manifest-1.json"] {
        let mailbox = fresh();
        for name in
            ["manifest.json", "manifest-1.json", "changes", "devices"].iter().filter(|name| **name != left)
        {
            let path = mailbox.path().join("Mesh").join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        refused(&fixture, mailbox.path(), "MANIFEST_INVALID", |_| {}).await;
    }
}

#[tokio::test]
async fn a_b10_spelled_passphrase_counts_only_where_the_mesh_proves_it() {
    let key = Passphrase::from("hunter2").to_key_lenient().unwrap();
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let old = Passphrase::from(fixture.passphrase.as_deref().unwrap()).to_key().unwrap();
    let changes = mailbox.path().join("Mesh/changes");
    for entry in std::fs::read_dir(&changes).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("head.json") {
            continue;
        }
        let payload = interocitor_crypto::open(&old, &std::fs::read(&path).unwrap()).unwrap();
        std::fs::write(&path, interocitor_crypto::seal(&key, [3; 12], &payload).unwrap()).unwrap();
    }
    let db = beside(&fixture, mailbox.path(), |config| config.passphrase = Some("hunter2".into())).await;
    assert!(db.connect().await.unwrap().is_online());
    common::assert_json(&tables(&db).await, &fixture.expected["tables"], "tables");
    // In an empty mailbox nothing can prove it: no mesh is founded on a typing error.
    let empty = tempfile::tempdir().unwrap();
    let db = beside(&fixture, empty.path(), |config| config.passphrase = Some("hunter2".into())).await;
    assert_eq!(db.connect().await.unwrap_err().code().as_str(), "PASSPHRASE_WRONG");
}

#[tokio::test]
async fn a_mailbox_that_lost_a_known_mesh_is_told_and_can_be_rebuilt() {
    let mailbox = tempfile::tempdir().unwrap();
    let open = || async {
        let db = open_at(StoreLocation::Memory, |config| {
            config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
        db
    };
    let (a, b) = (open().await, open().await);
    assert_eq!(a.rebuild_remote().await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
    for db in [&a, &b] {
        assert!(db.connect().await.unwrap().is_online());
    }
    assert_eq!(a.rebuild_remote().await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
    assert!(a.connect().await.unwrap().is_online());
    a.table("t").put("r", &json!({"a": 1})).await.unwrap();
    a.table("t").put("gone", &json!({"a": 1})).await.unwrap();
    a.table("t").delete("gone").await.unwrap();
    a.sync().await.unwrap();
    let mesh_id = a.status().await.unwrap().mesh_id;

    std::fs::remove_dir_all(mailbox.path().join("Mesh")).unwrap();
    assert_eq!(a.sync().await.unwrap_err().code().as_str(), "REMOTE_MISSING");
    a.disconnect().await;
    assert_eq!(a.connect().await.unwrap_err().code().as_str(), "REMOTE_MISSING");
    assert!(!mailbox.path().join("Mesh/manifest.json").exists(), "nothing is founded by itself");
    assert!(a.rebuild_remote().await.unwrap().is_online());
    let status = a.status().await.unwrap();
    assert_eq!((&status.mesh_id, status.generation, status.pending.count), (&mesh_id, 2, 0));
    // The other member goes on, and a new one sees everything.
    b.sync().await.unwrap();
    let fresh = open().await;
    assert!(fresh.connect().await.unwrap().is_online());
    assert_eq!(fresh.dump().await.unwrap(), a.dump().await.unwrap());
    assert_eq!(b.dump().await.unwrap(), a.dump().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_founders_one_wins_and_no_other_key_gets_in() {
    for round in 0..10 {
        let mailbox = tempfile::tempdir().unwrap();
        let mut connects = Vec::new();
        for _ in 0..4 {
            let db = open_at(StoreLocation::Memory, |_| {}).await;
            db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
            connects.push(tokio::spawn(async move { (db.connect().await, db) }));
        }
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for connect in connects {
            match connect.await.unwrap() {
                (Ok(connection), db) => {
                    assert!(connection.is_online());
                    winners.push(db);
                }
                (Err(error), db) => {
                    assert_eq!(error.code().as_str(), "PASSPHRASE_REQUIRED", "round {round}");
                    losers.push(db);
                }
            }
        }
        assert_eq!((winners.len(), losers.len()), (1, 3), "round {round}");
        for db in losers {
            assert_eq!(db.get_passphrase(), None, "a key that fits nothing is not kept");
            // A wrong key is known at once, although there is not a single row yet.
            db.set_passphrase("4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw").unwrap();
            assert_eq!(db.connect().await.unwrap_err().code().as_str(), "PASSPHRASE_WRONG");
            db.set_passphrase(winners[0].get_passphrase().unwrap()).unwrap();
            assert!(db.connect().await.unwrap().is_online());
        }
    }
}

#[tokio::test]
async fn a_founding_that_broke_off_anywhere_is_resumed() {
    for broken in 0..14 {
        let mut left = broken;
        let mailbox = FaultyMailbox::new(MemoryMailbox::new(), move |_, _| {
            left -= 1;
            (left == -1).then_some(Failure::After(MailboxErrorKind::Unavailable))
        });
        let db = open_at(StoreLocation::Memory, |_| {}).await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        let _ = db.connect().await.unwrap();
        let passphrase = db.get_passphrase();
        assert!(db.connect().await.unwrap().is_online(), "{broken}");
        assert!(passphrase.is_none() || db.get_passphrase() == passphrase, "{broken}: the key was replaced");
        db.table("t").put("r", &json!({"a": 1})).await.unwrap();
        db.sync().await.unwrap();
        let other = open_at(StoreLocation::Memory, |config| config.passphrase = db.get_passphrase()).await;
        other.set_remote_storage(Some(Arc::new(mailbox))).await;
        assert!(other.connect().await.unwrap().is_online(), "{broken}");
        assert_eq!(other.dump().await.unwrap(), db.dump().await.unwrap(), "{broken}");
    }
}

fn pointer_fails(kind: MailboxErrorKind) -> impl FnMut(&'static str, &str) -> Option<Failure> + Send {
    move |operation, path| {
        (operation == "read" && path.ends_with("/manifest.json")).then_some(Failure::Before(kind))
    }
}

#[tokio::test]
async fn an_unreadable_pointer_is_never_an_empty_mailbox() {
    use MailboxErrorKind as K;
    for (kind, code) in [
        (K::Unauthorized, "REMOTE_ACCESS"),
        (K::Forbidden, "REMOTE_ACCESS"),
        (K::Unavailable, "REMOTE_ACCESS"),
        (K::RateLimited, "REMOTE_ACCESS"),
        (K::Protocol, "REMOTE_ACCESS"),
        (K::Timeout, "REMOTE_TIMEOUT"),
        (K::Offline, "OFFLINE"),
    ] {
        let memory = MemoryMailbox::new();
        let mailbox = FaultyMailbox::new(memory.clone(), pointer_fails(kind));
        let db = open_at(StoreLocation::Memory, |_| {}).await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        match db.connect().await.unwrap() {
            Connection::Offline { error, .. } => assert_eq!(error.code().as_str(), code),
            other => panic!("{kind:?}: {other:?}"),
        }
        assert!(memory.list_files("/Mesh").await.is_err(), "{kind:?}: something was written");
        assert_eq!(db.get_passphrase(), None, "{kind:?}: no key is made for a mesh that may exist");
        db.table("t").put("r", &json!({"a": 1})).await.unwrap();
        assert_eq!(db.status().await.unwrap().problem.unwrap().code, code);
        // The mailbox recovers: the same call works.
        mailbox.set(|_, _| None);
        assert!(db.connect().await.unwrap().is_online());
        assert_eq!(db.status().await.unwrap().problem, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_never_answers_stalls_one_stage_and_is_retried_in_the_background() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory, |_, _| Some(Failure::Hangs));
    let stalled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stalled);
    let db = open_at(StoreLocation::Memory, |config| {
        config.auto_sync = true;
        config.on_connect_stalled =
            Some(Arc::new(move |stage: &str| seen.lock().unwrap().push(stage.to_owned())));
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    db.set_passphrase("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE").unwrap();
    let connection = db.connect().await.unwrap();
    assert!(matches!(
        connection,
        Connection::Offline { stage: "authenticate", error: Error::RemoteTimeout { .. } }
    ));
    assert_eq!(*stalled.lock().unwrap(), ["authenticate"]);
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    mailbox.set(|_, _| None);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let status = db.status().await.unwrap();
    assert_eq!((status.pending.count, status.problem), (0, None));
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn names_and_values_of_any_shape_travel() {
    let mailbox = MemoryMailbox::new();
    let open = || async {
        let db = open_at(StoreLocation::Memory, |config| {
            config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    };
    let (a, b) = (open().await, open().await);
    let names =
        ["", "a/b", "..", "quo'te\"`", "nul\0nul", "\u{1f600}\u{e9}", "-chg_", "%41", &"long".repeat(2500)];
    for name in names {
        a.table(name).put(name, &json!({name: name})).await.unwrap();
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("\"{}\"", "x".repeat(16 * 1024 * 1024 - 2));
    for (row, value) in [("deep", &deep), ("long", &long)] {
        let raw = serde_json::value::RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap();
        a.table("values").put(row, &raw).await.unwrap();
    }
    a.sync().await.unwrap();
    b.sync().await.unwrap();
    assert_eq!(a.dump().await.unwrap().len(), b.dump().await.unwrap().len());
    assert_eq!(b.table("values").row("deep").await.unwrap().unwrap().json, format!("{{\"v\":{deep}}}"));
    assert_eq!(b.table("values").row("long").await.unwrap().unwrap().json.len(), long.len() + 6);
    for name in names {
        let row = b.table(name).row(name).await.unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&row.json).unwrap()[name], json!(name));
    }
    for (what, write) in [
        ("deep", format!("{{\"v\":{}{}}}", "[".repeat(2000), "]".repeat(2000))),
        ("long", format!("{{\"v\":\"{}\"}}", "x".repeat(17 * 1024 * 1024))),
    ] {
        let raw = serde_json::value::RawValue::from_string(write).unwrap();
        let error = a.table("values").put(what, &raw).await.unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT", "{what}");
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

#[tokio::test]
async fn two_handles_on_one_file_lose_nothing_and_share_no_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = MemoryMailbox::new();
    let open = || async {
        let db = open_at(StoreLocation::File(folder.path().join("shared.db")), |config| {
            // Each write is published by itself, so that every clock that was issued can be seen.
            config.batch_window = Duration::ZERO;
            config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        db
    };
    let (a, b) = (open().await, open().await);
    assert_eq!(a.device_id(), b.device_id());
    assert!(a.connect().await.unwrap().is_online());
    assert!(b.connect().await.unwrap().is_online());
    let write = |db: Interocitor, side: &'static str| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for at in 0..100 {
                    db.table("t").put("one", &json!({side: at})).await.unwrap();
                    db.table("t").add(&json!({"by": side, "at": at})).await.unwrap();
                    if at % 25 == 24 {
                        db.sync().await.unwrap();
                    }
                }
            });
        })
    };
    let threads = [write(a.clone(), "a"), write(b.clone(), "b")];
    for thread in threads {
        thread.join().unwrap();
    }
    a.sync().await.unwrap();
    assert_eq!(a.table("t").row("one").await.unwrap().unwrap().json.matches("99").count(), 2);
    let dump: Value = serde_json::from_str(&a.dump().await.unwrap()).unwrap();
    assert_eq!(dump["tables"]["t"].as_object().unwrap().len(), 201);
    // Every column clock of every published write is its own.
    let key = Passphrase::from("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE").to_key().unwrap();
    let mut values = std::collections::HashMap::new();
    for file in mailbox.list_files("/Mesh/changes").await.unwrap() {
        if file.name == "head.json" {
            continue;
        }
        let body = mailbox.read_file(&file.path).await.unwrap();
        let payload: Value = serde_json::from_slice(&interocitor_crypto::open(&key, &body).unwrap()).unwrap();
        for op in payload["entry"]["ops"].as_array().unwrap() {
            for (column, cell) in op["columns"].as_object().unwrap() {
                let place = (op["rowId"].to_string(), column.clone(), cell["hlc"].to_string());
                let known = values.entry(place).or_insert_with(|| cell["value"].clone());
                assert_eq!(*known, cell["value"]);
            }
        }
    }
    assert!(values.len() >= 600);
}

#[tokio::test]
async fn a_copied_store_becomes_another_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let first = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    first.table("t").put("r", &json!({"a": 1})).await.unwrap();
    let id = first.device_id();
    first.shutdown().await.unwrap();
    let again = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    assert_eq!(again.device_id(), id);
    again.shutdown().await.unwrap();
    // A backup that was restored elsewhere lacks the install id, or finds another one.
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let restored = open_at(StoreLocation::File(copy), |_| {}).await;
    assert_ne!(restored.device_id(), id);
    assert_eq!(restored.table("t").row("r").await.unwrap().unwrap().json, r#"{"a":1}"#);
}

#[tokio::test]
async fn deleted_payload_is_not_left_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mailbox = MemoryMailbox::new();
    let db = open_at(StoreLocation::File(path), |_| {}).await;
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    assert!(db.connect().await.unwrap().is_online());
    let secret = "the-cat-is-called-Schroedinger";
    let bodies: Vec<String> = (0..200).map(|at| format!("{secret}-{at}-{}", "x".repeat(at * 40))).collect();
    for (at, body) in bodies.iter().enumerate() {
        db.table("diary").put(format!("r{at}"), &json!({"text": body, "other": body})).await.unwrap();
    }
    db.sync().await.unwrap();
    let holds = |needle: &str| {
        tree(folder.path())
            .values()
            .any(|bytes| bytes.windows(needle.len()).any(|part| part == needle.as_bytes()))
    };
    assert!(holds(secret), "the test looks in the right place");
    for at in 0..bodies.len() {
        if at % 3 == 0 {
            db.table("diary").put(format!("r{at}"), &json!({"text": "", "other": null})).await.unwrap();
        } else {
            db.table("diary").delete(format!("r{at}")).await.unwrap();
        }
    }
    db.sync().await.unwrap();
    db.shutdown().await.unwrap();
    assert!(!holds(secret));
    assert!(!holds("Schroedinger"));
}

#[tokio::test]
async fn an_app_that_writes_at_every_request_does_not_keep_a_flush_from_ending() {
    let mailbox = FaultyMailbox::new(MemoryMailbox::new(), |_, _| None);
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        config.batch_window = Duration::ZERO;
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    let (writer, mut count) = (db.clone(), 0);
    mailbox.set(move |_, _| {
        count += 1;
        let row = json!({"n": count});
        let table = writer.table("t");
        let write = table.put(format!("r{count}"), &row);
        futures_util::FutureExt::now_or_never(write).expect("a single write is done at once").unwrap();
        None
    });
    db.table("t").put("first", &json!({"n": 0})).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), db.sync()).await.unwrap().unwrap();
    mailbox.set(|_, _| None);
    let waiting = db.status().await.unwrap().pending.count;
    assert!((1..30).contains(&waiting), "{waiting}");
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_does_not_wait_for_a_write_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    db.table("t").put("a", &json!({"v": 1})).await.unwrap();
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = db.clone();
    let writing = tokio::spawn(async move { writer.table("t").put("b", &json!({"v": 2})).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Several at once: there is no idle reader for each of them.
    for _ in 0..8 {
        let reader = db.clone();
        assert!(
            tokio::spawn(async move { reader.table("t").row("a").await }).await.unwrap().unwrap().is_some()
        );
    }
    assert!(!writing.is_finished(), "the write waits for the other process");
    other.execute_batch("ROLLBACK").unwrap();
    writing.await.unwrap().unwrap();
}
