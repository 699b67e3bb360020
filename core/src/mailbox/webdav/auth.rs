//! Credentials of a WebDAV server.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

use super::super::http::Authorization;
use super::super::{MailboxResult, TokenProvider};

/// Credentials of a WebDAV server. Wiped from memory when dropped, never shown.
#[derive(Clone, Default)]
pub enum WebDavAuth {
    /// No credentials.
    #[default]
    None,
    /// User and password, sent as UTF-8.
    Basic {
        /// The user; cannot contain a colon.
        user: String,
        /// The password, or the app password that many services want here.
        password: Zeroizing<String>,
    },
    /// User and password, neither of them sent in the clear: the server's challenges are answered (RFC 7616, with
    /// SHA-256 or MD5). A body that is streamed takes one small request more.
    Digest {
        /// The user.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A bearer token.
    Bearer(Zeroizing<String>),
    /// Bearer tokens that are asked for as they are needed, and again when one is refused.
    Provider(Arc<dyn TokenProvider>),
}

impl WebDavAuth {
    /// User and password.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { user: user.into(), password: Zeroizing::new(password.into()) }
    }

    /// User and password, for a server that asks for digest authentication.
    pub fn digest(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Digest { user: user.into(), password: Zeroizing::new(password.into()) }
    }

    /// A bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(Zeroizing::new(token.into()))
    }

    pub(super) fn authorization(&self) -> MailboxResult<Authorization> {
        match self {
            Self::None => Ok(Authorization::Fixed(None)),
            Self::Basic { user, password } => Authorization::basic(user, password),
            Self::Digest { user, password } => Ok(Authorization::digest(user, password)),
            Self::Bearer(token) => Authorization::bearer(token),
            Self::Provider(provider) => Ok(Authorization::provided(Arc::clone(provider))),
        }
    }
}

impl fmt::Debug for WebDavAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(***)",
            Self::Digest { .. } => "Digest(***)",
            Self::Bearer(_) => "Bearer(***)",
            Self::Provider(_) => "Provider(***)",
        })
    }
}
