//! Compaction: one snapshot in place of the change files whose effects it holds.
//!
//! The order is what makes it safe: snapshot, then the manifest that names it, created exclusively, which
//! elects one of several compactors, then the pointer, then a read-back. Nothing is deleted before a grace in
//! which slow peers may still read it, and only files whose names the snapshot covers; never by watermark.

use std::{sync::Arc, time::Duration};

use super::{
    Context, Foretaste, Link, collect::Collection, connect, device, flush, honesty, link::UNSETTLED_MS,
    manifest, pull, spool::Outgoing,
};
use crate::{
    clock::Clock,
    config::SchemaPolicy,
    error::{Error, Result},
    host::ids,
    mailbox::MailboxErrorKind,
    store::{Tx, meta::keys},
    value::Name,
    wire::{
        coverage::{Coverage, Frontier},
        device::DeviceRecord,
        layout::is_change_name,
        manifest::{Manifest, Next, Pointer, coverage_of},
        snapshot::{Preamble, SnapshotWriter},
    },
};

/// A manifest that its writer did not put into force within this time is passed over, in ms.
const ABANDONED_MS: u64 = 10 * 60 * 1000;

/// Abandoned manifests passed over at most.
const PASSED_OVER: u64 = 16;

/// Deleted change files stay covered for so long, for mailboxes that show them again, in ms.
const REAPPEAR_MS: u64 = 30 * 24 * 3600 * 1000;

/// Text that is gathered before it goes on to the spool, in bytes.
const PIECE: usize = 256 * 1024;

/// How a compaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compacted {
    /// The snapshot is in force.
    Written {
        epoch: u64,
        rows: u64,
        /// Change files that it covers.
        covered: u64,
        /// Files deleted, whose grace was over.
        deleted: u64,
    },
    /// Another device compacted, or compacts, at the same time; nothing was changed.
    Overtaken,
}

/// Whether this device should compact without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suitability {
    Suits {
        /// Devices of the mesh that are not away or retired.
        devices: u64,
    },
    /// The mesh is managed by another device.
    NotTheWriter,
    /// There are clients that fail where a file that they listed is deleted.
    OtherClients,
    /// Rows here must not be published before their files.
    RowsWait,
}

/// Looks at who else is in the mesh.
pub(crate) async fn suitability(ctx: &Context, link: &Link) -> Result<Suitability> {
    let manifest = manifest::expect(ctx, link, "compact").await?;
    if is_anothers(ctx, &manifest) {
        return Ok(Suitability::NotTheWriter);
    }
    if ctx.read(|tx| tx.holds_rows())? {
        return Ok(Suitability::RowsWait);
    }
    let now_ms = ctx.host.now_ms();
    let records = device::list(link).await?;
    let live: Vec<_> = records.iter().filter(|record| record.counts(now_ms, manifest.grace_ms)).collect();
    Ok(if live.iter().all(|record| record.is_native()) {
        Suitability::Suits { devices: live.len() as u64 }
    } else {
        Suitability::OtherClients
    })
}

/// Number of change files in the mailbox.
pub(crate) async fn count_changes(link: &Link) -> Result<u64> {
    Ok(link.list_changes().await?.iter().filter(|file| is_change_name(&file.name)).count() as u64)
}

fn is_anothers(ctx: &Context, manifest: &Manifest) -> bool {
    manifest.managed && *ctx.device_id() != *manifest.server_id
}

/// Publishes and pulls everything, then compacts.
pub(crate) async fn compact(ctx: &Arc<Context>, link: &Arc<Link>, grace: Duration) -> Result<Compacted> {
    link.forget_manifest();
    let manifest = manifest::expect(ctx, link, "compact").await?;
    if is_anothers(ctx, &manifest) {
        return Err(Error::WriterMismatch {
            writer: manifest.server_id.clone(),
            configured: ctx.device_id().into_owned(),
        });
    }
    ctx.read(refuse_waiting)?;
    flush::flush(ctx, link).await?;
    // Before the change files are listed: what a record promises is in them by then.
    let records = device::list(link).await?;
    let (merged, _) = pull::pull(ctx, link, Foretaste::default()).await?;
    let epoch = ctx.read(|tx| tx.meta_number(keys::EPOCH))?.unwrap_or(0);
    if merged.epoch != epoch {
        return Err(Error::ManifestInvalid {
            path: link.layout.pointer(),
            reason: format!(
                "its snapshot of epoch {} is not merged here (this device has {epoch}); nothing was compacted",
                merged.epoch
            ),
        });
    }

    // The version of the pointer before the manifest that it names: what comes between is noticed.
    let version = if link.adapter.capabilities().conditional_replace {
        link.adapter.metadata(&link.layout.pointer()).await?.and_then(|pointer| pointer.etag)
    } else {
        None
    };
    link.forget_manifest();
    let manifest = manifest::expect(ctx, link, "compact").await?;
    if manifest.content_hash != merged.content_hash {
        return Ok(Compacted::Overtaken);
    }
    let Some(generation) = free_generation(ctx, link, &manifest).await? else {
        return Ok(Compacted::Overtaken);
    };
    let listed: Vec<String> = link.list_changes().await?.into_iter().map(|file| file.name).collect();
    let name = format!("snapshot-{}-{}-{}.json", epoch + 1, ctx.device_id(), ids::uuid_v4(&*ctx.host));
    let mut draft = {
        let (link, manifest) = (Arc::clone(link), Arc::clone(&manifest));
        ctx.blocking(move |ctx| draft(ctx, &link, &manifest, listed, &records)).await?
    };
    let path = format!("{}/{name}", link.layout.mainline());
    let body = draft.body.take().ok_or(Error::Cancelled)?.into_body()?;
    link.adapter.write_file(&path, body).await?;
    // After the snapshot: whoever takes the one for the other must find both.
    let coverage_path = coverage_of(&path);
    let coverage = Coverage {
        epoch: epoch + 1,
        snapshot_path: path.clone(),
        covered: draft.covered.clone(),
        frontiers: std::mem::take(&mut draft.frontiers),
        is_anchored: draft.is_anchored,
        has_unpublished: draft.has_unpublished,
        collected: draft.collected.clone(),
    };
    let sealed = link.codec.seal(&*ctx.host, coverage.encode(&manifest.mesh_id));
    let sealed = sealed.map_err(|_| Error::EntryTooLarge { size: u64::MAX, limit: u64::MAX })?;
    link.adapter.write_file(&coverage_path, sealed.into()).await?;
    let settings = &ctx.settings;
    let next = manifest
        .next(&Next {
            generation,
            server_id: &settings.server_id,
            now_ms: ctx.host.now_ms(),
            schema: match (settings.schema_version, settings.schema_policy) {
                (Some(ours), SchemaPolicy::Migrate) => ours.max(manifest.schema),
                _ => manifest.schema,
            },
            epoch: epoch + 1,
            watermark: &draft.watermark,
            snapshot_path: &path,
            coverage_path: &coverage_path,
            floor: draft.collection.floor.as_ref(),
        })
        .map_err(|error| manifest::invalid(&path, &error))?;
    match elect(ctx, link, &next, version.as_deref()).await? {
        Election::Won => {}
        Election::Lost => return Ok(Compacted::Overtaken),
        Election::NotRun => {
            // The name of the snapshot is ours alone, and nothing names it.
            for path in [&path, &coverage_path] {
                let _ = link.adapter.delete_file(path).await;
            }
            return Ok(Compacted::Overtaken);
        }
    }
    settle(ctx, &manifest, &next, &draft)?;
    connect::finish(ctx, link, &next).await?;
    let deleted = prune(ctx, link, &next, grace).await?;
    Ok(Compacted::Written {
        epoch: epoch + 1,
        rows: draft.rows,
        covered: draft.covered.len() as u64,
        deleted,
    })
}

/// A snapshot has all rows, those too that must not be published before their files.
fn refuse_waiting(tx: &Tx<'_>) -> Result<()> {
    if tx.holds_rows()? {
        let reason =
            "rows wait for their files to be uploaded, and a snapshot would publish them; sync first";
        return Err(Error::invalid("compaction", reason));
    }
    Ok(())
}

/// The number of the next manifest; `None` while another device seems to be at it.
async fn free_generation(ctx: &Context, link: &Link, manifest: &Manifest) -> Result<Option<u64>> {
    let known = ctx.read(|tx| tx.meta_number(keys::GENERATION))?.unwrap_or(0);
    let first = manifest.generation.max(known) + 1;
    for generation in first..first + PASSED_OVER {
        let path = link.layout.manifest(&Pointer::to_generation(generation).file);
        let Some(begun) = link.adapter.metadata(&path).await? else { return Ok(Some(generation)) };
        let age = begun.modified_ms.map(|at| ctx.host.now_ms().saturating_sub(at.unsigned_abs()));
        if age.is_none_or(|age| age < ABANDONED_MS) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// A snapshot ready to be written.
struct Draft {
    /// Until it is on its way.
    body: Option<Outgoing>,
    watermark: Clock,
    collection: Collection,
    /// Names of the change files that it holds, sorted.
    covered: Vec<String>,
    rows: u64,
    /// Entries of ours in it.
    entries: u64,
    frontiers: Vec<Frontier>,
    is_anchored: bool,
    /// It holds writes that came after the last flush.
    has_unpublished: bool,
    /// Delete clocks in it.
    held: Vec<(Name, Name, Clock)>,
    /// Delete clocks that it leaves out.
    collected: Vec<(Name, Name, Clock)>,
}

/// Writes the rows and the names of what they hold, both from one state of the store.
fn draft(
    ctx: &Context,
    link: &Link,
    manifest: &Manifest,
    listed: Vec<String>,
    records: &[DeviceRecord],
) -> Result<Draft> {
    let now_ms = ctx.host.now_ms();
    let (clock, pruned) = ctx.write(|tx| {
        let mut engine = tx.engine()?;
        // Above everything merged so far, within five minutes of the wall clock.
        let clock = engine.clock.issue(now_ms, &ctx.device, manifest.watermark.as_ref());
        tx.set_engine(&engine)?;
        Ok((clock, tx.pruned(now_ms.saturating_sub(REAPPEAR_MS))?))
    })?;
    let mut listed = Some(listed);
    let mut body = Some(Outgoing::new(&link.codec, &*ctx.host));
    ctx.store.read_with(|tx| {
        let listed = listed.take().unwrap_or_default();
        let body = body.take().ok_or(Error::Cancelled)?;
        refuse_waiting(tx)?;
        let covered = covered(tx, listed, &pruned)?;
        let frontiers = tx.frontiers()?;
        let is_anchored = tx.meta(keys::FOREIGN_EPOCH)?.is_some();
        let collection = Collection::plan(ctx, tx, manifest, records)?;
        let (mut held, mut collected) = (Vec::new(), Vec::new());
        let mut writer = SnapshotWriter::new(&Preamble {
            mesh_id: &manifest.mesh_id,
            id: &format!("snap_{}", ids::uuid_v7(&*ctx.host)),
            now_ms,
            watermark: &clock,
            epoch: manifest.epoch + 1,
            schema: manifest.schema,
            covered: &covered,
            frontiers: &frontiers,
            is_anchored,
        });
        let mut rows = 0;
        let ((), body) = body.fill(|pieces| {
            for table in tx.tables()? {
                tx.each_row(&table, |_, row_id, mut state| {
                    if let Some(deleted) = collection.takes(tx, &table, &row_id, &state)?.cloned() {
                        collected.push((table.name.clone(), row_id.clone(), deleted));
                        state.deleted = None;
                        if state.cells.is_empty() {
                            return Ok(());
                        }
                    } else if let Some(deleted) = &state.deleted {
                        held.push((table.name.clone(), row_id.clone(), deleted.clone()));
                    }
                    writer.row(&table.name, &row_id, &state);
                    rows += 1;
                    if writer.out.len() >= PIECE {
                        pieces.send(std::mem::replace(&mut writer.out, Vec::with_capacity(2 * PIECE)))?;
                    }
                    Ok(())
                })?;
            }
            pieces.send(writer.finish())
        })?;
        Ok(Draft {
            body: Some(body),
            watermark: clock.clone(),
            collection,
            covered,
            rows,
            entries: tx.meta_number(keys::ENTRY_SEQ)?.unwrap_or(0),
            frontiers,
            is_anchored,
            has_unpublished: tx.outbox_count()?.records > 0,
            held,
            collected,
        })
    })
}

/// The change files whose effects are in the rows: those with a receipt that lie in the mailbox, or did
/// until lately. A file in quarantine has no receipt.
fn covered(tx: &Tx<'_>, listed: Vec<String>, pruned: &[String]) -> Result<Vec<String>> {
    let gone = pruned.iter().filter_map(|name| name.strip_prefix("changes/")).map(str::to_owned);
    let mut names: Vec<String> = listed.into_iter().filter(|name| is_change_name(name)).chain(gone).collect();
    names.sort_unstable_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    names.dedup();
    let unknown: std::collections::HashSet<String> = tx.without_receipt(names.clone())?.into_iter().collect();
    names.retain(|name| !unknown.contains(name));
    Ok(names)
}

/// How an election ended.
enum Election {
    /// Our manifest is in force.
    Won,
    /// Another one is.
    Lost,
    /// Our manifest does not even exist.
    NotRun,
}

/// Puts a manifest into force. What is read back decides, and no answer to a write: a request that was sent twice
/// is refused the second time, although the first one did it.
async fn elect(ctx: &Context, link: &Link, next: &Manifest, version: Option<&str>) -> Result<Election> {
    let pointer = Pointer::to_generation(next.generation);
    let path = link.layout.manifest(&pointer.file);
    let is_new = match link.adapter.create_file(&path, next.encode().into()).await {
        Ok(()) => true,
        Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => false,
        Err(error) => return Err(error.into()),
    };
    // Where creating is not exclusive, the last writer is the one that is read.
    let written = link.adapter.read_file(&path).await?;
    if !Manifest::parse(&written).is_ok_and(|written| written.content_hash == next.content_hash) {
        return Ok(if is_new { Election::Lost } else { Election::NotRun });
    }
    let place = link.layout.pointer();
    let moved = match version {
        Some(version) => link.adapter.replace_file(&place, pointer.encode().into(), version).await,
        None => link.adapter.write_file(&place, pointer.encode().into()).await,
    };
    match moved {
        Ok(()) => {}
        Err(error) if error.kind() == MailboxErrorKind::Conflict => {}
        Err(error) => return Err(error.into()),
    }
    link.forget_manifest();
    let in_force = manifest::expect(ctx, link, "compact").await?;
    Ok(if in_force.content_hash == next.content_hash { Election::Won } else { Election::Lost })
}

/// Notes what is in force now, and what it made superfluous.
fn settle(ctx: &Context, former: &Manifest, next: &Manifest, draft: &Draft) -> Result<()> {
    let now_ms = ctx.host.now_ms();
    ctx.write(|tx| {
        tx.set_meta(keys::EPOCH, &next.epoch.to_string())?;
        honesty::remember(tx, next)?;
        let stream = tx.stream(&ctx.install)?;
        tx.note_held(&stream, next.epoch, draft.entries)?;
        if let Some(floor) = &next.floor {
            tx.set_floor(floor)?;
        }
        for (table, row_id, deleted) in &draft.held {
            if let Some(table) = tx.table(table)? {
                tx.note_grave(&table, row_id, deleted, next.epoch)?;
            }
        }
        for (table, row_id, deleted) in &draft.collected {
            if let Some(table) = tx.table(table)? {
                tx.collect(&table, row_id, deleted)?;
            }
        }
        for name in &draft.covered {
            tx.note_prunable(&format!("changes/{name}"), now_ms)?;
        }
        tx.settle_receipts(&draft.covered)?;
        for path in [&former.snapshot_path, &former.coverage_path].into_iter().flatten() {
            if let Some((_, name)) = path.rsplit_once("/mainline/") {
                tx.note_prunable(&format!("mainline/{name}"), now_ms)?;
            }
        }
        Ok(())
    })
}

/// Deletes what has been superfluous for longer than the grace, while our manifest is in force.
async fn prune(ctx: &Context, link: &Link, ours: &Manifest, grace: Duration) -> Result<u64> {
    let mut grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    if !link.adapter.capabilities().exclusive_create {
        // Another compactor may still write its manifest over ours; what only ours covers must outlive that.
        grace_ms = grace_ms.max(UNSETTLED_MS);
    }
    let names = ctx.read(|tx| tx.prunable(ctx.host.now_ms().saturating_sub(grace_ms)))?;
    if names.is_empty() {
        return Ok(0);
    }
    link.forget_manifest();
    if manifest::expect(ctx, link, "prune").await?.content_hash != ours.content_hash {
        return Ok(0);
    }
    let current = [&ours.snapshot_path, &ours.coverage_path];
    let mut deleted = 0;
    for name in names {
        if current.iter().any(|path| path.as_ref().is_some_and(|path| path.ends_with(&format!("/{name}")))) {
            continue;
        }
        link.adapter.delete_file(&link.layout.manifest(&name)).await?;
        let now_ms = ctx.host.now_ms();
        ctx.write(|tx| tx.note_pruned(&name, now_ms))?;
        deleted += 1;
    }
    Ok(deleted)
}
