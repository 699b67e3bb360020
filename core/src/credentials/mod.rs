//! Credentials: the mesh passphrase and what it belongs to, kept outside the database.
//!
//! One trait, [`CredentialStore`], and one conformance suite (`suite`) for every place that keeps them:
//!
//! | store | for |
//! |---|---|
//! | `KeychainCredentials` | iOS and macOS: the keychain, this device only |
//! | `SecretServiceCredentials` | Linux desktops: the keyring (feature `secret-service`) |
//! | [`FileCredentials`] | servers and CI: a file under a master passphrase |
//! | [`MemoryCredentials`] | tests and previews |
//!
//! Android's keystore and stores of the app itself come in through the trait.

#[cfg(target_vendor = "apple")]
mod apple;
mod file;
mod memory;
mod record;
#[cfg(all(feature = "secret-service", target_os = "linux"))]
mod secret_service;
#[cfg(any(test, feature = "adapter-tests"))]
pub mod suite;

use std::fmt;

use async_trait::async_trait;
use interocitor_crypto::{Key, Passphrase};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

#[cfg(target_vendor = "apple")]
pub use apple::{KeychainBiometrics, KeychainCredentials};
pub use file::FileCredentials;
pub use memory::MemoryCredentials;
#[cfg(all(feature = "secret-service", target_os = "linux"))]
pub use secret_service::SecretServiceCredentials;

/// What is remembered for one store.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The mesh passphrase; `None` for a mesh without encryption.
    pub passphrase: Option<Passphrase>,
    /// The device that saved it.
    pub device_id: String,
    /// The mesh that it opens, once that is known.
    pub mesh_id: Option<String>,
    /// The passphrase once more, as [`BiometricPrompt::seal`] gave it.
    pub sealed: Option<Vec<u8>>,
    /// The key of what is kept encrypted in the store itself. It belongs to this device, not to a mesh.
    pub local_key: Option<Key>,
    /// Passphrases that others took the place of, oldest first. The user discards them.
    pub superseded: Vec<SupersededKey>,
}

/// A passphrase that another took the place of: what it opened may still be wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupersededKey {
    /// Names it among the others.
    pub id: String,
    /// The passphrase.
    pub passphrase: Passphrase,
    /// The mesh that it opens, where that is known.
    pub mesh_id: Option<String>,
    /// When the other one was saved, milliseconds since the Unix epoch.
    pub superseded_ms: u64,
}

impl Credentials {
    /// Whether there is nothing left to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.passphrase.is_none()
            && self.sealed.is_none()
            && self.local_key.is_none()
            && self.superseded.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("device_id", &self.device_id)
            .field("mesh_id", &self.mesh_id)
            .field("has_passphrase", &self.passphrase.is_some())
            .field("is_sealed", &self.sealed.is_some())
            .field("superseded", &self.superseded.len())
            .finish_non_exhaustive()
    }
}

/// The platform's biometrics: a key in secure hardware that only works while the user shows face or
/// finger, and the prompt that asks for it.
#[async_trait]
pub trait BiometricPrompt: Send + Sync + fmt::Debug {
    /// Seals a secret, so that only [`unseal`](Self::unseal) on this device gives it back. `reason` is shown.
    ///
    /// # Errors
    ///
    /// [`BiometricsUnavailable`](Error::BiometricsUnavailable) where there are none,
    /// [`BiometricsNotEnrolled`](Error::BiometricsNotEnrolled), [`BiometricsLockedOut`](Error::BiometricsLockedOut),
    /// [`UserCancelled`](Error::UserCancelled).
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, reason: &str) -> Result<Vec<u8>>;

    /// Opens what was sealed. `reason` is shown.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), and [`CredentialInvalidated`](Error::CredentialInvalidated) where the key is gone,
    /// for instance since another finger was enrolled. What was sealed is lost then: the engine forgets it, and
    /// the passphrase is to be sealed anew.
    async fn unseal(&self, sealed: &[u8], reason: &str) -> Result<Zeroizing<Vec<u8>>>;

    /// What was sealed is not wanted any more, since the secret was sealed anew: a prompt that keeps something
    /// for it lets go of that.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    async fn discard(&self, _sealed: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// A safe place for credentials: a platform keychain, a file, memory.
///
/// Where the place cannot be used, [`CredentialsUnavailable`](Error::CredentialsUnavailable); where it is locked,
/// as a keychain is before a phone is unlocked for the first time, [`CredentialsLocked`](Error::CredentialsLocked);
/// where it is not there any more or can never be read again,
/// [`CredentialInvalidated`](Error::CredentialInvalidated).
#[async_trait]
pub trait CredentialStore: Send + Sync + fmt::Debug {
    /// What was saved under `name`.
    async fn load(&self, name: &str) -> Result<Option<Credentials>>;

    /// Saves under `name`, replacing what was there.
    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()>;

    /// Removes what was saved under `name`.
    async fn clear(&self, name: &str) -> Result<()>;

    /// Whether this place is safer than the one where the rows lie. A plain file beside them says no: a key that
    /// lies there would protect nothing, so that none is made for connected stores.
    fn is_vault(&self) -> bool {
        true
    }
}

/// Runs work that may block, off the async threads where there are others.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => work(),
        Ok(runtime) => runtime.spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Error::CredentialsUnavailable { reason: "the work on them did not finish".into() })
        }),
    }
}
