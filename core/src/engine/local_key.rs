//! The key of what is kept encrypted in the store itself: made once, and kept in the credential store.

use std::{sync::Arc, time::Duration};

use interocitor_crypto::Key;

use super::Inner;
use crate::{
    config::StoreLocation,
    connected_stores::{ConnectedStores, LocalKey},
    credentials::{CredentialStore, Credentials},
    error::Result,
    store::meta::keys,
};

/// How long a process that makes the key is waited for. It may have ended meanwhile.
const PATIENCE_MS: u64 = 30_000;
const PAUSE: Duration = Duration::from_millis(50);

impl Inner {
    /// Finds the key, or makes it, and encrypts what still lies in the clear.
    pub(super) async fn find_local_key(&self, saved: Option<&Credentials>) -> Result<LocalKey> {
        let (Some(store), StoreLocation::File(_)) = (self.config.credentials.clone(), &self.config.store)
        else {
            return Ok(LocalKey::None);
        };
        let known = saved.and_then(|saved| saved.local_key.clone());
        let key = match known {
            Some(key) => LocalKey::Known(key),
            None if !store.is_vault() => return Ok(LocalKey::None),
            // Rows need no such key: the database opens without it.
            None => self.make_local_key(&store).await.map_or_else(
                |error| {
                    tracing::warn!(target: "interocitor", code = error.code().as_str(), "no key for connected stores");
                    LocalKey::Unreachable(error.to_string())
                },
                LocalKey::Known,
            ),
        };
        if ConnectedStores::new(Arc::clone(&self.ctx), key.clone()).seal_all()? {
            // The log still holds the pages of before.
            self.ctx.blocking(|ctx| ctx.store.checkpoint()).await?;
        }
        Ok(key)
    }

    /// One process makes the key; others that open the store meanwhile wait for it.
    async fn make_local_key(&self, store: &Arc<dyn CredentialStore>) -> Result<Key> {
        let name = self.credential_name();
        loop {
            let now_ms = self.ctx.host.now_ms();
            let is_mine = self.ctx.write(|tx| {
                let since = tx.meta_number(keys::KEY_CLAIM)?;
                if since.is_some_and(|since| now_ms.abs_diff(since) < PATIENCE_MS) {
                    return Ok(false);
                }
                tx.set_meta(keys::KEY_CLAIM, &now_ms.to_string()).map(|()| true)
            })?;
            let found = self.key_or_new(store, &name, is_mine).await;
            if is_mine {
                self.ctx.write(|tx| tx.clear_meta(keys::KEY_CLAIM))?;
            }
            match found? {
                Some(key) => return Ok(key),
                None => self.ctx.host.sleep(PAUSE).await,
            }
        }
    }

    async fn key_or_new(
        &self,
        store: &Arc<dyn CredentialStore>,
        name: &str,
        may_make: bool,
    ) -> Result<Option<Key>> {
        let saved = store.load(name).await?.unwrap_or_else(|| self.no_credentials());
        if saved.local_key.is_some() || !may_make {
            return Ok(saved.local_key);
        }
        let mut bytes = [0; 32];
        self.ctx.host.random(&mut bytes);
        let key = Key::from_bytes(bytes);
        store.save(name, &Credentials { local_key: Some(key.clone()), ..saved }).await?;
        Ok(Some(key))
    }
}
