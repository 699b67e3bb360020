//! Rows of one store: every verb that needs no mailbox.

use serde_json::{Value, json};

use crate::common::{Place, without_lone_surrogates};

#[test]
fn add_prints_the_id_of_a_row_that_is_there() {
    let place = Place::new();
    let device = place.device("a");
    let id = device.ok(&["add", "todos", r#"{"title":"Milk"}"#]);
    assert_eq!(device.ok(&["row", "todos", id.trim(), "--json"]), "{\"title\":\"Milk\"}\n");
    let added = device.json(&["add", "todos", r#"{"title":"Bread"}"#, "--prefix", "todo"]);
    let id = added["id"].as_str().unwrap();
    assert!(id.starts_with("todo_") && added.as_object().unwrap().len() == 1, "{added}");
    assert_eq!(device.json(&["row", "todos", id]), json!({"title": "Bread"}));
}

#[test]
fn the_life_of_a_row() {
    let place = Place::new();
    let device = place.device("a");
    let row = || device.ok(&["row", "t", "r", "--json"]);
    assert_eq!(row(), "null\n");
    assert_eq!(device.ok(&["put", "t", "r", r#"{"a":1,"b":2}"#]), "");
    assert_eq!(device.ok(&["patch", "t", "r", r#"{"b":3}"#]), "");
    assert_eq!(row(), "{\"a\":1,\"b\":3}\n");
    assert_eq!(device.ok(&["replace", "t", "r", r#"{"c":4}"#]), "");
    assert_eq!(row(), "{\"a\":null,\"b\":null,\"c\":4}\n");
    assert_eq!(device.ok(&["row", "t", "r"]), "a  null\nb  null\nc  4\n");
    assert_eq!(device.json(&["delete", "t", "r"]), json!({"id": "r"}));
    assert_eq!(row(), "null\n");
    assert_eq!(device.json(&["put", "t", "r", "{\"z\":0}"]), json!({"id": "r"}));
    assert_eq!(row(), "{\"z\":0}\n");
    let gone = device.run(&["row", "t", "gone"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (0, ""));
    assert!(gone.stderr.contains("no row gone"));
}

#[test]
fn values_pass_through_as_they_are_spelled() {
    let place = Place::new();
    let device = place.device("a");
    let row =
        r#"{"n":[1.0,1e3,-0,123456789012345678901234567890,1e400],"s":"\ud800 \u00e9 \/","":{"b":1,"a":2}}"#;
    device.ok(&["put", "t", "r", row]);
    assert_eq!(device.ok(&["row", "t", "r", "--json"]), format!("{row}\n"));
    assert_eq!(device.ok(&["query", "t", "--json"]), format!("[{{\"id\":\"r\",\"row\":{row}}}]\n"));
    assert!(device.ok(&["dump", "--json"]).contains(row));
    assert!(device.ok(&["dump"]).contains(row));
}

#[test]
fn large_rows_come_through_standard_input() {
    let place = Place::new();
    let device = place.device("a");
    let row = format!("{{\"text\":\"{}\"}}\n", "x".repeat(3_000_000));
    let run = device.feed(&["put", "t", "r", "-"], &row);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(device.ok(&["row", "t", "r", "--json"]), row);
}

#[test]
fn queries_with_every_operator() {
    let place = Place::new();
    let device = place.device("a");
    let rows = [
        ("1", r#"{"n":1,"s":"apple","done":true}"#),
        ("2", r#"{"n":2,"s":"banana","done":false}"#),
        ("3", r#"{"n":3,"s":"blueberry","done":false}"#),
        ("4", r#"{"n":-4,"s":"1"}"#),
    ];
    for (id, row) in rows {
        device.ok(&["put", "t", id, row]);
    }
    let table: &[(&[&str], &str)] = &[
        (&[], "1234"),
        (&["--where", "n", "equals", "1"], "1"),
        (&["--where", "n", "equals", "-4"], "4"),
        (&["--where", "s", "equals", "1"], ""),
        (&["--where", "s", "equals", "\"1\""], "4"),
        (&["--where", "s", "equals", "banana"], "2"),
        (&["--where", "done", "equals", "true"], "1"),
        (&["--where", "n", "above", "1"], "23"),
        (&["--where", "n", "above-or-equal", "2"], "23"),
        (&["--where", "n", "below", "2"], "14"),
        (&["--where", "n", "below-or-equal", "2"], "124"),
        (&["--where", "n", "between", "[1, 2]"], "12"),
        (&["--where", "s", "starts-with", "b"], "23"),
        (&["--where", "n", "any-of", "[1, -4, \"3\"]"], "14"),
        (&["--where", "n", "above", "0", "--where", "done", "equals", "false"], "23"),
        (&["--order-by", "n"], "4123"),
        (&["--order-by", "n:desc"], "3214"),
        (&["--order-by", "done", "--order-by", "n:desc"], "4321"),
        (&["--order-by", "n", "--limit", "2", "--offset", "1"], "12"),
        (&["--offset", "3"], "4"),
    ];
    for (arguments, wanted) in table {
        let found = device.json(&[&["query", "t"], *arguments].concat());
        let ids: String = found.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(&ids, wanted, "{arguments:?}");
    }
    assert_eq!(device.json(&["query", "nothing"]), json!([]));
    let shown = device.ok(&["query", "t", "--limit", "2"]);
    assert_eq!(shown, "(id)  n  s         done\n1     1  \"apple\"   true\n2     2  \"banana\"  false\n");
}

#[test]
fn tables_and_dump() {
    let place = Place::new();
    let device = place.device("a");
    assert_eq!(device.json(&["tables"]), json!([]));
    device.ok(&["put", "b", "r", "{\"x\":1}"]);
    device.ok(&["put", "a \"q\"", "gone", "{\"x\":1}"]);
    device.ok(&["delete", "a \"q\"", "gone"]);
    assert_eq!(device.json(&["tables"]), json!(["a \"q\"", "b"]));
    assert_eq!(device.ok(&["tables"]), "a \"q\"\nb\n");
    let dump = device.json(&["dump"]);
    assert_eq!(
        dump,
        json!({"meshId": null, "epoch": 0, "generation": 0, "tables": {"b": {"r": {"x": 1}}}, "tombstones": {"a \"q\"": ["gone"]}})
    );
    let shown: Value = serde_json::from_str(&without_lone_surrogates(&device.ok(&["dump"]))).unwrap();
    assert_eq!(shown, dump);
}

#[test]
fn a_batch_is_written_whole() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "t", "old", "{\"x\":1}"]);
    let file = place.write(
        "ops.jsonl",
        "\u{feff}{\"op\":\"put\",\"table\":\"t\",\"id\":\"p\",\"row\":{\"n\":1.0}}\n\n\
         {\"op\":\"patch\",\"table\":\"t\",\"id\":\"p\",\"row\":{\"m\":2}}\r\n\
         {\"op\":\"add\",\"table\":\"t\",\"row\":{\"n\":3},\"prefix\":\"x\"}\n\
         {\"op\":\"add\",\"table\":\"t\",\"row\":{\"n\":4}}\n\
         {\"op\":\"replace\",\"table\":\"t\",\"id\":\"old\",\"row\":{\"y\":2}}\n\
         {\"op\":\"delete\",\"table\":\"t\",\"id\":\"nobody\"}\n\
         {\"op\":\"put\",\"table\":\"\\ud800\",\"id\":\"r\",\"row\":{}}",
    );
    let done = device.json(&["batch", &file]);
    assert_eq!(done["writes"], 7);
    let added = done["added"].as_array().unwrap();
    assert!(added.len() == 2 && added[0].as_str().unwrap().starts_with("x_"), "{done}");
    assert_eq!(device.ok(&["row", "t", "p", "--json"]), "{\"n\":1.0,\"m\":2}\n");
    assert_eq!(device.ok(&["row", "t", "old", "--json"]), "{\"x\":null,\"y\":2}\n");
    assert_eq!(device.json(&["row", "t", added[1].as_str().unwrap()]), json!({"n": 4}));
    assert_eq!(device.ok(&["tables", "--json"]), "[\"t\",\"\\ud800\"]\n");
    let fed = device.feed(&["batch", "-"], "{\"op\":\"delete\",\"table\":\"t\",\"id\":\"p\"}\n");
    assert_eq!((fed.code, fed.stdout.as_str()), (0, "1 write stored as one batch\n"));
    assert_eq!(device.json(&["row", "t", "p"]), Value::Null);
}

#[test]
fn a_batch_with_a_fault_names_its_line_and_writes_nothing() {
    let place = Place::new();
    let device = place.device("a");
    let good = "{\"op\":\"put\",\"table\":\"t\",\"id\":\"r\",\"row\":{\"x\":1}}\n";
    let faults = [
        "{\"op\":\"put\",\"table\":\"t\",\"id\":\"r\"}",
        "{\"op\":\"put\",\"table\":\"t\",\"row\":{}}",
        "{\"op\":\"put\",\"table\":7,\"id\":\"r\",\"row\":{}}",
        "{\"op\":\"put\",\"table\":\"t\",\"id\":\"r\",\"row\":[]}",
        "{\"op\":\"put\",\"table\":\"t\",\"id\":\"r\",\"row\":{},\"prefix\":\"x\"}",
        "{\"op\":\"put\",\"table\":\"t\",\"id\":\"r\",\"rows\":{}}",
        "{\"op\":\"add\",\"table\":\"t\",\"id\":\"r\",\"row\":{}}",
        "{\"op\":\"delete\",\"table\":\"t\",\"id\":\"r\",\"row\":{}}",
        "{\"op\":\"drop\",\"table\":\"t\",\"id\":\"r\"}",
        "{\"op\":\"put\"",
        "nonsense",
    ];
    for fault in faults {
        let run = device.feed(&["batch", "-"], &format!("{good}\n{fault}\n{good}"));
        let reason = run.failed_with("INVALID_ARGUMENT");
        assert!(reason.starts_with("standard input, line 3; nothing was written: "), "{fault}: {reason}");
    }
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    let run =
        device.feed(&["batch", "-"], &format!("{{\"op\":\"add\",\"table\":\"t\",\"row\":{{\"d\":{deep}}}}}"));
    assert!(run.failed_with("LIMIT").starts_with("standard input, line 1;"));
    assert_eq!(device.json(&["dump"])["tables"], json!({}));
}

#[test]
fn a_schema_makes_fields_unique() {
    let place = Place::new();
    let device = place.device("a");
    let schema =
        place.write("schema.json", r#"{"tables":{"t":{"fields":{"mail":{"kind":"string","unique":true}}}}}"#);
    device.ok(&["--schema", &schema, "put", "t", "1", "{\"mail\":\"x\"}"]);
    let run = device.run(&["--schema", &schema, "put", "t", "2", "{\"mail\":\"x\"}"]);
    run.failed_with("UNIQUE_VIOLATION");
    let bad = place.write("bad.json", "{\"tables\":{\"t\":{\"fields\":{\"a\":{\"kind\":\"blob\"}}}}}");
    assert!(device.run(&["--schema", &bad, "tables"]).failed_with("INVALID_ARGUMENT").contains("bad.json"));
}

#[test]
fn the_default_store_lies_in_the_data_folder() {
    let place = Place::new();
    let data = place.path("data");
    let run = |arguments: &[&str]| {
        crate::common::Run::of(place.command().env("XDG_DATA_HOME", &data).args(arguments))
    };
    assert_eq!(run(&["put", "t", "r", "{\"x\":1}"]).stderr, "");
    assert_eq!(run(&["row", "t", "r", "--json"]).stdout, "{\"x\":1}\n");
    assert!(data.join("interocitor/default.db").is_file());
    #[cfg(unix)]
    assert_eq!(crate::common::mode(&data.join("interocitor")), 0o700);
    let at_home =
        crate::common::Run::of(place.command().env("XDG_DATA_HOME", "relative").args(["status", "--json"]));
    let status: Value = serde_json::from_str(&at_home.stdout).unwrap();
    assert!(status["store"].as_str().unwrap().starts_with(place.path("home").to_str().unwrap()), "{status}");
}
