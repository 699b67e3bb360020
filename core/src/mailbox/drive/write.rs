//! Writing and removing. Drive has no exclusive create and no conditions, so that names can be doubled: what
//! is doubled is healed where it is written anew or removed, never where it is only seen.

use super::super::place::Place;
use super::super::{Body, MailboxError, MailboxErrorKind, MailboxResult};
use super::api::Target;
use super::item::Item;
use super::memory::{Ids, Known};
use super::tree::{Tree, ids, not_found};
use super::upload::Upload;

impl Tree {
    /// Writes or overwrites.
    pub(super) async fn write(&self, file: &Place, body: Body) -> MailboxResult<()> {
        let upload = Upload::new(file, body).await?;
        let known = match self.memory.file_to_write(file) {
            Known::Ids(ids) => Some(ids),
            Known::Absent => None,
            Known::Nothing => self.overwritable(file).await?,
        };
        let outcome = match known {
            Some(ids) => self.overwrite(file, ids, upload).await,
            None => self.add(file, upload).await.map(drop),
        };
        if outcome.is_err() {
            // Perhaps it was carried out all the same.
            self.memory.forget_file(file);
        }
        outcome
    }

    /// Writes where nothing is yet. Of those who do so in the same moment, all but the first learn of it
    /// afterwards and take their file back; how soon they see each other's is up to Drive.
    pub(super) async fn create(&self, file: &Place, body: Body) -> MailboxResult<()> {
        let upload = Upload::new(file, body).await?;
        let exists = || file.error(MailboxErrorKind::AlreadyExists, "the file exists");
        if self.overwritable(file).await?.is_some() {
            return Err(exists());
        }
        let ours = self.add(file, upload).await?;
        let mut files = self.find(file).await?.files;
        if !files.iter().any(|item| item.id == ours.id) {
            files.push(ours.clone());
            files.sort_by(Item::precedence);
        }
        if files.first().is_none_or(|first| first.id == ours.id) {
            return Ok(());
        }
        self.api.delete(file, &ours.id).await?;
        self.memory.forget_file(file);
        Err(exists())
    }

    /// Overwrites a version.
    pub(super) async fn replace(&self, file: &Place, body: Body, version: &str) -> MailboxResult<()> {
        let upload = Upload::new(file, body).await?;
        let conflict = |message: &str| file.error(MailboxErrorKind::Conflict, message);
        let files = self.find(file).await?.files;
        let Some(meant) = files.first() else { return Err(conflict("the file is gone")) };
        if meant.version() != version {
            return Err(conflict("the file has changed"));
        }
        self.overwrite(file, ids(&files), upload).await
    }

    /// Removes a file; those of its name too.
    pub(super) async fn remove(&self, file: &Place) -> MailboxResult<()> {
        let remembered = match self.memory.file(file) {
            Known::Ids(ids) => Some(ids),
            Known::Absent | Known::Nothing => None,
        };
        self.memory.forget_file(file);
        // An id that is gone by now may have a successor.
        let is_gone = match remembered {
            Some(ids) => self.delete_all(file, &ids).await?,
            None => false,
        };
        if is_gone {
            return Ok(());
        }
        let found = self.find(file).await?;
        self.memory.forget_file(file);
        if found.has_folder && found.files.is_empty() {
            return Err(file.error(MailboxErrorKind::InvalidPath, "a folder is not deleted as a file"));
        }
        self.delete_all(file, &ids(&found.files)).await.map(drop)
    }

    /// Answers whether all of them were there.
    async fn delete_all(&self, file: &Place, ids: &Ids) -> MailboxResult<bool> {
        let mut were_there = true;
        for id in ids {
            were_there &= self.api.delete(file, id).await?;
        }
        Ok(were_there)
    }

    /// The files that a write overwrites; `None` if there are none.
    async fn overwritable(&self, file: &Place) -> MailboxResult<Option<Ids>> {
        let found = self.find(file).await?;
        if found.has_folder {
            return Err(
                file.error(MailboxErrorKind::InvalidPath, "a folder stands where a file is to be written")
            );
        }
        Ok(Some(ids(&found.files)).filter(|ids| !ids.is_empty()))
    }

    /// Overwrites the one that is meant. The others of its name are out of date by now, and removed.
    async fn overwrite(&self, file: &Place, ids: Ids, upload: Upload) -> MailboxResult<()> {
        let Some((first, others)) = ids.split_first() else { return Err(not_found(file)) };
        let item =
            upload.send(&self.api, file, Target::Over(first)).await.map_err(|error| passing(file, error))?;
        self.refuse_trash(file, &item)?;
        for id in others {
            self.api.delete(file, id).await?;
        }
        if !others.is_empty() {
            self.memory.remember_file(file, None);
        }
        Ok(())
    }

    /// Adds a file to its folder, which is made if need be.
    async fn add(&self, file: &Place, upload: Upload) -> MailboxResult<Item> {
        let parent = file.parent();
        let folder = self.make_folder(&parent).await.map_err(|error| error.at(&file.path))?;
        let Some(folder) = folder.first() else { return Err(not_found(file)) };
        let added =
            upload.send(&self.api, file, Target::In(folder)).await.map_err(|error| passing(file, error));
        if added.is_err() {
            // Perhaps it is not the folder any more.
            self.memory.forget_folder(&parent);
        }
        let item = added?;
        self.refuse_trash(file, &item)?;
        self.memory.remember_file(file, None);
        Ok(item)
    }

    /// What is written into the trash is lost: the file or its folder was moved there a moment ago.
    fn refuse_trash(&self, file: &Place, item: &Item) -> MailboxResult<()> {
        if !item.trashed {
            return Ok(());
        }
        self.memory.forget_folder(&file.parent());
        Err(file.error(
            MailboxErrorKind::Unavailable,
            "the file, or its folder, was just moved to the trash; try again",
        ))
    }
}

/// An id that nobody knows any more is no missing file to somebody who writes one: the next try finds another.
fn passing(file: &Place, error: MailboxError) -> MailboxError {
    if error.kind() == MailboxErrorKind::NotFound {
        return file
            .error(MailboxErrorKind::Unavailable, "the file was just removed; try again")
            .with_source(error);
    }
    error
}
