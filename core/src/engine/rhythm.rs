//! When the background task does what: waits that grow while nothing happens, and others after failures.

use std::time::Duration;

use crate::{error::Error, sync::connect::backoff};

/// The longest time between two polls of an idle mailbox.
const LONGEST_POLL: Duration = Duration::from_mins(1);

/// How much longer an app that nobody sees waits.
pub(super) const HIDDEN: u32 = 10;

/// Base of the backoff after failures.
const RETRY: Duration = Duration::from_secs(2);

/// Base and limit of the waits before a full mailbox is written to again.
const FULL: Duration = Duration::from_mins(5);
const LONGEST_FULL: Duration = Duration::from_hours(1);

/// The waits of one connection.
#[derive(Debug)]
pub(super) struct Rhythm {
    base: Duration,
    /// Between two polls; failures leave it alone.
    poll: Duration,
    failure: Option<Failure>,
    full: Option<Full>,
    fillings: u32,
}

#[derive(Debug)]
struct Failure {
    count: u32,
    wait: Duration,
    /// The mailbox itself asked for the wait.
    is_asked_for: bool,
}

/// The mailbox takes nothing more.
#[derive(Debug)]
struct Full {
    since_ms: u64,
    wait: Duration,
}

impl Rhythm {
    pub(super) fn new(base: Duration) -> Self {
        Self { base, poll: base, failure: None, full: None, fillings: 0 }
    }

    /// Polls come so far apart from now on, while something happens.
    pub(super) fn set_base(&mut self, base: Duration) {
        if self.base != base {
            (self.base, self.poll) = (base, base);
        }
    }

    /// How long to wait from the last exchange to the next.
    pub(super) fn pause(&self, is_hidden: bool) -> Duration {
        let wait = self.failure.as_ref().map_or(self.poll, |failure| failure.wait);
        if is_hidden { wait * HIDDEN } else { wait }
    }

    /// Whether the last exchange failed: only the pause leads to the next, or somebody who asks for it.
    pub(super) fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether the mailbox asked for the wait: then nobody cuts it short.
    pub(super) fn is_told_to_wait(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.is_asked_for)
    }

    /// A poll succeeded, in which so many rows came.
    pub(super) fn polled(&mut self, rows: u64) {
        self.failure = None;
        let longest = LONGEST_POLL.max(self.base);
        self.poll = if rows > 0 { self.base } else { (self.poll * 2).min(longest) };
    }

    /// Something else succeeded.
    pub(super) fn succeeded(&mut self) {
        self.failure = None;
    }

    /// The user looks at the app.
    pub(super) fn restart(&mut self) {
        self.poll = self.base;
    }

    /// An exchange failed; gives the wait before the next.
    pub(super) fn failed(&mut self, error: &Error) -> Duration {
        let count = self.failure.as_ref().map_or(0, |failure| failure.count);
        let asked = error.retry_after();
        let wait = backoff(RETRY, count, asked);
        self.failure = Some(Failure { count: count + 1, wait, is_asked_for: asked.is_some() });
        wait
    }

    /// The mailbox is full; gives the wait before it is written to again. Reading goes on.
    pub(super) fn filled_up(&mut self, error: &Error, now_ms: u64) -> Duration {
        let doubled = FULL.saturating_mul(1 << self.fillings.min(8)).min(LONGEST_FULL);
        let wait = error.retry_after().map_or(doubled, |asked| asked.max(doubled));
        self.fillings += 1;
        self.full = Some(Full { since_ms: now_ms, wait });
        wait
    }

    /// Something was written.
    pub(super) fn emptied(&mut self) {
        (self.full, self.fillings) = (None, 0);
    }

    /// Whether to write, as far as the space in the mailbox goes.
    pub(super) fn may_publish(&self, now_ms: u64) -> bool {
        // Apart in either direction: a wall clock that went back must not keep writes for ever.
        self.full
            .as_ref()
            .is_none_or(|full| u128::from(now_ms.abs_diff(full.since_ms)) >= full.wait.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{MailboxError, MailboxErrorKind};

    fn failed(kind: MailboxErrorKind, wait: Option<u64>) -> Error {
        MailboxError::new(kind, "list", "/", "test").with_retry_after(wait.map(Duration::from_secs)).into()
    }

    #[test]
    fn polls_slow_down_until_rows_come_and_failures_do_not_count() {
        let mut rhythm = Rhythm::new(Duration::from_secs(30));
        let mut polls = Vec::new();
        for rows in [0, 0, 0, 5, 0] {
            polls.push(rhythm.pause(false).as_secs());
            rhythm.polled(rows);
        }
        assert_eq!(polls, [30, 60, 60, 60, 30]);
        assert_eq!((rhythm.pause(false).as_secs(), rhythm.pause(true).as_secs()), (60, 600));
        let waits: Vec<u64> =
            (0..4).map(|_| rhythm.failed(&failed(MailboxErrorKind::Offline, None)).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16]);
        assert_eq!((rhythm.pause(false).as_secs(), rhythm.is_told_to_wait()), (16, false));
        assert_eq!(rhythm.failed(&failed(MailboxErrorKind::RateLimited, Some(900))).as_secs(), 900);
        assert!(rhythm.is_failing() && rhythm.is_told_to_wait());
        rhythm.succeeded();
        assert_eq!((rhythm.pause(false).as_secs(), rhythm.is_failing()), (60, false));
        rhythm.restart();
        assert_eq!(rhythm.pause(false).as_secs(), 30);
        // A mailbox that tells of changes is polled seldom, and as before once it no longer does.
        rhythm.set_base(Duration::from_mins(5));
        rhythm.polled(0);
        assert_eq!(rhythm.pause(false).as_secs(), 300);
        rhythm.set_base(Duration::from_secs(30));
        assert_eq!(rhythm.pause(false).as_secs(), 30);
        rhythm.polled(0);
        rhythm.set_base(Duration::from_secs(30));
        assert_eq!(rhythm.pause(false).as_secs(), 60);
    }

    #[test]
    fn a_full_mailbox_is_read_as_usual_and_written_to_later() {
        let mut rhythm = Rhythm::new(Duration::from_secs(30));
        assert!(rhythm.may_publish(0));
        let full = failed(MailboxErrorKind::QuotaFull, None);
        let waits: Vec<u64> = (0..6).map(|_| rhythm.filled_up(&full, 1_000_000).as_secs()).collect();
        assert_eq!(waits, [300, 600, 1200, 2400, 3600, 3600]);
        assert_eq!(rhythm.pause(false).as_secs(), 30);
        assert!(!rhythm.may_publish(1_000_000 + 3_599_999));
        assert!(rhythm.may_publish(1_000_000 + 3_600_000));
        assert!(!rhythm.may_publish(999_000));
        rhythm.emptied();
        assert!(rhythm.may_publish(1_000_000));
        assert_eq!(rhythm.filled_up(&failed(MailboxErrorKind::QuotaFull, Some(400)), 0).as_secs(), 400);
    }
}
