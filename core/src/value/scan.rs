//! A one-pass JSON reader over bytes (RFC 8259), and the few writers that go with it.
//!
//! `serde_json` cannot serve here: its strings, values and map keys refuse lone surrogates, which
//! the JavaScript client writes; and one pass has to yield both the structure and the raw text.
//! Values are skipped without recursion, so depth is no attack.

use std::borrow::Cow;

use super::Name;

/// Where and why a text is not the JSON that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct ScanError {
    /// What was wrong; never part of the text.
    pub reason: &'static str,
    /// Byte offset in the text.
    pub offset: usize,
    /// Whether more bytes could have mended it.
    pub(crate) incomplete: bool,
}

/// Result of a scan.
pub(crate) type ScanResult<T> = Result<T, ScanError>;

/// A position in JSON bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    fn fail<T>(&self, reason: &'static str) -> ScanResult<T> {
        Err(ScanError { reason, offset: self.at, incomplete: false })
    }

    fn short<T>(&self) -> ScanResult<T> {
        Err(ScanError { reason: "the text ends early", offset: self.bytes.len(), incomplete: true })
    }

    /// The next byte that is no white space, not consumed.
    pub(crate) fn peek(&mut self) -> ScanResult<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        self.short()
    }

    /// Consumes `byte`.
    pub(crate) fn expect(&mut self, byte: u8, reason: &'static str) -> ScanResult<()> {
        if self.peek()? == byte {
            self.at += 1;
            Ok(())
        } else {
            self.fail(reason)
        }
    }

    /// Checks that only white space is left.
    pub(crate) fn end(&mut self) -> ScanResult<()> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => self.fail("trailing characters"),
        }
    }

    /// Reads an object; `member` must consume each value.
    pub(crate) fn object<E: From<ScanError>>(
        &mut self,
        mut member: impl FnMut(Cow<'a, [u8]>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "an object was expected")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "':' was expected")?;
            member(key, self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Ok(self.fail("',' or '}' was expected")?),
            }
        }
    }

    /// Reads an array; `item` must consume each value.
    pub(crate) fn array<E: From<ScanError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[', "an array was expected")?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Ok(self.fail("',' or ']' was expected")?),
            }
        }
    }

    /// Reads a string as WTF-8.
    pub(crate) fn string(&mut self) -> ScanResult<Cow<'a, [u8]>> {
        if self.peek()? != b'"' {
            return self.fail("a string was expected");
        }
        let start = self.at;
        let escaped = self.skip_string()?;
        let raw = &self.bytes[start + 1..self.at - 1];
        Ok(if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// Reads a string as a name.
    pub(crate) fn name(&mut self) -> ScanResult<Name> {
        Ok(Name::from_wtf8(&self.string()?))
    }

    /// Skips one value of any depth and returns its raw bytes.
    pub(crate) fn value(&mut self) -> ScanResult<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        // What is open: true for an object. No recursion, so depth costs one byte a level.
        let mut open: Vec<bool> = Vec::new();
        loop {
            // One value, or the opening of one.
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if self.peek()? == b'}' {
                        self.at += 1;
                    } else {
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? == b']' {
                        self.at += 1;
                    } else {
                        open.push(false);
                        continue;
                    }
                }
                b'"' => {
                    self.skip_string()?;
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number(open.is_empty())?,
            }
            // What follows it.
            loop {
                let Some(&in_object) = open.last() else {
                    return Ok(&self.bytes[start..self.at]);
                };
                match (self.peek()?, in_object) {
                    (b',', true) => {
                        self.at += 1;
                        self.key()?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return self.fail("',' or the end of an array or object was expected"),
                }
            }
        }
    }

    fn key(&mut self) -> ScanResult<()> {
        if self.peek()? != b'"' {
            return self.fail("a key was expected");
        }
        self.skip_string()?;
        self.expect(b':', "':' was expected")
    }

    fn word(&mut self, word: &'static [u8]) -> ScanResult<()> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else if word.starts_with(rest) {
            self.short()
        } else {
            self.fail("not a JSON value")
        }
    }

    /// `top`: the number may be cut off by the end of the bytes.
    fn number(&mut self, top: bool) -> ScanResult<()> {
        let start = self.at;
        let byte = |at: usize| self.bytes.get(at).copied();
        let digits = |mut at: usize| {
            while byte(at).is_some_and(|b| b.is_ascii_digit()) {
                at += 1;
            }
            at
        };
        let mut at = start;
        if byte(at) == Some(b'-') {
            at += 1;
        }
        let whole = at;
        at = digits(at);
        let mut good = at > whole && (byte(whole) != Some(b'0') || at == whole + 1);
        if good && byte(at) == Some(b'.') {
            let fraction = at + 1;
            at = digits(fraction);
            good = at > fraction;
        }
        if good && matches!(byte(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(byte(at), Some(b'+' | b'-')) {
                at += 1;
            }
            let exponent = at;
            at = digits(exponent);
            good = at > exponent;
        }
        if !good {
            return if at >= self.bytes.len() && at > start {
                self.short()
            } else {
                self.fail("not a JSON value")
            };
        }
        debug_assert!(top || at > start);
        self.at = at;
        Ok(())
    }

    /// Skips a string whose quote is next; tells whether it holds escapes.
    fn skip_string(&mut self) -> ScanResult<bool> {
        let mut at = self.at + 1;
        let mut escaped = false;
        let mut ascii = true;
        loop {
            match self.bytes.get(at) {
                None => return self.short(),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    match self.bytes.get(at + 1) {
                        None => return self.short(),
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                        Some(b'u') => {
                            for offset in 2..6 {
                                match self.bytes.get(at + offset) {
                                    None => return self.short(),
                                    Some(digit) if digit.is_ascii_hexdigit() => {}
                                    Some(_) => return self.fail("a broken \\u escape"),
                                }
                            }
                            at += 6;
                        }
                        Some(_) => return self.fail("an unknown escape"),
                    }
                }
                Some(0..=0x1f) => return self.fail("a control character in a string"),
                Some(byte) => {
                    ascii &= byte.is_ascii();
                    at += 1;
                }
            }
        }
        if !ascii && std::str::from_utf8(&self.bytes[self.at..at]).is_err() {
            return self.fail("a string that is not UTF-8");
        }
        self.at = at + 1;
        Ok(escaped)
    }
}

/// The text of a JSON string between its quotes as WTF-8. Expects what [`Cursor`] has checked.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    let hex = |digits: &[u8]| {
        digits.iter().fold(0u32, |value, digit| value << 4 | (*digit as char).to_digit(16).unwrap_or(0))
    };
    while let Some(slash) = rest.iter().position(|b| *b == b'\\') {
        out.extend_from_slice(&rest[..slash]);
        let kind = rest.get(slash + 1).copied().unwrap_or(b'\\');
        let mut taken = slash + 2;
        match kind {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex(rest.get(slash + 2..slash + 6).unwrap_or_default());
                taken = slash + 6;
                if (0xd800..0xdc00).contains(&code) && rest.get(taken..taken + 2) == Some(br"\u") {
                    let low = hex(rest.get(taken + 2..taken + 6).unwrap_or_default());
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        taken += 6;
                    }
                }
                push_code_point(&mut out, code);
            }
            other => out.push(other),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// Appends a code point as generalised UTF-8, surrogates included.
fn push_code_point(out: &mut Vec<u8>, code: u32) {
    if let Some(character) = char::from_u32(code) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let [.., high, low] = code.to_be_bytes();
        out.push(0xe0 | high >> 4);
        out.push(0x80 | (high & 0x0f) << 2 | low >> 6);
        out.push(0x80 | low & 0x3f);
    }
}

/// Whether WTF-8 bytes start with a lone surrogate; its code unit then.
pub(crate) fn leading_surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xed, second @ 0xa0..=0xbf, third, ..] => {
            Some(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f))
        }
        _ => None,
    }
}

/// Writes WTF-8 as a JSON string the way `JSON.stringify` does: only quotes, backslashes, controls
/// and lone surrogates are escaped.
pub(crate) fn write_string(out: &mut Vec<u8>, wtf8: &[u8]) {
    out.push(b'"');
    write_escaped(out, wtf8);
    out.push(b'"');
}

/// Bytes that may not stand for themselves inside a JSON string; `ed` begins surrogates, among others.
const IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0xed] = true;
    table
};

/// Writes what stands between the quotes of a JSON string.
pub(crate) fn write_escaped(out: &mut Vec<u8>, wtf8: &[u8]) {
    let mut plain = 0;
    let mut at = 0;
    while let Some(run) = wtf8[at..].iter().position(|&byte| IS_SPECIAL[usize::from(byte)]) {
        at += run;
        let byte = wtf8[at];
        let step = match byte {
            0xed if leading_surrogate(&wtf8[at..]).is_some() => 3,
            0xed => {
                at += 1;
                continue;
            }
            _ => 1,
        };
        out.extend_from_slice(&wtf8[plain..at]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(br"\b"),
            12 => out.extend_from_slice(br"\f"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            _ => write_unicode_escape(out, leading_surrogate(&wtf8[at..]).unwrap_or(u16::from(byte))),
        }
        at += step;
        plain = at;
    }
    out.extend_from_slice(&wtf8[plain..]);
}

/// Writes `\uxxxx` in lowercase.
pub(crate) fn write_unicode_escape(out: &mut Vec<u8>, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(br"\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[usize::from(unit >> shift & 0xf)]);
    }
}

/// Drops white space between the tokens of checked JSON.
pub(crate) fn compact(raw: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let (mut in_string, mut escape) = (false, false);
    for (at, &byte) in raw.iter().enumerate() {
        let drop = !in_string && matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        if in_string {
            in_string = escape || byte != b'"';
            escape = !escape && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        }
        match &mut out {
            Some(_) if drop => {}
            Some(out) => out.push(byte),
            None if drop => out = Some(raw[..at].to_vec()),
            None => {}
        }
    }
    out.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// Depth of nesting of checked JSON: 0 for a scalar.
pub(crate) fn depth(raw: &[u8]) -> usize {
    let (mut deepest, mut now) = (0usize, 0usize);
    let (mut in_string, mut escape) = (false, false);
    for &byte in raw {
        if in_string {
            in_string = escape || byte != b'"';
            escape = !escape && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &[u8]) -> ScanResult<&[u8]> {
        let mut cursor = Cursor::new(text);
        let raw = cursor.value()?;
        cursor.end()?;
        Ok(raw)
    }

    #[test]
    fn accepts_what_json_is() {
        for text in
            ["0", "-0", "1.5e+300", "1E400", "\"\\ud800\"", "[]", "{}", " [ 1 , {\"a\" : null} ] ", "true"]
        {
            assert!(whole(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_json_is_not() {
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "NaN",
            "tru",
            "truex",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1}",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "\"abc",
            "[1",
            "{\"a\":",
            "1 2",
            "-",
            "--1",
            "]",
        ] {
            assert!(whole(text.as_bytes()).is_err(), "{text}");
        }
        assert!(whole(b"\"\xff\"").is_err());
        assert!(whole(b"\"\xed\xa0\x80\"").is_err());
    }

    #[test]
    fn depth_is_no_recursion() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(whole(deep.as_bytes()).unwrap().len(), 2_000_000);
        assert_eq!(depth(deep.as_bytes()), 1_000_000);
        assert_eq!(depth(br#"{"a":"[[[[\"[","b":[1]}"#), 2);
    }

    #[test]
    fn compaction_keeps_strings() {
        assert_eq!(&*compact(b"{ \"a b\" : [ 1, \"\\\" x\" ] }"), b"{\"a b\":[1,\"\\\" x\"]}");
    }

    #[test]
    fn control_characters_are_escaped_as_in_javascript() {
        let mut out = Vec::new();
        write_string(&mut out, "\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}/\u{2028}\"\\".as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}/\u{2028}\\\"\\\\\""
        );
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_it_writes(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let raw = whole(pretty.as_bytes()).unwrap();
            prop_assert_eq!(compact(raw).into_owned(), serde_json::to_vec(&value).unwrap());
        }

        #[test]
        fn agrees_with_serde_json_on_mangled_text(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            // RawValue is the most tolerant reader there; numbers beyond its range are its own affair.
            let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(whole(&text).is_ok(), theirs, "{:?}", String::from_utf8_lossy(&text));
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = whole(&bytes);
            let _ = Cursor::new(&bytes).string();
        }

        #[test]
        fn a_prefix_is_incomplete(value in json(), at in any::<prop::sample::Index>()) {
            let text = serde_json::to_vec(&serde_json::Value::Array(vec![value])).unwrap();
            let cut = at.index(text.len());
            prop_assert!(whole(&text[..cut]).unwrap_err().incomplete);
        }
    }
}
