//! Runs a scenario: deals its devices to players, does what happens around them, checks every step.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::Cli,
    driver::Program,
    format::{Action, Expectation, Object, Scenario, Scene, Settings},
    interpreter::{DRIVER, Fault, Interpreter, Outcome},
};

/// The address of a WebDAV server that serves the folder for temporary files: scenarios then run over it.
const WEBDAV: &str = "SCENARIOS_WEBDAV";

/// Who plays devices.
#[derive(Debug)]
pub(crate) enum Player {
    /// The engine in this process.
    Here(Interpreter),
    /// A driver in another one.
    There(Program),
    /// The command line.
    Cli(Cli),
}

impl Player {
    async fn play(&mut self, device: &str, step: Object) -> Outcome {
        let action: Action = serde_json::from_value(Value::Object(step.clone())).map_err(Fault::driver)?;
        match self {
            Player::Here(interpreter) => interpreter.play(device, action).await,
            Player::There(program) => program.play(device, step),
            Player::Cli(cli) => cli.play(device, action),
        }
    }
}

/// Runs a scenario. Its devices are dealt to the players in turn, the first to player `first`, and shut
/// down at the end.
pub(crate) async fn run(scenario: &Scenario, players: &mut [Player], first: usize) -> Result<(), String> {
    let mut stage = Stage::new(scenario, players, first)?;
    for (number, step) in (1..).zip(&scenario.steps) {
        stage.step(step).await.map_err(|what| {
            format!("{}, step {number}: {what}\n    {}", scenario.name, Value::from(step.clone()))
        })?;
    }
    for device in std::mem::take(&mut stage.open) {
        stage
            .ask(&device, "shutdown")
            .await
            .map_err(|what| format!("{}, at the end: {what}", scenario.name))?;
    }
    Ok(())
}

struct Stage<'a> {
    folder: TempDir,
    /// The mailbox as devices reach it: its path, or its address on the server.
    address: String,
    players: &'a mut [Player],
    /// Who plays which device, and its settings as a file would have them.
    devices: BTreeMap<String, (usize, Object)>,
    /// Devices that are to be shut down.
    open: BTreeSet<String>,
    /// Answers that later steps name.
    kept: BTreeMap<String, Value>,
    /// Change files that were damaged, with what was in them.
    damaged: Vec<(PathBuf, Vec<u8>)>,
}

impl<'a> Stage<'a> {
    fn new(scenario: &Scenario, players: &'a mut [Player], first: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        std::fs::create_dir(folder.path().join("mailbox")).map_err(|error| error.to_string())?;
        let address = match (std::env::var(WEBDAV), folder.path().file_name()) {
            (Ok(server), Some(name)) => format!("{server}/{}/mailbox", name.to_string_lossy()),
            _ => folder.path().join("mailbox").display().to_string(),
        };
        let mut devices = BTreeMap::new();
        for (at, (name, settings)) in scenario.devices.iter().enumerate() {
            let Ok(Value::Object(settings)) = serde_json::to_value(settings) else {
                return Err(format!("{name}: settings that are no object"));
            };
            devices.insert(name.clone(), ((at + first) % players.len(), settings));
        }
        let (open, kept, damaged) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Ok(Self { folder, address, players, devices, open, kept, damaged })
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("mailbox")
    }

    /// A path in the mailbox, as a scenario writes it.
    fn path(&self, path: &str) -> Result<PathBuf, String> {
        let inner = path.strip_prefix('/').ok_or("a path in the mailbox begins with /")?;
        Ok(self.mailbox().join(inner))
    }

    async fn step(&mut self, step: &Object) -> Result<(), String> {
        let mut step = step.clone();
        let check = Check::take(&mut step)?;
        let Some(device) = step.remove("device") else {
            let scene: Scene =
                serde_json::from_value(Value::Object(step)).map_err(|error| error.to_string())?;
            check.must_fit(if matches!(scene, Scene::ListFiles { .. }) {
                Expectation::Required
            } else {
                Expectation::Refused
            })?;
            if check.error.is_some() || check.keep.is_some() {
                return Err("only a step of a device can fail or be kept".into());
            }
            let answer = self.scene(scene).await?;
            return check.answer(&answer, false);
        };
        let device = device.as_str().ok_or("\"device\" is a name")?.to_owned();
        self.fill_in(&device, &mut step)?;
        let action: Action =
            serde_json::from_value(Value::Object(step.clone())).map_err(|error| error.to_string())?;
        check.must_fit(action.expectation())?;
        if check.keep.is_some() && !action.can_be_kept() {
            return Err(
                "its answer cannot be kept: only add, passphrase, putFile and the begin of a pairing take \"as\""
                    .into(),
            );
        }
        let outcome = self.play(&device, step).await;
        let answer = match (outcome, &check.error) {
            (Err(Fault { code, reason }), Some(wanted)) if code == *wanted && code != DRIVER => {
                return if reason.is_empty() { Err("its error has no reason".into()) } else { Ok(()) };
            }
            (Err(Fault { code, reason }), _) => return Err(format!("it failed with {code}: {reason}")),
            (Ok(answer), Some(wanted)) => return Err(format!("it gave {answer}, not the error {wanted}")),
            (Ok(answer), None) => answer,
        };
        if let Action::Open { .. } = &action {
            self.open.insert(device);
        } else if let Action::Shutdown {} = &action {
            self.open.remove(&device);
        }
        if let Action::Add { prefix, .. } = &action {
            let start = prefix.as_ref().map_or_else(String::new, |prefix| format!("{prefix}_"));
            if !answer.as_str().is_some_and(|id| id.len() > start.len() && id.starts_with(&start)) {
                return Err(format!("{answer} is no id that begins with {start:?}"));
            }
        }
        check.answer(&answer, action.is_partial())?;
        if let Some(name) = check.keep
            && self.kept.insert(name, answer).is_some()
        {
            return Err("something is kept under this name already".into());
        }
        Ok(())
    }

    /// Makes of a step in a file what an interpreter gets.
    fn fill_in(&mut self, device: &str, step: &mut Object) -> Result<(), String> {
        let folder = self.folder.path().to_owned();
        for argument in ["id", "passphrase", "digest", "payload", "code"] {
            let Some(name) = step.remove(&format!("{argument}Of")) else { continue };
            let kept = name.as_str().and_then(|name| self.kept.get(name));
            let value = kept.ok_or_else(|| format!("nothing was kept as {name}"))?;
            if step.insert(argument.into(), value.clone()).is_some() {
                return Err(format!("{argument} is given twice"));
            }
        }
        let (_, settings) = self.devices.get_mut(device).ok_or(format!("no device is called {device:?}"))?;
        if step.get("do").is_some_and(|what| what == "open") {
            match step.remove("with") {
                None => {}
                Some(Value::Object(changes)) => settings.extend(changes),
                Some(_) => return Err("\"with\" is an object of settings".into()),
            }
            let whole: Settings = serde_json::from_value(Value::Object(settings.clone()))
                .map_err(|error| format!("its settings: {error}"))?;
            for (name, value) in [
                ("store", json!(folder.join(format!("{device}.db")))),
                ("mailbox", json!(self.address)),
                ("deviceName", json!(device)),
                ("settings", json!(whole)),
            ] {
                if step.insert(name.into(), value).is_some() {
                    return Err(format!("{name} is the runner's to give"));
                }
            }
        }
        Ok(())
    }

    async fn play(&mut self, device: &str, step: Object) -> Outcome {
        let (player, _) = self
            .devices
            .get(device)
            .ok_or_else(|| Fault::driver(format!("no device is called {device:?}")))?;
        self.players[*player].play(device, step).await
    }

    /// Plays a step without arguments that no scenario asked for.
    async fn ask(&mut self, device: &str, what: &str) -> Result<Value, String> {
        let step = Object::from_iter([("do".to_owned(), json!(what))]);
        self.play(device, step).await.map_err(|fault| format!("{device}: {}: {}", fault.code, fault.reason))
    }

    async fn scene(&mut self, scene: Scene) -> Result<Value, String> {
        match scene {
            Scene::Wait { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Scene::Agree { devices } => {
                let [first, others @ ..] = &*devices else { return Err("it names no devices".into()) };
                let wanted = self.ask(first, "dump").await?;
                for other in others {
                    same(&self.ask(other, "dump").await?, &wanted, &format!("{first} and {other} differ: "))?;
                }
                return if others.is_empty() {
                    Err("one device always agrees".into())
                } else {
                    Ok(Value::Null)
                };
            }
            Scene::WriteFile { path, text } => {
                let path = self.path(&path)?;
                let folder = path.parent().unwrap_or(&path);
                std::fs::create_dir_all(folder)
                    .and_then(|()| std::fs::write(&path, text))
                    .map_err(|error| error.to_string())?;
            }
            Scene::MoveFile { from, to } => {
                std::fs::rename(self.path(&from)?, self.path(&to)?).map_err(|error| error.to_string())?;
            }
            Scene::ListFiles { path } => return names(&self.path(&path)?),
            Scene::DamageChanges {} => return self.damage_changes(),
            Scene::RepairChanges {} => {
                if self.damaged.is_empty() {
                    return Err("nothing is damaged".into());
                }
                for (path, body) in self.damaged.drain(..) {
                    std::fs::write(path, body).map_err(|error| error.to_string())?;
                }
            }
            Scene::Unplug {} => self.rename("mailbox", "unplugged")?,
            Scene::Plug {} => self.rename("unplugged", "mailbox")?,
        }
        Ok(Value::Null)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        let folder = self.folder.path();
        std::fs::rename(folder.join(from), folder.join(to)).map_err(|error| error.to_string())
    }

    /// Cuts every change file in half.
    fn damage_changes(&mut self) -> Result<Value, String> {
        let folder = self.path("/Mesh/changes")?;
        let Value::Array(files) = names(&folder)? else { return Err("there are no changes".into()) };
        let changes = files.iter().filter_map(Value::as_str).filter(|name| name.contains("-chg_"));
        for path in changes.map(|name| folder.join(name)) {
            let body = std::fs::read(&path).map_err(|error| error.to_string())?;
            std::fs::write(&path, &body[..body.len() / 2]).map_err(|error| error.to_string())?;
            self.damaged.push((path, body));
        }
        if self.damaged.is_empty() { Err("there are no changes".into()) } else { Ok(Value::Null) }
    }
}

/// What WebDAV keeps beside a file for its content type: not part of a mailbox that scenarios look at.
const SIDECAR: &str = ".interocitor-meta.json";

/// The sorted names in a folder; null where there is none.
fn names(folder: &Path) -> Result<Value, String> {
    if !folder.is_dir() {
        return Ok(Value::Null);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(SIDECAR) {
            names.push(name);
        }
    }
    names.sort();
    Ok(json!(names))
}

/// What a step says about its outcome.
struct Check {
    expect: Option<Value>,
    error: Option<String>,
    keep: Option<String>,
}

impl Check {
    /// Takes the words of the runner out of a step.
    fn take(step: &mut Object) -> Result<Self, String> {
        let mut text = |key: &str| match step.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{key:?} is a text")),
        };
        let (error, keep, _why) = (text("error")?, text("as")?, text("why")?);
        Ok(Self { expect: step.remove("expect"), error, keep })
    }

    fn must_fit(&self, expectation: Expectation) -> Result<(), String> {
        match (expectation, &self.expect, &self.error) {
            (_, Some(_), Some(_)) => Err("it cannot both fail and answer".into()),
            (Expectation::Required, None, None) => Err("it must say what it expects".into()),
            (Expectation::Refused, Some(_), _) => Err("it answers nothing: it cannot expect".into()),
            _ => Ok(()),
        }
    }

    /// Compares an answer; `is_partial`: only the members that are named.
    fn answer(&self, answer: &Value, is_partial: bool) -> Result<(), String> {
        let Some(wanted) = &self.expect else { return Ok(()) };
        match (answer, wanted) {
            (Value::Object(answer), Value::Object(wanted)) if is_partial => {
                for (name, wanted) in wanted {
                    let got = answer.get(name).ok_or_else(|| format!("it does not answer {name:?}"))?;
                    same(got, wanted, &format!(".{name}"))?;
                }
                Ok(())
            }
            _ => same(answer, wanted, ""),
        }
    }
}

/// Compares JSON by what it means: numbers as doubles, objects whatever their order. Says where it differs.
pub(crate) fn same(got: &Value, wanted: &Value, place: &str) -> Result<(), String> {
    let are_same = match (got, wanted) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            for (name, wanted) in b {
                let got = a.get(name).ok_or_else(|| format!("{place}: there is no {name:?}"))?;
                same(got, wanted, &format!("{place}.{name}"))?;
            }
            true
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (got, wanted)) in a.iter().zip(b).enumerate() {
                same(got, wanted, &format!("{place}[{at}]"))?;
            }
            true
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => got == wanted,
    };
    if are_same { Ok(()) } else { Err(format!("{place}: it gave {got}, expected was {wanted}")) }
}
