//! Starting processes, listening to them, and killing them at a chosen moment.

use std::{
    fmt::Debug,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

/// How long a process may take until the moment comes at which it is to be killed.
const PATIENCE: Duration = Duration::from_secs(40);

/// A process and what it told so far.
pub(crate) struct Process<L> {
    child: Child,
    lines: Receiver<L>,
    complaints: PathBuf,
    pub(crate) told: Vec<L>,
}

impl<L: DeserializeOwned + Debug + Send + 'static> Process<L> {
    /// Starts the ignored test `name` of this binary with `order` in the environment variable `ORDER`; its
    /// complaints go to the file `complaints`.
    pub(crate) fn start(name: &str, order: &impl Serialize, complaints: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(complaints).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(ORDER, serde_json::to_string(order).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            // What the test harness says is none of ours; a line cut short by the kill was not told.
            while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                if let Ok(line) = serde_json::from_str(&line)
                    && sender.send(line).is_err()
                {
                    return;
                }
                line.clear();
            }
        });
        Self { child, lines, complaints: complaints.to_owned(), told: Vec::new() }
    }

    /// Listens until `is_it` says so; an error where the process ended, or fell silent, before that.
    pub(crate) fn wait_for(&mut self, mut is_it: impl FnMut(&L) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = is_it(&line);
                    self.told.push(line);
                    if found {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.last_words("the moment never came")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words("it ended by itself")),
            }
        }
    }

    fn last_words(&self, what: &str) -> String {
        let last = &self.told[self.told.len().saturating_sub(8)..];
        let complaints = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        format!("{what}, after it had told {last:?}; {complaints}")
    }

    /// Kills it, without a chance to clean up, and takes in what it still had told.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.told.extend(self.lines.iter());
    }
}

impl<L> Drop for Process<L> {
    fn drop(&mut self) {
        // Also where a test has failed before the kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Names what a started process is to do.
pub(crate) const ORDER: &str = "INTEROCITOR_CRASH_ORDER";

/// Tells the parent a line; it is out of this process when this returns.
pub(crate) fn tell(line: &impl Serialize) {
    let line = serde_json::to_string(line).unwrap();
    let mut out = std::io::stdout().lock();
    // Who cannot tell any more has lost its parent.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// What this process is to do.
pub(crate) fn order<O: DeserializeOwned>() -> O {
    let order = std::env::var(ORDER).expect("only the tests of this file start this");
    // The harness may have begun a line.
    std::io::stdout().write_all(b"\n").unwrap();
    serde_json::from_str(&order).unwrap()
}
