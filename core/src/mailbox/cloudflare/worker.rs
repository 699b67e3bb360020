//! The routes of a Worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Notify;

use super::super::http::{Answer, Call, Http, Payload, is_broken, meaning};
use super::super::place::Place;
use super::super::{FileEntry, MailboxError, MailboxErrorKind, MailboxResult};
use super::class::Class;
use super::config::CloudflareConfig;
use crate::wire;

/// Listings above this size are none.
const LISTING_MAX: u64 = 64 * 1024 * 1024;
/// Other answers in JSON.
const REPORT_MAX: u64 = 64 * 1024;
/// What a Worker learns of a device that does not tell.
const UNNAMED: &str = "native";

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is the first at its path.
    New,
    /// It took the place of another one.
    Replaced,
    /// The first body stays.
    Kept,
}

/// A Worker, and one address of it.
pub(super) struct Worker {
    http: Http,
    base: Url,
    device_id: Mutex<String>,
    /// The last request got no answer.
    is_away: AtomicBool,
    is_back: Notify,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Item>,
    #[serde(default)]
    folders: Vec<String>,
}

/// An answer about one file: with `"file": null` it is certain that there is none.
#[derive(Deserialize)]
struct About {
    file: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    name: String,
    size: Option<u64>,
    modified_time: Option<String>,
    etag: Option<String>,
}

impl Item {
    fn entry(self, name: String, path: String) -> FileEntry {
        let modified = self.modified_time.as_deref().and_then(wire::parse_iso_time);
        FileEntry {
            name,
            path,
            size: self.size,
            modified_ms: modified.and_then(|at| i64::try_from(at).ok()),
            etag: self.etag.filter(|etag| !etag.is_empty()),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
}

impl Worker {
    pub(super) fn new(config: &CloudflareConfig) -> MailboxResult<Self> {
        let device_id = config.device_id().unwrap_or(UNNAMED).to_owned();
        Ok(Self {
            http: Http::new(config.setup()?)?,
            base: config.base().clone(),
            device_id: Mutex::new(device_id),
            is_away: AtomicBool::new(false),
            is_back: Notify::new(),
        })
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn introduce(&self, device_id: &str) {
        device_id.clone_into(&mut self.device_id.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn url(&self, route: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{route}", self.base.path()));
        url
    }

    fn file_url(&self, place: &Place, class: Class) -> Url {
        let route = if class == Class::Stored { "/stored-file" } else { "/file" };
        let mut url = self.url(route);
        url.query_pairs_mut().append_pair("path", &place.path);
        url
    }

    async fn send(&self, call: Call<'_>) -> MailboxResult<Answer> {
        let outcome = self.http.send(call, None).await;
        let is_away = matches!(&outcome, Err(error) if error.is_retryable());
        if self.is_away.swap(is_away, Ordering::Relaxed) && !is_away {
            self.is_back.notify_waiters();
        }
        outcome
    }

    /// Completes when the Worker answers a request after it could not be reached.
    pub(super) async fn is_back(&self) {
        self.is_back.notified().await;
    }

    /// Whether the Worker knows the address and us.
    pub(super) async fn health(&self) -> MailboxResult<()> {
        let place = Place::root("authenticate");
        let call = Call::new(place.operation, &place.path, "GET", self.url("/health"));
        let answer = self.send(call).await?;
        if answer.is_page() {
            return Err(answer.page_error());
        }
        match answer.status() {
            200..=299 => {
                answer.drain().await;
                Ok(())
            }
            _ => Err(self.fault(answer).await),
        }
    }

    /// Asks for a file and waits for the head of the answer.
    pub(super) async fn get(&self, place: &Place, class: Class) -> MailboxResult<Answer> {
        let call = Call::new(place.operation, &place.path, "GET", self.file_url(place, class));
        let answer = self.send(call).await?;
        match answer.status() {
            200 => Ok(answer),
            _ => Err(self.fault(answer).await),
        }
    }

    /// Writes as the class of the path allows. A write that must not be carried out twice by itself is `is_single`.
    pub(super) async fn put(
        &self,
        place: &Place,
        class: Class,
        payload: Payload,
        is_single: bool,
    ) -> MailboxResult<Put> {
        let mut call = Call::new(place.operation, &place.path, "PUT", self.file_url(place, class))
            .payload("application/octet-stream", payload);
        if is_single {
            call = call.header("if-none-match", "*")?;
        }
        if class == Class::Stored {
            let device_id = self.device_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
            call = call.header("x-interocitor-device-id", &device_id)?;
        }
        let answer = self.send(call).await?;
        let put = match (answer.status(), class) {
            (201, _) => Put::New,
            (200, class) if class.is_write_once() => Put::Kept,
            (200 | 204, _) => Put::Replaced,
            _ => return Err(self.fault(answer).await),
        };
        answer.drain().await;
        Ok(put)
    }

    /// Removes a path, and everything below it where it is a folder.
    pub(super) async fn delete(&self, place: &Place, class: Class) -> MailboxResult<()> {
        // Without a path the whole mesh would be meant.
        if place.segments.is_empty() {
            return Err(place.error(MailboxErrorKind::InvalidPath, "the path names no file"));
        }
        let call = Call::new(place.operation, &place.path, "DELETE", self.file_url(place, class));
        let answer = self.send(call).await?;
        match answer.status() {
            200..=299 => {
                answer.drain().await;
                Ok(())
            }
            _ => match self.fault(answer).await {
                error if error.kind() == MailboxErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Facts about a file, or `None` where it is certain that there is none.
    pub(super) async fn about(&self, place: &Place, class: Class) -> MailboxResult<Option<FileEntry>> {
        let route = if class == Class::Stored { "/stored-file-metadata" } else { "/metadata" };
        let answer = self.ask(place, route).await?;
        let status = answer.status();
        if status != 200 && status != 404 {
            return Err(self.fault(answer).await);
        }
        let unexpected =
            answer.error(MailboxErrorKind::Unavailable, "the Worker does not serve this mailbox");
        let body = answer.whole(REPORT_MAX).await?;
        // A 404 of anybody else says nothing about the file.
        let about: About = serde_json::from_slice(&body).map_err(|_| unexpected)?;
        match (status, about.file) {
            (200, Some(item)) => Ok(Some(item.entry(place.name().to_owned(), place.path.clone()))),
            (404, None) if is_null(&body) => Ok(None),
            _ => Err(place.error(MailboxErrorKind::Unavailable, "the Worker does not serve this mailbox")),
        }
    }

    pub(super) async fn ensure_folder(&self, place: &Place) -> MailboxResult<()> {
        let answer = self.ask(place, "/ensure-folder").await?;
        match answer.status() {
            200..=299 => {
                answer.drain().await;
                Ok(())
            }
            _ => Err(self.fault(answer).await),
        }
    }

    /// The files that the Worker lists in a folder. What cannot lie there is left out.
    pub(super) async fn files(&self, place: &Place) -> MailboxResult<Vec<FileEntry>> {
        let listing = self.list(place, "/list-files").await?;
        let mut names = std::collections::HashSet::new();
        let sound = listing.files.into_iter().filter(|item| is_sound(&item.name));
        let entries = sound.filter_map(|mut item| {
            let name = std::mem::take(&mut item.name);
            let path = place.child(&name).path;
            names.insert(name.clone()).then(|| item.entry(name, path))
        });
        Ok(entries.collect())
    }

    /// The names of the folders that it lists.
    pub(super) async fn folders(&self, place: &Place) -> MailboxResult<Vec<String>> {
        let mut folders = self.list(place, "/list-folders").await?.folders;
        folders.retain(|name| is_sound(name));
        folders.sort_unstable();
        folders.dedup();
        Ok(folders)
    }

    async fn list(&self, place: &Place, route: &str) -> MailboxResult<Listing> {
        let answer = self.ask(place, route).await?;
        if answer.status() != 200 {
            return Err(self.fault(answer).await);
        }
        let unreadable = answer.error(MailboxErrorKind::Protocol, "the listing cannot be read");
        let body = answer.whole(LISTING_MAX).await?;
        serde_json::from_slice(&body).map_err(|error| unreadable.with_source(error))
    }

    /// A question in JSON; none of them changes anything, so that each may be repeated.
    async fn ask(&self, place: &Place, route: &str) -> MailboxResult<Answer> {
        let body = Bytes::from(serde_json::json!({ "path": place.path }).to_string());
        let attempt = || {
            let call = Call::new(place.operation, &place.path, "POST", self.url(route))
                .payload("application/json; charset=utf-8", Payload::Whole(body.clone()));
            self.send(call)
        };
        match attempt().await {
            // An idle connection that the server was just closing.
            Err(error) if is_broken(&error) => attempt().await,
            outcome => outcome,
        }
    }

    /// What a refusal means.
    async fn fault(&self, answer: Answer) -> MailboxError {
        let (status, wait) = (answer.status(), answer.retry_after());
        let bare = answer.error(MailboxErrorKind::Protocol, "");
        // What the Worker says of files it says in plain text; reports come from its gates, pages from others.
        let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
        let is_report = kind.contains("json") || kind.contains("html");
        // A refusal whose text does not arrive is a refusal all the same.
        let body = answer.whole(REPORT_MAX).await.unwrap_or_default();
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let (kind, message) = explain(status, is_report, &refusal.error, bare.path() == "/");
        MailboxError::new(kind, bare.operation(), bare.path(), format!("{message} (HTTP {status})"))
            .with_status(status)
            .with_retry_after(wait)
    }
}

/// What a status means to a Worker.
fn explain(status: u16, is_report: bool, report: &str, is_root: bool) -> (MailboxErrorKind, &'static str) {
    use MailboxErrorKind as K;
    match status {
        400 => (K::Forbidden, "the Worker does not know this address, or not this request"),
        404 if is_root => (K::Forbidden, "the Worker does not know this address"),
        404 if is_report => (K::Unavailable, "the Worker does not serve this mailbox"),
        409 => (K::Conflict, "the Worker has a newer one"),
        413 if report.to_ascii_lowercase().contains("quota") => (K::QuotaFull, "the mesh may store no more"),
        426 => (K::Protocol, "the Worker wants another protocol"),
        501 => (K::Forbidden, "the Worker does not offer this"),
        _ => meaning(status),
    }
}

/// Whether a report says outright that there is no such file.
fn is_null(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|report| report.get("file").is_some_and(serde_json::Value::is_null))
}

/// Whether a name can stand in a folder, and is shown.
fn is_sound(name: &str) -> bool {
    // Hidden ones begin with a dot, as do those that lead elsewhere.
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_missing_file() {
        use MailboxErrorKind as K;
        let kind = |status, is_report, report| explain(status, is_report, report, false).0;
        assert_eq!(kind(404, false, ""), K::NotFound);
        assert_eq!(kind(404, true, "Not found"), K::Unavailable);
        assert_eq!(explain(404, false, "", true).0, K::Forbidden);
        assert_eq!(kind(400, true, ""), K::Forbidden);
        assert_eq!(kind(401, true, ""), K::Unauthorized);
        assert_eq!(kind(403, true, ""), K::Forbidden);
        assert_eq!(kind(409, false, ""), K::Conflict);
        assert_eq!(kind(413, true, "Payload too large"), K::TooLarge);
        assert_eq!(kind(413, true, "Mesh storage quota exceeded"), K::QuotaFull);
        assert_eq!(kind(429, false, ""), K::RateLimited);
        assert_eq!(kind(501, true, ""), K::Forbidden);
        assert_eq!(kind(503, true, ""), K::Unavailable);
        assert_eq!(kind(507, true, ""), K::QuotaFull);
        assert!(is_null(br#"{"file":null}"#) && !is_null(br#"{"error":"Not found"}"#));
    }

    #[test]
    fn names_that_lead_elsewhere_are_left_out() {
        for bad in ["", ".", "..", ".hidden", "a/b", "../x", "a\0b"] {
            assert!(!is_sound(bad), "{bad}");
        }
        assert!(is_sound("a..b c%2F"));
    }
}
