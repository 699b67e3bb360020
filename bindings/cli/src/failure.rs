//! Why a run ends without success, as one line for people and a stable code for programs.

use std::{borrow::Cow, io};

use interocitor_core::{Error, ErrorCode};

use crate::text;

/// What everything here returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a run ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// `error[CODE]: reason` on standard error, exit code 1.
    Reported { code: Cow<'static, str>, reason: String },
    /// The arguments make no sense, exit code 2.
    Usage(String),
    /// Whoever read our output has enough: nothing is wrong.
    BrokenPipe,
}

impl Failure {
    /// A failure under a code of the engine's table. The reason becomes one line.
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, reason: impl AsRef<str>) -> Self {
        Failure::Reported { code: code.into(), reason: text::shown(reason.as_ref()) }
    }

    /// The user gave something unusable.
    pub(crate) fn invalid(reason: impl AsRef<str>) -> Self {
        Self::new(ErrorCode::InvalidArgument.as_str(), reason)
    }

    /// A file that the user named, or that lies beside the store, cannot be used.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            _ => ErrorCode::InvalidArgument,
        };
        Self::new(code.as_str(), format!("{what} {}: {error}", path.display()))
    }

    /// Standard output cannot take what we say.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            io::ErrorKind::StorageFull => {
                Self::new(ErrorCode::DiskFull.as_str(), format!("the output cannot be written: {error}"))
            }
            _ => Self::new("OUTPUT", format!("the output cannot be written: {error}")),
        }
    }

    /// The same, with a word in front that says where.
    pub(crate) fn at(self, place: &str) -> Self {
        match self {
            Failure::Reported { code, reason } => {
                Failure::Reported { code, reason: format!("{place}: {reason}") }
            }
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code().as_str(), format!("{error}{}", advice(&error)))
    }
}

/// What to do about it at a terminal, where the engine's text cannot know.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::PassphraseRequired => {
            " with --passphrase-file FILE, or take it over from a device of the mesh: interocitor pair join"
        }
        Error::MeshEncryptionMismatch { mesh_encrypted: false, .. } => ": add --plaintext",
        Error::MeshEncryptionMismatch { .. } => ": give --passphrase-file FILE instead of --plaintext",
        Error::StoreCorrupt { .. } => " (--set-aside-corrupt moves it aside)",
        Error::StoreBusy => " when it is done",
        Error::Offline(_) | Error::RemoteAccess(_) => {
            "; what was written here is kept and published by a later sync"
        }
        _ => "",
    }
}
