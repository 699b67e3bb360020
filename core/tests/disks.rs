//! Real disks that are full or read-only: small file systems that `tests/run.sh disks` mounts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[allow(dead_code, reason = "shared with the tests of WebDAV")]
#[path = "webdav/server.rs"]
mod server;

use std::{path::PathBuf, process::Command, sync::Arc};

use bytes::Bytes;
use common::{carrier::Carrier, open_at};
use futures_util::{StreamExt, stream};
use interocitor_core::{
    Config, Error, Interocitor, StoreLocation,
    mailbox::{
        Body, FolderMailbox, MailboxErrorKind, MemoryMailbox, StorageAdapter, WebDavConfig, WebDavMailbox,
    },
};
use serde_json::json;
use server::{Reply, Server, folder};

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
    full_disk_for_files().await;
    full_disk_for_uploads().await;
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

async fn full_disk_for_files() {
    let mailbox = MemoryMailbox::new();
    let open = async |path: PathBuf| {
        let db = open_at(StoreLocation::File(path), |config| {
            config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    };
    let roomy = tempfile::tempdir().unwrap();
    let other = open(roomy.path().join("a.db")).await;
    other.put_file("large", vec![7; 3_000_000], None).await.unwrap();
    other.put_file("small", vec![7; 1000], None).await.unwrap();
    other.sync().await.unwrap();

    let path = disk().join("files.db");
    let db = open(path.clone()).await;
    let bodies = || std::fs::read_dir(disk().join("files.db.files")).map_or(0, Iterator::count);
    // Neither what is put nor what is fetched leaves half of it behind.
    let error = db.put_file("own", vec![7; 3_000_000], None).await.unwrap_err();
    assert_eq!((error.code().as_str(), bodies()), ("DISK_FULL", 0), "{error}");
    assert_eq!(db.get_file("large").await.unwrap_err().code().as_str(), "DISK_FULL");
    assert_eq!(bodies(), 0);
    // The queue tells it, tries again later, and goes on with the rest, for which there is room while the large one is
    // not tried.
    db.pin_file("large").await.unwrap();
    db.pin_file("small").await.unwrap();
    let mut tries = 0;
    loop {
        db.sync_files().await.unwrap();
        if db.get_file_metadata("small").await.unwrap().unwrap().is_here {
            break;
        }
        tries += 1;
        assert!(tries < 100, "the small file never found room");
    }
    let waiting = db.file_transfers().await.unwrap();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let transfer = waiting[0].transfer.as_ref().unwrap();
    assert_eq!(transfer.problem.as_ref().unwrap().code, "DISK_FULL");
    assert!(transfer.retry_at_ms.is_some(), "{transfer:?}");
    db.shutdown().await.unwrap();
    assert_eq!(bodies(), 1);
    std::fs::remove_dir_all(disk().join("files.db.files")).unwrap();
    std::fs::remove_file(path).unwrap();
}

/// What the platform is to carry does not fit: a fault of this device, and nothing stays.
async fn full_disk_for_uploads() {
    let (carrier, spool) = (Carrier::new(), disk().join("spool"));
    let server = Server::start(|request| match request.method.as_str() {
        "PROPFIND" => Reply::multistatus(&folder("/dav/")),
        _ => Reply::status(201),
    });
    let config = WebDavConfig::new(&server.await.url).unwrap();
    let mailbox = WebDavMailbox::new(&config.with_platform_uploads(carrier.uploads(&spool))).unwrap();
    let pieces = stream::iter((0..1000).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
    let error = mailbox
        .write_file("/x", Body::Stream { len: 100_000_000, stream: pieces.boxed() })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), MailboxErrorKind::DiskFull, "{error}");
    let error = Error::from(error);
    assert_eq!((error.code().as_str(), error.is_retryable()), ("DISK_FULL", true));
    assert!(carrier.seen().is_empty());
    // It must be empty.
    std::fs::remove_dir(spool).unwrap();
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
