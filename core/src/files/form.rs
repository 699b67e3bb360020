//! The two forms in which files lie in a mailbox, and which of them a mesh uses.
//!
//! | form | name | body |
//! |---|---|---|
//! | plain | the path of the app | the content, in an envelope where the mesh is encrypted |
//! | hashed | 64 hex digits, a keyed digest of the path; in a mesh without encryption the path | length, header, content, in an envelope where the mesh is encrypted |
//!
//! Both are read, whichever is written. Older clients know the plain form only, newer ones the hashed only.

use interocitor_crypto::digest::hmac_sha256_hex;

use super::{Files, path::FilePath, sidecar};
use crate::{
    error::Result,
    mailbox::{FileEntry, MailboxErrorKind, MailboxResult},
    store::meta::keys,
    sync::{Codec, Link, device},
    transfer::FileForm,
};

/// Label of the key that hides paths (protocol, 12.3).
const PATH_KEY: &str = "interocitor/durable-file-path/v1";

impl FileForm {
    /// Where a file in this form lies.
    pub(super) fn place(self, link: &Link, path: &FilePath) -> String {
        match (self, &link.codec) {
            (FileForm::Hashed, Codec::Sealed(key)) => {
                link.layout.file(&hmac_sha256_hex(&key.derive(PATH_KEY), path.as_str().as_bytes()))
            }
            _ => link.layout.file(path.as_str()),
        }
    }

    /// This form and the other one, to look for a file in both; where both have one name, only this.
    pub(super) fn and_other(self, link: &Link, path: &FilePath) -> Vec<Self> {
        let other = self.other();
        if self.place(link, path) == other.place(link, path) { vec![self] } else { vec![self, other] }
    }
}

/// Whether a text is a digest in hex, as the name of every file in the hashed form is.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A folder that is missing has nothing in it.
pub(super) fn or_empty<T>(outcome: MailboxResult<Vec<T>>) -> Result<Vec<T>> {
    match outcome {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Files {
    /// The form to write: the configured one, or that of the files which are there, or that of the clients which are.
    pub(super) async fn form(&self, link: &Link) -> Result<FileForm> {
        if let Some(form) = self.settings.form {
            return Ok(form);
        }
        let known = self.ctx.read(|tx| tx.meta(keys::FILE_FORM))?;
        if let Some(form) = known.as_deref().and_then(FileForm::of_text) {
            return Ok(form);
        }
        let form = self.find_form(link).await?;
        self.ctx.write(|tx| tx.set_meta(keys::FILE_FORM, form.text()))?;
        Ok(form)
    }

    async fn find_form(&self, link: &Link) -> Result<FileForm> {
        if link.codec.is_sealed() {
            let folder = link.layout.files();
            let files: Vec<FileEntry> = or_empty(link.adapter.list_files(&folder).await)?;
            if files.iter().any(|file| is_sha256(&file.name)) {
                return Ok(FileForm::Hashed);
            }
            let is_plain = files.iter().any(|file| !file.name.ends_with(sidecar::ENDING))
                || !or_empty(link.adapter.list_folders(&folder).await)?.is_empty();
            if is_plain {
                return Ok(FileForm::Plain);
            }
        }
        if let Some(is_newer) = link.manifest().and_then(|manifest| manifest.is_of_newer()) {
            return Ok(if is_newer { FileForm::Hashed } else { FileForm::Plain });
        }
        // Another kind of client in a mesh that says nothing of its generation may be of the older one.
        let devices = device::list(link).await?;
        let is_ours = devices.iter().all(|record| record.is_native());
        Ok(if is_ours { FileForm::Hashed } else { FileForm::Plain })
    }
}
