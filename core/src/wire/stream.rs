//! JSON read from a stream in bounded memory: a window over the text that grows to the largest value.

use std::io::Read;

use super::WireError;
use crate::value::{
    Name,
    scan::{Cursor, ScanError, ScanResult},
};

/// Bytes asked from the source at once.
const CHUNK: usize = 256 * 1024;

/// A cursor over a reader.
#[derive(Debug)]
pub(crate) struct StreamCursor<R> {
    source: R,
    window: Vec<u8>,
    at: usize,
    /// Bytes dropped before the window, for error offsets.
    before: usize,
    ended: bool,
}

impl<R: Read> StreamCursor<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, window: Vec::new(), at: 0, before: 0, ended: false }
    }

    /// Runs `read` on the window, with more of the text until it suffices, and consumes what it took.
    fn take<T>(&mut self, mut read: impl FnMut(&mut Cursor<'_>) -> ScanResult<T>) -> Result<T, WireError> {
        loop {
            let rest = &self.window[self.at..];
            let mut cursor = Cursor::new(rest);
            let outcome = read(&mut cursor);
            // What touches the end of the window may go on behind it, as the digits of a number do.
            let whole = cursor.offset() < rest.len() || self.ended;
            match outcome {
                Ok(value) if whole => {
                    self.at += cursor.offset();
                    return Ok(value);
                }
                Err(error) if !error.incomplete || self.ended => {
                    return Err(ScanError { offset: error.offset + self.at + self.before, ..error }.into());
                }
                _ => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> Result<(), WireError> {
        self.window.drain(..self.at);
        self.before += self.at;
        self.at = 0;
        // A long value doubles the step, so that it is not scanned again for every chunk.
        let step = CHUNK.max(self.window.len());
        let start = self.window.len();
        self.window.resize(start + step, 0);
        let mut filled = start;
        while filled < self.window.len() {
            match self.source.read(&mut self.window[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WireError::Read(error.to_string())),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }

    /// Reads an object; `member` must consume each value.
    pub(crate) fn object<E: From<WireError>>(
        &mut self,
        mut member: impl FnMut(Name, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(|cursor| cursor.expect(b'{', "an object was expected"))?;
        if self.take(|cursor| cursor.peek())? == b'}' {
            return Ok(self.take(|cursor| cursor.expect(b'}', ""))?);
        }
        loop {
            let key = self.take(|cursor| cursor.name())?;
            self.take(|cursor| cursor.expect(b':', "':' was expected"))?;
            member(key, self)?;
            if self.take(|cursor| cursor.peek())? == b'}' {
                return Ok(self.take(|cursor| cursor.expect(b'}', ""))?);
            }
            self.take(|cursor| cursor.expect(b',', "',' or '}' was expected"))?;
        }
    }

    /// Reads an array; `item` must consume each value.
    pub(crate) fn array<E: From<WireError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(|cursor| cursor.expect(b'[', "an array was expected"))?;
        if self.take(|cursor| cursor.peek())? == b']' {
            return Ok(self.take(|cursor| cursor.expect(b']', ""))?);
        }
        loop {
            item(self)?;
            if self.take(|cursor| cursor.peek())? == b']' {
                return Ok(self.take(|cursor| cursor.expect(b']', ""))?);
            }
            self.take(|cursor| cursor.expect(b',', "',' or ']' was expected"))?;
        }
    }

    /// The first byte of the next value.
    pub(crate) fn peek(&mut self) -> Result<u8, WireError> {
        self.take(|cursor| cursor.peek())
    }

    pub(crate) fn name(&mut self) -> Result<Name, WireError> {
        self.take(|cursor| cursor.name())
    }

    /// Skips one value, holding it in memory.
    pub(crate) fn skip(&mut self) -> Result<(), WireError> {
        self.take(|cursor| cursor.value().map(|_| ()))
    }

    /// Hands one whole value to `read`.
    pub(crate) fn value<T>(&mut self, mut read: impl FnMut(&[u8]) -> T) -> Result<T, WireError> {
        self.take(|cursor| cursor.value().map(&mut read))
    }

    /// Checks that only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), WireError> {
        while !self.ended {
            self.fill()?;
        }
        Ok(Cursor::new(&self.window[self.at..]).end()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }

    #[test]
    fn any_split_reads_the_same() {
        let text = br#" {"a": [1, 23, "x"], "b": {"c": 456}, "n": 789} "#;
        for step in 1..text.len() {
            let mut cursor = StreamCursor::new(Trickle(text, step));
            let mut seen = Vec::new();
            cursor
                .object(|key, cursor| {
                    if key == Name::from("a") {
                        cursor.array(|cursor| {
                            seen.push(cursor.value(<[u8]>::to_vec)?);
                            Ok::<_, WireError>(())
                        })
                    } else {
                        seen.push(cursor.value(<[u8]>::to_vec)?);
                        Ok(())
                    }
                })
                .unwrap();
            cursor.end().unwrap();
            assert_eq!(seen, [&b"1"[..], b"23", b"\"x\"", b"{\"c\": 456}", b"789"]);
        }
    }

    #[test]
    fn values_larger_than_the_window() {
        let long = format!("{{\"k\":\"{}\"}}", "x".repeat(3 * CHUNK));
        let mut cursor = StreamCursor::new(long.as_bytes());
        let mut length = 0;
        cursor
            .object(|_, cursor| {
                length = cursor.value(<[u8]>::len)?;
                Ok::<_, WireError>(())
            })
            .unwrap();
        assert_eq!(length, 3 * CHUNK + 2);
    }

    #[test]
    fn early_ends_and_read_errors_are_errors() {
        let text = br#"{"a": [1, 2]}"#;
        for cut in 0..text.len() {
            let mut cursor = StreamCursor::new(&text[..cut]);
            assert!(cursor.object(|_, cursor| cursor.skip()).is_err(), "{cut}");
        }
        assert!(matches!(StreamCursor::new(Broken).peek(), Err(WireError::Read(_))));
    }
}
