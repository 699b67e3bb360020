//! Small facts about the store and the mesh, and the device clock.

use rusqlite::{OptionalExtension, params};

use super::{Tx, rows::Text};
use crate::{
    clock::{Clock, DeviceClock},
    error::Result,
};

/// Names of the facts in `meta`.
pub(crate) mod keys {
    /// This device in the mesh.
    pub(crate) const DEVICE_ID: &str = "deviceId";
    /// This copy of the store; kept outside of it as well, so that a restored backup shows.
    pub(crate) const INSTALL_ID: &str = "installId";
    /// The mesh that this store belongs to.
    pub(crate) const MESH_ID: &str = "meshId";
    /// The mesh that an import came from, where the store belongs to none yet.
    pub(crate) const IMPORTED_MESH: &str = "importedMesh";
    /// Epoch of the last snapshot adopted.
    pub(crate) const EPOCH: &str = "epoch";
    /// Highest manifest generation seen.
    pub(crate) const GENERATION: &str = "generation";
    /// Content hash of the manifest last accepted.
    pub(crate) const CONTENT_HASH: &str = "contentHash";
    /// The manifest last accepted, as it was stored.
    pub(crate) const MANIFEST: &str = "manifest";
    /// The loss of the mailbox that was told last: the content hash of an older manifest, or a missing path.
    pub(crate) const ROLLBACK: &str = "rollback";
    /// An epoch whose snapshot was written by another client: what it holds of unknown streams is not told.
    pub(crate) const FOREIGN_EPOCH: &str = "foreignEpoch";
    /// Fingerprint of the key that opened a file of this mesh.
    pub(crate) const PROVEN_KEY: &str = "provenKey";
    /// Content hash of a manifest that this device is about to found a mesh with.
    pub(crate) const FOUNDING: &str = "founding";
    /// Greatest entry clock seen in the mailbox: B10 peers read nothing at or below it.
    pub(crate) const LATEST_ENTRY: &str = "latestEntry";
    /// How often this installation began to number its entries anew.
    pub(crate) const STREAM: &str = "stream";
    /// Number of entries published since then.
    pub(crate) const ENTRY_SEQ: &str = "entrySeq";
    /// How many of them the snapshots of which epochs hold.
    pub(crate) const HELD_ENTRIES: &str = "heldEntries";
    /// Fingerprint of the declared schema.
    pub(crate) const SCHEMA: &str = "schema";
    /// Wall time of the last sync whose every step was confirmed, ms.
    pub(crate) const LAST_SYNC_MS: &str = "lastSyncMs";
    /// The watermarks that our device record acknowledged lately, each with the number of entries published before.
    pub(crate) const OBSERVED: &str = "observed";
    /// When our device record was last written, ms.
    pub(crate) const DEVICE_RECORD_MS: &str = "deviceRecordMs";
    /// Who exchanges with the mailbox: instance and the wall time until which it may, ms.
    pub(crate) const LEASE: &str = "lease";
    /// When a process that does not hold the lease last showed that it is there, ms.
    pub(crate) const FOLLOWED_MS: &str = "followedMs";
    /// When such a process was told to pull, ms.
    pub(crate) const POKED_MS: &str = "pokedMs";
    /// How often the outbox was emptied without being published.
    pub(crate) const OUTBOX_TURN: &str = "outboxTurn";
    /// The last turn at which its records made way for those of another mesh.
    pub(crate) const OUTBOX_DROPPED: &str = "outboxDropped";
    /// When a process began to make the key of what is encrypted in the store, ms.
    pub(crate) const KEY_CLAIM: &str = "keyClaim";
    /// Number of the last wish about a file.
    pub(crate) const FILE_TURN: &str = "fileTurn";
    /// The form in which the mesh's files lie in the mailbox, once it was looked at.
    pub(crate) const FILE_FORM: &str = "fileForm";
    /// Body of our device record as last written.
    pub(crate) const DEVICE_RECORD: &str = "deviceRecord";
}

/// What every write reads first and writes back last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EngineState {
    pub(crate) clock: DeviceClock,
    /// The implicit batch that is open, and since when (wall ms).
    pub(crate) open_batch: Option<(i64, u64)>,
    /// Whether the store belongs to a mesh. Before that nothing goes to the outbox: the first join
    /// queues all rows.
    pub(crate) member: bool,
    /// Clock at and below which the snapshot is the state: what is written must be above it.
    pub(crate) floor: Option<Clock>,
}

impl Tx<'_> {
    /// A fact, if it is known.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>> {
        Ok(self
            .sql("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }

    /// A fact that is a number; anything else counts as unknown.
    pub(crate) fn meta_number(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.meta(key)?.and_then(|text| text.parse().ok()))
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.sql("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
            .execute([key, value])?;
        Ok(())
    }

    pub(crate) fn clear_meta(&self, key: &str) -> Result<()> {
        self.sql("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
        Ok(())
    }

    /// Forgets everything that was exchanged with a mesh: receipts, quarantine and what was seen.
    pub(crate) fn clear_exchange(&self) -> Result<()> {
        self.conn().execute_batch(
            "DELETE FROM receipts; DELETE FROM quarantine; DELETE FROM prunable; DELETE FROM graves;
             DELETE FROM streams; DELETE FROM ahead; DELETE FROM replica_changes; DELETE FROM replica_files; UPDATE engine SET floor = NULL;",
        )?;
        let seen = [
            keys::MESH_ID,
            keys::EPOCH,
            keys::GENERATION,
            keys::CONTENT_HASH,
            keys::MANIFEST,
            keys::ROLLBACK,
            keys::FOREIGN_EPOCH,
            keys::PROVEN_KEY,
            keys::FOUNDING,
            keys::LATEST_ENTRY,
            keys::LAST_SYNC_MS,
            keys::DEVICE_RECORD,
            keys::DEVICE_RECORD_MS,
            keys::OBSERVED,
            keys::HELD_ENTRIES,
        ];
        seen.iter().try_for_each(|key| self.clear_meta(key))
    }

    /// What an installation numbers its entries under: itself, until it has to begin anew.
    pub(crate) fn stream(&self, install: &str) -> Result<String> {
        Ok(match self.meta_number(keys::STREAM)?.unwrap_or(0) {
            0 => install.to_owned(),
            turn => format!("{install}.{turn}"),
        })
    }

    /// Numbers that were given out go to nobody any more: from the next entry on they count anew, or peers would wait
    /// for what never comes.
    pub(super) fn begin_stream(&self) -> Result<()> {
        if self.meta_number(keys::ENTRY_SEQ)?.is_none() {
            return Ok(());
        }
        let turn = self.meta_number(keys::STREAM)?.unwrap_or(0) + 1;
        self.set_meta(keys::STREAM, &turn.to_string())?;
        self.clear_meta(keys::ENTRY_SEQ)
    }

    /// Counts the entries of a stream.
    pub(crate) fn next_entry_seq(&self) -> Result<u64> {
        let seq = self.meta_number(keys::ENTRY_SEQ)?.unwrap_or(0) + 1;
        self.set_meta(keys::ENTRY_SEQ, &seq.to_string())?;
        Ok(seq)
    }

    /// The state of the engine; also notices tables and fields that another process changed.
    pub(crate) fn engine(&self) -> Result<EngineState> {
        let (state, layout) = self
            .sql("SELECT ts, counter, open_seq, open_ms, layout, member, floor FROM engine")?
            .query_row([], |row| {
                let open: Option<i64> = row.get(2)?;
                let since: Option<i64> = row.get(3)?;
                let clock = DeviceClock { ts: row.get::<_, i64>(0)?.unsigned_abs(), counter: row.get(1)? };
                let open_batch = open.map(|seq| (seq, since.unwrap_or(0).unsigned_abs()));
                let floor = row
                    .get_ref(6)?
                    .as_bytes_or_null()
                    .ok()
                    .flatten()
                    .and_then(|text| Clock::parse(text).ok());
                Ok((EngineState { clock, open_batch, member: row.get(5)?, floor }, row.get::<_, i64>(4)?))
            })?;
        self.note_layout(layout);
        Ok(state)
    }

    pub(crate) fn set_engine(&self, state: &EngineState) -> Result<()> {
        self.sql("UPDATE engine SET ts = ?1, counter = ?2, open_seq = ?3, open_ms = ?4, member = ?5")?
            .execute(params![
                signed(state.clock.ts),
                state.clock.counter,
                state.open_batch.map(|(seq, _)| seq),
                state.open_batch.map(|(_, since)| signed(since)),
                state.member,
            ])?;
        Ok(())
    }

    /// Clock at and below which the snapshot is the state.
    pub(crate) fn floor(&self) -> Result<Option<Clock>> {
        Ok(self.engine()?.floor)
    }

    /// Raises the floor.
    pub(crate) fn set_floor(&self, floor: &Clock) -> Result<()> {
        self.sql("UPDATE engine SET floor = ?1")?.execute([Text(&floor.to_wtf8())])?;
        Ok(())
    }

    /// Makes every connection read tables and fields anew.
    pub(super) fn move_layout(&self) -> Result<()> {
        let layout = self
            .sql("UPDATE engine SET layout = layout + 1 RETURNING layout")?
            .query_row([], |row| row.get(0))?;
        self.note_layout(layout);
        Ok(())
    }

    /// Connected stores: ids and records.
    pub(crate) fn stores(&self) -> Result<Vec<(String, String)>> {
        let mut statement = self.sql("SELECT id, record FROM stores ORDER BY id")?;
        let records =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(records)
    }

    pub(crate) fn store(&self, id: &str) -> Result<Option<String>> {
        Ok(self
            .sql("SELECT record FROM stores WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?)
    }

    pub(crate) fn put_store(&self, id: &str, record: &str) -> Result<()> {
        self.sql("INSERT INTO stores VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record")?
            .execute([id, record])?;
        Ok(())
    }

    pub(crate) fn remove_store(&self, id: &str) -> Result<bool> {
        Ok(self.sql("DELETE FROM stores WHERE id = ?1")?.execute([id])? > 0)
    }
}

/// SQLite's integers are signed; times stay far below the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
