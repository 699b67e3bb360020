//! What a run is made of, and how it ended.

use crate::{
    oracle::Verdict,
    peers::{Habits, Kind},
};

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Devices at the beginning.
    pub devices: usize,
    /// Steps of each of them.
    pub steps: usize,
    /// A JavaScript peer among them.
    pub peer: Option<(Kind, Habits)>,
    /// Compactions come one upon the other.
    pub is_compacting_much: bool,
    /// Lines of the trace that are kept for a report.
    pub trace: usize,
}

impl Plan {
    /// The plan of a seed: four devices and 200 steps each; every eighth mesh has a B10 or a NEW peer.
    pub fn of(seed: u64) -> Self {
        let habits = |number: u64| Habits { compacts: number % 2 == 1, founds_anew: number % 8 == 6 };
        let peer = match seed % 16 {
            7 => Some((Kind::B10, habits(seed / 16))),
            15 => Some((Kind::New, habits(seed / 16))),
            _ => None,
        };
        Self { seed, devices: 4, steps: 200, peer, is_compacting_much: seed % 4 == 1, trace: 80 }
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether every rule held.
    pub verdict: Verdict,
    /// The digest of everything that happened.
    pub log_hash: String,
    /// The last things that happened.
    pub trace: Vec<String>,
    /// What happened to the rows that a broken rule is about.
    pub history: Vec<String>,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Processes that crashed.
    pub crashes: usize,
    /// Snapshots that were written.
    pub compactions: usize,
}
