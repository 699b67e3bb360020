//! Canonical JSON: what decides between two values under one clock.
//!
//! Keys sorted by code point (the last of equal keys counts), every character beyond ASCII escaped,
//! integral doubles below 2^53 as integers, other doubles in their shortest form, integers of any
//! size digit by digit. All of our devices, and the reference reader, compute the same text.

use std::{cmp::Ordering, fmt::Write};

use super::{
    Value,
    scan::{self, Cursor, ScanResult},
};

/// Nesting beyond which values are compared by their raw bytes only.
const MAX_DEPTH: usize = 600;

/// Compares two values for the tie rule: by canonical text; equal text: the *lower* raw bytes are the
/// greater value. `Equal` only for values with the same raw bytes.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    let raw = b.as_str().as_bytes().cmp(a.as_str().as_bytes());
    match (text(a.as_str()), text(b.as_str())) {
        (Some(canonical_a), Some(canonical_b)) => canonical_a.cmp(&canonical_b).then(raw),
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (None, None) => raw,
    }
}

/// Whether two values mean the same.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    a == b || text(a.as_str()).is_some_and(|canonical| Some(canonical) == text(b.as_str()))
}

/// The canonical text, unless the value is nested too deep for one.
pub(crate) fn text(json: &str) -> Option<Vec<u8>> {
    if scan::depth(json.as_bytes()) > MAX_DEPTH {
        return None;
    }
    let mut out = Vec::with_capacity(json.len());
    write(&mut Cursor::new(json.as_bytes()), &mut out).ok()?;
    Some(out)
}

fn write(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> ScanResult<()> {
    match cursor.peek()? {
        b'{' => {
            let mut members: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            cursor.object(|key, cursor| {
                let mut value = Vec::new();
                write(cursor, &mut value)?;
                members.push((key.into_owned(), value));
                Ok::<_, scan::ScanError>(())
            })?;
            // Stable: of equal keys the last stays last. WTF-8 bytes order as code points do.
            members.sort_by(|a, b| a.0.cmp(&b.0));
            out.push(b'{');
            let mut separator = None;
            for (at, (key, value)) in members.iter().enumerate() {
                if members.get(at + 1).is_some_and(|next| next.0 == *key) {
                    continue;
                }
                out.extend(separator.replace(b','));
                write_ascii(out, key);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
        }
        b'[' => {
            out.push(b'[');
            let mut first = true;
            cursor.array(|cursor| {
                if !first {
                    out.push(b',');
                }
                first = false;
                write(cursor, out)
            })?;
            out.push(b']');
        }
        b'"' => write_ascii(out, &cursor.string()?),
        b't' | b'f' | b'n' => out.extend_from_slice(cursor.value()?),
        _ => {
            let number = std::str::from_utf8(cursor.value()?).unwrap_or_default();
            out.extend_from_slice(number_text(number).as_bytes());
        }
    }
    Ok(())
}

/// A JSON string in ASCII.
fn write_ascii(out: &mut Vec<u8>, wtf8: &[u8]) {
    let start = out.len();
    scan::write_string(out, wtf8);
    if out[start..].is_ascii() {
        return;
    }
    let written = out.split_off(start);
    for character in String::from_utf8_lossy(&written).chars() {
        if character.is_ascii() {
            out.push(character as u8);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                scan::write_unicode_escape(out, *unit);
            }
        }
    }
}

/// A number token: integers as their digits, doubles as `repr` in Python spells them.
fn number_text(token: &str) -> String {
    if !token.contains(['.', 'e', 'E']) {
        return if token == "-0" { "0".into() } else { token.into() };
    }
    let double: f64 = token.parse().unwrap_or(f64::NAN);
    if double.is_infinite() {
        return if double > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if double.fract() == 0.0 && double.abs() < 9_007_199_254_740_992.0 {
        return format!("{}", double + 0.0).replace("-0", "0");
    }
    // Shortest digits and their exponent, then the layout: positional for 1e-4 <= |x| < 1e16.
    let scientific = format!("{double:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let positional = format!("{double}");
        return if positional.contains('.') { positional } else { positional + ".0" };
    }
    let mut text = mantissa.to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a String cannot fail.
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(json: &str) -> String {
        String::from_utf8(text(json).unwrap()).unwrap()
    }

    #[test]
    fn numbers() {
        for (token, wanted) in [
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-10.0", "-10"),
            ("1e21", "1e+21"),
            ("5e-324", "5e-324"),
            ("1e-7", "1e-07"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e300", "1.5e+300"),
            ("123456789.125", "123456789.125"),
            ("9007199254740993", "9007199254740993"),
            ("9007199254740992.0", "9007199254740992.0"),
            ("12345678901234567890.0", "1.2345678901234567e+19"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
        ] {
            assert_eq!(canonical(token), wanted, "{token}");
        }
    }

    #[test]
    fn keys_and_strings() {
        assert_eq!(
            canonical(r#"{"b":1,"a":{"y":[1, 2],"x":null},"b":2}"#),
            r#"{"a":{"x":null,"y":[1,2]},"b":2}"#
        );
        assert_eq!(canonical(r#"{"b":{},"a":[]}"#), r#"{"a":[],"b":{}}"#);
        assert_eq!(
            canonical("\"K\u{f6}ln \u{1f600}\u{7f}\\ud800\\/\""),
            "\"K\\u00f6ln \\ud83d\\ude00\u{7f}\\ud800/\""
        );
    }

    #[test]
    fn ties() {
        let value = |text: &str| Value::parse(text).unwrap();
        assert_eq!(compare(&value("2"), &value("10")), Ordering::Greater);
        // The same number: the lower bytes win.
        assert_eq!(compare(&value("1.0"), &value("1")), Ordering::Less);
        assert!(same(&value("1.0"), &value("1")));
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(compare(&value(&deep), &value("1")), Ordering::Greater);
        assert_eq!(compare(&value(&deep), &value(&deep)), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn an_order(a in "[0-9]{1,3}(\\.[0-9])?", b in "[0-9]{1,3}(\\.[0-9])?") {
            let (a, b) = (Value::from_raw(a.as_bytes()), Value::from_raw(b.as_bytes()));
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
        }
    }
}
