//! Status: what is connected, what waits, what is wrong.

use serde::Serialize;

use super::{Inner, Interocitor};
use crate::{
    error::{Error, Result},
    events::ConnectionStatus,
    store::meta::keys,
    sync::device,
};

/// What waits to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pending {
    /// Batches in the outbox, or rows of a store that never belonged to a mesh.
    pub count: u64,
    /// Wall time at which the oldest batch was opened, ms since the epoch.
    pub oldest_ms: Option<u64>,
    /// Why batches could not be published when it was last tried.
    pub problems: Vec<String>,
}

/// A true picture of the database at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// State of the connection.
    pub connection: ConnectionStatus,
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
    /// Wall time of the last exchange whose every step the mailbox confirmed, ms since the epoch.
    pub last_sync_ms: Option<u64>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub error: String,
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
        let (connection, problem, remote_path) = {
            let remote = self.remote();
            (remote.status, remote.problem.clone(), remote.path.clone())
        };
        let encrypted = self.secrets().encrypted;
        self.ctx.read(|tx| {
            let outbox = tx.outbox_count()?;
            let count = if tx.engine()?.member { outbox.records } else { tx.row_count()? };
            Ok(Status {
                connection,
                problem: problem.clone().map(|(code, error)| Problem { code, error }),
                mesh_id: tx.meta(keys::MESH_ID)?,
                device_id: self.ctx.device_id().into_owned(),
                remote_path: remote_path.clone(),
                encrypted,
                epoch: tx.meta_number(keys::EPOCH)?.unwrap_or(0),
                generation: tx.meta_number(keys::GENERATION)?.unwrap_or(0),
                pending: Pending { count, oldest_ms: outbox.oldest_ms, problems: tx.problems()? },
                quarantined: tx.quarantine_count()?,
                last_sync_ms: tx.meta_number(keys::LAST_SYNC_MS)?,
            })
        })
    }
}
