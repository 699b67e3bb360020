//! Rows as the JavaScript clients merge them: a resurrected row forgets when it was deleted.

use std::collections::BTreeMap;

use crate::{
    oracle::Place,
    wire::{Cell, Hlc, Op},
};

/// One row.
#[derive(Debug, Clone, Default)]
pub(super) struct JsRow {
    /// Set on a tombstone only.
    pub(super) deleted: Option<Hlc>,
    pub(super) cells: BTreeMap<String, Cell>,
}

/// A store, or a cache of one.
pub(super) type JsRows = BTreeMap<Place, JsRow>;

impl JsRow {
    /// Merges one operation by the rules of protocol.md 10, last writer wins.
    pub(super) fn merge(&mut self, op: &Op) {
        match &op.deleted {
            Some(clock) => self.delete(clock),
            None => self.upsert(&op.cells),
        }
    }

    fn delete(&mut self, clock: &Hlc) {
        let is_older = self.deleted.as_ref().is_some_and(|deleted| deleted >= clock);
        // A delete loses as a whole against a single newer column.
        if is_older || self.cells.values().any(|cell| cell.clock > *clock) {
            return;
        }
        self.deleted = Some(clock.clone());
        self.cells.clear();
    }

    fn upsert(&mut self, cells: &[(String, Cell)]) {
        if let Some(deleted) = self.deleted.clone() {
            let newer: Vec<_> = cells.iter().filter(|(_, cell)| cell.clock > deleted).collect();
            if newer.is_empty() {
                return;
            }
            self.deleted = None;
            self.cells = newer.into_iter().cloned().collect();
            return;
        }
        for (name, cell) in cells {
            if self.cells.get(name).is_none_or(|known| cell.clock > known.clock) {
                self.cells.insert(name.clone(), cell.clone());
            }
        }
    }

    /// The row as an operation: whole, as they all publish.
    pub(super) fn op(&self, place: &Place) -> Op {
        Op {
            table: place.0.clone(),
            row: place.1.clone(),
            cells: self.cells.iter().map(|(name, cell)| (name.clone(), cell.clone())).collect(),
            deleted: self.deleted.clone(),
        }
    }

    /// The greatest clock in it.
    pub(super) fn greatest(&self) -> Option<Hlc> {
        self.cells.values().map(|cell| &cell.clock).chain(&self.deleted).max().cloned()
    }
}
