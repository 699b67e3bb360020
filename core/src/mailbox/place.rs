//! Checked paths.

use super::{MailboxError, MailboxErrorKind, MailboxResult, path};

/// A checked path and what is being done to it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) operation: &'static str,
    pub(super) segments: Vec<String>,
    /// Absolute within the mailbox.
    pub(super) path: String,
}

impl Place {
    pub(super) fn file(operation: &'static str, path: &str) -> MailboxResult<Self> {
        Ok(Self::new(operation, &path::file(operation, path)?))
    }

    pub(super) fn folder(operation: &'static str, path: &str) -> MailboxResult<Self> {
        Ok(Self::new(operation, &path::folder(operation, path)?))
    }

    pub(super) fn root(operation: &'static str) -> Self {
        Self::new(operation, &[])
    }

    fn new(operation: &'static str, segments: &[&str]) -> Self {
        let path = path::join(segments);
        Self { operation, segments: segments.iter().map(|&segment| segment.to_owned()).collect(), path }
    }

    /// The first `depth` segments.
    pub(super) fn ancestor(&self, depth: usize) -> Self {
        let segments: Vec<&str> = self.segments.iter().take(depth).map(String::as_str).collect();
        Self::new(self.operation, &segments)
    }

    pub(super) fn parent(&self) -> Self {
        self.ancestor(self.segments.len().saturating_sub(1))
    }

    pub(super) fn child(&self, name: &str) -> Self {
        let mut segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        segments.push(name);
        Self::new(self.operation, &segments)
    }

    /// A fresh temporary file in the same folder.
    #[cfg(feature = "webdav")]
    pub(super) fn temporary(&self) -> MailboxResult<Self> {
        let name = path::temp_name().map_err(|error| {
            self.error(MailboxErrorKind::Io, "no random numbers are to be had").with_source(error)
        })?;
        Ok(self.parent().child(&name))
    }

    pub(super) fn name(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    pub(super) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(super) fn error(&self, kind: MailboxErrorKind, message: &str) -> MailboxError {
        MailboxError::new(kind, self.operation, self.path.as_str(), message)
    }
}
