//! The store in memory: the same tables on a private in-memory database, for tests and previews.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use super::{
    Durability, Foreign, Patience, Store, Tx,
    cipher::Form,
    session::{Begin, Session},
};
use crate::error::{Error, Result};

/// A store that lives as long as its value. Readers wait for the writer.
#[derive(Debug)]
pub(crate) struct MemoryStore(Mutex<Option<Session>>);

impl MemoryStore {
    /// An empty store.
    pub(crate) fn new() -> Result<Self> {
        let session = Session::new(Connection::open_in_memory()?, ":memory:".into(), &Form::Plain, true)?;
        Ok(Self(Mutex::new(Some(session))))
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    /// Whoever is under way here is soon done: nobody needs to hurry.
    fn write(&self, _: Durability, _: Patience, work: &mut dyn FnMut(&Tx<'_>) -> Result<()>) -> Result<()> {
        let session = self.session();
        let begin = Begin::Write(Patience::Waits);
        session.as_ref().ok_or(Error::ShutDown)?.transact(begin, Durability::Process, work)
    }

    fn read(&self, work: &mut dyn FnMut(&Tx<'_>) -> Result<()>) -> Result<()> {
        self.session().as_ref().ok_or(Error::ShutDown)?.transact(Begin::Read, Durability::Process, work)
    }

    /// Nobody else can have it open.
    fn foreign(&self) -> Result<Foreign> {
        Ok(Foreign::Nothing)
    }

    fn path(&self) -> Option<&PathBuf> {
        None
    }

    fn checkpoint(&self) -> Result<()> {
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<()> {
        self.session().as_ref().ok_or(Error::ShutDown)?.copy_to(path)
    }

    /// There is no file to let go of.
    fn release(&self) -> Result<()> {
        Ok(())
    }

    fn reopen(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.session().take();
        Ok(())
    }
}
