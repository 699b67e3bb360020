//! Waiting until writes are confirmed by the mailbox.

use std::time::Duration;

use futures_util::future::{self, Either};

use super::Interocitor;
use crate::{
    error::{Error, Result},
    store::{Tx, meta::keys},
};

/// Another process may publish: so often the store itself is asked.
const LOOK: Duration = Duration::from_secs(2);

/// Everything that was written to a store up to a moment, as [`Interocitor::write_mark`] gives it. Good for
/// the handle that gave it and for others of the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteMark {
    /// The last record of the outbox.
    record: i64,
    /// How often the outbox was emptied otherwise than by publishing.
    turn: u64,
    /// Whether writes went to the outbox already: before the first join they wait in the rows.
    is_member: bool,
}

impl Interocitor {
    /// Marks everything that was written so far, for [`await_published`](Self::await_published).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn write_mark(&self) -> Result<WriteMark> {
        self.inner.check_open()?;
        self.inner.ctx.read(mark)
    }

    /// Completes when the mailbox has confirmed everything up to the mark, by this process or another. It
    /// only waits: a connected database publishes by itself, others when they are told to. A write that is
    /// stuck keeps it waiting; [`Pending::problems`](super::Pending::problems) says why. One that came too late and
    /// was put into quarantine, told as `write:quarantined`, is not waited for. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN` when the handle ends; `INVALID_ARGUMENT` where the store joined another mesh meanwhile and
    /// what was written made way for the rows there; those of the store. While the database is suspended
    /// this waits.
    pub async fn await_published(&self, mark: WriteMark) -> Result<()> {
        let ctx = &self.inner.ctx;
        let mut beats = ctx.events.pulse().subscribe();
        let mut mark = mark;
        loop {
            beats.borrow_and_update();
            if self.is_shut_down() {
                return Err(Error::ShutDown);
            }
            match ctx.read(|tx| follow(tx, mark)) {
                Ok(Followed::Confirmed) => return Ok(()),
                Ok(Followed::Waiting(next)) => mark = next,
                Ok(Followed::Dropped) => {
                    return Err(Error::invalid(
                        "the write mark",
                        "the store joined another mesh, and what was written before made way for the rows there",
                    ));
                }
                Err(Error::Suspended) => {}
                Err(error) => return Err(error),
            }
            let beat = Box::pin(beats.changed());
            if let Either::Left((Err(_), _)) = future::select(beat, ctx.host.sleep(LOOK)).await {
                return Err(Error::ShutDown);
            }
        }
    }
}

/// What became of a mark.
enum Followed {
    Confirmed,
    /// Not all of it is; the mark may have moved with the outbox.
    Waiting(WriteMark),
    Dropped,
}

fn mark(tx: &Tx<'_>) -> Result<WriteMark> {
    Ok(WriteMark {
        record: tx.last_record()?,
        turn: tx.meta_number(keys::OUTBOX_TURN)?.unwrap_or(0),
        is_member: tx.engine()?.member,
    })
}

fn follow(tx: &Tx<'_>, known: WriteMark) -> Result<Followed> {
    let now = mark(tx)?;
    if !now.is_member {
        return Ok(Followed::Waiting(known));
    }
    if known.is_member && tx.meta_number(keys::OUTBOX_DROPPED)?.is_some_and(|turn| turn > known.turn) {
        return Ok(Followed::Dropped);
    }
    // The outbox was filled anew with all rows: they hold what was marked.
    let is_same = known.is_member && known.turn == now.turn;
    let mark = if is_same { known } else { now };
    // Where nothing waited at the mark, what waits now came later.
    Ok(if mark.record >= 0 && tx.is_waiting_up_to(mark.record)? {
        Followed::Waiting(mark)
    } else {
        Followed::Confirmed
    })
}
