//! Local writes: an app's fields become columns under fresh clocks, in the same transaction as their
//! outbox record.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::{
    clock::Clock,
    error::{Error, Result},
    row::{Cell, RowState},
    store::{
        Tx,
        meta::EngineState,
        outbox::{Known, OpWriter},
        rows::TableInfo,
    },
    value::{
        MAX_DEPTH, MAX_VALUE_BYTES, Name, Value, key,
        scan::{self, Cursor, ScanError},
    },
};

/// Longest name of a table, row or field in a local write, in bytes.
const MAX_NAME_BYTES: usize = 64 * 1024;

/// Columns and their values, as an app gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<(Name, Value)>);

impl Fields {
    /// Reads a JSON object. Of equal keys the last counts.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the text is no JSON object, `LIMIT` for values nested deeper than
    /// [`MAX_DEPTH`] or longer than [`MAX_VALUE_BYTES`], and for names over 64 KiB.
    pub fn from_json(json: &str) -> Result<Self> {
        let mut fields: Vec<(Name, Value)> = Vec::new();
        let mut places: BTreeMap<Name, usize> = BTreeMap::new();
        let mut cursor = Cursor::new(json.as_bytes());
        let read = cursor.object(|name, cursor| {
            let name = Name::from_wtf8(&name);
            let value = Value::from_raw(cursor.value()?);
            match places.get(&name) {
                Some(place) => fields[*place].1 = value,
                None => {
                    places.insert(name.clone(), fields.len());
                    fields.push((name, value));
                }
            }
            Ok::<_, ScanError>(())
        });
        read.and_then(|()| cursor.end())
            .map_err(|error| Error::invalid("row", format!("not a JSON object: {error}")))?;
        for (name, value) in &fields {
            check_name("a field name", name)?;
            let text = value.as_str().as_bytes();
            check_limit("a value", text.len(), MAX_VALUE_BYTES)?;
            check_limit("the nesting of a value", scan::depth(text), MAX_DEPTH)?;
        }
        Ok(Self(fields))
    }

    /// The JSON object that `value` serialises to.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), and `INVALID_ARGUMENT` where serialising fails.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let json = serde_json::to_string(value).map_err(|error| Error::invalid("row", error.to_string()))?;
        Self::from_json(&json)
    }

    /// The columns in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn single(name: Name, value: Value) -> Self {
        Self(vec![(name, value)])
    }
}

impl FromIterator<(Name, Value)> for Fields {
    /// For columns that are known to differ.
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

/// What an app gives as the columns of a row: a reference to anything that serialises to a JSON object, or
/// ready [`Fields`].
pub trait IntoFields {
    /// The columns.
    ///
    /// # Errors
    ///
    /// Those of [`Fields::from_json`].
    fn into_fields(self) -> Result<Fields>;
}

impl IntoFields for Fields {
    fn into_fields(self) -> Result<Fields> {
        Ok(self)
    }
}

impl<T: Serialize + ?Sized> IntoFields for &T {
    fn into_fields(self) -> Result<Fields> {
        Fields::from_serialize(self)
    }
}

pub(crate) fn check_name(what: &'static str, name: &Name) -> Result<()> {
    check_limit(what, name.as_bytes().len(), MAX_NAME_BYTES)
}

fn check_limit(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit {
        return Err(Error::Limit { what, actual: actual as u64, limit: limit as u64 });
    }
    Ok(())
}

/// What is done to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// Sets the given columns; a missing or deleted row comes (back) to life with them.
    Put(Fields),
    /// Sets the given columns and every other one to null.
    Replace(Fields),
    /// Deletes the row; nothing where it does not live.
    Delete,
}

/// One write to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowWrite {
    pub(crate) table: Name,
    pub(crate) row_id: Name,
    pub(crate) write: Write,
}

/// Which rows changed, by table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changes(pub(crate) BTreeMap<Name, TableChanges>);

/// The changed rows of one table, and whether each of them lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TableChanges(HashMap<Name, bool>);

impl TableChanges {
    /// Rows with new values, or those that no longer live, in order.
    pub(crate) fn rows(&self, is_live: bool) -> Vec<&Name> {
        let mut rows: Vec<&Name> =
            self.0.iter().filter(|(_, lives)| **lives == is_live).map(|(row_id, _)| row_id).collect();
        rows.sort_unstable();
        rows
    }
}

impl Changes {
    /// Notes the outcome of a write or merge of one row.
    pub(crate) fn note(&mut self, table: &Name, row_id: &Name, is_live: bool) {
        let here = match self.0.get_mut(table) {
            Some(here) => here,
            None => self.0.entry(table.clone()).or_default(),
        };
        here.0.insert(row_id.clone(), is_live);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|table| table.0.len()).sum()
    }

    /// Adds what `later` says on top.
    pub(crate) fn extend(&mut self, later: Changes) {
        for (table, rows) in later.0 {
            self.0.entry(table).or_default().0.extend(rows.0);
        }
    }
}

/// Who writes, and what is published of it.
#[derive(Debug, Clone)]
pub(crate) struct Writer<'a> {
    pub(crate) node: &'a Name,
    pub(crate) now_ms: u64,
    /// Whole rows travel, or only the columns of each write.
    pub(crate) full_rows: bool,
}

/// Applies writes to the rows as they are now; gives what changed and what to publish.
pub(crate) fn apply(
    tx: &Tx<'_>,
    engine: &mut EngineState,
    writer: &Writer<'_>,
    writes: &[RowWrite],
) -> Result<(Changes, OpWriter)> {
    let mut changes = Changes::default();
    let mut ops = OpWriter::default();
    for RowWrite { table, row_id, write } in writes {
        // A delete makes no table.
        let table = match write {
            Write::Delete => tx.table(table)?,
            _ => Some(tx.ensure_table(table)?),
        };
        let Some(table) = table else { continue };
        let stored = tx.row(&table, row_id)?;
        let rid = stored.as_ref().map(|stored| stored.rid);
        let known = stored.map(|stored| stored.state);
        let by_whom = match &known {
            None => Known::Nowhere,
            Some(row) if row.is_of(writer.node) => Known::Here,
            Some(_) => Known::Elsewhere,
        };
        let Some(written) = write_row(engine, writer, known, write) else { continue };
        check_unique(tx, &table, row_id, &written)?;
        tx.put_row(&table, row_id, rid, &written.state)?;
        changes.note(&table.name, row_id, written.state.is_live());
        if writer.full_rows {
            ops.push(&table.name, row_id, &written.state, by_whom);
        } else {
            ops.push(&table.name, row_id, &written.changed_only(), by_whom);
        }
    }
    Ok((changes, ops))
}

/// A row as it would be after writes that are not committed.
pub(crate) fn preview(mut state: Option<RowState>, writes: &[&Write]) -> Option<RowState> {
    // The clocks are thrown away; from the greatest on, they only have to be valid.
    let node = Name::from("preview");
    let mut engine = EngineState::default();
    let writer = Writer { node: &node, now_ms: 0, full_rows: true };
    for write in writes {
        if let Some(written) = write_row(&mut engine, &writer, state.clone(), write) {
            state = Some(written.state);
        }
    }
    state
}

/// A row after a write.
struct Written {
    state: RowState,
    /// The clock of the write; nothing for the birth of an empty row.
    clock: Option<Clock>,
}

impl Written {
    fn changed_only(&self) -> RowState {
        let changed = self.state.cells.iter().filter(|cell| Some(&cell.clock) == self.clock.as_ref());
        RowState { deleted: self.state.deleted.clone(), cells: changed.cloned().collect() }
    }
}

fn write_row(
    engine: &mut EngineState,
    writer: &Writer<'_>,
    known: Option<RowState>,
    write: &Write,
) -> Option<Written> {
    let exists = known.is_some();
    let mut state = known.unwrap_or_default();
    let (fields, rest) = match write {
        Write::Delete => {
            if !exists || !state.is_live() {
                return None;
            }
            let beat = state.cells.iter().map(|cell| &cell.clock).chain(&state.deleted).chain(&engine.floor);
            let clock = engine.clock.issue(writer.now_ms, writer.node, beat);
            state.cells.clear();
            state.deleted = Some(clock.clone());
            return Some(Written { state, clock: Some(clock) });
        }
        Write::Put(fields) => (fields, Vec::new()),
        Write::Replace(fields) => {
            let given: BTreeSet<&Name> = fields.0.iter().map(|(name, _)| name).collect();
            let rest = state.cells.iter().map(|cell| &cell.name).filter(|name| !given.contains(name));
            (fields, rest.cloned().collect())
        }
    };
    if fields.is_empty() && rest.is_empty() {
        // A row without columns can be born, but nothing else can happen to it.
        return (!exists).then_some(Written { state, clock: None });
    }
    let positions = state.positions();
    let touched = fields.0.iter().map(|(name, _)| name).chain(&rest);
    let beat = touched.filter_map(|name| positions.get(name)).map(|at| &state.cells[*at].clock);
    let clock =
        engine.clock.issue(writer.now_ms, writer.node, beat.chain(&state.deleted).chain(&engine.floor));
    let nulls = rest.into_iter().map(|name| (name, Value::null()));
    for (name, value) in fields.0.iter().cloned().chain(nulls) {
        let cell = Cell { clock: clock.clone(), value, name };
        match positions.get(&cell.name) {
            Some(at) => state.cells[*at] = cell,
            None => state.cells.push(cell),
        }
    }
    Some(Written { state, clock: Some(clock) })
}

/// Unique holds for what this device writes; a peer's duplicate is stored and stays.
fn check_unique(tx: &Tx<'_>, table: &TableInfo, row_id: &Name, written: &Written) -> Result<()> {
    for field in table.fields.iter().filter(|field| field.is_unique) {
        let cell = written.state.cell(&field.name).filter(|cell| Some(&cell.clock) == written.clock.as_ref());
        let Some(key) = cell.and_then(|cell| key::of(cell.value.as_str().as_bytes())) else { continue };
        if tx.holder(table, field.slot, &key, row_id)? {
            return Err(Error::UniqueViolation {
                table: table.name.to_string(),
                field: field.name.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, MemoryStore, Store, fields::WantedField};

    fn write(store: &dyn Store, now_ms: u64, writes: &[RowWrite]) -> Result<(Changes, bool)> {
        let node = Name::from("me");
        store.write_with(Durability::Process, |tx| {
            let mut engine = tx.engine()?;
            let writer = Writer { node: &node, now_ms, full_rows: false };
            let (changes, ops) = apply(tx, &mut engine, &writer, writes)?;
            tx.set_engine(&engine)?;
            Ok((changes, ops.is_empty()))
        })
    }

    fn on(row_id: &str, write: Write) -> RowWrite {
        RowWrite { table: "t".into(), row_id: row_id.into(), write }
    }

    fn put(json: &str) -> Write {
        Write::Put(Fields::from_json(json).unwrap())
    }

    fn json(store: &dyn Store, row_id: &str) -> Option<String> {
        store
            .read_with(|tx| {
                let Some(table) = tx.table(&"t".into())? else { return Ok(None) };
                tx.row_json(&table, &row_id.into())
            })
            .unwrap()
    }

    #[test]
    fn the_life_of_a_row() {
        let store: &dyn Store = &MemoryStore::new().unwrap();
        assert!(write(store, 1, &[on("r", Write::Delete)]).unwrap().1, "an unknown row is not deleted");
        write(store, 1, &[on("r", put(r#"{"a":1,"b":2}"#)), on("r", put(r#"{"b":3}"#))]).unwrap();
        assert_eq!(json(store, "r").unwrap(), r#"{"a":1,"b":3}"#);
        write(store, 1, &[on("r", Write::Replace(Fields::from_json(r#"{"c":4}"#).unwrap()))]).unwrap();
        assert_eq!(json(store, "r").unwrap(), r#"{"a":null,"b":null,"c":4}"#);
        let (changes, _) = write(store, 1, &[on("r", Write::Delete)]).unwrap();
        assert_eq!(changes.0[&"t".into()].rows(false).len(), 1);
        assert_eq!(json(store, "r"), None);
        assert!(write(store, 1, &[on("r", Write::Delete)]).unwrap().1, "a second delete is nothing");
        assert!(write(store, 1, &[on("r", put("{}"))]).unwrap().1, "nothing is set: it stays deleted");
        write(store, 1, &[on("r", put(r#"{"z":0}"#))]).unwrap();
        assert_eq!(json(store, "r").unwrap(), r#"{"z":0}"#, "a resurrection starts afresh");
        write(store, 1, &[on("e", put("{}"))]).unwrap();
        assert_eq!(json(store, "e").unwrap(), "{}");
    }

    #[test]
    fn a_write_beats_a_row_from_the_future_and_the_device_clock_stays() {
        let store: &dyn Store = &MemoryStore::new().unwrap();
        let far: Clock = "999999999999999-ffff-z".parse().unwrap();
        store
            .write_with(Durability::Process, |tx| {
                let table = tx.ensure_table(&"t".into())?;
                let cells = vec![Cell { name: "a".into(), clock: far.clone(), value: Value::null() }];
                tx.put_row(&table, &"r".into(), None, &RowState { deleted: None, cells })
            })
            .unwrap();
        for wanted in ["1", "2"] {
            write(store, 1000, &[on("r", put(&format!("{{\"a\":{wanted}}}")))]).unwrap();
            store
                .read_with(|tx| {
                    let row = tx.row(&tx.table(&"t".into())?.unwrap(), &"r".into())?.unwrap();
                    assert!(row.state.cells[0].clock > far);
                    assert_eq!(row.state.cells[0].value.as_str(), wanted);
                    assert!(tx.engine()?.clock.ts <= 1000);
                    Ok(())
                })
                .unwrap();
        }
    }

    #[test]
    fn unique_is_checked_against_other_live_rows() {
        let store: &dyn Store = &MemoryStore::new().unwrap();
        let wanted = [WantedField { table: "t".into(), field: "u".into(), is_unique: true }];
        store.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted)).unwrap();
        write(store, 1, &[on("a", put(r#"{"u":"x"}"#))]).unwrap();
        assert!(matches!(
            write(store, 1, &[on("b", put(r#"{"u":"x"}"#))]),
            Err(Error::UniqueViolation { .. })
        ));
        assert_eq!(json(store, "b"), None);
        write(store, 1, &[on("a", put(r#"{"u":"x","v":1}"#)), on("b", put(r#"{"u":null}"#))]).unwrap();
        write(store, 1, &[on("a", Write::Delete), on("b", put(r#"{"u":"x"}"#))]).unwrap();
        let both = [on("c", put(r#"{"u":1}"#)), on("d", put(r#"{"u":1.0}"#))];
        assert!(
            matches!(write(store, 1, &both), Err(Error::UniqueViolation { .. })),
            "also within one batch"
        );
        assert_eq!(json(store, "c"), None);
    }

    #[test]
    fn limits_and_nonsense() {
        for text in ["", "[]", "1", "{", "{\"a\":}", "{\"a\":1}x"] {
            assert!(matches!(Fields::from_json(text), Err(Error::InvalidArgument { .. })), "{text}");
        }
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Fields::from_json(&nested(200)).is_ok());
        assert!(matches!(Fields::from_json(&nested(MAX_DEPTH + 1)), Err(Error::Limit { .. })));
        let long = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        assert!(Fields::from_json(&long(MAX_VALUE_BYTES - 2)).is_ok());
        assert!(matches!(Fields::from_json(&long(MAX_VALUE_BYTES)), Err(Error::Limit { .. })));
        let name = format!("{{\"{}\":1}}", "n".repeat(MAX_NAME_BYTES + 1));
        assert!(matches!(Fields::from_json(&name), Err(Error::Limit { .. })));
        assert_eq!(
            Fields::from_json(r#"{"a":1,"b":2,"a":3}"#).unwrap(),
            Fields::from_json(r#"{"a":3,"b":2}"#).unwrap()
        );
    }

    #[test]
    fn changes_keep_the_last_word() {
        let mut changes = Changes::default();
        let (table, row) = (Name::from("t"), Name::from("r"));
        changes.note(&table, &row, true);
        let mut later = Changes::default();
        later.note(&table, &row, false);
        changes.extend(later);
        assert_eq!((changes.len(), changes.0[&table].rows(true).len()), (1, 0));
    }
}
