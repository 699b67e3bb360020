//! A store whose process can end at any transaction: for the simulator.

use std::{path::PathBuf, sync::Arc};

use super::{Durability, Foreign, Patience, Store, Tx};
use crate::{
    error::Result,
    host::{CrashPoint, Host},
};

/// Asks the host around every transaction that writes.
#[derive(Debug)]
pub(crate) struct CrashingStore {
    inner: Arc<dyn Store>,
    host: Arc<dyn Host>,
}

impl CrashingStore {
    pub(crate) fn new(inner: Arc<dyn Store>, host: Arc<dyn Host>) -> Self {
        Self { inner, host }
    }
}

impl Store for CrashingStore {
    fn write(
        &self,
        durability: Durability,
        patience: Patience,
        work: &mut dyn FnMut(&Tx<'_>) -> Result<()>,
    ) -> Result<()> {
        self.host.crash_point(CrashPoint::BeforeWrite);
        let outcome = self.inner.write(durability, patience, work);
        if outcome.is_ok() {
            self.host.crash_point(CrashPoint::AfterCommit);
        }
        outcome
    }

    fn read(&self, work: &mut dyn FnMut(&Tx<'_>) -> Result<()>) -> Result<()> {
        self.inner.read(work)
    }

    fn foreign(&self) -> Result<Foreign> {
        self.inner.foreign()
    }

    fn path(&self) -> Option<&PathBuf> {
        self.inner.path()
    }

    fn checkpoint(&self) -> Result<()> {
        self.inner.checkpoint()
    }

    fn copy_to(&self, path: &std::path::Path) -> Result<()> {
        self.inner.copy_to(path)
    }

    fn release(&self) -> Result<()> {
        self.inner.release()
    }

    fn reopen(&self) -> Result<()> {
        self.inner.reopen()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
