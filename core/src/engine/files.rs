//! Durable files on the handle.

use super::{Inner, Interocitor, Writing, watch::Watch};
use crate::{
    error::{Error, Result},
    files::{FileContent, FileInfo, FileListing, FilePath, FileSource, GetFile, StagedFile},
};

/// What [`Interocitor::sync_files`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct FilesSynced {
    /// Files that were uploaded, downloaded or deleted.
    pub done: u64,
    /// Tries that failed; [`Interocitor::file_transfers`] says which and why.
    pub failed: u64,
    /// The mailbox cannot be used now: the rest was not tried.
    pub problem: Option<Error>,
}

/// What is still to be done about files, as it changes. It is asked, it does not push: of many changes between two
/// questions only the last state is given, at most four in a second.
#[derive(Debug)]
pub struct FileTransferWatch(Watch<Vec<FileInfo>>);

impl FileTransferWatch {
    /// What is still to be done: at once the first time, later as soon as it differs from what was given last. `None`
    /// after the database was shut down. While it is suspended this waits. May be dropped while it waits.
    ///
    /// # Errors
    ///
    /// Those of the store; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Vec<FileInfo>>> {
        self.0.next().await
    }
}

/// Files are found under paths of the app, such as `receipts/may.pdf`: segments between slashes, without `.`, `..`,
/// backslashes and control characters, up to 1024 bytes in all. They are not merged: the last upload under a path wins.
#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Interocitor {
    /// Puts a file: from memory, a file of this device, or a reader. When this returns, the content lies on this device
    /// and will be uploaded, whatever happens to the source; a connected database does so by itself, others with
    /// [`sync`](Self::sync). `content_type` is a media type; in the plain form only WebDAV keeps it.
    ///
    /// The digest in the answer, kept in a row, makes sure that others get this content and no other.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a path, media type or source that cannot be used; `LIMIT` above
    /// [`Config::max_file_bytes`](crate::Config::max_file_bytes); `DISK_FULL`; those of the store. Then nothing was
    /// put, and what was there before stays.
    pub async fn put_file(
        &self,
        path: &str,
        source: impl Into<FileSource>,
        content_type: Option<&str>,
    ) -> Result<FileInfo> {
        let file = self.stage_file(path, source, content_type).await?;
        let path = file.path().clone();
        self.inner.write(Writing { files: vec![file], ..Writing::default() }).await?;
        self.inner.files.info(&path)?.ok_or(Error::FileNotFound { path: path.as_str().into() })
    }

    /// Takes content over from its source, without putting it under its path yet:
    /// [`Batch::put_file`](super::Batch::put_file) does that, together with the rows that name it.
    ///
    /// # Errors
    ///
    /// As [`put_file`](Self::put_file).
    pub async fn stage_file(
        &self,
        path: &str,
        source: impl Into<FileSource>,
        content_type: Option<&str>,
    ) -> Result<StagedFile> {
        self.inner.check_open()?;
        self.inner.files.stage(path, source.into(), content_type).await
    }

    /// The content of a file. A copy on this device is given where the mailbox has no newer one or cannot be asked;
    /// otherwise the file is downloaded, and kept as long as there is space. In the plain form nothing tells a file that
    /// the mailbox has swapped for another: there, ask for a digest with [`get_file_with`](Self::get_file_with).
    ///
    /// # Errors
    ///
    /// `FILE_NOT_FOUND`; `FILE_INTEGRITY` where the content is not what it should be, and nothing of it was given out
    /// or kept; `OFFLINE` and the other errors of the mailbox; `LIMIT`, `DISK_FULL`, those of the store;
    /// `INVALID_ARGUMENT` for a path that cannot be used.
    pub async fn get_file(&self, path: &str) -> Result<FileContent> {
        self.get_file_with(path, &GetFile::default()).await
    }

    /// As [`get_file`](Self::get_file), with a word on which content is wanted and from where.
    ///
    /// # Errors
    ///
    /// As [`get_file`](Self::get_file); `FILE_INTEGRITY` too where the content has another digest than is wanted.
    pub async fn get_file_with(&self, path: &str, want: &GetFile) -> Result<FileContent> {
        let path = FilePath::new(path)?;
        self.inner
            .with_files(async |inner| {
                let link = inner.remote().link.clone();
                inner.files.get(link.as_ref(), &path, want).await
            })
            .await
    }

    /// What is known of a file, or `None` where there is none. In the hashed form everything lies inside the file, which
    /// is downloaded for it; without a connection what this device knows is told.
    ///
    /// # Errors
    ///
    /// As [`get_file`](Self::get_file).
    pub async fn get_file_metadata(&self, path: &str) -> Result<Option<FileInfo>> {
        let path = FilePath::new(path)?;
        self.inner
            .with_files(async |inner| {
                let link = inner.remote().link.clone();
                inner.files.metadata(link.as_ref(), &path).await
            })
            .await
    }

    /// Deletes a file: here at once, in the mailbox as soon as it can be reached, in whichever form it lies there. A file
    /// that does not exist counts as deleted. Rows of a batch that waited for its upload are published without it.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a path that cannot be used; those of the store.
    pub async fn delete_file(&self, path: &str) -> Result<()> {
        let path = FilePath::new(path)?;
        self.inner.check_open()?;
        if self.inner.files.remove(&path)? {
            self.inner.driver.wake(true);
        }
        self.inner.file_worker.wake();
        Ok(())
    }

    /// The files whose paths begin with `prefix`, empty for all. Connected, the mailbox is listed. In the hashed form it
    /// does not tell paths: files that this device has never met are counted as
    /// [`unnamed`](FileListing::unnamed), and rows are the place to keep their paths.
    ///
    /// # Errors
    ///
    /// Those of mailbox and store.
    pub async fn list_files(&self, prefix: &str) -> Result<FileListing> {
        self.inner
            .with_files(async |inner| {
                let link = inner.remote().link.clone();
                inner.files.list(link.as_deref(), prefix).await
            })
            .await
    }

    /// Keeps a file on this device, whatever the size of the cache, and downloads it if it is not here.
    ///
    /// # Errors
    ///
    /// `FILE_NOT_FOUND` for one that was deleted here; `INVALID_ARGUMENT` for a path that cannot be used; those of the
    /// store.
    pub async fn pin_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.pin(path))
    }

    /// Lets a pinned file go when the cache needs the space.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a path that cannot be used; those of the store.
    pub async fn unpin_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.unpin(path))
    }

    /// Gives up the copy of a file on this device, also of a pinned one. The mailbox keeps the file.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the mailbox does not have the file yet, or for a path that cannot be used; those of the
    /// store.
    pub async fn evict_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.evict(path))
    }

    /// Stops what is to be done about a file, also across restarts, until it is resumed. What was transferred so far is
    /// transferred again then.
    ///
    /// # Errors
    ///
    /// As [`unpin_file`](Self::unpin_file).
    pub async fn pause_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.pause(path))
    }

    /// Goes on with what is to be done about a file, at once: after a pause, or after it failed.
    ///
    /// # Errors
    ///
    /// As [`unpin_file`](Self::unpin_file).
    pub async fn resume_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.resume(path))
    }

    /// Gives up what is to be done about a file. Content that waited to be uploaded is gone; what the mailbox has stays.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where rows of a batch wait for the upload; as [`unpin_file`](Self::unpin_file).
    pub async fn cancel_file(&self, path: &str) -> Result<()> {
        self.change_file(path, |inner, path| inner.files.cancel(path))
    }

    /// What is still to be done about files, how far it is, and why it failed.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn file_transfers(&self) -> Result<Vec<FileInfo>> {
        self.inner.check_open()?;
        self.inner.files.transfers()
    }

    /// What is still to be done about files, now and again whenever that has changed, bytes on their way included.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`.
    pub fn watch_file_transfers(&self) -> Result<FileTransferWatch> {
        if self.is_shut_down() {
            return Err(Error::ShutDown);
        }
        Ok(FileTransferWatch(Watch::new(&self.inner, |inner| inner.files.transfers())))
    }

    /// Moves all files that wait, each tried once; rows that waited for them are published by the next flush.
    /// [`sync`](Self::sync) does this as well.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected; those of the store. What a file failed with is no error
    /// of this call.
    pub async fn sync_files(&self) -> Result<FilesSynced> {
        let run = self.inner.run_files(true).await?;
        Ok(FilesSynced { done: run.done, failed: run.failed, problem: run.problem })
    }

    fn change_file(&self, path: &str, change: impl FnOnce(&Inner, &FilePath) -> Result<()>) -> Result<()> {
        let path = FilePath::new(path)?;
        self.inner.check_open()?;
        change(&self.inner, &path)?;
        self.inner.file_worker.wake();
        Ok(())
    }
}

impl Inner {
    /// Runs work that may need the mailbox; it is broken off when the mailbox or the store is let go.
    async fn with_files<T>(&self, work: impl AsyncFnOnce(&Inner) -> Result<T>) -> Result<T> {
        let _inside = self.file_gate.read().await;
        self.check_open()?;
        self.interruptible(work(self)).await
    }
}
