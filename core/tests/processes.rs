//! Two real processes on one store: one exchanges, both write, nothing is published twice.
//!
//! The test runs itself as the other processes, which obey lines on their standard input.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "how the processes answer")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::open_at;
use interocitor_core::{Background, Event, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";
const FOLDER: &str = "INTEROCITOR_TEST_FOLDER";

async fn open(folder: &Path) -> Interocitor {
    let db = open_at(StoreLocation::File(folder.join("t.db")), |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.auto_sync = true;
        // Every write is a record of its own, and the exchange comes soon.
        config.batch_window = Duration::ZERO;
        config.flush_debounce = Duration::from_millis(20);
        config.poll_interval = Duration::from_millis(500);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder.join("box"))))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// The other process. Alone it does nothing.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let db = open(Path::new(&folder)).await;
    let mut events = db.events();
    let mut lagged = 0;
    println!("ready");
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lines().try_for_each(|line| sender.send(line.unwrap())));
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["write", name, from, to] => {
                for n in from.parse::<u32>().unwrap()..to.parse().unwrap() {
                    db.table("t").put(format!("{name}{n}"), &json!({"n": n})).await.unwrap();
                    println!("wrote {name}{n}");
                }
                println!("done");
            }
            ["status"] => {
                let status = db.status().await.unwrap();
                lagged +=
                    std::iter::from_fn(|| events.try_next()).filter(|event| *event == Event::Lagged).count();
                let rows = db.count(&db.table("t").query()).await.unwrap();
                let leads = status.background == Background::Here;
                println!("status {leads} {} {rows} {lagged}", status.pending.count);
            }
            _ => break,
        }
    }
    db.shutdown().await.unwrap();
}

struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug, PartialEq)]
struct Report {
    leads: bool,
    pending: u64,
    rows: u64,
    lagged: u64,
}

impl Peer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self { child, stdin, lines };
        peer.until("ready");
        peer
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Reads lines up to one that ends in `end` (the runner's own words may stand before it).
    fn until(&mut self, end: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.ends_with(end) {
                return seen;
            }
            seen.push(line);
        }
        panic!("the process ended before it said {end}: {seen:?}");
    }

    fn status(&mut self) -> Report {
        self.say("status");
        loop {
            let line = self.lines.next().unwrap().unwrap();
            let Some(report) = line.strip_prefix("status ") else { continue };
            let words: Vec<&str> = report.split(' ').collect();
            let number = |at: usize| words[at].parse().unwrap();
            return Report {
                leads: words[0] == "true",
                pending: number(1),
                rows: number(2),
                lagged: number(3),
            };
        }
    }
}

/// Asks until it holds.
fn wait<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(seen) if begin.elapsed() > Duration::from_secs(30) => panic!("{what}: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// In how many files each cell lies: row and clock, by row.
fn cells(folder: &Path) -> BTreeMap<String, usize> {
    let key = Passphrase::from(PASSPHRASE).to_key().unwrap();
    let mut cells: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("box/Mesh/changes")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // What somebody is still writing has a hidden name, and is nobody's to read.
        if name == "head.json" || name.starts_with('.') {
            continue;
        }
        let payload = interocitor_crypto::open(&key, &std::fs::read(path).unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        for op in payload["entry"]["ops"].as_array().unwrap() {
            let cell = format!("{} {}", op["rowId"].as_str().unwrap(), op["columns"]["n"]["hlc"]);
            *cells.entry(cell).or_default() += 1;
        }
    }
    cells
}

#[test]
fn one_of_two_processes_exchanges_and_nothing_is_published_twice() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("box")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { open(folder.path()).await.shutdown().await.unwrap() });

    let mut peers = [Peer::start(folder.path()), Peer::start(folder.path())];
    peers[0].say("write a 0 100");
    peers[1].say("write b 0 100");
    for peer in &mut peers {
        peer.until("done");
    }
    let reports =
        wait("everything is published by one of them, and each is told of the other's rows", || {
            let reports = [peers[0].status(), peers[1].status()];
            let is_quiet =
                reports.iter().all(|report| report.pending == 0 && report.rows == 200 && report.lagged > 0);
            if is_quiet && reports[0].leads != reports[1].leads {
                Ok(reports)
            } else {
                Err(format!("{reports:?}"))
            }
        });
    let found = cells(folder.path());
    assert_eq!(found.len(), 200);
    assert!(found.values().all(|count| *count == 1), "{found:?}");

    // The holder is killed in the midst of writing and publishing.
    let leader = usize::from(reports[1].leads);
    let [one, two] = peers;
    let (mut killed, mut left) = if leader == 0 { (one, two) } else { (two, one) };
    killed.say("write c 0 100000");
    left.say("write d 0 50");
    left.until("done");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    drop(killed.stdin);
    let acknowledged: BTreeSet<String> = killed
        .lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("wrote c").map(|n| format!("c{n}")))
        .collect();
    assert!(!acknowledged.is_empty());
    // Its lease runs out; so that nobody has to wait for it, the row says so at once.
    let store = rusqlite::Connection::open(folder.path().join("t.db")).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    let lease = "UPDATE meta SET value = substr(value, 1, instr(value, ' ')) || '1' WHERE key = 'lease'";
    store.execute(lease, []).unwrap();
    drop(store);
    wait("the other takes over", || {
        let report = left.status();
        if report.leads && report.pending == 0 { Ok(()) } else { Err(format!("{report:?}")) }
    });
    let found = cells(folder.path());
    assert!(found.values().all(|count| *count == 1), "{found:?}");
    let published: BTreeSet<&str> = found.keys().map(|cell| cell.split(' ').next().unwrap()).collect();
    assert!(acknowledged.iter().all(|row| published.contains(&**row)));
    assert!((0..50).all(|n| published.contains(&*format!("d{n}"))));
    left.say("quit");
    assert!(left.child.wait().unwrap().success());
}
