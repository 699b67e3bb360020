//! Our device record: who we are and what we have merged.

use super::{Context, Link};
use crate::{
    error::{Error, Result},
    mailbox::MailboxErrorKind,
    store::meta::keys,
    wire::{
        device::{DeviceRecord, Observed},
        manifest::Manifest,
    },
};

/// The record is written anew at least this often, so that peers do not count us as gone.
const REFRESH_MS: u64 = 24 * 3600 * 1000;

/// Writes the first record of a founder, with the proof of the mesh key in it.
pub(super) async fn introduce(ctx: &Context, link: &Link, mesh_id: &str) -> Result<()> {
    let now_ms = ctx.host.now_ms();
    let device_id = ctx.device_id().into_owned();
    let mut record = DeviceRecord::new(&device_id, now_ms);
    record.describe(ctx.settings.device_name.as_deref(), ctx.settings.device_type.as_deref());
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
    let (known, written_ms, epoch, pending, clock) = ctx.read(|tx| {
        Ok((
            tx.meta(keys::DEVICE_RECORD)?,
            tx.meta_number(keys::DEVICE_RECORD_MS)?,
            tx.meta_number(keys::EPOCH)?.unwrap_or(0),
            tx.outbox_count()?.records,
            tx.engine()?.clock,
        ))
    })?;
    let device_id = ctx.device_id().into_owned();
    let path = link.layout.device(&device_id);
    let mut record = match known.as_deref().map(|text| DeviceRecord::parse(text.as_bytes())) {
        Some(Ok(record)) => record,
        _ => DeviceRecord::new(&device_id, now_ms),
    };
    let due = written_ms.is_none_or(|at| now_ms.abs_diff(at) >= REFRESH_MS);
    if !update(ctx, &mut record, manifest, epoch, pending, clock.ts, now_ms) && !due {
        return Ok(());
    }
    // Others may have written into our record (a retirement): take theirs before ours goes out.
    if known.is_some() {
        match link.adapter.read_file(&path).await {
            Ok(bytes) => {
                if let Ok(theirs) = DeviceRecord::parse(&bytes) {
                    record = theirs;
                    update(ctx, &mut record, manifest, epoch, pending, clock.ts, now_ms);
                }
            }
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    record.set_seen(now_ms);
    write(ctx, link, &record, now_ms).await
}

fn update(
    ctx: &Context,
    record: &mut DeviceRecord,
    manifest: &Manifest,
    epoch: u64,
    pending: u64,
    clock_ts: u64,
    now_ms: u64,
) -> bool {
    let described = record.describe(ctx.settings.device_name.as_deref(), ctx.settings.device_type.as_deref());
    let merged = manifest.epoch > 0 && epoch == manifest.epoch && pending == 0;
    let above = manifest.watermark.as_ref().is_none_or(|watermark| clock_ts > watermark.ts);
    let observed = merged && above && {
        let observed = Observed {
            generation: manifest.generation,
            epoch,
            watermark: manifest.watermark.clone(),
            floor: manifest.floor.clone(),
        };
        record.observe(&observed, now_ms)
    };
    described || observed
}

/// Whether a file of `devices/` is a record, by its name: case counts, as in every name of the wire.
fn is_record(name: &str) -> bool {
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
