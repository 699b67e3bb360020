//! What we write is read by both generations of the JavaScript client: a strict model of their
//! decoders, on a real JavaScript engine, reads mailboxes that this engine founded and filled, and pairs with it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{Fixture, open_at};
use interocitor_core::{
    Interocitor, Paired, Pairing, Passphrase, StoreLocation,
    mailbox::FolderMailbox,
    pairing::{Capabilities, PairingOptions, PairingPayload},
};
use serde_json::{Value, json};

const PASSPHRASE: &str = "111KWCfMfKoLt2cZbE5UcrZknqeER1Q4vVBx4Epu58";

async fn device(mailbox: &Path, encrypted: bool) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.encrypted = encrypted;
        config.passphrase = encrypted.then(|| Passphrase::from(PASSPHRASE));
        config.device_name = Some("na\"me \u{e9}".into());
        config.device_type = Some("ios".into());
        config.batch_window = std::time::Duration::ZERO;
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

fn read_as(generation: &str, mailbox: &Path, passphrase: Option<&str>) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/js_clients.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(generation).arg(mailbox.join("Mesh")).arg("/Mesh").args(passphrase);
    let output = command.output().expect("node is needed: see tests/run.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&common::without_lone_surrogates(&String::from_utf8(output.stdout).unwrap()))
        .unwrap()
}

async fn tables(db: &Interocitor) -> Value {
    let dump = common::without_lone_surrogates(&db.dump().await.unwrap());
    serde_json::from_str::<Value>(&dump).unwrap()["tables"].clone()
}

#[tokio::test]
async fn the_model_reads_what_the_real_client_wrote() {
    for name in ["basic", "plaintext", "late-change", "new-compacted", "swarm-upserts", "odd-values"] {
        let fixture = Fixture::load(name);
        let mailbox = fixture.unpack();
        let seen = read_as("new", mailbox.path(), fixture.passphrase.as_deref());
        common::assert_json(&seen["tables"], &fixture.expected["tables"], name);
    }
}

#[tokio::test]
async fn both_generations_read_a_mesh_of_ours() {
    for encrypted in [true, false] {
        let mailbox = tempfile::tempdir().unwrap();
        let (a, b) = (device(mailbox.path(), encrypted).await, device(mailbox.path(), encrypted).await);
        let odd = serde_json::value::RawValue::from_string(
            r#"{"lone":"\ud800","big":1e21,"int":9007199254740993,"nested":{"b":[1,{"c":null}],"a":"\u2028"},"q\"\\":"/"}"#.into(),
        )
        .unwrap();
        a.table("todos").put("one", &json!({"title": "K\u{f6}ln \u{2713}", "done": false})).await.unwrap();
        a.table("odd/table \u{1f600}").put("row\u{0}", &odd).await.unwrap();
        a.table("todos").put("gone", &json!({"x": 1})).await.unwrap();
        a.sync().await.unwrap();
        b.sync().await.unwrap();
        b.table("todos").put("one", &json!({"done": true})).await.unwrap();
        b.table("todos").delete("gone").await.unwrap();
        b.sync().await.unwrap();
        a.sync().await.unwrap();
        // A resurrection travels as a delete with its old clock before the upsert.
        a.table("todos").put("gone", &json!({"y": 2})).await.unwrap();
        a.batch(|batch| {
            batch.table("todos").replace("one", &json!({"title": "new"}))?;
            batch.table("empty").put("row", &json!({}))
        })
        .await
        .unwrap();
        a.sync().await.unwrap();
        b.sync().await.unwrap();
        let ours = tables(&a).await;
        common::assert_json(&tables(&b).await, &ours, "our devices");
        for compacts in [false, true] {
            if compacts {
                a.compact(std::time::Duration::ZERO).await.unwrap();
                b.table("todos").put("after", &json!({"the": "snapshot"})).await.unwrap();
                b.sync().await.unwrap();
                a.sync().await.unwrap();
            }
            let ours = tables(&a).await;
            for generation in ["b10", "new"] {
                let seen = read_as(generation, mailbox.path(), encrypted.then_some(PASSPHRASE));
                common::assert_json(&seen["tables"], &ours, &format!("{generation}, {compacts}"));
            }
        }
    }
}

#[tokio::test]
async fn a_late_publication_is_still_ahead_of_a_cursor() {
    let mailbox = tempfile::tempdir().unwrap();
    let (a, b) = (device(mailbox.path(), true).await, device(mailbox.path(), true).await);
    // A writes first and publishes last: its entry must not fall behind what a B10 peer has read.
    a.table("t").put("early", &json!({"by": "a"})).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    b.table("t").put("late", &json!({"by": "b"})).await.unwrap();
    b.sync().await.unwrap();
    let before = common::tree(mailbox.path());
    a.flush().await.unwrap();
    let after = common::tree(mailbox.path());
    let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        let mut names: Vec<String> = files.keys().filter(|name| name.contains("-chg_")).cloned().collect();
        names.sort();
        names
    };
    let (known, all) = (names(&before), names(&after));
    assert_eq!(all.len(), known.len() + 1);
    assert!(all.last() > known.last(), "{all:?}");
    read_as("b10", mailbox.path(), Some(PASSPHRASE));
}

#[tokio::test]
async fn large_batches_are_split_into_parts_and_read_whole() {
    let mailbox = tempfile::tempdir().unwrap();
    let db = device(mailbox.path(), true).await;
    db.batch(|batch| {
        for at in 0..40 {
            batch.table("t").put(format!("r{at}"), &json!({"text": "x".repeat(400_000), "at": at}))?;
        }
        Ok(())
    })
    .await
    .unwrap();
    db.sync().await.unwrap();
    let changes: Vec<usize> = common::tree(&mailbox.path().join("Mesh/changes"))
        .into_iter()
        .filter(|(name, _)| name.contains("-chg_"))
        .map(|(_, bytes)| bytes.len())
        .collect();
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(changes.iter().all(|size| *size < 8_500_000), "{changes:?}");
    let seen = read_as("new", mailbox.path(), Some(PASSPHRASE));
    assert_eq!(seen["tables"]["t"].as_object().unwrap().len(), 40);
}

/// A JavaScript client that takes its part in a pairing.
struct Pairer {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Pairer {
    fn start(role: &str, mailbox: &Path, what: &str, said: &Value, credential: &Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/js_pairing.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(role)
            .arg(mailbox)
            .args(["/Relay", what, &said.to_string(), &credential.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node is needed: see tests/run.sh");
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            let mut said = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{said}");
        }
        line.trim_end().to_owned()
    }

    /// What it received.
    fn outcome(mut self) -> Value {
        let received = self.line();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&received).unwrap()
    }
}

/// A device of ours, with a mesh or without, that pairs in a folder.
async fn pairing_device(mailbox: &Path, is_member: bool) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.remote_path = is_member.then(|| "/Mesh/K\u{f6}ln".into());
        config.passphrase = is_member.then(|| PASSPHRASE.into());
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    db
}

fn pairing_options(said: &Value) -> PairingOptions {
    let ids = |list: &Value| {
        list.as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let mut options = PairingOptions::default();
    options.relay_base = "/Relay".into();
    options.poll_interval = Duration::from_millis(20);
    options.capabilities = Capabilities::new(ids(&said["supported"]), ids(&said["required"])).unwrap();
    options
}

async fn completed(pairing: Pairing) -> Paired {
    pairing.code().await.unwrap();
    pairing.complete().await.unwrap()
}

#[tokio::test]
async fn a_javascript_client_pairs_with_us() {
    let credential = json!({"remotePath": "/Mesh/K\u{f6}ln", "passphrase": PASSPHRASE});
    let required = json!({"supported": ["z:v1", "a:v1", "\u{1f600}"], "required": ["a:v1"]});
    let supported = json!({"supported": ["a:v1"]});
    for (intent, ours_shows) in [("share", true), ("join", true), ("share", false), ("join", false)] {
        for (ours, theirs) in [
            (&Value::Null, &Value::Null),
            (&required, &supported),
            (&supported, &required),
            (&supported, &Value::Null),
        ] {
            let mailbox = tempfile::tempdir().unwrap();
            let we_send = (intent == "share") == ours_shows;
            let db = pairing_device(mailbox.path(), we_send).await;
            let given = if we_send { &Value::Null } else { &credential };
            let options = pairing_options(ours);
            let (paired, received) = if ours_shows {
                let shown =
                    if we_send { db.pair_share(options).await } else { db.pair_join(options).await }.unwrap();
                let payload = shown.payload().encode();
                let peer = Pairer::start("scan", mailbox.path(), &payload, theirs, given);
                let received = tokio::task::spawn_blocking(move || peer.outcome());
                (completed(shown).await, received.await.unwrap())
            } else {
                let mut peer = Pairer::start("generate", mailbox.path(), intent, theirs, given);
                let payload = PairingPayload::parse(&peer.line()).unwrap();
                let scan = db.pair_scan(payload, options).await.unwrap();
                let received = tokio::task::spawn_blocking(move || peer.outcome());
                (completed(scan).await, received.await.unwrap())
            };
            assert_eq!(paired.received, !we_send, "{intent} {ours_shows}");
            assert_eq!(received, if we_send { credential.clone() } else { Value::Null });
            assert_eq!(db.get_passphrase().unwrap().expose(), PASSPHRASE);
            assert_eq!(paired.remote_path, "/Mesh/K\u{f6}ln");
            assert!(common::tree(mailbox.path()).is_empty());
        }
    }
}
