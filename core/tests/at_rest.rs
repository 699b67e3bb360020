//! The local file at rest: encrypted as a whole, converted both ways, never readable without its key.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::Path, sync::Arc};

use common::{open_at, tree};
use interocitor_core::{
    Config, ErrorCode, Interocitor, Result, StoreEncryption, StoreLocation,
    credentials::{CredentialStore, MemoryCredentials},
    mailbox::MemoryMailbox,
    set_aside_store,
};
use serde_json::json;
use tempfile::TempDir;

const SECRET: &str = "the-cat-is-called-Schroedinger";

/// A folder with a store in it, and the keychain that knows its key.
struct Device {
    folder: TempDir,
    keychain: Arc<MemoryCredentials>,
}

impl Device {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), keychain: Arc::default() }
    }

    fn config(&self, encryption: Option<StoreEncryption>) -> Config {
        let mut config = Config::new("test", StoreLocation::File(self.folder.path().join("a.db")));
        config.credentials = Some(Arc::clone(&self.keychain) as Arc<dyn CredentialStore>);
        config.store_encryption = encryption;
        config.auto_sync = false;
        config
    }

    async fn try_open(&self, encryption: Option<StoreEncryption>) -> Result<Interocitor> {
        Interocitor::open(self.config(encryption)).await
    }

    async fn open(&self, encryption: Option<StoreEncryption>) -> Interocitor {
        self.try_open(encryption).await.unwrap()
    }

    /// Whether a text lies in any file of the folder.
    fn shows(&self, text: &str) -> bool {
        tree(self.folder.path())
            .values()
            .any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    fn begins_like_a_database(&self) -> bool {
        std::fs::read(self.folder.path().join("a.db")).unwrap().starts_with(b"SQLite format 3\0")
    }
}

const SEALED: Option<StoreEncryption> = Some(StoreEncryption { plaintext_header: false });
const WITH_HEADER: Option<StoreEncryption> = Some(StoreEncryption { plaintext_header: true });

async fn write(db: &Interocitor) {
    for at in 0..50 {
        let row = json!({"text": format!("{SECRET}-{at}"), SECRET: true});
        db.table("diary").put(format!("{SECRET}-{at}"), &row).await.unwrap();
    }
}

async fn text(db: &Interocitor) -> Option<String> {
    Some(db.table("diary").row(format!("{SECRET}-7")).await.unwrap()?.json)
}

fn code(outcome: Result<Interocitor>) -> ErrorCode {
    outcome.expect_err("it must not open").code()
}

#[tokio::test]
async fn nothing_of_an_encrypted_store_can_be_read_in_its_files() {
    for encryption in [None, SEALED, WITH_HEADER] {
        let device = Device::new();
        let db = device.open(encryption).await;
        db.set_remote_storage(Some(Arc::new(MemoryMailbox::new()))).await;
        write(&db).await;
        // Once with the log beside the file, once without.
        let is_readable = [device.shows(SECRET), {
            db.shutdown().await.unwrap();
            device.shows(SECRET)
        }];
        assert_eq!(is_readable, [encryption.is_none(); 2], "{encryption:?}");
        assert_eq!(device.begins_like_a_database(), encryption != SEALED);
        let shows_schema = device.shows("CREATE TABLE outbox");
        assert_eq!(shows_schema, encryption.is_none(), "{encryption:?}");
        let db = device.open(encryption).await;
        assert!(text(&db).await.unwrap().contains(SECRET));
        db.suspend().await.unwrap();
        db.resume().await.unwrap();
        assert!(text(&db).await.is_some());
        db.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_is_converted_both_ways_when_it_is_opened() {
    let device = Device::new();
    let mailbox = MemoryMailbox::new();
    let mut id = None;
    for encryption in [None, SEALED, WITH_HEADER, SEALED, None, WITH_HEADER, None] {
        // What an interrupted conversion left behind.
        std::fs::write(device.folder.path().join("a.db.converting"), "half a file").unwrap();
        let db = device.open(encryption).await;
        if id.is_none() {
            db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
            write(&db).await;
        }
        assert!(text(&db).await.unwrap().contains(SECRET));
        assert_eq!(*id.get_or_insert_with(|| db.device_id()), db.device_id(), "it is the same device");
        // Counters of the tables go on: a write works, and finds its place.
        db.table("diary").put("again", &json!({"form": format!("{encryption:?}")})).await.unwrap();
        assert_eq!(db.count(&db.table("diary").query()).await.unwrap(), 51);
        let findings = db.doctor(false).await.unwrap().findings;
        assert!(findings.iter().all(|finding| !finding.trouble.code().starts_with("STORE")), "{findings:?}");
        db.shutdown().await.unwrap();
        assert_eq!(device.shows(SECRET), encryption.is_none(), "{encryption:?}");
    }
}

#[tokio::test]
async fn a_store_that_others_have_open_is_not_converted() {
    let device = Device::new();
    let db = device.open(None).await;
    write(&db).await;
    assert_eq!(code(device.try_open(SEALED).await), ErrorCode::StoreBusy);
    db.table("diary").put("after", &json!({"a": 1})).await.unwrap();
    db.shutdown().await.unwrap();
    let db = device.open(SEALED).await;
    assert_eq!(db.count(&db.table("diary").query()).await.unwrap(), 51);
    assert_eq!(code(device.try_open(None).await), ErrorCode::StoreBusy);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_its_key_a_store_stays_shut_and_whole() {
    let device = Device::new();
    let db = device.open(SEALED).await;
    write(&db).await;
    db.shutdown().await.unwrap();
    let before = std::fs::read(device.folder.path().join("a.db")).unwrap();

    // Another keychain: as after a restore on another phone.
    let other = Device { folder: device.folder, keychain: Arc::default() };
    for encryption in [None, SEALED, WITH_HEADER] {
        assert_eq!(code(other.try_open(encryption).await), ErrorCode::StoreLocked);
    }
    // A keychain with another key.
    let stranger = Device::new();
    stranger.open(SEALED).await.shutdown().await.unwrap();
    let wrong = Device { folder: other.folder, keychain: stranger.keychain };
    for encryption in [None, SEALED] {
        let error = wrong.try_open(encryption).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StoreLocked, "{error}");
        assert!(error.to_string().contains("a.db"), "{error}");
    }
    assert_eq!(std::fs::read(wrong.folder.path().join("a.db")).unwrap(), before);

    // No keychain at all.
    let mut config = wrong.config(SEALED);
    config.credentials = None;
    assert_eq!(code(Interocitor::open(config).await), ErrorCode::InvalidArgument);
    let mut config = wrong.config(None);
    config.credentials = None;
    assert_eq!(code(Interocitor::open(config).await), ErrorCode::StoreLocked);

    // The way on: aside, and anew.
    set_aside_store(&wrong.folder.path().join("a.db"), &interocitor_core::host::TokioHost).unwrap();
    let db = wrong.open(SEALED).await;
    assert_eq!(text(&db).await, None);
    db.shutdown().await.unwrap();
    // With the keychain of before, what was set aside can still be read.
    let aside = find(wrong.folder.path(), ".aside-");
    let mut config = wrong.config(SEALED);
    config.store = StoreLocation::File(aside);
    config.credentials = Some(device.keychain as Arc<dyn CredentialStore>);
    let former = Interocitor::open(config).await.unwrap();
    assert!(text(&former).await.is_some());
    former.shutdown().await.unwrap();
}

fn find(folder: &Path, mark: &str) -> std::path::PathBuf {
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(mark) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .unwrap()
}

#[tokio::test]
async fn the_copy_of_a_change_of_mesh_is_encrypted_too() {
    let device = Device::new();
    let mut config = device.config(SEALED);
    config.remote_path = Some("/Mesh".into());
    config.encrypted = false;
    let db = Interocitor::open(config).await.unwrap();
    db.set_remote_storage(Some(Arc::new(MemoryMailbox::new()))).await;
    assert!(db.connect().await.unwrap().is_online());
    write(&db).await;
    db.sync().await.unwrap();
    db.disconnect().await;

    let mailbox = MemoryMailbox::new();
    let other = open_at(StoreLocation::Memory, |config| config.encrypted = false).await;
    other.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(other.connect().await.unwrap().is_online());
    db.set_remote_storage(Some(Arc::new(mailbox))).await;
    // The saved credential is of the former mesh.
    db.clear_credentials().await.unwrap();
    assert!(db.connect().await.unwrap().is_online());
    assert_eq!(text(&db).await, None);
    db.shutdown().await.unwrap();
    assert!(!device.shows(SECRET));
    let mut config = device.config(SEALED);
    config.store = StoreLocation::File(find(device.folder.path(), ".before-join-"));
    let former = Interocitor::open(config).await.unwrap();
    assert!(text(&former).await.is_some());
    former.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_one_encrypted_store_at_the_same_time() {
    for _ in 0..5 {
        let device = Device::new();
        let opened = futures_util::future::join_all((0..6).map(|_| {
            let config = device.config(SEALED);
            tokio::spawn(async move { Interocitor::open(config).await })
        }));
        for db in opened.await {
            let db = db.unwrap().unwrap();
            db.table("t").put("r", &json!({"a": 1})).await.unwrap();
            db.shutdown().await.unwrap();
        }
        device.open(SEALED).await.shutdown().await.unwrap();
    }
}
