//! Fields with an index: their key columns, kept in step with the declared schema.

use super::{
    Tx,
    rows::{IndexedField, Text, TableInfo, field_keys},
};
use crate::{error::Result, value::Name};

/// A field that the schema wants indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedField {
    pub(crate) table: Name,
    pub(crate) field: Name,
    pub(crate) is_unique: bool,
}

impl Tx<'_> {
    /// Makes the indexes those of `wanted` in the named tables: adds, drops, and repairs what is there
    /// but broken. Returns the number of tables that were written anew.
    pub(crate) fn reconcile_fields(&self, tables: &[Name], wanted: &[WantedField]) -> Result<usize> {
        let mut rebuilt = 0;
        for name in tables {
            let table = self.ensure_table(name)?;
            let wants: Vec<&WantedField> = wanted.iter().filter(|field| field.table == *name).collect();
            let same = wants.len() == table.fields.len()
                && wants.iter().all(|want| {
                    table.fields.iter().any(|have| have.name == want.field && have.is_unique == want.is_unique)
                });
            if same && self.indexes_stand(&table)? {
                continue;
            }
            self.rebuild_fields(&table, &wants)?;
            rebuilt += 1;
        }
        Ok(rebuilt)
    }

    /// Whether every key column and its index exist.
    fn indexes_stand(&self, table: &TableInfo) -> Result<bool> {
        let mut column = self.sql("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?;
        let mut index = self.sql("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?1")?;
        for field in &table.fields {
            let named = column.exists([format!("t_{}", table.id), format!("k_{}", field.slot)])?;
            if !named || !index.exists([format!("i_{}_{}", table.id, field.slot)])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rebuild_fields(&self, table: &TableInfo, wants: &[&WantedField]) -> Result<()> {
        let id = table.id;
        let mut columns: Vec<String> = Vec::new();
        let mut statement = self.sql("SELECT name FROM pragma_table_info(?1) WHERE name LIKE 'k\\_%' ESCAPE '\\'")?;
        let mut rows = statement.query([format!("t_{id}")])?;
        while let Some(row) = rows.next()? {
            columns.push(row.get(0)?);
        }
        drop(rows);
        drop(statement);
        for column in columns {
            let slot = column.trim_start_matches("k_");
            self.conn().execute_batch(&format!("DROP INDEX IF EXISTS i_{id}_{slot}; ALTER TABLE t_{id} DROP COLUMN {column}"))?;
        }
        self.sql("DELETE FROM fields WHERE table_id = ?1")?.execute([id])?;
        for (slot, want) in (0i64..).zip(wants) {
            self.sql("INSERT INTO fields VALUES (?1, ?2, ?3, ?4)")?.execute(rusqlite::params![
                id,
                Text(want.field.as_bytes()),
                slot,
                want.is_unique
            ])?;
            self.conn().execute_batch(&format!("ALTER TABLE t_{id} ADD COLUMN k_{slot} BLOB"))?;
        }
        self.move_layout()?;
        let Some(table) = self.table(&table.name)? else { return Ok(()) };
        self.fill_keys(&table)?;
        // After the fill: an index built in one go is smaller and faster than one grown row by row.
        for IndexedField { slot, .. } in &table.fields {
            self.conn().execute_batch(&format!("CREATE INDEX i_{id}_{slot} ON t_{id}(k_{slot})"))?;
        }
        self.move_layout()
    }

    fn fill_keys(&self, table: &TableInfo) -> Result<()> {
        if table.fields.is_empty() {
            return Ok(());
        }
        let sets: Vec<String> = table.fields.iter().enumerate().map(|(at, field)| format!("k_{} = ?{}", field.slot, at + 2)).collect();
        let sql = format!("UPDATE t_{} SET {} WHERE rid = ?1", table.id, sets.join(", "));
        self.each_row(table, |rid, _, state| {
            let keys = field_keys(table, &state);
            let mut values: Vec<&dyn rusqlite::ToSql> = vec![&rid];
            values.extend(keys.iter().map(|key| key as &dyn rusqlite::ToSql));
            self.sql(&sql)?.execute(rusqlite::params_from_iter(values))?;
            Ok(())
        })
    }
}
