//! Names: tables, rows, columns and node ids.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::scan;

/// Any JSON string, lone surrogates included, compared by UTF-16 code unit and never normalised.
///
/// Kept as WTF-8: UTF-8, with a lone surrogate as its three-byte generalised form.
#[derive(Clone)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// From bytes in WTF-8 as [`scan`] makes them.
    pub(crate) fn from_wtf8(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The WTF-8 bytes; equal names have equal bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, unless it holds a lone surrogate.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The name as text, with lone surrogates replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The name as a JSON string, spelled as JavaScript's `JSON.stringify` does.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(self.0.len() + 2);
        scan::write_string(&mut out, &self.0);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Whether the name has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compares WTF-8 by UTF-16 code unit, as JavaScript compares strings.
///
/// The byte order differs from it in one place: characters beyond U+FFFF are surrogate pairs, which
/// sort before U+E000..U+FFFF and among lone surrogates.
pub(crate) fn compare_code_units(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((x, y)) if *x.min(y) < 0xed || *x.max(y) < 0xf0 => x.cmp(y),
        Some(_) => code_units(a).cmp(code_units(b)),
    }
}

/// The UTF-16 code units of WTF-8 bytes.
fn code_units(mut wtf8: &[u8]) -> impl Iterator<Item = u16> {
    let mut second = None;
    std::iter::from_fn(move || {
        if let Some(unit) = second.take() {
            return Some(unit);
        }
        if let Some(unit) = scan::leading_surrogate(wtf8) {
            wtf8 = wtf8.get(3..).unwrap_or_default();
            return Some(unit);
        }
        // One character: its length is in the first byte.
        let length = match wtf8.first()? {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        let (character, rest) = wtf8.split_at_checked(length).unwrap_or((wtf8, &[]));
        wtf8 = rest;
        let character = std::str::from_utf8(character).ok().and_then(|text| text.chars().next());
        let mut units = [0; 2];
        let units = character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf16(&mut units);
        second = units.get(1).copied();
        units.first().copied()
    })
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_code_units(&self.0, &other.0)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Self {
        name.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lone_surrogates_survive() {
        let mut cursor = scan::Cursor::new(br#""a\ud800b""#);
        let name = cursor.name().unwrap();
        assert_eq!(name.as_str(), None);
        assert_eq!(name.to_json(), r#""a\ud800b""#);
    }

    #[test]
    fn a_surrogate_pair_is_one_character() {
        let mut cursor = scan::Cursor::new(br#""\ud83d\ude00""#);
        assert_eq!(cursor.name().unwrap().as_str(), Some("\u{1f600}"));
    }

    /// Any sequence of code units, as a JSON string would give it.
    fn from_units(units: &[u16]) -> Name {
        let mut json = b"\"".to_vec();
        for unit in units {
            scan::write_unicode_escape(&mut json, *unit);
        }
        json.push(b'"');
        scan::Cursor::new(&json).name().unwrap()
    }

    proptest! {
        #[test]
        fn lone_surrogates_have_their_place_in_the_order(
            a in prop::collection::vec(prop_oneof![Just(0x61u16), 0xd7f0..0xe010u16, Just(0xffffu16)], 0..5),
            b in prop::collection::vec(prop_oneof![Just(0x61u16), 0xd7f0..0xe010u16, Just(0xffffu16)], 0..5),
        ) {
            prop_assert_eq!(from_units(&a).cmp(&from_units(&b)), a.cmp(&b));
        }

        #[test]
        fn order_is_that_of_utf16(a in any::<String>(), b in any::<String>()) {
            let units = |s: &str| s.encode_utf16().collect::<Vec<_>>();
            prop_assert_eq!(Name::from(&a).cmp(&Name::from(&b)), units(&a).cmp(&units(&b)));
        }

        #[test]
        fn json_round_trip(text in any::<String>()) {
            let json = Name::from(&text).to_json();
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            prop_assert_eq!(scan::Cursor::new(json.as_bytes()).name().unwrap(), Name::from(&text));
        }
    }
}
