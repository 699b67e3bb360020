//! Each job of the engine beside its ground: the same bytes through SQLite, AES-GCM and the file system
//! alone, in the same run. `python3 core/benches/table.py` prints the table of the README from it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a bench that cannot go on has failed, and its set-up need not be fast"
)]

use std::{
    fs::File,
    hint::black_box,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInOut};
use criterion::{Criterion, criterion_group};
use interocitor_core::{
    Compaction, Condition, Config, Interocitor, Key, Passphrase, Query, Schema, StoreLocation, Value,
    mailbox::{FolderMailbox, MemoryMailbox},
};
use rusqlite::{Connection, params};
use serde_json::{json, value::RawValue};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const KEY: [u8; 32] = [5; 32];
const CLOCK: &str = "001795352694418-0000-01990000-0000-7000-8000-00000000000a";
/// Rows of the queries and of the snapshot.
const ROWS: usize = 55_000;

fn passphrase() -> Passphrase {
    Key::from_bytes(KEY).to_passphrase()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn config(store: StoreLocation) -> Config {
    let mut config = Config::new("bench", store);
    config.remote_path = Some("/Mesh".into());
    config.passphrase = Some(passphrase());
    config.auto_sync = false;
    config.batch_window = Duration::from_hours(1);
    config
}

/// A database in a file that belongs to a mesh, so that writes go to the outbox.
async fn member(folder: &Path, change: impl FnOnce(&mut Config)) -> Interocitor {
    let mut config = config(StoreLocation::File(folder.join("a.db")));
    change(&mut config);
    let db = Interocitor::open(config).await.unwrap();
    db.set_remote_storage(Some(Arc::new(MemoryMailbox::new()))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// Five columns, about 150 bytes of JSON.
fn row(at: usize) -> serde_json::Value {
    json!({
        "title": format!("Row number {at} of the bench, with some text in it"),
        "done": at.is_multiple_of(3),
        "n": at % (ROWS / 100),
        "price": 1.25,
        "tags": ["one", "two"],
    })
}

/// What the engine stores for [`row`]: JSON, clocks, and both once more for the outbox.
struct Stored {
    data: String,
    clocks: Vec<u8>,
    op: Vec<u8>,
}

fn stored(at: usize) -> Stored {
    let data = row(at).to_string();
    let clocks = vec![7; 38 + 5 * 9];
    let op = vec![7; data.len() + clocks.len() + 45];
    Stored { data, clocks, op }
}

/// A bare database with the engine's tables and settings.
fn raw(folder: &Path) -> Connection {
    let conn = Connection::open(folder.join("raw.db")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;
         CREATE TABLE t(rid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, data TEXT, clocks BLOB NOT NULL, d TEXT, k BLOB);
         CREATE TABLE outbox_ops(seq INTEGER, n INTEGER, ops BLOB, PRIMARY KEY (seq, n)) WITHOUT ROWID;",
    )
    .unwrap();
    conn
}

fn insert(conn: &Connection, id: &str, stored: &Stored) {
    conn.prepare_cached("INSERT INTO t(id, data, clocks, d) VALUES (?1, ?2, ?3, NULL)")
        .unwrap()
        .execute(params![id, stored.data, stored.clocks])
        .unwrap();
}

/// Ids in no order, as random UUIDs are.
fn id(at: usize) -> String {
    let hash = Sha256::digest(at.to_le_bytes());
    hash.iter().take(18).map(|byte| format!("{byte:02x}")).collect()
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    group.bench_function("engine", |bencher| {
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let db = runtime.block_on(member(folder.path(), |_| {}));
        let table = db.table("t");
        let mut at = 0;
        bencher.iter(|| {
            at += 1;
            runtime.block_on(table.put(id(at), &row(at))).unwrap();
        });
    });
    group.bench_function("ground", |bencher| {
        let folder = tempfile::tempdir().unwrap();
        let conn = raw(folder.path());
        let mut at = 0;
        bencher.iter(|| {
            at += 1;
            let stored = stored(at);
            conn.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
            insert(&conn, &id(at), &stored);
            conn.prepare_cached("INSERT INTO outbox_ops VALUES (1, ?1, ?2)")
                .unwrap()
                .execute(params![i64::try_from(at).unwrap(), stored.op])
                .unwrap();
            conn.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
        });
    });
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    const COUNT: usize = 50_000;
    let mut group = criterion.benchmark_group("batch");
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        let runtime = runtime();
        let rows: Vec<_> = (0..COUNT).map(|at| (id(at), row(at))).collect();
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                let folder = tempfile::tempdir().unwrap();
                // The publishing of one round must not run into the next.
                let db = runtime.block_on(member(folder.path(), |config| config.auto_sync = false));
                let begin = Instant::now();
                runtime
                    .block_on(db.batch(|batch| {
                        let mut table = batch.table("t");
                        rows.iter().try_for_each(|(id, row)| table.put(id, row))
                    }))
                    .unwrap();
                begin.elapsed()
            })
        });
    });
    group.bench_function("ground", |bencher| {
        let rows: Vec<_> = (0..COUNT).map(|at| (id(at), stored(at))).collect();
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                let folder = tempfile::tempdir().unwrap();
                let conn = raw(folder.path());
                let begin = Instant::now();
                conn.execute_batch("BEGIN IMMEDIATE").unwrap();
                for (id, stored) in &rows {
                    insert(&conn, id, stored);
                }
                conn.execute_batch("COMMIT").unwrap();
                begin.elapsed()
            })
        });
    });
    group.finish();
}

fn measured(rounds: u64, mut run: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| run()).sum()
}

/// A folder mailbox with 5,000 change files of one operation each.
fn many_changes(runtime: &Runtime) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let mut config = config(StoreLocation::Memory);
        config.batch_window = Duration::ZERO;
        let db = Interocitor::open(config).await.unwrap();
        db.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder.path())))).await;
        assert!(db.connect().await.unwrap().is_online());
        for at in 0..5000 {
            db.table("t").put(id(at), &row(at)).await.unwrap();
        }
        db.sync().await.unwrap();
    });
    folder
}

async fn fresh(mailbox: &Path, store: &Path) -> Interocitor {
    let db = Interocitor::open(config(StoreLocation::File(store.join("fresh.db")))).await.unwrap();
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(mailbox)))).await;
    db
}

/// How long a fresh device takes to connect to what lies in a mailbox.
fn first_connect(runtime: &Runtime, mailbox: &Path) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let db = runtime.block_on(fresh(mailbox, folder.path()));
    let begin = Instant::now();
    assert!(runtime.block_on(db.connect()).unwrap().is_online());
    begin.elapsed()
}

fn pull(criterion: &mut Criterion) {
    let runtime = runtime();
    let mailbox = many_changes(&runtime);
    let mut group = criterion.benchmark_group("pull");
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|rounds| measured(rounds, || first_connect(&runtime, mailbox.path())));
    });
    group.bench_function("ground", |bencher| {
        let key = Key::from_bytes(KEY);
        bencher.iter(|| {
            let mut files = 0;
            for entry in std::fs::read_dir(mailbox.path().join("Mesh/changes")).unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with("head.json") {
                    continue;
                }
                let payload = interocitor_crypto::open(&key, &std::fs::read(path).unwrap()).unwrap();
                let parsed: Payload<'_> = serde_json::from_slice(&payload).unwrap();
                files += parsed.entry.ops.len();
                black_box(parsed.entry.ops.first().map(|op| &op.columns));
            }
            assert_eq!(files, 5000);
        });
    });
    group.finish();
}

#[derive(serde::Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    entry: Entry<'a>,
}

#[derive(serde::Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    ops: Vec<Op<'a>>,
}

#[derive(serde::Deserialize)]
struct Op<'a> {
    #[serde(borrow)]
    columns: std::collections::HashMap<&'a str, Cell<'a>>,
}

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "parsed as the engine has to")]
struct Cell<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    hlc: &'a str,
}

/// The plaintext of a snapshot of [`ROWS`] rows, about 37 MB.
fn snapshot() -> String {
    let mut text = String::from(
        r#"{"meshId":"mesh_bench","kind":"snapshot","snapshot":{"snapshotId":"snap_1","timestamp":"2026-01-01T00:00:00.000Z","hlc":"","epoch":1,"schemaVersion":1,"tables":{"t":{"#,
    );
    for at in 0..ROWS {
        let id = id(at);
        let columns: Vec<String> = row(at)
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!(r#""{name}":{{"value":{value},"hlc":"{CLOCK}"}}"#))
            .collect();
        let comma = if at == 0 { "" } else { "," };
        text += &format!(
            r#"{comma}"{id}":{{"_meta":{{"table":"t","rowId":"{id}","deleted":false,"schemaVersion":0,"key":"t/{id}"}},"payload":{{{}}}}}"#,
            columns.join(",")
        );
    }
    text + "}}}}"
}

/// A folder mailbox whose mesh is one snapshot.
fn compacted(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("Mesh");
    std::fs::create_dir_all(root.join("mainline")).unwrap();
    std::fs::create_dir_all(root.join("changes")).unwrap();
    let body = interocitor_crypto::seal(&Key::from_bytes(KEY), [3; 12], text.as_bytes()).unwrap();
    std::fs::write(root.join("mainline/snapshot-1-bench.json"), body).unwrap();
    let manifest = r#"{"generation":2,"parentGeneration":1,"writtenBy":"s","writtenAt":"2026-01-01T00:00:00.000Z","version":3,"meshId":"mesh_bench","schema":1,"encrypted":true,"server":{"managed":false,"relayUrl":null,"serverId":"s"},"createdAt":"2026-01-01T00:00:00.000Z","epoch":1,"watermarkHlc":"","snapshotPath":"/Mesh/mainline/snapshot-1-bench.json","deltaPath":null"#;
    let hash: String =
        Sha256::digest(format!("{manifest}}}")).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(root.join("manifest-2.json"), format!(r#"{manifest},"contentHash":"sha256:{hash}"}}"#))
        .unwrap();
    std::fs::write(root.join("manifest.json"), r#"{"currentGeneration":2,"file":"manifest-2.json"}"#)
        .unwrap();
    folder
}

fn restore(criterion: &mut Criterion) {
    let runtime = runtime();
    let text = snapshot();
    let mailbox = compacted(&text);
    let mut group = criterion.benchmark_group("restore");
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|rounds| measured(rounds, || first_connect(&runtime, mailbox.path())));
    });
    group.bench_function("ground", |bencher| {
        let cipher = Aes256Gcm::new(&KEY.into());
        let mut sealed = text.clone().into_bytes();
        let tag = cipher.encrypt_inout_detached(&[3; 12].into(), &[], sealed.as_mut_slice().into()).unwrap();
        let rows: Vec<_> = (0..ROWS).map(|at| (id(at), stored(at))).collect();
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                let mut body = sealed.clone();
                let folder = tempfile::tempdir().unwrap();
                let conn = raw(folder.path());
                let begin = Instant::now();
                cipher
                    .decrypt_inout_detached(&[3; 12].into(), &[], body.as_mut_slice().into(), &tag)
                    .unwrap();
                serde_json::from_slice::<serde::de::IgnoredAny>(&body).unwrap();
                conn.execute_batch("BEGIN IMMEDIATE").unwrap();
                for (id, stored) in &rows {
                    insert(&conn, id, stored);
                }
                conn.execute_batch("COMMIT").unwrap();
                begin.elapsed()
            })
        });
    });
    group.finish();
    in_a_process_of_its_own("MEASURE_RESTORE", mailbox.path());
}

/// Rows of the compaction.
const COMPACTED: usize = 100_000;

/// A member of the mesh in `folder/box`, with its store beside it.
async fn compactor(folder: &Path) -> Interocitor {
    let db = Interocitor::open(config(StoreLocation::File(folder.join("a.db")))).await.unwrap();
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder.join("box"))))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// A mesh of [`COMPACTED`] rows, published and never compacted.
fn uncompacted(runtime: &Runtime) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("box")).unwrap();
    runtime.block_on(async {
        let db = compactor(folder.path()).await;
        db.batch(|batch| {
            let mut table = batch.table("t");
            (0..COMPACTED).try_for_each(|at| table.put(id(at), &row(at)))
        })
        .await
        .unwrap();
        db.sync().await.unwrap();
        db.shutdown().await.unwrap();
    });
    folder
}

/// The only snapshot in a mailbox.
fn the_snapshot(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder.join("box/Mesh/mainline")).unwrap();
    let is_snapshot = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("snapshot-");
    files.find_map(|entry| Some(entry.unwrap().path()).filter(is_snapshot)).unwrap()
}

fn compact(criterion: &mut Criterion) {
    let runtime = runtime();
    let folder = uncompacted(&runtime);
    let db = runtime.block_on(compactor(folder.path()));
    let mut group = criterion.benchmark_group("compact");
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                let begin = Instant::now();
                // Without a grace: the snapshot before goes, so that the disk does not fill up.
                let outcome = runtime.block_on(db.compact(Duration::ZERO)).unwrap();
                assert!(matches!(outcome, Compaction::Written { .. }), "{outcome:?}");
                begin.elapsed()
            })
        });
    });
    group.bench_function("ground", |bencher| {
        let text = std::fs::read(the_snapshot(folder.path())).unwrap();
        let plain = interocitor_crypto::open(&Key::from_bytes(KEY), &text).unwrap();
        let cipher = Aes256Gcm::new(&KEY.into());
        let bare = tempfile::tempdir().unwrap();
        let conn = raw(bare.path());
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        (0..COMPACTED).for_each(|at| insert(&conn, &id(at), &stored(at)));
        conn.execute_batch("COMMIT").unwrap();
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                let mut body = plain.clone();
                let begin = Instant::now();
                let mut statement = conn.prepare_cached("SELECT id, data, clocks, d FROM t").unwrap();
                let mut rows = statement.query([]).unwrap();
                let mut read = 0;
                while let Some(row) = rows.next().unwrap() {
                    for column in 0..3 {
                        read += row.get_ref(column).unwrap().as_bytes().unwrap().len();
                    }
                }
                black_box(read);
                cipher.encrypt_inout_detached(&[3; 12].into(), &[], body.as_mut_slice().into()).unwrap();
                let mut file = File::create(bare.path().join("snapshot.json")).unwrap();
                file.write_all(&text).unwrap();
                file.sync_all().unwrap();
                begin.elapsed()
            })
        });
    });
    group.finish();
    runtime.block_on(db.shutdown()).unwrap();
    drop(db);
    in_a_process_of_its_own("MEASURE_COMPACTION", folder.path());
}

/// What the filter of the scan looks at.
#[derive(serde::Deserialize)]
struct Priced {
    price: f64,
}

/// The engine's database and a bare one with the same rows and the same index.
struct Filled {
    _folder: TempDir,
    runtime: Runtime,
    db: Interocitor,
    conn: Connection,
}

fn filled() -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let schema = r#"{"tables":{"t":{"fields":{"n":{"kind":"number","index":true}}}}}"#;
    let db = runtime
        .block_on(member(folder.path(), |config| config.schema = Some(Schema::from_json(schema).unwrap())));
    runtime
        .block_on(db.batch(|batch| {
            let mut table = batch.table("t");
            (0..ROWS).try_for_each(|at| table.put(id(at), &row(at)))
        }))
        .unwrap();
    let conn = raw(folder.path());
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    for at in 0..ROWS {
        insert(&conn, &id(at), &stored(at));
        let rid = conn.last_insert_rowid();
        conn.prepare_cached("UPDATE t SET k = ?2 WHERE rid = ?1")
            .unwrap()
            .execute(params![rid, (at % (ROWS / 100)).to_be_bytes()])
            .unwrap();
    }
    conn.execute_batch("COMMIT; CREATE INDEX i ON t(k)").unwrap();
    Filled { _folder: folder, runtime, db, conn }
}

fn raw_rows(conn: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Vec<(String, String)> {
    let mut statement = conn.prepare_cached(sql).unwrap();
    let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn read(criterion: &mut Criterion) {
    let Filled { _folder, runtime, db, conn } = filled();
    let table = db.table("t");

    let mut group = criterion.benchmark_group("point-read");
    let mut at = 0;
    group.bench_function("engine", |bencher| {
        bencher.iter(|| {
            at = (at + 7919) % ROWS;
            runtime.block_on(table.row(id(at))).unwrap().unwrap()
        });
    });
    group.bench_function("ground", |bencher| {
        bencher.iter(|| {
            at = (at + 7919) % ROWS;
            raw_rows(&conn, "SELECT id, data FROM t WHERE id = ?1", [id(at)]).pop().unwrap()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("indexed-where");
    group.bench_function("engine", |bencher| {
        bencher.iter(|| {
            at = (at + 17) % (ROWS / 100);
            let query = table.query().filter("n", Condition::Equals(Value::parse(&at.to_string()).unwrap()));
            let rows = runtime.block_on(db.query(&query)).unwrap();
            assert_eq!(rows.len(), 100);
            rows
        });
    });
    group.bench_function("ground", |bencher| {
        bencher.iter(|| {
            at = (at + 17) % (ROWS / 100);
            let rows =
                raw_rows(&conn, "SELECT id, data FROM t WHERE k = ?1 ORDER BY id", [&at.to_be_bytes()[..]]);
            assert_eq!(rows.len(), 100);
            rows
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("filtered-scan");
    group.sample_size(20);
    group.bench_function("engine", |bencher| {
        let query = table.query().filter("price", Condition::Above(Value::parse("2").unwrap()));
        bencher.iter(|| assert!(runtime.block_on(db.query(&query)).unwrap().is_empty()));
    });
    group.bench_function("ground", |bencher| {
        // Without `json_extract`: the engine's build of SQLite leaves JSON out.
        let is_dear = |data: &str| serde_json::from_str::<Priced>(data).unwrap().price > 2.0;
        bencher.iter(|| {
            let mut statement = conn.prepare_cached("SELECT id, data FROM t ORDER BY id").unwrap();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                assert!(!is_dear(row.get_ref(1).unwrap().as_str().unwrap()));
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("full-scan");
    group.sample_size(20);
    group.bench_function("engine", |bencher| {
        let query = Query::table("t");
        bencher.iter(|| assert_eq!(runtime.block_on(db.query(&query)).unwrap().len(), ROWS));
    });
    group.bench_function("ground", |bencher| {
        bencher.iter(|| assert_eq!(raw_rows(&conn, "SELECT id, data FROM t ORDER BY id", []).len(), ROWS));
    });
    group.finish();
}

/// Runs a job once and tells the peak memory of this process.
fn peak(what: &str, job: impl Future<Output = ()>) {
    let idle = status_kib("VmHWM");
    runtime().block_on(job);
    println!("peak memory of a {what}: {} MB, {} MB of it before", status_kib("VmHWM") / 1024, idle / 1024);
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs this program again, for the job that `variable` stands for.
fn in_a_process_of_its_own(variable: &str, folder: &Path) {
    let status =
        std::process::Command::new(std::env::current_exe().unwrap()).env(variable, folder).status().unwrap();
    assert!(status.success());
}

criterion_group!(benches, write, batch, pull, restore, compact, read);

fn main() {
    if let Some(mailbox) = std::env::var_os("MEASURE_RESTORE") {
        let folder = tempfile::tempdir().unwrap();
        return peak("restore", async {
            let db = fresh(Path::new(&mailbox), folder.path()).await;
            assert!(db.connect().await.unwrap().is_online());
        });
    }
    if let Some(folder) = std::env::var_os("MEASURE_COMPACTION") {
        return peak("compaction", async {
            compactor(Path::new(&folder)).await.compact(Duration::ZERO).await.unwrap();
        });
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
