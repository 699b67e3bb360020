//! Real disks that are full or read-only: small file systems that `tests/run.sh disks` mounts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::PathBuf, process::Command, sync::Arc};

use common::open_at;
use interocitor_core::{
    Config, Interocitor, StoreLocation,
    mailbox::{FolderMailbox, MemoryMailbox},
};
use serde_json::json;

fn disk() -> PathBuf {
    std::env::var_os("SMALL_DISK").expect("run this as `bash tests/run.sh disks`").into()
}

fn remount(mode: &str) {
    let status = Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(disk()).status().unwrap();
    assert!(status.success());
}

/// One after the other: both use the one small disk.
#[tokio::test]
async fn full_and_read_only_disks() {
    full_store_disk().await;
    full_mailbox_disk().await;
    read_only_disk().await;
}

async fn full_store_disk() {
    let path = disk().join("store.db");
    let mailbox = MemoryMailbox::new();
    let db = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    assert!(db.connect().await.unwrap().is_online());
    let mut stored = 0;
    let error = loop {
        let text = "x".repeat(50_000);
        match db.table("t").put(format!("r{stored}"), &json!({"text": text})).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk never got full");
    };
    assert_eq!(error.code().as_str(), "DISK_FULL", "{error}");
    assert!(error.is_retryable() && stored > 3);
    // Everything that was acknowledged is there, and nothing of what was not.
    for row in 0..stored {
        assert!(db.table("t").row(format!("r{row}")).await.unwrap().is_some());
    }
    assert!(db.table("t").row(format!("r{stored}")).await.unwrap().is_none());
    db.shutdown().await.ok();
    std::fs::remove_file(disk().join("store.db-wal")).ok();
    std::fs::remove_file(path).unwrap();
}

async fn full_mailbox_disk() {
    let mailbox = disk().join("mailbox");
    std::fs::create_dir(&mailbox).unwrap();
    let db = open_at(StoreLocation::Memory, |_| {}).await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(&mailbox)))).await;
    assert!(db.connect().await.unwrap().is_online());
    db.table("t").put("long", &json!({"text": "x".repeat(4_000_000)})).await.unwrap();
    let error = db.sync().await.unwrap_err();
    assert_eq!(error.code().as_str(), "QUOTA_FULL", "{error}");
    let status = db.status().await.unwrap();
    assert_eq!((status.pending.count, status.pending.problems.len()), (1, 1));
    assert!(status.pending.problems[0].starts_with("QUOTA_FULL"), "{:?}", status.pending.problems);
    // What is small still goes out once the long one is gone from the table; nothing half-written is left.
    let names = common::tree(&mailbox.join("Mesh/changes"));
    assert!(names.keys().all(|name| !name.contains("-chg_")), "{:?}", names.keys());
    std::fs::remove_dir_all(mailbox).unwrap();
}

async fn read_only_disk() {
    let path = disk().join("store.db");
    let db = open_at(StoreLocation::File(path.clone()), |_| {}).await;
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.shutdown().await.unwrap();
    remount("ro");
    for missing in [path.clone(), disk().join("new.db")] {
        let error = Interocitor::open(Config::new("test", StoreLocation::File(missing))).await.unwrap_err();
        assert_eq!(error.code().as_str(), "STORE_OPEN", "{error}");
        assert!(error.to_string().contains(".db"), "{error}");
    }
    remount("rw");
    let db = open_at(StoreLocation::File(path), |_| {}).await;
    assert_eq!(db.table("t").row("r").await.unwrap().unwrap().json, r#"{"a":1}"#);
    db.shutdown().await.unwrap();
}
