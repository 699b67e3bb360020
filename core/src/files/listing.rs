//! Which files there are: in the mailbox, as far as their names tell, and on this device.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    FileInfo, FileListing, Files, GetFile,
    form::{is_sha256, or_empty},
    path::FilePath,
    sidecar::{self, Sidecar},
};
use crate::{
    error::{Error, Result},
    mailbox::{FileEntry, MailboxErrorKind},
    store::files::{FileRow, Task},
    sync::Link,
    transfer::FileForm,
};

/// Folders that are listed at most: a mailbox must not be able to keep a listing from ending.
const MAX_FOLDERS: usize = 10_000;

impl Files {
    /// The files whose paths begin with `prefix`. With a mailbox, what it does not have any more is left out.
    pub(crate) async fn list(&self, link: Option<&Link>, prefix: &str) -> Result<FileListing> {
        let mut known: BTreeMap<String, FileRow> = self
            .ctx
            .read(|tx| tx.files(prefix))?
            .into_iter()
            .filter(|file| !file.awaits(Task::Delete))
            .map(|file| (file.path.clone(), file))
            .collect();
        let mut listing = FileListing::default();
        if let Some(link) = link {
            let found = self.find(link).await?;
            let now_ms = self.ctx.host.now_ms();
            let hidden = self.hidden_names(link)?;
            listing.unnamed = found.hashed.iter().filter(|name| !hidden.contains(*name)).count() as u64;
            known.retain(|_, file| file.job.is_some() || found.has(link, file));
            for (path, entry) in found.plain {
                let is_wanted = path.starts_with(prefix) && !self.is_deleted(&path)?;
                if is_wanted && !known.contains_key(&path) {
                    let mut file = FileRow::new(&path, now_ms);
                    file.modified_ms = entry.modified_ms.and_then(|modified| u64::try_from(modified).ok());
                    known.insert(path, file);
                }
            }
        }
        listing.files =
            known.values().map(|file| FileInfo::of(file, self.active.moved(&file.path))).collect();
        Ok(listing)
    }

    fn is_deleted(&self, path: &str) -> Result<bool> {
        Ok(self.ctx.read(|tx| tx.file(path))?.is_some_and(|file| file.awaits(Task::Delete)))
    }

    /// The hidden names of all paths that are known here.
    pub(super) fn hidden_names(&self, link: &Link) -> Result<HashSet<String>> {
        let files = self.ctx.read(|tx| tx.files(""))?;
        let name = |file: &FileRow| {
            let place = FileForm::Hashed.place(link, &FilePath::new(&file.path).ok()?);
            place.rsplit('/').next().map(str::to_owned)
        };
        Ok(files.iter().filter_map(name).collect())
    }

    /// What lies in the mailbox.
    async fn find(&self, link: &Link) -> Result<Found> {
        let root = link.layout.files();
        let mut found = Found::default();
        let mut folders = VecDeque::from([String::new()]);
        let mut listed = 0;
        while let Some(folder) = folders.pop_front() {
            listed += 1;
            if listed > MAX_FOLDERS {
                let (actual, limit) = (listed as u64, MAX_FOLDERS as u64);
                return Err(Error::Limit { what: "the number of folders", actual, limit });
            }
            let place = format!("{root}{folder}");
            for entry in or_empty(link.adapter.list_files(&place).await)? {
                if folder.is_empty() && link.codec.is_sealed() && is_sha256(&entry.name) {
                    found.hashed.insert(entry.name);
                    continue;
                }
                // Paths that no app of ours can ask for are none: sidecars, and what leads elsewhere.
                let path = format!("{folder}/{}", entry.name);
                match FilePath::new(&path) {
                    Ok(path) if !entry.name.contains('/') => {
                        found.plain.insert(path.as_str().to_owned(), entry);
                    }
                    _ => {}
                }
            }
            for name in or_empty(link.adapter.list_folders(&place).await)? {
                if !name.contains('/') && FilePath::new(&name).is_ok() {
                    folders.push_back(format!("{folder}/{name}"));
                }
            }
        }
        Ok(found)
    }

    /// What is known of a file: from its sidecar or its listing, and in the hashed form, where all of that lies inside,
    /// from its content, which is fetched. `None`: there is no such file.
    pub(crate) async fn metadata(
        &self,
        link: Option<&Arc<Link>>,
        path: &FilePath,
    ) -> Result<Option<FileInfo>> {
        let known = self.ctx.read(|tx| tx.file(path.as_str()))?;
        match &known {
            Some(file) if file.awaits(Task::Delete) => return Ok(None),
            Some(file) if file.awaits(Task::Upload) => return self.info(path),
            _ => {}
        }
        let Some(link) = link else {
            return match self.info(path)? {
                Some(info) => Ok(Some(info)),
                None => Err(super::unreachable(path)),
            };
        };
        let first = match known.as_ref().and_then(|file| FileForm::of_text(file.form.as_deref()?)) {
            Some(form) => form,
            None => self.form(link).await?,
        };
        for form in first.and_other(link, path) {
            let place = form.place(link, path);
            let Some(entry) = link.adapter.metadata(&place).await? else { continue };
            if form == FileForm::Hashed {
                return self.metadata_inside(link, path).await;
            }
            return self.metadata_beside(link, path, &place, &entry, known).await.map(Some);
        }
        Ok(None)
    }

    async fn metadata_inside(&self, link: &Arc<Link>, path: &FilePath) -> Result<Option<FileInfo>> {
        match self.get(Some(link), path, &GetFile::default()).await {
            Ok(content) => Ok(Some(content.info)),
            Err(Error::FileNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn metadata_beside(
        &self,
        link: &Link,
        path: &FilePath,
        place: &str,
        entry: &FileEntry,
        known: Option<FileRow>,
    ) -> Result<FileInfo> {
        let mut file = known.unwrap_or_else(|| FileRow::new(path.as_str(), self.ctx.host.now_ms()));
        let is_same = file.version.is_some() && file.version == super::version_of(entry);
        let mut info = FileInfo::of(&file, self.active.moved(path.as_str()));
        info.modified_ms = entry.modified_ms.and_then(|modified| u64::try_from(modified).ok());
        if is_same {
            return Ok(info);
        }
        file.facts = None;
        let beside = self.read_sidecar(link, place).await?;
        info.size = beside.size.or_else(|| entry.size.filter(|_| !link.codec.is_sealed()));
        info.digest = None;
        info.content_type = beside.content_type.or(info.content_type);
        Ok(info)
    }

    /// A sidecar that is missing or unreadable says nothing: the file counts.
    async fn read_sidecar(&self, link: &Link, place: &str) -> Result<Sidecar> {
        if !link.adapter.keeps_sidecars() {
            return Ok(Sidecar::default());
        }
        match link.adapter.read_file(&Sidecar::path(place)).await {
            Ok(bytes) if bytes.len() as u64 > sidecar::MAX_BYTES => Ok(Sidecar::default()),
            Ok(bytes) => Ok(Sidecar::parse(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Sidecar::default()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What lies in a mailbox.
#[derive(Debug, Default)]
struct Found {
    /// By path.
    plain: BTreeMap<String, FileEntry>,
    /// Names that hide their paths.
    hashed: HashSet<String>,
}

impl Found {
    fn has(&self, link: &Link, file: &FileRow) -> bool {
        let Ok(path) = FilePath::new(&file.path) else { return false };
        let hidden = FileForm::Hashed.place(link, &path);
        self.plain.contains_key(&file.path)
            || hidden.rsplit('/').next().is_some_and(|name| self.hashed.contains(name))
    }
}
