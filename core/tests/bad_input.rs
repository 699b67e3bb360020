//! What a bad peer, a bad remote, a bad disk or a bad caller may do, and what must come of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "bad_input/mailbox.rs"]
mod mailbox;
#[path = "bad_input/mesh.rs"]
mod mesh;
#[path = "bad_input/peer.rs"]
mod peer;
#[path = "bad_input/store.rs"]
mod store;
#[path = "bad_input/values.rs"]
mod values;

use std::{path::Path, sync::Arc};

use common::{Fixture, open_at};
use interocitor_core::{Config, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox};
use serde_json::Value;

/// A database on the fixture's mailbox, not yet connected.
async fn beside(fixture: &Fixture, mailbox: &Path, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.remote_path = Some(fixture.remote_path.clone());
        config.passphrase = fixture.passphrase.as_deref().map(Passphrase::from);
        config.encrypted = fixture.encrypted;
        change(config);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    db
}

async fn tables(db: &Interocitor) -> Value {
    let dump = common::without_lone_surrogates(&db.dump().await.unwrap());
    serde_json::from_str::<Value>(&dump).unwrap()["tables"].clone()
}

fn sealed(fixture: &Fixture, payload: &str) -> Vec<u8> {
    let key = Passphrase::from(fixture.passphrase.as_deref().unwrap()).to_key().unwrap();
    interocitor_crypto::seal(&key, [7; 12], payload.as_bytes()).unwrap()
}

const GOOD_CLOCK: &str = "001795352695000-0000-peer";

fn change(mesh_id: &str, id: &str, ops: &str) -> String {
    format!(
        r#"{{"meshId":"{mesh_id}","kind":"change","entry":{{"id":"{id}","ts":1,"device":"peer","hlc":"{GOOD_CLOCK}","ops":[{ops}]}}}}"#
    )
}

fn upsert(row: &str, value: &str, clock: &str) -> String {
    format!(
        r#"{{"type":"upsert","table":"bad","rowId":"{row}","columns":{{"v":{{"value":{value},"hlc":"{clock}"}}}}}}"#
    )
}
