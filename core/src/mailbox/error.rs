//! The one error of all mailboxes.

use std::time::Duration;

/// What went wrong, in words a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MailboxErrorKind {
    /// The remote is certain that there is no such file or folder.
    NotFound,
    /// The file to be created exists.
    AlreadyExists,
    /// The stored version is not the expected one.
    Conflict,
    /// The credentials are missing, wrong or expired (HTTP 401).
    Unauthorized,
    /// The credentials are valid, but not for this (HTTP 403, file permissions).
    Forbidden,
    /// Too many requests (HTTP 429).
    RateLimited,
    /// The remote answered, but cannot serve now (HTTP 423, 5xx), or broke off.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// The remote cannot be reached at all: no network, no name, connection refused.
    Offline,
    /// The remote is full (HTTP 507, ENOSPC).
    QuotaFull,
    /// The body is larger than the remote accepts (HTTP 413).
    TooLarge,
    /// The path cannot be expressed on this remote.
    InvalidPath,
    /// The remote answered something that its protocol does not allow.
    Protocol,
    /// The disk of this device is full: what was to be sent could not be kept in a file.
    DiskFull,
    /// Any other fault of a local device.
    Io,
}

/// A failed mailbox call. Never holds credentials or bodies.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path}: {message}")]
pub struct MailboxError {
    kind: MailboxErrorKind,
    operation: &'static str,
    path: String,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl MailboxError {
    /// An error of `kind` while doing `operation` (`read`, `list`, …) on `path`.
    pub fn new(
        kind: MailboxErrorKind,
        operation: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            operation,
            path: path.into(),
            message: message.into(),
            status: None,
            retry_after: None,
            source: None,
        }
    }

    /// With the HTTP status that told it.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With the wait that the remote asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// With the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same about another path, where the work was done elsewhere on its behalf.
    #[cfg(feature = "http")]
    #[cfg_attr(not(feature = "webdav"), allow(dead_code, reason = "not every mailbox has such work"))]
    pub(super) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> MailboxErrorKind {
        self.kind
    }

    /// What was being done: `read`, `write`, `list`, …
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The path it was done on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The HTTP status, where there was one.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the remote asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        use MailboxErrorKind as K;
        matches!(self.kind, K::RateLimited | K::Unavailable | K::Timeout | K::Offline | K::DiskFull | K::Io)
    }
}
