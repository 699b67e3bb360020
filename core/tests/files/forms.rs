//! The forms in which files lie in a mailbox, ours and those of both generations of the JavaScript client.

use interocitor_core::{
    FileForm, FileSource, GetFile, Interocitor, Passphrase, StoreLocation,
    mailbox::{FolderMailbox, MemoryMailbox, StorageAdapter},
};
use interocitor_crypto::{digest::sha256_hex, open, seal};
use std::{io::Read, sync::Arc};

use super::{bytes, code, device, hashed, hidden, key, put};
use crate::common::{Fixture, faulty::FaultyMailbox, open_at};
use serde_json::json;

#[tokio::test]
async fn files_of_the_javascript_client_are_read_exactly_and_added_to_in_their_form() {
    let fixture = Fixture::load("basic");
    let mailbox = fixture.unpack();
    let join = async || -> Interocitor {
        let db = open_at(StoreLocation::Memory, |config| {
            config.remote_path = Some(fixture.remote_path.clone());
            config.passphrase = fixture.passphrase.as_deref().map(Passphrase::from);
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    };
    let db = join().await;
    let expected = fixture.expected["durableFiles"].as_object().unwrap();
    assert_eq!(expected.len(), 3);
    let listing = db.list_files("").await.unwrap();
    let listed: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((listed, listing.unnamed), (vec!["avatars/me.png", "big/blob.bin", "docs/readme.txt"], 0));
    for (path, facts) in expected {
        let content = bytes(&db, path).await;
        assert_eq!(content.len() as u64, facts["size"].as_u64().unwrap(), "{path}");
        assert_eq!(sha256_hex(&content), facts["sha256"].as_str().unwrap(), "{path}");
        let info = db.get_file_metadata(path).await.unwrap().unwrap();
        assert!(info.is_here);
    }
    assert_eq!(code(&db, "docs/other.txt").await, "FILE_NOT_FOUND");

    put(&db, "docs/new.txt", b"ours").await;
    db.sync().await.unwrap();
    let stored = std::fs::read(mailbox.path().join("Mesh/files/docs/new.txt")).unwrap();
    let theirs = Passphrase::from(fixture.passphrase.as_deref().unwrap()).to_key().unwrap();
    assert_eq!(open(&theirs, &stored).unwrap(), b"ours");
    assert_eq!(bytes(&join().await, "docs/new.txt").await, b"ours");
    assert_eq!(join().await.list_files("docs/").await.unwrap().files.len(), 2);
}

#[tokio::test]
async fn a_mesh_of_ours_hides_paths_and_keeps_digest_type_and_path_inside() {
    let mailbox = MemoryMailbox::new();
    let phone = device(&mailbox, |_| {}).await;
    let put = phone.put_file("/receipts//may.pdf", b"hi".to_vec(), Some("text/plain")).await.unwrap();
    assert_eq!((put.path.as_str(), put.size), ("receipts/may.pdf", Some(2)));
    phone.sync().await.unwrap();
    // The vectors of protocol.md 12.3, with our path behind theirs.
    let name = "dc7f30c7a571f2057e605f905e4c1bdbef098044741ecadf76ba39b133c01ddf";
    assert_eq!(hashed(&mailbox).await, [name]);
    let frame = open(&key(), &mailbox.read_file(&hidden("receipts/may.pdf")).await.unwrap()).unwrap();
    let header = r#"{"v":1,"size":2,"digest":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","contentType":"text/plain","path":"receipts/may.pdf"}"#;
    assert_eq!(frame[..4], u32::try_from(header.len()).unwrap().to_be_bytes());
    assert_eq!(String::from_utf8_lossy(&frame[4..]), format!("{header}hi"));

    let tablet = device(&mailbox, |_| {}).await;
    let before = tablet.list_files("").await.unwrap();
    assert_eq!((before.files.len(), before.unnamed), (0, 1));
    let info = tablet.get_file_metadata("receipts/may.pdf").await.unwrap().unwrap();
    assert_eq!((info.digest, info.content_type.as_deref()), (put.digest, Some("text/plain")));
    let after = tablet.list_files("receipts/").await.unwrap();
    assert_eq!((after.files.len(), after.unnamed), (1, 0));
    assert_eq!(tablet.get_file_metadata("receipts/june.pdf").await.unwrap(), None);
}

/// A frame without our additional field, as the newer JavaScript client writes it.
fn frame(content: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"v":1,"size":{},"digest":"{}"}}"#, content.len(), sha256_hex(content));
    let length = u32::try_from(header.len()).unwrap();
    [&length.to_be_bytes()[..], header.as_bytes(), content].concat()
}

#[tokio::test]
async fn both_forms_are_read_whichever_is_written() {
    let mailbox = MemoryMailbox::new();
    let founder = device(&mailbox, |_| {}).await;
    founder.sync().await.unwrap();
    let stored = |content: &[u8], iv| seal(&key(), [iv; 12], content).unwrap();
    mailbox.write_file("/Mesh/files/old/a", stored(b"plain", 1).into()).await.unwrap();
    mailbox.write_file(&hidden("new/b"), stored(&frame(b"hashed"), 2).into()).await.unwrap();
    for form in [None, Some(FileForm::Plain), Some(FileForm::Hashed)] {
        let db = device(&mailbox, |config| config.file_form = form).await;
        assert_eq!(bytes(&db, "old/a").await, b"plain", "{form:?}");
        assert_eq!(bytes(&db, "new/b").await, b"hashed", "{form:?}");
    }
    // What is put again moves to the form that is written, and does not lie there twice.
    let db = device(&mailbox, |config| config.file_form = Some(FileForm::Hashed)).await;
    assert_eq!(bytes(&db, "old/a").await, b"plain");
    put(&db, "old/a", b"newer").await;
    db.sync().await.unwrap();
    assert_eq!(mailbox.metadata("/Mesh/files/old/a").await.unwrap(), None);
    let old = device(&mailbox, |config| config.file_form = Some(FileForm::Plain)).await;
    assert_eq!(bytes(&old, "old/a").await, b"newer");
    old.delete_file("old/a").await.unwrap();
    old.delete_file("never/was").await.unwrap();
    old.sync().await.unwrap();
    assert_eq!(hashed(&mailbox).await.len(), 1, "in whichever form it lies");
    assert_eq!(code(&old, "old/a").await, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn without_encryption_a_frame_is_told_by_its_content() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |config| {
        config.encrypted = false;
        config.file_form = Some(FileForm::Plain);
    })
    .await;
    let lookalike = [&frame(b"x")[..], b"y"].concat();
    for (path, stored, wanted) in [
        ("raw", b"raw".to_vec(), b"raw".to_vec()),
        ("empty", Vec::new(), Vec::new()),
        ("framed", frame(b"content"), b"content".to_vec()),
        ("nothing in it", frame(b""), Vec::new()),
        ("lookalike", lookalike.clone(), lookalike),
        ("lengths", 7_u32.to_be_bytes().to_vec(), 7_u32.to_be_bytes().to_vec()),
    ] {
        mailbox.write_file(&format!("/Mesh/files/{path}"), stored.into()).await.unwrap();
        assert_eq!(bytes(&db, path).await, wanted, "{path}");
    }
    put(&db, "a/b", b"ours").await;
    db.sync().await.unwrap();
    assert_eq!(mailbox.read_file("/Mesh/files/a/b").await.unwrap(), "ours");
    let newer = device(&mailbox, |config| {
        config.encrypted = false;
        config.file_form = Some(FileForm::Hashed);
    })
    .await;
    put(&newer, "a/b", b"framed").await;
    newer.sync().await.unwrap();
    assert_eq!(bytes(&db, "a/b").await, b"framed");
}

#[tokio::test]
async fn content_comes_from_memory_files_and_readers_and_goes_there() {
    let mailbox = MemoryMailbox::new();
    let (phone, tablet) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..3_000_017_u32).map(|at| (at % 251) as u8).collect();
    let source = folder.path().join("source");
    std::fs::write(&source, &large).unwrap();
    phone.put_file("memory", large.clone(), None).await.unwrap();
    phone.put_file("path", source.clone(), None).await.unwrap();
    std::fs::remove_file(source).unwrap();
    let reader = FileSource::reader(std::io::Cursor::new(large.clone()));
    phone.put_file("reader", reader, None).await.unwrap();
    put(&phone, "empty", b"").await;
    phone.sync().await.unwrap();
    assert_eq!(phone.status().await.unwrap().pending.files, 0);
    for path in ["memory", "path", "reader"] {
        assert!(bytes(&tablet, path).await == large, "{path}");
    }
    assert_eq!(bytes(&tablet, "empty").await, b"");
    let target = folder.path().join("target");
    std::fs::write(&target, "what was there").unwrap();
    tablet.get_file("path").await.unwrap().save_to(&target).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == large);
    let mut reader = tablet.get_file("path").await.unwrap().reader().await.unwrap();
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert!(read == large && reader.size() == large.len() as u64);
    let nowhere = folder.path().join("none/target");
    let error = tablet.get_file("path").await.unwrap().save_to(&nowhere).await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
    for bad in [folder.path().to_owned(), folder.path().join("none")] {
        let error = phone.put_file("x", bad, None).await.unwrap_err();
        assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "{error}");
    }
    assert_eq!(code(&phone, "x").await, "FILE_NOT_FOUND");
}

#[tokio::test]
async fn a_copy_here_is_given_only_while_it_is_current() {
    let mailbox = MemoryMailbox::new();
    let (phone, tablet) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    put(&phone, "a", b"first").await;
    phone.sync().await.unwrap();
    assert_eq!(bytes(&tablet, "a").await, b"first");
    put(&phone, "a", b"second").await;
    phone.sync().await.unwrap();
    let cached = GetFile { prefers_cache: true, ..GetFile::default() };
    let content = tablet.get_file_with("a", &cached).await.unwrap();
    assert_eq!(content.bytes().await.unwrap(), b"first");
    assert_eq!(bytes(&tablet, "a").await, b"second");
    // Once its version is known, one request says that nothing is new.
    assert_eq!(bytes(&tablet, "a").await, b"second");
    let before = mailbox.requests();
    assert_eq!(bytes(&tablet, "a").await, b"second");
    assert_eq!(mailbox.requests() - before, 1);
    tablet.disconnect().await;
    assert_eq!(bytes(&tablet, "a").await, b"second");
    assert_eq!(code(&tablet, "b").await, "OFFLINE");
    phone.delete_file("a").await.unwrap();
    phone.sync().await.unwrap();
    tablet.connect().await.unwrap();
    assert_eq!(code(&tablet, "a").await, "FILE_NOT_FOUND");
    assert_eq!(tablet.list_files("").await.unwrap().files.len(), 0);
}

#[tokio::test]
async fn on_webdav_a_file_in_the_plain_form_has_a_sidecar() {
    let memory = MemoryMailbox::new();
    let mut mailbox = FaultyMailbox::new(memory.clone(), |_, _| None);
    mailbox.keeps_sidecars = true;
    let plain = |config: &mut interocitor_core::Config| config.file_form = Some(FileForm::Plain);
    let (phone, tablet) = (device(&mailbox, plain).await, device(&mailbox, plain).await);
    phone.put_file("docs/a.txt", b"content".to_vec(), Some("text/plain")).await.unwrap();
    let before = memory.requests();
    phone.sync_files().await.unwrap();
    assert!(memory.requests() - before <= 2, "the file and its sidecar");
    let beside = "/Mesh/files/docs/a.txt.interocitor-meta.json";
    let sidecar: serde_json::Value =
        serde_json::from_slice(&memory.read_file(beside).await.unwrap()).unwrap();
    let stored = memory.read_file("/Mesh/files/docs/a.txt").await.unwrap().len();
    for (field, wanted) in [
        ("name", json!("a.txt")),
        ("path", json!("/Mesh/files/docs/a.txt")),
        ("size", json!(stored)),
        ("storedSize", json!(stored)),
        ("plaintextSize", json!(7)),
        ("contentType", json!("text/plain")),
        ("uploadedByDeviceId", json!(phone.device_id())),
        ("useCount", json!(0)),
    ] {
        assert_eq!(sidecar[field], wanted, "{field}");
    }
    let info = tablet.get_file_metadata("docs/a.txt").await.unwrap().unwrap();
    assert_eq!((info.size, info.content_type.as_deref(), info.is_here), (Some(7), Some("text/plain"), false));
    let listing = tablet.list_files("").await.unwrap();
    assert_eq!(listing.files.len(), 1, "a sidecar is no file: {listing:?}");
    // One that is damaged or gone hides nothing.
    for damage in ["rubbish", "[]", r#"{"plaintextSize":"7","contentType":7}"#] {
        memory.write_file(beside, damage.into()).await.unwrap();
        let tablet = device(&mailbox, plain).await;
        let info = tablet.get_file_metadata("docs/a.txt").await.unwrap().unwrap();
        assert_eq!((info.size, info.content_type), (None, None), "{damage}");
        assert_eq!(bytes(&tablet, "docs/a.txt").await, b"content");
    }
    tablet.delete_file("docs/a.txt").await.unwrap();
    tablet.sync().await.unwrap();
    for path in ["/Mesh/files/docs/a.txt", beside] {
        assert_eq!(memory.metadata(path).await.unwrap(), None, "{path}");
    }
    // The hashed form needs none.
    let hiding = device(&mailbox, |config| config.file_form = Some(FileForm::Hashed)).await;
    put(&hiding, "b", b"x").await;
    hiding.sync().await.unwrap();
    assert!(memory.list_files("/Mesh/files").await.unwrap().iter().all(|file| file.name.len() == 64));
}
