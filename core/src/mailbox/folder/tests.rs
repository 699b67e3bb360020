//! The folder mailbox on a real file system.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, StreamExt};
use tempfile::TempDir;

use super::super::path::TEMP_PREFIX;
use super::super::{Body, MailboxErrorKind, StorageAdapter, suite};
use super::FolderMailbox;

fn fresh() -> (TempDir, FolderMailbox) {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = FolderMailbox::new(folder.path());
    (folder, mailbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let (folder, _) = fresh();
    let make = || Arc::new(FolderMailbox::new(folder.path())) as Arc<dyn StorageAdapter>;
    suite::run(&make, "/Mesh").await;
    assert_eq!(leftovers(folder.path()), Vec::<String>::new());
}

#[test]
fn conforms_without_a_runtime() {
    let (folder, _) = fresh();
    let make = || Arc::new(FolderMailbox::new(folder.path())) as Arc<dyn StorageAdapter>;
    suite::run(&make, "/Mesh").now_or_never().expect("a call did not finish in place");
}

/// Temporary and lock files anywhere below.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(leftovers(&entry.path()));
        }
        if name.contains("interocitor") {
            found.push(name);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_a_writer_sees_whole_bodies_of_any_length() {
    let (_folder, mailbox) = fresh();
    let bodies = [vec![1; 300_000], vec![2; 10], vec![3; 150_000]];
    mailbox.write_file("/x", Body::from(bodies[0].clone())).await.unwrap();
    let writer = mailbox.clone();
    let source = bodies.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200 {
            writer.write_file("/x", Body::from(source[round % 3].clone())).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let seen = mailbox.read_file("/x").await.unwrap();
        assert!(bodies.iter().any(|body| seen == body), "a part of a body: {} bytes", seen.len());
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_missing_base_directory_is_never_not_found() {
    let (folder, mailbox) = fresh();
    mailbox.write_file("/Mesh/x", Body::from("1")).await.unwrap();
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    let kinds = [
        mailbox.authenticate().await.unwrap_err().kind(),
        mailbox.read_file("/Mesh/x").await.unwrap_err().kind(),
        mailbox.read_stream("/Mesh/x").await.map(drop).unwrap_err().kind(),
        mailbox.read_many(&["/Mesh/x".to_owned()]).await.remove(0).unwrap_err().kind(),
        mailbox.list_files("/Mesh").await.unwrap_err().kind(),
        mailbox.list_folders("/Mesh").await.unwrap_err().kind(),
        mailbox.metadata("/Mesh/x").await.unwrap_err().kind(),
        mailbox.ensure_folder("/Mesh").await.unwrap_err().kind(),
        mailbox.ensure_folder("/").await.unwrap_err().kind(),
        mailbox.delete_file("/Mesh/x").await.unwrap_err().kind(),
        mailbox.write_file("/Mesh/x", Body::from("2")).await.unwrap_err().kind(),
        mailbox.create_file("/Mesh/y", Body::from("2")).await.unwrap_err().kind(),
        mailbox.replace_file("/Mesh/x", Body::from("2"), "etag").await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [MailboxErrorKind::Unavailable; 13]);
    assert!(!folder.path().exists(), "the base directory was created");
    fs::rename(&away, folder.path()).unwrap();
    assert_eq!(mailbox.read_file("/Mesh/x").await.unwrap(), "1");
}

#[tokio::test]
async fn a_file_in_the_cloud_is_neither_missing_nor_hidden() {
    let (folder, mailbox) = fresh();
    mailbox.write_file("/Mesh/here", Body::from("1")).await.unwrap();
    fs::write(folder.path().join("Mesh/.manifest.json.icloud"), "stand-in").unwrap();
    fs::write(folder.path().join("Mesh/.here.icloud"), "stand-in of a file that is here").unwrap();
    let path = "/Mesh/manifest.json";
    assert_eq!(mailbox.read_file(path).await.unwrap_err().kind(), MailboxErrorKind::Unavailable);
    assert_eq!(mailbox.metadata(path).await.unwrap_err().kind(), MailboxErrorKind::Unavailable);
    let outcome = mailbox.replace_file(path, Body::from("x"), "etag").await;
    assert_eq!(outcome.unwrap_err().kind(), MailboxErrorKind::Unavailable);
    let outcome = mailbox.create_file(path, Body::from("x")).await;
    assert_eq!(outcome.unwrap_err().kind(), MailboxErrorKind::AlreadyExists);
    let files = mailbox.list_files("/Mesh").await.unwrap();
    let listed: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.size)).collect();
    assert_eq!(listed, [("here", Some(1)), ("manifest.json", None)]);
    assert_eq!(files[1].path, path);

    mailbox.delete_file(path).await.unwrap();
    assert!(mailbox.metadata(path).await.unwrap().is_none());
    assert_eq!(mailbox.list_files("/Mesh").await.unwrap().len(), 1);
}

#[tokio::test]
async fn conflict_copies_are_listed_under_their_own_name() {
    let (folder, mailbox) = fresh();
    let copy = "manifest (conflicted copy 2026-01-01).json";
    fs::write(folder.path().join(copy), "x").unwrap();
    assert_eq!(mailbox.list_files("/").await.unwrap()[0].name, copy);
}

#[tokio::test]
async fn old_temporary_files_go_and_none_is_listed() {
    let (folder, mailbox) = fresh();
    let old = folder.path().join(format!("{TEMP_PREFIX}old"));
    let new = folder.path().join(format!("{TEMP_PREFIX}new"));
    fs::File::create(&new).unwrap();
    let file = fs::File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(3)).unwrap();
    assert!(mailbox.list_files("/").await.unwrap().is_empty());
    mailbox.ensure_folder("/").await.unwrap();
    assert!(!old.exists() && new.exists());
    let outcome = mailbox.read_file(&format!("/{TEMP_PREFIX}new")).await;
    assert_eq!(outcome.unwrap_err().kind(), MailboxErrorKind::InvalidPath);
}

#[tokio::test]
async fn a_dropped_write_leaves_nothing() {
    let (folder, mailbox) = fresh();
    let endless = futures_util::stream::iter([Ok(vec![1; 2_000_000].into())])
        .chain(futures_util::stream::pending())
        .boxed();
    let write = mailbox.write_file("/x", Body::Stream { len: 9_000_000, stream: endless });
    assert!(tokio::time::timeout(Duration::from_millis(200), write).await.is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_streamed_is_an_error() {
    let (folder, mailbox) = fresh();
    mailbox.write_file("/x", Body::from(vec![7; 1_000_000])).await.unwrap();
    let mut stream = mailbox.read_stream("/x").await.unwrap();
    stream.next().await.unwrap().unwrap();
    let file = fs::File::options().write(true).open(folder.path().join("x")).unwrap();
    file.set_len(300_000).unwrap();
    let mut last = Ok(());
    while let Some(piece) = stream.next().await {
        last = piece.map(drop);
    }
    assert_eq!(last.unwrap_err().kind(), MailboxErrorKind::Unavailable);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn special_files_neither_block_nor_show() {
        let (folder, mailbox) = fresh();
        let made = Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
        assert!(made.success());
        symlink("/nowhere/at/all", folder.path().join("dangling")).unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
        assert!(mailbox.list_files("/").await.unwrap().is_empty());
        assert_eq!(mailbox.list_folders("/").await.unwrap(), ["linked", "real"]);
        assert_eq!(mailbox.read_file("/pipe").await.unwrap_err().kind(), MailboxErrorKind::NotFound);
        assert!(mailbox.metadata("/pipe").await.unwrap().is_none());
        assert_eq!(mailbox.read_file("/dangling").await.unwrap_err().kind(), MailboxErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_sparse_giant_does_not_fill_the_memory() {
        let (folder, mailbox) = fresh();
        let file = fs::File::create(folder.path().join("giant")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(mailbox.read_file("/giant").await.unwrap_err().kind(), MailboxErrorKind::TooLarge);
        let mut stream = mailbox.read_stream("/giant").await.unwrap();
        assert!(!stream.next().await.unwrap().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_device_in_the_place_of_a_folder_is_an_invalid_path() {
        let (folder, mailbox) = fresh();
        symlink("/dev/null", folder.path().join("device")).unwrap();
        let outcome = mailbox.write_file("/device/x", Body::from("1")).await;
        assert_eq!(outcome.unwrap_err().kind(), MailboxErrorKind::InvalidPath);
    }

    #[tokio::test]
    async fn names_of_too_many_bytes_are_invalid() {
        let (_folder, mailbox) = fresh();
        let path = format!("/{}", "x".repeat(300));
        assert_eq!(mailbox.read_file(&path).await.unwrap_err().kind(), MailboxErrorKind::InvalidPath);
        let outcome = mailbox.write_file(&path, Body::from("")).await;
        assert_eq!(outcome.unwrap_err().kind(), MailboxErrorKind::InvalidPath);
    }
}

/// How fast small files are read; run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn measure_read_many() {
    let (folder, mailbox) = fresh();
    fs::create_dir(folder.path().join("changes")).unwrap();
    let names: Vec<String> = (0..5000).map(|number| format!("/changes/file-{number:05}.json")).collect();
    for name in &names {
        fs::write(folder.path().join(&name[1..]), vec![b'x'; 700]).unwrap();
    }
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let listed = mailbox.list_files("/changes").await.unwrap().len();
        let listing = start.elapsed();
        let start = std::time::Instant::now();
        let read = mailbox.read_many(&names).await.iter().filter(|outcome| outcome.is_ok()).count();
        let reading = start.elapsed();
        let rate = |elapsed: Duration| 5000.0 / elapsed.as_secs_f64();
        println!("{listed} listed at {:.0}/s, {read} read at {:.0}/s", rate(listing), rate(reading));
    }
}
