//! Where a WebDAV mailbox is, and who asks.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::{MailboxError, MailboxErrorKind, MailboxResult};
use super::auth::WebDavAuth;

/// How long nothing may move before a request is given up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a WebDAV mailbox is, and who asks.
#[derive(Clone)]
pub struct WebDavConfig {
    url: Url,
    auth: WebDavAuth,
    timeout: Duration,
    connect_timeout: Duration,
    authorities: Vec<CertificateDer<'static>>,
}

impl WebDavConfig {
    /// The collection at an `http` or `https` address, which must exist. A user and a password in the
    /// address become [`WebDavAuth::Basic`] and are taken out of it.
    pub fn new(base_url: &str) -> MailboxResult<Self> {
        let bad = |why: &str| Err(refuse(MailboxErrorKind::InvalidPath, why));
        let Ok(mut url) = Url::parse(base_url) else {
            return bad("the base address is not a URL");
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return bad("the base address is neither http nor https");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return bad("the base address has a query or a fragment");
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        let auth = match (decode(url.username()), url.password().map(decode)) {
            (Some(user), None) if user.is_empty() => WebDavAuth::None,
            (Some(user), None) => WebDavAuth::basic(user, ""),
            (Some(user), Some(Some(password))) => WebDavAuth::basic(user, password),
            _ => return bad("the user or the password in the base address is not UTF-8"),
        };
        // Both can only fail where there is no host.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return bad("the base address cannot hold credentials");
        }
        Ok(Self { url, auth, timeout: TIMEOUT, connect_timeout: CONNECT_TIMEOUT, authorities: Vec::new() })
    }

    /// With these credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: WebDavAuth) -> Self {
        self.auth = auth;
        self
    }

    /// With this long a wait for an answer, or for the next part of a body; 30 seconds by default. The
    /// answer to a large upload may take up to five times as long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With this long a wait for a connection; 10 seconds by default.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Trusting the certificate authorities in a PEM text too, such as that of a home server, besides those
    /// that the platform trusts.
    pub fn with_authorities(mut self, pem: &str) -> MailboxResult<Self> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => self.authorities.extend(certificates),
            _ => {
                return Err(refuse(MailboxErrorKind::Protocol, "no certificate is to be read from the text"));
            }
        }
        Ok(self)
    }

    /// The base address, without credentials.
    pub fn base_url(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn auth(&self) -> &WebDavAuth {
        &self.auth
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }
}

impl fmt::Debug for WebDavConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebDavConfig")
            .field("base_url", &self.base_url())
            .field("auth", &self.auth)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An error of the configuration. It never shows the address, which may hold a password.
pub(super) fn refuse(kind: MailboxErrorKind, why: &str) -> MailboxError {
    MailboxError::new(kind, "configure", "/", why)
}

#[cfg(test)]
mod tests {
    use super::super::auth::Authorization;
    use super::*;

    async fn header(auth: &WebDavAuth) -> MailboxResult<Option<reqwest::header::HeaderValue>> {
        Authorization::new(auth)?.header().await
    }

    #[tokio::test]
    async fn takes_credentials_out_of_the_address() {
        let config = WebDavConfig::new("https://us%40er:p%C3%A4ss%2F@host:8443/dav/").unwrap();
        assert_eq!(config.base_url(), "https://host:8443/dav/");
        let header = header(config.auth()).await.unwrap().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNAZXI6cMOkc3Mv");
        assert!(header.is_sensitive());
        assert!(matches!(WebDavConfig::new("http://host").unwrap().auth(), WebDavAuth::None));
    }

    #[test]
    fn refuses_other_addresses_without_showing_them() {
        let bad = [
            "ftp://u:s3cret@host/",
            "u:s3cret@host/",
            "http://u:s3cret@/",
            "http://u:s3cret@host/?q",
            "http://u:s3cret@host/#f",
            "http://u:s3cret%FF@host/",
            "/s3cret",
        ];
        for address in bad {
            let error = WebDavConfig::new(address).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{address}");
        }
    }

    #[test]
    fn wants_certificates_where_it_is_told_of_some() {
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(WebDavConfig::new("https://host/").unwrap().with_authorities(bad).is_err());
        }
    }

    #[tokio::test]
    async fn shows_no_credentials() {
        let basic = WebDavConfig::new("http://somebody:s3cret@host/").unwrap();
        let bearer = basic.clone().with_auth(WebDavAuth::bearer("t0ken"));
        for config in [basic, bearer] {
            let shown = format!("{config:?} {:?}", header(config.auth()).await.unwrap());
            assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
            assert!(!shown.contains("somebody"), "{shown}");
        }
        let error = header(&WebDavAuth::bearer("t0ken\n")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("t0ken"));
        assert_eq!(
            header(&WebDavAuth::basic("a:b", "s3cret")).await.unwrap_err().kind(),
            MailboxErrorKind::Unauthorized
        );
    }
}
