//! Stale work: what was written here, never published, and is at or below a floor that was adopted, where
//! everybody else takes the snapshot for the state.

use std::collections::{HashMap, HashSet};

use super::Context;
use crate::{
    clock::Clock,
    error::Result,
    events::Event,
    local::{Fields, RowWrite, Write},
    row::RowState,
    store::{
        Tx,
        meta::EngineState,
        outbox::{Binding, Queued},
    },
    value::Name,
    wire::{coverage::Frontier, layout::change_name},
};

/// A row by table and id.
pub(super) type Place = (Name, Name);

/// The rows that unpublished work is about, and what an adopted snapshot says of them.
#[derive(Debug, Default)]
pub(super) struct Awaited(HashMap<Place, Option<RowState>>);

impl Awaited {
    /// Everything in the outbox.
    pub(super) fn of(tx: &Tx<'_>) -> Result<Self> {
        let mut places = HashMap::new();
        for record in tx.all_records()? {
            for Queued { op, .. } in tx.record_ops(record)? {
                places.insert((op.table, op.row_id), None);
            }
        }
        Ok(Self(places))
    }

    /// Notes a row of the snapshot.
    pub(super) fn meet(&mut self, table: &Name, row_id: &Name, state: &RowState) {
        if self.0.is_empty() {
            return;
        }
        if let Some(known) = self.0.get_mut(&(table.clone(), row_id.clone())) {
            *known = Some(state.clone());
        }
    }
}

/// Removes records that the snapshot holds already: their upload arrived, and only the answer was lost.
pub(super) fn confirm_covered(
    ctx: &Context,
    tx: &Tx<'_>,
    covered: &[String],
    frontiers: &[Frontier],
) -> Result<()> {
    let device = ctx.device_id();
    let read = frontiers.iter().find(|known| known.device == *device && known.install == ctx.install);
    let covered: HashSet<&str> = covered.iter().map(String::as_str).collect();
    for (record, Binding { id, clock, seq }) in tx.bound_records()? {
        let name = change_name(&clock.to_string(), &id);
        if covered.contains(name.as_str())
            || read.is_some_and(|read| seq <= read.upto || read.ahead.contains(&seq))
        {
            tx.add_receipt(&name)?;
            tx.remove_record(record)?;
        }
    }
    Ok(())
}

/// What became of stale work.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// To be written once more, under fresh clocks.
    pub(super) again: Vec<RowWrite>,
    /// Rows that are gone for everybody else.
    pub(super) gone: Vec<Place>,
    pub(super) notices: Vec<Event>,
}

/// Decides about all unpublished work after the floor rose: a row that the snapshot has, or that nobody else ever
/// knew, is written again; a row that the others knew and that is gone was deleted, and the work on it is put aside.
/// `is_expired`: the mesh did not wait for this device any more.
pub(super) fn settle(
    tx: &Tx<'_>,
    engine: &mut EngineState,
    floor: &Clock,
    awaited: &Awaited,
    is_expired: bool,
    now_ms: u64,
) -> Result<Settled> {
    // What is put aside must not be joined by later writes of its batch.
    engine.open_batch = None;
    let records = tx.all_records()?;
    let mut born: HashSet<Place> = HashSet::new();
    for record in &records {
        for Queued { op, is_new } in tx.record_ops(*record)? {
            if is_new {
                born.insert((op.table, op.row_id));
            }
        }
    }
    let mut settled = Settled::default();
    for record in records {
        let (mut kept, mut aside) = (Vec::new(), Vec::new());
        for queued in tx.record_ops(record)? {
            let place = (queued.op.table.clone(), queued.op.row_id.clone());
            let snapshot = awaited.0.get(&place).and_then(Option::as_ref);
            let is_known = snapshot.is_none() && !born.contains(&place);
            if is_known && is_touched(&queued.op.state, floor, is_expired) {
                aside.push(queued);
                continue;
            }
            settled.again.extend(rewrite(&place, &queued.op.state, snapshot, floor));
            kept.push(queued);
        }
        if aside.is_empty() {
            continue;
        }
        for Queued { op, .. } in aside {
            if !op.state.cells.is_empty() {
                tx.add_stale(&op.table, &op.row_id, &op.state, now_ms)?;
                settled.notices.push(Event::WriteQuarantined {
                    table: op.table.to_string(),
                    row_id: op.row_id.to_string(),
                });
            }
            settled.gone.push((op.table, op.row_id));
        }
        tx.rewrite_record(record, &kept)?;
    }
    Ok(settled)
}

/// Whether work on a row that is gone depends on what is gone: anything at or below the floor, and everything of
/// a device that was away for too long to have seen the deletion.
fn is_touched(state: &RowState, floor: &Clock, is_expired: bool) -> bool {
    is_expired || state.cells.iter().map(|cell| &cell.clock).chain(&state.deleted).any(|clock| clock <= floor)
}

/// The part of an operation at or below the floor that beats what the snapshot says of its row.
fn rewrite(place: &Place, state: &RowState, snapshot: Option<&RowState>, floor: &Clock) -> Option<RowWrite> {
    let (table, row_id) = place.clone();
    let beats = |known: Option<&Clock>, clock: &Clock| known.is_none_or(|known| known < clock);
    let fields: Fields = state
        .cells
        .iter()
        .filter(|cell| cell.clock <= *floor)
        .filter(|cell| {
            snapshot.is_none_or(|row| {
                let known = row.cell(&cell.name).map(|known| &known.clock);
                beats(row.deleted.as_ref(), &cell.clock) && beats(known, &cell.clock)
            })
        })
        .map(|cell| (cell.name.clone(), cell.value.clone()))
        .collect();
    if !fields.is_empty() {
        return Some(RowWrite { table, row_id, write: Write::Put(fields) });
    }
    let deleted = state.deleted.as_ref().filter(|deleted| state.cells.is_empty() && *deleted <= floor)?;
    let row = snapshot?;
    let wins = !row.cells.is_empty() && row.cells.iter().all(|cell| cell.clock <= *deleted);
    wins.then_some(RowWrite { table, row_id, write: Write::Delete })
}
