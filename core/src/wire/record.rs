//! A JSON object that keeps the order, spelling and unknown fields of the file it came from.
//!
//! Manifests and device records are such records: their hash depends on file order, and a field that
//! a newer client put in has to survive our rewriting.

use crate::value::{
    Name, Value,
    scan::{self, Cursor, ScanError},
};

use super::WireError;

/// An ordered JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record(Vec<(Name, Value)>);

impl Record {
    /// Reads an object. Of equal keys the last value counts, at the first one's place, as in JavaScript.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut record = Self::default();
        let mut cursor = Cursor::new(bytes);
        cursor.object(|key, cursor| {
            record.put(Name::from_wtf8(&key), Value::from_raw(cursor.value()?));
            Ok::<_, ScanError>(())
        })?;
        cursor.end()?;
        Ok(record)
    }

    fn put(&mut self, key: Name, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.as_bytes() == key.as_bytes()).map(|(_, value)| value)
    }

    /// A string field; absent, null and other types are `None`.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let value = self.get(key)?;
        let text = Cursor::new(value.as_str().as_bytes()).string().ok()?;
        String::from_utf8(text.into_owned()).ok()
    }

    /// A whole number; `1.0` counts, as in JavaScript.
    pub(crate) fn integer(&self, key: &str) -> Option<u64> {
        let text = self.get(key)?.as_str();
        text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            let whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
            whole.then_some(number as u64)
        })
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        match self.get(key)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A nested object.
    pub(crate) fn record(&self, key: &str) -> Option<Record> {
        Record::parse(self.get(key)?.as_str().as_bytes()).ok()
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.put(key.into(), value);
    }

    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        self.set(key, text_value(text));
    }

    pub(crate) fn set_integer(&mut self, key: &str, number: u64) {
        self.set(key, Value::from_raw(number.to_string().as_bytes()));
    }

    pub(crate) fn set_boolean(&mut self, key: &str, flag: bool) {
        self.set(key, Value::from_raw(if flag { b"true" } else { b"false" }));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known.as_bytes() != key.as_bytes());
    }

    /// The compact text, keys in order.
    pub(crate) fn compact(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            scan::write_string(&mut out, key.as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_str().as_bytes());
        }
        out.push(b'}');
        out
    }

    /// The text as `JSON.stringify(…, 2)` lays it out.
    pub(crate) fn pretty(&self) -> Vec<u8> {
        pretty(&self.compact())
    }

    pub(crate) fn to_value(&self) -> Value {
        Value::from_raw(&self.compact())
    }
}

/// A string as a JSON value.
pub(crate) fn text_value(text: &str) -> Value {
    Value::from_raw(Name::from(text).to_json().as_bytes())
}

/// Lays out compact JSON with two spaces a level.
fn pretty(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let (mut in_string, mut escape, mut depth) = (false, false, 0usize);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (at, &byte) in compact.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = escape || byte != b'"';
            escape = !escape && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if !matches!(compact.get(at + 1), Some(b'}' | b']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(at.checked_sub(1).map(|before| compact[before]), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_spelling_and_unknown_fields() {
        let text = br#"{"z":1.50,"a":{"y":[],"x":{}},"z":"\u0041","n":null}"#;
        let mut record = Record::parse(text).unwrap();
        assert_eq!(record.compact(), br#"{"z":"\u0041","a":{"y":[],"x":{}},"n":null}"#);
        record.set_integer("a", 7);
        record.set_text("new", "\u{e9}\"");
        assert_eq!(
            String::from_utf8(record.compact()).unwrap(),
            r#"{"z":"\u0041","a":7,"n":null,"new":"é\""}"#
        );
        assert_eq!(record.text("z").as_deref(), Some("A"));
        assert_eq!((record.text("n"), record.integer("z"), record.boolean("a")), (None, None, None));
    }

    #[test]
    fn numbers() {
        let record = Record::parse(br#"{"a":1.0,"b":-1,"c":1.5,"d":1e3,"e":1e400}"#).unwrap();
        let read: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| record.integer(key)).into();
        assert_eq!(read, [Some(1), None, None, Some(1000), None]);
    }

    #[test]
    fn pretty_is_that_of_javascript() {
        let record = Record::parse(br#"{"a":[1,{"b":"x:,{"}],"c":{},"d":[]}"#).unwrap();
        let wanted =
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x:,{\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}";
        assert_eq!(String::from_utf8(record.pretty()).unwrap(), wanted);
    }
}
