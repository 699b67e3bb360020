//! A clock that tests move ahead.

use std::{sync::Mutex, time::Duration};

use futures_util::future::BoxFuture;
use interocitor_core::host::{Host, Job, TokioHost};

/// The real clock, moved ahead by so many ms.
#[derive(Debug, Default)]
pub(crate) struct Ahead(pub(crate) Mutex<u64>);

impl Ahead {
    pub(crate) fn days(&self, days: u64) {
        *self.0.lock().unwrap() += days * 24 * 3_600_000;
    }
}

impl Host for Ahead {
    fn now_ms(&self) -> u64 {
        TokioHost.now_ms() + *self.0.lock().unwrap()
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioHost.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioHost.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioHost.spawn(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        TokioHost.blocking(job)
    }
}
