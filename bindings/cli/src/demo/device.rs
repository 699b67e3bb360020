//! One device of the demo: a store of its own, and the shared folder.

use std::{path::Path, sync::Arc};

use interocitor_core::{Config, Connection, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox};
use serde_json::Value;

use super::TABLE;
use crate::failure::{Failure, Outcome};

/// One device.
pub(super) struct Device {
    name: &'static str,
    db: Interocitor,
}

impl Device {
    pub(super) async fn open(
        name: &'static str,
        store: &Path,
        mailbox: &Path,
        passphrase: Option<Passphrase>,
    ) -> Outcome<Self> {
        let mut config = Config::new("interocitor-demo", StoreLocation::File(store.to_owned()));
        // The folder is the mesh's own: its files lie at the top.
        config.remote_path = Some("/".into());
        config.passphrase = passphrase;
        config.device_id = Some(name.into());
        config.device_name = Some(name.into());
        config.auto_sync = false;
        let db = Interocitor::open(config).await?;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
        Ok(Self { name, db })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) async fn connect(&self) -> Outcome<()> {
        match self.db.connect().await? {
            Connection::Online => Ok(()),
            Connection::Offline { error, .. } => Err(error.into()),
            _ => Err(Failure::new("OFFLINE", "the folder cannot be used now")),
        }
    }

    pub(super) async fn disconnect(&self) {
        self.db.disconnect().await;
    }

    pub(super) async fn sync(&self) -> Outcome<()> {
        Ok(self.db.sync().await?)
    }

    pub(super) fn passphrase(&self) -> Outcome<Passphrase> {
        self.db.get_passphrase().ok_or_else(|| Failure::new("DEMO", "founding a mesh made no passphrase"))
    }

    pub(super) async fn batch(&self, rows: &[(&str, Value)]) -> Outcome<()> {
        let write = |batch: &mut interocitor_core::Batch| {
            rows.iter().try_for_each(|(id, fields)| batch.table(TABLE).put(*id, fields))
        };
        Ok(self.db.batch(write).await?)
    }

    pub(super) async fn put(&self, id: &str, fields: &Value) -> Outcome<()> {
        Ok(self.db.table(TABLE).put(id, fields).await?)
    }

    pub(super) async fn delete(&self, id: &str) -> Outcome<()> {
        Ok(self.db.table(TABLE).delete(id).await?)
    }

    pub(super) async fn pending(&self) -> Outcome<u64> {
        Ok(self.db.status().await?.pending.count)
    }

    pub(super) async fn dump(&self) -> Outcome<String> {
        Ok(self.db.dump().await?)
    }

    pub(super) async fn close(self) -> Outcome<()> {
        Ok(self.db.shutdown().await?)
    }
}
