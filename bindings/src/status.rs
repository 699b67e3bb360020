//! Status and its stream, devices, quarantine, connected stores.

use std::{fmt, sync::Arc};

use interocitor_core::{
    Background as CoreBackground, Device as CoreDevice, Operation as CoreOperation, Phase as CorePhase,
    Problem as CoreProblem, Quarantined, QuarantinedWrite as CoreWrite, Status as CoreStatus,
    StatusWatch as CoreWatch, connected_stores::ConnectedStores as CoreStores,
};
use tokio::sync::Mutex;

use crate::{CancelToken, ConnectionState, Failure, runtime::on_runtime};

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

impl From<CoreProblem> for Problem {
    fn from(CoreProblem { code, error, .. }: CoreProblem) -> Self {
        Self { code, reason: error }
    }
}

/// Who exchanges with the mailbox in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Background {
    Here,
    Elsewhere,
    Nowhere,
}

impl From<CoreBackground> for Background {
    fn from(background: CoreBackground) -> Self {
        match background {
            CoreBackground::Here => Background::Here,
            CoreBackground::Nowhere => Background::Nowhere,
            // `Background` may grow; whoever else it is, it is not this handle.
            _ => Background::Elsewhere,
        }
    }
}

/// A part of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Phase {
    Connecting,
    Pulling,
    Restoring,
    Publishing,
}

impl From<CorePhase> for Phase {
    fn from(phase: CorePhase) -> Self {
        match phase {
            CorePhase::Pulling => Phase::Pulling,
            CorePhase::Restoring => Phase::Restoring,
            CorePhase::Publishing => Phase::Publishing,
            _ => Phase::Connecting,
        }
    }
}

/// How far a part of an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Operation {
    pub phase: Phase,
    pub files: i64,
    pub files_total: Option<i64>,
    pub rows: i64,
    pub bytes: i64,
    pub bytes_total: Option<i64>,
}

impl From<CoreOperation> for Operation {
    fn from(operation: CoreOperation) -> Self {
        Self {
            phase: operation.phase.into(),
            files: whole(operation.files),
            files_total: operation.files_total.map(whole),
            rows: whole(operation.rows),
            bytes: whole(operation.bytes),
            bytes_total: operation.bytes_total.map(whole),
        }
    }
}

/// A true picture of the database at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Status {
    pub connection: ConnectionState,
    pub has_network: bool,
    pub background: Background,
    pub operation: Option<Operation>,
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
    pub pending_files: i64,
    pub failed_files: i64,
    pub quarantined: i64,
    pub quarantined_items: Vec<QuarantinedItem>,
    pub last_sync_ms: Option<i64>,
}

impl From<CoreStatus> for Status {
    fn from(status: CoreStatus) -> Self {
        Self {
            connection: status.connection.into(),
            has_network: status.has_network,
            background: status.background.into(),
            operation: status.operation.map(Operation::from),
            problem: status.problem.map(Problem::from),
            mesh_id: status.mesh_id,
            device_id: status.device_id,
            remote_path: status.remote_path,
            encrypted: status.encrypted,
            epoch: whole(status.epoch),
            generation: whole(status.generation),
            pending_count: whole(status.pending.count),
            pending_since_ms: status.pending.oldest_ms.map(whole),
            pending_problems: status.pending.problems,
            pending_files: whole(status.pending.files),
            failed_files: whole(status.pending.failed_files),
            quarantined: whole(status.quarantined),
            quarantined_items: status.quarantined_files.into_iter().map(QuarantinedItem::from).collect(),
            last_sync_ms: status.last_sync_ms.map(whole),
        }
    }
}

/// How things stand, as it changes.
#[derive(Debug)]
pub struct StatusWatch {
    /// One question at a time.
    watch: Arc<Mutex<CoreWatch>>,
    end: Arc<CancelToken>,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl StatusWatch {
    pub(crate) fn new(watch: CoreWatch) -> Self {
        Self { watch: Arc::new(Mutex::new(watch)), end: Arc::default() }
    }

    /// The status, as soon as it differs from the one given last.
    pub async fn next(&self) -> Result<Option<Status>, Failure> {
        let (watch, end) = (Arc::clone(&self.watch), Arc::clone(&self.end));
        on_runtime(async move {
            let next = async { Ok(watch.lock().await.next().await.transpose()?.map(Status::from)) };
            tokio::select! {
                biased;
                () = end.cancelled() => Ok(None),
                outcome = next => outcome,
            }
        })
        .await
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.end.cancel();
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

    /// Puts every record of a JSON array.
    pub fn import_all(&self, records: String) -> Result<i64, Failure> {
        let count = self.0.import(&records)?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Removes a record; tells whether it was there.
    pub fn remove(&self, id: String) -> Result<bool, Failure> {
        Ok(self.0.remove(&id)?)
    }
}
