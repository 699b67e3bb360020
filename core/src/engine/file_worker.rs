//! The background task that moves files: beside the exchanges, so that a large file keeps no row waiting.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future;
use tokio::sync::Notify;

use super::Inner;
use crate::{
    error::{Error, Result},
    files::Run,
    host::Host,
    sync::connect::backoff,
};

/// The longest time between two looks: another process may have put a file.
const LOOK: Duration = Duration::from_secs(30);

/// Base of the waits while the mailbox cannot be used.
const RETRY: Duration = Duration::from_secs(2);

/// Starts, stops and wakes the task.
#[derive(Debug, Default)]
pub(super) struct FileWorker {
    wake: Arc<Notify>,
    running: Mutex<bool>,
    /// Number of the task that may run; a task with another number ends.
    current: Arc<AtomicU64>,
}

impl FileWorker {
    /// Lets the task look at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Starts the task, unless it runs.
    pub(super) fn start(&self, inner: &Arc<Inner>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, true) {
            return;
        }
        let task = Task {
            inner: Arc::downgrade(inner),
            wake: Arc::clone(&self.wake),
            current: Arc::clone(&self.current),
            number: self.current.load(Ordering::Acquire),
            host: Arc::clone(&inner.config.host),
            failures: 0,
        };
        inner.ctx.host.spawn(Box::pin(task.run()));
    }

    /// Lets the task end.
    pub(super) fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, false) {
            self.current.fetch_add(1, Ordering::AcqRel);
            self.wake.notify_one();
        }
    }
}

struct Task {
    /// Weak: the task must not keep a dropped database alive.
    inner: Weak<Inner>,
    wake: Arc<Notify>,
    current: Arc<AtomicU64>,
    number: u64,
    host: Arc<dyn Host>,
    /// Runs in a row that ended because the mailbox could not be used.
    failures: u32,
}

impl Task {
    async fn run(mut self) {
        while self.current.load(Ordering::Acquire) == self.number {
            let pause = match self.inner.upgrade() {
                None => return,
                Some(inner) => self.step(&inner).await,
            };
            let woken = Box::pin(self.wake.notified());
            future::select(woken, self.host.sleep(pause)).await;
        }
    }

    /// Does what is due; gives the time until the next look.
    async fn step(&mut self, inner: &Arc<Inner>) -> Duration {
        let may_work = {
            let remote = inner.remote();
            remote.link.is_some() && remote.facts.has_network
        };
        if !may_work || !inner.lease.is_held() || inner.check_open().is_err() {
            return LOOK;
        }
        match inner.run_files(false).await {
            Ok(Run { problem: Some(error), .. }) => {
                let wait = backoff(RETRY, self.failures, error.retry_after());
                self.failures += 1;
                wait
            }
            Ok(_) => {
                self.failures = 0;
                let due = inner.files.next_due_ms().ok().flatten();
                due.map_or(LOOK, |due| {
                    Duration::from_millis(due.saturating_sub(self.host.now_ms())).min(LOOK)
                })
            }
            // The store is busy or let go, or the connection ends: whoever changes that wakes this task.
            Err(_) => LOOK,
        }
    }
}

impl Inner {
    /// Runs the queue of files while connected; `hurries`: also what waits for its next try. Rows that waited for a file
    /// are published by whoever runs the exchanges.
    pub(super) async fn run_files(&self, hurries: bool) -> Result<Run> {
        let _inside = self.file_gate.read().await;
        self.check_open()?;
        let link = self.remote().link.clone();
        let link = link.ok_or(Error::invalid("files", "the database is not connected"))?;
        let run = self.interruptible(self.files.run(&link, hurries)).await?;
        if run.done > 0 {
            self.replicas.stir();
        }
        if run.has_released {
            self.driver.wake(true);
        }
        Ok(run)
    }
}
