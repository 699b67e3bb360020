//! Adopting a snapshot: its rows are joined with what is here, in one transaction.
//!
//! At or below the manifest's floor the snapshot alone is the state; above it every clock counts.
//! Nothing local is cleared, so the outbox and late files keep their effect.

use std::sync::{Arc, mpsc};

use super::{
    Context, Fault, Link, key,
    page::{self, Merged, Merger, Prepared},
    progress::Phase,
    spool::{Spool, download},
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    events::Event,
    local::{self, RowWrite, Write, Writer},
    merge,
    store::{Durability, Tx, meta::keys},
    value::Name,
    wire::{
        WireError,
        change::Op,
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
            let (link, manifest, name) = (Arc::clone(link), Arc::clone(manifest), name.clone());
            // Told here too: a caller who gives up meanwhile must not hide what was stored.
            ctx.blocking(move |ctx| {
                Ok(adopt(ctx, &link, &manifest, &name, spool).map(|merged| merged.tell(ctx)))
            })
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

fn adopt(
    ctx: &Context,
    link: &Link,
    manifest: &Manifest,
    name: &str,
    spool: Spool,
) -> Result<Merged, Stopped> {
    let mut spool = Some(spool);
    let mut stopped = None;
    let outcome = ctx.store.write_with(Durability::Process, |tx| {
        let Some(spool) = spool.take() else { return Err(Error::Cancelled) };
        match adopt_in(ctx, tx, link, manifest, name, spool) {
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
    name: &str,
    spool: Spool,
) -> Result<Merged, Stopped> {
    let now_ms = ctx.host.now_ms();
    let mut engine = tx.engine()?;
    let stripped = match &manifest.floor {
        Some(floor) => strip_below(ctx, tx, floor)?,
        None => Stripped { emptied: Vec::new(), again: Vec::new() },
    };
    // The snapshot is not measured against its own floor: there it is the state.
    let mut merger = Merger::new(tx, None);
    let (head, greatest) = parse_beside(spool, &manifest.mesh_id, |rows| {
        ctx.progress.add(0, rows.len() as u64, 0);
        rows.iter().try_for_each(|row| merger.apply(row))
    })?;
    let greatest = greatest.max(manifest.watermark.clone());
    if head.epoch.is_some_and(|epoch| epoch != manifest.epoch) {
        return Err(WireError::Shape("its epoch is not that of the manifest").into());
    }
    let mut merged = merger.merged;
    for (table, row_id) in stripped.emptied {
        if let Some(info) = tx.table(&table)?
            && let Some(stored) = tx.row(&info, &row_id)?
            && stored.state.cells.is_empty()
            && stored.state.deleted.is_none()
        {
            tx.forget_row(&info, stored.rid)?;
            merged.changes.note(&table, &row_id, false);
        }
    }
    if let Some(clock) = greatest {
        page::receive(&mut engine, &clock, now_ms, &mut merged.notices);
    }
    if !stripped.again.is_empty() {
        let writer = Writer { node: &ctx.device, now_ms, full_rows: ctx.settings.full_rows };
        let (changes, ops) = local::apply(tx, &mut engine, &writer, &stripped.again)?;
        merged.changes.extend(changes);
        tx.add_batch(&ops, now_ms, None)?;
    }
    if head.ours {
        for name in &head.covered {
            tx.add_receipt(name)?;
        }
    }
    tx.set_meta(keys::EPOCH, &manifest.epoch.to_string())?;
    match &manifest.floor {
        Some(floor) => tx.set_meta(keys::FLOOR, &floor.to_string())?,
        None => tx.clear_meta(keys::FLOOR)?,
    }
    key::remember(tx, link, &manifest.mesh_id)?;
    tx.release(name)?;
    tx.set_engine(&engine)?;
    Ok(merged)
}

/// Decrypts and parses on a thread of its own while `apply` stores what has come so far.
fn parse_beside(
    spool: Spool,
    mesh_id: &str,
    mut apply: impl FnMut(&[Prepared]) -> Result<()>,
) -> Result<(SnapshotHead, Option<Clock>), Stopped> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Prepared>>(CHUNKS_AHEAD);
        let parser = scope.spawn(move || {
            let mut greatest: Option<Clock> = None;
            let mut rows = Vec::with_capacity(CHUNK_ROWS);
            let head = snapshot::read(spool, mesh_id, |op| {
                if let Some(clock) = op.state.greatest_clock()
                    && greatest.as_ref().is_none_or(|known| clock > known)
                {
                    greatest = Some(clock.clone());
                }
                rows.push(Prepared::new(op));
                if rows.len() < CHUNK_ROWS {
                    return Ok(());
                }
                // The other side is gone when storing failed; its error is the one that counts.
                sender
                    .send(std::mem::replace(&mut rows, Vec::with_capacity(CHUNK_ROWS)))
                    .map_err(|_| Error::Cancelled)?;
                Ok::<_, Stopped>(())
            })?;
            sender.send(rows).map_err(|_| Error::Cancelled)?;
            Ok((head, greatest))
        });
        let applied = receiver.iter().try_for_each(|rows| apply(&rows));
        drop(receiver);
        let parsed = parser.join().unwrap_or(Err(Stopped::Error(Error::ShutDown)));
        applied?;
        parsed
    })
}

/// What the floor takes out of a store.
struct Stripped {
    /// Rows that were left with nothing.
    emptied: Vec<(Name, Name)>,
    /// Our own unpublished writes among it: written again under fresh clocks, since nothing that was
    /// acknowledged may vanish.
    again: Vec<RowWrite>,
}

/// Takes every clock at or below the floor out of the local rows.
fn strip_below(ctx: &Context, tx: &Tx<'_>, floor: &Clock) -> Result<Stripped> {
    let mut again = Vec::new();
    let ours = |clock: &Clock| clock <= floor && clock.node == ctx.device;
    for record in tx.all_records()? {
        for Op { table, row_id, state } in tx.record_ops(record)? {
            let fields: Vec<_> = state.cells.iter().filter(|cell| ours(&cell.clock)).collect();
            let write = if !fields.is_empty() {
                Write::Put(fields.into_iter().map(|cell| (cell.name.clone(), cell.value.clone())).collect())
            } else if state.cells.is_empty() && state.deleted.as_ref().is_some_and(&ours) {
                Write::Delete
            } else {
                continue;
            };
            again.push(RowWrite { table, row_id, write });
        }
    }
    let mut emptied = Vec::new();
    for table in tx.tables()? {
        let mut stripped = Vec::new();
        tx.each_row(&table, |rid, row_id, mut state| {
            let before = state.clone();
            merge::strip(&mut state, floor);
            if state != before {
                stripped.push((rid, row_id, state));
            }
            Ok(())
        })?;
        for (rid, row_id, state) in stripped {
            tx.put_row(&table, &row_id, Some(rid), &state)?;
            if state.cells.is_empty() && state.deleted.is_none() {
                emptied.push((table.name.clone(), row_id));
            }
        }
    }
    Ok(Stripped { emptied, again })
}
