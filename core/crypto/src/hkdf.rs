//! HMAC-SHA-256 (RFC 2104) and the key derivations that are needed (RFC 5869, RFC 8018).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Block length of SHA-256 in bytes, to which HMAC pads its key (RFC 2104).
const BLOCK: usize = 64;

/// HKDF-SHA-256 (RFC 5869) with empty salt and 32 bytes of output.
///
/// Written out because one block of output needs two HMACs and cannot fail, while a general
/// implementation returns a length error that the callers could do nothing with.
pub(crate) fn hkdf_sha256(secret: &[u8; 32], info: &[u8]) -> [u8; 32] {
    let extracted = Zeroizing::new(hmac_sha256(&[0; 32], &[secret]));
    hmac_sha256(&extracted, &[info, &[1]])
}

/// PBKDF2 (RFC 8018, section 5.2) with HMAC-SHA-256 and one block of output, 32 bytes.
pub(crate) fn pbkdf2_sha256(password: &[u8; 32], salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut round = hmac_sha256(password, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = round;
    for _ in 1..rounds {
        round = hmac_sha256(password, &[&round]);
        for (sum, byte) in sum.iter_mut().zip(round) {
            *sum ^= byte;
        }
    }
    sum
}

/// HMAC of the concatenated `parts`. A key shorter than a block is padded with zeros, as HMAC would.
pub(crate) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut padded = Zeroizing::new([0; BLOCK]);
    padded[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*padded).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
