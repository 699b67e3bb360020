//! Durable files: what is known of them, content on its way in and out.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use interocitor_core::{
    Error, FileContent as CoreContent, FileForm as CoreForm, FileInfo as CoreInfo,
    FileListing as CoreListing, FileReader as CoreReader, FileSource as CoreSource,
    FileTransferWatch as CoreWatch, FilesSynced as CoreSynced, GetFile, StagedFile as CoreStaged,
    Transfer as CoreTransfer, TransferKind as CoreKind, TransferState as CoreState,
};

use crate::{
    CancelToken, Failure, Interocitor, Problem,
    configuration::invalid,
    runtime::{on_runtime, runtime, until_cancelled},
    status::whole,
};

/// Bytes that foreign code is asked for at once.
const PIECE: u32 = 256 * 1024;

/// How durable files lie in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum FileForm {
    Plain,
    Hashed,
}

impl From<FileForm> for CoreForm {
    fn from(form: FileForm) -> Self {
        match form {
            FileForm::Plain => CoreForm::Plain,
            FileForm::Hashed => CoreForm::Hashed,
        }
    }
}

/// What can be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum TransferKind {
    Upload,
    Download,
    Delete,
}

impl From<CoreKind> for TransferKind {
    fn from(kind: CoreKind) -> Self {
        match kind {
            CoreKind::Download => TransferKind::Download,
            CoreKind::Delete => TransferKind::Delete,
            _ => TransferKind::Upload,
        }
    }
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum TransferState {
    Waiting,
    Running,
    Paused,
    Failed,
}

impl From<CoreState> for TransferState {
    fn from(state: CoreState) -> Self {
        match state {
            CoreState::Running => TransferState::Running,
            CoreState::Paused => TransferState::Paused,
            CoreState::Failed => TransferState::Failed,
            _ => TransferState::Waiting,
        }
    }
}

/// Something that is to be done about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct FileTransfer {
    pub kind: TransferKind,
    pub state: TransferState,
    pub bytes: i64,
    pub bytes_total: Option<i64>,
    pub attempts: i64,
    pub retry_at_ms: Option<i64>,
    pub problem: Option<Problem>,
}

impl From<CoreTransfer> for FileTransfer {
    fn from(transfer: CoreTransfer) -> Self {
        Self {
            kind: transfer.kind.into(),
            state: transfer.state.into(),
            bytes: whole(transfer.bytes),
            bytes_total: transfer.bytes_total.map(whole),
            attempts: transfer.attempts.into(),
            retry_at_ms: transfer.retry_at_ms.map(whole),
            problem: transfer.problem.map(Problem::from),
        }
    }
}

/// A durable file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct FileInfo {
    pub path: String,
    pub size: Option<i64>,
    pub digest: Option<String>,
    pub content_type: Option<String>,
    pub modified_ms: Option<i64>,
    pub is_here: bool,
    pub is_pinned: bool,
    pub transfer: Option<FileTransfer>,
}

impl From<CoreInfo> for FileInfo {
    fn from(file: CoreInfo) -> Self {
        Self {
            path: file.path,
            size: file.size.map(whole),
            digest: file.digest,
            content_type: file.content_type,
            modified_ms: file.modified_ms.map(whole),
            is_here: file.is_here,
            is_pinned: file.is_pinned,
            transfer: file.transfer.map(FileTransfer::from),
        }
    }
}

/// The files of a mesh, as far as their paths are known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct FileListing {
    pub files: Vec<FileInfo>,
    pub unnamed: i64,
}

impl From<CoreListing> for FileListing {
    fn from(listing: CoreListing) -> Self {
        Self { files: infos(listing.files), unnamed: whole(listing.unnamed) }
    }
}

/// What a run over all files that wait did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct FilesSynced {
    pub done: i64,
    pub failed: i64,
    pub problem: Option<Problem>,
}

impl From<CoreSynced> for FilesSynced {
    fn from(synced: CoreSynced) -> Self {
        let problem = synced
            .problem
            .map(|error| Problem { code: error.code().as_str().to_owned(), reason: error.to_string() });
        Self { done: whole(synced.done), failed: whole(synced.failed), problem }
    }
}

/// What is still to be done about files, as it changes.
#[derive(Debug)]
pub struct FileTransferWatch {
    /// One question at a time.
    watch: Arc<tokio::sync::Mutex<CoreWatch>>,
    end: Arc<CancelToken>,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl FileTransferWatch {
    /// What is still to be done, as soon as it differs from what was given last.
    pub async fn next(&self) -> Result<Option<Vec<FileInfo>>, Failure> {
        let (watch, end) = (Arc::clone(&self.watch), Arc::clone(&self.end));
        on_runtime(async move {
            let next = async { Ok(watch.lock().await.next().await.transpose()?.map(infos)) };
            tokio::select! {
                biased;
                () = end.cancelled() => Ok(None),
                outcome = next => outcome,
            }
        })
        .await
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.end.cancel();
    }
}

fn infos(files: Vec<CoreInfo>) -> Vec<FileInfo> {
    files.into_iter().map(FileInfo::from).collect()
}

/// Content that the app reads, in its language.
#[uniffi::trait_interface]
pub trait FileInput: Send + Sync {
    /// The next bytes; none at the end.
    fn read(&self, limit: u32) -> Result<Vec<u8>, Failure>;
}

/// Where the content of a file comes from.
#[expect(missing_docs, reason = "explained in the interface")]
pub enum FileSource {
    Bytes { content: Vec<u8> },
    Path { path: String },
    Input { input: Arc<dyn FileInput> },
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSource::Bytes { content } => write!(f, "Bytes({})", content.len()),
            FileSource::Path { path } => write!(f, "Path({path})"),
            FileSource::Input { .. } => f.write_str("Input(..)"),
        }
    }
}

impl FileSource {
    /// As the engine takes it, and what ends its reading when it is dropped: a thread that reads cannot be broken off.
    pub(crate) fn opened(self) -> (CoreSource, Reading) {
        let reading = Reading::default();
        let source = match self {
            FileSource::Bytes { content } => content.into(),
            FileSource::Path { path } => PathBuf::from(path).into(),
            FileSource::Input { input } => {
                let has_ended = Arc::clone(&reading.0);
                CoreSource::reader(ForeignInput { input, waiting: io::Cursor::default(), has_ended })
            }
        };
        (source, reading)
    }
}

/// As long as somebody waits for what is read.
#[derive(Default)]
pub(crate) struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the app reads, for the engine.
struct ForeignInput {
    input: Arc<dyn FileInput>,
    /// Bytes that it gave and nobody took yet.
    waiting: io::Cursor<Vec<u8>>,
    has_ended: Arc<AtomicBool>,
}

impl Read for ForeignInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waiting.position() == self.waiting.get_ref().len() as u64 {
            if self.has_ended.load(Ordering::Relaxed) {
                return Err(io::Error::other("nobody waits for it any more"));
            }
            let given = self.input.read(PIECE).map_err(|failure| io::Error::other(failure.to_string()))?;
            self.waiting = io::Cursor::new(given);
        }
        self.waiting.read(buffer)
    }
}

/// Content that waits to be put under its path by a batch.
#[derive(Debug)]
pub struct StagedFile {
    path: String,
    size: i64,
    digest: String,
    file: Mutex<Option<CoreStaged>>,
    /// The handle that it was staged with.
    handle: u64,
}

impl StagedFile {
    pub(crate) fn new(file: CoreStaged, handle: u64) -> Self {
        Self {
            path: file.path().as_str().to_owned(),
            size: whole(file.size()),
            digest: file.digest().to_owned(),
            file: Mutex::new(Some(file)),
            handle,
        }
    }

    /// Where it is to be put.
    pub fn path(&self) -> String {
        self.path.clone()
    }

    /// Length in bytes.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// SHA-256 of the content, lowercase hex.
    pub fn digest(&self) -> String {
        self.digest.clone()
    }

    /// For one batch of the same handle: another database does not have the content.
    pub(crate) fn take(&self, handle: u64) -> Result<CoreStaged, Failure> {
        if handle != self.handle {
            return Err(invalid("staged file", "it was staged by another database; stage it with this one"));
        }
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        file.ok_or_else(|| invalid("staged file", "a batch has it already; stage it anew"))
    }
}

/// The content of a file, to be taken out once.
#[derive(Debug)]
pub struct FileContent {
    info: FileInfo,
    content: Mutex<Option<CoreContent>>,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl FileContent {
    fn new(content: CoreContent) -> Self {
        Self { info: content.info().clone().into(), content: Mutex::new(Some(content)) }
    }

    fn take(&self) -> Result<CoreContent, Failure> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner).take();
        content.ok_or_else(|| invalid("file content", "it was taken out already; get the file again"))
    }

    /// What is known of the file.
    pub fn info(&self) -> FileInfo {
        self.info.clone()
    }

    /// The whole content.
    pub async fn bytes(&self, cancel: Option<Arc<CancelToken>>) -> Result<Vec<u8>, Failure> {
        let content = self.take()?;
        until_cancelled(cancel, async move { Ok(content.bytes().await?) }).await
    }

    /// Writes the content to a file of this device.
    pub async fn save_to(&self, path: String, cancel: Option<Arc<CancelToken>>) -> Result<(), Failure> {
        let content = self.take()?;
        until_cancelled(cancel, async move { Ok(content.save_to(path).await?) }).await
    }

    /// The content piece by piece.
    pub async fn reader(&self, cancel: Option<Arc<CancelToken>>) -> Result<Arc<FileReader>, Failure> {
        let (content, path) = (self.take()?, self.info.path.clone());
        until_cancelled(cancel, async move {
            let reader = content.reader().await?;
            Ok(Arc::new(FileReader { path, reader: Arc::new(Mutex::new(reader)) }))
        })
        .await
    }
}

/// Reads the content of a file.
#[derive(Debug)]
pub struct FileReader {
    path: String,
    reader: Arc<Mutex<CoreReader>>,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl FileReader {
    /// The next bytes; none at the end.
    pub async fn read(&self, limit: u32) -> Result<Vec<u8>, Failure> {
        let (reader, path) = (Arc::clone(&self.reader), self.path.clone());
        on_runtime(async move {
            let work = move || {
                let mut piece = Vec::new();
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                (&mut *reader).take(limit.into()).read_to_end(&mut piece).map(|_| piece)
            };
            let outcome = runtime().spawn_blocking(work).await.map_err(|_| Failure::cancelled())?;
            outcome.map_err(|error| Error::StoreOpen { path, reason: error.to_string() }.into())
        })
        .await
    }
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Interocitor {
    /// Puts a file.
    pub async fn put_file(
        &self,
        path: String,
        source: FileSource,
        content_type: Option<String>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<FileInfo, Failure> {
        let (source, reading) = source.opened();
        self.cancellable(cancel, async move |db| {
            let _reading = reading;
            Ok(db.put_file(&path, source, content_type.as_deref()).await?.into())
        })
        .await
    }

    /// Takes content over from its source, for a batch.
    pub async fn stage_file(
        &self,
        path: String,
        source: FileSource,
        content_type: Option<String>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<StagedFile>, Failure> {
        let ((source, reading), handle) = (source.opened(), self.number());
        self.cancellable(cancel, async move |db| {
            let _reading = reading;
            let staged = db.stage_file(&path, source, content_type.as_deref()).await?;
            Ok(Arc::new(StagedFile::new(staged, handle)))
        })
        .await
    }

    /// The content of a file.
    pub async fn get_file(
        &self,
        path: String,
        digest: Option<String>,
        prefers_cache: bool,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<FileContent>, Failure> {
        let want = GetFile { digest, prefers_cache };
        self.cancellable(cancel, async move |db| {
            Ok(Arc::new(FileContent::new(db.get_file_with(&path, &want).await?)))
        })
        .await
    }

    /// What is known of a file.
    pub async fn get_file_metadata(
        &self,
        path: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Option<FileInfo>, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.get_file_metadata(&path).await?.map(FileInfo::from)))
            .await
    }

    /// Deletes a file.
    pub async fn delete_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.delete_file(&path).await?)).await
    }

    /// The files whose paths begin with a prefix.
    pub async fn list_files(
        &self,
        prefix: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<FileListing, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.list_files(&prefix).await?.into())).await
    }

    /// Keeps a file on this device.
    pub async fn pin_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.pin_file(&path).await?)).await
    }

    /// Lets a pinned file go when the cache needs the space.
    pub async fn unpin_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.unpin_file(&path).await?)).await
    }

    /// Gives up the copy of a file on this device.
    pub async fn evict_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.evict_file(&path).await?)).await
    }

    /// Stops what is to be done about a file.
    pub async fn pause_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.pause_file(&path).await?)).await
    }

    /// Goes on with what is to be done about a file.
    pub async fn resume_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.resume_file(&path).await?)).await
    }

    /// Gives up what is to be done about a file.
    pub async fn cancel_file(&self, path: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.cancel_file(&path).await?)).await
    }

    /// What is still to be done about files.
    pub async fn file_transfers(&self) -> Result<Vec<FileInfo>, Failure> {
        self.run(async move |db| Ok(infos(db.file_transfers().await?))).await
    }

    /// What is still to be done about files, now and again whenever that has changed.
    pub fn watch_file_transfers(&self) -> Result<Arc<FileTransferWatch>, Failure> {
        let watch = self.core().watch_file_transfers()?;
        Ok(Arc::new(FileTransferWatch {
            watch: Arc::new(tokio::sync::Mutex::new(watch)),
            end: Arc::default(),
        }))
    }

    /// Moves all files that wait.
    pub async fn sync_files(&self, cancel: Option<Arc<CancelToken>>) -> Result<FilesSynced, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.sync_files().await?.into())).await
    }
}
