//! What a process that will be killed writes, and what must be there after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::sim::Rng;

/// Rows that are written again and again.
const ROWS: usize = 12;

/// Writes of a large batch.
const LARGE: usize = 150;

/// Columns of every row.
const COLUMNS: [&str; 4] = ["a", "b", "c", "d"];

/// The column that only the other device writes.
pub(crate) const FOREIGN: &str = "p";

/// One call of the API: everything in it is stored, or nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Greater than every one before, also of the processes before.
    pub(crate) number: u64,
    /// Whether it is an explicit batch; otherwise there is one write.
    pub(crate) is_batch: bool,
    pub(crate) writes: Vec<Write>,
}

/// One write to one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) row: String,
    pub(crate) kind: Kind,
    pub(crate) columns: BTreeMap<String, Cell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Put,
    Replace,
    Delete,
}

/// A value that is unlike every other one; some are long, so that files take time to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    number: u64,
    padding: usize,
}

impl Cell {
    fn value(self) -> Value {
        json!(format!("{}{}", self.number, ".".repeat(self.padding)))
    }
}

impl Write {
    fn new(row: String, kind: Kind) -> Self {
        Self { row, kind, columns: BTreeMap::new() }
    }

    /// The row as the API takes it.
    pub(crate) fn fields(&self) -> Value {
        self.columns.iter().map(|(name, cell)| (name.clone(), cell.value())).collect()
    }
}

impl Step {
    /// Whether it takes so long that a kill may well come in the middle of it.
    pub(crate) fn is_large(&self) -> bool {
        self.writes.len() >= LARGE
    }

    /// The next step of a process; `large` of a hundred are large batches.
    pub(crate) fn draw(rng: &mut Rng, number: u64, large: usize) -> Self {
        if rng.chance(large) {
            // The same rows each time: the mesh stays small, and half a batch shows.
            let write = |at: usize| Write {
                row: format!("l{at}"),
                kind: Kind::Put,
                columns: BTreeMap::from([(COLUMNS[0].to_owned(), Cell { number, padding: 40 })]),
            };
            return Self { number, is_batch: true, writes: (0..LARGE).map(write).collect() };
        }
        let fill = |rng: &mut Rng, write: &mut Write| {
            for _ in 0..=rng.below(2) {
                // A long value only where the next one takes its place: the mesh must stay small.
                let padding =
                    if write.row.starts_with('r') && rng.chance(2) { rng.below(200_000) } else { 0 };
                write.columns.insert(COLUMNS[rng.below(4)].into(), Cell { number, padding });
            }
        };
        let row = |rng: &mut Rng| format!("r{}", rng.below(ROWS));
        // Most rows are written once: no later write can hide that one was lost.
        let single = |rng: &mut Rng| {
            let mut write = match rng.below(10) {
                0..=4 => Write::new(format!("n{number}"), Kind::Put),
                5 | 6 => Write::new(row(rng), Kind::Put),
                7 => Write::new(row(rng), Kind::Replace),
                8 => return Write::new(row(rng), Kind::Delete),
                _ => {
                    return Write::new(
                        format!("n{}", number.saturating_sub(1 + rng.next() % 9)),
                        Kind::Delete,
                    );
                }
            };
            fill(rng, &mut write);
            write
        };
        if rng.chance(80) {
            return Self { number, is_batch: false, writes: vec![single(rng)] };
        }
        let mut writes = Vec::new();
        for part in 0..2 + rng.below(8) {
            let mut write = Write::new(format!("b{number}-{part}"), Kind::Put);
            fill(rng, &mut write);
            writes.push(write);
        }
        writes.push(single(rng));
        Self { number, is_batch: true, writes }
    }
}

/// The rows of one writer as they must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    rows: BTreeMap<String, BTreeMap<String, Option<Cell>>>,
}

impl Model {
    pub(crate) fn apply(&mut self, step: &Step) {
        for write in &step.writes {
            let row = self.rows.entry(write.row.clone()).or_default();
            match write.kind {
                Kind::Put => {}
                Kind::Replace => row.values_mut().for_each(|cell| *cell = None),
                Kind::Delete => row.clear(),
            }
            row.extend(write.columns.iter().map(|(name, cell)| (name.clone(), Some(*cell))));
        }
    }

    /// What differs between these rows and those of a dump, as a few words a row; the column of the other
    /// device does not count, and a row without columns is as good as none.
    pub(crate) fn differences(&self, dumped: &Value) -> Vec<String> {
        let mut wanted: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for (id, row) in &self.rows {
            let row = row.iter().map(|(name, cell)| (name.as_str(), cell.map_or(Value::Null, Cell::value)));
            wanted.insert(id, row.collect());
        }
        let mut found: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for (id, row) in dumped.as_object().into_iter().flatten() {
            let own = row.as_object().into_iter().flatten().filter(|(name, _)| *name != FOREIGN);
            found.insert(id, own.map(|(name, value)| (name.as_str(), value.clone())).collect());
        }
        wanted.retain(|_, row| !row.is_empty());
        found.retain(|_, row| !row.is_empty());
        let mut ids: Vec<&str> = wanted.keys().chain(found.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let differing = ids.into_iter().filter(|id| wanted.get(id) != found.get(id));
        differing
            .map(|id| format!("{id}: {} instead of {}", brief(found.get(id)), brief(wanted.get(id))))
            .collect()
    }
}

/// A row without the padding of its values.
fn brief(row: Option<&BTreeMap<&str, Value>>) -> String {
    let Some(row) = row else { return "no row".into() };
    let cell = |value: &Value| {
        value.as_str().map_or_else(|| value.to_string(), |text| text.trim_end_matches('.').to_owned())
    };
    let cells: Vec<String> = row.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
    cells.join(" ")
}
