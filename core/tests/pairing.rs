//! Pairing: two devices of ours, one of ours beside a recorded JavaScript client, and everything that can go wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "pairing/bad_input.rs"]
mod bad_input;
mod common;
#[path = "pairing/course.rs"]
mod course;
#[path = "pairing/ending.rs"]
mod ending;
#[path = "pairing/recorded.rs"]
mod recorded;

use std::sync::Arc;

use common::{
    faulty::FaultyMailbox,
    open_at,
    sim::{Executor, World},
};
use interocitor_core::{
    Config, Events, Interocitor, MeshConfig, Pairing, Result, StoreLocation,
    credentials::{CredentialStore as _, MemoryCredentials},
    mailbox::{Body, MailboxErrorKind, MemoryMailbox, StorageAdapter},
    pairing::{PairingOptions, PairingPayload},
};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Two devices and their mailbox in a world whose time stands still while nobody waits.
struct Scene {
    world: Arc<World>,
    mailbox: MemoryMailbox,
    /// Fails where a test says so.
    faulty: FaultyMailbox,
    /// Has a mesh at `/Mesh/one`.
    member: Interocitor,
    /// Has none.
    newcomer: Interocitor,
    saved: Arc<MemoryCredentials>,
}

impl Scene {
    fn new(seed: u64) -> (Self, Executor<'static>) {
        let world = World::new(seed);
        let mut executor = Executor::new(&world);
        let mailbox = MemoryMailbox::new();
        let faulty = FaultyMailbox::new(mailbox.clone(), |_, _| None);
        let saved = Arc::new(MemoryCredentials::default());
        let open = |change: Box<dyn FnOnce(&mut Config)>| {
            let (host, adapter) = (world.host(0), faulty.clone());
            async move {
                let db = open_at(StoreLocation::Memory, |config| {
                    config.remote_path = None;
                    config.host = host;
                    change(config);
                })
                .await;
                db.set_remote_storage(Some(Arc::new(adapter))).await;
                db
            }
        };
        let member = open(Box::new(|config| {
            config.remote_path = Some("/Mesh/one".into());
            config.passphrase = Some(PASSPHRASE.into());
        }));
        let credentials = Arc::clone(&saved);
        let newcomer = open(Box::new(|config| config.credentials = Some(credentials)));
        let member = executor.complete(async {
            let member = member.await;
            assert!(member.connect().await.unwrap().is_online());
            member.table("t").put("r", &serde_json::json!({"x": 1})).await.unwrap();
            member.sync().await.unwrap();
            member
        });
        let newcomer = executor.complete(newcomer);
        (Self { world, mailbox, faulty, member, newcomer, saved }, executor)
    }

    /// The member shows a code, the newcomer has scanned it.
    fn shared(&self, executor: &mut Executor<'static>) -> (Pairing, Pairing) {
        let (member, newcomer) = (self.member.clone(), self.newcomer.clone());
        executor.complete(async move {
            let shown = member.pair_share(options()).await.unwrap();
            let payload = scanned(&shown);
            let scanned = newcomer.pair_scan(payload, options()).await.unwrap();
            (shown, scanned)
        })
    }

    /// The newcomer shows a code, the member has scanned it.
    fn joining(&self, executor: &mut Executor<'static>) -> (Pairing, Pairing) {
        let (member, newcomer) = (self.member.clone(), self.newcomer.clone());
        executor.complete(async move {
            let shown = newcomer.pair_join(options()).await.unwrap();
            let payload = scanned(&shown);
            let scanned = member.pair_scan(payload, options()).await.unwrap();
            (shown, scanned)
        })
    }

    /// The newcomer is as it was: no mesh, no passphrase, nothing saved.
    fn assert_untouched(&self, executor: &mut Executor<'static>) {
        assert!(self.newcomer.get_passphrase().is_none());
        let (newcomer, saved) = (self.newcomer.clone(), Arc::clone(&self.saved));
        executor.complete(async move {
            let error = newcomer.connect().await.unwrap_err();
            assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "a remote path was left behind");
            let configured = newcomer.configure_mesh(MeshConfig {
                remote_path: "/x".into(),
                passphrase: None,
                encrypted: false,
            });
            configured.unwrap();
            assert_eq!(saved.load("test::memory:").await.unwrap(), None);
        });
    }

    /// Names of the files that the pairings left in the mailbox.
    fn relay_files(&self, executor: &mut Executor<'static>) -> Vec<String> {
        let mailbox = self.mailbox.clone();
        executor.complete(async move {
            let mut files = Vec::new();
            for folder in mailbox.list_folders(RELAY).await.unwrap_or_default() {
                let listed = mailbox.list_files(&format!("{RELAY}/{folder}")).await.unwrap();
                files.extend(listed.into_iter().map(|file| file.name));
            }
            files
        })
    }

    /// Writes into the folder of a handshake, as the remote could.
    fn plant(
        &self,
        executor: &mut Executor<'static>,
        pairing: &Pairing,
        name: &str,
        content: impl Into<Vec<u8>>,
    ) {
        let (mailbox, path) = (self.mailbox.clone(), format!("{RELAY}/{}/{name}", id(pairing)));
        let body = Body::from(content.into());
        executor.complete(async move { mailbox.write_file(&path, body).await.unwrap() });
    }

    fn read(&self, executor: &mut Executor<'static>, pairing: &Pairing, name: &str) -> Option<String> {
        let (mailbox, path) = (self.mailbox.clone(), format!("{RELAY}/{}/{name}", id(pairing)));
        executor.complete(async move {
            match mailbox.read_file(&path).await {
                Ok(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
                Err(error) if error.kind() == MailboxErrorKind::NotFound => None,
                Err(error) => panic!("{error}"),
            }
        })
    }
}

const RELAY: &str = "/Interocitor/handshake";
const HELLO: &str = "scanner-pub.json";
const CREDENTIAL: &str = "credentials.json";

fn options() -> PairingOptions {
    PairingOptions::default()
}

/// The payload as it comes out of a camera.
fn scanned(shown: &Pairing) -> PairingPayload {
    PairingPayload::parse(&shown.payload().encode()).unwrap()
}

fn id(pairing: &Pairing) -> String {
    let url = pairing.payload().to_url("");
    let text = url.strip_prefix("#hs=").unwrap();
    let json = interocitor_crypto::base64url::decode(text).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    json["handshakeId"].as_str().unwrap().to_owned()
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> &'static str {
    outcome.unwrap_err().code().as_str()
}

/// Names of what was told about pairings.
fn told(events: &mut Events) -> Vec<String> {
    let names = std::iter::from_fn(|| events.try_next()).map(|event| event.name());
    names.filter(|name| name.starts_with("pairing:")).collect()
}
