//! `file`: put, get, meta, rm, list.

use serde_json::json;

use crate::common::Place;

#[test]
fn files_travel_between_two_devices() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    let passphrase = place.write("passphrase", a.passphrase());
    b.connect(&["--passphrase-file", &passphrase]);
    let content: Vec<u8> = (0..300_000_u32).map(|at| (at % 253) as u8).collect();
    let source = place.write("source.bin", &content);
    let put = a.json(&["file", "put", "docs//a.bin", &source, "--content-type", "application/x-test"]);
    assert_eq!((&put["path"], &put["size"]), (&json!("docs/a.bin"), &json!(300_000)));
    let got = b.json(&["file", "get", "docs/a.bin", "target.bin"]);
    assert_eq!((&got["digest"], &got["contentType"]), (&put["digest"], &json!("application/x-test")));
    assert!(std::fs::read(place.path("target.bin")).unwrap() == content);
    let meta = b.json(&["file", "meta", "docs/a.bin"]);
    assert_eq!(
        (&meta["digest"], &meta["isHere"], &meta["transfer"]),
        (&put["digest"], &json!(true), &json!(null))
    );
    assert!(b.ok(&["file", "meta", "docs/a.bin"]).contains("application/x-test"));
    let listed = b.json(&["file", "list", "docs/"]);
    assert_eq!((&listed["files"][0]["path"], &listed["unnamed"]), (&json!("docs/a.bin"), &json!(0)));
    // Its digest is what others may ask for.
    let digest = put["digest"].as_str().unwrap();
    b.ok(&["file", "get", "docs/a.bin", "target.bin", "--digest", digest]);
    b.run(&["file", "get", "docs/a.bin", "target.bin", "--digest", &"0".repeat(64)])
        .failed_with("FILE_INTEGRITY");
    assert_eq!(a.json(&["file", "rm", "docs/a.bin"]), json!({"path": "docs/a.bin"}));
    b.run(&["file", "get", "docs/a.bin", "other.bin"]).failed_with("FILE_NOT_FOUND");
    assert!(!place.path("other.bin").exists());
    assert_eq!(b.ok(&["file", "meta", "docs/a.bin", "--json"]), "null\n");
}

#[test]
fn standard_input_and_output() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    let run = device.feed(&["file", "put", "note", "-"], "from a pipe");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(device.ok(&["file", "get", "note", "-"]), "from a pipe");
}

#[test]
fn what_is_put_offline_is_uploaded_by_the_next_sync() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    let source = place.write("source", "content");
    let run = a.run(&["file", "put", "a", &source]);
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("waits here for the next sync"), "{}", run.stderr);
    assert_eq!(a.json(&["status"])["pending"]["files"], 1);
    a.connect(&[]);
    a.ok(&["sync"]);
    assert_eq!(a.json(&["status"])["pending"]["files"], 0);
    let passphrase = place.write("passphrase", a.passphrase());
    b.connect(&["--passphrase-file", &passphrase]);
    assert_eq!(b.ok(&["file", "get", "a", "-"]), "content");
    // Without its mailbox a device still has what it got.
    std::fs::rename(place.path("box"), place.path("away")).unwrap();
    assert_eq!(b.run(&["file", "get", "a", "-"]).stdout, "content");
    b.run(&["file", "get", "other", "x"]).failed_with("REMOTE_ACCESS");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    let source = place.write("source", "content");
    device.run(&["file", "put", "../a", &source]).failed_with("INVALID_ARGUMENT");
    device.run(&["file", "put", "a", "missing"]).failed_with("INVALID_ARGUMENT");
    device.run(&["file", "put", "a", "."]).failed_with("INVALID_ARGUMENT");
    device.run(&["file", "get", "a", "target"]).failed_with("FILE_NOT_FOUND");
}
