//! The seam to the outside: time, randomness and tasks.
//!
//! Nothing in the engine reads a clock, draws a random number, sleeps or spawns except through a
//! [`Host`]. With a host of virtual time one thread steps any number of devices by seed.

use std::{fmt, time::Duration};

use futures_util::future::{self, BoxFuture, Either};

use crate::error::{Error, Result};

/// Work that may block, run off the async threads where the host has others.
pub type Job = Box<dyn FnOnce() + Send>;

/// Time, randomness and tasks, as the engine sees them.
pub trait Host: Send + Sync + fmt::Debug {
    /// Milliseconds since the Unix epoch. May jump.
    fn now_ms(&self) -> u64;

    /// Fills the buffer with random bytes fit for keys.
    fn random(&self, buffer: &mut [u8]);

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs blocking work; completes when it is done.
    fn blocking(&self, job: Job) -> BoxFuture<'static, ()>;

    /// Asked before each store transaction that writes, and between its commit and the moment at which
    /// somebody learns of it. A simulated host may unwind from here: that is a crash.
    #[cfg(feature = "simulation")]
    fn crash_point(&self, _at: CrashPoint) {}
}

/// Where a process can end, as far as its store can tell.
#[cfg(feature = "simulation")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before a transaction begins.
    BeforeWrite,
    /// After it was committed, before that is told.
    AfterCommit,
}

/// The real world: wall clock, the system's randomness, the current tokio runtime.
///
/// Its futures must be polled inside a tokio runtime with time enabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioHost;

impl Host for TokioHost {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self, buffer: &mut [u8]) {
        // Without randomness there is no safe key, nonce or id: nothing can go on.
        #[expect(clippy::expect_used, reason = "an operating system without randomness is beyond recovery")]
        getrandom::fill(buffer).expect("the operating system has no randomness");
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // A panic inside the job surfaces where its result is missing.
            let _ = tokio::task::spawn_blocking(job).await;
        })
    }
}

/// Runs blocking work that gives a result.
pub(crate) async fn run_blocking<T: Send + 'static>(
    host: &dyn Host,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    host.blocking(Box::new(move || {
        // The receiver is gone when the caller was cancelled.
        let _ = sender.send(work());
    }))
    .await;
    receiver.await.unwrap_or(Err(Error::ShutDown))
}

/// Completes with the future, or with [`Error::RemoteTimeout`] after `limit`.
pub(crate) async fn within<T>(
    host: &dyn Host,
    limit: Duration,
    stage: &'static str,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    match future::select(Box::pin(work), host.sleep(limit)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Error::RemoteTimeout { stage }),
    }
}

/// Ids made from the host's time and randomness.
pub(crate) mod ids {
    use super::Host;

    /// A UUIDv7 (RFC 9562) in lowercase.
    pub(crate) fn uuid_v7(host: &dyn Host) -> String {
        let mut random = [0; 10];
        host.random(&mut random);
        uuid::Builder::from_unix_timestamp_millis(host.now_ms(), &random).into_uuid().to_string()
    }

    /// A UUIDv4 in lowercase.
    pub(crate) fn uuid_v4(host: &dyn Host) -> String {
        let mut random = [0; 16];
        host.random(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form() {
        let v7 = ids::uuid_v7(&TokioHost);
        assert_eq!((v7.len(), &v7[14..15]), (36, "7"));
        let v4 = ids::uuid_v4(&TokioHost);
        assert_eq!((v4.len(), &v4[14..15]), (36, "4"));
    }

    #[tokio::test]
    async fn a_deadline_is_a_timeout() {
        let never = future::pending::<Result<()>>();
        let outcome = within(&TokioHost, Duration::from_millis(5), "test", never).await;
        assert!(matches!(outcome, Err(Error::RemoteTimeout { stage: "test" })));
        assert!(matches!(run_blocking(&TokioHost, || Ok(7)).await, Ok(7)));
    }
}
