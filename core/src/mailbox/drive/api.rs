//! The calls of the Drive interface, version 3, that the mailbox is made of.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::super::http::{Answer, Call, Http, Payload};
use super::super::place::Place;
use super::super::{MailboxError, MailboxErrorKind, MailboxResult};
use super::config::GoogleDriveConfig;
use super::fault::fault;
use super::item::{FIELDS, FOLDER_TYPE, Item, Page};

/// The first pause of those that grow.
const BACKOFF: Duration = Duration::from_millis(500);
/// Who is sent away for longer goes, and tells for how long.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest page of a listing: a thousand files with long names.
const PAGE_MAX: u64 = 16 * 1024 * 1024;
/// Files of a page; the most that Drive gives.
const PAGE_SIZE: &str = "1000";
const PAGES_MAX: usize = 10_000;
const OCTETS: &str = "application/octet-stream";
const JSON: &str = "application/json; charset=UTF-8";

/// Where the bytes of an upload go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// A new file in the folder of this id.
    In(&'a str),
    /// The file of this id.
    Over(&'a str),
}

/// Google Drive, or what answers like it.
pub(super) struct Api {
    http: Http,
    endpoint: Url,
    retries: u32,
    /// Until when Drive wants to be left alone.
    busy: Mutex<Option<Instant>>,
}

impl Api {
    pub(super) fn new(config: &GoogleDriveConfig) -> MailboxResult<Self> {
        Ok(Self {
            http: Http::new(config.setup()?)?,
            endpoint: config.endpoint().clone(),
            retries: config.retries(),
            busy: Mutex::default(),
        })
    }

    pub(super) fn carries(&self, len: u64) -> bool {
        self.http.carries(len)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// Makes a call until it succeeds, its error is final, or it was made often enough. Those that were
    /// refused because there were too many may always be made again; a broken connection leaves open whether
    /// the call was carried out, which only `repeatable` ones do not mind.
    pub(super) async fn send<'a>(
        &self,
        repeatable: bool,
        call: impl Fn() -> MailboxResult<Call<'a>> + Send,
    ) -> MailboxResult<Answer> {
        let mut tries = 0;
        loop {
            self.wait().await;
            let error = match self.http.send(call()?, None).await {
                Ok(answer) if answer.status() < 400 => return Ok(answer),
                Ok(answer) => fault(answer).await,
                Err(error) => error,
            };
            let Some(pause) = self.pause(&error, tries, repeatable) else { return Err(error) };
            tracing::debug!(?pause, kind = ?error.kind(), "Google Drive is busy");
            if error.kind() == MailboxErrorKind::RateLimited {
                *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
            } else {
                tokio::time::sleep(pause).await;
            }
            tries += 1;
        }
    }

    /// Waits as long as Drive wants to be left alone, whichever call it told so.
    async fn wait(&self) {
        loop {
            let until = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// How long to wait before the same call once more.
    pub(super) fn pause(&self, error: &MailboxError, tries: u32, repeatable: bool) -> Option<Duration> {
        let is_passing = match error.kind() {
            MailboxErrorKind::RateLimited => true,
            MailboxErrorKind::Unavailable => repeatable,
            _ => false,
        };
        let asked = error.retry_after();
        if !is_passing || tries >= self.retries || asked.is_some_and(|wait| wait > WAIT_MAX) {
            return None;
        }
        let jitter = Duration::from_millis(u64::from(getrandom::u32().unwrap_or_default() % 250));
        Some(asked.unwrap_or_else(|| (BACKOFF * 2u32.saturating_pow(tries)).min(WAIT_MAX) + jitter))
    }

    /// Whether the token is good for anything.
    pub(super) async fn about(&self, place: &Place) -> MailboxResult<()> {
        let url = self.url(&["drive", "v3", "about"], &[("fields", "user")]);
        let answer = self.send(true, || Ok(get(place, &url))).await?;
        parsed::<serde_json::Value>(answer).await.map(drop)
    }

    /// What Drive tells of a file or folder.
    pub(super) async fn facts(&self, place: &Place, id: &str) -> MailboxResult<Item> {
        let url = self.url(&["drive", "v3", "files", id], &[("fields", FIELDS)]);
        parsed(self.send(true, || Ok(get(place, &url))).await?).await
    }

    /// One page of what a query finds.
    pub(super) async fn page(&self, place: &Place, query: &str, token: Option<&str>) -> MailboxResult<Page> {
        let fields = format!("nextPageToken,incompleteSearch,files({FIELDS})");
        let mut parameters = vec![("q", query), ("fields", &fields), ("pageSize", PAGE_SIZE)];
        parameters.extend(token.map(|token| ("pageToken", token)));
        let url = self.url(&["drive", "v3", "files"], &parameters);
        let mut page: Page = parsed(self.send(true, || Ok(get(place, &url))).await?).await?;
        if page.incomplete_search {
            return Err(place.error(MailboxErrorKind::Unavailable, "Google Drive did not look everywhere"));
        }
        page.files.retain(|item| item.is_sound() && !item.trashed);
        page.next_page_token = page.next_page_token.filter(|token| !token.is_empty());
        Ok(page)
    }

    /// All that a query finds, each once.
    pub(super) async fn list(&self, place: &Place, query: &str) -> MailboxResult<Vec<Item>> {
        let (mut items, mut ids, mut tokens) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut token: Option<String> = None;
        loop {
            let page = self.page(place, query, token.as_deref()).await?;
            items.extend(page.files.into_iter().filter(|item| ids.insert(item.id.clone())));
            let Some(next) = page.next_page_token else { return Ok(items) };
            if !tokens.insert(next.clone()) || tokens.len() > PAGES_MAX {
                return Err(place.error(MailboxErrorKind::Protocol, "the listing of Google Drive has no end"));
            }
            token = Some(next);
        }
    }

    /// The bytes of a file.
    pub(super) async fn media(&self, place: &Place, id: &str) -> MailboxResult<Answer> {
        let url = self.url(&["drive", "v3", "files", id], &[("alt", "media")]);
        let answer = self.send(true, || Ok(get(place, &url))).await?;
        if answer.status() != 200 && answer.status() != 204 {
            return Err(answer.error(MailboxErrorKind::Protocol, "an unexpected answer"));
        }
        // Somebody else may have stored a page; a page that nobody stored is not from Drive.
        if answer.is_page() && !self.facts(place, id).await?.mime_type.ends_with("html") {
            return Err(answer.page_error());
        }
        Ok(answer)
    }

    /// Creates a file at once.
    pub(super) async fn create(&self, place: &Place, folder: &str, body: Bytes) -> MailboxResult<Item> {
        let boundary = boundary(place)?;
        let content_type = format!("multipart/related; boundary={boundary}");
        let head = format!(
            "--{boundary}\r\nContent-Type: {JSON}\r\n\r\n{}\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\n\r\n",
            description(place, Target::In(folder))
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let mut whole = BytesMut::with_capacity(head.len() + body.len() + tail.len());
        for part in [head.as_bytes(), &body, tail.as_bytes()] {
            whole.extend_from_slice(part);
        }
        let whole = whole.freeze();
        let url = self.upload_url(Target::In(folder), "multipart");
        let call = || {
            Call::new(place.operation, &place.path, "POST", url.clone())
                .payload(OCTETS, Payload::Whole(whole.clone()))
                .header("content-type", &content_type)
        };
        stored(place, self.send(false, call).await?).await
    }

    /// Overwrites a file at once.
    pub(super) async fn overwrite(&self, place: &Place, id: &str, body: Bytes) -> MailboxResult<Item> {
        let url = self.upload_url(Target::Over(id), "media");
        let call = || {
            let call = Call::new(place.operation, &place.path, "PATCH", url.clone());
            Ok(call.payload(OCTETS, Payload::Whole(body.clone())))
        };
        stored(place, self.send(true, call).await?).await
    }

    /// Begins an upload in parts; gives the address that they go to.
    pub(super) async fn begin(&self, place: &Place, target: Target<'_>, len: u64) -> MailboxResult<Url> {
        let url = self.upload_url(target, "resumable");
        let description = Bytes::from(description(place, target));
        let method = if matches!(target, Target::In(_)) { "POST" } else { "PATCH" };
        let call = || {
            Call::new(place.operation, &place.path, method, url.clone())
                .payload(JSON, Payload::Whole(description.clone()))
                .header("x-upload-content-type", OCTETS)?
                .header("x-upload-content-length", &len.to_string())
        };
        // Nothing is stored yet: one that is begun twice lapses.
        let answer = self.send(true, call).await?;
        let location = answer.header("location").and_then(|location| Url::parse(location).ok());
        // The token goes along with every part.
        let location = location.filter(|location| location.origin() == self.endpoint.origin());
        let error = answer.error(MailboxErrorKind::Protocol, "the server names no place for the upload");
        answer.drain().await;
        location.ok_or(error)
    }

    /// One call of an upload in parts, whatever its outcome; the caller decides what to do about it.
    pub(super) async fn part(
        &self,
        place: &Place,
        session: &Url,
        range: &str,
        part: Bytes,
    ) -> MailboxResult<Answer> {
        self.wait().await;
        let payload = if part.is_empty() { Payload::None } else { Payload::Whole(part) };
        let call = Call::new(place.operation, &place.path, "PUT", session.clone())
            .payload(OCTETS, payload)
            .part()
            .header("content-range", range)?;
        let answer = self.http.send(call, None).await?;
        if answer.status() < 400 { Ok(answer) } else { Err(fault(answer).await) }
    }

    /// Gives an upload up.
    pub(super) async fn abandon(&self, place: &Place, session: &Url) {
        let call = Call::new(place.operation, &place.path, "DELETE", session.clone());
        if let Ok(answer) = self.http.send(call, None).await {
            answer.drain().await;
        }
    }

    /// Creates a folder.
    pub(super) async fn create_folder(&self, place: &Place, parent: &str) -> MailboxResult<Item> {
        let url = self.url(&["drive", "v3", "files"], &[("fields", FIELDS)]);
        let metadata = serde_json::json!({
            "name": place.name(), "mimeType": FOLDER_TYPE, "parents": [parent],
        });
        let metadata = Bytes::from(metadata.to_string());
        let call = || {
            let call = Call::new(place.operation, &place.path, "POST", url.clone());
            Ok(call.payload(JSON, Payload::Whole(metadata.clone())))
        };
        stored(place, self.send(false, call).await?).await
    }

    /// Moves a file or folder.
    pub(super) async fn move_to(&self, place: &Place, id: &str, from: &str, to: &str) -> MailboxResult<()> {
        let query = [("addParents", to), ("removeParents", from), ("fields", FIELDS)];
        self.change(place, id, &query, serde_json::json!({})).await
    }

    /// Moves a file or folder into the trash, with everything in it.
    pub(super) async fn trash(&self, place: &Place, id: &str) -> MailboxResult<()> {
        self.change(place, id, &[("fields", FIELDS)], serde_json::json!({ "trashed": true })).await
    }

    async fn change(
        &self,
        place: &Place,
        id: &str,
        query: &[(&str, &str)],
        metadata: serde_json::Value,
    ) -> MailboxResult<()> {
        let url = self.url(&["drive", "v3", "files", id], query);
        let metadata = Bytes::from(metadata.to_string());
        let call = || {
            let call = Call::new(place.operation, &place.path, "PATCH", url.clone());
            Ok(call.payload(JSON, Payload::Whole(metadata.clone())))
        };
        self.send(true, call).await?.drain().await;
        Ok(())
    }

    /// Removes a file for good. Answers whether there was one.
    pub(super) async fn delete(&self, place: &Place, id: &str) -> MailboxResult<bool> {
        let url = self.url(&["drive", "v3", "files", id], &[]);
        let call = || Ok(Call::new(place.operation, &place.path, "DELETE", url.clone()));
        match self.send(true, call).await {
            Ok(answer) => {
                answer.drain().await;
                Ok(true)
            }
            Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn upload_url(&self, target: Target<'_>, kind: &str) -> Url {
        let mut path = vec!["upload", "drive", "v3", "files"];
        if let Target::Over(id) = target {
            path.push(id);
        }
        self.url(&path, &[("uploadType", kind), ("fields", FIELDS)])
    }
}

fn get<'a>(place: &'a Place, url: &Url) -> Call<'a> {
    Call::new(place.operation, &place.path, "GET", url.clone())
}

/// What Drive is told of a file besides its bytes. Its type is told, or Drive would guess one.
fn description(place: &Place, target: Target<'_>) -> String {
    match target {
        Target::In(folder) => {
            serde_json::json!({ "name": place.name(), "parents": [folder], "mimeType": OCTETS }).to_string()
        }
        Target::Over(_) => "{}".to_owned(),
    }
}

/// What separates the parts of a body, and does not occur in them.
fn boundary(place: &Place) -> MailboxResult<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        place.error(MailboxErrorKind::Io, "no random numbers are to be had").with_source(error)
    })?;
    Ok(format!("interocitor-{:032x}", u128::from_le_bytes(random)))
}

/// An answer in JSON.
pub(super) async fn parsed<T: DeserializeOwned>(answer: Answer) -> MailboxResult<T> {
    let error = answer.error(MailboxErrorKind::Protocol, "the answer is not one of Google Drive");
    if !answer.is_success() {
        return Err(error);
    }
    let body = answer.whole(PAGE_MAX).await?;
    // An array would be read as an object without names.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    serde_json::from_slice(&body).ok().filter(|_| is_object).ok_or(error)
}

/// The answer to what made or changed a file or folder.
pub(super) async fn stored(place: &Place, answer: Answer) -> MailboxResult<Item> {
    let item: Item = parsed(answer).await?;
    if !item.is_sound() {
        return Err(place.error(MailboxErrorKind::Protocol, "Google Drive does not tell what it stored"));
    }
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_are_short_and_few_and_for_what_passes() {
        let config = GoogleDriveConfig::with_token("token").unwrap().with_retries(8);
        let api = Api::new(&config).unwrap();
        let error = |kind| MailboxError::new(kind, "read", "/x", "refused");
        let limited = |seconds| {
            let error = error(MailboxErrorKind::RateLimited);
            error.with_retry_after(Some(Duration::from_secs(seconds)))
        };
        // What Drive asks for, or nothing at all.
        for (asked, wanted) in [(0, Some(Duration::ZERO)), (20, Some(WAIT_MAX)), (21, None)] {
            assert_eq!(api.pause(&limited(asked), 0, false), wanted, "{asked}");
        }
        assert_eq!(api.pause(&limited(1), 7, false), Some(Duration::from_secs(1)));
        assert_eq!(api.pause(&limited(1), 8, false), None);
        // Else twice as long each time.
        let busy = error(MailboxErrorKind::RateLimited);
        for (tries, least) in [(0, 500), (1, 1000), (2, 2000), (5, 16_000), (6, 20_000), (7, 20_000)] {
            let wait = api.pause(&busy, tries, false).unwrap().as_millis();
            assert!((least..least + 250).contains(&wait), "{tries}: {wait}");
        }
        let broken = error(MailboxErrorKind::Unavailable);
        assert!(api.pause(&broken, 0, true).is_some() && api.pause(&broken, 0, false).is_none());
        for kind in [MailboxErrorKind::Forbidden, MailboxErrorKind::NotFound, MailboxErrorKind::QuotaFull] {
            assert_eq!(api.pause(&error(kind), 0, true), None, "{kind:?}");
        }
    }
}
