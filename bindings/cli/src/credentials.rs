//! The credential of one store in a file beside it, for machines without a keychain.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use interocitor_core::{
    Error, Passphrase, Result,
    credentials::{CredentialStore, Credentials},
};
use zeroize::Zeroizing;

use crate::{places, private_file};

/// `<store>.credentials`, mode 0600.
#[derive(Debug)]
pub(crate) struct FileCredentials {
    path: PathBuf,
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
    Credentials::from_json(text).ok()?.passphrase
}

// One file belongs to one store, so the names that the engine saves under say nothing new.
#[async_trait]
impl CredentialStore for FileCredentials {
    fn is_vault(&self) -> bool {
        false
    }

    async fn load(&self, _name: &str) -> Result<Option<Credentials>> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(error)),
        };
        let damaged =
            |_| self.fault("the file is damaged; remove it and give --passphrase-file FILE once more");
        Credentials::from_json(&text).map(Some).map_err(damaged)
    }

    async fn save(&self, _name: &str, credentials: &Credentials) -> Result<()> {
        let mut text = credentials.to_json();
        text.push('\n');
        private_file::write(&self.path, text.as_bytes()).map_err(|error| self.fault(error))
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
            ..Credentials::default()
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
