//! The scenarios that every language runs: `tests/scenarios`, where the README explains the format.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "scenarios/cli.rs"]
mod cli;
#[path = "scenarios/driver.rs"]
mod driver;
#[path = "scenarios/files.rs"]
mod files;
#[path = "scenarios/format.rs"]
mod format;
#[path = "scenarios/interpreter.rs"]
mod interpreter;
#[path = "scenarios/pairings.rs"]
mod pairings;
#[path = "scenarios/runner.rs"]
mod runner;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cli::Cli;
use driver::{IS_DRIVER, Program};
use format::Scenario;
use interpreter::Interpreter;
use runner::{Player, run};

/// Names the drivers of a mixed run: `{"swift":["program","argument"],"kotlin":[…],"cli":["binary"]}`.
const DRIVERS: &str = "INTEROCITOR_DRIVERS";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios"))
}

fn scenarios() -> Vec<Scenario> {
    let scenarios = Scenario::load_all(&folder()).unwrap();
    assert!(scenarios.len() >= 25, "scenarios are missing: {}", scenarios.len());
    scenarios
}

/// Threads that run scenarios: they mostly wait for the disk, which takes many syncs at once.
const THREADS: usize = 8;

/// Runs `play` on every job; fails with everything that went wrong, not only the first.
fn run_all<J: Sync>(jobs: &[J], play: impl AsyncFn(&J) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = runtime.block_on(play(job)) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} failed:\n\n{}", failures.len(), jobs.len(), failures.join("\n\n"));
}

#[test]
fn every_scenario_in_this_process() {
    run_all(&scenarios(), async |scenario| {
        run(scenario, &mut [Player::Here(Interpreter::default())], 0).await
    });
}

/// Each device in a process of its own, behind the protocol that Swift and Kotlin speak.
#[test]
fn every_scenario_over_the_line_protocol() {
    let this = std::env::current_exe().unwrap().display().to_string();
    let command = [&this, "driver", "--exact", "--ignored", "--nocapture", "--quiet"].map(str::to_owned);
    let drivers = Drivers::new(["one", "two"].map(|name| (name.to_owned(), command.to_vec())).into());
    run_all(&scenarios(), async |scenario| drivers.run(scenario, 0).await);
    drivers.end().unwrap();
}

// A thread more than the one that reads: a pairing goes on between two steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a program for other processes: reads steps from its standard input"]
async fn driver() {
    assert!(std::env::var_os(IS_DRIVER).is_some(), "only a runner starts this");
    driver::serve(std::io::stdin().lock(), std::io::stdout()).await.unwrap();
}

/// Every device of every scenario in every language.
#[test]
#[ignore = "needs the drivers of: bash tests/run.sh mixed"]
fn mixed() {
    let named = std::env::var(DRIVERS).unwrap_or_else(|_| panic!("{DRIVERS} names no drivers"));
    let drivers = Drivers::new(serde_json::from_str(&named).unwrap());
    assert!(drivers.commands.len() >= 2, "{DRIVERS}: one driver alone mixes nothing");
    let scenarios = scenarios();
    let turns = |scenario| (0..drivers.able(scenario).len()).map(move |first| (scenario, first));
    let jobs: Vec<_> = scenarios.iter().flat_map(turns).collect();
    run_all(&jobs, async |(scenario, first)| drivers.run(scenario, *first).await);
    drivers.end().unwrap();
}

/// The command of each driver, and those that wait for their next scenario.
struct Drivers {
    commands: BTreeMap<String, Vec<String>>,
    idle: Mutex<Vec<Program>>,
}

impl Drivers {
    fn new(commands: BTreeMap<String, Vec<String>>) -> Self {
        Self { commands, idle: Mutex::default() }
    }

    /// Who can play a scenario: all, but the command line only where nothing special is needed.
    fn able(&self, scenario: &Scenario) -> Vec<(&String, &Vec<String>)> {
        let able: Vec<_> =
            self.commands.iter().filter(|(name, _)| *name != "cli" || scenario.needs.is_empty()).collect();
        assert!(!able.is_empty(), "{}: no driver has what it needs: {:?}", scenario.name, scenario.needs);
        able
    }

    async fn run(&self, scenario: &Scenario, first: usize) -> Result<(), String> {
        let mut players = Vec::new();
        let able = self.able(scenario);
        for (name, command) in &able {
            players.push(match (name.as_str(), &command[..]) {
                ("cli", [binary]) => Player::Cli(Cli::new(binary)),
                ("cli", _) => return Err("the driver \"cli\" is the path of the binary alone".into()),
                _ => Player::There(self.program(name, command)?),
            });
        }
        let names: Vec<&String> = able.iter().map(|(name, _)| *name).collect();
        // After a failure nobody knows what state they are in: they are ended.
        run(scenario, &mut players, first)
            .await
            .map_err(|what| format!("[{names:?} from {first}] {what}"))?;
        self.idle.lock().unwrap().extend(players.into_iter().filter_map(|player| match player {
            Player::There(program) => Some(program),
            _ => None,
        }));
        Ok(())
    }

    fn program(&self, name: &str, command: &[String]) -> Result<Program, String> {
        let mut idle = self.idle.lock().unwrap();
        match idle.iter().position(|program| program.name == name) {
            Some(at) => Ok(idle.swap_remove(at)),
            None => Program::start(name, command),
        }
    }

    fn end(self) -> Result<(), String> {
        self.idle.into_inner().unwrap().into_iter().try_for_each(Program::end)
    }
}

#[tokio::test]
async fn the_readme_is_right_and_explains_every_word() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let example = readme.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let example = Scenario::parse("README", example).unwrap();
    run(&example, &mut [Player::Here(Interpreter::default())], 0).await.unwrap();
    let mut said = BTreeSet::new();
    for scenario in scenarios() {
        for step in &scenario.steps {
            said.extend(step["do"].as_str().map(str::to_owned));
            said.extend(step.keys().cloned());
        }
    }
    let missing: Vec<String> =
        said.into_iter().filter(|word| !readme.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "the README does not explain {missing:?}");
}

/// Runs steps after `a` and `b` were opened.
async fn fails(steps: &str) -> String {
    let text = format!(
        r#"{{"about":"x","devices":{{"a":{{}},"b":{{}}}},"steps":[
            {{"device":"a","do":"open"}},{{"device":"b","do":"open"}},{steps}]}}"#
    );
    let scenario = Scenario::parse("wrong", &text).unwrap();
    let outcome = run(&scenario, &mut [Player::Here(Interpreter::default())], 0).await;
    outcome.expect_err(&format!("this must fail: {steps}"))
}

#[tokio::test]
async fn a_scenario_that_is_not_true_fails() {
    let put = |row: &str, more: &str| {
        format!(r#"{{"device":"a","do":"put","table":"t","id":"r","row":{row}{more}}}"#)
    };
    let row = |more: &str| format!(r#"{{"device":"a","do":"row","table":"t","id":"r"{more}}}"#);
    for (stored, expect, wanted) in [
        (r#"{"v":1}"#, r#"{"v":2}"#, ".v: it gave 1, expected was 2"),
        (r#"{"v":1}"#, r#"{"v":"1"}"#, ".v: it gave 1"),
        (r#"{"v":1}"#, r#"{"v":true}"#, ".v: it gave 1"),
        (r#"{"v":[1,2]}"#, r#"{"v":[2,1]}"#, ".v[0]: it gave 1"),
        (r#"{"v":[1,2]}"#, r#"{"v":[1]}"#, ".v: it gave [1,2]"),
        (r#"{"v":1,"w":2}"#, r#"{"v":1}"#, "it gave"),
        (r#"{"v":null}"#, r#"{"w":null}"#, "there is no \"w\""),
        (r#"{"v":1}"#, "null", "it gave"),
    ] {
        let what = fails(&format!("{},{}", put(stored, ""), row(&format!(r#","expect":{expect}"#)))).await;
        assert!(what.contains(wanted) && what.contains("step 4"), "{stored} {expect}: {what}");
    }
    let good = put(r#"{"v":1}"#, "");
    for (steps, wanted) in [
        (row(""), "it must say what it expects"),
        (row(r#","expect":null,"error":"LIMIT""#), "both fail and answer"),
        (row(r#","error":"LIMIT""#), "not the error LIMIT"),
        (row(r#","expect":null,"more":1"#), "unknown field `more`"),
        (row(r#","expect":null,"as":"x""#), "cannot be kept"),
        (row(r#","expect":null,"why":1"#), "\"why\" is a text"),
        (put("{}", r#","expect":null"#), "it answers nothing"),
        (put("{}", r#","idOf":"x""#), "nothing was kept"),
        (put("[1]", ""), "it failed with INVALID_ARGUMENT"),
        (put("[1]", r#","error":"LIMIT""#), "it failed with INVALID_ARGUMENT"),
        (good.replace("put", "set"), "unknown variant `set`"),
        (good.replace(r#""a""#, r#""c""#), "no device is called \"c\""),
        (format!(r#"{good},{{"do":"agree","devices":["a","b"]}}"#), "a and b differ"),
        (r#"{"do":"agree","devices":["a"]}"#.into(), "always agrees"),
        (r#"{"device":"a","do":"connect","error":"DRIVER"}"#.into(), "it gave null"),
        (
            r#"{"device":"a","do":"batch","writes":[{"do":"sync"}],"error":"DRIVER"}"#.into(),
            "it failed with DRIVER",
        ),
        (r#"{"device":"a","do":"status","expect":{"pendin":0}}"#.into(), "does not answer \"pendin\""),
        (r#"{"device":"a","do":"status","expect":{"pending":1}}"#.into(), ".pending: it gave 0"),
        (r#"{"device":"a","do":"compact","grace":0}"#.into(), "it must say what it expects"),
        (r#"{"device":"a","do":"compact","grace":0,"expect":{}}"#.into(), "it failed with INVALID_ARGUMENT"),
        (
            r#"{"device":"a","do":"connect"},{"device":"a","do":"compact","grace":0,"expect":{"epoch":2}}"#
                .into(),
            ".epoch: it gave 1, expected was 2",
        ),
        (r#"{"device":"a","do":"open","with":{"colour":1}}"#.into(), "unknown field `colour`"),
        (r#"{"device":"a","do":"open","store":"x"}"#.into(), "is the runner's to give"),
        (r#"{"device":"a","do":"open"}"#.into(), "shut it down first"),
        (r#"{"do":"damageChanges"}"#.into(), "there are no changes"),
        (r#"{"do":"repairChanges"}"#.into(), "nothing is damaged"),
        (r#"{"do":"listFiles","path":"/","expect":["x"]}"#.into(), "it gave []"),
        (r#"{"do":"listFiles","path":"/"}"#.into(), "it must say what it expects"),
        (r#"{"do":"wait","ms":0,"error":"LIMIT"}"#.into(), "only a step of a device"),
    ] {
        let what = fails(&steps).await;
        assert!(what.contains(wanted), "{steps}: {what}");
    }
}

#[test]
fn a_file_that_is_no_scenario_is_refused() {
    for (text, wanted) in [
        ("{", "EOF"),
        (r#"{"about":"x","devices":{},"steps":[]}"#, "must not be empty"),
        (r#"{"about":"","devices":{},"steps":[{}]}"#, "must not be empty"),
        (r#"{"about":"x","devices":{},"steps":[{}],"more":1}"#, "unknown field `more`"),
        (r#"{"about":"x","devices":{},"steps":[{}],"needs":["luck"]}"#, "unknown variant `luck`"),
        (r#"{"about":"x","devices":{"a":{"secret":1}},"steps":[{}]}"#, "unknown field `secret`"),
        (r#"{"about":"x","devices":{"a":{"publish":"all"}},"steps":[{}]}"#, "unknown variant `all`"),
    ] {
        let what = Scenario::parse("wrong", text).map(|_| ()).unwrap_err();
        assert!(what.contains(wanted), "{text}: {what}");
    }
}

#[tokio::test]
async fn a_driver_that_misbehaves_fails() {
    let text = r#"{"about":"x","devices":{"a":{}},"steps":[{"device":"a","do":"open"}]}"#;
    let scenario = Scenario::parse("wrong", text).unwrap();
    for (program, wanted) in [
        ("read step", "no answer"),
        ("read step; echo hello", "no answer"),
        ("read step; echo {", "EOF while parsing"),
        ("read step; echo '{}'", "neither"),
        (r#"read step; echo '{"ok":null,"more":1}'"#, "neither"),
        (r#"read step; echo '{"error":"LIMIT"}'"#, "neither"),
        (r#"read step; echo '{"error":"LIMIT","reason":"large"}'"#, "it failed with LIMIT: large"),
        (r#"read step; echo '{"ok":null}'"#, "at the end: a: DRIVER: driver odd"),
        (r#"read step; echo '{"ok":null}'; read step; echo '{"ok":null}'; exit 3"#, "exit status: 3"),
    ] {
        let command = ["sh", "-c", program].map(str::to_owned).to_vec();
        let drivers = Drivers::new(BTreeMap::from([("odd".to_owned(), command)]));
        let outcome = drivers.run(&scenario, 0).await;
        let what = outcome.and_then(|()| drivers.end()).expect_err(program);
        assert!(what.contains(wanted), "{program}: {what}");
    }
    let nowhere = Drivers::new(BTreeMap::from([("odd".to_owned(), vec!["no-such-program".to_owned()])]));
    assert!(nowhere.run(&scenario, 0).await.unwrap_err().contains("no-such-program"));
}
