//! Founding a mesh: only in a mailbox that is certainly empty, and so that of several founders one wins.

use std::{sync::Arc, time::Duration};

use super::{Context, Link, device, join, manifest};
use crate::{
    error::{Error, Result},
    events::Event,
    host::ids,
    mailbox::{Body, MailboxErrorKind},
    store::{Durability, meta::keys},
    wire::{
        layout::is_change_name,
        manifest::{Founding, Manifest, Pointer},
    },
};

/// How often, and after which pauses, somebody else's founding is waited for.
const WAITS: u32 = 15;
const WAIT: Duration = Duration::from_millis(200);

/// A mesh that was not there before.
pub(crate) struct Founded {
    pub(crate) manifest: Arc<Manifest>,
    /// Whether it is ours, and not that of a faster founder.
    pub(crate) is_ours: bool,
}

/// Makes a mesh where there is none, and returns the one that is there afterwards.
pub(crate) async fn found(ctx: &Context, link: &Link) -> Result<Founded> {
    let ours = intended(ctx, link)?;
    let path = link.layout.manifest(&Pointer::to_generation(1).file);
    if !is_begun(link, &path, &ours).await? {
        let remains = remains(link).await?;
        if let Some(name) = remains.first() {
            // Where the first manifest lies, its founder may be about to write the pointer.
            let first = Pointer::to_generation(1).file;
            let tries = if remains.contains(&first) { WAITS } else { 1 };
            return theirs(ctx, link, tries).await?.ok_or_else(|| Error::ManifestInvalid {
                path: link.layout.pointer(),
                reason: format!(
                    "it is missing, but the folder holds files of a mesh ({name} and {} more); nothing was \
                     written: if a device is still founding the mesh, try again, else restore the file",
                    remains.len() - 1
                ),
            });
        }
        for folder in link.layout.folders() {
            link.adapter.ensure_folder(&folder).await?;
        }
        match link.adapter.create_file(&path, ours.encode().into()).await {
            Ok(()) => {}
            Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => {
                return theirs(ctx, link, WAITS).await?.ok_or_else(|| unfinished(path));
            }
            Err(error) => return Err(error.into()),
        }
        if !is_begun(link, &path, &ours).await? {
            return theirs(ctx, link, WAITS).await?.ok_or_else(|| unfinished(path));
        }
    }
    // There before anybody can join: whoever comes with another key learns it at once, and not when the
    // first rows cannot be read.
    device::introduce(ctx, link, &ours.mesh_id).await?;
    let pointer = Body::from(Pointer::to_generation(1).encode());
    match link.adapter.create_file(&link.layout.pointer(), pointer).await {
        Ok(()) => {}
        Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    // The read-back: what everybody sees from now on, whoever wrote it.
    let manifest = manifest::expect(ctx, link, "bootstrap").await?;
    let is_ours = manifest.content_hash == ours.content_hash;
    if is_ours {
        ctx.emit(&Event::TraceManifest { op: "bootstrap-create", reason: "connect", generation: 1 });
    }
    Ok(Founded { manifest, is_ours })
}

/// Whether a mesh is the one that this device set out to found.
pub(crate) fn is_own(ctx: &Context, manifest: &Manifest) -> Result<bool> {
    let begun = ctx.read(|tx| tx.meta(keys::FOUNDING))?;
    let begun = begun.and_then(|file| Manifest::parse(file.as_bytes()).ok());
    Ok(begun.is_some_and(|begun| begun.content_hash == manifest.content_hash))
}

/// Whether our own first manifest lies in the mailbox, from this try or from one that broke off.
async fn is_begun(link: &Link, path: &str, ours: &Manifest) -> Result<bool> {
    match link.adapter.read_file(path).await {
        Ok(bytes) => Ok(Manifest::parse(&bytes).is_ok_and(|begun| begun.content_hash == ours.content_hash)),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Somebody else founds at this moment, or broke off: their pointer decides.
async fn theirs(ctx: &Context, link: &Link, tries: u32) -> Result<Option<Founded>> {
    for left in (0..tries).rev() {
        if let Some(manifest) = manifest::load(ctx, link, "bootstrap").await? {
            return Ok(Some(Founded { manifest, is_ours: false }));
        }
        if left > 0 {
            ctx.host.sleep(WAIT).await;
        }
    }
    Ok(None)
}

fn unfinished(path: String) -> Error {
    Error::ManifestInvalid {
        path,
        reason: "another device began to found a mesh here and did not finish; connect with that device, or \
                 empty the folder"
            .into(),
    }
}

/// Writes a manifest for a mesh that this store knows and the mailbox lost, and queues every row. Only
/// where the mailbox is certain that there is no pointer.
pub(crate) async fn rebuild(ctx: &Context, link: &Link) -> Result<()> {
    link.adapter.authenticate().await?;
    link.forget_manifest();
    if manifest::load(ctx, link, "rebuild").await?.is_some() {
        return Err(Error::invalid("rebuild", "the mailbox holds a mesh; there is nothing to rebuild"));
    }
    let (mesh_id, generation, epoch) = ctx.read(|tx| {
        let number = |key| Ok::<_, Error>(tx.meta_number(key)?.unwrap_or(0));
        Ok((tx.meta(keys::MESH_ID)?, number(keys::GENERATION)? + 1, number(keys::EPOCH)?))
    })?;
    let mesh_id = mesh_id.ok_or(Error::invalid("rebuild", "this store never belonged to a mesh"))?;
    let ours = first(ctx, link, &mesh_id, generation, epoch)?;
    // Queued first: a crash after the pointer must not leave a mesh without our rows.
    ctx.write(|tx| {
        let mut engine = tx.engine()?;
        join::queue_all(tx, &mut engine, ctx.host.now_ms())?;
        tx.set_engine(&engine)
    })?;
    for folder in link.layout.folders() {
        link.adapter.ensure_folder(&folder).await?;
    }
    let pointer = Pointer::to_generation(generation);
    link.adapter.write_file(&link.layout.manifest(&pointer.file), ours.encode().into()).await?;
    link.adapter.create_file(&link.layout.pointer(), pointer.encode().into()).await?;
    // The read-back: somebody else may have founded another mesh here at the same time.
    manifest::expect(ctx, link, "rebuild").await?;
    Ok(())
}

/// A manifest as this device is configured.
fn first(ctx: &Context, link: &Link, mesh_id: &str, generation: u64, epoch: u64) -> Result<Manifest> {
    let settings = &ctx.settings;
    Manifest::found(&Founding {
        mesh_id,
        schema: settings.schema_version.unwrap_or(1),
        encrypted: link.codec.is_sealed(),
        managed: settings.managed,
        server_id: &settings.server_id,
        now_ms: ctx.host.now_ms(),
        generation,
        epoch,
    })
    .map_err(|error| Error::invalid("configuration", error.to_string()))
}

/// The manifest we found with: the same one again after a crash in between.
fn intended(ctx: &Context, link: &Link) -> Result<Manifest> {
    let mesh_id = format!("mesh_{}", ids::uuid_v7(&*ctx.host));
    ctx.store.write_with(Durability::Power, |tx| {
        if let Some(file) = tx.meta(keys::FOUNDING)?
            && let Ok(begun) = Manifest::parse(file.as_bytes())
            && begun.encrypted == link.codec.is_sealed()
        {
            return Ok(begun);
        }
        let ours = first(ctx, link, &mesh_id, 1, 0)?;
        tx.set_meta(keys::FOUNDING, &String::from_utf8_lossy(&ours.encode()))?;
        Ok(ours)
    })
}

/// Names of whatever a folder holds of a mesh: without its pointer that mesh is damaged, not absent.
async fn remains(link: &Link) -> Result<Vec<String>> {
    let layout = &link.layout;
    let names = |folder: String| async move {
        match link.adapter.list_files(&folder).await {
            Ok(files) => Ok(files.into_iter().map(|file| file.name).collect::<Vec<_>>()),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::from(error)),
        }
    };
    let mut found = Vec::new();
    let root = names(layout.root().to_owned()).await?;
    found.extend(root.into_iter().filter(|name| name.starts_with("manifest")));
    let changes = names(layout.changes()).await?;
    found.extend(changes.into_iter().filter(|name| is_change_name(name)));
    for folder in [layout.mainline(), layout.devices()] {
        found.extend(names(folder).await?.into_iter().filter(|name| !name.starts_with('.')));
    }
    Ok(found)
}
