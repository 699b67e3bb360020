//! What a scenario may say; its words are explained in `tests/scenarios/README.md`.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The passphrase of every device that does not say otherwise.
pub(crate) const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it shows.
    pub(crate) about: String,
    /// What not every driver has.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    pub(crate) devices: BTreeMap<String, Settings>,
    pub(crate) steps: Vec<Object>,
}

/// Something that the command line cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Need {
    /// A handle that stays open from one step to the next.
    Handle,
    /// Settings beyond encryption, remote path, schema and device id.
    Options,
    /// Names with a NUL character.
    Nul,
}

impl Scenario {
    /// Reads a text; `name` is for messages.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
        if scenario.about.is_empty() || scenario.steps.is_empty() {
            return Err(format!("{name}: it says nothing: \"about\" and \"steps\" must not be empty"));
        }
        Ok(Self { name: name.to_owned(), ..scenario })
    }

    /// Reads every scenario of a folder, by name.
    pub(crate) fn load_all(folder: &Path) -> Result<Vec<Self>, String> {
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut scenarios = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
                scenarios.push(Self::parse(&name, &text)?);
            }
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scenarios)
    }
}

/// How a device is configured; what a file leaves out is as here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Settings {
    pub(crate) passphrase: Option<String>,
    pub(crate) encrypted: bool,
    pub(crate) remote_path: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) schema: Option<Value>,
    pub(crate) schema_policy: SchemaPolicy,
    pub(crate) merge_strategy: MergeStrategy,
    pub(crate) join_policy: JoinPolicy,
    pub(crate) publish: Publish,
    pub(crate) file_form: Option<FileForm>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            passphrase: Some(PASSPHRASE.into()),
            encrypted: true,
            remote_path: Some("/Mesh".into()),
            device_id: None,
            schema: None,
            schema_policy: SchemaPolicy::Exact,
            merge_strategy: MergeStrategy::Lww,
            join_policy: JoinPolicy::ResetToRemote,
            publish: Publish::FullRows,
            file_form: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SchemaPolicy {
    Exact,
    Migrate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MergeStrategy {
    Lww,
    RemoteWins,
    LocalWins,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JoinPolicy {
    ResetToRemote,
    MergeWithRemote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Publish {
    FullRows,
    ChangedColumns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileForm {
    Plain,
    Hashed,
}

/// What a device does in one step, as an interpreter gets it.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Action {
    Open { store: String, mailbox: String, device_name: String, settings: Settings },
    Connect {},
    Disconnect {},
    Sync {},
    Pull {},
    Flush {},
    Compact { grace: u64 },
    AwaitPublished {},
    SeenBy { other: String },
    Doctor { mends: Option<bool> },
    Shutdown {},
    ConfigureMesh { remote_path: String, passphrase: Option<String>, encrypted: bool },
    Join { remote_path: String, passphrase: Option<String>, encrypted: bool },
    RebuildRemote {},
    Passphrase {},
    SetPassphrase { passphrase: String },
    Add { table: String, row: Value, prefix: Option<String> },
    Put { table: String, id: String, row: Value },
    PutText { table: String, id: String, text: String },
    Patch { table: String, id: String, row: Value },
    Replace { table: String, id: String, row: Value },
    Delete { table: String, id: String },
    Batch { writes: Vec<Action> },
    Row { table: String, id: String },
    RowText { table: String, id: String },
    Query(Search),
    QueryIds(Search),
    Count(Search),
    Tables {},
    Dump {},
    Status {},
    Quarantine {},
    Devices {},
    PutFile { path: String, text: String, content_type: Option<String> },
    GetFile { path: String, digest: Option<String> },
    FileMetadata { path: String },
    DeleteFile { path: String },
    Files { prefix: Option<String> },
    Transfers {},
    SyncFiles {},
    PinFile { path: String },
    UnpinFile { path: String },
    EvictFile { path: String },
    PauseFile { path: String },
    ResumeFile { path: String },
    CancelFile { path: String },
    PairShare {},
    PairJoin {},
    PairScan { payload: String },
    PairCode {},
    PairComplete { code: String },
    Paired {},
    PairCancel {},
}

/// What to look for in a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) table: String,
    #[serde(default)]
    pub(crate) r#where: Vec<Filter>,
    #[serde(default)]
    pub(crate) order_by: Vec<Order>,
    pub(crate) limit: Option<u64>,
    #[serde(default)]
    pub(crate) offset: u64,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Filter {
    Equals {
        field: String,
        value: Value,
    },
    Above {
        field: String,
        value: Value,
    },
    AboveOrEqual {
        field: String,
        value: Value,
    },
    Below {
        field: String,
        value: Value,
    },
    BelowOrEqual {
        field: String,
        value: Value,
    },
    Between {
        field: String,
        low: Value,
        high: Value,
        #[serde(default)]
        low_open: bool,
        #[serde(default)]
        high_open: bool,
    },
    StartsWith {
        field: String,
        value: String,
    },
    AnyOf {
        field: String,
        values: Vec<Value>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    Asc,
    Desc,
}

/// What happens around the devices; the runner does it.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Scene {
    Wait { ms: u64 },
    Agree { devices: Vec<String> },
    WriteFile { path: String, text: String },
    MoveFile { from: String, to: String },
    ListFiles { path: String },
    DamageChanges {},
    RepairChanges {},
    Unplug {},
    Plug {},
}

/// Whether a step answers something that has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    Required,
    Allowed,
    Refused,
}

impl Action {
    /// Whether the step must say what it expects.
    pub(crate) fn expectation(&self) -> Expectation {
        match self {
            Action::Row { .. }
            | Action::RowText { .. }
            | Action::Query(_)
            | Action::QueryIds(_)
            | Action::Count(_)
            | Action::Tables {}
            | Action::Dump {}
            | Action::Status {}
            | Action::Quarantine {}
            | Action::Devices {}
            | Action::SeenBy { .. }
            | Action::Doctor { .. }
            | Action::GetFile { .. }
            | Action::FileMetadata { .. }
            | Action::Files { .. }
            | Action::Transfers {}
            | Action::SyncFiles {}
            | Action::Paired {}
            | Action::Compact { .. } => Expectation::Required,
            Action::Batch { .. } => Expectation::Allowed,
            _ => Expectation::Refused,
        }
    }

    /// Whether only those members of the answer are compared that the step names.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self, Action::Status {} | Action::Compact { .. } | Action::FileMetadata { .. })
    }

    /// Whether the answer may be kept under a name.
    pub(crate) fn can_be_kept(&self) -> bool {
        matches!(
            self,
            Action::Add { .. }
                | Action::Passphrase {}
                | Action::PutFile { .. }
                | Action::PairShare {}
                | Action::PairJoin {}
                | Action::PairCode {}
        )
    }
}
