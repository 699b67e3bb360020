//! What encryption of the store costs: each job on an encrypted store beside the same on a plain one, in one
//! run. `python3 core/benches/table.py` prints both benches.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use interocitor_core::{
    Config, Interocitor, Query, StoreEncryption, StoreLocation, credentials::MemoryCredentials,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const ROWS: usize = 50_000;

/// The encrypted store first, then its ground.
const SIDES: [(&str, Option<StoreEncryption>); 2] =
    [("engine", Some(StoreEncryption { plaintext_header: false })), ("ground", None)];

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn row(at: usize) -> serde_json::Value {
    json!({
        "title": format!("Row number {at} of the bench, with some text in it"),
        "done": at.is_multiple_of(3),
        "n": at,
        "price": 1.25,
        "tags": ["one", "two"],
    })
}

fn id(at: usize) -> String {
    // In no order, as random ids are.
    format!("{:016x}-row", (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn open(runtime: &Runtime, encryption: Option<StoreEncryption>) -> (TempDir, Interocitor) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("bench", StoreLocation::File(folder.path().join("a.db")));
    config.store_encryption = encryption;
    config.credentials = Some(Arc::new(MemoryCredentials::default()));
    config.auto_sync = false;
    config.batch_window = Duration::from_hours(1);
    let db = runtime.block_on(Interocitor::open(config)).unwrap();
    (folder, db)
}

fn fill(runtime: &Runtime, db: &Interocitor) {
    runtime
        .block_on(db.batch(|batch| {
            let mut table = batch.table("t");
            (0..ROWS).try_for_each(|at| table.put(id(at), &row(at)))
        }))
        .unwrap();
}

fn write(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("sealed-write");
    for (side, encryption) in SIDES {
        let (_folder, db) = open(&runtime, encryption);
        let mut at = 0;
        group.bench_function(side, |bencher| {
            bencher.iter(|| {
                at += 1;
                runtime.block_on(db.table("t").put(id(at), &row(at))).unwrap();
            });
        });
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("sealed-batch");
    group.sample_size(10);
    for (side, encryption) in SIDES {
        group.bench_function(side, |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        let (_folder, db) = open(&runtime, encryption);
                        let begin = Instant::now();
                        fill(&runtime, &db);
                        begin.elapsed()
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let runtime = runtime();
    for (side, encryption) in SIDES {
        let (_folder, db) = open(&runtime, encryption);
        fill(&runtime, &db);
        let table = db.table("t");
        let mut group = criterion.benchmark_group("sealed-point-read");
        let mut at = 0;
        group.bench_function(side, |bencher| {
            bencher.iter(|| {
                at = (at + 7919) % ROWS;
                runtime.block_on(table.row(id(at))).unwrap().unwrap()
            });
        });
        group.finish();
        let mut group = criterion.benchmark_group("sealed-full-scan");
        group.sample_size(20);
        group.bench_function(side, |bencher| {
            let query = Query::table("t");
            bencher.iter(|| assert_eq!(runtime.block_on(db.query(&query)).unwrap().len(), ROWS));
        });
        group.finish();
    }
}

criterion_group!(benches, write, batch, read);
criterion_main!(benches);
