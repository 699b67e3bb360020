//! The mesh key in the fragment of a link, the part browsers do not send to the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base64url;
use crate::key::{KEY_BYTES, Key};

/// What precedes the key, wherever in the URL it stands.
const MARK: &str = "key=";

/// Why a URL gives no key. Never contains the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// No `key=` followed by a base64url character.
    #[error("the link contains no key")]
    Missing,
    /// What follows `key=` is not 32 bytes in base64url without padding.
    #[error("the key in the link is damaged or incomplete")]
    Invalid,
}

/// `base` followed by `#key=` and the key in base64url without padding (RFC 4648, section 5).
///
/// `base` should have no fragment of its own. The result is as **secret** as the key.
pub fn fragment_url(base: &str, key: &Key) -> Zeroizing<String> {
    // Sized at once: a growing string would leave copies of the secret behind.
    let mut url = Zeroizing::new(String::with_capacity(base.len() + 1 + MARK.len() + 43));
    url.push_str(base);
    url.push('#');
    url.push_str(MARK);
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_bytes()));
    url.push_str(&encoded);
    url
}

/// The key that follows the first `key=` which has at least one base64url character behind it.
pub fn key_from_fragment(url: &str) -> Result<Key, FragmentError> {
    let text = url
        .match_indices(MARK)
        .map(|(at, mark)| {
            let rest = &url[at + mark.len()..];
            let end = rest.find(|character: char| !base64url::has(character)).unwrap_or(rest.len());
            &rest[..end]
        })
        .find(|text| !text.is_empty())
        .ok_or(FragmentError::Missing)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    match URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()) {
        Ok(KEY_BYTES) => Ok(Key::from_bytes(*bytes)),
        _ => Err(FragmentError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const K_TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn k() -> Key {
        Key::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn vector_of_the_protocol() {
        let url = fragment_url("https://app.example/join", &k());
        assert_eq!(*url, format!("https://app.example/join#key={K_TEXT}"));
        assert_eq!(key_from_fragment(&url), Ok(k()));
    }

    #[test]
    fn the_first_match_with_characters_counts() {
        for found in [
            format!("key={K_TEXT}"),
            format!("https://a/?q=1#a=b&key={K_TEXT}&c=d"),
            format!("key=&key={K_TEXT}"),
            format!("key==key={K_TEXT}"),
            format!("#key={K_TEXT}=="),
        ] {
            assert_eq!(key_from_fragment(&found), Ok(k()), "{found}");
        }
        // The first match decides even when a later one would do.
        for invalid in [
            "#key=AAAA".to_owned(),
            format!("?monkey=1#key={K_TEXT}"),
            format!("key={K_TEXT}A"),
            format!("key={}", &K_TEXT[1..]),
        ] {
            assert_eq!(key_from_fragment(&invalid), Err(FragmentError::Invalid), "{invalid}");
        }
        for missing in ["", "https://a/", "#key=", "#key=é", "#KEY=AAAA", K_TEXT] {
            assert_eq!(key_from_fragment(missing), Err(FragmentError::Missing), "{missing}");
        }
    }

    #[test]
    fn the_standard_alphabet_ends_the_key() {
        let standard = fragment_url("", &Key::from_bytes([0xff; 32])).replace('_', "/");
        assert_eq!(key_from_fragment(&standard), Err(FragmentError::Missing));
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; 32], base in "https://[a-z/?&]{0,20}") {
            let key = Key::from_bytes(bytes);
            prop_assert_eq!(key_from_fragment(&fragment_url(&base, &key)), Ok(key));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), tail in any::<String>()) {
            let _ = key_from_fragment(&text);
            let _ = key_from_fragment(&format!("{text}key={tail}"));
        }
    }
}
