//! The verbs of WebDAV, each with the outcomes that the mailbox tells apart.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;

use super::super::http::{Answer, Call, Http, Payload};
use super::super::place::Place;
use super::super::{MailboxError, MailboxErrorKind, MailboxResult};
use super::address::{self, Address};
use super::config::WebDavConfig;
use super::multistatus::{self, Facts, PROPFIND, Resource};

/// The longest answer to a PROPFIND: about 100,000 files.
const XML_MAX: u64 = 64 * 1024 * 1024;
/// Folders that are remembered; a mailbox has few.
const FOLDERS_MAX: usize = 10_000;
/// A resource that is busy for the moment is asked for again so many times.
const BUSY_RETRIES: u32 = 4;
const BUSY_PAUSE: Duration = Duration::from_millis(60);

/// How a PUT ended.
pub(super) enum Put {
    Done,
    /// The condition did not hold.
    Refused,
    /// Probably the folder is missing; the error is what to answer if it is not that.
    NoFolder(MailboxError),
}

/// How a MKCOL ended.
pub(super) enum Made {
    New,
    Exists,
    NoParent(MailboxError),
}

/// The content of a collection.
pub(super) struct Listing {
    pub(super) children: Vec<(String, Facts)>,
    /// The time by the server's clock.
    pub(super) now_ms: Option<i64>,
}

/// A WebDAV server and what is remembered of it.
pub(super) struct Dav {
    http: Http,
    address: Address,
    /// Folders that exist, by path.
    folders: Mutex<HashSet<String>>,
}

impl Dav {
    pub(super) fn new(config: &WebDavConfig) -> MailboxResult<Self> {
        let (http, address) = (Http::new(config.setup()?)?, Address::new(config.url()));
        Ok(Self { http, address, folders: Mutex::default() })
    }

    pub(super) fn shown(&self) -> &str {
        self.address.shown()
    }

    pub(super) fn carries(&self, len: u64) -> bool {
        self.http.carries(len)
    }

    fn folders(&self) -> MutexGuard<'_, HashSet<String>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember_folder(&self, folder: &Place) {
        let mut folders = self.folders();
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(folder.path.clone());
    }

    fn file_url(&self, place: &Place) -> MailboxResult<Url> {
        self.address.file(place.operation, &place.segments())
    }

    fn folder_url(&self, place: &Place) -> MailboxResult<Url> {
        self.address.folder(place.operation, &place.segments())
    }

    pub(super) async fn send(&self, call: Call<'_>) -> MailboxResult<Answer> {
        self.http.send(call, Some(&|redirect| self.address.redirected(redirect))).await
    }

    /// A request for a file.
    pub(super) fn call<'a>(&self, place: &'a Place, method: &'static str) -> MailboxResult<Call<'a>> {
        Ok(Call::new(place.operation, &place.path, method, self.file_url(place)?))
    }

    /// What the server says of a resource and, at depth 1, of its children. `None` if it says 404, which
    /// is certain only with [`Dav::missing`].
    async fn propfind(&self, place: &Place, url: Url, depth: &str) -> MailboxResult<Option<Found>> {
        let call = Call::new(place.operation, &place.path, "PROPFIND", url).header("depth", depth)?.payload(
            "application/xml; charset=utf-8",
            Payload::Whole(Bytes::from_static(PROPFIND.as_bytes())),
        );
        let answer = self.send(call).await?;
        match answer.status() {
            207 => {
                let url = answer.url().clone();
                let now_ms = answer.header("date").and_then(multistatus::http_date_ms);
                let error = answer.error(MailboxErrorKind::Protocol, "");
                let body = answer.whole(XML_MAX).await?;
                let resources = multistatus::parse(&body).map_err(|why| {
                    let status = error.status().unwrap_or_default();
                    place.error(MailboxErrorKind::Protocol, why).with_status(status)
                })?;
                Ok(Some(Found { url, resources, now_ms }))
            }
            404 | 410 => {
                answer.drain().await;
                Ok(None)
            }
            _ if answer.is_success() => {
                Err(answer.error(MailboxErrorKind::Protocol, "the server does not speak WebDAV here"))
            }
            _ => Err(answer.fault().await),
        }
    }

    /// The facts of a file or folder; `None` if the server says 404.
    pub(super) async fn look(&self, place: &Place) -> MailboxResult<Option<Facts>> {
        // The base is asked for as the collection that it must be.
        let url = if place.segments.is_empty() { self.folder_url(place)? } else { self.file_url(place)? };
        let Some(found) = self.propfind(place, url, "0").await? else { return Ok(None) };
        let own = address::path_of(&found.url);
        let is_own = |resource: &&Resource| address::path_of_href(&resource.href) == own;
        let resource = found.resources.iter().find(is_own).or(match found.resources.as_slice() {
            [only] => Some(only),
            _ => None,
        });
        let Some(resource) = resource else {
            return Err(place.error(MailboxErrorKind::Protocol, "the answer is about something else"));
        };
        match resource.status {
            Some(404 | 410) => Ok(None),
            Some(status) if status >= 400 => Err(unavailable(place, status)),
            _ => Ok(Some(resource.facts.clone())),
        }
    }

    /// How old a folder is, if the server tells it.
    pub(super) async fn age(&self, folder: &Place) -> MailboxResult<Option<Duration>> {
        let Some(found) = self.propfind(folder, self.folder_url(folder)?, "0").await? else {
            return Ok(None);
        };
        let modified = found.resources.first().and_then(|resource| resource.facts.modified_ms);
        let age = found.now_ms.zip(modified).map(|(now, modified)| now.saturating_sub(modified).max(0));
        Ok(age.and_then(|age| u64::try_from(age).ok()).map(Duration::from_millis))
    }

    /// The error of a call that was told 404. It is "not found" only if the base of the mailbox exists:
    /// a share that is not there for the moment must not look like an empty one.
    pub(super) async fn missing(&self, place: &Place) -> MailboxError {
        match self.look(&Place::root(place.operation)).await {
            Ok(Some(_)) => place.error(MailboxErrorKind::NotFound, "not found").with_status(404),
            Ok(None) => {
                let message = "the base address of the mailbox does not exist on the server";
                place.error(MailboxErrorKind::Unavailable, message).with_status(404)
            }
            Err(error) => error,
        }
    }

    /// For calls that are content with a missing file, if it is certainly missing.
    pub(super) async fn missing_is_fine(&self, place: &Place) -> MailboxResult<()> {
        let error = self.missing(place).await;
        if error.kind() == MailboxErrorKind::NotFound { Ok(()) } else { Err(error) }
    }

    /// The files and folders directly in a folder.
    pub(super) async fn list(&self, folder: &Place) -> MailboxResult<Listing> {
        let Some(found) = self.propfind(folder, self.folder_url(folder)?, "1").await? else {
            self.folders().remove(&folder.path);
            return Err(self.missing(folder).await);
        };
        let Found { url, resources, now_ms } = found;
        let entries: Vec<(String, Resource)> = resources
            .into_iter()
            // What is not UTF-8 cannot be asked for through this interface.
            .filter_map(|resource| Some((address::path_of_href(&resource.href)?, resource)))
            .collect();
        let own = address::path_of(&url).filter(|own| entries.iter().any(|(path, _)| path == own));
        let Some(own) = own.or_else(|| own_elsewhere(folder, &entries)) else {
            return Err(folder.error(MailboxErrorKind::Protocol, "the listing is of something else"));
        };
        for (_, resource) in entries.iter().filter(|(path, _)| *path == own) {
            match resource.status {
                Some(404 | 410) => return Err(self.missing(folder).await),
                // Also said of a listing that was cut off.
                Some(status) if status >= 400 => return Err(unavailable(folder, status)),
                _ if resource.facts.collection => {}
                _ => return Err(folder.error(MailboxErrorKind::NotFound, "not a folder")),
            }
        }
        self.remember_folder(folder);
        let children = entries
            .into_iter()
            .filter(|(_, resource)| !matches!(resource.status, Some(404 | 410)))
            .filter_map(|(path, resource)| {
                Some((address::child_name(&own, &path)?.to_owned(), resource.facts))
            })
            .collect();
        Ok(Listing { children, now_ms })
    }

    /// One PUT.
    pub(super) async fn put(
        &self,
        place: &Place,
        payload: Payload,
        condition: Option<(&'static str, &str)>,
    ) -> MailboxResult<Put> {
        let mut call = self.call(place, "PUT")?.payload("application/octet-stream", payload);
        if let Some((name, value)) = condition {
            call = call.header(name, value)?;
        }
        let answer = self.send(call).await?;
        match answer.status() {
            200 | 201 | 204 => {
                answer.drain().await;
                Ok(Put::Done)
            }
            412 if condition.is_some() => {
                answer.drain().await;
                Ok(Put::Refused)
            }
            404 | 409 => {
                let error =
                    answer.error(MailboxErrorKind::Unavailable, "the server finds no place for the file");
                answer.drain().await;
                Ok(Put::NoFolder(error))
            }
            _ => Err(answer.fault().await),
        }
    }

    /// PUT, creating the folder if that is what is missing. Answers whether the condition held.
    pub(super) async fn put_with_folder(
        &self,
        place: &Place,
        payload: Payload,
        condition: Option<(&'static str, &str)>,
    ) -> MailboxResult<bool> {
        let parent = place.parent();
        let known = self.folders().contains(&parent.path);
        let again = payload.again();
        if again.is_none() {
            // A stream cannot be sent twice: the folder is looked after first.
            self.ensure_folder(&parent).await.map_err(|error| error.at(&place.path))?;
        }
        let error = match self.put(place, payload, condition).await {
            Ok(Put::Done) => {
                self.remember_folder(&parent);
                return Ok(true);
            }
            Ok(Put::Refused) => return Ok(false),
            Ok(Put::NoFolder(error)) => error,
            // nginx fails over a missing folder.
            Err(error) if error.status() == Some(500) && !known => error,
            Err(error) => return Err(error),
        };
        self.folders().remove(&parent.path);
        let Some(again) = again else { return Err(error) };
        self.make_folder(&parent).await.map_err(|error| error.at(&place.path))?;
        match self.put(place, again, condition).await? {
            Put::Done => Ok(true),
            Put::Refused => Ok(false),
            Put::NoFolder(error) => Err(error),
        }
    }

    /// Makes sure that a folder exists; asks nobody about a folder seen before.
    pub(super) async fn ensure_folder(&self, folder: &Place) -> MailboxResult<()> {
        let known = self.folders().contains(&folder.path);
        if known {
            return Ok(());
        }
        match self.look(folder).await? {
            Some(facts) if facts.collection => {
                self.remember_folder(folder);
                Ok(())
            }
            Some(_) => {
                Err(folder.error(MailboxErrorKind::InvalidPath, "a file stands where a folder is needed"))
            }
            None => self.make_folder(folder).await,
        }
    }

    /// Creates a folder and its parents: upwards to the first one that can be made, and down again.
    async fn make_folder(&self, folder: &Place) -> MailboxResult<()> {
        let wanted = folder.segments.len();
        let mut depth = wanted;
        while depth > 0 {
            match self.mkcol(&folder.ancestor(depth)).await? {
                Made::New | Made::Exists => break,
                Made::NoParent(_) => depth -= 1,
            }
        }
        if depth == 0 {
            return match self.missing(folder).await {
                // The base exists, and there was nothing to make or nothing could be made.
                error if error.kind() == MailboxErrorKind::NotFound && wanted > 0 => {
                    Err(folder.error(MailboxErrorKind::Unavailable, "the server does not create the folder"))
                }
                error if error.kind() == MailboxErrorKind::NotFound => Ok(()),
                error => Err(error),
            };
        }
        for depth in depth + 1..=wanted {
            if let Made::NoParent(error) = self.mkcol(&folder.ancestor(depth)).await? {
                return Err(error);
            }
        }
        self.remember_folder(folder);
        Ok(())
    }

    /// MKCOL. Of two clients in the same moment, the second may be told this or that: 403, 423, 500.
    pub(super) async fn mkcol(&self, folder: &Place) -> MailboxResult<Made> {
        let mut tries = 0;
        loop {
            let url = self.folder_url(folder)?;
            let answer = self.send(Call::new(folder.operation, &folder.path, "MKCOL", url)).await?;
            match answer.status() {
                404 | 409 => {
                    let error = answer.error(MailboxErrorKind::Unavailable, "the parent folder disappeared");
                    answer.drain().await;
                    return Ok(Made::NoParent(error));
                }
                405 => {
                    answer.drain().await;
                    return Ok(Made::Exists);
                }
                _ if answer.is_success() => {
                    answer.drain().await;
                    return Ok(Made::New);
                }
                status => {
                    let error = answer.fault().await;
                    let by_chance = matches!(status, 403 | 423 | 500);
                    if !by_chance {
                        return Err(error);
                    }
                    if let Ok(Some(facts)) = self.look(folder).await
                        && facts.collection
                    {
                        return Ok(Made::Exists);
                    }
                    if tries == BUSY_RETRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(BUSY_PAUSE).await;
                    tries += 1;
                }
            }
        }
    }

    /// Gives a file another name. Without `overwrite`, answers whether the name was free.
    pub(super) async fn rename(&self, from: &Place, to: &Place, overwrite: bool) -> MailboxResult<bool> {
        self.rename_url(&self.file_url(from)?, to, &self.file_url(to)?, overwrite).await
    }

    /// The same of a folder, never over another one.
    pub(super) async fn rename_folder(&self, from: &Place, to: &Place) -> MailboxResult<bool> {
        self.rename_url(&self.folder_url(from)?, to, &self.folder_url(to)?, false).await
    }

    async fn rename_url(&self, from: &Url, to: &Place, url: &Url, overwrite: bool) -> MailboxResult<bool> {
        let mut tries = 0;
        loop {
            let call = Call::new(to.operation, &to.path, "MOVE", from.clone())
                .header("destination", url.as_str())?
                .header("overwrite", if overwrite { "T" } else { "F" })?;
            let answer = self.send(call).await?;
            match answer.status() {
                200 | 201 | 204 => {
                    answer.drain().await;
                    return Ok(true);
                }
                412 if !overwrite => {
                    answer.drain().await;
                    return Ok(false);
                }
                // Some servers lock what others are just working on.
                423 if tries < BUSY_RETRIES => {
                    answer.drain().await;
                    tokio::time::sleep(BUSY_PAUSE * 2u32.pow(tries)).await;
                    tries += 1;
                }
                // The temporary file is gone, not what was asked for.
                404 => {
                    let error = answer.error(MailboxErrorKind::Unavailable, "the uploaded file disappeared");
                    answer.drain().await;
                    return Err(error);
                }
                _ => return Err(answer.fault().await),
            }
        }
    }

    /// Removes what is known to be a file. Answers whether there was one.
    pub(super) async fn delete(&self, place: &Place) -> MailboxResult<bool> {
        self.delete_with(place, self.call(place, "DELETE")?).await
    }

    /// Removes a file in a way that some servers refuse for a folder, with [`not_a_file`].
    pub(super) async fn delete_file_only(&self, place: &Place) -> MailboxResult<bool> {
        let outcome = self.delete_with(place, self.call(place, "DELETE")?.header("depth", "0")?).await;
        outcome.map_err(
            |error| if error.status() == Some(400) { not_a_file(place).with_status(400) } else { error },
        )
    }

    /// Removes a folder of ours with everything in it.
    pub(super) async fn delete_folder(&self, place: &Place) -> MailboxResult<bool> {
        let url = self.folder_url(place)?;
        self.delete_with(place, Call::new(place.operation, &place.path, "DELETE", url)).await
    }

    async fn delete_with(&self, place: &Place, call: Call<'_>) -> MailboxResult<bool> {
        let answer = self.send(call).await?;
        match answer.status() {
            404 | 410 => {
                answer.drain().await;
                return Ok(false);
            }
            207 => return Err(unavailable(place, 207)),
            _ if answer.is_success() => answer.drain().await,
            _ => return Err(answer.fault().await),
        }
        Ok(true)
    }
}

/// The error of deleting a folder as a file. It would take everything in it along.
pub(super) fn not_a_file(place: &Place) -> MailboxError {
    place.error(MailboxErrorKind::InvalidPath, "a folder is not deleted as a file")
}

fn unavailable(place: &Place, status: u16) -> MailboxError {
    place.error(MailboxErrorKind::Unavailable, "the server could not tell all of it").with_status(status)
}

struct Found {
    url: Url,
    resources: Vec<Resource>,
    now_ms: Option<i64>,
}

/// The path of the folder itself in a listing that names it differently than we do, as behind a proxy that
/// moves paths: a collection of the same name that is the parent of everything else.
fn own_elsewhere(folder: &Place, entries: &[(String, Resource)]) -> Option<String> {
    let (own, resource) = entries.iter().min_by_key(|(path, _)| path.len())?;
    let name = own.rsplit('/').next().unwrap_or_default();
    let fits = resource.facts.collection && (folder.segments.is_empty() || name == folder.name());
    let others = || entries.iter().map(|(path, _)| path).filter(|&path| path != own);
    (fits && others().all(|path| address::child_name(own, path).is_some())).then(|| own.clone())
}
