//! A mailbox on a WebDAV server.

mod address;
mod auth;
mod claim;
mod config;
mod dav;
mod multistatus;
mod probe;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::OnceCell;

use self::dav::{Dav, Listing, not_a_file};
use self::multistatus::Facts;
use self::probe::Findings;
use super::body::WHOLE_BODY_MAX;
use super::http::{Answer, is_broken};
use super::path::{self, TEMP_PREFIX};
use super::place::Place;
use super::{Body, ByteStream, Capabilities, FileEntry, MailboxErrorKind, MailboxResult, StorageAdapter};

pub use auth::WebDavAuth;
pub use config::WebDavConfig;

/// How many files are read at once.
const READS: usize = 6;
/// A temporary file older than this belongs to nobody any more.
const ABANDONED_MS: i64 = 24 * 60 * 60 * 1000;
/// So many of them are removed with one listing.
const SWEEP_MAX: usize = 4;
/// Overwritten files that are remembered.
const FILES_MAX: usize = 1000;
/// How long to wait, each time, before a 404 is looked at again.
const LOOK_AGAIN: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(160)];

/// A mailbox on a WebDAV server.
///
/// - **The base address must exist**; what is below it is created as needed. Where the base is gone, calls
///   answer [`MailboxErrorKind::Unavailable`], never "not found".
/// - **[`authenticate`](StorageAdapter::authenticate) probes** once for an instance what the server really
///   does, in a hidden folder that it removes again: some 25 small requests. A server that allows none of
///   it still serves, with the plain contract.
/// - **Capabilities**: `exclusive_create` and `conditional_replace` are on where `MKCOL` or `LOCK` decide
///   races (conditions alone let several racers win), the latter only with etags that tell bodies of one
///   size apart.
/// - **Whole files**: where the server shows uploads before they are whole, files are uploaded to a hidden
///   name beside the target and moved into place. To a reader at that very moment such servers say 404,
///   which is asked about again before it is believed.
/// - **What no client can help**: servers fix the length of an answer before they open the file. A file
///   overwritten at that moment by a longer one can be read cut to its old length, so bodies that are
///   overwritten need a check of their own.
///
/// Needs a tokio runtime with time and I/O. Clones share one state.
#[derive(Clone)]
pub struct WebDavMailbox {
    inner: Arc<Inner>,
}

struct Inner {
    dav: Dav,
    findings: OnceCell<Findings>,
    /// How long to wait for others.
    patience: Duration,
    /// Paths known to be files, which are overwritten again and again.
    files: Mutex<HashSet<String>>,
}

impl WebDavMailbox {
    /// A mailbox at an address. Nothing is sent yet.
    pub fn new(config: &WebDavConfig) -> MailboxResult<Self> {
        let inner = Inner {
            dav: Dav::new(config)?,
            findings: OnceCell::new(),
            patience: config.timeout(),
            files: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn dav(&self) -> &Dav {
        &self.inner.dav
    }

    /// Asks for a file and waits for the head of the answer.
    async fn get(&self, path: &str) -> MailboxResult<Answer> {
        let place = Place::file("read", path)?;
        let mut pauses = self.inner.pauses();
        loop {
            let answer = self.dav().send(self.dav().call(&place, "GET")?).await?;
            match answer.status() {
                404 | 410 => {
                    answer.drain().await;
                    let Some(pause) = pauses.next() else {
                        return Err(self.dav().missing(&place).await);
                    };
                    tokio::time::sleep(*pause).await;
                }
                // A collection, by the slash that the server added.
                200..=204 if answer.url().path().ends_with('/') => {
                    return Err(answer.error(MailboxErrorKind::NotFound, "not a file"));
                }
                // A page is a file only if the server knows it as one; else somebody wants us to log in.
                200 | 203 if answer.is_page() && !self.is_file(&place).await? => {
                    return Err(answer.page_error());
                }
                200 | 203 | 204 => return Ok(answer),
                _ => return Err(answer.fault().await),
            }
        }
    }

    async fn is_file(&self, place: &Place) -> MailboxResult<bool> {
        Ok(self.dav().look(place).await?.is_some_and(|facts| !facts.collection))
    }

    async fn read(&self, path: &str) -> MailboxResult<Bytes> {
        let attempt = async || self.get(path).await?.whole(WHOLE_BODY_MAX).await;
        match attempt().await {
            // Perhaps the file shrank between the head of the answer and its body.
            Err(error) if is_broken(&error) => attempt().await,
            outcome => outcome,
        }
    }

    /// Removes what crashed writers left behind, by the server's clock.
    async fn sweep(&self, folder: &Place, listing: &Listing) {
        let Some(now) = listing.now_ms else { return };
        let is_abandoned = |(name, facts): &&(String, Facts)| {
            name.starts_with(TEMP_PREFIX)
                && facts.modified_ms.is_some_and(|modified| now.saturating_sub(modified) > ABANDONED_MS)
        };
        for (name, facts) in listing.children.iter().filter(is_abandoned).take(SWEEP_MAX) {
            let place = folder.child(name);
            let _ = if facts.collection {
                self.dav().delete_folder(&place).await
            } else {
                self.dav().delete(&place).await
            };
        }
    }
}

impl Inner {
    fn findings(&self) -> Findings {
        self.findings.get().copied().unwrap_or_default()
    }

    fn files(&self) -> MutexGuard<'_, HashSet<String>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_file_known(&self, place: &Place) -> bool {
        self.files().contains(&place.path)
    }

    fn remember_file(&self, place: &Place) {
        let mut files = self.files();
        if files.len() >= FILES_MAX {
            files.clear();
        }
        files.insert(place.path.clone());
    }

    fn forget_file(&self, place: &Place) {
        self.files().remove(&place.path);
    }

    /// Whether files are uploaded under another name, because the server shows uploads before they are
    /// whole.
    fn moves_into_place(&self) -> bool {
        let findings = self.findings();
        findings.renames && !findings.whole_uploads
    }

    /// Looks for a file that should be there: again if it may just be moved into its place, when servers
    /// say that it is missing, or fail.
    async fn look(&self, place: &Place) -> MailboxResult<Option<Facts>> {
        for pause in self.pauses() {
            match self.dav.look(place).await {
                Ok(None) => {}
                Err(error) if error.kind() == MailboxErrorKind::Unavailable => {}
                outcome => return outcome,
            }
            tokio::time::sleep(*pause).await;
        }
        self.dav.look(place).await
    }

    /// When to ask again before a 404 is believed. Where files are moved into their place, the old one is
    /// removed a moment before.
    fn pauses(&self) -> std::slice::Iter<'static, Duration> {
        if self.moves_into_place() { LOOK_AGAIN.iter() } else { [].iter() }
    }
}

fn entry(path: String, name: String, facts: Facts) -> FileEntry {
    FileEntry { name, path, size: facts.size, modified_ms: facts.modified_ms, etag: facts.etag }
}

#[async_trait]
impl StorageAdapter for WebDavMailbox {
    fn kind(&self) -> &'static str {
        "webdav"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        let base = Place::root("authenticate");
        match self.dav().look(&base).await? {
            Some(facts) if facts.collection => {}
            Some(_) => return Err(base.error(MailboxErrorKind::Protocol, "the base address is no folder")),
            None => {
                let message = "the base address does not exist on the server";
                return Err(base.error(MailboxErrorKind::Unavailable, message).with_status(404));
            }
        }
        let findings = self.inner.findings.get_or_init(|| Box::pin(probe::run(self.dav()))).await;
        tracing::debug!(?findings, "probed the WebDAV server");
        Ok(())
    }

    fn is_carried(&self, len: u64) -> bool {
        self.dav().carries(len)
    }

    fn capabilities(&self) -> Capabilities {
        let findings = self.inner.findings();
        Capabilities {
            exclusive_create: findings.referee.is_some(),
            conditional_replace: findings.referee.is_some() && findings.etags,
            streaming: true,
            max_body: None,
        }
    }

    fn keeps_sidecars(&self) -> bool {
        true
    }

    fn handshake_config(&self) -> Option<String> {
        let base_url = self.dav().shown().trim_end_matches('/');
        Some(serde_json::json!({ "baseUrl": base_url }).to_string())
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.dav().ensure_folder(&Place::folder("ensure", path)?).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let folder = Place::folder("list", folder)?;
        let listing = self.dav().list(&folder).await?;
        self.sweep(&folder, &listing).await;
        let files =
            listing.children.into_iter().filter(|(name, facts)| !facts.collection && !path::is_hidden(name));
        Ok(files.map(|(name, facts)| entry(path::child(&folder.path, &name), name, facts)).collect())
    }

    async fn remove_leftovers(&self, folder: &str) -> MailboxResult<()> {
        // Every listing does.
        self.list_files(folder).await.map(drop)
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        let listing = self.dav().list(&Place::folder("list", folder)?).await?;
        let folders =
            listing.children.into_iter().filter(|(name, facts)| facts.collection && !path::is_hidden(name));
        Ok(folders.map(|(name, _)| name).collect())
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.read(path).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        self.get(path).await?.stream()
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let reads: Vec<_> = paths.iter().map(|path| self.read(path)).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.inner.write(&Place::file("write", path)?, body).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.inner.create(&Place::file("create", path)?, body).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.inner.replace(&Place::file("replace", path)?, body, etag).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        let place = Place::file("delete", path)?;
        self.inner.forget_file(&place);
        let file_only = self.inner.findings().deletes_files_only;
        // A DELETE takes a folder with everything in it, so it must be known to be none.
        let removed = if file_only {
            self.dav().delete_file_only(&place).await?
        } else {
            match self.dav().look(&place).await? {
                None => false,
                Some(facts) if facts.collection => return Err(not_a_file(&place)),
                Some(_) => self.dav().delete(&place).await?,
            }
        };
        if removed { Ok(()) } else { self.dav().missing_is_fine(&place).await }
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let place = Place::file("stat", path)?;
        match self.inner.look(&place).await? {
            Some(facts) if facts.collection => Ok(None),
            Some(facts) => {
                let name = place.name().to_owned();
                Ok(Some(entry(place.path, name, facts)))
            }
            None => self.dav().missing_is_fine(&place).await.map(|()| None),
        }
    }
}

impl fmt::Debug for WebDavMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebDavMailbox")
            .field("base_url", &self.dav().shown())
            .field("findings", &self.inner.findings.get())
            .finish_non_exhaustive()
    }
}
