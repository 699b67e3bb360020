//! `--replica`, `--mirror`, `replicate`.

use serde_json::json;

use crate::common::{Place, mode, reference, tree};

#[test]
fn a_mirror_is_named_once_and_can_restore_the_mesh() {
    let place = Place::new();
    let device = place.device("a");
    for folder in ["mirror", "copy"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    device.connect(&["--mirror", "backup=folder:mirror", "--replica", "copy=folder:copy"]);
    device.ok(&["put", "todos", "milk", r#"{"done":false}"#]);
    let source = place.write("source", "content");
    device.ok(&["file", "put", "docs/a", &source]);
    device.ok(&["sync"]);
    assert_eq!(mode(&device.beside("settings")), 0o600);
    let answers = device.json(&["replicate", "--verify"]);
    assert_eq!((&answers[0]["name"], &answers[0]["copied"]), (&json!("copy"), &json!(0)), "{answers}");
    assert_eq!((&answers[1]["name"], &answers[1]["damaged"]), (&json!("backup"), &json!(0)), "{answers}");
    assert!(device.ok(&["replicate", "backup"]).starts_with("backup: "));
    let (passphrase, dump) = (device.passphrase(), device.json(&["dump"]));
    let seen = reference(&place.path("mirror/Mesh"), &passphrase);
    assert_eq!(seen["tables"], dump["tables"]);
    assert!(tree(&place.path("copy")).keys().all(|path| path.parent().unwrap().ends_with("changes")));
    // The main mailbox is lost: another device starts from the mirror alone.
    std::fs::remove_dir_all(place.path("box")).unwrap();
    let file = place.write("passphrase", passphrase);
    let fresh = place.device("b");
    fresh.ok(&["connect", "--mailbox", "folder:mirror", "--passphrase-file", &file]);
    assert_eq!(fresh.json(&["dump"])["tables"], dump["tables"]);
    assert_eq!(fresh.ok(&["file", "get", "docs/a", "-"]), "content");
}

#[test]
fn a_replica_that_is_down_is_a_note_and_caught_up_later() {
    let place = Place::new();
    let device = place.device("a");
    // A file stands where the folder should be.
    place.write("away", "");
    let run = device.run(&["connect", "--mailbox", "folder:box", "--mirror", "backup=folder:away"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("note: the replica backup lacks changes until a later run: "), "{run:?}");
    device.ok(&["add", "todos", "{}"]);
    let run = device.run(&["sync"]);
    assert_eq!(run.code, 0, "{run:?}");
    device.run(&["replicate"]).failed_with("REMOTE_ACCESS");
    std::fs::remove_file(place.path("away")).unwrap();
    std::fs::create_dir(place.path("away")).unwrap();
    assert!(device.json(&["replicate"])[0]["copied"].as_u64().unwrap() > 3);
    let seen = reference(&place.path("away/Mesh"), &device.passphrase());
    assert_eq!(seen["tables"], device.json(&["dump"])["tables"]);
}

#[test]
fn replicas_are_replaced_and_forgotten_by_name() {
    let place = Place::new();
    let device = place.device("a");
    for folder in ["one", "two"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    device.run(&["replicate"]).failed_with("INVALID_ARGUMENT");
    device.connect(&["--replica", "copy=folder:one"]);
    device.ok(&["sync", "--mirror", "copy=folder:two"]);
    assert!(place.path("two/Mesh/manifest.json").exists());
    device.run(&["replicate", "other"]).failed_with("INVALID_ARGUMENT");
    device.ok(&["sync", "--forget-replica", "copy"]);
    device.run(&["replicate"]).failed_with("INVALID_ARGUMENT");
    for wrong in ["folder:x", "=folder:x", "a=", "a=ftp://me:s3cret@host"] {
        let run = device.run(&["sync", "--replica", wrong]);
        assert!(!run.failed_with("INVALID_ARGUMENT").contains("s3cret"), "{run:?}");
    }
    device.run(&["sync", "--forget-replica", "copy"]).failed_with("INVALID_ARGUMENT");
}
