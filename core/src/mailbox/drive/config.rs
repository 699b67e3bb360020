//! Where a mailbox in Google Drive is, and who asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

use super::super::http::{Authorization, CONNECT_TIMEOUT, Setup, TIMEOUT, refuse};
use super::super::{MailboxErrorKind, MailboxResult, PlatformUploads, TokenProvider};
use super::item;

/// Google's own server.
const ENDPOINT: &str = "https://www.googleapis.com/";
/// How often a call is made again that Drive is too busy for.
const RETRIES: u32 = 4;

/// Where a mailbox in Google Drive is, and who asks.
///
/// The access token is one of OAuth with the scope `drive.file`: the app sees what it made itself and nothing
/// else of the user's Drive. Two apps see the same mailbox only if both are clients of one Google project.
#[derive(Clone)]
pub struct GoogleDriveConfig {
    credentials: Credentials,
    endpoint: Url,
    folder: Option<String>,
    client_id: Option<String>,
    timeout: Duration,
    uploads: Option<PlatformUploads>,
    retries: u32,
}

#[derive(Clone)]
enum Credentials {
    Token(Zeroizing<String>),
    Provider(Arc<dyn TokenProvider>),
}

impl GoogleDriveConfig {
    /// With access tokens that somebody keeps fresh: they last for about an hour.
    pub fn new(provider: Arc<dyn TokenProvider>) -> MailboxResult<Self> {
        Self::with(Credentials::Provider(provider))
    }

    /// With one access token, until it expires.
    pub fn with_token(token: impl Into<String>) -> MailboxResult<Self> {
        Self::with(Credentials::Token(Zeroizing::new(token.into())))
    }

    fn with(credentials: Credentials) -> MailboxResult<Self> {
        Ok(Self {
            credentials,
            endpoint: endpoint(ENDPOINT)?,
            folder: None,
            client_id: None,
            timeout: TIMEOUT,
            uploads: None,
            retries: RETRIES,
        })
    }

    /// In the folder of this id, which must exist, in place of My Drive.
    pub fn with_folder(mut self, id: &str) -> MailboxResult<Self> {
        if !item::is_id(id) {
            return Err(refuse(MailboxErrorKind::InvalidPath, "the folder is no id of Google Drive"));
        }
        self.folder = Some(id.to_owned());
        Ok(self)
    }

    /// Telling other devices in pairing codes which OAuth client this app is.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// With another server that speaks the same interface, at an `http` or `https` address: a proxy, or one
    /// for tests. It gets to see the tokens.
    pub fn with_endpoint(mut self, url: &str) -> MailboxResult<Self> {
        self.endpoint = endpoint(url)?;
        Ok(self)
    }

    /// With large uploads in the hands of the platform, so that they go on while the app is frozen.
    #[must_use]
    pub fn with_platform_uploads(mut self, uploads: PlatformUploads) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// With this long a wait for an answer, for the next part of a body, or for a token; 30 seconds by default.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With so many tries more for what Drive is too busy for, 4 by default: after half a second, twice as long
    /// each time, or after the wait that Drive asks for.
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The id of the folder that the mailbox is in; `root` is Drive's own name for My Drive.
    pub(super) fn folder(&self) -> &str {
        self.folder.as_deref().unwrap_or(item::MY_DRIVE)
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    /// What the client of the server is made of.
    pub(super) fn setup(&self) -> MailboxResult<Setup<'_>> {
        Ok(Setup {
            is_secure: self.endpoint.scheme() == "https",
            authorities: &[],
            authorization: match &self.credentials {
                Credentials::Token(token) => Authorization::bearer(token)?,
                Credentials::Provider(provider) => Authorization::provided(Arc::clone(provider)),
            },
            timeout: self.timeout,
            connect_timeout: CONNECT_TIMEOUT,
            uploads: self.uploads.clone(),
        })
    }
}

fn endpoint(url: &str) -> MailboxResult<Url> {
    let fits = |url: &Url| {
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare && url.path() == "/"
    };
    Url::parse(url).ok().filter(fits).ok_or_else(|| {
        refuse(MailboxErrorKind::InvalidPath, "the endpoint is no http or https address of a server")
    })
}

impl fmt::Debug for GoogleDriveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleDriveConfig")
            .field("endpoint", &self.endpoint.as_str())
            .field("folder", &self.folder())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_token_and_refuses_strange_places() {
        let config = GoogleDriveConfig::with_token("s3cret").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        for bad in ["", "ftp://host", "http://u:s3cret@host/", "http://host/path", "http://host/?q", "s3cret"]
        {
            let error = config.clone().with_endpoint(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{bad}");
        }
        assert!(config.clone().with_endpoint("http://127.0.0.1:81").is_ok());
        for bad in ["", "../about", "a'b", "a b", "a/b"] {
            assert!(config.clone().with_folder(bad).is_err(), "{bad}");
        }
        assert!(config.with_folder("1aB_-x").is_ok());
    }
}
