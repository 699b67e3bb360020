//! Uploads that the operating system carries: they go on while the database is suspended and nobody waits for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{self, BoxFuture};
use tokio::sync::oneshot;

use super::queue::Meter;
use crate::{
    error::{Error, Result},
    host::Host,
    mailbox::{MailboxError, MailboxErrorKind},
    transfer::FileForm,
};

/// Where an upload goes to.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) form: FileForm,
    pub(super) place: String,
    pub(super) len: u64,
}

/// A write that goes on by itself.
#[derive(Debug)]
struct Write {
    /// Of the wish that it fulfils.
    turn: u64,
    course: Course,
    meter: Arc<Meter>,
    /// Dropped, the write is broken off.
    _stop: oneshot::Sender<()>,
    /// What becomes of it, unless somebody waits for that.
    outcome: Option<oneshot::Receiver<Result<()>>>,
}

/// The writes of this process that go on by themselves, by the path of their file.
#[derive(Debug, Default)]
pub(super) struct Carried(Mutex<HashMap<String, Write>>);

impl Carried {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Write>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a write.
    pub(super) fn begin(
        &self,
        host: &Arc<dyn Host>,
        (path, turn): (&str, u64),
        course: Course,
        meter: &Arc<Meter>,
        work: BoxFuture<'static, Result<()>>,
    ) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, outcome) = oneshot::channel();
        let write = Write { turn, course, meter: Arc::clone(meter), _stop: stop, outcome: Some(outcome) };
        self.all().insert(path.to_owned(), write);
        host.spawn(Box::pin(async move {
            if let future::Either::Left((outcome, _)) = future::select(work, stopped).await {
                // Nobody waits where the database was dropped.
                let _ = sender.send(outcome);
            }
        }));
    }

    /// Where the write of this wish goes to, where one is under way; the write of another wish is broken off.
    pub(super) fn course(&self, path: &str, turn: u64, meter: &Meter) -> Option<Course> {
        let mut all = self.all();
        let write = all.get(path)?;
        if write.turn != turn {
            all.remove(path);
            return None;
        }
        meter.go_on(&write.meter);
        Some(write.course.clone())
    }

    /// Waits for the end of a write. Given up, this leaves the write alone.
    pub(super) async fn outcome(&self, path: &str, turn: u64) -> Result<()> {
        let outcome = self.all().get_mut(path).and_then(|write| write.outcome.take());
        let mut waiting = Waiting { carried: self, path, turn, outcome };
        let Some(receiver) = &mut waiting.outcome else { return Err(lost(path)) };
        let ended = receiver.await;
        waiting.outcome = None;
        match ended {
            Ok(outcome) => {
                self.stop(path);
                outcome
            }
            Err(_) if self.all().contains_key(path) => {
                self.stop(path);
                Err(lost(path))
            }
            // Whoever broke it off tells those who wait.
            Err(_) => future::pending().await,
        }
    }

    /// Breaks a write off, where one is under way.
    pub(super) fn stop(&self, path: &str) {
        self.all().remove(path);
    }

    /// Breaks all of them off.
    pub(super) fn stop_all(&self) {
        self.all().clear();
    }
}

/// Somebody who waits for a write; the next one can wait when this is dropped.
struct Waiting<'a> {
    carried: &'a Carried,
    path: &'a str,
    turn: u64,
    outcome: Option<oneshot::Receiver<Result<()>>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        if let Some(write) = self.carried.all().get_mut(self.path).filter(|write| write.turn == self.turn) {
            write.outcome = Some(outcome);
        }
    }
}

fn lost(path: &str) -> Error {
    MailboxError::new(MailboxErrorKind::Io, "write", path, "the upload ended without an outcome").into()
}
