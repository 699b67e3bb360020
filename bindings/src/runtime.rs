//! The one tokio runtime, the hop onto it, and cancelling.

use std::{
    panic::resume_unwind,
    sync::{Arc, LazyLock},
};

use futures_util::future::BoxFuture;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::Failure;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).thread_name("interocitor").enable_all().build();
    #[expect(clippy::expect_used, reason = "without threads nothing here can work")]
    runtime.expect("the threads of the engine cannot be started")
});

/// The runtime.
pub(crate) fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// Runs work on the runtime: the foreign executor that polls us knows nothing of tokio. Giving up the wait gives
/// up the work; a panic stays one.
pub(crate) async fn on_runtime<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    struct Abort(JoinHandle<()>);
    impl Drop for Abort {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let (sender, mut outcome) = oneshot::channel();
    // One kind of task for every call: tokio's machinery is compiled once, not once a method.
    let task: BoxFuture<'static, ()> = Box::pin(async move {
        // The receiver is gone when the caller gave up.
        let _ = sender.send(work.await);
    });
    match (&mut Abort(RUNTIME.spawn(task)).0).await {
        Ok(()) => outcome.try_recv().unwrap_or_else(|_| Err(Failure::cancelled())),
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::cancelled()),
    }
}

/// Runs a short call on one row where it is polled, as part of the runtime: at once, as a rule. The hop and back
/// takes longer than the call, and a call that has to wait for a write under way waits on a thread of the engine.
pub(crate) async fn in_place<T>(work: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
    let mut work: BoxFuture<'_, Result<T, Failure>> = Box::pin(work);
    std::future::poll_fn(|context| {
        let _runtime = RUNTIME.enter();
        work.as_mut().poll(context)
    })
    .await
}

/// As [`on_runtime`], until the token is cancelled.
pub(crate) async fn until_cancelled<T: Send + 'static>(
    cancel: Option<Arc<CancelToken>>,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let Some(cancel) = cancel else { return on_runtime(work).await };
    on_runtime(async move {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Failure::cancelled()),
            outcome = work => outcome,
        }
    })
    .await
}

/// Breaks off calls that were given it.
#[derive(Debug, Default)]
pub struct CancelToken(watch::Sender<bool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the calls that have it fail with `CANCELLED`.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as this value.
        let _ = self.0.subscribe().wait_for(|is_cancelled| *is_cancelled).await;
    }
}
