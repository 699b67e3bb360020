//! Deciding races: who may act in a folder.
//!
//! Conditions do not decide them. apache checks `If-None-Match`, `If-Match` and `Overwrite: F` first and
//! writes afterwards, so that of racers in the same moment several win, and now and then even its `LOCK`
//! has two winners (all measured). Its `MKCOL` has one, since the file system has. rclone makes a folder
//! as often as it is asked to, but its `LOCK` has one winner. So a claim is a hidden folder where making
//! one twice is refused, and a lock otherwise. Either is beside the target, never on it: other clients go
//! on reading and writing.

use std::time::{Duration, Instant};

use super::super::http::Payload;
use super::super::path::TEMP_PREFIX;
use super::super::place::Place;
use super::super::{MailboxErrorKind, MailboxResult};
use super::dav::{Dav, Made};

/// How long a claim lasts whose owner died: as long as the server keeps the lock, and as old, by the
/// server's clock, as the folder may get.
const LEASE: Duration = Duration::from_mins(1);
/// How long we use it: what is not done by then is given up, because others may come in.
const USE: Duration = Duration::from_secs(40);
const PAUSE_MIN: Duration = Duration::from_millis(40);
const PAUSE_MAX: Duration = Duration::from_millis(600);
/// The longest answer to a LOCK that is of interest.
const ANSWER_MAX: u64 = 64 * 1024;

const LOCKINFO: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?>"#,
    r#"<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>"#,
    r#"<D:locktype><D:write/></D:locktype><D:owner>interocitor</D:owner></D:lockinfo>"#
);

/// What a server decides races by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Referee {
    /// `MKCOL`: a folder is made once.
    Folder,
    /// `LOCK`.
    Lock,
}

/// A claim that we hold.
pub(super) struct Claim {
    place: Place,
    until: Instant,
    kind: Kind,
}

enum Kind {
    Folder,
    Lock {
        token: String,
        /// Whether the server made an empty file of the name.
        created: bool,
    },
}

/// A question to the server that can be asked again and again.
pub(super) trait Check: Send {
    /// An error ends the waiting.
    fn check(&self) -> impl Future<Output = MailboxResult<()>> + Send;
}

impl Dav {
    /// Does `work` while nobody else does such work in the folder of `target`. While somebody does, `check`
    /// tells by an error whether waiting has lost its point.
    pub(super) async fn exclusively<T: Send>(
        &self,
        referee: Referee,
        target: &Place,
        patience: Duration,
        check: impl Check,
        work: impl Future<Output = MailboxResult<T>> + Send,
    ) -> MailboxResult<T> {
        let place = target.parent().child(&format!("{TEMP_PREFIX}claim"));
        let started = Instant::now();
        let mut pause = PAUSE_MIN;
        let claim = loop {
            if let Some(claim) = self.claim(referee, &place).await.map_err(|error| error.at(&target.path))? {
                break claim;
            }
            match check.check().await {
                Err(error) if !error.is_retryable() => return Err(error),
                _ => {}
            }
            if started.elapsed() > patience {
                return Err(target.error(MailboxErrorKind::Unavailable, "another device is at work there"));
            }
            tokio::time::sleep(pause + jitter()).await;
            pause = (pause * 2).min(PAUSE_MAX);
        };
        let left = claim.until.saturating_duration_since(Instant::now());
        let outcome = tokio::time::timeout(left, work).await.unwrap_or_else(|_| {
            Err(target.error(MailboxErrorKind::Timeout, "it took longer than the claim may last"))
        });
        self.release(claim).await;
        outcome
    }

    /// Tries to claim; `None` if somebody else has it.
    async fn claim(&self, referee: Referee, place: &Place) -> MailboxResult<Option<Claim>> {
        match referee {
            Referee::Folder => self.claim_folder(place).await,
            Referee::Lock => self.lock(place).await,
        }
    }

    async fn claim_folder(&self, place: &Place) -> MailboxResult<Option<Claim>> {
        let until = Instant::now() + USE;
        match self.mkcol(place).await? {
            Made::New => return Ok(Some(Claim { place: place.clone(), until, kind: Kind::Folder })),
            Made::NoParent(error) => return Err(error),
            Made::Exists => {}
        }
        // What fails here is looked at again soon.
        if matches!(self.age(place).await, Ok(Some(age)) if age > LEASE) {
            self.evict(place).await?;
        }
        Ok(None)
    }

    /// Removes the claim of somebody who died. Of several who want to, one gets hold of it by renaming it,
    /// and looks at it again: the claim may have changed hands since.
    async fn evict(&self, place: &Place) -> MailboxResult<()> {
        let aside = place.temporary()?;
        if !self.rename_folder(place, &aside).await.unwrap_or(false) {
            return Ok(());
        }
        if self.age(&aside).await?.is_some_and(|age| age <= LEASE) {
            let _ = self.rename_folder(&aside, place).await;
            return Ok(());
        }
        self.delete_folder(&aside).await.map(drop)
    }

    /// Tries to lock; `None` if somebody else has the lock.
    pub(super) async fn lock(&self, place: &Place) -> MailboxResult<Option<Claim>> {
        let asked = Instant::now();
        let call = self
            .call(place, "LOCK")?
            .header("depth", "0")?
            .header("timeout", &format!("Second-{}", LEASE.as_secs()))?
            .payload("application/xml; charset=utf-8", Payload::Whole(LOCKINFO.as_bytes().into()));
        let answer = self.send(call).await?;
        match answer.status() {
            200 | 201 => {}
            423 => {
                answer.drain().await;
                return Ok(None);
            }
            _ => return Err(answer.fault().await),
        }
        let created = answer.status() == 201;
        let token = answer.header("lock-token").map(str::to_owned);
        let error = answer.error(MailboxErrorKind::Protocol, "the server gives no token for its lock");
        let granted = granted(&answer.whole(ANSWER_MAX).await?).unwrap_or(LEASE);
        let kind = Kind::Lock { token: token.ok_or(error)?, created };
        Ok(Some(Claim { place: place.clone(), until: asked + USE.min(granted * 2 / 3), kind }))
    }

    /// Gives a claim back. One that cannot be given back lapses.
    pub(super) async fn release(&self, claim: Claim) {
        let Kind::Lock { token, created } = claim.kind else {
            let _ = self.delete_folder(&claim.place).await;
            return;
        };
        let call = self.call(&claim.place, "UNLOCK").and_then(|call| call.header("lock-token", &token));
        let Ok(call) = call else { return };
        if let Ok(answer) = self.send(call).await {
            answer.drain().await;
        }
        if created {
            // Refused if the next one has locked it by now; then it is theirs to remove.
            let _ = self.delete(&claim.place).await;
        }
    }
}

/// So that those who wait do not come back all at once.
fn jitter() -> Duration {
    Duration::from_millis(u64::from(getrandom::u32().unwrap_or_default() % 40))
}

/// How long the lock was given for, as far as the answer says so: `<D:timeout>Second-60</D:timeout>`.
fn granted(answer: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(answer).ok()?;
    let digits = &text[text.find("Second-")? + "Second-".len()..];
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().map(Duration::from_secs).map(|granted| granted.min(LEASE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_long_a_lock_lasts() {
        assert_eq!(granted(b"<D:timeout>Second-17</D:timeout>"), Some(Duration::from_secs(17)));
        assert_eq!(granted(b"<D:timeout>Second-99999999999</D:timeout>"), Some(LEASE));
        assert_eq!(granted(b"<D:timeout>Infinite</D:timeout>"), None);
        assert_eq!(granted(b"Second-"), None);
        assert_eq!(granted(b"\xff"), None);
    }
}
