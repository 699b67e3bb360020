//! Rows: one SQLite table for each app table, values as one JSON object beside their clocks.
//!
//! An INTEGER PRIMARY KEY with a unique row id inserts at the same speed whatever the order of ids;
//! fields with an index have their order-preserving key in a column of their own.

use std::{
    fmt::Write,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use rusqlite::{
    OptionalExtension, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::Tx;
use crate::{
    error::Result,
    row::{DamagedRow, EncodedRow, RowState},
    value::{Name, key},
};

/// WTF-8 bound as TEXT: SQLite compares it by bytes and never looks inside.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// The bytes of a TEXT or BLOB column.
pub(crate) fn bytes_of<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<Option<&'a [u8]>> {
    Ok(row.get_ref(column)?.as_bytes_or_null().map_err(|_| DamagedRow("the type of a column"))?)
}

/// A range of keys of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) low: Bound<Vec<u8>>,
    pub(crate) high: Bound<Vec<u8>>,
}

impl KeyRange {
    /// One key.
    pub(crate) fn exactly(key: Vec<u8>) -> Self {
        Self { low: Bound::Included(key.clone()), high: Bound::Included(key) }
    }

    /// The range as a condition on a key column, and its parameters.
    pub(super) fn to_sql(&self, slot: i64) -> (String, Vec<&Vec<u8>>) {
        match (&self.low, &self.high) {
            (Bound::Included(low), Bound::Included(high)) if low == high => {
                (format!("k_{slot} = ?"), vec![low])
            }
            (low, high) => {
                let (mut terms, mut keys) = (Vec::new(), Vec::new());
                for (bound, including, excluding) in [(low, ">=", ">"), (high, "<=", "<")] {
                    let (operator, key) = match bound {
                        Bound::Included(key) => (including, key),
                        Bound::Excluded(key) => (excluding, key),
                        Bound::Unbounded => continue,
                    };
                    terms.push(format!("k_{slot} {operator} ?"));
                    keys.push(key);
                }
                let sql =
                    if terms.is_empty() { format!("k_{slot} IS NOT NULL") } else { terms.join(" AND ") };
                (sql, keys)
            }
        }
    }
}

/// A field with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedField {
    pub(crate) name: Name,
    /// Number of its key column.
    pub(crate) slot: i64,
    pub(crate) is_unique: bool,
}

/// What is known about one app table, with its statements ready.
#[derive(Debug)]
pub(crate) struct TableInfo {
    pub(crate) id: i64,
    pub(crate) name: Name,
    pub(crate) fields: Vec<IndexedField>,
    select: String,
    select_json: String,
    insert: String,
    update: String,
}

impl TableInfo {
    fn new(id: i64, name: Name, fields: Vec<IndexedField>) -> Self {
        let (mut columns, mut places, mut sets) = (String::new(), String::new(), String::new());
        for (at, field) in fields.iter().enumerate() {
            let (slot, place) = (field.slot, at + 5);
            // Writing to a String cannot fail.
            let _ = write!(columns, ", k_{slot}");
            let _ = write!(places, ", ?{place}");
            let _ = write!(sets, ", k_{slot} = ?{place}");
        }
        Self {
            select: format!("SELECT rid, data, clocks, d FROM t_{id} WHERE id = ?1"),
            select_json: format!("SELECT data FROM t_{id} WHERE id = ?1"),
            insert: format!(
                "INSERT INTO t_{id}(id, data, clocks, d{columns}) VALUES (?1, ?2, ?3, ?4{places})
                 ON CONFLICT(id) DO NOTHING"
            ),
            update: format!("UPDATE t_{id} SET data = ?2, clocks = ?3, d = ?4{sets} WHERE rid = ?1"),
            id,
            name,
            fields,
        }
    }
}

/// A row as it is stored.
#[derive(Debug)]
pub(crate) struct StoredRow {
    /// SQLite's row number, for the update.
    pub(crate) rid: i64,
    pub(crate) state: RowState,
}

/// Which live rows to visit, and in which order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Walk<'a> {
    /// All, in the order of their making: the fastest way through a table.
    Made,
    /// All, by the bytes of their ids.
    ById,
    /// Those whose key in a slot lies in a range, in any order.
    Keys { slot: i64, range: &'a KeyRange },
    /// Those of a range, or all, by their key in a slot; rows without a key stand before the least.
    ByKey { slot: i64, range: Option<&'a KeyRange>, is_descending: bool },
}

impl<'a> Walk<'a> {
    /// The walk as a query for ids and values, and its parameters.
    pub(super) fn to_sql(self, table: &TableInfo) -> (String, Vec<&'a Vec<u8>>) {
        let (rest, keys) = match self {
            Walk::Made => ("NOT INDEXED ORDER BY rid".to_owned(), Vec::new()),
            Walk::ById => ("ORDER BY id".to_owned(), Vec::new()),
            Walk::Keys { slot, range } => {
                let (condition, keys) = range.to_sql(slot);
                (format!("WHERE {condition}"), keys)
            }
            Walk::ByKey { slot, range, is_descending } => {
                let direction = if is_descending { "DESC" } else { "ASC" };
                let (condition, keys) =
                    range.map_or(("TRUE".to_owned(), Vec::new()), |range| range.to_sql(slot));
                (format!("WHERE {condition} ORDER BY k_{slot} {direction}"), keys)
            }
        };
        (format!("SELECT id, data FROM t_{} {rest}", table.id), keys)
    }
}

impl Tx<'_> {
    /// A table that exists.
    pub(crate) fn table(&self, name: &Name) -> Result<Option<Arc<TableInfo>>> {
        if let Some(info) = self.cached_table(name) {
            return Ok(Some(info));
        }
        let id = self
            .sql("SELECT id FROM catalog WHERE name = ?1")?
            .query_row([Text(name.as_bytes())], |row| row.get(0))
            .optional()?;
        let Some(id) = id else { return Ok(None) };
        let mut fields = Vec::new();
        let mut statement =
            self.sql("SELECT name, slot, is_unique FROM fields WHERE table_id = ?1 ORDER BY slot")?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            fields.push(IndexedField {
                name: Name::from_wtf8(bytes_of(row, 0)?.unwrap_or_default()),
                slot: row.get(1)?,
                is_unique: row.get(2)?,
            });
        }
        let info = Arc::new(TableInfo::new(id, name.clone(), fields));
        self.cache_table(&info);
        Ok(Some(info))
    }

    /// A table, made where it is missing.
    pub(crate) fn ensure_table(&self, name: &Name) -> Result<Arc<TableInfo>> {
        if let Some(info) = self.table(name)? {
            return Ok(info);
        }
        let id: i64 = self
            .sql("INSERT INTO catalog(name) VALUES (?1) RETURNING id")?
            .query_row([Text(name.as_bytes())], |row| row.get(0))?;
        self.conn().execute_batch(&format!(
            "CREATE TABLE t_{id}(rid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, data TEXT, clocks BLOB NOT NULL, d TEXT)"
        ))?;
        let info = Arc::new(TableInfo::new(id, name.clone(), Vec::new()));
        self.cache_table(&info);
        Ok(info)
    }

    /// All tables, by name.
    pub(crate) fn tables(&self) -> Result<Vec<Arc<TableInfo>>> {
        let mut names = Vec::new();
        let mut statement = self.sql("SELECT name FROM catalog")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            names.push(Name::from_wtf8(bytes_of(row, 0)?.unwrap_or_default()));
        }
        names.sort();
        let mut tables = Vec::new();
        for name in names {
            tables.extend(self.table(&name)?);
        }
        Ok(tables)
    }

    /// A row with its clocks.
    pub(crate) fn row(&self, table: &TableInfo, id: &Name) -> Result<Option<StoredRow>> {
        let mut statement = self.sql(&table.select)?;
        let mut rows = statement.query([Text(id.as_bytes())])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let clocks = bytes_of(row, 2)?.unwrap_or_default();
        let state = RowState::from_stored(bytes_of(row, 1)?, clocks, bytes_of(row, 3)?)?;
        Ok(Some(StoredRow { rid: row.get(0)?, state }))
    }

    /// The values of a live row as JSON.
    pub(crate) fn row_json(&self, table: &TableInfo, id: &Name) -> Result<Option<String>> {
        let json = self
            .sql(&table.select_json)?
            .query_row([Text(id.as_bytes())], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        Ok(json.flatten())
    }

    /// Stores a row; `rid` is that of the row where it exists.
    pub(crate) fn put_row(
        &self,
        table: &TableInfo,
        id: &Name,
        rid: Option<i64>,
        state: &RowState,
    ) -> Result<()> {
        let encoded = state.encode();
        match rid {
            Some(rid) => self.execute_row(table, &table.update, &rid, state, &encoded).map(|_| ()),
            None => self.insert_row(table, id, state, &encoded).map(|_| ()),
        }
    }

    /// Stores a row that is expected to be new; tells whether it was. One that exists is left alone.
    pub(crate) fn insert_row(
        &self,
        table: &TableInfo,
        id: &Name,
        state: &RowState,
        encoded: &EncodedRow,
    ) -> Result<bool> {
        Ok(self.execute_row(table, &table.insert, &Text(id.as_bytes()), state, encoded)? > 0)
    }

    fn execute_row(
        &self,
        table: &TableInfo,
        sql: &str,
        place: &dyn ToSql,
        state: &RowState,
        encoded: &EncodedRow,
    ) -> Result<usize> {
        self.touch_rows();
        let EncodedRow { json, clocks, deleted } = encoded;
        let deleted = deleted.as_deref().map(Text);
        let mut statement = self.sql(sql)?;
        if table.fields.is_empty() {
            return Ok(statement.execute(rusqlite::params![place, json, clocks, deleted])?);
        }
        let keys = field_keys(table, state);
        let mut values: Vec<&dyn ToSql> = Vec::with_capacity(4 + keys.len());
        values.extend([place, json as &dyn ToSql, clocks, &deleted]);
        values.extend(keys.iter().map(|key| key as &dyn ToSql));
        Ok(statement.execute(params_from_iter(values))?)
    }

    /// Takes a row out altogether, as only an adopted snapshot may ask.
    pub(crate) fn forget_row(&self, table: &TableInfo, rid: i64) -> Result<()> {
        self.touch_rows();
        self.sql(&format!("DELETE FROM t_{} WHERE rid = ?1", table.id))?.execute([rid])?;
        Ok(())
    }

    /// Another live row that holds a key in a field.
    pub(crate) fn holder(&self, table: &TableInfo, slot: i64, key: &[u8], except: &Name) -> Result<bool> {
        let sql = format!("SELECT 1 FROM t_{} WHERE k_{slot} = ?1 AND id <> ?2", table.id);
        Ok(self.sql(&sql)?.exists(rusqlite::params![key, Text(except.as_bytes())])?)
    }

    /// Visits every row of a table, tombstones included, in the order of their making.
    pub(crate) fn each_row(
        &self,
        table: &TableInfo,
        mut visit: impl FnMut(i64, Name, RowState) -> Result<()>,
    ) -> Result<()> {
        let mut statement =
            self.sql(&format!("SELECT rid, id, data, clocks, d FROM t_{} ORDER BY rid", table.id))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = Name::from_wtf8(bytes_of(row, 1)?.unwrap_or_default());
            let clocks = bytes_of(row, 3)?.unwrap_or_default();
            let state = RowState::from_stored(bytes_of(row, 2)?, clocks, bytes_of(row, 4)?)?;
            visit(row.get(0)?, id, state)?;
        }
        Ok(())
    }

    /// Visits every row of a table, tombstones included, in the order of the bytes of their ids.
    pub(crate) fn each_row_by_id(
        &self,
        table: &TableInfo,
        mut visit: impl FnMut(Name, RowState) -> Result<()>,
    ) -> Result<()> {
        let mut statement =
            self.sql(&format!("SELECT id, data, clocks, d FROM t_{} ORDER BY id", table.id))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = Name::from_wtf8(bytes_of(row, 0)?.unwrap_or_default());
            let clocks = bytes_of(row, 2)?.unwrap_or_default();
            visit(id, RowState::from_stored(bytes_of(row, 1)?, clocks, bytes_of(row, 3)?)?)?;
        }
        Ok(())
    }

    /// Visits live rows with their values as JSON until the visitor breaks.
    pub(crate) fn each_live(
        &self,
        table: &TableInfo,
        walk: Walk<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let (sql, keys) = walk.to_sql(table);
        let mut statement = self.sql(&sql)?;
        let mut rows = statement.query(params_from_iter(keys))?;
        while let Some(row) = rows.next()? {
            // A row without values is a tombstone.
            let Some(json) = bytes_of(row, 1)? else { continue };
            if visit(bytes_of(row, 0)?.unwrap_or_default(), json)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Number of live rows of a table.
    pub(crate) fn live_count(&self, table: &TableInfo) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM t_{} WHERE data IS NOT NULL", table.id);
        Ok(self.sql(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// At least the number of rows of a table, tombstones included, without counting them.
    pub(crate) fn row_bound(&self, table: &TableInfo) -> Result<u64> {
        let sql = format!("SELECT coalesce(max(rid), 0) FROM t_{}", table.id);
        Ok(self.sql(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Removes all rows; the tables stay.
    pub(crate) fn clear_rows(&self) -> Result<()> {
        self.touch_rows();
        for table in self.tables()? {
            self.conn().execute_batch(&format!("DELETE FROM t_{}", table.id))?;
        }
        Ok(())
    }

    /// Number of rows of all tables, tombstones included.
    pub(crate) fn row_count(&self) -> Result<u64> {
        let mut total = 0;
        for table in self.tables()? {
            let sql = format!("SELECT count(*) FROM t_{}", table.id);
            total += self.sql(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs();
        }
        Ok(total)
    }
}

/// The keys of a row in the columns of a table's indexed fields.
pub(super) fn field_keys(table: &TableInfo, state: &RowState) -> Vec<Option<Vec<u8>>> {
    table
        .fields
        .iter()
        .map(|field| state.cell(&field.name).and_then(|cell| key::of(cell.value.as_str().as_bytes())))
        .collect()
}
