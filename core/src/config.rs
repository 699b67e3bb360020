//! Configuration: names and defaults of the JavaScript client where both have the option.

use std::{path::PathBuf, sync::Arc, time::Duration};

use interocitor_crypto::Passphrase;

use crate::{
    credentials::{BiometricPrompt, CredentialStore},
    host::{Host, TokioHost},
    merge::MergeStrategy,
    replica::Replica,
    schema::Schema,
    transfer::FileForm,
};

/// Called with the stage at which a connect stalled.
pub type OnConnectStalled = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the local database lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A file; made where it is missing, its folder is not.
    File(PathBuf),
    /// Memory: gone with the handle.
    Memory,
}

/// How the local file is encrypted (feature `sqlcipher`): as a whole, with a random key in the credential store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreEncryption {
    /// Whether the first 32 bytes, which hold nothing of the rows, stay readable. An app that shares its store
    /// with extensions needs it on iOS, which otherwise does not see that the file is a database and ends
    /// the app when it is suspended.
    pub plaintext_header: bool,
}

/// What a device does whose store belongs to another mesh than the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JoinPolicy {
    /// The local rows make way for those of the mailbox; a copy of the store is kept beside it.
    #[default]
    ResetToRemote,
    /// The local rows are kept and published into the mailbox's mesh.
    MergeWithRemote,
}

/// What travels when a row changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Publish {
    /// The whole row with the clocks of its columns: heals peers that missed a file.
    #[default]
    FullRows,
    /// Only the written columns: for meshes where B10 peers use `remote-wins`, since a full row would
    /// push old values over newer ones there.
    ChangedColumns,
}

/// What a device does whose app declares a greater schema version than the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaPolicy {
    /// It refuses to connect, as the JavaScript client does.
    #[default]
    Exact,
    /// It connects; its next compaction raises the mesh's number.
    Migrate,
}

/// How a database is opened. Make one with [`Config::new`] and change what differs.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct Config {
    /// Name of the app, for logs and peers.
    pub app_name: String,
    /// Where the local database lies.
    pub store: StoreLocation,
    /// How the local file is encrypted; `None`: not, and the file is as safe as the device keeps it. Needs the feature
    /// `sqlcipher` and [`credentials`](Self::credentials). A file in another form is converted when it is
    /// opened, which fails with `STORE_BUSY` while another process has it open. Blocks of the disk that the
    /// former file took are freed, not wiped.
    pub store_encryption: Option<StoreEncryption>,
    /// The mesh's folder in the mailbox; `None`: local only.
    pub remote_path: Option<String>,
    /// The mesh's passphrase; `None`: from the credential store, else made when a mesh is founded.
    pub passphrase: Option<Passphrase>,
    /// Whether the mesh is encrypted.
    pub encrypted: bool,
    /// Where passphrase and mesh id are kept between runs; `None`: nowhere.
    pub credentials: Option<Arc<dyn CredentialStore>>,
    /// How biometrics guard a second copy of the passphrase; `None`: not at all.
    pub biometrics: Option<Arc<dyn BiometricPrompt>>,
    /// Fixes the device id; `None`: one is made for this store.
    pub device_id: Option<String>,
    /// Name of this device, shown to peers.
    pub device_name: Option<String>,
    /// `web`, `ios`, `android`, `worker`, `desktop` or `tv`.
    pub device_type: Option<String>,
    /// Whether a mesh founded by this device lets only `server_id` compact.
    pub server_managed: bool,
    /// Who writes manifests; on a managed mesh all participants configure the same.
    pub server_id: String,
    /// Tables, indexes and merge strategies that the app declares.
    pub schema: Option<Schema>,
    /// What to do when the app declares a greater version than the mesh has.
    pub schema_policy: SchemaPolicy,
    /// How values merge where neither the schema's field nor its table says so.
    pub merge: MergeStrategy,
    /// What to do with local rows when the mailbox holds another mesh.
    pub join_existing_mesh_policy: JoinPolicy,
    /// What travels when a row changes.
    pub publish: Publish,
    /// Every commit waits for the device instead of the write-ahead log only.
    pub full_durability: bool,
    /// Single writes within this time are published as one batch; zero: each by itself.
    pub batch_window: Duration,
    /// How long after the last write a flush starts by itself.
    pub flush_debounce: Duration,
    /// So many batches since the last flush start one at once.
    pub flush_threshold: u32,
    /// Time between polls of an idle mailbox.
    pub poll_interval: Duration,
    /// Deadline of each stage of a connect.
    pub connect_stage_timeout: Duration,
    /// Whether a connected handle polls and flushes by itself.
    pub auto_sync: bool,
    /// When a handle that syncs by itself compacts, too; `None`: never. It never does beside clients of another
    /// kind, since theirs may read files that are deleted, nor on a managed mesh that another device compacts.
    pub auto_compact: Option<AutoCompaction>,
    /// How durable files are written into the mailbox; `None`: as the mesh does already. Both forms are read.
    pub file_form: Option<FileForm>,
    /// The longest durable file, in bytes.
    pub max_file_bytes: u64,
    /// How many bytes of durable files stay on this device although the mailbox has them, pinned ones not counted.
    pub file_cache_bytes: u64,
    /// Further mailboxes that are written to and never read for merging; see [`Replica`]. Processes that share a store
    /// name the same.
    pub replicas: Vec<Replica>,
    /// Runs when a connect stalls.
    pub on_connect_stalled: Option<OnConnectStalled>,
    /// Time, randomness and tasks.
    pub host: Arc<dyn Host>,
}

/// When a device compacts by itself. The defaults are those of the JavaScript client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AutoCompaction {
    /// So many batches published at once make a compaction follow.
    pub batches: u32,
    /// Of all devices about so many compact after such a flush, drawn by lot.
    pub compactors: u32,
    /// From the last batch to the count of the change files.
    pub first_delay: Duration,
    /// From the count to the compaction.
    pub second_delay: Duration,
    /// How much sooner or later each of the two may be.
    pub jitter: Duration,
    /// Up to so many change files need no compaction.
    pub change_files: u64,
    /// How long covered files are kept for slow peers.
    pub grace: Duration,
}

impl Default for AutoCompaction {
    fn default() -> Self {
        Self {
            batches: 50,
            compactors: 10,
            first_delay: Duration::from_mins(10),
            second_delay: Duration::from_mins(15),
            jitter: Duration::from_mins(5),
            change_files: 2,
            grace: Duration::from_hours(24),
        }
    }
}

impl Config {
    /// The defaults, with the store at `store`.
    pub fn new(app_name: impl Into<String>, store: StoreLocation) -> Self {
        Self {
            app_name: app_name.into(),
            store,
            store_encryption: None,
            remote_path: None,
            passphrase: None,
            encrypted: true,
            credentials: None,
            biometrics: None,
            device_id: None,
            device_name: None,
            device_type: None,
            server_managed: false,
            server_id: "server_relay_1".into(),
            schema: None,
            schema_policy: SchemaPolicy::default(),
            merge: MergeStrategy::default(),
            join_existing_mesh_policy: JoinPolicy::default(),
            publish: Publish::default(),
            full_durability: false,
            batch_window: Duration::from_secs(1),
            flush_debounce: Duration::from_secs(2),
            flush_threshold: 50,
            poll_interval: Duration::from_secs(30),
            connect_stage_timeout: Duration::from_secs(15),
            auto_sync: true,
            auto_compact: Some(AutoCompaction::default()),
            file_form: None,
            max_file_bytes: 5_000_000_000,
            file_cache_bytes: 256 * 1024 * 1024,
            replicas: Vec::new(),
            on_connect_stalled: None,
            host: Arc::new(TokioHost),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("app_name", &self.app_name)
            .field("store", &self.store)
            .field("remote_path", &self.remote_path)
            .field("encrypted", &self.encrypted)
            .field("replicas", &self.replicas)
            .field("has_passphrase", &self.passphrase.is_some())
            .finish_non_exhaustive()
    }
}
