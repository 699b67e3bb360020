//! Plays devices through the command line: every step is one run of the binary.

use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    format::{Action, Direction, Filter, Search, Settings},
    interpreter::{Fault, Outcome},
};

/// The binary, and what its devices were told so far.
#[derive(Debug)]
pub(crate) struct Cli {
    binary: PathBuf,
    devices: BTreeMap<String, Device>,
}

#[derive(Debug)]
struct Device {
    store: String,
    mailbox: String,
    name: String,
    settings: Settings,
}

/// Arguments that grow.
type Arguments = Vec<String>;

fn arguments(words: &[&str]) -> Arguments {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Cli {
    pub(crate) fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), devices: BTreeMap::new() }
    }

    /// Plays one step.
    pub(crate) fn play(&mut self, device: &str, action: Action) -> Outcome {
        if let Action::Open { store, mailbox, device_name, settings } = action {
            if let Some(schema) = &settings.schema {
                save(&format!("{store}.schema"), &schema.to_string())?;
            }
            let opened = Device { store, mailbox, name: device_name, settings };
            // A verb that looks at the store opens it.
            let outcome = opened.run(&self.binary, arguments(&["status"]), None).map(|_| Value::Null);
            self.devices.insert(device.to_owned(), opened);
            return outcome;
        }
        let device = self
            .devices
            .get_mut(device)
            .ok_or_else(|| Fault::driver(format!("device {device:?} is not open")))?;
        device.play(&self.binary, action)
    }
}

impl Device {
    fn play(&mut self, binary: &PathBuf, action: Action) -> Outcome {
        let run = |words: &[&str]| self.run(binary, arguments(words), None);
        let write =
            |words: &[&str], row: &str| self.run(binary, arguments(words), Some(row)).map(|_| Value::Null);
        match action {
            // Every run lets go of mailbox and store by itself.
            Action::Disconnect {} | Action::Shutdown {} => Ok(Value::Null),
            Action::Connect {} => self.exchange(binary, &["connect"]).map(|_| Value::Null),
            Action::Sync {} => self.exchange(binary, &["sync"]).map(|_| Value::Null),
            Action::Pull {} => self.exchange(binary, &["pull"]).map(|_| Value::Null),
            Action::Flush {} => self.exchange(binary, &["flush"]).map(|_| Value::Null),
            Action::Compact { grace } => self.exchange(binary, &["compact", "--grace", &grace.to_string()]),
            Action::ConfigureMesh { remote_path, passphrase, encrypted } => {
                self.settings.remote_path = Some(remote_path);
                self.settings.passphrase = passphrase;
                self.settings.encrypted = encrypted;
                Ok(Value::Null)
            }
            Action::SetPassphrase { passphrase } => {
                self.settings.passphrase = Some(passphrase);
                self.settings.encrypted = true;
                Ok(Value::Null)
            }
            Action::Passphrase {} => match std::fs::read(format!("{}.credentials", self.store)) {
                Ok(saved) => {
                    let saved: Value = serde_json::from_slice(&saved).map_err(Fault::driver)?;
                    Ok(saved["passphrase"].clone())
                }
                Err(_) => Ok(Value::Null),
            },
            Action::Add { table, row, prefix } => {
                let prefix = prefix.map(|prefix| ["--prefix".to_owned(), prefix]);
                let mut words = arguments(&["add"]);
                words.extend(prefix.into_iter().flatten());
                words.extend(arguments(&["--", &table, "-"]));
                Ok(self.run(binary, words, Some(&row.to_string()))?["id"].clone())
            }
            Action::Put { table, id, row } => write(&["put", "--", &table, &id, "-"], &row.to_string()),
            Action::PutText { table, id, text } => write(&["put", "--", &table, &id, "-"], &text),
            Action::Patch { table, id, row } => write(&["patch", "--", &table, &id, "-"], &row.to_string()),
            Action::Replace { table, id, row } => {
                write(&["replace", "--", &table, &id, "-"], &row.to_string())
            }
            Action::Delete { table, id } => run(&["delete", "--", &table, &id]).map(|_| Value::Null),
            Action::Batch { writes } => {
                let lines = writes.iter().map(batch_line).collect::<Result<Vec<_>, _>>()?;
                let done = self.run(binary, arguments(&["batch", "-"]), Some(&lines.concat()))?;
                let mut added = done["added"].as_array().into_iter().flatten();
                let answer = |write: &Action| match write {
                    Action::Add { .. } => added.next().cloned(),
                    _ => None,
                };
                Ok(json!(writes.iter().map(answer).collect::<Vec<_>>()))
            }
            Action::Row { table, id } => run(&["row", "--", &table, &id]),
            Action::RowText { table, id } => {
                let text = self.text(binary, arguments(&["row", "--", &table, &id]), None)?;
                let text = text.trim_end_matches('\n');
                Ok(if text == "null" { Value::Null } else { text.into() })
            }
            Action::Query(search) => self.run(binary, query(&search), None),
            Action::QueryIds(search) => {
                let rows = self.run(binary, query(&search), None)?;
                Ok(rows.as_array().into_iter().flatten().map(|row| row["id"].clone()).collect())
            }
            Action::Count(search) => {
                let rows = self.run(binary, query(&search), None)?;
                Ok(json!(rows.as_array().map(Vec::len)))
            }
            Action::Tables {} => run(&["tables"]),
            other => self.look(binary, &other),
        }
    }

    /// A step that tells how things stand.
    fn look(&self, binary: &PathBuf, action: &Action) -> Outcome {
        let run = |words: &[&str]| self.run(binary, arguments(words), None);
        match action {
            Action::Dump {} => {
                let dump = run(&["dump"])?;
                Ok(json!({ "tables": dump["tables"], "tombstones": dump["tombstones"] }))
            }
            Action::Status {} => {
                let status = run(&["status"])?;
                Ok(json!({
                    "connection": status["connection"],
                    "encrypted": status["encrypted"],
                    "member": !status["meshId"].is_null(),
                    "pending": status["pending"]["count"],
                    "files": status["pending"]["files"],
                    "problem": status["problem"]["code"],
                    "quarantined": status["quarantined"],
                }))
            }
            Action::Quarantine {} => {
                let files = run(&["quarantine", "list"])?;
                let shown = |file: &Value| json!({ "name": file["name"], "code": file["code"] });
                Ok(files.as_array().into_iter().flatten().map(shown).collect())
            }
            Action::Devices {} => {
                let devices = self.exchange(binary, &["devices"])?;
                let mut names: Vec<_> =
                    devices.as_array().into_iter().flatten().map(|device| device["name"].as_str()).collect();
                names.sort_unstable();
                Ok(json!(names))
            }
            Action::Doctor { mends } => {
                let verb: &[&str] = if *mends == Some(true) { &["doctor", "--fix"] } else { &["doctor"] };
                let diagnosis = self.exchange(binary, verb)?;
                let shown = |found: &Value| json!({ "code": found["code"], "mended": found["mended"] });
                Ok(diagnosis["findings"].as_array().into_iter().flatten().map(shown).collect())
            }
            _ => self.file(binary, action),
        }
    }

    /// A step about durable files.
    fn file(&self, binary: &PathBuf, action: &Action) -> Outcome {
        let run = |words: &[&str]| self.run(binary, arguments(words), None);
        match action {
            Action::PutFile { path, text, content_type } => {
                let source = format!("{}.source", self.store);
                save(&source, text)?;
                let mut words = arguments(&["file", "put"]);
                words
                    .extend(content_type.iter().flat_map(|kind| ["--content-type".to_owned(), kind.clone()]));
                words.extend(arguments(&["--", path, &source]));
                Ok(self.run(binary, words, None)?["digest"].clone())
            }
            Action::GetFile { path, digest } => {
                let target = format!("{}.target", self.store);
                let mut words = arguments(&["file", "get"]);
                words.extend(digest.iter().flat_map(|digest| ["--digest".to_owned(), digest.clone()]));
                words.extend(arguments(&["--", path, &target]));
                self.run(binary, words, None)?;
                std::fs::read_to_string(&target).map(Value::from).map_err(Fault::driver)
            }
            Action::FileMetadata { path } => {
                let file = run(&["file", "meta", "--", path])?;
                let told = |file: &Value| json!({ "size": file["size"], "digest": file["digest"], "contentType": file["contentType"] });
                Ok(if file.is_null() { Value::Null } else { told(&file) })
            }
            Action::DeleteFile { path } => run(&["file", "rm", "--", path]).map(|_| Value::Null),
            Action::Files { prefix } => {
                let listing = run(&["file", "list", "--", prefix.as_deref().unwrap_or_default()])?;
                let paths: Vec<_> =
                    listing["files"].as_array().into_iter().flatten().map(|file| &file["path"]).collect();
                Ok(json!({ "paths": paths, "unnamed": listing["unnamed"] }))
            }
            _ => Err(Fault::driver("the command line cannot do this: declare what the scenario needs")),
        }
    }

    /// Runs a verb that uses the mailbox.
    fn exchange(&self, binary: &PathBuf, verb: &[&str]) -> Outcome {
        let Settings { remote_path, passphrase, encrypted, .. } = &self.settings;
        let mut words = arguments(verb);
        if let Some(remote_path) = remote_path {
            let kind = if self.mailbox.starts_with("http") { "webdav+" } else { "folder:" };
            words.extend(["--mailbox".into(), format!("{kind}{}", self.mailbox)]);
            words.extend(["--remote-path".into(), remote_path.clone()]);
        }
        if !encrypted {
            words.push("--plaintext".into());
        } else if let Some(passphrase) = passphrase {
            let file = format!("{}.passphrase", self.store);
            save(&file, passphrase)?;
            words.extend(["--passphrase-file".into(), file]);
        }
        self.run(binary, words, None)
    }

    /// Runs the binary; gives its answer.
    fn run(&self, binary: &PathBuf, words: Arguments, input: Option<&str>) -> Outcome {
        let text = self.text(binary, words, input)?;
        serde_json::from_str(&text).map_err(|error| Fault::driver(format!("{error}: {text}")))
    }

    /// Runs the binary; gives what it printed.
    fn text(&self, binary: &PathBuf, words: Arguments, input: Option<&str>) -> Result<String, Fault> {
        let mut command = Command::new(binary);
        command.args(["--json", "--store", &self.store, "--device-name", &self.name]);
        if let Some(id) = &self.settings.device_id {
            command.args(["--device-id", id]);
        }
        if self.settings.schema.is_some() {
            command.args(["--schema", &format!("{}.schema", self.store)]);
        }
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Fault::driver(format!("{command:?}: {error}")))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // A verb that refuses its other arguments does not read.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(Fault::driver)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(Fault::driver);
        }
        let told = errors.lines().find_map(|line| line.strip_prefix("error[")?.split_once("]: "));
        Err(match told {
            Some((code, reason)) if output.status.code() == Some(1) => {
                Fault { code: code.into(), reason: reason.into() }
            }
            _ => Fault::driver(format!("{command:?}: {}: {errors}", output.status)),
        })
    }
}

fn save(file: &str, text: &str) -> Result<(), Fault> {
    std::fs::write(file, text).map_err(|error| Fault::driver(format!("{file}: {error}")))
}

/// A write as one line of a batch file.
fn batch_line(write: &Action) -> Result<String, Fault> {
    let line = match write {
        Action::Add { table, row, prefix: None } => json!({ "op": "add", "table": table, "row": row }),
        Action::Add { table, row, prefix } => {
            json!({ "op": "add", "table": table, "row": row, "prefix": prefix })
        }
        Action::Put { table, id, row } => json!({ "op": "put", "table": table, "id": id, "row": row }),
        Action::Patch { table, id, row } => json!({ "op": "patch", "table": table, "id": id, "row": row }),
        Action::Replace { table, id, row } => {
            json!({ "op": "replace", "table": table, "id": id, "row": row })
        }
        Action::Delete { table, id } => json!({ "op": "delete", "table": table, "id": id }),
        other => return Err(Fault::driver(format!("a batch file cannot say {other:?}"))),
    };
    Ok(format!("{line}\n"))
}

fn query(search: &Search) -> Arguments {
    let mut words = arguments(&["query"]);
    let mut condition = |field: &str, operator: &str, operand: Value| {
        words.extend(arguments(&["--where", field, operator, &operand.to_string()]));
    };
    for filter in &search.r#where {
        match filter {
            Filter::Equals { field, value } => condition(field, "equals", value.clone()),
            Filter::Above { field, value } => condition(field, "above", value.clone()),
            Filter::AboveOrEqual { field, value } => condition(field, "above-or-equal", value.clone()),
            Filter::Below { field, value } => condition(field, "below", value.clone()),
            Filter::BelowOrEqual { field, value } => condition(field, "below-or-equal", value.clone()),
            Filter::Between { field, low, high, low_open: false, high_open: false } => {
                condition(field, "between", json!([low, high]));
            }
            // Open ends are said in two conditions.
            Filter::Between { field, low, high, low_open, high_open } => {
                condition(field, if *low_open { "above" } else { "above-or-equal" }, low.clone());
                condition(field, if *high_open { "below" } else { "below-or-equal" }, high.clone());
            }
            Filter::StartsWith { field, value } => condition(field, "starts-with", json!(value)),
            Filter::AnyOf { field, values } => condition(field, "any-of", json!(values)),
        }
    }
    for order in &search.order_by {
        let direction = if order.direction == Direction::Desc { "desc" } else { "asc" };
        words.extend(["--order-by".into(), format!("{}:{direction}", order.field)]);
    }
    if let Some(limit) = search.limit {
        words.extend(["--limit".into(), limit.to_string()]);
    }
    words.extend(["--offset".into(), search.offset.to_string(), "--".into(), search.table.clone()]);
    words
}
