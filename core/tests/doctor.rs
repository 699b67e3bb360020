//! The doctor: finds what was damaged on purpose, mends what it may, and writes nothing unasked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use common::{ahead::Ahead, open_at, tree};
use interocitor_core::{
    Interocitor, Schema, StoreLocation,
    diagnosis::{Diagnosis, Finding, Severity, Trouble},
    mailbox::FolderMailbox,
};
use serde_json::json;
use tempfile::TempDir;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// A store and a mailbox, each in a folder.
struct Place {
    store: TempDir,
    mailbox: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { store: tempfile::tempdir().unwrap(), mailbox: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.store.path().join("t.db")
    }

    fn mesh(&self, name: &str) -> PathBuf {
        self.mailbox.path().join("Mesh").join(name)
    }

    async fn open(&self) -> Interocitor {
        let db = open_at(StoreLocation::File(self.file()), |config| {
            config.passphrase = Some(PASSPHRASE.into());
            let schema = r#"{"tables":{"t":{"fields":{"n":{"kind":"number","index":true}}}}}"#;
            config.schema = Some(Schema::from_json(schema).unwrap());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(self.mailbox.path())))).await;
        db
    }

    /// A mesh with a snapshot, a former one, and changes.
    async fn grown(&self) -> Interocitor {
        let db = self.open().await;
        assert!(db.connect().await.unwrap().is_online());
        for n in 0..3 {
            db.table("t").put(format!("r{n}"), &json!({"n": n})).await.unwrap();
            db.sync().await.unwrap();
            db.compact(Duration::from_hours(24)).await.unwrap();
        }
        db.table("t").put("last", &json!({"n": 9})).await.unwrap();
        db.sync().await.unwrap();
        db
    }

    fn bytes(&self) -> [BTreeMap<String, Vec<u8>>; 2] {
        let mut store = tree(self.store.path());
        // The shared memory of SQLite's log holds locks and a lookup table, no content.
        store.retain(|name, _| !name.ends_with("-shm"));
        [store, tree(self.mailbox.path())]
    }
}

fn codes(diagnosis: &Diagnosis) -> Vec<&'static str> {
    let mut codes: Vec<_> = diagnosis.findings.iter().map(|finding| finding.trouble.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn of(diagnosis: &Diagnosis, trouble: Trouble) -> Vec<&Finding> {
    diagnosis.findings.iter().filter(|finding| finding.trouble == trouble).collect()
}

fn is_normal(finding: &Finding) -> bool {
    matches!(finding.trouble, Trouble::ManifestSuperseded | Trouble::SnapshotOrphaned)
}

fn age(path: &Path, hours: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(hours)).unwrap();
}

#[tokio::test]
async fn a_sound_mesh_has_nothing_to_mend() {
    let place = Place::new();
    let db = place.open().await;
    let diagnosis = db.doctor(false).await.unwrap();
    assert_eq!((diagnosis.findings.len(), diagnosis.worst()), (0, None), "an empty mailbox is no trouble");
    db.shutdown().await.unwrap();
    let db = place.grown().await;
    let before = place.bytes();
    let diagnosis = db.doctor(false).await.unwrap();
    assert_eq!(place.bytes(), before);
    assert!(diagnosis.findings.iter().all(is_normal), "{diagnosis:?}");
    assert_eq!(
        (of(&diagnosis, Trouble::SnapshotOrphaned).len(), of(&diagnosis, Trouble::ManifestSuperseded).len()),
        (4, 3)
    );
    // Rows; pointer, manifest, snapshot, four changes, head, device.
    assert_eq!((diagnosis.rows_checked, diagnosis.files_checked), (4, 9));
    assert_eq!(diagnosis.worst(), Some(Severity::Info));

    // Superseded yesterday only: nothing is deleted, since slow peers may want it.
    db.doctor(true).await.unwrap();
    assert_eq!(tree(place.mailbox.path()).keys().collect::<Vec<_>>(), before[1].keys().collect::<Vec<_>>());
    for file in tree(place.mailbox.path()).keys() {
        age(&place.mailbox.path().join(file), 30);
    }
    let diagnosis = db.doctor(true).await.unwrap();
    assert!(diagnosis.findings.iter().all(|finding| finding.is_mended), "{diagnosis:?}");
    assert!(db.doctor(false).await.unwrap().findings.is_empty());
    // What is left is all that a new device needs.
    db.sync().await.unwrap();
    let fresh = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    fresh.set_remote_storage(Some(Arc::new(FolderMailbox::new(place.mailbox.path())))).await;
    assert!(fresh.connect().await.unwrap().is_online());
    assert_eq!(fresh.count(&fresh.table("t").query()).await.unwrap(), 4);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn every_damage_of_a_mailbox_is_found_and_nothing_written() {
    let place = Place::new();
    let db = place.grown().await;
    let changes: Vec<String> =
        tree(&place.mesh("changes")).into_keys().filter(|name| name != "head.json").collect();
    std::fs::write(place.mesh("changes").join(&changes[0]), "garbage").unwrap();
    std::fs::write(place.mesh("changes/head.json"), "{\"latestHlc\":\"000000000000001-0000-x\"}").unwrap();
    std::fs::write(place.mesh("changes/a conflicting copy.json"), "x").unwrap();
    std::fs::write(place.mesh("devices/broken.json"), "x").unwrap();
    std::fs::write(place.mesh("notes.txt"), "x").unwrap();
    std::fs::write(place.mesh("Thumbs.db"), "x").unwrap();
    std::fs::write(place.mesh("manifest-9.json"), "x").unwrap();
    for (name, hours) in [(".interocitor-tmp-old", 2), (".interocitor-tmp-new", 0)] {
        std::fs::write(place.mesh("changes").join(name), "half").unwrap();
        age(&place.mesh("changes").join(name), hours);
    }
    let before = place.bytes();
    let diagnosis = db.doctor(false).await.unwrap();
    assert_eq!(place.bytes(), before);
    let wanted = [
        "CHANGE_UNREADABLE",
        "DEVICE_UNREADABLE",
        "HEAD_BEHIND",
        "LEFTOVER",
        "MANIFEST_ABANDONED",
        "MANIFEST_SUPERSEDED",
        "SNAPSHOT_ORPHANED",
        "UNKNOWN_FILE",
    ];
    assert_eq!(codes(&diagnosis), wanted);
    assert_eq!(of(&diagnosis, Trouble::UnknownFile).len(), 2);
    assert_eq!(of(&diagnosis, Trouble::ChangeUnreadable)[0].place, format!("/Mesh/changes/{}", changes[0]));
    assert!(diagnosis.findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.trouble.severity())));

    let mended = db.doctor(true).await.unwrap();
    assert!(of(&mended, Trouble::HeadBehind)[0].is_mended);
    let leftovers = of(&mended, Trouble::Leftover);
    let still: Vec<_> =
        leftovers.iter().filter(|finding| !finding.is_mended).map(|finding| &*finding.place).collect();
    assert_eq!(still, ["/Mesh/changes/.interocitor-tmp-new"]);
    let again = db.doctor(false).await.unwrap();
    assert!(of(&again, Trouble::HeadBehind).is_empty());
    assert_eq!(of(&again, Trouble::ChangeUnreadable).len(), 1, "the file of another device stays");
    std::fs::remove_file(place.mesh("changes/head.json")).unwrap();
    assert_eq!(of(&db.doctor(false).await.unwrap(), Trouble::HeadBehind)[0].detail, "it is missing");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn pointer_manifest_and_snapshot_are_checked() {
    let place = Place::new();
    let db = place.grown().await;
    let keep = tree(place.mailbox.path());
    let snapshot =
        tree(&place.mesh("mainline")).into_keys().find(|name| name.starts_with("snapshot-3-")).unwrap();
    let edited = String::from_utf8(keep["Mesh/manifest-4.json"].clone())
        .unwrap()
        .replace("\"epoch\": 3", "\"epoch\": 4");
    let cases: &[(&str, Option<&str>, Trouble)] = &[
        ("manifest.json", None, Trouble::PointerMissing),
        ("manifest.json", Some("{"), Trouble::PointerUnreadable),
        ("manifest-4.json", None, Trouble::ManifestMissing),
        ("manifest-4.json", Some("{}"), Trouble::ManifestInvalid),
        ("manifest-4.json", Some(&edited), Trouble::ManifestHash),
        (&format!("mainline/{snapshot}"), None, Trouble::SnapshotMissing),
        (&format!("mainline/{snapshot}"), Some("x"), Trouble::SnapshotUnreadable),
    ];
    for (name, content, wanted) in cases {
        match content {
            Some(content) => std::fs::write(place.mesh(name), content).unwrap(),
            None => std::fs::remove_file(place.mesh(name)).unwrap(),
        }
        let diagnosis = db.doctor(true).await.unwrap();
        assert_eq!(of(&diagnosis, *wanted).len(), 1, "{wanted:?}: {diagnosis:?}");
        assert_eq!(diagnosis.worst(), Some(Severity::Error));
        std::fs::write(place.mesh(name), &keep[&format!("Mesh/{name}")]).unwrap();
    }
    assert!(db.doctor(false).await.unwrap().findings.iter().all(is_normal));
    std::fs::rename(place.mailbox.path(), place.mailbox.path().with_extension("gone")).unwrap();
    let diagnosis = db.doctor(false).await.unwrap();
    assert_eq!(codes(&diagnosis), ["MAILBOX_UNREADABLE"]);
    std::fs::rename(place.mailbox.path().with_extension("gone"), place.mailbox.path()).unwrap();

    let stranger = Place::new();
    let other = stranger.grown().await;
    other.set_remote_storage(Some(Arc::new(FolderMailbox::new(place.mailbox.path())))).await;
    assert_eq!(of(&other.doctor(false).await.unwrap(), Trouble::OtherMesh).len(), 1);
    other.set_remote_storage(None).await;
    assert_eq!(codes(&other.doctor(false).await.unwrap()), ["MAILBOX_NOT_CHECKED"]);
    other.shutdown().await.unwrap();
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_examined_and_its_indexes_are_mended() {
    let place = Place::new();
    let db = place.grown().await;
    db.set_remote_storage(None).await;
    db.table("t").put("waiting", &json!({"n": 1})).await.unwrap();
    db.shutdown().await.unwrap();
    let damage = |sql: &str| rusqlite::Connection::open(place.file()).unwrap().execute_batch(sql).unwrap();
    let examine = async |mends: bool| {
        let db = place.open().await;
        db.set_remote_storage(None).await;
        let before = place.bytes();
        let diagnosis = db.doctor(mends).await.unwrap();
        assert!(mends || place.bytes() == before);
        db.shutdown().await.unwrap();
        diagnosis
    };
    assert_eq!(codes(&examine(false).await), ["MAILBOX_NOT_CHECKED"]);

    // An index that misses a row: it is hidden from SQLite while the row is written.
    let name: String = rusqlite::Connection::open(place.file())
        .unwrap()
        .query_row("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%k_%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    damage(&format!(
        "CREATE TABLE kept AS SELECT * FROM sqlite_master WHERE name = '{name}';
         PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = '{name}'"
    ));
    damage("INSERT INTO t_1(id, data, clocks, k_0) SELECT 'hidden', data, clocks, k_0 FROM t_1 LIMIT 1");
    damage("PRAGMA writable_schema = ON; INSERT INTO sqlite_master SELECT * FROM kept");
    damage("DROP TABLE kept");
    assert_eq!(codes(&examine(false).await), ["INDEX_DAMAGED", "MAILBOX_NOT_CHECKED"]);
    let mended = examine(true).await;
    assert!(of(&mended, Trouble::IndexDamaged)[0].is_mended);
    assert_eq!(codes(&examine(false).await), ["MAILBOX_NOT_CHECKED"]);

    damage("UPDATE t_1 SET clocks = x'ff' WHERE id IN ('r0', 'r1')");
    damage("UPDATE outbox_ops SET ops = x'ff'; INSERT INTO outbox_ops VALUES (4711, 0, x'00')");
    damage("UPDATE outbox SET problem = 'ENTRY_TOO_LARGE: a change of 9 bytes'");
    damage("INSERT INTO quarantine VALUES ('changes/x', 'DECODE', 'why not', '', 0, 0, 1, 0)");
    damage("UPDATE engine SET ts = 4102444800000");
    std::fs::write(place.store.path().join("t.db.before-join-1"), "x").unwrap();
    let diagnosis = examine(false).await;
    let wanted = [
        "CLOCK_AHEAD",
        "MAILBOX_NOT_CHECKED",
        "OLD_COPY",
        "OUTBOX_DAMAGED",
        "OUTBOX_STUCK",
        "QUARANTINED",
        "ROW_DAMAGED",
    ];
    assert_eq!(codes(&diagnosis), wanted);
    assert_eq!(of(&diagnosis, Trouble::RowDamaged)[0].detail, "2 rows, the first of them r0");
    assert_eq!(of(&diagnosis, Trouble::OutboxDamaged).len(), 2);

    // A page in the middle of the file.
    let mut bytes = std::fs::read(place.file()).unwrap();
    let root: i64 = rusqlite::Connection::open(place.file())
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'receipts'", [], |row| row.get(0))
        .unwrap();
    let at = (usize::try_from(root).unwrap() - 1) * 4096;
    bytes[at + 8..at + 200].fill(0xff);
    std::fs::write(place.file(), bytes).unwrap();
    assert!(codes(&examine(false).await).contains(&"STORE_DAMAGED"));
}

#[tokio::test]
async fn clocks_from_the_future_are_named() {
    let place = Place::new();
    let db = place.open().await;
    assert!(db.connect().await.unwrap().is_online());
    let ahead = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.host = Arc::new(Ahead(Mutex::new(3_600_000)));
        config.device_id = Some("hasty".into());
    })
    .await;
    ahead.set_remote_storage(Some(Arc::new(FolderMailbox::new(place.mailbox.path())))).await;
    assert!(ahead.connect().await.unwrap().is_online());
    ahead.table("t").put("soon", &json!({"n": 1})).await.unwrap();
    ahead.sync().await.unwrap();
    db.sync().await.unwrap();
    let diagnosis = db.doctor(false).await.unwrap();
    assert_eq!(codes(&diagnosis), ["CHANGE_FROM_THE_FUTURE", "ROWS_FROM_THE_FUTURE"]);
    for trouble in [Trouble::ChangeFromTheFuture, Trouble::RowsFromTheFuture] {
        let detail = &of(&diagnosis, trouble)[0].detail;
        let minutes = ["60 minutes", "59 minutes"];
        assert!(detail.contains("hasty") && minutes.iter().any(|text| detail.contains(text)), "{detail}");
    }
    db.shutdown().await.unwrap();
}
