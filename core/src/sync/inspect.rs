//! A look at a mailbox for the doctor: its shape, and whether everything in it can be read. Nothing is
//! written unless mending is asked for, and then only what no device can miss.

use std::{collections::BTreeSet, sync::Arc};

use super::{Context, Link, link::without_copies, pull, spool};
use crate::{
    clock::{Clock, MAX_AHEAD_MS},
    diagnosis::{Finding, Trouble},
    error::Result,
    host::Host,
    mailbox::{FileEntry, MailboxErrorKind},
    store::meta::keys,
    wire::{
        WireError,
        device::DeviceRecord,
        layout::{clock_of_change, is_change_name},
        manifest::{Head, Manifest, Pointer},
        snapshot,
    },
};

/// Change files read at once.
const PAGE: usize = 128;

/// For so long superseded files may still be wanted by slow peers, in ms.
const GRACE_MS: u64 = 24 * 3600 * 1000;

/// What was found and how much was read.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    pub(crate) findings: Vec<Finding>,
    pub(crate) files: u64,
}

impl Inspection {
    fn find(&mut self, trouble: Trouble, place: &str, detail: impl Into<String>) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding::new(trouble, place, detail));
        &mut self.findings[at]
    }
}

/// Looks at everything.
pub(crate) async fn inspect(ctx: &Arc<Context>, link: &Arc<Link>, mends: bool) -> Result<Inspection> {
    let mut seen = Inspection::default();
    let layout = &link.layout;
    let root = list(link, layout.root()).await?;
    let (mainline, devices) = (list(link, &layout.mainline()).await?, list(link, &layout.devices()).await?);
    let (changes, copies) = without_copies(list(link, &layout.changes()).await?);
    let is_empty = root.is_empty() && mainline.is_empty() && devices.is_empty() && changes.is_empty();
    if is_empty && ctx.read(|tx| tx.meta(keys::MESH_ID))?.is_none() {
        return Ok(seen);
    }
    if let Some((pointer, manifest)) = current(link, &mut seen).await? {
        if ctx.read(|tx| tx.meta(keys::MESH_ID))?.is_some_and(|known| known != manifest.mesh_id) {
            seen.find(Trouble::OtherMesh, &layout.pointer(), manifest.mesh_id.clone());
        } else {
            let superseded = manifests(ctx, &root, &pointer, &mut seen);
            let orphans = snapshots(ctx, link, &manifest, &mainline, &mut seen).await?;
            if mends {
                let manifest_ms =
                    root.iter().find(|file| file.name == pointer.file).and_then(|file| file.modified_ms);
                let old = [superseded, orphans].concat();
                delete_old(ctx, link, &manifest, manifest_ms, &old, &mut seen).await?;
            }
            read_changes(ctx, link, &manifest.mesh_id, &changes, &mut seen).await?;
            head(ctx, link, &changes, mends, &mut seen).await?;
        }
    }
    read_devices(link, &devices, &mut seen).await?;
    unknown(
        &root,
        |name| name == "manifest.json" || name == "evicted.json" || generation(name).is_some(),
        &mut seen,
    );
    unknown(&mainline, |name| is_snapshot(name) && is_json(name), &mut seen);
    unknown(&devices, is_json, &mut seen);
    unknown(&changes, |name| name == "head.json" || is_change_name(name), &mut seen);
    unknown(&copies, |_| false, &mut seen);
    leftovers(link, mends, &mut seen).await?;
    Ok(seen)
}

/// A snapshot, or the small file that says what one covers.
fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot-") || name.starts_with("coverage-")
}

async fn list(link: &Link, folder: &str) -> Result<Vec<FileEntry>> {
    match link.adapter.list_files(folder).await {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// A file's content; `None` where it is certainly missing.
async fn read(link: &Link, path: &str, seen: &mut Inspection) -> Result<Option<bytes::Bytes>> {
    seen.files += 1;
    match link.adapter.read_file(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The manifest in force.
async fn current(link: &Link, seen: &mut Inspection) -> Result<Option<(Pointer, Manifest)>> {
    let path = link.layout.pointer();
    let Some(bytes) = read(link, &path, seen).await? else {
        seen.find(Trouble::PointerMissing, &path, "it is missing");
        return Ok(None);
    };
    let pointer = match Pointer::parse(&bytes) {
        Ok(pointer) => pointer,
        Err(error) => {
            seen.find(Trouble::PointerUnreadable, &path, error.to_string());
            return Ok(None);
        }
    };
    let path = link.layout.manifest(&pointer.file);
    let Some(bytes) = read(link, &path, seen).await? else {
        seen.find(Trouble::ManifestMissing, &path, "it is missing");
        return Ok(None);
    };
    match Manifest::parse(&bytes) {
        Ok(manifest) => Ok(Some((pointer, manifest))),
        Err(error) => {
            let is_hash = matches!(error, WireError::ContentHash);
            let trouble = if is_hash { Trouble::ManifestHash } else { Trouble::ManifestInvalid };
            seen.find(trouble, &path, error.to_string());
            Ok(None)
        }
    }
}

/// The generation in the name of a manifest.
fn generation(name: &str) -> Option<u64> {
    name.strip_prefix("manifest-")?.strip_suffix(".json")?.parse().ok()
}

/// Manifests that are not in force; gives the superseded ones.
fn manifests(ctx: &Context, root: &[FileEntry], pointer: &Pointer, seen: &mut Inspection) -> Vec<FileEntry> {
    let mut superseded = Vec::new();
    for file in root.iter().filter(|file| file.name != pointer.file) {
        let Some(generation) = generation(&file.name) else { continue };
        if generation < pointer.generation {
            seen.find(Trouble::ManifestSuperseded, &file.path, age(&*ctx.host, file));
            superseded.push(file.clone());
        } else {
            seen.find(Trouble::ManifestAbandoned, &file.path, age(&*ctx.host, file));
        }
    }
    superseded
}

/// The snapshot in force, and those that are not; gives the latter.
async fn snapshots(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    manifest: &Manifest,
    mainline: &[FileEntry],
    seen: &mut Inspection,
) -> Result<Vec<FileEntry>> {
    let named = manifest.snapshot_path.as_deref().and_then(|path| link.layout.snapshot(path));
    if let Some(path) = &named {
        if mainline.iter().any(|file| file.path == *path) {
            seen.files += 1;
            if let Err(reason) = read_snapshot(ctx, link, manifest, path).await? {
                seen.find(Trouble::SnapshotUnreadable, path, reason);
            }
        } else {
            seen.find(Trouble::SnapshotMissing, path, format!("epoch {}", manifest.epoch));
        }
    }
    let coverage = manifest.coverage_path.as_deref().and_then(|path| link.layout.snapshot(path));
    let is_orphan = |file: &&FileEntry| {
        let path = Some(&file.path);
        is_snapshot(&file.name) && named.as_ref() != path && coverage.as_ref() != path
    };
    let orphans: Vec<FileEntry> = mainline.iter().filter(is_orphan).cloned().collect();
    for file in &orphans {
        seen.find(Trouble::SnapshotOrphaned, &file.path, age(&*ctx.host, file));
    }
    Ok(orphans)
}

async fn read_snapshot(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    manifest: &Manifest,
    path: &str,
) -> Result<Result<(), String>> {
    let spool = match spool::download(ctx, link, path).await? {
        Ok(spool) => spool,
        Err(fault) => return Ok(Err(fault.to_string())),
    };
    let mesh_id = manifest.mesh_id.clone();
    ctx.blocking(move |_| {
        let read = snapshot::read(spool, &mesh_id, |_, _| Ok::<_, WireError>(()));
        Ok(read.map(drop).map_err(|error| error.to_string()))
    })
    .await
}

/// Deletes what has been superseded for a day: the manifest in force is that old, and the file too.
async fn delete_old(
    ctx: &Context,
    link: &Link,
    manifest: &Manifest,
    manifest_ms: Option<i64>,
    files: &[FileEntry],
    seen: &mut Inspection,
) -> Result<()> {
    let now_ms = ctx.host.now_ms();
    let is_old = |at: Option<i64>| {
        at.and_then(|at| now_ms.checked_sub(at.unsigned_abs())).is_some_and(|age| age > GRACE_MS)
    };
    if !is_old(manifest_ms) {
        return Ok(());
    }
    for file in files.iter().filter(|file| is_old(file.modified_ms)) {
        // Another device may be compacting at this moment.
        let mut again = Inspection::default();
        let holds = current(link, &mut again).await?;
        if holds.is_none_or(|(_, now)| now.content_hash != manifest.content_hash) {
            return Ok(());
        }
        link.adapter.delete_file(&file.path).await?;
        seen.findings
            .iter_mut()
            .filter(|finding| finding.place == file.path)
            .for_each(|finding| finding.is_mended = true);
    }
    Ok(())
}

/// Reads every change file.
async fn read_changes(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    mesh_id: &str,
    files: &[FileEntry],
    seen: &mut Inspection,
) -> Result<()> {
    let limit_ms = ctx.host.now_ms() + MAX_AHEAD_MS;
    let changes: Vec<&FileEntry> = files.iter().filter(|file| is_change_name(&file.name)).collect();
    for page in changes.chunks(PAGE) {
        let paths: Vec<String> = page.iter().map(|file| file.path.clone()).collect();
        let names: Vec<String> = page.iter().map(|file| file.name.clone()).collect();
        let bodies = link.adapter.read_many(&paths).await;
        seen.files += page.len() as u64;
        let (of_link, mesh_id) = (Arc::clone(link), mesh_id.to_owned());
        let found = ctx
            .blocking(move |_| {
                let mut found = Vec::new();
                for ((path, name), body) in paths.iter().zip(&names).zip(bodies) {
                    let bytes = match body {
                        Ok(bytes) => bytes,
                        // Compacted away meanwhile.
                        Err(error) if error.kind() == MailboxErrorKind::NotFound => continue,
                        Err(error) => return Err(error.into()),
                    };
                    match pull::read_change(&of_link, &mesh_id, name, &bytes) {
                        Ok(entry) => {
                            let clocks = entry.ops.iter().filter_map(|op| op.state.greatest_clock());
                            if let Some(late) =
                                clocks.chain([&entry.clock]).max().filter(|at| at.ts > limit_ms)
                            {
                                found.push(Finding::new(
                                    Trouble::ChangeFromTheFuture,
                                    path,
                                    late_by(late, limit_ms),
                                ));
                            }
                        }
                        Err(fault) => {
                            found.push(Finding::new(Trouble::ChangeUnreadable, path, fault.to_string()));
                        }
                    }
                }
                Ok(found)
            })
            .await?;
        seen.findings.extend(found);
    }
    Ok(())
}

/// Who stamped something, and how far ahead.
pub(crate) fn late_by(clock: &Clock, limit_ms: u64) -> String {
    let minutes = (clock.ts.saturating_sub(limit_ms) + MAX_AHEAD_MS) / 60_000;
    format!("device {}, {minutes} minutes ahead", clock.node)
}

/// The head: at or above every change, or beta.10 clients skip what is newer.
async fn head(
    ctx: &Context,
    link: &Link,
    changes: &[FileEntry],
    mends: bool,
    seen: &mut Inspection,
) -> Result<()> {
    let Some(newest) = changes.iter().filter_map(|file| clock_of_change(&file.name)).max() else {
        return Ok(());
    };
    let path = link.layout.head();
    let detail = match read(link, &path, seen).await?.map(|bytes| Head::parse(&bytes)) {
        Some(Ok(Head(head))) if head >= newest => return Ok(()),
        Some(Ok(Head(head))) => format!("it says {head}, the newest change is {newest}"),
        Some(Err(error)) => format!("it cannot be read: {error}"),
        None => "it is missing".into(),
    };
    let finding = seen.find(Trouble::HeadBehind, &path, detail);
    if mends {
        // A device that publishes at this moment writes it anew.
        link.adapter.write_file(&path, Head(newest).encode().into()).await?;
        finding.is_mended = true;
        tracing::info!(target: "interocitor", device = %ctx.device_id(), "the doctor moved the head");
    }
    Ok(())
}

async fn read_devices(link: &Link, files: &[FileEntry], seen: &mut Inspection) -> Result<()> {
    let paths: Vec<String> =
        files.iter().filter(|file| is_json(&file.name)).map(|file| file.path.clone()).collect();
    seen.files += paths.len() as u64;
    for (path, body) in paths.iter().zip(link.adapter.read_many(&paths).await) {
        match body {
            Ok(bytes) => {
                if let Err(error) = DeviceRecord::parse(&bytes) {
                    seen.find(Trouble::DeviceUnreadable, path, error.to_string());
                }
            }
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether a file is JSON, by its name: case counts, as in every name of the wire.
fn is_json(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|stem| !stem.is_empty())
}

/// Files that operating systems leave in folders.
const OF_THE_SYSTEM: [&str; 3] = ["Thumbs.db", "desktop.ini", "Icon\r"];

fn unknown(files: &[FileEntry], is_known: impl Fn(&str) -> bool, seen: &mut Inspection) {
    for file in files {
        if !is_known(&file.name) && !OF_THE_SYSTEM.contains(&&*file.name) {
            seen.find(Trouble::UnknownFile, &file.path, size(file));
        }
    }
}

async fn leftovers(link: &Link, mends: bool, seen: &mut Inspection) -> Result<()> {
    let names = async |folder: &str| match link.adapter.list_leftovers(folder).await {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    for folder in link.layout.folders() {
        let found = names(&folder).await?;
        if found.is_empty() {
            continue;
        }
        let mut left: BTreeSet<String> = found.iter().map(|file| file.name.clone()).collect();
        if mends {
            link.adapter.remove_leftovers(&folder).await?;
            left = names(&folder).await?.into_iter().map(|file| file.name).collect();
        }
        for file in found {
            let is_mended = !left.contains(&file.name);
            seen.find(Trouble::Leftover, &file.path, size(&file)).is_mended = is_mended;
        }
    }
    Ok(())
}

fn size(file: &FileEntry) -> String {
    file.size.map_or_else(String::new, |size| format!("{size} bytes"))
}

/// How old a file is, as people say it.
fn age(host: &dyn Host, file: &FileEntry) -> String {
    let age = file.modified_ms.and_then(|at| host.now_ms().checked_sub(at.unsigned_abs()));
    match age.map(|age| age / 3_600_000) {
        None => "of unknown age".into(),
        Some(0) => "less than an hour old".into(),
        Some(hours @ 1..48) => format!("{hours} hours old"),
        Some(hours) => format!("{} days old", hours / 24),
    }
}
