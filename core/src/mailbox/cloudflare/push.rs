//! Push: listens to the relay for as long as somebody watches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture};
use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

use super::super::place::Place;
use super::super::{Notice, Watch};
use super::Inner;
use super::message::{News, Reader};
use super::recent::LISTING_LAG_MS;
use super::socket::{self, Socket};

/// From the end of a socket to the next, at first; twice as long each time.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A socket that was open for so long was a good one: the waits begin anew.
const STEADY_MS: u64 = 30 * 1000;
/// After so many that never opened nobody asks for a while.
const FAILURES_MAX: u32 = 5;
const REST: Duration = Duration::from_hours(1);
/// After so long a silence the relay is asked whether it is there, and it has so long to answer.
const SILENCE: Duration = Duration::from_mins(1);
const ANSWER: Duration = Duration::from_secs(20);

/// The waits between sockets.
#[derive(Debug, Default)]
struct Backoff {
    wait: Option<Duration>,
    failures: u32,
}

impl Backoff {
    /// A socket ended that was open for so long.
    fn ended(&mut self, open_ms: u64) -> Duration {
        self.failures = 0;
        if open_ms >= STEADY_MS {
            self.wait = None;
        }
        self.next()
    }

    /// A socket never opened.
    fn failed(&mut self) -> Duration {
        self.failures += 1;
        if self.failures < FAILURES_MAX {
            return self.next();
        }
        *self = Self::default();
        REST
    }

    fn next(&mut self) -> Duration {
        let wait = self.wait.map_or(RETRY, |wait| (wait * 2).min(RETRY_MAX));
        self.wait = Some(wait);
        wait
    }
}

/// Begins to listen; ends when what is given back is dropped.
pub(super) fn start(inner: Arc<Inner>, relay: Url, folder: Place, notice: Notice) -> Watch {
    let (guard, dropped) = oneshot::channel::<()>();
    let host = Arc::clone(&inner.host);
    let listener = Listener { inner, relay, folder, notice, later: None };
    host.spawn(Box::pin(async move {
        // Completes when the guard is gone: nothing is ever sent.
        future::select(dropped, Box::pin(listener.run())).await;
    }));
    Box::new(guard)
}

struct Listener {
    inner: Arc<Inner>,
    relay: Url,
    folder: Place,
    notice: Notice,
    /// When to look for what messages and listings may have kept from us.
    later: Option<BoxFuture<'static, ()>>,
}

impl Listener {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let wait = match socket::open(self.inner.worker.http(), &self.relay, &self.folder).await {
                Ok(socket) => {
                    let begin_ms = self.inner.now_ms();
                    self.note_health(true);
                    self.listen(socket).await;
                    self.note_health(false);
                    backoff.ended(self.inner.now_ms().saturating_sub(begin_ms))
                }
                Err(error) => {
                    tracing::debug!(%error, "no push; the mailbox is polled");
                    backoff.failed()
                }
            };
            self.pass(wait).await;
        }
    }

    /// Lets time pass until the next socket, in which what waits to be looked for may become due.
    async fn pass(&mut self, wait: Duration) {
        let mut wait = self.inner.host.sleep(wait);
        let inner = Arc::clone(&self.inner);
        loop {
            tokio::select! {
                () = &mut wait => return,
                // The network was away, and the sockets had no chance.
                () = inner.worker.is_back() => return,
                () = due(&mut self.later) => self.look(),
            }
        }
    }

    /// What happened while nobody listened is pulled, and how often to poll is thought over.
    fn note_health(&self, is_told: bool) {
        self.inner.is_told.store(is_told, Ordering::Release);
        (self.notice)();
    }

    fn look(&mut self) {
        self.later = None;
        (self.notice)();
    }

    /// Listens until the socket ends.
    async fn listen(&mut self, mut socket: Socket) {
        let mut reader = Reader::new(&self.folder);
        let host = Arc::clone(&self.inner.host);
        let (mut timer, mut is_asked) = (host.sleep(SILENCE), false);
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                () = &mut timer => {
                    if is_asked || socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                    (timer, is_asked) = (host.sleep(ANSWER), true);
                    continue;
                }
                () = due(&mut self.later) => {
                    self.look();
                    continue;
                }
            };
            (timer, is_asked) = (host.sleep(SILENCE), false);
            match frame {
                Some(Ok(Message::Text(text))) => {
                    self.act(reader.read(&text, &self.inner.recent, self.inner.now_ms()));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }

    fn act(&mut self, news: News) {
        if news == News::Now {
            (self.notice)();
        }
        if news != News::None && self.later.is_none() {
            self.later = Some(self.inner.host.sleep(Duration::from_millis(LISTING_LAG_MS)));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.is_told.store(false, Ordering::Release);
    }
}

/// Completes when it is time to look; never, if there is nothing to look for.
async fn due(later: &mut Option<BoxFuture<'static, ()>>) {
    match later {
        Some(timer) => timer.await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_in_a_rest() {
        let mut backoff = Backoff::default();
        let seconds = |wait: Duration| wait.as_secs();
        let waits: Vec<u64> = (0..6).map(|_| seconds(backoff.failed())).collect();
        assert_eq!(waits, [1, 2, 4, 8, 3600, 1]);
        // Sockets that open and end at once are not hurried after.
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..7).map(|_| seconds(backoff.ended(10))).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(seconds(backoff.ended(STEADY_MS)), 1);
        // One that opened makes the others forgotten.
        for _ in 0..4 {
            backoff.failed();
        }
        backoff.ended(10);
        assert_eq!(backoff.failed(), RETRY_MAX);
    }
}
