//! Credentials in the keyring of a Linux desktop. The environment decides which keyring that is, so each test is
//! run by itself: `bash tests/run.sh keychain`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

use std::{sync::Arc, time::Duration};

use interocitor_core::{
    Config, Interocitor, StoreLocation,
    credentials::{CredentialStore, Credentials, SecretServiceCredentials, suite},
    mailbox::MemoryMailbox,
};

const APP: &str = "interocitor tests";
const LEFT: &str = "left for the next test";

fn keyring() -> SecretServiceCredentials {
    SecretServiceCredentials::new(APP)
}

fn some() -> Credentials {
    Credentials { passphrase: Some("pass".into()), device_id: "d".into(), ..Credentials::default() }
}

/// The passphrase that a device made is there for its next run, and `LEFT` for the next test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an unlocked keyring"]
async fn unlocked() {
    suite::run(&|| Arc::new(keyring()), "conformance").await;
    // Another service has other items.
    keyring().save(LEFT, &some()).await.unwrap();
    assert_eq!(SecretServiceCredentials::new("another").load(LEFT).await.unwrap(), None);

    let folder = tempfile::tempdir().unwrap();
    let open = async || {
        let mut config = Config::new("test", StoreLocation::File(folder.path().join("t.db")));
        config.remote_path = Some("/Mesh".into());
        config.credentials = Some(Arc::new(keyring()));
        config.auto_sync = false;
        Interocitor::open(config).await.unwrap()
    };
    let db = open().await;
    db.set_remote_storage(Some(Arc::new(MemoryMailbox::new()))).await;
    assert!(db.connect().await.unwrap().is_online());
    db.connected_stores().put(r#"{"id":"work","passphrase":"p"}"#).unwrap();
    let passphrase = db.get_passphrase();
    db.shutdown().await.unwrap();
    let db = open().await;
    assert!(passphrase.is_some() && db.get_passphrase() == passphrase);
    assert!(db.connected_stores().get("work").unwrap().unwrap().contains("\"p\""));
    db.shutdown().await.unwrap();
}

/// Nobody is there to answer the keyring's prompt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a keyring that is locked"]
async fn still_locked() {
    let keyring = keyring();
    let outcome = tokio::time::timeout(Duration::from_mins(1), keyring.load(LEFT)).await;
    let error = outcome.expect("it waits for a prompt for good").unwrap_err();
    assert_eq!(error.code().as_str(), "CREDENTIALS_LOCKED", "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
#[ignore = "needs a session without a keyring"]
async fn nobody_answers() {
    let keyring = keyring();
    for outcome in
        [keyring.load(LEFT).await.map(|_| ()), keyring.save(LEFT, &some()).await, keyring.clear(LEFT).await]
    {
        let error = outcome.unwrap_err();
        assert_eq!(error.code().as_str(), "CREDENTIALS_UNAVAILABLE", "{error}");
        assert!(error.is_retryable());
    }
}
