//! Files of the mailbox that a snapshot of ours made superfluous: deleted by a later compaction, after a
//! grace in which slow peers may still read them.

use rusqlite::params;

use super::{Tx, meta::signed};
use crate::error::Result;

impl Tx<'_> {
    /// Notes that a file (`changes/…`, `mainline/…`) is superfluous since `now_ms`; the first time counts.
    pub(crate) fn note_prunable(&self, name: &str, now_ms: u64) -> Result<()> {
        self.sql("INSERT OR IGNORE INTO prunable(name, since_ms) VALUES (?1, ?2)")?
            .execute(params![name, signed(now_ms)])?;
        Ok(())
    }

    /// Files that are superfluous since `since_ms` or longer and were not deleted yet.
    pub(crate) fn prunable(&self, since_ms: u64) -> Result<Vec<String>> {
        let mut statement =
            self.sql("SELECT name FROM prunable WHERE deleted_ms IS NULL AND since_ms <= ?1 ORDER BY name")?;
        let names = statement.query_map([signed(since_ms)], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    pub(crate) fn note_pruned(&self, name: &str, now_ms: u64) -> Result<()> {
        self.sql("UPDATE prunable SET deleted_ms = ?2 WHERE name = ?1")?
            .execute(params![name, signed(now_ms)])?;
        Ok(())
    }

    /// Files that were deleted at `since_ms` or later; older ones are forgotten.
    pub(crate) fn pruned(&self, since_ms: u64) -> Result<Vec<String>> {
        self.sql("DELETE FROM prunable WHERE deleted_ms < ?1")?.execute([signed(since_ms)])?;
        let mut statement =
            self.sql("SELECT name FROM prunable WHERE deleted_ms IS NOT NULL ORDER BY name")?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }
}
