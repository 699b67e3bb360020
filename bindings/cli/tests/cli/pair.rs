//! Pairing between two terminals, in both directions.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::common::{Device, Place, Run, tree};

/// A run that waits for another device.
struct Waiting {
    child: Child,
    stdout: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Waiting {
    fn start(device: &Device<'_>, arguments: &[&str]) -> Self {
        let mut child = device
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, stdout) = mpsc::channel();
        let stream = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { child, stdout, said: Vec::new() }
    }

    fn line(&mut self) -> String {
        let line = self.stdout.recv_timeout(Duration::from_secs(30)).unwrap();
        self.said.push(line.clone());
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn payload(&mut self) -> String {
        self.json()["payload"].as_str().unwrap().to_owned()
    }

    fn answer(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn end(mut self) -> Run {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.said.extend(self.stdout.iter());
        Run { code, stdout: self.said.join("\n"), stderr }
    }

    /// The last line of a run that went well.
    fn last(self) -> Value {
        let run = self.end();
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
        serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two devices pair over a mailbox: `a` has a mesh at `remote_path`, `b` gets it.
pub(crate) fn pair_over(place: &Place, mailbox: &str, remote_path: &str, a_shows: bool) {
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    a.ok(&["connect", "--mailbox", mailbox, "--remote-path", remote_path]);
    let (shows, scans, verb) = if a_shows { (&a, &b, "share") } else { (&b, &a, "join") };
    let mut shown = Waiting::start(shows, &["pair", verb, "--json", "--mailbox", mailbox]);
    let payload = shown.payload();
    let mut scan = Waiting::start(scans, &["pair", "scan", &payload, "--json", "--mailbox", mailbox]);
    let code = scan.json();
    assert_eq!(code["code"].as_str().unwrap().len(), 14, "{code}");
    assert_eq!(shown.json(), code, "both show the same");
    assert_eq!(scan.last(), json!({ "remotePath": remote_path }));
    assert_eq!(shown.last(), json!({ "remotePath": remote_path }));
    // From now on b is a device like any other, with nothing more to be said.
    assert_eq!(b.passphrase(), a.passphrase());
    b.ok(&["put", "t", "r", "{\"y\":2}"]);
    b.ok(&["sync"]);
    a.ok(&["sync"]);
    for device in [&a, &b] {
        assert_eq!(device.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));
    }
}

/// What the pairings left of their files in the folder `box`.
fn relay_files(place: &Place) -> usize {
    let folder = place.path("box/Interocitor");
    if folder.exists() { tree(&folder).len() } else { 0 }
}

#[test]
fn two_terminals_pair_over_a_folder() {
    for a_shows in [true, false] {
        let place = Place::new();
        pair_over(&place, "folder:box", "/Mesh/Küche 1", a_shows);
        assert_eq!(relay_files(&place), 0);
    }
}

#[test]
fn people_compare_the_codes() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    for (answer, is_paired) in [("n\n", false), ("", false), ("y\n", true)] {
        let mut shown = Waiting::start(&a, &["pair", "share", "--confirm"]);
        let payload = shown.line();
        let mut scan =
            Waiting::start(&b, &["pair", "scan", "-", "--mailbox", "folder:box", "--timeout", "5"]);
        scan.answer(&format!("https://app.example/pair#hs={payload}\n"));
        drop(scan.child.stdin.take());
        let code = shown.line();
        assert!(
            code.starts_with("code ") && code.ends_with(": the other device must show the same"),
            "{code}"
        );
        assert_eq!(scan.line(), code);
        assert_eq!(relay_files(&place), 1, "nothing but the key of the scanner");
        shown.answer(answer);
        drop(shown.child.stdin.take());
        let (shown, scan) = (shown.end(), scan.end());
        assert_eq!(relay_files(&place), 0);
        if is_paired {
            assert_eq!((shown.code, scan.code), (0, 0), "{shown:?} {scan:?}");
            assert!(
                scan.stdout.ends_with(&format!(
                    "this device takes part in the mesh in folder:{} /Mesh",
                    place.path("box").canonicalize().unwrap().display()
                )),
                "{scan:?}"
            );
            assert!(b.ok(&["sync"]).contains("synced"));
        } else {
            assert!(shown.stderr.contains("error[USER_CANCELLED]: not confirmed"), "{shown:?}");
            assert!(scan.stderr.starts_with("error[PAIRING_TIMEOUT]: "), "{scan:?}");
            // Nothing half done is left: neither mailbox nor credential.
            assert!(!b.beside("credentials").exists() && !b.beside("settings").exists());
            assert!(b.run(&["sync"]).failed_with("INVALID_ARGUMENT").contains("knows no mailbox"));
        }
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_takes_the_code_back() {
    let place = Place::new();
    let a = place.device("a");
    a.connect(&[]);
    let mut shown = Waiting::start(&a, &["pair", "share", "--json"]);
    let payload = shown.payload();
    let pid = shown.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let run = shown.end();
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr, "error[USER_CANCELLED]: cancelled by the user\n");
    let b = place.device("b");
    let late = b.run(&["pair", "scan", &payload, "--mailbox", "folder:box", "--timeout", "1"]);
    assert!(late.stderr.starts_with("error[PAIRING_TIMEOUT]: "), "{late:?}");
    assert_eq!(relay_files(&place), 0);
}

#[test]
fn what_cannot_be_paired_is_told() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    for garbage in ["garbage", "", "https://app.example/", "eyJpbnRlbnQiOiJzaGFyZSJ9"] {
        let reason = b.run(&["pair", "scan", garbage, "--mailbox", "folder:box"]);
        assert!(reason.failed_with("PAIRING_REJECTED").contains("no pairing code"), "{garbage}");
    }
    assert!(!place.path("b.db").exists(), "nothing was opened");
    let reason = a.run(&["pair", "share", "--mailbox", "folder:box"]);
    assert!(reason.failed_with("INVALID_ARGUMENT").contains("connect first"));
    assert!(a.run(&["pair", "join"]).failed_with("INVALID_ARGUMENT").contains("knows no mailbox"));

    // The place that a code names is shown, and never gone to.
    a.connect(&[]);
    let mut shown = Waiting::start(&a, &["pair", "share", "--json"]);
    let text = with_another_address(&shown.payload());
    let lost = b.run(&["pair", "scan", &text]);
    let reason = lost.failed_with("INVALID_ARGUMENT");
    assert!(
        reason.contains("knows no mailbox") && reason.contains("\"http://127.0.0.1:1/\\u{1b}evil\""),
        "{reason}"
    );
    assert!(!b.beside("credentials").exists() && !b.beside("settings").exists());
}

#[test]
fn a_passphrase_that_opens_nothing_is_not_remembered() {
    let place = Place::new();
    let (a, b, c) = (place.device("a"), place.device("b"), place.device("c"));
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    a.connect(&[]);
    place.write("key", "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE");
    let mut shown = Waiting::start(
        &c,
        &["pair", "share", "--json", "--mailbox", "folder:box", "--passphrase-file", "key"],
    );
    let payload = shown.payload();
    let run = b.run(&["pair", "scan", &payload, "--mailbox", "folder:box"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.starts_with("error[PASSPHRASE_WRONG]: "), "{run:?}");
    assert!(!b.beside("credentials").exists() && !b.beside("settings").exists());
    assert_eq!(shown.last(), json!({ "remotePath": "/Mesh" }));
}

#[test]
fn a_mesh_that_is_not_there_yet_is_remembered() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    place.write("key", "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE");
    let mut shown = Waiting::start(
        &a,
        &["pair", "share", "--json", "--mailbox", "folder:box", "--passphrase-file", "key"],
    );
    let payload = shown.payload();
    let run = b.run(&["pair", "scan", &payload, "--json", "--mailbox", "folder:box"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.starts_with("note: the mesh could not be reached yet"), "{run:?}");
    assert_eq!(shown.last(), json!({ "remotePath": "/Mesh" }));
    a.ok(&["connect", "--mailbox", "folder:box", "--passphrase-file", "key"]);
    b.ok(&["sync"]);
    assert_eq!(b.json(&["devices"]).as_array().unwrap().len(), 2);
}

#[test]
fn nothing_that_is_printed_or_left_holds_the_passphrase() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    let mut shown = Waiting::start(&a, &["pair", "share"]);
    let payload = shown.line();
    let scan = b.run(&["pair", "scan", &payload, "--mailbox", "folder:box"]);
    let shown = shown.end();
    let passphrase = a.passphrase();
    for run in [shown, scan] {
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(!run.stdout.contains(&passphrase));
    }
    for (path, content) in tree(place.folder.path()) {
        let holds = String::from_utf8_lossy(&content).contains(&passphrase);
        assert!(
            !holds || path.extension().is_some_and(|ending| ending == "credentials"),
            "{}",
            path.display()
        );
    }
}

/// The payload with another address for its mailbox.
fn with_another_address(payload: &str) -> String {
    let text = interocitor_crypto::base64url::decode(payload).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    json["adapterConfig"] = json!(json!({"baseUrl": "http://127.0.0.1:1/\u{1b}evil"}).to_string());
    interocitor_crypto::base64url::encode(json.to_string().as_bytes())
}
