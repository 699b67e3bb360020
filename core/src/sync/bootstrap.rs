//! Founding a mesh: only in a mailbox that is certainly empty, and so that of several founders one wins.

use std::sync::Arc;

use super::{Context, Link, join, manifest};
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

/// Makes a mesh where there is none, and returns the one that is there afterwards, ours or that of a
/// faster founder.
pub(crate) async fn found(ctx: &Context, link: &Link) -> Result<Arc<Manifest>> {
    let ours = intended(ctx, link)?;
    let file = Pointer::to_generation(1).file;
    let path = link.layout.manifest(&file);
    check_empty(link, &file).await?;
    for folder in link.layout.folders() {
        link.adapter.ensure_folder(&folder).await?;
    }
    match link.adapter.create_file(&path, ours.encode().into()).await {
        Ok(()) => {}
        Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => {
            let bytes = link.adapter.read_file(&path).await?;
            let theirs = Manifest::parse(&bytes).map_err(|error| manifest::invalid(&path, &error))?;
            if theirs.content_hash != ours.content_hash {
                // Somebody founds at this moment, or broke off; their pointer decides.
                return manifest::load(ctx, link, "bootstrap").await?.ok_or(Error::ManifestInvalid {
                    path,
                    reason: "another device has begun to found a mesh here; try again when it is done".into(),
                });
            }
        }
        Err(error) => return Err(error.into()),
    }
    let pointer = Body::from(Pointer::to_generation(1).encode());
    match link.adapter.create_file(&link.layout.pointer(), pointer).await {
        Ok(()) => {}
        Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    // The read-back: what everybody sees from now on, whoever wrote it.
    let current = manifest::expect(ctx, link, "bootstrap").await?;
    if current.content_hash == ours.content_hash {
        ctx.emit(&Event::TraceManifest { op: "bootstrap-create", reason: "connect", generation: 1 });
    }
    Ok(current)
}

/// Writes a manifest for a mesh that this store knows and the mailbox lost, and queues every row. Only
/// where the mailbox is certain that there is no pointer.
pub(crate) async fn rebuild(ctx: &Context, link: &Link) -> Result<()> {
    link.adapter.authenticate().await?;
    link.forget_manifest();
    if manifest::load(ctx, link, "rebuild").await?.is_some() {
        return Err(Error::invalid("rebuild", "the mailbox holds a mesh; there is nothing to rebuild"));
    }
    let settings = &ctx.settings;
    let now_ms = ctx.host.now_ms();
    let (mesh_id, generation, epoch) = ctx.read(|tx| {
        let number = |key| Ok::<_, Error>(tx.meta_number(key)?.unwrap_or(0));
        Ok((tx.meta(keys::MESH_ID)?, number(keys::GENERATION)? + 1, number(keys::EPOCH)?))
    })?;
    let mesh_id = mesh_id.ok_or(Error::invalid("rebuild", "this store never belonged to a mesh"))?;
    let ours = Manifest::found(&Founding {
        mesh_id: &mesh_id,
        schema: settings.schema_version.unwrap_or(1),
        encrypted: link.codec.is_sealed(),
        managed: settings.managed,
        server_id: &settings.server_id,
        now_ms,
        generation,
        epoch,
    })
    .map_err(|error| Error::invalid("configuration", error.to_string()))?;
    // Queued first: a crash after the pointer must not leave a mesh without our rows.
    ctx.write(|tx| {
        let mut engine = tx.engine()?;
        join::queue_all(tx, &mut engine, now_ms)?;
        tx.set_engine(&engine)
    })?;
    for folder in link.layout.folders() {
        link.adapter.ensure_folder(&folder).await?;
    }
    let pointer = Pointer::to_generation(generation);
    link.adapter.write_file(&link.layout.manifest(&pointer.file), ours.encode().into()).await?;
    link.adapter.create_file(&link.layout.pointer(), pointer.encode().into()).await?;
    let current = manifest::expect(ctx, link, "rebuild").await?;
    if current.mesh_id == mesh_id {
        return Ok(());
    }
    Err(Error::ManifestInvalid {
        path: link.layout.pointer(),
        reason: "another device founded another mesh here at the same time".into(),
    })
}

/// The manifest we found with: the same one again after a crash in between.
fn intended(ctx: &Context, link: &Link) -> Result<Manifest> {
    let settings = &ctx.settings;
    let now_ms = ctx.host.now_ms();
    let mesh_id = format!("mesh_{}", ids::uuid_v7(&*ctx.host));
    ctx.store.write_with(Durability::Power, |tx| {
        if let Some(file) = tx.meta(keys::FOUNDING)?
            && let Ok(begun) = Manifest::parse(file.as_bytes())
            && begun.encrypted == link.codec.is_sealed()
        {
            return Ok(begun);
        }
        let ours = Manifest::found(&Founding {
            mesh_id: &mesh_id,
            schema: settings.schema_version.unwrap_or(1),
            encrypted: link.codec.is_sealed(),
            managed: settings.managed,
            server_id: &settings.server_id,
            now_ms,
            generation: 1,
            epoch: 0,
        })
        .map_err(|error| Error::invalid("configuration", error.to_string()))?;
        tx.set_meta(keys::FOUNDING, &String::from_utf8_lossy(&ours.encode()))?;
        Ok(ours)
    })
}

/// Refuses a folder that holds anything of a mesh: without its pointer that mesh is damaged, not absent.
async fn check_empty(link: &Link, own_manifest: &str) -> Result<()> {
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
    found.extend(root.into_iter().filter(|name| name.starts_with("manifest") && name != own_manifest));
    let changes = names(layout.changes()).await?;
    found.extend(changes.into_iter().filter(|name| is_change_name(name)));
    for folder in [layout.mainline(), layout.devices()] {
        found.extend(names(folder).await?.into_iter().filter(|name| !name.starts_with('.')));
    }
    match found.first() {
        None => Ok(()),
        Some(name) => Err(Error::ManifestInvalid {
            path: layout.pointer(),
            reason: format!(
                "it is missing, but the folder holds files of a mesh ({name} and {} more); nothing was written",
                found.len() - 1
            ),
        }),
    }
}
