//! Keychains and biometrics of the app.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use interocitor_ffi::{
    BiometricPrompt, Configuration, Connection, CredentialStore, Failure, Interocitor, Mailbox,
    StoreEncryption, StoredCredentials, file_credentials, keychain_biometrics, keychain_credentials,
};

use crate::support::{PASSPHRASE, broken, code, configuration, member, open, wait};

/// Passphrase, device, mesh, sealed copy.
type Record = (Option<String>, String, Option<String>, Option<Vec<u8>>);

/// A keychain and a finger, both of which may fail.
#[derive(Default)]
struct Chain {
    saved: Mutex<BTreeMap<String, Record>>,
    broken: AtomicBool,
    refuses: AtomicBool,
    discarded: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl CredentialStore for Chain {
    async fn load(&self, name: String) -> Result<Option<StoredCredentials>, Failure> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let saved = self.saved.lock().unwrap().get(&name).cloned();
        Ok(saved.map(|(passphrase, device_id, mesh_id, sealed)| StoredCredentials {
            passphrase,
            device_id,
            mesh_id,
            sealed,
        }))
    }

    async fn save(&self, name: String, given: StoredCredentials) -> Result<(), Failure> {
        let record = (given.passphrase, given.device_id, given.mesh_id, given.sealed);
        self.saved.lock().unwrap().insert(name, record);
        Ok(())
    }

    async fn clear(&self, name: String) -> Result<(), Failure> {
        self.saved.lock().unwrap().remove(&name);
        Ok(())
    }
}

#[async_trait]
impl BiometricPrompt for Chain {
    async fn seal(&self, secret: Vec<u8>, _: String) -> Result<Vec<u8>, Failure> {
        Ok(secret.into_iter().rev().collect())
    }

    async fn unseal(&self, sealed: Vec<u8>, _: String) -> Result<Vec<u8>, Failure> {
        if self.refuses.load(Ordering::SeqCst) {
            let (code, reason) = ("USER_CANCELLED".into(), "cancelled".into());
            return Err(Failure::Cancelled { code, reason, retryable: false });
        }
        Ok(sealed.into_iter().rev().collect())
    }

    async fn discard(&self, sealed: Vec<u8>) -> Result<(), Failure> {
        self.discarded.lock().unwrap().push(sealed);
        Err(broken())
    }
}

#[test]
fn keychains_and_biometrics_of_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db").display().to_string();
    let chain = Arc::new(Chain::default());
    let mailbox = Arc::new(Mailbox::memory());
    let with = |chain: &Arc<Chain>| {
        let chain = Arc::clone(chain);
        let path = path.clone();
        move |configuration: &mut Configuration| {
            configuration.path = Some(path);
            configuration.passphrase = None;
            configuration.credentials = Some(Arc::clone(&chain) as _);
            configuration.biometrics = Some(chain as _);
        }
    };
    let db = member(&mailbox, with(&chain));
    let passphrase = db.get_passphrase().unwrap();
    assert!(!wait(db.is_secured_with_biometrics()).unwrap());
    wait(db.secure_with_biometrics("why".into())).unwrap();
    assert!(wait(db.is_secured_with_biometrics()).unwrap());
    // A second copy takes the place of the first, which the app may forget, or not.
    assert!(chain.discarded.lock().unwrap().is_empty());
    wait(db.secure_with_biometrics("why".into())).unwrap();
    assert_eq!(chain.discarded.lock().unwrap().len(), 1);
    wait(db.disconnect()).unwrap();
    wait(db.clear_credentials()).unwrap();
    assert_eq!(db.get_passphrase(), None);
    assert_eq!(code(wait(db.connect(None))), "PASSPHRASE_REQUIRED");
    chain.refuses.store(true, Ordering::SeqCst);
    assert_eq!(code(wait(db.restore_with_biometrics("why".into()))), "USER_CANCELLED");
    chain.refuses.store(false, Ordering::SeqCst);
    wait(db.restore_with_biometrics("why".into())).unwrap();
    assert_eq!(db.get_passphrase(), Some(passphrase));
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    wait(db.shutdown()).unwrap();
    chain.broken.store(true, Ordering::SeqCst);
    let mut configuration = configuration();
    with(&chain)(&mut configuration);
    assert_eq!(code(wait(Interocitor::open(configuration))), "CREDENTIALS_UNAVAILABLE");
}

#[test]
fn a_file_under_a_master_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json").display().to_string();
    let path = folder.path().join("t.db").display().to_string();
    let mailbox = Arc::new(Mailbox::memory());
    let with = |master: &str| {
        let credentials = file_credentials(file.clone(), master.into()).unwrap();
        let path = path.clone();
        move |configuration: &mut Configuration| {
            configuration.path = Some(path);
            configuration.passphrase = None;
            configuration.credentials = Some(credentials);
        }
    };
    let db = member(&mailbox, with("master"));
    let passphrase = db.get_passphrase().unwrap();
    db.connected_stores().put(r#"{"id":"a","passphrase":"secret of a"}"#.into()).unwrap();
    wait(db.shutdown()).unwrap();
    // The engine uses it itself, with everything that it keeps: one record.
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&passphrase));
    let db = member(&mailbox, with("master"));
    assert_eq!(db.get_passphrase(), Some(passphrase.clone()));
    assert!(db.connected_stores().get("a".into()).unwrap().unwrap().contains("secret of a"));
    wait(db.shutdown()).unwrap();
    let mut wrong = configuration();
    with("another")(&mut wrong);
    assert_eq!(code(wait(Interocitor::open(wrong))), "MASTER_PASSPHRASE_WRONG");
    assert_eq!(code(file_credentials(file.clone(), String::new()).map(|_| ())), "INVALID_ARGUMENT");

    // By itself it is a store like one of the app.
    let store = file_credentials(file.clone(), "master".into()).unwrap();
    assert!(wait(store.load("unknown".into())).unwrap().is_none());
    let name = format!("test:{path}");
    let mut saved = wait(store.load(name.clone())).unwrap().unwrap();
    assert_eq!(saved.passphrase, Some(passphrase));
    saved.passphrase = Some(PASSPHRASE.into());
    wait(store.save(name.clone(), saved)).unwrap();
    let db = open(with("master"));
    assert_eq!(db.get_passphrase().as_deref(), Some(PASSPHRASE));
    // What it keeps besides was left alone.
    assert!(db.connected_stores().get("a".into()).unwrap().unwrap().contains("secret of a"));
    wait(db.shutdown()).unwrap();
    wait(store.clear(name.clone())).unwrap();
    assert!(wait(store.load(name)).unwrap().is_none());
}

#[test]
#[cfg(not(target_vendor = "apple"))]
fn there_is_no_apple_keychain_elsewhere() {
    let group = Some("group".to_owned());
    assert_eq!(
        code(keychain_credentials("app".into(), group.clone()).map(|_| ())),
        "CREDENTIALS_UNAVAILABLE"
    );
    assert_eq!(code(keychain_biometrics("app".into(), group).map(|_| ())), "BIOMETRICS_UNAVAILABLE");
}

#[test]
#[cfg(not(feature = "sqlcipher"))]
fn a_build_without_a_cipher_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut wanted = configuration();
    wanted.path = Some(path.display().to_string());
    wanted.credentials = Some(Arc::new(Chain::default()));
    wanted.store_encryption = Some(StoreEncryption { plaintext_header: false });
    assert_eq!(code(wait(Interocitor::open(wanted))), "INVALID_ARGUMENT");
    assert!(!path.exists());
}

#[test]
#[cfg(feature = "sqlcipher")]
fn a_build_with_a_cipher_encrypts_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut wanted = configuration();
    wanted.path = Some(path.display().to_string());
    wanted.credentials = Some(Arc::new(Chain::default()));
    wanted.store_encryption = Some(StoreEncryption { plaintext_header: false });
    let db = wait(Interocitor::open(wanted)).unwrap();
    wait(db.shutdown()).unwrap();
    assert!(!std::fs::read(&path).unwrap().starts_with(b"SQLite format 3"));
}

#[test]
fn lists_of_the_javascript_client_are_taken_over() {
    let stores = open(|_| {}).connected_stores();
    let list = r#"[{"id":"a","createdAt":"2020-01-01T00:00:00.000Z"},{"id":"b"}]"#;
    assert_eq!(stores.import_all(list.into()).unwrap(), 2);
    assert!(stores.get("a".into()).unwrap().unwrap().contains("2020-01-01"));
    assert_eq!(code(stores.import_all(r#"[{"id":"c"},{}]"#.into())), "INVALID_ARGUMENT");
    assert_eq!(stores.list().unwrap().len(), 2);
}
