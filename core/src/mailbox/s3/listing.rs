//! Listings: what opendal makes of them, as the mailbox needs it.

use opendal::Entry;
use percent_encoding::percent_decode_str;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) size: Option<u64>,
    pub(super) modified_ms: Option<i64>,
    pub(super) etag: Option<String>,
}

/// What begins with a prefix.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) objects: Vec<Object>,
    /// What ends with a slash: the marks of folders, and what keys have in common up to the delimiter.
    pub(super) folders: Vec<String>,
}

impl Listing {
    /// Adds an entry, whose key is escaped or not. One that is not UTF-8 cannot be asked for through this interface
    /// and is left out.
    pub(super) fn add(&mut self, entry: &Entry, is_escaped: bool) {
        let path = entry.path();
        let key = if is_escaped { unescaped(path) } else { Some(path.to_owned()) };
        match key {
            Some(key) if key.ends_with('/') => self.folders.push(key),
            Some(key) => self.objects.push(Object {
                key,
                size: Some(entry.metadata().content_length()),
                modified_ms: entry.metadata().last_modified().map(|time| time.into_inner().as_millisecond()),
                etag: entry.metadata().etag().and_then(version),
            }),
            None => {}
        }
    }
}

/// Escaped as in a form, a blank as a plus.
fn unescaped(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
}

/// An etag without its quotes, which some services leave out here and there.
pub(super) fn version(etag: &str) -> Option<String> {
    let etag = etag.trim();
    let bare = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_escaped() {
        assert_eq!(unescaped("a/b+c%2Bd%25").as_deref(), Some("a/b c+d%"));
        assert_eq!(unescaped("%C3%BC%2F").as_deref(), Some("\u{fc}/"));
        assert_eq!(unescaped("%FF"), None);
    }

    #[test]
    fn versions_have_no_quotes() {
        for etag in ["\"0f-2\"", "0f-2", " W/\"0f-2\" "] {
            assert_eq!(version(etag).as_deref(), Some("0f-2"));
        }
        assert_eq!(version("\"\""), None);
    }
}
