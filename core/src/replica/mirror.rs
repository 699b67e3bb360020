//! Bringing a replica up to date with the main mailbox, by comparing what both have.
//!
//! The order makes a mirror restorable at any moment, also where this is broken off: durable files before the change files
//! whose rows name them, the snapshot with all that the manifest names before the manifest, and the pointer last. Until
//! then the former pointer is in force, and nothing that it needs is ever deleted.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream};

use super::{
    Replicated, Target,
    copy::{self, Copied, Item},
    head, or_empty, or_none, tree,
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    events::Event,
    files::SIDECAR_ENDING,
    mailbox::{MailboxErrorKind, StorageAdapter},
    store::meta::keys,
    sync::{Context, Link, device::is_record},
    wire::{
        layout::{Layout, clock_of_change, is_change_name},
        manifest::{Head, Manifest, Pointer},
    },
};

/// How often a pass begins anew because the main mailbox was compacted meanwhile.
const ROUNDS: usize = 4;

/// Change files on their way at once.
const AT_ONCE: usize = 4;

/// The least time between two events about the progress, in ms.
const STEP_MS: u64 = 250;

/// Brings a replica up to date; `verifies`: bodies that are there already are compared by their digests, too, which reads
/// everything on both sides.
pub(crate) async fn catch_up(
    ctx: &Arc<Context>,
    link: &Link,
    target: &Target,
    verifies: bool,
) -> Result<Replicated> {
    let _one = target.turn.lock().await;
    target.adapter().authenticate().await?;
    let mut done = Replicated::default();
    for _ in 0..ROUNDS {
        let mut pass = Pass {
            ctx,
            link,
            target,
            verifies,
            layout: target.layout(&link.layout),
            is_overtaken: false,
            done: Replicated { files: 0, damaged: 0, ..done },
            files_total: 0,
            told_ms: 0,
        };
        let outcome = pass.run().await;
        done = pass.done;
        outcome?;
        if !pass.is_overtaken {
            ctx.emit(&done.event(target));
            return Ok(done);
        }
    }
    Err(Error::ManifestInvalid {
        path: link.layout.pointer(),
        reason: "the main mailbox was compacted again and again while it was copied; try again".into(),
    })
}

/// Pointer and manifest of a mailbox, as they lie there.
struct Current {
    pointer: Vec<u8>,
    generation: u64,
    manifest_file: String,
    manifest_bytes: Vec<u8>,
    manifest: Manifest,
}

impl Current {
    /// `None` where there is no pointer; a manifest that cannot be read is an error.
    async fn read(adapter: &dyn StorageAdapter, layout: &Layout) -> Result<Option<Self>> {
        let Some(bytes) = or_none(adapter.read_file(&layout.pointer()).await)? else { return Ok(None) };
        let invalid = |path: String, reason: String| Error::ManifestInvalid { path, reason };
        let pointer = Pointer::parse(&bytes).map_err(|error| invalid(layout.pointer(), error.to_string()))?;
        let path = layout.manifest(&pointer.file);
        let manifest = or_none(adapter.read_file(&path).await)?
            .ok_or_else(|| invalid(path.clone(), "the pointer names it, but it is missing".into()))?;
        let parsed = Manifest::parse(&manifest).map_err(|error| invalid(path, error.to_string()))?;
        Ok(Some(Self {
            pointer: bytes.to_vec(),
            generation: pointer.generation,
            manifest_file: pointer.file,
            manifest_bytes: manifest.to_vec(),
            manifest: parsed,
        }))
    }
}

/// One comparison of both mailboxes.
struct Pass<'a> {
    ctx: &'a Arc<Context>,
    link: &'a Link,
    target: &'a Target,
    verifies: bool,
    /// Of the replica.
    layout: Layout,
    /// Something that was listed is gone: a compaction came between.
    is_overtaken: bool,
    done: Replicated,
    files_total: u64,
    told_ms: u64,
}

/// A body of the main mailbox, and what the replica has in its place.
struct Wanted {
    from: String,
    to: String,
    size: Option<u64>,
    is_sealed: bool,
    there: There,
    /// What is there is known to be another version.
    is_stale: bool,
}

/// What a replica has in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// A file, of that size where the replica tells it.
    File {
        size: Option<u64>,
    },
}

/// What a listing has by name.
fn find(listed: &HashMap<String, Option<u64>>, name: &str) -> There {
    listed.get(name).map_or(There::Nothing, |size| There::File { size: *size })
}

impl Wanted {
    fn is_there(&self) -> bool {
        match (self.there, self.size) {
            (There::Nothing, _) => false,
            (There::File { size: Some(there) }, Some(size)) => there == size && !self.is_stale,
            (There::File { .. }, _) => !self.is_stale,
        }
    }
}

impl Pass<'_> {
    fn main(&self) -> &dyn StorageAdapter {
        &*self.link.adapter
    }

    async fn run(&mut self) -> Result<()> {
        let known = self.ctx.read(|tx| tx.meta(keys::MESH_ID))?.unwrap_or_default();
        let current = Current::read(self.main(), &self.link.layout).await?.ok_or_else(|| {
            let reason = format!("there is no {}", self.link.layout.pointer());
            Error::RemoteMissing { mesh_id: known.clone(), reason }
        })?;
        if current.manifest.mesh_id != known {
            return Err(Error::MeshCredentialMismatch {
                stored: known,
                active: current.manifest.mesh_id.clone(),
            });
        }
        self.refuse_another_mesh(&known).await?;
        // Before the change files are listed: what the head announces, and what is owed, is among them.
        let owed = self.ctx.read(|tx| tx.owed_changes(self.target.name(), usize::MAX))?;
        let main_head = or_none(self.main().read_file(&self.link.layout.head()).await)?;
        let main_head = main_head.and_then(|bytes| Head::parse(&bytes).ok()).map(|head| head.0);
        let changes = self.changes().await?;
        let greatest = changes.iter().filter_map(|wanted| clock_of(&wanted.from)).max();
        self.files_total = changes.len() as u64;
        if self.target.replica.mirror {
            let files = self.files().await?;
            self.files_total += files.len() as u64;
            for (wanted, place, version) in files {
                if self.ensure(wanted).await? != Copied::Missing
                    && let Some(version) = version
                {
                    let name = self.target.name();
                    self.ctx.write(|tx| tx.note_replica_file(name, &place, &version))?;
                }
            }
        }
        self.ensure_all(changes).await?;
        if self.is_overtaken {
            return Ok(());
        }
        if self.target.replica.mirror {
            self.devices().await?;
            if !self.snapshot(&current.manifest).await? {
                return Ok(());
            }
            self.point(&current).await?;
        }
        head::advance(self.target, &self.layout, main_head.max(greatest)).await?;
        let name = self.target.name();
        self.ctx.write(|tx| owed.iter().try_for_each(|change| tx.settle_change(name, change)))
    }

    /// A replica of another mesh must not become a mixture of both.
    async fn refuse_another_mesh(&self, known: &str) -> Result<()> {
        match Current::read(self.target.adapter(), &self.layout).await {
            Ok(Some(theirs)) if theirs.manifest.mesh_id != known => Err(Error::invalid(
                "replica",
                format!(
                    "{} holds another mesh ({}); give it a folder of its own",
                    self.target.name(),
                    theirs.manifest.mesh_id
                ),
            )),
            // What is damaged there is written anew.
            Ok(_) | Err(Error::ManifestInvalid { .. } | Error::ManifestHash { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn changes(&self) -> Result<Vec<Wanted>> {
        let there: HashMap<String, Option<u64>> =
            or_empty(self.target.adapter().list_files(&self.layout.changes()).await)?
                .into_iter()
                .map(|file| (file.name, file.size))
                .collect();
        let listed = or_empty(self.main().list_files(&self.link.layout.changes()).await)?;
        Ok(listed
            .into_iter()
            .filter(|file| is_change_name(&file.name))
            .map(|file| Wanted {
                from: self.link.layout.change(&file.name),
                to: self.layout.change(&file.name),
                size: file.size,
                is_sealed: true,
                there: find(&there, &file.name),
                is_stale: false,
            })
            .collect())
    }

    /// The durable files, each with its place and the version that the main mailbox has of it.
    async fn files(&self) -> Result<Vec<(Wanted, String, Option<String>)>> {
        let leaves = tree::leaves(self.target.adapter(), &self.layout.files()).await?;
        let there: HashMap<String, Option<u64>> =
            leaves.into_iter().map(|leaf| (leaf.place, leaf.size)).collect();
        let mut wanted = Vec::new();
        for leaf in tree::leaves(self.main(), &self.link.layout.files()).await? {
            let name = self.target.name();
            let copied = self.ctx.read(|tx| tx.replica_file(name, &leaf.place))?;
            let body = Wanted {
                from: self.link.layout.file(&leaf.place),
                to: self.layout.file(&leaf.place),
                size: leaf.size,
                is_sealed: !leaf.place.ends_with(SIDECAR_ENDING),
                there: find(&there, &leaf.place),
                // A replica that was filled by another device is copied once more: it may be of another version.
                is_stale: leaf.version.is_some() && copied != leaf.version,
            };
            wanted.push((body, leaf.place, leaf.version));
        }
        Ok(wanted)
    }

    /// Makes sure of many small bodies, several at once.
    async fn ensure_all(&mut self, bodies: Vec<Wanted>) -> Result<()> {
        let (link, target, verifies) = (self.link, self.target, self.verifies);
        let (there, missing): (Vec<_>, Vec<_>) =
            bodies.into_iter().partition(|body| body.is_there() && !verifies);
        self.done.files += there.len() as u64;
        let copies = missing.into_iter().map(|body| async move { make(link, target, &body, verifies).await });
        let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some(outcome) = copies.next().await {
            match outcome {
                Ok(made) => self.count(made),
                // What is under way ends first: each is another file.
                Err(error) => failed = failed.or(Some(error)),
            }
            if failed.is_some() {
                break;
            }
        }
        drop(copies);
        failed.map_or(Ok(()), Err)
    }

    async fn ensure(&mut self, body: Wanted) -> Result<Copied> {
        if body.is_there() && !self.verifies {
            self.done.files += 1;
            return Ok(Copied::Written(0));
        }
        let made = make(self.link, self.target, &body, self.verifies).await?;
        self.count(made);
        Ok(made.copied)
    }

    fn count(&mut self, made: Made) {
        match made.copied {
            Copied::Written(bytes) => {
                self.done.files += 1;
                self.done.copied += u64::from(made.is_new);
                self.done.bytes += bytes;
            }
            Copied::Missing => self.is_overtaken = true,
            Copied::Damaged => self.done.damaged += 1,
        }
        let now_ms = self.ctx.host.now_ms();
        if now_ms.abs_diff(self.told_ms) >= STEP_MS {
            self.told_ms = now_ms;
            self.ctx.emit(&Event::ReplicaProgress {
                replica: self.target.name().into(),
                files: self.done.files,
                files_total: self.files_total,
                bytes: self.done.bytes,
            });
        }
    }

    /// Makes sure of all that the manifest names; `false` where a compaction came between.
    async fn snapshot(&mut self, manifest: &Manifest) -> Result<bool> {
        for named in [&manifest.snapshot_path, &manifest.coverage_path].into_iter().flatten() {
            let (Some(from), Some(to)) = (self.link.layout.snapshot(named), self.layout.snapshot(named))
            else {
                continue;
            };
            let there = self.target.adapter().metadata(&to).await?;
            let there = there.map_or(There::Nothing, |entry| There::File { size: entry.size });
            let Some(here) = self.main().metadata(&from).await? else {
                self.is_overtaken = true;
                return Ok(false);
            };
            let (size, is_stale) = (here.size, false);
            let body = Wanted { from, to, size, is_sealed: true, there, is_stale };
            let path = body.from.clone();
            match self.ensure(body).await? {
                Copied::Written(_) => {}
                Copied::Missing => return Ok(false),
                Copied::Damaged => {
                    let reason = "it is damaged in the main mailbox; the replica keeps the state that it has";
                    return Err(Error::Decode { path, reason: reason.into() });
                }
            }
        }
        Ok(true)
    }

    /// Device records are small and change: they are compared by content.
    async fn devices(&mut self) -> Result<()> {
        let listed = or_empty(self.main().list_files(&self.link.layout.devices()).await)?;
        let names: Vec<&str> = listed
            .iter()
            .map(|file| file.name.as_str())
            .filter(|name| is_record(name) && !name.contains('/'))
            .collect();
        let place = |layout: &Layout, name: &str| format!("{}/{name}", layout.devices());
        let from: Vec<String> = names.iter().map(|name| place(&self.link.layout, name)).collect();
        let to: Vec<String> = names.iter().map(|name| place(&self.layout, name)).collect();
        let ours = self.main().read_many(&from).await;
        let theirs = self.target.adapter().read_many(&to).await;
        for ((to, ours), theirs) in to.into_iter().zip(ours).zip(theirs) {
            let (Some(ours), theirs) = (or_none(ours)?, or_none(theirs)?) else { continue };
            self.done.files += 1;
            if theirs.as_ref() != Some(&ours) {
                self.done.copied += 1;
                self.done.bytes += ours.len() as u64;
                self.target.adapter().write_file(&to, ours.into()).await?;
            }
        }
        Ok(())
    }

    /// Puts a manifest into force, unless the replica has a later one: another device was faster.
    async fn point(&mut self, current: &Current) -> Result<()> {
        let adapter = self.target.adapter();
        let place = self.layout.pointer();
        let version = adapter.metadata(&place).await?.map(|entry| entry.etag);
        let theirs = match version {
            None => None,
            Some(_) => or_none(adapter.read_file(&place).await)?,
        };
        let known = theirs.as_ref().and_then(|bytes| Pointer::parse(bytes).ok());
        if known.as_ref().is_some_and(|known| known.generation > current.generation) {
            let reason = format!(
                "the main mailbox is at generation {}, its replica {} at a later one; the replica is left as it is",
                current.generation,
                self.target.name()
            );
            return Err(Error::RemoteRollback { reason });
        }
        let manifest = self.layout.manifest(&current.manifest_file);
        if or_none(adapter.read_file(&manifest).await)?.as_deref() != Some(&current.manifest_bytes[..]) {
            adapter.write_file(&manifest, current.manifest_bytes.clone().into()).await?;
            self.done.copied += 1;
            self.done.bytes += current.manifest_bytes.len() as u64;
        }
        self.done.files += 2;
        if theirs.as_deref() == Some(&current.pointer[..]) {
            return Ok(());
        }
        let body = current.pointer.clone().into();
        let moved = match version {
            None => adapter.create_file(&place, body).await,
            Some(Some(version)) if adapter.capabilities().conditional_replace => {
                adapter.replace_file(&place, body, &version).await
            }
            Some(_) => adapter.write_file(&place, body).await,
        };
        match moved {
            Ok(()) => {
                self.done.copied += 1;
                self.done.bytes += current.pointer.len() as u64;
                Ok(())
            }
            // Another device moved it meanwhile, to this state or a later one.
            Err(error)
                if matches!(error.kind(), MailboxErrorKind::Conflict | MailboxErrorKind::AlreadyExists) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn clock_of(path: &str) -> Option<Clock> {
    clock_of_change(path.rsplit('/').next()?)
}

/// What was made of one body.
#[derive(Debug, Clone, Copy)]
struct Made {
    copied: Copied,
    /// It was written, and not only found.
    is_new: bool,
}

/// Copies a body where it is needed. One that is to be verified is read back, and copied once more where it differs.
async fn make(link: &Link, target: &Target, body: &Wanted, verifies: bool) -> Result<Made> {
    let Wanted { from, to, size, is_sealed, .. } = body;
    let item = Item { from, to, size: *size, is_sealed: *is_sealed };
    if !verifies {
        return Ok(Made { copied: copy::body(link, target, &item).await?, is_new: true });
    }
    let Some(wanted) = copy::digest(&*link.adapter, from).await? else {
        return Ok(Made { copied: Copied::Missing, is_new: false });
    };
    if copy::digest(target.adapter(), to).await?.as_ref() == Some(&wanted) {
        return Ok(Made { copied: Copied::Written(0), is_new: false });
    }
    let copied = copy::body(link, target, &item).await?;
    if let Copied::Written(bytes) = copied
        && copy::digest(target.adapter(), to).await?.as_ref() != Some(&wanted)
    {
        return Err(copy::differs(to, bytes, None));
    }
    Ok(Made { copied, is_new: true })
}
