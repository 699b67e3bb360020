//! The ground of the bench table in `bindings/README.md`: what Rust needs for the work that the programs in Swift
//! and Kotlin do. Prints one line of JSON for each figure.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use interocitor_core::{Config, Event, Interocitor, Passphrase, StoreLocation, mailbox::FolderMailbox};
use serde::{Deserialize, Serialize};

const ROWS: u32 = 10_000;
const PUTS: u32 = 1000;
const CHANGES: u32 = 50_000;
const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

#[derive(Serialize, Deserialize)]
struct Todo {
    title: String,
    done: bool,
    rank: i64,
    score: f64,
    note: Option<String>,
    created: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "decoded as an app would")]
struct Row {
    id: String,
    row: Todo,
}

fn todo(at: u32) -> Todo {
    Todo {
        title: format!("Todo number {at}"),
        done: at.is_multiple_of(3),
        rank: i64::from(at),
        score: f64::from(at) / 7.0,
        note: (!at.is_multiple_of(4)).then(|| format!("a note about {at}")),
        created: format!("2026-01-{:02}T12:00:00.000Z", at % 28 + 10),
    }
}

async fn open(folder: &Path, name: &str) -> Interocitor {
    let mut config = Config::new("bench", StoreLocation::File(folder.join(name)));
    config.remote_path = Some("/Mesh".into());
    config.passphrase = Some(Passphrase::from(PASSPHRASE));
    config.auto_sync = false;
    Interocitor::open(config).await.unwrap()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path(), "query.db").await;
    db.batch(|batch| (0..ROWS).try_for_each(|at| batch.table("todos").put(format!("row{at:05}"), &todo(at))))
        .await
        .unwrap();
    let query = db.table("todos").query();
    let mut times = Vec::new();
    for _ in 0..21 {
        let begin = Instant::now();
        let page = db.query_json(&query).await.unwrap();
        let rows: Vec<Row> = serde_json::from_slice(&page).unwrap();
        times.push(begin.elapsed());
        assert_eq!(rows.len(), ROWS as usize);
    }
    println!(r#"{{"language":"rust","work":"query","ms":{:.3}}}"#, median(times));

    let mut times = Vec::new();
    for round in 0..7 {
        let db = open(folder.path(), &format!("puts{round}.db")).await;
        let table = db.table("todos");
        let begin = Instant::now();
        for at in 0..PUTS {
            table.put(format!("row{at:05}"), &todo(at)).await.unwrap();
        }
        times.push(begin.elapsed());
    }
    println!(r#"{{"language":"rust","work":"puts","ms":{:.3}}}"#, median(times));

    let mailbox = folder.path().join("mailbox");
    std::fs::create_dir(&mailbox).unwrap();
    let writer = open(folder.path(), "writer.db").await;
    let reader = open(folder.path(), "reader.db").await;
    for db in [&writer, &reader] {
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(&mailbox)))).await;
        assert!(db.connect().await.unwrap().is_online());
    }
    for batch in 0..CHANGES / 1000 {
        let rows = batch * 1000..(batch + 1) * 1000;
        writer
            .batch(|batch| {
                rows.into_iter().try_for_each(|at| batch.table("todos").put(format!("row{at:05}"), &todo(at)))
            })
            .await
            .unwrap();
    }
    writer.sync().await.unwrap();
    let mut events = reader.events();
    let begin = Instant::now();
    reader.pull().await.unwrap();
    let (mut told, mut rows) = (0, 0);
    while let Some(event) = events.try_next() {
        if let Event::Change { row_ids, .. } = event {
            told += 1;
            rows += row_ids.len();
        }
    }
    let ms = begin.elapsed().as_secs_f64() * 1000.0;
    println!(r#"{{"language":"rust","work":"storm","ms":{ms:.3},"events":{told},"rows":{rows}}}"#);
}
