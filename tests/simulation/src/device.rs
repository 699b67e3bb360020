//! One simulated device: our engine over a real store file, and what its user and its system do to it.

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use interocitor_core::{
    Config, Error, ErrorCode, Interocitor, Passphrase, StoreLocation,
    config::{JoinPolicy, Publish},
};
use serde_json::{Map, Value, json};

use crate::{
    host::SimHost,
    mailbox::{Remote, View},
    oracle::Oracle,
    reference::{Rows, rows_of},
    rng::Rng,
    world::{Executor, World},
};

/// The passphrase of every encrypted mesh.
pub const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Tables and columns are few, so that writes meet.
const TABLES: [&str; 2] = ["todos", "notes"];
const COLUMNS: [&str; 3] = ["a", "b", "c"];

/// What a device is like, for all of its life.
#[derive(Debug, Clone)]
pub struct Traits {
    /// Whether it syncs by itself.
    pub auto_sync: bool,
    /// What it publishes.
    pub publish: Publish,
    /// How long single writes are collected.
    pub batch_window: Duration,
    /// Whether the mesh is encrypted.
    pub encrypted: bool,
    /// Rows of a table that are written: where they are few, writes meet; where they are many, nothing that was
    /// lost is healed by the next write.
    pub rows: u64,
}

/// One device.
#[derive(Debug)]
pub struct Device {
    /// Its number.
    pub index: usize,
    /// Its wall clock.
    pub host: Arc<SimHost>,
    /// Its way to the mailbox.
    pub view: Arc<View>,
    /// The handle, while its process runs.
    pub db: Option<Interocitor>,
    /// Its app is frozen.
    pub is_suspended: bool,
    /// It has no network until then, ms since the epoch.
    pub offline_until: Option<u64>,
    path: PathBuf,
    traits: Traits,
    /// Number of the next value: no two writes of a run have the same.
    next_value: u64,
}

/// What tasks of a device tell the run.
pub type Shared = Rc<RefCell<Oracle>>;

impl Device {
    /// A device whose store lies in `folder`; its process does not run yet.
    pub fn new(
        world: &Arc<World>,
        remote: &Arc<Remote>,
        folder: &Path,
        seed: u64,
        index: usize,
        traits: Traits,
    ) -> Self {
        let mut rng = Rng::new(seed, &format!("clock {index}"));
        Self {
            index,
            host: SimHost::new(world, seed, index, Self::skew(&mut rng)),
            view: View::new(remote, index),
            db: None,
            is_suspended: false,
            offline_until: None,
            path: folder.join(format!("{index}.db")),
            traits,
            next_value: 0,
        }
    }

    /// Another device like this one, with a store of its own.
    #[must_use]
    pub fn twin(
        &self,
        world: &Arc<World>,
        remote: &Arc<Remote>,
        folder: &Path,
        seed: u64,
        index: usize,
    ) -> Self {
        Self::new(world, remote, folder, seed, index, self.traits.clone())
    }

    /// It does only what it is told, at once, by a clock that is right.
    pub fn make_quiet(&mut self) {
        self.traits.auto_sync = false;
        self.traits.batch_window = Duration::ZERO;
        self.traits.publish = Publish::FullRows;
        self.host.set_skew(0);
    }

    /// How wrong a wall clock is, ms: mostly seconds, at times hours or years.
    pub fn skew(rng: &mut Rng) -> i64 {
        let most: u64 = rng.pick(&[1_000, 1_000, 60_000, 600_000, 86_400_000, 40_000_000_000]);
        let magnitude = i64::try_from(rng.below(most)).unwrap_or(0);
        if rng.permille(500) { magnitude } else { -magnitude }
    }

    fn config(&self) -> Config {
        let mut config = Config::new("simulation", StoreLocation::File(self.path.clone()));
        config.remote_path = Some("/Mesh".into());
        config.encrypted = self.traits.encrypted;
        config.passphrase = self.traits.encrypted.then(|| Passphrase::from(PASSPHRASE));
        config.auto_sync = self.traits.auto_sync;
        config.publish = self.traits.publish;
        config.batch_window = self.traits.batch_window;
        config.join_existing_mesh_policy = JoinPolicy::MergeWithRemote;
        config.host = self.host.clone();
        config
    }

    /// Starts the process. It may crash while it opens the store.
    ///
    /// # Errors
    ///
    /// What the engine says: a store must always open.
    pub fn open(&mut self, executor: &mut Executor) -> Result<(), String> {
        let (config, view) = (self.config(), self.view.clone());
        let opened = executor.complete(self.index, async move {
            let db = Interocitor::open(config).await?;
            db.set_remote_storage(Some(view)).await;
            Ok::<_, Error>(db)
        });
        self.is_suspended = false;
        match opened {
            Some(Ok(db)) => {
                self.db = Some(db);
                Ok(())
            }
            Some(Err(error)) => Err(format!("d{} cannot open its store: {error}", self.index)),
            None => Ok(()),
        }
    }

    /// The process is gone.
    pub fn lose(&mut self) {
        self.db = None;
        self.is_suspended = false;
    }

    /// Deletes the store, as a user does who clears an app's data.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn wipe(&self, is_with_marker: bool) -> io::Result<()> {
        let suffixes: &[&str] =
            if is_with_marker { &["", "-wal", "-shm", ".install"] } else { &["", "-wal", "-shm"] };
        for suffix in suffixes {
            match fs::remove_file(self.place(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Copies the store to where another device will open it: a backup that is restored elsewhere.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn copy_to(&self, other: &Device) -> io::Result<()> {
        for suffix in ["", "-wal"] {
            match fs::copy(self.place(suffix), other.place(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn place(&self, suffix: &str) -> PathBuf {
        let mut place = self.path.clone().into_os_string();
        place.push(suffix);
        place.into()
    }

    /// The handle of a device that runs and is awake.
    pub fn awake(&self) -> Option<&Interocitor> {
        self.db.as_ref().filter(|_| !self.is_suspended)
    }

    fn value(&mut self) -> Value {
        self.next_value += 1;
        json!(format!("d{}-{}", self.index, self.next_value))
    }

    fn columns(&mut self, rng: &mut Rng) -> Vec<(String, Value)> {
        let wanted = 1 + rng.index(2);
        let first = rng.index(COLUMNS.len());
        (0..wanted).map(|at| (COLUMNS[(first + at) % COLUMNS.len()].to_owned(), self.value())).collect()
    }

    /// One write by the user; the engine must take it, whatever the mailbox does.
    pub fn write(&mut self, executor: &mut Executor, oracle: &Shared, rng: &mut Rng) {
        let Some(db) = self.awake().cloned() else { return };
        let device = self.index;
        let rows = self.traits.rows;
        let place = |rng: &mut Rng| (TABLES[rng.index(2)], format!("r{}", rng.below(rows)));
        let (table, row) = place(rng);
        let (oracle, remote) = (oracle.clone(), Arc::clone(self.view.remote()));
        match rng.below(20) {
            0..3 => executor.add(device, async move {
                let before = Before::of(&db, &remote, &[(table, row.as_str())]);
                let outcome = db.table(table).delete(row.as_str()).await;
                tell((&db, device, before), &oracle, outcome, &[(table, row, Vec::new())]);
            }),
            3..5 => {
                let columns = self.columns(rng);
                executor.add(device, async move {
                    let before = Before::of(&db, &remote, &[(table, row.as_str())]);
                    let outcome = db.table(table).replace(row.as_str(), &object(&columns)).await;
                    tell((&db, device, before), &oracle, outcome, &[(table, row, columns)]);
                });
            }
            5..8 => {
                let (other_table, other) = place(rng);
                let (first, second) = (self.columns(rng), self.columns(rng));
                let is_same = (table, &row) == (other_table, &other);
                executor.add(device, async move {
                    let before =
                        Before::of(&db, &remote, &[(table, row.as_str()), (other_table, other.as_str())]);
                    let outcome = db
                        .batch(|batch| {
                            batch.table(table).put(row.as_str(), &object(&first))?;
                            batch.table(other_table).delete(other.as_str())?;
                            batch.table(other_table).put(other.as_str(), &object(&second))
                        })
                        .await;
                    let mut written =
                        vec![(other_table, other.clone(), Vec::new()), (other_table, other, second)];
                    if !is_same {
                        written.push((table, row, first));
                    }
                    tell((&db, device, before), &oracle, outcome, &written);
                });
            }
            _ => {
                let columns = self.columns(rng);
                executor.add(device, async move {
                    let before = Before::of(&db, &remote, &[(table, row.as_str())]);
                    let outcome = db.table(table).put(row.as_str(), &object(&columns)).await;
                    tell((&db, device, before), &oracle, outcome, &[(table, row, columns)]);
                });
            }
        }
    }
}

fn object(columns: &[(String, Value)]) -> Value {
    Value::Object(columns.iter().cloned().collect::<Map<_, _>>())
}

/// Table, row and columns of a write; without columns a deletion.
type WrittenRow = (&'static str, String, Vec<(String, Value)>);

/// How things stood just before a write, which no other task of the device can come between.
struct Before {
    rows: Rows,
    remote: Arc<Remote>,
    /// Files that had been written to it.
    files: usize,
}

impl Before {
    fn of(db: &Interocitor, remote: &Arc<Remote>, places: &[(&str, &str)]) -> Self {
        let row = |(table, row): &(&str, &str)| db.inspect_row(&(*table).into(), &(*row).into()).ok()?;
        let rows: Vec<_> = places.iter().filter_map(row).collect();
        Self { rows: rows_of(&rows), remote: Arc::clone(remote), files: remote.writes() }
    }
}

/// Tells the oracle of writes that returned, in the very poll in which they did.
fn tell(
    (db, device, before): (&Interocitor, usize, Before),
    oracle: &Shared,
    outcome: Result<(), Error>,
    written: &[WrittenRow],
) {
    let mut oracle = oracle.borrow_mut();
    oracle.read(&before.remote);
    match outcome {
        Ok(()) => {
            for (table, row, columns) in written {
                match db.inspect_row(&(*table).into(), &row.as_str().into()) {
                    Ok(now) => {
                        let before_it = before.rows.get(&((*table).to_owned(), row.clone()));
                        let writer = (device, &*db.device_id(), before.files);
                        oracle.acknowledge(writer, columns, now.as_ref(), before_it);
                    }
                    Err(error) => oracle.accuse(format!("d{device} cannot read its store: {error}")),
                }
            }
        }
        Err(error) if matches!(error.code(), ErrorCode::Suspended | ErrorCode::ShutDown) => {}
        Err(error) => oracle.accuse(format!("d{device} could not write: {error}")),
    }
}

/// Whether an error may come up while the mailbox misbehaves and the app is frozen, resumed and ended.
pub fn is_expected(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::RemoteAccess
            | ErrorCode::RemoteTimeout
            | ErrorCode::QuotaFull
            | ErrorCode::Offline
            | ErrorCode::Suspended
            | ErrorCode::ShutDown
            | ErrorCode::Cancelled
            // A truncated pointer or manifest; a founder that has not finished.
            | ErrorCode::ManifestInvalid
            | ErrorCode::ManifestHash
            // Not connected.
            | ErrorCode::InvalidArgument
    )
}
