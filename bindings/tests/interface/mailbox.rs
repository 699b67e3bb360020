//! Mailboxes of the app, and calls that are given up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use async_trait::async_trait;
use interocitor_ffi::{
    CancelToken, ConnectionState, Mailbox, MailboxCapabilities, MailboxFailure, MailboxFault, MailboxFile,
    StorageAdapter, TokenProvider, WebDavOptions,
};

use crate::support::{PASSPHRASE, PATIENCE, code, configuration, member, open, text, wait};

#[test]
fn a_cancelled_call_stops_and_leaves_things_whole() {
    struct Silent;
    #[async_trait]
    impl TokenProvider for Silent {
        async fn token(&self, _: Option<String>) -> Result<String, MailboxFailure> {
            std::future::pending().await
        }
    }
    let options = WebDavOptions {
        url: "http://127.0.0.1:9/".into(),
        user: None,
        password: None,
        digest: false,
        token: None,
        token_provider: Some(Arc::new(Silent)),
        authorities: None,
        timeout_ms: 60_000,
        uploads: None,
    };
    let db = Arc::new(open(|_| {}));
    wait(db.set_remote_storage(Some(Arc::new(Mailbox::webdav(options).unwrap())))).unwrap();
    let cancel = Arc::new(CancelToken::new());
    let (token, handle) = (Arc::clone(&cancel), Arc::clone(&db));
    let connecting = thread::spawn(move || wait(handle.connect(Some(token))));
    while db.connection_state() != ConnectionState::Connecting {
        thread::yield_now();
    }
    let begin = Instant::now();
    cancel.cancel();
    assert!(cancel.is_cancelled());
    assert_eq!(code(connecting.join().unwrap()), "CANCELLED");
    assert!(begin.elapsed() < PATIENCE);
    let ended = Instant::now();
    while db.connection_state() != ConnectionState::Offline && ended.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(db.connection_state(), ConnectionState::Offline);
    assert_eq!(code(wait(db.connect(Some(cancel)))), "CANCELLED", "a token stays cancelled");
    wait(db.table("t".into()).put("r".into(), b"{}".to_vec())).unwrap();
}

/// A remote written outside the engine.
#[derive(Default)]
struct Shelf {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    fault: Mutex<Option<MailboxFault>>,
    calls: AtomicUsize,
}

impl Shelf {
    fn touch(&self) -> Result<(), MailboxFailure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.fault.lock().unwrap() {
            Some(fault) => {
                Err(MailboxFailure::Failed { fault, reason: "on purpose".into(), retry_after_ms: Some(5) })
            }
            None => Ok(()),
        }
    }

    fn fail<T>(fault: MailboxFault) -> Result<T, MailboxFailure> {
        Err(MailboxFailure::Failed { fault, reason: "no".into(), retry_after_ms: None })
    }
}

#[async_trait]
impl StorageAdapter for Shelf {
    async fn authenticate(&self) -> Result<MailboxCapabilities, MailboxFailure> {
        self.touch()?;
        Ok(MailboxCapabilities { exclusive_create: true, conditional_replace: false, max_body: None })
    }

    async fn ensure_folder(&self, _: String) -> Result<(), MailboxFailure> {
        self.touch()
    }

    async fn list_files(&self, folder: String) -> Result<Vec<MailboxFile>, MailboxFailure> {
        self.touch()?;
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let files = self.files.lock().unwrap();
        let names = files.iter().filter_map(|(path, body)| {
            let name = path.strip_prefix(&prefix).filter(|name| !name.contains('/'))?;
            let size = i64::try_from(body.len()).unwrap();
            Some(MailboxFile {
                name: name.into(),
                path: path.clone(),
                size: Some(size),
                modified_ms: None,
                etag: None,
            })
        });
        Ok(names.collect())
    }

    async fn list_folders(&self, _: String) -> Result<Vec<String>, MailboxFailure> {
        self.touch()?;
        Ok(Vec::new())
    }

    async fn read_file(&self, path: String) -> Result<Vec<u8>, MailboxFailure> {
        self.touch()?;
        match self.files.lock().unwrap().get(&path) {
            Some(body) => Ok(body.clone()),
            None => Self::fail(MailboxFault::NotFound),
        }
    }

    async fn write_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure> {
        self.touch()?;
        self.files.lock().unwrap().insert(path, body);
        Ok(())
    }

    async fn create_file(&self, path: String, body: Vec<u8>) -> Result<(), MailboxFailure> {
        self.touch()?;
        let mut files = self.files.lock().unwrap();
        if files.contains_key(&path) {
            return Self::fail(MailboxFault::AlreadyExists);
        }
        files.insert(path, body);
        Ok(())
    }

    async fn replace_file(&self, path: String, body: Vec<u8>, _: String) -> Result<(), MailboxFailure> {
        self.write_file(path, body).await
    }

    async fn delete_file(&self, path: String) -> Result<(), MailboxFailure> {
        self.touch()?;
        self.files.lock().unwrap().remove(&path);
        Ok(())
    }

    async fn metadata(&self, path: String) -> Result<Option<MailboxFile>, MailboxFailure> {
        let files = self.list_files(path.rsplit_once('/').unwrap().0.to_owned()).await?;
        Ok(files.into_iter().find(|file| file.path == path))
    }
}

#[test]
fn a_custom_adapter_carries_a_mesh_and_its_faults_have_their_codes() {
    let shelf = Arc::new(Shelf::default());
    let mailbox = Arc::new(Mailbox::custom(Arc::clone(&shelf) as Arc<dyn StorageAdapter>));
    assert_eq!(mailbox.kind(), "custom");
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    wait(a.table("t".into()).put("r".into(), br#"{"v":"secret"}"#.to_vec())).unwrap();
    wait(a.sync(None)).unwrap();
    wait(b.sync(None)).unwrap();
    assert_eq!(text(wait(b.table("t".into()).row("r".into())).unwrap()).unwrap(), r#"{"v":"secret"}"#);
    assert!(
        !shelf.files.lock().unwrap().values().any(|body| String::from_utf8_lossy(body).contains("secret"))
    );
    let table = [
        (MailboxFault::Offline, "OFFLINE"),
        (MailboxFault::Timeout, "REMOTE_TIMEOUT"),
        (MailboxFault::Unauthorized, "REMOTE_ACCESS"),
        (MailboxFault::RateLimited, "REMOTE_ACCESS"),
        (MailboxFault::QuotaFull, "QUOTA_FULL"),
        (MailboxFault::NotFound, "REMOTE_MISSING"),
    ];
    for (fault, wanted) in table {
        *shelf.fault.lock().unwrap() = Some(fault);
        assert_eq!(code(wait(a.sync(None))), wanted, "{fault:?}");
    }
    *shelf.fault.lock().unwrap() = None;
    wait(a.sync(None)).unwrap();
}

#[test]
fn webdav_options_exclude_each_other_and_show_no_secret() {
    let options = |user: Option<&str>, token: Option<&str>, url: &str| WebDavOptions {
        url: url.into(),
        user: user.map(Into::into),
        password: user.map(|_| "s3cret".into()),
        digest: false,
        token: token.map(Into::into),
        token_provider: None,
        authorities: None,
        timeout_ms: 1000,
        uploads: None,
    };
    for (user, token) in [(Some("u"), None), (None, Some("t")), (None, None)] {
        assert_eq!(Mailbox::webdav(options(user, token, "https://host/dav/")).unwrap().kind(), "webdav");
    }
    let both = Mailbox::webdav(options(Some("u"), Some("t"), "https://host/")).unwrap_err();
    assert!(both.to_string().contains("credentials"), "{both}");
    let distrusted =
        WebDavOptions { authorities: Some("none".into()), ..options(None, None, "https://host/") };
    let refused = Mailbox::webdav(distrusted).unwrap_err();
    assert!(refused.to_string().contains("authorities"), "{refused}");
    assert_eq!(code(Err::<(), _>(refused)), "INVALID_ARGUMENT");
    let bad = Mailbox::webdav(options(None, None, "ftp://u:s3cret@host/")).unwrap_err();
    assert!(!format!("{bad} {bad:?}").contains("s3cret"));
    assert_eq!(code(Err::<(), _>(bad)), "INVALID_ARGUMENT");
    assert!(!format!("{:?}", options(Some("u"), None, "https://u:s3cret@host/")).contains("s3cret"));
    let shown = format!("{:?}", configuration());
    assert!(!shown.contains(PASSPHRASE));
}
