//! Images: media types, images in the clear for a view, small pictures, and what must not be decoded.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[cfg(feature = "thumbnails")]
#[path = "images/thumbnails.rs"]
mod thumbnails;

use std::{path::Path, sync::Arc};

use common::open_at;
use interocitor_core::{FileForm, Interocitor, StoreLocation, images::MAX_IN_MEMORY, mailbox::MemoryMailbox};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device(store: StoreLocation, mailbox: &MemoryMailbox) -> Interocitor {
    let db = open_at(store, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.file_form = Some(FileForm::Hashed);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn content_type(db: &Interocitor, path: &str) -> String {
    db.get_image(path).await.unwrap().content_type
}

#[tokio::test]
async fn images_come_from_bytes_files_data_urls_and_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("source"), b"of a file").unwrap();
    let mailbox = MemoryMailbox::new();
    let db = device(StoreLocation::Memory, &mailbox).await;
    db.put_image("a.jpg", b"of memory".to_vec(), None).await.unwrap();
    db.put_image("b", folder.path().join("source"), None).await.unwrap();
    db.put_image("c.jpg", "data:image/gif;base64,aGk=", None).await.unwrap();
    db.put_image("d.jpg", "<svg/>", None).await.unwrap();
    db.put_image("e.png", "<svg/>", Some("image/x-own")).await.unwrap();
    db.put_file("f.webp", b"x".to_vec(), Some("text/plain")).await.unwrap();
    let staged = db.stage_image("g.bmp", b"staged".to_vec(), None).await.unwrap();
    db.batch(|batch| {
        batch.put_file(staged);
        Ok(())
    })
    .await
    .unwrap();
    db.sync().await.unwrap();
    let other = device(StoreLocation::Memory, &mailbox).await;
    let wanted: [(&str, &str, &[u8]); 7] = [
        ("a.jpg", "image/jpeg", b"of memory"),
        ("b", "image/png", b"of a file"),
        ("c.jpg", "image/gif", b"hi"),
        ("d.jpg", "image/svg+xml", b"<svg/>"),
        ("e.png", "image/x-own", b"<svg/>"),
        ("f.webp", "image/webp", b"x"),
        ("g.bmp", "image/bmp", b"staged"),
    ];
    for db in [&db, &other] {
        for (path, kind, bytes) in wanted {
            let image = db.get_image(path).await.unwrap();
            assert_eq!((image.content_type.as_str(), image.bytes.as_slice()), (kind, bytes), "{path}");
            assert_eq!(image.info.path, path);
        }
    }
    for (source, content_type) in [("<svg/>", Some("text/plain")), ("data:text/plain,hi", None)] {
        let error = db.put_image("d.jpg", source, content_type).await.unwrap_err();
        assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "{error}");
    }
    assert_eq!(self::content_type(&db, "d.jpg").await, "image/svg+xml");
    assert_eq!(db.get_image("none").await.unwrap_err().code().as_str(), "FILE_NOT_FOUND");
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_shown_by_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(MAX_IN_MEMORY + 1).unwrap();
    let db = device(StoreLocation::Memory, &MemoryMailbox::new()).await;
    db.put_image("large.png", path, None).await.unwrap();
    assert_eq!(db.get_image("large.png").await.unwrap_err().code().as_str(), "LIMIT");
    let shown = db.get_image_url("large.png").await.unwrap();
    assert_eq!(std::fs::metadata(shown.path()).unwrap().len(), MAX_IN_MEMORY + 1);
}

/// Everything that lies under a folder in the clear, by content.
fn lies_in_the_clear(folder: &Path) -> bool {
    let tree = common::tree(folder);
    tree.values().any(|bytes| bytes.windows(6).any(|window| window == b"secret"))
}

#[tokio::test]
async fn an_image_lies_in_the_clear_only_as_long_as_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = || StoreLocation::File(folder.path().join("a b%.db"));
    let mailbox = MemoryMailbox::new();
    let db = device(store(), &mailbox).await;
    db.put_image("x.svg", "<svg>secret</svg>", None).await.unwrap();
    assert!(!lies_in_the_clear(folder.path()));
    let shown = db.get_image_url("x.svg").await.unwrap();
    assert_eq!(shown.content_type(), "image/svg+xml");
    assert!(shown.path().extension().is_some_and(|ending| ending == "svg"));
    assert_eq!(std::fs::read(shown.path()).unwrap(), b"<svg>secret</svg>");
    let in_url = shown.url().strip_prefix("file:///").unwrap();
    assert!(in_url.contains("a%20b%25.db.shown"), "{in_url}");
    assert!(lies_in_the_clear(folder.path()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(shown.path()), 0o600);
        assert_eq!(mode(shown.path().parent().unwrap()), 0o700);
    }
    shown.clone().revoke().unwrap();
    assert!(!shown.path().exists());
    shown.revoke().unwrap();
    let (dropped, left) =
        (db.get_image_url("x.svg").await.unwrap(), db.get_image_url("x.svg").await.unwrap());
    let path = dropped.path().to_owned();
    drop(dropped);
    assert!(!path.exists() && left.path().exists());
    // Another handle on the same store leaves it alone.
    let other = open_at(store(), |config| config.passphrase = Some(PASSPHRASE.into())).await;
    assert!(left.path().exists());
    other.shutdown().await.unwrap();
    db.shutdown().await.unwrap();
    assert!(!lies_in_the_clear(folder.path()), "shut down");
    assert_eq!(db.get_image_url("x.svg").await.unwrap_err().code().as_str(), "SHUT_DOWN");
}

#[tokio::test]
async fn what_a_crash_left_in_the_clear_goes_when_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let store = || StoreLocation::File(folder.path().join("a.db"));
    device(store(), &MemoryMailbox::new()).await.shutdown().await.unwrap();
    let shown = folder.path().join("a.db.shown");
    // A process that ended just now.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let gone = child.id();
    child.wait().unwrap();
    let living = std::os::unix::process::parent_id();
    let lay = |name: String| {
        std::fs::create_dir_all(shown.join(&name)).unwrap();
        std::fs::write(shown.join(&name).join("x.svg"), b"secret").unwrap();
        shown.join(name)
    };
    let theirs = lay(format!("{living}-theirs-1"));
    let left = [
        lay(format!("{gone}-theirs-1")),
        // A former process with the number that this one has now.
        lay(format!("{}-former-1", std::process::id())),
        lay("foreign".into()),
    ];
    open_at(store(), |config| config.passphrase = Some(PASSPHRASE.into())).await;
    assert!(theirs.exists(), "its process lives");
    for path in left {
        assert!(!path.exists(), "{}", path.display());
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    std::fs::File::open(&theirs).unwrap().set_modified(long_ago).unwrap();
    open_at(store(), |config| config.passphrase = Some(PASSPHRASE.into())).await;
    assert!(!theirs.exists(), "a number can be another process's after a day");
}
