//! Writing an envelope piece by piece.

use std::fmt;

use crate::base64_text;
use crate::error::SealError;
use crate::gcm::{self, Authenticator, IV_BYTES, Keystream, MAX_BYTES, TAG_BYTES};
use crate::key::Key;

/// Bytes encrypted, hashed and encoded at a time, so that they stay in the first-level cache between
/// the three. A multiple of 3 (whole base64 groups: the pieces join without padding) and of 16 (whole
/// blocks).
const PIECE: usize = 12 * 1024;

const HEAD: &[u8] = br#"{"v":1,"iv":""#;
const MIDDLE: &[u8] = br#"","ct":""#;
const FOOT: &[u8] = br#""}"#;

/// Exact length in bytes of the envelope of `plaintext_len` bytes: about four thirds of it.
pub fn sealed_len(plaintext_len: u64) -> u64 {
    let frame = (HEAD.len() + MIDDLE.len() + FOOT.len()) as u64;
    let iv = base64_text::encoded_len(IV_BYTES as u64);
    let ct = base64_text::encoded_len(plaintext_len.saturating_add(TAG_BYTES as u64));
    ct.saturating_add(frame + iv)
}

/// Seals one plaintext that comes in pieces; the result equals [`seal`](crate::seal) of the whole.
pub struct EnvelopeSealer {
    keystream: Keystream,
    authenticator: Authenticator,
    /// Until the head of the envelope is written.
    iv: Option<[u8; IV_BYTES]>,
    /// Encrypted bytes not yet encoded, at most `PIECE`.
    waiting: Vec<u8>,
    plaintext_len: u64,
}

impl EnvelopeSealer {
    /// Starts an envelope. `iv` as in [`seal`](crate::seal): never twice under one key.
    pub fn new(key: &Key, iv: [u8; IV_BYTES]) -> Self {
        let (keystream, authenticator) = gcm::start(key, iv);
        Self { keystream, authenticator, iv: Some(iv), waiting: Vec::new(), plaintext_len: 0 }
    }

    /// Takes the next plaintext and appends what is ready of the envelope to `out`: some 12 KiB lag
    /// behind until [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`] when all pieces together exceed 64 GiB. This piece is then not taken, and
    /// nothing is appended.
    pub fn update(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let plaintext_len = self.plaintext_len.saturating_add(plaintext.len() as u64);
        if plaintext_len > MAX_BYTES {
            return Err(SealError::TooLong);
        }
        self.plaintext_len = plaintext_len;
        self.begin(out);
        let mut rest = plaintext;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(PIECE - self.waiting.len()));
            let at = self.waiting.len();
            // With room for the tag, which often follows at once.
            self.waiting.reserve(piece.len() + TAG_BYTES);
            self.waiting.extend_from_slice(piece);
            self.keystream.apply(&mut self.waiting[at..]).map_err(|_| SealError::TooLong)?;
            self.authenticator.update(&self.waiting[at..]).map_err(|_| SealError::TooLong)?;
            if self.waiting.len() == PIECE {
                base64_text::encode_onto(&self.waiting, out);
                self.waiting.clear();
            }
            rest = after;
        }
        Ok(())
    }

    /// Appends the rest of the envelope to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.waiting.extend_from_slice(&self.authenticator.tag());
        base64_text::encode_onto(&self.waiting, out);
        out.extend_from_slice(FOOT);
    }

    /// As if so many bytes had been sealed, to reach the limit in a test.
    #[cfg(test)]
    pub(crate) fn pretend_sealed(&mut self, bytes: u64) {
        self.plaintext_len = bytes;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(iv) = self.iv.take() {
            out.extend_from_slice(HEAD);
            base64_text::encode_onto(&iv, out);
            out.extend_from_slice(MIDDLE);
        }
    }
}

impl fmt::Debug for EnvelopeSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeSealer").field("plaintext_len", &self.plaintext_len).finish_non_exhaustive()
    }
}
