//! Proving a key against the mesh before anything is stored under it.

use super::{Codec, Context, Foretaste, Link, device, spool};
use crate::{
    error::{Error, Result},
    mailbox::{FileEntry, MailboxErrorKind},
    store::meta::keys,
    wire::{layout::is_change_name, manifest::Manifest},
};

/// Files tried before the key counts as wrong.
const TRIES: usize = 5;

/// What the mailbox says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It opened a file, now or earlier.
    Proven,
    /// There is nothing to open yet.
    NothingToOpen,
}

/// Tries the key on files of the mesh: some of the newest changes, then the snapshot, then what
/// the founder left. Damaged files
/// say nothing; a key that opens none of the sound ones is wrong.
pub(crate) async fn prove(ctx: &Context, link: &Link, manifest: &Manifest) -> Result<(Proof, Foretaste)> {
    let mut foretaste = Foretaste::default();
    let Codec::Sealed(key) = &link.codec else { return Ok((Proof::Proven, foretaste)) };
    let fingerprint = fingerprint(&key.fingerprint(), &manifest.mesh_id);
    if ctx.read(|tx| tx.meta(keys::PROVEN_KEY))?.as_deref() == Some(&fingerprint) {
        return Ok((Proof::Proven, foretaste));
    }
    let mut refused = 0;
    let files = link.list_changes().await?;
    for name in newest(&files) {
        let bytes = match link.adapter.read_file(&link.layout.change(name)).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == MailboxErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        match link.codec.open(&bytes) {
            Ok(_) => {
                link.keep_change(link.layout.change(name), bytes.clone());
                foretaste.files = Some(files);
                return Ok((Proof::Proven, foretaste));
            }
            Err(fault) if fault.is_wrong_key() => refused += 1,
            Err(_) => {}
        }
    }
    if let Some(path) = manifest.snapshot_path.as_deref().and_then(|path| link.layout.snapshot(path)) {
        match spool::download(ctx, link, &path).await? {
            Ok(spool) => {
                return Ok((
                    Proof::Proven,
                    Foretaste { files: Some(files), snapshot: Some(spool), ..foretaste },
                ));
            }
            Err(fault) if fault.is_wrong_key() => refused += 1,
            Err(_) => {}
        }
    }
    if refused == 0 {
        // Nothing was published yet: the founder left a proof.
        for proof in device::key_proofs(link).await? {
            match link.codec.open(proof.as_bytes()) {
                Ok(mesh_id) if *mesh_id == *manifest.mesh_id.as_bytes() => {
                    return Ok((Proof::Proven, foretaste));
                }
                Err(fault) if fault.is_wrong_key() => refused += 1,
                _ => {}
            }
        }
    }
    if refused > 0 {
        return Err(Error::PassphraseWrong {
            reason: format!("it opens none of the {refused} files that were tried; nothing was changed"),
        });
    }
    Ok((Proof::NothingToOpen, foretaste))
}

/// Names of the newest change files.
fn newest(files: &[FileEntry]) -> Vec<&str> {
    let names = files.iter().map(|file| file.name.as_str()).filter(|name| is_change_name(name));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.truncate(TRIES);
    names
}

/// What is remembered of a proven key: nothing that gives it away, and nothing that fits another mesh.
pub(crate) fn fingerprint(key: &[u8; 32], mesh_id: &str) -> String {
    use std::fmt::Write;
    key.iter().fold(format!("{mesh_id}:"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Remembers that the key of this link opens this mesh.
pub(crate) fn remember(tx: &crate::store::Tx<'_>, link: &Link, mesh_id: &str) -> Result<()> {
    match &link.codec {
        Codec::Plain => tx.clear_meta(keys::PROVEN_KEY),
        Codec::Sealed(key) => tx.set_meta(keys::PROVEN_KEY, &fingerprint(&key.fingerprint(), mesh_id)),
    }
}
