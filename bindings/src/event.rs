//! Events as they cross.

use interocitor_core::{ConnectionStatus, Event as Core};

use crate::{PairingIntent, TransferKind, TransferState, status::whole};

/// State of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum ConnectionState {
    Offline,
    Connecting,
    Syncing,
    Idle,
}

impl From<ConnectionStatus> for ConnectionState {
    fn from(status: ConnectionStatus) -> Self {
        match status {
            ConnectionStatus::Connecting => ConnectionState::Connecting,
            ConnectionStatus::Syncing => ConnectionState::Syncing,
            ConnectionStatus::Idle => ConnectionState::Idle,
            _ => ConnectionState::Offline,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Event {
    Change {
        table: String,
        row_ids: Vec<String>,
    },
    Delete {
        table: String,
        row_ids: Vec<String>,
    },
    Lagged,
    SyncStart,
    SyncComplete {
        entries_merged: i64,
    },
    SyncError {
        code: String,
        reason: String,
    },
    FlushStart {
        entry_count: i64,
    },
    FlushProgress {
        published: i64,
        waiting: i64,
    },
    FlushComplete,
    FlushError {
        code: String,
        reason: String,
    },
    RehydrateStart {
        epoch: i64,
    },
    RehydrateComplete {
        row_count: i64,
    },
    ConnectionChanged {
        state: ConnectionState,
    },
    ConnectState {
        remote_path: String,
        device_id: String,
        local_epoch: i64,
        remote_epoch: i64,
        mesh_id: String,
        encrypted: bool,
    },
    ConnectNoop {
        cause: String,
    },
    ConnectError {
        stage: String,
        code: String,
        reason: String,
    },
    JoinExistingMesh {
        previous_mesh_id: String,
        next_mesh_id: String,
        policy: String,
        local_row_count: i64,
        queued_change_count: i64,
    },
    TransportTeardown {
        cause: String,
    },
    AuthRequired,
    AuthComplete,
    MeshConfigured {
        device_id: String,
        encrypted: bool,
        had_passphrase: bool,
    },
    EncryptionResolved {
        strategy: String,
        encrypted: bool,
    },
    CredentialsRestored {
        source: String,
        device_id_changed: bool,
        had_passphrase: bool,
    },
    CredentialsPersisted {
        device_id: String,
        encrypted: bool,
    },
    CredentialsConflict {
        stored_device_id: String,
        active_device_id: String,
    },
    CredentialsMeshMismatch {
        stored_mesh_id: String,
        active_mesh_id: String,
    },
    DecodeError {
        path: String,
        reason: String,
    },
    WriteQuarantined {
        table: String,
        row_id: String,
    },
    SchemaMismatch {
        local_version: i64,
        remote_version: i64,
    },
    ClockSkew {
        device: String,
        ahead_ms: i64,
    },
    MergeTie {
        table: String,
        row_id: String,
        field: String,
    },
    UniqueDuplicate {
        table: String,
        row_id: String,
        field: String,
    },
    RemoteRollback {
        known_generation: i64,
        generation: i64,
        known_epoch: i64,
        epoch: i64,
    },
    RemoteWithheld {
        path: Option<String>,
        device: Option<String>,
        first: i64,
        last: i64,
    },
    RemoteRepaired {
        generation: i64,
        found_generation: i64,
    },
    RemoteAccess {
        code: String,
        reason: String,
        retry_in_ms: i64,
    },
    PairingWaiting {
        intent: PairingIntent,
    },
    PairingScanned {
        intent: PairingIntent,
    },
    PairingSent {
        intent: PairingIntent,
    },
    PairingReceived {
        intent: PairingIntent,
    },
    FileState {
        path: String,
        is_here: bool,
        kind: Option<TransferKind>,
        state: Option<TransferState>,
    },
    FileProgress {
        path: String,
        bytes: i64,
        bytes_total: Option<i64>,
    },
    FileError {
        path: String,
        code: String,
        reason: String,
        retry_in_ms: Option<i64>,
    },
    ReplicaProgress {
        replica: String,
        files: i64,
        files_total: i64,
        bytes: i64,
    },
    ReplicaComplete {
        replica: String,
        files: i64,
        copied: i64,
        bytes: i64,
    },
    ReplicaError {
        replica: String,
        code: String,
        reason: String,
        retryable: bool,
        retry_in_ms: Option<i64>,
    },
    ExportProgress {
        rows: i64,
        files: i64,
        bytes: i64,
    },
    ImportProgress {
        rows: i64,
        files: i64,
        bytes: i64,
    },
    Other {
        name: String,
        json: String,
    },
}

impl From<Core> for Event {
    #[expect(clippy::too_many_lines, reason = "an arm for each event")]
    fn from(event: Core) -> Self {
        match event {
            Core::Change { table, row_ids } => Event::Change { table, row_ids },
            Core::Delete { table, row_ids } => Event::Delete { table, row_ids },
            Core::Lagged => Event::Lagged,
            Core::SyncStart => Event::SyncStart,
            Core::SyncComplete { entries_merged } => {
                Event::SyncComplete { entries_merged: whole(entries_merged) }
            }
            Core::SyncError { code, error } => Event::SyncError { code, reason: error },
            Core::FlushStart { entry_count } => Event::FlushStart { entry_count: whole(entry_count) },
            Core::FlushProgress { published, waiting } => {
                Event::FlushProgress { published: whole(published), waiting: whole(waiting) }
            }
            Core::FlushComplete => Event::FlushComplete,
            Core::FlushError { code, error } => Event::FlushError { code, reason: error },
            Core::RehydrateStart { epoch } => Event::RehydrateStart { epoch: whole(epoch) },
            Core::RehydrateComplete { row_count } => Event::RehydrateComplete { row_count: whole(row_count) },
            Core::ConnectionStatus { status } => Event::ConnectionChanged { state: status.into() },
            Core::ConnectState { remote_path, device_id, local_epoch, remote_epoch, mesh_id, encrypted } => {
                Event::ConnectState {
                    remote_path,
                    device_id,
                    local_epoch: whole(local_epoch),
                    remote_epoch: whole(remote_epoch),
                    mesh_id,
                    encrypted,
                }
            }
            Core::ConnectNoop { reason } => Event::ConnectNoop { cause: reason.to_owned() },
            Core::ConnectError { stage, code, error } => Event::ConnectError { stage, code, reason: error },
            Core::JoinExistingMesh {
                previous_mesh_id,
                next_mesh_id,
                policy,
                local_row_count,
                queued_change_count,
            } => Event::JoinExistingMesh {
                previous_mesh_id,
                next_mesh_id,
                policy: policy.to_owned(),
                local_row_count: whole(local_row_count),
                queued_change_count: whole(queued_change_count),
            },
            Core::TransportTeardown { reason } => Event::TransportTeardown { cause: reason.to_owned() },
            Core::AuthRequired => Event::AuthRequired,
            Core::AuthComplete => Event::AuthComplete,
            Core::MeshConfigured { device_id, encrypted, had_passphrase } => {
                Event::MeshConfigured { device_id, encrypted, had_passphrase }
            }
            Core::EncryptionResolved { strategy, encrypted } => {
                Event::EncryptionResolved { strategy: strategy.to_owned(), encrypted }
            }
            Core::CredentialsRestored { source, device_id_changed, had_passphrase } => {
                Event::CredentialsRestored { source: source.to_owned(), device_id_changed, had_passphrase }
            }
            Core::CredentialsPersisted { device_id, encrypted } => {
                Event::CredentialsPersisted { device_id, encrypted }
            }
            Core::CredentialsConflict { stored_device_id, active_device_id } => {
                Event::CredentialsConflict { stored_device_id, active_device_id }
            }
            Core::CredentialsMeshMismatch { stored_mesh_id, active_mesh_id } => {
                Event::CredentialsMeshMismatch { stored_mesh_id, active_mesh_id }
            }
            Core::DecodeError { path, error } => Event::DecodeError { path, reason: error },
            Core::WriteQuarantined { table, row_id } => Event::WriteQuarantined { table, row_id },
            Core::SchemaMismatch { local, remote } => {
                Event::SchemaMismatch { local_version: whole(local), remote_version: whole(remote) }
            }
            Core::ClockSkew { device, ahead_ms } => Event::ClockSkew { device, ahead_ms: whole(ahead_ms) },
            Core::MergeTie { table, row_id, field } => Event::MergeTie { table, row_id, field },
            Core::UniqueDuplicate { table, row_id, field } => Event::UniqueDuplicate { table, row_id, field },
            Core::RemoteRollback { known_generation, generation, known_epoch, epoch } => {
                Event::RemoteRollback {
                    known_generation: whole(known_generation),
                    generation: whole(generation),
                    known_epoch: whole(known_epoch),
                    epoch: whole(epoch),
                }
            }
            Core::RemoteWithheld { path, device, first, last } => {
                Event::RemoteWithheld { path, device, first: whole(first), last: whole(last) }
            }
            Core::RemoteRepaired { generation, found_generation } => Event::RemoteRepaired {
                generation: whole(generation),
                found_generation: whole(found_generation),
            },
            Core::RemoteAccess { kind, error, retry_in_ms } => {
                Event::RemoteAccess { code: kind, reason: error, retry_in_ms: whole(retry_in_ms) }
            }
            Core::PairingWaiting { intent } => Event::PairingWaiting { intent: PairingIntent::named(intent) },
            Core::PairingScanned { intent } => Event::PairingScanned { intent: PairingIntent::named(intent) },
            Core::PairingSent { intent } => Event::PairingSent { intent: PairingIntent::named(intent) },
            Core::PairingReceived { intent } => {
                Event::PairingReceived { intent: PairingIntent::named(intent) }
            }
            Core::FileState { path, is_here, kind, state } => {
                Event::FileState { path, is_here, kind: kind.map(Into::into), state: state.map(Into::into) }
            }
            Core::FileProgress { path, bytes, bytes_total } => {
                Event::FileProgress { path, bytes: whole(bytes), bytes_total: bytes_total.map(whole) }
            }
            Core::FileError { path, code, error, retry_in_ms } => {
                Event::FileError { path, code, reason: error, retry_in_ms: retry_in_ms.map(whole) }
            }
            Core::ReplicaProgress { replica, files, files_total, bytes } => Event::ReplicaProgress {
                replica,
                files: whole(files),
                files_total: whole(files_total),
                bytes: whole(bytes),
            },
            Core::ReplicaComplete { replica, files, copied, bytes } => Event::ReplicaComplete {
                replica,
                files: whole(files),
                copied: whole(copied),
                bytes: whole(bytes),
            },
            Core::ReplicaError { replica, code, error, retryable, retry_in_ms } => Event::ReplicaError {
                replica,
                code,
                reason: error,
                retryable,
                retry_in_ms: retry_in_ms.map(whole),
            },
            Core::ExportProgress { rows, files, bytes } => {
                Event::ExportProgress { rows: whole(rows), files: whole(files), bytes: whole(bytes) }
            }
            Core::ImportProgress { rows, files, bytes } => {
                Event::ImportProgress { rows: whole(rows), files: whole(files), bytes: whole(bytes) }
            }
            other => Event::Other { name: other.name(), json: other.to_json() },
        }
    }
}
