//! What Drive's refusals mean.

use serde::Deserialize;

use super::super::http::{Answer, meaning};
use super::super::{MailboxError, MailboxErrorKind};

/// The longest account of an error that is of interest.
const REPORT_MAX: u64 = 64 * 1024;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    error: Detail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    errors: Vec<Reason>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    reason: String,
}

/// The error of a refusal. One status has several meanings, which the body tells apart; nothing else of it is
/// passed on.
pub(super) async fn fault(answer: Answer) -> MailboxError {
    let status = answer.status();
    let wait = answer.retry_after();
    let plain = answer.error(MailboxErrorKind::Protocol, "");
    let report: Report = match answer.whole(REPORT_MAX).await {
        Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
        Err(_) => Report::default(),
    };
    let known = report.error.errors.iter().find_map(|detail| reason(&detail.reason));
    let (kind, message) = known.unwrap_or_else(|| meaning(status));
    MailboxError::new(kind, plain.operation(), plain.path(), format!("{message} (HTTP {status})"))
        .with_status(status)
        .with_retry_after(wait)
}

fn reason(reason: &str) -> Option<(MailboxErrorKind, &'static str)> {
    use MailboxErrorKind as K;
    Some(match reason {
        "rateLimitExceeded" | "userRateLimitExceeded" | "sharingRateLimitExceeded" => {
            (K::RateLimited, "too many requests to Google Drive")
        }
        "dailyLimitExceeded" => {
            (K::RateLimited, "the app has used up its requests to Google Drive for today")
        }
        "storageQuotaExceeded" => (K::QuotaFull, "the Google account is full: free some space, or get more"),
        "numChildrenInNonRootLimitExceeded"
        | "teamDriveFileLimitExceeded"
        | "activeItemCreationLimitExceeded" => (K::QuotaFull, "Google Drive takes no more files here"),
        "authError" => (K::Unauthorized, "Google does not accept the access token: sign in again"),
        "insufficientPermissions" => (
            K::Forbidden,
            "the access token is not for Google Drive: sign in again with the scope drive.file",
        ),
        "accessNotConfigured" => {
            (K::Forbidden, "the Google Drive API is not enabled in the app's Google project")
        }
        "appNotAuthorizedToFile" => {
            (K::Forbidden, "the file was made by another app: both have to be of one Google project")
        }
        "domainPolicy" => (K::Forbidden, "the administrators of the account do not allow it"),
        "uploadTooLarge" => (K::TooLarge, "Google Drive does not accept so large a body"),
        _ => return None,
    })
}
