//! Compaction by itself: when this device writes a snapshot, and when it leaves that to others.
//!
//! Two triggers, as in the JavaScript client. After a flush of many batches one device of several is drawn by lot. And
//! some minutes after the last batch the change files are counted; where there are enough, and nothing was written
//! since, a compaction follows after some more minutes. Both wait by chance, so that devices seldom meet.

use std::{sync::Arc, time::Duration};

use super::Inner;
use crate::{
    config::AutoCompaction,
    error::Result,
    events::Event,
    host::Host,
    sync::compact::{self, Compacted, Suitability},
};

/// Decides for one connection.
#[derive(Debug)]
pub(super) struct AutoCompactor {
    policy: Option<AutoCompaction>,
    next: Next,
}

/// What is to be done, and when (wall ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    Count { due_ms: u64 },
    Compact { due_ms: u64 },
}

impl AutoCompactor {
    pub(super) fn new(policy: Option<AutoCompaction>) -> Self {
        Self { policy, next: Next::Nothing }
    }

    /// Notes batches that were published, and does what is due. Its failures are told and change nothing.
    pub(super) async fn run(&mut self, inner: &Arc<Inner>, batches: u32) {
        let Some(policy) = self.policy.clone() else { return };
        let host = &*inner.config.host;
        if batches > 0 {
            // A newer batch takes the place of whatever was planned.
            self.next = Next::Count { due_ms: later(host, policy.first_delay, policy.jitter) };
        }
        let outcome = if batches >= policy.batches {
            compact(inner, &policy, "immediate").await
        } else {
            self.delayed(inner, &policy).await
        };
        if let Err(error) = outcome {
            inner.ctx.emit(&Event::CompactAutoError {
                code: error.code().as_str().into(),
                error: error.to_string(),
            });
        }
    }

    async fn delayed(&mut self, inner: &Arc<Inner>, policy: &AutoCompaction) -> Result<()> {
        let host = &*inner.config.host;
        let now_ms = host.now_ms();
        match self.next {
            Next::Count { due_ms } if due_ms <= now_ms => {
                self.next = Next::Nothing;
                let files = inner.in_background(async |link| compact::count_changes(link).await).await?;
                if files > policy.change_files {
                    self.next = Next::Compact { due_ms: later(host, policy.second_delay, policy.jitter) };
                }
                Ok(())
            }
            Next::Compact { due_ms } if due_ms <= now_ms => {
                self.next = Next::Nothing;
                compact(inner, policy, "delayed").await
            }
            _ => Ok(()),
        }
    }
}

/// Compacts, unless this device should not, or the lot falls on others.
async fn compact(inner: &Arc<Inner>, policy: &AutoCompaction, trigger: &'static str) -> Result<()> {
    let ctx = &inner.ctx;
    let skip = |reason| {
        ctx.emit(&Event::CompactAutoSkip { trigger, reason });
        Ok(())
    };
    let devices = match inner.in_background(async |link| compact::suitability(ctx, link).await).await? {
        Suitability::Suits { devices } => devices,
        Suitability::NotTheWriter => return skip("not-the-writer"),
        Suitability::OtherClients => return skip("other-clients"),
        Suitability::RowsWait => return skip("rows-wait-for-files"),
    };
    let window = (devices / u64::from(policy.compactors.max(1))).max(1);
    if trigger == "immediate" && !random(&*inner.config.host).is_multiple_of(window) {
        return skip("sampling");
    }
    ctx.emit(&Event::CompactAutoStart { trigger });
    let grace = policy.grace;
    match inner.in_background(async |link| compact::compact(ctx, link, grace).await).await? {
        Compacted::Written { epoch, deleted, .. } => {
            ctx.emit(&Event::CompactAutoComplete { trigger, epoch, deleted });
            Ok(())
        }
        Compacted::Overtaken => skip("overtaken"),
    }
}

/// A moment around `delay` from now, up to `jitter` sooner or later.
fn later(host: &dyn Host, delay: Duration, jitter: Duration) -> u64 {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
    let (delay, jitter) = (ms(delay), ms(jitter));
    let first = delay.saturating_sub(jitter);
    host.now_ms() + first + random(host) % (delay + jitter - first + 1)
}

fn random(host: &dyn Host) -> u64 {
    let mut bytes = [0; 8];
    host.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
