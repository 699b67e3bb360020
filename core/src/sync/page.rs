//! Merging one page of entries: joins, receipts, quarantine and the clock in one transaction.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use super::Context;
use crate::{
    clock::Clock,
    error::Result,
    events::Event,
    local::{self, Changes, Fields, RowWrite, Write, Writer},
    merge::{self, Conflict, Joined, Strategies},
    row::{EncodedRow, RowState},
    store::{
        Durability, Tx,
        meta::{EngineState, keys},
        rows::TableInfo,
    },
    value::{Name, Value, canonical, key},
    wire::change::{ChangeEntry, Op},
};

/// How often a page is resolved again because a local write came in between.
const ROUNDS: usize = 3;

/// An operation with its row in the form of the store, should the row be new: made beside the
/// transaction, which is the narrow place.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    op: Op,
    encoded: EncodedRow,
}

impl Prepared {
    pub(super) fn op(&self) -> &Op {
        &self.op
    }

    pub(super) fn new(op: Op) -> Self {
        let encoded = op.state.encode();
        Self { op, encoded }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Incoming {
    name: String,
    clock: Clock,
    device: Name,
    /// Installation and number of the entry.
    number: Option<(String, u64)>,
    ops: Vec<Prepared>,
}

impl Incoming {
    pub(super) fn new(name: String, entry: ChangeEntry) -> Self {
        let ChangeEntry { clock, device, number, ops, .. } = entry;
        Self { name, clock, device, number, ops: ops.into_iter().map(Prepared::new).collect() }
    }
}

/// A file that could not be.
#[derive(Debug)]
pub(super) struct Faulty {
    /// Below the mesh's folder: `changes/…`.
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) version: String,
}

/// Everything of one page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Incoming>,
    pub(super) faults: Vec<Faulty>,
}

/// What merging brought about, told after the commit.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) changes: Changes,
    pub(super) notices: Vec<Event>,
}

impl Merged {
    /// Tells the listeners; gives the number of changed rows.
    pub(super) fn tell(&self, ctx: &Context) -> u64 {
        ctx.events.emit_changes(&self.changes);
        self.notices.iter().for_each(|notice| ctx.emit(notice));
        self.changes.len() as u64
    }
}

/// Collects joins of one transaction.
pub(super) struct Merger<'a, 'tx> {
    tx: &'a Tx<'tx>,
    floor: Option<Clock>,
    /// The epoch of the snapshot that is merged.
    epoch: Option<u64>,
    expects_new: bool,
    /// The least clock that was new since it was last asked for.
    lowest: Option<Clock>,
    pub(super) merged: Merged,
}

impl<'a, 'tx> Merger<'a, 'tx> {
    /// For change files: at or below the floor the snapshot is the state.
    pub(super) fn new(tx: &'a Tx<'tx>, floor: Option<Clock>) -> Self {
        Self { tx, floor, epoch: None, expects_new: true, lowest: None, merged: Merged::default() }
    }

    /// For the rows of a snapshot; `floor` only where another one than its own is held to.
    pub(super) fn of_snapshot(tx: &'a Tx<'tx>, epoch: u64, floor: Option<Clock>) -> Self {
        Self { epoch: Some(epoch), ..Self::new(tx, floor) }
    }

    /// Joins one operation into its row.
    pub(super) fn apply(&mut self, prepared: &Prepared) -> Result<()> {
        let Prepared { op: Op { table, row_id, state }, encoded } = prepared;
        if let Some(floor) = &self.floor {
            let mut above = state.clone();
            merge::strip(&mut above, floor);
            if above != *state {
                // At or below the floor the snapshot is the state.
                if above.deleted.is_none() && above.cells.is_empty() {
                    return Ok(());
                }
                return self.join(table, row_id, &above, &above.encode());
            }
        }
        self.join(table, row_id, state, encoded)
    }

    fn join(&mut self, table: &Name, row_id: &Name, state: &RowState, encoded: &EncodedRow) -> Result<()> {
        let table = self.tx.ensure_table(table)?;
        if let (Some(epoch), Some(deleted)) = (self.epoch, &state.deleted) {
            self.tx.note_grave(&table, row_id, deleted, epoch)?;
        }
        // New rows come in runs, and so do known ones: the last row tells which way is the short one.
        if self.expects_new && self.tx.insert_row(&table, row_id, state, encoded)? {
            self.note_lowest(state.least_clock());
            return self.note(&table, row_id, state);
        }
        let stored = self.tx.row(&table, row_id)?;
        self.expects_new = stored.is_none();
        let Some(stored) = stored else {
            self.tx.insert_row(&table, row_id, state, encoded)?;
            self.note_lowest(state.least_clock());
            return self.note(&table, row_id, state);
        };
        let mut joined = stored.state;
        let Joined { changed, ties, lowest, .. } = merge::join(&mut joined, state.clone(), &|_| false);
        self.report(&table.name, row_id, ties);
        if changed {
            self.note_lowest(lowest.as_ref());
            self.tx.put_row(&table, row_id, Some(stored.rid), &joined)?;
            self.note(&table, row_id, &joined)?;
        }
        Ok(())
    }

    fn note_lowest(&mut self, clock: Option<&Clock>) {
        if let Some(clock) = clock.filter(|clock| self.lowest.as_ref().is_none_or(|known| known > *clock)) {
            self.lowest = Some(clock.clone());
        }
    }

    /// Notes that a row changed, and where a peer's value is not as unique as it should be here.
    fn note(&mut self, table: &TableInfo, row_id: &Name, state: &RowState) -> Result<()> {
        for field in table.fields.iter().filter(|field| field.is_unique) {
            let value = state.cell(&field.name).and_then(|cell| key::of(cell.value.as_str().as_bytes()));
            if let Some(value) = value
                && self.tx.holder(table, field.slot, &value, row_id)?
            {
                self.merged.notices.push(Event::UniqueDuplicate {
                    table: table.name.to_string(),
                    row_id: row_id.to_string(),
                    field: field.name.to_string(),
                });
            }
        }
        self.merged.changes.note(&table.name, row_id, state.is_live());
        Ok(())
    }

    fn report(&mut self, table: &Name, row_id: &Name, ties: Vec<Name>) {
        for field in ties {
            self.merged.notices.push(Event::MergeTie {
                table: table.to_string(),
                row_id: row_id.to_string(),
                field: field.to_string(),
            });
        }
    }
}

/// Whether the strategies have a function anywhere.
fn asks_functions(strategies: &Strategies) -> bool {
    use merge::MergeStrategy::Custom;
    matches!(strategies.database, Custom(_))
        || strategies.tables.values().any(|table| {
            matches!(table.table, Some(Custom(_)))
                || table.fields.values().any(|field| matches!(field, Custom(_)))
        })
}

/// Advances the device clock past a received clock and reports one from too far ahead.
pub(super) fn receive(engine: &mut EngineState, clock: &Clock, now_ms: u64, notices: &mut Vec<Event>) {
    if engine.clock.receive(clock, now_ms) {
        notices.push(Event::ClockSkew {
            device: clock.node.to_string(),
            ahead_ms: clock.ts.saturating_sub(now_ms),
        });
    }
}

/// The greatest entry clock that was seen in the mailbox.
pub(super) fn latest_entry(tx: &Tx<'_>) -> Result<Option<Clock>> {
    Ok(tx.meta(keys::LATEST_ENTRY)?.and_then(|text| text.parse().ok()))
}

/// Merges a page. Custom functions are asked outside any transaction; if a row changed meanwhile they
/// are asked again.
pub(super) fn merge_page(ctx: &Context, page: &Page) -> Result<Merged> {
    for round in 0..ROUNDS {
        // A row that changes all the time is left to its last writer in the end.
        let asks = asks_functions(&ctx.strategies) && round + 1 < ROUNDS;
        let resolved = if asks { resolve(ctx, page)? } else { Resolved::default() };
        if let Some(merged) =
            ctx.store.write_with(Durability::Process, |tx| apply_page(ctx, tx, page, &resolved))?
        {
            return Ok(merged);
        }
    }
    Ok(Merged::default())
}

fn apply_page(ctx: &Context, tx: &Tx<'_>, page: &Page, resolved: &Resolved) -> Result<Option<Merged>> {
    if !resolved.still_holds(tx)? {
        return Ok(None);
    }
    let now_ms = ctx.host.now_ms();
    let mut engine = tx.engine()?;
    let mut merger = Merger::new(tx, engine.floor.clone());
    let latest = page.entries.iter().map(|incoming| &incoming.clock).max();
    if let Some(latest) =
        latest.filter(|latest| latest_entry(tx).is_ok_and(|known| known.as_ref() < Some(latest)))
    {
        tx.set_meta(keys::LATEST_ENTRY, &latest.to_string())?;
    }
    let has_quarantine = tx.has_quarantine()?;
    let is_anchor = tx.meta(keys::FOREIGN_EPOCH)?.is_some();
    for ((device, install), seqs) in numbers(&page.entries) {
        tx.note_entries(&device, install, &seqs, is_anchor)?;
    }
    for Incoming { name, clock, ops, .. } in &page.entries {
        receive(&mut engine, clock, now_ms, &mut merger.merged.notices);
        for op in ops {
            merger.apply(op)?;
        }
        tx.add_receipt_of(name, merger.lowest.take().as_ref())?;
        if has_quarantine {
            tx.release(&format!("changes/{name}"))?;
        }
    }
    let mut merged = merger.merged;
    for fault in &page.faults {
        tx.quarantine(&fault.name, "DECODE", &fault.reason, &fault.version, now_ms)?;
        merged.notices.push(Event::DecodeError { path: fault.name.clone(), error: fault.reason.clone() });
    }
    if !resolved.writes.is_empty() {
        let writer = Writer { node: &ctx.device, now_ms, full_rows: ctx.settings.full_rows };
        let (changes, ops) = local::apply(tx, &mut engine, &writer, &resolved.writes)?;
        merged.changes.extend(changes);
        if !ops.is_empty() {
            tx.add_batch(&ops, now_ms, None)?;
        }
    }
    tx.set_engine(&engine)?;
    Ok(Some(merged))
}

/// The numbers of entries, by device and installation.
fn numbers(entries: &[Incoming]) -> BTreeMap<(Cow<'_, str>, &str), Vec<u64>> {
    let mut streams: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for incoming in entries {
        if let Some((install, seq)) = &incoming.number {
            let stream = (incoming.device.to_string_lossy(), install.as_str());
            streams.entry(stream).or_default().push(*seq);
        }
    }
    streams
}

/// What custom functions made of the conflicts of a page.
#[derive(Debug, Default)]
struct Resolved {
    /// The rows as they were when the functions were asked.
    rows: HashMap<(Name, Name), Option<RowState>>,
    writes: Vec<RowWrite>,
}

impl Resolved {
    fn still_holds(&self, tx: &Tx<'_>) -> Result<bool> {
        for ((table, row_id), wanted) in &self.rows {
            if load(tx, table, row_id)? != *wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn load(tx: &Tx<'_>, table: &Name, row_id: &Name) -> Result<Option<RowState>> {
    let Some(table) = tx.table(table)? else { return Ok(None) };
    Ok(tx.row(&table, row_id)?.map(|stored| stored.state))
}

/// Plays the page through in memory and asks the functions about every conflict.
fn resolve(ctx: &Context, page: &Page) -> Result<Resolved> {
    let (rows, joined, conflicts) = ctx.store.read_with(|tx| {
        let floor = tx.floor()?;
        let mut rows: HashMap<(Name, Name), Option<RowState>> = HashMap::new();
        let mut joined: HashMap<(Name, Name), RowState> = HashMap::new();
        let mut conflicts = Vec::new();
        for Prepared { op, .. } in page.entries.iter().flat_map(|incoming| &incoming.ops) {
            let wants = |field: &Name| ctx.strategies.function(&op.table, field).is_some();
            if !op.state.cells.iter().any(|cell| wants(&cell.name)) && op.state.deleted.is_none() {
                continue;
            }
            let place = (op.table.clone(), op.row_id.clone());
            if !joined.contains_key(&place) {
                let known = load(tx, &op.table, &op.row_id)?;
                joined.insert(place.clone(), known.clone().unwrap_or_default());
                rows.insert(place.clone(), known);
            }
            let Some(state) = joined.get_mut(&place) else { continue };
            let mut incoming = op.state.clone();
            if let Some(floor) = &floor {
                merge::strip(&mut incoming, floor);
            }
            for met in merge::join(state, incoming, &wants).conflicts {
                conflicts.push(Conflict {
                    table: op.table.clone(),
                    row_id: op.row_id.clone(),
                    field: met.field,
                    local: met.local.1,
                    remote: met.remote.1,
                });
            }
        }
        Ok((rows, joined, conflicts))
    })?;
    let mut writes = Vec::new();
    for (place, value) in ask(&ctx.strategies, conflicts) {
        let (table, row_id, field) = place;
        let winner = joined.get(&(table.clone(), row_id.clone())).and_then(|state| state.cell(&field));
        // Gone with a delete, or what the last writer says anyway: nothing to write.
        if winner.is_some_and(|cell| !canonical::same(&cell.value, &value)) {
            writes.push(RowWrite { table, row_id, write: Write::Put(Fields::single(field, value)) });
        }
    }
    Ok(Resolved { rows, writes })
}

/// Asks each function once about all of its conflicts; a column that met several times is folded in
/// further rounds.
fn ask(strategies: &Strategies, mut conflicts: Vec<Conflict>) -> Vec<((Name, Name, Name), Value)> {
    let mut values: BTreeMap<(Name, Name, Name), Vec<Value>> = BTreeMap::new();
    while !conflicts.is_empty() {
        conflicts.sort_by(|a, b| (&a.table, &a.field).cmp(&(&b.table, &b.field)));
        for group in std::mem::take(&mut conflicts).chunk_by(|a, b| a.table == b.table && a.field == b.field)
        {
            let function = group.first().and_then(|first| strategies.function(&first.table, &first.field));
            let Some(function) = function else { continue };
            for (conflict, value) in group.iter().zip(function(group)) {
                let place = (conflict.table.clone(), conflict.row_id.clone(), conflict.field.clone());
                values.entry(place).or_default().push(value);
            }
        }
        for ((table, row_id, field), known) in &mut values {
            // One pair a column and round; what is left over waits for the next.
            while known.len() > 1 {
                let (Some(remote), Some(local)) = (known.pop(), known.pop()) else { break };
                if canonical::same(&local, &remote) {
                    known.push(local);
                } else {
                    let (table, row_id, field) = (table.clone(), row_id.clone(), field.clone());
                    conflicts.push(Conflict { table, row_id, field, local, remote });
                }
            }
        }
    }
    values.into_iter().filter_map(|(place, mut known)| Some((place, known.pop()?))).collect()
}
