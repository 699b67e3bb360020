//! The end of a run: the mesh comes to rest, and every rule is checked.

use std::fmt::Write as _;

use futures_util::FutureExt;
use interocitor_core::Quarantined;

use crate::{
    oracle::{Acknowledged, Verdict, differs},
    peers::{Guarantees, Peer},
    reference::Rows,
    simulation::{Simulation, is_kept},
    weather::Weather,
};

/// Exchanges of every device until a mesh must be at rest.
const ROUNDS: usize = 40;

/// What an app sees of rows: not when a row that lives was deleted before.
fn shown(rows: &Rows) -> Rows {
    let mut shown = rows.clone();
    for row in shown.values_mut().filter(|row| !row.cells.is_empty()) {
        row.deleted = None;
    }
    shown
}

impl Simulation {
    /// The storms are over: everybody exchanges until nothing changes any more.
    fn quiesce(&mut self) -> Verdict {
        self.world.trace(format_args!("QUIESCENCE"));
        self.world.disarm_all();
        self.remote.set_weather(Weather::calm(self.weather.capabilities));
        self.remote.set_full(false);
        for device in &mut self.devices {
            device.offline_until = None;
            device.view.set_offline(false);
        }
        self.executor.run_for(200_000);
        self.notice_crashes();
        for at in 0..self.devices.len() {
            if self.devices[at].db.is_none() {
                self.devices[at].open(&mut self.executor)?;
            } else if self.devices[at].is_suspended {
                self.resume(at);
            }
        }
        let mut unrest = String::new();
        for round in 0..ROUNDS {
            unrest.clear();
            let before = self.remote.writes();
            if let Some(peer) = &mut self.peer {
                peer.settle(&self.remote, self.world.now_ms());
            }
            for at in 0..self.devices.len() {
                if let Some(problem) = self.exchange(at) {
                    let _ = write!(unrest, "{problem}; ");
                }
            }
            let mut unreadable = 0;
            for device in &self.devices {
                let db = device.db.as_ref();
                let status = db.and_then(|db| db.status().now_or_never());
                let list = db.and_then(|db| db.quarantined().now_or_never());
                let (Some(Ok(status)), Some(Ok(list))) = (status, list) else {
                    let _ = write!(unrest, "d{} tells no status; ", device.index);
                    continue;
                };
                // Writes in quarantine wait for their user.
                let is_file = |name: &str| name.starts_with("changes/") || name.starts_with("mainline/");
                let files: Vec<_> =
                    list.into_iter().map(|kept| kept.name).filter(|name| is_file(name)).collect();
                unreadable += files.len();
                if status.pending.count > 0 || !files.is_empty() {
                    let waiting = (status.pending.count, files);
                    let _ = write!(unrest, "d{}: pending and unreadable {waiting:?}; ", device.index);
                }
            }
            let written = self.remote.log_since(before);
            let is_quiet = written.iter().all(|file| file.path.contains("/devices/"));
            self.oracle.borrow_mut().read(&self.remote);
            self.oracle.borrow().verdict()?;
            if unrest.is_empty() && is_quiet && round > 0 {
                return Ok(());
            }
            if unreadable > 0 {
                // What could not be read is tried again within a day.
                self.world.leap(25 * 3_600_000);
            }
            self.executor.run_for(61_000);
        }
        Err(format!("no rest after {ROUNDS} rounds: {unrest}"))
    }

    /// Quiescence, and every rule.
    ///
    /// # Errors
    ///
    /// The first rule that was broken.
    pub fn finish(&mut self) -> Verdict {
        self.quiesce()?;
        // Somebody new, to whom nothing but the mailbox tells anything.
        let index = self.devices.len();
        let fresh =
            self.devices[0].twin(&self.world, &self.remote, self.folder.path(), self.plan.seed, index);
        self.devices.push(fresh);
        self.devices[index].open(&mut self.executor)?;
        if let Some(problem) = self.exchange(index) {
            return Err(format!("a fresh device cannot join: {problem}"));
        }
        let rows = self.rows(0)?;
        let guarantees =
            self.plan.peer.map_or_else(Guarantees::default, |(_, habits)| Peer::guarantees(habits));
        for at in 1..self.devices.len() {
            let who = if at == index { "a fresh device".to_owned() } else { format!("d{at}") };
            let theirs = self.rows(at)?;
            if guarantees.agrees_on_deletes {
                differs("d0", &rows, &who, &theirs)?;
            } else if guarantees.converges {
                differs("d0", &shown(&rows), &who, &shown(&theirs))?;
            }
        }
        if guarantees.agrees_on_deletes {
            self.oracle.borrow().check_mailbox(&self.remote, &rows)?;
        }
        if guarantees.keeps_deletes {
            self.oracle.borrow().check_deletions(&rows)?;
        }
        let kept = self.kept();
        let is_kept = |write: &Acknowledged| is_kept(&kept, write);
        if guarantees.keeps_writes {
            self.oracle.borrow().check_promises(&rows, None, guarantees.keeps_deletes, &is_kept)?;
        }
        for at in (0..self.devices.len()).filter(|_| guarantees.keeps_own_writes) {
            // Whatever becomes of the mailbox, its writer has it.
            self.oracle.borrow().check_promises(&self.rows(at)?, Some(at), true, &is_kept)?;
        }
        for at in 0..self.devices.len() {
            self.check_status(at);
        }
        self.oracle.borrow().verdict()
    }

    /// Everything that lies in quarantine somewhere.
    fn kept(&self) -> Vec<Quarantined> {
        let lists = self.devices.iter().filter_map(|device| device.db.as_ref()?.quarantined().now_or_never());
        lists.flat_map(Result::unwrap_or_default).collect()
    }
}
