//! Finds the members of a stored row that a query asks for, in one pass and without a copy.

use std::ops::Range;

use crate::{
    row::DamagedRow,
    value::{Name, scan::Cursor},
};

/// Notes where the values of `names` lie in a row's JSON; an empty range where there is none.
///
/// Stops at the last of them. The text was checked and compacted when it was stored, so only what is
/// needed to find the way is looked at.
pub(super) fn find(json: &[u8], names: &[Name], found: &mut [Range<usize>]) -> Result<(), DamagedRow> {
    found.fill(0..0);
    scan(json, names, found).ok_or(DamagedRow("its values"))
}

fn scan(json: &[u8], names: &[Name], found: &mut [Range<usize>]) -> Option<()> {
    if json.first() != Some(&b'{') {
        return None;
    }
    if json.get(1) == Some(&b'}') {
        return Some(());
    }
    let mut missing = names.len();
    let mut at = 1;
    while missing > 0 {
        let (colon, is_escaped) = string_end(json, at)?;
        if json.get(colon) != Some(&b':') {
            return None;
        }
        let value = colon + 1..value_end(json, colon + 1)?;
        let place = if is_escaped {
            let name = Cursor::new(json.get(at..colon)?).string().ok()?;
            names.iter().position(|wanted| wanted.as_bytes() == &*name)
        } else {
            let name = json.get(at + 1..colon - 1)?;
            names.iter().position(|wanted| wanted.as_bytes() == name)
        };
        at = value.end + 1;
        let is_last = match json.get(value.end)? {
            b',' => false,
            b'}' => true,
            _ => return None,
        };
        if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
            let is_first = slot.end == 0;
            missing -= usize::from(is_first);
            *slot = value;
        }
        if is_last {
            break;
        }
    }
    Some(())
}

/// The offset behind a string whose opening quote stands at `quote`, and whether it holds escapes.
fn string_end(json: &[u8], quote: usize) -> Option<(usize, bool)> {
    if json.get(quote) != Some(&b'"') {
        return None;
    }
    let (mut at, mut is_escaped) = (quote + 1, false);
    loop {
        at += position(json.get(at..)?, |byte| matches!(byte, b'"' | b'\\'))?;
        if json.get(at) == Some(&b'"') {
            return Some((at + 1, is_escaped));
        }
        is_escaped = true;
        at += 2;
    }
}

/// The offset behind a value that starts at `start`.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    match json.get(start)? {
        b'"' => Some(string_end(json, start)?.0),
        b'{' | b'[' => {
            let (mut at, mut depth) = (start, 0usize);
            loop {
                at += position(json.get(at..)?, |byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?;
                match json.get(at)? {
                    b'"' => at = string_end(json, at)?.0,
                    b'{' | b'[' => {
                        depth += 1;
                        at += 1;
                    }
                    _ => {
                        depth -= 1;
                        at += 1;
                        if depth == 0 {
                            return Some(at);
                        }
                    }
                }
            }
        }
        _ => {
            let length = json.get(start..)?.iter().position(|byte| matches!(byte, b',' | b'}'))?;
            (length > 0).then_some(start + length)
        }
    }
}

/// The first byte that is wanted. Looks at many bytes at a time where none is, as in long strings.
fn position(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    const STEP: usize = 16;
    let has_none = |step: &&[u8]| !step.iter().fold(false, |found, byte| found | is_wanted(*byte));
    let passed = STEP * bytes.chunks_exact(STEP).take_while(has_none).count();
    let rest = bytes.get(passed..)?.iter().position(|byte| is_wanted(*byte))?;
    Some(passed + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        row::{Cell, RowState},
        value::Value,
    };
    use proptest::prelude::*;

    fn values<'a>(json: &'a str, names: &[&str]) -> Result<Vec<&'a str>, DamagedRow> {
        let names: Vec<Name> = names.iter().copied().map(Name::from).collect();
        let mut found = vec![0..0; names.len()];
        find(json.as_bytes(), &names, &mut found)?;
        Ok(found.into_iter().map(|range| &json[range]).collect())
    }

    #[test]
    fn members_are_found_whatever_stands_around_them() {
        let json = r#"{"a":[{"b":"]}\"","c":[]}],"b":-1.5e3,"q\"\\":"x\\","":{},"c":"\"b\":2"}"#;
        assert_eq!(
            values(json, &["b", "q\"\\", "", "c", "d"]).unwrap(),
            ["-1.5e3", r#""x\\""#, "{}", r#""\"b\":2""#, ""]
        );
        assert_eq!(values("{}", &["a"]).unwrap(), [""]);
        assert_eq!(values(json, &[]).unwrap(), [""; 0]);
    }

    #[test]
    fn lone_surrogates_in_names() {
        let names = [Name::from_wtf8(b"\xed\xa0\x80"), Name::from_wtf8("\u{1f600}".as_bytes())];
        let mut found = vec![0..0; 2];
        find(br#"{"\ud83d":0,"\ud83d\ude00":1,"\uD800":2}"#, &names, &mut found).unwrap();
        assert_eq!(found, [38..39, 27..28]);
    }

    #[test]
    fn depth_is_no_recursion() {
        let json = format!("{{\"deep\":{}{},\"b\":1}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(values(&json, &["b"]).unwrap(), ["1"]);
    }

    #[test]
    fn damage_is_told() {
        for json in [
            "",
            "x",
            "{",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":[",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1x",
            "{\"a\":\"\\",
            "[]",
        ] {
            assert!(values(json, &["a"]).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_writer(cells in prop::collection::btree_map(any::<String>(), any::<String>(), 0..6), other in any::<String>()) {
            let clock = Clock { ts: 1, counter: 0, node: "n".into() };
            let value = |text: &String| Value::parse(&serde_json::to_string(&vec![text]).unwrap()).unwrap();
            let json = RowState {
                deleted: None,
                cells: cells.iter().map(|(name, text)| Cell { name: name.into(), clock: clock.clone(), value: value(text) }).collect(),
            }
            .to_json();
            let names: Vec<&str> = cells.keys().chain([&other].into_iter().filter(|other| !cells.contains_key(*other))).map(String::as_str).rev().collect();
            let found = values(&json, &names).unwrap();
            for (name, found) in names.iter().zip(found) {
                let wanted = cells.get(*name).map(value);
                prop_assert_eq!(wanted.as_ref().map_or("", Value::as_str), found);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ua1".to_vec()), 0..60)) {
            let _ = find(&bytes, &["a".into(), "b".into()], &mut [0..0, 0..0]);
        }
    }
}
