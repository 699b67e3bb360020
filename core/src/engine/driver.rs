//! The background task of a connected handle: polls, flushes after writes, retries with backoff.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{self, Either};
use tokio::sync::Notify;

use super::{Connection, Inner};
use crate::{error::Error, events::Event, host::Host, sync::connect::backoff};

/// The longest time between two polls of an idle mailbox.
const LONGEST_POLL: Duration = Duration::from_mins(1);

/// How much longer an app that nobody sees waits between polls.
const HIDDEN: u32 = 10;

/// Base of the backoff after failures.
const RETRY: Duration = Duration::from_secs(2);

/// Starts and stops the task.
#[derive(Debug, Default)]
pub(super) struct Driver {
    wake: Arc<Notify>,
    /// Batches since the last flush began.
    queued: Arc<AtomicU32>,
    is_hidden: Arc<AtomicBool>,
    /// Number of the task that may run; a task with another number ends.
    current: Arc<AtomicU64>,
    running: Mutex<bool>,
}

/// As many queued batches make a task exchange without waiting for more.
const AT_ONCE: u32 = u32::MAX / 2;

impl Driver {
    /// Lets the task exchange now.
    pub(super) fn hurry(&self) {
        self.queued.store(AT_ONCE, Ordering::Release);
        self.wake.notify_one();
    }

    /// Tells whether the user sees the app.
    pub(super) fn set_foreground(&self, is_foreground: bool) {
        if self.is_hidden.swap(!is_foreground, Ordering::AcqRel) == is_foreground {
            self.hurry();
        }
    }

    /// Tells that something waits to be published; `is_new`: in a batch that was not there before.
    pub(super) fn wake(&self, is_new: bool) {
        self.queued.fetch_add(u32::from(is_new), Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Starts the task, unless it runs.
    pub(super) fn start(&self, inner: &Arc<Inner>, may_found: bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, true) {
            return;
        }
        let task = Task {
            inner: Arc::downgrade(inner),
            wake: Arc::clone(&self.wake),
            queued: Arc::clone(&self.queued),
            is_hidden: Arc::clone(&self.is_hidden),
            current: Arc::clone(&self.current),
            number: self.current.load(Ordering::Acquire),
            may_found,
        };
        inner.ctx.host.spawn(Box::pin(task.run()));
    }

    /// Lets the task end after what it is doing.
    pub(super) fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, false) {
            self.current.fetch_add(1, Ordering::AcqRel);
            self.wake.notify_one();
        }
    }
}

/// When to do something.
struct Cadence {
    poll: Duration,
    debounce: Duration,
    threshold: u32,
}

struct Task {
    /// Weak: the task must not keep a dropped database alive.
    inner: Weak<Inner>,
    wake: Arc<Notify>,
    queued: Arc<AtomicU32>,
    is_hidden: Arc<AtomicBool>,
    current: Arc<AtomicU64>,
    number: u64,
    may_found: bool,
}

impl Task {
    fn is_stopped(&self) -> bool {
        self.current.load(Ordering::Acquire) != self.number
    }

    async fn run(self) {
        let Some((host, cadence)) = self.inner.upgrade().map(|inner| {
            let config = &inner.config;
            let cadence = Cadence {
                poll: config.poll_interval,
                debounce: config.flush_debounce,
                threshold: config.flush_threshold,
            };
            (Arc::clone(&config.host), cadence)
        }) else {
            return;
        };
        let mut wait = cadence.poll;
        let mut failures = 0;
        loop {
            let pause = if self.is_hidden.load(Ordering::Acquire) { wait * HIDDEN } else { wait };
            let woken = match future::select(Box::pin(self.wake.notified()), host.sleep(pause)).await {
                Either::Left(_) => true,
                Either::Right(_) => false,
            };
            if self.is_stopped() {
                return;
            }
            if woken && failures == 0 {
                self.settle(&*host, &cadence).await;
            } else if woken && self.queued.load(Ordering::Acquire) < AT_ONCE {
                // A mailbox that failed or asked to wait is left alone.
                host.sleep(wait.max(cadence.debounce)).await;
            }
            let Some(inner) = self.inner.upgrade().filter(|_| !self.is_stopped()) else { return };
            self.queued.store(0, Ordering::Release);
            match self.step(&inner).await {
                Ok(()) => {
                    failures = 0;
                    wait = if woken { cadence.poll } else { (wait * 2).min(LONGEST_POLL.max(cadence.poll)) };
                }
                // The store is let go: whoever resumes it wakes this task.
                Err(Error::Suspended | Error::Cancelled) => wait = cadence.poll,
                Err(error) => {
                    wait = backoff(RETRY, failures, error.retry_after());
                    failures += 1;
                    inner.ctx.emit(&Event::RemoteAccess {
                        kind: error.code().as_str().to_owned(),
                        error: error.to_string(),
                        retry_in_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
        }
    }

    /// Writes come in bursts: waits until no more come, or enough are there.
    async fn settle(&self, host: &dyn Host, cadence: &Cadence) {
        while self.queued.load(Ordering::Acquire) < cadence.threshold && !self.is_stopped() {
            let more = Box::pin(self.wake.notified());
            if let Either::Right(_) = future::select(more, host.sleep(cadence.debounce)).await {
                return;
            }
        }
    }

    async fn step(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        if inner.remote().link.is_some() {
            return inner.exchange_in_background().await;
        }
        match inner.connect_once(self.may_found).await? {
            Connection::Online => Ok(()),
            Connection::Offline { error, .. } => Err(error),
        }
    }
}
