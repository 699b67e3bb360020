//! Credentials in the keyring of a Linux desktop: the Secret Service over D-Bus (GNOME, KDE, KeePassXC).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use keyring_core::{Entry, Error as KeyringError, api::CredentialStoreApi as _};
use zbus_secret_service_keyring_store::Store;
use zeroize::Zeroizing;

use super::{CredentialStore, Credentials, off_thread};
use crate::error::{Error, Result};

/// Credentials in the user's keyring, one item for each name. The keyring encrypts them under the user's login
/// and asks to be unlocked where it is not.
#[derive(Clone)]
pub struct SecretServiceCredentials(Arc<Keyring>);

struct Keyring {
    service: String,
    /// The connection, made by the first use. One call at a time: two that make one item would make it twice.
    store: Mutex<Option<Arc<Store>>>,
}

impl Drop for Keyring {
    /// The connection blocks while it closes, which async threads must not: a thread of its own does it.
    fn drop(&mut self) {
        if let Some(store) = self.store.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = std::thread::Builder::new().spawn(move || drop(store));
        }
    }
}

impl SecretServiceCredentials {
    /// Items are kept apart by `service`: the app's name or identifier. Nothing is asked yet.
    pub fn new(service: impl Into<String>) -> Self {
        Self(Arc::new(Keyring { service: service.into(), store: Mutex::new(None) }))
    }

    /// Runs one call on the item of `name`.
    async fn with_item<T: Send + 'static>(
        &self,
        name: &str,
        call: impl FnOnce(&Entry) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<Option<T>> {
        let (keyring, name) = (Arc::clone(&self.0), name.to_owned());
        off_thread(move || {
            let mut store = keyring.store.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match &*store {
                Some(open) => Ok(Arc::clone(open)),
                None => Store::new(),
            };
            let outcome = outcome.and_then(|open| {
                *store = Some(Arc::clone(&open));
                call(&open.build(&keyring.service, &name, None)?)
            });
            match outcome {
                Ok(value) => Ok(Some(value)),
                Err(KeyringError::NoEntry) => Ok(None),
                Err(error) => {
                    // The daemon may have gone: the next call connects anew.
                    *store = None;
                    Err(told(&error))
                }
            }
        })
        .await
    }
}

impl fmt::Debug for SecretServiceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretServiceCredentials").field("service", &self.0.service).finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for SecretServiceCredentials {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        let Some(text) = self.with_item(name, |item| item.get_secret().map(Zeroizing::new)).await? else {
            return Ok(None);
        };
        let record = std::str::from_utf8(&text).ok().and_then(|text| Credentials::from_json(text).ok());
        let damaged = || Error::CredentialInvalidated { reason: "the item in the keyring is damaged".into() };
        Ok(Some(record.ok_or_else(damaged)?))
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        let text = credentials.to_json();
        let saved = self.with_item(name, move |item| item.set_secret(text.as_bytes())).await?;
        saved.ok_or_else(|| Error::CredentialsUnavailable {
            reason: "the keyring did not keep the item".into(),
        })
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.with_item(name, |item| item.delete_credential()).await.map(|_| ())
    }
}

/// What an error of the keyring means. Some of them carry what was stored: their texts are not used.
fn told(error: &KeyringError) -> Error {
    let unavailable = |reason: String| Error::CredentialsUnavailable { reason };
    match error {
        KeyringError::NoStorageAccess(reason) => {
            Error::CredentialsLocked { reason: format!("the keyring: {reason}") }
        }
        KeyringError::PlatformFailure(reason) => {
            unavailable(format!("the keyring does not answer: {reason}"))
        }
        KeyringError::Ambiguous(items) => {
            unavailable(format!("the keyring holds {} such items", items.len()))
        }
        KeyringError::TooLong(what, limit) => {
            unavailable(format!("the keyring takes {limit} characters for {what}"))
        }
        KeyringError::BadEncoding(_) | KeyringError::BadDataFormat(..) => {
            Error::CredentialInvalidated { reason: "the item in the keyring is damaged".into() }
        }
        _ => unavailable("the keyring refuses the item".into()),
    }
}
