//! A mailbox in a directory: a synced folder, a network drive, a USB stick.

mod disk;
mod fault;
mod lock;
mod temp;
#[cfg(test)]
mod tests;
#[cfg(feature = "watch")]
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use self::disk::{Condition, Disk, Opened, Target};
use super::body::Meter;
use super::{
    Body, ByteStream, Capabilities, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, StorageAdapter,
};

/// Pieces of a streamed body are gathered up to this size before they go to the disk.
const WRITE_PIECE: usize = 1024 * 1024;

/// A mailbox in a directory of the file system.
///
/// - **Writes** go to a temporary file beside the target, are synced, and take their name in one step,
///   so that a reader (or a folder-sync service) only ever sees whole files.
/// - **The base directory must exist** and is never created: where it is missing, a drive is probably
///   not mounted, and every call answers [`MailboxErrorKind::Unavailable`], never "not found".
/// - **Cloud placeholders** (`.x.icloud`, a file whose body is still in the cloud) are listed as the
///   file `x` without a size, and reading them answers `Unavailable`.
/// - **Versions** are inode, size and modification time, so that a listing costs no reading. A writer
///   that replaces a file always gives it a later modification time, so a version never comes back.
/// - **Changes of others** are noticed as they happen (feature `watch`), where the file system tells of them.
/// - **Conditions** are checked under an advisory lock on the base directory, which excludes every
///   process of the machine and is held only for the renaming. Where the file system knows no such lock
///   (some network drives), `conditional_replace` is off.
///
/// Blocking calls run on the blocking threads of the current tokio runtime, or in place where there is
/// none. Clones share one state.
#[derive(Clone)]
pub struct FolderMailbox {
    disk: Arc<Disk>,
    /// Shared by every job that is on the disk.
    at_work: Arc<tokio::sync::RwLock<()>>,
}

impl FolderMailbox {
    /// A mailbox in the directory `base`. Nothing is read or written yet.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(Disk::new(base.into())), at_work: Arc::default() }
    }

    /// The directory.
    pub fn base(&self) -> &Path {
        self.disk.base()
    }

    /// Runs one blocking job on the disk.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        job: impl FnOnce(&Disk) -> MailboxResult<T> + Send + 'static,
    ) -> MailboxResult<T> {
        let disk = Arc::clone(&self.disk);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return job(&disk);
        };
        let at_work = Arc::clone(&self.at_work).read_owned().await;
        let job = move || {
            // The job goes on when nobody waits for it any more.
            let _at_work = at_work;
            job(&disk)
        };
        match runtime.spawn_blocking(job).await {
            Ok(outcome) => outcome,
            Err(error) => {
                Err(MailboxError::new(MailboxErrorKind::Io, operation, path, "the disk job did not finish")
                    .with_source(error))
            }
        }
    }

    async fn put(
        &self,
        operation: &'static str,
        path: &str,
        body: Body,
        condition: Condition,
    ) -> MailboxResult<()> {
        let target = Target::file(operation, path)?;
        let (len, mut stream) = match body {
            Body::Bytes(bytes) => {
                return self
                    .run(operation, path, move |disk| {
                        let mut temp = disk.begin(&target)?;
                        disk.append(&target, &mut temp, &bytes)?;
                        disk.commit(&target, temp, &condition)
                    })
                    .await;
            }
            Body::Stream { len, stream } => (len, stream),
        };
        let mut meter = Meter::new(operation, path, len);
        let for_begin = target.clone();
        let mut temp = self.run(operation, path, move |disk| disk.begin(&for_begin)).await?;
        let mut gathered = Vec::new();
        loop {
            let piece = stream.next().await.transpose()?;
            if let Some(piece) = &piece {
                meter.add(piece.len())?;
                gathered.extend_from_slice(piece);
            }
            let at_end = piece.is_none();
            if gathered.len() >= WRITE_PIECE || (at_end && !gathered.is_empty()) {
                let (mut full, for_append) = (std::mem::take(&mut gathered), target.clone());
                (temp, gathered) = self
                    .run(operation, path, move |disk| {
                        disk.append(&for_append, &mut temp, &full)?;
                        full.clear();
                        Ok((temp, full))
                    })
                    .await?;
            }
            if at_end {
                break;
            }
        }
        meter.finish()?;
        self.run(operation, path, move |disk| disk.commit(&target, temp, &condition)).await
    }
}

#[async_trait]
impl StorageAdapter for FolderMailbox {
    fn kind(&self) -> &'static str {
        "folder"
    }

    async fn quiesce(&self) {
        drop(self.at_work.write().await);
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.run("authenticate", "/", Disk::probe).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exclusive_create: true,
            conditional_replace: self.disk.can_lock(),
            streaming: true,
            max_body: None,
        }
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        let target = Target::folder("ensure", path)?;
        self.run("ensure", path, move |disk| disk.ensure_folder(&target)).await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let target = Target::folder("list", folder)?;
        self.run("list", folder, move |disk| disk.list_files(&target)).await
    }

    #[cfg(feature = "watch")]
    async fn watch(&self, folder: &str, notice: super::Notice) -> MailboxResult<Option<super::Watch>> {
        let (mailbox, owned) = (self.clone(), folder.to_owned());
        self.run("watch", folder, move |_| mailbox.watch_folder(&owned, notice).map(Some)).await
    }

    async fn list_leftovers(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let target = Target::folder("list", folder)?;
        self.run("list", folder, move |disk| disk.list_leftovers(&target)).await
    }

    async fn remove_leftovers(&self, folder: &str) -> MailboxResult<()> {
        let target = Target::folder("delete", folder)?;
        self.run("delete", folder, move |disk| disk.remove_leftovers(&target)).await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        let target = Target::folder("list", folder)?;
        self.run("list", folder, move |disk| disk.list_folders(&target)).await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        let target = Target::file("read", path)?;
        self.run("read", path, move |disk| disk.read(&target)).await
    }

    async fn read_stream(&self, path: &str) -> MailboxResult<ByteStream> {
        let target = Target::file("read", path)?;
        let opened = self.run("read", path, move |disk| disk.open(target)).await?;
        let mailbox = self.clone();
        let pieces = stream::try_unfold(opened, move |mut opened: Opened| {
            let mailbox = mailbox.clone();
            async move {
                let path = opened.path().to_owned();
                let job = move |disk: &Disk| Ok(disk.next_piece(&mut opened)?.map(|piece| (piece, opened)));
                mailbox.run("read", &path, job).await
            }
        });
        Ok(pieces.boxed())
    }

    /// All files in one blocking job: a task for each small file would cost more than its reading.
    async fn read_many(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let owned = paths.to_vec();
        let job = move |disk: &Disk| {
            let read = |path: &String| disk.read(&Target::file("read", path)?);
            Ok(owned.iter().map(read).collect::<Vec<_>>())
        };
        match self.run("read", "/", job).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let message = error.to_string();
                let fail = |path: &String| {
                    Err(MailboxError::new(error.kind(), "read", path.as_str(), message.as_str()))
                };
                paths.iter().map(fail).collect()
            }
        }
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.put("write", path, body, Condition::None).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.put("create", path, body, Condition::Absent).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.put("replace", path, body, Condition::Version(etag.to_owned())).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        let target = Target::file("delete", path)?;
        self.run("delete", path, move |disk| disk.delete(&target)).await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let target = Target::file("stat", path)?;
        self.run("stat", path, move |disk| disk.stat(&target)).await
    }
}

impl fmt::Debug for FolderMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderMailbox").field("base", &self.base()).finish_non_exhaustive()
    }
}
