//! Requests that everyday work costs: the table of figures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use common::{faulty::FaultyMailbox, open_at};
use interocitor_core::{
    Config, Interocitor, StoreLocation,
    mailbox::{Body, Capabilities, FileEntry, MailboxResult, MemoryMailbox, StorageAdapter},
};
use serde_json::json;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device(mailbox: Arc<dyn StorageAdapter>, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        change(config);
    })
    .await;
    db.set_remote_storage(Some(mailbox)).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn put(db: &Interocitor, id: &str) {
    db.table("t").put(id, &json!({"a": 1})).await.unwrap();
}

/// A mailbox that lists a whole tree with one request, as object stores do.
#[derive(Debug, Clone)]
struct Tree {
    inner: MemoryMailbox,
    /// Counts requests, and holds nothing.
    counter: MemoryMailbox,
}

impl Tree {
    async fn count(&self) {
        let _ = self.counter.metadata("/x").await;
    }
}

#[async_trait]
impl StorageAdapter for Tree {
    fn kind(&self) -> &'static str {
        "tree"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn list_tree(&self, folder: &str) -> MailboxResult<Option<Vec<FileEntry>>> {
        self.count().await;
        let mut files = self.inner.list_files(folder).await?;
        for name in self.inner.list_folders(folder).await? {
            files.extend(self.inner.list_files(&format!("{folder}/{name}")).await?);
        }
        Ok(Some(files))
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.count().await;
        self.inner.ensure_folder(path).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.count().await;
        self.inner.list_files(folder).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.count().await;
        self.inner.list_folders(folder).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.count().await;
        self.inner.read_file(path).await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.count().await;
        self.inner.write_file(path, body).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.count().await;
        self.inner.create_file(path, body).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.count().await;
        self.inner.replace_file(path, body, etag).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.count().await;
        self.inner.delete_file(path).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.count().await;
        self.inner.metadata(path).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_poll_takes_two_requests_or_one() {
    let mailbox = MemoryMailbox::new();
    let db = device(Arc::new(mailbox.clone()), |config| config.auto_sync = true).await;
    put(&db, "r").await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    let before = mailbox.requests();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(mailbox.requests() - before, 20, "ten polls");
    db.shutdown().await.unwrap();

    let tree = Tree { inner: mailbox.clone(), counter: MemoryMailbox::new() };
    let db = device(Arc::new(tree.clone()), |_| {}).await;
    put(&db, "mine").await;
    db.sync().await.unwrap();
    db.sync().await.unwrap();
    for _ in 0..3 {
        let before = tree.counter.requests();
        db.sync().await.unwrap();
        assert_eq!(tree.counter.requests() - before, 1);
    }
    // What others do is seen all the same: a change, and another manifest.
    let other = device(Arc::new(mailbox.clone()), |_| {}).await;
    put(&other, "theirs").await;
    other.sync().await.unwrap();
    db.sync().await.unwrap();
    assert!(db.table("t").row("theirs").await.unwrap().is_some());
    other.compact(Duration::from_hours(24)).await.unwrap();
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_a_hundred_edits_is_published_with_three_requests() {
    let mailbox = MemoryMailbox::new();
    let db = device(Arc::new(mailbox.clone()), |config| config.auto_sync = true).await;
    put(&db, "before").await;
    tokio::time::sleep(Duration::from_secs(65)).await;
    for round in 0..3 {
        let before = mailbox.requests();
        for n in 0..100 {
            put(&db, &format!("{round}-{n}")).await;
        }
        db.await_published(&db.write_mark().unwrap()).await.unwrap();
        // The head is written last.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(mailbox.requests() - before, 3);
        tokio::time::sleep(Duration::from_secs(19)).await;
    }
    let reader = device(Arc::new(mailbox.clone()), |_| {}).await;
    assert_eq!(reader.count(&reader.table("t").query()).await.unwrap(), 301);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_fresh_device_takes_five_requests_and_one_for_each_change() {
    for with_snapshot in [true, false] {
        let mailbox = MemoryMailbox::new();
        let writer = device(Arc::new(mailbox.clone()), |_| {}).await;
        for n in 0..5 {
            put(&writer, &format!("old{n}")).await;
            writer.sync().await.unwrap();
        }
        let mut k = 5;
        if with_snapshot {
            writer.compact(Duration::ZERO).await.unwrap();
            writer.compact(Duration::ZERO).await.unwrap();
            k = 0;
        }
        for n in 0..7 {
            put(&writer, &format!("new{n}")).await;
            writer.sync().await.unwrap();
            k += 1;
        }
        // Pointer, manifest, listing, snapshot, device record. Signing in costs what the adapter needs for it:
        // nothing for a folder.
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        let counting = FaultyMailbox::new(mailbox.clone(), move |operation, _| {
            counted.fetch_add(u64::from(operation != "authenticate"), Ordering::SeqCst);
            None
        });
        let fresh = device(Arc::new(counting), |_| {}).await;
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken <= 5 + k, "{taken} for {k}");
        assert_eq!(fresh.count(&fresh.table("t").query()).await.unwrap(), 12);
        assert_eq!(fresh.status().await.unwrap().epoch > 0, with_snapshot);
    }
}

/// What is saved must not make a device publish into a mesh that is not its own: the pointers of two young
/// meshes are alike.
#[tokio::test(start_paused = true)]
async fn nothing_is_published_into_another_mesh_in_its_place() {
    let mailbox = MemoryMailbox::new();
    let db = device(Arc::new(mailbox.clone()), |config| config.auto_sync = true).await;
    put(&db, "r").await;
    tokio::time::sleep(Duration::from_secs(65)).await;
    // Somebody empties the folder and founds another mesh.
    for folder in ["/Mesh", "/Mesh/changes", "/Mesh/devices", "/Mesh/mainline"] {
        for file in mailbox.list_files(folder).await.unwrap() {
            mailbox.delete_file(&file.path).await.unwrap();
        }
    }
    let theirs = device(Arc::new(mailbox.clone()), |_| {}).await;
    put(&theirs, "theirs").await;
    theirs.sync().await.unwrap();
    let before = mailbox.list_files("/Mesh/changes").await.unwrap();
    put(&db, "s").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(mailbox.list_files("/Mesh/changes").await.unwrap(), before);
    let status = db.status().await.unwrap();
    assert_eq!(
        (status.problem.unwrap().code.as_str(), status.pending.count),
        ("MESH_CREDENTIAL_MISMATCH", 1)
    );
    db.shutdown().await.unwrap();
}
