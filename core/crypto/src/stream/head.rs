//! The envelope up to the first character of `ct`, byte by byte.

use crate::VERSION;
use crate::base64_text;
use crate::error::OpenError;
use crate::gcm::IV_BYTES;

/// The longest token that can be right: the vector, 16 characters; a version has at most 20 digits.
const MAX_TOKEN: usize = 20;

/// What an envelope consists of, in order. White space may stand in front of each.
enum Expected {
    Byte(u8),
    Name(&'static [u8]),
    Version,
    Iv,
}

const HEAD: [Expected; 12] = [
    Expected::Byte(b'{'),
    Expected::Name(b"v"),
    Expected::Byte(b':'),
    Expected::Version,
    Expected::Byte(b','),
    Expected::Name(b"iv"),
    Expected::Byte(b':'),
    Expected::Iv,
    Expected::Byte(b','),
    Expected::Name(b"ct"),
    Expected::Byte(b':'),
    Expected::Byte(b'"'),
];

const BAD_VERSION: OpenError = OpenError::NotAnEnvelope { reason: "v is not a whole number" };
const BAD_IV: OpenError = OpenError::NotAnEnvelope { reason: "iv is not 12 bytes of base64 with padding" };
const UNKNOWN_NAME: OpenError =
    OpenError::NotStreamable { reason: "its keys are not v, iv, ct in this order" };

/// JSON's white space (RFC 8259, section 2).
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Reads the head with a few bytes of memory, however much white space it has.
pub(crate) struct HeadParser {
    /// Index into `HEAD`.
    step: usize,
    /// The token under way: its first `len` bytes.
    token: [u8; MAX_TOKEN],
    len: usize,
    /// Behind the opening quote of a string.
    quoted: bool,
    iv: [u8; IV_BYTES],
}

impl HeadParser {
    pub(crate) fn new() -> Self {
        Self { step: 0, token: [0; MAX_TOKEN], len: 0, quoted: false, iv: [0; IV_BYTES] }
    }

    /// Takes one byte. Returns the vector with the opening quote of `ct`, and must not be called again
    /// after that or after an error.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<[u8; IV_BYTES]>, OpenError> {
        // A number ends where something else begins, so that byte still has to be looked at.
        if self.len > 0 && !byte.is_ascii_digit() && matches!(HEAD.get(self.step), Some(Expected::Version)) {
            self.version()?;
        }
        let Some(expected) = HEAD.get(self.step) else {
            return Ok(Some(self.iv));
        };
        if is_space(byte) && self.len == 0 && !self.quoted {
            return Ok(None);
        }
        match expected {
            Expected::Byte(wanted) if byte == *wanted => self.next(),
            Expected::Byte(_) => {
                let reason = if self.step == 0 { "not a JSON object" } else { "not the JSON of an envelope" };
                return Err(OpenError::NotAnEnvelope { reason });
            }
            Expected::Version if byte.is_ascii_digit() => self.collect(byte, BAD_VERSION)?,
            Expected::Version => return Err(BAD_VERSION),
            Expected::Name(name) => {
                if self.string(byte, UNKNOWN_NAME)? {
                    if self.token[..self.len] != **name {
                        return Err(UNKNOWN_NAME);
                    }
                    self.next();
                }
            }
            Expected::Iv => {
                if self.string(byte, BAD_IV)? {
                    self.iv = base64_text::decode_exact(&self.token[..self.len]).ok_or(BAD_IV)?;
                    self.next();
                }
            }
        }
        Ok((self.step == HEAD.len()).then_some(self.iv))
    }

    fn next(&mut self) {
        self.step += 1;
        self.len = 0;
    }

    /// Takes a byte of a string or its quotes. Returns whether it is complete; `unfit` if it is too long
    /// to be right.
    fn string(&mut self, byte: u8, unfit: OpenError) -> Result<bool, OpenError> {
        match (self.quoted, byte) {
            (false, b'"') => self.quoted = true,
            (false, _) => return Err(OpenError::NotAnEnvelope { reason: "not the JSON of an envelope" }),
            (true, b'"') => {
                self.quoted = false;
                return Ok(true);
            }
            (true, b'\\') => return Err(OpenError::NotStreamable { reason: "it has escaped characters" }),
            (true, _) => self.collect(byte, unfit)?,
        }
        Ok(false)
    }

    fn collect(&mut self, byte: u8, unfit: OpenError) -> Result<(), OpenError> {
        *self.token.get_mut(self.len).ok_or(unfit)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Checks the collected digits.
    fn version(&mut self) -> Result<(), OpenError> {
        let digits = &self.token[..self.len];
        // JSON has no leading zeros.
        let plain = digits.len() == 1 || digits.first() != Some(&b'0');
        let version = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
        match version.filter(|_| plain) {
            Some(VERSION) => self.next(),
            Some(version) => return Err(OpenError::UnsupportedVersion { version }),
            None => return Err(BAD_VERSION),
        }
        Ok(())
    }
}
