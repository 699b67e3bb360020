//! The second pass over an envelope, once it is proven.

use std::fmt;

use crate::error::OpenError;
use crate::gcm::Keystream;

/// Decrypts the spooled bytes of an envelope that [`EnvelopeOpener`](crate::EnvelopeOpener) has vouched
/// for.
///
/// It vouched for the bytes as they came in. The spool has to be out of others' reach in between.
pub struct Decryptor {
    keystream: Keystream,
    remaining: u64,
}

impl Decryptor {
    pub(crate) fn new(keystream: Keystream, len: u64) -> Self {
        Self { keystream, remaining: len }
    }

    /// Decrypts the next bytes of the spool in place; pieces of any size, in order.
    ///
    /// # Errors
    ///
    /// [`OpenError::WrongKeyOrCorrupt`] if the spool is longer than what was verified. `bytes` is then
    /// left as it was.
    pub fn apply(&mut self, bytes: &mut [u8]) -> Result<(), OpenError> {
        let remaining = self.remaining.checked_sub(bytes.len() as u64).ok_or(OpenError::WrongKeyOrCorrupt)?;
        self.keystream.apply(bytes).map_err(|_| OpenError::WrongKeyOrCorrupt)?;
        self.remaining = remaining;
        Ok(())
    }

    /// Bytes not yet decrypted; before the first [`apply`](Self::apply), the length of the plaintext.
    /// Not zero when the spool has ended: the spool was cut.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}
