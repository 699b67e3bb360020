//! What a refusal means: S3 says so in a code, and in the status only where it has none.

use std::time::{Duration, SystemTime};

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use super::super::http::{self, Answer};
use super::super::place::Place;
use super::super::{MailboxError, MailboxErrorKind};

/// The longest refusal that is of interest.
const FAULT_MAX: u64 = 64 * 1024;

/// What went wrong with a request.
#[derive(Debug)]
pub(super) struct Fault {
    /// Zero where no answer came.
    pub(super) status: u16,
    /// Empty where the service told none, as it does for HEAD.
    pub(super) code: String,
    pub(super) error: MailboxError,
}

/// What a refusal says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Told {
    code: String,
    region: Option<String>,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let is_refusal = root(body).as_deref() == Some("Error");
        is_refusal.then(|| quick_xml::de::from_str(&text).ok()).flatten().unwrap_or_default()
    }
}

impl Fault {
    /// Reads the refusal in an answer.
    pub(super) async fn read(answer: Answer) -> Self {
        let status = answer.status();
        let ahead = answer.header("date").and_then(ahead);
        let region = answer.header("x-amz-bucket-region").map(str::to_owned);
        let wait = answer.retry_after();
        let bare = answer.error(MailboxErrorKind::Protocol, "");
        // A refusal whose text does not arrive is a refusal all the same.
        let mut told = Told::read(&answer.whole(FAULT_MAX).await.unwrap_or_default());
        told.region = region.or(told.region);
        let mut fault = Self::new(status, &told, bare.operation(), bare.path(), ahead);
        fault.error = fault.error.with_retry_after(wait);
        fault
    }

    /// A refusal that stood in the body of a success.
    pub(super) fn late(body: &[u8], place: &Place) -> Self {
        // What fails late fails inside the service.
        Self::new(500, &Told::read(body), place.operation, &place.path, None)
    }

    /// Whether somebody else is in the middle of writing the same: the service wants to be asked again.
    pub(super) fn is_race(&self) -> bool {
        self.status == 409 && matches!(self.code.as_str(), "ConditionalRequestConflict" | "OperationAborted")
    }

    fn new(status: u16, told: &Told, operation: &'static str, path: &str, ahead: Option<Ahead>) -> Self {
        // Only what is plain is shown: it comes from outside.
        let is_plain = |text: &&str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let code = Some(told.code.as_str()).filter(is_plain).unwrap_or_default();
        let (kind, message) = meaning(status, code);
        let message = match (told.region.as_deref().filter(is_plain), ahead) {
            (Some(region), _) if is_elsewhere(status, code) => {
                format!("the bucket is in the region {region}: set that region")
            }
            (_, Some(Ahead(minutes))) if code == "RequestTimeTooSkewed" => {
                let way = if minutes < 0 { "ahead of" } else { "behind" };
                format!("{message}: it is {} minutes {way} the service's", minutes.abs())
            }
            _ => message.to_owned(),
        };
        let shown = if code.is_empty() { String::new() } else { format!(", {code}") };
        let message = format!("{message} (HTTP {status}{shown})");
        let error = MailboxError::new(kind, operation, path, message).with_status(status);
        Self { status, code: code.to_owned(), error }
    }
}

impl From<MailboxError> for Fault {
    fn from(error: MailboxError) -> Self {
        Self { status: error.status().unwrap_or(0), code: String::new(), error }
    }
}

impl From<Fault> for MailboxError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// The name of the element that an XML text is, without its namespace.
pub(super) fn root(body: &[u8]) -> Option<String> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}'));
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                return Some(element.local_name().into_inner().to_owned());
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Text(text) if text.xml10_content().trim().is_empty() => {}
            _ => return None,
        }
    }
}

fn is_elsewhere(status: u16, code: &str) -> bool {
    status == 301 || matches!(code, "PermanentRedirect" | "AuthorizationHeaderMalformed")
}

fn meaning(status: u16, code: &str) -> (MailboxErrorKind, &'static str) {
    use MailboxErrorKind as K;
    match code {
        "NoSuchKey" => (K::NotFound, "not found"),
        "NoSuchBucket" => (K::Unavailable, "the bucket does not exist"),
        "AccessDenied" | "AllAccessDisabled" => (K::Forbidden, "the service does not allow it to these keys"),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidSecurity" | "NotSignedUp" => {
            (K::Unauthorized, "the service does not accept the keys")
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            (K::Unauthorized, "the session of the keys has ended")
        }
        "RequestTimeTooSkewed" => (K::Unauthorized, "the clock of this device is wrong"),
        "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests" | "RequestLimitExceeded" => {
            (K::RateLimited, "too many requests")
        }
        "RequestTimeout" => (K::Timeout, "the service waited too long for the request"),
        "EntityTooLarge" | "MaxMessageLengthExceeded" => {
            (K::TooLarge, "the service does not accept so large a body")
        }
        "KeyTooLongError" => (K::InvalidPath, "the path is too long for the service"),
        "ObjectParentIsFile"
        | "ExistingObjectIsDirectory"
        | "XMinioParentIsObject"
        | "XMinioObjectExistsAsDirectory"
        | "XMinioInvalidObjectName" => (K::InvalidPath, "the service cannot store a file of this name"),
        "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" | "InsufficientStorage" => {
            (K::QuotaFull, "the service is full")
        }
        "PreconditionFailed" => (K::Conflict, "the stored version is another one"),
        "ConditionalRequestConflict" | "OperationAborted" => {
            (K::Unavailable, "somebody else is writing the same file")
        }
        "InvalidObjectState" => (K::Unavailable, "the file is in an archive and has to be restored first"),
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => {
            (K::Unavailable, "the body was damaged on its way")
        }
        "NoSuchUpload" => (K::Unavailable, "the service has given up the upload"),
        "ServiceUnavailable" | "InternalError" => (K::Unavailable, "the service cannot do it now"),
        // A missing object has a code; what has none may come from somebody in between.
        _ if status == 404 => (K::Unavailable, "the service answers neither with a file nor with a reason"),
        _ if is_elsewhere(status, code) => (K::Protocol, "the bucket is in another region"),
        _ if (300..400).contains(&status) => (K::Protocol, "the service redirects to another address"),
        _ => http::meaning(status),
    }
}

/// Minutes that the service's clock is ahead of ours.
#[derive(Debug, Clone, Copy)]
struct Ahead(i128);

fn ahead(date: &str) -> Option<Ahead> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let minutes = |wait: Duration| i128::from(wait.as_secs().div_ceil(60));
    Some(Ahead(match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => minutes(ahead),
        Err(behind) => -minutes(behind.duration()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: &str, region: Option<&str>) -> Fault {
        let told = Told { code: code.to_owned(), region: region.map(str::to_owned) };
        Fault::new(status, &told, "read", "/x", None)
    }

    #[test]
    fn a_missing_bucket_is_no_missing_file() {
        use MailboxErrorKind as K;
        let kind = |status, code| fault(status, code, None).error.kind();
        assert_eq!(kind(404, "NoSuchKey"), K::NotFound);
        for (status, code) in [(404, "NoSuchBucket"), (404, ""), (404, "Nonsense")] {
            assert_eq!(kind(status, code), K::Unavailable, "{code}");
        }
        assert_eq!(kind(403, "SignatureDoesNotMatch"), K::Unauthorized);
        assert_eq!(kind(403, "AccessDenied"), K::Forbidden);
        assert_eq!(kind(403, ""), K::Forbidden);
        assert_eq!(kind(503, "SlowDown"), K::RateLimited);
        assert_eq!(kind(503, ""), K::Unavailable);
        assert_eq!(kind(507, ""), K::QuotaFull);
    }

    #[test]
    fn the_region_is_told_and_nothing_that_is_not_plain() {
        let elsewhere = fault(301, "PermanentRedirect", Some("eu-west-1")).error.to_string();
        assert!(elsewhere.contains("region eu-west-1"), "{elsewhere}");
        let odd = fault(301, "A<b>", Some("\u{1b}[2J")).error.to_string();
        assert_eq!(odd, "read /x: the bucket is in another region (HTTP 301)");
    }

    #[test]
    fn refusals_are_read_in_any_namespace() {
        for text in [
            r#"<?xml version="1.0"?><Error xmlns="urn:x"><Code>NoSuchKey</Code><Key>a&amp;b</Key></Error>"#,
            "\u{feff}\n<s:Error xmlns:s=\"urn:x\"><s:Code>NoSuchKey</s:Code><s:Region>eu</s:Region></s:Error>",
        ] {
            assert_eq!(Told::read(text.as_bytes()).code, "NoSuchKey", "{text}");
        }
        let others =
            ["", "OK", "<html><Code>NoSuchKey</Code></html>", "<!DOCTYPE html><Error/>", "<Error><Code>"];
        for text in others {
            assert_eq!(Told::read(text.as_bytes()).code, "", "{text}");
        }
        assert_eq!(root(b"<a:B xmlns:a='x'/>").as_deref(), Some("B"));
        assert_eq!(root(b"\xff<B/>"), None);
    }
}
