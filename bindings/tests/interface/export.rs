//! Export and import.

use std::{fs, path::Path, sync::Arc};

use interocitor_ffi::{CancelToken, Event, ExportFormat, Failure, FileSource, Interocitor, Mailbox};

use crate::{
    events::listener,
    support::{PASSPHRASE, PATIENCE, code, member, open, text, wait},
};

fn filled(mailbox: &Arc<Mailbox>) -> Interocitor {
    let db = member(mailbox, |_| {});
    wait(db.table("t".into()).put("r".into(), br#"{"v":"secret"}"#.to_vec())).unwrap();
    wait(db.put_file("a/b".into(), FileSource::Bytes { content: b"content".to_vec() }, None, None)).unwrap();
    db
}

fn export(
    db: &Interocitor,
    target: &Path,
    format: ExportFormat,
) -> Result<interocitor_ffi::Exported, Failure> {
    wait(db.export_to(target.display().to_string(), format, None))
}

fn import(
    db: &Interocitor,
    source: &Path,
    passphrase: Option<&str>,
) -> Result<interocitor_ffi::Imported, Failure> {
    wait(db.import_from(source.display().to_string(), passphrase.map(Into::into), None))
}

fn archive(passphrase: &str) -> ExportFormat {
    ExportFormat::Archive { passphrase: passphrase.into() }
}

#[test]
fn every_form_goes_out_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = filled(&Arc::new(Mailbox::memory()));
    let forms = [
        ("folder", ExportFormat::Folder, None),
        ("archive", archive("correct horse"), Some("correct horse")),
        ("mesh", ExportFormat::MeshArchive, Some(PASSPHRASE)),
    ];
    for (name, format, passphrase) in forms {
        let target = folder.path().join(name);
        let (heard, events) = listener(|_| Ok(()));
        let told = db.subscribe(heard).unwrap();
        let done = export(&db, &target, format).unwrap();
        assert_eq!((done.tables, done.rows, done.files, done.unnamed), (1, 1, 1, 0), "{name}");
        assert!(done.bytes > 7, "{name}: {done:?}");
        let progress = events.recv_timeout(PATIENCE).unwrap();
        assert!(progress.iter().any(|event| matches!(event, Event::ExportProgress { .. })), "{progress:?}");
        told.cancel();

        let new = open(|configuration| configuration.passphrase = None);
        let (heard, events) = listener(|_| Ok(()));
        let _told = new.subscribe(heard).unwrap();
        let done = import(&new, &target, passphrase).unwrap();
        assert_eq!((done.rows, done.changed, done.files), (1, 1, 1), "{name}");
        let progress = events.recv_timeout(PATIENCE).unwrap();
        assert!(progress.iter().any(|event| matches!(event, Event::ImportProgress { .. })), "{progress:?}");
        assert_eq!(text(wait(new.table("t".into()).row("r".into())).unwrap()).unwrap(), r#"{"v":"secret"}"#);
        let content = wait(new.get_file("a/b".into(), None, false, None)).unwrap();
        assert_eq!(wait(content.bytes(None)).unwrap(), b"content");
        assert_eq!(import(&new, &target, passphrase).unwrap().changed, 0, "{name}: a second time");
    }
    let whole = fs::read(folder.path().join("archive")).unwrap();
    assert!(!String::from_utf8_lossy(&whole).contains("secret"));
    assert!(!format!("{:?}", archive("s3cret")).contains("s3cret"));
}

#[test]
fn what_is_no_whole_export_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (target, db) = (folder.path().join("archive"), filled(&Arc::new(Mailbox::memory())));
    export(&db, &target, archive("correct horse")).unwrap();
    assert_eq!(code(export(&db, &target, archive("correct horse"))), "INVALID_ARGUMENT", "it is there");

    let new = open(|configuration| configuration.passphrase = None);
    assert_eq!(code(import(&new, &target, Some("wrong"))), "PASSPHRASE_WRONG");
    assert_eq!(code(import(&new, &folder.path().join("missing"), None)), "INVALID_ARGUMENT");
    let whole = fs::read(&target).unwrap();
    fs::write(&target, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(code(import(&new, &target, Some("correct horse"))), "EXPORT_INVALID");

    let newer = String::from_utf8(whole).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    fs::write(&target, newer).unwrap();
    assert_eq!(code(import(&new, &target, Some("correct horse"))), "EXPORT_NEWER");
    assert_eq!(wait(new.table_names()).unwrap(), Vec::<String>::new());
}

#[test]
fn what_cannot_go_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let keyless = open(|configuration| configuration.passphrase = None);
    let target = folder.path().join("mesh");
    assert_eq!(code(export(&keyless, &target, ExportFormat::MeshArchive)), "PASSPHRASE_REQUIRED");

    let mailbox = Arc::new(Mailbox::memory());
    let db = filled(&mailbox);
    wait(db.sync(None)).unwrap();
    wait(db.evict_file("a/b".into())).unwrap();
    wait(db.disconnect()).unwrap();
    assert_eq!(code(export(&db, &target, ExportFormat::Folder)), "OFFLINE");
    let cancelled = Arc::new(CancelToken::new());
    cancelled.cancel();
    let path = || target.display().to_string();
    let given_up = wait(db.export_to(path(), ExportFormat::Folder, Some(Arc::clone(&cancelled))));
    assert_eq!(code(given_up), "CANCELLED");
    assert_eq!(code(wait(db.import_from(path(), None, Some(cancelled)))), "CANCELLED");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    wait(db.shutdown()).unwrap();
    assert_eq!(code(export(&db, &target, ExportFormat::Folder)), "SHUT_DOWN");
    assert_eq!(code(import(&db, &target, None)), "SHUT_DOWN");
}
