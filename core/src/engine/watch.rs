//! Something of a database, as it changes: asked again whenever anything happened.

use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Inner;
use crate::error::{Error, Result};

/// The least time between two values.
const STEP: Duration = Duration::from_millis(250);

/// Gives what `read` finds, as it changes.
pub(super) struct Watch<T> {
    /// Weak: who watches must not keep a dropped database alive.
    inner: Weak<Inner>,
    read: fn(&Inner) -> Result<T>,
    beats: watch::Receiver<u64>,
    /// Something happened since the last look.
    is_due: bool,
    last: Option<T>,
    /// Runs out when the next value may be given.
    pause: Option<BoxFuture<'static, ()>>,
}

impl<T: fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("last", &self.last).finish_non_exhaustive()
    }
}

impl<T: Clone + PartialEq> Watch<T> {
    pub(super) fn new(inner: &Arc<Inner>, read: fn(&Inner) -> Result<T>) -> Self {
        let beats = inner.ctx.events.pulse().subscribe();
        Self { inner: Arc::downgrade(inner), read, beats, is_due: true, last: None, pause: None }
    }

    /// At once the first time, later as soon as it differs from what was given last. `None` after the database was shut
    /// down. While it is suspended this waits. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Result<T>> {
        loop {
            if self.inner.upgrade().is_none_or(|inner| inner.is_shut_down.load(Ordering::Acquire)) {
                return None;
            }
            if !self.is_due && self.beats.changed().await.is_err() {
                return None;
            }
            self.is_due = true;
            if let Some(pause) = &mut self.pause {
                pause.await;
                self.pause = None;
            }
            self.beats.borrow_and_update();
            self.is_due = false;
            let inner = self.inner.upgrade()?;
            match inner.check_open().and_then(|()| (self.read)(&inner)) {
                Ok(now) if self.last.as_ref() == Some(&now) => {}
                Ok(now) => {
                    self.last = Some(now.clone());
                    self.pause = Some(inner.config.host.sleep(STEP));
                    return Some(Ok(now));
                }
                Err(Error::ShutDown) => return None,
                Err(Error::Suspended) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
