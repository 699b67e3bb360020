//! The S3 mailbox against a real service, and against one that does what it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;
#[path = "s3/faults.rs"]
mod faults;
#[path = "s3/model.rs"]
mod model;
#[path = "webdav/server.rs"]
#[allow(dead_code, reason = "shared with the tests of WebDAV")]
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use interocitor_core::diagnosis::{Finding, Trouble};
use interocitor_core::mailbox::{
    Body, MailboxErrorKind as K, S3Config, S3Credentials, S3Mailbox, StorageAdapter, suite,
};
use interocitor_core::{Compaction, Interocitor, StoreLocation};
use serde_json::{Value, json};

use self::common::open_at;
use self::faults::client;
use self::model::{ALL, Abilities, Conditions, Model};

/// Tells the address of a real bucket, with its keys.
const REAL: &str = "S3_VERSITYGW_URL";

fn real() -> S3Config {
    let address = std::env::var(REAL).expect("no service to test against: run `bash tests/run.sh mailboxes`");
    S3Config::new(&address).unwrap()
}

fn on(config: &S3Config) -> Arc<dyn StorageAdapter> {
    Arc::new(S3Mailbox::new(config).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn real_service_conforms() {
    let config = real();
    let client = on(&config);
    client.authenticate().await.unwrap();
    println!("{client:?}");
    let capabilities = client.capabilities();
    assert!(capabilities.exclusive_create && capabilities.conditional_replace && capabilities.streaming);
    suite::run(&|| on(&config), &format!("/conformance {}", std::process::id())).await;

    // XML has no room for such a name, and this service does not escape it although it is asked to.
    let folder = format!("/odd {}", std::process::id());
    client.write_file(&format!("{folder}/a\u{1}b"), Body::from("x")).await.unwrap();
    assert_eq!(client.list_files(&folder).await.unwrap()[0].name, "a\u{fffd}b");

    // Wrong keys are told apart from a missing mailbox, and a missing bucket from an empty one.
    let stranger = on(&config.clone().with_credentials(S3Credentials::new("access", "wrong")));
    assert_eq!(stranger.authenticate().await.unwrap_err().kind(), K::Unauthorized);
    assert_eq!(stranger.read_file("/x").await.unwrap_err().kind(), K::Unauthorized);
    let address = std::env::var(REAL).unwrap().replace("@mailbox/", "@no-such-bucket/");
    let nowhere = on(&S3Config::new(&address).unwrap());
    for outcome in [nowhere.read_file("/x").await.map(drop), nowhere.metadata("/x").await.map(drop)] {
        assert_eq!(outcome.unwrap_err().kind(), K::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_service_takes_large_bodies() {
    large_bodies(&*on(&real()), &format!("/large {}", std::process::id())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_service_carries_a_mesh() {
    let config = real();
    mesh(&|| on(&config), &format!("/mesh {}", std::process::id())).await;
}

/// The same with services that lack this or that: everything works, races apart.
#[tokio::test]
async fn poorer_services_conform() {
    let services = [
        (ALL, true),
        (Abilities { page: 3, ..ALL }, true),
        (Abilities { escapes: false, ..ALL }, true),
        (Abilities { conditions: Conditions::Late, ..ALL }, false),
        (Abilities { conditions: Conditions::Ignored, ..ALL }, false),
        (Abilities { conditions: Conditions::Refused, ..ALL }, false),
        (Abilities { conditions: Conditions::Busy, ..ALL }, true),
    ];
    for (can, exclusive) in services {
        let model = Model::start(can).await;
        let make = || Arc::new(client(&model.server)) as Arc<dyn StorageAdapter>;
        let first = make();
        first.authenticate().await.unwrap();
        let found = first.capabilities();
        assert_eq!((found.exclusive_create, found.conditional_replace), (exclusive, exclusive), "{can:?}");
        // Its "everybody wins" is not for checks of what a single writer may expect.
        if can.conditions != Conditions::Late {
            suite::run(&make, "/Mesh").await;
        }
        let left: Vec<_> = model.keys().into_iter().filter(|key| key.contains("interocitor")).collect();
        assert_eq!(left, Vec::<String>::new(), "left over: {can:?}");
        assert_eq!(model.open_uploads(), 0, "{can:?}");
    }
}

/// A body of a length, made while it is sent.
fn streamed(len: u64) -> Body {
    let piece = |from: u64| {
        let end = len.min(from + 100_000);
        Ok(Bytes::from((from..end).map(|at| (at % 251) as u8).collect::<Vec<u8>>()))
    };
    let pieces: Vec<_> = (0..len).step_by(100_000).map(piece).collect();
    Body::Stream { len, stream: stream::iter(pieces).boxed() }
}

/// Bodies that go in parts: written, created and replaced.
async fn large_bodies(client: &dyn StorageAdapter, folder: &str) {
    const LEN: u64 = 20_000_003;
    client.authenticate().await.unwrap();
    let path = format!("{folder}/large");
    let check = async |wanted: u64| {
        let (mut stream, mut at) = (client.read_stream(&path).await.unwrap(), 0_u64);
        while let Some(piece) = stream.next().await {
            for byte in piece.unwrap() {
                assert_eq!(u64::from(byte), at % 251, "byte {at}");
                at += 1;
            }
        }
        assert_eq!(at, wanted);
    };
    client.create_file(&path, streamed(LEN)).await.unwrap();
    check(LEN).await;
    assert_eq!(client.create_file(&path, streamed(LEN)).await.unwrap_err().kind(), K::AlreadyExists);
    client.write_file(&path, streamed(LEN + 7)).await.unwrap();
    check(LEN + 7).await;
    let facts = client.metadata(&path).await.unwrap().unwrap();
    assert_eq!(facts.size, Some(LEN + 7));
    client.replace_file(&path, streamed(LEN), facts.etag.as_deref().unwrap()).await.unwrap();
    check(LEN).await;
    let late = client.replace_file(&path, streamed(LEN), facts.etag.as_deref().unwrap()).await;
    assert_eq!(late.unwrap_err().kind(), K::Conflict);
    // Memory is a source too, and what breaks off changes nothing.
    let whole: Vec<u8> = (0..=LEN).map(|at| (at % 251) as u8).collect();
    client.write_file(&path, Body::from(whole)).await.unwrap();
    check(LEN + 1).await;
    let Body::Stream { stream, .. } = streamed(LEN) else { unreachable!() };
    assert!(client.write_file(&path, Body::Stream { len: LEN + 9, stream }).await.is_err());
    check(LEN + 1).await;
    client.delete_file(&path).await.unwrap();
}

#[tokio::test]
async fn parts_that_are_refused_are_sent_again() {
    let model = Model::start(Abilities { stumbles: true, ..ALL }).await;
    large_bodies(&client(&model.server), "/files").await;
    assert_eq!(model.open_uploads(), 0);
}

#[tokio::test]
async fn large_bodies_go_in_parts_and_leave_nothing_open() {
    let model = Model::start(ALL).await;
    large_bodies(&client(&model.server), "/files").await;
    assert_eq!(model.open_uploads(), 0);
    let seen = model.server.seen();
    let parts = seen.iter().filter(|request| request.path.contains("partNumber=3")).count();
    assert_eq!(parts, 4, "bodies that arrived whole, of three parts each");
    let largest = seen.iter().map(|request| request.body.len()).max();
    assert_eq!(largest, Some(8 * 1024 * 1024));
}

async fn device(mailbox: Arc<dyn StorageAdapter>, root: &str) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.remote_path = Some(root.into());
        config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        config.batch_window = Duration::ZERO;
    })
    .await;
    db.set_remote_storage(Some(mailbox)).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn rows(db: &Interocitor) -> Value {
    db.sync().await.unwrap();
    let dump: Value = serde_json::from_str(&db.dump().await.unwrap()).unwrap();
    dump["tables"].clone()
}

/// Devices that write, compact at the same time, and join late.
async fn mesh(make: &dyn Fn() -> Arc<dyn StorageAdapter>, root: &str) {
    let mut devices = Vec::new();
    for at in 0..3 {
        let db = device(make(), root).await;
        for row in 0..5 {
            db.table("t").put(format!("d{at} {row}"), &json!({"at": at, "text": "K\u{f6}ln"})).await.unwrap();
        }
        db.table("t").put("shared", &json!({ format!("f{at}"): at })).await.unwrap();
        devices.push(db);
    }
    for db in &devices {
        db.sync().await.unwrap();
    }
    let outcomes = future::join_all(devices.iter().map(|db| db.compact(Duration::ZERO))).await;
    let mut epochs: Vec<u64> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.unwrap() {
            Compaction::Written { epoch, .. } => Some(epoch),
            _ => None,
        })
        .collect();
    let won = epochs.len();
    epochs.sort_unstable();
    epochs.dedup();
    let judge = make();
    judge.authenticate().await.unwrap();
    // A service that overwrites whatever is there may let one win after another.
    let is_decided = judge.capabilities().conditional_replace;
    assert!(
        won > 0 && (epochs.len() == won || !is_decided),
        "winners of one epoch: {epochs:?}, {won} in all"
    );
    devices.push(device(make(), root).await);
    let wanted = rows(&devices[0]).await;
    assert_eq!(wanted["t"].as_object().unwrap().len(), 16);
    assert_eq!(wanted["t"]["shared"], json!({"f0": 0, "f1": 1, "f2": 2}));
    for db in &devices {
        assert_eq!(rows(db).await, wanted);
    }
    devices[0].compact(Duration::ZERO).await.unwrap();
    let diagnosis = devices[3].doctor(false).await.unwrap();
    // What compactions leave behind, and those that were overtaken, for a day.
    let is_usual = |finding: &Finding| {
        matches!(finding.trouble, Trouble::ManifestSuperseded | Trouble::SnapshotOrphaned)
    };
    assert!(diagnosis.findings.iter().all(is_usual), "{:?}", diagnosis.findings);
    assert!(diagnosis.files_checked > 0);
    for db in devices {
        db.shutdown().await.unwrap();
    }
}

/// Beside services that decide races and those that do not.
#[tokio::test]
async fn a_mesh_converges_whatever_the_service_does_about_conditions() {
    for conditions in [Conditions::Strict, Conditions::Late, Conditions::Ignored, Conditions::Refused] {
        let model = Model::start(Abilities { conditions, page: 7, ..ALL }).await;
        mesh(&|| Arc::new(client(&model.server)), "/Mesh").await;
    }
}

#[tokio::test]
async fn an_idle_poll_takes_one_request_until_the_tree_is_large() {
    let model = Model::start(Abilities { page: 100, ..ALL }).await;
    client(&model.server).authenticate().await.unwrap();
    assert_eq!(model.server.seen().len(), 17, "the probe");
    let db = device(Arc::new(client(&model.server)), "/Mesh").await;
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    db.sync().await.unwrap();
    let poll = async || {
        let before = model.server.seen().len();
        db.sync().await.unwrap();
        model.server.seen().len() - before
    };
    for _ in 0..3 {
        assert_eq!(poll().await, 1);
    }
    // More files than four pages hold: after a look at them, the pointer and the changes alone are asked for.
    for file in 0..500 {
        model.store(&format!("in/side/Mesh/files/f{file}"), b"x");
    }
    assert_eq!(poll().await, 4 + 2);
    for _ in 0..3 {
        assert_eq!(poll().await, 2);
    }
    db.shutdown().await.unwrap();
}

/// The figures that the documentation of the mailbox gives for large meshes.
#[tokio::test]
async fn requests_of_a_large_mesh() {
    const BATCHES: usize = 150;
    const PROBE: usize = 17;
    let model = Model::start(ALL).await;
    let seen = || model.server.seen().len();
    let first = device(Arc::new(client(&model.server)), "/Mesh").await;
    let second = device(Arc::new(client(&model.server)), "/Mesh").await;
    for db in [&first, &second, &first, &second] {
        db.table("t").put("warm", &json!({"a": 1})).await.unwrap();
        db.sync().await.unwrap();
    }
    first.sync().await.unwrap();
    let burst = async |name: &str| {
        for row in 0..BATCHES {
            first.table("t").put(format!("{name}{row}"), &json!({"a": row})).await.unwrap();
        }
        let before = seen();
        first.sync().await.unwrap();
        seen() - before
    };
    let pull = async || {
        let before = seen();
        second.sync().await.unwrap();
        seen() - before
    };
    assert_eq!(burst("early").await, BATCHES + 2, "a burst that is published");
    assert_eq!(pull().await, BATCHES + 1, "a burst of another device");
    assert_eq!(pull().await, 1, "an idle poll");
    first.compact(Duration::ZERO).await.unwrap();
    let join = async || {
        let before = seen();
        let db = device(Arc::new(client(&model.server)), "/Mesh").await;
        rows(&db).await;
        seen() - before
    };
    assert_eq!(join().await, PROBE + 11, "a fresh device after a compaction");
    burst("late").await;
    assert_eq!(join().await, PROBE + 13 + BATCHES, "a fresh device with changes since");
}

#[tokio::test]
async fn folders_are_known_by_what_lies_in_them() {
    let model = Model::start(ALL).await;
    let (ours, other) = (client(&model.server), client(&model.server));
    model.store("in/side/theirs/deep/file", b"by another tool");
    model.store("in/side/theirs/deep/a\u{1}b", b"a name for which XML has no room");
    assert_eq!(ours.list_files("/theirs/deep").await.unwrap()[0].path, "/theirs/deep/a\u{1}b");
    assert_eq!(ours.list_folders("/").await.unwrap(), ["theirs"]);
    assert_eq!(ours.list_folders("/theirs").await.unwrap(), ["deep"]);
    ours.ensure_folder("/made/here").await.unwrap();
    assert_eq!(other.list_folders("/made").await.unwrap(), ["here"]);
    assert!(other.list_files("/made/here").await.unwrap().is_empty());
    assert_eq!(
        model.keys(),
        ["in/side/made/here/", "in/side/theirs/deep/a\u{1}b", "in/side/theirs/deep/file"]
    );
    // A file in the way is found, though the service would not mind.
    other.write_file("/file", Body::from("x")).await.unwrap();
    for outcome in [ours.ensure_folder("/file/x").await, ours.write_file("/file/x/y", Body::from("x")).await]
    {
        assert_eq!(outcome.unwrap_err().kind(), K::InvalidPath);
    }
}
