//! Mailboxes written by the JavaScript client: read exactly, continued, and read back by the
//! independent reader.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use common::{Fixture, open_at};
use interocitor_core::{
    Compaction, Connection, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox,
};
use serde_json::{Value, json};

const NAMES: [&str; 10] = [
    "basic",
    "beta10-compacted",
    "compacted",
    "late-change",
    "new-compacted",
    "odd-values",
    "plaintext",
    "swarm-compacted",
    "swarm-deletes",
    "swarm-upserts",
];

async fn join(fixture: &Fixture, mailbox: &Path, store: StoreLocation) -> Interocitor {
    let db = open_at(store, |config| {
        config.remote_path = Some(fixture.remote_path.clone());
        config.passphrase = fixture.passphrase.as_deref().map(Passphrase::from);
        config.encrypted = fixture.encrypted;
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    let connection = db.connect().await.unwrap();
    assert!(connection.is_online(), "{connection:?}");
    db
}

async fn dump(db: &Interocitor) -> Value {
    serde_json::from_str(&common::without_lone_surrogates(&db.dump().await.unwrap())).unwrap()
}

fn reference(fixture: &Fixture, mailbox: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(mailbox.join(fixture.remote_path.trim_start_matches('/')));
    command.args(fixture.passphrase.as_deref());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&common::without_lone_surrogates(&String::from_utf8(output.stdout).unwrap()))
        .unwrap()
}

#[tokio::test]
async fn every_fixture_is_read_exactly() {
    for name in NAMES {
        let fixture = Fixture::load(name);
        let mailbox = fixture.unpack();
        let db = join(&fixture, mailbox.path(), StoreLocation::Memory).await;
        let dump = dump(&db).await;
        for part in ["epoch", "generation", "tables", "tombstones"] {
            common::assert_json(&dump[part], &fixture.expected[part], &format!("{name}: {part}"));
        }
        assert_eq!(dump["meshId"], json!(fixture.mesh_id), "{name}");
        assert!(db.quarantined().await.unwrap().is_empty(), "{name}");
        db.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn every_fixture_is_continued_and_read_back() {
    for name in NAMES {
        let fixture = Fixture::load(name);
        let mailbox = fixture.unpack();
        let folder = tempfile::tempdir().unwrap();
        let store = || StoreLocation::File(folder.path().join("a.db"));
        let db = join(&fixture, mailbox.path(), store()).await;
        // An edit of every first row, a delete, a resurrection, a new row.
        let tables: Vec<String> = fixture.expected["tables"].as_object().unwrap().keys().cloned().collect();
        for table in &tables {
            let rows: Vec<String> =
                fixture.expected["tables"][table].as_object().unwrap().keys().cloned().collect();
            db.table(table).put(&rows[0], &json!({"native": [1, {"a": "\u{e9}"}], "n": 1.5})).await.unwrap();
            db.table(table).delete(rows.last().unwrap()).await.unwrap();
            db.table(table).put(format!("{table}-new"), &json!({"x": null})).await.unwrap();
        }
        for (table, rows) in fixture.expected["tombstones"].as_object().unwrap() {
            for row in rows.as_array().unwrap().iter().take(1) {
                db.table(table).put(row.as_str().unwrap(), &json!({"back": true})).await.unwrap();
            }
        }
        db.sync().await.unwrap();
        let ours = dump(&db).await;
        let theirs = reference(&fixture, mailbox.path());
        for part in ["meshId", "epoch", "generation", "tables", "tombstones"] {
            common::assert_json(&ours[part], &theirs[part], &format!("{name}: {part}"));
        }
        assert_eq!(db.status().await.unwrap().pending.count, 0, "{name}");
        // Compacted, with the files beside the snapshot and without them, it is the same mesh.
        for grace in [Duration::from_hours(24), Duration::ZERO] {
            let compacted = db.compact(grace).await.unwrap();
            assert!(matches!(compacted, Compaction::Written { .. }), "{name}: {compacted:?}");
            let compacted = reference(&fixture, mailbox.path());
            for part in ["meshId", "tables", "tombstones"] {
                common::assert_json(&compacted[part], &theirs[part], &format!("{name}, compacted: {part}"));
            }
        }
        db.shutdown().await.unwrap();

        // The store remembers all of it, and a fresh device sees the same.
        let again = join(&fixture, mailbox.path(), store()).await;
        common::assert_json(&dump(&again).await["tables"], &theirs["tables"], name);
        let fresh = join(&fixture, mailbox.path(), StoreLocation::Memory).await;
        common::assert_json(&dump(&fresh).await["tables"], &theirs["tables"], name);
        common::assert_json(&dump(&fresh).await["tombstones"], &theirs["tombstones"], name);
    }
}

#[tokio::test]
async fn a_wrong_passphrase_changes_nothing() {
    for name in NAMES {
        let fixture = Fixture::load(name);
        let mailbox = fixture.unpack();
        let before = common::tree(mailbox.path());
        let wrong = "4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw";
        let db = open_at(StoreLocation::Memory, |config| {
            config.remote_path = Some(fixture.remote_path.clone());
            config.passphrase = Some(wrong.into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
        let error = match db.connect().await {
            Err(error) => error,
            Ok(Connection::Offline { error, .. }) => panic!("{name}: offline: {error}"),
            Ok(_) => panic!("{name}: connected"),
        };
        let wanted = if fixture.encrypted { "PASSPHRASE_WRONG" } else { "MESH_ENCRYPTION_MISMATCH" };
        assert_eq!(error.code().as_str(), wanted, "{name}: {error}");
        assert!(!format!("{error:?} {error}").contains(wrong));
        assert_eq!(common::tree(mailbox.path()), before, "{name}");
        assert_eq!(db.status().await.unwrap().mesh_id, None, "{name}");
    }
}
