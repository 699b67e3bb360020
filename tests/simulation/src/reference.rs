//! The join of all files of a mailbox, by the rules and not by the engine: what a fresh device must see.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use interocitor_core::InspectedRow;

use crate::{
    oracle::Place,
    wire::{Cell, Change, Codec, Hlc, Manifest, Op, Snapshot},
};

/// The state of a row: what its columns are, and the greatest delete clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The greatest delete clock.
    pub deleted: Option<Hlc>,
    /// Columns above it.
    pub cells: BTreeMap<String, Cell>,
}

impl Row {
    /// Every clock in it.
    pub fn clocks(&self) -> impl Iterator<Item = &Hlc> {
        self.cells.values().map(|cell| &cell.clock).chain(&self.deleted)
    }
}

/// Rows by table and id.
pub type Rows = BTreeMap<Place, Row>;

/// The state of a device's store.
pub fn rows_of(inspected: &[InspectedRow]) -> Rows {
    let clock = |clock: &interocitor_core::clock::Clock| {
        Hlc::parse(&clock.to_string()).unwrap_or(Hlc { ts: 0, counter: 0, node: String::new() })
    };
    let row = |row: &InspectedRow| {
        let cells = row.cells.iter().map(|(name, at, value)| {
            let value = serde_json::from_str(value.as_str()).unwrap_or_default();
            (name.to_string(), Cell { clock: clock(at), value })
        });
        let state = Row { deleted: row.deleted.as_ref().map(clock), cells: cells.collect() };
        ((row.table.to_string(), row.row_id.to_string()), state)
    };
    inspected.iter().map(row).collect()
}

/// What the files of a mailbox say.
#[derive(Debug)]
pub struct Join {
    /// The manifest in force.
    pub manifest: Manifest,
    /// The rows.
    pub rows: Rows,
}

impl Join {
    /// Joins everything.
    ///
    /// # Errors
    ///
    /// A file that is missing or not in form.
    pub fn of(files: &BTreeMap<String, Bytes>, codec: &Codec) -> Result<Self, String> {
        let manifest = Manifest::current(|path| files.get(path).cloned())
            .ok_or("the mailbox has no manifest in force".to_owned())?;
        let mut rows = Rows::new();
        let mut covered = BTreeSet::new();
        let mut floor = None;
        if let Some(path) = &manifest.snapshot_path {
            let body = files.get(path).ok_or_else(|| format!("the snapshot {path} is missing"))?;
            let snapshot = codec.open(body).and_then(|payload| Snapshot::read(&payload));
            let snapshot = snapshot.ok_or_else(|| format!("the snapshot {path} is not in form"))?;
            if snapshot.is_ours {
                covered.extend(snapshot.covered);
            }
            floor = Hlc::parse(&manifest.floor);
            snapshot.rows.iter().for_each(|op| apply(&mut rows, op, None));
        }
        for (path, body) in files.iter().filter(|(path, _)| path.contains("-chg_")) {
            if path.rsplit('/').next().is_some_and(|name| covered.contains(name)) {
                continue;
            }
            let change = codec.open(body).and_then(|payload| Change::read(&payload));
            let change = change.ok_or_else(|| format!("{path} is not in form"))?;
            change.ops.iter().for_each(|op| apply(&mut rows, op, floor.as_ref()));
        }
        for row in rows.values_mut() {
            if let Some(deleted) = row.deleted.clone() {
                row.cells.retain(|_, cell| cell.clock > deleted);
            }
        }
        Ok(Self { manifest, rows })
    }
}

fn apply(rows: &mut Rows, op: &Op, floor: Option<&Hlc>) {
    let place = (op.table.clone(), op.row.clone());
    let is_above = |clock: &Hlc| floor.is_none_or(|floor| clock > floor);
    let deleted = op.deleted.iter().filter(|clock| is_above(clock)).max();
    let cells: Vec<_> = op.cells.iter().filter(|(_, cell)| is_above(&cell.clock)).collect();
    let is_birth = op.cells.is_empty() && op.deleted.is_none();
    if deleted.is_none() && cells.is_empty() && !is_birth {
        return;
    }
    let row = rows.entry(place).or_default();
    row.deleted = row.deleted.take().max(deleted.cloned());
    for (name, cell) in cells {
        let is_greater = row.cells.get(name).is_none_or(|known| {
            (&cell.clock, cell.value.to_string()) > (&known.clock, known.value.to_string())
        });
        if is_greater {
            row.cells.insert(name.clone(), cell.clone());
        }
    }
}
