//! What waits to be transferred: across restarts, failures, pauses, and in the background.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use interocitor_core::{
    Event, Interocitor, StoreLocation, TransferKind, TransferState,
    host::{Host, Job, TokioHost},
    mailbox::{MailboxErrorKind, MemoryMailbox, StorageAdapter},
};

use super::{PASSPHRASE, bytes, code, device, device_at, hashed, hidden, put};
use crate::common::{
    self,
    faulty::{Failure, FaultyMailbox},
    open_at,
};

fn is_file(path: &str) -> bool {
    path.starts_with("/Mesh/files/")
}

async fn transfer(db: &Interocitor, path: &str) -> (TransferKind, TransferState, u32, Option<String>) {
    let waiting = db.file_transfers().await.unwrap();
    let file = waiting.into_iter().find(|file| file.path == path).unwrap();
    let transfer = file.transfer.unwrap();
    (transfer.kind, transfer.state, transfer.attempts, transfer.problem.map(|problem| problem.code))
}

#[tokio::test]
async fn what_was_put_offline_is_uploaded_after_a_restart_and_hidden_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = || StoreLocation::File(path.clone());
    let mailbox = MemoryMailbox::new();
    // Before there is a mesh or a key.
    let db = open_at(store(), |_| {}).await;
    put(&db, "notes/secret.txt", b"a very secret text").await;
    put(&db, "notes/other.txt", b"a very secret text, too").await;
    db.cancel_file("notes/other.txt").await.unwrap();
    assert_eq!(bytes(&db, "notes/secret.txt").await, b"a very secret text");
    assert_eq!(db.list_files("notes/").await.unwrap().files.len(), 1);
    db.shutdown().await.unwrap();
    let bodies = common::tree(&folder.path().join("a.db.files"));
    assert_eq!(bodies.len(), 1, "one body, and nothing of what was cancelled");
    assert!(!bodies.values().any(|body| body.windows(6).any(|part| part == b"secret")));

    let db = device_at(store(), &mailbox, |_| {}).await;
    let status = db.status().await.unwrap();
    assert_eq!((status.pending.files, status.pending.failed_files), (1, 0));
    db.sync().await.unwrap();
    assert_eq!(db.status().await.unwrap().pending.files, 0);
    let other = device(&mailbox, |_| {}).await;
    assert_eq!(bytes(&other, "notes/secret.txt").await, b"a very secret text");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_watches_is_given_each_new_state_until_the_end() {
    let db = device(&MemoryMailbox::new(), |_| {}).await;
    let mut watch = db.watch_file_transfers().unwrap();
    assert!(watch.next().await.unwrap().unwrap().is_empty());
    put(&db, "a", b"content").await;
    let waiting = watch.next().await.unwrap().unwrap();
    assert_eq!((waiting.len(), waiting[0].path.as_str()), (1, "a"));
    db.suspend().await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(400), watch.next()).await;
    assert!(waits.is_err(), "while it is suspended there is nothing to tell: {waits:?}");
    db.resume().await.unwrap();
    db.pause_file("a").await.unwrap();
    let paused = watch.next().await.unwrap().unwrap().remove(0).transfer.unwrap();
    assert_eq!(paused.state, TransferState::Paused);
    db.resume_file("a").await.unwrap();
    db.sync_files().await.unwrap();
    assert!(watch.next().await.unwrap().unwrap().is_empty());
    db.shutdown().await.unwrap();
    assert!(watch.next().await.is_none());
    assert_eq!(db.watch_file_transfers().unwrap_err().code().as_str(), "SHUT_DOWN");
}

/// A wall clock that moves with the paused time of a test.
#[derive(Debug)]
struct PausedHost(tokio::time::Instant);

impl Host for PausedHost {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000 + u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioHost.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioHost.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioHost.spawn(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        TokioHost.blocking(job)
    }
}

#[tokio::test(start_paused = true)]
async fn the_background_task_moves_files_and_tries_again() {
    let memory = MemoryMailbox::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let mailbox = FaultyMailbox::new(memory.clone(), move |operation, path| {
        let fails = operation == "write" && is_file(path) && counted.fetch_add(1, Ordering::Relaxed) < 3;
        fails.then_some(Failure::Before(MailboxErrorKind::Unavailable))
    });
    let host = Arc::new(PausedHost(tokio::time::Instant::now()));
    let db = device(&mailbox, |config| {
        config.auto_sync = true;
        config.host = host.clone();
    })
    .await;
    let mut events = db.events();
    put(&db, "a", b"content").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (kind, state, attempts, problem) = transfer(&db, "a").await;
    assert_eq!((kind, state, attempts), (TransferKind::Upload, TransferState::Waiting, 1));
    assert_eq!(problem.as_deref(), Some("REMOTE_ACCESS"));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(tries.load(Ordering::Relaxed), 4, "after 2, 4 and 8 seconds");
    assert_eq!(hashed(&memory).await.len(), 1);
    let mut seen = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::FileError { retry_in_ms, .. } = event {
            seen.push(retry_in_ms);
        }
    }
    assert_eq!(seen, [Some(2000), Some(4000), Some(8000)]);

    // A pinned file comes by itself.
    let other = device(&memory, |config| config.auto_sync = true).await;
    other.pin_file("a").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let listed = other.list_files("").await.unwrap().files;
    assert!(listed[0].is_here && listed[0].is_pinned && listed[0].transfer.is_none(), "{listed:?}");
    other.delete_file("a").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hashed(&memory).await.len(), 0);
    db.shutdown().await.unwrap();
    other.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_file_that_fails_keeps_no_other_back() {
    let memory = MemoryMailbox::new();
    let bad = hidden("bad");
    let mailbox = FaultyMailbox::new(memory.clone(), move |operation, path| {
        (operation == "write" && path == bad).then_some(Failure::Before(MailboxErrorKind::TooLarge))
    });
    let db = device(&mailbox, |_| {}).await;
    for path in ["a", "bad", "c", "d", "e", "f"] {
        put(&db, path, path.as_bytes()).await;
    }
    let synced = db.sync_files().await.unwrap();
    assert_eq!((synced.done, synced.failed), (5, 1));
    assert_eq!(
        transfer(&db, "bad").await,
        (TransferKind::Upload, TransferState::Failed, 1, Some("LIMIT".into()))
    );
    assert_eq!(db.status().await.unwrap().pending.failed_files, 1);
    // It is not tried again until somebody asks for it.
    assert_eq!(db.sync_files().await.unwrap().failed, 0);
    mailbox.set(|_, _| None);
    db.resume_file("bad").await.unwrap();
    assert_eq!(db.sync_files().await.unwrap().done, 1);
    assert_eq!(hashed(&memory).await.len(), 6);
}

#[tokio::test]
async fn who_asks_for_files_that_somebody_else_moves_waits_for_them() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    put(&db, "a", &vec![7; 1_000_000]).await;
    put(&db, "b", b"small").await;
    let (first, ()) = tokio::join!(db.sync_files(), async {
        db.sync().await.unwrap();
        assert_eq!(db.file_transfers().await.unwrap().len(), 0);
    });
    assert_eq!(first.unwrap().done, 2, "each was moved once");
    assert_eq!(hashed(&mailbox).await.len(), 2);
}

#[tokio::test]
async fn pausing_cancelling_and_putting_again_break_a_transfer_off() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory.clone(), |operation, path| {
        (operation == "write" && is_file(path)).then_some(Failure::Hangs)
    });
    let db = device(&mailbox, |_| {}).await;
    let running = async |db: &Interocitor| {
        loop {
            if transfer(db, "a").await.1 == TransferState::Running {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    put(&db, "a", b"first").await;
    let (run, ()) = tokio::join!(db.sync_files(), async {
        running(&db).await;
        db.pause_file("a").await.unwrap();
    });
    assert_eq!((run.as_ref().unwrap().done, run.unwrap().failed), (0, 0));
    assert_eq!(transfer(&db, "a").await.1, TransferState::Paused);
    assert_eq!(db.sync_files().await.unwrap().done, 0, "a paused file is not tried");
    db.resume_file("a").await.unwrap();
    let (run, ()) = tokio::join!(db.sync_files(), async {
        running(&db).await;
        put(&db, "a", b"second").await;
        mailbox.set(|_, _| None);
    });
    assert_eq!(run.unwrap().done, 1, "the newer content is tried in its turn");
    assert_eq!(bytes(&device(&memory, |_| {}).await, "a").await, b"second");

    mailbox.set(|operation, path| (operation == "write" && is_file(path)).then_some(Failure::Hangs));
    put(&db, "a", b"third").await;
    let (_, ()) = tokio::join!(db.sync_files(), async {
        running(&db).await;
        db.cancel_file("a").await.unwrap();
    });
    mailbox.set(|_, _| None);
    db.sync().await.unwrap();
    assert_eq!(bytes(&db, "a").await, b"second", "the mailbox stayed as it was");
    assert_eq!(db.file_transfers().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_mailbox_that_is_away_ends_a_run_at_once() {
    let memory = MemoryMailbox::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let mailbox = FaultyMailbox::new(memory, |_, _| None);
    let db = device(&mailbox, |_| {}).await;
    for number in 0..50 {
        put(&db, &format!("f{number}"), b"x").await;
    }
    let counted = Arc::clone(&tries);
    mailbox.set(move |_, path| {
        is_file(path).then(|| {
            counted.fetch_add(1, Ordering::Relaxed);
            Failure::Before(MailboxErrorKind::Offline)
        })
    });
    let synced = db.sync_files().await.unwrap();
    assert_eq!(synced.problem.unwrap().code().as_str(), "OFFLINE");
    assert!(tries.load(Ordering::Relaxed) <= 4, "{tries:?}");
    mailbox.set(|_, _| None);
    assert_eq!(db.sync_files().await.unwrap().done, 50);
}

#[tokio::test]
async fn a_body_that_is_lost_here_is_told_and_another_mesh_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mailbox = MemoryMailbox::new();
    let db = device_at(StoreLocation::File(path.clone()), &mailbox, |_| {}).await;
    put(&db, "a", b"content").await;
    put(&db, "b", b"content").await;
    let bodies = folder.path().join("a.db.files");
    for entry in std::fs::read_dir(&bodies).unwrap() {
        let entry = entry.unwrap().path();
        let mut body = std::fs::read(&entry).unwrap();
        body[0] ^= 1;
        std::fs::write(&entry, body).unwrap();
    }
    assert_eq!(db.get_file("a").await.unwrap().bytes().await.unwrap_err().code().as_str(), "FILE_INTEGRITY");
    assert!(db.get_file("a").await.unwrap().reader().await.is_err());
    assert_eq!(db.sync_files().await.unwrap().failed, 2);
    assert_eq!(transfer(&db, "a").await.3.as_deref(), Some("FILE_INTEGRITY"));
    assert_eq!(hashed(&mailbox).await.len(), 0, "nothing damaged is uploaded");
    std::fs::remove_dir_all(&bodies).unwrap();
    assert_eq!(code(&db, "a").await, "FILE_INTEGRITY");
    put(&db, "a", b"again").await;
    db.sync_files().await.unwrap();
    put(&db, "c", b"of the first mesh").await;
    db.shutdown().await.unwrap();

    // Another mesh in place of the first: what waited stays with the copy of the store.
    let other = MemoryMailbox::new();
    device(&other, |_| {}).await.sync().await.unwrap();
    let db = device_at(StoreLocation::File(path), &other, |_| {}).await;
    db.sync().await.unwrap();
    assert_eq!((hashed(&other).await.len(), db.list_files("").await.unwrap().files.len()), (0, 0));
    db.shutdown().await.unwrap();
    let copy: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.to_string_lossy().contains(".before-join-"))
        .filter(|path| !path.to_string_lossy().ends_with(".install"))
        .collect();
    let copy = device_at(StoreLocation::File(copy[0].clone()), &mailbox, |config| {
        config.passphrase = Some(PASSPHRASE.into());
    })
    .await;
    copy.sync().await.unwrap();
    assert_eq!(bytes(&device(&mailbox, |_| {}).await, "c").await, b"of the first mesh");
    copy.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_suspended_database_moves_nothing() {
    let memory = MemoryMailbox::new();
    let mailbox = FaultyMailbox::new(memory.clone(), |operation, path| {
        (operation == "write" && is_file(path)).then_some(Failure::Hangs)
    });
    let db = device(&mailbox, |_| {}).await;
    put(&db, "a", b"x").await;
    let (run, ()) = tokio::join!(db.sync_files(), async {
        tokio::task::yield_now().await;
        db.suspend().await.unwrap();
    });
    assert!(matches!(run.unwrap_err().code().as_str(), "CANCELLED" | "SUSPENDED"));
    assert_eq!(code(&db, "a").await, "SUSPENDED");
    db.resume().await.unwrap();
    mailbox.set(|_, _| None);
    db.sync().await.unwrap();
    assert_eq!(memory.read_file(&hidden("a")).await.map(|_| ()).map_err(|error| error.kind()), Ok(()));
}
