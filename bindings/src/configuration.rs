//! Options as the other languages give them.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use interocitor_core::{
    Config, Conflict, Error, MeshConfig, Passphrase, Schema, StoreEncryption as CoreEncryption,
    StoreLocation, Value,
    config::{
        AutoCompaction as CoreAutoCompaction, JoinPolicy as CoreJoinPolicy, Publish as CorePublish,
        SchemaPolicy as CoreSchemaPolicy,
    },
};

use crate::{
    BiometricPrompt, CredentialStore, Failure, FileForm, Replica,
    credential::{prompt_of, store_of},
};

/// How a database is opened.
#[expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "explained in the interface; independent options"
)]
pub struct Configuration {
    pub app_name: String,
    pub path: Option<String>,
    pub store_encryption: Option<StoreEncryption>,
    pub remote_path: Option<String>,
    pub passphrase: Option<String>,
    pub encrypted: bool,
    pub credentials: Option<Arc<dyn CredentialStore>>,
    pub biometrics: Option<Arc<dyn BiometricPrompt>>,
    pub device_id: Option<String>,
    pub device_name: Option<String>,
    pub device_type: Option<String>,
    pub server_managed: bool,
    pub server_id: String,
    pub schema: Option<String>,
    pub schema_policy: SchemaPolicy,
    pub merge: MergeStrategy,
    pub merge_rules: Vec<MergeRule>,
    pub join_policy: JoinPolicy,
    pub publish: Publish,
    pub full_durability: bool,
    pub batch_window_ms: i64,
    pub flush_debounce_ms: i64,
    pub flush_threshold: u32,
    pub poll_interval_ms: i64,
    pub connect_stage_timeout_ms: i64,
    pub auto_sync: bool,
    pub auto_compact: Option<AutoCompaction>,
    pub file_form: Option<FileForm>,
    pub max_file_bytes: i64,
    pub file_cache_bytes: i64,
    pub replicas: Vec<Replica>,
}

/// How the local file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct StoreEncryption {
    pub plaintext_header: bool,
}

/// When a device compacts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct AutoCompaction {
    pub enabled: bool,
    pub batches: u32,
    pub compactors: u32,
    pub first_delay_ms: i64,
    pub second_delay_ms: i64,
    pub jitter_ms: i64,
    pub change_files: i64,
    pub grace_ms: i64,
}

impl TryFrom<AutoCompaction> for CoreAutoCompaction {
    type Error = Failure;

    fn try_from(given: AutoCompaction) -> Result<Self, Failure> {
        let mut core = CoreAutoCompaction::default();
        core.batches = given.batches;
        core.compactors = given.compactors;
        core.first_delay = duration("first_delay_ms", given.first_delay_ms)?;
        core.second_delay = duration("second_delay_ms", given.second_delay_ms)?;
        core.jitter = duration("jitter_ms", given.jitter_ms)?;
        core.change_files = number("change_files", given.change_files)?;
        core.grace = duration("grace_ms", given.grace_ms)?;
        Ok(core)
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration")
            .field("app_name", &self.app_name)
            .field("path", &self.path)
            .field("remote_path", &self.remote_path)
            .field("encrypted", &self.encrypted)
            .finish_non_exhaustive()
    }
}

/// Which mesh a device is to take part in.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct MeshConfiguration {
    pub remote_path: String,
    pub passphrase: Option<String>,
    pub encrypted: bool,
}

impl fmt::Debug for MeshConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshConfiguration")
            .field("remote_path", &self.remote_path)
            .field("encrypted", &self.encrypted)
            .finish_non_exhaustive()
    }
}

impl From<MeshConfiguration> for MeshConfig {
    fn from(mesh: MeshConfiguration) -> Self {
        MeshConfig {
            remote_path: mesh.remote_path,
            passphrase: mesh.passphrase.map(Passphrase::from),
            encrypted: mesh.encrypted,
        }
    }
}

/// What a device does whose app declares a greater schema version than the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum SchemaPolicy {
    Exact,
    Migrate,
}

/// How two values of one column become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum MergeStrategy {
    LastWriterWins,
    RemoteWins,
    LocalWins,
}

/// What a device does whose store belongs to another mesh than the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum JoinPolicy {
    ResetToRemote,
    MergeWithRemote,
}

/// What travels when a row changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Publish {
    FullRows,
    ChangedColumns,
}

/// A merge function and what it is for.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct MergeRule {
    pub table: String,
    pub field: Option<String>,
    pub function: Arc<dyn MergeFunction>,
}

impl fmt::Debug for MergeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeRule")
            .field("table", &self.table)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// Two values of one column that met.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct MergeConflict {
    pub table: String,
    pub row_id: String,
    pub field: String,
    pub local: String,
    pub remote: String,
}

impl fmt::Debug for MergeConflict {
    /// Values are the user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeConflict")
            .field("table", &self.table)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// Decides conflicts, in Swift or Kotlin.
#[uniffi::trait_interface]
pub trait MergeFunction: Send + Sync {
    /// One value, as JSON, for each conflict in order.
    fn merge(&self, conflicts: Vec<MergeConflict>) -> Result<Vec<String>, Failure>;
}

/// The engine's merge function that asks the foreign one. Conflicts without a usable answer are left to the last
/// writer.
fn merge_function(table: &str, foreign: Arc<dyn MergeFunction>) -> interocitor_core::MergeFunction {
    let table = table.to_owned();
    Arc::new(move |conflicts: &[Conflict]| {
        let asked = conflicts
            .iter()
            .map(|conflict| MergeConflict {
                table: conflict.table.to_string(),
                row_id: conflict.row_id.to_string(),
                field: conflict.field.to_string(),
                local: conflict.local.as_str().to_owned(),
                remote: conflict.remote.as_str().to_owned(),
            })
            .collect();
        let ignored = |reason: &str| {
            tracing::warn!(target: "interocitor", %table, reason, "a merge function is passed over");
            Vec::new()
        };
        match foreign.merge(asked) {
            Ok(values) if values.len() != conflicts.len() => {
                ignored("it gave another number of values than conflicts")
            }
            Ok(values) => match values.iter().map(|value| Value::parse(value)).collect() {
                Ok(values) => values,
                Err(_) => ignored("it gave something that is no JSON"),
            },
            Err(failure) => ignored(failure.parts().1),
        }
    })
}

/// A duration in milliseconds; below zero is refused.
pub(crate) fn duration(what: &'static str, ms: i64) -> Result<Duration, Failure> {
    number(what, ms).map(Duration::from_millis)
}

/// A count or a size; below zero is refused.
pub(crate) fn number(what: &'static str, given: i64) -> Result<u64, Failure> {
    u64::try_from(given).map_err(|_| invalid(what, "it is below zero"))
}

pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Failure {
    Error::InvalidArgument { what, reason: reason.into() }.into()
}

impl TryFrom<Configuration> for Config {
    type Error = Failure;

    fn try_from(given: Configuration) -> Result<Self, Failure> {
        let store = match given.path {
            Some(path) if path.is_empty() => {
                return Err(invalid("path", "it is empty; leave it out for memory"));
            }
            Some(path) => StoreLocation::File(PathBuf::from(path)),
            None => StoreLocation::Memory,
        };
        let mut schema = given.schema.as_deref().map(Schema::from_json).transpose()?;
        for MergeRule { table, field, function } in given.merge_rules {
            let strategy = interocitor_core::MergeStrategy::Custom(merge_function(&table, function));
            schema = Some(schema.unwrap_or_default().with_merge(table, field.map(Into::into), strategy));
        }
        let mut config = Config::new(given.app_name, store);
        config.store_encryption =
            given.store_encryption.map(|wanted| CoreEncryption { plaintext_header: wanted.plaintext_header });
        config.remote_path = given.remote_path;
        config.passphrase = given.passphrase.map(Passphrase::from);
        config.encrypted = given.encrypted;
        config.credentials = given.credentials.map(store_of);
        config.biometrics = given.biometrics.map(prompt_of);
        config.device_id = given.device_id;
        config.device_name = given.device_name;
        config.device_type = given.device_type;
        config.server_managed = given.server_managed;
        config.server_id = given.server_id;
        config.schema = schema;
        config.schema_policy = match given.schema_policy {
            SchemaPolicy::Exact => CoreSchemaPolicy::Exact,
            SchemaPolicy::Migrate => CoreSchemaPolicy::Migrate,
        };
        config.merge = match given.merge {
            MergeStrategy::LastWriterWins => interocitor_core::MergeStrategy::LastWriterWins,
            MergeStrategy::RemoteWins => interocitor_core::MergeStrategy::RemoteWins,
            MergeStrategy::LocalWins => interocitor_core::MergeStrategy::LocalWins,
        };
        config.join_existing_mesh_policy = match given.join_policy {
            JoinPolicy::ResetToRemote => CoreJoinPolicy::ResetToRemote,
            JoinPolicy::MergeWithRemote => CoreJoinPolicy::MergeWithRemote,
        };
        config.publish = match given.publish {
            Publish::FullRows => CorePublish::FullRows,
            Publish::ChangedColumns => CorePublish::ChangedColumns,
        };
        config.full_durability = given.full_durability;
        config.batch_window = duration("batch_window_ms", given.batch_window_ms)?;
        config.flush_debounce = duration("flush_debounce_ms", given.flush_debounce_ms)?;
        config.flush_threshold = given.flush_threshold;
        config.poll_interval = duration("poll_interval_ms", given.poll_interval_ms)?;
        config.connect_stage_timeout = duration("connect_stage_timeout_ms", given.connect_stage_timeout_ms)?;
        config.auto_sync = given.auto_sync;
        if let Some(when) = given.auto_compact {
            config.auto_compact = when.enabled.then(|| when.try_into()).transpose()?;
        }
        config.file_form = given.file_form.map(Into::into);
        config.max_file_bytes = number("max_file_bytes", given.max_file_bytes)?;
        config.file_cache_bytes = number("file_cache_bytes", given.file_cache_bytes)?;
        config.replicas = given.replicas.into_iter().map(Into::into).collect();
        Ok(config)
    }
}
