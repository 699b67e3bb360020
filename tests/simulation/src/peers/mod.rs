//! Models of the JavaScript clients, as far as they matter to their neighbours: what they publish, what they
//! overlook, and what they destroy. Each of their steps is atomic; their defects are those of the real ones.

mod rows;
mod steps;

use std::collections::BTreeSet;

use crate::{
    mailbox::Remote,
    rng::Rng,
    wire::{Change, Codec, Hlc, Manifest},
};
use rows::JsRows;

/// Which generation of the JavaScript client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Around beta.10: one cursor, the head as a shortcut, a cached manifest, pruning by watermark.
    B10,
    /// 0.1.x and later: exact receipts, covered files named, deleted at once.
    New,
}

/// What a peer does beyond writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// It compacts.
    pub compacts: bool,
    /// It takes an error while it reads the pointer for an empty mailbox, and founds the mesh anew.
    pub founds_anew: bool,
}

/// What can be promised beside a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent promises")]
pub struct Guarantees {
    /// Our devices show the same rows in the end, and a fresh one does.
    pub converges: bool,
    /// They also agree on when rows that live were last deleted, and a join of all files gives the same.
    pub agrees_on_deletes: bool,
    /// No acknowledged write is lost.
    pub keeps_writes: bool,
    /// Nor is it lost on the device that wrote it.
    pub keeps_own_writes: bool,
    /// No row shows a column that is older than its deletion.
    pub keeps_deletes: bool,
}

impl Default for Guarantees {
    fn default() -> Self {
        Self {
            converges: true,
            agrees_on_deletes: true,
            keeps_writes: true,
            keeps_own_writes: true,
            keeps_deletes: true,
        }
    }
}

/// A peer.
#[derive(Debug)]
pub struct Peer {
    kind: Kind,
    habits: Habits,
    codec: Codec,
    rng: Rng,
    clock: (u64, u64),
    /// What its local store holds.
    rows: JsRows,
    /// What it once pulled: B10 merges into this, and local writes do not reach it.
    cache: JsRows,
    outbox: Vec<Change>,
    cursor: Option<Hlc>,
    receipts: BTreeSet<String>,
    manifest: Option<Manifest>,
    epoch: u64,
    /// An error stopped it until it connects again.
    is_poisoned: bool,
    next_value: u64,
    next_id: u64,
}

/// The number of the peer among those who write.
pub const NUMBER: usize = 100;

/// Its device id.
const NODE: &str = "01900000-0000-7000-8000-0000000000b1";

impl Peer {
    /// A peer that has not connected yet.
    pub fn new(kind: Kind, habits: Habits, seed: u64, codec: Codec) -> Self {
        Self {
            kind,
            habits,
            codec,
            rng: Rng::new(seed, "peer"),
            clock: (0, 0),
            rows: JsRows::default(),
            cache: JsRows::default(),
            outbox: Vec::new(),
            cursor: None,
            receipts: BTreeSet::new(),
            manifest: None,
            epoch: 0,
            is_poisoned: false,
            next_value: 0,
            next_id: 0,
        }
    }

    /// Something happens to it.
    pub fn step(&mut self, remote: &Remote, now_ms: u64) {
        if self.manifest.is_none() || self.is_poisoned {
            self.connect(remote, now_ms);
            return;
        }
        match self.rng.below(100) {
            0..55 => self.write(now_ms),
            55..70 => self.flush(remote, now_ms),
            70..88 => self.pull(remote, now_ms),
            88..95 => self.connect(remote, now_ms),
            95..97 if self.habits.compacts => self.compact(remote, now_ms),
            _ => {}
        }
    }

    /// The storms are over.
    pub fn settle(&mut self, remote: &Remote, now_ms: u64) {
        self.habits.founds_anew = false;
        self.connect(remote, now_ms);
        self.flush(remote, now_ms);
        self.pull(remote, now_ms);
    }

    /// What can be promised beside it; the table in the README says why.
    pub fn guarantees(habits: Habits) -> Guarantees {
        if !habits.compacts {
            return Guarantees::default();
        }
        // B10 deletes files that nobody has read, and clocks of deletions; at and below its floor its snapshot is the
        // state, whatever it overlooked. NEW forgets when a row that lives was deleted, and values that its own
        // writes replaced under an older clock.
        Guarantees {
            converges: false,
            agrees_on_deletes: false,
            keeps_writes: false,
            keeps_own_writes: true,
            keeps_deletes: false,
        }
    }
}
