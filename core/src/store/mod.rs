//! The store: SQLite tables behind a small trait.
//!
//! [`Store`] gives transactions; [`Tx`] gives the nouns inside one: rows, fields, outbox, receipts,
//! quarantine, prunable files, meta. Two implementations differ in where the pages lie: [`FileStore`] and
//! [`MemoryStore`]. Everything here is synchronous and runs inline; threads are the caller's affair.
//!
//! Every write is `BEGIN IMMEDIATE` and reads the device clock inside, so several processes may
//! share one file.

pub(crate) mod cipher;
pub(crate) mod fields;
mod file;
pub(crate) mod files;
mod graves;
mod held;
pub(crate) mod inspect;
pub(crate) mod lease;
mod memory;
pub(crate) mod meta;
pub(crate) mod outbox;
mod prunable;
pub(crate) mod quarantine;
mod receipts;
pub(crate) mod replicas;
pub(crate) mod rows;
#[cfg(feature = "sqlcipher")]
pub(crate) mod sealed;
mod session;
#[cfg(feature = "simulation")]
mod simulated;
pub(crate) mod stale;
pub(crate) mod streams;

#[cfg(test)]
mod suite;
pub(crate) mod thumbnails;

use std::{fmt, path::PathBuf};

pub(crate) use file::{ASIDE, BEFORE_JOIN, FileStore, set_aside};
pub(crate) use memory::MemoryStore;
pub(crate) use session::{Foreign, Tx};
#[cfg(feature = "simulation")]
pub(crate) use simulated::CrashingStore;

use crate::error::{Error, Result};

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Durability {
    /// In the write-ahead log: survives the death of the process.
    #[default]
    Process,
    /// Synced to the device with everything before it: survives loss of power.
    Power,
}

/// What a write does while another one is under way, here or in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits for its turn, up to ten seconds where another process writes.
    Waits,
    /// Fails with [`Error::StoreBusy`] at once.
    Hurries,
}

/// Where rows and everything that belongs to them is kept.
pub(crate) trait Store: Send + Sync + fmt::Debug {
    /// Runs `work` in one write transaction; an error rolls it back.
    fn write(
        &self,
        durability: Durability,
        patience: Patience,
        work: &mut dyn FnMut(&Tx<'_>) -> Result<()>,
    ) -> Result<()>;

    /// Runs `work` on one consistent state.
    fn read(&self, work: &mut dyn FnMut(&Tx<'_>) -> Result<()>) -> Result<()>;

    /// What others who have the same file open did to it since this was last asked. While a write is under
    /// way here this is not known: [`Error::StoreBusy`].
    fn foreign(&self) -> Result<Foreign>;

    /// The file, if there is one.
    fn path(&self) -> Option<&PathBuf>;

    /// Moves the write-ahead log into the main file and empties it, so that deleted content is gone
    /// from both. Does nothing while a reader is in the way.
    fn checkpoint(&self) -> Result<()>;

    /// Writes a copy of everything that is committed to a new file. A store in a file allows that inside a write
    /// transaction too, which keeps everybody else from writing meanwhile.
    fn copy_to(&self, path: &std::path::Path) -> Result<()>;

    /// Lets go of every file and lock for a while, when the calls under way are done. Calls after it
    /// answer [`Error::Suspended`].
    fn release(&self) -> Result<()>;

    /// Takes the files up again after [`release`](Self::release).
    fn reopen(&self) -> Result<()>;

    /// Lets go of every file and lock, when the calls under way are done. Calls after it answer
    /// [`Error::ShutDown`].
    fn close(&self) -> Result<()>;
}

impl dyn Store + '_ {
    /// [`Store::write`] with a result; waits for its turn.
    pub(crate) fn write_with<T>(
        &self,
        durability: Durability,
        work: impl FnMut(&Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.write_patiently(durability, Patience::Waits, work)
    }

    /// [`Store::write`] with a result.
    pub(crate) fn write_patiently<T>(
        &self,
        durability: Durability,
        patience: Patience,
        mut work: impl FnMut(&Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut outcome = None;
        self.write(durability, patience, &mut |tx| {
            outcome = Some(work(tx)?);
            Ok(())
        })?;
        outcome.ok_or(Error::ShutDown)
    }

    /// [`Store::read`] with a result.
    pub(crate) fn read_with<T>(&self, mut work: impl FnMut(&Tx<'_>) -> Result<T>) -> Result<T> {
        let mut outcome = None;
        self.read(&mut |tx| {
            outcome = Some(work(tx)?);
            Ok(())
        })?;
        outcome.ok_or(Error::ShutDown)
    }
}
