//! All files below a folder of a mailbox, at any depth.

use std::collections::VecDeque;

use super::or_empty;
use crate::{
    error::{Error, Result},
    mailbox::{FileEntry, MailboxErrorKind, StorageAdapter},
};

/// Folders that are listed at most: a mailbox must not be able to keep a listing from ending.
const MAX_FOLDERS: usize = 10_000;

/// A file by its place below the folder, with what tells its content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// `a/b.txt`
    pub(super) place: String,
    pub(super) size: Option<u64>,
    /// As the mailbox calls this content, where it does.
    pub(super) version: Option<String>,
}

impl Leaf {
    fn new(place: String, entry: &FileEntry) -> Self {
        let version = match (&entry.etag, entry.modified_ms) {
            (Some(etag), _) => Some(etag.clone()),
            (None, Some(modified)) => Some(format!("{modified}/{:?}", entry.size)),
            (None, None) => None,
        };
        Self { place, size: entry.size, version }
    }
}

/// Lists a folder; one that is missing is empty.
pub(super) async fn leaves(adapter: &dyn StorageAdapter, folder: &str) -> Result<Vec<Leaf>> {
    let mut leaves = Vec::new();
    let prefix = format!("{folder}/");
    match adapter.list_tree(folder).await {
        Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(leaves),
        Err(error) => return Err(error.into()),
        Ok(Some(entries)) => {
            let place = |entry: &FileEntry| entry.path.strip_prefix(&prefix).map(str::to_owned);
            leaves.extend(entries.iter().filter_map(|entry| Some(Leaf::new(place(entry)?, entry))));
        }
        Ok(None) => {
            let mut folders = VecDeque::from([String::new()]);
            let mut listed = 0;
            while let Some(below) = folders.pop_front() {
                listed += 1;
                if listed > MAX_FOLDERS {
                    let (actual, limit) = (listed as u64, MAX_FOLDERS as u64);
                    return Err(Error::Limit { what: "the number of folders", actual, limit });
                }
                let here = format!("{folder}{below}");
                for entry in or_empty(adapter.list_files(&here).await)? {
                    let place = format!("{below}/{}", entry.name);
                    leaves.push(Leaf::new(place.trim_start_matches('/').to_owned(), &entry));
                }
                let names = match adapter.list_folders(&here).await {
                    Err(error) if error.kind() == MailboxErrorKind::NotFound => Vec::new(),
                    outcome => outcome?,
                };
                folders.extend(names.iter().map(|name| format!("{below}/{name}")));
            }
        }
    }
    // A path that leads elsewhere is nobody's file.
    leaves.retain(|leaf| leaf.place.split('/').all(|part| !matches!(part, "" | "." | "..")));
    leaves.sort_by(|a, b| a.place.cmp(&b.place));
    leaves.dedup_by(|a, b| a.place == b.place);
    Ok(leaves)
}
