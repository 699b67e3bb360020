//! Two devices over Google Drive, or what answers like it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::common::{Place, tree};

/// A server that ends with its test.
struct Drive(Child, String);

impl Drive {
    fn start() -> Self {
        let script = crate::common::root().join("tests/drive_server.py");
        let mut process = Command::new("python3").arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(process, line.trim().to_owned())
    }

    /// Makes the server refuse its tokens from now on.
    fn expire(&self) {
        let host = self.1.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(stream, "POST /control/expire HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_devices_converge_over_drive_with_tokens_from_a_file_and_from_a_command() {
    let (drive, place) = (Drive::start(), Place::new());
    let token = place.write("token", "token-1\n");
    let (a, b) = (place.device("a"), place.device("b"));
    let of_file = format!("gdrive:?token-file={token}&endpoint={}", drive.1);
    let of_command = format!("gdrive:?token-command=cat%20'{token}'&endpoint={}", drive.1);
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    assert!(
        a.ok(&["connect", "--mailbox", &of_file, "--remote-path", "/it's ü"]).contains("founded a new mesh")
    );
    b.ok(&[
        "connect",
        "--mailbox",
        &of_command,
        "--remote-path",
        "/it's ü",
        "--passphrase-file",
        "a.db.credentials",
    ]);
    b.ok(&["put", "t", "r", "{\"y\":2}"]);
    b.ok(&["sync"]);
    a.ok(&["sync"]);
    for device in [&a, &b] {
        assert_eq!(device.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));
    }

    // An expired token: said what to do, and nothing is lost. A fresh one needs nothing else.
    drive.expire();
    a.ok(&["put", "t", "r", "{\"z\":3}"]);
    for (device, wanted) in [(&a, token.as_str()), (&b, "what the command of the address prints")] {
        let run = device.run(&["sync"]);
        let reason = run.failed_with("REMOTE_ACCESS");
        assert!(reason.contains("has expired") && reason.contains(wanted), "{run:?}");
        assert!(!reason.contains("token-1"), "{run:?}");
    }
    place.write("token", "token-2\n");
    a.ok(&["sync"]);
    b.ok(&["sync"]);
    assert_eq!(b.json(&["row", "t", "r"]), json!({"x": 1, "y": 2, "z": 3}));
    // Only their own file holds tokens.
    for (path, content) in tree(place.folder.path()) {
        let holds = String::from_utf8_lossy(&content).contains("token-2");
        assert!(!holds || path.ends_with("token"), "{}", path.display());
    }
}

#[test]
fn two_devices_pair_over_drive() {
    let drive = Drive::start();
    for a_shows in [true, false] {
        let place = Place::new();
        let token = place.write("token", "token-1");
        let mailbox = format!("gdrive:?token-file={token}&endpoint={}", drive.1);
        crate::pair::pair_over(&place, &mailbox, &format!("/paired {a_shows}"), a_shows);
    }
}
