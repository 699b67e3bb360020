use std::time::Instant;
use super::*;
use crate::{clock::Clock, row::{Cell, RowState}, store::{Durability, FileStore, Store, fields::WantedField}, value::Value};

fn best<T>(mut f: impl FnMut() -> T, times: usize) -> f64 {
    let mut b = f64::MAX;
    for _ in 0..times { let t = Instant::now(); std::hint::black_box(f()); b = b.min(t.elapsed().as_secs_f64()); }
    b * 1e6
}

#[test]
#[ignore]
fn bench() {
    for random in [false, true] {
        run_bench(random);
    }
}

fn run_bench(random: bool) {
    let n = 55_000u64;
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().join("a.db"), Durability::Process).unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("raw.db")).unwrap();
    raw.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8192; CREATE TABLE t(rid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, data TEXT, n INTEGER); CREATE INDEX i ON t(n);").unwrap();
    let clock = Clock { ts: 1, counter: 0, node: "device".into() };
    let s: &dyn Store = &store;
    raw.execute_batch("BEGIN").unwrap();
    s.write_with(Durability::Process, |tx| {
        let table = tx.ensure_table(&"t".into())?;
        for i in 0..n {
            let mix = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
            let id = if random { format!("{mix:016x}-{i:016x}") } else { format!("0190{i:012x}-{mix:016x}") };
            let k = mix % 550;
            let vals = [
                ("title", format!("\"Title number {i} {}\"", "x".repeat(40))),
                ("done", (i % 3 == 0).to_string()),
                ("body", format!("\"{}\"", "lorem ipsum dolor sit amet ".repeat(11))),
                ("n", k.to_string()),
                ("at", format!("\"2024-01-02T03:04:{:02}.{:03}Z\"", i % 60, mix % 1000)),
            ];
            let cells = vals.iter().map(|(name, v)| Cell { name: (*name).into(), clock: clock.clone(), value: Value::parse(v).unwrap() }).collect();
            let state = RowState { deleted: None, cells };
            let json = state.to_json();
            if i == 0 { eprintln!("row bytes {}", json.len()); }
            tx.put_row(&table, &id.as_str().into(), None, &state)?;
            raw.prepare_cached("INSERT INTO t(id,data,n) VALUES(?,?,?)").unwrap().execute(rusqlite::params![id, json, k as i64]).unwrap();
        }
        Ok(())
    }).unwrap();
    raw.execute_batch("COMMIT").unwrap();
    let t0 = Instant::now();
    let wanted = [WantedField { table: "t".into(), field: "n".into(), is_unique: false }, WantedField { table: "t".into(), field: "at".into(), is_unique: false }];
    s.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted)).unwrap();
    eprintln!("build 2 indexes {:?}", t0.elapsed());
    let t0 = Instant::now();
    s.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted[..1])).unwrap();
    eprintln!("drop 1 index {:?}", t0.elapsed());

    let q = |query: Query| move || s.read_with(|tx| run(tx, &query)).unwrap();
    let p = |query: Query| move || s.read_with(|tx| page_json(tx, &query)).unwrap();
    let eq = |f: &str, v: &str| Query::table("t").filter(f, Condition::Equals(Value::parse(v).unwrap()));
    let raw_rows = |sql: &str, v: Option<i64>| -> Vec<(String, String)> {
        let mut st = raw.prepare_cached(sql).unwrap();
        let f = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        match v { Some(v) => st.query_map([v], f).unwrap().map(Result::unwrap).collect(), None => st.query_map([], f).unwrap().map(Result::unwrap).collect() }
    };
    let show = |name: &str, raw: f64, ours: f64, page: f64| eprintln!("random={random} {name:28} raw {raw:10.1}us  run {ours:10.1}us ({:.2})  page {page:10.1}us ({:.2})", raw / ours, raw / page);
    let lens = (raw_rows("SELECT id, data FROM t WHERE n = ?", Some(7)).len(), q(eq("n", "7"))().len());
    eprintln!("rows {lens:?}");
    for _ in 0..2 {
    let r = best(|| raw_rows("SELECT id, data FROM t WHERE n = ?", Some(7)), 300);
    show("indexed eq 100", r, best(q(eq("n", "7")), 300), best(p(eq("n", "7")), 300));
    let r = best(|| raw_rows("SELECT id, data FROM t WHERE json_extract(data,'$.n') = ?", Some(7)), 15);
    let bodyq = |f| Query::table("t").filter("x", Condition::Equals(Value::parse(f).unwrap()));
    let _ = bodyq;
    s.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &[])).unwrap();
    show("scan filter n (json_extract)", r, best(q(eq("n", "7")), 15), best(p(eq("n", "7")), 15));
    show("scan filter last field at", r, best(q(eq("at", "\"2024-01-02T03:04:07.003Z\"")), 15), best(p(eq("at", "\"2024-01-02T03:04:07.003Z\"")), 15));
    let r = best(|| raw_rows("SELECT id, data FROM t WHERE json_extract(data,'$.missing') = ?", Some(7)), 15);
    show("scan filter missing", r, best(q(eq("missing", "7")), 15), best(p(eq("missing", "7")), 15));
    s.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted)).unwrap();
    let r = best(|| raw_rows("SELECT id, data FROM t", None), 15);
    show("all rows", r, best(q(Query::table("t")), 15), best(p(Query::table("t")), 15));
    let r = best(|| raw_rows("SELECT id, data FROM t ORDER BY id", None), 15);
    show("all rows order by id", r, best(q(Query::table("t")), 15), best(p(Query::table("t")), 15));
    let r = best(|| raw_rows("SELECT id, data FROM t ORDER BY n", None), 10);
    let ord = || Query::table("t").order_by("n", Direction::Ascending);
    show("all rows order by n", r, best(q(ord()), 10), best(p(ord()), 10));
    let r = best(|| raw_rows("SELECT id, data FROM t ORDER BY n LIMIT 20", None), 100);
    show("order by n limit 20", r, best(q(ord().limit(20)), 100), best(p(ord().limit(20)), 100));
    let r = best(|| raw_rows("SELECT id, data FROM t ORDER BY id LIMIT 100", None), 100);
    show("limit 100", r, best(q(Query::table("t").limit(100)), 100), best(p(Query::table("t").limit(100)), 100));
    let r = best(|| raw_rows("SELECT id, data FROM t ORDER BY json_extract(data,'$.title') LIMIT 20", None), 10);
    let ord = || Query::table("t").order_by("title", Direction::Ascending);
    show("order by title limit 20", r, best(q(ord().limit(20)), 10), best(p(ord().limit(20)), 10));
    let r = best(|| raw_rows("SELECT id, data FROM t WHERE n > ?", Some(100)), 10);
    let above = |v: &str| Query::table("t").filter("n", Condition::Above(Value::parse(v).unwrap()));
    show("n > 100 (45000 rows)", r, best(q(above("100")), 10), best(p(above("100")), 10));
    let r = best(|| raw_rows("SELECT id, data FROM t WHERE n > ?", Some(540)), 10);
    show("n > 540 (900 rows)", r, best(q(above("540")), 10), best(p(above("540")), 10));
    let r = best(|| raw.query_row("SELECT count(*) FROM t WHERE n = 7", [], |r| r.get::<_, i64>(0)).unwrap(), 100);
    let c = best(|| s.read_with(|tx| count(tx, &eq("n", "7"))).unwrap(), 100);
    show("count eq", r, c, c);
    let r = best(|| raw.query_row("SELECT count(*) FROM t WHERE data IS NOT NULL", [], |r| r.get::<_, i64>(0)).unwrap(), 20);
    let c = best(|| s.read_with(|tx| count(tx, &Query::table("t"))).unwrap(), 20);
    show("count all", r, c, c);
    }
}
