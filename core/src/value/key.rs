//! Order-preserving keys of values, for indexes, `where` clauses and `order_by`.
//!
//! Types never compare across: absent and null, booleans, numbers, strings, then everything else.
//! Within a type: false before true; numbers as doubles; strings by UTF-16 code unit, as in
//! JavaScript. Byte order of keys is the order of values.

use super::scan::Cursor;

const BOOLEAN: u8 = 1;
const NUMBER: u8 = 2;
const STRING: u8 = 3;
const OTHER: u8 = 4;

/// The key of a value given as JSON text, or `None` for null, which no clause matches.
pub(crate) fn of(json: &[u8]) -> Option<Vec<u8>> {
    match json.first()? {
        b'n' => None,
        b'f' => Some(vec![BOOLEAN, 0]),
        b't' => Some(vec![BOOLEAN, 1]),
        b'"' => {
            let text = Cursor::new(json).string().ok()?;
            let mut key = Vec::with_capacity(text.len() + 1);
            key.push(STRING);
            push_string(&mut key, &text);
            Some(key)
        }
        b'{' | b'[' => {
            let mut key = vec![OTHER];
            key.extend_from_slice(json);
            Some(key)
        }
        _ => {
            let number: f64 = std::str::from_utf8(json).ok()?.parse().ok()?;
            Some(number_key(number))
        }
    }
}

/// The smallest key beyond all strings that start as `key`, a string's key, does; `None`: there is none.
pub(crate) fn prefix_end(key: &[u8]) -> Option<Vec<u8>> {
    let mut end = key.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The bounds of all keys of the same type as `key`: from, inclusive, to, exclusive.
pub(crate) fn type_bounds(key: &[u8]) -> ([u8; 1], [u8; 1]) {
    let kind = key.first().copied().unwrap_or(0);
    ([kind], [kind + 1])
}

fn number_key(number: f64) -> Vec<u8> {
    // Zero has one key; the sign bit flips positives above negatives, which are inverted whole.
    let bits = (number + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let mut key = vec![NUMBER];
    key.extend_from_slice(&ordered.to_be_bytes());
    key
}

/// WTF-8 with the lead bytes of U+E000..U+FFFF moved above those of the characters beyond, so that
/// bytes order as UTF-16 code units do.
fn push_string(key: &mut Vec<u8>, wtf8: &[u8]) {
    key.extend(wtf8.iter().map(|byte| if matches!(byte, 0xee | 0xef) { byte | 0x10 } else { *byte }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(json: &str) -> Vec<u8> {
        of(json.as_bytes()).unwrap()
    }

    #[test]
    fn types_stand_apart() {
        let order =
            ["false", "true", "-1e300", "-1", "0", "1", "1e300", "\"\"", "\"1\"", "\"a\"", "[1]", "{}"];
        for pair in order.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        assert_eq!(of(b"null"), None);
        assert_eq!(key("-0"), key("0.0"));
        assert_ne!(key("1"), key("true"));
    }

    #[test]
    fn prefixes() {
        let end = prefix_end(&key("\"ab\"")).unwrap();
        assert!(key("\"ab\u{ffff}\"") < end && key("\"ac\"") >= end);
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
    }

    proptest! {
        #[test]
        fn numbers_order_as_doubles(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(number_key(a).cmp(&number_key(b)), a.partial_cmp(&b).unwrap());
        }

        #[test]
        fn strings_order_as_utf16(a in any::<String>(), b in any::<String>()) {
            let json = |s: &str| serde_json::to_string(s).unwrap();
            let units = |s: &str| s.encode_utf16().collect::<Vec<_>>();
            prop_assert_eq!(key(&json(&a)).cmp(&key(&json(&b))), units(&a).cmp(&units(&b)));
        }
    }
}
