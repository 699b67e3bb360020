//! Status, devices, quarantine, connected stores.

use std::fmt;

use interocitor_core::{
    Device as CoreDevice, Quarantined, QuarantinedWrite as CoreWrite, Status as CoreStatus,
    connected_stores::ConnectedStores as CoreStores,
};

use crate::{ConnectionState, Failure};

/// A count or a time as the other languages take it.
pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A failure that was met in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Problem {
    pub code: String,
    pub reason: String,
}

/// A true picture of the database at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Status {
    pub connection: ConnectionState,
    pub problem: Option<Problem>,
    pub mesh_id: Option<String>,
    pub device_id: String,
    pub remote_path: Option<String>,
    pub encrypted: bool,
    pub epoch: i64,
    pub generation: i64,
    pub pending_count: i64,
    pub pending_since_ms: Option<i64>,
    pub pending_problems: Vec<String>,
    pub quarantined: i64,
    pub last_sync_ms: Option<i64>,
}

impl From<CoreStatus> for Status {
    fn from(status: CoreStatus) -> Self {
        Self {
            connection: status.connection.into(),
            problem: status.problem.map(|problem| Problem { code: problem.code, reason: problem.error }),
            mesh_id: status.mesh_id,
            device_id: status.device_id,
            remote_path: status.remote_path,
            encrypted: status.encrypted,
            epoch: whole(status.epoch),
            generation: whole(status.generation),
            pending_count: whole(status.pending.count),
            pending_since_ms: status.pending.oldest_ms.map(whole),
            pending_problems: status.pending.problems,
            quarantined: whole(status.quarantined),
            last_sync_ms: status.last_sync_ms.map(whole),
        }
    }
}

/// A device of the mesh, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Device {
    pub device_id: String,
    pub name: Option<String>,
    pub device_type: Option<String>,
    pub last_seen_ms: Option<i64>,
    pub observed_epoch: Option<i64>,
    pub retired: bool,
    pub is_this_device: bool,
}

impl From<CoreDevice> for Device {
    fn from(device: CoreDevice) -> Self {
        Self {
            device_id: device.device_id,
            name: device.name,
            device_type: device.device_type,
            last_seen_ms: device.last_seen_ms.map(whole),
            observed_epoch: device.observed_epoch.map(whole),
            retired: device.retired,
            is_this_device: device.is_this_device,
        }
    }
}

/// A file of the mailbox that cannot be read, or a write of this device that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct QuarantinedItem {
    pub name: String,
    pub code: String,
    pub reason: String,
    pub first_ms: i64,
    pub last_ms: i64,
    pub tries: i64,
    pub write: Option<QuarantinedWrite>,
}

impl From<Quarantined> for QuarantinedItem {
    fn from(item: Quarantined) -> Self {
        Self {
            name: item.name,
            code: item.code,
            reason: item.reason,
            first_ms: whole(item.first_ms),
            last_ms: whole(item.last_ms),
            tries: whole(item.tries),
            write: item.write.map(|CoreWrite { table, row_id, columns, .. }| QuarantinedWrite {
                table,
                row_id,
                columns,
            }),
        }
    }
}

/// A write in quarantine.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct QuarantinedWrite {
    pub table: String,
    pub row_id: String,
    pub columns: String,
}

impl fmt::Debug for QuarantinedWrite {
    /// Values are the user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuarantinedWrite")
            .field("table", &self.table)
            .field("row_id", &self.row_id)
            .finish_non_exhaustive()
    }
}

/// Credentials of sub-stores, kept beside the rows and never synced.
#[derive(Debug)]
pub struct ConnectedStores(CoreStores);

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl ConnectedStores {
    pub(crate) fn new(stores: CoreStores) -> Self {
        Self(stores)
    }

    /// All records, by id.
    pub fn list(&self) -> Result<Vec<String>, Failure> {
        Ok(self.0.list()?)
    }

    /// One record.
    pub fn get(&self, id: String) -> Result<Option<String>, Failure> {
        Ok(self.0.get(&id)?)
    }

    /// Puts a record.
    pub fn put(&self, record: String) -> Result<(), Failure> {
        Ok(self.0.put(&record)?)
    }

    /// Removes a record; tells whether it was there.
    pub fn remove(&self, id: String) -> Result<bool, Failure> {
        Ok(self.0.remove(&id)?)
    }
}
