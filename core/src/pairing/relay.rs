//! The two files through which the devices talk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;

use super::PairingPayload;
use crate::{
    error::Result,
    host::Host,
    mailbox::{Body, MailboxErrorKind, MailboxResult, StorageAdapter},
};

/// Largest file that is read: what is larger is none of ours.
const LARGEST: usize = 64 * 1024;

/// The files of one handshake.
#[derive(Debug)]
pub(super) struct Relay {
    adapter: Arc<dyn StorageAdapter>,
    host: Arc<dyn Host>,
    poll_interval: Duration,
    folder: String,
    /// What the mailbox last failed with, until it answers again.
    problem: Mutex<Option<String>>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// The scanner's public key.
    Hello,
    Credential,
}

impl Relay {
    pub(super) fn new(
        adapter: Arc<dyn StorageAdapter>,
        host: Arc<dyn Host>,
        relay_base: &str,
        payload: &PairingPayload,
        poll_interval: Duration,
    ) -> Self {
        let base = relay_base.trim_end_matches('/');
        let slash = if base.starts_with('/') || base.is_empty() { "" } else { "/" };
        let folder = format!("{slash}{base}/handshake/{}", payload.handshake_id);
        Self { adapter, host, poll_interval, folder, problem: Mutex::default() }
    }

    fn path(&self, file: File) -> String {
        let name = match file {
            File::Hello => "scanner-pub.json",
            File::Credential => "credentials.json",
        };
        format!("{}/{name}", self.folder)
    }

    /// Makes the folder, which strict servers want before the other device writes into it.
    pub(super) async fn prepare(&self) -> Result<()> {
        self.authenticate().await?;
        loop {
            let outcome = self.adapter.ensure_folder(&self.folder).await;
            if self.settle(outcome).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Checks access.
    pub(super) async fn authenticate(&self) -> Result<()> {
        loop {
            let outcome = self.adapter.authenticate().await;
            if self.settle(outcome).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// A file as it is now, as soon as the mailbox answers.
    pub(super) async fn read(&self, file: File) -> Result<Option<Vec<u8>>> {
        let path = self.path(file);
        loop {
            let outcome = match self.read_capped(&path).await {
                Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(None),
                outcome => outcome.map(Some),
            };
            if let Some(content) = self.settle(outcome).await? {
                return Ok(content);
            }
        }
    }

    async fn read_capped(&self, path: &str) -> MailboxResult<Vec<u8>> {
        let mut stream = self.adapter.read_stream(path).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() > LARGEST {
                // Whatever it is, it shall not be read.
                return Ok(Vec::new());
            }
        }
        Ok(bytes)
    }

    /// Looks at a file again and again until `look` makes something of it.
    pub(super) async fn wait<T>(
        &self,
        file: File,
        mut look: impl FnMut(Option<&[u8]>) -> Result<Option<T>> + Send,
    ) -> Result<T> {
        loop {
            let found = self.read(file).await?;
            if let Some(outcome) = look(found.as_deref())? {
                return Ok(outcome);
            }
            self.host.sleep(self.poll_interval).await;
        }
    }

    /// Writes a file that nobody else may have written; tells whether it is ours.
    pub(super) async fn create(&self, file: File, content: &[u8]) -> Result<bool> {
        let path = self.path(file);
        let is_new = loop {
            let outcome = match self.adapter.create_file(&path, Body::from(content.to_vec())).await {
                // Perhaps by us: the answer to an earlier try was lost.
                Err(error) if error.kind() == MailboxErrorKind::AlreadyExists => Ok(false),
                outcome => outcome.map(|()| true),
            };
            if let Some(is_new) = self.settle(outcome).await? {
                break is_new;
            }
        };
        if is_new && self.adapter.capabilities().exclusive_create {
            return Ok(true);
        }
        Ok(self.read(file).await?.as_deref() == Some(content))
    }

    /// Removes files. One that cannot be removed says nothing to anybody.
    pub(super) async fn remove(&self, files: &[File]) {
        for file in files {
            loop {
                let outcome = self.adapter.delete_file(&self.path(*file)).await;
                match self.settle(outcome).await {
                    Ok(None) => {}
                    Ok(Some(())) => break,
                    Err(error) => {
                        tracing::debug!(target: "interocitor", ?file, code = error.code().as_str(), "a relay file stays");
                        break;
                    }
                }
            }
        }
    }

    /// What the mailbox last failed with, if it has not answered since.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a request came to; `None`, after a pause, where it is worth another try. The caller has a deadline.
    async fn settle<T: Send>(&self, outcome: MailboxResult<T>) -> Result<Option<T>> {
        let error = match outcome {
            Err(error) if error.is_retryable() => error,
            outcome => {
                self.note(None);
                return Ok(Some(outcome?));
            }
        };
        self.note(Some(error.to_string()));
        let asked = error.retry_after().unwrap_or_default();
        self.host.sleep(self.poll_interval.max(asked)).await;
        Ok(None)
    }

    fn note(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
