//! Reading which state of the mesh is current.

use std::sync::Arc;

use super::{Context, Link, Settings};
use crate::{
    config::SchemaPolicy,
    error::{Error, Result},
    events::Event,
    mailbox::MailboxErrorKind,
    store::meta::keys,
    wire::{
        WireError,
        manifest::{Manifest, Pointer},
    },
};

/// Reads pointer and manifest. `None`: the mailbox is certain that there is no pointer. Any other
/// failure is an error, never an absent mesh.
pub(crate) async fn load(ctx: &Context, link: &Link, reason: &'static str) -> Result<Option<Arc<Manifest>>> {
    link.refresh(ctx.host.now_ms());
    if reason == "pull"
        && let Some(manifest) = link.list_tree().await?
    {
        link.note_seen(ctx.host.now_ms());
        ctx.emit(&Event::TraceManifest { op: "cache-hit", reason, generation: manifest.generation });
        return Ok(Some(manifest));
    }
    for attempt in 0..2 {
        let path = link.layout.pointer();
        let bytes = match link.adapter.read_file(&path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let pointer = match Pointer::parse(&bytes) {
            Ok(pointer) => pointer,
            // Some servers show a file while it is being overwritten.
            Err(_) if attempt == 0 => continue,
            Err(error) => return Err(invalid(&path, &error)),
        };
        if let Some((known, manifest)) = link.known()
            && known == pointer
        {
            link.note_seen(ctx.host.now_ms());
            ctx.emit(&Event::TraceManifest { op: "cache-hit", reason, generation: manifest.generation });
            return Ok(Some(manifest));
        }
        let path = link.layout.manifest(&pointer.file);
        let bytes = match link.adapter.read_file(&path).await {
            Ok(bytes) => bytes,
            // Between the two reads another generation may have replaced the one that was named.
            Err(error) if error.kind() == MailboxErrorKind::NotFound && attempt == 0 => continue,
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {
                return Err(Error::ManifestInvalid {
                    path,
                    reason: "the pointer names it, but it is missing".into(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let manifest = Arc::new(Manifest::parse(&bytes).map_err(|error| invalid(&path, &error))?);
        check(ctx, &manifest, link.codec.is_sealed())?;
        link.remember(pointer, &manifest, ctx.host.now_ms());
        link.note_seen(ctx.host.now_ms());
        ctx.emit(&Event::TraceManifest { op: "read", reason, generation: manifest.generation });
        return Ok(Some(manifest));
    }
    Err(Error::ManifestInvalid { path: link.layout.pointer(), reason: "it changed while it was read".into() })
}

/// What a manifest that cannot be used means.
pub(super) fn invalid(path: &str, error: &WireError) -> Error {
    match error {
        WireError::ContentHash => Error::ManifestHash { path: path.to_owned() },
        other => Error::ManifestInvalid { path: path.to_owned(), reason: other.to_string() },
    }
}

/// Whether this client may take part in a mesh: before anything is written or changed here.
fn check(ctx: &Context, manifest: &Manifest, encrypted: bool) -> Result<()> {
    let Settings { schema_version, schema_policy, server_id, .. } = &ctx.settings;
    if let Some(local) = *schema_version {
        let may_migrate = *schema_policy == SchemaPolicy::Migrate && local > manifest.schema;
        if local != manifest.schema && !may_migrate {
            ctx.emit(&Event::SchemaMismatch { local, remote: manifest.schema });
            return Err(Error::SchemaMismatch { local, remote: manifest.schema });
        }
    }
    if manifest.managed && manifest.written_by != *server_id {
        return Err(Error::WriterMismatch {
            writer: manifest.written_by.clone(),
            configured: server_id.clone(),
        });
    }
    if manifest.encrypted != encrypted {
        return Err(Error::MeshEncryptionMismatch {
            mesh_encrypted: manifest.encrypted,
            client_encrypted: encrypted,
        });
    }
    Ok(())
}

/// [`load`] where this store's mesh is known to be there. Another mesh in its place is never merged.
pub(crate) async fn expect(ctx: &Context, link: &Link, reason: &'static str) -> Result<Arc<Manifest>> {
    let manifest = load(ctx, link, reason).await?;
    let known = ctx.read(|tx| tx.meta(keys::MESH_ID))?;
    match (manifest, known) {
        (Some(manifest), Some(known)) if known != manifest.mesh_id => {
            // Ours may come back under the same pointer.
            link.forget_manifest();
            Err(Error::MeshCredentialMismatch { stored: known, active: manifest.mesh_id.clone() })
        }
        (Some(manifest), _) => Ok(manifest),
        (None, known) => Err(Error::RemoteMissing {
            mesh_id: known.unwrap_or_default(),
            reason: format!("there is no {}", link.layout.pointer()),
        }),
    }
}
