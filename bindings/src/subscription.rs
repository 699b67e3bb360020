//! Handing events to listeners written in Swift or Kotlin.

use std::sync::Arc;

use interocitor_core::Events;

use crate::{CancelToken, Event, Failure, runtime::runtime};

/// Hears what happens.
#[uniffi::trait_interface]
pub trait EventListener: Send + Sync {
    /// What happened since the last call.
    fn on_events(&self, events: Vec<Event>) -> Result<(), Failure>;
}

/// A listener's place. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription(Arc<CancelToken>);

impl Subscription {
    pub(crate) fn new(events: Events, listener: Arc<dyn EventListener>) -> Self {
        let end = Arc::new(CancelToken::new());
        runtime().spawn(deliver(events, listener, Arc::clone(&end)));
        Self(end)
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Until the end: waits for something, takes everything that is there, hands it over in one call. The call may
/// take its time: it has a thread of its own, and the queue behind `events` is bounded.
async fn deliver(mut events: Events, listener: Arc<dyn EventListener>, end: Arc<CancelToken>) {
    loop {
        let first = tokio::select! {
            biased;
            () = end.cancelled() => return,
            event = events.next() => event,
        };
        let Some(first) = first else { return };
        let rest = std::iter::from_fn(|| events.try_next());
        let told = std::iter::once(first).chain(rest).map(Event::from).collect();
        let (called, ended) = (Arc::clone(&listener), Arc::clone(&end));
        let call = move || if ended.is_cancelled() { Ok(()) } else { called.on_events(told) };
        match runtime().spawn_blocking(call).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(target: "interocitor", reason = failure.parts().1, "an event listener failed");
            }
            Err(_) => tracing::error!(target: "interocitor", "an event listener panicked"),
        }
    }
}
