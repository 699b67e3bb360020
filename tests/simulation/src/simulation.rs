//! One run: a mesh of devices, steps by seed, quiescence, verdict.

use std::{cell::RefCell, fmt::Write as _, path::Path, rc::Rc, sync::Arc, time::Duration};

use futures_util::FutureExt;
use interocitor_core::{Connection, ErrorCode, config::Publish};
use interocitor_crypto::Passphrase;
use tempfile::TempDir;

use crate::{
    device::{Device, PASSPHRASE, Shared, Traits, is_expected},
    mailbox::Remote,
    oracle::{Oracle, Verdict, differs},
    peers::{Guarantees, Habits, Kind, Peer},
    reference::{Rows, rows_of},
    rng::Rng,
    weather::Weather,
    wire::Codec,
    world::{Executor, World},
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
        Self { seed, devices: 4, steps: 200, peer, trace: 80 }
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
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Processes that crashed.
    pub crashes: usize,
    /// Snapshots that were written.
    pub compactions: usize,
}

/// Most devices of a run, clones included.
const MOST_DEVICES: usize = 7;

/// Exchanges of every device until a mesh must be at rest.
const ROUNDS: usize = 40;

/// A mesh under way.
#[derive(Debug)]
pub struct Simulation {
    plan: Plan,
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
    peer: Option<Peer>,
    folder: TempDir,
    rng: Rng,
    weather: Weather,
    is_stormy: bool,
    crashes: usize,
}

/// What an app sees of rows: not when a row that lives was deleted before.
fn shown(rows: &Rows) -> Rows {
    let mut shown = rows.clone();
    for row in shown.values_mut().filter(|row| !row.cells.is_empty()) {
        row.deleted = None;
    }
    shown
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
        let mut devices = Vec::new();
        for index in 0..plan.devices {
            let traits = Traits { auto_sync: rng.permille(300), publish, batch_window, encrypted };
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
        Outcome {
            verdict,
            log_hash: self.world.log_hash(),
            trace: self.world.last_lines(),
            acknowledged: self.oracle.borrow().acknowledged(),
            crashes: self.crashes,
            compactions: self.remote.log_since(0).iter().filter(|file| is_snapshot(&file.path)).count(),
        }
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

    fn notice_crashes(&mut self) {
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
            930..985 => self.executor.run_for(self.rng.below(120_000)),
            985..996 => {
                // Everybody sleeps: timers are late, not missed.
                self.world.leap(self.rng.below(3 * 3_600_000));
                self.executor.run_for(1000);
            }
            _ => {
                self.world.leap(self.rng.below(5 * 86_400_000));
                self.executor.run_for(1000);
            }
        }
    }

    /// Compares what a device says of itself with what was seen of it.
    fn sample(&mut self, device: usize) {
        if !self.rng.permille(150) {
            return;
        }
        let Some(db) = self.devices[device].awake() else { return };
        if let Some(Ok(status)) = db.status().now_or_never()
            && status.pending.count == 0
        {
            self.oracle.borrow_mut().nothing_waits(device, &self.remote);
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
        match self.rng.below(1000) {
            0..580 => {
                let device = &mut self.devices[at];
                device.write(&mut self.executor, &self.oracle, &mut self.rng);
            }
            580..820 if !is_busy => self.ask(at),
            820..850 if !is_busy => self.compact(at),
            850..880 => {
                let points = 1 + self.rng.below(40);
                self.world.arm(at, points);
            }
            880..890 => self.kill(at),
            890..910 => self.suspend(at),
            910..925 => {
                let is_foreground = self.rng.permille(500);
                if let Some(db) = self.devices[at].awake() {
                    db.set_foreground(is_foreground);
                }
            }
            925..935 => {
                let skew = Device::skew(&mut self.rng);
                self.world.trace(format_args!("d{at} clock jumps to {skew}"));
                self.devices[at].host.set_skew(skew);
            }
            935..950 => {
                let span = self.rng.pick(&[30_000, 3_600_000, 20 * 86_400_000]);
                self.world.trace(format_args!("d{at} offline for {span}"));
                self.devices[at].offline_until = Some(now_ms + self.rng.below(span));
                self.devices[at].view.set_offline(true);
            }
            950..960 => self.shut_down(at),
            960..964 => return self.copy(at),
            964..968 => return self.wipe(at),
            968..976 => self.change_weather(),
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

    fn resume(&mut self, at: usize) {
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
    fn copy(&mut self, at: usize) -> Verdict {
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
    fn exchange(&mut self, at: usize) -> Option<String> {
        let db = self.devices[at].awake().cloned()?;
        let outcome = self.executor.complete(at, async move {
            match db.connect().await {
                Ok(Connection::Offline { error, .. }) => Err(error),
                Ok(_) => db.sync().await,
                Err(error) => Err(error),
            }
        });
        match outcome {
            Some(Err(error)) if error.code() == ErrorCode::Cancelled => None,
            Some(Err(error)) => Some(format!("d{at}: {error}")),
            _ => None,
        }
    }

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
            let mut quarantined = 0;
            for device in &self.devices {
                let status = device.db.as_ref().and_then(|db| db.status().now_or_never());
                let Some(Ok(status)) = status else {
                    let _ = write!(unrest, "d{} tells no status; ", device.index);
                    continue;
                };
                quarantined += status.quarantined;
                if status.pending.count > 0 || status.quarantined > 0 {
                    let list = device.db.as_ref().and_then(|db| db.quarantined().now_or_never());
                    let names: Vec<String> =
                        list.and_then(Result::ok).into_iter().flatten().map(|file| file.name).collect();
                    let _ = write!(
                        unrest,
                        "d{}: {} pending, in quarantine {names:?}; ",
                        device.index, status.pending.count
                    );
                }
            }
            let written = self.remote.log_since(before);
            let is_quiet = written.iter().all(|file| file.path.contains("/devices/"));
            self.oracle.borrow_mut().read(&self.remote);
            self.oracle.borrow().verdict()?;
            if unrest.is_empty() && is_quiet && round > 0 {
                return Ok(());
            }
            if quarantined > 0 {
                // What could not be read is tried again within a day.
                self.world.leap(25 * 3_600_000);
            }
            self.executor.run_for(61_000);
        }
        Err(format!("no rest after {ROUNDS} rounds: {unrest}"))
    }

    fn rows(&self, at: usize) -> Result<Rows, String> {
        let db = self.devices[at].db.as_ref().ok_or_else(|| format!("d{at} does not run"))?;
        Ok(rows_of(&db.inspect().map_err(|error| error.to_string())?))
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
            self.plan.peer.map_or_else(Guarantees::default, |(kind, habits)| Peer::guarantees(kind, habits));
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
        let is_kept = |value: &str| kept.contains(value);
        if guarantees.keeps_writes {
            self.oracle.borrow().check_promises(&rows, None, &is_kept)?;
        }
        for at in 0..self.devices.len() {
            // Whatever becomes of the mailbox, its writer has it.
            self.oracle.borrow().check_promises(&self.rows(at)?, Some(at), &is_kept)?;
        }
        for at in 0..self.devices.len() {
            self.oracle.borrow_mut().nothing_waits(at, &self.remote);
        }
        self.oracle.borrow().verdict()
    }

    /// The passphrase, where the mesh is encrypted.
    pub fn passphrase(&self) -> Option<&'static str> {
        matches!(self.oracle.borrow().codec(), Codec::Sealed(_)).then_some(PASSPHRASE)
    }

    /// What a device holds, as JSON.
    pub fn dump(&self, at: usize) -> Option<String> {
        self.devices[at].db.as_ref()?.dump().now_or_never()?.ok()
    }

    /// Everything that lies in quarantine somewhere, as text.
    fn kept(&self) -> String {
        let mut kept = String::new();
        for db in self.devices.iter().filter_map(|device| device.db.as_ref()) {
            if let Some(Ok(list)) = db.quarantined().now_or_never() {
                let _ = write!(kept, "{list:?}");
            }
        }
        kept
    }
}
