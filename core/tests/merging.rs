//! Strategies, custom functions, unique fields, events and request counts, seen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::open_at;
use interocitor_core::{
    Condition, Config, Conflict, Event, Interocitor, MergeFunction, MergeStrategy, Schema, StoreLocation,
    Value, mailbox::MemoryMailbox,
};
use serde_json::json;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

async fn device(mailbox: &MemoryMailbox, change: impl FnOnce(&mut Config)) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some(PASSPHRASE.into());
        change(config);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

async fn row(db: &Interocitor, id: &str) -> serde_json::Value {
    serde_json::from_str(&db.table("t").row(id).await.unwrap().unwrap().json).unwrap()
}

/// The greater number wins: commutative, associative, idempotent. Counts its calls.
fn greatest(calls: &Arc<AtomicUsize>) -> MergeFunction {
    let calls = Arc::clone(calls);
    let number = |value: &Value| value.as_str().parse::<f64>().unwrap();
    Arc::new(move |conflicts: &[Conflict]| {
        calls.fetch_add(1, Ordering::SeqCst);
        let choose = |conflict: &Conflict| {
            if number(&conflict.local) >= number(&conflict.remote) {
                &conflict.local
            } else {
                &conflict.remote
            }
            .clone()
        };
        conflicts.iter().map(choose).collect()
    })
}

fn scores(calls: &Arc<AtomicUsize>) -> Schema {
    Schema::from_json(r#"{"tables":{"t":{"fields":{"score":{"kind":"number"}}}}}"#).unwrap().with_merge(
        "t",
        Some("score".into()),
        MergeStrategy::Custom(greatest(calls)),
    )
}

#[tokio::test]
async fn a_custom_function_decides_its_field_alone_and_everybody_agrees() {
    let mailbox = MemoryMailbox::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(device(&mailbox, |config| config.schema = Some(scores(&calls))).await);
    }
    for (at, score) in [70, 90, 80].into_iter().enumerate() {
        devices[at].table("t").put("r", &json!({"score": score, "last": at})).await.unwrap();
        for extra in 0..20 {
            let id = format!("x{extra}");
            devices[at].table("t").put(id, &json!({"score": score * extra})).await.unwrap();
        }
    }
    for _ in 0..3 {
        for db in &devices {
            db.sync().await.unwrap();
        }
    }
    for db in &devices {
        // The greatest score, although a later writer had a smaller one; the other field is the last writer's.
        assert_eq!(row(db, "r").await, json!({"score": 90, "last": 2}));
        assert_eq!(row(db, "x7").await, json!({"score": 630}));
        assert_eq!(db.status().await.unwrap().pending.count, 0);
    }
    // Conflicts of a page go out in one call, not one by one, and agreement ends them.
    let settled = calls.load(Ordering::SeqCst);
    assert!((1..20).contains(&settled), "{settled}");
    for db in &devices {
        db.sync().await.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), settled);
    // A peer without the function sees the same.
    let plain = device(&mailbox, |_| {}).await;
    assert_eq!(row(&plain, "r").await["score"], json!(90));
}

#[tokio::test]
async fn a_function_that_misbehaves_does_no_harm() {
    let mailbox = MemoryMailbox::new();
    let silent: MergeFunction = Arc::new(|_| Vec::new());
    let schema = Schema::from_json(r#"{"tables":{"t":{"fields":{"a":{"kind":"json"}}}}}"#).unwrap();
    let schema = schema.with_merge("t", None, MergeStrategy::Custom(silent));
    let a = device(&mailbox, |config| config.schema = Some(schema)).await;
    let b = device(&mailbox, |_| {}).await;
    a.table("t").put("r", &json!({"a": 1})).await.unwrap();
    b.table("t").put("r", &json!({"a": 2})).await.unwrap();
    b.sync().await.unwrap();
    a.sync().await.unwrap();
    b.sync().await.unwrap();
    assert_eq!(row(&a, "r").await, row(&b, "r").await);
}

#[tokio::test]
async fn all_named_strategies_converge() {
    for strategy in [MergeStrategy::LastWriterWins, MergeStrategy::RemoteWins, MergeStrategy::LocalWins] {
        let mailbox = MemoryMailbox::new();
        let a = device(&mailbox, |config| config.merge = strategy.clone()).await;
        let b = device(&mailbox, |config| config.merge = strategy.clone()).await;
        a.table("t").put("r", &json!({"a": "first"})).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        b.table("t").put("r", &json!({"a": "second"})).await.unwrap();
        for db in [&b, &a, &b] {
            db.sync().await.unwrap();
        }
        assert_eq!(row(&a, "r").await, json!({"a": "second"}), "{strategy:?}");
        assert_eq!(row(&b, "r").await, json!({"a": "second"}), "{strategy:?}");
    }
}

#[tokio::test]
async fn unique_holds_here_and_a_peers_duplicate_is_stored_and_told() {
    let schema = || {
        Schema::from_json(r#"{"tables":{"t":{"fields":{"mail":{"kind":"string","unique":true}}}}}"#).unwrap()
    };
    let mailbox = MemoryMailbox::new();
    let a = device(&mailbox, |config| config.schema = Some(schema())).await;
    let b = device(&mailbox, |config| config.schema = Some(schema())).await;
    a.table("t").put("one", &json!({"mail": "x@y"})).await.unwrap();
    let error = a.table("t").put("two", &json!({"mail": "x@y"})).await.unwrap_err();
    assert_eq!(error.code().as_str(), "UNIQUE_VIOLATION");
    b.table("t").put("three", &json!({"mail": "x@y"})).await.unwrap();
    b.sync().await.unwrap();
    let mut events = a.events();
    a.sync().await.unwrap();
    let told =
        std::iter::from_fn(|| events.try_next()).any(|event| matches!(event, Event::UniqueDuplicate { .. }));
    assert!(told);
    let found =
        a.table("t").where_("mail", Condition::Equals(Value::parse("\"x@y\"").unwrap())).await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn changed_columns_only_travel_when_asked() {
    let mailbox = MemoryMailbox::new();
    let a =
        device(&mailbox, |config| config.publish = interocitor_core::config::Publish::ChangedColumns).await;
    a.table("t").put("r", &json!({"a": 1, "b": 2})).await.unwrap();
    a.sync().await.unwrap();
    a.table("t").put("r", &json!({"b": 3})).await.unwrap();
    a.sync().await.unwrap();
    let key = interocitor_core::Passphrase::from(PASSPHRASE).to_key().unwrap();
    let mut widths = Vec::new();
    for file in
        interocitor_core::mailbox::StorageAdapter::list_files(&mailbox, "/Mesh/changes").await.unwrap()
    {
        if file.name == "head.json" {
            continue;
        }
        let body = interocitor_core::mailbox::StorageAdapter::read_file(&mailbox, &file.path).await.unwrap();
        let payload = interocitor_crypto::open(&key, &body).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        widths.push(payload["entry"]["ops"][0]["columns"].as_object().unwrap().len());
    }
    assert_eq!(widths, [2, 1]);
    let b = device(&mailbox, |_| {}).await;
    assert_eq!(row(&b, "r").await, json!({"a": 1, "b": 3}));
}

#[tokio::test]
async fn an_idle_poll_takes_two_requests() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    for _ in 0..3 {
        let before = mailbox.requests();
        db.sync().await.unwrap();
        assert_eq!(mailbox.requests() - before, 2);
    }
}

#[tokio::test]
async fn events_tell_what_happened_in_order() {
    let mailbox = MemoryMailbox::new();
    let a = device(&mailbox, |_| {}).await;
    let b = device(&mailbox, |_| {}).await;
    let mut events = a.events();
    b.table("t").put("r", &json!({"a": 1})).await.unwrap();
    b.table("t").put("s", &json!({"a": 1})).await.unwrap();
    b.sync().await.unwrap();
    a.sync().await.unwrap();
    b.table("t").delete("r").await.unwrap();
    b.sync().await.unwrap();
    a.sync().await.unwrap();
    a.table("t").put("mine", &json!({"a": 1})).await.unwrap();
    let seen: Vec<Event> = std::iter::from_fn(|| events.try_next())
        .filter(|event| {
            matches!(event, Event::Change { .. } | Event::Delete { .. } | Event::SyncComplete { .. })
        })
        .collect();
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        seen,
        [
            Event::Change { table: "t".into(), row_ids: ids(&["r", "s"]) },
            Event::SyncComplete { entries_merged: 2 },
            Event::Delete { table: "t".into(), row_ids: ids(&["r"]) },
            Event::SyncComplete { entries_merged: 1 },
            Event::Change { table: "t".into(), row_ids: ids(&["mine"]) },
        ]
    );
    a.shutdown().await.unwrap();
    assert_eq!(a.table("t").put("r", &json!({})).await.unwrap_err().code().as_str(), "SHUT_DOWN");
    while let Some(event) = events.next().await {
        assert!(!event.name().is_empty());
    }
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_one_file() {
    let mailbox = MemoryMailbox::new();
    let db = device(&mailbox, |_| {}).await;
    db.table("t").put("r", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
    let before = mailbox.requests();
    let id = db
        .batch(|batch| {
            let id = batch.table("t").add(&json!({"b": 1}))?;
            batch.table("t").put("r", &json!({"a": 2}))?;
            assert_eq!(batch.table("t").row("r")?.unwrap().json, r#"{"a":2}"#);
            batch.table("t").delete("r")?;
            assert!(batch.table("t").row("r")?.is_none());
            batch.table("t").put("r", &json!({"c": 3}))?;
            assert_eq!(batch.table("t").row("r")?.unwrap().json, r#"{"c":3}"#);
            Ok(id)
        })
        .await
        .unwrap();
    assert_eq!(row(&db, "r").await, json!({"c": 3}));
    db.flush().await.unwrap();
    // Pointer, listing, one change file, head.
    assert_eq!(mailbox.requests() - before, 4);
    let failed: interocitor_core::Result<()> = db
        .batch(|batch| {
            batch.table("t").put("r", &json!({"never": true}))?;
            Err(interocitor_core::Error::Cancelled)
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(row(&db, "r").await, json!({"c": 3}));
    let other = device(&mailbox, |_| {}).await;
    assert_eq!(row(&other, "r").await, json!({"c": 3}));
    assert_eq!(row(&other, id.as_str().unwrap()).await, json!({"b": 1}));
}

#[tokio::test]
async fn empty_rows_wait_in_one_batch_with_others() {
    let mailbox = MemoryMailbox::new();
    let (a, b) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    // All within the time in which single writes are one batch.
    a.table("t").put("full", &json!({"x": 1})).await.unwrap();
    for id in ["r1", "r2", "r3"] {
        a.table("t").put(id, &json!({})).await.unwrap();
    }
    a.table("t").put("full", &json!({"x": 2})).await.unwrap();
    a.sync().await.unwrap();
    b.sync().await.unwrap();
    for id in ["r1", "r2", "r3"] {
        assert_eq!(row(&b, id).await, json!({}));
    }
    assert_eq!(row(&b, "full").await, json!({"x": 2}));
}
