//! The outbox: what was written here and is not yet known to be in the mailbox.
//!
//! Each record is one batch. The implicit batch stays open for a while and collects single writes;
//! an explicit batch is a record of its own. Before its first upload a record is *bound* to an entry
//! id and clock, durably, so that every retry uses the same file name.

use std::collections::HashMap;

use rusqlite::params;

use super::{
    Tx,
    meta::{EngineState, keys, signed},
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    merge,
    row::{Reader, RowState, put_bytes, put_varint},
    value::Name,
    wire::change::Op,
};

/// Operations are stored in pieces of about this size, in bytes.
const PIECE: usize = 1 << 20;

/// What a bound record is published as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) id: String,
    pub(crate) clock: Clock,
    pub(crate) seq: u64,
}

/// A record without its operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRecord {
    pub(crate) seq: i64,
    pub(crate) opened_ms: u64,
    pub(crate) part: Option<(u64, u64)>,
    pub(crate) binding: Option<Binding>,
    /// Number of its entry, which outlives a binding that was taken.
    pub(crate) number: Option<u64>,
}

/// What waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OutboxCount {
    /// Records, the open batch included.
    pub(crate) records: u64,
    /// When the oldest was opened, ms.
    pub(crate) oldest_ms: Option<u64>,
}

/// Who may know the row of an operation, as far as its writer could tell. Of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// The row was there, as this device had made it.
    Here,
    /// The row was not there before: nobody else knows it.
    Nowhere,
    /// Others wrote to the row, or may have read it.
    Elsewhere,
}

impl Known {
    const fn code(self) -> u64 {
        match self {
            Known::Here => 0,
            Known::Nowhere => 1,
            Known::Elsewhere => 2,
        }
    }

    const fn of_code(code: u64) -> Self {
        match code {
            0 => Known::Here,
            1 => Known::Nowhere,
            _ => Known::Elsewhere,
        }
    }
}

/// An operation that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) op: Op,
    pub(crate) known: Known,
}

/// Collects operations in the stored form.
#[derive(Debug, Default)]
pub(crate) struct OpWriter {
    pieces: Vec<Vec<u8>>,
}

impl OpWriter {
    pub(crate) fn push(&mut self, table: &Name, row_id: &Name, state: &RowState, known: Known) {
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.pieces.push(Vec::new());
        }
        if let Some(piece) = self.pieces.last_mut() {
            put_bytes(piece, table.as_bytes());
            put_bytes(piece, row_id.as_bytes());
            put_varint(piece, known.code());
            state.write_record(piece);
        }
    }

    pub(crate) fn push_queued(&mut self, queued: &Queued) {
        self.push(&queued.op.table, &queued.op.row_id, &queued.op.state, queued.known);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

impl Tx<'_> {
    /// Adds operations to the implicit batch, opening it where none is open or where the open one is
    /// older than `window_ms`.
    pub(crate) fn append_to_open_batch(
        &self,
        state: &mut EngineState,
        ops: &OpWriter,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<()> {
        let due = state.open_batch.is_some_and(|(_, since)| now_ms.abs_diff(since) >= window_ms);
        let seq = match state.open_batch.filter(|_| !due) {
            Some((seq, _)) => seq,
            None => {
                let seq = self.add_record(now_ms, None)?;
                state.open_batch = Some((seq, now_ms));
                seq
            }
        };
        // The device clock orders pieces within a record. The birth of an empty row does not move it.
        let clock = signed(state.clock.ts) << 16 | i64::from(state.clock.counter & 0xffff);
        let next = self
            .sql("SELECT coalesce(max(n), -1) + 1 FROM outbox_ops WHERE seq = ?1")?
            .query_row([seq], |row| row.get::<_, i64>(0))?;
        self.add_pieces(seq, clock.max(next), ops)
    }

    /// Whether records up to `last`, or parts of such a record, wait still. Parts of later ones count too.
    pub(crate) fn is_waiting_up_to(&self, last: i64) -> Result<bool> {
        let mut statement = self.sql("SELECT 1 FROM outbox WHERE seq <= ?1 OR part IS NOT NULL")?;
        Ok(statement.exists([last])?)
    }

    /// Whether a record is still there.
    pub(crate) fn has_record(&self, seq: i64) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM outbox WHERE seq = ?1")?.exists([seq])?)
    }

    /// Whether a record waits that was bound to a name, and so perhaps uploaded.
    pub(crate) fn has_bound_record(&self) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM outbox WHERE entry_id IS NOT NULL")?.exists([])?)
    }

    /// Number of the last record, the open one included; -1 where there is none.
    pub(crate) fn last_record(&self) -> Result<i64> {
        Ok(self.sql("SELECT coalesce(max(seq), -1) FROM outbox")?.query_row([], |row| row.get(0))?)
    }

    /// Adds a batch of its own.
    pub(crate) fn add_batch(&self, ops: &OpWriter, now_ms: u64, part: Option<(u64, u64)>) -> Result<i64> {
        let seq = self.add_record(now_ms, part)?;
        self.add_pieces(seq, 0, ops)?;
        Ok(seq)
    }

    fn add_record(&self, now_ms: u64, part: Option<(u64, u64)>) -> Result<i64> {
        let seq = self
            .sql("INSERT INTO outbox(opened_ms, part, parts) VALUES (?1, ?2, ?3) RETURNING seq")?
            .query_row(
            params![signed(now_ms), part.map(|part| signed(part.0)), part.map(|part| signed(part.1))],
            |row| row.get(0),
        )?;
        Ok(seq)
    }

    fn add_pieces(&self, seq: i64, first: i64, ops: &OpWriter) -> Result<()> {
        let mut statement = self.sql("INSERT INTO outbox_ops VALUES (?1, ?2, ?3)")?;
        for (n, piece) in (first..).zip(&ops.pieces) {
            statement.execute(params![seq, n, piece])?;
        }
        Ok(())
    }

    /// Records that are closed, oldest first, those after the record `after`.
    pub(crate) fn closed_records(
        &self,
        state: &EngineState,
        limit: usize,
        after: i64,
        until: i64,
    ) -> Result<Vec<OutboxRecord>> {
        let open = state.open_batch.map_or(-1, |(seq, _)| seq);
        let mut statement = self.sql(
            "SELECT seq, opened_ms, part, parts, entry_id, entry_clock, entry_seq FROM outbox
             WHERE seq <> ?1 AND seq > ?3 AND seq <= ?4 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query(params![open, signed(limit as u64), after, until])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let id: Option<String> = row.get(4)?;
            let clock: Option<String> = row.get(5)?;
            let binding = match (id, clock) {
                (Some(id), Some(clock)) => Some(Binding {
                    id,
                    clock: clock.parse().map_err(|_| damaged())?,
                    seq: row.get::<_, i64>(6)?.unsigned_abs(),
                }),
                _ => None,
            };
            let number = row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs);
            let part: Option<i64> = row.get(2)?;
            let parts: Option<i64> = row.get(3)?;
            records.push(OutboxRecord {
                seq: row.get(0)?,
                opened_ms: row.get::<_, i64>(1)?.unsigned_abs(),
                part: part.zip(parts).map(|(part, parts)| (part.unsigned_abs(), parts.unsigned_abs())),
                binding,
                number,
            });
        }
        Ok(records)
    }

    /// Every record, the open batch included, oldest first.
    pub(crate) fn all_records(&self) -> Result<Vec<i64>> {
        let mut statement = self.sql("SELECT seq FROM outbox ORDER BY seq")?;
        let records = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(records)
    }

    /// Every record that was bound: an upload of it may have arrived.
    pub(crate) fn bound_records(&self) -> Result<Vec<(i64, Binding)>> {
        let records = self.closed_records(&EngineState::default(), usize::MAX, -1, i64::MAX)?;
        Ok(records.into_iter().filter_map(|record| Some((record.seq, record.binding?))).collect())
    }

    /// Puts other operations into a record and takes its binding, so that it goes out under a fresh name; the
    /// number of its entry stays, or peers would see a hole. A record that is left with nothing is removed,
    /// unless it has a number.
    pub(crate) fn rewrite_record(&self, seq: i64, ops: &[Queued]) -> Result<()> {
        self.sql("DELETE FROM outbox_ops WHERE seq = ?1")?.execute([seq])?;
        self.sql("UPDATE outbox SET entry_id = NULL, entry_clock = NULL WHERE seq = ?1")?.execute([seq])?;
        if ops.is_empty() {
            self.sql("DELETE FROM outbox WHERE seq = ?1 AND entry_seq IS NULL")?.execute([seq])?;
        }
        let mut writer = OpWriter::default();
        for queued in ops {
            writer.push_queued(queued);
        }
        self.add_pieces(seq, 0, &writer)
    }

    /// Makes what waits in a copy of a store the copy's own: no name or number of the other one is used twice, and what
    /// is new there may be known to others before it is published from here.
    pub(crate) fn disown_outbox(&self) -> Result<()> {
        for seq in self.all_records()? {
            let mut ops = self.record_ops(seq)?;
            for queued in &mut ops {
                queued.known = Known::Elsewhere;
            }
            self.sql("UPDATE outbox SET entry_seq = NULL WHERE seq = ?1")?.execute([seq])?;
            self.rewrite_record(seq, &ops)?;
        }
        Ok(())
    }

    /// The operations of a record, one for each row: later states of a row are joined into the first.
    pub(crate) fn record_ops(&self, seq: i64) -> Result<Vec<Queued>> {
        let mut statement = self.sql("SELECT ops FROM outbox_ops WHERE seq = ?1 ORDER BY n")?;
        let mut rows = statement.query([seq])?;
        let mut ops: Vec<Queued> = Vec::new();
        let mut places: HashMap<(Name, Name), usize> = HashMap::new();
        while let Some(row) = rows.next()? {
            let piece = row.get_ref(0)?.as_bytes().map_err(|_| damaged())?;
            let mut reader = Reader(piece);
            while !reader.is_empty() {
                let table = Name::from_wtf8(reader.bytes()?);
                let row_id = Name::from_wtf8(reader.bytes()?);
                let known = Known::of_code(reader.varint()?);
                let state = RowState::read_record(&mut reader)?;
                let place = *places.entry((table.clone(), row_id.clone())).or_insert(ops.len());
                match ops.get_mut(place) {
                    Some(queued) => {
                        merge::join(&mut queued.op.state, state, &|_| false);
                        queued.known = queued.known.max(known);
                    }
                    None => ops.push(Queued { op: Op { table, row_id, state }, known }),
                }
            }
        }
        Ok(ops)
    }

    /// Size of a record's operations as they are stored, in bytes.
    pub(crate) fn record_bytes(&self, seq: i64) -> Result<u64> {
        let bytes = self
            .sql("SELECT coalesce(sum(length(ops)), 0) FROM outbox_ops WHERE seq = ?1")?
            .query_row([seq], |row| row.get::<_, i64>(0))?;
        Ok(bytes.unsigned_abs())
    }

    /// Binds a record to what it will be published as.
    pub(crate) fn bind_record(&self, seq: i64, binding: &Binding) -> Result<()> {
        self.sql("UPDATE outbox SET entry_id = ?2, entry_clock = ?3, entry_seq = ?4 WHERE seq = ?1")?
            .execute(params![seq, binding.id, binding.clock.to_string(), signed(binding.seq)])?;
        Ok(())
    }

    /// Notes a failed try to publish a record.
    pub(crate) fn note_problem(&self, seq: i64, problem: &str) -> Result<()> {
        self.sql("UPDATE outbox SET attempts = attempts + 1, problem = ?2 WHERE seq = ?1")?
            .execute(params![seq, problem])?;
        Ok(())
    }

    /// What keeps records from being published, oldest first.
    pub(crate) fn problems(&self) -> Result<Vec<String>> {
        let mut statement =
            self.sql("SELECT DISTINCT problem FROM outbox WHERE problem IS NOT NULL ORDER BY seq LIMIT 16")?;
        let list = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(list)
    }

    /// Removes a record whose publication is confirmed, or that was replaced.
    pub(crate) fn remove_record(&self, seq: i64) -> Result<()> {
        self.sql("DELETE FROM outbox_ops WHERE seq = ?1")?.execute([seq])?;
        self.sql("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
        Ok(())
    }

    /// Empties the outbox; only for a store whose rows are about to be queued whole.
    pub(crate) fn clear_outbox(&self, state: &mut EngineState) -> Result<()> {
        self.sql("DELETE FROM outbox_ops")?.execute([])?;
        self.sql("DELETE FROM outbox")?.execute([])?;
        state.open_batch = None;
        self.begin_stream()?;
        let turn = self.meta_number(keys::OUTBOX_TURN)?.unwrap_or(0) + 1;
        self.set_meta(keys::OUTBOX_TURN, &turn.to_string())
    }

    pub(crate) fn outbox_count(&self) -> Result<OutboxCount> {
        let count = self.sql("SELECT count(*), min(opened_ms) FROM outbox")?.query_row([], |row| {
            Ok(OutboxCount {
                records: row.get::<_, i64>(0)?.unsigned_abs(),
                oldest_ms: row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs),
            })
        })?;
        Ok(count)
    }
}

fn damaged() -> Error {
    Error::StoreCorrupt { path: String::new(), reason: "a damaged outbox record".into() }
}
