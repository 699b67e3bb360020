//! Connected stores: credentials of sub-stores that an app keeps beside its rows. Never synced.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    sync::Context,
    wire::{iso_time, record::Record},
};

/// The list of connected stores of one database.
#[derive(Debug)]
pub struct ConnectedStores {
    ctx: Arc<Context>,
}

impl ConnectedStores {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    /// All records, JSON objects as [`put`](Self::put) took them, by id.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn list(&self) -> Result<Vec<String>> {
        self.ctx.read(|tx| tx.stores())
    }

    /// One record.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn get(&self, id: &str) -> Result<Option<String>> {
        self.ctx.read(|tx| tx.store(id))
    }

    /// Puts a record: a JSON object with an `id` and whatever describes the store (`remotePath`,
    /// `passphrase`, `encrypted`, `dbName`, `adapter`, `metadata`, …). Stamps `createdAt` once and
    /// `updatedAt` each time.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where it is no object or has no `id`; those of the store.
    pub fn put(&self, json: &str) -> Result<()> {
        let mut record = Record::parse(json.as_bytes())
            .map_err(|error| Error::invalid("connected store", format!("not a JSON object: {error}")))?;
        let id = record
            .text("id")
            .filter(|id| !id.is_empty())
            .ok_or(Error::invalid("connected store", "it needs a non-empty \"id\""))?;
        let now = iso_time(self.ctx.host.now_ms());
        self.ctx.write(|tx| {
            let known = tx.store(&id)?.and_then(|known| Record::parse(known.as_bytes()).ok());
            let created = known.and_then(|known| known.text("createdAt")).unwrap_or_else(|| now.clone());
            record.set_text("createdAt", &created);
            record.set_text("updatedAt", &now);
            tx.put_store(&id, &String::from_utf8_lossy(&record.compact()))
        })
    }

    /// Removes a record; tells whether it was there.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn remove(&self, id: &str) -> Result<bool> {
        self.ctx.write(|tx| tx.remove_store(id))
    }
}
