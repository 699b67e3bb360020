//! The engine's handle: [`Interocitor`], and what hangs off it.

mod app_state;
mod at_rest;
mod autocompact;
mod batch;
mod biometrics;
mod compaction;
mod connection;
mod doctor;
mod driver;
mod dump;
mod export;
mod file_worker;
mod files;
mod images;
#[cfg(feature = "simulation")]
mod inspect;
mod lease;
mod lifecycle;
mod live;
mod local_key;
mod open;
mod pairing;
mod published;
mod quarantine;
mod recovery;
mod replicas;
mod rhythm;
mod secrets;
mod status;
mod table;
mod watch;

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

pub use batch::{Batch, BatchTable};
pub use compaction::Compaction;
pub use files::{FileTransferWatch, FilesSynced};
#[cfg(feature = "simulation")]
pub use inspect::InspectedRow;
pub use lifecycle::{Connection, MeshConfig};
pub use live::LiveQuery;
pub use open::set_aside_store;
pub use pairing::{Paired, Pairing};
pub use published::WriteMark;
pub use status::{Background, Device, Pending, Status, StatusWatch};
pub use table::Table;

use crate::{
    config::Config,
    connected_stores::{ConnectedStores, LocalKey},
    error::{Error, Result},
    events::{ConnectionStatus, Event, Events},
    files::{self as durable, Files, StagedFile},
    images::Shown,
    local::{self, Changes, RowWrite, Writer},
    mailbox::StorageAdapter,
    query::{Query, Row},
    store::{Durability, Patience},
    sync::{Context, Link},
    value::Name,
};
use secrets::Secrets;

/// Writes above this number are applied off the async threads, and so are writes that must wait for another.
const MANY_WRITES: usize = 64;

/// A local database and, once connected, a member of a mesh. Cheap to clone; all clones are one.
///
/// Local calls work at once and offline. Sync runs beside them and never makes them wait for the
/// network.
#[derive(Debug, Clone)]
pub struct Interocitor {
    inner: Arc<Inner>,
}

/// What all clones of a handle share.
struct Inner {
    ctx: Arc<Context>,
    config: Config,
    secrets: Mutex<Secrets>,
    /// Set once, while the database is opened.
    local_key: OnceLock<LocalKey>,
    remote: Mutex<Remote>,
    /// One exchange at a time.
    exchange: tokio::sync::Mutex<()>,
    driver: driver::Driver,
    files: Files,
    shown: Shown,
    file_worker: file_worker::FileWorker,
    /// Shared by everything that moves files through the mailbox.
    file_gate: tokio::sync::RwLock<()>,
    replicas: replicas::Replicas,
    lease: lease::Lease,
    /// Breaks off the exchange under way.
    interrupt: tokio::sync::watch::Sender<()>,
    is_suspended: AtomicBool,
    is_shut_down: AtomicBool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interocitor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The mailbox and how it goes with it.
#[derive(Debug)]
struct Remote {
    path: Option<String>,
    adapter: Option<Arc<dyn StorageAdapter>>,
    /// Set while connected.
    link: Option<Arc<Link>>,
    facts: connection::Facts,
    /// The state that was told last.
    status: ConnectionStatus,
    /// The last failure, until the next success.
    problem: Option<(String, String)>,
}

impl Inner {
    fn remote(&self) -> std::sync::MutexGuard<'_, Remote> {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the state of the connection rests on, and tells where the state is another.
    fn change_facts(&self, change: impl FnOnce(&mut connection::Facts)) {
        let (before, status) = {
            let mut remote = self.remote();
            change(&mut remote.facts);
            remote.facts.is_linked = remote.link.is_some();
            let status = remote.facts.status();
            (std::mem::replace(&mut remote.status, status), status)
        };
        if before != status {
            self.ctx.emit(&Event::ConnectionStatus { status });
        }
    }

    fn note_outcome(&self, problem: Option<&Error>) {
        self.change_facts(|facts| facts.note_outcome(problem));
        if matches!(problem, Some(Error::Cancelled | Error::Suspended)) {
            return;
        }
        self.remote().problem = problem.map(|error| (error.code().as_str().to_owned(), error.to_string()));
    }

    fn local_key(&self) -> LocalKey {
        self.local_key.get().cloned().unwrap_or(LocalKey::None)
    }

    fn check_open(&self) -> Result<()> {
        if self.is_shut_down.load(Ordering::Acquire) {
            Err(Error::ShutDown)
        } else if self.is_suspended.load(Ordering::Acquire) {
            Err(Error::Suspended)
        } else {
            Ok(())
        }
    }

    /// Applies writes and their outbox record in one transaction.
    async fn write(self: &Arc<Self>, mut writing: Writing) -> Result<()> {
        self.check_open()?;
        if writing.rows.len() <= MANY_WRITES {
            match self.write_now(&mut writing, Patience::Hurries) {
                Err(Error::StoreBusy) => {}
                outcome => return outcome,
            }
        }
        let inner = Arc::clone(self);
        self.ctx.blocking(move |_| inner.write_now(&mut writing, Patience::Waits)).await
    }

    /// Writes, and tells of it: a caller who gives up meanwhile must not hide what was stored.
    fn write_now(&self, writing: &mut Writing, patience: Patience) -> Result<()> {
        let Committed { changes, is_new_batch, replaced } = self.commit(writing, patience)?;
        if !writing.files.is_empty() {
            self.files.committed(&mut writing.files, &replaced);
            self.file_worker.wake();
        }
        if !changes.is_empty() {
            self.ctx.events.emit_changes(&changes);
            self.driver.wake(is_new_batch);
        }
        Ok(())
    }

    fn commit(&self, writing: &Writing, patience: Patience) -> Result<Committed> {
        self.files.check_place(&writing.files)?;
        let now_ms = self.ctx.host.now_ms();
        let window_ms = u64::try_from(self.config.batch_window.as_millis()).unwrap_or(u64::MAX);
        let is_batch = writing.is_batch || window_ms == 0;
        self.ctx.store.write_patiently(Durability::Process, patience, |tx| {
            let mut engine = tx.engine()?;
            let open_batch = engine.open_batch;
            let writer = Writer { node: &self.ctx.device, now_ms, full_rows: self.ctx.settings.full_rows };
            let (changes, ops) = local::apply(tx, &mut engine, &writer, &writing.rows)?;
            if engine.member && !ops.is_empty() {
                if is_batch {
                    tx.add_batch(&ops, now_ms, None)?;
                } else {
                    tx.append_to_open_batch(&mut engine, &ops, now_ms, window_ms)?;
                }
            }
            tx.set_engine(&engine)?;
            let replaced = durable::put(tx, &writing.files, &writing.rows, now_ms)?;
            Ok(Committed { changes, is_new_batch: is_batch || engine.open_batch != open_batch, replaced })
        })
    }
}

/// What is written together.
#[derive(Debug, Default)]
struct Writing {
    rows: Vec<RowWrite>,
    files: Vec<StagedFile>,
    is_batch: bool,
}

/// What came of it.
struct Committed {
    changes: Changes,
    /// Whether it began a batch of the outbox.
    is_new_batch: bool,
    /// Bodies of files that others took the place of.
    replaced: Vec<String>,
}

#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Interocitor {
    /// Name of the app, as configured.
    pub fn app_name(&self) -> &str {
        &self.inner.config.app_name
    }

    /// Id of this device in its mesh.
    pub fn device_id(&self) -> String {
        self.inner.ctx.device_id().into_owned()
    }

    /// A table. It is made by its first write.
    pub fn table(&self, name: impl Into<Name>) -> Table {
        Table::new(Arc::clone(&self.inner), name.into())
    }

    /// Names of all tables that hold or held rows.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn table_names(&self) -> Result<Vec<Name>> {
        self.inner.check_open()?;
        self.inner.ctx.read(|tx| Ok(tx.tables()?.iter().map(|table| table.name.clone()).collect()))
    }

    /// The rows that a query finds.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn query(&self, query: &Query) -> Result<Vec<Row>> {
        self.inner.check_open()?;
        self.inner.ctx.read(|tx| crate::query::run(tx, query))
    }

    /// The rows that a query finds as one JSON array, `[{"id":…,"row":{…}},…]`: a page for another
    /// language, made in one go.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn query_json(&self, query: &Query) -> Result<Vec<u8>> {
        self.inner.check_open()?;
        self.inner.ctx.read(|tx| crate::query::page_json(tx, query))
    }

    /// A live query: the rows now, and again whenever they have changed.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`, `SUSPENDED`.
    pub fn observe(&self, query: Query) -> Result<LiveQuery> {
        self.inner.check_open()?;
        Ok(LiveQuery::new(Arc::clone(&self.inner.ctx), query))
    }

    /// How many rows a query finds.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn count(&self, query: &Query) -> Result<u64> {
        self.inner.check_open()?;
        self.inner.ctx.read(|tx| crate::query::count(tx, query))
    }

    /// Runs `work` on a batch and commits it: all of its writes are stored and published together, or
    /// none. An error of `work` writes nothing.
    ///
    /// # Errors
    ///
    /// That of `work`, `UNIQUE_VIOLATION`, and those of the store.
    pub async fn batch<T>(&self, work: impl FnOnce(&mut Batch) -> Result<T>) -> Result<T> {
        let mut batch = self.begin_batch()?;
        let outcome = work(&mut batch)?;
        batch.commit().await?;
        Ok(outcome)
    }

    /// A batch to be filled and committed by hand. No lock is held until [`Batch::commit`].
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`.
    pub fn begin_batch(&self) -> Result<Batch> {
        self.inner.check_open()?;
        Ok(Batch::new(Arc::clone(&self.inner)))
    }

    /// Subscribes to everything that happens from now on; the first subscription also learns what the
    /// opening found.
    pub fn events(&self) -> Events {
        self.inner.ctx.events.subscribe()
    }

    /// Credentials of sub-stores, kept beside the rows and never synced.
    pub fn connected_stores(&self) -> ConnectedStores {
        ConnectedStores::new(Arc::clone(&self.inner.ctx), self.inner.local_key())
    }

    /// The whole store as one JSON object:
    /// `{"meshId","epoch","generation","tables":{T:{ROW:{…}}},"tombstones":{T:[ROW]}}`.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn dump(&self) -> Result<String> {
        self.inner.check_open()?;
        self.inner.ctx.blocking(|ctx| ctx.read(dump::dump)).await
    }
}
