//! Replicas: further mailboxes that are written to and never read for merging.
//!
//! A plain replica gets every change file that this device publishes, and the head, as the JavaScript client writes them:
//! a second copy of the news, which no device can be restored from by itself. A *mirror* also gets manifest, pointer,
//! snapshot, device records and durable files, in an order ([`mirror`]) in which a fresh device can join from it at any
//! moment. Nothing is ever deleted there. What a replica lacks is caught up later: own change files from a table of the
//! store ([`owed`]), everything else by comparing listings ([`tree`]); bodies pass through [`copy`], which proves them on
//! the way. A replica that fails is told by events and keeps nobody waiting.

mod copy;
mod head;
mod mirror;
mod owed;
mod tree;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    error::{Error, Problem, Result},
    events::Event,
    mailbox::{FileEntry, MailboxErrorKind, MailboxResult, StorageAdapter},
    wire::layout::Layout,
};

pub(crate) use mirror::catch_up;
pub(crate) use owed::pay;

/// The longest name of a replica, in bytes.
const MAX_NAME: usize = 128;

/// A further mailbox to write to. Credentials and addresses are the adapter's.
#[derive(Clone)]
pub struct Replica {
    /// What the app calls it: in events, and in the table of what it lacks.
    pub name: String,
    /// The mailbox.
    pub adapter: Arc<dyn StorageAdapter>,
    /// The mesh's folder there; `None`: as in the main mailbox. JavaScript clients find a mirror's snapshot only under
    /// the same path.
    pub remote_path: Option<String>,
    /// Whether a device can be restored from it: manifest, snapshot, device records and durable files go there too.
    pub mirror: bool,
}

impl Replica {
    /// A plain replica under the path of the main mailbox.
    pub fn new(name: impl Into<String>, adapter: Arc<dyn StorageAdapter>) -> Self {
        Self { name: name.into(), adapter, remote_path: None, mirror: false }
    }

    /// A replica that a device can be restored from.
    pub fn mirror(name: impl Into<String>, adapter: Arc<dyn StorageAdapter>) -> Self {
        Self { mirror: true, ..Self::new(name, adapter) }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("name", &self.name)
            .field("kind", &self.adapter.kind())
            .field("remote_path", &self.remote_path)
            .field("mirror", &self.mirror)
            .finish()
    }
}

/// Whether replicas can be told apart.
pub(crate) fn check(replicas: &[Replica]) -> Result<()> {
    for (at, replica) in replicas.iter().enumerate() {
        let name = &replica.name;
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(Error::invalid(
                "replica",
                "its name needs 1 to 128 bytes without control characters",
            ));
        }
        if replicas[..at].iter().any(|other| other.name == *name) {
            return Err(Error::invalid("replica", format!("two replicas are called {name:?}")));
        }
    }
    Ok(())
}

/// What a replica was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Replicated {
    /// Files that it should have, as far as this device can tell.
    pub files: u64,
    /// Those of them that were written now.
    pub copied: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files of the main mailbox that are damaged, and were not copied.
    pub damaged: u64,
}

impl Replicated {
    fn event(&self, target: &Target) -> Event {
        let Self { files, copied, bytes, .. } = *self;
        Event::ReplicaComplete { replica: target.name().to_owned(), files, copied, bytes }
    }
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaState {
    /// Its name.
    pub name: String,
    /// Whether a device can be restored from it.
    pub mirror: bool,
    /// Change files of this device that it lacks.
    pub waiting: u64,
    /// Why it lacks them: the last failure since this database was opened, until the next success.
    pub problem: Option<Problem>,
}

/// A replica in use.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) replica: Replica,
    /// One at a time: two passes would copy the same files.
    pub(crate) turn: tokio::sync::Mutex<()>,
    problem: Mutex<Option<Problem>>,
}

impl Target {
    pub(crate) fn new(replica: Replica) -> Arc<Self> {
        Arc::new(Self { replica, turn: tokio::sync::Mutex::default(), problem: Mutex::default() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.replica.name
    }

    pub(crate) fn adapter(&self) -> &dyn StorageAdapter {
        &*self.replica.adapter
    }

    /// The mesh's folder there, for a mesh that lies at `main` in the main mailbox.
    fn layout(&self, main: &Layout) -> Layout {
        self.replica.remote_path.as_deref().map_or_else(|| main.clone(), Layout::new)
    }

    pub(crate) fn problem(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, outcome: Option<&Error>) {
        let problem =
            outcome.map(|error| Problem { code: error.code().as_str().into(), error: error.to_string() });
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// A folder that is missing has nothing in it.
fn or_empty(outcome: MailboxResult<Vec<FileEntry>>) -> Result<Vec<FileEntry>> {
    match outcome {
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
        outcome => Ok(outcome?),
    }
}

/// What a mailbox is certain not to have is `None`.
fn or_none<T>(outcome: MailboxResult<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::MemoryMailbox;

    #[test]
    fn replicas_are_told_apart() {
        let replica = |name: &str| Replica::new(name, Arc::new(MemoryMailbox::new()));
        assert!(check(&[replica("a"), replica("b")]).is_ok());
        for bad in [vec![replica("")], vec![replica("a\n")], vec![replica(&"x".repeat(129))]] {
            assert!(check(&bad).is_err());
        }
        assert!(check(&[replica("a"), replica("a")]).is_err());
        assert!(!format!("{:?}", replica("a")).contains("adapter"));
    }
}
