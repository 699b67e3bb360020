//! Where a Worker is, and who asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use interocitor_crypto::digest::sha256_hex;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::super::http::{Authorization, CONNECT_TIMEOUT, Setup, TIMEOUT, certificates, refuse};
use super::super::{MailboxErrorKind, MailboxResult, PlatformUploads, TokenProvider};
use crate::host::{Host, TokioHost};

/// The largest durable file that a Worker takes, unless its owner set another limit.
const FILE_MAX: u64 = 32 * 1024 * 1024;

/// Where a mailbox behind a Cloudflare Worker is, and who asks.
#[derive(Clone)]
pub struct CloudflareConfig {
    url: Url,
    credentials: Credentials,
    device_id: Option<String>,
    max_file: u64,
    has_push: bool,
    timeout: Duration,
    uploads: Option<PlatformUploads>,
    authorities: Vec<CertificateDer<'static>>,
    host: Arc<dyn Host>,
}

#[derive(Clone)]
enum Credentials {
    None,
    Token(Zeroizing<String>),
    Provider(Arc<dyn TokenProvider>),
}

impl CloudflareConfig {
    /// The mailbox of an address: `https://host/io/ADDRESS`, with the place where the Worker is mounted in front
    /// of `/io/`, if it is mounted somewhere.
    pub fn new(url: &str) -> MailboxResult<Self> {
        let refuse = |why: &str| Err(refuse(MailboxErrorKind::InvalidPath, why));
        let Ok(mut url) = Url::parse(url) else { return refuse("the base address is not a URL") };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return refuse("the base address is neither http nor https");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return refuse("the base address has more than a host and a path");
        }
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let address = path.split_once("/io/").map(|(_, address)| address);
        if address.is_none_or(|address| address.is_empty() || address.contains('/')) {
            return refuse("the base address does not end with /io/ and the address of a mesh");
        }
        url.set_path(&path);
        Ok(Self {
            url,
            credentials: Credentials::None,
            device_id: None,
            max_file: FILE_MAX,
            has_push: true,
            timeout: TIMEOUT,
            uploads: None,
            authorities: Vec::new(),
            host: Arc::new(TokioHost),
        })
    }

    /// With the access token of the address.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(Zeroizing::new(token.into()));
        self
    }

    /// With access tokens that somebody keeps fresh.
    #[must_use]
    pub fn with_token_provider(mut self, provider: Arc<dyn TokenProvider>) -> Self {
        self.credentials = Credentials::Provider(provider);
        self
    }

    /// With the token that follows from the access secret of the Worker, for its owner: it opens every address.
    #[must_use]
    pub fn with_access_secret(self, secret: &str) -> Self {
        let text = Zeroizing::new(format!("{}{secret}", self.address()));
        let token = sha256_hex(text.as_bytes());
        self.with_token(token)
    }

    /// With this device named to the Worker as the one that puts durable files. The engine tells by itself.
    #[must_use]
    pub fn with_device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = Some(device_id.into());
        self
    }

    /// With another limit for durable files, as the Worker has it; 32 MiB by default.
    #[must_use]
    pub fn with_max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// Without push: the Worker is polled only.
    #[must_use]
    pub fn without_push(mut self) -> Self {
        self.has_push = false;
        self
    }

    /// With large uploads in the hands of the platform, so that they go on while the app is frozen.
    #[must_use]
    pub fn with_platform_uploads(mut self, uploads: PlatformUploads) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// With this long a wait for an answer, or for the next part of a body; 30 seconds by default.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusting the certificate authorities in a PEM text too, besides those that the platform trusts.
    pub fn with_authorities(mut self, pem: &str) -> MailboxResult<Self> {
        let unreadable = || refuse(MailboxErrorKind::Protocol, "no certificate is to be read from the text");
        self.authorities.extend(certificates(pem).ok_or_else(unreadable)?);
        Ok(self)
    }

    /// With another clock and other tasks than tokio's.
    #[must_use]
    pub fn with_host(mut self, host: Arc<dyn Host>) -> Self {
        self.host = host;
        self
    }

    /// The base address; it holds no secret.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn base(&self) -> &Url {
        &self.url
    }

    /// The address of the mesh, as it stands in the base address.
    fn address(&self) -> &str {
        self.url.path().rsplit('/').next().unwrap_or_default()
    }

    /// Where the relay is.
    pub(super) fn relay(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&self.url.path().replacen("/io/", "/notify/", 1));
        url
    }

    pub(super) fn device_id(&self) -> Option<&str> {
        self.device_id.as_deref()
    }

    pub(super) fn max_file(&self) -> u64 {
        self.max_file
    }

    pub(super) fn has_push(&self) -> bool {
        self.has_push
    }

    pub(super) fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// What the client of the server is made of.
    pub(super) fn setup(&self) -> MailboxResult<Setup<'_>> {
        Ok(Setup {
            is_secure: self.url.scheme() == "https",
            authorities: &self.authorities,
            authorization: match &self.credentials {
                Credentials::None => Authorization::Fixed(None),
                Credentials::Token(token) => Authorization::bearer(token)?,
                Credentials::Provider(provider) => Authorization::provided(Arc::clone(provider)),
            },
            timeout: self.timeout,
            connect_timeout: CONNECT_TIMEOUT,
            uploads: self.uploads.clone(),
        })
    }
}

impl fmt::Debug for CloudflareConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudflareConfig")
            .field("url", &self.url.as_str())
            .field("has_push", &self.has_push)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_and_the_relay() {
        let config = CloudflareConfig::new("https://host:8443/a/mount/io/uuid.tag/").unwrap();
        assert_eq!(config.url(), "https://host:8443/a/mount/io/uuid.tag");
        assert_eq!(config.address(), "uuid.tag");
        assert_eq!(config.relay().as_str(), "https://host:8443/a/mount/notify/uuid.tag");
        for bad in [
            "s3cret",
            "ftp://host/io/s3cret",
            "https://host/s3cret",
            "https://host/io/",
            "https://host/io/a/s3cret",
            "https://u:s3cret@host/io/a",
            "https://host/io/a?access_token=s3cret",
        ] {
            let error = CloudflareConfig::new(bad).unwrap_err();
            assert_eq!(error.kind(), MailboxErrorKind::InvalidPath, "{bad}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{bad}");
        }
    }

    /// The vector of the protocol.
    #[test]
    fn makes_the_token_of_an_address() {
        let address = "01900000-0000-7000-8000-0000000000f1.GaNIHY0mdTY";
        let config = CloudflareConfig::new(&format!("https://host/io/{address}")).unwrap();
        let config = config.with_access_secret("s3cret");
        let Credentials::Token(token) = &config.credentials else { panic!("no token") };
        assert_eq!(token.as_str(), "c02e0ee4528526a194dd6c781ab91c6cd0021ddd93ff3be177e8dc86ffc91ce3");
        assert!(!format!("{config:?}").contains(token.as_str()));
    }
}
