//! How the store's file lies on disk: plain, or encrypted under the feature `sqlcipher`.

#[cfg(feature = "sqlcipher")]
use super::sealed::Seal;
use crate::error::Error;

/// Pages kept in memory, in KiB.
const CACHE_KIB: u32 = 8 * 1024;

/// The form in which a file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Readable for whoever can read the file.
    Plain,
    /// Encrypted.
    #[cfg(feature = "sqlcipher")]
    Sealed(Seal),
}

impl Form {
    pub(super) fn cache_kib(&self) -> u32 {
        match self {
            Form::Plain => CACHE_KIB,
            // A page that is read again is decrypted again.
            #[cfg(feature = "sqlcipher")]
            Form::Sealed(_) => 8 * CACHE_KIB,
        }
    }

    /// What a failure to open means: with another key everything is noise.
    pub(super) fn explain(&self, error: Error) -> Error {
        match (self, error) {
            #[cfg(feature = "sqlcipher")]
            (Form::Sealed(_), Error::StoreCorrupt { path, .. }) => Error::StoreLocked { path },
            (_, error) => error,
        }
    }
}
