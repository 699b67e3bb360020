//! What is in quarantine, and devices that nobody waits for.

use std::sync::Arc;

use interocitor_ffi::{Event, Mailbox};

use crate::{
    events::listener,
    support::{PATIENCE, code, member, row, wait},
};

#[test]
fn a_damaged_file_is_tried_again_or_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::folder(folder.path().display().to_string()));
    let db = member(&mailbox, |_| {});
    let damaged = folder.path().join("Mesh/changes/001795352695000-0000-peer-chg_damaged.json");
    std::fs::write(&damaged, "{").unwrap();
    wait(db.sync(None)).unwrap();
    let item = wait(db.quarantined()).unwrap().remove(0);
    assert_eq!((item.code.as_str(), item.tries, item.write), ("DECODE", 1, None));
    assert!(damaged.ends_with(&item.name), "{}", item.name);
    wait(db.restore_quarantined(item.name.clone())).unwrap();
    assert_eq!(wait(db.quarantined()).unwrap()[0].tries, 0);
    wait(db.sync(None)).unwrap();
    assert_eq!(wait(db.quarantined()).unwrap()[0].tries, 1, "it was read again");
    wait(db.discard_quarantined(item.name.clone())).unwrap();
    wait(db.sync(None)).unwrap();
    assert_eq!(wait(db.quarantined()).unwrap(), []);
    assert!(damaged.exists());
    for outcome in
        [wait(db.restore_quarantined("nothing".into())), wait(db.discard_quarantined("writes/7".into()))]
    {
        assert_eq!(code(outcome), "INVALID_ARGUMENT");
    }
}

#[test]
fn a_write_that_came_too_late_is_put_aside_until_somebody_decides() {
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    for id in ["back", "gone"] {
        wait(a.table("t".into()).put(id.into(), br#"{"v":1}"#.to_vec())).unwrap();
    }
    for db in [&a, &b, &a, &b] {
        wait(db.sync(None)).unwrap();
    }
    for id in ["back", "gone"] {
        wait(b.table("t".into()).put(id.into(), br#"{"w":"late"}"#.to_vec())).unwrap();
        wait(a.table("t".into()).delete(id.into())).unwrap();
    }
    wait(a.compact(0, None)).unwrap();
    assert_eq!(code(wait(a.retire_device("nobody".into(), None))), "INVALID_ARGUMENT");
    wait(a.retire_device(b.device_id(), None)).unwrap();
    let retired: Vec<_> =
        wait(a.devices(None)).unwrap().into_iter().filter(|device| device.retired).collect();
    assert_eq!(retired.iter().map(|device| &*device.device_id).collect::<Vec<_>>(), [b.device_id()]);
    wait(a.compact(0, None)).unwrap();

    let (heard, events) = listener(|_| Ok(()));
    let _subscription = b.subscribe(heard).unwrap();
    wait(b.sync(None)).unwrap();
    let told = Event::WriteQuarantined { table: "t".into(), row_id: "back".into() };
    while !events.recv_timeout(PATIENCE).unwrap().contains(&told) {}
    let items = wait(b.quarantined()).unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    assert_eq!(wait(b.status()).unwrap().quarantined, 2);
    for item in items {
        let write = item.write.unwrap();
        assert_eq!((item.code.as_str(), write.table.as_str()), ("ROW_DELETED", "t"));
        // Of a row all columns are published.
        assert_eq!(write.columns, r#"{"v":1,"w":"late"}"#);
        assert!(!format!("{write:?}").contains("late"));
        match write.row_id.as_str() {
            "back" => wait(b.restore_quarantined(item.name)).unwrap(),
            _ => wait(b.discard_quarantined(item.name)).unwrap(),
        }
    }
    assert_eq!(wait(b.quarantined()).unwrap(), []);
    wait(b.sync(None)).unwrap();
    wait(a.sync(None)).unwrap();
    for db in [&a, &b] {
        let table = db.table("t".into());
        assert_eq!(row(wait(table.row("back".into())).unwrap()), serde_json::json!({"v": 1, "w": "late"}));
        assert_eq!(wait(table.row("gone".into())).unwrap(), None);
    }
}
