//! The recovery kit and superseded keys, as values to show.

use interocitor_core::{
    credentials::SupersededKey as CoreKey, host::TokioHost, recovery::RecoveryKit as CoreKit,
};

use crate::{Failure, status::whole};

/// A mesh key for safekeeping.
#[derive(Debug)]
pub struct RecoveryKit(CoreKit);

impl RecoveryKit {
    pub(crate) fn new(kit: CoreKit) -> Self {
        Self(kit)
    }

    /// Reads a kit in any of its forms.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, with what is wrong.
    pub fn parse(text: String) -> Result<Self, Failure> {
        Ok(Self(CoreKit::parse(&text)?))
    }

    /// The passphrase.
    pub fn passphrase(&self) -> String {
        self.0.passphrase().expose().to_owned()
    }

    /// A page to print or to keep.
    pub fn text(&self) -> String {
        self.0.text().to_string()
    }

    /// What a QR code of the kit holds.
    pub fn qr(&self) -> String {
        self.0.qr().to_string()
    }

    /// The 24 words.
    pub fn words(&self) -> Vec<String> {
        self.0.words().into_iter().map(ToOwned::to_owned).collect()
    }

    /// Numbers of words to ask for.
    pub fn quiz(&self, count: u32) -> Vec<u32> {
        let numbers = self.0.quiz(&TokioHost, usize::try_from(count).unwrap_or(usize::MAX));
        numbers.into_iter().filter_map(|number| u32::try_from(number).ok()).collect()
    }

    /// Checks an answer.
    pub fn is_word(&self, number: u32, answer: String) -> bool {
        usize::try_from(number).is_ok_and(|number| self.0.is_word(number, &answer))
    }
}

/// A passphrase that another took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct SupersededKey {
    pub id: String,
    pub mesh_id: Option<String>,
    pub superseded_ms: i64,
}

impl From<CoreKey> for SupersededKey {
    fn from(key: CoreKey) -> Self {
        Self { id: key.id, mesh_id: key.mesh_id, superseded_ms: whole(key.superseded_ms) }
    }
}
