//! Known secrets go in everywhere, and come out nowhere: not in logs, events, errors, panics or `Debug` texts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fmt::{Debug, Write as _},
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use common::open_at;
use interocitor_core::{
    Config, Error, Interocitor, MeshConfig, Passphrase, Result, StoreLocation,
    credentials::{BiometricPrompt, CredentialStore, Credentials, FileCredentials},
    mailbox::{MemoryMailbox, StorageAdapter as _},
    recovery::RecoveryKit,
};
use serde_json::json;
use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw";
const WRONG: &str = "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG";
const MASTER: &str = "master-s3cret-of-the-file";
const CONNECTED: &str = "connected-s3cret-of-another-store";
const VALUE: &str = "value-s3cret-of-a-row";
const NO_PASSPHRASE: &str = "no-passphrase-s3cret-0OIl";

/// Everything that was said.
static HEARD: Mutex<String> = Mutex::new(String::new());

fn hear(text: impl AsRef<str>) {
    let mut heard = HEARD.lock().unwrap();
    heard.push_str(text.as_ref());
    heard.push('\n');
}

/// Listens to every log line of every crate.
struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Words(span.metadata().level()));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Words(&Level::TRACE));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Words(event.metadata().level()));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Words<'a>(&'a Level);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        hear(format!("log {}: {field}={value:?}", self.0));
    }
}

/// All that an app can print of an error, and of a panic over it.
fn fail<T>(outcome: Result<T>) {
    let outcome = outcome.map(drop);
    let Err(error) = &outcome else { panic!("this was to fail") };
    hear(format!("error {error} {error:?} {error:#?}"));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        hear(format!("cause {cause} {cause:?}"));
        source = cause.source();
    }
    let panics = std::panic::AssertUnwindSafe(move || outcome.unwrap());
    std::panic::catch_unwind(panics).unwrap_err();
}

fn show(thing: &impl Debug) {
    hear(format!("debug {thing:?} {thing:#?}"));
}

#[derive(Debug)]
struct Finger;

#[async_trait]
impl BiometricPrompt for Finger {
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, _: &str) -> Result<Vec<u8>> {
        Ok(secret.to_vec())
    }

    async fn unseal(&self, sealed: &[u8], _: &str) -> Result<Zeroizing<Vec<u8>>> {
        Ok(Zeroizing::new(sealed.to_vec()))
    }
}

fn listen(db: &Interocitor) -> tokio::task::JoinHandle<()> {
    let mut events = db.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            hear(format!("event {event:?} {}", serde_json::to_string(&event).unwrap()));
        }
    })
}

async fn a_life(folder: &Path) {
    let mailbox = MemoryMailbox::new();
    let vault =
        |master: &str| Arc::new(FileCredentials::new(folder.join("keys"), master.to_owned().into()).unwrap());
    let keys = vault(MASTER);
    let configure = |config: &mut Config| {
        config.credentials = Some(keys.clone());
        config.biometrics = Some(Arc::new(Finger));
        config.passphrase = Some(PASSPHRASE.into());
        show(config);
    };
    let db = open_at(StoreLocation::File(folder.join("a.db")), configure).await;
    let hearing = listen(&db);
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    db.connect().await.unwrap();
    let table = db.table("t");
    for n in 0..5 {
        table.put(format!("r{n}"), &json!({"v": VALUE, "n": n})).await.unwrap();
        db.sync().await.unwrap();
    }
    fail(table.put("r", &VALUE).await);
    db.connected_stores().put(&json!({"id": "work", "passphrase": CONNECTED}).to_string()).unwrap();
    for bad in [
        format!("{{\"passphrase\":\"{CONNECTED}\"}}"),
        CONNECTED.to_owned(),
        format!("{{\"id\":\"x\",\"{CONNECTED}"),
    ] {
        fail(db.connected_stores().put(&bad));
        fail(db.connected_stores().import(&bad));
    }
    db.secure_with_biometrics("why").await.unwrap();
    show(&db);
    show(&db.status().await.unwrap());
    show(&db.connected_stores());
    show(&db.recovery_kit().unwrap());
    show(&db.get_passphrase());
    show(&keys);
    let saved = keys.load("test:x").await.unwrap();
    assert!(saved.is_none());
    let name = format!("test:{}", folder.join("a.db").display());
    show(&keys.load(&name).await.unwrap().unwrap());
    db.compact(std::time::Duration::ZERO).await.unwrap();
    show(&db.devices().await.unwrap());
    db.disconnect().await;
    for text in [NO_PASSPHRASE, WRONG] {
        let _ = db.set_passphrase(text);
        let mesh = MeshConfig { remote_path: "/Mesh".into(), passphrase: Some(text.into()), encrypted: true };
        show(&mesh);
        fail(db.join(mesh).await);
        fail(db.recover(&format!("{text} {PASSPHRASE} {CONNECTED}")));
        fail(RecoveryKit::parse(&text[..20]));
        fail(db.import_credentials(&format!("{{\"passphrase\":\"{text}\"")));
        fail(db.import_credentials(&format!("\"{text}\"")));
    }
    fail(
        Passphrase::from(NO_PASSPHRASE)
            .to_key()
            .map_err(|error| Error::PassphraseWrong { reason: error.to_string() }),
    );
    db.restore_with_biometrics("why").await.unwrap();
    for key in db.superseded_keys().await.unwrap() {
        show(&key);
    }
    // Damage in the mailbox and on the disk.
    db.connect().await.unwrap();
    db.disconnect().await;
    for file in mailbox.list_files("/Mesh/changes").await.unwrap() {
        let path = format!("/Mesh/changes/{}", file.name);
        let body = mailbox.read_file(&path).await.unwrap();
        mailbox.write_file(&path, body.slice(..body.len() / 2).into()).await.unwrap();
    }
    let fresh = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    let also_hearing = listen(&fresh);
    fresh.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    show(&fresh.connect().await);
    show(&fresh.quarantined().await.unwrap());
    fresh.shutdown().await.unwrap();
    also_hearing.await.unwrap();
    db.shutdown().await.unwrap();
    hearing.await.unwrap();
    let wrong = vault(WRONG);
    fail(wrong.load(&name).await);
    fail(
        wrong
            .save(&name, &Credentials { passphrase: Some(PASSPHRASE.into()), ..Credentials::default() })
            .await,
    );
    show(&wrong);
    std::fs::write(folder.join("keys"), format!("{{\"v\":\"{MASTER}\"")).unwrap();
    let mut config = Config::new("test", StoreLocation::File(folder.join("a.db")));
    config.credentials = Some(wrong);
    fail(Interocitor::open(config).await);
}

#[tokio::test]
async fn nothing_of_them_is_heard() {
    tracing::subscriber::set_global_default(Ear).unwrap();
    std::panic::set_hook(Box::new(|panic| hear(format!("panic {panic}"))));
    tracing::trace!("can you hear me");
    let folder = tempfile::tempdir().unwrap();
    let life = tokio::spawn({
        let path = folder.path().to_owned();
        async move { a_life(&path).await }
    });
    let outcome = life.await;
    let _ = std::panic::take_hook();
    let heard = HEARD.lock().unwrap().clone();
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", heard.lines().last().unwrap_or_default()));
    // The ear works, and there was much to hear.
    for sign in ["can you hear me", "event ", "error ", "panic ", "debug ", "log "] {
        assert!(heard.contains(sign), "nothing of {sign:?} was heard");
    }
    let key = Passphrase::from(PASSPHRASE).to_key().unwrap();
    let hex = key.as_bytes().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let list = format!("{:?}", key.as_bytes());
    let kit = RecoveryKit::new(key, None);
    let qr = kit.qr();
    let words = kit.words()[..3].join(" ");
    let base64 = qr.split_once("key=").unwrap().1;
    for secret in [
        PASSPHRASE,
        WRONG,
        MASTER,
        CONNECTED,
        VALUE,
        NO_PASSPHRASE,
        &hex,
        &list[1..40],
        base64,
        &words,
        &PASSPHRASE[1..20],
        "s3cret",
    ] {
        if let Some(at) = heard.find(secret) {
            let around = heard[..at].rfind('\n').map_or(0, |at| at + 1);
            panic!("{secret} was heard: {}", heard[around..].lines().next().unwrap_or_default());
        }
    }
}
