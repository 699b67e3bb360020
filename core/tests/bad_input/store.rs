//! Stores that are shared, copied, searched for what was deleted, or held by another process.

use std::{sync::Arc, time::Duration};

#[cfg(not(feature = "sqlcipher"))]
use interocitor_core::{Config, ErrorCode, StoreEncryption, credentials::MemoryCredentials};
use interocitor_core::{
    Interocitor, Passphrase, StoreLocation,
    mailbox::{MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};

use crate::common::{open_at, tree};

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

#[cfg(not(feature = "sqlcipher"))]
#[tokio::test]
async fn a_build_without_a_cipher_says_so_and_writes_nothing_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("test", StoreLocation::File(folder.path().join("a.db")));
    config.store_encryption = Some(StoreEncryption::default());
    config.credentials = Some(Arc::new(MemoryCredentials::default()));
    let error = Interocitor::open(config).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.to_string().contains("sqlcipher"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
