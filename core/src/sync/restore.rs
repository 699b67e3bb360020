//! Adopting a snapshot: its rows are joined with what is here, in one transaction.
//!
//! At or below the manifest's floor the snapshot alone is the state; above it every clock counts.
//! Nothing local is cleared, so the outbox and late files keep their effect.

use std::{
    collections::HashSet,
    sync::{Arc, mpsc},
};

use super::{
    Context, Fault, Link, coverage, device, key,
    page::{self, Merged, Merger, Prepared},
    progress::Phase,
    spool::{Spool, download},
    stale::{self, Awaited, Place, Terms},
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    events::Event,
    local::{self, RowWrite, Writer},
    merge,
    row::RowState,
    store::{
        Durability, Tx,
        meta::{EngineState, keys},
        outbox::{Known, OpWriter},
    },
    value::Name,
    wire::{
        WireError,
        change::Op,
        coverage::Frontier,
        manifest::Manifest,
        snapshot::{self, SnapshotHead},
    },
};

/// Rows that go from the parser to the store at once.
const CHUNK_ROWS: usize = 512;

/// Chunks that the parser may be ahead of the store.
const CHUNKS_AHEAD: usize = 4;

/// Adopts the manifest's snapshot where its epoch is above ours; gives the number of changed rows.
/// A snapshot that cannot be read is quarantined, and sync goes on with the change files.
pub(super) async fn adopt_if_newer(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    manifest: &Arc<Manifest>,
    fetched: Option<Spool>,
) -> Result<u64> {
    let epoch = ctx.read(|tx| tx.meta_number(keys::EPOCH))?.unwrap_or(0);
    if manifest.epoch <= epoch {
        return Ok(0);
    }
    let Some(path) = manifest.snapshot_path.as_deref().and_then(|path| link.layout.snapshot(path)) else {
        return Ok(0);
    };
    if fetched.is_none() && coverage::take(ctx, link, manifest).await? {
        return Ok(0);
    }
    let name = path.strip_prefix(link.layout.root()).unwrap_or(&path).trim_start_matches('/').to_owned();
    let version = manifest.content_hash.clone();
    let now_ms = ctx.host.now_ms();
    if ctx.read(|tx| tx.is_waiting(&name, &version, now_ms))? {
        return Ok(0);
    }
    ctx.progress.begin(Phase::Restoring, Some(1), None);
    ctx.emit(&Event::RehydrateStart { epoch: manifest.epoch });
    let fetched = match fetched {
        Some(spool) => Ok(spool),
        None => download(ctx, link, &path).await?,
    };
    let adopted = match fetched {
        Ok(spool) => {
            let (link, manifest) = (Arc::clone(link), Arc::clone(manifest));
            // Told here too: a caller who gives up meanwhile must not hide what was stored.
            ctx.blocking(move |ctx| Ok(adopt(ctx, &link, &manifest, spool).map(|merged| merged.tell(ctx))))
                .await?
        }
        Err(fault) => Err(Stopped::Fault(fault)),
    };
    match adopted {
        Ok(rows) => {
            ctx.emit(&Event::RehydrateComplete { row_count: rows });
            Ok(rows)
        }
        Err(Stopped::Fault(fault)) => {
            let reason = fault.to_string();
            if fault == Fault::Missing {
                let path = Some(path.clone());
                ctx.emit(&Event::RemoteWithheld { path, device: None, first: 0, last: 0 });
            }
            ctx.write(|tx| tx.quarantine(&name, "DECODE", &reason, &version, now_ms))?;
            ctx.emit(&Event::DecodeError { path: name, error: reason });
            Ok(0)
        }
        Err(Stopped::Error(error)) => Err(error),
    }
}

/// Why a snapshot was not adopted.
enum Stopped {
    /// The file is at fault.
    Fault(Fault),
    /// Something else is.
    Error(Error),
}

impl From<WireError> for Stopped {
    fn from(error: WireError) -> Self {
        Stopped::Fault(error.into())
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Error(error)
    }
}

fn adopt(ctx: &Context, link: &Link, manifest: &Manifest, spool: Spool) -> Result<Merged, Stopped> {
    let mut spool = Some(spool);
    let mut stopped = None;
    let outcome = ctx.store.write_with(Durability::Process, |tx| {
        let Some(spool) = spool.take() else { return Err(Error::Cancelled) };
        match adopt_in(ctx, tx, link, manifest, spool) {
            Ok(merged) => Ok(merged),
            Err(Stopped::Error(error)) => Err(error),
            Err(fault) => {
                // Any error rolls back; the fault itself is told below.
                stopped = Some(fault);
                Err(Error::Cancelled)
            }
        }
    });
    match (outcome, stopped) {
        (Err(_), Some(fault)) => Err(fault),
        (outcome, _) => Ok(outcome?),
    }
}

fn adopt_in(
    ctx: &Context,
    tx: &Tx<'_>,
    link: &Link,
    manifest: &Manifest,
    spool: Spool,
) -> Result<Merged, Stopped> {
    let kept = tx.floor()?;
    let settled_at = kept.clone();
    // A floor that fell was dropped by a compactor that knows none: what it brings back stays collected.
    let (rising, held) = match (&manifest.floor, &kept) {
        (Some(floor), kept) if kept.as_ref().is_none_or(|kept| kept <= floor) => (Some(floor), None),
        _ => (None, kept),
    };
    let mut awaited = if rising.is_some() { Awaited::of(tx, &ctx.device)? } else { Awaited::default() };
    let mut is_expired = false;
    let mut stripped = None;
    let mut merger = Merger::of_snapshot(tx, manifest.epoch, held);
    let (head, greatest) = parse_beside(spool, &manifest.mesh_id, |head, rows| {
        if let (Some(floor), None) = (rising, &stripped) {
            // A compactor of ours waits for what it was promised; another one may have overlooked anything.
            // Nor does one of ours know what such a one overlooked before it.
            let is_ours = manifest.tells_coverage() && !head.is_anchored;
            let read = if is_ours {
                stale::read_of_us(ctx, tx, &head.frontiers, head.is_anchored)?
            } else {
                u64::MAX
            };
            let promised = device::promised(tx, read)?;
            is_expired = promised.as_ref().is_none_or(|seen| seen < floor);
            let from = if is_ours { settled_at.clone().max(promised) } else { settled_at.clone() };
            let may_miss = is_expired || !is_ours;
            stripped = Some(strip_below(tx, floor, |place, state| {
                if may_miss {
                    awaited.lose(place, own_part(state, &ctx.device, from.as_ref(), floor));
                }
            })?);
        }
        ctx.progress.add(0, rows.len() as u64, 0);
        rows.iter().try_for_each(|row| {
            let Op { table, row_id, state } = row.op();
            awaited.meet(table, row_id, state);
            merger.apply(row)
        })
    })?;
    let stripped = stripped.unwrap_or_default();
    if head.epoch.is_some_and(|epoch| epoch != manifest.epoch) {
        return Err(WireError::Shape("its epoch is not that of the manifest").into());
    }
    let mut merged = merger.merged;
    forget_emptied(tx, stripped.emptied, &mut merged)?;
    let greatest = greatest.max(manifest.watermark.clone());
    finish(
        ctx,
        tx,
        Adopted { manifest, head: &head, greatest, awaited, rising, is_expired, cut: stripped.cut },
        &mut merged,
    )?;
    key::remember(tx, link, &manifest.mesh_id)?;
    tx.release_snapshots()?;
    Ok(merged)
}

/// A snapshot whose rows are merged.
struct Adopted<'a> {
    manifest: &'a Manifest,
    head: &'a SnapshotHead,
    greatest: Option<Clock>,
    /// What it says of rows with stale work.
    awaited: Awaited,
    /// Its floor, where that holds from now on.
    rising: Option<&'a Clock>,
    /// The mesh did not wait for this device.
    is_expired: bool,
    /// Rows that lost something to the floor.
    cut: HashSet<Place>,
}

/// Takes over what a snapshot says besides its rows, and settles unpublished work.
fn finish(ctx: &Context, tx: &Tx<'_>, adopted: Adopted<'_>, merged: &mut Merged) -> Result<()> {
    let Adopted { manifest, head, greatest, awaited, rising, is_expired, cut } = adopted;
    let now_ms = ctx.host.now_ms();
    let mut engine = tx.engine()?;
    if let Some(clock) = &greatest {
        page::receive(&mut engine, clock, now_ms, &mut merged.notices);
    }
    if head.ours {
        head.covered.iter().try_for_each(|name| tx.add_receipt(name))?;
        tx.join_frontiers(&head.frontiers)?;
        if head.is_anchored {
            tx.set_meta(keys::FOREIGN_EPOCH, &manifest.epoch.to_string())?;
        } else {
            let stream = tx.stream(&ctx.install)?;
            tx.note_held_by((&ctx.device_id(), &stream), manifest.epoch, &head.frontiers)?;
        }
        tx.settle_receipts(&head.covered)?;
        stale::confirm_covered(ctx, tx, &head.covered, (&head.frontiers, head.is_anchored))?;
    } else {
        tx.anchor_streams()?;
        tx.set_meta(keys::FOREIGN_EPOCH, &manifest.epoch.to_string())?;
    }
    if let Some(floor) = rising {
        tx.set_floor(floor)?;
        let terms = Terms { floor, is_told: head.ours, is_expired, cut: &cut };
        let settled = stale::settle(tx, &mut engine, &terms, awaited, now_ms)?;
        engine.floor = Some(above_next(floor, manifest.watermark.as_ref()));
        merged.notices.extend(settled.notices);
        if !settled.gone.is_empty() {
            // What others wrote to such a row since is in files that still lie there: they are read again.
            tx.keep_receipts(&head.covered)?;
        }
        for (table, row_id) in settled.gone {
            if let Some(info) = tx.table(&table)?
                && let Some(stored) = tx.row(&info, &row_id)?
            {
                tx.forget_row(&info, stored.rid)?;
                merged.changes.note(&table, &row_id, false);
            }
        }
        publish(ctx, tx, &mut engine, &settled.again, merged)?;
        engine.floor = Some(floor.clone());
    }
    if !head.ours {
        publish_kept_deletes(tx, now_ms)?;
    }
    tx.set_meta(keys::EPOCH, &manifest.epoch.to_string())?;
    tx.set_engine(&engine)
}

fn publish(
    ctx: &Context,
    tx: &Tx<'_>,
    engine: &mut EngineState,
    writes: &[RowWrite],
    merged: &mut Merged,
) -> Result<()> {
    if writes.is_empty() {
        return Ok(());
    }
    let now_ms = ctx.host.now_ms();
    let writer = Writer { node: &ctx.device, now_ms, full_rows: ctx.settings.full_rows };
    let (changes, ops) = local::apply(tx, engine, &writer, writes)?;
    merged.changes.extend(changes);
    if ops.is_empty() { Ok(()) } else { tx.add_batch(&ops, now_ms, None).map(|_| ()) }
}

/// A compaction by the JavaScript client keeps no delete clock of a row that lives again: ours are published once
/// more, or older columns of peers would come back.
fn publish_kept_deletes(tx: &Tx<'_>, now_ms: u64) -> Result<()> {
    let floor = tx.floor()?;
    let mut ops = OpWriter::default();
    for table in tx.tables()? {
        tx.each_row(&table, |_, row_id, state| {
            if state.is_live() && state.deleted > floor {
                ops.push(&table.name, &row_id, &state, Known::Elsewhere);
            }
            Ok(())
        })?;
    }
    if ops.is_empty() { Ok(()) } else { tx.add_batch(&ops, now_ms, None).map(|_| ()) }
}

/// What the head of a snapshot tells before its rows.
#[derive(Debug, Clone, Default)]
struct Told {
    frontiers: Vec<Frontier>,
    is_anchored: bool,
}

/// Decrypts and parses on a thread of its own while `apply` stores what has come so far: it is called at least once,
/// also where there are no rows.
fn parse_beside(
    spool: Spool,
    mesh_id: &str,
    mut apply: impl FnMut(&Told, &[Prepared]) -> Result<()>,
) -> Result<(SnapshotHead, Option<Clock>), Stopped> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<(Option<Told>, Vec<Prepared>)>(CHUNKS_AHEAD);
        let parser = scope.spawn(move || {
            let mut greatest: Option<Clock> = None;
            let mut rows = Vec::with_capacity(CHUNK_ROWS);
            // The other side is gone when storing failed; its error is the one that counts.
            let mut is_told = false;
            let mut send = |head: &SnapshotHead, rows| {
                let told = || Told { frontiers: head.frontiers.clone(), is_anchored: head.is_anchored };
                let told = (!std::mem::replace(&mut is_told, true)).then(told);
                sender.send((told, rows)).map_err(|_| Stopped::Error(Error::Cancelled))
            };
            let head = snapshot::read(spool, mesh_id, |head, op| {
                if let Some(clock) = op.state.greatest_clock()
                    && greatest.as_ref().is_none_or(|known| clock > known)
                {
                    greatest = Some(clock.clone());
                }
                rows.push(Prepared::new(op));
                if rows.len() < CHUNK_ROWS {
                    return Ok(());
                }
                send(head, std::mem::replace(&mut rows, Vec::with_capacity(CHUNK_ROWS)))
            })?;
            send(&head, rows)?;
            Ok((head, greatest))
        });
        let mut known = Told::default();
        let applied = receiver.iter().try_for_each(|(told, rows)| {
            if let Some(told) = told {
                known = told;
            }
            apply(&known, &rows)
        });
        drop(receiver);
        let parsed = parser.join().unwrap_or(Err(Stopped::Error(Error::ShutDown)));
        applied?;
        parsed
    })
}

/// What the floor took out of the local rows.
#[derive(Debug, Default)]
struct Stripped {
    /// Rows that lost something.
    cut: HashSet<Place>,
    /// Those that were left with nothing.
    emptied: Vec<Place>,
}

/// What is written again has to be above all that the next floors can be, also where a wall clock is slow: the mesh
/// does not wait for a device before it acknowledged. A millisecond is more than compactors go on by counting.
fn above_next(floor: &Clock, watermark: Option<&Clock>) -> Clock {
    let next = watermark.map_or(floor, |watermark| watermark.max(floor));
    Clock { ts: next.ts + 1, counter: 0, node: next.node.clone() }
}

/// What a row has of one device between what is settled already and the floor.
fn own_part(state: &RowState, device: &Name, above: Option<&Clock>, floor: &Clock) -> RowState {
    let is_meant = |clock: &Clock| clock.node == *device && clock <= floor && Some(clock) > above;
    RowState {
        deleted: state.deleted.clone().filter(is_meant),
        cells: state.cells.iter().filter(|cell| is_meant(&cell.clock)).cloned().collect(),
    }
}

/// Takes every clock at or below the floor out of the local rows; `lose` is told of each row that has one.
fn strip_below(tx: &Tx<'_>, floor: &Clock, mut lose: impl FnMut(&Place, &RowState)) -> Result<Stripped> {
    let Stripped { mut cut, mut emptied } = Stripped::default();
    for table in tx.tables()? {
        let mut stripped = Vec::new();
        tx.each_row(&table, |rid, row_id, mut state| {
            let before = state.clone();
            merge::strip(&mut state, floor);
            if state != before {
                let place = (table.name.clone(), row_id);
                lose(&place, &before);
                stripped.push((rid, place, state));
            }
            Ok(())
        })?;
        for (rid, place, state) in stripped {
            tx.put_row(&table, &place.1, Some(rid), &state)?;
            if state.cells.is_empty() && state.deleted.is_none() {
                emptied.push(place.clone());
            }
            cut.insert(place);
        }
    }
    Ok(Stripped { cut, emptied })
}

/// Takes out the rows that the floor left with nothing, where the snapshot does not have them either.
fn forget_emptied(tx: &Tx<'_>, emptied: Vec<Place>, merged: &mut Merged) -> Result<()> {
    for (table, row_id) in emptied {
        if let Some(info) = tx.table(&table)?
            && let Some(stored) = tx.row(&info, &row_id)?
            && stored.state.cells.is_empty()
            && stored.state.deleted.is_none()
        {
            tx.forget_row(&info, stored.rid)?;
            merged.changes.note(&table, &row_id, false);
        }
    }
    Ok(())
}
