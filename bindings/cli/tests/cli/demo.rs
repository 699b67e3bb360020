//! The first command a visitor runs.

use crate::common::{Place, Run, reference};

#[test]
fn the_demo_ends_in_agreement() {
    let place = Place::new();
    let run = Run::of(place.command().arg("demo"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    assert!(run.stdout.contains("laptop, phone and tablet agree: 2 rows, 1 deletion"), "{}", run.stdout);
    assert!(run.stdout.contains("found nowhere") && run.stdout.contains("-laptop-chg_"), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "colours are for terminals");
    assert!(!place.path("home").exists(), "the user's own store is left alone");
    let widest = run.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
}

#[test]
fn the_kept_mailbox_can_be_read_by_others() {
    let place = Place::new();
    let run = Run::of(place.command().args(["demo", "--json", "--keep", "kept"]));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["agree"], true);
    let mut kept: Vec<_> =
        std::fs::read_dir(place.path("kept")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["mailbox", "passphrase"]);
    #[cfg(unix)]
    assert_eq!(crate::common::mode(&place.path("kept/passphrase")), 0o600);
    let passphrase = std::fs::read_to_string(place.path("kept/passphrase")).unwrap();
    let seen = reference(&place.path("kept/mailbox"), passphrase.trim());
    for part in ["meshId", "tables", "tombstones"] {
        assert_eq!(said["dump"][part], seen[part], "{part}");
    }
    // As the demo tells it.
    let device = place.device("mine");
    device.ok(&[
        "connect",
        "--mailbox",
        "folder:kept/mailbox",
        "--remote-path",
        "/",
        "--passphrase-file",
        "kept/passphrase",
    ]);
    assert_eq!(device.json(&["dump"]), said["dump"]);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/thesis.txt", "years of work");
    let run = Run::of(place.command().args(["demo", "--keep", "mine"]));
    assert!(run.failed_with("INVALID_ARGUMENT").contains("not empty"));
    assert_eq!(std::fs::read_dir(place.path("mine")).unwrap().count(), 1);
    Run::of(place.command().args(["demo", "--keep", "mine/thesis.txt"])).failed_with("INVALID_ARGUMENT");
    std::fs::create_dir(place.path("empty")).unwrap();
    assert_eq!(Run::of(place.command().args(["demo", "--keep", "empty"])).code, 0);
}
