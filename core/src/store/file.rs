//! The store in a file: one writer connection, readers beside it on the write-ahead log.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError, TryLockResult},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    Durability, Foreign, Patience, Store, Tx,
    cipher::Form,
    session::{Begin, Session},
};
use crate::error::{Error, Result, from_sqlite};

/// Readers kept open between calls.
const IDLE_READERS: usize = 4;

/// A store in a file, shared with other processes.
#[derive(Debug)]
pub(crate) struct FileStore {
    path: PathBuf,
    durability: Durability,
    form: Form,
    /// The one connection that writes, while the store is open.
    writer: Mutex<Option<Session>>,
    readers: Mutex<Vec<Session>>,
    /// Shared by every call under way. Apart from the writer: who reads must not wait for who writes.
    gate: RwLock<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Released,
    Closed,
}

impl State {
    fn check(guard: RwLockReadGuard<'_, Self>) -> Result<RwLockReadGuard<'_, Self>> {
        match *guard {
            State::Open => Ok(guard),
            State::Released => Err(Error::Suspended),
            State::Closed => Err(Error::ShutDown),
        }
    }
}

/// A lock that nobody else holds.
fn at_once<T>(lock: TryLockResult<T>) -> Result<T> {
    match lock {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Error::StoreBusy),
    }
}

impl FileStore {
    /// Opens or creates the store. `durability` is the least that every write gets.
    pub(crate) fn open(path: &Path, durability: Durability, form: Form) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            durability,
            writer: Mutex::new(Some(Self::open_writer(path, &form)?)),
            form,
            readers: Mutex::new(Vec::new()),
            gate: RwLock::new(State::Open),
        })
    }

    fn open_writer(path: &Path, form: &Form) -> Result<Session> {
        let place = path.display().to_string();
        make_private(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|error| from_sqlite(&error, &place))?;
        if conn.is_readonly("main").unwrap_or(false) {
            return Err(Error::StoreOpen {
                path: place,
                reason: "the file or its folder is read-only".into(),
            });
        }
        Session::new(conn, place, form, true)
    }

    fn writer(&self) -> MutexGuard<'_, Option<Session>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, which the store stays open for.
    fn enter(&self) -> Result<RwLockReadGuard<'_, State>> {
        State::check(self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes every connection once nothing uses it.
    fn let_go(&self, next: State) -> Result<()> {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        match self.writer().take() {
            // The last connection of all processes moves the log into the file and removes it.
            Some(session) => session.conn.close().map_err(|(_, error)| error.into()),
            None => Ok(()),
        }
    }

    fn reader(&self) -> Result<Session> {
        if let Some(reader) = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(reader);
        }
        let place = self.path.display().to_string();
        // Read-write, since a reader may have to set up the shared memory of the log; it never writes rows.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn =
            Connection::open_with_flags(&self.path, flags).map_err(|error| from_sqlite(&error, &place))?;
        Session::new(conn, place, &self.form, false)
    }
}

/// Makes a missing file for its owner's eyes only: the rows in it are not encrypted. SQLite gives its log
/// the same mode. A failure is left to SQLite to tell.
pub(super) fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    #[cfg(not(unix))]
    let _ = path;
}

impl Store for FileStore {
    fn write(
        &self,
        durability: Durability,
        patience: Patience,
        work: &mut dyn FnMut(&Tx<'_>) -> Result<()>,
    ) -> Result<()> {
        let least = if self.durability == Durability::Power { self.durability } else { durability };
        let mut transact = |writer: &Option<Session>| {
            writer.as_ref().ok_or(Error::ShutDown)?.transact(Begin::Write(patience), least, work)
        };
        match patience {
            Patience::Waits => {
                let _open = self.enter()?;
                transact(&self.writer())
            }
            Patience::Hurries => {
                let _open = State::check(at_once(self.gate.try_read())?)?;
                let writer = at_once(self.writer.try_lock())?;
                transact(&writer)
            }
        }
    }

    fn read(&self, work: &mut dyn FnMut(&Tx<'_>) -> Result<()>) -> Result<()> {
        let _open = self.enter()?;
        let reader = self.reader()?;
        let outcome = reader.transact(Begin::Read, Durability::Process, work);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
        outcome
    }

    fn foreign(&self) -> Result<Foreign> {
        let _open = State::check(at_once(self.gate.try_read())?)?;
        at_once(self.writer.try_lock())?.as_ref().ok_or(Error::ShutDown)?.foreign()
    }

    fn path(&self) -> Option<&PathBuf> {
        Some(&self.path)
    }

    fn checkpoint(&self) -> Result<()> {
        let _open = self.enter()?;
        let writer = self.writer();
        let session = writer.as_ref().ok_or(Error::ShutDown)?;
        // The answer says whether a reader was in the way; then the next checkpoint does it.
        session.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<()> {
        let _open = self.enter()?;
        self.reader()?.copy_to(path)
    }

    fn release(&self) -> Result<()> {
        drop(self.enter()?);
        self.let_go(State::Released)
    }

    fn reopen(&self) -> Result<()> {
        let mut state = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Released {
            *self.writer() = Some(Self::open_writer(&self.path, &self.form)?);
            *state = State::Open;
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.let_go(State::Closed)
    }
}

impl Session {
    /// Writes everything into a new database file.
    pub(super) fn copy_to(&self, path: &Path) -> Result<()> {
        let target = path.to_string_lossy();
        self.conn.execute("VACUUM INTO ?1", [&*target]).map_err(|error| from_sqlite(&error, &target))?;
        Ok(())
    }
}

/// In the name of a copy of the store as it was before it joined another mesh.
pub(crate) const BEFORE_JOIN: &str = ".before-join-";

/// In the name of a store that was moved out of the way.
pub(crate) const ASIDE: &str = ".aside-";

/// Moves a store that cannot be opened out of the way, with its log, and returns its new place.
/// Called only when the user asks for it.
pub(crate) fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf> {
    let renamed = |suffix: &str| {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut to = path.as_os_str().to_owned();
        to.push(format!("{ASIDE}{stamp}{suffix}"));
        (PathBuf::from(from), PathBuf::from(to))
    };
    let failed = |error: std::io::Error| Error::StoreOpen {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    for suffix in ["-wal", "-shm"] {
        let (from, to) = renamed(suffix);
        if from.exists() {
            std::fs::rename(from, to).map_err(failed)?;
        }
    }
    let (from, to) = renamed("");
    std::fs::rename(from, &to).map_err(failed)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_before_is_completed_and_others_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let open = || FileStore::open(&path, Durability::Process, Form::Plain).unwrap();
        drop(open());
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("ALTER TABLE engine DROP COLUMN rows")
            .unwrap();
        let (one, two) = (open(), open());
        let fact = |store: &FileStore| {
            store.write(Durability::Process, Patience::Waits, &mut |tx| tx.set_meta("k", "v")).unwrap();
        };
        let rows = |store: &FileStore| {
            store
                .write(Durability::Process, Patience::Waits, &mut |tx| {
                    let table = tx.ensure_table(&"t".into())?;
                    tx.put_row(&table, &"r".into(), None, &crate::row::RowState::default())
                })
                .unwrap();
        };
        assert_eq!(one.foreign().unwrap(), Foreign::Nothing);
        fact(&two);
        assert_eq!(one.foreign().unwrap(), Foreign::Facts);
        assert_eq!((one.foreign().unwrap(), two.foreign().unwrap()), (Foreign::Nothing, Foreign::Nothing));
        // Rows of both, and then a fact: the rows of the other are not hidden by our own.
        rows(&two);
        rows(&one);
        fact(&two);
        assert_eq!(one.foreign().unwrap(), Foreign::Rows);
        rows(&one);
        assert_eq!(one.foreign().unwrap(), Foreign::Nothing, "our own are known");
        assert_eq!(two.foreign().unwrap(), Foreign::Rows);
        // What is rolled back was never there.
        let failed = one.write(Durability::Process, Patience::Waits, &mut |tx| {
            tx.clear_rows()?;
            Err(Error::Cancelled)
        });
        assert!(failed.is_err());
        assert_eq!(two.foreign().unwrap(), Foreign::Nothing);
        let _held = one.writer();
        assert!(matches!(one.foreign(), Err(Error::StoreBusy)));
    }
}
