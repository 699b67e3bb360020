//! Watch: changes as they arrive, until Ctrl-C.

#![cfg(unix)]

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::common::{Device, Place};

/// A running watch whose lines can be waited for.
struct Watch {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    receiver
}

fn next(lines: &mpsc::Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_secs(20)).unwrap()
}

impl Watch {
    /// Starts it and waits until it has said where it looks.
    fn start(device: &Device<'_>, others: &[&str]) -> Self {
        let arguments = [&["watch", "--interval", "0.1"], others].concat();
        let mut child =
            device.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let watch = Self { child, stdout, stderr };
        assert!(watch.note().starts_with("watching folder:"));
        watch
    }

    fn line(&self) -> String {
        next(&self.stdout)
    }

    fn note(&self) -> String {
        next(&self.stderr)
    }

    /// Sends a signal; gives the exit code.
    fn end(mut self, signal: &str) -> Option<i32> {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watch {
    /// A failed test leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn changes_are_shown_as_they_arrive() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    a.connect(&[]);
    b.connect(&["--passphrase-file", "a.db.credentials"]);

    let watch = Watch::start(&b, &["--json"]);
    for (write, wanted) in [
        (
            &["put", "t", "r", "{\"x\":2.0}"][..],
            "{\"event\":\"change\",\"table\":\"t\",\"id\":\"r\",\"row\":{\"x\":2.0}}",
        ),
        (&["delete", "t", "r"], "{\"event\":\"delete\",\"table\":\"t\",\"id\":\"r\"}"),
    ] {
        a.ok(write);
        a.ok(&["sync"]);
        assert_eq!(watch.line(), wanted);
    }
    // Another process on the watched store is published too.
    b.ok(&["put", "t", "mine", "{\"y\":1}"]);
    let published = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        a.ok(&["pull"]);
        a.json(&["row", "t", "mine"]) == json!({"y": 1})
    });
    assert!(published);
    assert_eq!(watch.end("-INT"), Some(0));
    assert_eq!(b.json(&["row", "t", "r"]), Value::Null);
}

#[test]
fn a_mailbox_may_come_later_and_an_end_is_clean() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    a.connect(&[]);
    std::fs::rename(place.path("box"), place.path("unplugged")).unwrap();
    let watch = Watch::start(&b, &["--mailbox", "folder:box", "--passphrase-file", "a.db.credentials"]);
    assert!(watch.note().ends_with("trying again"));
    std::fs::rename(place.path("unplugged"), place.path("box")).unwrap();
    assert_eq!(watch.line(), "changed  t/r  {\"x\":1}");
    assert_eq!(watch.note(), "note: the mailbox is back");
    assert_eq!(watch.end("-TERM"), Some(0));
    b.ok(&["sync"]);
}

#[test]
fn what_waiting_does_not_mend_ends_it() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    let mut watch = Watch::start(&b, &["--mailbox", "folder:box"]);
    assert!(watch.note().starts_with("error[PASSPHRASE_REQUIRED]: "));
    assert_eq!(watch.child.wait().unwrap().code(), Some(1));
}
