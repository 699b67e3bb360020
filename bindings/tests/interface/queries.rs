//! Conditions, and queries that stay.

use std::{sync::Arc, thread, time::Duration};

use interocitor_ffi::{Condition, Filter, QueryOptions};

use crate::support::{open, text, wait};

#[test]
fn every_condition_arrives() {
    let db = open(|_| {});
    let table = db.table("t".into());
    for (id, row) in
        [("1", r#"{"v":1}"#), ("2", r#"{"v":2}"#), ("3", r#"{"v":3}"#), ("s", r#"{"v":"straw"}"#)]
    {
        wait(table.put(id.into(), row.as_bytes().to_vec())).unwrap();
    }
    let one = |value: &str| value.to_owned();
    let cases: [(Condition, &str); 9] = [
        (Condition::Equals { value: one("2") }, "2"),
        (Condition::Above { value: one("1") }, "23"),
        (Condition::AboveOrEqual { value: one("2") }, "23"),
        (Condition::Below { value: one("3") }, "12"),
        (Condition::BelowOrEqual { value: one("2") }, "12"),
        (Condition::Between { low: one("1"), high: one("3"), low_open: true, high_open: false }, "23"),
        (Condition::Between { low: one("1"), high: one("3"), low_open: false, high_open: true }, "12"),
        (Condition::StartsWith { prefix: one("str") }, "s"),
        (Condition::AnyOf { values: vec![one("1"), one("\"straw\"")] }, "1s"),
    ];
    for (condition, wanted) in cases {
        let shown = format!("{condition:?}");
        let options = QueryOptions {
            filters: vec![Filter { field: "v".into(), condition }],
            ..QueryOptions::default()
        };
        let page = wait(table.query(options).unwrap().rows(None)).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&page).unwrap();
        let ids: String = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted, "{shown}");
    }
}

#[test]
fn live_queries_are_asked_and_ended() {
    let db = open(|_| {});
    let table = db.table("t".into());
    let live = table.query(QueryOptions::default()).unwrap().observe().unwrap();
    assert_eq!(text(wait(live.next()).unwrap()).unwrap(), "[]");
    wait(table.put("a".into(), br#"{"v":1}"#.to_vec())).unwrap();
    assert_eq!(text(wait(live.next()).unwrap()).unwrap(), r#"[{"id":"a","row":{"v":1}}]"#);
    let waiting = Arc::clone(&live);
    let waiter = thread::spawn(move || wait(waiting.next()).unwrap());
    thread::sleep(Duration::from_millis(50));
    assert!(!waiter.is_finished());
    live.cancel();
    assert_eq!(waiter.join().unwrap(), None);
    assert_eq!(wait(live.next()).unwrap(), None);
    let ends = table.query(QueryOptions::default()).unwrap().observe().unwrap();
    wait(ends.next()).unwrap();
    wait(db.shutdown()).unwrap();
    assert_eq!(wait(ends.next()).unwrap(), None);
}
