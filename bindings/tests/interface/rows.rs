//! Rows and batches.

use interocitor_ffi::{Condition, Filter, Order, QueryOptions, library_version};
use serde_json::json;

use crate::support::{code, open, row, text, wait};

#[test]
fn rows_batches_and_queries() {
    let db = open(|_| {});
    assert_eq!(db.app_name(), "test");
    assert!(!db.device_id().is_empty());
    assert_eq!(library_version(), env!("CARGO_PKG_VERSION"));
    let todos = db.table("todos".into());
    assert_eq!(todos.name(), "todos");
    let id = wait(todos.add(br#"{"rank":1}"#.to_vec(), Some("todo".into()))).unwrap();
    assert!(id.starts_with("todo_"));
    wait(todos.put("a".into(), br#"{"rank":2,"done":false}"#.to_vec())).unwrap();
    wait(todos.put("a".into(), br#"{"done":true}"#.to_vec())).unwrap();
    assert_eq!(row(wait(todos.row("a".into())).unwrap()), json!({"done": true, "rank": 2}));
    wait(todos.replace("a".into(), br#"{"rank":3}"#.to_vec())).unwrap();
    assert_eq!(row(wait(todos.row("a".into())).unwrap()), json!({"done": null, "rank": 3}));

    let batch = db.begin_batch().unwrap();
    batch.put("todos".into(), "b".into(), br#"{"rank":5}"#.to_vec()).unwrap();
    batch.replace("todos".into(), "c".into(), br#"{"rank":7}"#.to_vec()).unwrap();
    let added = batch.add("log".into(), b"{}".to_vec(), None).unwrap();
    batch.delete("todos".into(), id).unwrap();
    assert_eq!(text(batch.row("todos".into(), "b".into()).unwrap()).unwrap(), r#"{"rank":5}"#);
    assert_eq!(text(wait(todos.row("b".into())).unwrap()), None);
    wait(batch.commit()).unwrap();
    assert_eq!(code(wait(batch.commit())), "INVALID_ARGUMENT");
    assert_eq!(code(batch.delete("t".into(), "x".into())), "INVALID_ARGUMENT");
    assert_eq!(wait(db.table_names()).unwrap().len(), 2);
    assert!(wait(db.dump()).unwrap().contains(&added));

    let options = |filters, limit| QueryOptions {
        filters,
        order: vec![Order { field: "rank".into(), descending: true }],
        limit,
        offset: 0,
    };
    let above = |value: &str| {
        vec![Filter { field: "rank".into(), condition: Condition::AboveOrEqual { value: value.into() } }]
    };
    let query = todos.query(options(above("4"), None)).unwrap();
    assert_eq!(wait(query.count()).unwrap(), 2);
    let page = String::from_utf8(wait(query.rows(None)).unwrap()).unwrap();
    assert_eq!(page, r#"[{"id":"c","row":{"rank":7}},{"id":"b","row":{"rank":5}}]"#);
    assert_eq!(code(todos.query(options(above("?"), None))), "INVALID_ARGUMENT");
    assert_eq!(code(todos.query(options(Vec::new(), Some(-1)))), "INVALID_ARGUMENT");
    assert_eq!(code(wait(todos.put("x".into(), b"[1]".to_vec()))), "INVALID_ARGUMENT");
    assert_eq!(code(wait(todos.put("x".into(), vec![0xff]))), "INVALID_ARGUMENT");
    wait(todos.delete("c".into())).unwrap();
    assert_eq!(wait(query.count()).unwrap(), 1);

    wait(db.shutdown()).unwrap();
    for outcome in [
        wait(todos.put("x".into(), b"{}".to_vec())),
        wait(query.rows(None)).map(drop),
        wait(db.status()).map(drop),
        db.begin_batch().map(drop),
        query.observe().map(drop),
    ] {
        assert_eq!(code(outcome), "SHUT_DOWN");
    }
}
