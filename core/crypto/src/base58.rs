//! Base58 with the Bitcoin alphabet, for numbers of 32 bytes. No checksum.

use zeroize::{Zeroize as _, Zeroizing};

use crate::key::KEY_BYTES;

/// Digits in order of value. Left out: `0`, `O`, `I`, `l`, which people confuse.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// 58^44 > 256^32: no key needs more digits.
const MAX_DIGITS: usize = 44;

/// A text that is no number of at most 32 bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Base58Error {
    /// A character outside the alphabet, by its place counted in characters from 1.
    InvalidCharacter(usize),
    /// The number needs more than 32 bytes.
    TooLong,
}

/// The canonical text: one `1` for each leading zero byte, then the number without leading zeros.
pub(crate) fn encode(bytes: &[u8; KEY_BYTES]) -> String {
    // Least significant digit first. Secret, hence wiped.
    let mut digits = Zeroizing::new([0_u8; MAX_DIGITS]);
    let mut len = 0;
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for (at, digit) in digits.iter_mut().enumerate() {
            if at >= len && carry == 0 {
                break;
            }
            carry += u32::from(*digit) << 8;
            *digit = low_byte(carry % 58);
            carry /= 58;
            len = len.max(at + 1);
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // Sized at once: a growing string would leave copies of the secret behind.
    let mut text = String::with_capacity(zeros + len);
    text.extend(std::iter::repeat_n('1', zeros));
    text.extend(digits.iter().take(len).rev().map(|digit| char::from(ALPHABET[usize::from(*digit)])));
    text
}

/// The number written in `text`, big-endian, padded to 32 bytes on the left.
///
/// Leading `1`s are zeros and add nothing, so several texts give one number; a caller that wants only
/// one of them compares with [`encode`].
pub(crate) fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, Base58Error> {
    // The alphabet first: a mistyped character is the better answer when both errors apply.
    if let Some(at) = text.chars().position(|character| value(character).is_none()) {
        return Err(Base58Error::InvalidCharacter(at + 1));
    }
    let mut number = Zeroizing::new([0_u8; KEY_BYTES]);
    for digit in text.chars().filter_map(value) {
        let mut carry = digit;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = low_byte(carry);
            carry >>= 8;
        }
        if carry != 0 {
            number.zeroize();
            return Err(Base58Error::TooLong);
        }
    }
    Ok(number)
}

fn value(character: char) -> Option<u32> {
    let byte = u8::try_from(character).ok()?;
    let at = ALPHABET.iter().position(|symbol| *symbol == byte)?;
    u32::try_from(at).ok()
}

/// The lowest eight bits.
fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_value() {
        for (at, symbol) in ALPHABET.iter().enumerate() {
            let number = decode(&char::from(*symbol).to_string()).unwrap();
            assert_eq!(usize::from(number[31]), at);
            assert!(number[..31].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn the_largest_number_fits_and_the_next_does_not() {
        let largest = encode(&[0xff; 32]);
        assert_eq!(largest, "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG");
        assert_eq!(*decode(&largest).unwrap(), [0xff; 32]);
        assert_eq!(decode("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFH"), Err(Base58Error::TooLong));
        assert_eq!(decode(&"z".repeat(10_000)), Err(Base58Error::TooLong));
    }

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(decode("1é"), Err(Base58Error::InvalidCharacter(2)));
        assert_eq!(decode("éé0"), Err(Base58Error::InvalidCharacter(1)));
        assert_eq!(decode("abcO"), Err(Base58Error::InvalidCharacter(4)));
        // The wrong character is named even when the text is too long as well.
        assert_eq!(decode(&format!("{}0", "z".repeat(90))), Err(Base58Error::InvalidCharacter(91)));
    }
}
