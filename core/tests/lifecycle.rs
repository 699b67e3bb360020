//! A handle from open to shutdown: local only, meshes, credentials, join policies, cadence.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fmt::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{open_at, tree};
use interocitor_core::{
    Config, Error, Event, Events, Interocitor, MeshConfig, Schema, StoreLocation,
    config::{JoinPolicy, SchemaPolicy},
    credentials::{CredentialStore, Credentials, MemoryCredentials},
    host::{Host, Job, TokioHost},
    mailbox::{FolderMailbox, MemoryMailbox, StorageAdapter},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    outcome.unwrap_err().code().as_str()
}

fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

async fn online(db: &Interocitor, mailbox: &MemoryMailbox) {
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
}

async fn rows(db: &Interocitor) -> Value {
    serde_json::from_str::<Value>(&db.dump().await.unwrap()).unwrap()["tables"].clone()
}

async fn member(
    mailbox: &MemoryMailbox,
    store: StoreLocation,
    change: impl FnOnce(&mut Config),
) -> Interocitor {
    let db = open_at(store, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        change(config);
    })
    .await;
    online(&db, mailbox).await;
    db
}

async fn mesh_id(db: &Interocitor) -> String {
    db.status().await.unwrap().mesh_id.unwrap()
}

#[tokio::test]
async fn a_local_database_becomes_a_member_later_and_brings_its_rows() {
    let db = open_at(StoreLocation::Memory, |config| config.remote_path = None).await;
    assert_eq!(db.app_name(), "test");
    db.table("notes").put("n", &json!({"text": "hi"})).await.unwrap();
    db.table("a/b").put("x", &json!({"v": 1})).await.unwrap();
    let names: Vec<String> = db.table_names().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"notes".to_owned()) && names.contains(&"a/b".to_owned()));
    assert_eq!(db.status().await.unwrap().pending.count, 2, "rows that were never published");
    assert_eq!(code(db.connect().await), "INVALID_ARGUMENT");

    let mesh = |passphrase: &str| MeshConfig {
        remote_path: "/Mesh".into(),
        passphrase: Some(passphrase.into()),
        encrypted: true,
    };
    assert_eq!(code(db.configure_mesh(mesh("no base58: 0OIl"))), "PASSPHRASE_WRONG");
    let mut events = db.events();
    db.configure_mesh(mesh(PASSPHRASE)).unwrap();
    assert!(matches!(
        &drain(&mut events)[..],
        [Event::MeshConfigured { encrypted: true, had_passphrase: true, .. }]
    ));
    assert_eq!(code(db.connect().await), "INVALID_ARGUMENT", "there is no mailbox yet");
    let mailbox = MemoryMailbox::new();
    online(&db, &mailbox).await;
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    assert_eq!(code(db.configure_mesh(mesh(PASSPHRASE))), "INVALID_ARGUMENT");
    assert_eq!(code(db.set_passphrase(PASSPHRASE)), "INVALID_ARGUMENT");
    let other = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    assert_eq!(rows(&other).await, json!({"a/b": {"x": {"v": 1}}, "notes": {"n": {"text": "hi"}}}));
}

#[tokio::test]
async fn an_invitation_never_founds_a_mesh() {
    let mailbox = MemoryMailbox::new();
    let invitation =
        MeshConfig { remote_path: "/Shared".into(), passphrase: Some(PASSPHRASE.into()), encrypted: true };
    let guest = open_at(StoreLocation::Memory, |_| {}).await;
    guest.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert_eq!(code(guest.join(invitation.clone()).await), "REMOTE_MISSING");
    assert!(mailbox.list_files("/Shared").await.unwrap_or_default().is_empty());

    let host =
        member(&mailbox, StoreLocation::Memory, |config| config.remote_path = Some("/Shared".into())).await;
    host.table("t").put("r", &json!({"a": 1})).await.unwrap();
    host.sync().await.unwrap();
    assert!(guest.join(invitation).await.unwrap().is_online());
    assert_eq!(rows(&guest).await, rows(&host).await);
    assert_eq!(mesh_id(&guest).await, mesh_id(&host).await);
}

#[tokio::test]
async fn disconnect_keeps_local_work_for_the_next_connect() {
    let mailbox = MemoryMailbox::new();
    let db = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    let mut events = db.events();
    assert!(db.connect().await.unwrap().is_online());
    db.disconnect().await;
    db.disconnect().await;
    let seen: Vec<String> = drain(&mut events).iter().map(Event::to_json).collect();
    assert_eq!(
        seen,
        [
            r#"{"event":"connect:noop","reason":"already-connected"}"#,
            r#"{"event":"connection:status","status":"offline"}"#,
            r#"{"event":"transport:teardown","reason":"disconnect"}"#,
        ]
    );
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    assert_eq!(code(db.sync().await), "INVALID_ARGUMENT");
    assert_eq!(db.status().await.unwrap().pending.count, 1);
    assert!(db.connect().await.unwrap().is_online());
    assert_eq!(db.status().await.unwrap().pending.count, 0);

    db.set_remote_storage(None).await;
    assert_eq!(code(db.connect().await), "INVALID_ARGUMENT");
    db.shutdown().await.unwrap();
    db.shutdown().await.unwrap();
    assert_eq!(code(db.table("t").put("r", &json!({"a": 2})).await), "SHUT_DOWN");
    assert_eq!(code(db.status().await), "SHUT_DOWN");
    assert_eq!(code(db.begin_batch()), "SHUT_DOWN");
}

#[tokio::test]
async fn on_init_runs_before_the_database_is_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config::new("test", StoreLocation::File(folder.path().join("t.db")));
    let failed = Interocitor::open_with(config(), async |db| {
        db.table("t").put("seed", &json!({"a": 1})).await?;
        Err(Error::Cancelled)
    });
    assert_eq!(code(failed.await), "CANCELLED");
    let db = Interocitor::open_with(config(), async |db| {
        assert_eq!(db.table("t").row("seed").await?.unwrap().json, r#"{"a":1}"#, "the store was let go");
        db.table("t").put("seed", &json!({"b": 2})).await
    })
    .await
    .unwrap();
    assert_eq!(db.table("t").row("seed").await.unwrap().unwrap().json, r#"{"a":1,"b":2}"#);
}

#[tokio::test]
async fn connected_stores_are_kept_and_never_synced() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let open = || async {
        let db = open_at(StoreLocation::File(path.clone()), |config| {
            config.encrypted = false;
        })
        .await;
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox.path())))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    };
    let db = open().await;
    let stores = db.connected_stores();
    assert_eq!(stores.list().unwrap(), Vec::<String>::new());
    for bad in ["", "[]", "{}", r#"{"id":""}"#, r#"{"id":7}"#] {
        assert_eq!(code(stores.put(bad)), "INVALID_ARGUMENT", "{bad}");
    }
    stores
        .put(r#"{"id":"work","remotePath":"/Work","passphrase":"not-for-the-mailbox","x":{"n":1.50}}"#)
        .unwrap();
    stores.put(r#"{"id":"family","remotePath":"/Family"}"#).unwrap();
    let record = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
    let first = record(stores.get("work").unwrap());
    assert_eq!(first["passphrase"], "not-for-the-mailbox");
    assert!(stores.get("work").unwrap().unwrap().contains("1.50"), "unknown fields stay as they are");
    assert_eq!(first["createdAt"], first["updatedAt"]);
    tokio::time::sleep(Duration::from_millis(5)).await;
    stores.put(r#"{"id":"work","remotePath":"/Work2"}"#).unwrap();
    let second = record(stores.get("work").unwrap());
    assert_eq!((&second["remotePath"], &second["createdAt"]), (&json!("/Work2"), &first["createdAt"]));
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    db.shutdown().await.unwrap();

    let db = open().await;
    let ids: Vec<Value> = db
        .connected_stores()
        .list()
        .unwrap()
        .into_iter()
        .map(|text| record(Some(text))["id"].clone())
        .collect();
    assert_eq!(ids, ["family", "work"]);
    assert!(db.connected_stores().remove("work").unwrap());
    assert!(!db.connected_stores().remove("work").unwrap());
    assert_eq!(db.connected_stores().get("work").unwrap(), None);
    for (name, body) in tree(mailbox.path()) {
        let body = String::from_utf8_lossy(&body);
        assert!(!body.contains("not-for-the-mailbox") && !body.contains("/Family"), "{name}");
    }
}

/// A store file with the row `old` of one mesh, and a mailbox with the row `new` of another.
async fn two_meshes(folder: &Path, policy: JoinPolicy) -> (Interocitor, MemoryMailbox) {
    let store = StoreLocation::File(folder.join("t.db"));
    let db = member(&MemoryMailbox::new(), store, |config| config.join_existing_mesh_policy = policy).await;
    db.table("t").put("old", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    db.table("t").put("unpublished", &json!({"a": 2})).await.unwrap();
    let mailbox = MemoryMailbox::new();
    let other = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    other.table("t").put("new", &json!({"b": 1})).await.unwrap();
    other.sync().await.unwrap();
    (db, mailbox)
}

fn join_event(events: &mut Events) -> (&'static str, u64, u64) {
    let joined = drain(events).into_iter().find_map(|event| match event {
        Event::JoinExistingMesh { policy, local_row_count, queued_change_count, .. } => {
            Some((policy, local_row_count, queued_change_count))
        }
        _ => None,
    });
    joined.expect("the change of mesh is told")
}

#[tokio::test]
async fn reset_to_remote_leaves_a_copy_of_what_it_clears() {
    let folder = tempfile::tempdir().unwrap();
    let (db, mailbox) = two_meshes(folder.path(), JoinPolicy::ResetToRemote).await;
    let mut events = db.events();
    online(&db, &mailbox).await;
    assert_eq!(join_event(&mut events), ("reset-to-remote", 2, 1));
    assert_eq!(rows(&db).await, json!({"t": {"new": {"b": 1}}}));
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    let copy = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && path.display().to_string().contains(".before-join-"))
        .expect("a copy lies beside the store");
    let former = open_at(StoreLocation::File(copy), |_| {}).await;
    assert_eq!(rows(&former).await, json!({"t": {"old": {"a": 1}, "unpublished": {"a": 2}}}));
    assert_ne!(former.device_id(), db.device_id(), "a copy is a device of its own");
    // The mesh that was joined has nothing of the former one.
    let fresh = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    assert_eq!(rows(&fresh).await, json!({"t": {"new": {"b": 1}}}));
}

#[tokio::test]
async fn merge_with_remote_publishes_the_local_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (db, mailbox) = two_meshes(folder.path(), JoinPolicy::MergeWithRemote).await;
    let mut events = db.events();
    online(&db, &mailbox).await;
    assert_eq!(join_event(&mut events), ("merge-with-remote", 2, 1));
    let all = json!({"t": {"new": {"b": 1}, "old": {"a": 1}, "unpublished": {"a": 2}}});
    assert_eq!(rows(&db).await, all);
    let fresh = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    assert_eq!(rows(&fresh).await, all);
}

#[tokio::test]
async fn a_mesh_that_is_exchanged_while_connected_is_neither_read_nor_written() {
    let (mailbox, other) = (MemoryMailbox::new(), MemoryMailbox::new());
    let db = member(&mailbox, StoreLocation::Memory, |_| {}).await;
    member(&other, StoreLocation::Memory, |_| {}).await;
    let foreign = other.read_file("/Mesh/manifest-1.json").await.unwrap();
    mailbox.write_file("/Mesh/manifest-2.json", foreign.into()).await.unwrap();
    let pointer = r#"{"currentGeneration":2,"file":"manifest-2.json"}"#;
    mailbox.write_file("/Mesh/manifest.json", pointer.into()).await.unwrap();
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    for outcome in [db.flush().await.map(drop), db.pull().await.map(drop), db.sync().await] {
        assert_eq!(code(outcome), "MESH_CREDENTIAL_MISMATCH");
    }
    assert_eq!(db.status().await.unwrap().pending.count, 1);
    assert!(mailbox.list_files("/Mesh/changes").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_pointer_that_is_just_being_overwritten_is_read_again() {
    let memory = MemoryMailbox::new();
    member(&memory, StoreLocation::Memory, |_| {}).await;
    let whole = memory.read_file("/Mesh/manifest.json").await.unwrap();
    memory.write_file("/Mesh/manifest.json", whole.slice(..whole.len() / 2).into()).await.unwrap();
    let (healing, body) = (memory.clone(), whole.clone());
    let reads = Mutex::new(0);
    // Whole again from the second read on.
    let mailbox = common::faulty::FaultyMailbox::new(memory.clone(), move |operation, path| {
        let mut reads = reads.lock().unwrap();
        let is_pointer = operation == "read" && path == "/Mesh/manifest.json";
        *reads += u32::from(is_pointer);
        if is_pointer && *reads == 2 {
            let (healing, body) = (healing.clone(), body.clone());
            futures_util::future::FutureExt::now_or_never(async move {
                healing.write_file("/Mesh/manifest.json", body.into()).await.unwrap();
            });
        }
        None
    });
    let db = open_at(StoreLocation::Memory, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    // One that stays torn is an error, and no reason to found anything.
    db.disconnect().await;
    memory.write_file("/Mesh/manifest.json", whole.slice(..whole.len() / 2).into()).await.unwrap();
    assert_eq!(code(db.connect().await), "MANIFEST_INVALID");
}

#[tokio::test]
async fn credentials_are_saved_restored_and_bound_to_their_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let credentials = Arc::new(MemoryCredentials::default());
    let name = format!("test:{}", path.display());
    let open = || {
        open_at(StoreLocation::File(path.clone()), |config| config.credentials = Some(credentials.clone()))
    };
    let mailbox = MemoryMailbox::new();
    let db = open().await;
    let mut events = db.events();
    online(&db, &mailbox).await;
    let passphrase = db.get_passphrase().unwrap();
    let saved = credentials.load(&name).await.unwrap().unwrap();
    assert_eq!(saved.passphrase.as_ref(), Some(&passphrase));
    assert_eq!(saved.mesh_id, Some(mesh_id(&db).await));
    assert_eq!(saved.device_id, db.device_id());
    let told = drain(&mut events);
    assert!(
        told.iter().any(|event| matches!(event, Event::EncryptionResolved { strategy: "generated", .. }))
    );
    assert!(told.iter().any(|event| matches!(event, Event::CredentialsPersisted { encrypted: true, .. })));
    assert!(!format!("{told:?}").contains(passphrase.expose()), "no event gives the passphrase away");
    let first_device = db.device_id();
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    db.shutdown().await.unwrap();

    // The next run needs no passphrase, and the first listener hears about it.
    let db = open().await;
    let restored = |changed| Event::CredentialsRestored {
        source: "silent-store",
        device_id_changed: changed,
        had_passphrase: true,
    };
    assert_eq!(drain(&mut db.events()), [restored(false)]);
    assert_eq!(drain(&mut db.events()), [], "only the first");
    online(&db, &mailbox).await;
    db.shutdown().await.unwrap();

    // The app was removed, the keychain was not.
    std::fs::remove_file(&path).unwrap();
    let db = open().await;
    assert_ne!(db.device_id(), first_device);
    let conflict =
        Event::CredentialsConflict { stored_device_id: first_device, active_device_id: db.device_id() };
    assert_eq!(drain(&mut db.events()), [conflict, restored(true)]);
    // A mailbox with another mesh, even one that the passphrase opens, is left alone.
    let other = MemoryMailbox::new();
    let stranger =
        open_at(StoreLocation::Memory, |config| config.passphrase = Some(passphrase.clone())).await;
    online(&stranger, &other).await;
    let devices = other.list_files("/Mesh/devices").await.unwrap().len();
    db.table("t").put("mine", &json!({"a": 1})).await.unwrap();
    db.set_remote_storage(Some(Arc::new(other.clone()))).await;
    let mut events = db.events();
    assert_eq!(code(db.connect().await), "MESH_CREDENTIAL_MISMATCH");
    assert!(drain(&mut events).iter().any(|event| event.name() == "credentials:meshMismatch"));
    assert_eq!(db.status().await.unwrap().mesh_id, None);
    assert_eq!(other.list_files("/Mesh/devices").await.unwrap().len(), devices);
    // Its own mesh takes it in again.
    online(&db, &mailbox).await;
    assert_eq!(rows(&db).await, json!({"t": {"mine": {"a": 1}, "r": {"a": 1}}}));
    db.shutdown().await.unwrap();

    // A credential of another mesh than the store's.
    let foreign = Credentials { mesh_id: Some("mesh_other".into()), ..saved };
    credentials.save(&name, &foreign).await.unwrap();
    let mut config = Config::new("test", StoreLocation::File(path.clone()));
    config.credentials = Some(credentials.clone());
    assert_eq!(code(Interocitor::open(config).await), "MESH_CREDENTIAL_MISMATCH");
}

#[tokio::test]
async fn a_newer_schema_connects_only_where_migration_is_allowed() {
    let mailbox = MemoryMailbox::new();
    let at = |version: u64, policy| {
        move |config: &mut Config| {
            config.schema =
                Some(Schema::from_json(&format!(r#"{{"version":{version},"tables":{{}}}}"#)).unwrap());
            config.schema_policy = policy;
            config.passphrase = Some(PASSPHRASE.into());
        }
    };
    member(&mailbox, StoreLocation::Memory, at(2, SchemaPolicy::Exact)).await;
    for (version, policy, fits) in [
        (2, SchemaPolicy::Exact, true),
        (3, SchemaPolicy::Exact, false),
        (3, SchemaPolicy::Migrate, true),
        (1, SchemaPolicy::Exact, false),
        (1, SchemaPolicy::Migrate, false),
    ] {
        let db = open_at(StoreLocation::Memory, at(version, policy)).await;
        let mut events = db.events();
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        let outcome = db.connect().await;
        if fits {
            assert!(outcome.unwrap().is_online(), "{version} {policy:?}");
        } else {
            assert_eq!(code(outcome), "SCHEMA_MISMATCH");
            let told = drain(&mut events);
            assert!(told.contains(&Event::SchemaMismatch { local: version, remote: 2 }), "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn enough_batches_or_a_pause_start_a_flush() {
    let mailbox = MemoryMailbox::new();
    let db = member(&mailbox, StoreLocation::Memory, |config| {
        config.auto_sync = true;
        config.flush_threshold = 3;
        config.flush_debounce = Duration::from_mins(10);
        config.poll_interval = Duration::from_hours(5);
    })
    .await;
    let published = async || {
        tokio::time::sleep(Duration::from_secs(5)).await;
        mailbox
            .list_files("/Mesh/changes")
            .await
            .unwrap()
            .iter()
            .filter(|file| file.name != "head.json")
            .count()
    };
    let batch = async |id: usize| {
        db.batch(|batch| batch.table("t").put(id.to_string(), &json!({"a": 1}))).await.unwrap();
    };
    for id in 0..2 {
        batch(id).await;
        assert_eq!(published().await, 0);
    }
    batch(2).await;
    assert_eq!(published().await, 3);
    // Every write restarts the wait.
    batch(3).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_mins(8)).await;
        assert_eq!(published().await, 3);
        db.table("t").put("single", &json!({"a": 1})).await.unwrap();
    }
    tokio::time::sleep(Duration::from_mins(11)).await;
    assert_eq!(published().await, 5);
    db.shutdown().await.unwrap();
}

/// A wall clock that a test sets.
#[derive(Debug)]
struct SetClock(Mutex<u64>);

impl Host for SetClock {
    fn now_ms(&self) -> u64 {
        *self.0.lock().unwrap()
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioHost.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        TokioHost.sleep(duration)
    }

    fn spawn(&self, task: futures_util::future::BoxFuture<'static, ()>) {
        TokioHost.spawn(task);
    }

    fn blocking(&self, job: Job) -> futures_util::future::BoxFuture<'static, ()> {
        TokioHost.blocking(job)
    }
}

/// Writes epoch 1 of a plain mesh as a peer's compaction would: one row, a floor, no change files.
async fn compact_with_floor(mailbox: &MemoryMailbox, mesh_id: &str, row_clock: &str, floor: &str) {
    for file in mailbox.list_files("/Mesh/changes").await.unwrap() {
        mailbox.delete_file(&file.path).await.unwrap();
    }
    let row = format!(
        r#"{{"_meta":{{"table":"t","rowId":"kept","deleted":false,"schemaVersion":0,"key":"t/kept"}},"payload":{{"v":{{"value":9,"hlc":"{row_clock}"}}}}}}"#
    );
    let snapshot = format!(
        r#"{{"meshId":"{mesh_id}","kind":"snapshot","client":"native/1","snapshot":{{"snapshotId":"s","timestamp":"2026-01-01T00:00:00.000Z","hlc":"{floor}","epoch":1,"schemaVersion":1,"tables":{{"t":{{"kept":{row}}}}}}}}}"#
    );
    mailbox.write_file("/Mesh/mainline/snapshot-1-a.json", snapshot.into_bytes().into()).await.unwrap();
    let manifest = format!(
        r#"{{"generation":2,"parentGeneration":1,"writtenBy":"server_relay_1","writtenAt":"2026-01-01T00:00:00.000Z","version":3,"meshId":"{mesh_id}","schema":1,"encrypted":false,"server":{{"managed":false,"relayUrl":null,"serverId":"server_relay_1"}},"createdAt":"2026-01-01T00:00:00.000Z","epoch":1,"watermarkHlc":"{floor}","snapshotPath":"/Mesh/mainline/snapshot-1-a.json","deltaPath":null,"gcFloorHlc":"{floor}""#
    );
    let hash = Sha256::digest(format!("{manifest}}}")).iter().fold(String::new(), |mut hash, byte| {
        write!(hash, "{byte:02x}").unwrap();
        hash
    });
    let manifest = format!(r#"{manifest},"contentHash":"sha256:{hash}"}}"#);
    mailbox.write_file("/Mesh/manifest-2.json", manifest.into_bytes().into()).await.unwrap();
    let pointer = r#"{"currentGeneration":2,"file":"manifest-2.json"}"#;
    mailbox.write_file("/Mesh/manifest.json", pointer.into()).await.unwrap();
}

#[tokio::test]
async fn below_the_floor_the_snapshot_is_the_state_and_own_writes_survive() {
    const START: u64 = 1_800_000_000_000;
    let mailbox = MemoryMailbox::new();
    let host = Arc::new(SetClock(Mutex::new(START)));
    let at = |seconds: u64| *host.0.lock().unwrap() = START + seconds * 1000;
    let open = |id: &str| {
        let (id, host) = (id.to_owned(), Arc::clone(&host));
        member(&mailbox, StoreLocation::Memory, move |config| {
            config.encrypted = false;
            config.passphrase = None;
            config.device_id = Some(id);
            config.host = host;
        })
    };
    let peer = open("peer").await;
    for id in ["kept", "gone", "edited"] {
        peer.table("t").put(id, &json!({"v": 1})).await.unwrap();
    }
    peer.sync().await.unwrap();
    let db = open("me").await;
    at(1);
    db.table("t").put("mine", &json!({"v": 5})).await.unwrap();
    db.table("t").put("kept", &json!({"note": "b"})).await.unwrap();
    db.table("t").delete("edited").await.unwrap();
    let clock = |seconds: u64, node: &str| format!("{:015}-0000-{node}", START + seconds * 1000);
    compact_with_floor(&mailbox, &mesh_id(&db).await, &clock(2, "peer"), &clock(5, "peer")).await;
    at(20);
    db.table("t").put("late", &json!({"v": 7})).await.unwrap();
    let mut events = db.events();
    db.sync().await.unwrap();
    let wanted = json!({"t": {"kept": {"note": "b", "v": 9}, "late": {"v": 7}, "mine": {"v": 5}}});
    assert_eq!(rows(&db).await, wanted);
    assert!(
        drain(&mut events).iter().any(
            |event| matches!(event, Event::Delete { row_ids, .. } if row_ids.contains(&"gone".to_owned()))
        ),
        "the collected row is told as deleted"
    );
    assert_eq!(db.status().await.unwrap().pending.count, 0);
    // Everybody agrees, a member that saw the collected rows as well as a new one.
    peer.sync().await.unwrap();
    assert_eq!(rows(&peer).await, wanted);
    assert_eq!(rows(&open("new").await).await, wanted);
    // A late file whose clocks lie below the floor changes nothing any more.
    let (id, old, entry) = ("chg_late", clock(3, "ghost"), clock(30, "ghost"));
    let file = format!(
        r#"{{"meshId":"{}","kind":"change","entry":{{"id":"{id}","ts":1,"device":"ghost","hlc":"{entry}","ops":[{{"type":"upsert","table":"t","rowId":"gone","columns":{{"v":{{"value":1,"hlc":"{old}"}}}}}}]}}}}"#,
        mesh_id(&db).await
    );
    mailbox.write_file(&format!("/Mesh/changes/{entry}-{id}.json"), file.into_bytes().into()).await.unwrap();
    db.sync().await.unwrap();
    assert_eq!(rows(&db).await, wanted);
    assert_eq!(db.status().await.unwrap().quarantined, 0);
}
