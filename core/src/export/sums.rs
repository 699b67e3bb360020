//! The digests of all entries, as `sha256sum` writes and checks them.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{entry, invalid};
use crate::error::Result;

/// Digests by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sums(pub(super) BTreeMap<String, String>);

impl Sums {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        for (name, digest) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{digest}  {name}");
        }
        text.into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |reason: &str| invalid(entry::SUMS, reason);
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        if !text.ends_with('\n') {
            return Err(wrong("it is cut short"));
        }
        let mut sums = Self::default();
        for line in text.lines() {
            let (digest, name) = line.split_once("  ").ok_or_else(|| wrong("a line is none of sha256sum"))?;
            let is_digest =
                digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !is_digest || entry::kind(name)? == entry::Kind::Sums {
                return Err(wrong("a line is none of sha256sum"));
            }
            if sums.0.insert(name.to_owned(), digest.to_owned()).is_some() {
                return Err(wrong("it names an entry twice"));
            }
        }
        Ok(sums)
    }
}
