//! Compacting the mesh by hand.

use std::time::Duration;

use super::Interocitor;
use crate::{
    error::Result,
    sync::compact::{self, Compacted},
};

/// How a compaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compaction {
    /// A new snapshot is in force.
    Written {
        /// Its epoch.
        epoch: u64,
        /// Rows in it, deleted ones included.
        rows: u64,
        /// Change files that it covers.
        covered: u64,
        /// Files deleted from the mailbox, since they were covered for longer than the grace.
        deleted: u64,
    },
    /// Another device compacted at the same time; nothing was changed.
    Overtaken,
}

impl Interocitor {
    /// Publishes and pulls everything, then writes one snapshot of all rows, so that new devices need not read
    /// every change file. Files that it covers are deleted by later compactions of this device, when they have
    /// been covered for longer than `grace`: a day or more, so that slow peers can still read them.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected; `WRITER_MISMATCH` on a managed mesh that another
    /// device compacts; `MANIFEST_INVALID` where the current snapshot cannot be read here; those of mailbox and
    /// store.
    pub async fn compact(&self, grace: Duration) -> Result<Compaction> {
        let inner = &self.inner;
        let outcome = inner.exchange(async |link| compact::compact(&inner.ctx, link, grace).await).await?;
        Ok(match outcome {
            Compacted::Written { epoch, rows, covered, deleted } => {
                Compaction::Written { epoch, rows, covered, deleted }
            }
            Compacted::Overtaken => Compaction::Overtaken,
        })
    }
}
