//! One mesh: a store whose processes are killed one after the other, a mailbox, and a device that watches.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use interocitor_core::{Compaction, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    PASSPHRASE,
    common::{assert_json, open_at, sim::Rng},
    life::{Life, Line, PHASES, Phase},
    process::Process,
    scan::{Scan, leftovers, link_copy},
    steps::{FOREIGN, Model, Step},
};

/// Kills between two looks of the other device.
const LOOK_EVERY: u64 = 6;

/// Rows that the other device writes when there is to be much to merge.
const MANY: u64 = 400;

/// Tables, and so processes that write at the same time.
const WRITERS: usize = 2;

/// What the kills hit.
#[derive(Default)]
pub(crate) struct Tally {
    kills: u64,
    /// What processes were at when they were killed.
    during: BTreeMap<Phase, u64>,
    acknowledged: u64,
    /// Calls under way that were found stored, and those that were not.
    stored: u64,
    not_stored: u64,
    values: usize,
    leftovers: usize,
    /// How long things take here, to kill in the middle of them.
    usual: BTreeMap<Phase, Duration>,
}

impl Tally {
    fn note(&mut self, phase: Phase, took: Duration) {
        let known = self.usual.entry(phase).or_insert(took);
        *known = (*known * 3 + took) / 4;
    }

    fn usual(&self, phase: Phase) -> Duration {
        self.usual.get(&phase).copied().unwrap_or(Duration::from_millis(10))
    }

    /// A run that only ever hit sleeping processes has shown nothing.
    pub(crate) fn check(&self, kills: u64) {
        assert_eq!(self.kills, kills);
        for phase in PHASES {
            let hit = self.during.get(&phase).copied().unwrap_or(0);
            assert!(hit >= kills / 50, "only {hit} of {kills} kills hit {phase:?}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, during {:?}; {} writes acknowledged; under way {} stored, {} not; {} clocks, {} temporary \
             files left",
            self.kills,
            self.during,
            self.acknowledged,
            self.stored,
            self.not_stored,
            self.values,
            self.leftovers
        )
    }
}

pub(crate) struct World {
    seed: u64,
    rng: Rng,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    models: [Model; WRITERS],
    next_step: u64,
    scan: Scan,
    peer: Option<Interocitor>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mailbox")).unwrap();
        Self {
            seed,
            rng: Rng(seed),
            folder,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            models: Default::default(),
            next_step: 1,
            scan: Scan::new(Passphrase::from(PASSPHRASE).to_key().unwrap()),
            peer: None,
        }
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("mailbox")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Kills so many times, and looks at what is left each time.
    pub(crate) fn outlive(mut self, kills: u64, tally: &mut Tally) {
        for kill in 1..=kills {
            // The first processes of a mesh are killed while it is founded.
            let focus =
                if kill == 1 { PHASES[self.rng.below(2)] } else { PHASES[self.rng.below(PHASES.len())] };
            let place = format!("seed {}, kill {kill} ({focus:?})", self.seed);
            self.prepare(focus, &place);
            let told = self.strike(focus, tally, &place);
            self.account(told, tally, &place);
            self.scan.read(&self.mailbox()).unwrap_or_else(|fault| panic!("{place}: {fault}"));
            if self.rng.chance(50) {
                self.let_time_pass();
            }
            if kill % LOOK_EVERY == 0 || kill == kills {
                self.look(&place);
            }
            tally.kills += 1;
        }
        self.ask_the_reference();
        tally.values += self.scan.len();
        tally.leftovers += leftovers(&self.mailbox());
    }

    fn draw_life(&mut self, writer: usize, focus: Phase) -> Life {
        Life {
            store: self.store(),
            mailbox: self.mailbox(),
            seed: self.rng.next(),
            writer,
            first_step: self.next_step,
            focus,
            batch_window_ms: [0, 20, 1000, 1000][self.rng.below(4)],
            auto_sync: self.rng.chance(25),
            behind_ms: self.rng.next() % 4000,
        }
    }

    /// Lets a process live, and now and then a second one on the same store, and kills it.
    fn strike(&mut self, focus: Phase, tally: &mut Tally, place: &str) -> Vec<Vec<Line>> {
        let mut lives = vec![self.draw_life(0, focus)];
        if self.rng.chance(15) {
            lives.push(self.draw_life(1, Phase::Write));
        }
        let complaints = self.folder.path().join("complaints");
        let mut processes: Vec<Process<Line>> =
            lives.iter().map(|life| Process::start("life_of_a_writer", life, &complaints)).collect();
        let mut wait = 1 + self.rng.below(match focus {
            Phase::Write => 150,
            // The first pull of a process is the one that brings something.
            focus if wants_peer(focus) => 1,
            _ => 4,
        });
        let mut since: BTreeMap<Phase, Instant> = BTreeMap::new();
        let came = processes[0].wait_for(|line| {
            since.retain(|phase, begin| {
                let is_over = line.ends(*phase);
                // A pull that brought nothing says nothing about one that brings much.
                if is_over && !matches!(line, Line::Merged(0..200)) {
                    tally.note(*phase, begin.elapsed());
                }
                !is_over
            });
            since.extend(line.begins().map(|phase| (phase, Instant::now())));
            wait -= usize::from(line.begins() == Some(focus));
            // The other process may have taken everything in already.
            wait == 0 || (wants_peer(focus) && line.ends(Phase::Connect))
        });
        came.unwrap_or_else(|fault| panic!("{place}: {fault}"));
        let usual = u64::try_from(tally.usual(focus).as_micros()).unwrap();
        std::thread::sleep(Duration::from_micros(self.rng.next() % (usual + 1)));
        let pause = Duration::from_micros(self.rng.next() % 20_000);
        for (at, process) in processes.iter_mut().enumerate() {
            if at > 0 && self.rng.chance(50) {
                // It goes on beside a dead one.
                std::thread::sleep(pause);
            }
            process.kill();
        }
        processes.iter_mut().map(|process| std::mem::take(&mut process.told)).collect()
    }

    /// Compares what processes told with what they left.
    fn account(&mut self, told: Vec<Vec<Line>>, tally: &mut Tally, place: &str) {
        let mut under_way: [Option<Step>; WRITERS] = Default::default();
        for (writer, lines) in told.into_iter().enumerate() {
            let mut phases: Vec<Phase> = Vec::new();
            for line in lines {
                phases.retain(|phase| !line.ends(*phase));
                phases.extend(line.begins());
                match line {
                    Line::Try(step) => {
                        self.next_step = self.next_step.max(step.number + 1);
                        assert!(under_way[writer].replace(step).is_none());
                    }
                    Line::Done(_) => {
                        self.models[writer].apply(&under_way[writer].take().unwrap());
                        tally.acknowledged += 1;
                    }
                    Line::Failed(fault) => {
                        panic!("{place}: a process failed: {fault}; {}", self.complaints())
                    }
                    Line::Begin(_) | Line::End(_) | Line::Merged(_) => {}
                }
            }
            for phase in phases {
                *tally.during.entry(phase).or_default() += 1;
            }
        }
        let dump = self.examine(place);
        for (writer, step) in under_way.into_iter().enumerate() {
            let model = &mut self.models[writer];
            let rows = &dump["tables"][format!("w{writer}")];
            let missing = model.differences(rows);
            let Some(step) = step else {
                assert_eq!(missing, Vec::<String>::new(), "{place}: writer {writer}");
                continue;
            };
            let mut with = model.clone();
            with.apply(&step);
            let half = with.differences(rows);
            if half.is_empty() {
                *model = with;
                tally.stored += 1;
            } else {
                assert_eq!(
                    missing,
                    Vec::<String>::new(),
                    "{place}: writer {writer}, with {step:?}: {half:?}"
                );
                tally.not_stored += 1;
            }
        }
    }

    fn complaints(&self) -> String {
        fs::read_to_string(self.folder.path().join("complaints")).unwrap_or_default()
    }

    /// Looks at copies of store and mailbox, so that the next process finds both as the kill left them: the
    /// store is whole, it publishes what waits, and a device that comes new sees all of it.
    fn examine(&self, place: &str) -> Value {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let store = folder.path().join("store.db");
        for suffix in ["", "-wal", "-journal", ".install"] {
            let name = format!("store.db{suffix}");
            let original = self.folder.path().join(&name);
            if original.exists() {
                fs::copy(original, folder.path().join(&name)).unwrap();
            }
        }
        check_integrity(&store, place);
        let mailbox = folder.path().join("mailbox");
        link_copy(&self.mailbox(), &mailbox);
        self.runtime.block_on(async {
            let db =
                open_at(StoreLocation::File(store), |config| config.passphrase = Some(PASSPHRASE.into()))
                    .await;
            let before = dump(&db).await;
            connect(&db, &mailbox, place).await;
            synced(&db, place).await;
            let fresh = device(&mailbox, place).await;
            same(&fresh, &db, &format!("{place}: a new device")).await;
            db.shutdown().await.unwrap();
            before
        })
    }

    /// The store itself is opened, and the other device must see what it holds.
    fn look(&mut self, place: &str) {
        let (mailbox, store) = (self.mailbox(), StoreLocation::File(self.store()));
        self.runtime.block_on(async {
            let db = open_at(store, |config| config.passphrase = Some(PASSPHRASE.into())).await;
            connect(&db, &mailbox, place).await;
            let peer = match &mut self.peer {
                Some(peer) => peer,
                None => self.peer.insert(device(&mailbox, place).await),
            };
            peer.sync().await.unwrap();
            synced(&db, place).await;
            synced(peer, place).await;
            same(peer, &db, &format!("{place}: the other device")).await;
            db.shutdown().await.unwrap();
        });
        self.scan.read(&mailbox).unwrap_or_else(|fault| panic!("{place}: {fault}"));
    }

    /// Makes sure that the next process finds something to do.
    fn prepare(&mut self, focus: Phase, place: &str) {
        if wants_peer(focus) && self.peer.is_none() {
            self.look(place);
        }
        let rows = if wants_peer(focus) || self.rng.chance(30) { MANY } else { 4 };
        self.peer_writes(rows);
        if focus == Phase::Adopt
            && let Some(peer) = &self.peer
        {
            self.let_time_pass();
            self.scan.read(&self.mailbox()).unwrap_or_else(|fault| panic!("{place}: {fault}"));
            let compacted = self.runtime.block_on(peer.compact(Duration::ZERO)).unwrap();
            assert!(matches!(compacted, Compaction::Written { .. }), "{place}: {compacted:?}");
        }
    }

    /// Something for the next process to pull.
    fn peer_writes(&mut self, count: u64) {
        let Some(peer) = &self.peer else { return };
        let rng = &mut self.rng;
        let written = peer.batch(|batch| {
            for _ in 0..count {
                let id = format!("p{}", rng.below(600));
                batch.table("peer").put(id.as_str(), &json!({ "v": rng.next() >> 12 }))?;
            }
            for _ in 0..3 {
                batch.table("peer").delete(format!("p{}", rng.below(600)))?;
                let id = format!("r{}", rng.below(12));
                batch.table("w0").put(id.as_str(), &json!({ FOREIGN: rng.next() >> 12 }))?;
            }
            Ok(())
        });
        self.runtime.block_on(async {
            written.await.unwrap();
            peer.sync().await.unwrap();
        });
    }

    /// A compaction that was killed keeps others from it for ten minutes: they are over.
    fn let_time_pass(&self) {
        let Ok(folder) = fs::read_dir(self.mailbox().join("Mesh")) else { return };
        for entry in folder {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"manifest-")) {
                let past = SystemTime::now() - Duration::from_mins(11);
                fs::File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
            }
        }
    }

    /// The independent reader sees in the mailbox what the other device sees.
    fn ask_the_reference(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference.py");
        let output = Command::new("python3")
            .arg(script)
            .arg(self.mailbox().join("Mesh"))
            .arg(PASSPHRASE)
            .output()
            .expect("python3 is needed: see tests/run.sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = self.runtime.block_on(dump(self.peer.as_ref().unwrap()));
        for part in ["tables", "tombstones"] {
            assert_json(&ours[part], &theirs[part], &format!("seed {}: {part}", self.seed));
        }
    }
}

impl Line {
    fn begins(&self) -> Option<Phase> {
        match self {
            Line::Begin(phase) => Some(*phase),
            Line::Try(step) => Some(if step.is_large() { Phase::Batch } else { Phase::Write }),
            _ => None,
        }
    }

    /// Whether it tells the end of a phase. A process makes one write at a time.
    fn ends(&self, phase: Phase) -> bool {
        match self {
            Line::End(ended) => *ended == phase,
            Line::Merged(_) => phase == Phase::Merge,
            Line::Done(_) => matches!(phase, Phase::Write | Phase::Batch),
            _ => false,
        }
    }
}

/// Whether a process needs something from the other device to do this.
fn wants_peer(focus: Phase) -> bool {
    matches!(focus, Phase::Merge | Phase::Adopt)
}

/// SQLite's own opinion of a store.
fn check_integrity(store: &Path, place: &str) {
    let conn = rusqlite::Connection::open(store).unwrap();
    let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok", "{place}");
}

async fn connect(db: &Interocitor, mailbox: &Path, place: &str) {
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    let connection = db.connect().await.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(connection.is_online(), "{place}: {connection:?}");
}

/// A device that was never there before.
async fn device(mailbox: &Path, place: &str) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    connect(&db, mailbox, place).await;
    db
}

/// Syncs, after which nothing waits and nothing was unreadable.
async fn synced(db: &Interocitor, place: &str) {
    db.sync().await.unwrap_or_else(|error| panic!("{place}: {error}"));
    let status = db.status().await.unwrap();
    assert_eq!((status.pending.count, status.quarantined), (0, 0), "{place}: {status:?}");
}

async fn dump(db: &Interocitor) -> Value {
    serde_json::from_str(&db.dump().await.unwrap()).unwrap()
}

async fn same(db: &Interocitor, other: &Interocitor, place: &str) {
    let (ours, theirs) = (dump(db).await, dump(other).await);
    for part in ["meshId", "tables", "tombstones"] {
        assert_json(&ours[part], &theirs[part], &format!("{place}: {part}"));
    }
}
