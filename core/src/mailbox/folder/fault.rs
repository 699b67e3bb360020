//! Faults of the file system in the words of a mailbox.

use std::io::{Error, ErrorKind};

use super::super::{MailboxError, MailboxErrorKind};

/// What a fault means; "not found" is still to be confirmed by a look at the base directory.
pub(super) fn kind(error: &Error) -> MailboxErrorKind {
    use MailboxErrorKind as K;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => K::NotFound,
        ErrorKind::AlreadyExists => K::AlreadyExists,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => K::Forbidden,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => K::QuotaFull,
        ErrorKind::FileTooLarge => K::TooLarge,
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput | ErrorKind::IsADirectory => K::InvalidPath,
        ErrorKind::TimedOut => K::Timeout,
        // Network drives that are gone for the moment.
        ErrorKind::StaleNetworkFileHandle
        | ErrorKind::NotConnected
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset => K::Unavailable,
        _ => K::Io,
    }
}

/// The error of a call. Its message is the system's, without the local path.
pub(super) fn error(operation: &'static str, path: &str, error: Error) -> MailboxError {
    MailboxError::new(kind(&error), operation, path, error.to_string()).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn maps_system_errors() {
        use MailboxErrorKind as K;
        let table = [
            (2, K::NotFound),      // ENOENT
            (20, K::NotFound),     // ENOTDIR
            (13, K::Forbidden),    // EACCES
            (1, K::Forbidden),     // EPERM
            (30, K::Forbidden),    // EROFS
            (28, K::QuotaFull),    // ENOSPC
            (122, K::QuotaFull),   // EDQUOT
            (27, K::TooLarge),     // EFBIG
            (36, K::InvalidPath),  // ENAMETOOLONG
            (21, K::InvalidPath),  // EISDIR
            (110, K::Timeout),     // ETIMEDOUT
            (116, K::Unavailable), // ESTALE
            (107, K::Unavailable), // ENOTCONN, a dead FUSE mount
            (5, K::Io),            // EIO
        ];
        for (code, expected) in table {
            assert_eq!(kind(&Error::from_raw_os_error(code)), expected, "errno {code}");
        }
    }
}
