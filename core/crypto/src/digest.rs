//! SHA-256 and what is built on it: hex digests, keyed digests, key derivation.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use crate::hkdf::hmac_sha256;
use crate::key::Key;

/// SHA-256 (FIPS 180-4) of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 (FIPS 180-4) of `bytes` as 64 lowercase hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// HMAC-SHA-256 (RFC 2104) of `message` under `key` as 64 lowercase hex digits.
pub fn hmac_sha256_hex(key: &Key, message: &[u8]) -> String {
    hex(&hmac_sha256(key.as_bytes(), &[message]))
}

/// SHA-256 of bytes that come in pieces, so that a large file need not be in memory.
#[derive(Clone, Default)]
pub struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    /// The digest of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces, as [`sha256_hex`] of their concatenation.
    pub fn finish_hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256Hasher").finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K and K2 of protocol.md 6.1: bytes counting up from `first`.
    fn counting_key(first: u8) -> Key {
        Key::from_bytes(std::array::from_fn(|i| first + u8::try_from(i).unwrap()))
    }

    #[test]
    fn sha256_of_known_texts() {
        // FIPS 180-4 examples: the empty string and "abc".
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // protocol.md 12.3: the digest in the frame of `hi`.
        assert_eq!(sha256_hex(b"hi"), "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4");
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut hasher = Sha256Hasher::new();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish_hex(), sha256_hex(b"abc"));
    }

    #[test]
    fn durable_file_names_match_the_vectors_of_the_protocol() {
        // protocol.md 12.3.
        let name =
            hmac_sha256_hex(&counting_key(0).derive("interocitor/durable-file-path/v1"), b"receipts/may.pdf");
        assert_eq!(name, "dc7f30c7a571f2057e605f905e4c1bdbef098044741ecadf76ba39b133c01ddf");
        let guard =
            hmac_sha256_hex(&counting_key(1).derive("interocitor/durable-file-guard/v1"), name.as_bytes());
        assert_eq!(guard, "df137a28664f23c68c3155258d0a42287e0d67705d2c43c89a205349756f3206");
    }
}
