//! Streams: which entries of each installation were read, by their numbers, so that a hole shows.

use rusqlite::{OptionalExtension, params};

use super::{Tx, meta::signed};
use crate::{error::Result, wire::coverage::Frontier};

/// Stands in `hole_ms` once a hole was reported.
const TOLD: i64 = -1;

/// Entries of one device that are missing although later ones were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) device: String,
    /// Number of the first missing entry.
    pub(crate) first: u64,
    /// Number of the last one before the next that was read.
    pub(crate) last: u64,
}

impl Tx<'_> {
    /// Notes entries that were read. `is_anchor`: what came before them in an unknown stream may be long gone.
    pub(crate) fn note_entries(
        &self,
        device: &str,
        install: &str,
        seqs: &[u64],
        is_anchor: bool,
    ) -> Result<()> {
        let first = seqs.iter().copied().min().unwrap_or(0);
        let mut upto = match self.frontier(device, install)? {
            Some(upto) => upto,
            None if is_anchor => first.saturating_sub(1),
            None => 0,
        };
        let mut beyond: Vec<u64> = seqs.iter().copied().filter(|seq| *seq > upto).collect();
        beyond.sort_unstable();
        // As a rule they follow one another.
        let following = beyond.iter().take_while(|seq| {
            let follows = **seq <= upto + 1;
            upto = upto.max(if follows { **seq } else { upto });
            follows
        });
        let rest = following.count();
        for seq in &beyond[rest..] {
            self.sql("INSERT OR IGNORE INTO ahead VALUES (?1, ?2, ?3)")?.execute(params![
                device,
                install,
                signed(*seq)
            ])?;
        }
        self.move_frontier(device, install, upto)
    }

    /// The number up to which every entry of an installation was read.
    pub(crate) fn frontier(&self, device: &str, install: &str) -> Result<Option<u64>> {
        let upto: Option<i64> = self
            .sql("SELECT upto FROM streams WHERE device = ?1 AND install = ?2")?
            .query_row([device, install], |row| row.get(0))
            .optional()?;
        Ok(upto.map(i64::unsigned_abs))
    }

    /// Moves a frontier to `upto` or further, as far as there is no hole.
    fn move_frontier(&self, device: &str, install: &str, mut upto: u64) -> Result<()> {
        self.sql("DELETE FROM ahead WHERE device = ?1 AND install = ?2 AND seq <= ?3")?.execute(params![
            device,
            install,
            signed(upto)
        ])?;
        let mut next = self.sql("DELETE FROM ahead WHERE device = ?1 AND install = ?2 AND seq = ?3")?;
        while next.execute(params![device, install, signed(upto + 1)])? > 0 {
            upto += 1;
        }
        self.sql(
            "INSERT INTO streams(device, install, upto) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET upto = max(upto, excluded.upto)",
        )?
        .execute(params![device, install, signed(upto)])?;
        self.sql(
            "UPDATE streams SET hole_ms = NULL WHERE device = ?1 AND install = ?2 AND hole_ms IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM ahead WHERE device = ?1 AND install = ?2)",
        )?
        .execute([device, install])?;
        Ok(())
    }

    /// All frontiers, for a snapshot.
    pub(crate) fn frontiers(&self) -> Result<Vec<Frontier>> {
        let mut statement = self.sql("SELECT device, install, upto FROM streams ORDER BY device, install")?;
        let mut frontiers = statement
            .query_map([], |row| {
                let upto = row.get::<_, i64>(2)?.unsigned_abs();
                Ok(Frontier { device: row.get(0)?, install: row.get(1)?, upto, ahead: Vec::new() })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let mut ahead = self.sql("SELECT seq FROM ahead WHERE device = ?1 AND install = ?2 ORDER BY seq")?;
        for frontier in &mut frontiers {
            let beyond =
                ahead.query_map([&frontier.device, &frontier.install], |row| row.get::<_, i64>(0))?;
            for seq in beyond {
                frontier.ahead.push(seq?.unsigned_abs());
            }
        }
        Ok(frontiers)
    }

    /// Takes over what a snapshot's writer had read.
    pub(crate) fn join_frontiers(&self, frontiers: &[Frontier]) -> Result<()> {
        for Frontier { device, install, upto, ahead } in frontiers {
            for seq in ahead {
                self.sql("INSERT OR IGNORE INTO ahead VALUES (?1, ?2, ?3)")?.execute(params![
                    device,
                    install,
                    signed(*seq)
                ])?;
            }
            let known = self.frontier(device, install)?.unwrap_or(0);
            self.move_frontier(device, install, known.max(*upto))?;
        }
        Ok(())
    }

    /// Begins every stream anew behind what was read: a compaction that tells no frontiers may have taken what is
    /// missing into its snapshot.
    pub(crate) fn anchor_streams(&self) -> Result<()> {
        self.conn().execute_batch(
            "UPDATE streams SET hole_ms = NULL, upto = max(upto, coalesce(
                 (SELECT max(seq) FROM ahead WHERE ahead.device = streams.device AND ahead.install = streams.install), 0));
             DELETE FROM ahead;",
        )?;
        Ok(())
    }

    /// Notes the holes that there are now, and gives those that have been there for `patience_ms` and were not
    /// given before.
    pub(crate) fn overdue_holes(&self, now_ms: u64, patience_ms: u64) -> Result<Vec<Hole>> {
        self.sql(
            "UPDATE streams SET hole_ms = ?1 WHERE hole_ms IS NULL AND EXISTS
                 (SELECT 1 FROM ahead WHERE ahead.device = streams.device AND ahead.install = streams.install)",
        )?
        .execute([signed(now_ms)])?;
        let mut statement = self.sql(
            "UPDATE streams SET hole_ms = ?1 WHERE hole_ms >= 0 AND hole_ms <= ?2 RETURNING device, upto,
                 (SELECT min(seq) FROM ahead WHERE ahead.device = streams.device AND ahead.install = streams.install)",
        )?;
        let holes = statement
            .query_map(params![TOLD, signed(now_ms.saturating_sub(patience_ms))], |row| {
                let next = row.get::<_, Option<i64>>(2)?.unwrap_or(1).unsigned_abs();
                let first = row.get::<_, i64>(1)?.unsigned_abs() + 1;
                Ok(Hole { device: row.get(0)?, first, last: next.saturating_sub(1) })
            })?
            .collect::<Result<_, _>>()?;
        Ok(holes)
    }

    /// Whether there is any hole.
    pub(crate) fn has_holes(&self) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM ahead LIMIT 1")?.exists([])?)
    }
}
