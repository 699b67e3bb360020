//! Where an S3 mailbox is, and who asks.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::super::http::{CONNECT_TIMEOUT, TIMEOUT, certificates, refuse};
use super::super::{MailboxErrorKind, MailboxResult, PlatformUploads, path};

/// The region of a bucket that nobody names another of; most compatible services take it for theirs.
const REGION: &str = "us-east-1";

/// The keys of an account. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct S3Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl S3Credentials {
    /// An access key with its secret.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: Zeroizing::new(secret_key.into()),
            session_token: None,
        }
    }

    /// With the token that temporary keys come with.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(Zeroizing::new(token.into()));
        self
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials(***)")
    }
}

/// Where a bucket stands in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Addressing {
    /// `https://host/bucket/key`, which most compatible services want.
    Path,
    /// `https://bucket.host/key`, which AWS wants.
    VirtualHost,
}

/// Where an S3 mailbox is, and who asks.
#[derive(Clone)]
pub struct S3Config {
    bucket: String,
    /// Segments that all keys begin with.
    prefix: Vec<String>,
    endpoint: Option<Url>,
    region: String,
    addressing: Option<S3Addressing>,
    credentials: Option<S3Credentials>,
    timeout: Duration,
    uploads: Option<PlatformUploads>,
    connect_timeout: Duration,
    authorities: Vec<CertificateDer<'static>>,
}

impl S3Config {
    /// The mailbox at `s3://bucket/prefix`, optionally with `?endpoint=https://host`, `region=` and
    /// `addressing=path` or `virtual`. Without an endpoint it is AWS. Keys may stand in the address, as
    /// `s3://ACCESS_KEY:SECRET_KEY@bucket`, with a `session_token=` in the query; what is special in them is
    /// percent-encoded. The bucket must exist.
    pub fn new(address: &str) -> MailboxResult<Self> {
        let bad = |why: &str| Err(refuse(MailboxErrorKind::InvalidPath, why));
        let Some(rest) = address.strip_prefix("s3://") else {
            return bad("the address does not begin with s3://");
        };
        if rest.contains('#') {
            return bad("the address has a fragment");
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (keys, bucket) = match authority.rsplit_once('@') {
            Some((keys, bucket)) => (Some(keys), bucket),
            None => (None, authority),
        };
        if !is_bucket(bucket) {
            return bad("the address names no bucket");
        }
        let mut config = Self {
            bucket: bucket.to_owned(),
            prefix: segments(prefix)?,
            endpoint: None,
            region: REGION.to_owned(),
            addressing: None,
            credentials: None,
            timeout: TIMEOUT,
            uploads: None,
            connect_timeout: CONNECT_TIMEOUT,
            authorities: Vec::new(),
        };
        if let Some(keys) = keys {
            let Some((access_key, secret_key)) = keys.split_once(':') else {
                return bad("the address has an access key without a secret");
            };
            let (Some(access_key), Some(secret_key)) = (decode(access_key), decode(secret_key)) else {
                return bad("the keys in the address are not UTF-8");
            };
            config.credentials = Some(S3Credentials::new(access_key, secret_key));
        }
        let mut token = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = decode(value) else { return bad("the query of the address is not UTF-8") };
            config = match name {
                "endpoint" => config.with_endpoint(&value)?,
                "region" => config.with_region(value),
                "addressing" if value == "path" => config.with_addressing(S3Addressing::Path),
                "addressing" if value == "virtual" => config.with_addressing(S3Addressing::VirtualHost),
                "addressing" => return bad("addressing is either path or virtual"),
                "session_token" => {
                    token = Some(value);
                    config
                }
                _ => return bad("the address knows endpoint, region, addressing and session_token only"),
            };
        }
        if let Some(token) = token {
            let Some(credentials) = config.credentials.take() else {
                return bad("the address has a session token without keys");
            };
            config.credentials = Some(credentials.with_session_token(token));
        }
        Ok(config)
    }

    /// With these keys.
    #[must_use]
    pub fn with_credentials(mut self, credentials: S3Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// On a compatible service at this `http` or `https` address.
    pub fn with_endpoint(mut self, endpoint: &str) -> MailboxResult<Self> {
        let refuse = |why: &str| Err(refuse(MailboxErrorKind::InvalidPath, why));
        let Ok(url) = Url::parse(endpoint) else {
            return refuse("the endpoint is not a URL");
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return refuse("the endpoint is neither http nor https");
        }
        let has_more = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
        if has_more || url.fragment().is_some() || url.path() != "/" {
            return refuse("the endpoint has more than a host and a port");
        }
        self.endpoint = Some(url);
        Ok(self)
    }

    /// In this region; `us-east-1` by default.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// With the bucket in this place. By default in the host on AWS, unless its name has dots, and in the path
    /// elsewhere.
    #[must_use]
    pub fn with_addressing(mut self, addressing: S3Addressing) -> Self {
        self.addressing = Some(addressing);
        self
    }

    /// With large uploads in the hands of the platform, so that they go on while the app is frozen.
    #[must_use]
    pub fn with_platform_uploads(mut self, uploads: PlatformUploads) -> Self {
        self.uploads = Some(uploads);
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
        let unreadable = || refuse(MailboxErrorKind::Protocol, "no certificate is to be read from the text");
        self.authorities.extend(certificates(pem).ok_or_else(unreadable)?);
        Ok(self)
    }

    /// Whether there are keys, in the address or by [`with_credentials`](Self::with_credentials).
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The address without keys.
    pub fn shown(&self) -> String {
        let prefix = self.prefix.iter().fold(String::new(), |prefix, segment| prefix + "/" + segment);
        let endpoint =
            self.endpoint.as_ref().map_or(String::new(), |url| format!("?endpoint={}", trimmed(url)));
        format!("s3://{}{prefix}{endpoint}", self.bucket)
    }

    pub(super) fn prefix(&self) -> &[String] {
        &self.prefix
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn credentials(&self) -> Option<&S3Credentials> {
        self.credentials.as_ref()
    }

    pub(super) fn uploads(&self) -> Option<PlatformUploads> {
        self.uploads.clone()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    fn addressing(&self) -> S3Addressing {
        let default = || match &self.endpoint {
            None if !self.bucket.contains('.') => S3Addressing::VirtualHost,
            _ => S3Addressing::Path,
        };
        self.addressing.unwrap_or_else(default)
    }

    /// The address that keys are appended to, without a slash at its end.
    pub(super) fn base(&self) -> MailboxResult<String> {
        let region = &self.region;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if region.is_empty() || !region.bytes().all(is_plain) {
            return Err(refuse(MailboxErrorKind::InvalidPath, "the region is not the name of a region"));
        }
        let endpoint = self
            .endpoint
            .as_ref()
            .map_or_else(|| format!("https://s3.{region}.amazonaws.com"), |url| trimmed(url).to_owned());
        Ok(match self.addressing() {
            S3Addressing::Path => format!("{endpoint}/{}", self.bucket),
            S3Addressing::VirtualHost => endpoint.replacen("://", &format!("://{}.", self.bucket), 1),
        })
    }

    /// The address as JSON for a pairing code, without keys.
    pub(super) fn handshake(&self) -> String {
        let mut config = serde_json::json!({
            "bucket": self.bucket,
            "prefix": self.prefix.join("/"),
            "region": self.region,
            "addressing": match self.addressing() {
                S3Addressing::Path => "path",
                S3Addressing::VirtualHost => "virtual",
            },
        });
        if let Some(endpoint) = &self.endpoint {
            config["endpoint"] = trimmed(endpoint).into();
        }
        config.to_string()
    }
}

fn trimmed(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok()
}

/// What every service allows, and what needs no escaping anywhere.
fn is_bucket(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (3..=255).contains(&name.len()) && name.bytes().all(is_plain) && name.starts_with(|c: char| c != '.')
}

/// The segments of a prefix, decoded.
fn segments(prefix: &str) -> MailboxResult<Vec<String>> {
    let bad = || refuse(MailboxErrorKind::InvalidPath, "the prefix in the address is no path");
    let prefix = decode(prefix.trim_matches('/')).ok_or_else(bad)?;
    let segments = path::folder("configure", &prefix).map_err(|_| bad())?;
    Ok(segments.into_iter().map(str::to_owned).collect())
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("address", &self.shown())
            .field("region", &self.region)
            .field("addressing", &self.addressing())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str) -> String {
        S3Config::new(address).unwrap().base().unwrap()
    }

    #[test]
    fn finds_the_bucket_in_every_form_of_address() {
        assert_eq!(base("s3://notes"), "https://notes.s3.us-east-1.amazonaws.com");
        assert_eq!(base("s3://notes/a/b?region=eu-west-1"), "https://notes.s3.eu-west-1.amazonaws.com");
        assert_eq!(base("s3://no.tes"), "https://s3.us-east-1.amazonaws.com/no.tes");
        assert_eq!(base("s3://notes?addressing=path"), "https://s3.us-east-1.amazonaws.com/notes");
        assert_eq!(base("s3://notes?endpoint=http%3A%2F%2Fhost:9000/"), "http://host:9000/notes");
        assert_eq!(base("s3://notes?endpoint=https://host&addressing=virtual"), "https://notes.host");
        let config = S3Config::new("s3://notes//in%20a/folder/?endpoint=http://h").unwrap();
        assert_eq!(config.prefix(), ["in a", "folder"]);
        assert_eq!(config.shown(), "s3://notes/in a/folder?endpoint=http://h");
        assert_eq!(
            config.handshake(),
            r#"{"addressing":"path","bucket":"notes","endpoint":"http://h","prefix":"in a/folder","region":"us-east-1"}"#
        );
    }

    #[test]
    fn takes_keys_out_of_the_address() {
        let config = S3Config::new("s3://AK%2F1:s3cret%2F%3A@notes/x?session_token=t0k%2Ben").unwrap();
        let keys = config.credentials().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.as_str()), ("AK/1", "s3cret/:"));
        assert_eq!(keys.session_token.as_deref().map(String::as_str), Some("t0k+en"));
        let shown = format!("{config:?} {} {} {keys:?}", config.shown(), config.handshake());
        for secret in ["AK/1", "s3cret", "t0k"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn refuses_other_addresses_without_showing_them() {
        let bad = [
            "s3cret",
            "http://s3cret:s3cret@bucket",
            "s3://",
            "s3://s3cret@bucket",
            "s3://s3cret:s3cret@",
            "s3://s3cret:s3cret%FF@bucket",
            "s3://s3cret:s3cret@bu cket",
            "s3://s3cret:s3cret@bucket#x",
            "s3://s3cret:s3cret@bucket/../x",
            "s3://s3cret:s3cret@bucket?s3cret=1",
            "s3://bucket?session_token=s3cret",
            "s3://s3cret:s3cret@bucket?endpoint=ftp://host",
            "s3://s3cret:s3cret@bucket?endpoint=http://s3cret@host",
            "s3://s3cret:s3cret@bucket?endpoint=http://host/path",
            "s3://s3cret:s3cret@bucket?addressing=s3cret",
            "s3://s3cret:s3cret@bucket?region=a/s3cret",
        ];
        for address in bad {
            let error = S3Config::new(address).and_then(|config| config.base()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{address}");
            assert_eq!(error.kind(), MailboxErrorKind::InvalidPath, "{address}");
        }
    }
}
