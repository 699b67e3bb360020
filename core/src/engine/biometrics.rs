//! A second copy of the credentials that only the user's face or finger opens.

use zeroize::Zeroizing;

use super::{Inner, Interocitor};
use crate::{
    credentials::{BiometricPrompt, CredentialStore, Credentials},
    error::{Error, Result},
    events::Event,
};

use std::sync::Arc;

impl Inner {
    /// Prompt, store and what is saved there.
    async fn vault(
        &self,
    ) -> Result<(Arc<dyn BiometricPrompt>, Arc<dyn CredentialStore>, Option<Credentials>)> {
        let missing =
            |what: &str| Error::BiometricsUnavailable { reason: format!("no {what} is configured") };
        let prompt = self.config.biometrics.clone().ok_or_else(|| missing("biometric prompt"))?;
        let store = self.config.credentials.clone().ok_or_else(|| missing("credential store"))?;
        let saved = store.load(&self.credential_name()).await?;
        Ok((prompt, store, saved))
    }
}

impl Interocitor {
    /// Keeps a copy of the passphrase that only biometrics open, beside the silent one. It outlives
    /// [`clear_credentials`](Self::clear_credentials). `reason` is shown to the user.
    ///
    /// # Errors
    ///
    /// `BIOMETRICS_UNAVAILABLE`, `USER_CANCELLED`, `PASSPHRASE_REQUIRED` where there is none yet, and those
    /// of the credential store.
    pub async fn secure_with_biometrics(&self, reason: &str) -> Result<()> {
        self.inner.check_open()?;
        let (prompt, store, saved) = self.inner.vault().await?;
        let passphrase = self.get_passphrase().ok_or(Error::PassphraseRequired)?;
        let secret = Zeroizing::new(passphrase.expose().as_bytes().to_vec());
        let sealed = prompt.seal(secret, reason).await?;
        let mut credentials = saved.unwrap_or_else(|| Credentials {
            passphrase: None,
            device_id: self.device_id(),
            mesh_id: None,
            sealed: None,
        });
        credentials.sealed = Some(sealed);
        store.save(&self.inner.credential_name(), &credentials).await
    }

    /// Takes the passphrase from the copy that biometrics open, and saves it silently again. It is used from
    /// the next [`connect`](Self::connect) on. `reason` is shown to the user.
    ///
    /// # Errors
    ///
    /// `BIOMETRICS_UNAVAILABLE` also where nothing was secured, `USER_CANCELLED`, `CREDENTIAL_INVALIDATED`,
    /// `INVALID_ARGUMENT` while connected, and those of the credential store.
    pub async fn restore_with_biometrics(&self, reason: &str) -> Result<()> {
        self.inner.check_open()?;
        let (prompt, store, saved) = self.inner.vault().await?;
        let nothing = || Error::BiometricsUnavailable { reason: "nothing was secured on this device".into() };
        let mut credentials = saved.ok_or_else(nothing)?;
        let sealed = credentials.sealed.as_deref().ok_or_else(nothing)?;
        let secret = prompt.unseal(sealed, reason).await?;
        let text = std::str::from_utf8(&secret).map_err(|_| Error::CredentialInvalidated {
            reason: "what was opened is no passphrase".into(),
        })?;
        self.set_passphrase(text)?;
        credentials.passphrase = self.get_passphrase();
        self.inner.secrets().anchor.clone_from(&credentials.mesh_id);
        store.save(&self.inner.credential_name(), &credentials).await?;
        self.inner.ctx.emit(&Event::CredentialsRestored {
            source: "biometrics",
            device_id_changed: credentials.device_id != self.device_id(),
            had_passphrase: true,
        });
        Ok(())
    }

    /// Forgets the passphrase, here and in the credential store; rows stay. The copy that biometrics
    /// open is kept.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` while connected, and those of the credential store.
    pub async fn clear_credentials(&self) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.remote().link.is_some() {
            return Err(Error::invalid("credentials", "disconnect first: a connected mesh keeps its key"));
        }
        self.inner.forget_secrets();
        let Some(store) = &self.inner.config.credentials else { return Ok(()) };
        let name = self.inner.credential_name();
        match store.load(&name).await? {
            Some(Credentials { sealed: Some(sealed), device_id, mesh_id, .. }) => {
                let left = Credentials { passphrase: None, device_id, mesh_id, sealed: Some(sealed) };
                store.save(&name, &left).await
            }
            _ => store.clear(&name).await,
        }
    }
}
