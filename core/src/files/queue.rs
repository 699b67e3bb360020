//! The queue: what is to be done about files is tried until it is done. It lies in the store, so that it survives the
//! process; what is under way is known to this process alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{self, Either},
    stream,
};
use tokio::sync::{Notify, watch};

use super::{FileInfo, Files, info::Moved, path::FilePath};
use crate::{
    error::{Error, Result},
    events::Event,
    mailbox::MailboxErrorKind,
    store::files::{FileRow, LONGEST_WAIT_MS, Task},
    sync::{Context, Link, connect::backoff},
};

/// Transfers under way at once.
const AT_ONCE: usize = 4;

/// Wishes looked at in one go.
const ROUND: usize = 64;

/// Base of the waits after failures.
const RETRY: Duration = Duration::from_secs(2);

/// The least time between two events about the progress of one file, in ms.
const STEP_MS: u64 = 250;

/// Counts the bytes of one transfer, tells of them, and hears that it is given up.
#[derive(Debug)]
pub(super) struct Meter {
    ctx: Arc<Context>,
    path: String,
    state: Mutex<(Moved, u64)>,
    given_up: Notify,
}

impl Meter {
    fn new(ctx: &Arc<Context>, path: &str) -> Arc<Self> {
        let (ctx, path) = (Arc::clone(ctx), path.to_owned());
        Arc::new(Self { ctx, path, state: Mutex::default(), given_up: Notify::new() })
    }

    /// One that nobody is told of.
    pub(super) fn silent(ctx: &Arc<Context>, path: &str) -> Arc<Self> {
        let meter = Self::new(ctx, path);
        meter.state().1 = u64::MAX;
        meter
    }

    fn state(&self) -> MutexGuard<'_, (Moved, u64)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try goes on where another one left off.
    pub(super) fn go_on(&self, former: &Self) {
        let moved = former.state().0;
        self.state().0 = moved;
    }

    /// A try begins.
    pub(super) fn begin(&self, total: Option<u64>) {
        self.state().0 = Moved { bytes: 0, total };
    }

    /// So many more bytes have passed.
    pub(super) fn add(&self, bytes: u64) {
        let now_ms = self.ctx.host.now_ms();
        let moved = {
            let mut state = self.state();
            state.0.bytes += bytes;
            if state.1 == u64::MAX || now_ms.abs_diff(state.1) < STEP_MS {
                return;
            }
            state.1 = now_ms;
            state.0
        };
        self.ctx.emit(&Event::FileProgress {
            path: self.path.clone(),
            bytes: moved.bytes,
            bytes_total: moved.total,
        });
    }
}

/// A transfer that is under way.
#[derive(Debug)]
struct Known {
    meter: Arc<Meter>,
    /// Dropped when it ends.
    end: watch::Sender<()>,
}

/// The transfers that are under way in this process, by path.
#[derive(Debug, Default)]
pub(super) struct Active(Mutex<HashMap<String, Known>>);

impl Active {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a transfer is, where it is under way.
    pub(super) fn moved(&self, path: &str) -> Option<Moved> {
        self.all().get(path).map(|known| known.meter.state().0)
    }

    /// Waits for the end of a transfer that is under way.
    async fn end_of(&self, path: &str) {
        let end = self.all().get(path).map(|known| known.end.subscribe());
        if let Some(mut end) = end {
            // It fails when the sender goes.
            let _ = end.changed().await;
        }
    }

    /// Breaks a transfer off, where it is under way.
    pub(super) fn give_up(&self, path: &str) {
        if let Some(known) = self.all().get(path) {
            known.meter.given_up.notify_one();
        }
    }
}

/// A transfer under way; not any more when it is dropped.
pub(super) struct Underway<'a> {
    files: &'a Files,
    pub(super) meter: Arc<Meter>,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut all = self.files.active.all();
        if all.get(&self.meter.path).is_some_and(|known| Arc::ptr_eq(&known.meter, &self.meter)) {
            all.remove(&self.meter.path);
        }
        drop(all);
        self.files.ctx.events.pulse().beat();
    }
}

/// What a run of the queue did.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Wishes that were fulfilled.
    pub(crate) done: u64,
    /// Tries that failed.
    pub(crate) failed: u64,
    /// Rows that waited for a file may be published now.
    pub(crate) has_released: bool,
    /// The mailbox cannot be used now: the rest was not tried.
    pub(crate) problem: Option<Error>,
}

/// How a try ended.
enum Attempt {
    Done {
        has_released: bool,
    },
    Failed(Error),
    /// Somebody else does it, or it is not wanted any more.
    Left,
}

impl Files {
    /// Breaks a transfer off, where one is under way.
    pub(super) fn give_up(&self, path: &str) {
        self.active.give_up(path);
        self.carried.stop(path);
    }

    /// Breaks off what goes on while nobody waits for it.
    pub(crate) fn stop_carried(&self) {
        self.carried.stop_all();
    }

    /// Counts a transfer from now on; `None` where one of the same file is under way.
    fn enter(&self, path: &str) -> Option<Underway<'_>> {
        let mut all = self.active.all();
        if all.contains_key(path) {
            return None;
        }
        let meter = Meter::new(&self.ctx, path);
        all.insert(path.to_owned(), Known { meter: Arc::clone(&meter), end: watch::Sender::new(()) });
        Some(Underway { files: self, meter })
    }

    /// As [`enter`](Self::enter), after the transfer of the same file that is under way; `None` where that was the try,
    /// or the wish is another one by now.
    async fn enter_after(&self, file: &FileRow) -> Result<Option<Underway<'_>>> {
        loop {
            self.active.end_of(&file.path).await;
            let now = self.ctx.read(|tx| tx.file(&file.path))?;
            if now.is_none_or(|now| now.job != file.job) {
                return Ok(None);
            }
            if let Some(underway) = self.enter(&file.path) {
                return Ok(Some(underway));
            }
        }
    }

    /// Whether an imported file has to make way for one that the mailbox has.
    async fn makes_way(&self, link: &Link, path: &str) -> Result<bool> {
        if !self.ctx.read(|tx| tx.is_import(path))? {
            return Ok(false);
        }
        let path = FilePath::new(path)?;
        for form in self.form(link).await?.and_other(link, &path) {
            if link.adapter.metadata(&form.place(link, &path)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A transfer that somebody waits for, beside one of the queue.
    pub(super) fn meter(&self, path: &FilePath) -> (Option<Underway<'_>>, Arc<Meter>) {
        match self.enter(path.as_str()) {
            Some(underway) => {
                let meter = Arc::clone(&underway.meter);
                (Some(underway), meter)
            }
            None => (None, Meter::new(&self.ctx, path.as_str())),
        }
    }

    /// Tries everything that is due, each wish once; `hurries`: what waits for its next try, too, and what somebody else
    /// is at is waited for.
    pub(crate) async fn run(&self, link: &Arc<Link>, hurries: bool) -> Result<Run> {
        let mut run = Run::default();
        let mut tried = HashSet::new();
        loop {
            let now_ms = if hurries { u64::MAX } else { self.ctx.host.now_ms() };
            let due = self.ctx.read(|tx| tx.due_files(now_ms, ROUND + tried.len()))?;
            let turn = |file: &FileRow| file.job.as_ref().map_or(0, |job| job.turn);
            let due: Vec<FileRow> =
                due.into_iter().filter(|file| tried.insert(turn(file))).take(ROUND).collect();
            if due.is_empty() {
                return Ok(run);
            }
            let mut attempts = stream::iter(due.into_iter().map(|file| self.attempt(link, file, hurries)))
                .buffer_unordered(AT_ONCE);
            while let Some(attempt) = attempts.next().await {
                match attempt? {
                    Attempt::Done { has_released } => {
                        run.done += 1;
                        run.has_released |= has_released;
                    }
                    Attempt::Left => {}
                    Attempt::Failed(error) => {
                        run.failed += 1;
                        if concerns_all(&error) {
                            // What is under way is broken off and tried again with the rest.
                            run.problem = Some(error);
                            return Ok(run);
                        }
                    }
                }
            }
        }
    }

    async fn attempt(&self, link: &Arc<Link>, file: FileRow, hurries: bool) -> Result<Attempt> {
        let underway = match self.enter(&file.path) {
            None if hurries => self.enter_after(&file).await?,
            entered => entered,
        };
        let Some(underway) = underway else { return Ok(Attempt::Left) };
        self.tell(&file.path)?;
        let outcome = {
            let work = Box::pin(self.perform(link, &file, &underway.meter));
            let given_up = Box::pin(underway.meter.given_up.notified());
            match future::select(work, given_up).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => return Ok(Attempt::Left),
            }
        };
        drop(underway);
        let attempt = match outcome {
            Ok(has_released) => Attempt::Done { has_released },
            Err(error @ (Error::Cancelled | Error::Suspended | Error::ShutDown)) => return Err(error),
            Err(error) => {
                self.note_failure(&file, &error)?;
                Attempt::Failed(error)
            }
        };
        self.tell(&file.path)?;
        Ok(attempt)
    }

    /// Does what is to be done; tells whether rows waited for it.
    async fn perform(&self, link: &Arc<Link>, file: &FileRow, meter: &Arc<Meter>) -> Result<bool> {
        let Some(job) = &file.job else { return Ok(false) };
        match job.task {
            Task::Upload if self.makes_way(link, &file.path).await? => {
                let body = self.ctx.write(|tx| {
                    let Some(mut now) = tx.file(&file.path)? else { return Ok(None) };
                    if now.job.as_ref().is_none_or(|known| known.turn != job.turn) {
                        return Ok(None);
                    }
                    (now.job, now.facts, now.modified_ms) = (None, None, None);
                    let body = now.body.take();
                    tx.put_file(&now)?;
                    tx.settle_import(&file.path)?;
                    Ok(body)
                })?;
                self.bodies.remove(&body.into_iter().map(|body| body.name).collect::<Vec<_>>());
                Ok(false)
            }
            Task::Upload => {
                let (form, version) = self.upload(link, file, meter).await?;
                let released = self.ctx.write(|tx| {
                    let Some(mut now) = tx.file(&file.path)? else { return Ok(false) };
                    now.form = Some(form.text().to_owned());
                    let is_same = now.job.as_ref().is_some_and(|known| known.turn == job.turn);
                    if is_same {
                        (now.job, now.version) = (None, version.clone());
                        tx.settle_import(&file.path)?;
                    }
                    tx.put_file(&now)?;
                    // Content that came meanwhile is what the rows wait for now.
                    if is_same { tx.release_rows(&file.path) } else { Ok(false) }
                })?;
                self.shrink()?;
                Ok(released)
            }
            Task::Download => {
                let path = FilePath::new(&file.path)?;
                self.refresh(link, &path, file, None, meter).await?;
                Ok(false)
            }
            Task::Delete => {
                self.delete(link, file).await?;
                self.ctx.write(|tx| {
                    let now = tx.file(&file.path)?;
                    let known = now.and_then(|now| now.job);
                    if known.is_some_and(|known| known.turn == job.turn) {
                        tx.remove_file(&file.path)?;
                    }
                    Ok(())
                })?;
                Ok(false)
            }
        }
    }

    fn note_failure(&self, file: &FileRow, error: &Error) -> Result<()> {
        let now_ms = self.ctx.host.now_ms();
        let problem = (error.code().as_str().to_owned(), error.to_string());
        let retry_in_ms = self.ctx.write(|tx| {
            let Some(mut now) = tx.file(&file.path)? else { return Ok(None) };
            let Some(job) = &mut now.job else { return Ok(None) };
            if Some(job.turn) != file.job.as_ref().map(|job| job.turn) {
                return Ok(None);
            }
            let wait = backoff(RETRY, job.attempts, error.retry_after());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(LONGEST_WAIT_MS);
            job.attempts = job.attempts.saturating_add(1);
            job.due_ms = may_succeed(error).then_some(now_ms.saturating_add(wait_ms));
            job.problem = Some(problem.clone());
            let is_retried = job.due_ms.is_some();
            tx.put_file(&now)?;
            Ok(Some(is_retried.then_some(wait_ms)))
        })?;
        if let Some(retry_in_ms) = retry_in_ms {
            let (code, error) = problem;
            self.ctx.emit(&Event::FileError { path: file.path.clone(), code, error, retry_in_ms });
        }
        Ok(())
    }

    /// Tells how a file stands.
    pub(super) fn tell(&self, path: &str) -> Result<()> {
        let state = self.ctx.read(|tx| tx.file(path))?;
        let state = state.map(|file| FileInfo::of(&file, self.active.moved(path)));
        let transfer = state.as_ref().and_then(|file| file.transfer.as_ref());
        self.ctx.emit(&Event::FileState {
            path: path.to_owned(),
            is_here: state.as_ref().is_some_and(|file| file.is_here),
            kind: transfer.map(|transfer| transfer.kind),
            state: transfer.map(|transfer| transfer.state),
        });
        Ok(())
    }
}

/// Whether another try may end otherwise, without anybody changing the file.
fn may_succeed(error: &Error) -> bool {
    match error {
        Error::Limit { .. }
        | Error::FileIntegrity { .. }
        | Error::FileNotFound { .. }
        | Error::InvalidArgument { .. } => false,
        _ => error.mailbox_kind() != Some(MailboxErrorKind::InvalidPath),
    }
}

/// Whether every other transfer would fail in the same way now.
fn concerns_all(error: &Error) -> bool {
    use MailboxErrorKind as Kind;
    matches!(error, Error::Offline(_) | Error::RemoteTimeout { .. })
        || matches!(error.mailbox_kind(), Some(Kind::RateLimited | Kind::Unauthorized))
}
