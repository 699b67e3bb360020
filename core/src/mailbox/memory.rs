//! A mailbox in memory: for tests, the simulator and demonstrations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Body, Capabilities, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, StorageAdapter, body, path,
};

/// A mailbox in memory with every capability.
///
/// Clones share one content, so that several devices can use one mailbox. It is deterministic: versions
/// are numbers in the order of the writes, listings are sorted, no time is told, and every future is
/// ready at once (unless a streamed body is not).
#[derive(Clone, Default)]
pub struct MemoryMailbox {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: AtomicU64,
    tree: Mutex<Tree>,
}

#[derive(Default)]
struct Tree {
    /// By absolute path.
    files: BTreeMap<String, Stored>,
    /// By absolute path; the root `/` always exists and is not held.
    folders: BTreeSet<String>,
    writes: u64,
}

struct Stored {
    bytes: Bytes,
    version: u64,
}

impl MemoryMailbox {
    /// An empty mailbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests all clones have made so far: one for each call that would cost a real remote
    /// one, and one for each path of a `read_many`.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    fn count(&self, requests: usize) {
        self.shared.requests.fetch_add(requests as u64, Ordering::Relaxed);
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // No code panics while it holds the lock in the middle of a change, so the content is whole.
        self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, file: &str) -> MailboxResult<Bytes> {
        let file = path::join(&path::file("read", file)?);
        let tree = self.tree();
        tree.files.get(&file).map(|stored| stored.bytes.clone()).ok_or_else(|| not_found("read", &file))
    }

    async fn put(
        &self,
        operation: &'static str,
        file: &str,
        body: Body,
        condition: Condition<'_>,
    ) -> MailboxResult<()> {
        self.count(1);
        let segments = path::file(operation, file)?;
        let bytes = body::collect(operation, file, body).await?;
        self.tree().put(operation, &segments, bytes, condition)
    }
}

/// What must hold before a write.
enum Condition<'a> {
    None,
    Absent,
    Version(&'a str),
}

impl Tree {
    fn has_folder(&self, folder: &str) -> bool {
        folder == "/" || self.folders.contains(folder)
    }

    /// Creates a folder and its parents; refuses where a file stands in the way.
    fn make_folders(&mut self, operation: &'static str, segments: &[&str]) -> MailboxResult<()> {
        for depth in 1..=segments.len() {
            let folder = path::join(&segments[..depth]);
            if self.files.contains_key(&folder) {
                return Err(MailboxError::new(
                    MailboxErrorKind::InvalidPath,
                    operation,
                    folder,
                    "a file stands where a folder is needed",
                ));
            }
            self.folders.insert(folder);
        }
        Ok(())
    }

    fn put(
        &mut self,
        operation: &'static str,
        segments: &[&str],
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> MailboxResult<()> {
        let file = path::join(segments);
        let fail = |kind, message: &str| Err(MailboxError::new(kind, operation, file.as_str(), message));
        if self.folders.contains(&file) {
            return fail(MailboxErrorKind::InvalidPath, "a folder stands where a file is to be written");
        }
        match (condition, self.files.get(&file)) {
            (Condition::Absent, Some(_)) => {
                return fail(MailboxErrorKind::AlreadyExists, "the file exists");
            }
            (Condition::Version(_), None) => {
                return fail(MailboxErrorKind::Conflict, "the file is gone");
            }
            (Condition::Version(expected), Some(stored)) if stored.etag() != expected => {
                return fail(MailboxErrorKind::Conflict, "the file has changed");
            }
            _ => {}
        }
        self.make_folders(operation, &segments[..segments.len() - 1])?;
        self.writes += 1;
        self.files.insert(file, Stored { bytes, version: self.writes });
        Ok(())
    }
}

impl Stored {
    fn etag(&self) -> String {
        format!("v{}", self.version)
    }

    fn entry(&self, name: &str, file: &str) -> FileEntry {
        FileEntry {
            name: name.to_owned(),
            path: file.to_owned(),
            size: Some(self.bytes.len() as u64),
            modified_ms: None,
            etag: Some(self.etag()),
        }
    }
}

fn not_found(operation: &'static str, path: &str) -> MailboxError {
    MailboxError::new(MailboxErrorKind::NotFound, operation, path, "not found")
}

/// What every path below the folder begins with.
fn prefix_of(folder: &str) -> String {
    path::child(folder, "")
}

/// The visible name below `prefix`, if `path` is a direct child.
fn visible_child<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|name| !name.contains('/') && !path::is_hidden(name))
}

/// The part of a sorted map that can hold children of a folder begins here.
fn from(prefix: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(prefix), Bound::Unbounded)
}

#[async_trait]
impl StorageAdapter for MemoryMailbox {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.count(1);
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { exclusive_create: true, conditional_replace: true, streaming: true, max_body: None }
    }

    fn handshake_config(&self) -> Option<String> {
        Some("{}".into())
    }

    async fn ensure_folder(&self, folder: &str) -> MailboxResult<()> {
        self.count(1);
        let segments = path::folder("ensure", folder)?;
        self.tree().make_folders("ensure", &segments)
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        self.count(1);
        let folder = path::join(&path::folder("list", folder)?);
        let tree = self.tree();
        if !tree.has_folder(&folder) {
            return Err(not_found("list", &folder));
        }
        let prefix = prefix_of(&folder);
        let below =
            tree.files.range::<str, _>(from(&prefix)).take_while(|(file, _)| file.starts_with(&prefix));
        Ok(below
            .filter_map(|(file, stored)| visible_child(file, &prefix).map(|name| stored.entry(name, file)))
            .collect())
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        self.count(1);
        let folder = path::join(&path::folder("list", folder)?);
        let tree = self.tree();
        if !tree.has_folder(&folder) {
            return Err(not_found("list", &folder));
        }
        let prefix = prefix_of(&folder);
        let below =
            tree.folders.range::<str, _>(from(&prefix)).take_while(|child| child.starts_with(&prefix));
        Ok(below.filter_map(|child| visible_child(child, &prefix).map(str::to_owned)).collect())
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.count(1);
        self.read(path)
    }

    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        self.count(paths.len());
        paths.iter().map(|path| self.read(path)).collect()
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.put("write", path, body, Condition::None).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.put("create", path, body, Condition::Absent).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.put("replace", path, body, Condition::Version(etag)).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.count(1);
        let file = path::join(&path::file("delete", path)?);
        let mut tree = self.tree();
        if tree.folders.contains(&file) {
            return Err(MailboxError::new(
                MailboxErrorKind::InvalidPath,
                "delete",
                file,
                "a folder is not deleted as a file",
            ));
        }
        tree.files.remove(&file);
        Ok(())
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        self.count(1);
        let segments = path::file("stat", path)?;
        let file = path::join(&segments);
        let name = segments.last().copied().unwrap_or_default();
        Ok(self.tree().files.get(&file).map(|stored| stored.entry(name, &file)))
    }
}

impl fmt::Debug for MemoryMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMailbox").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::suite;
    use super::*;

    #[test]
    fn conforms_and_never_waits() {
        let mailbox = MemoryMailbox::new();
        let make = || Arc::new(mailbox.clone()) as Arc<dyn StorageAdapter>;
        suite::run(&make, "/Mesh").now_or_never().expect("a future was not ready at once");
    }

    #[test]
    fn clones_share_one_content_and_one_counter() {
        let phone = MemoryMailbox::new();
        let laptop = phone.clone();
        phone.write_file("/Mesh/a", Body::from("1")).now_or_never().unwrap().unwrap();
        assert_eq!(laptop.read_file("/Mesh/a").now_or_never().unwrap().unwrap(), "1");
        let paths = ["/Mesh/a".to_owned(), "/Mesh/b".to_owned()];
        let outcomes = laptop.read_many(&paths).now_or_never().unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(phone.requests(), 4);
        let _ = (phone.capabilities(), phone.kind());
        assert_eq!(laptop.requests(), 4);
    }

    #[test]
    fn a_name_that_extends_a_folder_name_is_no_child() {
        let mailbox = MemoryMailbox::new();
        for path in ["/a/x", "/a-b", "/ab/y", "/a/c/z"] {
            mailbox.write_file(path, Body::from("")).now_or_never().unwrap().unwrap();
        }
        let names = |folder: &str| -> Vec<String> {
            let files = mailbox.list_files(folder).now_or_never().unwrap().unwrap();
            files.into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names("/a"), ["x"]);
        assert_eq!(names("/"), ["a-b"]);
    }
}
