//! Rows of an import: merged like those of a change file, and queued for the mesh where they are news to it.

use super::{
    Context,
    page::{self, Merged, Merger, Prepared},
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    events::Event,
    local::Changes,
    store::{
        Tx,
        meta::keys,
        outbox::{Known, OpWriter},
    },
    value::Name,
    wire::change::Op,
};

/// Rows of one outbox record.
const ROWS_PER_RECORD: usize = 2000;

/// Rows of one mesh are imported into a store of the same mesh, or of none: two meshes are never mixed.
pub(crate) fn check_mesh(tx: &Tx<'_>, theirs: Option<&str>) -> Result<()> {
    let ours = match tx.meta(keys::MESH_ID)? {
        Some(ours) => Some(ours),
        None => tx.meta(keys::IMPORTED_MESH)?,
    };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(Error::invalid(
            "import",
            format!("the export is of mesh {theirs}, and this store of mesh {ours}; import into a new store"),
        )),
        _ => Ok(()),
    }
}

/// Remembers what a store without a mesh got its rows from: should it join that mesh again, they are known there.
pub(crate) fn remember_mesh(tx: &Tx<'_>, theirs: Option<&str>) -> Result<()> {
    match theirs {
        Some(theirs) if tx.meta(keys::MESH_ID)?.is_none() => tx.set_meta(keys::IMPORTED_MESH, theirs),
        _ => Ok(()),
    }
}

/// Merges rows until `next` gives none. What the floor has settled stays as it is: nothing comes back that the mesh has
/// forgotten.
pub(crate) fn rows(
    ctx: &Context,
    tx: &Tx<'_>,
    mut next: impl FnMut() -> Result<Vec<Op>>,
) -> Result<(Changes, Vec<Event>)> {
    let now_ms = ctx.host.now_ms();
    let mut engine = tx.engine()?;
    let mut merger = Merger::new(tx, engine.floor.clone());
    let mut greatest: Option<Clock> = None;
    loop {
        let ops = next()?;
        if ops.is_empty() {
            break;
        }
        for op in ops {
            if let Some(clock) = op.state.greatest_clock()
                && greatest.as_ref().is_none_or(|known| clock > known)
            {
                greatest = Some(clock.clone());
            }
            merger.apply(&Prepared::new(op))?;
        }
    }
    let mut merged = merger.merged;
    if let Some(clock) = &greatest {
        page::receive(&mut engine, clock, now_ms, &mut merged.notices);
    }
    // Before a store belongs to a mesh, nothing waits: the first join queues all rows.
    if engine.member {
        publish(tx, &merged, now_ms)?;
    }
    tx.set_engine(&engine)?;
    Ok((merged.changes, merged.notices))
}

/// Queues the rows that changed. The mesh may have known, and forgotten, them.
fn publish(tx: &Tx<'_>, merged: &Merged, now_ms: u64) -> Result<()> {
    let mut ops = OpWriter::default();
    let mut count = 0;
    for (table, changes) in &merged.changes.0 {
        let Some(table) = tx.table(table)? else { continue };
        let ids: Vec<&Name> = changes.rows(true).into_iter().chain(changes.rows(false)).collect();
        for id in ids {
            let Some(stored) = tx.row(&table, id)? else { continue };
            ops.push(&table.name, id, &stored.state, Known::Elsewhere);
            count += 1;
            if count == ROWS_PER_RECORD {
                tx.add_batch(&std::mem::take(&mut ops), now_ms, None)?;
                count = 0;
            }
        }
    }
    if ops.is_empty() { Ok(()) } else { tx.add_batch(&ops, now_ms, None).map(|_| ()) }
}
