//! Rows and files that are written together are published together: the files first.

use std::time::Duration;

use interocitor_core::{
    Interocitor,
    mailbox::{MailboxErrorKind, MemoryMailbox},
};
use serde_json::json;

use super::{bytes, code, device};
use crate::common::faulty::{Failure, FaultyMailbox};

async fn row(db: &Interocitor, id: &str) -> Option<String> {
    db.table("notes").row(id).await.unwrap().map(|row| row.json)
}

fn no_uploads(operation: &'static str, path: &str) -> Option<Failure> {
    (operation == "write" && path.starts_with("/Mesh/files/"))
        .then_some(Failure::Before(MailboxErrorKind::QuotaFull))
}

#[tokio::test]
async fn rows_wait_for_the_files_of_their_batch_and_for_nothing_else() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory.clone(), no_uploads);
    let db = device(&mailbox, |_| {}).await;
    let other = device(&memory, |_| {}).await;
    let file = db.stage_file("a.png", b"an image".to_vec(), Some("image/png")).await.unwrap();
    let digest = file.digest().to_owned();
    assert_eq!(code(&db, "a.png").await, "FILE_NOT_FOUND", "staged is not put");
    db.batch(|batch| {
        batch.put_file(file);
        batch.table("notes").put("with", &json!({"image": "a.png", "digest": digest}))?;
        batch.table("notes").put("beside", &json!({"n": 1}))
    })
    .await
    .unwrap();
    assert_eq!(bytes(&db, "a.png").await, b"an image");
    db.table("notes").put("alone", &json!({"n": 2})).await.unwrap();
    // Full rows travel: a later write to a row that waits would show it too early.
    db.table("notes").put("with", &json!({"title": "later"})).await.unwrap();
    db.table("notes").put("beside", &json!({"n": 3})).await.unwrap();
    db.sync().await.unwrap();
    other.sync().await.unwrap();
    assert_eq!((row(&other, "with").await, row(&other, "beside").await), (None, None));
    assert!(db.status().await.unwrap().pending.count > 0);
    let error = db.compact(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "a snapshot would publish them: {error}");
    let error = db.cancel_file("a.png").await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "{error}");
    // What has nothing to do with it goes on.
    db.table("notes").put("after", &json!({"n": 4})).await.unwrap();
    db.sync().await.unwrap();
    other.sync().await.unwrap();
    assert!(row(&other, "after").await.is_some());

    mailbox.set(|_, _| None);
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    other.sync().await.unwrap();
    assert_eq!(row(&other, "beside").await.as_deref(), Some(r#"{"n":3}"#));
    assert!(row(&other, "with").await.unwrap().contains("later") && row(&other, "alone").await.is_some());
    assert_eq!(bytes(&other, "a.png").await, b"an image");
    db.compact(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_batch_that_is_not_committed_leaves_nothing() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    let file = db.stage_file("a", b"x".to_vec(), None).await.unwrap();
    let outcome = db.batch(|batch| {
        batch.put_file(file);
        assert_eq!(batch.len(), 1);
        batch.table("notes").put("r", &json!([1]))
    });
    assert_eq!(outcome.await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
    assert_eq!((code(&db, "a").await, row(&db, "r").await), ("FILE_NOT_FOUND", None));
    assert_eq!(db.status().await.unwrap().pending.files, 0);
}

#[tokio::test]
async fn a_store_without_a_mesh_keeps_the_order_when_it_joins_one() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory.clone(), no_uploads);
    let db = crate::common::open_at(interocitor_core::StoreLocation::Memory, |config| {
        config.passphrase = Some(super::PASSPHRASE.into());
    })
    .await;
    let file = db.stage_file("a", b"x".to_vec(), None).await.unwrap();
    db.batch(|batch| {
        batch.put_file(file);
        batch.table("notes").put("r", &json!({"file": "a"}))
    })
    .await
    .unwrap();
    db.set_remote_storage(Some(std::sync::Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    db.sync().await.unwrap();
    let other = device(&memory, |_| {}).await;
    assert_eq!(row(&other, "r").await, None);
    // Deleted, nothing is waited for any more.
    db.delete_file("a").await.unwrap();
    db.sync().await.unwrap();
    other.sync().await.unwrap();
    assert!(row(&other, "r").await.is_some());
    assert_eq!(code(&other, "a").await, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn a_file_that_another_database_staged_is_refused() {
    let mailbox = MemoryMailbox::new();
    let (a, b) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    let file = a.stage_file("a.png", b"pixels".to_vec(), None).await.unwrap();
    let outcome = b.batch(|batch| {
        batch.put_file(file);
        batch.table("notes").put("r", &json!({"n": 1}))
    });
    let error = outcome.await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    assert!(error.to_string().contains("a.png was staged by another database"), "{error}");
    assert_eq!(row(&b, "r").await, None);
}
