//! A mailbox of your own, in the least code that the conformance suite accepts.
//!
//!     cargo run -p interocitor-core --features adapter-tests --example own_mailbox
//!
//! This one keeps texts in a map, as a key-value service would. It claims no capability, so the engine reads back
//! what it writes, and devices converge all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use interocitor_core::mailbox::{
    Body, FileEntry, MailboxError, MailboxErrorKind as Kind, MailboxResult, StorageAdapter, file_path,
    folder_path, suite,
};

/// Files by path, and folders as paths that end with a slash.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Shelf {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What lies directly in a folder: names, those of folders with a slash at the end.
    fn children(&self, folder: &str) -> MailboxResult<Vec<(String, Bytes)>> {
        let folder = folder_path("list", folder)?;
        let inside = if folder == "/" { folder.clone() } else { format!("{folder}/") };
        self.with(|paths| {
            if folder != "/" && !paths.contains_key(&inside) {
                return Err(MailboxError::new(Kind::NotFound, "list", folder.as_str(), "no such folder"));
            }
            let below = paths.iter().filter_map(|(path, body)| Some((path.strip_prefix(&inside)?, body)));
            // Hidden names are not for listings.
            let direct = below.filter(|(name, _)| {
                !name.is_empty() && !name.starts_with('.') && !name.trim_end_matches('/').contains('/')
            });
            Ok(direct.map(|(name, body)| (name.to_owned(), body.clone())).collect())
        })
    }

    /// Makes the folders of a path that has been checked.
    fn make_folders(&self, operation: &'static str, path: &str) -> MailboxResult<()> {
        self.with(|paths| {
            let ends = path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
            for end in ends.collect::<Vec<_>>() {
                if paths.contains_key(&path[..end]) {
                    return Err(MailboxError::new(
                        Kind::InvalidPath,
                        operation,
                        path,
                        "a file is in the way",
                    ));
                }
                paths.insert(path[..=end].to_owned(), Bytes::new());
            }
            Ok(())
        })
    }

    async fn put(
        &self,
        operation: &'static str,
        path: &str,
        body: Body,
        may: impl FnOnce(Option<&Bytes>) -> MailboxResult<()> + Send,
    ) -> MailboxResult<()> {
        let path = file_path(operation, path)?;
        let body = body.whole(operation, &path).await?;
        if self.with(|paths| paths.contains_key(&format!("{path}/"))) {
            return Err(MailboxError::new(Kind::InvalidPath, operation, path, "a folder is in the way"));
        }
        self.make_folders(operation, &path)?;
        self.with(|paths| {
            may(paths.get(&path))?;
            paths.insert(path, body);
            Ok(())
        })
    }
}

/// A version of a body; another body has another one.
fn version(body: &Bytes) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{}-{:x}", body.len(), hasher.finish())
}

fn entry(path: String, body: &Bytes) -> FileEntry {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    FileEntry { name, path, size: Some(body.len() as u64), modified_ms: None, etag: Some(version(body)) }
}

#[async_trait]
impl StorageAdapter for Shelf {
    fn kind(&self) -> &'static str {
        "shelf"
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let path = folder_path("ensure", path)?;
        self.make_folders("ensure", &format!("{path}/"))
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let files = self.children(folder)?.into_iter().filter(|(name, _)| !name.ends_with('/'));
        Ok(files
            .map(|(name, body)| entry(format!("{}/{name}", folder.trim_end_matches('/')), &body))
            .collect())
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        let names = self.children(folder)?.into_iter().map(|(name, _)| name);
        Ok(names.filter_map(|name| name.strip_suffix('/').map(str::to_owned)).collect())
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        let path = file_path("read", path)?;
        let found = self.with(|paths| paths.get(&path).cloned());
        found.ok_or_else(|| MailboxError::new(Kind::NotFound, "read", path, "no such file"))
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.put("write", path, body, |_| Ok(())).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        let exists = || MailboxError::new(Kind::AlreadyExists, "create", path, "the file exists");
        self.put("create", path, body, |found| if found.is_some() { Err(exists()) } else { Ok(()) }).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        let changed = || MailboxError::new(Kind::Conflict, "replace", path, "the file has changed");
        let may = |found: Option<&Bytes>| match found.map(version) {
            Some(stored) if stored == etag => Ok(()),
            _ => Err(changed()),
        };
        self.put("replace", path, body, may).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        let path = file_path("delete", path)?;
        self.with(|paths| {
            if paths.contains_key(&format!("{path}/")) {
                return Err(MailboxError::new(Kind::InvalidPath, "delete", path, "it is a folder"));
            }
            paths.remove(&path);
            Ok(())
        })
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let path = file_path("stat", path)?;
        Ok(self.with(|paths| paths.get(&path).map(|body| entry(path.clone(), body))))
    }
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program at a terminal")]
async fn main() {
    let shelf = Shelf::default();
    let make = || Arc::new(shelf.clone()) as Arc<dyn StorageAdapter>;
    suite::run(&make, "/conformance").await;
    println!("example: 1 passed, 0 failed (own_mailbox conforms)");
}
