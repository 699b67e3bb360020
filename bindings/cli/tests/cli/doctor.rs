//! The doctor at a terminal.

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::common::{Place, tree};

/// Everything but SQLite's shared memory, which holds no content.
fn everything(place: &Place) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = tree(place.folder.path());
    files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    files
}

#[test]
fn it_looks_and_writes_nothing_until_it_is_asked_to_mend() {
    let place = Place::new();
    let device = place.device("a");
    device.run(&["doctor"]).failed_with("INVALID_ARGUMENT");
    assert!(!place.path("a.db").exists(), "it makes no store");
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    assert!(device.ok(&["doctor"]).contains("MAILBOX_NOT_CHECKED"));
    device.connect(&[]);
    assert_eq!(device.ok(&["doctor"]), "looked at 1 row and 5 mailbox files; nothing is wrong\n");
    let sound = device.json(&["doctor"]);
    assert_eq!(sound, json!({"findings": [], "rowsChecked": 1, "filesChecked": 5}));

    let head = place.path("box/Mesh/changes/head.json");
    std::fs::write(&head, "{}").unwrap();
    let half = place.path("box/Mesh/changes/.interocitor-tmp-1");
    std::fs::write(&half, "half").unwrap();
    let file = File::options().write(true).open(&half).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(2)).unwrap();
    std::fs::write(place.path("box/Mesh/changes/0-0-\u{1b}[2J-chg_x.json"), "x").unwrap();
    let before = everything(&place);
    let found = device.json(&["doctor"]);
    let shown = device.ok(&["doctor"]);
    assert_eq!(everything(&place), before);
    let codes = |report: &Value, mended: bool| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        let wanted = findings.filter(|finding| finding["mended"] == mended);
        wanted.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&found, false), ["CHANGE_UNREADABLE", "HEAD_BEHIND", "LEFTOVER"]);
    assert_eq!(found["findings"][1]["mendable"], true);
    assert!(
        shown.contains("warning HEAD_BEHIND: ") && shown.contains("-> let the doctor move it"),
        "{shown}"
    );
    assert!(shown.contains("--fix mends") && !shown.contains('\u{1b}'), "{shown}");

    let mended = device.json(&["doctor", "--fix"]);
    assert_eq!(codes(&mended, true), ["HEAD_BEHIND", "LEFTOVER"]);
    assert_eq!(codes(&device.json(&["doctor"]), false), ["CHANGE_UNREADABLE"]);
    assert!(!half.exists());

    std::fs::remove_file(place.path("box/Mesh/manifest.json")).unwrap();
    let run = device.run(&["doctor"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr, "error[DOCTOR]: 1 error found and not mended; data or sync is in danger\n");
    assert!(run.stdout.contains("error POINTER_MISSING: "), "{run:?}");
}
