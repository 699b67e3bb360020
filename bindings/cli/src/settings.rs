//! What a store remembers between runs, in a file beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Outcome},
    places, private_file,
};

/// `<store>.settings`. The address of the mailbox may hold a password, so the file is 0600 too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    pub(crate) mailbox: Option<String>,
    pub(crate) remote_path: Option<String>,
    pub(crate) encrypted: bool,
    pub(crate) device_name: Option<String>,
    pub(crate) replicas: Vec<ReplicaSettings>,
}

/// One more mailbox that is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaSettings {
    pub(crate) name: String,
    pub(crate) mailbox: String,
    pub(crate) mirror: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mailbox: None, remote_path: None, encrypted: true, device_name: None, replicas: Vec::new() }
    }
}

impl Settings {
    /// Those of a store; the defaults where none were saved.
    pub(crate) fn load(store: &Path) -> Outcome<Self> {
        let path = file(store);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("the settings file", &path, &error)),
        };
        // The reason of a JSON error could show a part of the address.
        serde_json::from_str(&text).map_err(|_| {
            Failure::invalid(format!(
                "the settings file {} is damaged: remove it and give the options once more",
                path.display()
            ))
        })
    }

    /// Remembers them.
    pub(crate) fn save(&self, store: &Path) -> Outcome<()> {
        let path = file(store);
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        private_file::write(&path, &text).map_err(|error| Failure::file("the settings file", &path, &error))
    }
}

fn file(store: &Path) -> PathBuf {
    places::beside(store, "settings")
}
