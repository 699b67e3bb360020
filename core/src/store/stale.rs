//! Stale writes: acknowledged here, never published, and then their row was deleted for good elsewhere. They
//! wait for the user's decision.

use rusqlite::params;

use super::{
    Tx,
    meta::signed,
    rows::{Text, bytes_of},
};
use crate::{
    error::Result,
    row::{Reader, RowState},
    value::Name,
};

/// One stale write, all columns that were set on its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaleWrite {
    pub(crate) id: i64,
    pub(crate) table: Name,
    pub(crate) row_id: Name,
    pub(crate) state: RowState,
    /// When it was put aside, ms.
    pub(crate) since_ms: u64,
}

impl Tx<'_> {
    pub(crate) fn add_stale(
        &self,
        table: &Name,
        row_id: &Name,
        state: &RowState,
        now_ms: u64,
    ) -> Result<i64> {
        let mut record = Vec::new();
        state.write_record(&mut record);
        let id = self
            .sql(
                "INSERT INTO stale(table_name, row_id, state, since_ms) VALUES (?1, ?2, ?3, ?4) RETURNING id",
            )?
            .query_row(
                params![Text(table.as_bytes()), Text(row_id.as_bytes()), record, signed(now_ms)],
                |row| row.get(0),
            )?;
        Ok(id)
    }

    /// All stale writes, oldest first.
    pub(crate) fn stale(&self) -> Result<Vec<StaleWrite>> {
        let mut statement =
            self.sql("SELECT id, table_name, row_id, state, since_ms FROM stale ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut list = Vec::new();
        while let Some(row) = rows.next()? {
            let mut record = Reader(bytes_of(row, 3)?.unwrap_or_default());
            list.push(StaleWrite {
                id: row.get(0)?,
                table: Name::from_wtf8(bytes_of(row, 1)?.unwrap_or_default()),
                row_id: Name::from_wtf8(bytes_of(row, 2)?.unwrap_or_default()),
                state: RowState::read_record(&mut record)?,
                since_ms: row.get::<_, i64>(4)?.unsigned_abs(),
            });
        }
        Ok(list)
    }

    /// Removes one; tells whether it was there.
    pub(crate) fn remove_stale(&self, id: i64) -> Result<bool> {
        Ok(self.sql("DELETE FROM stale WHERE id = ?1")?.execute([id])? > 0)
    }
}
