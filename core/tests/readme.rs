//! The README: its example is the one in `examples/` and does what it says; its field guide leaves nothing out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{path::Path, process::Command};

#[test]
fn the_quick_start_stands_in_the_readme_and_runs() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(here.join("examples/quick_start.rs")).unwrap();
    let (_, shown) = example.split_once("\n\n").unwrap();
    let readme = std::fs::read_to_string(here.join("../README.md")).unwrap();
    assert!(
        readme.contains(&format!("```rust,no_run\n{shown}```\n")),
        "copy core/examples/quick_start.rs into the README"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test about itself would make the one below build everything anew.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
        if !matches!(&*name, "CARGO_HOME" | "CARGO_TARGET_DIR" | "CARGO_INCREMENTAL") {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["run", "--quiet", "-p", "interocitor-core", "--example", "quick_start"])
        .arg("--manifest-path")
        .arg(here.join("Cargo.toml"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], r#"bread {"done":false,"title":"Bake bread"}"#);
    assert!(lines[1].starts_with("other devices need this: "), "{said}");
    assert!(folder.path().join("mailbox/Todo/manifest.json").exists());
}

/// The codes of the design.
const CODES: [&str; 34] = [
    "MESH_CREDENTIAL_MISMATCH",
    "MESH_ENCRYPTION_MISMATCH",
    "SCHEMA_MISMATCH",
    "WRITER_MISMATCH",
    "MANIFEST_INVALID",
    "MANIFEST_HASH",
    "PASSPHRASE_REQUIRED",
    "PASSPHRASE_WRONG",
    "REMOTE_MISSING",
    "REMOTE_ROLLBACK",
    "STORE_NEWER",
    "STORE_CORRUPT",
    "STORE_LOCKED",
    "LIMIT",
    "ENTRY_TOO_LARGE",
    "UNIQUE_VIOLATION",
    "INVALID_ARGUMENT",
    "FILE_INTEGRITY",
    "FILE_NOT_FOUND",
    "PAIRING_REJECTED",
    "CREDENTIAL_INVALIDATED",
    "BIOMETRICS_UNAVAILABLE",
    "DECODE",
    "SHUT_DOWN",
    "REMOTE_ACCESS",
    "REMOTE_TIMEOUT",
    "QUOTA_FULL",
    "STORE_OPEN",
    "STORE_BUSY",
    "DISK_FULL",
    "PAIRING_TIMEOUT",
    "USER_CANCELLED",
    "CANCELLED",
    "OFFLINE",
];

/// Events that report no problem. Every other one has its line in the README.
const ORDINARY: [&str; 34] = [
    "change",
    "delete",
    "sync:start",
    "sync:complete",
    "flush:start",
    "flush:progress",
    "flush:complete",
    "rehydrate:start",
    "rehydrate:complete",
    "connection:status",
    "connect:state",
    "connect:noop",
    "transport:teardown",
    "auth:required",
    "auth:complete",
    "mesh:configured",
    "encryption:resolved",
    "credentials:restored",
    "credentials:persisted",
    "compact:auto:start",
    "compact:auto:complete",
    "compact:auto:skip",
    "pairing:waiting",
    "pairing:scanned",
    "pairing:sent",
    "pairing:received",
    "file:state",
    "file:progress",
    "replica:complete",
    "replica:progress",
    "export:progress",
    "import:progress",
    "trace:manifest",
    "trace:head",
];

/// The texts between `before` and the next quote, in a source of the engine: what an enum has is not told at
/// run time, and a list by hand would miss what is added later.
fn quoted<'a>(source: &'a str, before: &str) -> Vec<&'a str> {
    source.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_code_and_every_event_that_tells_of_a_problem_has_its_line() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(here.join("../README.md")).unwrap();
    let (_, chapter) = readme.split_once("\n## What can go wrong\n").expect("the chapter");
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    // A line of a table or a list begins with what it is about, and says something about it.
    let lines = |name: &str| {
        let starts = [format!("| `{name}` | "), format!("- `{name}`: ")];
        let is_its = |line: &&str| starts.iter().any(|start| line.starts_with(start));
        chapter.lines().filter(is_its).collect::<Vec<_>>()
    };
    let error = include_str!("../src/error.rs");
    let (_, texts) = error.split_once("pub fn as_str(self)").unwrap();
    let (texts, _) = texts.split_once("\n}\n").unwrap();
    let codes = quoted(texts, "=> \"");
    assert_eq!(codes.len(), texts.matches("ErrorCode::").count(), "a code has another form");
    assert!(codes.len() >= 31);
    let events = include_str!("../src/events.rs");
    let (_, variants) = events.split_once("pub enum Event {").unwrap();
    let (variants, _) = variants.split_once("\n}\n").unwrap();
    let names = quoted(variants, "#[serde(rename = \"");
    assert!(names.len() >= 34);
    let problems = names.iter().filter(|name| !ORDINARY.contains(name));
    for name in CODES.iter().chain(&codes).chain(problems) {
        let lines = lines(name);
        assert_eq!(lines.len(), 1, "{name} needs one line in the README's chapter What can go wrong");
        assert!(lines[0].split('|').all(|cell| !cell.trim().is_empty() || cell.is_empty()), "{}", lines[0]);
    }
    for name in ORDINARY {
        assert!(names.contains(&name), "there is no event {name} any more");
    }
}

/// Every line of the table of guarantees names tests that exist: `` `name` `` and the file in brackets.
#[test]
fn every_guarantee_names_its_tests() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("README.md")).unwrap();
    let (_, guarantees) = text.split_once("## What is guaranteed").unwrap();
    let rows =
        guarantees.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what is promised"));
    let mut count = 0;
    for row in rows {
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for part in proof.split_inclusive(')') {
            let (names, file) = part.rsplit_once(" (").unwrap_or_else(|| panic!("no file is named: {row}"));
            let file = file.trim_end_matches(')');
            let places =
                ["tests", "tests/bad_input", "tests/files", "tests/export", "../tests/simulation/tests"];
            let source = places
                .iter()
                .find_map(|place| std::fs::read_to_string(here.join(place).join(file)).ok())
                .unwrap_or_else(|| panic!("{file} does not exist: {row}"));
            for name in names.split('`').skip(1).step_by(2) {
                assert!(source.contains(&format!("fn {name}(")), "{file} has no {name}: {row}");
                count += 1;
            }
        }
    }
    assert!(count >= 30, "{count} tests are named");
}
