//! Keychains and biometrics written in Swift or Kotlin.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use interocitor_core::{
    Error, Passphrase, Result as CoreResult,
    credentials::{BiometricPrompt as CorePrompt, CredentialStore as CoreStore, Credentials},
};
use zeroize::Zeroizing;

use crate::Failure;

/// What is remembered for one store.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct StoredCredentials {
    pub passphrase: Option<String>,
    pub device_id: String,
    pub mesh_id: Option<String>,
    pub sealed: Option<Vec<u8>>,
}

impl fmt::Debug for StoredCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredentials")
            .field("device_id", &self.device_id)
            .field("mesh_id", &self.mesh_id)
            .finish_non_exhaustive()
    }
}

/// A safe place for credentials, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// What was saved under a name.
    async fn load(&self, name: String) -> Result<Option<StoredCredentials>, Failure>;
    /// Saves under a name, replacing what was there.
    async fn save(&self, name: String, credentials: StoredCredentials) -> Result<(), Failure>;
    /// Removes what was saved under a name.
    async fn clear(&self, name: String) -> Result<(), Failure>;
    /// The engine's own store behind it, where it is one.
    #[doc(hidden)]
    fn of_the_engine(&self) -> Option<Arc<dyn CoreStore>> {
        None
    }
}

/// The platform's biometrics, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
pub trait BiometricPrompt: Send + Sync {
    /// Seals a secret.
    async fn seal(&self, secret: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure>;
    /// Opens what was sealed.
    async fn unseal(&self, sealed: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure>;
    /// What was sealed is not wanted any more.
    async fn discard(&self, sealed: Vec<u8>) -> Result<(), Failure>;
    /// The engine's own prompt behind it, where it is one.
    #[doc(hidden)]
    fn of_the_engine(&self) -> Option<Arc<dyn CorePrompt>> {
        None
    }
}

/// A store as the engine takes it.
pub(crate) fn store_of(given: Arc<dyn CredentialStore>) -> Arc<dyn CoreStore> {
    given.of_the_engine().unwrap_or_else(|| Arc::new(ForeignCredentials(given)))
}

/// A prompt as the engine takes it.
pub(crate) fn prompt_of(given: Arc<dyn BiometricPrompt>) -> Arc<dyn CorePrompt> {
    given.of_the_engine().unwrap_or_else(|| Arc::new(ForeignPrompt(given)))
}

struct ForeignCredentials(Arc<dyn CredentialStore>);

impl fmt::Debug for ForeignCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignCredentials")
    }
}

/// Stores of the app keep the four fields of `StoredCredentials`. What the engine keeps besides, the key of this
/// device and superseded passphrases, goes under a name of its own, as the text of a passphrase.
fn more_of(name: &str) -> String {
    format!("{name} keys")
}

impl ForeignCredentials {
    async fn load_one(&self, name: String) -> CoreResult<Option<StoredCredentials>> {
        self.0.load(name).await.map_err(Failure::into_credential_error)
    }

    async fn save_one(&self, name: String, saved: StoredCredentials) -> CoreResult<()> {
        self.0.save(name, saved).await.map_err(Failure::into_credential_error)
    }

    async fn clear_one(&self, name: String) -> CoreResult<()> {
        self.0.clear(name).await.map_err(Failure::into_credential_error)
    }

    /// What is under the second name.
    async fn load_more(&self, name: &str) -> CoreResult<Option<Credentials>> {
        let text = self.load_one(more_of(name)).await?.and_then(|saved| saved.passphrase);
        let Some(text) = text.map(Zeroizing::new) else { return Ok(None) };
        let damaged = |_| Error::CredentialInvalidated { reason: "the keys of the store are damaged".into() };
        Credentials::from_json(&text).map(Some).map_err(damaged)
    }
}

#[async_trait]
impl CoreStore for ForeignCredentials {
    async fn load(&self, name: &str) -> CoreResult<Option<Credentials>> {
        let saved = self.load_one(name.to_owned()).await?;
        let more = self.load_more(name).await?;
        let Some(saved) = saved else { return Ok(more) };
        Ok(Some(Credentials {
            passphrase: saved.passphrase.map(Passphrase::from),
            device_id: saved.device_id,
            mesh_id: saved.mesh_id,
            sealed: saved.sealed,
            ..more.unwrap_or_default()
        }))
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> CoreResult<()> {
        let more = Credentials {
            device_id: credentials.device_id.clone(),
            local_key: credentials.local_key.clone(),
            superseded: credentials.superseded.clone(),
            ..Credentials::default()
        };
        // First, so that a superseded passphrase is safe before another takes its place.
        if more.local_key.is_some() || !more.superseded.is_empty() {
            if self.load_more(name).await?.as_ref() != Some(&more) {
                let saved = StoredCredentials {
                    passphrase: Some((*more.to_json()).clone()),
                    device_id: more.device_id,
                    mesh_id: None,
                    sealed: None,
                };
                self.save_one(more_of(name), saved).await?;
            }
        } else {
            self.clear_one(more_of(name)).await?;
        }
        let saved = StoredCredentials {
            passphrase: credentials.passphrase.as_ref().map(|passphrase| passphrase.expose().to_owned()),
            device_id: credentials.device_id.clone(),
            mesh_id: credentials.mesh_id.clone(),
            sealed: credentials.sealed.clone(),
        };
        self.save_one(name.to_owned(), saved).await
    }

    async fn clear(&self, name: &str) -> CoreResult<()> {
        self.clear_one(name.to_owned()).await?;
        self.clear_one(more_of(name)).await
    }
}

struct ForeignPrompt(Arc<dyn BiometricPrompt>);

impl fmt::Debug for ForeignPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignPrompt")
    }
}

#[async_trait]
impl CorePrompt for ForeignPrompt {
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, reason: &str) -> CoreResult<Vec<u8>> {
        self.0.seal(secret.to_vec(), reason.to_owned()).await.map_err(Failure::into_credential_error)
    }

    async fn unseal(&self, sealed: &[u8], reason: &str) -> CoreResult<Zeroizing<Vec<u8>>> {
        let opened = self.0.unseal(sealed.to_vec(), reason.to_owned()).await;
        opened.map(Zeroizing::new).map_err(Failure::into_credential_error)
    }

    async fn discard(&self, sealed: &[u8]) -> CoreResult<()> {
        self.0.discard(sealed.to_vec()).await.map_err(Failure::into_credential_error)
    }
}
