//! Beside the JavaScript client, as recorded: what it wrote we read, and in its place we write the same bytes.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use futures_util::future::BoxFuture;
use interocitor_core::{
    host::{Host, Job, TokioHost},
    pairing::{Capabilities, PairingOptions},
};
use interocitor_crypto::agreement::{PublicKey, short_code};
use serde_json::Value;

use crate::*;

/// The real world, but for what is drawn by lot: first what a test says.
#[derive(Debug, Default)]
struct Scripted(Mutex<VecDeque<Vec<u8>>>);

impl Host for Scripted {
    fn now_ms(&self) -> u64 {
        TokioHost.now_ms()
    }

    fn random(&self, buffer: &mut [u8]) {
        match self.0.lock().unwrap().pop_front() {
            Some(bytes) => buffer.copy_from_slice(&bytes),
            None => TokioHost.random(buffer),
        }
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

/// One of the recordings.
struct Recorded(Value);

impl Recorded {
    fn all() -> Vec<Self> {
        let fixture: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/pairing.json")).unwrap();
        let all: Vec<_> = fixture["handshakes"].as_array().unwrap().iter().cloned().map(Recorded).collect();
        assert_eq!(all.len(), 3);
        all
    }

    fn is_share(&self) -> bool {
        self.0["intent"] == "share"
    }

    fn private(&self, who: &str) -> Vec<u8> {
        let text = self.0[who]["privateD"].as_str().unwrap();
        interocitor_crypto::base64url::decode(text).unwrap().to_vec()
    }

    /// Path and text of the scanner's file, or of the credential.
    fn written(&self, at: usize) -> (&str, &'static str) {
        let write = &self.0["relayWrites"][at];
        let (path, text) = (write["path"].as_str().unwrap(), write["text"].as_str().unwrap());
        (path, text.to_owned().leak())
    }

    /// What the client drew for its credential.
    fn iv(&self) -> Vec<u8> {
        let envelope: Value = serde_json::from_str(self.written(1).1).unwrap();
        interocitor_crypto::base64url::decode(envelope["iv"].as_str().unwrap()).unwrap().to_vec()
    }

    fn options(&self, is_generator: bool) -> PairingOptions {
        let mut options = PairingOptions::default();
        options.relay_base = "/Relay".into();
        options.poll_interval = Duration::from_millis(5);
        let said = if is_generator {
            self.0["qrPayload"]["capabilities"].clone()
        } else {
            serde_json::from_str::<Value>(self.written(0).1).unwrap()["capabilities"].clone()
        };
        let ids = |list: &Value| {
            let ids = list.as_array().into_iter().flatten();
            ids.map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        options.capabilities = Capabilities::new(ids(&said["supported"]), ids(&said["required"])).unwrap();
        options
    }

    /// What people compare: the generator's key comes first, on both devices.
    fn code(&self) -> String {
        let key = |who: &str| PublicKey::from_text(self.0[who]["publicSpki"].as_str().unwrap()).unwrap();
        short_code(&key("generator"), &key("scanner"))
    }

    async fn device(&self, script: &Arc<Scripted>, mailbox: &MemoryMailbox, is_member: bool) -> Interocitor {
        let received = &self.0["received"];
        let db = open_at(StoreLocation::Memory, |config| {
            config.host = script.clone();
            config.remote_path = is_member.then(|| received["remotePath"].as_str().unwrap().to_owned());
            config.passphrase = is_member.then(|| received["passphrase"].as_str().unwrap().into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        db
    }

    fn assert_received(&self, db: &Interocitor, paired: &interocitor_core::Paired) {
        assert!(paired.received);
        assert_eq!(paired.remote_path, self.0["received"]["remotePath"]);
        assert_eq!(db.get_passphrase().unwrap().expose(), self.0["received"]["passphrase"]);
    }
}

async fn read(mailbox: &MemoryMailbox, path: &str) -> Option<String> {
    mailbox.read_file(path).await.ok().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn written(mailbox: &MemoryMailbox, path: &str) -> String {
    loop {
        if let Some(text) = read(mailbox, path).await {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn in_the_place_of_the_generator() {
    for recorded in Recorded::all() {
        let (script, mailbox) = (Arc::new(Scripted::default()), MemoryMailbox::new());
        let db = recorded.device(&script, &mailbox, recorded.is_share()).await;
        let id = recorded.0["qrPayload"]["handshakeId"].as_str().unwrap();
        let id: Vec<u8> =
            (0..12).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()).collect();
        script.0.lock().unwrap().extend([recorded.private("generator"), id]);
        let options = recorded.options(true);
        let shown =
            if recorded.is_share() { db.pair_share(options).await } else { db.pair_join(options).await };
        let shown = shown.unwrap();
        assert_eq!(shown.payload().encode(), recorded.0["qrEncoded"]);

        let (hello, credential) = (recorded.written(0), recorded.written(1));
        mailbox.write_file(hello.0, Body::from(hello.1)).await.unwrap();
        assert_eq!(shown.code().await.unwrap(), recorded.code());
        if recorded.is_share() {
            script.0.lock().unwrap().push_back(recorded.iv());
            let theirs = async {
                assert_eq!(written(&mailbox, credential.0).await, credential.1);
                // The receiver takes both away.
                for path in [hello.0, credential.0] {
                    mailbox.delete_file(path).await.unwrap();
                }
            };
            let (paired, ()) = tokio::join!(shown.complete(), theirs);
            assert!(!paired.unwrap().received);
        } else {
            mailbox.write_file(credential.0, Body::from(credential.1)).await.unwrap();
            recorded.assert_received(&db, &shown.complete().await.unwrap());
        }
        assert_eq!((read(&mailbox, hello.0).await, read(&mailbox, credential.0).await), (None, None));
    }
}

#[tokio::test]
async fn in_the_place_of_the_scanner() {
    for recorded in Recorded::all() {
        let (script, mailbox) = (Arc::new(Scripted::default()), MemoryMailbox::new());
        let db = recorded.device(&script, &mailbox, !recorded.is_share()).await;
        let payload = PairingPayload::parse(recorded.0["pairUrl"].as_str().unwrap()).unwrap();
        script.0.lock().unwrap().push_back(recorded.private("scanner"));
        let scan = db.pair_scan(payload, recorded.options(false)).await.unwrap();
        assert_eq!(scan.code().await.unwrap(), recorded.code());
        let (hello, credential) = (recorded.written(0), recorded.written(1));
        assert_eq!(read(&mailbox, hello.0).await.unwrap(), hello.1);
        if recorded.is_share() {
            mailbox.write_file(credential.0, Body::from(credential.1)).await.unwrap();
            recorded.assert_received(&db, &scan.complete().await.unwrap());
        } else {
            script.0.lock().unwrap().push_back(recorded.iv());
            let theirs = async {
                assert_eq!(written(&mailbox, credential.0).await, credential.1);
                for path in [hello.0, credential.0] {
                    mailbox.delete_file(path).await.unwrap();
                }
            };
            let (paired, ()) = tokio::join!(scan.complete(), theirs);
            assert!(!paired.unwrap().received);
        }
        assert_eq!((read(&mailbox, hello.0).await, read(&mailbox, credential.0).await), (None, None));
    }
}

#[tokio::test]
async fn a_mailbox_is_told_only_what_it_needs() {
    // What the mailbox sees of a pairing of ours is what it sees of one of theirs.
    let mailbox = MemoryMailbox::new();
    let recorded = &Recorded::all()[0];
    let script = Arc::new(Scripted::default());
    let member = recorded.device(&script, &mailbox, true).await;
    let newcomer = recorded.device(&script, &mailbox, false).await;
    let shown = member.pair_share(recorded.options(true)).await.unwrap();
    let scan = newcomer.pair_scan(scanned(&shown), recorded.options(false)).await.unwrap();
    let (ours, theirs) = tokio::join!(shown.code(), scan.code());
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let folder = format!("/Relay/handshake/{}", id(&shown));
    let keys = |text: &str| {
        let json: Value = serde_json::from_str(text).unwrap();
        json.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let hello = read(&mailbox, &format!("{folder}/{HELLO}")).await.unwrap();
    assert_eq!(keys(&hello), ["pub"]);
    let credential = async {
        let text = written(&mailbox, &format!("{folder}/{CREDENTIAL}")).await;
        assert_eq!(keys(&text), ["ct", "iv", "v"]);
        assert!(!text.contains("remotePath") && !text.contains("6XKZ"), "{text}");
        scan.complete().await.unwrap();
    };
    tokio::join!(shown.complete(), credential).0.unwrap();
}
