//! Bad paths, bad content, bad mailboxes: a typed error each, and nothing wrong stored.

use interocitor_core::{
    FileForm, GetFile, Interocitor, StoreLocation,
    mailbox::{FolderMailbox, MemoryMailbox, StorageAdapter},
};
use interocitor_crypto::{digest::sha256_hex, seal};

use super::{bytes, code, device, hashed, hidden, key, put};

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused_by_every_call() {
    let db = device(&MemoryMailbox::new(), |_| {}).await;
    for path in ["", "/", "a/../b", "..", "./a", "a\nb", "a\0", "a\\b", "x.interocitor-meta.json"] {
        let codes = [
            db.put_file(path, Vec::new(), None).await.map(drop),
            db.get_file(path).await.map(drop),
            db.get_file_metadata(path).await.map(drop),
            db.delete_file(path).await,
            db.pin_file(path).await,
        ];
        for outcome in codes {
            assert_eq!(outcome.unwrap_err().code().as_str(), "INVALID_ARGUMENT", "{path:?}");
        }
    }
    for content_type in ["", "text/plain\n", &"x".repeat(300)] {
        let outcome = db.put_file("a", Vec::new(), Some(content_type)).await;
        assert_eq!(outcome.unwrap_err().code().as_str(), "INVALID_ARGUMENT", "{content_type:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    // Sparse: its length is all there is.
    std::fs::File::create(&path).unwrap().set_len(5_000_000_001).unwrap();
    let db = device(&MemoryMailbox::new(), |_| {}).await;
    put(&db, "a", b"before").await;
    let error = db.put_file("a", path, None).await.unwrap_err();
    assert_eq!(error.code().as_str(), "LIMIT", "{error}");
    assert_eq!(bytes(&db, "a").await, b"before");
    // A reader does not tell its length.
    let small = device(&MemoryMailbox::new(), |config| config.max_file_bytes = 1000).await;
    let endless = interocitor_core::FileSource::reader(std::io::repeat(7));
    assert_eq!(small.put_file("a", endless, None).await.unwrap_err().code().as_str(), "LIMIT");
    assert_eq!(small.status().await.unwrap().pending.files, 0);
}

async fn stored(mailbox: &MemoryMailbox, place: &str, body: Vec<u8>) {
    mailbox.write_file(place, body.into()).await.unwrap();
}

#[tokio::test]
async fn whatever_a_mailbox_gives_nothing_wrong_comes_out_or_stays() {
    let mailbox = MemoryMailbox::new();
    let folder = tempfile::tempdir().unwrap();
    let phone = device(&mailbox, |_| {}).await;
    let reader = super::device_at(StoreLocation::File(folder.path().join("a.db")), &mailbox, |_| {}).await;
    put(&phone, "a", b"content of a").await;
    put(&phone, "b", b"content of b").await;
    phone.sync().await.unwrap();
    let place = hidden("a");
    let good = mailbox.read_file(&place).await.unwrap().to_vec();
    let of_b = mailbox.read_file(&hidden("b")).await.unwrap().to_vec();
    let sealed = |frame: &[u8]| seal(&key(), [9; 12], frame).unwrap();
    let header = |text: &str, content: &[u8]| {
        let length = u32::try_from(text.len()).unwrap();
        sealed(&[&length.to_be_bytes()[..], text.as_bytes(), content].concat())
    };
    let digest = sha256_hex(b"x");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("swapped with another file", of_b),
        ("cut", good[..good.len() - 9].to_vec()),
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("longer", [&good[..], b"x"].concat()),
        ("flipped", flipped),
        ("empty", Vec::new()),
        ("a page", b"<!doctype html><title>Log in</title>".to_vec()),
        ("of another key", seal(&interocitor_crypto::Key::from_bytes([1; 32]), [1; 12], b"x").unwrap()),
        ("no frame", sealed(b"no frame")),
        ("an endless header", sealed(&[0xff, 0xff, 0xff, 0xff, 1])),
        ("another size", header(&format!(r#"{{"v":1,"size":2,"digest":"{digest}"}}"#), b"x")),
        ("another digest", header(&format!(r#"{{"v":1,"size":1,"digest":"{digest}"}}"#), b"y")),
        ("a newer frame", header(&format!(r#"{{"v":2,"size":1,"digest":"{digest}"}}"#), b"x")),
        ("sealed twice", header(&format!(r#"{{"v":1,"size":1,"digest":"{digest}","taint":"t"}}"#), b"x")),
    ];
    let bodies = folder.path().join("a.db.files");
    for (name, body) in cases {
        stored(&mailbox, &place, body).await;
        assert_eq!(code(&reader, "a").await, "FILE_INTEGRITY", "{name}");
        let left = if bodies.exists() { std::fs::read_dir(&bodies).unwrap().count() } else { 0 };
        assert_eq!(left, 0, "{name}: something stayed");
    }
    // In the queue it is told, and everything else goes on.
    reader.pin_file("a").await.unwrap();
    reader.pin_file("b").await.unwrap();
    stored(&mailbox, &place, b"rubbish".to_vec()).await;
    let synced = reader.sync_files().await.unwrap();
    assert_eq!((synced.done, synced.failed), (1, 1));
    stored(&mailbox, &place, good).await;
    reader.resume_file("a").await.unwrap();
    reader.sync_files().await.unwrap();
    assert_eq!(bytes(&reader, "a").await, b"content of a");
    reader.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_the_plain_form_a_digest_tells_a_swap() {
    let mailbox = MemoryMailbox::new();
    let plain = |config: &mut interocitor_core::Config| config.file_form = Some(FileForm::Plain);
    let (phone, tablet) = (device(&mailbox, plain).await, device(&mailbox, plain).await);
    let a = phone.put_file("a", b"content of a".to_vec(), None).await.unwrap();
    let b = phone.put_file("b", b"content of b".to_vec(), None).await.unwrap();
    phone.sync().await.unwrap();
    let swapped = mailbox.read_file("/Mesh/files/b").await.unwrap();
    mailbox.write_file("/Mesh/files/a", swapped.into()).await.unwrap();
    for bad in ["", "x", &a.digest.clone().unwrap().to_uppercase()] {
        let want = GetFile { digest: Some(bad.into()), ..GetFile::default() };
        assert_eq!(tablet.get_file_with("a", &want).await.unwrap_err().code().as_str(), "INVALID_ARGUMENT");
    }
    let get = async |db: &Interocitor, digest: &Option<String>| {
        let want = GetFile { digest: digest.clone(), ..GetFile::default() };
        match db.get_file_with("a", &want).await {
            Ok(content) => Ok(content.bytes().await.unwrap()),
            Err(error) => Err(error.code().as_str()),
        }
    };
    assert_eq!(get(&tablet, &a.digest).await, Err("FILE_INTEGRITY"));
    // The one who knows only the path cannot tell; who holds the content is asked for no other.
    assert_eq!(get(&tablet, &b.digest).await, Ok(b"content of b".to_vec()));
    assert_eq!(bytes(&tablet, "a").await, b"content of b");
    assert_eq!(get(&phone, &a.digest).await, Ok(b"content of a".to_vec()));
    put(&phone, "a", b"newer").await;
    assert_eq!(get(&phone, &a.digest).await, Err("FILE_INTEGRITY"));
}

#[tokio::test]
async fn names_that_clash_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = FolderMailbox::new(folder.path());
    let db = device(&mailbox, |config| config.file_form = Some(FileForm::Plain)).await;
    for path in ["a", "a/b", "c/d", "c", "e"] {
        put(&db, path, path.as_bytes()).await;
        db.sync_files().await.unwrap();
    }
    let waiting = db.file_transfers().await.unwrap();
    let failed: Vec<&str> = waiting.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(failed, ["a/b", "c"], "a folder has the name of a file: {waiting:?}");
    let other = device(&mailbox, |_| {}).await;
    assert_eq!((bytes(&other, "a").await, bytes(&other, "c/d").await), (b"a".to_vec(), b"c/d".to_vec()));
    assert_eq!(bytes(&other, "e").await, b"e");
    // Hidden names do not clash.
    let hiding = device(&MemoryMailbox::new(), |_| {}).await;
    for path in ["a", "a/b"] {
        put(&hiding, path, path.as_bytes()).await;
    }
    assert_eq!(hiding.sync_files().await.unwrap().done, 2);
}

#[tokio::test]
async fn a_hostile_listing_is_listed_as_far_as_it_makes_sense() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    put(&db, "ours", b"x").await;
    db.sync().await.unwrap();
    for name in ["good/a", "a\nb", "x.interocitor-meta.json", "back\\slash", &"0".repeat(64)] {
        stored(&mailbox, &format!("/Mesh/files/{name}"), Vec::new()).await;
    }
    let listing = db.list_files("").await.unwrap();
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((paths, listing.unnamed), (vec!["good/a", "ours"], 1));
    assert_eq!(hashed(&mailbox).await.len(), 2);
}
