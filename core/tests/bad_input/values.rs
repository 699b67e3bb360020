//! Names and values of any shape.

use std::sync::Arc;

use interocitor_core::{StoreLocation, mailbox::MemoryMailbox};
use serde_json::{Value, json};

use crate::common::open_at;

#[tokio::test]
async fn names_and_values_of_any_shape_travel() {
    let mailbox = MemoryMailbox::new();
    let open = || async {
        let db = open_at(StoreLocation::Memory, |config| {
            config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        })
        .await;
        db.set_remote_storage(Some(Arc::new(mailbox.clone()))).await;
        assert!(db.connect().await.unwrap().is_online());
        db
    };
    let (a, b) = (open().await, open().await);
    let names =
        ["", "a/b", "..", "quo'te\"`", "nul\0nul", "\u{1f600}\u{e9}", "-chg_", "%41", &"long".repeat(2500)];
    for name in names {
        a.table(name).put(name, &json!({name: name})).await.unwrap();
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("\"{}\"", "x".repeat(16 * 1024 * 1024 - 2));
    for (row, value) in [("deep", &deep), ("long", &long)] {
        let raw = serde_json::value::RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap();
        a.table("values").put(row, &raw).await.unwrap();
    }
    a.sync().await.unwrap();
    b.sync().await.unwrap();
    assert_eq!(a.dump().await.unwrap().len(), b.dump().await.unwrap().len());
    assert_eq!(b.table("values").row("deep").await.unwrap().unwrap().json, format!("{{\"v\":{deep}}}"));
    assert_eq!(b.table("values").row("long").await.unwrap().unwrap().json.len(), long.len() + 6);
    for name in names {
        let row = b.table(name).row(name).await.unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&row.json).unwrap()[name], json!(name));
    }
    for (what, write) in [
        ("deep", format!("{{\"v\":{}{}}}", "[".repeat(2000), "]".repeat(2000))),
        ("long", format!("{{\"v\":\"{}\"}}", "x".repeat(17 * 1024 * 1024))),
    ] {
        let raw = serde_json::value::RawValue::from_string(write).unwrap();
        let error = a.table("values").put(what, &raw).await.unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT", "{what}");
    }
}
