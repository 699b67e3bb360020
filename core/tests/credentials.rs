//! Keys over the life of a database: kept, replaced, restored, exported; and what is encrypted under them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use common::open_at;
use interocitor_core::{
    Config, Error, Event, Interocitor, MeshConfig, Result, StoreLocation,
    credentials::{BiometricPrompt, CredentialStore, Credentials, MemoryCredentials},
    mailbox::MemoryMailbox,
};
use serde_json::json;
use zeroize::Zeroizing;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";
const OTHER: &str = "4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw";

/// A device whose store is a file and whose credentials outlive it.
struct Phone {
    folder: tempfile::TempDir,
    keychain: Arc<MemoryCredentials>,
}

impl Phone {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), keychain: Arc::default() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("t.db")
    }

    async fn open(&self, change: impl FnOnce(&mut Config)) -> Interocitor {
        open_at(StoreLocation::File(self.path()), |config| {
            config.credentials = Some(self.keychain.clone());
            change(config);
        })
        .await
    }

    fn name(&self) -> String {
        format!("test:{}", self.path().display())
    }

    async fn saved(&self) -> Credentials {
        self.keychain.load(&self.name()).await.unwrap().unwrap()
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> &'static str {
    outcome.unwrap_err().code().as_str()
}

async fn online(db: &Interocitor, mailbox: &MemoryMailbox) {
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
}

/// A mesh in a mailbox of its own, with one row.
async fn mesh(passphrase: &str) -> (MemoryMailbox, String) {
    let mailbox = MemoryMailbox::new();
    let db = open_at(StoreLocation::Memory, |config| config.passphrase = Some(passphrase.into())).await;
    online(&db, &mailbox).await;
    db.table("t").put("r", &json!({"of": passphrase})).await.unwrap();
    db.sync().await.unwrap();
    let mesh_id = db.status().await.unwrap().mesh_id.unwrap();
    db.shutdown().await.unwrap();
    (mailbox, mesh_id)
}

/// Every byte of the store on disk, its log included.
fn bytes_of(folder: &Path) -> Vec<u8> {
    common::tree(folder).into_values().flatten().collect()
}

fn holds(folder: &Path, text: &str) -> bool {
    bytes_of(folder).windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_wrong_passphrase_is_never_saved_and_a_superseded_one_is_kept() {
    let (first, first_id) = mesh(PASSPHRASE).await;
    let (second, second_id) = mesh(OTHER).await;
    let phone = Phone::new();
    let db = phone.open(|config| config.passphrase = Some(PASSPHRASE.into())).await;
    online(&db, &first).await;
    db.disconnect().await;
    let before = phone.saved().await;
    assert_eq!((&before.passphrase, &before.mesh_id), (&Some(PASSPHRASE.into()), &Some(first_id.clone())));

    // One that does not open the mesh is refused before anything is stored.
    db.set_passphrase(OTHER).unwrap();
    assert_eq!(code(db.connect().await), "PASSPHRASE_WRONG");
    assert_eq!(phone.saved().await, before);

    // Another mesh, with its key: the former key is kept, with the mesh that it opens.
    let to = |passphrase: &str| MeshConfig {
        remote_path: "/Mesh".into(),
        passphrase: Some(passphrase.into()),
        encrypted: true,
    };
    db.set_remote_storage(Some(Arc::new(second.clone()))).await;
    assert!(db.join(to(OTHER)).await.unwrap().is_online());
    assert_eq!(phone.saved().await.passphrase, Some(OTHER.into()));
    let keys = db.superseded_keys().await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0].passphrase, &keys[0].mesh_id), (&PASSPHRASE.into(), &Some(first_id.clone())));
    assert!(keys[0].superseded_ms > 1_700_000_000_000);

    // It comes back by name, once its mesh has confirmed it, and the two change places.
    assert_eq!(code(db.restore_superseded_key(&keys[0].id).await), "INVALID_ARGUMENT", "connected");
    db.disconnect().await;
    assert_eq!(code(db.restore_superseded_key("nothing").await), "INVALID_ARGUMENT");
    db.restore_superseded_key(&keys[0].id).await.unwrap();
    assert_eq!(code(db.connect().await), "MESH_CREDENTIAL_MISMATCH", "this mailbox is of the other mesh");
    assert_eq!(phone.saved().await.passphrase, Some(OTHER.into()), "not confirmed yet");
    online(&db, &first).await;
    let keys = db.superseded_keys().await.unwrap();
    assert_eq!(phone.saved().await.passphrase, Some(PASSPHRASE.into()));
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0].passphrase, &keys[0].mesh_id), (&OTHER.into(), &Some(second_id)));

    // Forgetting the credential keeps it; only the user discards it.
    db.disconnect().await;
    db.clear_credentials().await.unwrap();
    assert_eq!(db.superseded_keys().await.unwrap(), keys);
    assert!(db.discard_superseded_key(&keys[0].id).await.unwrap());
    assert!(!db.discard_superseded_key(&keys[0].id).await.unwrap());
    assert_eq!(db.superseded_keys().await.unwrap(), []);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn no_key_is_ever_made_for_a_mesh_that_exists() {
    let (mailbox, _) = mesh(PASSPHRASE).await;
    let phone = Phone::new();
    let db = phone.open(|_| {}).await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    for _ in 0..2 {
        assert_eq!(code(db.connect().await), "PASSPHRASE_REQUIRED");
        assert_eq!(db.get_passphrase(), None);
        assert_eq!(phone.saved().await.passphrase, None);
    }
    db.set_passphrase(PASSPHRASE).unwrap();
    assert!(db.connect().await.unwrap().is_online());
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn another_passphrase_than_the_saved_one_is_told_and_checked() {
    let (mailbox, _) = mesh(PASSPHRASE).await;
    let phone = Phone::new();
    let db = phone.open(|config| config.passphrase = Some(PASSPHRASE.into())).await;
    online(&db, &mailbox).await;
    db.shutdown().await.unwrap();
    let before = phone.saved().await;
    let db = phone.open(|config| config.passphrase = Some(OTHER.into())).await;
    let told: Vec<Event> = {
        let mut events = db.events();
        std::iter::from_fn(|| events.try_next()).collect()
    };
    let device = db.device_id();
    let conflict = Event::CredentialsConflict { stored_device_id: device.clone(), active_device_id: device };
    assert_eq!(told, [conflict]);
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert_eq!(code(db.connect().await), "PASSPHRASE_WRONG");
    assert_eq!(phone.saved().await, before);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_credential_travels_as_the_javascript_client_keeps_it() {
    let (mailbox, mesh_id) = mesh(PASSPHRASE).await;
    let (other_mailbox, other_id) = mesh(PASSPHRASE).await;
    let db = open_at(StoreLocation::Memory, |_| {}).await;
    let record = json!({"passphrase": PASSPHRASE, "deviceId": "a browser", "meshId": mesh_id}).to_string();
    db.import_credentials(&record).unwrap();
    // It is bound to its mesh before any mailbox is asked.
    db.set_remote_storage(Some(Arc::new(other_mailbox.clone()))).await;
    assert_eq!(code(db.connect().await), "MESH_CREDENTIAL_MISMATCH");
    assert_eq!(db.status().await.unwrap().mesh_id, None);
    online(&db, &mailbox).await;
    assert_ne!(db.device_id(), "a browser");
    let exported: serde_json::Value = serde_json::from_str(&db.export_credentials()).unwrap();
    assert_eq!(exported, json!({"passphrase": PASSPHRASE, "deviceId": db.device_id(), "meshId": mesh_id}));
    assert_eq!(code(db.import_credentials(&record)), "INVALID_ARGUMENT", "connected");
    db.disconnect().await;
    let foreign = record.replace(&mesh_id, &other_id);
    assert_eq!(code(db.import_credentials(&foreign)), "MESH_CREDENTIAL_MISMATCH");
    assert_eq!(code(db.import_credentials("[]")), "INVALID_ARGUMENT");
    assert_eq!(code(db.import_credentials(r#"{"passphrase":"0OIl"}"#)), "PASSPHRASE_WRONG");
    assert_eq!(db.get_passphrase(), Some(PASSPHRASE.into()), "refused texts change nothing");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_recovery_kit_opens_the_mesh_again() {
    let (mailbox, _) = mesh(PASSPHRASE).await;
    let phone = Phone::new();
    let db = phone.open(|_| {}).await;
    assert_eq!(code(db.recovery_kit()), "PASSPHRASE_REQUIRED");
    db.set_passphrase(PASSPHRASE).unwrap();
    let kit = db.recovery_kit().unwrap();
    for form in [kit.text(), kit.qr(), Zeroizing::new(kit.words().join("\n"))] {
        let fresh = open_at(StoreLocation::Memory, |_| {}).await;
        assert_eq!(code(fresh.recover("nothing")), "INVALID_ARGUMENT");
        fresh.recover(&form).unwrap();
        online(&fresh, &mailbox).await;
        assert_eq!(fresh.recovery_kit().unwrap().words(), kit.words());
        fresh.shutdown().await.unwrap();
    }
    db.shutdown().await.unwrap();
}

/// Makes the error that a prompt is to fail with.
type Failing = fn() -> Error;

/// Biometrics that fail as they are told to.
#[derive(Debug, Default)]
struct Face {
    fails_with: Mutex<Option<Failing>>,
    discarded: Mutex<Vec<Vec<u8>>>,
}

impl Face {
    fn fail(&self, error: Option<Failing>) {
        *self.fails_with.lock().unwrap() = error;
    }

    fn ask(&self) -> Result<()> {
        self.fails_with.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }
}

#[async_trait]
impl BiometricPrompt for Face {
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, _: &str) -> Result<Vec<u8>> {
        self.ask()?;
        Ok(secret.iter().map(|byte| byte ^ 0x55).collect())
    }

    async fn unseal(&self, sealed: &[u8], _: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.ask()?;
        Ok(Zeroizing::new(sealed.iter().map(|byte| byte ^ 0x55).collect()))
    }

    async fn discard(&self, sealed: &[u8]) -> Result<()> {
        self.discarded.lock().unwrap().push(sealed.to_vec());
        Ok(())
    }
}

#[tokio::test]
async fn each_state_of_biometrics_is_told_apart_and_a_lost_copy_is_made_anew() {
    let (mailbox, mesh_id) = mesh(PASSPHRASE).await;
    let (phone, face) = (Phone::new(), Arc::new(Face::default()));
    let db = phone
        .open(|config| {
            config.passphrase = Some(PASSPHRASE.into());
            config.biometrics = Some(face.clone());
        })
        .await;
    online(&db, &mailbox).await;
    let states: [(Failing, &str, bool); 5] = [
        (|| Error::BiometricsUnavailable { reason: "no sensor".into() }, "BIOMETRICS_UNAVAILABLE", false),
        (|| Error::BiometricsNotEnrolled, "BIOMETRICS_NOT_ENROLLED", false),
        (|| Error::BiometricsLockedOut, "BIOMETRICS_LOCKED_OUT", true),
        (|| Error::UserCancelled, "USER_CANCELLED", false),
        (|| Error::CredentialsLocked { reason: "first unlock".into() }, "CREDENTIALS_LOCKED", true),
    ];
    for (error, wanted, is_retryable) in states {
        face.fail(Some(error));
        let error = db.secure_with_biometrics("why").await.unwrap_err();
        assert_eq!((error.code().as_str(), error.is_retryable()), (wanted, is_retryable));
        assert!(!db.is_secured_with_biometrics().await.unwrap());
    }
    face.fail(None);
    db.secure_with_biometrics("why").await.unwrap();
    let first = phone.saved().await.sealed.unwrap();
    assert!(face.discarded.lock().unwrap().is_empty());
    db.disconnect().await;
    for (error, wanted, _) in states {
        face.fail(Some(error));
        assert_eq!(code(db.restore_with_biometrics("why").await), wanted);
        assert!(db.is_secured_with_biometrics().await.unwrap(), "{wanted} does not end it");
    }

    // Another face is enrolled: the copy is lost, the silent one is not, and makes the next.
    face.fail(Some(|| Error::CredentialInvalidated { reason: "another face".into() }));
    assert_eq!(code(db.restore_with_biometrics("why").await), "CREDENTIAL_INVALIDATED");
    assert!(!db.is_secured_with_biometrics().await.unwrap());
    face.fail(None);
    assert_eq!(code(db.restore_with_biometrics("why").await), "BIOMETRICS_UNAVAILABLE");
    db.secure_with_biometrics("why").await.unwrap();
    db.secure_with_biometrics("why").await.unwrap();
    assert_eq!(*face.discarded.lock().unwrap(), std::slice::from_ref(&first), "a newer copy takes its place");
    db.clear_credentials().await.unwrap();
    db.restore_with_biometrics("why").await.unwrap();
    assert_eq!(db.get_passphrase(), Some(PASSPHRASE.into()));
    assert_eq!(phone.saved().await.mesh_id, Some(mesh_id), "the copy knows its mesh");

    // A copy of another mesh than the store's is not used.
    let foreign = Credentials { mesh_id: Some("mesh_other".into()), ..phone.saved().await }.export_json();
    let sealed = face.seal(Zeroizing::new(foreign.as_bytes().to_vec()), "").await.unwrap();
    phone
        .keychain
        .save(&phone.name(), &Credentials { sealed: Some(sealed), ..phone.saved().await })
        .await
        .unwrap();
    assert_eq!(code(db.restore_with_biometrics("why").await), "MESH_CREDENTIAL_MISMATCH");
    // What the first version sealed was the bare passphrase.
    let sealed = face.seal(Zeroizing::new(PASSPHRASE.as_bytes().to_vec()), "").await.unwrap();
    phone
        .keychain
        .save(&phone.name(), &Credentials { sealed: Some(sealed), ..phone.saved().await })
        .await
        .unwrap();
    db.restore_with_biometrics("why").await.unwrap();
    online(&db, &mailbox).await;
    db.shutdown().await.unwrap();
}

/// A keychain that can be locked.
#[derive(Debug, Default)]
struct Lockable {
    inner: MemoryCredentials,
    is_locked: AtomicBool,
}

impl Lockable {
    fn check(&self) -> Result<()> {
        if self.is_locked.load(Ordering::SeqCst) {
            return Err(Error::CredentialsLocked { reason: "not unlocked since the start".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Lockable {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        self.check()?;
        self.inner.load(name).await
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        self.check()?;
        self.inner.save(name, credentials).await
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.check()?;
        self.inner.clear(name).await
    }
}

#[tokio::test]
async fn a_phone_that_was_not_unlocked_yet_is_asked_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let keychain = Arc::new(Lockable::default());
    let config = || {
        let mut config = Config::new("test", StoreLocation::File(folder.path().join("t.db")));
        config.credentials = Some(keychain.clone());
        config
    };
    keychain.is_locked.store(true, Ordering::SeqCst);
    let error = Interocitor::open(config()).await.unwrap_err();
    assert_eq!((error.code().as_str(), error.is_retryable()), ("CREDENTIALS_LOCKED", true));
    keychain.is_locked.store(false, Ordering::SeqCst);
    Interocitor::open(config()).await.unwrap().shutdown().await.unwrap();
}

const SECRET: &str = "the-passphrase-of-another-store";

fn record() -> String {
    json!({"id": "work", "passphrase": SECRET}).to_string()
}

#[tokio::test]
async fn connected_stores_are_encrypted_and_survive_a_join() {
    let (first, _) = mesh(PASSPHRASE).await;
    let (second, _) = mesh(OTHER).await;
    let phone = Phone::new();
    let db = phone.open(|config| config.passphrase = Some(PASSPHRASE.into())).await;
    db.connected_stores().put(&record()).unwrap();
    let put = db.connected_stores().get("work").unwrap().unwrap();
    assert!(put.contains(SECRET));
    online(&db, &first).await;
    assert!(!holds(phone.folder.path(), SECRET), "not in the file, nor in its log");
    // Reset to another mesh, the key of the former one forgotten.
    db.set_remote_storage(Some(Arc::new(second.clone()))).await;
    let other = MeshConfig { remote_path: "/Mesh".into(), passphrase: Some(OTHER.into()), encrypted: true };
    assert!(db.join(other).await.unwrap().is_online());
    db.disconnect().await;
    db.clear_credentials().await.unwrap();
    assert_eq!(db.connected_stores().list().unwrap(), std::slice::from_ref(&put));
    db.shutdown().await.unwrap();
    let db = phone.open(|_| {}).await;
    assert_eq!(db.connected_stores().list().unwrap(), std::slice::from_ref(&put));
    db.shutdown().await.unwrap();
    assert!(!holds(phone.folder.path(), SECRET));

    // A keychain that lost the key: told by name, and put again.
    phone.keychain.clear(&phone.name()).await.unwrap();
    let db = phone.open(|_| {}).await;
    let stores = db.connected_stores();
    for outcome in [stores.list().map(|_| ()), stores.get("work").map(|_| ())] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code().as_str(), "CREDENTIAL_INVALIDATED");
        assert!(error.to_string().contains("work"), "{error}");
    }
    stores.put(&record()).unwrap();
    assert!(stores.get("work").unwrap().unwrap().contains(SECRET));
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_lay_in_the_clear_is_encrypted_at_the_next_open() {
    let phone = Phone::new();
    // As apps without a credential store keep them, and as older versions did.
    let db = open_at(StoreLocation::File(phone.path()), |_| {}).await;
    db.connected_stores().put(&record()).unwrap();
    let before = db.connected_stores().get("work").unwrap();
    assert!(holds(phone.folder.path(), SECRET));
    db.shutdown().await.unwrap();
    let db = phone.open(|_| {}).await;
    assert_eq!(db.connected_stores().get("work").unwrap(), before);
    assert!(!holds(phone.folder.path(), SECRET), "at once, the log included");
    // The list that the JavaScript client keeps.
    let list = json!([
        {"id": "a", "passphrase": SECRET, "createdAt": "2024-01-01T00:00:00.000Z"},
        {"id": "b", "remotePath": "/B"},
    ]);
    assert_eq!(db.connected_stores().import(&list.to_string()).unwrap(), 2);
    let a = db.connected_stores().get("a").unwrap().unwrap();
    assert!(a.contains("2024-01-01T00:00:00.000Z") && a.contains("updatedAt"), "{a}");
    for bad in ["{}", "[1]", r#"[{"id":"c"},{"x":1}]"#, "nonsense"] {
        assert_eq!(code(db.connected_stores().import(bad)), "INVALID_ARGUMENT", "{bad}");
    }
    assert_eq!(db.connected_stores().list().unwrap().len(), 3, "all or none");
    db.shutdown().await.unwrap();
    assert!(!holds(phone.folder.path(), SECRET));
    // Without the credential store they cannot be read, and are told of.
    let db = open_at(StoreLocation::File(phone.path()), |_| {}).await;
    assert_eq!(code(db.connected_stores().list()), "CREDENTIAL_INVALIDATED");
    db.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_open_a_store_at_once_share_one_key() {
    let phone = Phone::new();
    let opened = futures_util::future::join_all((0..4).map(|_| phone.open(|_| {}))).await;
    for (at, db) in opened.iter().enumerate() {
        db.connected_stores().put(&json!({"id": at.to_string(), "passphrase": SECRET}).to_string()).unwrap();
    }
    for db in &opened {
        assert_eq!(db.connected_stores().list().unwrap().len(), 4);
    }
    for db in opened {
        db.shutdown().await.unwrap();
    }
}
