//! The path of a durable file, as the app gives it: taken apart, checked, and put together in one way.

use std::fmt;

use super::sidecar;
use crate::error::{Error, Result};

/// The longest path, in bytes. A mailbox puts its own folders in front of it.
const MAX_BYTES: usize = 1024;

/// The longest segment, in bytes: the limit of nearly every file system.
const MAX_SEGMENT_BYTES: usize = 255;

/// Begins the names that mailboxes keep for files on their way.
const RESERVED: &str = ".interocitor-";

/// A path that any mailbox can take: segments between single slashes, none of them relative or empty.
///
/// Slashes at the ends and repeated ones do not count, as in the JavaScript client: `/docs//a.txt` is `docs/a.txt`.
/// Paths are compared byte by byte and never normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Checks a path.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a path without a segment, with `.` or `..` or a control character in it, that is too
    /// long, or that uses a name which the mailbox keeps for itself.
    pub fn new(path: &str) -> Result<Self> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.is_empty() {
            return refuse(path, "it names no file");
        }
        for segment in &segments {
            if matches!(*segment, "." | "..") {
                return refuse(path, "`.` and `..` lead elsewhere");
            }
            if segment.chars().any(char::is_control) {
                return refuse(path, "it has a control character");
            }
            if segment.contains('\\') {
                return refuse(path, "it has a backslash, which some systems take for a slash");
            }
            if segment.len() > MAX_SEGMENT_BYTES {
                return refuse(path, "a part of it has more than 255 bytes");
            }
            if segment.starts_with(RESERVED) || segment.ends_with(sidecar::ENDING) {
                return refuse(path, "the mailbox keeps such names for itself");
            }
        }
        let joined = segments.join("/");
        if joined.len() > MAX_BYTES {
            return refuse(path, "it has more than 1024 bytes");
        }
        Ok(Self(joined))
    }

    /// The path as it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse<T>(path: &str, why: &str) -> Result<T> {
    let shown: String = path.chars().take(80).collect();
    Err(Error::invalid("file path", format!("{shown:?}: {why}; choose another path")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (given, wanted) in [
            ("a", "a"),
            ("/docs//a.txt/", "docs/a.txt"),
            ("...", "..."),
            (".hidden/x y", ".hidden/x y"),
            ("a\u{301}/\u{e1}", "a\u{301}/\u{e1}"),
        ] {
            assert_eq!(FilePath::new(given).unwrap().as_str(), wanted);
        }
        assert_eq!(FilePath::new("docs/a.txt").unwrap().name(), "a.txt");
        assert!(FilePath::new(&"x".repeat(255)).is_ok());
        assert!(FilePath::new(&["x"; 512].join("/")).is_ok());
    }

    #[test]
    fn what_leads_elsewhere_or_fits_nowhere_is_refused() {
        let long = "x".repeat(256);
        let deep = ["x"; 514].join("/");
        for bad in [
            "",
            "/",
            "///",
            "a/../b",
            "..",
            "./a",
            "a/.",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}",
            "a\\b",
            &long,
            &deep,
            ".interocitor-tmp-1/a",
            "a.interocitor-meta.json",
        ] {
            let error = FilePath::new(bad).unwrap_err();
            assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "{bad:?}");
            assert!(error.to_string().len() < 300 && !error.to_string().contains('\n'), "{error}");
        }
    }
}
