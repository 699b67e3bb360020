//! The 256-bit secret of a mesh.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hkdf::hkdf_sha256;

/// Length of a key in bytes (AES-256).
pub const KEY_BYTES: usize = 32;

/// HKDF label of [`Key::fingerprint`]. Changing it makes every device prove its key anew.
const FINGERPRINT_INFO: &str = "interocitor/native/key-fingerprint/v1";

/// The secret shared by the devices of one mesh: 32 random bytes, used as they are.
///
/// Wiped from memory when dropped, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// Takes 32 bytes of the caller's random generator, or bytes read back from a keychain.
    ///
    /// The caller's own copy of the bytes is the caller's to wipe.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The raw key. **Secret**: whoever has these bytes reads the whole mesh.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A value that identifies the key without giving it away: HKDF-SHA-256 (RFC 5869) of the key,
    /// empty salt, a label of its own.
    ///
    /// A device stores it to remember "this key was proven against this mesh".
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.derive(FINGERPRINT_INFO).as_bytes()
    }

    /// A key for another purpose: HKDF-SHA-256 (RFC 5869) of this key, empty salt, `info` as label,
    /// 32 bytes out. Different labels give unrelated keys.
    #[must_use]
    pub fn derive(&self, info: &str) -> Self {
        Self(hkdf_sha256(&self.0, info.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl PartialEq for Key {
    /// Takes the same time wherever the keys differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", Key::from_bytes([0x41; 32])), "Key(..)");
    }

    #[test]
    fn equality_looks_at_every_byte() {
        let key = Key::from_bytes([7; 32]);
        assert_eq!(key, key.clone());
        for at in 0..32 {
            let mut bytes = [7; 32];
            bytes[at] ^= 0x80;
            assert_ne!(key, Key::from_bytes(bytes));
        }
    }

    #[test]
    fn wiping_leaves_zeros() {
        let mut key = Key::from_bytes([7; 32]);
        key.zeroize();
        assert_eq!(key.as_bytes(), &[0; 32]);
    }

    #[test]
    fn derivation_matches_the_vectors_of_the_protocol() {
        // protocol.md 12.3: the path key of K.
        let key = Key::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(
            hex::encode(key.derive("interocitor/durable-file-path/v1").as_bytes()),
            "c9d633a1b041e47213e8851b54d1ba6d4608cec38a1f72fa5442fb29dc78771b",
        );
    }

    #[test]
    fn fingerprint_is_stable() {
        // Computed for K with Python's hmac. Devices keep fingerprints, so it may never change.
        let key = Key::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(
            hex::encode(key.fingerprint()),
            "4c3f6023c0b6db2bf10df9bd6c878832f7f5fe8c9168f48bdb04af12b3e1ca4a",
        );
        assert_ne!(Key::from_bytes([1; 32]).fingerprint(), Key::from_bytes([2; 32]).fingerprint());
    }
}
