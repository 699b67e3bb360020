//! `export` and `import`.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Place, root, tree};

/// What the independent reader finds in an export.
fn read(place: &Place, name: &str, passphrase: &str) -> Value {
    let output = Command::new("python3")
        .arg(root().join("tests/read_export.py"))
        .arg(place.path(name))
        .arg(passphrase)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_mesh_goes_out_and_comes_back_in_every_form() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    device.ok(&["put", "todos", "milk", r#"{"done":false}"#]);
    device.ok(&["put", "todos", "gone", "{}"]);
    device.ok(&["delete", "todos", "gone"]);
    let source = place.write("source", "content");
    device.ok(&["file", "put", "docs/a", &source]);
    device.ok(&["sync"]);
    let dump = device.json(&["dump"]);
    // The file lies in the mailbox alone.
    std::fs::remove_dir_all(place.path("a.db.files")).unwrap();
    let mesh = device.passphrase();
    let mesh_file = place.write("mesh", &mesh);
    let own_file = place.write("own", "correct horse\n");
    let exported = device.json(&["export", "folder"]);
    assert_eq!(
        (&exported["rows"], &exported["files"], &exported["unnamed"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert!(device.ok(&["export", "--archive", "mesh-archive"]).contains("2 rows and 1 file"));
    device.ok(&["export", "--archive", "archive", "--archive-passphrase-file", &own_file]);
    for (at, (name, passphrase, given)) in [
        ("folder", "", vec![]),
        ("mesh-archive", mesh.as_str(), vec!["--archive-passphrase-file", mesh_file.as_str()]),
        ("archive", "correct horse", vec!["--archive-passphrase-file", own_file.as_str()]),
    ]
    .into_iter()
    .enumerate()
    {
        let seen = read(&place, name, passphrase);
        assert_eq!((&seen["tables"], &seen["tombstones"]), (&dump["tables"], &dump["tombstones"]), "{name}");
        let fresh = format!("fresh{at}");
        let fresh = place.device(&fresh);
        let import = [&["import", name], &given[..]].concat();
        assert_eq!(fresh.json(&import), json!({"rows": 2, "changed": 2, "files": 1}));
        assert_eq!(fresh.json(&import), json!({"rows": 2, "changed": 0, "files": 0}));
        assert_eq!(fresh.json(&["dump"])["tables"], dump["tables"]);
        assert_eq!(fresh.ok(&["file", "get", "docs/a", "-"]), "content");
    }
    // The same mesh takes it as well, and has everything.
    assert_eq!(device.json(&["import", "mesh-archive"])["changed"], 0);
    // A restored store founds a mesh of its own in an empty mailbox.
    std::fs::create_dir(place.path("other")).unwrap();
    let restored = place.device("fresh0");
    assert!(restored.ok(&["connect", "--mailbox", "folder:other"]).contains("founded a new mesh"));
    assert_ne!(restored.passphrase(), mesh);
    assert!(tree(&place.path("other")).len() > 4);
}

#[test]
fn what_cannot_be_exported_or_imported_is_told() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "todos", "milk", "{}"]);
    let empty = place.write("empty", "\n");
    let secret = place.write("secret", "secret");
    device.run(&["export", "--archive", "x"]).failed_with("PASSPHRASE_REQUIRED");
    device
        .run(&["export", "--archive", "x", "--archive-passphrase-file", &empty])
        .failed_with("INVALID_ARGUMENT");
    device.run(&["export", "box/../missing/x"]).failed_with("INVALID_ARGUMENT");
    device.run(&["import", "missing"]).failed_with("INVALID_ARGUMENT");
    device.run(&["import", "box"]).failed_with("EXPORT_INVALID");
    device.run(&["import", "secret"]).failed_with("EXPORT_INVALID");
    assert_eq!(device.run(&["export"]).code, 2);
    assert_eq!(device.run(&["export", "x", "--archive", "y"]).code, 2);
    device.ok(&["export", "--archive", "archive", "--archive-passphrase-file", &secret]);
    let other = place.device("b");
    other.run(&["import", "archive"]).failed_with("PASSPHRASE_WRONG");
    let run = other.run(&["import", "archive", "--archive-passphrase-file", &empty]);
    assert!(!run.failed_with("INVALID_ARGUMENT").contains("secret"));
    assert_eq!(other.json(&["import", "archive", "--archive-passphrase-file", &secret])["rows"], 1);
    device.ok(&["export", "folder"]);
    device.run(&["export", "folder"]).failed_with("INVALID_ARGUMENT");
}
