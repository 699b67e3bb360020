//! The passphrase in use, and what it is good for.

use interocitor_crypto::{Key, Passphrase};

use super::{Inner, Interocitor};
use crate::{
    config::{Config, StoreLocation},
    credentials::Credentials,
    error::{Error, Result},
    events::Event,
    sync::Codec,
};

/// The secrets of one handle.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    pub(super) encrypted: bool,
    pub(super) passphrase: Option<Passphrase>,
    /// Mesh that the credential was saved for, where it came from the credential store.
    pub(super) anchor: Option<String>,
    /// Whether the passphrase was made here, for a mesh that is not founded yet.
    pub(super) is_generated: bool,
}

/// How a key was found.
pub(super) struct Resolved {
    pub(super) codec: Codec,
    /// It is spelled as B10 accepts it, not as a passphrase is: a mesh has to prove it.
    pub(super) must_prove: bool,
}

impl Secrets {
    /// The codec that the passphrase gives; `None` where there is none and one is needed.
    pub(super) fn resolve(&self) -> Result<Option<Resolved>> {
        if !self.encrypted {
            return Ok(Some(Resolved { codec: Codec::Plain, must_prove: false }));
        }
        let Some(passphrase) = &self.passphrase else { return Ok(None) };
        match passphrase.to_key() {
            Ok(key) => Ok(Some(Resolved { codec: Codec::Sealed(key), must_prove: false })),
            Err(strict) => match passphrase.to_key_lenient() {
                Ok(key) => Ok(Some(Resolved { codec: Codec::Sealed(key), must_prove: true })),
                Err(_) => Err(Error::PassphraseWrong { reason: strict.to_string() }),
            },
        }
    }
}

/// What the credentials of a store are saved under.
pub(super) fn credential_name(config: &Config) -> String {
    match &config.store {
        StoreLocation::File(path) => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            format!("{}:{}", config.app_name, absolute.display())
        }
        StoreLocation::Memory => format!("{}::memory:", config.app_name),
    }
}

impl Inner {
    /// Makes a key for a mesh that is about to be founded, and saves it before it is used.
    pub(super) async fn generate_key(&self) -> Result<()> {
        let mut bytes = [0; 32];
        self.ctx.host.random(&mut bytes);
        let key = Key::from_bytes(bytes);
        let passphrase = key.to_passphrase();
        {
            let mut secrets = self.secrets();
            secrets.passphrase = Some(passphrase);
            secrets.is_generated = true;
        }
        self.ctx.emit(&Event::EncryptionResolved { strategy: "generated", encrypted: true });
        self.persist_credentials(None).await
    }

    /// Drops a key that was made for a mesh which somebody else founded.
    pub(super) async fn forget_generated_key(&self) -> Result<()> {
        {
            let mut secrets = self.secrets();
            if !std::mem::replace(&mut secrets.is_generated, false) {
                return Ok(());
            }
            secrets.passphrase = None;
        }
        match &self.config.credentials {
            Some(store) => store.clear(&self.credential_name()).await,
            None => Ok(()),
        }
    }

    /// Saves the passphrase under the store's name, anchored to the mesh once that is known.
    pub(super) async fn persist_credentials(&self, mesh_id: Option<String>) -> Result<()> {
        if mesh_id.is_some() {
            self.secrets().is_generated = false;
        }
        // Without a saved credential there is nothing to be bound to a mesh: the join policy decides.
        let Some(store) = self.config.credentials.clone() else { return Ok(()) };
        if mesh_id.is_some() {
            self.secrets().anchor = mesh_id;
        }
        let (credentials, encrypted) = {
            let secrets = self.secrets();
            let credentials = Credentials {
                passphrase: secrets.passphrase.clone().filter(|_| secrets.encrypted),
                device_id: self.ctx.device_id().into_owned(),
                mesh_id: secrets.anchor.clone(),
                sealed: None,
            };
            (credentials, secrets.encrypted)
        };
        let name = self.credential_name();
        let saved = store.load(&name).await?;
        let sealed = saved.as_ref().and_then(|saved| saved.sealed.clone());
        let credentials = Credentials { sealed, ..credentials };
        if saved.as_ref() == Some(&credentials) {
            return Ok(());
        }
        store.save(&name, &credentials).await?;
        self.ctx.emit(&Event::CredentialsPersisted { device_id: credentials.device_id, encrypted });
        Ok(())
    }

    /// Forgets the passphrase in memory.
    pub(super) fn forget_secrets(&self) {
        let mut secrets = self.secrets();
        *secrets = Secrets { encrypted: secrets.encrypted, ..Secrets::default() };
    }

    /// What the credentials of this store are saved under.
    pub(super) fn credential_name(&self) -> String {
        credential_name(&self.config)
    }
}

impl Interocitor {
    /// The mesh passphrase in use; `None` where there is none yet or the mesh is not encrypted. Treat
    /// it as what it is: everything.
    pub fn get_passphrase(&self) -> Option<Passphrase> {
        let secrets = self.inner.secrets();
        secrets.passphrase.clone().filter(|_| secrets.encrypted)
    }

    /// Uses another passphrase from the next [`connect`](Self::connect) on. It is checked against the
    /// mesh there, and saved only when it opens it.
    ///
    /// # Errors
    ///
    /// `PASSPHRASE_WRONG` where the text cannot be a passphrase at all; `INVALID_ARGUMENT` while
    /// connected.
    pub fn set_passphrase(&self, passphrase: impl Into<Passphrase>) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.remote().link.is_some() {
            return Err(Error::invalid("passphrase", "disconnect first: a connected mesh keeps its key"));
        }
        let mut secrets = self.inner.secrets();
        let next = Secrets { encrypted: true, passphrase: Some(passphrase.into()), ..Secrets::default() };
        next.resolve()?;
        *secrets = next;
        Ok(())
    }
}
