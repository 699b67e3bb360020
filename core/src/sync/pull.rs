//! Pull: every change file that has no receipt, in order, page by page.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};

use super::{
    Context, Fault, Foretaste, Link, honesty, manifest,
    page::{self, Faulty, Incoming, Page},
    progress::Phase,
    restore,
};
use crate::{
    error::{Error, Result},
    events::Event,
    mailbox::{FileEntry, MailboxErrorKind, MailboxResult},
    wire::{
        WireError, change,
        layout::{clock_of_change, is_change_name, original_of_copy},
        manifest::Manifest,
    },
};

/// Files of one page.
const PAGE: usize = 128;

/// Pages read at the same time.
const PAGES_AHEAD: usize = 2;

/// Bytes of one page, as listed; a page has at least one file.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// What a pull brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pulled {
    /// Rows that changed.
    pub(crate) rows: u64,
    /// Change files read.
    pub(crate) files: u64,
}

/// Adopts a newer snapshot, then merges what is new in `changes/`.
pub(crate) async fn pull(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    foretaste: Foretaste,
) -> Result<(Arc<Manifest>, Pulled)> {
    ctx.emit(&Event::SyncStart);
    match pull_inner(ctx, link, foretaste).await {
        Ok((manifest, pulled)) => {
            ctx.emit(&Event::SyncComplete { entries_merged: pulled.rows });
            Ok((manifest, pulled))
        }
        Err(error) => {
            ctx.emit(&Event::SyncError { code: error.code().as_str().into(), error: error.to_string() });
            Err(error)
        }
    }
}

async fn pull_inner(
    ctx: &Arc<Context>,
    link: &Arc<Link>,
    foretaste: Foretaste,
) -> Result<(Arc<Manifest>, Pulled)> {
    let manifest = match foretaste.manifest {
        Some(manifest) => manifest,
        None => honesty::expect(ctx, link, "pull").await?,
    };
    let manifest = honesty::check(ctx, link, manifest).await?;
    let mut pulled = Pulled::default();
    pulled.rows += restore::adopt_if_newer(ctx, link, &manifest, foretaste.snapshot).await?;
    let files = match foretaste.files {
        Some(files) => files,
        None => link.list_changes().await?,
    };
    link.keep_listing(ctx.host.now_ms(), files.iter().map(|file| file.name.clone()).collect());
    let unseen = unseen(ctx, files)?;
    let bytes = unseen.iter().map(|file| file.size).sum();
    ctx.progress.begin(Phase::Pulling, Some(unseen.len() as u64), Some(bytes));
    let pages = paginate(unseen);
    let mut missing = false;
    let fetches = pages.into_iter().map(|files| fetch(ctx, link, &manifest.mesh_id, files));
    let mut fetches = stream::iter(fetches).buffered(PAGES_AHEAD);
    let mut next = fetches.next().await.transpose()?;
    // While a page is merged, the next ones are read and decoded.
    while let Some(Fetched { page, bytes, missing: is_missing, stopped }) = next.take() {
        pulled.files += page.entries.len() as u64;
        let files = (page.entries.len() + page.faults.len()) as u64;
        missing |= is_missing;
        let work = ctx.blocking(move |ctx| merge_fetched(ctx, &page));
        let merged = if stopped.is_some() {
            work.await?
        } else {
            let (merged, fetched) = future::join(work, fetches.next()).await;
            next = fetched.transpose()?;
            merged?
        };
        pulled.rows += merged;
        ctx.progress.add(files, merged, bytes);
        if let Some(error) = stopped {
            return Err(error);
        }
    }
    drop(fetches);
    if missing {
        // A listed file was gone: most likely compacted away meanwhile. Its content is in the snapshot
        // that the pointer names by now.
        link.forget_manifest();
        let manifest = manifest::expect(ctx, link, "missing-change").await?;
        pulled.rows += restore::adopt_if_newer(ctx, link, &manifest, None).await?;
        return Ok((manifest, pulled));
    }
    honesty::check_holes(ctx)?;
    Ok((manifest, pulled))
}

/// A listed change file with what tells its content from another.
#[derive(Debug)]
struct Listed {
    name: String,
    size: u64,
    version: String,
}

/// Files without a receipt that need not wait in quarantine, by parsed clock, then name. Names
/// whose clock cannot be parsed come first, to be quarantined.
fn unseen(ctx: &Context, files: Vec<FileEntry>) -> Result<Vec<Listed>> {
    let now_ms = ctx.host.now_ms();
    let mut by_name: HashMap<String, FileEntry> = files
        .into_iter()
        .filter(|file| is_change_name(&file.name))
        .map(|file| (file.name.clone(), file))
        .collect();
    // A copy by a file-sync service is one also when its original was read and compacted away since.
    let copies: Vec<(String, String)> =
        by_name.keys().filter_map(|name| Some((name.clone(), original_of_copy(name)?))).collect();
    if !copies.is_empty() {
        let originals = || copies.iter().map(|(_, original)| original.clone()).collect();
        let unread = ctx.read(|tx| tx.without_receipt(originals()))?;
        for (copy, _) in copies.iter().filter(|(_, original)| !unread.contains(original)) {
            by_name.remove(copy);
        }
    }
    let names: Vec<String> = by_name.keys().cloned().collect();
    let released = ctx.read(|tx| {
        // What is gone from the mailbox need not be kept in quarantine.
        let listed = |name: &str| name.strip_prefix("changes/").is_none_or(|name| by_name.contains_key(name));
        Ok(tx.quarantine_names()?.into_iter().filter(|name| !listed(name)).collect::<Vec<_>>())
    })?;
    if !released.is_empty() {
        ctx.write(|tx| released.iter().try_for_each(|name| tx.release(name).map(|_| ())))?;
    }
    if ctx.read(|tx| tx.has_quarantine())? {
        ctx.write(|tx| tx.release_received())?;
    }
    let mut unseen = Vec::new();
    ctx.read(|tx| {
        unseen.clear();
        let quarantine = tx.has_quarantine()?;
        for name in tx.without_receipt(names.clone())? {
            let Some(file) = by_name.get(&name) else { continue };
            let version = version(file);
            if !quarantine || !tx.is_waiting(&format!("changes/{name}"), &version, now_ms)? {
                unseen.push((clock_of_change(&name), name, version));
            }
        }
        Ok(())
    })?;
    unseen.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.encode_utf16().cmp(b.1.encode_utf16())));
    Ok(unseen
        .into_iter()
        .map(|(_, name, version)| Listed {
            size: by_name.remove(&name).and_then(|file| file.size).unwrap_or(0),
            name,
            version,
        })
        .collect())
}

fn version(file: &FileEntry) -> String {
    format!("{:?}/{:?}/{}", file.size, file.modified_ms, file.etag.as_deref().unwrap_or(""))
}

fn paginate(files: Vec<Listed>) -> Vec<Vec<Listed>> {
    let mut pages: Vec<Vec<Listed>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        match pages.last_mut().filter(|page| page.len() < PAGE && bytes + file.size <= PAGE_BYTES) {
            Some(page) => {
                bytes += file.size;
                page.push(file);
            }
            None => {
                bytes = file.size;
                pages.push(vec![file]);
            }
        }
    }
    pages
}

/// A page that has come.
#[derive(Default)]
struct Fetched {
    page: Page,
    /// Bytes of its files.
    bytes: u64,
    /// A listed file was not there.
    missing: bool,
    /// The transport failed; what did come is merged.
    stopped: Option<Error>,
}

/// Reads and decodes a page.
async fn fetch(ctx: &Arc<Context>, link: &Arc<Link>, mesh_id: &str, files: Vec<Listed>) -> Result<Fetched> {
    let paths: Vec<String> = files.iter().map(|file| link.layout.change(&file.name)).collect();
    let bodies = link.read_changes(&paths).await;
    let (link, mesh_id) = (Arc::clone(link), mesh_id.to_owned());
    ctx.blocking(move |_| Ok(decode(&link, &mesh_id, files.into_iter().zip(bodies)))).await
}

fn decode(
    link: &Link,
    mesh_id: &str,
    files: impl Iterator<Item = (Listed, MailboxResult<Bytes>)>,
) -> Fetched {
    let mut fetched = Fetched::default();
    let page = &mut fetched.page;
    for (file, body) in files {
        let bytes = match body {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {
                fetched.missing = true;
                continue;
            }
            Err(error) => {
                fetched.stopped.get_or_insert(error.into());
                continue;
            }
        };
        fetched.bytes += bytes.len() as u64;
        match read_change(link, mesh_id, &file.name, &bytes) {
            Ok(entry) => page.entries.push(Incoming::new(file.name, entry)),
            Err(fault) => page.faults.push(Faulty {
                name: format!("changes/{}", file.name),
                reason: fault.to_string(),
                version: file.version,
            }),
        }
    }
    fetched
}

/// Merges a page and tells of it in the same job: a caller who gives up meanwhile must not hide what was
/// stored. Gives the number of changed rows.
fn merge_fetched(ctx: &Context, page: &Page) -> Result<u64> {
    if page.entries.is_empty() && page.faults.is_empty() {
        return Ok(0);
    }
    Ok(page::merge_page(ctx, page)?.tell(ctx))
}

pub(super) fn read_change(
    link: &Link,
    mesh_id: &str,
    name: &str,
    bytes: &[u8],
) -> Result<change::ChangeEntry, Fault> {
    let payload = link.codec.open(bytes)?;
    let entry = change::decode(&payload, mesh_id)?;
    if !entry.is_named(name) {
        return Err(Fault::Wire(WireError::Renamed));
    }
    Ok(entry)
}
