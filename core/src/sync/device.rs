//! Our device record: who we are and what we have merged.

use super::{Context, Link};
use crate::{
    clock::{Clock, DeviceClock},
    error::{Error, Result},
    mailbox::MailboxErrorKind,
    store::{Tx, meta::keys},
    wire::{
        coverage::Frontier,
        device::{DeviceRecord, Observed},
        layout::is_usable_device_id,
        manifest::Manifest,
    },
};

/// The record is written anew at least this often, so that peers do not count us as gone.
const REFRESH_MS: u64 = 24 * 3600 * 1000;

/// Promises that are remembered: compactors rely on one of the last.
const PROMISES: usize = 16;

/// The watermark up to which everything was merged here, with no unpublished work of ours at or below it. A compactor
/// that had read `entries` of ours relies only on promises that came after no more than those: it may have gone ahead
/// without waiting for us, and not have seen the others.
pub(super) fn promised(tx: &Tx<'_>, entries: u64) -> Result<Option<Clock>> {
    let known = tx.meta(keys::OBSERVED)?.unwrap_or_default();
    let seen = promises(&known).filter(|(_, published)| *published <= entries);
    Ok(seen.map(|(watermark, _)| watermark).max())
}

/// What was acknowledged: watermark, and the number of entries that were published before.
fn promises(known: &str) -> impl Iterator<Item = (Clock, u64)> {
    known.lines().filter_map(|line| {
        let (watermark, published) = line.split_once(' ')?;
        Some((watermark.parse().ok()?, published.parse().ok()?))
    })
}

fn promise(tx: &Tx<'_>, watermark: &Clock, published: u64) -> Result<()> {
    let known = tx.meta(keys::OBSERVED)?.unwrap_or_default();
    let mut lines: Vec<String> = known.lines().map(str::to_owned).collect();
    if promises(&known).any(|(known, _)| known == *watermark) {
        return Ok(());
    }
    lines.push(format!("{watermark} {published}"));
    let lines = &lines[lines.len().saturating_sub(PROMISES)..];
    tx.set_meta(keys::OBSERVED, &lines.join("\n"))
}

/// Writes the first record of a founder, with the proof of the mesh key in it.
pub(super) async fn introduce(ctx: &Context, link: &Link, mesh_id: &str) -> Result<()> {
    let now_ms = ctx.host.now_ms();
    let device_id = ctx.device_id().into_owned();
    let mut record = DeviceRecord::new(&device_id, now_ms);
    record.describe(mesh_id, ctx.settings.device_name.as_deref(), ctx.settings.device_type.as_deref());
    if link.codec.is_sealed() {
        let envelope = link
            .codec
            .seal(&*ctx.host, mesh_id.as_bytes().to_vec())
            .map_err(|fault| Error::invalid("founding", fault.to_string()))?;
        record.set_key_proof(&String::from_utf8_lossy(&envelope));
    }
    write(ctx, link, &record, now_ms).await
}

/// The key proofs that founders left in the mailbox.
pub(super) async fn key_proofs(link: &Link) -> Result<Vec<String>> {
    Ok(list(link).await?.iter().filter_map(DeviceRecord::key_proof).collect())
}

async fn write(ctx: &Context, link: &Link, record: &DeviceRecord, now_ms: u64) -> Result<()> {
    let body = record.encode();
    link.adapter.write_file(&link.layout.device(&record.device_id()), body.clone().into()).await?;
    ctx.write(|tx| {
        tx.set_meta(keys::DEVICE_RECORD, &String::from_utf8_lossy(&body))?;
        tx.set_meta(keys::DEVICE_RECORD_MS, &now_ms.to_string())
    })
}

/// Writes our record where it says something new: on the first connect, when name, type or what was
/// observed changed, and once a day.
///
/// An acknowledgement is a promise: it is made only when the manifest's snapshot is merged, our clock
/// is above its watermark and nothing unpublished is left that could stand below it.
pub(crate) async fn acknowledge(ctx: &Context, link: &Link, manifest: &Manifest) -> Result<()> {
    let now_ms = ctx.host.now_ms();
    let (known, written_ms, here) = ctx.read(|tx| {
        let here = Here {
            epoch: tx.meta_number(keys::EPOCH)?.unwrap_or(0),
            pending: tx.outbox_count()?.records,
            clock: tx.engine()?.clock,
            published: (tx.stream(&ctx.install)?, tx.meta_number(keys::ENTRY_SEQ)?.unwrap_or(0)),
            merged: match tx.meta(keys::FOREIGN_EPOCH)? {
                // After another client's compaction a frontier may have passed over entries that are lost.
                Some(_) => Vec::new(),
                None => tx.frontiers()?,
            },
        };
        Ok((tx.meta(keys::DEVICE_RECORD)?, tx.meta_number(keys::DEVICE_RECORD_MS)?, here))
    })?;
    let device_id = ctx.device_id().into_owned();
    let path = link.layout.device(&device_id);
    let mut record = match known.as_deref().map(|text| DeviceRecord::parse(text.as_bytes())) {
        Some(Ok(record)) => record,
        _ => DeviceRecord::new(&device_id, now_ms),
    };
    let due = written_ms.is_none_or(|at| now_ms.abs_diff(at) >= REFRESH_MS);
    if !update(ctx, &mut record, manifest, &here, now_ms) && !due {
        return Ok(());
    }
    // Others may have written into our record (a retirement): take theirs before ours goes out.
    if known.is_some() {
        match link.adapter.read_file(&path).await {
            Ok(bytes) => {
                if let Ok(theirs) = DeviceRecord::parse(&bytes) {
                    record = theirs;
                    update(ctx, &mut record, manifest, &here, now_ms);
                }
            }
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    record.set_seen(now_ms);
    record.set_merged(&here.merged);
    // Before the others can learn of it: whether the answer to the upload comes or not, it is true.
    if let Some(watermark) = record.observed_watermark() {
        let published = record.published().filter(|(stream, _)| *stream == here.published.0);
        ctx.write(|tx| promise(tx, &watermark, published.as_ref().map_or(0, |(_, entries)| *entries)))?;
    }
    write(ctx, link, &record, now_ms).await
}

/// What this store has merged and published.
struct Here {
    epoch: u64,
    pending: u64,
    clock: DeviceClock,
    published: (String, u64),
    merged: Vec<Frontier>,
}

fn update(ctx: &Context, record: &mut DeviceRecord, manifest: &Manifest, here: &Here, now_ms: u64) -> bool {
    let (name, device_type) = (ctx.settings.device_name.as_deref(), ctx.settings.device_type.as_deref());
    let described = record.describe(&manifest.mesh_id, name, device_type);
    let merged = manifest.epoch > 0 && here.epoch == manifest.epoch && here.pending == 0;
    // Every clock that is issued from here on is greater than the device clock.
    let reached =
        |watermark: &Clock| (here.clock.ts, here.clock.counter) >= (watermark.ts, watermark.counter);
    let above = manifest.watermark.as_ref().is_none_or(reached);
    let observed = merged && above && {
        let observed = Observed {
            generation: manifest.generation,
            epoch: here.epoch,
            watermark: manifest.watermark.clone(),
            floor: manifest.floor.clone(),
            published: here.published.clone(),
        };
        record.observe(&observed, now_ms)
    };
    described || observed
}

/// The record of a device.
pub(crate) async fn record(link: &Link, device_id: &str) -> Result<DeviceRecord> {
    let unknown = || Error::invalid("device", format!("the mesh has no device {device_id}"));
    // The id stands in a path.
    if !is_usable_device_id(device_id) {
        return Err(unknown());
    }
    let path = link.layout.device(device_id);
    match link.adapter.read_file(&path).await {
        Ok(bytes) => DeviceRecord::parse(&bytes)
            .map_err(|fault| Error::invalid("device", format!("its record cannot be read: {fault}"))),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// Marks a device as one that will not come back.
pub(crate) async fn retire(link: &Link, device_id: &str) -> Result<()> {
    let records = list(link).await?;
    let found = records.into_iter().find(|record| record.device_id() == device_id);
    // The id stands in a path.
    let Some(mut record) = found.filter(|_| is_usable_device_id(device_id)) else {
        return Err(Error::invalid("device", format!("the mesh has no device {device_id}")));
    };
    record.retire();
    link.adapter.write_file(&link.layout.device(device_id), record.encode().into()).await?;
    Ok(())
}

/// Whether a file of `devices/` is a record, by its name: case counts, as in every name of the wire.
pub(crate) fn is_record(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|id| !id.is_empty())
}

/// All device records that can be read.
pub(crate) async fn list(link: &Link) -> Result<Vec<DeviceRecord>> {
    let files = match link.adapter.list_files(&link.layout.devices()).await {
        Ok(files) => files,
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let paths: Vec<String> =
        files.into_iter().filter(|file| is_record(&file.name)).map(|file| file.path).collect();
    let mut records = Vec::new();
    for body in link.adapter.read_many(&paths).await {
        match body {
            Ok(bytes) => records.extend(DeviceRecord::parse(&bytes)),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    records.sort_by_key(DeviceRecord::device_id);
    Ok(records)
}
