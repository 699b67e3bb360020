//! Places for credentials that the engine brings with it, as the other languages get them.

use std::sync::Arc;

use async_trait::async_trait;
use interocitor_core::{
    Passphrase,
    credentials::{CredentialStore as CoreStore, Credentials, FileCredentials},
};
use zeroize::Zeroizing;

use crate::{BiometricPrompt, CredentialStore, Failure, StoredCredentials, runtime::on_runtime};

/// Credentials in a file under a master passphrase.
///
/// # Errors
///
/// `INVALID_ARGUMENT` for an empty master passphrase.
pub fn file_credentials(
    path: String,
    master_passphrase: String,
) -> Result<Arc<dyn CredentialStore>, Failure> {
    let store = FileCredentials::new(path, Zeroizing::new(master_passphrase))?;
    Ok(Arc::new(Place(Arc::new(store))))
}

/// Credentials in the keychain of iOS and macOS.
///
/// # Errors
///
/// `CREDENTIALS_UNAVAILABLE` elsewhere.
pub fn keychain_credentials(
    service: String,
    access_group: Option<String>,
) -> Result<Arc<dyn CredentialStore>, Failure> {
    #[cfg(target_vendor = "apple")]
    {
        let store = interocitor_core::credentials::KeychainCredentials::new(service, access_group);
        Ok(Arc::new(Place(Arc::new(store))))
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        drop((service, access_group));
        let reason = "this platform has no Apple keychain; use another credential store".into();
        Err(interocitor_core::Error::CredentialsUnavailable { reason }.into())
    }
}

/// Face ID and Touch ID over the keychain.
///
/// # Errors
///
/// `BIOMETRICS_UNAVAILABLE` elsewhere.
pub fn keychain_biometrics(
    service: String,
    access_group: Option<String>,
) -> Result<Arc<dyn BiometricPrompt>, Failure> {
    #[cfg(target_vendor = "apple")]
    {
        let prompt = interocitor_core::credentials::KeychainBiometrics::new(service, access_group);
        Ok(Arc::new(apple::Prompt(Arc::new(prompt))))
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        drop((service, access_group));
        let reason = "this platform has no Apple keychain; use the prompt of this platform".into();
        Err(interocitor_core::Error::BiometricsUnavailable { reason }.into())
    }
}

/// A store of the engine. The engine uses it itself where it is configured; the app sees the four fields that stores
/// of apps have, and leaves the rest alone.
struct Place(Arc<dyn CoreStore>);

#[async_trait]
impl CredentialStore for Place {
    async fn load(&self, name: String) -> Result<Option<StoredCredentials>, Failure> {
        let store = Arc::clone(&self.0);
        on_runtime(async move {
            Ok(store.load(&name).await?.map(|saved| StoredCredentials {
                passphrase: saved.passphrase.map(|passphrase| passphrase.expose().to_owned()),
                device_id: saved.device_id,
                mesh_id: saved.mesh_id,
                sealed: saved.sealed,
            }))
        })
        .await
    }

    async fn save(&self, name: String, given: StoredCredentials) -> Result<(), Failure> {
        let store = Arc::clone(&self.0);
        on_runtime(async move {
            let known = store.load(&name).await?.unwrap_or_default();
            let next = Credentials {
                passphrase: given.passphrase.map(Passphrase::from),
                device_id: given.device_id,
                mesh_id: given.mesh_id,
                sealed: given.sealed,
                ..known
            };
            Ok(store.save(&name, &next).await?)
        })
        .await
    }

    async fn clear(&self, name: String) -> Result<(), Failure> {
        let store = Arc::clone(&self.0);
        on_runtime(async move { Ok(store.clear(&name).await?) }).await
    }

    fn of_the_engine(&self) -> Option<Arc<dyn CoreStore>> {
        Some(Arc::clone(&self.0))
    }
}

#[cfg(target_vendor = "apple")]
mod apple {
    use std::sync::Arc;

    use async_trait::async_trait;
    use interocitor_core::credentials::BiometricPrompt as CorePrompt;
    use zeroize::Zeroizing;

    use crate::{BiometricPrompt, Failure, runtime::on_runtime};

    /// The prompt of the engine, which it uses itself where it is configured.
    pub(super) struct Prompt(pub(super) Arc<dyn CorePrompt>);

    #[async_trait]
    impl BiometricPrompt for Prompt {
        async fn seal(&self, secret: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure> {
            let prompt = Arc::clone(&self.0);
            on_runtime(async move { Ok(prompt.seal(Zeroizing::new(secret), &reason).await?) }).await
        }

        async fn unseal(&self, sealed: Vec<u8>, reason: String) -> Result<Vec<u8>, Failure> {
            let prompt = Arc::clone(&self.0);
            on_runtime(async move { Ok(prompt.unseal(&sealed, &reason).await?.to_vec()) }).await
        }

        async fn discard(&self, sealed: Vec<u8>) -> Result<(), Failure> {
            let prompt = Arc::clone(&self.0);
            on_runtime(async move { Ok(prompt.discard(&sealed).await?) }).await
        }

        fn of_the_engine(&self) -> Option<Arc<dyn CorePrompt>> {
            Some(Arc::clone(&self.0))
        }
    }
}
