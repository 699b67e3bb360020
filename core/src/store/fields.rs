//! Fields with an index: their key columns, kept in step with the declared schema.

use rusqlite::{ToSql, params, params_from_iter};

use super::{
    Tx,
    meta::signed,
    rows::{IndexedField, KeyRange, TableInfo, Text, bytes_of},
};
use crate::{
    error::Result,
    row::DamagedRow,
    value::{Name, key, scan::Cursor},
};

/// A field that the schema wants indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedField {
    pub(crate) table: Name,
    pub(crate) field: Name,
    pub(crate) is_unique: bool,
}

impl Tx<'_> {
    /// Number of keys in a range of a field, counted in its index alone and no further than `at_most`.
    pub(crate) fn count_keys(
        &self,
        table: &TableInfo,
        slot: i64,
        range: &KeyRange,
        at_most: u64,
    ) -> Result<u64> {
        let (condition, keys) = range.to_sql(slot);
        let at_most = signed(at_most);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM t_{} WHERE {condition} LIMIT ?)", table.id);
        let values = keys.into_iter().map(|key| key as &dyn ToSql).chain([&at_most as &dyn ToSql]);
        Ok(self.sql(&sql)?.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Makes the indexes those of `wanted` in the named tables: adds, drops, and repairs what is there
    /// but broken. Returns the number of tables where something was done.
    pub(crate) fn reconcile_fields(&self, tables: &[Name], wanted: &[WantedField]) -> Result<usize> {
        let mut changed = 0;
        for name in tables {
            let table = self.ensure_table(name)?;
            let wants: Vec<&WantedField> = wanted.iter().filter(|field| field.table == *name).collect();
            changed += usize::from(self.reconcile_table(&table, &wants)?);
        }
        Ok(changed)
    }

    fn reconcile_table(&self, table: &TableInfo, wants: &[&WantedField]) -> Result<bool> {
        let id = table.id;
        let columns =
            self.names("SELECT name FROM pragma_table_info(?1) WHERE name LIKE 'k\\_%' ESCAPE '\\'", id)?;
        let indexes =
            self.names("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1", id)?;
        let wish = |field: &IndexedField| wants.iter().find(|want| want.field == field.name);
        let (kept, gone): (Vec<&IndexedField>, Vec<&IndexedField>) = table
            .fields
            .iter()
            .partition(|field| wish(field).is_some() && columns.contains(&format!("k_{}", field.slot)));
        let mut changed = false;
        for field in gone {
            self.sql("DELETE FROM fields WHERE table_id = ?1 AND name = ?2")?
                .execute(params![id, Text(field.name.as_bytes())])?;
            changed = true;
        }
        for column in columns {
            let slot = column.trim_start_matches("k_");
            if !kept.iter().any(|field| field.slot.to_string() == slot) {
                // The column goes as well: what it holds must not outlive the rows it came from.
                self.conn().execute_batch(&format!(
                    "DROP INDEX IF EXISTS i_{id}_{slot}; ALTER TABLE t_{id} DROP COLUMN {column}"
                ))?;
                changed = true;
            }
        }
        for field in &kept {
            let is_unique = wish(field).is_some_and(|want| want.is_unique);
            if field.is_unique != is_unique {
                self.sql("UPDATE fields SET is_unique = ?3 WHERE table_id = ?1 AND name = ?2")?
                    .execute(params![id, Text(field.name.as_bytes()), is_unique])?;
                changed = true;
            }
        }
        let free = kept.iter().map(|field| field.slot + 1).max().unwrap_or(0);
        let added: Vec<IndexedField> = wants
            .iter()
            .filter(|want| !kept.iter().any(|field| field.name == want.field))
            .zip(free..)
            .map(|(want, slot)| IndexedField { name: want.field.clone(), slot, is_unique: want.is_unique })
            .collect();
        for IndexedField { name, slot, is_unique } in &added {
            self.sql("INSERT INTO fields VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                id,
                Text(name.as_bytes()),
                slot,
                is_unique
            ])?;
            self.conn().execute_batch(&format!("ALTER TABLE t_{id} ADD COLUMN k_{slot} BLOB"))?;
            changed = true;
        }
        self.fill_keys(table, &added)?;
        for field in kept.into_iter().chain(&added) {
            let index = format!("i_{id}_{}", field.slot);
            if !indexes.contains(&index) || changed {
                // After the fill: an index built in one go is smaller and faster than one grown row by row.
                self.conn().execute_batch(&format!(
                    "CREATE INDEX IF NOT EXISTS {index} ON t_{id}(k_{})",
                    field.slot
                ))?;
                changed = true;
            }
        }
        if changed {
            self.move_layout()?;
        }
        Ok(changed)
    }

    /// The first column of a query about a table's layout.
    fn names(&self, sql: &str, table: i64) -> Result<Vec<String>> {
        let mut statement = self.sql(sql)?;
        let names =
            statement.query_map([format!("t_{table}")], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    /// Computes the keys of new columns from the values of the rows.
    fn fill_keys(&self, table: &TableInfo, added: &[IndexedField]) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let sets: Vec<String> =
            added.iter().enumerate().map(|(at, field)| format!("k_{} = ?{}", field.slot, at + 2)).collect();
        let mut update =
            self.sql(&format!("UPDATE t_{} SET {} WHERE rid = ?1", table.id, sets.join(", ")))?;
        let mut select = self.sql(&format!("SELECT rid, data FROM t_{} ORDER BY rid", table.id))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let Some(json) = bytes_of(row, 1)? else { continue };
            let mut keys: Vec<Option<Vec<u8>>> = vec![None; added.len()];
            Cursor::new(json).object(|name, cursor| {
                let value = cursor.value()?;
                if let Some(at) = added.iter().position(|field| field.name.as_bytes() == &*name) {
                    keys[at] = key::of(value);
                }
                Ok::<_, DamagedRow>(())
            })?;
            if keys.iter().any(Option::is_some) {
                let rid: i64 = row.get(0)?;
                let mut values: Vec<&dyn ToSql> = vec![&rid];
                values.extend(keys.iter().map(|key| key as &dyn ToSql));
                update.execute(params_from_iter(values))?;
            }
        }
        Ok(())
    }
}

/// What tests look at and break behind the engine's back.
#[cfg(test)]
impl Tx<'_> {
    /// The keys of a field in the order of the rows' making.
    pub(crate) fn stored_keys(&self, table: &TableInfo, slot: i64) -> Result<Vec<Option<Vec<u8>>>> {
        let mut statement = self.sql(&format!("SELECT k_{slot} FROM t_{} ORDER BY rid", table.id))?;
        let keys = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(keys)
    }

    /// Names of a table's indexes on fields.
    pub(crate) fn stored_indexes(&self, table: &TableInfo) -> Result<Vec<String>> {
        self.names("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL ORDER BY name", table.id)
    }

    /// Runs any SQL.
    pub(crate) fn run_sql(&self, sql: &str) -> Result<()> {
        Ok(self.conn().execute_batch(sql)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::ops::Bound;

    use super::*;
    use crate::{
        clock::Clock,
        row::{Cell, RowState},
        store::{Durability, MemoryStore, Store, rows::Walk},
        value::Value,
    };

    fn row(values: &[(&str, &str)]) -> RowState {
        let clock = Clock { ts: 1, counter: 0, node: "n".into() };
        let cell = |(name, value): &(&str, &str)| Cell {
            name: (*name).into(),
            clock: clock.clone(),
            value: Value::parse(value).unwrap(),
        };
        RowState { deleted: None, cells: values.iter().map(cell).collect() }
    }

    fn wanted(fields: &[(&str, bool)]) -> Vec<WantedField> {
        let field = |(field, is_unique): &(&str, bool)| WantedField {
            table: "t".into(),
            field: (*field).into(),
            is_unique: *is_unique,
        };
        fields.iter().map(field).collect()
    }

    /// A table of four rows, one of them a tombstone.
    fn with_table(check: impl Fn(&Tx<'_>, &dyn Fn() -> Arc<TableInfo>) -> Result<()>) {
        let store = MemoryStore::new().unwrap();
        let store: &dyn Store = &store;
        store
            .write_with(Durability::Process, |tx| {
                let table = tx.ensure_table(&"t".into())?;
                tx.put_row(&table, &"a".into(), None, &row(&[("f", "1"), ("g", "\"x\"")]))?;
                tx.put_row(&table, &"b".into(), None, &row(&[("g", "\"x\""), ("f", "1.0")]))?;
                tx.put_row(&table, &"c".into(), None, &row(&[("f", "null")]))?;
                let deleted = Some(Clock { ts: 2, counter: 0, node: "n".into() });
                tx.put_row(&table, &"d".into(), None, &RowState { deleted, cells: Vec::new() })?;
                check(tx, &|| tx.table(&"t".into()).unwrap().unwrap())
            })
            .unwrap();
    }

    fn key(json: &str) -> Option<Vec<u8>> {
        key::of(json.as_bytes())
    }

    #[test]
    fn only_what_changed_is_touched() {
        with_table(|tx, table| {
            let reconcile =
                |fields: &[(&str, bool)]| tx.reconcile_fields(&["t".into()], &wanted(fields)).unwrap();
            assert_eq!((reconcile(&[("f", true)]), reconcile(&[("f", true)])), (1, 0));
            assert_eq!(tx.stored_keys(&table(), 0)?, [key("1"), key("1"), None, None]);
            // Unique is a matter of the catalog alone.
            assert_eq!(reconcile(&[("f", false)]), 1);
            assert!(!table().fields[0].is_unique);
            // A second field keeps the first, and the first can go without it.
            assert_eq!(reconcile(&[("g", true), ("f", false)]), 1);
            assert_eq!(tx.stored_keys(&table(), 1)?, [key("\"x\""), key("\"x\""), None, None]);
            assert_eq!(reconcile(&[("g", true)]), 1);
            assert_eq!(tx.stored_indexes(&table())?, ["i_1_1"]);
            assert_eq!(table().fields.iter().map(|field| field.slot).collect::<Vec<_>>(), [1]);
            tx.put_row(&table(), &"e".into(), None, &row(&[("g", "2")]))?;
            assert_eq!(tx.stored_keys(&table(), 1)?[4], key("2"));
            assert_eq!((reconcile(&[]), reconcile(&[])), (1, 0));
            assert!(tx.stored_indexes(&table())?.is_empty());
            Ok(())
        });
    }

    #[test]
    fn what_is_broken_is_mended() {
        with_table(|tx, table| {
            let reconcile =
                || tx.reconcile_fields(&["t".into()], &wanted(&[("f", false), ("g", false)])).unwrap();
            reconcile();
            for breakage in [
                "DROP INDEX i_1_0",
                "DROP INDEX i_1_1; ALTER TABLE t_1 DROP COLUMN k_1",
                "ALTER TABLE t_1 ADD COLUMN k_7 BLOB",
                "DELETE FROM fields WHERE slot = 0",
            ] {
                tx.run_sql(&format!("{breakage}; UPDATE engine SET layout = layout + 1"))?;
                tx.engine()?;
                assert_eq!((reconcile(), reconcile()), (1, 0), "{breakage}");
                let fields = table().fields.clone();
                assert_eq!((fields.len(), tx.stored_indexes(&table())?.len()), (2, 2), "{breakage}");
                let slot = |name: &str| fields.iter().find(|field| field.name == name.into()).unwrap().slot;
                assert_eq!(tx.stored_keys(&table(), slot("f"))?[..2], [key("1"), key("1")], "{breakage}");
                assert_eq!(
                    tx.stored_keys(&table(), slot("g"))?[..2],
                    [key("\"x\""), key("\"x\"")],
                    "{breakage}"
                );
            }
            Ok(())
        });
    }

    #[test]
    fn sqlite_takes_the_index() {
        with_table(|tx, table| {
            tx.reconcile_fields(&["t".into()], &wanted(&[("f", false)]))?;
            let table = table();
            let (low, high) = (Bound::Included(key("0").unwrap()), Bound::Excluded(key("9").unwrap()));
            let exact = KeyRange::exactly(key("1").unwrap());
            let (from, range) =
                (KeyRange { low: low.clone(), high: Bound::Unbounded }, KeyRange { low, high });
            let by_key = |range, is_descending| Walk::ByKey { slot: 0, range, is_descending };
            for (walk, wanted) in [
                (Walk::Made, "SCAN t_1"),
                (Walk::ById, "SCAN t_1 USING INDEX sqlite_autoindex_t_1_1"),
                (Walk::Keys { slot: 0, range: &exact }, "SEARCH t_1 USING INDEX i_1_0 (k_0=?)"),
                (Walk::Keys { slot: 0, range: &from }, "SEARCH t_1 USING INDEX i_1_0 (k_0>?)"),
                (Walk::Keys { slot: 0, range: &range }, "SEARCH t_1 USING INDEX i_1_0 (k_0>? AND k_0<?)"),
                (by_key(None, false), "SCAN t_1 USING INDEX i_1_0"),
                (by_key(None, true), "SCAN t_1 USING INDEX i_1_0"),
                (by_key(Some(&range), true), "SEARCH t_1 USING INDEX i_1_0 (k_0>? AND k_0<?)"),
            ] {
                let (sql, keys) = walk.to_sql(&table);
                let mut statement = tx.sql(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = statement.query_map(params_from_iter(keys), |row| row.get::<_, String>(3))?;
                assert_eq!(steps.collect::<Result<Vec<_>, _>>()?, [wanted], "{sql}");
            }
            for (range, at_most, wanted) in
                [(&exact, 9, 2), (&exact, 1, 1), (&from, 9, 2), (&range, 9, 2), (&range, 0, 0)]
            {
                assert_eq!(tx.count_keys(&table, 0, range, at_most)?, wanted);
            }
            assert_eq!((tx.live_count(&table)?, tx.row_bound(&table)?), (3, 4));
            Ok(())
        });
    }
}
