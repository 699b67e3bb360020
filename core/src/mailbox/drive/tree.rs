//! From paths to ids: Drive knows files and folders by id, and lets several of one folder have one name.
//!
//! Folders of one name are read as one; what is new goes into the first of them. Of files of one name the
//! one of [`Item::precedence`] is meant.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::place::Place;
use super::super::{FileEntry, MailboxError, MailboxErrorKind, MailboxResult, path};
use super::api::Api;
use super::item::{Item, MY_DRIVE};
use super::memory::{Ids, Memory};
use super::query::{self, Wanted};
use super::upload;

/// Folders that one query asks for.
const TREE_FOLDERS_MAX: usize = 40;
/// A name that is this young may be doubled by somebody who could not see it yet. Its id is not remembered: who
/// reads back what was created, or looks into a folder that was, has to see what everybody sees.
const UNSETTLED_MS: i64 = 15 * 60 * 1000;
/// For so long a tree that is too large to be listed at once stays one.
const TREE_LARGE: Duration = Duration::from_hours(1);

/// Google Drive as a tree of names.
pub(super) struct Tree {
    pub(super) api: Api,
    pub(super) memory: Memory,
    /// Id of the folder that the mailbox is in.
    base: String,
    /// Held while folders are made, so that one mailbox makes none twice.
    making: Mutex<()>,
    /// When the tree was found to be too large to be listed at once.
    too_large: std::sync::Mutex<Option<Instant>>,
}

impl Tree {
    pub(super) fn carries(&self, len: u64) -> bool {
        upload::in_parts(len) && self.api.carries(len)
    }

    pub(super) fn new(api: Api, base: &str) -> Self {
        Self {
            api,
            memory: Memory::default(),
            base: base.to_owned(),
            making: Mutex::default(),
            too_large: std::sync::Mutex::default(),
        }
    }

    /// Checks that the folder that the mailbox is in can be used.
    pub(super) async fn check_base(&self, place: &Place) -> MailboxResult<()> {
        if self.base == MY_DRIVE {
            return Ok(());
        }
        match self.api.facts(place, &self.base).await {
            Ok(item) if item.is_folder() && !item.trashed => Ok(()),
            Ok(_) => Err(place
                .error(MailboxErrorKind::Unavailable, "the folder of the mailbox is in the trash, or none")),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => Err(no_base(place)),
            Err(error) => Err(error),
        }
    }

    /// The ids of a folder, and whether they are from longer ago; `None` if there is certainly none.
    async fn resolve(&self, folder: &Place) -> MailboxResult<Option<(Ids, bool)>> {
        if let Some(ids) = self.memory.folder(folder) {
            return Ok(Some((ids, !self.memory.was_seen_just_now(folder))));
        }
        let mut ids = vec![self.base.clone()];
        for depth in 1..=folder.segments.len() {
            let step = folder.ancestor(depth);
            if let Some(known) = self.memory.folder(&step) {
                ids = known;
                continue;
            }
            let found = self.named(folder, &ids, step.name()).await?;
            let folders: Vec<Item> = found.into_iter().filter(Item::is_folder).collect();
            let settled = are_settled(&folders);
            ids = first_ids(folders);
            if ids.is_empty() {
                return Ok(None);
            }
            self.memory.remember_folder(&step.path, ids.clone(), settled);
        }
        Ok(Some((ids, false)))
    }

    /// The items of a name in folders. Drive's own comparison takes no notice of case.
    async fn named(&self, place: &Place, folders: &[String], name: &str) -> MailboxResult<Vec<Item>> {
        let mut found = self.list(place, folders, Wanted::Named(name)).await?;
        found.retain(|item| item.name == name);
        Ok(found)
    }

    async fn list(&self, place: &Place, folders: &[String], wanted: Wanted<'_>) -> MailboxResult<Vec<Item>> {
        let outcome = self.api.list(place, &query::children(folders, wanted)).await;
        match outcome {
            Err(error) if error.kind() == MailboxErrorKind::NotFound && folders == [self.base.as_str()] => {
                Err(no_base(place))
            }
            outcome => outcome,
        }
    }

    /// What is wanted of a folder; `None` if there is certainly no such folder.
    pub(super) async fn children(
        &self,
        folder: &Place,
        wanted: Wanted<'_>,
    ) -> MailboxResult<Option<Vec<Item>>> {
        let mut is_second = false;
        loop {
            let outcome = match self.resolve(folder).await {
                Ok(None) => return Ok(None),
                Ok(Some((ids, is_old))) => {
                    let found = match wanted {
                        Wanted::Named(name) => self.named(folder, &ids, name).await,
                        wanted => self.list(folder, &ids, wanted).await,
                    };
                    let is_listing = !matches!(wanted, Wanted::Named(_));
                    found.map(|items| (items, is_old && is_listing))
                }
                Err(error) => Err(error),
            };
            match outcome {
                // Listed as empty, perhaps since it is in the trash; gone: it may have a successor.
                Ok((items, true)) if items.is_empty() && !is_second => {}
                Err(error) if error.kind() == MailboxErrorKind::NotFound && !is_second => {}
                Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
                Ok((items, _)) => {
                    if !items.is_empty() {
                        self.memory.confirm(folder);
                    }
                    return Ok(Some(items));
                }
            }
            self.memory.forget_folder(folder);
            is_second = true;
        }
    }

    /// The files of a name, the one that is meant first; a folder of the name is an error where a file is to
    /// be written. Asks Drive.
    pub(super) async fn find(&self, file: &Place) -> MailboxResult<Found> {
        let parent = file.parent();
        let Some(items) =
            self.children(&parent, Wanted::Named(file.name())).await.map_err(|error| error.at(&file.path))?
        else {
            return Ok(Found::default());
        };
        let has_folder = items.iter().any(Item::is_folder);
        let mut files: Vec<Item> = items.into_iter().filter(Item::is_file).collect();
        files.sort_by(Item::precedence);
        if files.is_empty() {
            self.memory.forget_file(file);
        } else {
            self.memory.remember_file(file, are_settled(&files).then(|| ids(&files)));
        }
        Ok(Found { has_folder, files })
    }

    /// Lists the files of a folder.
    pub(super) async fn files(&self, folder: &Place) -> MailboxResult<Vec<FileEntry>> {
        let Some(items) = self.children(folder, Wanted::Files).await? else { return Err(not_found(folder)) };
        let files = by_name(items.into_iter().filter(Item::is_file).collect());
        self.memory.remember_files(&folder.path, &files);
        Ok(entries(&folder.path, &files))
    }

    /// Lists the folders of a folder.
    pub(super) async fn folders(&self, folder: &Place) -> MailboxResult<Vec<String>> {
        let Some(items) = self.children(folder, Wanted::Folders).await? else {
            return Err(not_found(folder));
        };
        let folders = by_name(items.into_iter().filter(Item::is_folder).collect());
        let names = folders.into_iter().filter_map(|items| Some(items.into_iter().next()?.name));
        Ok(names.filter(|name| !path::is_hidden(name)).collect())
    }

    /// Makes sure that a folder exists; gives its ids.
    pub(super) async fn make_folder(&self, folder: &Place) -> MailboxResult<Ids> {
        match self.try_make_folder(folder).await {
            // One that it is in was gone: what was remembered of it is wrong.
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {
                self.memory.forget_folder(folder);
                self.try_make_folder(folder).await
            }
            outcome => outcome,
        }
    }

    async fn try_make_folder(&self, folder: &Place) -> MailboxResult<Ids> {
        if let Some((ids, _)) = self.resolve(folder).await? {
            return Ok(ids);
        }
        let _making = self.making.lock().await;
        let mut ids = vec![self.base.clone()];
        for depth in 1..=folder.segments.len() {
            let step = folder.ancestor(depth);
            ids = match self.memory.folder(&step) {
                Some(known) => known,
                None => self.step_into(&step, &ids).await?,
            };
        }
        Ok(ids)
    }

    /// The ids of a folder in others, made if there is none.
    async fn step_into(&self, step: &Place, parents: &Ids) -> MailboxResult<Ids> {
        let found = self.named(step, parents, step.name()).await?;
        let mut folders: Vec<Item> = found.iter().filter(|item| item.is_folder()).cloned().collect();
        if folders.is_empty() {
            if !found.is_empty() {
                return Err(
                    step.error(MailboxErrorKind::InvalidPath, "a file stands where a folder is needed")
                );
            }
            let Some(parent) = parents.first() else { return Err(not_found(step)) };
            let made = self.api.create_folder(step, parent).await?;
            // Somebody else may have made one too: both are used from now on, and all agree on the first.
            folders = self.named(step, parents, step.name()).await?;
            folders.retain(Item::is_folder);
            if !folders.iter().any(|item| item.id == made.id) {
                folders.push(made);
            }
        }
        let settled = are_settled(&folders);
        let ids = first_ids(folders);
        self.memory.remember_folder(&step.path, ids.clone(), settled);
        Ok(ids)
    }

    /// Every file below a folder, with one request once its folders are known; `None` where that would take
    /// more than one page, so that polls of a large mailbox do not list all of it.
    pub(super) async fn everything(&self, root: &Place) -> MailboxResult<Option<Vec<FileEntry>>> {
        if root.segments.is_empty() || self.is_too_large() {
            return Ok(None);
        }
        let mut is_second = false;
        loop {
            let outcome = match self.resolve(root).await {
                // What is missing of it is for the caller to find out.
                Ok(None) => return Ok(None),
                Ok(Some((ids, _))) => self.walk(root, ids).await,
                Err(error) => Err(error),
            };
            // As above.
            match outcome {
                Ok(Some(entries)) if entries.is_empty() && !is_second => {}
                Err(error) if error.kind() == MailboxErrorKind::NotFound && !is_second => {}
                Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(None),
                outcome => return outcome,
            }
            self.memory.forget_folder(root);
            is_second = true;
        }
    }

    async fn walk(&self, root: &Place, ids: Ids) -> MailboxResult<Option<Vec<FileEntry>>> {
        let mut asked: HashSet<String> = HashSet::new();
        let mut children: HashMap<String, Vec<Item>> = HashMap::new();
        let mut files_of = Vec::new();
        let is_settled = self.memory.folder(root).is_some();
        let mut level = vec![(root.path.clone(), ids, is_settled)];
        // The folders that are known from before are asked for with the first query.
        let mut ask: Vec<String> = self.memory.below(root).into_iter().flatten().collect();
        while !level.is_empty() {
            ask.extend(level.iter().flat_map(|(_, ids, _)| ids.iter().cloned()));
            ask.retain(|id| asked.insert(id.clone()));
            if asked.len() > TREE_FOLDERS_MAX {
                return Ok(self.note_too_large());
            }
            if !ask.is_empty() {
                let page = self.api.page(root, &query::children(&ask, Wanted::Everything), None).await?;
                if page.next_page_token.is_some() {
                    return Ok(self.note_too_large());
                }
                for item in page.files {
                    for parent in item.parents.iter().take(1) {
                        children.entry(parent.clone()).or_default().push(item.clone());
                    }
                }
                ask.clear();
            }
            let mut next = Vec::new();
            for (path, ids, is_settled) in level {
                // What is taken out is not met again: folders in a circle end here.
                let items: Vec<Item> = ids.iter().filter_map(|id| children.remove(id)).flatten().collect();
                let (folders, others): (Vec<_>, Vec<_>) = items.into_iter().partition(Item::is_folder);
                for same in by_name(folders) {
                    let Some(name) = same.first().map(|item| &item.name) else { continue };
                    if !path::is_hidden(name) {
                        next.push((path::child(&path, name), self::ids(&same), are_settled(&same)));
                    }
                }
                files_of.push((
                    path,
                    ids,
                    is_settled,
                    by_name(others.into_iter().filter(Item::is_file).collect()),
                ));
            }
            level = next;
        }
        let mut entries = Vec::new();
        for (path, ids, is_settled, files) in files_of {
            self.memory.remember_folder(&path, ids, is_settled);
            self.memory.remember_files(&path, &files);
            entries.extend(self::entries(&path, &files));
        }
        Ok(Some(entries))
    }

    fn is_too_large(&self) -> bool {
        let at = *self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < TREE_LARGE)
    }

    fn note_too_large(&self) -> Option<Vec<FileEntry>> {
        *self.too_large.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        None
    }
}

/// What there is of a name.
#[derive(Default)]
pub(super) struct Found {
    pub(super) has_folder: bool,
    /// The one that is meant first.
    pub(super) files: Vec<Item>,
}

fn no_base(place: &Place) -> MailboxError {
    let message = "the folder of the mailbox does not exist, or this app may not see it";
    place.error(MailboxErrorKind::Unavailable, message)
}

pub(super) fn not_found(place: &Place) -> MailboxError {
    place.error(MailboxErrorKind::NotFound, "not found")
}

pub(super) fn ids(items: &[Item]) -> Ids {
    items.iter().map(|item| item.id.clone()).collect()
}

fn first_ids(mut items: Vec<Item>) -> Ids {
    items.sort_by(Item::precedence);
    ids(&items)
}

/// Whether nobody can be about to double what is of this name.
fn are_settled(items: &[Item]) -> bool {
    items.iter().all(|item| item.is_older_than(UNSETTLED_MS))
}

/// Items of one name together, the one that is meant first.
fn by_name(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut names: HashMap<String, Vec<Item>> = HashMap::with_capacity(items.len());
    for item in items {
        names.entry(item.name.clone()).or_default().push(item);
    }
    let mut groups: Vec<_> = names.into_values().collect();
    for group in &mut groups {
        group.sort_by(Item::precedence);
    }
    groups
}

fn entries(folder: &str, files: &[Vec<Item>]) -> Vec<FileEntry> {
    let meant = files.iter().filter_map(|same| same.first());
    meant.filter(|item| !path::is_hidden(&item.name)).map(|item| item.entry(folder)).collect()
}
