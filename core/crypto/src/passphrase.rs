//! The mesh key as people see it: a base58 text.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::base58::{self, Base58Error};
use crate::key::Key;

/// A text that holds, or claims to hold, a mesh key (32 to 44 base58 characters).
///
/// As secret as the key itself: wiped from memory when dropped, compared in constant time, never
/// printed. Any text can be held; [`Passphrase::to_key`] decides whether it is a key.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// Why a text is no passphrase. Never contains the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing but white space.
    #[error("the passphrase is empty")]
    Empty,
    /// A character that base58 does not have, such as `0`, `O`, `I` or `l`.
    #[error("character {position} of the passphrase is not a base58 character")]
    InvalidCharacter {
        /// Where it stands, counted in characters from 1, without the white space in front.
        position: usize,
    },
    /// The number is greater than any key: a character too many, or another text altogether.
    #[error("the passphrase is too long: it holds more than 32 bytes")]
    TooLong,
    /// The text has the value of a key but is not how that key is written: characters are missing, or
    /// there are too many or too few `1`s in front.
    #[error("the passphrase is incomplete or not spelled as a passphrase is")]
    NotCanonical,
}

impl Passphrase {
    /// The text as it was given. **Secret**: show it only to the person it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key, if this is exactly how [`Key::to_passphrase`] writes it. White space around it is
    /// ignored, so that a pasted line works.
    ///
    /// There is no checksum: a wrong letter usually gives a valid, wrong key, which only the mesh's
    /// own data can tell.
    pub fn to_key(&self) -> Result<Key, PassphraseError> {
        let key = self.to_key_lenient()?;
        let canonical = key.to_passphrase();
        if bool::from(canonical.expose().as_bytes().ct_eq(self.trimmed().as_bytes())) {
            Ok(key)
        } else {
            Err(PassphraseError::NotCanonical)
        }
    }

    /// The key as the JavaScript client's beta.10 reads it: any shorter text is a number padded with
    /// zeros on the left, and `1`s in front add nothing.
    ///
    /// `hunter2` is a key by this rule, and a very weak one: use it only to open a mesh that was made
    /// this way, never to make one. An empty text stays refused.
    pub fn to_key_lenient(&self) -> Result<Key, PassphraseError> {
        let text = self.trimmed();
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        let number = base58::decode(text).map_err(|error| match error {
            Base58Error::InvalidCharacter(position) => PassphraseError::InvalidCharacter { position },
            Base58Error::TooLong => PassphraseError::TooLong,
        })?;
        Ok(Key::from_bytes(*number))
    }

    /// Without white space around it, in JavaScript's sense, which counts the byte order mark.
    fn trimmed(&self) -> &str {
        self.0.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}')
    }
}

impl Key {
    /// The key as a text to write down or scan: base58, 32 to 44 characters.
    pub fn to_passphrase(&self) -> Passphrase {
        Passphrase::from(base58::encode(self.as_bytes()))
    }
}

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Passphrase {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl PartialEq for Passphrase {
    /// Takes a time that tells the lengths, never the place of a difference.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Passphrase {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// protocol.md 6.1.
    fn vectors() -> Vec<([u8; 32], &'static str)> {
        let counting = |first: u8| std::array::from_fn(|i| first + u8::try_from(i).unwrap());
        let mut zeros_then_sevens = [7; 32];
        zeros_then_sevens[..3].fill(0);
        vec![
            (counting(0), "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"),
            (counting(1), "4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw"),
            ([0xff; 32], "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG"),
            (zeros_then_sevens, "111KWCfMfKoLt2cZbE5UcrZknqeER1Q4vVBx4Epu58"),
            ([0; 32], "11111111111111111111111111111111"),
        ]
    }

    #[test]
    fn vectors_of_the_protocol() {
        for (bytes, text) in vectors() {
            assert_eq!(Key::from_bytes(bytes).to_passphrase().expose(), text);
            assert_eq!(Passphrase::from(text).to_key().unwrap().as_bytes(), &bytes);
            assert_eq!(Passphrase::from(text).to_key_lenient().unwrap().as_bytes(), &bytes);
        }
    }

    #[test]
    fn hunter2_is_a_key_only_when_lenient() {
        let passphrase = Passphrase::from("hunter2");
        let mut expected = [0; 32];
        expected[26..].copy_from_slice(&[0x01, 0x6a, 0x9c, 0x21, 0x11, 0x97]);
        assert_eq!(passphrase.to_key_lenient().unwrap().as_bytes(), &expected);
        assert_eq!(passphrase.to_key(), Err(PassphraseError::NotCanonical));
    }

    #[test]
    fn white_space_around_is_ignored_and_inside_is_not() {
        for (bytes, text) in vectors() {
            let padded = Passphrase::from(format!("\u{feff} \t{text}\r\n\u{a0}"));
            assert_eq!(padded.to_key().unwrap().as_bytes(), &bytes);
        }
        assert_eq!(
            Passphrase::from(" 4wBqp ZM9").to_key(),
            Err(PassphraseError::InvalidCharacter { position: 6 })
        );
    }

    #[test]
    fn nothing_is_no_key() {
        for text in ["", "  \n", "\u{feff}"] {
            assert_eq!(Passphrase::from(text).to_key(), Err(PassphraseError::Empty));
            assert_eq!(Passphrase::from(text).to_key_lenient(), Err(PassphraseError::Empty));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let passphrase = Passphrase::from("0secret");
        assert_eq!(format!("{passphrase:?}"), "Passphrase(..)");
        let error = passphrase.to_key().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert_eq!(error.to_string(), "character 1 of the passphrase is not a base58 character");
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; 32], zeros in 0_usize..=32) {
            let mut bytes = bytes;
            bytes[..zeros].fill(0);
            let key = Key::from_bytes(bytes);
            let passphrase = key.to_passphrase();
            prop_assert!((32..=44).contains(&passphrase.expose().len()));
            prop_assert_eq!(passphrase.to_key(), Ok(key.clone()));
            prop_assert_eq!(passphrase.to_key_lenient(), Ok(key));
        }

        #[test]
        fn other_spellings_of_a_key_are_refused_unless_lenient(bytes: [u8; 32], zeros in 0_usize..=32, ones in 1_usize..50) {
            let mut bytes = bytes;
            bytes[..zeros].fill(0);
            let key = Key::from_bytes(bytes);
            let text = key.to_passphrase();
            let longer = Passphrase::from(format!("{}{}", "1".repeat(ones), text.expose()));
            prop_assert_eq!(longer.to_key(), Err(PassphraseError::NotCanonical));
            prop_assert_eq!(longer.to_key_lenient(), Ok(key.clone()));
            if let Some(shorter) = text.expose().strip_prefix('1').filter(|rest| !rest.is_empty()) {
                prop_assert_eq!(Passphrase::from(shorter).to_key(), Err(PassphraseError::NotCanonical));
                prop_assert_eq!(Passphrase::from(shorter).to_key_lenient(), Ok(key));
            }
        }

        #[test]
        fn strict_accepts_nothing_lenient_refuses(text in "[ 1-9A-HJ-NP-Za-km-z]{0,46}") {
            let passphrase = Passphrase::from(text);
            if let Ok(key) = passphrase.to_key() {
                prop_assert_eq!(passphrase.to_key_lenient(), Ok(key.clone()));
                let canonical = key.to_passphrase();
                prop_assert_eq!(canonical.expose(), passphrase.expose().trim());
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let passphrase = Passphrase::from(text);
            let _ = passphrase.to_key();
            let _ = passphrase.to_key_lenient();
        }
    }
}
