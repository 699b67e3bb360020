//! Exports that are damaged, cut, forged or of the future: a typed error, and nothing is taken.

use std::{fs, path::PathBuf};

use interocitor_crypto::digest;

use super::*;

/// A store that must stay as it is.
struct Untouched {
    db: Interocitor,
    before: String,
    folder: tempfile::TempDir,
}

impl Untouched {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = open_at(StoreLocation::File(folder.path().join("store.db")), |_| {}).await;
        db.table("own").put("row", &json!({"kept": true})).await.unwrap();
        db.put_file("own", b"own".to_vec(), None).await.unwrap();
        let before = db.dump().await.unwrap();
        Self { db, before, folder }
    }

    /// The code that an import fails with.
    async fn refuses(&self, export: &Path, passphrase: Option<&str>) -> &'static str {
        let passphrase = passphrase.map(Passphrase::from);
        let outcome = self.db.import(export, passphrase.as_ref()).await;
        let error = outcome.expect_err(&export.display().to_string());
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() < 600, "{text}");
        assert_eq!(self.db.dump().await.unwrap(), self.before);
        let files = self.db.list_files("").await.unwrap().files;
        assert_eq!(files.len(), 1);
        // Nothing that was laid aside stays.
        assert_eq!(fs::read_dir(self.folder.path().join("store.db.files")).unwrap().count(), 1);
        error.code().as_str()
    }
}

async fn sample(folder: &Path) -> PathBuf {
    let db = alone().await;
    for at in 0..20 {
        db.table("todos").put(format!("r{at:02}"), &json!({ "at": at })).await.unwrap();
    }
    db.put_file("docs/a", b"content of a".to_vec(), None).await.unwrap();
    db.put_file("docs/b", vec![3; 5000], None).await.unwrap();
    let target = folder.join("export");
    db.export(&target, ExportFormat::Folder).await.unwrap();
    target
}

/// Changes an entry, and makes its digest fit again, as whoever forges an export would.
fn forge(export: &Path, name: &str, change: impl FnOnce(String) -> String) {
    let path = export.join(name);
    let text = change(fs::read_to_string(&path).unwrap_or_default());
    fs::write(&path, &text).unwrap();
    let sums = fs::read_to_string(export.join("SHA256SUMS")).unwrap();
    let ending = format!("  {name}");
    let mut lines: Vec<String> =
        sums.lines().filter(|line| !line.ends_with(&ending)).map(str::to_owned).collect();
    lines.push(format!("{}{ending}", digest::sha256_hex(text.as_bytes())));
    fs::write(export.join("SHA256SUMS"), lines.join("\n") + "\n").unwrap();
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What it is, the entry, and how its text changes.
type Forgery = (&'static str, &'static str, Box<dyn Fn(String) -> String>);

fn forgeries() -> Vec<Forgery> {
    let table = TABLE;
    let first = r#"{"id":"r00","columns":{}}"#;
    vec![
        ("a row twice", table, Box::new(move |text| format!("{first}\n{text}"))),
        ("rows out of order", table, Box::new(|text| text.split_inclusive('\n').rev().collect())),
        ("too few rows", table, Box::new(|text| text.split_inclusive('\n').skip(1).collect())),
        ("a row cut short", table, Box::new(|text| text.trim_end().to_owned())),
        ("no clock", table, Box::new(|text| text.replacen("\"hlc\"", "\"x\"", 1))),
        ("a bad clock", table, Box::new(|text| text.replacen("\"hlc\":\"0", "\"hlc\":\"x", 1))),
        (
            "deep",
            table,
            Box::new(|text| text.replacen("{\"id\"", &format!("{}\"id\"", "[".repeat(100_000)), 1)),
        ),
        (
            "a huge line",
            table,
            Box::new(|text| format!("{{\"id\":\"{}\"}}\n{text}", "x".repeat(65 * 1024 * 1024))),
        ),
        ("another size", "files.jsonl", Box::new(|text| text.replacen("\"size\":12", "\"size\":13", 1))),
        (
            "a path that leads elsewhere",
            "files.jsonl",
            Box::new(|text| text.replacen("\"docs/a\"", "\"../a\"", 1)),
        ),
        ("a path twice", "files.jsonl", Box::new(|text| text.replacen("\"docs/b\"", "\"docs/a\"", 1))),
        ("an entry twice", "files.jsonl", Box::new(|text| text.replacen("files/docs/b", "files/docs/a", 1))),
        ("no list of files", "files.jsonl", Box::new(|_| String::new())),
        ("no head", "export.json", Box::new(|_| "{}".into())),
        (
            "a table that is not there",
            "export.json",
            Box::new(|text| text.replace("0001-todos", "0002-todos")),
        ),
        ("an unknown entry", "notes.txt", Box::new(|_| "x".into())),
        ("a file that nothing names", "files/more", Box::new(|_| "x".into())),
    ]
}

const TABLE: &str = "tables/0001-todos.jsonl";

#[tokio::test]
async fn a_folder_with_anything_wrong_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sound = sample(folder.path()).await;
    let store = Untouched::new().await;
    let names: Vec<String> = tree(&sound).into_keys().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let mut number = 0;
    let mut bad = |change: &dyn Fn(&Path)| {
        number += 1;
        let target = folder.path().join(format!("bad{number}"));
        copy(&sound, &target);
        change(&target);
        target
    };
    // Any entry changed, cut or missing.
    for name in &names {
        let flipped = bad(&|root| {
            let path = root.join(name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        });
        assert_eq!(store.refuses(&flipped, None).await, "EXPORT_INVALID", "{name}");
        let cut = bad(&|root| {
            let path = root.join(name);
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        });
        assert_eq!(store.refuses(&cut, None).await, "EXPORT_INVALID", "{name}");
        let gone = bad(&|root| fs::remove_file(root.join(name)).unwrap());
        assert_eq!(store.refuses(&gone, None).await, "EXPORT_INVALID", "{name}");
    }
    // Forged, so that every digest fits.
    for (what, name, change) in forgeries() {
        let forged = bad(&|root| forge(root, name, &change));
        assert_eq!(store.refuses(&forged, None).await, "EXPORT_INVALID", "{what}");
    }
    let newer = bad(&|root| {
        forge(root, "export.json", |text| text.replacen("\"version\": 1", "\"version\": 2", 1));
    });
    assert_eq!(store.refuses(&newer, None).await, "EXPORT_NEWER");
    // Names in the list of digests that lead elsewhere, and links.
    for name in ["../outside", "/etc/hostname", "files/../../outside", "files/./a", "files/docs\\a"] {
        let leading = bad(&|root| {
            let sums = fs::read_to_string(root.join("SHA256SUMS")).unwrap();
            let digest = digest::sha256_hex(b"outside");
            fs::write(root.join("SHA256SUMS"), format!("{sums}{digest}  {name}\n")).unwrap();
        });
        fs::write(folder.path().join("outside"), "outside").unwrap();
        assert_eq!(store.refuses(&leading, None).await, "EXPORT_INVALID", "{name}");
    }
    #[cfg(unix)]
    {
        let linked = bad(&|root| {
            fs::rename(root.join("files/docs/a"), folder.path().join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(folder.path().join("elsewhere"), root.join("files/docs/a")).unwrap();
        });
        assert_eq!(store.refuses(&linked, None).await, "EXPORT_INVALID");
    }
    assert_eq!(store.refuses(&folder.path().join("missing"), None).await, "INVALID_ARGUMENT");
    assert_eq!(store.refuses(&folder.path().join("outside"), None).await, "EXPORT_INVALID");
    // And the sound one is taken.
    assert_eq!(store.db.import(&sound, None).await.unwrap().changed, 20);
}

#[tokio::test]
async fn an_archive_shows_nothing_before_all_of_it_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let export = sample(folder.path()).await;
    let db = alone().await;
    db.import(&export, None).await.unwrap();
    let archive = folder.path().join("archive");
    db.export(&archive, ExportFormat::Archive("the passphrase".into())).await.unwrap();
    let sound = fs::read(&archive).unwrap();
    let store = Untouched::new().await;
    assert_eq!(store.refuses(&archive, None).await, "PASSPHRASE_WRONG");
    assert_eq!(store.refuses(&archive, Some("another one")).await, "PASSPHRASE_WRONG");
    let head = sound.iter().position(|byte| *byte == b'\n').unwrap();
    let bad = folder.path().join("bad");
    let refuses = async |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        store.refuses(&bad, Some("the passphrase")).await
    };
    // Cut anywhere.
    for length in
        [0, 1, head / 2, head, head + 1, head + 20, sound.len() / 2, sound.len() - 2, sound.len() - 1]
    {
        assert_eq!(refuses(&sound[..length]).await, "EXPORT_INVALID", "cut to {length}");
    }
    assert_eq!(refuses(&[&sound[..], b"x"].concat()).await, "EXPORT_INVALID");
    // Any character changed to another one that could stand there.
    let step = (sound.len() - head) / 25;
    for at in (head + 40..sound.len() - 4).step_by(step) {
        let mut bytes = sound.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refuses(&bytes).await, "EXPORT_INVALID", "at {at}");
    }
    // The first line: what it says is a part of the key.
    let line = String::from_utf8(sound[..head].to_vec()).unwrap();
    let with = |from: &str, to: &str| {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line);
        [changed.as_bytes(), &sound[head..]].concat()
    };
    assert_eq!(refuses(&with("{", "{ ")).await, "EXPORT_INVALID");
    assert_eq!(refuses(&with("\"version\":1", "\"version\":2")).await, "EXPORT_NEWER");
    assert_eq!(refuses(&with("\"memory\":65536", "\"memory\":4294967295")).await, "EXPORT_INVALID");
    assert_eq!(refuses(&with("\"passes\":3", "\"passes\":4")).await, "PASSPHRASE_WRONG");
    assert_eq!(refuses(&with("argon2id", "md5")).await, "EXPORT_INVALID");
    assert_eq!(refuses(&with("interocitor-archive", "other")).await, "EXPORT_INVALID");
    assert_eq!(refuses(&with("\"key\":\"passphrase\"", "\"key\":\"mesh\"")).await, "PASSPHRASE_WRONG");
    assert_eq!(refuses(b"not an archive at all").await, "EXPORT_INVALID");
    assert_eq!(refuses(&vec![b'x'; 100_000]).await, "EXPORT_INVALID");
    let imported = store.db.import(&archive, Some(&"the passphrase".into())).await.unwrap();
    assert_eq!((imported.changed, imported.files), (20, 2));
    // One under the key of a mesh.
    let member = device(&MemoryMailbox::new(), |_| {}).await;
    let of_mesh = folder.path().join("mesh");
    member.export(&of_mesh, ExportFormat::MeshArchive).await.unwrap();
    let other = Untouched::new().await;
    for (passphrase, code) in [
        (None, "PASSPHRASE_WRONG"),
        (Some("the passphrase"), "PASSPHRASE_WRONG"),
        (Some("4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw"), "PASSPHRASE_WRONG"),
    ] {
        assert_eq!(other.refuses(&of_mesh, passphrase).await, code);
    }
    // The database's own key opens it without a word.
    assert_eq!(member.import(&of_mesh, None).await.unwrap().changed, 0);
    // A mesh without encryption has no key to offer.
    let plain =
        device(&MemoryMailbox::new(), |config| (config.encrypted, config.passphrase) = (false, None)).await;
    let error = plain.export(folder.path().join("x"), ExportFormat::MeshArchive).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn an_import_that_is_given_up_changes_nothing_or_everything() {
    let folder = tempfile::tempdir().unwrap();
    let db = alone().await;
    fill(&db).await;
    let export = folder.path().join("export");
    db.export(&export, ExportFormat::Folder).await.unwrap();
    let wanted = dump(&db).await;
    let mut outcomes = [0, 0];
    for micros in [0, 200, 1000, 3000, 6000, 10_000, 20_000, 60_000] {
        let fresh = alone().await;
        let import = fresh.import(&export, None);
        let _ = tokio::time::timeout(Duration::from_micros(micros), import).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let seen = dump(&fresh).await;
        let is_whole = seen == wanted;
        assert!(is_whole || seen == json!({"tables": {}, "tombstones": {}}), "after {micros}");
        assert_eq!(fresh.list_files("").await.unwrap().files.len(), if is_whole { 5 } else { 0 });
        outcomes[usize::from(is_whole)] += 1;
    }
    assert!(outcomes[0] > 0, "{outcomes:?}");
}
