//! A short secret, sealed for one other device: AES-256-GCM with additional data, without an envelope.

use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::gcm::{self, IV_BYTES, TAG_BYTES};
use crate::key::Key;

/// The ciphertext of `plaintext` followed by its tag. `additional` is proven by the tag and not contained.
pub fn seal(
    key: &Key,
    iv: [u8; IV_BYTES],
    additional: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (mut keystream, mut authenticator) = gcm::start(key, iv);
    authenticator.bind(additional);
    let mut sealed = Vec::with_capacity(plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(plaintext);
    keystream.apply(&mut sealed).map_err(|_| SealError::TooLong)?;
    authenticator.update(&sealed).map_err(|_| SealError::TooLong)?;
    sealed.extend_from_slice(&authenticator.tag());
    Ok(sealed)
}

/// The plaintext of what [`seal`] made, wiped when dropped. Nothing is decrypted before the tag is verified.
pub fn open(
    key: &Key,
    iv: [u8; IV_BYTES],
    additional: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let Some((ciphertext, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else {
        return Err(OpenError::NotAnEnvelope { reason: "shorter than its tag" });
    };
    let (mut keystream, mut authenticator) = gcm::start(key, iv);
    authenticator.bind(additional);
    authenticator.update(ciphertext).map_err(|_| OpenError::WrongKeyOrCorrupt)?;
    if !authenticator.verify(tag) {
        return Err(OpenError::WrongKeyOrCorrupt);
    }
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    keystream.apply(&mut plaintext).map_err(|_| OpenError::WrongKeyOrCorrupt)?;
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use aes_gcm::Aes256Gcm;
    use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_one_shot_implementation(
            key: [u8; 32],
            iv: [u8; 12],
            aad in proptest::collection::vec(any::<u8>(), 0..100),
            msg in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let wanted = Aes256Gcm::new(&key.into()).encrypt(&iv.into(), Payload { msg: &msg, aad: &aad }).unwrap();
            let key = Key::from_bytes(key);
            prop_assert_eq!(&seal(&key, iv, &aad, &msg).unwrap(), &wanted);
            prop_assert_eq!(&*open(&key, iv, &aad, &wanted).unwrap(), &msg);
        }

        #[test]
        fn one_bit_anywhere_is_noticed(at: prop::sample::Index, bit in 0..8) {
            let key = Key::from_bytes([7; 32]);
            let mut sealed = seal(&key, [1; 12], b"bound", b"secret").unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert_eq!(open(&key, [1; 12], b"bound", &sealed), Err(OpenError::WrongKeyOrCorrupt));
        }
    }

    #[test]
    fn the_additional_data_and_the_length_count() {
        let key = Key::from_bytes([7; 32]);
        let sealed = seal(&key, [1; 12], b"bound", b"secret").unwrap();
        for other in [&b"bounD"[..], b"bound\0", b""] {
            assert_eq!(open(&key, [1; 12], other, &sealed), Err(OpenError::WrongKeyOrCorrupt));
        }
        let refused = open(&key, [1; 12], b"", &[0; 15]);
        assert_eq!(refused, Err(OpenError::NotAnEnvelope { reason: "shorter than its tag" }));
    }
}
