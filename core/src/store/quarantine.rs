//! Quarantine: files of the mailbox that cannot be read, by name, with the reason.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Tx, meta::signed};
use crate::error::Result;

/// First wait before a quarantined file is tried again; doubles with each try.
const FIRST_RETRY_MS: u64 = 60_000;

/// Longest wait between two tries.
const LAST_RETRY_MS: u64 = 24 * 3600 * 1000;

/// One quarantined file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Quarantined {
    /// Name below the mesh's folder: `changes/…` or `mainline/…`.
    pub name: String,
    /// Stable code of the fault, `DECODE` mostly.
    pub code: String,
    /// What is wrong with it.
    pub reason: String,
    /// When it was first met, ms since the epoch.
    pub first_ms: u64,
    /// When it was last tried, ms since the epoch.
    pub last_ms: u64,
    /// How often it was tried.
    pub tries: u64,
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
            "INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)
             ON CONFLICT DO UPDATE SET code = excluded.code, reason = excluded.reason, version = excluded.version,
                 last_ms = excluded.last_ms, tries = tries + 1",
        )?
        .execute(params![name, code, reason, version, signed(now_ms)])?;
        Ok(())
    }

    /// Removes a file that could be read after all, or is gone.
    pub(crate) fn release(&self, name: &str) -> Result<bool> {
        Ok(self.sql("DELETE FROM quarantine WHERE name = ?1")?.execute([name])? > 0)
    }

    /// Removes snapshots: a newer one was adopted.
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
            .sql("SELECT version, last_ms, tries FROM quarantine WHERE name = ?1")?
            .query_row([name], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, u32>(2)?))
            })
            .optional()?;
        Ok(known.is_some_and(|(known, last, tries)| {
            let wait = (FIRST_RETRY_MS << tries.saturating_sub(1).min(11)).min(LAST_RETRY_MS);
            // A wall clock that went back must not keep the file for ever.
            let since = now_ms.abs_diff(last.unsigned_abs());
            known == version && since < wait
        }))
    }

    pub(crate) fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let mut statement =
            self.sql("SELECT name, code, reason, first_ms, last_ms, tries FROM quarantine ORDER BY name")?;
        let list = statement
            .query_map([], |row| {
                Ok(Quarantined {
                    name: row.get(0)?,
                    code: row.get(1)?,
                    reason: row.get(2)?,
                    first_ms: row.get::<_, i64>(3)?.unsigned_abs(),
                    last_ms: row.get::<_, i64>(4)?.unsigned_abs(),
                    tries: row.get::<_, i64>(5)?.unsigned_abs(),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(list)
    }

    pub(crate) fn quarantine_count(&self) -> Result<u64> {
        let count: i64 = self.sql("SELECT count(*) FROM quarantine")?.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}
