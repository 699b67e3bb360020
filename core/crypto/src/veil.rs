//! A cipher for bodies that a device keeps for itself: hidden, as long as they were, readable from anywhere.

use std::fmt;

use crate::error::SealError;
use crate::gcm::{self, IV_BYTES, Keystream};
use crate::key::Key;

/// Hides or shows one body that is kept under a key of its own: AES-256 in counter mode.
///
/// It hides and does not prove: whoever keeps the body keeps its digest as well, and checks it. One key must never
/// serve two bodies. Hiding and showing are the same.
///
/// ```
/// use interocitor_crypto::{Key, Veil};
///
/// let key = Key::from_bytes([7; 32]);
/// let mut body = *b"a body";
/// Veil::new(&key).apply(&mut body)?;
/// assert_ne!(&body, b"a body");
/// let mut veil = Veil::new(&key);
/// for piece in body.chunks_mut(4) {
///     veil.apply(piece)?;
/// }
/// assert_eq!(&body, b"a body");
/// # Ok::<(), interocitor_crypto::SealError>(())
/// ```
pub struct Veil(Keystream);

impl Veil {
    /// Stands at the first byte of the body.
    pub fn new(key: &Key) -> Self {
        // The key serves this body alone, so that the vector need not differ from others.
        Self(gcm::start(key, [0; IV_BYTES]).0)
    }

    /// Hides or shows the next bytes in place; pieces of any size, in order.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`] beyond 64 GiB. `bytes` is then left as it was.
    pub fn apply(&mut self, bytes: &mut [u8]) -> Result<(), SealError> {
        self.0.apply(bytes).map_err(|_| SealError::TooLong)
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veil(..)")
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};

    use super::*;

    #[test]
    fn it_is_the_ciphertext_of_gcm_without_its_tag() {
        let key = Key::from_bytes([9; 32]);
        let mut body = vec![0x5a; 1000];
        let mut veil = Veil::new(&key);
        let (head, rest) = body.split_at_mut(33);
        veil.apply(head).unwrap();
        veil.apply(rest).unwrap();
        let cipher = Aes256Gcm::new(&(*key.as_bytes()).into());
        let sealed = cipher.encrypt(&[0; IV_BYTES].into(), &*vec![0x5a; 1000]).unwrap();
        assert_eq!(body, sealed[..1000]);
    }
}
