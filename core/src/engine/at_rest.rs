//! The local file at rest: whether it is encrypted, and where its key comes from.
//!
//! The key is made here, at random, and kept in the credential store under a name of its own: it belongs to this
//! copy of the store and to no mesh, and forgetting the mesh's passphrase does not touch it.

use std::fs::File;

use crate::{config::Config, error::Result, store::cipher::Form};

/// How to open the store's file.
pub(super) struct Prepared {
    pub(super) form: Form,
    /// Keeps other processes out until the file is there: two of them must not make a key each.
    pub(super) lock: Option<File>,
}

impl Prepared {
    fn plain() -> Self {
        Self { form: Form::Plain, lock: None }
    }
}

/// Brings the store's file into the form that the configuration asks for, and says how to open it.
#[cfg(not(feature = "sqlcipher"))]
#[expect(clippy::unused_async, reason = "the other build asks the credential store")]
pub(super) async fn prepare(config: &Config) -> Result<Prepared> {
    if config.store_encryption.is_some() {
        let reason = "this build has none: it needs the feature `sqlcipher`";
        return Err(crate::error::Error::invalid("store encryption", reason));
    }
    Ok(Prepared::plain())
}

#[cfg(feature = "sqlcipher")]
pub(super) use sealed::prepare;

#[cfg(feature = "sqlcipher")]
mod sealed {
    use std::{fs::File, path::Path, sync::Arc};

    use interocitor_crypto::Key;

    use super::{Config, Form, Prepared, Result};
    use crate::{
        config::StoreLocation,
        credentials::{CredentialStore, Credentials},
        engine::secrets::credential_name,
        error::Error,
        host::run_blocking,
        store::{
            ASIDE, BEFORE_JOIN,
            sealed::{Found, Seal, convert, look},
        },
    };

    /// In the names of files that were a store, or part of one.
    const COPIES: [&str; 2] = [BEFORE_JOIN, ASIDE];

    /// Brings the store's file into the form that the configuration asks for, and says how to open it.
    pub(in crate::engine) async fn prepare(config: &Config) -> Result<Prepared> {
        let StoreLocation::File(path) = &config.store else { return Ok(Prepared::plain()) };
        let (place, is_wanted) = (path.clone(), config.store_encryption.is_some());
        let entered = run_blocking(&*config.host, move || enter(&place, is_wanted)).await?;
        let Some((lock, found)) = entered else { return Ok(Prepared::plain()) };
        let locked = || Error::StoreLocked { path: path.display().to_string() };
        let keys = match &config.credentials {
            Some(store) if config.store_encryption.is_some() && !store.is_vault() => {
                let reason = "its key would lie beside the store and protect nothing: use a keychain";
                return Err(Error::invalid("store encryption", reason));
            }
            Some(store) => Keys { store: Arc::clone(store), name: key_name(config) },
            None if config.store_encryption.is_some() => {
                return Err(Error::invalid("store encryption", "it needs a credential store for its key"));
            }
            None => return Err(locked()),
        };
        let key = match (keys.load().await?, found) {
            (Some(key), _) => key,
            // Never a new key for a file that another one sealed.
            (None, Found::Sealed { .. }) => return Err(locked()),
            (None, Found::Nothing | Found::Plain) => keys.make(config).await?,
        };
        let seal = |plaintext_header| Form::Sealed(Seal { key: key.clone(), plaintext_header });
        let wanted =
            config.store_encryption.as_ref().map_or(Form::Plain, |wanted| seal(wanted.plaintext_header));
        let present = match found {
            Found::Nothing => return Ok(Prepared { form: wanted, lock }),
            Found::Plain => Form::Plain,
            Found::Sealed { plaintext_header } => seal(plaintext_header),
        };
        if present != wanted {
            let (path, to) = (path.clone(), wanted.clone());
            run_blocking(&*config.host, move || convert(&path, &present, &to)).await?;
        }
        Ok(Prepared { form: wanted, lock })
    }

    /// Looks at the file, with others kept out; `None` where it is plain and is to stay so.
    fn enter(path: &Path, is_wanted: bool) -> Result<Option<(Option<File>, Found)>> {
        if !is_wanted && !matches!(look(path)?, Found::Sealed { .. }) {
            return Ok(None);
        }
        let lock = lock(path)?;
        Ok(Some((lock, look(path)?)))
    }

    /// Waits until no other process prepares the same file. Where files cannot be locked nobody is waited for.
    fn lock(path: &Path) -> Result<Option<File>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".at-rest");
        let file = File::create(&name).map_err(|error| Error::StoreOpen {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(file.lock().is_ok().then_some(file))
    }

    /// What the key is kept under. A copy that was made of a store, or a store that was moved aside, has its key.
    fn key_name(config: &Config) -> String {
        let name = credential_name(config);
        // In the file's own name: a folder may be called anything.
        let file = name.rfind(std::path::is_separator).unwrap_or(0);
        let mark = COPIES.iter().filter_map(|mark| name[file..].find(mark)).min();
        let store = mark.map_or(&*name, |at| &name[..file + at]);
        format!("{store}:store-key")
    }

    /// Where the key of this store is kept.
    struct Keys {
        store: Arc<dyn CredentialStore>,
        name: String,
    }

    impl Keys {
        async fn load(&self) -> Result<Option<Key>> {
            Ok(self.store.load(&self.name).await?.and_then(|saved| saved.local_key))
        }

        /// Makes a key, and keeps it before it is used.
        async fn make(&self, config: &Config) -> Result<Key> {
            let mut bytes = zeroize::Zeroizing::new([0; 32]);
            config.host.random(&mut *bytes);
            let key = Key::from_bytes(*bytes);
            let record = Credentials { local_key: Some(key.clone()), ..Credentials::default() };
            self.store.save(&self.name, &record).await?;
            Ok(key)
        }
    }
}
