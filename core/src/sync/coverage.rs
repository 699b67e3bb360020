//! Taking a snapshot's epoch without reading it: where every file that it covers is merged here already.

use std::{collections::HashSet, sync::Arc};

use super::{Context, Link, device, page, stale};
use crate::{
    error::Result,
    mailbox::MailboxErrorKind,
    store::{Durability, Tx, meta::keys},
    wire::{coverage::Coverage, manifest::Manifest},
};

/// Takes the manifest's epoch and floor, if this store holds exactly what its snapshot does. Otherwise nothing is
/// changed, and the snapshot is to be read.
pub(super) async fn take(ctx: &Arc<Context>, link: &Link, manifest: &Arc<Manifest>) -> Result<bool> {
    let epoch = ctx.read(|tx| tx.meta_number(keys::EPOCH))?.unwrap_or(0);
    // The coverage tells of one step.
    let Some(path) = manifest.coverage_path.as_deref().filter(|_| epoch + 1 == manifest.epoch) else {
        return Ok(false);
    };
    let Some(path) = link.layout.snapshot(path) else { return Ok(false) };
    let stored = match link.adapter.read_file(&path).await {
        Ok(stored) => stored,
        Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let Ok(payload) = link.codec.open(&stored) else { return Ok(false) };
    let Ok(coverage) = Coverage::decode(&payload, &manifest.mesh_id) else { return Ok(false) };
    // What no file has yet is in the snapshot alone, should its writer never come back. A compactor that knows no
    // coverage may have carried the path of an older one over.
    if coverage.has_unpublished
        || coverage.epoch != manifest.epoch
        || Some(&coverage.snapshot_path) != manifest.snapshot_path.as_ref()
    {
        return Ok(false);
    }
    let manifest = Arc::clone(manifest);
    ctx.blocking(move |ctx| {
        ctx.store.write_with(Durability::Process, |tx| {
            let is_same = holds_all(ctx, tx, &manifest, &coverage)?;
            if is_same {
                settle(ctx, tx, &manifest, &coverage)?;
            }
            Ok(is_same)
        })
    })
    .await
}

/// Whether the rows here are those of the snapshot, but for what came after it.
fn holds_all(ctx: &Context, tx: &Tx<'_>, manifest: &Manifest, coverage: &Coverage) -> Result<bool> {
    if tx.meta_number(keys::EPOCH)?.unwrap_or(0) + 1 != manifest.epoch {
        return Ok(false);
    }
    if !tx.without_receipt(coverage.covered.clone())?.is_empty() {
        return Ok(false);
    }
    let kept = tx.floor()?;
    let Some(floor) = &manifest.floor else { return Ok(kept.is_none()) };
    if kept.as_ref().is_some_and(|kept| kept >= floor) {
        return Ok(kept.as_ref() == Some(floor));
    }
    // The floor rises. At or below it there must be nothing here that the snapshot may lack: no late work of ours,
    // and nothing from a file that its writer had not read.
    let read = stale::read_of_us(ctx, tx, &coverage.frontiers, coverage.is_anchored)?;
    let in_time = device::promised(tx, read)?.is_some_and(|seen| seen >= *floor);
    let covered: HashSet<&str> = coverage.covered.iter().map(String::as_str).collect();
    Ok(in_time && !tx.brought_below(floor, &covered)?)
}

fn settle(ctx: &Context, tx: &Tx<'_>, manifest: &Manifest, coverage: &Coverage) -> Result<()> {
    let mut engine = tx.engine()?;
    if let Some(watermark) = &manifest.watermark {
        page::receive(&mut engine, watermark, ctx.host.now_ms(), &mut Vec::new());
    }
    for (table, row_id, deleted) in &coverage.collected {
        if let Some(table) = tx.table(table)? {
            tx.collect(&table, row_id, deleted)?;
        }
    }
    tx.settle_receipts(&coverage.covered)?;
    tx.join_frontiers(&coverage.frontiers)?;
    if coverage.is_anchored {
        tx.set_meta(keys::FOREIGN_EPOCH, &manifest.epoch.to_string())?;
    } else {
        let stream = tx.stream(&ctx.install)?;
        tx.note_held_by((&ctx.device_id(), &stream), manifest.epoch, &coverage.frontiers)?;
    }
    stale::confirm_covered(ctx, tx, &coverage.covered, (&coverage.frontiers, coverage.is_anchored))?;
    if let Some(floor) = &manifest.floor {
        tx.set_floor(floor)?;
    }
    tx.set_meta(keys::EPOCH, &manifest.epoch.to_string())?;
    tx.release_snapshots()?;
    tx.set_engine(&engine)
}
