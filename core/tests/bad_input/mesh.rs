//! Meshes that must not be joined, founded twice, or founded anew.

use std::{path::Path, sync::Arc};

use interocitor_core::{
    Config, Error, Passphrase, Schema, StoreLocation,
    mailbox::{FolderMailbox, MailboxErrorKind, MemoryMailbox},
};
use serde_json::{Value, json};

use crate::{
    beside,
    common::{
        self, Fixture,
        faulty::{Failure, FaultyMailbox},
        open_at, tree,
    },
    tables,
};

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
