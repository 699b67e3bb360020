//! What replicas lack: change files that this device published, and versions of durable files.

use rusqlite::{OptionalExtension, params};

use super::{Tx, meta::signed};
use crate::error::Result;

/// The tables of this noun; stores of before do not have them.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS replica_changes(         -- published by this device, not there yet
    replica TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (replica, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replica_files(           -- the version of the main mailbox that was copied
    replica TEXT NOT NULL, place TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (replica, place)
) WITHOUT ROWID;
";

impl Tx<'_> {
    /// Notes that a replica is to have a change file.
    pub(crate) fn owe_change(&self, replica: &str, name: &str) -> Result<()> {
        self.sql("INSERT OR IGNORE INTO replica_changes VALUES (?1, ?2)")?.execute([replica, name])?;
        Ok(())
    }

    /// Change files that a replica lacks, in order.
    pub(crate) fn owed_changes(&self, replica: &str, limit: usize) -> Result<Vec<String>> {
        let mut statement =
            self.sql("SELECT name FROM replica_changes WHERE replica = ?1 ORDER BY name LIMIT ?2")?;
        let limit = signed(limit as u64);
        Ok(statement.query_map(params![replica, limit], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// How many change files a replica lacks.
    pub(crate) fn owed_count(&self, replica: &str) -> Result<u64> {
        let mut statement = self.sql("SELECT count(*) FROM replica_changes WHERE replica = ?1")?;
        Ok(statement.query_row([replica], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// A replica has a change file, or can never have it.
    pub(crate) fn settle_change(&self, replica: &str, name: &str) -> Result<()> {
        self.sql("DELETE FROM replica_changes WHERE replica = ?1 AND name = ?2")?.execute([replica, name])?;
        Ok(())
    }

    /// The version of a durable file that a replica was given.
    pub(crate) fn replica_file(&self, replica: &str, place: &str) -> Result<Option<String>> {
        let mut statement =
            self.sql("SELECT version FROM replica_files WHERE replica = ?1 AND place = ?2")?;
        Ok(statement.query_row([replica, place], |row| row.get(0)).optional()?)
    }

    /// Notes the version of a durable file that a replica was given.
    pub(crate) fn note_replica_file(&self, replica: &str, place: &str, version: &str) -> Result<()> {
        self.sql("INSERT OR REPLACE INTO replica_files VALUES (?1, ?2, ?3)")?
            .execute([replica, place, version])?;
        Ok(())
    }
}
