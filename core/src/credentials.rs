//! Credentials: the mesh passphrase and what it belongs to, kept outside the database.

use std::{collections::HashMap, fmt, sync::Mutex, sync::PoisonError};

use async_trait::async_trait;
use interocitor_crypto::Passphrase;
use zeroize::Zeroizing;

use crate::error::Result;

/// What is remembered for one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The mesh passphrase; `None` for a mesh without encryption.
    pub passphrase: Option<Passphrase>,
    /// The device that saved it.
    pub device_id: String,
    /// The mesh that it opens, once that is known.
    pub mesh_id: Option<String>,
    /// The passphrase once more, as [`BiometricPrompt::seal`] gave it.
    pub sealed: Option<Vec<u8>>,
}

/// The platform's biometrics: a key in secure hardware that only works while the user shows face or
/// finger, and the prompt that asks for it.
#[async_trait]
pub trait BiometricPrompt: Send + Sync + fmt::Debug {
    /// Seals a secret, so that only [`unseal`](Self::unseal) on this device gives it back. `reason` is shown.
    ///
    /// # Errors
    ///
    /// [`BiometricsUnavailable`](crate::Error::BiometricsUnavailable),
    /// [`UserCancelled`](crate::Error::UserCancelled).
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, reason: &str) -> Result<Vec<u8>>;

    /// Opens what was sealed. `reason` is shown.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), and [`CredentialInvalidated`](crate::Error::CredentialInvalidated) where the
    /// key is gone, for instance since another finger was enrolled.
    async fn unseal(&self, sealed: &[u8], reason: &str) -> Result<Zeroizing<Vec<u8>>>;
}

/// A safe place for credentials: a platform keychain, a file, memory.
#[async_trait]
pub trait CredentialStore: Send + Sync + fmt::Debug {
    /// What was saved under `name`.
    async fn load(&self, name: &str) -> Result<Option<Credentials>>;

    /// Saves under `name`, replacing what was there.
    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()>;

    /// Removes what was saved under `name`.
    async fn clear(&self, name: &str) -> Result<()>;
}

/// Credentials in memory, for tests and previews.
#[derive(Debug, Default)]
pub struct MemoryCredentials(Mutex<HashMap<String, Credentials>>);

#[async_trait]
impl CredentialStore for MemoryCredentials {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), credentials.clone());
        Ok(())
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}
