//! Quarantine: files of the mailbox that cannot be read, by name, with the reason. Writes that came too late wait
//! beside them, see [`stale`](super::stale).

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Tx, meta::signed};
use crate::error::Result;

/// First wait before a quarantined file is tried again; doubles with each try.
const FIRST_RETRY_MS: u64 = 60_000;

/// Longest wait between two tries.
const LAST_RETRY_MS: u64 = 24 * 3600 * 1000;

/// Something in quarantine: a file of the mailbox that cannot be read, or a write of this device that was not
/// published, since its row was deleted for good elsewhere meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Quarantined {
    /// Of a file its name below the mesh's folder, `changes/…` or `mainline/…`; of a write `writes/…`.
    pub name: String,
    /// Stable code of the fault: `DECODE` mostly, `ROW_DELETED` for a write.
    pub code: String,
    /// What is wrong with it.
    pub reason: String,
    /// When it was first met, ms since the epoch.
    pub first_ms: u64,
    /// When it was last tried, ms since the epoch.
    pub last_ms: u64,
    /// How often it was tried.
    pub tries: u64,
    /// The write, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<QuarantinedWrite>,
}

/// A write in quarantine: what was set on a row that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct QuarantinedWrite {
    /// The table.
    pub table: String,
    /// The row.
    pub row_id: String,
    /// The columns that were set, as a JSON object.
    pub columns: String,
}

impl Tx<'_> {
    /// Records a fault; `version` identifies the content, so that a replaced file is tried at once.
    pub(crate) fn quarantine(
        &self,
        name: &str,
        code: &str,
        reason: &str,
        version: &str,
        now_ms: u64,
    ) -> Result<()> {
        self.sql(
            "INSERT INTO quarantine(name, code, reason, version, first_ms, last_ms, tries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)
             ON CONFLICT DO UPDATE SET code = excluded.code, reason = excluded.reason, version = excluded.version,
                 last_ms = excluded.last_ms, tries = tries + 1, discarded = 0",
        )?
        .execute(params![name, code, reason, version, signed(now_ms)])?;
        Ok(())
    }

    /// Removes a file that could be read after all, or is gone.
    pub(crate) fn release(&self, name: &str) -> Result<bool> {
        Ok(self.sql("DELETE FROM quarantine WHERE name = ?1")?.execute([name])? > 0)
    }

    /// Removes all snapshots: a newer one is merged.
    pub(crate) fn release_snapshots(&self) -> Result<()> {
        self.sql("DELETE FROM quarantine WHERE name LIKE 'mainline/%'")?.execute([])?;
        Ok(())
    }

    /// Removes change files whose effects came in another way: with a snapshot, or from our own outbox.
    pub(crate) fn release_received(&self) -> Result<()> {
        self.sql(
            "DELETE FROM quarantine
             WHERE name LIKE 'changes/%' AND substr(name, 9) IN (SELECT name FROM receipts)",
        )?
        .execute([])?;
        Ok(())
    }

    /// Whether a quarantined file has to wait before it is tried again.
    pub(crate) fn is_waiting(&self, name: &str, version: &str, now_ms: u64) -> Result<bool> {
        let known = self
            .sql("SELECT version, last_ms, tries, discarded FROM quarantine WHERE name = ?1")?
            .query_row([name], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, u32>(2)?,
                    row.get::<_, bool>(3)?,
                ))
            })
            .optional()?;
        Ok(known.is_some_and(|(known, last, tries, is_discarded)| {
            let wait = (FIRST_RETRY_MS << tries.saturating_sub(1).min(11)).min(LAST_RETRY_MS);
            // A wall clock that went back must not keep the file for ever.
            let since = now_ms.abs_diff(last.unsigned_abs());
            known == version && (is_discarded || since < wait)
        }))
    }

    pub(crate) fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let mut statement = self.sql(
            "SELECT name, code, reason, first_ms, last_ms, tries FROM quarantine
             WHERE NOT discarded ORDER BY name",
        )?;
        let list = statement
            .query_map([], |row| {
                Ok(Quarantined {
                    name: row.get(0)?,
                    code: row.get(1)?,
                    reason: row.get(2)?,
                    first_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                    last_ms: row.get::<_, i64>(4)?.unsigned_abs(),
                    tries: row.get::<_, i64>(5)?.unsigned_abs(),
                    write: None,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(list)
    }

    /// Number of files and of stale writes that wait for a decision.
    pub(crate) fn quarantine_count(&self) -> Result<u64> {
        let count: i64 = self
            .sql(
                "SELECT (SELECT count(*) FROM quarantine WHERE NOT discarded) + (SELECT count(*) FROM stale)",
            )?
            .query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Whether any file is kept here, discarded ones included.
    pub(crate) fn has_quarantine(&self) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM quarantine LIMIT 1")?.exists([])?)
    }

    /// Names of all files that are kept here, discarded ones included.
    pub(crate) fn quarantine_names(&self) -> Result<Vec<String>> {
        let mut statement = self.sql("SELECT name FROM quarantine ORDER BY name")?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    /// Lets a file be tried again with the next pull; tells whether it was there.
    pub(crate) fn retry_quarantined(&self, name: &str) -> Result<bool> {
        let changed = self
            .sql("UPDATE quarantine SET last_ms = 0, tries = 0, discarded = 0 WHERE name = ?1")?
            .execute([name])?;
        Ok(changed > 0)
    }

    /// Hides a file until its content changes; tells whether it was there. It stays in the mailbox.
    pub(crate) fn discard_quarantined(&self, name: &str) -> Result<bool> {
        Ok(self
            .sql("UPDATE quarantine SET discarded = 1 WHERE name = ?1 AND NOT discarded")?
            .execute([name])?
            > 0)
    }
}
