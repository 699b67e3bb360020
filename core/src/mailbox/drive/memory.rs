//! What is remembered of ids, so that a name is asked for once in a while and not with every call.
//!
//! A file may be moved to the trash, where its id still serves, or be replaced by another one: nothing is
//! believed for long.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::place::Place;
use super::item::Item;

/// For so long an id stands for its name: longer than the pause between two polls.
const LATELY: Duration = Duration::from_mins(2);
/// For so long a name that was not listed is free, and a folder needs no second look: the time of one exchange.
const JUST_NOW: Duration = Duration::from_secs(10);
/// Files that are remembered of a folder; greater ones are asked again.
const FILES_MAX: usize = 20_000;
/// Folders that are remembered; a mailbox has few.
const FOLDERS_MAX: usize = 1000;

/// Ids of several files or folders of one name, the one that is meant first.
pub(super) type Ids = Vec<String>;

#[derive(Default)]
pub(super) struct Memory {
    folders: Mutex<HashMap<String, Folder>>,
}

struct Folder {
    ids: Ids,
    /// Whether nobody can be about to double it any more.
    is_settled: bool,
    seen: Instant,
    /// When all files were listed, if they are all here.
    listed: Option<Instant>,
    /// `None` for those that have to be asked for.
    files: HashMap<String, Option<(Ids, Instant)>>,
}

/// What is known of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Ids(Ids),
    Absent,
    Nothing,
}

impl Memory {
    fn folders(&self) -> MutexGuard<'_, HashMap<String, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self, folder: &Place) -> Option<Ids> {
        let folders = self.folders();
        let is_believed = |known: &&Folder| known.is_settled && known.seen.elapsed() < LATELY;
        let known = folders.get(&folder.path).filter(is_believed)?;
        Some(known.ids.clone())
    }

    /// Whether a folder was seen so short a while ago that it needs no second look.
    pub(super) fn was_seen_just_now(&self, folder: &Place) -> bool {
        self.folders().get(&folder.path).is_some_and(|known| known.seen.elapsed() < JUST_NOW)
    }

    /// The ids of the folders below one, and of itself, that are known.
    pub(super) fn below(&self, folder: &Place) -> Vec<Ids> {
        let prefix = format!("{}/", folder.path);
        let folders = self.folders();
        let known = folders.iter().filter(|(path, known)| {
            (**path == folder.path || path.starts_with(&prefix)) && known.seen.elapsed() < LATELY
        });
        known.map(|(_, known)| known.ids.clone()).collect()
    }

    pub(super) fn remember_folder(&self, path: &str, ids: Ids, is_settled: bool) {
        let mut folders = self.folders();
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        let seen = Instant::now();
        match folders.get_mut(path).filter(|known| known.ids == ids) {
            Some(known) => (known.seen, known.is_settled) = (seen, is_settled),
            None => {
                let files = HashMap::new();
                folders.insert(path.to_owned(), Folder { ids, is_settled, seen, listed: None, files });
            }
        }
    }

    /// A folder that has files is not in the trash, nor are those that it is in.
    pub(super) fn confirm(&self, folder: &Place) {
        let mut folders = self.folders();
        for depth in 0..=folder.segments.len() {
            if let Some(known) = folders.get_mut(&folder.ancestor(depth).path) {
                known.seen = Instant::now();
            }
        }
    }

    /// Forgets a folder, those that it is in, and those in it.
    pub(super) fn forget_folder(&self, folder: &Place) {
        let below = format!("{}/", folder.path);
        let above = |path: &str| folder.path == path || folder.path.starts_with(&format!("{path}/"));
        self.folders().retain(|path, _| !above(path) && !path.starts_with(&below));
    }

    /// What is known of a file that is to be read.
    pub(super) fn file(&self, file: &Place) -> Known {
        self.file_seen(file, LATELY)
    }

    /// What is known of a file that is to be written: what was doubled meanwhile is to be seen.
    pub(super) fn file_to_write(&self, file: &Place) -> Known {
        self.file_seen(file, JUST_NOW)
    }

    fn file_seen(&self, file: &Place, lately: Duration) -> Known {
        let folders = self.folders();
        let Some(folder) = folders.get(&file.parent().path) else { return Known::Nothing };
        match folder.files.get(file.name()) {
            Some(Some((ids, seen))) if seen.elapsed() < lately => Known::Ids(ids.clone()),
            None if folder.listed.is_some_and(|listed| listed.elapsed() < JUST_NOW) => Known::Absent,
            _ => Known::Nothing,
        }
    }

    /// Remembers a listing: of each name the items, the one that is meant first.
    pub(super) fn remember_files(&self, folder: &str, files: &[Vec<Item>]) {
        let mut folders = self.folders();
        let Some(folder) = folders.get_mut(folder) else { return };
        let now = Instant::now();
        folder.files.clear();
        folder.listed = None;
        if files.len() > FILES_MAX {
            return;
        }
        folder.listed = Some(now);
        let ids = |items: &Vec<Item>| items.iter().map(|item| item.id.clone()).collect();
        folder.files = files
            .iter()
            .filter_map(|items| Some((items.first()?.name.clone(), Some((ids(items), now)))))
            .collect();
    }

    /// Remembers that there is a file, and its ids unless they may still change.
    pub(super) fn remember_file(&self, file: &Place, ids: Option<Ids>) {
        if let Some(folder) = self.folders().get_mut(&file.parent().path)
            && (folder.files.len() < FILES_MAX || folder.files.contains_key(file.name()))
        {
            folder.files.insert(file.name().to_owned(), ids.map(|ids| (ids, Instant::now())));
        }
    }

    /// Forgets a file; whether there is one has to be asked.
    pub(super) fn forget_file(&self, file: &Place) {
        if let Some(folder) = self.folders().get_mut(&file.parent().path) {
            folder.files.remove(file.name());
            folder.listed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::file("test", path).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_believed_for_long() {
        let memory = Memory::default();
        let file = place("/Mesh/changes/x");
        memory.remember_folder("/Mesh", vec!["m".into()], false);
        assert_eq!(memory.folder(&place("/Mesh")), None);
        memory.remember_folder("/Mesh", vec!["m".into()], true);
        memory.remember_folder("/Mesh/changes", vec!["c".into()], true);
        assert_eq!(memory.file(&file), Known::Nothing);
        memory.remember_files("/Mesh/changes", &[]);
        assert_eq!(memory.file(&file), Known::Absent);
        memory.remember_file(&file, None);
        assert_eq!(memory.file(&file), Known::Nothing);
        memory.remember_file(&file, Some(vec!["1".into(), "2".into()]));
        assert_eq!(memory.file(&file), Known::Ids(vec!["1".into(), "2".into()]));
        tokio::time::advance(JUST_NOW).await;
        assert_eq!(memory.file_to_write(&file), Known::Nothing);
        assert_eq!(memory.file(&file), Known::Ids(vec!["1".into(), "2".into()]));
        assert_eq!(memory.file(&place("/Mesh/changes/y")), Known::Nothing);
        memory.confirm(&place("/Mesh"));
        assert_eq!(memory.below(&place("/Mesh")).len(), 2);
        tokio::time::advance(LATELY.saturating_sub(JUST_NOW)).await;
        assert_eq!(memory.file(&file), Known::Nothing);
        assert_eq!(
            (memory.folder(&place("/Mesh")), memory.folder(&place("/Mesh/changes"))),
            (Some(vec!["m".into()]), None)
        );
        // A folder that is another one by now has other files.
        memory.remember_file(&file, Some(vec!["3".into()]));
        memory.remember_folder("/Mesh/changes", vec!["d".into()], true);
        assert_eq!(memory.file(&file), Known::Nothing);
        memory.forget_folder(&place("/Mesh/changes"));
        assert_eq!(memory.folder(&place("/Mesh")), None);
    }
}
