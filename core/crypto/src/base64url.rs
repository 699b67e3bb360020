//! Base64 as links have it: URL-safe alphabet, no padding, one spelling per value (RFC 4648, section 5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text, wiped when dropped; `None` where it is not their one spelling.
pub fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(written);
    Some(bytes)
}

/// Whether the character is one of the alphabet.
pub fn has(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(decode("AP8").as_deref(), Some(&vec![0, 0xff]));
        assert_eq!(decode("-_-_").as_deref(), Some(&vec![0xfb, 0xff, 0xbf]));
        assert_eq!(decode("").as_deref(), Some(&vec![]));
        for refused in ["AP8=", "AP9", "A", "+/+/", " AP8", "AP8\n", "é"] {
            assert_eq!(decode(refused), None, "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert!(text.chars().all(has));
            prop_assert_eq!(&*decode(&text).unwrap(), &bytes);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = decode(&text);
        }
    }
}
