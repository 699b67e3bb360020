//! Connect: the steps from a mailbox to a member of its mesh, each with a deadline.

use std::{sync::Arc, time::Duration};

use super::{Context, Foretaste, Link, bootstrap, device, flush, honesty, join, key, manifest, pull};
use crate::{
    error::{Error, Result},
    events::Event,
    host::within,
    store::meta::keys,
    wire::manifest::Manifest,
};

/// How a connect ended.
#[derive(Debug)]
pub(crate) enum Connected {
    /// A member, up to date.
    Online,
    /// The mailbox cannot be used now; local work goes on and the connect can be tried again.
    Offline {
        /// Where it stopped.
        stage: &'static str,
        /// Why.
        error: Error,
    },
}

/// Under which conditions a device becomes a member.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Whether an empty mailbox gets a mesh.
    pub(crate) may_found: bool,
    /// The mesh that the credential was saved for.
    pub(crate) anchor: Option<String>,
    /// The key was made for a mesh that is to be founded: it fits no other.
    pub(crate) is_new_key: bool,
    /// The key is no canonical passphrase: only a mesh that it opens makes it good.
    pub(crate) must_prove: bool,
}

/// Runs every step. Errors that only time can mend end in [`Connected::Offline`]; all others are
/// returned, and before `join` nothing was changed here or there.
///
pub(crate) async fn connect(ctx: &Arc<Context>, link: &Arc<Link>, terms: &Terms) -> Result<Connected> {
    let mut stage = "authenticate";
    match steps(ctx, link, terms, &mut stage).await {
        Ok(()) => Ok(Connected::Online),
        Err(error) => {
            ctx.emit(&Event::ConnectError {
                stage: stage.into(),
                code: error.code().as_str().into(),
                error: error.to_string(),
            });
            if is_about_the_mailbox(&error) { Ok(Connected::Offline { stage, error }) } else { Err(error) }
        }
    }
}

/// Whether an error says that the mailbox cannot be used now, not that this client must not use it.
fn is_about_the_mailbox(error: &Error) -> bool {
    matches!(
        error,
        Error::RemoteAccess(_) | Error::RemoteTimeout { .. } | Error::Offline(_) | Error::QuotaFull(_)
    )
}

async fn steps(ctx: &Arc<Context>, link: &Arc<Link>, terms: &Terms, stage: &mut &'static str) -> Result<()> {
    let limit = ctx.settings.stage_timeout;
    ctx.emit(&Event::AuthRequired);
    within(&*ctx.host, limit, "authenticate", async { Ok(link.adapter.authenticate().await?) }).await?;
    ctx.emit(&Event::AuthComplete);

    *stage = "manifest";
    let manifest = within(&*ctx.host, limit, "manifest", current(ctx, link, terms)).await?;
    if let Some(stored) = &terms.anchor
        && *stored != manifest.mesh_id
    {
        let (stored, active) = (stored.clone(), manifest.mesh_id.clone());
        ctx.emit(&Event::CredentialsMeshMismatch {
            stored_mesh_id: stored.clone(),
            active_mesh_id: active.clone(),
        });
        return Err(Error::MeshCredentialMismatch { stored, active });
    }
    *stage = "key";
    let (proof, foretaste) = within(&*ctx.host, limit, "key", key::prove(ctx, link, &manifest)).await?;
    if terms.must_prove && proof != key::Proof::Proven {
        return Err(Error::PassphraseWrong { reason: "it is not spelled as a passphrase is".into() });
    }

    *stage = "join";
    join::settle(ctx, link, &manifest, proof == key::Proof::Proven)?;
    let local_epoch = ctx.read(|tx| tx.meta_number(keys::EPOCH))?.unwrap_or(0);
    ctx.emit(&Event::ConnectState {
        remote_path: link.layout.root().to_owned(),
        device_id: ctx.device_id().into_owned(),
        local_epoch,
        remote_epoch: manifest.epoch,
        mesh_id: manifest.mesh_id.clone(),
        encrypted: manifest.encrypted,
    });

    // Pull and flush move any amount of data: a deadline for the whole would punish large meshes, so
    // each request has its own in the adapter.
    *stage = "pull";
    honesty::check_snapshot(ctx, link, &manifest).await?;
    exchange(ctx, link, Foretaste { manifest: Some(manifest), ..foretaste }).await
}

/// The manifest of the mesh, founded where there is none and that is allowed.
async fn current(ctx: &Context, link: &Link, terms: &Terms) -> Result<Arc<Manifest>> {
    link.forget_manifest();
    if let Some(manifest) = manifest::load(ctx, link, "connect").await? {
        let known = ctx.read(|tx| tx.meta(keys::MESH_ID))?;
        // A credential of the mesh that lies there says that it is meant, and covers nothing up.
        if known.is_some_and(|known| known != manifest.mesh_id)
            && terms.anchor.as_ref() != Some(&manifest.mesh_id)
            && let Some(ours) = honesty::uncover(ctx, link, &manifest).await?
        {
            return Ok(ours);
        }
        let is_foreign = terms.is_new_key && !bootstrap::is_own(ctx, &manifest)?;
        return if is_foreign { Err(Error::PassphraseRequired) } else { Ok(manifest) };
    }
    let known = ctx.read(|tx| tx.meta(keys::MESH_ID))?;
    match known {
        Some(mesh_id) => {
            Err(Error::RemoteMissing { mesh_id, reason: format!("there is no {}", link.layout.pointer()) })
        }
        None if terms.may_found => {
            if terms.must_prove {
                return Err(Error::PassphraseWrong { reason: "it is not spelled as a passphrase is".into() });
            }
            let founded = bootstrap::found(ctx, link).await?;
            if !founded.is_ours && terms.is_new_key {
                return Err(Error::PassphraseRequired);
            }
            Ok(founded.manifest)
        }
        None => Err(Error::RemoteMissing {
            mesh_id: "to be joined".into(),
            reason: format!("there is no {}", link.layout.pointer()),
        }),
    }
}

/// One full exchange: pull, flush, acknowledge.
pub(crate) async fn exchange(ctx: &Arc<Context>, link: &Arc<Link>, foretaste: Foretaste) -> Result<()> {
    let (manifest, _) = pull::pull(ctx, link, foretaste).await?;
    flush::flush(ctx, link).await?;
    finish(ctx, link, &manifest).await
}

/// Acknowledges, and notes that everything up to here was confirmed by the mailbox.
pub(crate) async fn finish(ctx: &Context, link: &Link, manifest: &Manifest) -> Result<()> {
    device::acknowledge(ctx, link, manifest).await?;
    let now_ms = ctx.host.now_ms();
    ctx.write(|tx| tx.set_meta(keys::LAST_SYNC_MS, &now_ms.to_string()))
}

/// Longest wait between two tries, when the mailbox does not ask for more.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How long to wait after `failures` failed tries in a row.
pub(crate) fn backoff(base: Duration, failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = base.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT.max(base));
    asked.map_or(doubled, |asked| asked.max(doubled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_honour_the_mailbox() {
        let second = Duration::from_secs(1);
        let waits: Vec<u64> = (0..12).map(|failures| backoff(second, failures, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff(second, 0, Some(Duration::from_mins(15))).as_secs(), 900);
    }
}
