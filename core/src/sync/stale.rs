//! Stale work: what was written here, never published, and is at or below a floor that was adopted, where
//! everybody else takes the snapshot for the state.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Context;
use crate::{
    clock::Clock,
    error::Result,
    events::Event,
    local::{Fields, RowWrite, Write},
    merge,
    row::{Cell, RowState},
    store::{
        Tx,
        meta::EngineState,
        outbox::{Binding, Queued},
    },
    value::{Name, Value},
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

/// Whether anything waits at or below a floor that is not adopted here: nobody would take it for news.
pub(super) fn is_waiting_below(tx: &Tx<'_>, floor: &Clock) -> Result<bool> {
    if tx.floor()?.is_some_and(|known| known >= *floor) {
        return Ok(false);
    }
    for record in tx.all_records()? {
        for Queued { op, .. } in tx.record_ops(record)? {
            // A row that is published whole holds older columns of others, too.
            let clocks = op.state.cells.iter().map(|cell| &cell.clock).chain(&op.state.deleted);
            if clocks.max().is_some_and(|newest| newest <= floor) {
                return Ok(true);
            }
        }
    }
    Ok(false)
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

/// All unpublished work on one row.
#[derive(Debug, Default)]
struct Work {
    state: RowState,
    /// The row was made by it: nobody else can know it.
    is_new: bool,
}

/// Decides about all unpublished work after the floor rose: a row that the snapshot has, or that nobody else ever
/// knew, is written again; a row that the others knew and that is gone was deleted, and the work on it is put aside.
/// `too_late` tells of rows that lost what they were here, on a device that the mesh did not wait for any more.
pub(super) fn settle(
    tx: &Tx<'_>,
    engine: &mut EngineState,
    floor: &Clock,
    awaited: &Awaited,
    too_late: &dyn Fn(&Place) -> bool,
    now_ms: u64,
) -> Result<Settled> {
    // What is put aside must not be joined by later writes of its batch.
    engine.open_batch = None;
    let records = tx.all_records()?;
    let mut work: BTreeMap<Place, Work> = BTreeMap::new();
    for record in &records {
        for Queued { op, is_new } in tx.record_ops(*record)? {
            let known = work.entry((op.table, op.row_id)).or_default();
            merge::join(&mut known.state, op.state, &|_| false);
            known.is_new |= is_new;
        }
    }
    let mut settled = Settled::default();
    for (place, work) in work {
        let snapshot = awaited.0.get(&place).and_then(Option::as_ref);
        let is_touched = too_late(&place) || is_below(&work.state, floor);
        if snapshot.is_some() || work.is_new || !is_touched {
            settled.again.extend(rewrite(&place, &work.state, snapshot, floor));
            continue;
        }
        let (table, row_id) = &place;
        if !work.state.cells.is_empty() {
            tx.add_stale(table, row_id, &work.state, now_ms)?;
            settled
                .notices
                .push(Event::WriteQuarantined { table: table.to_string(), row_id: row_id.to_string() });
        }
        settled.gone.push(place);
    }
    if settled.gone.is_empty() {
        return Ok(settled);
    }
    let gone: HashSet<&Place> = settled.gone.iter().collect();
    for record in records {
        let ops = tx.record_ops(record)?;
        let count = ops.len();
        let kept: Vec<Queued> = ops
            .into_iter()
            .filter(|queued| !gone.contains(&(queued.op.table.clone(), queued.op.row_id.clone())))
            .collect();
        if kept.len() < count {
            tx.rewrite_record(record, &kept)?;
        }
    }
    Ok(settled)
}

/// Whether work builds on what stood at or below the floor: on columns of the row as it was, and not on its deletion,
/// which was seen where the row was brought back.
fn is_below(state: &RowState, floor: &Clock) -> bool {
    match &state.deleted {
        Some(deleted) if state.cells.is_empty() => deleted <= floor,
        _ => state.cells.iter().any(|cell| cell.clock <= *floor),
    }
}

/// The part of the work on a row at or below the floor that beats what the snapshot says of the row.
fn rewrite(place: &Place, state: &RowState, snapshot: Option<&RowState>, floor: &Clock) -> Option<RowWrite> {
    let (table, row_id) = place.clone();
    let beats = |known: Option<&Clock>, clock: &Clock| known.is_none_or(|known| known < clock);
    let wins = |cell: &&Cell| {
        snapshot.is_none_or(|row| {
            let known = row.cell(&cell.name).map(|known| &known.clock);
            beats(row.deleted.as_ref(), &cell.clock) && beats(known, &cell.clock)
        })
    };
    let late = state.cells.iter().filter(|cell| cell.clock <= *floor).filter(wins);
    let mut fields: Vec<(Name, Value)> = late.map(|cell| (cell.name.clone(), cell.value.clone())).collect();
    // What a late delete of ours erases of the snapshot's row.
    if let (Some(deleted), Some(row)) = (state.deleted.as_ref().filter(|deleted| *deleted <= floor), snapshot)
    {
        let erased: Vec<&Cell> = row.cells.iter().filter(|cell| cell.clock <= *deleted).collect();
        if state.cells.is_empty() && !erased.is_empty() && erased.len() == row.cells.len() {
            return Some(RowWrite { table, row_id, write: Write::Delete });
        }
        // The row lives on with what came later; a column cannot be deleted by itself, but emptied.
        let ours = |name: &Name| state.cell(name).is_some();
        fields.extend(
            erased
                .into_iter()
                .filter(|cell| !ours(&cell.name))
                .map(|cell| (cell.name.clone(), Value::null())),
        );
    }
    let fields: Fields = fields.into_iter().collect();
    (!fields.is_empty()).then_some(RowWrite { table, row_id, write: Write::Put(fields) })
}
