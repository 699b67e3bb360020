//! Status: what is connected, what waits, what is wrong, what goes on; as a value and as a stream.

use serde::Serialize;

use super::{Inner, Interocitor, watch::Watch};
use crate::{
    error::{Error, Problem, Result},
    events::ConnectionStatus,
    store::{meta::keys, quarantine::Quarantined},
    sync::{device, progress::Operation},
};

/// Quarantined files that a status lists at most.
const LISTED: usize = 100;

/// What waits to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pending {
    /// Batches in the outbox, or rows of a store that never belonged to a mesh.
    pub count: u64,
    /// Wall time at which the oldest batch was opened, ms since the epoch: its age tells how long nothing
    /// could be published.
    pub oldest_ms: Option<u64>,
    /// Why batches could not be published when it was last tried.
    pub problems: Vec<String>,
    /// Files that wait to be uploaded, downloaded or deleted.
    pub files: u64,
    /// Those of them that cannot succeed as they are; [`Interocitor::file_transfers`] says why.
    pub failed_files: u64,
}

/// Who exchanges with the mailbox in the background, where several processes have the store open: one does
/// it for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Background {
    /// This handle.
    Here,
    /// Another process, or another handle of this one.
    Elsewhere,
    /// Nobody, as far as the store knows: what is written waits until somebody does.
    Nowhere,
}

/// A true picture of the database at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// State of the connection.
    pub connection: ConnectionStatus,
    /// Whether the device has a network, as far as [`Interocitor::set_network`] was told.
    pub has_network: bool,
    /// Who exchanges in the background.
    pub background: Background,
    /// What goes on with the mailbox just now.
    pub operation: Option<Operation>,
    /// The last failure since the last success: stable code and text.
    pub problem: Option<Problem>,
    /// Mesh that the store belongs to.
    pub mesh_id: Option<String>,
    /// Id of this device.
    pub device_id: String,
    /// Folder of the mesh in the mailbox.
    pub remote_path: Option<String>,
    /// Whether the mesh is encrypted.
    pub encrypted: bool,
    /// Epoch of the snapshot that was adopted last.
    pub epoch: u64,
    /// Highest manifest generation seen.
    pub generation: u64,
    /// What waits to be published.
    pub pending: Pending,
    /// Files of the mailbox that cannot be read.
    pub quarantined: u64,
    /// The first hundred of them, with the reason.
    pub quarantined_files: Vec<Quarantined>,
    /// Wall time of the last exchange whose every step the mailbox confirmed, ms since the epoch: up to
    /// there everything here is in the mailbox, and everything there is here.
    pub last_sync_ms: Option<u64>,
}

/// A device of the mesh, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Device {
    /// Its id.
    pub device_id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// `ios`, `android`, `web`, `desktop`, …
    pub device_type: Option<String>,
    /// When it last wrote its record, ms since the epoch.
    pub last_seen_ms: Option<u64>,
    /// Epoch of the snapshot that it has merged.
    pub observed_epoch: Option<u64>,
    /// Whether it was retired.
    pub retired: bool,
    /// Whether it is this device.
    pub is_this_device: bool,
}

#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Interocitor {
    /// How things stand.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn status(&self) -> Result<Status> {
        self.inner.check_open()?;
        self.inner.status()
    }

    /// How things stand, now and again whenever that has changed.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`.
    pub fn watch_status(&self) -> Result<StatusWatch> {
        if self.is_shut_down() {
            return Err(Error::ShutDown);
        }
        Ok(StatusWatch(Watch::new(&self.inner, Inner::status)))
    }

    /// The devices of the mesh, read from the mailbox.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected, and those of the mailbox.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        self.inner.check_open()?;
        let link = self.inner.remote().link.clone().ok_or(Error::invalid("devices", "connect first"))?;
        let own = self.device_id();
        let records = device::list(&link).await?;
        Ok(records
            .into_iter()
            .map(|record| Device {
                is_this_device: record.device_id() == own,
                device_id: record.device_id(),
                name: record.text("name").or_else(|| record.text("displayName")),
                device_type: record.text("deviceType"),
                last_seen_ms: record.last_seen_ms(),
                observed_epoch: record.observed_epoch(),
                retired: record.retired(),
            })
            .collect())
    }

    /// Retires a device that will not come back: nobody waits for it any more before deletions are forgotten. If it
    /// does come back, what it wrote meanwhile is published or put into quarantine.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected, for this device and for an unknown one; those of the
    /// mailbox.
    pub async fn retire_device(&self, device_id: &str) -> Result<()> {
        if device_id == self.device_id() {
            return Err(Error::invalid("device", "a device does not retire itself; do it from another one"));
        }
        self.inner.exchange(async |link| device::retire(link, device_id).await).await
    }
}

impl Inner {
    fn status(&self) -> Result<Status> {
        let (connection, has_network, problem, remote_path) = {
            let remote = self.remote();
            (remote.status, remote.facts.has_network, remote.problem.clone(), remote.path.clone())
        };
        let encrypted = self.secrets().encrypted;
        self.ctx.read(|tx| {
            let outbox = tx.outbox_count()?;
            let count = if tx.engine()?.member { outbox.records } else { tx.row_count()? };
            let files = tx.file_count()?;
            let mut quarantined_files = tx.quarantined()?;
            quarantined_files.truncate(LISTED);
            Ok(Status {
                connection,
                has_network,
                background: self.background(tx)?,
                operation: self.ctx.progress.now(),
                problem: problem.clone().map(|(code, error)| Problem { code, error }),
                mesh_id: tx.meta(keys::MESH_ID)?,
                device_id: self.ctx.device_id().into_owned(),
                remote_path: remote_path.clone(),
                encrypted,
                epoch: tx.meta_number(keys::EPOCH)?.unwrap_or(0),
                generation: tx.meta_number(keys::GENERATION)?.unwrap_or(0),
                pending: Pending {
                    count,
                    oldest_ms: outbox.oldest_ms,
                    problems: tx.problems()?,
                    files: files.waiting,
                    failed_files: files.failed,
                },
                quarantined: tx.quarantine_count()?,
                quarantined_files,
                last_sync_ms: tx.meta_number(keys::LAST_SYNC_MS)?,
            })
        })
    }
}

/// How things stand, as it changes. It is asked, it does not push: of many changes between two questions
/// only the last state is given, at most four in a second.
#[derive(Debug)]
pub struct StatusWatch(Watch<Status>);

impl StatusWatch {
    /// The status: at once the first time, later as soon as it differs from the one given last. `None`
    /// after the database was shut down. While it is suspended this waits. May be dropped while it waits.
    ///
    /// # Errors
    ///
    /// Those of the store; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Status>> {
        self.0.next().await
    }
}
