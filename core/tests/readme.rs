//! The example of the README: the same text as the one in `examples/`, and it does what it says.
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
