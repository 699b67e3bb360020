//! JSON values kept as the text they were written in, and names that may hold any JSON string.
//!
//! A peer's value is never parsed into a tree and printed again: numbers beyond a double, lone
//! surrogates, escapes and key order pass through unchanged. `scan` reads JSON in one pass,
//! `canonical` gives the text that breaks ties between equal clocks, `key` the order of values in
//! queries and indexes.

pub(crate) mod canonical;
pub(crate) mod key;
mod name;
pub(crate) mod scan;

use std::fmt;

pub use name::Name;
use scan::Cursor;
pub use scan::ScanError;

/// Deepest nesting of arrays and objects that a local write may have. Peers' values may be deeper.
pub const MAX_DEPTH: usize = 512;

/// Largest JSON text of one value in a local write, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// One JSON value as its text: compact, valid, otherwise as its writer spelled it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Box<str>);

impl Value {
    /// The JSON `null`.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Reads one JSON value, dropping white space between tokens.
    ///
    /// # Errors
    ///
    /// A [`ScanError`] with the byte offset where the text stops being JSON.
    pub fn parse(text: &str) -> Result<Self, ScanError> {
        let mut cursor = Cursor::new(text.as_bytes());
        let raw = cursor.value()?;
        cursor.end()?;
        Ok(Self::from_raw(raw))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    /// From text that the scanner has passed.
    pub(crate) fn from_raw(raw: &[u8]) -> Self {
        let compact = scan::compact(raw);
        // The scanner checked the encoding; a lossy copy cannot differ and cannot panic.
        Self(String::from_utf8_lossy(&compact).into())
    }
}

impl fmt::Debug for Value {
    /// Values are the user's data: only their size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}
