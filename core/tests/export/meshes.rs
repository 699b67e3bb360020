//! Imports and meshes: a fresh one, the same one, another one.

use interocitor_core::{Compaction, ErrorCode};

use super::*;

async fn exported(db: &Interocitor, folder: &Path, name: &str) -> std::path::PathBuf {
    let target = folder.join(name);
    db.export(&target, ExportFormat::Folder).await.unwrap();
    target
}

#[tokio::test]
async fn an_import_founds_a_fresh_mesh_with_everything_in_it() {
    let (first, second) = (MemoryMailbox::new(), MemoryMailbox::new());
    let db = device(&first, |_| {}).await;
    fill(&db).await;
    db.sync().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = exported(&db, folder.path(), "export").await;
    let restored = open_at(StoreLocation::Memory, |_| {}).await;
    restored.import(&target, None).await.unwrap();
    restored.set_remote_storage(Some(Arc::new(second.clone()))).await;
    assert!(restored.connect().await.unwrap().is_online());
    restored.sync().await.unwrap();
    // Another mesh, under another key.
    let passphrase = restored.get_passphrase().unwrap();
    assert_ne!(passphrase.expose(), PASSPHRASE);
    let other = open_at(StoreLocation::Memory, |config| config.passphrase = Some(passphrase)).await;
    other.set_remote_storage(Some(Arc::new(second.clone()))).await;
    assert!(other.connect().await.unwrap().is_online());
    assert_eq!(dump(&other).await, dump(&db).await);
    for path in FILES {
        assert_eq!(content(&other, path).await, content(&db, path).await, "{path}");
    }
    // What is written from here on wins over what came with the import.
    restored.table("todos").put("r5", &json!({"at": "new"})).await.unwrap();
    restored.sync().await.unwrap();
    other.sync().await.unwrap();
    assert_eq!(dump(&other).await["tables"]["todos"]["r5"]["at"], "new");
}

#[tokio::test]
async fn joining_the_same_mesh_again_changes_nothing_there_and_brings_nothing_back() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    fill(&db).await;
    db.sync().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = exported(&db, folder.path(), "export").await;
    // The mesh goes on: rows and files change and go.
    db.table("todos").put("r3", &json!({"at": "newer"})).await.unwrap();
    db.table("todos").delete("r4").await.unwrap();
    db.put_file("docs/May 1.txt", b"newer".to_vec(), None).await.unwrap();
    db.sync().await.unwrap();
    let wanted = dump(&db).await;
    let restored = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    restored.import(&target, None).await.unwrap();
    assert_eq!(dump(&restored).await["tables"]["todos"]["r4"]["at"], 4);
    restored.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(restored.connect().await.unwrap().is_online());
    restored.sync().await.unwrap();
    db.sync().await.unwrap();
    assert_eq!(dump(&restored).await, wanted);
    assert_eq!(dump(&db).await, wanted);
    for db in [&db, &restored] {
        assert_eq!(content(db, "docs/May 1.txt").await, b"newer");
        assert_eq!(content(db, "large").await.len(), 900_001);
    }
    assert_eq!(restored.status().await.unwrap().quarantined, 0);
}

#[tokio::test]
async fn what_the_mesh_has_deleted_and_forgotten_does_not_come_back() {
    let mailbox = MemoryMailbox::new();
    let former = |config: &mut Config| config.device_id = Some("dev_a".into());
    let db = device(&mailbox, former).await;
    for at in 0..10 {
        db.table("todos").put(format!("r{at}"), &json!({ "at": at })).await.unwrap();
    }
    db.sync().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = exported(&db, folder.path(), "export").await;
    db.table("todos").delete("r4").await.unwrap();
    db.sync().await.unwrap();
    // Until the deletion itself is forgotten.
    for _ in 0..4 {
        let compacted = db.compact(Duration::ZERO).await.unwrap();
        assert!(matches!(compacted, Compaction::Written { .. }));
        db.sync().await.unwrap();
    }
    let wanted = dump(&db).await;
    assert!(wanted["tombstones"].get("todos").is_none(), "{wanted}");
    // Into a member.
    let imported = db.import(&target, None).await.unwrap();
    assert_eq!((imported.rows, imported.changed), (10, 0));
    db.sync().await.unwrap();
    assert_eq!(dump(&db).await, wanted);
    // Into a new store that joins again: the deleted row is put aside, where the user finds it.
    let restored = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    restored.import(&target, None).await.unwrap();
    restored.table("todos").put("own", &json!({"of": "this device"})).await.unwrap();
    restored.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(restored.connect().await.unwrap().is_online());
    restored.sync().await.unwrap();
    db.sync().await.unwrap();
    let mut wanted = wanted;
    wanted["tables"]["todos"]["own"] = json!({"of": "this device"});
    assert_eq!(dump(&db).await, wanted);
    assert_eq!(dump(&restored).await, wanted);
    assert_eq!(restored.status().await.unwrap().quarantined, 1);
    // Nor where the device that wrote it comes back under its former id, from its export alone.
    db.shutdown().await.unwrap();
    let back = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        former(config);
    })
    .await;
    back.import(&target, None).await.unwrap();
    back.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(back.connect().await.unwrap().is_online());
    back.sync().await.unwrap();
    restored.sync().await.unwrap();
    assert_eq!(dump(&back).await, wanted);
    assert_eq!(dump(&restored).await, wanted);
    assert_eq!(back.status().await.unwrap().quarantined, 1);
}

#[tokio::test]
async fn what_a_member_lost_is_published_from_an_export() {
    let mailbox = MemoryMailbox::new();
    let (a, b) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    a.table("todos").put("a", &json!({"by": "a"})).await.unwrap();
    a.sync().await.unwrap();
    // An export of a device whose last writes never reached the mailbox.
    b.sync().await.unwrap();
    b.disconnect().await;
    b.table("todos").put("b", &json!({"by": "b"})).await.unwrap();
    b.table("todos").delete("a").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = exported(&b, folder.path(), "export").await;
    let imported = a.import(&target, None).await.unwrap();
    assert_eq!(imported.changed, 2);
    a.sync().await.unwrap();
    assert_eq!(dump(&a).await, dump(&b).await);
    let c = device(&mailbox, |_| {}).await;
    assert_eq!(dump(&c).await, dump(&b).await);
}

#[tokio::test]
async fn two_meshes_are_never_mixed() {
    let (first, second) = (MemoryMailbox::new(), MemoryMailbox::new());
    let (a, b) = (device(&first, |_| {}).await, device(&second, |_| {}).await);
    a.table("todos").put("a", &json!({})).await.unwrap();
    b.table("todos").put("b", &json!({})).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (of_a, of_b) = (exported(&a, folder.path(), "a").await, exported(&b, folder.path(), "b").await);
    let before = dump(&b).await;
    assert_eq!(b.import(&of_a, None).await.unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(dump(&b).await, before);
    // Nor in a store that belongs to none yet.
    let fresh = alone().await;
    fresh.import(&of_a, None).await.unwrap();
    assert_eq!(fresh.import(&of_b, None).await.unwrap_err().code(), ErrorCode::InvalidArgument);
    // What was never of a mesh goes everywhere.
    let free = alone().await;
    free.table("todos").put("free", &json!({})).await.unwrap();
    let of_none = exported(&free, folder.path(), "none").await;
    assert_eq!(b.import(&of_none, None).await.unwrap().changed, 1);
}
