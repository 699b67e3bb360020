//! Progress: what an exchange is doing just now, for whoever watches the status.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::events::Pulse;

/// A part of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// Reading who is there and whether the key fits.
    Connecting,
    /// Reading change files.
    Pulling,
    /// Reading a snapshot.
    Restoring,
    /// Writing change files.
    Publishing,
}

/// How far a part of an exchange has come. Totals are given where they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Operation {
    /// Which part it is.
    pub phase: Phase,
    /// Files read or written.
    pub files: u64,
    /// Files in all.
    pub files_total: Option<u64>,
    /// Rows that changed here.
    pub rows: u64,
    /// Bytes read or written.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: Option<u64>,
}

/// The operation under way.
#[derive(Debug)]
pub(crate) struct Progress {
    operation: Mutex<Option<Operation>>,
    pulse: Pulse,
}

impl Progress {
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { operation: Mutex::default(), pulse }
    }

    fn operation(&self) -> MutexGuard<'_, Option<Operation>> {
        self.operation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Option<Operation> {
        *self.operation()
    }

    /// Begins a part with so many files and bytes to come, as far as that is known.
    pub(crate) fn begin(&self, phase: Phase, files_total: Option<u64>, bytes_total: Option<u64>) {
        let operation = Operation { phase, files: 0, files_total, rows: 0, bytes: 0, bytes_total };
        *self.operation() = Some(operation);
        self.pulse.beat();
    }

    /// So much more is done.
    pub(crate) fn add(&self, files: u64, rows: u64, bytes: u64) {
        if let Some(operation) = &mut *self.operation() {
            operation.files += files;
            operation.rows += rows;
            operation.bytes += bytes;
        }
        self.pulse.beat();
    }

    /// Nothing is under way any more.
    pub(crate) fn end(&self) {
        if self.operation().take().is_some() {
            self.pulse.beat();
        }
    }
}
