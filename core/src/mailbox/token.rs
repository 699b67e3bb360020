//! Access tokens that somebody else keeps fresh.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::MailboxResult;

/// Gives the access token of an account, such as one of OAuth, whenever a mailbox needs it.
#[async_trait]
pub trait TokenProvider: Send + Sync + fmt::Debug {
    /// The token to use now. `rejected` is one that the remote just refused; another one is wanted, for
    /// instance by means of a refresh token. It has as long as the mailbox waits for a server, which is not long
    /// enough to ask the user.
    ///
    /// # Errors
    ///
    /// [`Unauthorized`](super::MailboxErrorKind::Unauthorized) where the user has to sign in again, or
    /// whatever kept the provider from asking.
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>>;
}
