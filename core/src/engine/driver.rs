//! The background task of a connected handle: polls, flushes after writes, follows pushes and the network,
//! retries with backoff.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{self, BoxFuture, Either};
use tokio::sync::Notify;

use super::{
    Connection, Inner, Interocitor,
    autocompact::AutoCompactor,
    rhythm::{HIDDEN, Rhythm},
};
use crate::{
    error::{Error, Result},
    events::Event,
    host::Host,
    mailbox::Watch,
    store::{Foreign, meta::keys},
};

/// The first push message is followed at once; those that come for so long afterwards are pulled together.
const POKE: Duration = Duration::from_secs(1);

/// Between two polls where a mailbox tells of everything by itself.
const TOLD_POLL: Duration = Duration::from_mins(5);

/// Between two looks at what other processes did to the store.
const LOOK: Duration = Duration::from_secs(2);

/// How long a mailbox gets to say whether it tells of changes.
const WATCH: Duration = Duration::from_secs(30);

/// So many looks in vain, and this process counts as alone; it then looks at its polls only.
const LOOKS: u32 = 300;

/// Starts, stops and wakes the task.
#[derive(Debug, Default)]
pub(super) struct Driver {
    signals: Arc<Signals>,
    running: Mutex<bool>,
}

/// What the task should know.
#[derive(Debug, Default)]
struct Signals {
    wake: Notify,
    /// Batches since the last flush began.
    queued: AtomicU32,
    /// An exchange is wanted now.
    is_hurried: AtomicBool,
    /// A push message came.
    is_poked: AtomicBool,
    is_hidden: AtomicBool,
    has_no_network: AtomicBool,
    /// Number of the task that may run; a task with another number ends.
    current: AtomicU64,
}

impl Signals {
    fn raise(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn is_hidden(&self) -> bool {
        self.is_hidden.load(Ordering::Acquire)
    }
}

impl Driver {
    /// Lets the task exchange now.
    pub(super) fn hurry(&self) {
        self.signals.raise(&self.signals.is_hurried);
    }

    /// Tells that a push message came.
    pub(super) fn poke(&self) {
        self.signals.raise(&self.signals.is_poked);
    }

    /// Tells whether the user sees the app.
    pub(super) fn set_foreground(&self, is_foreground: bool) {
        if self.signals.is_hidden.swap(!is_foreground, Ordering::AcqRel) == is_foreground {
            self.hurry();
        }
    }

    /// Tells whether there is a network; gives whether that is new.
    pub(super) fn set_network(&self, is_available: bool) -> bool {
        let is_new = self.signals.has_no_network.swap(!is_available, Ordering::AcqRel) == is_available;
        if is_new {
            self.hurry();
        }
        is_new
    }

    /// Tells that something waits to be published; `is_new`: in a batch that was not there before.
    pub(super) fn wake(&self, is_new: bool) {
        self.signals.queued.fetch_add(u32::from(is_new), Ordering::AcqRel);
        self.signals.wake.notify_one();
    }

    pub(super) fn is_running(&self) -> bool {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the task, unless it runs.
    pub(super) fn start(&self, inner: &Arc<Inner>, may_found: bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, true) {
            return;
        }
        // What was said before concerns the connect that was just made.
        for flag in [&self.signals.is_hurried, &self.signals.is_poked] {
            flag.store(false, Ordering::Release);
        }
        let config = &inner.config;
        let task = Task {
            inner: Arc::downgrade(inner),
            number: self.signals.current.load(Ordering::Acquire),
            signals: Arc::clone(&self.signals),
            host: Arc::clone(&config.host),
            may_found,
            debounce: config.flush_debounce,
            threshold: config.flush_threshold,
            rhythm: Rhythm::new(config.poll_interval),
            poll_interval: config.poll_interval,
            lull: None,
            compactor: AutoCompactor::new(config.auto_compact.clone()),
            timer: config.host.sleep(config.poll_interval),
            looks: if inner.ctx.store.path().is_some() { LOOKS } else { 0 },
            poked_ms: None,
            watch: None,
            has_asked: false,
        };
        inner.ctx.host.spawn(Box::pin(task.run()));
    }

    /// Lets the task end after what it is doing.
    pub(super) fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, false) {
            self.signals.current.fetch_add(1, Ordering::AcqRel);
            self.signals.wake.notify_one();
        }
    }
}

/// Why the task does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It is time.
    Due,
    /// Something waits to be published.
    Written,
    /// A push message came.
    Poked,
    /// The app was shown or hidden, resumed, or the network came back.
    Hurried,
}

/// What the task did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Pulled, and published what waited.
    Exchanged { rows: u64 },
    /// Published only.
    Published,
    /// Nothing: another process does it.
    Left,
}

struct Task {
    /// Weak: the task must not keep a dropped database alive.
    inner: Weak<Inner>,
    number: u64,
    signals: Arc<Signals>,
    host: Arc<dyn Host>,
    may_found: bool,
    debounce: Duration,
    threshold: u32,
    rhythm: Rhythm,
    poll_interval: Duration,
    /// Runs out when the next push message may be followed.
    lull: Option<BoxFuture<'static, ()>>,
    compactor: AutoCompactor,
    /// Runs out when the next exchange is due.
    timer: BoxFuture<'static, ()>,
    /// Looks left at what other processes do.
    looks: u32,
    /// The last push message that another process passed on.
    poked_ms: Option<u64>,
    /// The mailbox tells of changes, until this is dropped.
    watch: Option<Watch>,
    has_asked: bool,
}

impl Task {
    fn is_stopped(&self) -> bool {
        self.signals.current.load(Ordering::Acquire) != self.number
    }

    async fn run(mut self) {
        self.watch_mailbox().await;
        while let Some(cause) = self.wait().await {
            let Some(inner) = self.inner.upgrade() else { return };
            let batches = self.signals.queued.swap(0, Ordering::AcqRel);
            let done = self.step(&inner, cause).await;
            self.watch_mailbox().await;
            if matches!(done, Ok(Done::Exchanged { .. } | Done::Published)) {
                self.compactor.run(&inner, batches).await;
            }
            match done {
                Ok(Done::Exchanged { rows }) => self.rhythm.polled(rows),
                Ok(Done::Published) => {
                    self.rhythm.succeeded();
                    // The poll comes when it would have come.
                    continue;
                }
                Ok(Done::Left) => {
                    self.looks = LOOKS;
                    self.rhythm.succeeded();
                }
                // The store is let go: whoever resumes it wakes this task.
                Err(Error::Suspended | Error::Cancelled) => self.rhythm.succeeded(),
                Err(error) => {
                    let wait = self.rhythm.failed(&error);
                    tell(&inner, &error, wait);
                }
            }
            if cause == Cause::Hurried {
                self.rhythm.restart();
            }
            self.rhythm.set_base(self.base_of(&inner));
            self.timer = self.host.sleep(self.rhythm.pause(self.signals.is_hidden()));
        }
    }

    /// Who is told of everything need not ask often.
    fn base_of(&self, inner: &Inner) -> Duration {
        let link = inner.remote().link.clone();
        let is_told = self.watch.is_some() && link.is_some_and(|link| link.adapter.is_push_healthy());
        if is_told { self.poll_interval.max(TOLD_POLL) } else { self.poll_interval }
    }

    /// Asks the mailbox, once there is a connection, to tell of changes.
    async fn watch_mailbox(&mut self) {
        if self.has_asked {
            return;
        }
        let Some(link) = self.inner.upgrade().and_then(|inner| inner.remote().link.clone()) else { return };
        self.has_asked = true;
        let signals = Arc::clone(&self.signals);
        let notice = Arc::new(move || signals.raise(&signals.is_poked));
        let asked = link.adapter.watch(link.layout.root(), notice);
        match future::select(asked, self.host.sleep(WATCH)).await {
            Either::Left((Ok(watch), _)) => self.watch = watch,
            Either::Left((Err(error), _)) => tracing::debug!(%error, "the mailbox is polled only"),
            Either::Right(_) => tracing::debug!("the mailbox does not say whether it tells of changes"),
        }
    }

    /// Waits for the next thing to do; `None` when the task is to end.
    async fn wait(&mut self) -> Option<Cause> {
        loop {
            if self.is_stopped() {
                return None;
            }
            if !self.signals.has_no_network.load(Ordering::Acquire) {
                let is_hurried = self.signals.is_hurried.swap(false, Ordering::AcqRel);
                if is_hurried && !self.rhythm.is_told_to_wait() {
                    return Some(Cause::Hurried);
                }
                // A mailbox that failed is left alone until the pause is over, whoever pushes or writes.
                if !self.rhythm.is_failing() {
                    if self.signals.is_poked.load(Ordering::Acquire) {
                        if let Some(lull) = self.lull.take() {
                            lull.await;
                        }
                        self.lull = Some(self.host.sleep(POKE));
                        self.signals.is_poked.store(false, Ordering::Release);
                        return (!self.is_stopped()).then_some(Cause::Poked);
                    }
                    if self.signals.queued.load(Ordering::Acquire) > 0
                        && self.rhythm.may_publish(self.host.now_ms())
                    {
                        self.settle().await;
                        return (!self.is_stopped()).then_some(Cause::Written);
                    }
                }
            }
            match self.pause().await {
                Pause::Woken => {}
                Pause::Over => return Some(Cause::Due),
                Pause::Look => {
                    let inner = self.inner.upgrade()?;
                    if self.look(&inner) {
                        return Some(Cause::Due);
                    }
                }
            }
        }
    }

    async fn pause(&mut self) -> Pause {
        let signals = Arc::clone(&self.signals);
        let is_hidden = signals.is_hidden();
        let look = match self.looks {
            0 => Box::pin(future::pending()),
            _ => self.host.sleep(if is_hidden { LOOK * HIDDEN } else { LOOK }),
        };
        let over = async {
            if signals.has_no_network.load(Ordering::Acquire) {
                future::pending::<()>().await;
            }
            (&mut self.timer).await;
        };
        let woken = Box::pin(signals.wake.notified());
        match future::select(woken, future::select(Box::pin(over), look)).await {
            Either::Left(_) => Pause::Woken,
            Either::Right((Either::Left(_), _)) => Pause::Over,
            Either::Right((Either::Right(_), _)) => Pause::Look,
        }
    }

    /// Writes come in bursts: waits until no more come, or enough are there, or somebody hurries.
    async fn settle(&mut self) {
        let signals = Arc::clone(&self.signals);
        while signals.queued.load(Ordering::Acquire) < self.threshold
            && !signals.is_hurried.load(Ordering::Acquire)
            && !self.is_stopped()
        {
            let more = Box::pin(signals.wake.notified());
            if let Either::Right(_) = future::select(more, self.host.sleep(self.debounce)).await {
                return;
            }
        }
    }

    /// Sees what other processes did to the store; tells whether the lease waits for us.
    fn look(&mut self, inner: &Inner) -> bool {
        self.looks = self.looks.saturating_sub(1);
        match inner.ctx.store.foreign() {
            // A store that is busy or let go is looked at the next time.
            Ok(Foreign::Nothing) | Err(_) => {}
            Ok(change) => {
                self.looks = LOOKS;
                // Perhaps it put a file.
                inner.file_worker.wake();
                if change == Foreign::Rows {
                    inner.ctx.events.emit_changes_of_others();
                } else {
                    inner.ctx.events.pulse().beat();
                }
                self.take_over_work(inner);
            }
        }
        !inner.lease.is_held() && inner.is_lease_free().unwrap_or(false)
    }

    /// Others only write, and pass on push messages: whoever holds the lease does the rest.
    fn take_over_work(&mut self, inner: &Inner) {
        if !inner.lease.is_held() {
            return;
        }
        let found = inner.ctx.read(|tx| Ok((tx.outbox_count()?.records, tx.meta_number(keys::POKED_MS)?)));
        let Ok((waiting, poked_ms)) = found else { return };
        if waiting > 0 {
            self.signals.queued.fetch_add(1, Ordering::AcqRel);
        }
        if poked_ms != self.poked_ms {
            self.poked_ms = poked_ms;
            self.signals.is_poked.store(true, Ordering::Release);
        }
    }

    async fn step(&mut self, inner: &Arc<Inner>, cause: Cause) -> Result<Done> {
        inner.check_open()?;
        self.look(inner);
        // Whoever the user looks at leads.
        let is_shown = cause == Cause::Hurried && !self.signals.is_hidden();
        let leads = inner.take_lease(is_shown)?;
        // Whoever could not connect so far does it now, to be ready when it is asked.
        if inner.remote().link.is_none() {
            return match inner.connect_once(self.may_found).await? {
                Connection::Online => Ok(Done::Exchanged { rows: 1 }),
                Connection::Offline { error, .. } => Err(error),
            };
        }
        if !leads {
            // The holder sees that it is not alone, and goes on looking at what is written here.
            let key = if cause == Cause::Poked { keys::POKED_MS } else { keys::FOLLOWED_MS };
            let now_ms = self.host.now_ms().to_string();
            inner.ctx.write(|tx| tx.set_meta(key, &now_ms))?;
            return Ok(Done::Left);
        }
        if cause == Cause::Written {
            match inner.publish_in_background().await {
                Ok(false) => {
                    self.rhythm.emptied();
                    return Ok(Done::Published);
                }
                // What the mailbox listed has news for us.
                Ok(true) => self.rhythm.emptied(),
                Err(error @ Error::QuotaFull(_)) => {
                    self.fill_up(inner, &error);
                    return Ok(Done::Published);
                }
                Err(error) => return Err(error),
            }
        }
        let may_publish = self.rhythm.may_publish(self.host.now_ms());
        let round = inner.exchange_in_background(may_publish).await?;
        match round.full {
            Some(error) => self.fill_up(inner, &error),
            None if may_publish => self.rhythm.emptied(),
            None => {}
        }
        Ok(Done::Exchanged { rows: round.rows })
    }

    fn fill_up(&mut self, inner: &Inner, error: &Error) {
        let wait = self.rhythm.filled_up(error, self.host.now_ms());
        tell(inner, error, wait);
    }
}

/// How a pause ended.
enum Pause {
    Woken,
    Over,
    Look,
}

fn tell(inner: &Inner, error: &Error, wait: Duration) {
    inner.ctx.emit(&Event::RemoteAccess {
        kind: error.code().as_str().to_owned(),
        error: error.to_string(),
        retry_in_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
    });
}

impl Interocitor {
    /// Tells that the mailbox has news, as a push message says: they are pulled at once. Messages of the following
    /// second collapse, as do those that come during the pull: one more pull follows. While pulls fail, messages
    /// wait for the retry that comes anyway, after 2 seconds, 4, and so on up to 5 minutes.
    ///
    /// Does nothing where the database does not sync by itself, or is not connected.
    pub fn poke(&self) {
        self.inner.driver.poke();
    }

    /// Tells whether the device has a network, as `NWPathMonitor` or `ConnectivityManager` know it. Without one
    /// nothing is tried in the background and the state is `offline`; when it is back an exchange follows at
    /// once. Explicit calls try in any case. Until this is called there counts as being one.
    pub fn set_network(&self, is_available: bool) {
        if self.inner.driver.set_network(is_available) {
            self.inner.change_facts(|facts| facts.has_network = is_available);
            // It is a part of the status even where the state of the connection stays the same.
            self.inner.ctx.events.pulse().beat();
            self.inner.file_worker.wake();
        }
    }
}
