//! What was written or told of just now: listings may not show it yet, and the relay repeats it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{FileEntry, path};

/// For so long a listing may be old: a minute, and what the clocks of two machines differ by.
pub(super) const LISTING_LAG_MS: u64 = 65 * 1000;
/// For so long the relay may take to repeat what we wrote.
const ECHO_MS: u64 = 10 * 1000;
/// More is not kept: who writes so much lists again anyway.
const SEEN_MAX: usize = 20_000;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// There, of this size if that is known.
    There(Option<u64>),
    Gone,
}

/// The last minute.
#[derive(Debug, Default)]
pub(super) struct Recent {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: HashMap<String, (u64, Presence)>,
    /// When each write of ours was sent, of which nothing came back yet.
    echoes: HashMap<String, Vec<u64>>,
    /// Folders that were made or found, which a Worker knows by their files only.
    folders: HashSet<String>,
}

impl Recent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is there or gone that listings may show otherwise for a while.
    pub(super) fn note(&self, path: &str, presence: Presence, now_ms: u64) {
        let mut state = self.state();
        if state.seen.len() >= SEEN_MAX {
            state.seen.retain(|_, (at, _)| is_within(*at, now_ms, LISTING_LAG_MS));
            if state.seen.len() >= SEEN_MAX {
                return;
            }
        }
        state.seen.insert(path.to_owned(), (now_ms, presence));
    }

    /// A write is about to be sent that the relay will repeat.
    pub(super) fn expect_echo(&self, path: &str, now_ms: u64) {
        let mut state = self.state();
        if state.echoes.len() >= SEEN_MAX {
            state.echoes.retain(|_, sent| sent.iter().any(|at| is_within(*at, now_ms, ECHO_MS)));
        }
        state.echoes.entry(path.to_owned()).or_default().push(now_ms);
    }

    /// Whether a message is about a write of ours; each write stands for one message.
    pub(super) fn is_echo(&self, path: &str, now_ms: u64) -> bool {
        let mut state = self.state();
        let Some(sent) = state.echoes.get_mut(path) else { return false };
        sent.retain(|at| is_within(*at, now_ms, ECHO_MS));
        let is_ours = sent.pop().is_some();
        if sent.is_empty() {
            state.echoes.remove(path);
        }
        is_ours
    }

    pub(super) fn remember_folder(&self, folder: &str) {
        self.state().folders.insert(folder.to_owned());
    }

    pub(super) fn knows_folder(&self, folder: &str) -> bool {
        self.state().folders.contains(folder)
    }

    /// Puts into a listing what is known better.
    pub(super) fn correct_files(&self, folder: &str, files: &mut Vec<FileEntry>, now_ms: u64) {
        let mut state = self.state();
        state.seen.retain(|_, (at, _)| is_within(*at, now_ms, LISTING_LAG_MS));
        let listed: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
        for (path, (_, presence)) in &state.seen {
            let Presence::There(size) = presence else { continue };
            let name = direct_child(folder, path).filter(|name| !path::is_hidden(name));
            if let Some(name) = name.filter(|_| !listed.contains(path)) {
                let (name, path) = (name.to_owned(), path.clone());
                files.push(FileEntry { name, path, size: *size, modified_ms: None, etag: None });
            }
        }
        let is_gone = |file: &FileEntry| matches!(state.seen.get(&file.path), Some((_, Presence::Gone)));
        files.retain(|file| !is_gone(file));
    }

    /// The same for the names of folders.
    pub(super) fn correct_folders(&self, folder: &str, names: &mut Vec<String>) {
        let state = self.state();
        let made = state.folders.iter().filter_map(|path| direct_child(folder, path));
        let mut known: HashSet<String> = names.iter().cloned().collect();
        for name in made.filter(|name| !path::is_hidden(name)) {
            if known.insert(name.to_owned()) {
                names.push(name.to_owned());
            }
        }
    }
}

/// The name of what lies directly in a folder.
fn direct_child<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let prefix = if folder == "/" { "" } else { folder };
    let name = path.strip_prefix(prefix)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Apart in either direction: a wall clock may go back.
fn is_within(at_ms: u64, now_ms: u64, limit_ms: u64) -> bool {
    now_ms.abs_diff(at_ms) < limit_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> FileEntry {
        let name = path.rsplit('/').next().unwrap().to_owned();
        FileEntry { name, path: path.to_owned(), size: Some(1), modified_ms: Some(1), etag: Some("e".into()) }
    }

    fn listed(recent: &Recent, folder: &str, paths: &[&str], now_ms: u64) -> Vec<String> {
        let mut files: Vec<FileEntry> = paths.iter().map(|path| entry(path)).collect();
        recent.correct_files(folder, &mut files, now_ms);
        let mut names: Vec<String> = files.into_iter().map(|file| file.name).collect();
        names.sort();
        names
    }

    #[test]
    fn an_old_listing_is_corrected_for_a_minute() {
        let recent = Recent::default();
        recent.note("/m/changes/new", Presence::There(Some(3)), 1000);
        recent.note("/m/changes/old", Presence::Gone, 1000);
        recent.note("/m/changes/deep/er", Presence::There(None), 1000);
        recent.note("/m/changes/.hidden", Presence::There(None), 1000);
        recent.note("/m/changesx/y", Presence::There(None), 1000);
        let old = ["/m/changes/old", "/m/changes/x"];
        assert_eq!(listed(&recent, "/m/changes", &old, 2000), ["new", "x"]);
        // A listing that shows it already is believed.
        assert_eq!(listed(&recent, "/m/changes", &["/m/changes/new"], 2000), ["new"]);
        recent.note("/m/changes/new", Presence::Gone, 3000);
        assert_eq!(listed(&recent, "/m/changes", &["/m/changes/new"], 3000), Vec::<String>::new());
        assert_eq!(listed(&recent, "/m/changes", &old, 3000 + LISTING_LAG_MS), ["old", "x"]);
        recent.note("/top", Presence::There(None), 0);
        assert_eq!(listed(&recent, "/", &[], 1), ["top"]);
    }

    #[test]
    fn each_write_stands_for_one_message() {
        let recent = Recent::default();
        recent.expect_echo("/m/changes/head.json", 1000);
        assert!(!recent.is_echo("/m/changes/other", 1100));
        assert!(recent.is_echo("/m/changes/head.json", 1100));
        // The next one is somebody else's.
        assert!(!recent.is_echo("/m/changes/head.json", 1200));
        recent.expect_echo("/m/changes/head.json", 1000);
        assert!(!recent.is_echo("/m/changes/head.json", 1000 + ECHO_MS), "it never came");
    }

    #[test]
    fn folders_that_were_made_are_listed() {
        let recent = Recent::default();
        recent.remember_folder("/m/made");
        recent.remember_folder("/m/.hidden");
        let mut names = vec!["there".to_owned()];
        recent.correct_folders("/m", &mut names);
        assert_eq!(names, ["there", "made"]);
        assert!(recent.knows_folder("/m/made") && !recent.knows_folder("/m"));
    }
}
