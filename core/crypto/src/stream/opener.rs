//! Reading an envelope piece by piece, up to its proof.

use std::fmt;

use crate::ciphertext::Ciphertext;
use crate::error::OpenError;
use crate::gcm::{self, Keystream};
use crate::key::Key;
use crate::stream::Decryptor;
use crate::stream::head::{HeadParser, is_space};

/// Authenticates an envelope that comes in pieces, and unpacks what is to be decrypted afterwards.
///
/// Reads the keys in the order `v`, `iv`, `ct`, with any white space: what this crate and the JavaScript
/// client write. Other envelopes give [`OpenError::NotStreamable`]; read those with
/// [`open`](crate::open).
pub struct EnvelopeOpener {
    key: Key,
    state: State,
    /// The first error, which stays.
    failure: Option<OpenError>,
}

enum State {
    Head(HeadParser),
    Ciphertext { keystream: Keystream, ciphertext: Ciphertext, place: Place },
}

/// Where in the envelope the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    BeforeBrace,
    End,
}

const CUT_SHORT: OpenError = OpenError::NotAnEnvelope { reason: "the JSON is cut short" };

impl EnvelopeOpener {
    /// Starts to read an envelope that should be sealed with `key`.
    pub fn new(key: &Key) -> Self {
        Self { key: key.clone(), state: State::Head(HeadParser::new()), failure: None }
    }

    /// Takes the next bytes of the envelope and appends to `ciphertext_out` bytes to be spooled: still
    /// encrypted, about three quarters of what came in. They are worth nothing before
    /// [`finish`](Self::finish) has vouched for them.
    ///
    /// # Errors
    ///
    /// Every [`OpenError`] except `WrongKeyOrCorrupt`. The first error is final: later calls repeat it,
    /// and the spool is to be thrown away.
    pub fn update(&mut self, envelope: &[u8], ciphertext_out: &mut Vec<u8>) -> Result<(), OpenError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.advance(envelope, ciphertext_out);
        self.failure = result.as_ref().err().cloned();
        result
    }

    /// Checks that the envelope is complete and its tag right, in constant time. All bytes appended by
    /// [`update`](Self::update) may then be decrypted.
    ///
    /// # Errors
    ///
    /// Every [`OpenError`]; [`OpenError::WrongKeyOrCorrupt`] only here.
    pub fn finish(self) -> Result<Decryptor, OpenError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.state {
            State::Ciphertext { keystream, ciphertext, place: Place::End } => {
                Ok(Decryptor::new(keystream, ciphertext.verify()?))
            }
            _ => Err(CUT_SHORT),
        }
    }

    fn advance(&mut self, mut rest: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        while let Some((byte, after)) = rest.split_first() {
            match &mut self.state {
                State::Head(head) => {
                    if let Some(iv) = head.push(*byte)? {
                        let (keystream, authenticator) = gcm::start(&self.key, iv);
                        let ciphertext = Ciphertext::new(authenticator);
                        self.state = State::Ciphertext { keystream, ciphertext, place: Place::Text };
                    }
                    rest = after;
                }
                State::Ciphertext { ciphertext, place: place @ Place::Text, .. } => {
                    let Some(at) = memchr::memchr2(b'"', b'\\', rest) else {
                        return ciphertext.update(rest, out);
                    };
                    if rest[at] == b'\\' {
                        return Err(OpenError::NotStreamable { reason: "it has escaped characters" });
                    }
                    ciphertext.update(&rest[..at], out)?;
                    *place = Place::BeforeBrace;
                    rest = &rest[at + 1..];
                }
                State::Ciphertext { place, .. } => {
                    *place = match (*place, *byte) {
                        (place, space) if is_space(space) => place,
                        (Place::BeforeBrace, b'}') => Place::End,
                        (Place::BeforeBrace, b',') => {
                            return Err(OpenError::NotStreamable { reason: "a key follows ct" });
                        }
                        (Place::BeforeBrace, _) => {
                            return Err(OpenError::NotAnEnvelope { reason: "not the JSON of an envelope" });
                        }
                        _ => {
                            return Err(OpenError::NotAnEnvelope {
                                reason: "something follows the envelope",
                            });
                        }
                    };
                    rest = after;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EnvelopeOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeOpener").field("failure", &self.failure).finish_non_exhaustive()
    }
}
