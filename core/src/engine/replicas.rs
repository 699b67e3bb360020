//! Replicas on the handle, and the tasks that write to them: one for each, beside everything else, so that one that is
//! slow or down keeps nobody waiting.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future;
use tokio::sync::watch;

use super::{Inner, Interocitor};
use crate::{
    error::{Error, Result},
    events::Event,
    host::{Host, within},
    replica::{self, Replica, ReplicaState, Replicated, Target},
    store::meta::keys,
    sync::{Link, connect::backoff},
};

/// The longest time between two looks: another process may have published.
const LOOK: Duration = Duration::from_secs(30);

/// A mirror that was brought up to date is left alone for so long.
const REST: Duration = Duration::from_secs(2);

/// A mirror is compared with the main mailbox at least this often: others put files there.
const EVERY_MS: u64 = 3600 * 1000;

/// Base of the waits after failures.
const RETRY: Duration = Duration::from_secs(2);

/// The replicas of a handle, and their tasks.
#[derive(Debug)]
pub(super) struct Replicas {
    targets: Vec<Arc<Target>>,
    /// Something was published, or is to be looked at.
    stir: watch::Sender<()>,
    running: Mutex<bool>,
    /// Number of the tasks that may run; a task with another number ends.
    current: Arc<AtomicU64>,
}

impl Replicas {
    pub(super) fn new(replicas: &[Replica]) -> Self {
        Self {
            targets: replicas.iter().cloned().map(Target::new).collect(),
            stir: watch::Sender::new(()),
            running: Mutex::default(),
            current: Arc::default(),
        }
    }

    /// Lets the tasks look at once.
    pub(super) fn stir(&self) {
        self.stir.send_replace(());
    }

    /// Starts the tasks, unless they run.
    pub(super) fn start(&self, inner: &Arc<Inner>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.targets.is_empty() || std::mem::replace(&mut *running, true) {
            return;
        }
        for target in &self.targets {
            let task = Task {
                inner: Arc::downgrade(inner),
                target: Arc::clone(target),
                stirred: self.stir.subscribe(),
                current: Arc::clone(&self.current),
                number: self.current.load(Ordering::Acquire),
                host: Arc::clone(&inner.config.host),
                failures: 0,
                done: None,
            };
            inner.ctx.host.spawn(Box::pin(task.run()));
        }
    }

    /// Lets the tasks end.
    pub(super) fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *running, false) {
            self.current.fetch_add(1, Ordering::AcqRel);
            self.stir();
        }
    }

    /// Completes when no replica is written to any more.
    pub(super) async fn quiesce(&self) {
        future::join_all(self.targets.iter().map(|target| target.adapter().quiesce())).await;
    }

    fn find(&self, name: &str) -> Result<Arc<Target>> {
        let found = self.targets.iter().find(|target| target.name() == name);
        found.cloned().ok_or_else(|| Error::invalid("replica", format!("none is called {name:?}")))
    }
}

/// What was in force when a replica was brought up to date.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    manifest: Option<String>,
    latest: Option<String>,
    entries: Option<String>,
    files: (Option<String>, u64),
}

/// When a replica was compared with the main mailbox.
struct Compared {
    /// Over which connection.
    link: Weak<Link>,
    mark: Mark,
    at_ms: u64,
}

struct Task {
    /// Weak: the task must not keep a dropped database alive.
    inner: Weak<Inner>,
    target: Arc<Target>,
    stirred: watch::Receiver<()>,
    current: Arc<AtomicU64>,
    number: u64,
    host: Arc<dyn Host>,
    /// Tries in a row that failed.
    failures: u32,
    done: Option<Compared>,
}

/// What follows a step.
enum Next {
    /// To be woken, or to look after this time.
    Look(Duration),
    /// To pause, whoever wakes it.
    Pause(Duration),
}

impl Task {
    async fn run(mut self) {
        while self.current.load(Ordering::Acquire) == self.number {
            // What is stirred up from here on counts.
            self.stirred.mark_unchanged();
            let next = match self.inner.upgrade() {
                None => return,
                Some(inner) => self.step(&inner).await,
            };
            match next {
                Next::Pause(pause) => self.host.sleep(pause).await,
                Next::Look(pause) => {
                    let stirred = Box::pin(self.stirred.changed());
                    future::select(stirred, self.host.sleep(pause)).await;
                }
            }
        }
    }

    async fn step(&mut self, inner: &Arc<Inner>) -> Next {
        let link = {
            let remote = inner.remote();
            remote.link.clone().filter(|_| remote.facts.has_network)
        };
        let Some(link) = link.filter(|_| inner.lease.is_held() && inner.check_open().is_ok()) else {
            return Next::Look(LOOK);
        };
        let outcome = self.work(inner, &link).await;
        match outcome {
            Ok(true) => {
                self.failures = 0;
                self.target.note(None);
                Next::Pause(if self.target.replica.mirror { REST } else { Duration::ZERO })
            }
            // Nothing to do; or the store is let go, or the connection ends: whoever changes that stirs.
            Ok(false) | Err(Error::Cancelled | Error::Suspended | Error::ShutDown) => Next::Look(LOOK),
            Err(error) => {
                let wait = backoff(RETRY, self.failures, error.retry_after());
                self.failures += 1;
                inner.tell_replica(&self.target, &error, Some(wait));
                Next::Pause(wait)
            }
        }
    }

    /// Writes what the replica lacks; tells whether there was anything to do.
    async fn work(&mut self, inner: &Inner, link: &Arc<Link>) -> Result<bool> {
        let now_ms = self.host.now_ms();
        let (mark, owed) = inner.ctx.read(|tx| {
            let mark = Mark {
                manifest: tx.meta(keys::CONTENT_HASH)?,
                latest: tx.meta(keys::LATEST_ENTRY)?,
                entries: tx.meta(keys::ENTRY_SEQ)?,
                files: (tx.meta(keys::FILE_TURN)?, tx.file_count()?.waiting),
            };
            Ok((mark, tx.owed_count(self.target.name())?))
        })?;
        let is_mirror = self.target.replica.mirror;
        let is_compared = self.done.as_ref().is_some_and(|done| {
            done.link.ptr_eq(&Arc::downgrade(link))
                && (!is_mirror || (done.mark == mark && now_ms.abs_diff(done.at_ms) < EVERY_MS && owed == 0))
        });
        if is_compared && owed == 0 {
            return Ok(false);
        }
        let _inside = inner.file_gate.read().await;
        inner.check_open()?;
        if is_compared {
            inner.interruptible(replica::pay(&inner.ctx, link, &self.target)).await?;
        } else {
            inner.interruptible(replica::catch_up(&inner.ctx, link, &self.target, false)).await?;
            self.done = Some(Compared { link: Arc::downgrade(link), mark, at_ms: now_ms });
        }
        Ok(true)
    }
}

impl Inner {
    fn tell_replica(&self, target: &Target, error: &Error, retry_in: Option<Duration>) {
        target.note(Some(error));
        self.ctx.emit(&Event::ReplicaError {
            replica: target.name().to_owned(),
            code: error.code().as_str().to_owned(),
            error: error.to_string(),
            retryable: error.is_retryable(),
            retry_in_ms: retry_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    /// Writes to all replicas where no task does so, each for as long as a stage of a connect may take; what is left
    /// over is written the next time. What went wrong is told by events alone.
    pub(super) async fn feed_replicas(&self) {
        if self.replicas.targets.is_empty() || self.driver.is_running() {
            return;
        }
        let Some(link) = self.remote().link.clone() else { return };
        let _inside = self.file_gate.read().await;
        let limit = self.config.connect_stage_timeout;
        let feed = |target: Arc<Target>| {
            let link = &link;
            async move {
                let work = self.interruptible(async {
                    if target.replica.mirror {
                        replica::catch_up(&self.ctx, link, &target, false).await
                    } else {
                        replica::pay(&self.ctx, link, &target).await
                    }
                });
                match within(&*self.ctx.host, limit, "replica", work).await {
                    Ok(_) => target.note(None),
                    Err(Error::Cancelled | Error::Suspended | Error::ShutDown) => {}
                    Err(error) => self.tell_replica(&target, &error, None),
                }
            }
        };
        // Boxed: it would make every future that exchanges a large one.
        Box::pin(future::join_all(self.replicas.targets.iter().cloned().map(feed))).await;
    }
}

#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Interocitor {
    /// Brings a replica up to date with the main mailbox, whatever it lacks: change files of all devices and the head;
    /// a mirror also gets durable files, device records, snapshot and manifest, in an order in which a device can be
    /// restored from it at any moment. What is there already is not written again, so that a call that was broken off
    /// is continued by the next. `verifies`: what is there is also compared by SHA-256, which reads everything on both
    /// sides, and copied again where it differs.
    ///
    /// Bodies pass in pieces, and envelopes are proven on the way: what is damaged in the main mailbox is counted and
    /// not copied. Progress is told by `replica:progress`. A replica under another mesh is refused.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where no replica has this name, where it holds another mesh, or where the database is not
    /// connected; `REMOTE_ROLLBACK` where it is ahead of the main mailbox; `DECODE` where the snapshot is damaged in the
    /// main mailbox; those of both mailboxes and of the store.
    pub async fn replicate(&self, replica: &str, verifies: bool) -> Result<Replicated> {
        let inner = &self.inner;
        inner.check_open()?;
        let target = inner.replicas.find(replica)?;
        let link = inner.remote().link.clone();
        let link = link.ok_or(Error::invalid("replicate", "the database is not connected"))?;
        let _inside = inner.file_gate.read().await;
        let outcome = inner.interruptible(replica::catch_up(&inner.ctx, &link, &target, verifies)).await;
        target.note(outcome.as_ref().err());
        outcome
    }

    /// How the replicas stand.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn replicas(&self) -> Result<Vec<ReplicaState>> {
        let inner = &self.inner;
        inner.check_open()?;
        let state = |target: &Arc<Target>| {
            Ok(ReplicaState {
                name: target.name().to_owned(),
                mirror: target.replica.mirror,
                waiting: inner.ctx.read(|tx| tx.owed_count(target.name()))?,
                problem: target.problem(),
            })
        };
        inner.replicas.targets.iter().map(state).collect()
    }
}
