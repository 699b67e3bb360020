//! The `ct` of an envelope on its way in: base64 in pieces, authenticated, its tag held back.

use crate::base64_text;
use crate::error::OpenError;
use crate::gcm::{Authenticator, TAG_BYTES};

/// Characters decoded at a time: the text and its bytes stay in the first-level cache between the
/// decoder and GHASH. A multiple of 64, so that whole blocks come out.
const TEXT_PIECE: usize = 16 * 1024;

/// Characters that carry whole bytes.
const QUANTUM: usize = 4;

/// One answer for all faults of the text, so that it does not depend on how the text was cut in pieces.
const NOT_BASE64: OpenError = OpenError::NotAnEnvelope { reason: "ct is not base64 with padding" };

/// Decodes and authenticates; what comes out stays encrypted.
pub(crate) struct Ciphertext {
    authenticator: Authenticator,
    /// The first `quantum_len` of these characters wait for the rest of their group of four.
    quantum: [u8; QUANTUM],
    quantum_len: usize,
    /// The last bytes so far. At the end they are the tag, so they are never handed out before more
    /// bytes have followed.
    held: [u8; TAG_BYTES],
    held_len: usize,
    /// Padding was seen, which ends the text.
    ended: bool,
}

impl Ciphertext {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self {
            authenticator,
            quantum: [0; QUANTUM],
            quantum_len: 0,
            held: [0; TAG_BYTES],
            held_len: 0,
            ended: false,
        }
    }

    /// Takes the next characters and appends the encrypted bytes that are certainly not the tag.
    pub(crate) fn update(&mut self, mut text: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        if self.quantum_len > 0 {
            let (head, rest) = text.split_at(text.len().min(QUANTUM - self.quantum_len));
            self.quantum[self.quantum_len..self.quantum_len + head.len()].copy_from_slice(head);
            self.quantum_len += head.len();
            if self.quantum_len < QUANTUM {
                return Ok(());
            }
            self.decode(&{ self.quantum }, out)?;
            text = rest;
        }
        let (whole, rest) = text.split_at(text.len() - text.len() % QUANTUM);
        for piece in whole.chunks(TEXT_PIECE) {
            self.decode(piece, out)?;
        }
        self.quantum[..rest.len()].copy_from_slice(rest);
        self.quantum_len = rest.len();
        Ok(())
    }

    /// Checks the tag in constant time. Returns the length of the ciphertext without it, in bytes.
    pub(crate) fn verify(self) -> Result<u64, OpenError> {
        if self.quantum_len != 0 {
            return Err(NOT_BASE64);
        }
        if self.held_len < TAG_BYTES {
            return Err(OpenError::NotAnEnvelope { reason: "ct is shorter than its tag" });
        }
        let bytes = self.authenticator.bytes();
        if self.authenticator.verify(&self.held) { Ok(bytes) } else { Err(OpenError::WrongKeyOrCorrupt) }
    }

    /// Takes whole groups of four characters.
    fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        if self.ended {
            return Err(NOT_BASE64);
        }
        let start = out.len();
        out.extend_from_slice(&self.held[..self.held_len]);
        let before = out.len();
        if base64_text::decode_onto(text, out).is_err() {
            return Err(NOT_BASE64);
        }
        // Padding is seen by what it lacks: each group without it gives three bytes.
        self.ended = out.len() - before < text.len() / QUANTUM * 3;
        let held_len = (out.len() - start).min(TAG_BYTES);
        let certain = out.len() - held_len;
        self.held[..held_len].copy_from_slice(&out[certain..]);
        self.held_len = held_len;
        out.truncate(certain);
        self.authenticator
            .update(&out[start..])
            .map_err(|_| OpenError::NotAnEnvelope { reason: "ct is longer than AES-GCM allows" })
    }
}
