//! Connected stores: credentials of sub-stores that an app keeps beside its rows. Never synced.
//!
//! With a credential store they are encrypted: under a key of this device that lies there, is made when the store
//! is opened for the first time, and outlives every join. Records that were written in the clear are encrypted at
//! the next open. Without a credential store, with one that is no vault, or in memory, they lie as the rows do: a key
//! that lay beside them would protect nothing.

use std::sync::Arc;

use interocitor_crypto::{Key, open, seal};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    store::Tx,
    sync::Context,
    wire::{iso_time, record::Record},
};

/// What the records of this store are encrypted with.
#[derive(Debug, Clone)]
pub(crate) enum LocalKey {
    /// Nothing: there is no safe place for a key, or nothing is kept.
    None,
    /// The place for it could not be used when the store was opened.
    Unreachable(String),
    /// This key.
    Known(Key),
}

/// The list of connected stores of one database.
#[derive(Debug)]
pub struct ConnectedStores {
    ctx: Arc<Context>,
    key: LocalKey,
}

impl ConnectedStores {
    pub(crate) fn new(ctx: Arc<Context>, key: LocalKey) -> Self {
        Self { ctx, key }
    }

    /// All records, JSON objects as [`put`](Self::put) took them, by id. **Secret.**
    ///
    /// # Errors
    ///
    /// `CREDENTIAL_INVALIDATED` where the key of some is gone, with their ids: [`remove`](Self::remove) these;
    /// `CREDENTIALS_UNAVAILABLE` where it could not be read; those of the store.
    pub fn list(&self) -> Result<Vec<String>> {
        let stored = self.ctx.read(|tx| tx.stores())?;
        let mut lost = Vec::new();
        let mut records = Vec::with_capacity(stored.len());
        for (id, text) in stored {
            match self.opened(&id, text) {
                Ok(record) => records.push(record),
                Err(Error::CredentialInvalidated { .. }) => lost.push(id),
                Err(error) => return Err(error),
            }
        }
        if lost.is_empty() { Ok(records) } else { Err(is_lost(&lost.join(", "))) }
    }

    /// One record. **Secret.**
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub fn get(&self, id: &str) -> Result<Option<String>> {
        let stored = self.ctx.read(|tx| tx.store(id))?;
        stored.map(|text| self.opened(id, text)).transpose()
    }

    /// Puts a record: a JSON object with an `id` and whatever describes the store (`remotePath`,
    /// `passphrase`, `encrypted`, `dbName`, `adapter`, `metadata`, …). Stamps `createdAt` once and
    /// `updatedAt` each time. The `id` is not secret.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where it is no object or has no `id`; `CREDENTIALS_UNAVAILABLE` where the credential
    /// store could not be used when the database was opened; those of the store.
    pub fn put(&self, json: &str) -> Result<()> {
        let (id, mut record) = parsed(json)?;
        let now = iso_time(self.ctx.host.now_ms());
        self.ctx.write(|tx| {
            // One that cannot be opened any more is replaced like one that is not there.
            let known = tx.store(&id)?.and_then(|known| self.opened(&id, known).ok());
            let known = known.and_then(|known| Record::parse(known.as_bytes()).ok());
            let created = known.and_then(|known| known.text("createdAt")).unwrap_or_else(|| now.clone());
            record.set_text("createdAt", &created);
            record.set_text("updatedAt", &now);
            self.write(tx, &id, &record)
        })
    }

    /// Puts every record of a JSON array, which is how the JavaScript client keeps them
    /// (`interocitor:connected-stores`), with the times that it gave them. All of them or none; gives their number.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn import(&self, json: &str) -> Result<usize> {
        // The reason of a JSON error could show a part of a passphrase.
        let records: Vec<&serde_json::value::RawValue> = serde_json::from_str(json)
            .map_err(|_| Error::invalid("connected stores", "the text is no JSON array of objects"))?;
        let mut records = records.iter().map(|record| parsed(record.get())).collect::<Result<Vec<_>>>()?;
        let now = iso_time(self.ctx.host.now_ms());
        self.ctx.write(|tx| {
            for (id, record) in &mut records {
                for stamp in ["createdAt", "updatedAt"] {
                    if record.text(stamp).is_none() {
                        record.set_text(stamp, &now);
                    }
                }
                self.write(tx, id, record)?;
            }
            Ok(records.len())
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

    /// Encrypts the records that lie in the clear; tells whether there were any.
    pub(crate) fn seal_all(&self) -> Result<bool> {
        let is_clear = |(_, text): &(String, String)| !is_sealed(text);
        if !matches!(self.key, LocalKey::Known(_)) || !self.ctx.read(|tx| tx.stores())?.iter().any(is_clear) {
            return Ok(false);
        }
        self.ctx.write(|tx| {
            for (id, text) in tx.stores()?.into_iter().filter(is_clear) {
                tx.put_store(&id, &self.sealed(&text)?)?;
            }
            Ok(true)
        })
    }

    fn write(&self, tx: &Tx<'_>, id: &str, record: &Record) -> Result<()> {
        let text = Zeroizing::new(String::from_utf8_lossy(&record.compact()).into_owned());
        tx.put_store(id, &self.sealed(&text)?)
    }

    fn sealed(&self, text: &str) -> Result<String> {
        let key = match &self.key {
            LocalKey::None => return Ok(text.to_owned()),
            LocalKey::Unreachable(reason) => {
                return Err(Error::CredentialsUnavailable { reason: reason.clone() });
            }
            LocalKey::Known(key) => key.derive(PURPOSE),
        };
        let mut iv = [0; 12];
        self.ctx.host.random(&mut iv);
        let envelope = seal(&key, iv, text.as_bytes())
            .map_err(|error| Error::invalid("connected store", error.to_string()))?;
        Ok(String::from_utf8_lossy(&envelope).into_owned())
    }

    /// The record behind what is stored under `id`.
    fn opened(&self, id: &str, text: String) -> Result<String> {
        if !is_sealed(&text) {
            return Ok(text);
        }
        let key = match &self.key {
            LocalKey::None => return Err(is_lost(id)),
            LocalKey::Unreachable(reason) => {
                return Err(Error::CredentialsUnavailable { reason: reason.clone() });
            }
            LocalKey::Known(key) => key.derive(PURPOSE),
        };
        let plain = open(&key, text.as_bytes()).map_err(|_| is_lost(id))?;
        let plain = String::from_utf8(plain).map_err(|_| is_lost(id))?;
        // An envelope is not bound to its place: what it says of itself is.
        match parsed(&plain) {
            Ok((own, _)) if own == id => Ok(plain),
            _ => Err(is_lost(id)),
        }
    }
}

/// HKDF label of the key that records are encrypted with.
const PURPOSE: &str = "interocitor/native/connected-stores/v1";

/// Records have an `id`, envelopes do not.
fn is_sealed(text: &str) -> bool {
    Record::parse(text.as_bytes())
        .is_ok_and(|record| record.get("id").is_none() && record.get("ct").is_some())
}

fn parsed(json: &str) -> Result<(String, Record)> {
    let record = Record::parse(json.as_bytes())
        .map_err(|error| Error::invalid("connected store", format!("not a JSON object: {error}")))?;
    let id = record
        .text("id")
        .filter(|id| !id.is_empty())
        .ok_or(Error::invalid("connected store", "it needs a non-empty \"id\""))?;
    Ok((id, record))
}

fn is_lost(ids: &str) -> Error {
    Error::CredentialInvalidated {
        reason: format!(
            "the key of the connected stores ({ids}) is not in the credential store; remove them or put them again"
        ),
    }
}
