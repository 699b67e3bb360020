//! Keychains and biometrics written in Swift or Kotlin.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use interocitor_core::{
    Passphrase, Result as CoreResult,
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
}

/// The platform's biometrics, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
pub trait BiometricPrompt: Send + Sync {
    /// Seals a secret.
    async fn seal(&self, secret: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure>;
    /// Opens what was sealed.
    async fn unseal(&self, sealed: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure>;
}

pub(crate) struct ForeignCredentials(pub(crate) Arc<dyn CredentialStore>);

impl fmt::Debug for ForeignCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignCredentials")
    }
}

#[async_trait]
impl CoreStore for ForeignCredentials {
    async fn load(&self, name: &str) -> CoreResult<Option<Credentials>> {
        let saved = self.0.load(name.to_owned()).await.map_err(Failure::into_credential_error)?;
        Ok(saved.map(|saved| Credentials {
            passphrase: saved.passphrase.map(Passphrase::from),
            device_id: saved.device_id,
            mesh_id: saved.mesh_id,
            sealed: saved.sealed,
        }))
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> CoreResult<()> {
        let credentials = StoredCredentials {
            passphrase: credentials.passphrase.as_ref().map(|passphrase| passphrase.expose().to_owned()),
            device_id: credentials.device_id.clone(),
            mesh_id: credentials.mesh_id.clone(),
            sealed: credentials.sealed.clone(),
        };
        self.0.save(name.to_owned(), credentials).await.map_err(Failure::into_credential_error)
    }

    async fn clear(&self, name: &str) -> CoreResult<()> {
        self.0.clear(name.to_owned()).await.map_err(Failure::into_credential_error)
    }
}

pub(crate) struct ForeignPrompt(pub(crate) Arc<dyn BiometricPrompt>);

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
}
