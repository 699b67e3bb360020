//! AES-256-GCM (NIST SP 800-38D) taken apart, so that the bytes may come in pieces.
//!
//! Only what is needed: 12-byte initialisation vectors, 16-byte tags, additional data in one piece.
//! The two halves stand alone because opening authenticates everything first and decrypts later.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, InnerIvInit as _, KeyInit as _, StreamCipher as _};
use ctr::{Ctr32BE, CtrCore};
use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::key::Key;

/// Length of the initialisation vector in bytes.
pub(crate) const IV_BYTES: usize = 12;

/// Length of the tag in bytes.
pub(crate) const TAG_BYTES: usize = 16;

/// Length of a block of AES and of GHASH in bytes.
const BLOCK: usize = 16;

/// The longest plaintext in bytes (SP 800-38D, 5.2.1.1: 2^39 - 256 bits): beyond it the 32-bit counter
/// would repeat.
pub(crate) const MAX_BYTES: u64 = (1 << 36) - 32;

/// More bytes than one initialisation vector may serve.
#[derive(Debug)]
pub(crate) struct TooLong;

/// The half that hides: AES in counter mode.
///
/// Boxed, as is the other half, so that moving it leaves no copies of the key schedule behind.
pub(crate) struct Keystream(Box<Ctr32BE<Aes256>>);

/// The half that proves: GHASH over the ciphertext, masked at the end.
pub(crate) struct Authenticator {
    ghash: Box<GHash>,
    mask: Zeroizing<[u8; BLOCK]>,
    /// Bytes not yet hashed because they do not fill a block: the first `pending` of `partial`.
    partial: [u8; BLOCK],
    pending: usize,
    bytes: u64,
    additional: u64,
}

/// Both halves for one message. The keystream stands at the first byte of the text.
pub(crate) fn start(key: &Key, iv: [u8; IV_BYTES]) -> (Keystream, Authenticator) {
    let aes = Aes256::new(key.as_bytes().into());

    // The hash key H is the encryption of a zero block.
    let mut hash_key = ghash::Key::default();
    aes.encrypt_block(&mut hash_key);
    let ghash = Box::new(GHash::new(&hash_key));
    hash_key.zeroize();

    // J0 is the vector followed by a 32-bit 1. Its own encryption masks the tag; the text starts at the
    // next counter value, where drawing the mask leaves the stream.
    let mut first = [0; BLOCK];
    first[..IV_BYTES].copy_from_slice(&iv);
    first[BLOCK - 1] = 1;
    let mut stream = Box::new(Ctr32BE::from_core(CtrCore::inner_iv_init(aes, &first.into())));
    let mut mask = Zeroizing::new([0; BLOCK]);
    stream.apply_keystream(mask.as_mut_slice());

    let authenticator =
        Authenticator { ghash, mask, partial: [0; BLOCK], pending: 0, bytes: 0, additional: 0 };
    (Keystream(stream), authenticator)
}

impl Keystream {
    /// Encrypts or decrypts the next bytes in place. Leaves them alone on error.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) -> Result<(), TooLong> {
        self.0.try_apply_keystream(bytes).map_err(|_| TooLong)
    }
}

impl Authenticator {
    /// Proves data that is not part of the message, too. To be called once, before any ciphertext.
    pub(crate) fn bind(&mut self, additional: &[u8]) {
        self.ghash.update_padded(additional);
        self.additional = additional.len() as u64;
    }

    /// Takes in the next bytes of ciphertext.
    pub(crate) fn update(&mut self, mut ciphertext: &[u8]) -> Result<(), TooLong> {
        let bytes = self.bytes.saturating_add(ciphertext.len() as u64);
        if bytes > MAX_BYTES {
            return Err(TooLong);
        }
        self.bytes = bytes;
        if self.pending > 0 {
            let (head, rest) = ciphertext.split_at(ciphertext.len().min(BLOCK - self.pending));
            self.partial[self.pending..self.pending + head.len()].copy_from_slice(head);
            self.pending += head.len();
            if self.pending < BLOCK {
                return Ok(());
            }
            self.ghash.update_padded(&self.partial);
            ciphertext = rest;
        }
        let (whole, rest) = ciphertext.split_at(ciphertext.len() - ciphertext.len() % BLOCK);
        self.ghash.update_padded(whole);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.pending = rest.len();
        Ok(())
    }

    /// Length of the ciphertext so far, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The tag of the ciphertext so far.
    pub(crate) fn tag(mut self) -> [u8; TAG_BYTES] {
        self.ghash.update_padded(&self.partial[..self.pending]);
        // The last block: bit lengths of the additional data and of the ciphertext.
        let mut lengths = ghash::Block::default();
        lengths[..BLOCK / 2].copy_from_slice(&self.additional.saturating_mul(8).to_be_bytes());
        lengths[BLOCK / 2..].copy_from_slice(&(self.bytes * 8).to_be_bytes());
        self.ghash.update(&[lengths]);
        // A clone is consumed, so that the boxed original is wiped where it stands.
        let mut tag: [u8; TAG_BYTES] = self.ghash.as_ref().clone().finalize().into();
        for (byte, mask) in tag.iter_mut().zip(self.mask.iter()) {
            *byte ^= mask;
        }
        tag
    }

    /// Whether `tag` is the tag of the ciphertext so far, in constant time.
    pub(crate) fn verify(self, tag: &[u8; TAG_BYTES]) -> bool {
        self.tag().ct_eq(tag).into()
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::Aes256Gcm;
    use aes_gcm::aead::{Aead as _, KeyInit as _};
    use proptest::prelude::*;

    use super::*;

    fn seal_in_pieces(key: &Key, iv: [u8; 12], text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut keystream, mut authenticator) = start(key, iv);
        let mut out = Vec::new();
        let mut rest = text;
        for cut in cuts.iter().chain([&usize::MAX]) {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            let at = out.len();
            out.extend_from_slice(piece);
            keystream.apply(&mut out[at..]).unwrap();
            authenticator.update(&out[at..]).unwrap();
            rest = after;
        }
        assert_eq!(authenticator.bytes(), text.len() as u64);
        out.extend_from_slice(&authenticator.tag());
        out
    }

    #[test]
    fn the_examples_of_the_gcm_specification() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14.
        let key = Key::from_bytes([0; 32]);
        assert_eq!(hex::encode(seal_in_pieces(&key, [0; 12], b"", &[])), "530f8afbc74536b9a963b4f1c4cb738b");
        assert_eq!(
            hex::encode(seal_in_pieces(&key, [0; 12], &[0; 16], &[])),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        );
    }

    #[test]
    fn no_more_bytes_than_the_counter_allows() {
        let (_, mut authenticator) = start(&Key::from_bytes([1; 32]), [0; 12]);
        authenticator.bytes = MAX_BYTES - 1;
        assert!(authenticator.update(&[0]).is_ok());
        assert!(authenticator.update(&[0]).is_err());
    }

    proptest! {
        #[test]
        fn equals_the_one_shot_implementation(
            key: [u8; 32],
            iv: [u8; 12],
            text in proptest::collection::vec(any::<u8>(), 0..600),
            cuts in proptest::collection::vec(0_usize..70, 0..8),
        ) {
            let expected = Aes256Gcm::new(&key.into()).encrypt(&iv.into(), text.as_slice()).unwrap();
            prop_assert_eq!(seal_in_pieces(&Key::from_bytes(key), iv, &text, &cuts), expected);
        }
    }
}
