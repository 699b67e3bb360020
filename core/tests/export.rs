//! Export and import: nothing is lost on the way, nothing comes back that was deleted, and nothing wrong is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "export/bad_input.rs"]
mod bad_input;
mod common;
#[path = "export/meshes.rs"]
mod meshes;

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use common::{open_at, tree};
use interocitor_core::{
    Config, ExportFormat, Interocitor, Passphrase, StoreLocation,
    mailbox::{MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// A device without a mailbox.
async fn alone() -> Interocitor {
    open_at(StoreLocation::Memory, |_| {}).await
}

async fn device(mailbox: &MemoryMailbox, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::ZERO;
        change(config);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    let connection = db.connect().await.unwrap();
    assert!(connection.is_online(), "{connection:?}");
    db
}

async fn dump(db: &Interocitor) -> Value {
    let text = common::without_lone_surrogates(&db.dump().await.unwrap());
    let dump: Value = serde_json::from_str(&text).unwrap();
    json!({"tables": dump["tables"], "tombstones": dump["tombstones"]})
}

async fn content(db: &Interocitor, path: &str) -> Vec<u8> {
    db.get_file(path).await.unwrap().bytes().await.unwrap()
}

/// Rows and names of every kind, files of every size.
async fn fill(db: &Interocitor) {
    for at in 0..300 {
        db.table("todos").put(format!("r{at}"), &json!({"at": at, "text": "K\u{f6}ln"})).await.unwrap();
    }
    for id in ["r1", "r2"] {
        db.table("todos").delete(id).await.unwrap();
    }
    db.table("todos").put("r2", &json!({"back": true})).await.unwrap();
    db.table("odd/\u{1f600}\u{2028}").put("row\u{0}\n", &json!({"q\"\n": [1.5, {"a": null}]})).await.unwrap();
    db.table("empty").put("nothing", &json!({})).await.unwrap();
    db.put_file("docs/May 1.txt", b"may".to_vec(), Some("text/plain")).await.unwrap();
    db.put_file("docs/may 1.txt", b"another".to_vec(), None).await.unwrap();
    db.put_file("caf\u{e9}/\u{1f600}", b"odd name".to_vec(), None).await.unwrap();
    db.put_file("large", vec![7; 900_001], None).await.unwrap();
    db.put_file("nothing", Vec::new(), None).await.unwrap();
}

const FILES: [&str; 5] = ["docs/May 1.txt", "docs/may 1.txt", "caf\u{e9}/\u{1f600}", "large", "nothing"];

/// What the independent reader finds.
fn read(export: &Path, passphrase: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/read_export.py");
    let output = Command::new("python3").arg(script).arg(export).arg(passphrase).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&common::without_lone_surrogates(&String::from_utf8(output.stdout).unwrap()))
        .unwrap()
}

fn formats() -> [(&'static str, ExportFormat, &'static str); 3] {
    let passphrase = "correct horse \u{1f40e}";
    [
        ("folder", ExportFormat::Folder, ""),
        ("archive", ExportFormat::Archive(passphrase.into()), passphrase),
        ("mesh-archive", ExportFormat::MeshArchive, PASSPHRASE),
    ]
}

#[tokio::test]
async fn what_is_exported_is_read_by_the_document_alone_and_imported_unchanged() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    fill(&db).await;
    db.sync().await.unwrap();
    let wanted = dump(&db).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, format, passphrase) in formats() {
        let target = folder.path().join(name);
        let exported = db.export(&target, format.clone()).await.unwrap();
        assert_eq!((exported.tables, exported.rows, exported.files, exported.unnamed), (3, 302, 5, 0));
        // Nobody needs this library for it.
        let seen = read(&target, passphrase);
        assert_eq!(json!({"tables": seen["tables"], "tombstones": seen["tombstones"]}), wanted, "{name}");
        assert_eq!(seen["files"].as_object().unwrap().len(), 5);
        assert_eq!(seen["files"]["docs/May 1.txt"]["contentType"], "text/plain");
        assert_eq!(
            seen["meshId"],
            serde_json::from_str::<Value>(&db.dump().await.unwrap()).unwrap()["meshId"]
        );
        let is_encrypted = format != ExportFormat::Folder;
        let shows = |text: &str| {
            let files = if target.is_dir() { tree(&target) } else { tree(folder.path()) };
            let shown = files.iter().filter(|(path, _)| target.is_dir() || *path == name);
            shown.into_iter().any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        };
        assert_eq!(shows("another"), !is_encrypted, "{name}");
        // Into a store of another device, offline.
        let fresh = alone().await;
        let given = is_encrypted.then(|| Passphrase::from(passphrase));
        let imported = fresh.import(&target, given.as_ref()).await.unwrap();
        assert_eq!((imported.rows, imported.changed, imported.files), (302, 302, 5));
        assert_eq!(dump(&fresh).await, wanted);
        for path in FILES {
            assert_eq!(content(&fresh, path).await, content(&db, path).await, "{path}");
        }
        let info = fresh.get_file_metadata("docs/May 1.txt").await.unwrap().unwrap();
        assert_eq!(info.content_type.as_deref(), Some("text/plain"));
        // Twice is as good as once, and what comes out again is the same, clocks included.
        let again = fresh.import(&target, given.as_ref()).await.unwrap();
        assert_eq!((again.changed, again.files), (0, 0));
        let second = folder.path().join(format!("{name}-again"));
        fresh.export(&second, ExportFormat::Folder).await.unwrap();
        if !is_encrypted {
            let (mut first, mut second) = (tree(&target), tree(&second));
            for tree in [&mut first, &mut second] {
                // They tell when they were made, and which table came first.
                tree.remove("export.json");
                tree.remove("SHA256SUMS");
            }
            let lines = |tree: &std::collections::BTreeMap<String, Vec<u8>>| {
                tree.iter()
                    .filter(|(path, _)| path.starts_with("tables/"))
                    .map(|(_, text)| text.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(lines(&first), lines(&second));
        }
    }
    // Nothing is left over beside them.
    assert!(
        tree(folder.path()).keys().all(|path| !path.starts_with('.')),
        "{:?}",
        tree(folder.path()).keys()
    );
}

#[tokio::test]
async fn an_export_is_for_its_owner_alone_and_never_half_there() {
    let db = alone().await;
    fill(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("export");
    std::fs::create_dir(&target).unwrap();
    db.export(&target, ExportFormat::Folder).await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
        assert_eq!((mode(&target), mode(&target.join("files.jsonl"))), (0, 0));
    }
    // sha256sum itself finds nothing wrong.
    let sums = Command::new("sha256sum").args(["-c", "--quiet", "SHA256SUMS"]).current_dir(&target).status();
    assert!(sums.unwrap().success());
    for format in [ExportFormat::Folder, ExportFormat::Archive("secret".into())] {
        let error = db.export(&target, format).await.unwrap_err();
        assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    }
    let archive = folder.path().join("archive");
    db.export(&archive, ExportFormat::Archive("secret".into())).await.unwrap();
    let error = db.export(&archive, ExportFormat::Archive("secret".into())).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    let error = db.export(folder.path().join("x"), ExportFormat::Archive("".into())).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    let error = db.export(folder.path().join("no/folder/x"), ExportFormat::Folder).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    // A call that is given up leaves nothing.
    for micros in [0, 100, 500, 2000, 5000] {
        let export = db.export(folder.path().join("given-up"), ExportFormat::Folder);
        if tokio::time::timeout(Duration::from_micros(micros), export).await.is_ok() {
            std::fs::remove_dir_all(folder.path().join("given-up")).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn files_that_only_the_mailbox_has_are_fetched_also_those_never_met() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    fill(&db).await;
    db.sync().await.unwrap();
    let fresh = device(&mailbox, |config| config.file_cache_bytes = 1000).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("export");
    let exported = fresh.export(&target, ExportFormat::Folder).await.unwrap();
    assert_eq!((exported.files, exported.unnamed), (5, 0));
    assert_eq!(read(&target, "")["files"]["large"]["size"], 900_001);
    // Without the mailbox it is an error, and no export with holes.
    fresh.disconnect().await;
    let error = fresh.export(folder.path().join("offline"), ExportFormat::Folder).await.unwrap_err();
    assert_eq!(error.code().as_str(), "OFFLINE");
    assert!(!folder.path().join("offline").exists());
    // A name that hides a path which nothing tells is counted.
    let fresh = device(&mailbox, |_| {}).await;
    let name = format!("/Mesh/files/{}", "0".repeat(64));
    mailbox.write_file(&name, b"{}".to_vec().into()).await.unwrap();
    let exported = fresh.export(folder.path().join("more"), ExportFormat::Folder).await.unwrap();
    assert_eq!((exported.files, exported.unnamed), (5, 1));
}
