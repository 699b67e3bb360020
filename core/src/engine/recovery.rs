//! The recovery kit of the key in use, and a key from one.

use super::Interocitor;
use crate::{
    error::{Error, Result},
    recovery::RecoveryKit,
    store::meta::keys,
};

impl Interocitor {
    /// The key in use, to be written down, printed or shown as a QR code.
    ///
    /// # Errors
    ///
    /// `PASSPHRASE_REQUIRED` where there is no key yet, or the mesh is not encrypted; those of the store.
    pub fn recovery_kit(&self) -> Result<RecoveryKit> {
        self.inner.check_open()?;
        let passphrase = self.get_passphrase().ok_or(Error::PassphraseRequired)?;
        // A key of an old mesh may be spelled otherwise; its bytes are what counts.
        let key = passphrase
            .to_key_lenient()
            .map_err(|error| Error::PassphraseWrong { reason: error.to_string() })?;
        let mesh_id = self.inner.ctx.read(|tx| tx.meta(keys::MESH_ID))?;
        Ok(RecoveryKit::new(key, mesh_id))
    }

    /// Uses the key of a recovery kit from the next [`connect`](Self::connect) on: its text, the content of its QR
    /// code, or its words. It is checked against the mesh there, and saved only when it opens it.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the text holds no key, which says what is wrong with it, or while connected.
    pub fn recover(&self, text: &str) -> Result<()> {
        self.inner.check_open()?;
        let kit = RecoveryKit::parse(text)?;
        self.inner.use_passphrase(Some(kit.passphrase()), None)
    }
}
