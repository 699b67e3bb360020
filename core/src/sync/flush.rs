//! Flush: publishing the outbox.
//!
//! A record is bound to an entry id and clock, durably and with everything before it, before its
//! first upload; every retry uses the same name. The entry clock is fresh, above the head, the
//! watermark and every entry seen, since B10 peers read nothing at or below their cursor; the columns keep their clocks.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Context, Link, honesty, page, progress::Phase, pull, restore, stale};
use crate::{
    clock::Clock,
    error::{Error, Result},
    events::Event,
    host::ids,
    mailbox::{Body, MailboxErrorKind},
    store::{
        Durability, Tx,
        meta::EngineState,
        outbox::{Binding, Known, OpWriter, OutboxRecord, Queued},
    },
    wire::{
        change::{self, EntryHead},
        layout::{change_name, clock_of_change, is_change_name},
        manifest::{Head, Manifest},
    },
};

/// Records of one round.
const ROUND: usize = 64;

/// Uploads under way at once.
const UPLOADS: usize = 4;

/// Payloads above this size are split into parts, in bytes.
const SPLIT_AT: usize = 6 * 1024 * 1024;

/// What a flush published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flushed {
    /// Change files that the mailbox acknowledged.
    pub(crate) files: u64,
    /// Records that stay, because the mailbox will not take them.
    pub(crate) stuck: u64,
    /// The mailbox has change files that were not merged here yet.
    pub(crate) has_news: bool,
}

/// What a flush has to know of the mailbox before it publishes.
struct Ground {
    manifest: Arc<Manifest>,
    /// What the head says, or a clock that it does not pass.
    head: Option<Clock>,
    has_news: bool,
}

/// Makes sure that our mesh still lies there, and learns how far its entries are.
async fn survey(ctx: &Arc<Context>, link: &Arc<Link>) -> Result<Ground> {
    if let Some(ground) = glance(ctx, link).await? {
        return Ok(ground);
    }
    // A snapshot that came into force meanwhile may make what waits too late: that is settled first.
    let manifest = honesty::expect(ctx, link, "flush").await?;
    let manifest = honesty::check(ctx, link, manifest).await?;
    restore::adopt_if_newer(ctx, link, &manifest, None).await?;
    let manifest = honesty::confirm(ctx, link).await?;
    let head = read_head(ctx, link).await?;
    Ok(Ground { manifest, head, has_news: false })
}

/// The same from one listing in place of manifest and head. Files with a receipt of ours can only lie in
/// our mesh; and the head names the greatest entry, which lies there too, or below the watermark. Not
/// where nothing of ours lies there, the pointer was not read lately, or a record may be there already
/// and the head has to say who saw it. Where listings may be old, the head is asked for all the same.
async fn glance(ctx: &Context, link: &Link) -> Result<Option<Ground>> {
    let now_ms = ctx.host.now_ms();
    let Some(manifest) = link.known_lately(now_ms) else { return Ok(None) };
    if ctx.read(|tx| tx.has_bound_record())? {
        return Ok(None);
    }
    let mut names = match link.take_listing(now_ms) {
        Some(names) => names,
        None => link.list_changes().await?.into_iter().map(|file| file.name).collect(),
    };
    names.retain(|name| is_change_name(name));
    let (new, bad) = ctx.read(|tx| Ok((tx.without_receipt(names.clone())?, tx.quarantine_names()?)))?;
    if new.len() == names.len() {
        return Ok(None);
    }
    let is_bad = |name: &String| bad.iter().any(|file| file.strip_prefix("changes/") == Some(name));
    let listed = names.iter().filter_map(|name| clock_of_change(name)).max();
    let is_late = !link.adapter.listing_lag().is_zero();
    let head = if is_late { listed.max(read_head(ctx, link).await?) } else { listed };
    Ok(Some(Ground { manifest, head, has_news: !new.iter().all(is_bad) }))
}

/// Publishes everything in the outbox. The open batch is closed first.
pub(crate) async fn flush(ctx: &Arc<Context>, link: &Arc<Link>) -> Result<Flushed> {
    let waiting = ctx.read(|tx| tx.outbox_count())?.records;
    if waiting == 0 {
        return Ok(Flushed::default());
    }
    ctx.progress.begin(Phase::Publishing, Some(waiting), None);
    ctx.emit(&Event::FlushStart { entry_count: waiting });
    match flush_inner(ctx, link).await {
        Ok(flushed) => {
            ctx.emit(&Event::FlushComplete);
            Ok(flushed)
        }
        Err(error) => {
            ctx.emit(&Event::FlushError { code: error.code().as_str().into(), error: error.to_string() });
            Err(error)
        }
    }
}

async fn flush_inner(ctx: &Arc<Context>, link: &Arc<Link>) -> Result<Flushed> {
    let Ground { manifest, head, has_news } = survey(ctx, link).await?;
    if let Some(floor) = &manifest.floor
        && ctx.read(|tx| stale::is_waiting_below(tx, floor))?
    {
        return Err(Error::ManifestInvalid {
            path: link.layout.pointer(),
            reason:
                "its snapshot cannot be read here, and what waits is older than it allows; it goes on waiting"
                    .into(),
        });
    }
    let mut flushed = Flushed { has_news, ..Flushed::default() };
    let seen = ctx.read(page::latest_entry)?;
    let mut latest = head.clone();
    let mut after = -1;
    // What is written from now on is for the next flush: an app that writes whenever the mailbox is asked
    // for something must not keep this one from ending.
    let mut until = ctx.read(|tx| tx.last_record())?;
    loop {
        let beat: Vec<Clock> = latest.iter().chain(&manifest.watermark).chain(&seen).cloned().collect();
        let passed = head.clone();
        let mesh_id = manifest.mesh_id.clone();
        let round = {
            let link = Arc::clone(link);
            ctx.blocking(move |ctx| prepare(ctx, &link, &mesh_id, &beat, passed.as_ref(), (after, until)))
                .await?
        };
        until = until.max(round.until);
        let Some(last) = round.last else { break };
        after = last;
        let round = round.uploads;
        let mut outcomes =
            stream::iter(round.into_iter().map(|upload| send(link, &manifest.mesh_id, upload)))
                .buffer_unordered(UPLOADS);
        let mut failed = None;
        while let Some((upload, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => {
                    until = until.max(confirm(ctx, &upload)?);
                    flushed.files += 1;
                    ctx.progress.add(1, 0, upload.size);
                    latest = latest.max(Some(upload.binding.clock));
                }
                Err(error) if matches!(error, Error::EntryTooLarge { .. }) => {
                    flushed.stuck += 1;
                    note(ctx, &upload, &error)?;
                }
                Err(error) => {
                    note(ctx, &upload, &error)?;
                    failed = Some(error);
                }
            }
        }
        drop(outcomes);
        let waiting = ctx.read(|tx| tx.outbox_count())?.records;
        if waiting > flushed.stuck {
            ctx.emit(&Event::FlushProgress { published: flushed.files, waiting });
        }
        if let Some(error) = failed {
            // What did get through must be announced all the same.
            write_head(ctx, link, head.as_ref(), latest.as_ref()).await?;
            return Err(error);
        }
    }
    write_head(ctx, link, head.as_ref(), latest.as_ref()).await?;
    Ok(flushed)
}

/// One file on its way.
struct Upload {
    record: i64,
    binding: Binding,
    /// What its number counts in.
    stream: String,
    name: String,
    body: Vec<u8>,
    size: u64,
    /// The head passed the binding before it was confirmed: B10 peers will not read it, so the same
    /// operations go out once more under a fresh one.
    again: bool,
}

/// What is uploaded next.
struct Round {
    uploads: Vec<Upload>,
    /// The last record that was looked at, if there was one.
    last: Option<i64>,
    /// The last record of this flush: parts of a record that was split come behind all others.
    until: i64,
}

/// Binds the next records and encodes them.
fn prepare(
    ctx: &Context,
    link: &Link,
    mesh_id: &str,
    beat: &[Clock],
    head: Option<&Clock>,
    (after, until): (i64, i64),
) -> Result<Round> {
    let now_ms = ctx.host.now_ms();
    let (bound, last, until, stream) = ctx.store.write_with(Durability::Power, |tx| {
        let mut engine = tx.engine()?;
        engine.open_batch = None;
        let until = split_large(tx, &engine, after, until)?;
        let mut bound = Vec::new();
        let (mut bytes, mut last) = (0, None);
        let holds = tx.holds_rows()?;
        for record in tx.closed_records(&engine, ROUND, after, until)? {
            last = Some(record.seq);
            let ops = tx.record_ops(record.seq)?;
            if holds && is_held(tx, &record, &ops)? {
                continue;
            }
            bytes += ops.iter().map(|op| op.op.state.cells.len() * 96 + 96).sum::<usize>();
            let again = record
                .binding
                .as_ref()
                .is_some_and(|binding| head.is_some_and(|head| *head >= binding.clock));
            let binding = match &record.binding {
                Some(binding) => binding.clone(),
                None => bind(ctx, tx, &mut engine, &record, beat, now_ms)?,
            };
            bound.push((record, binding, again, ops));
            if bytes > SPLIT_AT {
                break;
            }
        }
        tx.set_engine(&engine)?;
        Ok((bound, last, until, tx.stream(&ctx.install)?))
    })?;
    let mut uploads = Vec::new();
    for (record, binding, again, ops) in bound {
        uploads.push(encode(ctx, link, (mesh_id, &stream), &record, binding, again, &ops)?);
    }
    Ok(Round { uploads, last, until })
}

/// Whether a row of a record waits for a file that is to be in the mailbox before it. What was bound may be there
/// already, and is older than the wait.
fn is_held(tx: &Tx<'_>, record: &OutboxRecord, ops: &[Queued]) -> Result<bool> {
    if record.binding.is_some() {
        return Ok(false);
    }
    for Queued { op, .. } in ops {
        if tx.is_held(&op.table, &op.row_id)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn bind(
    ctx: &Context,
    tx: &Tx<'_>,
    engine: &mut EngineState,
    record: &OutboxRecord,
    beat: &[Clock],
    now_ms: u64,
) -> Result<Binding> {
    let seq = match record.number {
        Some(number) => number,
        None => tx.next_entry_seq()?,
    };
    let binding = Binding {
        id: format!("chg_{}", ids::uuid_v7(&*ctx.host)),
        clock: engine.clock.issue(now_ms, &ctx.device, beat),
        seq,
    };
    tx.bind_record(record.seq, &binding)?;
    Ok(binding)
}

fn encode(
    ctx: &Context,
    link: &Link,
    (mesh_id, stream): (&str, &str),
    record: &OutboxRecord,
    binding: Binding,
    again: bool,
    ops: &[Queued],
) -> Result<Upload> {
    let head = EntryHead {
        mesh_id,
        id: &binding.id,
        ts_ms: record.opened_ms,
        device: &ctx.device,
        clock: &binding.clock,
        seq: binding.seq,
        install: stream,
        part: record.part,
    };
    let payload = change::encode(&head, ops.iter().map(|queued| &queued.op));
    let body = link
        .codec
        .seal(&*ctx.host, payload)
        .map_err(|_| Error::EntryTooLarge { size: u64::MAX, limit: u64::MAX })?;
    let name = change_name(&binding.clock.to_string(), &binding.id);
    let size = body.len() as u64;
    Ok(Upload { record: record.seq, binding, stream: stream.to_owned(), name, body, size, again })
}

/// Replaces records that are too large for one file by parts, all in this transaction. Gives the last record
/// of the flush.
fn split_large(tx: &Tx<'_>, engine: &EngineState, after: i64, until: i64) -> Result<i64> {
    let mut last = until;
    for record in tx.closed_records(engine, ROUND, after, until)? {
        if record.number.is_some()
            || record.part.is_some()
            || tx.record_bytes(record.seq)? < SPLIT_AT as u64 / 4
        {
            continue;
        }
        let ops = tx.record_ops(record.seq)?;
        if tx.holds_rows()? && is_held(tx, &record, &ops)? {
            continue;
        }
        let mut parts: Vec<OpWriter> = Vec::new();
        let mut bytes = SPLIT_AT;
        for queued in &ops {
            let length = change::encoded_len(&queued.op);
            if bytes + length > SPLIT_AT || parts.is_empty() {
                parts.push(OpWriter::default());
                bytes = 0;
            }
            bytes += length;
            if let Some(part) = parts.last_mut() {
                part.push_queued(queued);
            }
        }
        if parts.len() < 2 {
            continue;
        }
        let count = parts.len() as u64;
        for (part, ops) in (1..).zip(&parts) {
            last = last.max(tx.add_batch(ops, record.opened_ms, Some((part, count)))?);
        }
        tx.remove_record(record.seq)?;
    }
    Ok(last)
}

async fn send(link: &Link, mesh_id: &str, mut upload: Upload) -> (Upload, Result<()>) {
    let size = upload.size;
    if let Some(limit) = link.adapter.capabilities().max_body
        && size > limit
    {
        return (upload, Err(Error::EntryTooLarge { size, limit }));
    }
    let body = Body::from(std::mem::take(&mut upload.body));
    let path = link.layout.change(&upload.name);
    let outcome = match link.adapter.write_file(&path, body).await {
        Ok(()) => Ok(()),
        // The name is ours alone, and an earlier try may have arrived unanswered, under other random numbers.
        Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => {
            match link.adapter.read_file(&path).await {
                Ok(stored) if pull::read_change(link, mesh_id, &upload.name, &stored).is_ok() => Ok(()),
                Ok(_) => Err(error.into()),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) if error.kind() == MailboxErrorKind::TooLarge => {
            Err(Error::EntryTooLarge { size, limit: size - 1 })
        }
        Err(error) => Err(error.into()),
    };
    (upload, outcome)
}

/// The mailbox has it: a receipt, since we need not read our own file, and out of the outbox. Gives the record
/// that has to go out in its place, or -1.
fn confirm(ctx: &Context, upload: &Upload) -> Result<i64> {
    let now_ms = ctx.host.now_ms();
    ctx.write(|tx| {
        tx.add_receipt(&upload.name)?;
        for replica in &ctx.settings.replicas {
            tx.owe_change(replica, &upload.name)?;
        }
        tx.note_entries(&ctx.device_id(), &upload.stream, &[upload.binding.seq], false)?;
        let mut next = -1;
        // Another process that published at the same time may have been faster.
        if upload.again && tx.has_record(upload.record)? {
            let mut ops = OpWriter::default();
            for Queued { op, .. } in tx.record_ops(upload.record)? {
                ops.push(&op.table, &op.row_id, &op.state, Known::Elsewhere);
            }
            next = tx.add_batch(&ops, now_ms, None)?;
        }
        tx.remove_record(upload.record)?;
        Ok(next)
    })
}

fn note(ctx: &Context, upload: &Upload, error: &Error) -> Result<()> {
    let problem = format!("{}: {error}", error.code().as_str());
    ctx.write(|tx| tx.note_problem(upload.record, &problem))
}

async fn read_head(ctx: &Context, link: &Link) -> Result<Option<Clock>> {
    match link.adapter.read_file(&link.layout.head()).await {
        // A damaged head is replaced by ours.
        Ok(bytes) => {
            let head = Head::parse(&bytes).ok().map(|head| head.0);
            let prior = head.as_ref().map(ToString::to_string);
            ctx.emit(&Event::TraceHead { op: "read", prior_hlc: prior, next_hlc: None });
            Ok(head)
        }
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Moves the head forward where we published above it.
async fn write_head(ctx: &Context, link: &Link, prior: Option<&Clock>, latest: Option<&Clock>) -> Result<()> {
    let Some(next) = latest.filter(|latest| prior != Some(latest)) else { return Ok(()) };
    let event = |op| Event::TraceHead {
        op,
        prior_hlc: prior.map(ToString::to_string),
        next_hlc: Some(next.to_string()),
    };
    match link.adapter.write_file(&link.layout.head(), Head(next.clone()).encode().into()).await {
        Ok(()) => ctx.emit(&event("write")),
        // The Worker refuses to move it back: somebody else was further.
        Err(error) if error.kind() == MailboxErrorKind::Conflict => ctx.emit(&event("skip-no-change")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
