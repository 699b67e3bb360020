//! Graves: which delete clocks stood in which snapshot. A delete may be forgotten only when every device
//! has merged a snapshot that held it.

use rusqlite::{OptionalExtension, params};

use super::{
    Tx,
    meta::signed,
    rows::{TableInfo, Text},
};
use crate::{clock::Clock, error::Result, value::Name};

impl Tx<'_> {
    /// Notes that a row's delete clock stood in the snapshot of an epoch; the first snapshot of a clock counts.
    pub(crate) fn note_grave(
        &self,
        table: &TableInfo,
        row_id: &Name,
        deleted: &Clock,
        epoch: u64,
    ) -> Result<()> {
        let (row_id, clock) = (Text(row_id.as_bytes()), deleted.to_wtf8());
        self.sql(
            "INSERT INTO graves VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET clock = excluded.clock, epoch = excluded.epoch WHERE clock <> excluded.clock",
        )?
        .execute(params![table.id, row_id, Text(&clock), signed(epoch)])?;
        Ok(())
    }

    /// The epoch of the first snapshot that held this delete clock of a row.
    pub(crate) fn grave(&self, table: &TableInfo, row_id: &Name, deleted: &Clock) -> Result<Option<u64>> {
        let epoch: Option<i64> = self
            .sql("SELECT epoch FROM graves WHERE table_id = ?1 AND row_id = ?2 AND clock = ?3")?
            .query_row(params![table.id, Text(row_id.as_bytes()), Text(&deleted.to_wtf8())], |row| row.get(0))
            .optional()?;
        Ok(epoch.map(i64::unsigned_abs))
    }

    /// Forgets that a row was deleted: its delete clock, if it is still this one, and the row where nothing
    /// else is left of it.
    pub(crate) fn collect(&self, table: &TableInfo, row_id: &Name, deleted: &Clock) -> Result<()> {
        self.sql("DELETE FROM graves WHERE table_id = ?1 AND row_id = ?2")?
            .execute(params![table.id, Text(row_id.as_bytes())])?;
        let Some(mut stored) = self.row(table, row_id)? else { return Ok(()) };
        if stored.state.deleted.as_ref() != Some(deleted) {
            return Ok(());
        }
        if stored.state.cells.is_empty() {
            return self.forget_row(table, stored.rid);
        }
        stored.state.deleted = None;
        self.put_row(table, row_id, Some(stored.rid), &stored.state)
    }
}
