//! Durable files: both forms, the queue, batches, the cache, and what must not pass.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "files/bad_input.rs"]
mod bad_input;
#[path = "files/batches.rs"]
mod batches;
#[path = "files/cache.rs"]
mod cache;
mod common;
#[path = "files/forms.rs"]
mod forms;
#[path = "files/queue.rs"]
mod queue;

use std::sync::Arc;

use common::open_at;
use interocitor_core::{
    Config, Interocitor, Passphrase, StoreLocation,
    mailbox::{MemoryMailbox, StorageAdapter},
};
use interocitor_crypto::{Key, digest};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

fn key() -> Key {
    Passphrase::from(PASSPHRASE).to_key().unwrap()
}

/// A connected device that syncs when it is told to.
async fn device(mailbox: &impl Mailbox, change: impl FnOnce(&mut Config)) -> Interocitor {
    device_at(StoreLocation::Memory, mailbox, change).await
}

async fn device_at(
    store: StoreLocation,
    mailbox: &impl Mailbox,
    change: impl FnOnce(&mut Config),
) -> Interocitor {
    let db = open_at(store, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        change(config);
        if !config.encrypted {
            config.passphrase = None;
        }
    })
    .await;
    db.set_remote_storage(Some(mailbox.adapter())).await;
    let connection = db.connect().await.unwrap();
    assert!(connection.is_online(), "{connection:?}");
    db
}

trait Mailbox {
    fn adapter(&self) -> Arc<dyn StorageAdapter>;
}

impl<T: StorageAdapter + Clone + 'static> Mailbox for T {
    fn adapter(&self) -> Arc<dyn StorageAdapter> {
        Arc::new(self.clone())
    }
}

async fn bytes(db: &Interocitor, path: &str) -> Vec<u8> {
    db.get_file(path).await.unwrap().bytes().await.unwrap()
}

async fn code(db: &Interocitor, path: &str) -> &'static str {
    match db.get_file(path).await {
        Ok(_) => "OK",
        Err(error) => error.code().as_str(),
    }
}

async fn put(db: &Interocitor, path: &str, content: &[u8]) {
    db.put_file(path, content.to_vec(), None).await.unwrap();
}

/// Names of the files in `/Mesh/files`, of the hidden form only.
async fn hashed(mailbox: &MemoryMailbox) -> Vec<String> {
    let files = mailbox.list_files("/Mesh/files").await.unwrap_or_default();
    files.into_iter().map(|file| file.name).filter(|name| name.len() == 64).collect()
}

/// The hidden name of a path.
fn hidden(path: &str) -> String {
    let key = key().derive("interocitor/durable-file-path/v1");
    format!("/Mesh/files/{}", digest::hmac_sha256_hex(&key, path.as_bytes()))
}
