//! One SQLite connection with what it caches, and the transaction on it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};

use rusqlite::{CachedStatement, Connection};

use super::{Durability, Patience, cipher::Form, files, replicas, rows::TableInfo, thumbnails};
use crate::{
    error::{Error, Result, from_sqlite},
    value::Name,
};

/// Marks the file as ours (`INTC`).
const APPLICATION_ID: i64 = 0x494e_5443;

/// Format of the tables below.
const FORMAT: i64 = 1;

/// Stands in place of the format in a file that another one has replaced: see [`convert`](super::cipher).
#[cfg(feature = "sqlcipher")]
pub(super) const MOVED: i64 = 0x4d4f_5645;

/// How long a write waits for another process, in milliseconds.
const BUSY_MS: u64 = 10_000;

/// What stores of before do not have.
const LATER_TABLES: [&str; 3] = [files::TABLES, replicas::TABLES, thumbnails::TABLES];

const TABLES: &str = "
CREATE TABLE engine(
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ts INTEGER NOT NULL, counter INTEGER NOT NULL,  -- the device clock
    layout INTEGER NOT NULL,                        -- moves when tables or fields change
    open_seq INTEGER, open_ms INTEGER,              -- the implicit batch that is open
    member INTEGER NOT NULL,                        -- whether the store belongs to a mesh
    floor TEXT,                                     -- at and below it the snapshot is the state
    rows INTEGER NOT NULL DEFAULT 0                 -- moves with every commit that touches rows
);
INSERT INTO engine(one, ts, counter, layout, member) VALUES (1, 0, 0, 0, 0);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE catalog(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE fields(
    table_id INTEGER NOT NULL, name TEXT NOT NULL, slot INTEGER NOT NULL, is_unique INTEGER NOT NULL,
    PRIMARY KEY (table_id, name)
) WITHOUT ROWID;
CREATE TABLE outbox(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    opened_ms INTEGER NOT NULL,
    part INTEGER, parts INTEGER,
    entry_id TEXT, entry_clock TEXT, entry_seq INTEGER,  -- bound before the first upload
    attempts INTEGER NOT NULL DEFAULT 0, problem TEXT
);
CREATE TABLE outbox_ops(seq INTEGER NOT NULL, n INTEGER NOT NULL, ops BLOB NOT NULL, PRIMARY KEY (seq, n)) WITHOUT ROWID;
CREATE TABLE receipts(
    name TEXT PRIMARY KEY,
    lowest TEXT                                     -- the least clock that the file brought, if it brought any
) WITHOUT ROWID;
CREATE TABLE quarantine(
    name TEXT PRIMARY KEY, code TEXT NOT NULL, reason TEXT NOT NULL, version TEXT NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
    discarded INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE stale(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_name TEXT NOT NULL, row_id TEXT NOT NULL, state BLOB NOT NULL, since_ms INTEGER NOT NULL
);
CREATE TABLE graves(
    table_id INTEGER NOT NULL, row_id TEXT NOT NULL, clock TEXT NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (table_id, row_id)
) WITHOUT ROWID;
CREATE TABLE streams(
    device TEXT NOT NULL, install TEXT NOT NULL,
    upto INTEGER NOT NULL,                          -- every entry up to here was read
    hole_ms INTEGER,                                -- since when one is missing behind it
    PRIMARY KEY (device, install)
) WITHOUT ROWID;
CREATE TABLE ahead(
    device TEXT NOT NULL, install TEXT NOT NULL, seq INTEGER NOT NULL,  -- entries read behind a hole
    PRIMARY KEY (device, install, seq)
) WITHOUT ROWID;
CREATE TABLE prunable(name TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, deleted_ms INTEGER) WITHOUT ROWID;
CREATE TABLE stores(id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
";

/// What a transaction is begun for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    Read,
    Write(Patience),
}

/// A connection and its caches.
pub(super) struct Session {
    pub(super) conn: Connection,
    /// Shown in errors.
    pub(super) place: String,
    tables: RefCell<HashMap<Name, Arc<TableInfo>>>,
    layout: Cell<i64>,
    /// The transaction under way touched rows.
    has_touched_rows: Cell<bool>,
    /// What this connection knows of the commits of others.
    known: Cell<Known>,
}

/// A state of the store, to tell whether others have moved it.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    data_version: i64,
    rows: i64,
}

/// What other connections did to the store since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Nothing.
    Nothing,
    /// They committed, but no rows: an outbox record is gone, say.
    Facts,
    /// They changed rows.
    Rows,
}

impl Session {
    /// Prepares an opened connection; `writer` creates the tables of a new store.
    pub(super) fn new(conn: Connection, place: String, form: &Form, writer: bool) -> Result<Self> {
        let session = Self {
            conn,
            place,
            tables: RefCell::default(),
            layout: Cell::new(-1),
            has_touched_rows: Cell::new(false),
            known: Cell::default(),
        };
        let explain = |error| form.explain(session.explain(error));
        session.prepare(form, writer).map_err(explain)?;
        if writer {
            session.foreign().map_err(explain)?;
        }
        Ok(session)
    }

    /// Adds the file to errors that lack it.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::StoreOpen { path, reason } if path.is_empty() => {
                Error::StoreOpen { path: self.place.clone(), reason }
            }
            Error::StoreCorrupt { path, reason } if path.is_empty() => {
                Error::StoreCorrupt { path: self.place.clone(), reason }
            }
            other => other,
        }
    }

    fn prepare(&self, form: &Form, writer: bool) -> Result<()> {
        let conn = &self.conn;
        // Before anything else is asked of it.
        #[cfg(feature = "sqlcipher")]
        if let Form::Sealed(seal) = form {
            seal.enter(conn, "main")?;
        }
        conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
        conn.set_prepared_statement_cache_capacity(256);
        // temp_store: Android has no temporary directory. secure_delete: freed pages are zeroed, so that
        // deleted payload does not linger. fullfsync: only Apple knows it, and only it reaches the platter.
        conn.execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL;
             PRAGMA fullfsync = ON; PRAGMA trusted_schema = OFF;",
        )?;
        conn.pragma_update(None, "cache_size", -i64::from(form.cache_kib()))?;
        if writer {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let outcome = self.check_and_create().and_then(|()| Ok(conn.execute_batch("COMMIT")?));
            if outcome.is_err() {
                let _ = conn.execute_batch("ROLLBACK");
            }
            outcome?;
            self.switch_to_log()?;
        }
        Ok(())
    }

    /// Refuses what is no store of ours, and makes the tables of a new one. Inside one transaction, since
    /// another process may be making them.
    fn check_and_create(&self) -> Result<()> {
        let conn = &self.conn;
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let application = number("PRAGMA application_id")?;
        let format = number("PRAGMA user_version")?;
        if application == APPLICATION_ID {
            return match format {
                ..=FORMAT => self.complete(),
                #[cfg(feature = "sqlcipher")]
                MOVED => Err(Error::StoreBusy),
                found => Err(Error::StoreNewer { path: self.place.clone(), found, known: FORMAT }),
            };
        }
        if application != 0 || number("SELECT count(*) FROM sqlite_master")? > 0 {
            return Err(Error::StoreCorrupt {
                path: self.place.clone(),
                reason: "it is a database of another program".into(),
            });
        }
        conn.execute_batch(TABLES)?;
        LATER_TABLES.iter().try_for_each(|tables| conn.execute_batch(tables))?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        Ok(conn.pragma_update(None, "user_version", FORMAT)?)
    }

    /// Adds what stores of this format did not have from the beginning.
    fn complete(&self) -> Result<()> {
        let conn = &self.conn;
        let has_rows =
            conn.prepare("SELECT 1 FROM pragma_table_info('engine') WHERE name = 'rows'")?.exists([])?;
        if !has_rows {
            conn.execute_batch("ALTER TABLE engine ADD COLUMN rows INTEGER NOT NULL DEFAULT 0")?;
        }
        Ok(LATER_TABLES.iter().try_for_each(|tables| conn.execute_batch(tables))?)
    }

    /// What other connections, of this process or another, did since this was last asked. Meant for the one
    /// that writes: a store has only one for each handle.
    pub(super) fn foreign(&self) -> Result<Foreign> {
        let number = |sql: &str| self.conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let data_version = number("PRAGMA data_version")?;
        let known = self.known.get();
        if data_version == known.data_version {
            return Ok(Foreign::Nothing);
        }
        let rows = number("SELECT rows FROM engine")?;
        self.known.set(Known { data_version, rows });
        Ok(if rows == known.rows { Foreign::Facts } else { Foreign::Rows })
    }

    /// Turns the write-ahead log on. SQLite does not wait by itself when another process is just doing so.
    fn switch_to_log(&self) -> Result<()> {
        let mut waited = 0;
        loop {
            let outcome = self.conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
            match outcome.map_err(|error| from_sqlite(&error, &self.place)) {
                Err(Error::StoreBusy) if waited < BUSY_MS => {
                    std::thread::sleep(Duration::from_millis(10));
                    waited += 10;
                }
                outcome => return outcome,
            }
        }
    }

    /// Runs one transaction.
    pub(super) fn transact(
        &self,
        begin: Begin,
        durability: Durability,
        work: &mut dyn FnMut(&Tx<'_>) -> Result<()>,
    ) -> Result<()> {
        let outcome = self.transact_raw(begin, durability, work);
        if durability == Durability::Power {
            let _ = self.conn.execute_batch("PRAGMA synchronous = NORMAL");
        }
        outcome.map_err(|error| self.explain(error))
    }

    fn begin(&self, begin: Begin) -> Result<()> {
        let run = |sql| self.conn.prepare_cached(sql)?.execute([]);
        match begin {
            Begin::Read => run("BEGIN")?,
            Begin::Write(Patience::Waits) => run("BEGIN IMMEDIATE")?,
            Begin::Write(Patience::Hurries) => {
                self.conn.busy_timeout(Duration::ZERO)?;
                let outcome = run("BEGIN IMMEDIATE");
                self.conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
                outcome?
            }
        };
        Ok(())
    }

    fn transact_raw(
        &self,
        begin: Begin,
        durability: Durability,
        work: &mut dyn FnMut(&Tx<'_>) -> Result<()>,
    ) -> Result<()> {
        if durability == Durability::Power {
            // With FULL the commit syncs the log, and with it every commit before.
            self.conn.execute_batch("PRAGMA synchronous = FULL")?;
        }
        self.begin(begin)?;
        self.has_touched_rows.set(false);
        let guard = Rollback(self);
        work(&Tx { session: self })?;
        let touched = self.has_touched_rows.get();
        if touched {
            self.conn.prepare_cached("UPDATE engine SET rows = rows + 1")?.execute([])?;
        }
        self.conn.prepare_cached("COMMIT")?.execute([]).map_err(|error| from_sqlite(&error, &self.place))?;
        std::mem::forget(guard);
        let known = self.known.get();
        self.known.set(Known { rows: known.rows + i64::from(touched), ..known });
        Ok(())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Rolls back unless forgotten, also when the work panics.
struct Rollback<'a>(&'a Session);

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        // SQLite rolls back by itself after some errors; a second time is refused, which is fine.
        let _ = self.0.conn.execute_batch("ROLLBACK");
        // Tables made in this transaction are gone again.
        self.0.tables.borrow_mut().clear();
    }
}

/// One transaction. Its methods stand in the modules of their nouns.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    session: &'a Session,
}

impl<'a> Tx<'a> {
    /// A prepared statement, kept for the next time.
    pub(super) fn sql(&self, sql: &str) -> Result<CachedStatement<'a>> {
        Ok(self.session.conn.prepare_cached(sql)?)
    }

    pub(super) fn conn(&self) -> &'a Connection {
        &self.session.conn
    }

    /// Notes that rows are changed by this transaction.
    pub(super) fn touch_rows(&self) {
        self.session.has_touched_rows.set(true);
    }

    pub(super) fn cached_table(&self, name: &Name) -> Option<Arc<TableInfo>> {
        self.session.tables.borrow().get(name).cloned()
    }

    pub(super) fn cache_table(&self, info: &Arc<TableInfo>) {
        self.session.tables.borrow_mut().insert(info.name.clone(), Arc::clone(info));
    }

    /// Forgets cached tables when the layout is another one than they were read under.
    pub(super) fn note_layout(&self, layout: i64) {
        if self.session.layout.replace(layout) != layout {
            self.session.tables.borrow_mut().clear();
        }
    }
}
