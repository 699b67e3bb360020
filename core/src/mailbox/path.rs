//! Paths within a mailbox: taken apart and checked once, for every adapter.

use super::{MailboxError, MailboxErrorKind, MailboxResult};

/// Begins the name of every temporary file and folder of ours. Dot-prefixed, so that no listing shows
/// it, and without `-chg_`, so that no reader takes it for a change file.
pub(super) const TEMP_PREFIX: &str = ".interocitor-tmp-";

/// The segments of a folder path; none for `/`, the root of the adapter.
pub(super) fn folder<'a>(operation: &'static str, path: &'a str) -> MailboxResult<Vec<&'a str>> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    if relative.is_empty() {
        return Ok(Vec::new());
    }
    let refuse = |why: &str| Err(MailboxError::new(MailboxErrorKind::InvalidPath, operation, path, why));
    let mut segments = Vec::new();
    for segment in relative.split('/') {
        match segment {
            "" => return refuse("the path has an empty segment"),
            "." | ".." => return refuse("the path has a relative segment"),
            _ if segment.contains('\0') => return refuse("the path has a NUL character"),
            _ if segment.starts_with(TEMP_PREFIX) => return refuse("the name is reserved"),
            _ => segments.push(segment),
        }
    }
    Ok(segments)
}

/// The segments of a file path, at least one.
pub(super) fn file<'a>(operation: &'static str, path: &'a str) -> MailboxResult<Vec<&'a str>> {
    let segments = folder(operation, path)?;
    if segments.is_empty() {
        return Err(MailboxError::new(
            MailboxErrorKind::InvalidPath,
            operation,
            path,
            "the path names no file",
        ));
    }
    Ok(segments)
}

/// The segments joined again, absolute.
pub(super) fn join(segments: &[&str]) -> String {
    let mut path = String::with_capacity(segments.iter().map(|segment| segment.len() + 1).sum());
    for segment in segments {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

/// Path of a direct child of `folder`, which comes from [`join`].
pub(super) fn child(folder: &str, name: &str) -> String {
    if folder == "/" { format!("/{name}") } else { format!("{folder}/{name}") }
}

/// A fresh name for a temporary file; no two devices choose the same.
pub(super) fn temp_name() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{TEMP_PREFIX}{:032x}", u128::from_le_bytes(random)))
}

/// Whether listings leave the name out.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_apart() {
        assert_eq!(folder("list", "/").unwrap(), Vec::<&str>::new());
        assert_eq!(folder("list", "").unwrap(), Vec::<&str>::new());
        assert_eq!(folder("list", "/a/b c").unwrap(), ["a", "b c"]);
        assert_eq!(folder("list", "a/b").unwrap(), ["a", "b"]);
        assert_eq!(join(&["a", "b"]), "/a/b");
        assert_eq!(join(&[]), "/");
        assert_eq!(child("/", "x"), "/x");
        assert_eq!(child("/a", "x"), "/a/x");
    }

    #[test]
    fn refuses_paths_that_leave_or_blur_the_tree() {
        let bad = ["/a//b", "//a", "/a/", "/a/../b", "/..", "/./a", "/a\0b", "/.interocitor-tmp-1/a"];
        for path in bad {
            let error = file("read", path).unwrap_err();
            assert_eq!(error.kind(), MailboxErrorKind::InvalidPath, "{path}");
        }
        assert_eq!(file("read", "/").unwrap_err().kind(), MailboxErrorKind::InvalidPath);
    }

    #[test]
    fn keeps_unusual_names() {
        for path in ["/.hidden", "/...", "/ ", "/a%2Fb", "/..a", "/a\u{301}"] {
            assert!(file("read", path).is_ok(), "{path}");
        }
    }
}
