//! Waiting until writes are confirmed by the mailbox, and asking which devices have seen them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::{self, Either};

use super::Interocitor;
use crate::{
    error::{Error, Result},
    store::{Tx, meta::keys},
    sync::device,
};

/// Another process may publish: so often the store itself is asked.
const LOOK: Duration = Duration::from_secs(2);

/// Everything that was written to a store up to a moment, as [`Interocitor::write_mark`] gives it. Good for
/// the handle that gave it and for others of the same store, until the process ends.
#[derive(Debug, Clone)]
pub struct WriteMark {
    place: Place,
    /// Number of the last entry, as soon as somebody found everything up to the mark published, and the turn
    /// of the outbox that it counts in.
    entry: Arc<OnceLock<(u64, u64)>>,
}

/// Where a mark stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The last record of the outbox.
    record: i64,
    /// How often the outbox was emptied otherwise than by publishing.
    turn: u64,
    /// Whether writes went to the outbox already: before the first join they wait in the rows.
    is_member: bool,
}

impl Interocitor {
    /// Marks everything that was written so far, for [`await_published`](Self::await_published) and
    /// [`seen_by`](Self::seen_by).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn write_mark(&self) -> Result<WriteMark> {
        self.inner.check_open()?;
        let place = self.inner.ctx.read(place)?;
        Ok(WriteMark { place, entry: Arc::default() })
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
    pub async fn await_published(&self, mark: &WriteMark) -> Result<()> {
        let ctx = &self.inner.ctx;
        let mut beats = ctx.events.pulse().subscribe();
        let mut place = mark.place;
        loop {
            beats.borrow_and_update();
            if self.is_shut_down() {
                return Err(Error::ShutDown);
            }
            match ctx.read(|tx| follow(tx, place)) {
                Ok(Followed::Confirmed { turn, entry }) => {
                    mark.entry.get_or_init(|| (turn, entry));
                    return Ok(());
                }
                Ok(Followed::Waiting(next)) => place = next,
                Ok(Followed::Dropped) => return Err(dropped()),
                Err(Error::Suspended) => {}
                Err(error) => return Err(error),
            }
            let beat = Box::pin(beats.changed());
            if let Either::Left((Err(_), _)) = future::select(beat, ctx.host.sleep(LOOK)).await {
                return Err(Error::ShutDown);
            }
        }
    }

    /// Whether a device has merged everything up to the mark. `true` is certain: the device said so in its record, by
    /// what it has read of this one, or by a snapshot that holds it. `false` means that it did not say so yet, since
    /// devices write their record seldom: when they join, when they have merged a new snapshot, and once a day. What
    /// was put into quarantine here is not asked about. Reads one small file.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected, the mesh has no such device, or the store joined
    /// another mesh meanwhile; those of store and mailbox.
    pub async fn seen_by(&self, device_id: &str, mark: &WriteMark) -> Result<bool> {
        let ctx = &self.inner.ctx;
        self.inner.check_open()?;
        let link = self.inner.remote().link.clone().ok_or(Error::invalid("seen by", "connect first"))?;
        let entry = match ctx.read(|tx| follow(tx, mark.place))? {
            Followed::Confirmed { turn, entry } => match *mark.entry.get_or_init(|| (turn, entry)) {
                // Entries are numbered anew since then, and hold all rows.
                (known, _) if known != turn => entry,
                (_, known) => known,
            },
            Followed::Waiting(_) => return Ok(false),
            Followed::Dropped => return Err(dropped()),
        };
        if device_id == self.device_id() {
            return Ok(true);
        }
        let record = device::record(&link, device_id).await?;
        let (stream, by_snapshot) = ctx.read(|tx| {
            let stream = tx.stream(&ctx.install)?;
            let epoch = record.observed_epoch();
            let held = epoch.map(|epoch| tx.held_by(&stream, epoch)).transpose()?;
            Ok((stream, held.unwrap_or(0)))
        })?;
        Ok(by_snapshot.max(record.merged_of(&stream).unwrap_or(0)) >= entry)
    }
}

fn dropped() -> Error {
    Error::invalid(
        "the write mark",
        "the store joined another mesh, and what was written before made way for the rows there",
    )
}

/// What became of a mark.
enum Followed {
    /// All of it is published, in entries up to this number.
    Confirmed {
        turn: u64,
        entry: u64,
    },
    /// Not all of it is; the mark may have moved with the outbox.
    Waiting(Place),
    Dropped,
}

fn place(tx: &Tx<'_>) -> Result<Place> {
    Ok(Place {
        record: tx.last_record()?,
        turn: tx.meta_number(keys::OUTBOX_TURN)?.unwrap_or(0),
        is_member: tx.engine()?.member,
    })
}

fn follow(tx: &Tx<'_>, known: Place) -> Result<Followed> {
    let now = place(tx)?;
    if !now.is_member {
        return Ok(Followed::Waiting(known));
    }
    if known.is_member && tx.meta_number(keys::OUTBOX_DROPPED)?.is_some_and(|turn| turn > known.turn) {
        return Ok(Followed::Dropped);
    }
    // The outbox was filled anew with all rows: they hold what was marked.
    let is_same = known.is_member && known.turn == now.turn;
    let place = if is_same { known } else { now };
    // Where nothing waited at the mark, what waits now came later.
    Ok(if place.record >= 0 && tx.is_waiting_up_to(place.record)? {
        Followed::Waiting(place)
    } else {
        Followed::Confirmed { turn: now.turn, entry: tx.meta_number(keys::ENTRY_SEQ)?.unwrap_or(0) }
    })
}
