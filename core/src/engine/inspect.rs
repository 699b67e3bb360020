//! Rows with their clocks: what the simulator compares and remembers.

use super::Interocitor;
use crate::{
    clock::Clock,
    error::Result,
    row::RowState,
    store::Tx,
    value::{Name, Value},
};

/// A row as the merge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedRow {
    /// Its table.
    pub table: Name,
    /// Its id.
    pub row_id: Name,
    /// The greatest delete clock; a live row keeps it.
    pub deleted: Option<Clock>,
    /// The columns, by name.
    pub cells: Vec<(Name, Clock, Value)>,
}

impl InspectedRow {
    fn new(table: &Name, row_id: &Name, state: RowState) -> Self {
        let mut cells: Vec<_> =
            state.cells.into_iter().map(|cell| (cell.name, cell.clock, cell.value)).collect();
        cells.sort_by(|a, b| a.0.cmp(&b.0));
        Self { table: table.clone(), row_id: row_id.clone(), deleted: state.deleted, cells }
    }
}

impl Interocitor {
    /// One row, tombstones included.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn inspect_row(&self, table: &Name, row_id: &Name) -> Result<Option<InspectedRow>> {
        self.inner.ctx.read(|tx| {
            let Some(info) = tx.table(table)? else { return Ok(None) };
            Ok(tx.row(&info, row_id)?.map(|stored| InspectedRow::new(table, row_id, stored.state)))
        })
    }

    /// Every row, tombstones included, by table and id.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn inspect(&self) -> Result<Vec<InspectedRow>> {
        let mut rows = self.inner.ctx.read(every_row)?;
        rows.sort_by(|a, b| (&a.table, &a.row_id).cmp(&(&b.table, &b.row_id)));
        Ok(rows)
    }
}

fn every_row(tx: &Tx<'_>) -> Result<Vec<InspectedRow>> {
    let mut rows = Vec::new();
    for table in tx.tables()? {
        tx.each_row(&table, |_, row_id, state| {
            rows.push(InspectedRow::new(&table.name, &row_id, state));
            Ok(())
        })?;
    }
    Ok(rows)
}
