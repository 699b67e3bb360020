//! Settling which mesh a store belongs to.

use std::path::PathBuf;

use super::{Context, Link, key};
use crate::{
    config::JoinPolicy,
    error::Result,
    events::Event,
    host::ids,
    store::{
        BEFORE_JOIN, Tx,
        meta::{EngineState, keys},
        outbox::{Known, OpWriter},
    },
    wire::manifest::Manifest,
};

/// Rows of one outbox record when a whole store is queued.
const ROWS_PER_RECORD: usize = 2000;

/// Makes the store a member of the manifest's mesh. `proven`: the key opened a file of it.
pub(crate) fn settle(ctx: &Context, link: &Link, manifest: &Manifest, proven: bool) -> Result<()> {
    let previous = ctx.read(|tx| tx.meta(keys::MESH_ID))?;
    let next = manifest.mesh_id.as_str();
    let now_ms = ctx.host.now_ms();
    match previous.as_deref() {
        Some(known) if known == next => {
            if proven {
                ctx.write(|tx| key::remember(tx, link, next))?;
            }
            return Ok(());
        }
        // A store that never belonged to a mesh brings its rows.
        None => {
            return ctx.write(|tx| {
                let mut engine = tx.engine()?;
                tx.clear_outbox(&mut engine)?;
                // What an import brought back was known to this mesh, and may be deleted and forgotten there.
                let is_restored = tx.meta(keys::IMPORTED_MESH)?.as_deref() == Some(next);
                let known = if is_restored { Known::Elsewhere } else { Known::Nowhere };
                add_all(tx, now_ms, known)?;
                tx.clear_meta(keys::IMPORTED_MESH)?;
                engine.member = true;
                tx.set_engine(&engine)?;
                become_member(tx, link, next, proven)
            });
        }
        Some(_) => {}
    }
    let policy = ctx.settings.join_policy;
    let stamp = ids::uuid_v7(&*ctx.host);
    // Copied inside the transaction that clears: what anybody writes meanwhile comes before both, or after both.
    let (rows, queued, bodies) = ctx.write(|tx| {
        let counts = (tx.row_count()?, tx.outbox_count()?.records);
        let mut engine = tx.engine()?;
        if policy == JoinPolicy::ResetToRemote {
            if (counts.0 > 0 || !tx.bodies_to_upload()?.is_empty())
                && let Some(path) = ctx.store.path()
            {
                let copy = PathBuf::from(format!("{}{BEFORE_JOIN}{stamp}", path.display()));
                ctx.store.copy_to(&copy)?;
                ctx.bodies.share_with(&copy, &tx.bodies_to_upload()?)?;
                tracing::warn!(target: "interocitor", copy = %copy.display(), "joining another mesh: the former rows were copied");
            }
            tx.clear_rows()?;
            tx.clear_outbox(&mut engine)?;
            let turn = tx.meta_number(keys::OUTBOX_TURN)?.unwrap_or(0);
            tx.set_meta(keys::OUTBOX_DROPPED, &turn.to_string())?;
        }
        tx.clear_exchange()?;
        let bodies = tx.forget_files(policy == JoinPolicy::MergeWithRemote)?;
        if policy == JoinPolicy::MergeWithRemote {
            queue_all(tx, &mut engine, now_ms)?;
        }
        engine.member = true;
        tx.set_engine(&engine)?;
        become_member(tx, link, next, proven)?;
        Ok((counts.0, counts.1, bodies))
    })?;
    ctx.bodies.remove(&bodies);
    ctx.emit(&Event::JoinExistingMesh {
        previous_mesh_id: previous.clone().unwrap_or_default(),
        next_mesh_id: next.to_owned(),
        policy: match policy {
            JoinPolicy::ResetToRemote => "reset-to-remote",
            JoinPolicy::MergeWithRemote => "merge-with-remote",
        },
        local_row_count: rows,
        queued_change_count: queued,
    });
    Ok(())
}

fn become_member(tx: &Tx<'_>, link: &Link, mesh_id: &str, proven: bool) -> Result<()> {
    tx.set_meta(keys::MESH_ID, mesh_id)?;
    tx.clear_meta(keys::FOUNDING)?;
    if proven { key::remember(tx, link, mesh_id) } else { Ok(()) }
}

/// Replaces the outbox by all rows, tombstones included; their states hold whatever was queued. None of them is
/// known to the mesh.
pub(crate) fn queue_all(tx: &Tx<'_>, engine: &mut EngineState, now_ms: u64) -> Result<()> {
    tx.clear_outbox(engine)?;
    add_all(tx, now_ms, Known::Nowhere)
}

/// Queues all rows behind what waits already: the mailbox lost them.
pub(super) fn queue_again(tx: &Tx<'_>, now_ms: u64) -> Result<()> {
    add_all(tx, now_ms, Known::Elsewhere)
}

fn add_all(tx: &Tx<'_>, now_ms: u64, known: Known) -> Result<()> {
    let mut ops = OpWriter::default();
    let mut rows = 0;
    for table in tx.tables()? {
        tx.each_row(&table, |_, row_id, state| {
            ops.push(&table.name, &row_id, &state, known);
            rows += 1;
            if rows == ROWS_PER_RECORD {
                tx.add_batch(&std::mem::take(&mut ops), now_ms, None)?;
                rows = 0;
            }
            Ok(())
        })?;
    }
    if ops.is_empty() { Ok(()) } else { tx.add_batch(&ops, now_ms, None).map(|_| ()) }
}
