//! Durable files: content of any size beside the rows, encrypted as they are.
//!
//! [`FilePath`] checks a path, [`FileSource`] is read into a body of this device (`bodies`), the queue (`queue`) brings it
//! into the mailbox (`upload`) in one of two forms (`form`, `frame`, `sidecar`) and content back (`download`),
//! [`FileContent`] gives it out. The table of files lies in the store.
//!
//! Everything works offline: what is put is durable when the call returns and uploaded when the mailbox can be reached.

mod cache;
mod carried;
mod content;
mod discovery;
mod download;
mod form;
mod frame;
mod info;
mod listing;
mod path;
mod queue;
mod sidecar;
mod source;
mod upload;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use carried::Carried;
pub use content::{FileContent, FileReader};
pub use info::{FileInfo, FileListing, Transfer};
pub use path::FilePath;
pub(crate) use queue::Run;
use queue::{Active, Meter};
pub(crate) use sidecar::ENDING as SIDECAR_ENDING;
pub use source::FileSource;

use crate::{
    bodies::{Bodies, Staged},
    error::{Error, Result},
    host::run_blocking,
    local::RowWrite,
    mailbox::{MailboxError, MailboxErrorKind},
    store::{
        Tx,
        files::{FileRow, Task},
    },
    sync::{Context, Link},
    transfer::FileForm,
};

/// The longest media type, in bytes.
const MAX_CONTENT_TYPE: usize = 255;

/// The part of the configuration that files need.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) form: Option<FileForm>,
    pub(crate) max_bytes: u64,
    pub(crate) cache_bytes: u64,
    /// What is put survives a loss of power.
    pub(crate) is_durable: bool,
}

/// How a file is to be got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetFile {
    /// SHA-256 of the content that is wanted, lowercase hex, as a row may hold it: no other content is given. Where it
    /// lies here already, the mailbox is not asked. Anything else than 64 hex digits is refused.
    pub digest: Option<String>,
    /// Whether a copy on this device is given without asking the mailbox whether it is still current. Where the mailbox
    /// cannot be reached a copy is given in any case.
    pub prefers_cache: bool,
}

/// The files of one handle.
#[derive(Debug)]
pub(crate) struct Files {
    ctx: Arc<Context>,
    bodies: Bodies,
    settings: Settings,
    active: Active,
    carried: Carried,
    /// Folders of the mailbox in which what killed uploads left was looked for.
    swept: Mutex<HashSet<String>>,
}

/// Content that lies on this device and waits to be put under a path, alone or in a batch. Dropped, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    path: FilePath,
    staged: Staged,
    /// Where it lies.
    bodies: Bodies,
}

impl StagedFile {
    /// Where it is to be put.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.staged.facts.size
    }

    /// SHA-256 of the content, lowercase hex.
    pub fn digest(&self) -> &str {
        &self.staged.facts.digest
    }
}

/// Puts staged content under its paths, to be uploaded before any of the rows is published. Gives the bodies that
/// it replaces.
pub(crate) fn put(tx: &Tx<'_>, staged: &[StagedFile], rows: &[RowWrite], now_ms: u64) -> Result<Vec<String>> {
    let mut replaced = Vec::new();
    for StagedFile { path, staged, .. } in staged {
        let path = path.as_str();
        tx.settle_import(path)?;
        let mut file = tx.file(path)?.unwrap_or_else(|| FileRow::new(path, now_ms));
        replaced.extend(file.body.replace(staged.body.clone()).map(|body| body.name));
        let former = file.facts.replace(staged.facts.clone());
        (file.version, file.modified_ms, file.used_ms) = (None, Some(now_ms), now_ms);
        file.job = Some(tx.new_job(Task::Upload, now_ms)?);
        tx.put_file(&file)?;
        former.map_or(Ok(()), |facts| tx.drop_thumbnails(&facts.digest))?;
        for RowWrite { table, row_id, .. } in rows {
            tx.hold_row(table, row_id, path)?;
        }
    }
    Ok(replaced)
}

/// Puts an imported file, to be uploaded unless the mailbox has one under its path. One that is known here stays as it
/// is; tells whether the body is needed.
pub(crate) fn import(
    tx: &Tx<'_>,
    path: &FilePath,
    staged: &Staged,
    modified_ms: Option<u64>,
    now_ms: u64,
) -> Result<bool> {
    let path = path.as_str();
    if tx.file(path)?.is_some() {
        return Ok(false);
    }
    let mut file = FileRow::new(path, now_ms);
    file.body = Some(staged.body.clone());
    file.facts = Some(staged.facts.clone());
    file.modified_ms = modified_ms;
    file.job = Some(tx.new_job(Task::Upload, now_ms)?);
    tx.put_file(&file)?;
    tx.note_import(path)?;
    Ok(true)
}

impl Files {
    pub(crate) fn new(ctx: &Arc<Context>, settings: Settings) -> Self {
        Self {
            ctx: Arc::clone(ctx),
            bodies: ctx.bodies.clone(),
            settings,
            active: Active::default(),
            carried: Carried::default(),
            swept: Mutex::default(),
        }
    }

    /// Reads a source into a body.
    pub(crate) async fn stage(
        &self,
        path: &str,
        source: FileSource,
        content_type: Option<&str>,
    ) -> Result<StagedFile> {
        let path = FilePath::new(path)?;
        if let Some(given) = content_type
            && (given.len() > MAX_CONTENT_TYPE || given.is_empty() || given.chars().any(char::is_control))
        {
            return Err(Error::invalid("content type", "give a media type such as text/plain, or none"));
        }
        let (bodies, host) = (self.bodies.clone(), Arc::clone(&self.ctx.host));
        let (limit, is_durable) = (self.settings.max_bytes, self.settings.is_durable);
        let mut staged =
            run_blocking(&*self.ctx.host, move || source.fill(bodies.create(&*host)?, limit, is_durable))
                .await?;
        staged.facts.content_type = content_type.map(str::to_owned);
        Ok(StagedFile { path, staged, bodies: self.bodies.clone() })
    }

    /// Refuses content that lies beside another store, which a batch of this one would point to in vain.
    pub(crate) fn check_place(&self, staged: &[StagedFile]) -> Result<()> {
        match staged.iter().find(|file| !file.bodies.is(&self.bodies)) {
            Some(file) => Err(Error::invalid(
                "staged file",
                format!("{} was staged by another database; stage it with this one", file.path.as_str()),
            )),
            None => Ok(()),
        }
    }

    /// After the transaction: staged bodies stay, replaced ones go, and who watches is told.
    pub(crate) fn committed(&self, staged: &mut [StagedFile], replaced: &[String]) {
        for file in staged {
            file.staged.keep();
            self.give_up(file.path.as_str());
            // The store holds it: who cannot be told now asks.
            let _ = self.tell(file.path.as_str());
        }
        self.bodies.remove(replaced);
    }

    /// What is known here of a file that was not deleted.
    pub(crate) fn info(&self, path: &FilePath) -> Result<Option<FileInfo>> {
        let file = self.ctx.read(|tx| tx.file(path.as_str()))?.filter(|file| !file.awaits(Task::Delete));
        Ok(file.map(|file| FileInfo::of(&file, self.active.moved(path.as_str()))))
    }

    /// The content of a file: of this device where it is current, else of the mailbox.
    pub(crate) async fn get(
        &self,
        link: Option<&Arc<Link>>,
        path: &FilePath,
        want: &GetFile,
    ) -> Result<FileContent> {
        if want.digest.as_deref().is_some_and(|digest| !form::is_sha256(digest)) {
            return Err(Error::invalid("digest", "give a SHA-256 as 64 lowercase hex digits"));
        }
        let known = self.ctx.read(|tx| tx.file(path.as_str()))?;
        if known.as_ref().is_some_and(|file| file.awaits(Task::Delete)) {
            return Err(Error::FileNotFound { path: path.as_str().to_owned() });
        }
        let known = known.unwrap_or_else(|| FileRow::new(path.as_str(), self.ctx.host.now_ms()));
        let has_it = has_wanted(path, &known, want)?;
        let is_certain = want.prefers_cache || want.digest.is_some() || known.awaits(Task::Upload);
        let link = match link {
            Some(link) if !has_it => link,
            Some(link) if !is_certain && !self.is_current(link, path, &known).await? => link,
            _ => match self.local(path, &known, has_it)? {
                Some(content) => return Ok(content),
                None => link.ok_or_else(|| unreachable(path))?,
            },
        };
        let (_underway, meter) = self.meter(path);
        match self.refresh(link, path, &known, want.digest.as_deref(), &meter).await {
            Err(error) if is_away(&error) => self.local(path, &known, has_it)?.ok_or(error),
            outcome => outcome,
        }
    }

    /// The copy on this device, where there is one.
    fn local(&self, path: &FilePath, known: &FileRow, has_it: bool) -> Result<Option<FileContent>> {
        let (Some(body), Some(facts)) = (&known.body, &known.facts) else { return Ok(None) };
        if !has_it {
            return Ok(None);
        }
        let Some(opened) = self.bodies.open(body, facts, path.as_str())? else {
            if known.awaits(Task::Upload) {
                return Err(Error::integrity(path.as_str(), "its copy on this device is gone"));
            }
            // A store that was copied without its folder: the mailbox has it.
            return Ok(None);
        };
        self.touch(path)?;
        Ok(Some(FileContent {
            info: FileInfo::of(known, self.active.moved(path.as_str())),
            body: opened,
            host: Arc::clone(&self.ctx.host),
        }))
    }

    /// Whether the mailbox has the version that lies here. One that cannot be asked counts as having it.
    async fn is_current(&self, link: &Link, path: &FilePath, known: &FileRow) -> Result<bool> {
        let form = known.form.as_deref().and_then(FileForm::of_text);
        let (Some(version), Some(form)) = (&known.version, form) else { return Ok(false) };
        match link.adapter.metadata(&form.place(link, path)).await.map_err(Error::from) {
            Ok(entry) => Ok(entry.and_then(|entry| version_of(&entry)).as_ref() == Some(version)),
            Err(error) if is_away(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Fetches a file and keeps it; what was put here meanwhile is not touched.
    async fn refresh(
        &self,
        link: &Arc<Link>,
        path: &FilePath,
        known: &FileRow,
        digest: Option<&str>,
        meter: &Arc<Meter>,
    ) -> Result<FileContent> {
        let form = known.form.as_deref().and_then(FileForm::of_text);
        // A version is worth a request only for content that is asked for again and again. Asked before the content: a
        // change in between is noticed the next time.
        let entry = match form.filter(|_| known.body.is_some()) {
            Some(form) => link.adapter.metadata(&form.place(link, path)).await?,
            None => None,
        };
        let fetched = self.fetch(link, path, form, digest, meter).await?;
        let now_ms = self.ctx.host.now_ms();
        let is_same_form = Some(fetched.form) == form;
        let mut staged = fetched.staged;
        let (file, replaced) = self.ctx.write(|tx| {
            let mut file = tx.file(path.as_str())?.unwrap_or_else(|| FileRow::new(path.as_str(), now_ms));
            let mut shown = file.clone();
            let is_ours = file.awaits(Task::Upload) || file.awaits(Task::Delete);
            shown.body = Some(staged.body.clone());
            shown.facts = Some(staged.facts.clone());
            if is_ours {
                return Ok((shown, None));
            }
            let replaced = file.body.replace(staged.body.clone()).map(|body| body.name);
            file.facts = Some(staged.facts.clone());
            file.form = Some(fetched.form.text().to_owned());
            let entry = entry.as_ref().filter(|_| is_same_form);
            file.version = entry.and_then(version_of);
            let modified = entry.and_then(|entry| entry.modified_ms);
            file.modified_ms =
                modified.and_then(|modified| u64::try_from(modified).ok()).or(file.modified_ms);
            file.used_ms = now_ms;
            file.job = None;
            tx.put_file(&file)?;
            Ok((file, Some(replaced)))
        })?;
        let body = file.body.as_ref().zip(file.facts.as_ref());
        let opened = match body {
            Some((body, facts)) => self.bodies.open(body, facts, path.as_str())?,
            None => None,
        };
        let opened =
            opened.ok_or_else(|| Error::integrity(path.as_str(), "its copy on this device is gone"))?;
        if let Some(replaced) = replaced {
            staged.keep();
            self.bodies.remove(replaced.as_slice());
            self.shrink()?;
        }
        Ok(FileContent {
            info: FileInfo::of(&file, None),
            body: opened.proven(),
            host: Arc::clone(&self.ctx.host),
        })
    }
}

/// Whether the content that is wanted lies here, as far as this device knows.
fn has_wanted(path: &FilePath, known: &FileRow, want: &GetFile) -> Result<bool> {
    let (Some(_), Some(facts)) = (&known.body, &known.facts) else { return Ok(false) };
    match &want.digest {
        Some(digest) if *digest != facts.digest && known.awaits(Task::Upload) => {
            Err(Error::integrity(path.as_str(), "this device has put other content under this path"))
        }
        Some(digest) => Ok(*digest == facts.digest),
        None => Ok(true),
    }
}

/// Whether an error says nothing of the file, but that the mailbox cannot be asked for it now.
fn is_away(error: &Error) -> bool {
    error.is_retryable() || error.mailbox_kind() == Some(MailboxErrorKind::Unauthorized)
}

/// What the mailbox calls a version of a file.
fn version_of(entry: &crate::mailbox::FileEntry) -> Option<String> {
    match (&entry.etag, entry.modified_ms, entry.size) {
        (Some(etag), ..) => Some(etag.clone()),
        (None, Some(modified), Some(size)) => Some(format!("{modified}/{size}")),
        _ => None,
    }
}

fn unreachable(path: &FilePath) -> Error {
    let reason = "the file does not lie on this device, and the database is not connected";
    Error::Offline(MailboxError::new(MailboxErrorKind::Offline, "read", path.as_str(), reason))
}
