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
    StoredCredentials,
};

use crate::support::{broken, code, configuration, member, wait};

/// Passphrase, device, mesh, sealed copy.
type Record = (Option<String>, String, Option<String>, Option<Vec<u8>>);

/// A keychain and a finger, both of which may fail.
#[derive(Default)]
struct Chain {
    saved: Mutex<BTreeMap<String, Record>>,
    broken: AtomicBool,
    refuses: AtomicBool,
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
    wait(db.secure_with_biometrics("why".into())).unwrap();
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
