//! What is known of a durable file, and how far its transfer is.

use serde::Serialize;

use crate::{
    error::Problem,
    store::files::{FileRow, Task},
    transfer::{TransferKind, TransferState},
};

/// A durable file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Length in bytes, where it is known.
    pub size: Option<u64>,
    /// SHA-256 of its content, lowercase hex, where it is known. Kept in a row, it makes sure that
    /// [`GetFile::digest`](super::GetFile::digest) gets this content and no other.
    pub digest: Option<String>,
    /// Media type, where one was given and is kept.
    pub content_type: Option<String>,
    /// When it was last changed, ms since the epoch, where that is known.
    pub modified_ms: Option<u64>,
    /// Whether its content lies on this device.
    pub is_here: bool,
    /// Whether it stays here whatever the size of the cache.
    pub is_pinned: bool,
    /// What is still to be done about it.
    pub transfer: Option<Transfer>,
}

/// Something that is to be done about a file. It survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Transfer {
    /// What.
    pub kind: TransferKind,
    /// Where it stands.
    pub state: TransferState,
    /// Bytes on their way so far; encrypted ones, about a third more than the file has.
    pub bytes: u64,
    /// Bytes in all, where that is known.
    pub bytes_total: Option<u64>,
    /// Tries that failed.
    pub attempts: u32,
    /// When it is tried again, ms since the epoch.
    pub retry_at_ms: Option<u64>,
    /// Why the last try failed.
    pub problem: Option<Problem>,
}

impl From<Task> for TransferKind {
    fn from(task: Task) -> Self {
        match task {
            Task::Upload => TransferKind::Upload,
            Task::Download => TransferKind::Download,
            Task::Delete => TransferKind::Delete,
        }
    }
}

/// Bytes of a transfer that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moved {
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
}

impl FileInfo {
    /// A file as the store knows it. `moved`: where its transfer is under way.
    pub(super) fn of(file: &FileRow, moved: Option<Moved>) -> Self {
        let facts = file.facts.as_ref();
        let transfer = file.job.as_ref().map(|job| Transfer {
            kind: job.task.into(),
            state: match (moved, job.is_paused, job.due_ms) {
                (Some(_), ..) => TransferState::Running,
                (None, true, _) => TransferState::Paused,
                (None, false, None) => TransferState::Failed,
                (None, false, Some(_)) => TransferState::Waiting,
            },
            bytes: moved.unwrap_or_default().bytes,
            bytes_total: moved.unwrap_or_default().total,
            attempts: job.attempts,
            retry_at_ms: job.due_ms.filter(|_| job.attempts > 0 && !job.is_paused),
            problem: job.problem.clone().map(|(code, error)| Problem { code, error }),
        });
        Self {
            path: file.path.clone(),
            size: facts.map(|facts| facts.size),
            digest: facts.map(|facts| facts.digest.clone()),
            content_type: facts.and_then(|facts| facts.content_type.clone()),
            modified_ms: file.modified_ms,
            is_here: file.body.is_some(),
            is_pinned: file.is_pinned,
            transfer,
        }
    }
}

/// The files of a mesh, as far as their paths are known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileListing {
    /// In the order of their paths.
    pub files: Vec<FileInfo>,
    /// Files in the mailbox whose paths are hidden, and which this device has not met yet. Whoever knows a path gets
    /// the file.
    pub unnamed: u64,
}
