//! Plays the steps of devices on the engine, in this process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use interocitor_core::{
    Batch, Compaction, Condition, Config, Connection, Error, Fields, FileForm, Interocitor, MergeStrategy,
    MeshConfig, Name, Passphrase, Query, Row, Schema, StoreLocation, config,
    diagnosis::Finding,
    mailbox::{FolderMailbox, StorageAdapter, WebDavConfig, WebDavMailbox},
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    files,
    format::{self, Action, Direction, Filter, Search, Settings},
    pairings::Pairings,
};

/// What a step answers.
pub(crate) type Outcome = Result<Value, Fault>;

/// The code of what an interpreter did not understand or cannot do: never one of the engine's.
pub(crate) const DRIVER: &str = "DRIVER";

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The engine's stable code, or [`DRIVER`].
    pub(crate) code: String,
    pub(crate) reason: String,
}

impl Fault {
    #[expect(clippy::needless_pass_by_value, reason = "so it goes with map_err")]
    pub(crate) fn driver(reason: impl ToString) -> Self {
        Self { code: DRIVER.into(), reason: reason.to_string() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { code: error.code().as_str().into(), reason: error.to_string() }
    }
}

/// Devices and their handles.
#[derive(Debug, Default)]
pub(crate) struct Interpreter {
    /// A handle stays after its shutdown, since it must answer `SHUT_DOWN`.
    handles: BTreeMap<String, Interocitor>,
    /// Devices that were not shut down.
    open: BTreeSet<String>,
    /// The pairing that a device takes part in.
    pairings: BTreeMap<String, Pairings>,
}

impl Interpreter {
    /// Plays one step of a device.
    pub(crate) async fn play(&mut self, device: &str, action: Action) -> Outcome {
        if let Action::Open { store, mailbox, device_name, settings } = action {
            if self.open.contains(device) {
                return Err(Fault::driver(format!("device {device:?} is open: shut it down first")));
            }
            let db = open(&store, &mailbox, device_name, settings).await?;
            self.handles.insert(device.to_owned(), db);
            self.open.insert(device.to_owned());
            return Ok(Value::Null);
        }
        let db = self
            .handles
            .get(device)
            .ok_or_else(|| Fault::driver(format!("device {device:?} was never opened")))?;
        match action {
            Action::PairShare {}
            | Action::PairJoin {}
            | Action::PairScan { .. }
            | Action::PairCode {}
            | Action::PairComplete { .. }
            | Action::Paired {}
            | Action::PairCancel {} => {
                return self.pairings.entry(device.to_owned()).or_default().play(db, action).await;
            }
            Action::Shutdown {} => {
                self.open.remove(device);
            }
            _ => {}
        }
        step(db, action).await
    }

    /// Shuts down what is still open.
    pub(crate) async fn end(self) -> Result<(), Fault> {
        for db in self.handles.into_values() {
            db.shutdown().await?;
        }
        Ok(())
    }
}

async fn open(
    store: &str,
    mailbox: &str,
    device_name: String,
    settings: Settings,
) -> Result<Interocitor, Fault> {
    let mut config = Config::new("scenarios", StoreLocation::File(store.into()));
    config.auto_sync = false;
    config.device_name = Some(device_name);
    config.device_id = settings.device_id;
    config.remote_path = settings.remote_path;
    config.passphrase = settings.passphrase.map(Passphrase::from);
    config.encrypted = settings.encrypted;
    config.schema = settings.schema.map(|schema| Schema::from_json(&schema.to_string())).transpose()?;
    config.schema_policy = match settings.schema_policy {
        format::SchemaPolicy::Exact => config::SchemaPolicy::Exact,
        format::SchemaPolicy::Migrate => config::SchemaPolicy::Migrate,
    };
    config.merge = match settings.merge_strategy {
        format::MergeStrategy::Lww => MergeStrategy::LastWriterWins,
        format::MergeStrategy::RemoteWins => MergeStrategy::RemoteWins,
        format::MergeStrategy::LocalWins => MergeStrategy::LocalWins,
    };
    config.join_existing_mesh_policy = match settings.join_policy {
        format::JoinPolicy::ResetToRemote => config::JoinPolicy::ResetToRemote,
        format::JoinPolicy::MergeWithRemote => config::JoinPolicy::MergeWithRemote,
    };
    config.publish = match settings.publish {
        format::Publish::FullRows => config::Publish::FullRows,
        format::Publish::ChangedColumns => config::Publish::ChangedColumns,
    };
    config.file_form = settings.file_form.map(|form| match form {
        format::FileForm::Plain => FileForm::Plain,
        format::FileForm::Hashed => FileForm::Hashed,
    });
    let db = Interocitor::open(config).await?;
    let mailbox: Arc<dyn StorageAdapter> = if mailbox.starts_with("http") {
        Arc::new(
            WebDavConfig::new(mailbox)
                .and_then(|config| WebDavMailbox::new(&config))
                .map_err(Fault::driver)?,
        )
    } else {
        Arc::new(FolderMailbox::new(mailbox))
    };
    db.set_remote_storage(Some(mailbox)).await;
    Ok(db)
}

async fn step(db: &Interocitor, action: Action) -> Outcome {
    let done = Ok(Value::Null);
    match action {
        Action::Open { .. } => Err(Fault::driver("open is no step of an open device")),
        Action::Connect {} => online(db.connect().await?),
        Action::Disconnect {} => {
            db.disconnect().await;
            done
        }
        Action::Sync {} => {
            db.sync().await?;
            done
        }
        Action::Pull {} => {
            db.pull().await?;
            done
        }
        Action::Flush {} => {
            db.flush().await?;
            done
        }
        Action::Compact { grace } => match db.compact(Duration::from_secs(grace)).await? {
            Compaction::Written { epoch, rows, covered, deleted } => {
                Ok(json!({ "epoch": epoch, "rows": rows, "covered": covered, "deleted": deleted }))
            }
            _ => done,
        },
        Action::AwaitPublished {} => {
            db.await_published(&db.write_mark()?).await?;
            done
        }
        Action::Shutdown {} => {
            db.shutdown().await?;
            done
        }
        Action::ConfigureMesh { remote_path, passphrase, encrypted } => {
            db.configure_mesh(mesh(remote_path, passphrase, encrypted))?;
            done
        }
        Action::Join { remote_path, passphrase, encrypted } => {
            online(db.join(mesh(remote_path, passphrase, encrypted)).await?)
        }
        Action::RebuildRemote {} => online(db.rebuild_remote().await?),
        Action::Passphrase {} => {
            Ok(db.get_passphrase().map_or(Value::Null, |passphrase| json!(passphrase.expose())))
        }
        Action::SetPassphrase { passphrase } => {
            db.set_passphrase(passphrase)?;
            done
        }
        Action::Add { table, row, prefix } => {
            let table = db.table(table);
            let id = match prefix {
                Some(prefix) => table.add_with_prefix(&prefix, &row).await?,
                None => table.add(&row).await?,
            };
            name(&id)
        }
        Action::Put { table, id, row } => {
            db.table(table).put(id, &row).await?;
            done
        }
        Action::PutText { table, id, text } => {
            db.table(table).put(id, &raw(text)?).await?;
            done
        }
        Action::Patch { table, id, row } => {
            db.table(table).patch(id, &row).await?;
            done
        }
        Action::Replace { table, id, row } => {
            db.table(table).replace(id, &row).await?;
            done
        }
        Action::Delete { table, id } => {
            db.table(table).delete(id).await?;
            done
        }
        Action::Batch { writes } => batch(db, writes).await,
        other => match files::play(db, &other).await {
            Some(outcome) => outcome,
            None => look(db, other).await,
        },
    }
}

/// A step that changes nothing.
async fn look(db: &Interocitor, action: Action) -> Outcome {
    match action {
        Action::Row { table, id } => row(db.table(table).row(id).await?),
        Action::RowText { table, id } => {
            Ok(db.table(table).row(id).await?.map_or(Value::Null, |row| Value::String(row.json)))
        }
        Action::Query(search) => {
            let page = db.query_json(&query(&search)?).await?;
            serde_json::from_slice(&page).map_err(Fault::driver)
        }
        Action::QueryIds(search) => {
            let rows = db.query(&query(&search)?).await?;
            rows.iter().map(|row| name(&row.id)).collect()
        }
        Action::Count(search) => Ok(json!(db.count(&query(&search)?).await?)),
        Action::Tables {} => {
            let mut names = db.table_names().await?;
            names.sort();
            names.iter().map(name).collect()
        }
        Action::Dump {} => {
            let dump: Value = parse(&db.dump().await?)?;
            Ok(json!({ "tables": dump["tables"], "tombstones": dump["tombstones"] }))
        }
        Action::Status {} => {
            let status = db.status().await?;
            Ok(json!({
                "connection": status.connection,
                "encrypted": status.encrypted,
                "member": status.mesh_id.is_some(),
                "pending": status.pending.count,
                "files": status.pending.files,
                "problem": status.problem.map(|problem| problem.code),
                "quarantined": status.quarantined,
            }))
        }
        Action::Quarantine {} => {
            let files = db.quarantined().await?;
            Ok(files.into_iter().map(|file| json!({ "name": file.name, "code": file.code })).collect())
        }
        Action::Devices {} => {
            let mut names: Vec<_> = db.devices().await?.into_iter().map(|device| device.name).collect();
            names.sort();
            Ok(json!(names))
        }
        Action::SeenBy { other } => {
            let devices = db.devices().await?;
            let id = devices.into_iter().find(|device| device.name.as_ref() == Some(&other));
            let id = id.ok_or_else(|| Fault::driver(format!("no device is called {other:?}")))?.device_id;
            Ok(json!(db.seen_by(&id, &db.write_mark()?).await?))
        }
        Action::Doctor { mends } => {
            let findings = db.doctor(mends.unwrap_or(false)).await?.findings;
            let shown = |found: Finding| json!({ "code": found.trouble.code(), "mended": found.is_mended });
            Ok(findings.into_iter().map(shown).collect())
        }
        other => Err(Fault::driver(format!("{other:?} is no step of a device"))),
    }
}

/// Writes together, with the files that belong to them.
async fn batch(db: &Interocitor, writes: Vec<Action>) -> Outcome {
    let mut batch = db.begin_batch()?;
    let mut answers = Vec::new();
    for write in writes {
        answers.push(match write {
            Action::PutFile { path, text, content_type } => {
                let file = db.stage_file(&path, text.into_bytes(), content_type.as_deref()).await?;
                let digest = json!(file.digest());
                batch.put_file(file);
                digest
            }
            row => in_batch(&mut batch, row)?,
        });
    }
    batch.commit().await?;
    Ok(Value::Array(answers))
}

/// A step within a batch.
fn in_batch(batch: &mut Batch, action: Action) -> Outcome {
    match action {
        Action::Add { table, row, prefix } => {
            let mut table = batch.table(table);
            let id = match prefix {
                Some(prefix) => table.add_with_prefix(&prefix, &row)?,
                None => table.add(&row)?,
            };
            return name(&id);
        }
        Action::Put { table, id, row } | Action::Patch { table, id, row } => {
            batch.table(table).put(id, &row)?;
        }
        Action::PutText { table, id, text } => batch.table(table).put(id, &raw(text)?)?,
        Action::Replace { table, id, row } => batch.table(table).replace(id, &row)?,
        Action::Delete { table, id } => batch.table(table).delete(id)?,
        Action::Row { table, id } => return row(batch.table(table).row(id)?),
        other => return Err(Fault::driver(format!("{other:?} is no step of a batch"))),
    }
    Ok(Value::Null)
}

fn mesh(remote_path: String, passphrase: Option<String>, encrypted: bool) -> MeshConfig {
    MeshConfig { remote_path, passphrase: passphrase.map(Passphrase::from), encrypted }
}

/// A connect that ends offline has failed for its reason.
fn online(connection: Connection) -> Outcome {
    match connection {
        Connection::Online => Ok(Value::Null),
        Connection::Offline { error, .. } => Err(error.into()),
        other => Err(Fault::driver(format!("connect ended in {other:?}"))),
    }
}

fn query(search: &Search) -> Result<Query, Fault> {
    let mut query = Query::table(&*search.table).offset(search.offset);
    if let Some(limit) = search.limit {
        query = query.limit(limit);
    }
    for order in &search.order_by {
        let direction = match order.direction {
            Direction::Asc => interocitor_core::Direction::Ascending,
            Direction::Desc => interocitor_core::Direction::Descending,
        };
        query = query.order_by(&*order.field, direction);
    }
    for filter in &search.r#where {
        let (field, condition) = match filter {
            Filter::Equals { field, value } => (field, Condition::Equals(operand(value)?)),
            Filter::Above { field, value } => (field, Condition::Above(operand(value)?)),
            Filter::AboveOrEqual { field, value } => (field, Condition::AboveOrEqual(operand(value)?)),
            Filter::Below { field, value } => (field, Condition::Below(operand(value)?)),
            Filter::BelowOrEqual { field, value } => (field, Condition::BelowOrEqual(operand(value)?)),
            Filter::Between { field, low, high, low_open, high_open } => {
                let (low, high) = (operand(low)?, operand(high)?);
                (field, Condition::Between { low, high, low_open: *low_open, high_open: *high_open })
            }
            Filter::StartsWith { field, value } => (field, Condition::StartsWith(value.clone())),
            Filter::AnyOf { field, values } => {
                (field, Condition::AnyOf(values.iter().map(operand).collect::<Result<_, _>>()?))
            }
        };
        query = query.filter(&**field, condition);
    }
    Ok(query)
}

fn operand(value: &Value) -> Result<interocitor_core::Value, Fault> {
    interocitor_core::Value::parse(&value.to_string()).map_err(Fault::driver)
}

/// A row as it is spelled. What is no JSON object is refused in the engine's words.
fn raw(text: String) -> Result<Box<RawValue>, Fault> {
    Fields::from_json(&text)?;
    RawValue::from_string(text).map_err(Fault::driver)
}

fn row(row: Option<Row>) -> Outcome {
    row.map_or(Ok(Value::Null), |row| parse(&row.json))
}

fn name(name: &Name) -> Outcome {
    parse(&name.to_json())
}

fn parse(json: &str) -> Outcome {
    serde_json::from_str(json).map_err(Fault::driver)
}
