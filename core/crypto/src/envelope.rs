//! The encrypted form of everything in a mailbox: compact JSON `{"v":1,"iv":"…","ct":"…"}`.
//!
//! AES-256-GCM (NIST SP 800-38D), 12-byte initialisation vector, the 16-byte tag appended to the
//! ciphertext, no additional data, both values in base64 with padding. Nothing binds an envelope to its
//! file name: whoever reads one checks what the plaintext says about itself.

use std::borrow::Cow;

use crate::VERSION;
use crate::base64_text;
use crate::ciphertext::Ciphertext;
use crate::error::{OpenError, SealError};
use crate::gcm::{self, IV_BYTES, MAX_BYTES};
use crate::key::Key;
use crate::stream::{EnvelopeOpener, EnvelopeSealer, sealed_len};

/// Encrypts `plaintext` into an envelope.
///
/// `iv`: 12 bytes that were never used with this key before, from a random generator. Using one twice
/// gives both plaintexts away.
///
/// # Errors
///
/// [`SealError::TooLong`] beyond 64 GiB.
pub fn seal(key: &Key, iv: [u8; IV_BYTES], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let plaintext_len = plaintext.len() as u64;
    if plaintext_len > MAX_BYTES {
        return Err(SealError::TooLong);
    }
    let len = usize::try_from(sealed_len(plaintext_len)).map_err(|_| SealError::TooLong)?;
    let mut envelope = Vec::with_capacity(len);
    let mut sealer = EnvelopeSealer::new(key, iv);
    sealer.update(plaintext, &mut envelope)?;
    sealer.finish(&mut envelope);
    Ok(envelope)
}

/// Decrypts an envelope. White space, the order of its keys, unknown keys and JSON escapes are
/// as JSON allows; the tag is checked before anything is decrypted.
///
/// The plaintext is a plain `Vec`: it is the application's data, bound for a database and the screen,
/// and wiping megabytes of it here would cost time and protect nothing. The keys are wiped.
///
/// # Errors
///
/// Every [`OpenError`] except `NotStreamable`.
pub fn open(key: &Key, envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    match open_streamed(key, envelope) {
        // What our own and the JavaScript client write never comes here.
        Err(OpenError::NotStreamable { .. }) => open_parsed(key, envelope),
        result => result,
    }
}

/// The fast way, which needs no JSON parser and touches each character of `ct` once.
fn open_streamed(key: &Key, envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    // An upper bound, as the head of the envelope is counted too.
    let mut buffer = Vec::with_capacity(envelope.len() / 4 * 3);
    let mut opener = EnvelopeOpener::new(key);
    opener.update(envelope, &mut buffer)?;
    let mut decryptor = opener.finish()?;
    decryptor.apply(&mut buffer)?;
    Ok(buffer)
}

/// An envelope as any JSON writer may put it.
#[derive(serde::Deserialize)]
struct Wire<'a> {
    v: u64,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    ct: Cow<'a, str>,
}

/// What tells a later version from rubbish, whatever else it changes.
#[derive(serde::Deserialize)]
struct WireVersion {
    v: u64,
}

/// The general way: a JSON parser, the whole text in memory.
fn open_parsed(key: &Key, envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    let wire = parse(envelope)?;
    let iv = base64_text::decode_exact(wire.iv.as_bytes())
        .ok_or(OpenError::NotAnEnvelope { reason: "iv is not 12 bytes of base64 with padding" })?;
    let (mut keystream, authenticator) = gcm::start(key, iv);
    let mut buffer = Vec::with_capacity(wire.ct.len() / 4 * 3);
    let mut ciphertext = Ciphertext::new(authenticator);
    ciphertext.update(wire.ct.as_bytes(), &mut buffer)?;
    ciphertext.verify()?;
    keystream.apply(&mut buffer).map_err(|_| OpenError::WrongKeyOrCorrupt)?;
    Ok(buffer)
}

fn parse(envelope: &[u8]) -> Result<Wire<'_>, OpenError> {
    // An array of the three values would pass here too, but the opener has insisted on `{` before.
    let wire: Result<Wire<'_>, _> = serde_json::from_slice(envelope);
    // A later version may have other keys: its number is the better answer.
    let version = match &wire {
        Ok(wire) => Some(wire.v),
        Err(_) => serde_json::from_slice::<WireVersion>(envelope).ok().map(|wire| wire.v),
    };
    match version {
        Some(version) if version != VERSION => Err(OpenError::UnsupportedVersion { version }),
        _ => wire.map_err(|error| OpenError::NotAnEnvelope {
            reason: match error.classify() {
                serde_json::error::Category::Eof => "the JSON is cut short",
                serde_json::error::Category::Data => "v, iv or ct is missing, repeated or of the wrong type",
                _ => "not JSON",
            },
        }),
    }
}

#[cfg(test)]
mod tests;
