//! One run: a mesh of devices, steps by seed, quiescence, verdict.

use std::{cell::RefCell, collections::BTreeMap, path::Path, rc::Rc, sync::Arc, time::Duration};

use futures_util::FutureExt;
use interocitor_core::{
    Connection, ErrorCode, Interocitor, Quarantined, QuarantinedWrite, config::Publish, mailbox::Capabilities,
};
use interocitor_crypto::Passphrase;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    device::{Device, PASSPHRASE, Shared, Traits, is_expected},
    history,
    mailbox::Remote,
    oracle::{Acknowledged, Oracle, Place, Verdict},
    peers::Peer,
    plan::{Outcome, Plan},
    reference::{Rows, rows_of},
    rng::Rng,
    weather::Weather,
    wire::Codec,
    world::{Executor, World},
};

/// Most devices of a run, clones included.
const MOST_DEVICES: usize = 7;

/// A mesh under way.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) plan: Plan,
    /// Virtual time.
    pub world: Arc<World>,
    /// The mailbox.
    pub remote: Arc<Remote>,
    /// Runs the tasks.
    pub executor: Executor,
    /// The devices, clones included.
    pub devices: Vec<Device>,
    /// What was promised.
    pub oracle: Shared,
    pub(crate) peer: Option<Peer>,
    pub(crate) folder: TempDir,
    rng: Rng,
    pub(crate) weather: Weather,
    is_stormy: bool,
    crashes: usize,
}

/// Whether a write is in the keeping of a quarantine, or made way for a later one that is: the values of a device are
/// numbered.
pub(crate) fn is_kept(list: &[Quarantined], write: &Acknowledged) -> bool {
    let number = |value: &Value| {
        let (device, number) = value.as_str()?.split_once('-')?;
        Some((device.to_owned(), number.parse::<u64>().ok()?))
    };
    let Some((name, value)) = &write.cell else { return false };
    let Some((device, first)) = number(value) else { return false };
    let is_of = |kept: &&QuarantinedWrite| (&kept.table, &kept.row_id) == (&write.place.0, &write.place.1);
    list.iter().filter_map(|kept| kept.write.as_ref()).filter(is_of).any(|kept| {
        let columns: BTreeMap<String, Value> = serde_json::from_str(&kept.columns).unwrap_or_default();
        let is_later = |value: &Value| number(value).is_some_and(|(by, at)| by == device && at >= first);
        match columns.get(name) {
            // Emptied together with others.
            Some(Value::Null) => columns.values().any(is_later),
            Some(value) => is_later(value),
            None => false,
        }
    })
}

/// Runs a plan to its end.
///
/// # Panics
///
/// Where the file system of the machine fails.
pub fn run(plan: &Plan) -> Outcome {
    let mut simulation = Simulation::new(plan);
    let verdict = simulation.play().and_then(|()| simulation.finish());
    simulation.outcome(verdict)
}

/// A folder in memory, where the machine has one.
fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }
}

impl Simulation {
    /// A mesh whose devices have not started yet.
    ///
    /// # Panics
    ///
    /// Where the file system of the machine fails.
    #[expect(clippy::expect_used, reason = "without a folder nothing can be simulated")]
    pub fn new(plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed, "steps");
        let world = World::new(plan.seed, plan.trace);
        let weather = Weather::of(&mut Rng::new(plan.seed, "weather"));
        let remote = Remote::new(&world, plan.seed, Weather::calm(weather.capabilities));
        let encrypted = rng.permille(200);
        let codec = match Passphrase::from(PASSPHRASE).to_key() {
            Ok(key) if encrypted => Codec::Sealed(key),
            _ => Codec::Plain,
        };
        let folder = folder().expect("no folder for the stores");
        // One mode for a whole mesh, as an app configures it.
        let publish = if rng.permille(300) { Publish::ChangedColumns } else { Publish::FullRows };
        let batch_window = Duration::from_millis(rng.pick(&[0, 1000, 1000]));
        let rows = rng.pick(&[3, 6, 40, 40]);
        let mut devices = Vec::new();
        for index in 0..plan.devices {
            let traits = Traits { auto_sync: rng.permille(300), publish, batch_window, encrypted, rows };
            devices.push(Device::new(&world, &remote, folder.path(), plan.seed, index, traits));
        }
        let peer = plan.peer.map(|(kind, habits)| Peer::new(kind, habits, plan.seed, codec.clone()));
        Self {
            plan: plan.clone(),
            executor: Executor::new(&world),
            oracle: Rc::new(RefCell::new(Oracle::new(codec))),
            world,
            remote,
            devices,
            peer,
            folder,
            rng,
            weather,
            is_stormy: false,
            crashes: 0,
        }
    }

    fn outcome(self, verdict: Verdict) -> Outcome {
        let is_snapshot = |path: &str| path.contains("/mainline/");
        let oracle = self.oracle.borrow();
        let mut history = Vec::new();
        for place in verdict.as_ref().err().map(|rule| oracle.places_in(rule)).unwrap_or_default() {
            history.push(format!("{place:?}:"));
            history.extend(history::of(&place, &oracle, &self.remote));
            history.extend(self.put_aside(&place));
        }
        Outcome {
            verdict,
            history,
            log_hash: self.world.log_hash(),
            trace: self.world.last_lines(),
            acknowledged: oracle.acknowledged(),
            crashes: self.crashes,
            compactions: self.remote.log_since(0).iter().filter(|file| is_snapshot(&file.path)).count(),
        }
    }

    /// Writes to a row that lie in quarantine, for a report.
    fn put_aside(&self, place: &Place) -> Vec<String> {
        let mut lines = Vec::new();
        for device in &self.devices {
            let list = device.db.as_ref().and_then(|db| db.quarantined().now_or_never());
            for write in list.and_then(Result::ok).into_iter().flatten().filter_map(|kept| kept.write) {
                if (&write.table, &write.row_id) == (&place.0, &place.1) {
                    lines.push(format!("d{} has in quarantine {}", device.index, write.columns));
                }
            }
        }
        lines
    }

    /// A mesh in fine weather, for a story: every device is a member and does only what it is told.
    ///
    /// # Errors
    ///
    /// What keeps a device from that.
    pub fn quiet(seed: u64, devices: usize) -> Result<Self, String> {
        let mut quiet = Self::new(&Plan { devices, steps: 0, peer: None, ..Plan::of(seed) });
        quiet.weather = Weather::calm(Capabilities {
            exclusive_create: true,
            conditional_replace: true,
            streaming: false,
            max_body: None,
        });
        quiet.remote.set_weather(quiet.weather.clone());
        for at in 0..devices {
            quiet.devices[at].make_quiet();
            quiet.devices[at].open(&mut quiet.executor)?;
            quiet.exchange(at).map_or(Ok(()), Err)?;
        }
        Ok(quiet)
    }

    /// Lets a device do something, to its end; `None` where it does not run or crashes meanwhile.
    pub fn with<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        at: usize,
        work: impl FnOnce(Interocitor) -> F,
    ) -> Option<T> {
        let db = self.devices[at].db.clone()?;
        self.executor.complete(at, work(db))
    }

    /// Everything before quiescence.
    ///
    /// # Errors
    ///
    /// The first rule that was broken.
    pub fn play(&mut self) -> Verdict {
        for device in &mut self.devices {
            device.open(&mut self.executor)?;
        }
        if !self.weather.capabilities.exclusive_create || self.peer.is_some() {
            // Where creating is not exclusive, nobody can found a mesh safely beside others.
            self.exchange(0);
        }
        for _ in 0..self.plan.steps * self.plan.devices {
            let device = self.rng.index(self.devices.len());
            self.step(device)?;
            if let Some(peer) = self.peer.as_mut().filter(|_| self.rng.permille(100)) {
                peer.step(&self.remote, self.world.now_ms());
            }
            self.pass_time();
            self.notice_crashes();
            self.sample(device);
            self.oracle.borrow().verdict()?;
        }
        Ok(())
    }

    pub(crate) fn notice_crashes(&mut self) {
        for index in self.executor.crashes() {
            self.crashes += 1;
            self.devices[index].lose();
        }
    }

    /// Ends the process of a device from outside.
    fn kill(&mut self, device: usize) {
        self.world.trace(format_args!("d{device} KILLED"));
        self.crashes += 1;
        self.executor.kill(device);
        self.devices[device].lose();
    }

    fn pass_time(&mut self) {
        match self.rng.below(1000) {
            0..600 => {
                for _ in 0..self.rng.below(40) {
                    self.executor.step();
                }
            }
            600..930 => self.executor.run_for(self.rng.below(3_000)),
            930..960 => self.executor.run_for(self.rng.below(120_000)),
            960..972 => {
                // Everybody sleeps: timers are late, not missed.
                self.world.leap(self.rng.below(3 * 3_600_000));
                self.executor.run_for(1000);
            }
            972..976 => {
                self.world.leap(self.rng.below(5 * 86_400_000));
                self.executor.run_for(1000);
            }
            _ => {}
        }
    }

    /// Compares what a device says of itself with what was seen of it.
    fn sample(&mut self, device: usize) {
        if !self.rng.permille(80) {
            return;
        }
        self.check_status(device);
    }

    pub(crate) fn check_status(&mut self, at: usize) {
        let Some(db) = self.devices[at].awake() else { return };
        let (Some(Ok(status)), Some(Ok(list))) =
            (db.status().now_or_never(), db.quarantined().now_or_never())
        else {
            self.oracle.borrow_mut().accuse(format!("d{at} tells no status"));
            return;
        };
        let mut oracle = self.oracle.borrow_mut();
        if status.quarantined != list.len() as u64 {
            oracle.accuse(format!("d{at} counts {} in quarantine, and lists {list:?}", status.quarantined));
        }
        if status.pending.count == 0 {
            oracle.nothing_waits(at, &self.remote, &|write| {
                // Whatever deleted the row for good, it is what the write wanted; what came later may live.
                is_kept(&list, write)
                    || write.cell.is_none() && {
                        let row = db.inspect_row(&(&write.place.0).into(), &(&write.place.1).into());
                        let rows = row.map(|row| rows_of(row.as_slice())).unwrap_or_default();
                        rows.values().all(|row| row.cells.values().all(|cell| cell.clock > write.clock))
                    }
            });
        }
    }

    /// Something happens to a device.
    fn step(&mut self, at: usize) -> Verdict {
        let now_ms = self.world.now_ms();
        let device = &mut self.devices[at];
        if device.offline_until.is_some_and(|until| until <= now_ms) {
            device.offline_until = None;
            device.view.set_offline(false);
        }
        if device.db.is_none() {
            self.world.trace(format_args!("d{at} opens"));
            return device.open(&mut self.executor);
        }
        if device.is_suspended {
            if self.rng.permille(300) {
                self.resume(at);
            }
            return Ok(());
        }
        // A user who waits for several answers does not ask for more.
        let is_busy = self.executor.count(at) > 5;
        if self.plan.is_compacting_much && !is_busy && self.rng.permille(60) {
            self.compact(at);
            return Ok(());
        }
        match self.rng.below(1000) {
            0..580 => {
                let device = &mut self.devices[at];
                device.write(&mut self.executor, &self.oracle, &mut self.rng);
            }
            580..710 if !is_busy => self.ask(at),
            710..728 if !is_busy => self.compact(at),
            800..820 => {
                let points = 1 + self.rng.below(40);
                self.world.arm(at, points);
            }
            820..825 => self.kill(at),
            825..833 => self.suspend(at),
            833..845 => {
                let is_foreground = self.rng.permille(500);
                if let Some(db) = self.devices[at].awake() {
                    db.set_foreground(is_foreground);
                }
            }
            845..855 => {
                let skew = Device::skew(&mut self.rng);
                self.world.trace(format_args!("d{at} clock jumps to {skew}"));
                self.devices[at].host.set_skew(skew);
            }
            855..867 => {
                let span = self.rng.pick(&[30_000, 3_600_000, 20 * 86_400_000]);
                self.world.trace(format_args!("d{at} offline for {span}"));
                self.devices[at].offline_until = Some(now_ms + self.rng.below(span));
                self.devices[at].view.set_offline(true);
            }
            867..873 => self.shut_down(at),
            873..877 => return self.copy(at),
            877..881 => return self.wipe(at),
            881..890 => self.change_weather(),
            _ => {}
        }
        Ok(())
    }

    fn change_weather(&mut self) {
        self.is_stormy = !self.is_stormy;
        self.world.trace(format_args!("weather: storm {}", self.is_stormy));
        let weather =
            if self.is_stormy { self.weather.clone() } else { Weather::calm(self.weather.capabilities) };
        self.remote.set_full(self.is_stormy && weather.fills_up && self.rng.permille(300));
        self.remote.set_weather(weather);
    }

    /// Some exchange with the mailbox.
    fn ask(&mut self, at: usize) {
        let Some(db) = self.devices[at].awake().cloned() else { return };
        let (oracle, world) = (Rc::clone(&self.oracle), Arc::clone(&self.world));
        let what = self.rng.pick(&["connect", "connect", "pull", "flush", "sync", "sync", "sync_once"]);
        world.trace(format_args!("d{at} {what}"));
        self.executor.add(at, async move {
            let outcome = match what {
                "connect" => db.connect().await.and_then(|connection| match connection {
                    Connection::Offline { error, .. } => Err(error),
                    _ => Ok(()),
                }),
                "pull" => db.pull().await.map(|_| ()),
                "flush" => db.flush().await.map(|_| ()),
                "sync" => db.sync().await,
                _ => db.sync_once(Duration::from_secs(20)).await,
            };
            match outcome {
                Ok(()) => world.trace(format_args!("d{at} {what}: ok")),
                Err(error) => {
                    world.trace(format_args!("d{at} {what}: {}", error.code().as_str()));
                    if !is_expected(&error) {
                        oracle.borrow_mut().accuse(format!("d{at} {what}: {error}"));
                    }
                }
            }
        });
    }

    fn compact(&mut self, at: usize) {
        let Some(db) = self.devices[at].awake().cloned() else { return };
        let (oracle, world) = (Rc::clone(&self.oracle), Arc::clone(&self.world));
        let grace = Duration::from_secs(self.rng.pick(&[0, 600, 86_400]));
        world.trace(format_args!("d{at} compact, grace {grace:?}"));
        self.executor.add(at, async move {
            match db.compact(grace).await {
                Ok(compaction) => world.trace(format_args!("d{at} compact: {compaction:?}")),
                Err(error) => {
                    world.trace(format_args!("d{at} compact: {}", error.code().as_str()));
                    if !is_expected(&error) {
                        oracle.borrow_mut().accuse(format!("d{at} compact: {error}"));
                    }
                }
            }
        });
    }

    fn suspend(&mut self, at: usize) {
        let Some(db) = self.devices[at].awake().cloned() else { return };
        self.world.trace(format_args!("d{at} suspend"));
        let outcome = self.executor.complete(at, async move { db.suspend().await });
        self.devices[at].is_suspended = outcome.is_some();
        self.expect_ok(at, "suspend", outcome);
    }

    pub(crate) fn resume(&mut self, at: usize) {
        let Some(db) = self.devices[at].db.clone() else { return };
        self.world.trace(format_args!("d{at} resume"));
        self.devices[at].is_suspended = false;
        let outcome = self.executor.complete(at, async move { db.resume().await });
        self.expect_ok(at, "resume", outcome);
    }

    fn shut_down(&mut self, at: usize) {
        let Some(db) = self.devices[at].awake().cloned() else { return };
        self.world.trace(format_args!("d{at} shuts down"));
        let outcome = self.executor.complete(at, async move { db.shutdown().await });
        self.expect_ok(at, "shutdown", outcome);
        self.executor.kill(at);
        self.devices[at].lose();
    }

    fn expect_ok(&mut self, at: usize, what: &str, outcome: Option<interocitor_core::Result<()>>) {
        if let Some(Err(error)) = outcome {
            self.oracle.borrow_mut().accuse(format!("d{at} {what}: {error}"));
        }
    }

    /// Whether a device has become a member of the mesh: what it holds of the founding may be needed before.
    fn is_member(&self, at: usize) -> bool {
        let status = self.devices[at].awake().and_then(|db| db.status().now_or_never());
        matches!(status, Some(Ok(status)) if status.mesh_id.is_some())
    }

    /// A backup of a device is restored as another one.
    ///
    /// # Errors
    ///
    /// Those of the file system and of the opening.
    pub fn copy(&mut self, at: usize) -> Verdict {
        if self.devices.len() >= MOST_DEVICES || !self.is_member(at) {
            return Ok(());
        }
        let index = self.devices.len();
        self.world.trace(format_args!("d{at} is copied to d{index}"));
        let mut copy =
            self.devices[at].twin(&self.world, &self.remote, self.folder.path(), self.plan.seed, index);
        self.devices[at].copy_to(&copy).map_err(|error| error.to_string())?;
        copy.open(&mut self.executor)?;
        self.devices.push(copy);
        Ok(())
    }

    /// A user clears the app's data and starts anew.
    fn wipe(&mut self, at: usize) -> Verdict {
        if !self.is_member(at) {
            return Ok(());
        }
        self.kill(at);
        self.world.trace(format_args!("d{at} is wiped"));
        self.oracle.borrow_mut().forgive(at, &self.remote);
        let is_with_marker = self.rng.permille(500);
        self.devices[at].wipe(is_with_marker).map_err(|error| error.to_string())?;
        self.devices[at].open(&mut self.executor)
    }

    /// Connects and syncs a device, whatever time it takes; tells what kept it from that.
    pub fn exchange(&mut self, at: usize) -> Option<String> {
        let db = self.devices[at].awake().cloned()?;
        let outcome = self.executor.complete(at, async move {
            match db.connect().await? {
                Connection::Offline { error, .. } => Err(error),
                _ => db.sync().await,
            }
        });
        match outcome {
            Some(Err(error)) if error.code() != ErrorCode::Cancelled => Some(format!("d{at}: {error}")),
            _ => None,
        }
    }

    /// What a device holds.
    ///
    /// # Errors
    ///
    /// Where it does not run, and those of its store.
    pub fn rows(&self, at: usize) -> Result<Rows, String> {
        let db = self.devices[at].db.as_ref().ok_or_else(|| format!("d{at} does not run"))?;
        Ok(rows_of(&db.inspect().map_err(|error| error.to_string())?))
    }

    /// The passphrase, where the mesh is encrypted.
    pub fn passphrase(&self) -> Option<&'static str> {
        matches!(self.oracle.borrow().codec(), Codec::Sealed(_)).then_some(PASSPHRASE)
    }

    /// What a device holds, as JSON.
    pub fn dump(&self, at: usize) -> Option<String> {
        self.devices[at].db.as_ref()?.dump().now_or_never()?.ok()
    }
}
