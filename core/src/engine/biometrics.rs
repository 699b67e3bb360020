//! A second copy of the credentials that only the user's face or finger opens.

use std::sync::Arc;

use interocitor_crypto::Passphrase;
use zeroize::Zeroizing;

use super::{Inner, Interocitor};
use crate::{
    credentials::{BiometricPrompt, Credentials},
    error::{Error, Result},
    events::Event,
};

impl Inner {
    /// The prompt; both it and a credential store are needed.
    fn prompt(&self) -> Result<Arc<dyn BiometricPrompt>> {
        let missing =
            |what: &str| Error::BiometricsUnavailable { reason: format!("no {what} is configured") };
        let prompt = self.config.biometrics.clone().ok_or_else(|| missing("biometric prompt"))?;
        if self.config.credentials.is_none() {
            return Err(missing("credential store"));
        }
        Ok(prompt)
    }

    /// The copy that was secured.
    async fn sealed_copy(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.saved_credentials().await?.and_then(|saved| saved.sealed))
    }
}

impl Interocitor {
    /// Whether there is a copy that [`restore_with_biometrics`](Self::restore_with_biometrics) could open.
    ///
    /// # Errors
    ///
    /// Those of the credential store.
    pub async fn is_secured_with_biometrics(&self) -> Result<bool> {
        self.inner.check_open()?;
        Ok(self.inner.sealed_copy().await?.is_some())
    }

    /// Keeps a copy of the passphrase that only biometrics open, beside the silent one, and in the place of an
    /// older copy. It outlives [`clear_credentials`](Self::clear_credentials). `reason` is shown to the user.
    ///
    /// # Errors
    ///
    /// `BIOMETRICS_UNAVAILABLE`, `BIOMETRICS_NOT_ENROLLED`, `BIOMETRICS_LOCKED_OUT`, `USER_CANCELLED`,
    /// `PASSPHRASE_REQUIRED` where there is none yet, and those of the credential store.
    pub async fn secure_with_biometrics(&self, reason: &str) -> Result<()> {
        let inner = &self.inner;
        inner.check_open()?;
        let prompt = inner.prompt()?;
        let former = inner.sealed_copy().await?;
        if self.get_passphrase().is_none() {
            return Err(Error::PassphraseRequired);
        }
        let secret = Zeroizing::new(self.export_credentials().as_bytes().to_vec());
        let sealed = prompt.seal(secret, reason).await?;
        inner.change_credentials(|saved| saved.sealed = Some(sealed)).await?;
        if let Some(former) = former {
            // The copy that counts is saved: what is left of the older one does no harm.
            let _ = prompt.discard(&former).await;
        }
        Ok(())
    }

    /// Takes the passphrase from the copy that biometrics open, and saves it silently again. It is used from
    /// the next [`connect`](Self::connect) on. `reason` is shown to the user.
    ///
    /// Where the copy can never be opened again (`CREDENTIAL_INVALIDATED`) it is forgotten: with the passphrase at
    /// hand, [`secure_with_biometrics`](Self::secure_with_biometrics) makes another.
    ///
    /// # Errors
    ///
    /// `BIOMETRICS_UNAVAILABLE` also where nothing was secured, `BIOMETRICS_NOT_ENROLLED`, `BIOMETRICS_LOCKED_OUT`,
    /// `USER_CANCELLED`, `CREDENTIAL_INVALIDATED`, `MESH_CREDENTIAL_MISMATCH` where the copy is of another mesh than
    /// this store, `INVALID_ARGUMENT` while connected, and those of the credential store.
    pub async fn restore_with_biometrics(&self, reason: &str) -> Result<()> {
        let inner = &self.inner;
        inner.check_open()?;
        let prompt = inner.prompt()?;
        let saved = inner.saved_credentials().await?;
        let saved =
            saved.and_then(|saved| saved.sealed.map(|sealed| (sealed, saved.device_id, saved.mesh_id)));
        let Some((sealed, device_id, mesh_id)) = saved else {
            return Err(Error::BiometricsUnavailable { reason: "nothing was secured on this device".into() });
        };
        let secret = match prompt.unseal(&sealed, reason).await {
            Err(error @ Error::CredentialInvalidated { .. }) => {
                inner.change_credentials(|saved| saved.sealed = None).await?;
                return Err(error);
            }
            outcome => outcome?,
        };
        let unreadable =
            || Error::CredentialInvalidated { reason: "what was opened is no passphrase".into() };
        let text = std::str::from_utf8(&secret).map_err(|_| unreadable())?;
        let copy = match Credentials::from_json(text) {
            Ok(copy) => copy,
            // The first version sealed the bare passphrase.
            Err(_) => {
                Credentials { passphrase: Some(Passphrase::from(text)), mesh_id, ..inner.no_credentials() }
            }
        };
        let passphrase = copy.passphrase.ok_or_else(unreadable)?;
        inner.check_mesh(copy.mesh_id.as_deref())?;
        inner.use_passphrase(Some(passphrase.clone()), copy.mesh_id.clone())?;
        inner.change_credentials(|saved| inner.replace_key(saved, Some(passphrase), copy.mesh_id)).await?;
        inner.ctx.emit(&Event::CredentialsRestored {
            source: "biometrics",
            device_id_changed: device_id != self.device_id(),
            had_passphrase: true,
        });
        Ok(())
    }

    /// Forgets the passphrase, here and in the credential store; rows stay. The copy that biometrics open, keys
    /// that others took the place of and connected stores are kept.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` while connected, and those of the credential store.
    pub async fn clear_credentials(&self) -> Result<()> {
        let inner = &self.inner;
        inner.check_open()?;
        if inner.remote().link.is_some() {
            return Err(Error::invalid("credentials", "disconnect first: a connected mesh keeps its key"));
        }
        inner.forget_secrets();
        inner
            .change_credentials(|saved| {
                saved.passphrase = None;
                if saved.sealed.is_none() {
                    saved.mesh_id = None;
                }
            })
            .await
            .map(|_| ())
    }
}
