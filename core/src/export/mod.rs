//! Export and import: a mesh as readable JSON and files, in a folder or in one encrypted archive.
//!
//! `core/FORMAT.md` describes both forms, enough to read them without this code. [`entry`] says what an export consists
//! of, [`line`] how a row and a file are written, [`tar`] and [`archive`] how entries become one encrypted file; [`sink`]
//! and [`source`] take entries in and give them out; [`write`] and [`read`] are the two ways between them and a store.
//!
//! Rows keep the clocks of their columns and deletions, so that an import merges like a change file: done twice it does
//! nothing, and what was deleted since stays deleted. Nothing is changed before all of an export has been proven.

mod archive;
mod entry;
mod line;
mod read;
mod sink;
mod source;
mod sums;
mod tar;
mod write;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use interocitor_crypto::Passphrase;

pub(crate) use archive::Secret;
pub(crate) use read::{commit, stage};
pub(crate) use write::Writer;

use crate::{
    error::{Error, Result},
    events::Event,
    sync::Context,
};

/// How an export is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// A folder with readable files, for its owner's eyes only. Nothing in it is encrypted.
    Folder,
    /// One file, encrypted under a key of this passphrase. Any text; a long one, since whoever has the file can guess.
    Archive(Passphrase),
    /// One file, encrypted under the key of the mesh: who has the mesh's passphrase reads it.
    MeshArchive,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exported {
    /// Tables.
    pub tables: u64,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Durable files.
    pub files: u64,
    /// Files in the mailbox whose paths this device cannot know, and which are therefore missing.
    pub unnamed: u64,
    /// Bytes of all entries.
    pub bytes: u64,
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Rows in the export, deleted ones included.
    pub rows: u64,
    /// Those of them that changed something here.
    pub changed: u64,
    /// Files that were put; those whose paths are known here stay as they are.
    pub files: u64,
}

/// The least time between two events about the progress, in ms.
const STEP_MS: u64 = 250;

/// Counts what passes, tells of it, and hears that nobody waits any more.
pub(crate) struct Course {
    ctx: Arc<Context>,
    is_import: bool,
    is_over: AtomicBool,
    rows: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    told_ms: AtomicU64,
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Ends the work on its thread when it is dropped: whoever waited gave up.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Course>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

impl Course {
    pub(crate) fn begin(ctx: &Arc<Context>, is_import: bool) -> (Arc<Self>, Waiting) {
        let course = Arc::new(Self {
            ctx: Arc::clone(ctx),
            is_import,
            is_over: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            told_ms: AtomicU64::new(0),
        });
        (Arc::clone(&course), Waiting(course))
    }

    /// So much more has passed. An error where nobody waits any more.
    fn add(&self, rows: u64, files: u64, bytes: u64) -> Result<()> {
        if self.is_over.load(Ordering::Acquire) {
            return Err(Error::Cancelled);
        }
        let count = |counter: &AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed) + more;
        let (rows, files, bytes) =
            (count(&self.rows, rows), count(&self.files, files), count(&self.bytes, bytes));
        let now_ms = self.ctx.host.now_ms();
        if now_ms.abs_diff(self.told_ms.load(Ordering::Relaxed)) >= STEP_MS {
            self.told_ms.store(now_ms, Ordering::Relaxed);
            self.ctx.emit(&if self.is_import {
                Event::ImportProgress { rows, files, bytes }
            } else {
                Event::ExportProgress { rows, files, bytes }
            });
        }
        Ok(())
    }
}

/// What a failure of the disk means for a place that the caller named.
fn failed(place: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::invalid("export", format!("{}: {error}", place.display())),
    }
}

/// An export that is not what it should be.
fn invalid(entry: &str, reason: impl Into<String>) -> Error {
    let entry: String = entry.chars().take(120).collect();
    Error::ExportInvalid { entry, reason: reason.into() }
}
