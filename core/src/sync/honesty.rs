//! Honesty: what to do when the mailbox shows less than it did, and how to notice.
//!
//! A mailbox can be rolled back by a backup, lose files, or hide them. And a JavaScript client takes any failed read
//! of the pointer for an empty mailbox, and founds a mesh over the one that is there (protocol.md 7.4).

use std::sync::Arc;

use super::{Context, Link, join, manifest};
use crate::{
    error::{Error, Result},
    events::Event,
    mailbox::MailboxErrorKind,
    store::{Tx, meta::keys},
    wire::{
        device::DeviceRecord,
        manifest::{Manifest, Pointer},
    },
};

/// A hole in the numbers of a device is told when it has been there for so long, in ms.
const HOLE_MS: u64 = 24 * 3600 * 1000;

/// What was accepted before.
struct Known {
    generation: u64,
    epoch: u64,
    hash: Option<String>,
    /// The regression that was told last.
    told: Option<String>,
}

impl Known {
    fn read(tx: &Tx<'_>) -> Result<Self> {
        Ok(Self {
            generation: tx.meta_number(keys::GENERATION)?.unwrap_or(0),
            epoch: tx.meta_number(keys::EPOCH)?.unwrap_or(0),
            hash: tx.meta(keys::CONTENT_HASH)?,
            told: tx.meta(keys::ROLLBACK)?,
        })
    }
}

/// Notes a manifest that is accepted from now on.
pub(super) fn remember(tx: &Tx<'_>, manifest: &Manifest) -> Result<()> {
    tx.set_meta(keys::GENERATION, &manifest.generation.to_string())?;
    tx.set_meta(keys::CONTENT_HASH, &manifest.content_hash)?;
    tx.set_meta(keys::MANIFEST, &String::from_utf8_lossy(&manifest.encode()))
}

/// Compares a manifest with what was accepted before, and gives the one to go on with. An older state is told; what it
/// lost is published again, for this store still has it.
pub(super) async fn check(ctx: &Context, link: &Link, found: Arc<Manifest>) -> Result<Arc<Manifest>> {
    let known = ctx.read(Known::read)?;
    if found.generation < known.generation || found.epoch < known.epoch {
        if known.told.as_ref() == Some(&found.content_hash) {
            return Ok(found);
        }
        // Where the greater number has the older epoch, others have it the other way round: one of both has to give way.
        if found.generation <= known.generation
            && let Some(ours) = put_back(ctx, link, &found).await?
        {
            return Ok(ours);
        }
        tell(ctx, &known, &found);
        ctx.write(|tx| {
            tx.set_meta(keys::ROLLBACK, &found.content_hash)?;
            // The mesh goes on from here; what is merged already stays merged. Behind an epoch that came twice stands
            // another snapshot: it is merged as well.
            tx.set_meta(keys::EPOCH, &found.epoch.saturating_sub(1).to_string())?;
            join::queue_again(tx, ctx.host.now_ms())
        })?;
    } else if found.generation > known.generation {
        ctx.write(|tx| remember(tx, &found))?;
    } else if known.hash.as_ref().is_some_and(|hash| *hash != found.content_hash) {
        tell(ctx, &known, &found);
        ctx.write(|tx| {
            remember(tx, &found)?;
            // Another snapshot may stand behind the same epoch: it is merged as well.
            tx.set_meta(keys::EPOCH, &known.epoch.saturating_sub(1).to_string())
        })?;
    }
    Ok(found)
}

fn tell(ctx: &Context, known: &Known, found: &Manifest) {
    ctx.emit(&Event::RemoteRollback {
        known_generation: known.generation,
        generation: found.generation,
        known_epoch: known.epoch,
        epoch: found.epoch,
    });
}

/// Another mesh where ours should be: gives ours, if it was only covered up by a client that founded a new one over it.
pub(super) async fn uncover(
    ctx: &Context,
    link: &Link,
    intruder: &Manifest,
) -> Result<Option<Arc<Manifest>>> {
    let is_fresh = intruder.generation == 1 && intruder.epoch == 0 && intruder.snapshot_path.is_none();
    if is_fresh { put_back(ctx, link, intruder).await } else { Ok(None) }
}

/// Puts the manifest that was accepted last back into force, where everything that it needs still lies there and
/// nobody went on from it.
async fn put_back(ctx: &Context, link: &Link, found: &Manifest) -> Result<Option<Arc<Manifest>>> {
    let ours = ctx.read(|tx| tx.meta(keys::MANIFEST))?;
    let Some(ours) = ours.and_then(|text| Manifest::parse(text.as_bytes()).ok()) else { return Ok(None) };
    let (adapter, layout) = (&link.adapter, &link.layout);
    // A folder that was emptied on purpose holds no record of this device; one that the device once was in with
    // another mesh holds a record that says so.
    let record = match adapter.read_file(&layout.device(&ctx.device_id())).await {
        Ok(bytes) => DeviceRecord::parse(&bytes).ok(),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(record) = record else { return Ok(None) };
    if found.mesh_id != ours.mesh_id && record.mesh_id().as_ref() != Some(&ours.mesh_id) {
        return Ok(None);
    }
    if let Some(path) = ours.snapshot_path.as_deref().and_then(|path| layout.snapshot(path))
        && adapter.metadata(&path).await?.is_none()
    {
        return Ok(None);
    }
    let path = |generation| layout.manifest(&Pointer::to_generation(generation).file);
    let last = ours.generation.max(found.generation);
    if adapter.metadata(&path(last + 1)).await?.is_some() {
        return Ok(None);
    }
    let is_there = match adapter.read_file(&path(ours.generation)).await {
        Ok(bytes) => Manifest::parse(&bytes).is_ok_and(|there| there.content_hash == ours.content_hash),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    let next = if is_there {
        ours
    } else {
        let next = ours
            .again(last + 1, ctx.host.now_ms())
            .map_err(|error| manifest::invalid(&path(last), &error))?;
        match adapter.create_file(&path(last + 1), next.encode().into()).await {
            Ok(()) => next,
            Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    let pointer = Pointer::to_generation(next.generation);
    adapter.write_file(&layout.pointer(), pointer.encode().into()).await?;
    link.forget_manifest();
    let manifest = manifest::expect(ctx, link, "repair").await?;
    if manifest.content_hash != next.content_hash {
        return Ok(None);
    }
    ctx.write(|tx| remember(tx, &manifest))?;
    ctx.emit(&Event::RemoteRepaired { generation: manifest.generation, found_generation: found.generation });
    Ok(Some(manifest))
}

/// Whether the snapshot that this store has merged still lies there for those who come later. Where it does not, its
/// rows are published again.
pub(super) async fn check_snapshot(ctx: &Context, link: &Link, manifest: &Manifest) -> Result<()> {
    let epoch = ctx.read(|tx| tx.meta_number(keys::EPOCH))?.unwrap_or(0);
    let path = manifest.snapshot_path.as_deref().and_then(|path| link.layout.snapshot(path));
    let Some(path) = path.filter(|_| epoch == manifest.epoch) else { return Ok(()) };
    let told = ctx.read(|tx| tx.meta(keys::ROLLBACK))?;
    if told.as_ref() == Some(&path) || link.adapter.metadata(&path).await?.is_some() {
        return Ok(());
    }
    ctx.emit(&Event::RemoteWithheld { path: Some(path.clone()), device: None, first: 0, last: 0 });
    ctx.write(|tx| {
        tx.set_meta(keys::ROLLBACK, &path)?;
        join::queue_again(tx, ctx.host.now_ms())
    })
}

/// Tells of entries that have been missing for a day although later ones of the same device are there.
pub(super) fn check_holes(ctx: &Context) -> Result<()> {
    if !ctx.read(|tx| tx.has_holes())? {
        return Ok(());
    }
    let now_ms = ctx.host.now_ms();
    for hole in ctx.write(|tx| tx.overdue_holes(now_ms, HOLE_MS))? {
        let (device, first, last) = (Some(hole.device), hole.first, hole.last);
        ctx.emit(&Event::RemoteWithheld { path: None, device, first, last });
    }
    Ok(())
}

/// [`manifest::expect`], and where another mesh covers ours up, ours.
pub(super) async fn expect(ctx: &Context, link: &Link, reason: &'static str) -> Result<Arc<Manifest>> {
    match manifest::expect(ctx, link, reason).await {
        Err(error @ Error::MeshCredentialMismatch { .. }) => {
            let Some(intruder) = manifest::load(ctx, link, reason).await? else { return Err(error) };
            let ours = uncover(ctx, link, &intruder).await;
            if !matches!(ours, Ok(Some(_))) {
                link.forget_manifest();
            }
            ours?.ok_or(error)
        }
        outcome => outcome,
    }
}

/// Makes sure, before anything is published, that the accepted manifest still lies there: the pointer alone
/// tells two young meshes not apart. Gives the manifest that holds now.
pub(super) async fn confirm(ctx: &Context, link: &Link) -> Result<Arc<Manifest>> {
    if let Some((pointer, manifest)) = link.known()
        && let Ok(bytes) = link.adapter.read_file(&link.layout.manifest(&pointer.file)).await
        && Manifest::parse(&bytes).is_ok_and(|found| found.content_hash == manifest.content_hash)
    {
        return Ok(manifest);
    }
    link.forget_manifest();
    expect(ctx, link, "flush").await
}
