//! The credential of one store in a file beside it, for machines without a keychain.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use interocitor_core::{
    Error, Passphrase, Result,
    credentials::{CredentialStore, Credentials},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{places, private_file};

/// `<store>.credentials`, mode 0600.
#[derive(Debug)]
pub(crate) struct FileCredentials {
    path: PathBuf,
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    passphrase: Option<Zeroizing<String>>,
    device_id: String,
    mesh_id: Option<String>,
}

impl FileCredentials {
    /// Those of a store.
    pub(crate) fn of(store: &Path) -> Self {
        Self { path: places::beside(store, "credentials") }
    }

    /// Where they lie.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn fault(&self, reason: impl std::fmt::Display) -> Error {
        Error::InvalidArgument {
            what: "the saved credential",
            reason: format!("{}: {reason}", self.path.display()),
        }
    }
}

/// The passphrase in the text of a credentials file.
pub(crate) fn passphrase_in(text: &str) -> Option<Passphrase> {
    let saved: Saved = serde_json::from_str(text).ok()?;
    saved.passphrase.map(|passphrase| Passphrase::from(passphrase.as_str()))
}

// One file belongs to one store, so the names that the engine saves under say nothing new.
#[async_trait]
impl CredentialStore for FileCredentials {
    async fn load(&self, _name: &str) -> Result<Option<Credentials>> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(error)),
        };
        // The reason of a JSON error could show a part of the passphrase.
        let saved: Saved = serde_json::from_str(&text).map_err(|_| {
            self.fault("the file is damaged; remove it and give --passphrase-file FILE once more")
        })?;
        Ok(Some(Credentials {
            passphrase: saved.passphrase.map(|passphrase| Passphrase::from(passphrase.as_str())),
            device_id: saved.device_id,
            mesh_id: saved.mesh_id,
            // A terminal has no biometrics.
            sealed: None,
        }))
    }

    async fn save(&self, _name: &str, credentials: &Credentials) -> Result<()> {
        let saved = Saved {
            passphrase: credentials
                .passphrase
                .as_ref()
                .map(|passphrase| Zeroizing::new(passphrase.expose().to_owned())),
            device_id: credentials.device_id.clone(),
            mesh_id: credentials.mesh_id.clone(),
        };
        let mut text = Zeroizing::new(serde_json::to_vec(&saved).map_err(|error| self.fault(error))?);
        text.push(b'\n');
        private_file::write(&self.path, &text).map_err(|error| self.fault(error))
    }

    async fn clear(&self, _name: &str) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_saved_is_loaded_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let file = FileCredentials::of(&folder.path().join("a.db"));
        assert_eq!(file.load("x").await.unwrap(), None);
        let credentials = Credentials {
            passphrase: Some("s3cret".into()),
            device_id: "d".into(),
            mesh_id: Some("mesh_1".into()),
            sealed: None,
        };
        file.save("x", &credentials).await.unwrap();
        assert_eq!(file.load("x").await.unwrap(), Some(credentials));
        assert_eq!(passphrase_in(&std::fs::read_to_string(file.path()).unwrap()), Some("s3cret".into()));
        file.clear("x").await.unwrap();
        file.clear("x").await.unwrap();
        assert_eq!(file.load("x").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = FileCredentials::of(&folder.path().join("a.db"));
        std::fs::write(file.path(), "{\"passphrase\": s3cret").unwrap();
        let error = file.load("x").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
