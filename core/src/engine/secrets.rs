//! The passphrase in use, and what it is good for.

use interocitor_crypto::{Key, Passphrase};
use zeroize::Zeroizing;

use super::{Inner, Interocitor};
use crate::{
    config::{Config, StoreLocation},
    credentials::{Credentials, SupersededKey},
    error::{Error, Result},
    events::Event,
    host::ids,
    store::meta::keys,
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
            format!("{}:{}", config.app_name, lasting(&absolute.display().to_string()))
        }
        StoreLocation::Memory => format!("{}::memory:", config.app_name),
    }
}

/// A path without what changes in it: an update of an app gives its containers on iOS other names.
fn lasting(path: &str) -> String {
    for container in ["/Containers/Data/Application/", "/Containers/Shared/AppGroup/"] {
        if let Some((_, rest)) = path.split_once(container)
            && let Some((_, inside)) = rest.split_once('/')
        {
            return format!("{container}{inside}");
        }
    }
    path.to_owned()
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
        self.change_credentials(|saved| saved.passphrase = None).await.map(|_| ())
    }

    /// Saves the passphrase under the store's name, anchored to the mesh once that is known.
    pub(super) async fn persist_credentials(&self, mesh_id: Option<String>) -> Result<()> {
        if mesh_id.is_some() {
            self.secrets().is_generated = false;
        }
        // Without a saved credential there is nothing to be bound to a mesh: the join policy decides.
        if self.config.credentials.is_none() {
            return Ok(());
        }
        if mesh_id.is_some() {
            self.secrets().anchor = mesh_id;
        }
        let (passphrase, anchor, encrypted) = {
            let secrets = self.secrets();
            let passphrase = secrets.passphrase.clone().filter(|_| secrets.encrypted);
            (passphrase, secrets.anchor.clone(), secrets.encrypted)
        };
        let is_saved = self.change_credentials(|saved| self.replace_key(saved, passphrase, anchor)).await?;
        if is_saved {
            let device_id = self.ctx.device_id().into_owned();
            self.ctx.emit(&Event::CredentialsPersisted { device_id, encrypted });
        }
        Ok(())
    }

    /// Puts a key in the place of the one that is saved, which is kept until the user discards it.
    pub(super) fn replace_key(
        &self,
        saved: &mut Credentials,
        passphrase: Option<Passphrase>,
        mesh_id: Option<String>,
    ) {
        if let Some(former) = saved.passphrase.take().filter(|former| Some(former) != passphrase.as_ref()) {
            saved.superseded.retain(|key| key.passphrase != former);
            saved.superseded.push(SupersededKey {
                id: ids::uuid_v4(&*self.ctx.host),
                passphrase: former,
                mesh_id: saved.mesh_id.take(),
                superseded_ms: self.ctx.host.now_ms(),
            });
        }
        saved.superseded.retain(|key| Some(&key.passphrase) != passphrase.as_ref());
        saved.passphrase = passphrase;
        saved.mesh_id = mesh_id;
        saved.device_id = self.ctx.device_id().into_owned();
    }

    /// Changes what is saved for this store; tells whether that was another thing before.
    pub(super) async fn change_credentials(&self, change: impl FnOnce(&mut Credentials)) -> Result<bool> {
        let Some(store) = &self.config.credentials else { return Ok(false) };
        let name = self.credential_name();
        let saved = store.load(&name).await?;
        let mut next = saved.clone().unwrap_or_else(|| self.no_credentials());
        change(&mut next);
        if saved.as_ref() == Some(&next) {
            return Ok(false);
        }
        if !next.is_empty() || next.mesh_id.is_some() {
            store.save(&name, &next).await?;
        } else if saved.is_some() {
            store.clear(&name).await?;
        }
        Ok(true)
    }

    /// What is saved before anything is.
    pub(super) fn no_credentials(&self) -> Credentials {
        Credentials { device_id: self.ctx.device_id().into_owned(), ..Credentials::default() }
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
        self.inner.use_passphrase(Some(passphrase.into()), None)
    }

    /// The passphrases that others took the place of, oldest first: what they opened may still be wanted.
    ///
    /// # Errors
    ///
    /// Those of the credential store.
    pub async fn superseded_keys(&self) -> Result<Vec<SupersededKey>> {
        self.inner.check_open()?;
        Ok(self.inner.saved_credentials().await?.map(|saved| saved.superseded).unwrap_or_default())
    }

    /// Uses such a passphrase from the next [`connect`](Self::connect) on, which must lead to the mesh that it
    /// was of. It is checked there, and only then the two change places.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` while connected, or where there is none with this id; those of the credential store.
    pub async fn restore_superseded_key(&self, id: &str) -> Result<()> {
        let keys = self.superseded_keys().await?;
        let key = keys
            .into_iter()
            .find(|key| key.id == id)
            .ok_or(Error::invalid("superseded key", "there is none with this id"))?;
        self.inner.use_passphrase(Some(key.passphrase), key.mesh_id)
    }

    /// Forgets such a passphrase for good; tells whether it was there.
    ///
    /// # Errors
    ///
    /// Those of the credential store.
    pub async fn discard_superseded_key(&self, id: &str) -> Result<bool> {
        self.inner.check_open()?;
        self.inner.change_credentials(|saved| saved.superseded.retain(|key| key.id != id)).await
    }

    /// The passphrase in use with its mesh, as the JavaScript client keeps them:
    /// `{"passphrase","deviceId","meshId"}`. **Secret.**
    pub fn export_credentials(&self) -> Zeroizing<String> {
        let mesh_id = self.inner.ctx.read(|tx| tx.meta(keys::MESH_ID)).ok().flatten();
        let anchor = self.inner.secrets().anchor.clone();
        Credentials {
            passphrase: self.get_passphrase(),
            mesh_id: mesh_id.or(anchor),
            ..self.inner.no_credentials()
        }
        .export_json()
    }

    /// Takes over what [`export_credentials`](Self::export_credentials) or the JavaScript client wrote, from the
    /// next [`connect`](Self::connect) on, which checks it. The device id stays this store's own.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where it is no such text, or while connected; `PASSPHRASE_WRONG` where what it holds is
    /// no passphrase; `MESH_CREDENTIAL_MISMATCH` where it is of another mesh than this store.
    pub fn import_credentials(&self, json: &str) -> Result<()> {
        self.inner.check_open()?;
        let given = Credentials::from_json(json)?;
        self.inner.check_mesh(given.mesh_id.as_deref())?;
        self.inner.use_passphrase(given.passphrase, given.mesh_id)
    }
}

impl Inner {
    /// Uses a passphrase from the next connect on; `None`: no encryption.
    pub(super) fn use_passphrase(
        &self,
        passphrase: Option<Passphrase>,
        anchor: Option<String>,
    ) -> Result<()> {
        if self.remote().link.is_some() {
            return Err(Error::invalid("passphrase", "disconnect first: a connected mesh keeps its key"));
        }
        let next = Secrets { encrypted: passphrase.is_some(), passphrase, anchor, is_generated: false };
        next.resolve()?;
        *self.secrets() = next;
        Ok(())
    }

    /// A credential that is of another mesh than the store is not used.
    pub(super) fn check_mesh(&self, of: Option<&str>) -> Result<()> {
        let active = self.ctx.read(|tx| tx.meta(keys::MESH_ID))?;
        match (of, active) {
            (Some(stored), Some(active)) if stored != active => {
                Err(Error::MeshCredentialMismatch { stored: stored.to_owned(), active })
            }
            _ => Ok(()),
        }
    }

    /// What is saved for this store.
    pub(super) async fn saved_credentials(&self) -> Result<Option<Credentials>> {
        match &self.config.credentials {
            Some(store) => store.load(&self.credential_name()).await,
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outlast_an_update_of_the_app() {
        let ios = "/private/var/mobile/Containers/Data/Application/6B29FC40-CA47/Library/a.db";
        assert_eq!(lasting(ios), "/Containers/Data/Application/Library/a.db");
        assert_eq!(lasting("/x/Containers/Shared/AppGroup/1/a.db"), "/Containers/Shared/AppGroup/a.db");
        for path in ["/data/user/0/app/a.db", "a.db", "/Containers/Data/Application/x"] {
            assert_eq!(lasting(path), path);
        }
    }
}
