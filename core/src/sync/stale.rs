//! Stale work: what was written here and is at or below a floor that was adopted, where everybody else takes the
//! snapshot for the state; never published, or published and overlooked by whoever wrote the snapshot.

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
        outbox::{Binding, Known, Queued},
    },
    value::{Name, Value},
    wire::{coverage::Frontier, layout::change_name},
};

/// A row by table and id.
pub(super) type Place = (Name, Name);

/// The rows that stale work may be about, and what an adopted snapshot says of them.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    rows: HashMap<Place, Option<RowState>>,
    /// Rows in which others wrote, as far as this store knew before it adopted the snapshot.
    shared: HashSet<Place>,
    /// What the floor took of this device's own work, published or not.
    cut: HashMap<Place, RowState>,
}

impl Awaited {
    /// Everything in the outbox. To be asked before the floor takes anything.
    pub(super) fn of(tx: &Tx<'_>, device: &Name) -> Result<Self> {
        let mut awaited = Self::default();
        for record in tx.all_records()? {
            for Queued { op, .. } in tx.record_ops(record)? {
                awaited.rows.insert((op.table, op.row_id), None);
            }
        }
        for place in awaited.rows.keys() {
            let Some(table) = tx.table(&place.0)? else { continue };
            if tx.row(&table, &place.1)?.is_some_and(|stored| !stored.state.is_of(device)) {
                awaited.shared.insert(place.clone());
            }
        }
        Ok(awaited)
    }

    /// Notes what the floor takes of a row.
    pub(super) fn lose(&mut self, place: &Place, own: RowState) {
        if own.deleted.is_some() || !own.cells.is_empty() {
            self.rows.entry(place.clone()).or_default();
            self.cut.insert(place.clone(), own);
        }
    }

    /// Notes a row of the snapshot.
    pub(super) fn meet(&mut self, table: &Name, row_id: &Name, state: &RowState) {
        if self.rows.is_empty() {
            return;
        }
        if let Some(known) = self.rows.get_mut(&(table.clone(), row_id.clone())) {
            *known = Some(state.clone());
        }
    }
}

/// How many of our entries the writer of a snapshot of ours had read, without a hole.
pub(super) fn read_of_us(
    ctx: &Context,
    tx: &Tx<'_>,
    frontiers: &[Frontier],
    is_anchored: bool,
) -> Result<u64> {
    let (device, stream) = (ctx.device_id(), tx.stream(&ctx.install)?);
    let ours = frontiers.iter().find(|known| known.device == *device && known.install == stream);
    // Behind a compaction by another client numbers say nothing.
    Ok(if is_anchored { u64::MAX } else { ours.map_or(0, |ours| ours.upto) })
}

/// Removes records that the snapshot holds already: their upload arrived, and only the answer was lost.
pub(super) fn confirm_covered(
    ctx: &Context,
    tx: &Tx<'_>,
    covered: &[String],
    (frontiers, is_anchored): (&[Frontier], bool),
) -> Result<()> {
    let device = ctx.device_id();
    let stream = tx.stream(&ctx.install)?;
    // Behind a compaction by another client, the numbers go on beyond entries that nobody may have read.
    let of_us = |known: &&Frontier| !is_anchored && known.device == *device && known.install == stream;
    let read = frontiers.iter().find(of_us);
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

/// All stale work on one row.
#[derive(Debug, Default)]
struct Work {
    state: RowState,
    /// Who may know the row; nothing where all of the work was published.
    known: Option<Known>,
    /// What was not published builds on what the floor took.
    is_below: bool,
}

/// What has to be known of an adopted snapshot to settle stale work.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) floor: &'a Clock,
    /// The snapshot tells which entries its writer had read.
    pub(super) is_told: bool,
    /// The mesh did not wait for this device: rows that lost something were perhaps deleted meanwhile.
    pub(super) is_expired: bool,
    /// Rows that lost something.
    pub(super) cut: &'a HashSet<Place>,
}

/// Decides about all stale work after the floor rose: a row that the snapshot has, or that nobody else ever
/// knew, is written again; a row that the others knew and that is gone was deleted, and the work on it is put aside.
pub(super) fn settle(
    tx: &Tx<'_>,
    engine: &mut EngineState,
    terms: &Terms<'_>,
    awaited: Awaited,
    now_ms: u64,
) -> Result<Settled> {
    // What is put aside must not be joined by later writes of its batch.
    engine.open_batch = None;
    let records = tx.all_records()?;
    let bound: HashSet<i64> = tx.bound_records()?.into_iter().map(|(record, _)| record).collect();
    let mut work: BTreeMap<Place, Work> = BTreeMap::new();
    for record in &records {
        for Queued { op, mut known } in tx.record_ops(*record)? {
            let place = (op.table, op.row_id);
            // Its upload may have arrived, and only a snapshot of ours would tell.
            if awaited.shared.contains(&place) || bound.contains(record) && !terms.is_told {
                known = Known::Elsewhere;
            }
            let work = work.entry(place).or_default();
            merge::join(&mut work.state, op.state, &|_| false);
            work.known = work.known.max(Some(known));
        }
    }
    for work in work.values_mut() {
        work.is_below = is_below(&work.state, terms.floor);
    }
    for (place, own) in awaited.cut {
        merge::join(&mut work.entry(place).or_default().state, own, &|_| false);
    }
    let mut settled = Settled::default();
    for (place, work) in work {
        let snapshot = awaited.rows.get(&place).and_then(Option::as_ref);
        let is_new = work.known == Some(Known::Nowhere);
        let lives = match work.known {
            // What came later than the floor keeps the row alive, whatever the snapshot overlooked.
            None => is_live(tx, &place)?,
            Some(_) => {
                let is_late = terms.is_expired && terms.cut.contains(&place);
                !is_late && !work.is_below
            }
        };
        if snapshot.is_some() || is_new || lives {
            settled.again.extend(rewrite(&place, &work.state, snapshot, terms.floor));
            continue;
        }
        let (table, row_id) = &place;
        if !work.state.cells.is_empty() {
            tx.add_stale(table, row_id, &work.state, now_ms)?;
            settled
                .notices
                .push(Event::WriteQuarantined { table: table.to_string(), row_id: row_id.to_string() });
        }
        if work.known.is_some() {
            settled.gone.push(place);
        }
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

fn is_live(tx: &Tx<'_>, (table, row_id): &Place) -> Result<bool> {
    let Some(table) = tx.table(table)? else { return Ok(false) };
    Ok(tx.row(&table, row_id)?.is_some_and(|stored| stored.state.is_live()))
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
