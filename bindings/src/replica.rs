//! Replicas: further mailboxes that are written to.

use std::sync::Arc;

use interocitor_core::{Replica as CoreReplica, ReplicaState as CoreState, Replicated as CoreReplicated};

use crate::{CancelToken, Failure, Interocitor, Mailbox, Problem, status::whole};

/// A further mailbox to write to.
#[derive(Debug)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Replica {
    pub name: String,
    pub mailbox: Arc<Mailbox>,
    pub mirror: bool,
    pub remote_path: Option<String>,
}

impl From<Replica> for CoreReplica {
    fn from(replica: Replica) -> Self {
        CoreReplica {
            name: replica.name,
            adapter: replica.mailbox.adapter(),
            remote_path: replica.remote_path,
            mirror: replica.mirror,
        }
    }
}

/// What a replica was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Replicated {
    pub files: i64,
    pub copied: i64,
    pub bytes: i64,
    pub damaged: i64,
}

impl From<CoreReplicated> for Replicated {
    fn from(done: CoreReplicated) -> Self {
        Self {
            files: whole(done.files),
            copied: whole(done.copied),
            bytes: whole(done.bytes),
            damaged: whole(done.damaged),
        }
    }
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct ReplicaState {
    pub name: String,
    pub mirror: bool,
    pub waiting: i64,
    pub problem: Option<Problem>,
}

impl From<CoreState> for ReplicaState {
    fn from(state: CoreState) -> Self {
        Self {
            name: state.name,
            mirror: state.mirror,
            waiting: whole(state.waiting),
            problem: state.problem.map(Problem::from),
        }
    }
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Interocitor {
    /// Brings a replica up to date with the main mailbox.
    pub async fn replicate(
        &self,
        replica: String,
        verifies: bool,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Replicated, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.replicate(&replica, verifies).await?.into())).await
    }

    /// How the replicas stand.
    pub async fn replicas(&self) -> Result<Vec<ReplicaState>, Failure> {
        self.run(async move |db| Ok(db.replicas().await?.into_iter().map(ReplicaState::from).collect())).await
    }
}
