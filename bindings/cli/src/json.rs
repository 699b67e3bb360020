//! JSON as text: what is stored passes through unchanged, so nothing here parses a value and prints it again.

use interocitor_core::{Fields, Name, Row, Value};
use serde_json::value::RawValue;

use crate::failure::{Failure, Outcome};

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    Name::from(text).to_json()
}

/// A row as somebody typed it.
pub(crate) fn parse_row(text: &str) -> Outcome<Box<RawValue>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    serde_json::from_str(text).map_err(|error| Failure::invalid(format!("the row is not JSON: {error}")))
}

/// A value as somebody typed it; a text that is no JSON stands for itself.
pub(crate) fn parse_value(text: &str) -> Value {
    Value::parse(text).or_else(|_| Value::parse(&string(text))).unwrap_or_else(|_| Value::null())
}

/// The name that a JSON string holds, lone surrogates included, which Rust's strings cannot.
pub(crate) fn name(raw: &RawValue) -> Option<Name> {
    if !raw.get().starts_with('"') {
        return None;
    }
    let fields = Fields::from_json(&format!("{{{raw}:0}}")).ok()?;
    fields.iter().next().map(|(name, _)| name.clone())
}

/// The columns of a row in order, each value as its text; `None` for rows beyond what people can read.
pub(crate) fn columns(row: &Row) -> Option<Vec<(Name, String)>> {
    let fields = Fields::from_json(&row.json).ok()?;
    Some(fields.iter().map(|(name, value)| (name.clone(), value.as_str().to_owned())).collect())
}

/// `[a,b,…]` of JSON texts.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// The same JSON with line breaks down to `depth` levels, so that each row of a dump is one line.
pub(crate) fn indented(json: &str, depth: usize) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let (mut level, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    let break_line = |out: &mut String, level: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    };
    while let Some(character) = characters.next() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            out.push(character);
            continue;
        }
        match character {
            '{' | '[' => {
                level += 1;
                out.push(character);
                let is_empty = matches!(characters.peek(), Some('}' | ']'));
                if level <= depth && !is_empty {
                    break_line(&mut out, level);
                } else if is_empty {
                    out.extend(characters.next());
                    level -= 1;
                }
            }
            '}' | ']' => {
                if level <= depth {
                    break_line(&mut out, level - 1);
                }
                level = level.saturating_sub(1);
                out.push(character);
            }
            ',' => {
                out.push(character);
                if level <= depth {
                    break_line(&mut out, level);
                }
            }
            ':' if level <= depth => out.push_str(": "),
            _ => {
                in_string = character == '"';
                out.push(character);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_spelling() {
        assert_eq!(parse_value("1.0").as_str(), "1.0");
        assert_eq!(parse_value(r#""\ud800""#).as_str(), r#""\ud800""#);
        assert_eq!(parse_value("milk \"x\"").as_str(), r#""milk \"x\"""#);
        assert_eq!(parse_value("true").as_str(), "true");
        assert_eq!(parse_value("").as_str(), "\"\"");
    }

    #[test]
    fn names_may_hold_half_a_character() {
        let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
        assert_eq!(name(&raw(r#""a\ud800""#)).unwrap().to_json(), r#""a\ud800""#);
        assert_eq!(name(&raw("\"\"")).unwrap().to_json(), "\"\"");
        assert!(name(&raw("1")).is_none());
        assert!(name(&raw("{}")).is_none());
    }

    #[test]
    fn indenting_changes_nothing_but_space() {
        let json = r#"{"a":{"t":{"r{\"":{"x":[1,{}],"y":"a:b,c\\"}}},"e":{},"l":["q"]}"#;
        let wanted = "{\n  \"a\": {\n    \"t\": {\n      \"r{\\\"\": {\"x\":[1,{}],\"y\":\"a:b,c\\\\\"}\n    }\n  },\n  \"e\": {},\n  \"l\": [\n    \"q\"\n  ]\n}";
        assert_eq!(indented(json, 3), wanted);
        let parsed: serde_json::Value = serde_json::from_str(&indented(json, 2)).unwrap();
        assert_eq!(parsed, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}
