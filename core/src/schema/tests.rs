use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    clock::Clock,
    row::{Cell, RowState},
    store::{Durability, MemoryStore, Store},
    value::Value,
};

fn refusal(outcome: Result<Schema>) -> String {
    match outcome {
        Err(Error::InvalidArgument { what: "schema", reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn tasks() -> TableSchema {
    TableSchema::new()
        .field("title", Field::string())
        .field("status", Field::one_of(["open", "done"]).index())
        .field("slug", Field::string().unique())
        .field("due", Field::date().optional())
        .field("tags", Field::typed("Tags"))
}

/// What `JSON.stringify` makes of a schema in the JavaScript client: plain fields carry their optional
/// form, which is no flag.
const FROM_JAVASCRIPT: &str = r#"{
    "version": 3, "mergeStrategy": "lww",
    "tables": {
        "tasks": {
            "fields": {
                "title": {"kind": "string", "optional": {"kind": "string", "optional": true, "__optional": true}},
                "status": {"kind": "enum", "optional": {"kind": "enum", "optional": true}, "index": true, "values": ["open", "done"]},
                "slug": {"kind": "string", "index": true, "unique": true},
                "due": {"kind": "date", "optional": true, "__optional": true},
                "tags": {"kind": "json", "shape": "Tags"}
            },
            "merge": {"strategy": "remote-wins", "fields": {"title": "local-wins"}, "later": 1}
        },
        "notes": {"indexes": [{"name": "by_author", "field": "author"}, {"name": "slug", "field": "slug", "unique": true}], "merge": "lww"},
        "plain": {}
    },
    "_later": [{}]
}"#;

#[test]
fn the_javascript_form_is_read() {
    let schema = Schema::from_json(FROM_JAVASCRIPT).unwrap();
    let built = Schema::builder()
        .version(3)
        .merge(MergeStrategy::LastWriterWins)
        .table("plain", TableSchema::new())
        .table("notes", TableSchema::new().unique("slug").index("author"))
        .table("tasks", tasks())
        .build()
        .unwrap();
    assert_eq!(schema.version(), Some(3));
    assert_eq!(schema.fingerprint(), built.fingerprint());
    assert_eq!(schema.wanted_fields(), built.wanted_fields());
    let (tables, wanted) = schema.wanted_fields();
    assert_eq!(tables, ["notes", "plain", "tasks"].map(Name::from));
    let wanted: Vec<_> = wanted
        .iter()
        .map(|want| (want.table.as_str().unwrap(), want.field.as_str().unwrap(), want.is_unique))
        .collect();
    assert_eq!(
        wanted,
        [
            ("notes", "author", false),
            ("notes", "slug", true),
            ("tasks", "slug", true),
            ("tasks", "status", false)
        ]
    );
    let twice = TableSchema::new().field("f", Field::string().unique()).index("f");
    assert!(Schema::builder().table("t", twice).build().unwrap().wanted_fields().1[0].is_unique);
    assert_eq!(schema.fields(&"tasks".into()).count(), 5);
    assert_eq!(schema.fields(&"other".into()).count(), 0);
}

#[test]
fn the_nearest_strategy_holds() {
    let schema = Schema::from_json(FROM_JAVASCRIPT).unwrap();
    let schema =
        schema.with_merge("votes", Some("n".into()), MergeStrategy::Custom(Arc::new(|_| Vec::new())));
    assert_eq!(schema.fingerprint(), Schema::from_json(FROM_JAVASCRIPT).unwrap().fingerprint());
    let strategies = schema.strategies(MergeStrategy::LocalWins);
    let of = |table: &str, field: &str| format!("{:?}", strategies.of(&table.into(), &field.into()));
    assert_eq!(of("tasks", "title"), "local-wins");
    assert_eq!(of("tasks", "status"), "remote-wins");
    assert_eq!(of("plain", "x"), "lww");
    assert_eq!(of("votes", "n"), "custom");
    assert_eq!(of("votes", "m"), "lww");
    let silent = Schema::builder().build().unwrap().strategies(MergeStrategy::LocalWins);
    assert_eq!(format!("{:?}", silent.of(&"t".into(), &"f".into())), "local-wins");
}

#[test]
fn unusable_schemas_are_refused() {
    let table = |table: TableSchema| refusal(Schema::builder().table("t", table).build());
    assert!(table(TableSchema::new().field("f", Field::string().index().optional())).contains("optional"));
    assert!(table(TableSchema::new().field("f", Field::string().unique().optional())).contains("optional"));
    assert!(table(TableSchema::new().field("f", Field::string().optional()).index("f")).contains("optional"));
    assert!(table(TableSchema::new().field("f", Field::json().index())).contains("kind"));
    assert!(
        table(TableSchema::new().field("f", Field::string()).field("f", Field::number())).contains("twice")
    );
    assert!(table(TableSchema::new().field("", Field::string())).contains("name"));
    assert!(table(TableSchema::new().index("")).contains("name"));
    let two = TableSchema::new()
        .merge_field("f", MergeStrategy::LocalWins)
        .merge_field("f", MergeStrategy::LocalWins);
    assert!(table(two).contains("two"));
    assert!(
        table((0..65).fold(TableSchema::new(), |table, at| table.index(format!("f{at}")))).contains("64")
    );
    assert!(refusal(Schema::builder().table("", TableSchema::new()).build()).contains("name"));
    let twice = Schema::builder().table("t", TableSchema::new()).table("t", TableSchema::new());
    assert!(refusal(twice.build()).contains("twice"));
}

#[test]
fn unusable_texts_are_refused() {
    for text in [
        "",
        "[]",
        "{}",
        "{\"tables\":[]}",
        "{\"tables\":{}} x",
        "{\"tables\":{},\"version\":1.5}",
        "{\"tables\":{},\"version\":-1}",
        "{\"tables\":{},\"version\":\"1\"}",
        "{\"tables\":{},\"mergeStrategy\":\"mine\"}",
        "{\"tables\":{},\"mergeStrategy\":1}",
        "{\"tables\":{\"t\":{\"fields\":{\"f\":{}}}}}",
        "{\"tables\":{\"t\":{\"fields\":{\"f\":{\"kind\":\"int\"}}}}}",
        "{\"tables\":{\"t\":{\"fields\":{\"f\":\"string\"}}}}",
        "{\"tables\":{\"t\":{\"indexes\":[{\"name\":\"n\"}]}}}",
        "{\"tables\":{\"t\":{},\"t\":{}}}",
        "{\"tables\":{\"t\":{\"merge\":{\"fields\":{\"f\":\"mine\"}}}}}",
    ] {
        refusal(Schema::from_json(text));
    }
    assert!(
        Schema::from_json("{\"tables\":{},\"version\":null,\"mergeStrategy\":null}")
            .unwrap()
            .version()
            .is_none()
    );
}

#[test]
fn odd_names_are_names() {
    let text = r#"{"tables":{"\ud800":{"fields":{"\udc00":{"kind":"string","index":true},"a\u0000'\"":{"kind":"number","index":true}}}}}"#;
    let (tables, wanted) = Schema::from_json(text).unwrap().wanted_fields();
    assert_eq!(tables, [Name::from_wtf8(b"\xed\xa0\x80")]);
    assert_eq!(wanted[0].field, Name::from("a\0'\""));
    assert_eq!(wanted[1].field, Name::from_wtf8(b"\xed\xb0\x80"));
}

#[test]
fn the_fingerprint_tells_tables_fields_and_indexes() {
    let print = |table: TableSchema| Schema::builder().table("t", table).build().unwrap().fingerprint();
    let prints = [
        Schema::default().fingerprint(),
        Schema::builder().table("u", TableSchema::new()).build().unwrap().fingerprint(),
        print(TableSchema::new()),
        print(TableSchema::new().index("f")),
        print(TableSchema::new().unique("f")),
        print(TableSchema::new().field("f", Field::string())),
        print(TableSchema::new().field("f", Field::string().optional())),
        print(TableSchema::new().field("f", Field::string().index())),
        print(TableSchema::new().field("f", Field::number())),
        print(TableSchema::new().field("f", Field::one_of(["a", "b"]))),
        print(TableSchema::new().field("f", Field::one_of(["ab"]))),
        print(TableSchema::new().field("f", Field::typed("a"))),
        print(TableSchema::new().field("fs", Field::string())),
    ];
    for (at, print) in prints.iter().enumerate() {
        assert!(!prints[..at].contains(print), "{at}");
        assert_eq!(print.len(), 64);
    }
    let swapped = TableSchema::new().field("f", Field::one_of(["b", "a"]));
    assert_eq!(print(swapped), prints[9]);
    // Known to stored databases: it may not change by itself.
    assert_eq!(prints[0], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

fn put(store: &dyn Store, id: &str, value: &str) {
    let clock = Clock { ts: 1, counter: 0, node: "n".into() };
    let cells = ["f", "g"].map(|name| Cell {
        name: name.into(),
        clock: clock.clone(),
        value: Value::parse(value).unwrap(),
    });
    store
        .write_with(Durability::Process, |tx| {
            let table = tx.ensure_table(&"t".into())?;
            tx.put_row(&table, &id.into(), None, &RowState { deleted: None, cells: cells.to_vec() })
        })
        .unwrap();
}

/// The keys that are stored for a field, if it has an index.
fn keys_of(store: &dyn Store, field: &str) -> Option<Vec<Option<Vec<u8>>>> {
    store
        .read_with(|tx| {
            tx.engine()?;
            let table = tx.table(&"t".into())?.unwrap();
            let Some(field) = table.fields.iter().find(|known| known.name == field.into()) else {
                return Ok(None);
            };
            Ok(Some(tx.stored_keys(&table, field.slot)?))
        })
        .unwrap()
}

#[test]
fn indexes_follow_the_schema_and_keep_duplicates_of_peers() {
    let store = MemoryStore::new().unwrap();
    let store: &dyn Store = &store;
    for (id, value) in [("a", "1"), ("b", "1"), ("c", "null"), ("d", "\"\\ud800\"")] {
        put(store, id, value);
    }
    let apply_to = |table: TableSchema| {
        let schema = Schema::builder().table("t", table).build().unwrap();
        store.write_with(Durability::Process, |tx| apply(tx, &schema)).unwrap()
    };
    let wanted = |values: [&str; 4]| values.map(|value| crate::value::key::of(value.as_bytes())).to_vec();
    let keys = wanted(["1", "1", "null", "\"\\ud800\""]);
    let none = Schema::builder().build().unwrap();

    assert!(apply_to(TableSchema::new().unique("f")), "duplicates do not stop it");
    assert!(!apply_to(TableSchema::new().unique("f")), "nothing is left to do");
    assert_eq!(keys_of(store, "f"), Some(keys.clone()));
    assert_eq!(keys_of(store, "g"), None);
    // One field stays, one comes; then the first goes.
    assert!(apply_to(TableSchema::new().index("f").unique("g")));
    assert_eq!((keys_of(store, "f"), keys_of(store, "g")), (Some(keys.clone()), Some(keys.clone())));
    assert!(apply_to(TableSchema::new().unique("g")));
    assert_eq!((keys_of(store, "f"), keys_of(store, "g")), (None, Some(keys.clone())));
    put(store, "e", "2");
    assert_eq!(keys_of(store, "g").unwrap().len(), 5);
    // A change that needs no index is noted all the same.
    assert!(apply_to(TableSchema::new().unique("g").field("g", Field::string())));
    assert!(!apply_to(TableSchema::new().unique("g").field("g", Field::string())));
    // A table that is no longer declared.
    assert!(store.write_with(Durability::Process, |tx| apply(tx, &none)).unwrap());
    assert_eq!((keys_of(store, "f"), keys_of(store, "g")), (None, None));
    assert!(!store.write_with(Durability::Process, |tx| apply(tx, &none)).unwrap());
}

proptest! {
    #[test]
    fn any_text_is_a_schema_or_a_refusal(text in "[{}\\[\\]\":,a-z0-9 ]{0,80}") {
        let _ = Schema::from_json(&text);
    }

    #[test]
    fn any_damage_is_a_schema_or_a_refusal(at in any::<prop::sample::Index>(), with in "[{}\\[\\]\":,a1 ]") {
        let mut text: Vec<char> = FROM_JAVASCRIPT.chars().collect();
        let at = at.index(text.len());
        text[at] = with.chars().next().unwrap();
        let _ = Schema::from_json(&text.into_iter().collect::<String>());
    }
}
