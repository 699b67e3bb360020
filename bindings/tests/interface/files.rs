//! Durable files: in by each kind of source, out in each way, their queue, and what goes wrong.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use interocitor_ffi::{
    CancelToken, Event, Failure, FileForm, FileInput, FileSource, Interocitor, Mailbox, TransferKind,
    TransferState,
};

use crate::{
    events::listener,
    support::{PATIENCE, broken, code, member, open, wait},
};

fn memory(content: &[u8]) -> FileSource {
    FileSource::Bytes { content: content.to_vec() }
}

fn put(db: &Interocitor, path: &str, source: FileSource) -> Result<String, Failure> {
    Ok(wait(db.put_file(path.into(), source, Some("text/plain".into()), None))?.digest.unwrap())
}

fn get(db: &Interocitor, path: &str) -> Result<Vec<u8>, Failure> {
    wait(wait(db.get_file(path.into(), None, false, None))?.bytes(None))
}

/// Gives pieces one after another, as an app's stream does.
struct Pieces(Mutex<Vec<Vec<u8>>>);

impl FileInput for Pieces {
    fn read(&self, limit: u32) -> Result<Vec<u8>, Failure> {
        assert!(limit > 0);
        Ok(self.0.lock().unwrap().pop().unwrap_or_default())
    }
}

#[test]
fn files_go_in_and_out_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    let large: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    let source = folder.path().join("source");
    std::fs::write(&source, &large).unwrap();
    // More at once than it was asked for, and in odd pieces.
    let pieces = Pieces(Mutex::new(vec![large[400_001..].to_vec(), large[..400_001].to_vec()]));
    let digests = [
        put(&a, "in/memory", memory(&large)).unwrap(),
        put(&a, "/in//path", FileSource::Path { path: source.display().to_string() }).unwrap(),
        put(&a, "in/input", FileSource::Input { input: Arc::new(pieces) }).unwrap(),
    ];
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    let empty = wait(a.put_file("out".into(), memory(b""), None, None)).unwrap();
    assert!(empty.modified_ms.is_some() && empty.is_here && empty.size == Some(0), "{empty:?}");
    assert_eq!(empty.transfer.unwrap().state, TransferState::Waiting);
    let synced = wait(a.sync_files(None)).unwrap();
    assert_eq!((synced.done, synced.failed, synced.problem), (4, 0, None));

    let content = wait(b.get_file("in/memory".into(), Some(digests[0].clone()), false, None)).unwrap();
    let info = content.info();
    assert_eq!((info.size, info.content_type.as_deref()), (Some(600_000), Some("text/plain")));
    assert!(wait(content.bytes(None)).unwrap() == large);
    assert_eq!(code(wait(content.bytes(None))), "INVALID_ARGUMENT", "it is taken out once");
    let target = folder.path().join("target");
    let content = wait(b.get_file("in/path".into(), None, true, None)).unwrap();
    wait(content.save_to(target.display().to_string(), None)).unwrap();
    assert!(std::fs::read(target).unwrap() == large);
    let reader = wait(wait(b.get_file("in/input".into(), None, false, None)).unwrap().reader(None)).unwrap();
    let mut read = Vec::new();
    loop {
        let piece = wait(reader.read(100_000)).unwrap();
        assert!(piece.len() <= 100_000);
        if piece.is_empty() {
            break;
        }
        read.extend(piece);
    }
    assert!(read == large);
    assert_eq!(get(&b, "out").unwrap(), b"");

    let listing = wait(b.list_files("in/".into(), None)).unwrap();
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((paths.as_slice(), listing.unnamed), (&["in/input", "in/memory", "in/path"][..], 0));
    let metadata = wait(b.get_file_metadata("in/path".into(), None)).unwrap().unwrap();
    assert_eq!((metadata.digest.as_deref(), metadata.is_here), (Some(&*digests[0]), true));
    assert!(!metadata.is_pinned && metadata.transfer.is_none());

    wait(a.delete_file("in/path".into())).unwrap();
    assert_eq!(code(get(&a, "in/path")), "FILE_NOT_FOUND");
    wait(a.sync(None)).unwrap();
    assert_eq!(code(get(&b, "in/path")), "FILE_NOT_FOUND");
    assert_eq!(wait(b.get_file_metadata("in/path".into(), None)).unwrap(), None);
}

#[test]
fn a_row_and_its_file_are_published_together() {
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    let staged = wait(a.stage_file("may.pdf".into(), memory(b"a bill"), None, None)).unwrap();
    assert_eq!((staged.path().as_str(), staged.size(), staged.digest().len()), ("may.pdf", 6, 64));
    assert_eq!(wait(a.file_transfers()).unwrap(), []);
    let spent = a.begin_batch().unwrap();
    wait(spent.commit()).unwrap();
    assert_eq!(code(spent.put_file(Arc::clone(&staged))), "INVALID_ARGUMENT");
    assert_eq!(code(b.begin_batch().unwrap().put_file(Arc::clone(&staged))), "INVALID_ARGUMENT");
    let batch = a.begin_batch().unwrap();
    batch.put_file(Arc::clone(&staged)).unwrap();
    assert_eq!(code(batch.put_file(Arc::clone(&staged))), "INVALID_ARGUMENT");
    batch.put("receipts".into(), "may".into(), br#"{"file":"may.pdf"}"#.to_vec()).unwrap();
    wait(batch.commit()).unwrap();
    wait(a.pause_file("may.pdf".into())).unwrap();
    // Without its file the row does not go.
    assert_eq!(code(wait(a.cancel_file("may.pdf".into()))), "INVALID_ARGUMENT");
    wait(a.flush(None)).unwrap();
    wait(b.pull(None)).unwrap();
    assert_eq!(wait(b.table("receipts".into()).row("may".into())).unwrap(), None);
    wait(a.resume_file("may.pdf".into())).unwrap();
    wait(a.sync(None)).unwrap();
    wait(b.pull(None)).unwrap();
    assert!(wait(b.table("receipts".into()).row("may".into())).unwrap().is_some());
    assert_eq!(get(&b, "may.pdf").unwrap(), b"a bill");
}

#[test]
fn what_waits_is_told_and_does_as_it_is_told() {
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    let (hears, heard) = listener(|_| Ok(()));
    let _subscription = a.subscribe(hears).unwrap();
    put(&a, "a", memory(b"one")).unwrap();
    put(&a, "b", memory(b"two")).unwrap();
    wait(a.pause_file("a".into())).unwrap();
    let waiting = wait(a.file_transfers()).unwrap();
    let states: Vec<_> = waiting.iter().map(|file| file.transfer.clone().unwrap()).collect();
    assert_eq!(
        states.iter().map(|transfer| (transfer.kind, transfer.state)).collect::<Vec<_>>(),
        [(TransferKind::Upload, TransferState::Paused), (TransferKind::Upload, TransferState::Waiting)]
    );
    assert_eq!((states[0].attempts, states[0].retry_at_ms, states[0].problem.clone()), (0, None, None));
    let status = wait(a.status()).unwrap();
    assert_eq!((status.pending_files, status.failed_files), (2, 0));
    assert_eq!(wait(a.sync_files(None)).unwrap().done, 1);
    wait(a.cancel_file("a".into())).unwrap();
    assert_eq!(wait(a.file_transfers()).unwrap(), []);
    assert_eq!(code(get(&a, "a")), "FILE_NOT_FOUND");
    let told: Vec<Event> =
        std::iter::from_fn(|| heard.recv_timeout(Duration::from_millis(200)).ok()).flatten().collect();
    for state in [TransferState::Waiting, TransferState::Paused, TransferState::Running] {
        let is_it = |event: &Event| matches!(event, Event::FileState { kind: Some(TransferKind::Upload), state: Some(known), .. } if *known == state);
        assert!(told.iter().any(is_it), "{state:?} is not told: {told:?}");
    }
    let gone = Event::FileState { path: "a".into(), is_here: false, kind: None, state: None };
    assert!(told.contains(&gone), "{told:?}");
    assert!(
        told.iter().any(
            |event| matches!(event, Event::FileProgress { path, bytes, .. } if path == "b" && *bytes > 0)
        ),
        "{told:?}"
    );

    // The same, as it changes.
    let watch = a.watch_file_transfers().unwrap();
    assert_eq!(wait(watch.next()).unwrap(), Some(Vec::new()));
    put(&a, "c", memory(b"three")).unwrap();
    assert_eq!(wait(watch.next()).unwrap().unwrap()[0].path, "c");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(watch.next()).unwrap());
        watch.cancel();
        assert_eq!(waiting.join().unwrap(), None);
    });

    // A pinned file comes here, stays, and goes when it is told to.
    wait(b.pin_file("b".into())).unwrap();
    assert_eq!(wait(b.file_transfers()).unwrap()[0].transfer.as_ref().unwrap().kind, TransferKind::Download);
    wait(b.sync_files(None)).unwrap();
    let known = || wait(b.list_files("b".into(), None)).unwrap().files.remove(0);
    assert!(known().is_here && known().is_pinned);
    wait(b.unpin_file("b".into())).unwrap();
    assert!(known().is_here && !known().is_pinned);
    wait(b.evict_file("b".into())).unwrap();
    assert!(!known().is_here);
    wait(b.pin_file("missing".into())).unwrap();
    let (hears, heard) = listener(|_| Ok(()));
    let _subscription = b.subscribe(hears).unwrap();
    assert_eq!(wait(b.sync_files(None)).unwrap().failed, 1);
    let missing = wait(b.file_transfers()).unwrap().remove(0).transfer.unwrap();
    assert_eq!((missing.state, missing.attempts), (TransferState::Failed, 1));
    assert_eq!(missing.problem.unwrap().code, "FILE_NOT_FOUND");
    assert_eq!(wait(b.status()).unwrap().failed_files, 1);
    let is_told = |events: Vec<Event>| {
        events.iter().any(|event| matches!(event, Event::FileError { code, retry_in_ms: None, .. } if code == "FILE_NOT_FOUND"))
    };
    while !is_told(heard.recv_timeout(PATIENCE).unwrap()) {}
}

/// Reads until it is told what to do, and counts.
struct Stream(AtomicUsize, Box<dyn Fn(usize) -> Result<Vec<u8>, Failure> + Send + Sync>);

impl FileInput for Stream {
    fn read(&self, _: u32) -> Result<Vec<u8>, Failure> {
        (self.1)(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[test]
fn an_input_that_fails_or_is_given_up_stores_nothing() {
    let db = open(|_| {});
    put(&db, "a", memory(b"what was there")).unwrap();
    let throws: Stream = Stream(AtomicUsize::new(0), Box::new(|_| Err(broken())));
    let outcome = put(&db, "a", FileSource::Input { input: Arc::new(throws) });
    assert!(outcome.as_ref().unwrap_err().to_string().contains("the app threw"), "{outcome:?}");
    assert_eq!(code(outcome), "INVALID_ARGUMENT");
    assert_eq!(get(&db, "a").unwrap(), b"what was there");

    let (begun, begins) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = Mutex::new(goes_on);
    let endless = Arc::new(Stream(
        AtomicUsize::new(0),
        Box::new(move |at| {
            if at == 1 {
                begun.send(()).unwrap();
                goes_on.lock().unwrap().recv().unwrap();
            }
            Ok(vec![0; 1000])
        }),
    ));
    let token = Arc::new(CancelToken::new());
    thread::scope(|scope| {
        let input = FileSource::Input { input: Arc::clone(&endless) as Arc<dyn FileInput> };
        let putting = scope.spawn(|| wait(db.put_file("a".into(), input, None, Some(Arc::clone(&token)))));
        begins.recv_timeout(PATIENCE).unwrap();
        token.cancel();
        assert_eq!(code(putting.join().unwrap()), "CANCELLED");
    });
    go_on.send(()).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(endless.0.load(Ordering::SeqCst), 2, "it is read on although nobody waits");
    assert_eq!(get(&db, "a").unwrap(), b"what was there");
    let staging = db.stage_file("b".into(), memory(b"x"), None, Some(token));
    assert_eq!(code(wait(staging)), "CANCELLED");
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::folder(folder.path().display().to_string()));
    let db = member(&mailbox, |configuration| {
        configuration.file_form = Some(FileForm::Plain);
        configuration.max_file_bytes = 10;
        configuration.file_cache_bytes = 0;
    });
    for path in ["", "../a", "a\0b"] {
        assert_eq!(code(put(&db, path, memory(b"x"))), "INVALID_ARGUMENT");
        assert_eq!(code(get(&db, path)), "INVALID_ARGUMENT");
    }
    assert_eq!(code(put(&db, "a", memory(b"eleven bytes"))), "LIMIT");
    assert_eq!(code(put(&db, "a", FileSource::Path { path: "/no/such/file".into() })), "INVALID_ARGUMENT");
    put(&db, "a/b", memory(b"content")).unwrap();
    let evicted = wait(db.evict_file("a/b".into()));
    assert_eq!(code(evicted), "INVALID_ARGUMENT", "the mailbox does not have it yet");
    wait(db.sync(None)).unwrap();
    // The form that was asked for, and no cache.
    let stored = folder.path().join("Mesh/files/a/b");
    assert!(stored.is_file());
    assert!(!wait(db.list_files(String::new(), None)).unwrap().files[0].is_here);
    let wrong = wait(db.get_file("a/b".into(), Some("0".repeat(64)), false, None));
    assert_eq!(code(wrong), "FILE_INTEGRITY");
    assert_eq!(code(wait(db.get_file("a/b".into(), Some("x".into()), false, None))), "INVALID_ARGUMENT");
    let content = wait(db.get_file("a/b".into(), None, false, None)).unwrap();
    assert_eq!(code(wait(content.save_to("/no/such/folder/b".into(), None))), "INVALID_ARGUMENT");
    std::fs::write(stored, b"something else").unwrap();
    assert_eq!(code(get(&db, "a/b")), "FILE_INTEGRITY");
    for (name, spoil) in [
        (
            "max_file_bytes",
            &(|c: &mut interocitor_ffi::Configuration| c.max_file_bytes = -1) as &dyn Fn(&mut _),
        ),
        ("file_cache_bytes", &|c: &mut interocitor_ffi::Configuration| c.file_cache_bytes = -1),
    ] {
        let mut configuration = crate::support::configuration();
        spoil(&mut configuration);
        let outcome = wait(Interocitor::open(configuration));
        assert!(outcome.as_ref().unwrap_err().to_string().contains(name), "{outcome:?}");
        assert_eq!(code(outcome), "INVALID_ARGUMENT");
    }
    wait(db.shutdown()).unwrap();
    assert_eq!(code(get(&db, "a/b")), "SHUT_DOWN");
    assert_eq!(code(put(&db, "a/b", memory(b"x"))), "SHUT_DOWN");
    assert_eq!(code(wait(db.file_transfers())), "SHUT_DOWN");
}
