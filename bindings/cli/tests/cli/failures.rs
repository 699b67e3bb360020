//! What goes wrong: one line, a stable code, the right exit code, and nothing changed.

use std::{io::Read as _, process::Stdio};

use crate::common::{Place, Run, tree};

/// A passphrase of the right form that opens nothing.
const WRONG: &str = "4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw";

#[test]
fn passphrases_of_an_existing_mesh() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    a.connect(&[]);
    let before = tree(&place.path("box"));
    let connect = |others: &[&str]| b.run(&[&["connect", "--mailbox", "folder:box"], others].concat());

    assert!(connect(&[]).failed_with("PASSPHRASE_REQUIRED").ends_with("interocitor pair join"));
    let wrong = place.write("wrong", WRONG);
    let run = connect(&["--passphrase-file", &wrong]);
    run.failed_with("PASSPHRASE_WRONG");
    assert!(!run.stderr.contains(WRONG));
    assert!(!b.beside("credentials").exists(), "a wrong passphrase is not kept");
    let misspelt = place.write("misspelt", "not a passphrase at all!");
    connect(&["--passphrase-file", &misspelt]).failed_with("PASSPHRASE_WRONG");
    connect(&["--plaintext"]).failed_with("MESH_ENCRYPTION_MISMATCH");
    assert_eq!(tree(&place.path("box")), before, "nothing was written");
    // None of it stands in the way of the right one.
    b.connect(&["--passphrase-file", "a.db.credentials"]);

    // A wrong one does not replace one that works.
    a.run(&["sync", "--passphrase-file", &wrong]).failed_with("PASSPHRASE_WRONG");
    a.ok(&["sync"]);
}

#[test]
fn files_that_cannot_be_used() {
    let place = Place::new();
    let device = place.device("a");
    let empty = place.write("empty", " \n");
    let json = place.write("json", "{\"deviceId\":\"x\"}");
    let cases: &[(&[&str], &str)] = &[
        (&["status", "--passphrase-file", "nowhere"], "nowhere"),
        (&["status", "--passphrase-file", &empty], "is empty"),
        (&["status", "--passphrase-file", &json], "without a passphrase"),
        (&["status", "--schema", "nowhere"], "nowhere"),
        (&["batch", "nowhere"], "nowhere"),
        (&["status", "--device-id", "a/b"], "device id"),
        (&["connect"], "--mailbox"),
    ];
    for (arguments, wanted) in cases {
        let run = device.run(arguments);
        assert!(run.failed_with("INVALID_ARGUMENT").contains(wanted), "{run:?}");
    }
    let missing = Run::of(place.command().args(["--store", "no/such/folder/a.db", "status"]));
    assert!(missing.failed_with("STORE_OPEN").contains("folder"));
}

#[test]
fn damaged_files_beside_the_store() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    let settings = std::fs::read(device.beside("settings")).unwrap();
    std::fs::write(device.beside("settings"), "{\"mailbox\":\"webdav+http://u:s3cret@h/\",").unwrap();
    let run = device.run(&["status"]);
    assert!(run.failed_with("INVALID_ARGUMENT").contains("a.db.settings is damaged"));
    assert!(!run.stderr.contains("s3cret"));
    std::fs::write(device.beside("settings"), settings).unwrap();
    std::fs::write(device.beside("credentials"), "{\"passphrase\":\"s3cret\",").unwrap();
    let run = device.run(&["status"]);
    assert!(run.failed_with("INVALID_ARGUMENT").contains("a.db.credentials: the file is damaged"));
    assert!(!run.stderr.contains("s3cret"));
}

#[test]
fn a_corrupt_store_stays_until_the_user_says_otherwise() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    device.connect(&[]);
    let garbage = "this is no database ".repeat(500);
    place.write("a.db", &garbage);
    for verb in ["status", "sync", "tables"] {
        let run = device.run(&[verb]);
        assert!(run.failed_with("STORE_CORRUPT").ends_with("(--set-aside-corrupt moves it aside)"));
    }
    assert_eq!(std::fs::read_to_string(place.path("a.db")).unwrap(), garbage);

    let run = device.run(&["sync", "--set-aside-corrupt"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "synced: 1 row in, 0 changes out\n"), "{run:?}");
    let aside =
        run.stderr.strip_prefix("note: the damaged store is now ").unwrap().split(';').next().unwrap();
    assert_eq!(std::fs::read_to_string(aside).unwrap(), garbage);
    assert_eq!(device.json(&["row", "t", "r"]), serde_json::json!({"x": 1}));
    // The option does nothing to a sound store.
    assert_eq!(device.ok(&["row", "t", "r", "--json", "--set-aside-corrupt"]), "{\"x\":1}\n");
}

#[test]
fn addresses_of_mailboxes() {
    let place = Place::new();
    let device = place.device("a");
    let cases = [
        ("ftp://u:s3cret@host/", "ftp: is no mailbox"),
        ("/plain/path", "this is no mailbox"),
        ("s3://s3cret/prefix", "the keys are missing"),
        ("s3://u:s3cret@", "names no bucket"),
        ("s3://u:s3cret@bucket?endpoint=ftp://host", "neither http nor https"),
        ("gdrive:", "gdrive:?token-file=/path"),
        ("gdrive:?token=s3cret", "not known"),
        ("gdrive:?token-file=token", "the whole path"),
        ("cloudflare+https://host/s3cret", "does not end with /io/"),
        ("cloudflare+https://host/io/a?token=s3cret", "not known"),
        ("cloudflare+https://host/io/a?token-file=token", "the whole path"),
        ("folder:", "needs a path"),
        ("webdav+http://u:s3cret@/", "base address"),
    ];
    for (address, wanted) in cases {
        for verb in ["connect", "status"] {
            let run = device.run(&[verb, "--mailbox", address]);
            assert!(run.failed_with("INVALID_ARGUMENT").contains(wanted), "{run:?}");
            assert!(!run.stderr.contains("s3cret"), "{run:?}");
        }
    }
    assert!(!device.beside("settings").exists());
}

#[test]
fn rows_that_are_none() {
    let place = Place::new();
    let device = place.device("a");
    for row in ["", "{", "[1]", "7", "\"x\"", "{\"a\":1}x", "{'a':1}", "{\"a\":01}"] {
        for verb in ["put", "replace"] {
            device.run(&[verb, "t", "r", row]).failed_with("INVALID_ARGUMENT");
        }
        device.run(&["add", "t", row]).failed_with("INVALID_ARGUMENT");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(600), "]".repeat(600));
    device.run(&["put", "t", "r", &deep]).failed_with("LIMIT");
    device.run(&["put", "t", &"x".repeat(70_000), "{}"]).failed_with("LIMIT");
    assert_eq!(device.json(&["tables"]), serde_json::json!([]));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = Place::new();
    let device = place.device("a");
    let cases: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["put", "t", "r"],
        &["query", "t", "--where", "a", "equals"],
        &["query", "t", "--where", "a", "is", "1"],
        &["query", "t", "--where", "a", "between", "1"],
        &["query", "t", "--limit", "x"],
        &["status", "--plaintext", "--passphrase-file", "x"],
        &["watch", "--interval", "0"],
        &["quarantine"],
        &["file", "put", "a"],
        &["file"],
    ];
    for arguments in cases {
        let run = device.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(!run.stderr.is_empty() && !run.stderr.contains("error["), "{run:?}");
    }
    assert!(!place.path("a.db").exists(), "nothing was opened");
    for arguments in [&["--help"][..], &["--version"], &["help", "query"]] {
        let run = Run::of(place.command().args(arguments));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let place = Place::new();
    let device = place.device("a");
    let row = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000_000));
    assert_eq!(device.feed(&["put", "t", "r", "-"], &row).code, 0);
    let mut child = device.command(&["dump"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_nobody_can_take_is_a_failure() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.device("a").command(&["dump"]).stdout(full).output().unwrap();
    Run::from(output).failed_with("DISK_FULL");
}
