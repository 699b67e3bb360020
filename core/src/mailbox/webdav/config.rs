//! Where a WebDAV mailbox is, and who asks.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use rustls::pki_types::CertificateDer;

use super::super::http::{CONNECT_TIMEOUT, Setup, TIMEOUT, certificates, refuse};
use super::super::{MailboxErrorKind, MailboxResult, PlatformUploads};
use super::auth::WebDavAuth;

/// Where a WebDAV mailbox is, and who asks.
#[derive(Clone)]
pub struct WebDavConfig {
    url: Url,
    auth: WebDavAuth,
    timeout: Duration,
    uploads: Option<PlatformUploads>,
    connect_timeout: Duration,
    authorities: Vec<CertificateDer<'static>>,
}

impl WebDavConfig {
    /// The collection at an `http` or `https` address, which must exist. A user and a password in the
    /// address become [`WebDavAuth::Basic`], with `?auth=digest` [`WebDavAuth::Digest`], and are taken out of it.
    pub fn new(base_url: &str) -> MailboxResult<Self> {
        let bad = |why: &str| Err(refuse(MailboxErrorKind::InvalidPath, why));
        let Ok(mut url) = Url::parse(base_url) else {
            return bad("the base address is not a URL");
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return bad("the base address is neither http nor https");
        }
        let is_digest = url.query() == Some("auth=digest");
        if (url.query().is_some() && !is_digest) || url.fragment().is_some() {
            return bad("the base address has a fragment, or a query other than auth=digest");
        }
        url.set_query(None);
        let decode = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        let auth = match (decode(url.username()), url.password().map(decode)) {
            (Some(user), None) if user.is_empty() => WebDavAuth::None,
            (Some(user), None) => WebDavAuth::basic(user, ""),
            (Some(user), Some(Some(password))) => WebDavAuth::basic(user, password),
            _ => return bad("the user or the password in the base address is not UTF-8"),
        };
        let auth = match auth {
            WebDavAuth::Basic { user, password } if is_digest => WebDavAuth::Digest { user, password },
            WebDavAuth::None if is_digest => {
                return bad("the base address has no user for digest authentication");
            }
            auth => auth,
        };
        // Both can only fail where there is no host.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return bad("the base address cannot hold credentials");
        }
        Ok(Self {
            url,
            auth,
            timeout: TIMEOUT,
            uploads: None,
            connect_timeout: CONNECT_TIMEOUT,
            authorities: Vec::new(),
        })
    }

    /// With these credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: WebDavAuth) -> Self {
        self.auth = auth;
        self
    }

    /// With large uploads in the hands of the platform, so that they go on while the app is frozen.
    #[must_use]
    pub fn with_platform_uploads(mut self, uploads: PlatformUploads) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// With this long a wait for an answer, for the next part of a body, or for a token; 30 seconds by default. The
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
        let unreadable = || refuse(MailboxErrorKind::Protocol, "no certificate is to be read from the text");
        self.authorities.extend(certificates(pem).ok_or_else(unreadable)?);
        Ok(self)
    }

    /// The base address, without credentials.
    pub fn base_url(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What the client of the server is made of.
    pub(super) fn setup(&self) -> MailboxResult<Setup<'_>> {
        Ok(Setup {
            is_secure: self.url.scheme() == "https",
            authorities: &self.authorities,
            authorization: self.auth.authorization()?,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            uploads: self.uploads.clone(),
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn header(auth: &WebDavAuth) -> MailboxResult<Option<reqwest::header::HeaderValue>> {
        auth.authorization()?.header("GET", &Url::parse("http://host/").unwrap(), TIMEOUT).await
    }

    #[tokio::test]
    async fn takes_credentials_out_of_the_address() {
        let config = WebDavConfig::new("https://us%40er:p%C3%A4ss%2F@host:8443/dav/").unwrap();
        assert_eq!(config.base_url(), "https://host:8443/dav/");
        let header = header(&config.auth).await.unwrap().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNAZXI6cMOkc3Mv");
        assert!(header.is_sensitive());
        assert!(matches!(WebDavConfig::new("http://host").unwrap().auth, WebDavAuth::None));
    }

    #[test]
    fn refuses_other_addresses_without_showing_them() {
        let bad = [
            "ftp://u:s3cret@host/",
            "u:s3cret@host/",
            "http://u:s3cret@/",
            "http://u:s3cret@host/?q",
            "http://u:s3cret@host/?auth=s3cret",
            "http://host/s3cret?auth=digest",
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
        let digest = WebDavConfig::new("http://somebody:s3cret@host/?auth=digest").unwrap();
        assert_eq!((digest.base_url(), format!("{:?}", digest.auth)), ("http://host/", "Digest(***)".into()));
        for config in [basic, bearer, digest] {
            let shown = format!("{config:?} {:?}", header(&config.auth).await.unwrap());
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
