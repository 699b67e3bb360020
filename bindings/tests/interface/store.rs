//! Opening, setting aside, suspending, and what is kept beside the rows.

use std::sync::Arc;

use interocitor_ffi::{
    Configuration, Interocitor, Mailbox, MeshConfiguration, describe_failure, set_aside_store,
};

use crate::support::{PASSPHRASE, code, configuration, open, wait};

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| Some(folder.path().join(name).display().to_string());
    let failing = |change: &dyn Fn(&mut Configuration)| {
        let mut configuration = configuration();
        change(&mut configuration);
        code(wait(Interocitor::open(configuration)))
    };
    std::fs::write(folder.path().join("garbage"), "no database").unwrap();
    assert_eq!(failing(&|configuration| configuration.path = place("garbage")), "STORE_CORRUPT");
    assert_eq!(failing(&|configuration| configuration.path = place("missing/t.db")), "STORE_OPEN");
    assert_eq!(failing(&|configuration| configuration.path = Some(String::new())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.schema = Some("{".into())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.device_id = Some("a b".into())), "INVALID_ARGUMENT");
    assert_eq!(failing(&|configuration| configuration.poll_interval_ms = -1), "INVALID_ARGUMENT");
    let aside = wait(set_aside_store(place("garbage").unwrap())).unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), b"no database");
    let db = open(|configuration| configuration.path = place("garbage"));
    let stores = db.connected_stores();
    stores.put(r#"{"id":"s"}"#.into()).unwrap();
    assert_eq!((stores.list().unwrap().len(), stores.get("s".into()).unwrap().is_some()), (1, true));
    assert!(stores.remove("s".into()).unwrap());
    assert_eq!(code(stores.put("{}".into())), "INVALID_ARGUMENT");
    wait(db.suspend()).unwrap();
    assert_eq!(code(wait(db.status())), "SUSPENDED");
    wait(db.resume()).unwrap();
    db.set_foreground(false);
    assert_eq!(wait(db.quarantined()).unwrap(), []);
    let failure = wait(db.devices(None)).unwrap_err();
    assert!(describe_failure(failure.clone()).contains("connect first"), "{failure}");
    let empty =
        MeshConfiguration { remote_path: "/M".into(), passphrase: Some(PASSPHRASE.into()), encrypted: true };
    wait(db.set_remote_storage(Some(Arc::new(Mailbox::memory())))).unwrap();
    assert_eq!(code(wait(db.join(empty, None))), "REMOTE_MISSING");
    assert_eq!(code(wait(db.rebuild_remote(None))), "INVALID_ARGUMENT");
    assert_eq!(code(db.set_passphrase("no base58: 0OIl".into())), "PASSPHRASE_WRONG");
    assert_eq!(code(wait(db.sync_once(-1, None))), "INVALID_ARGUMENT");
    wait(db.sync_once(20_000, None)).unwrap();
    assert_eq!(wait(db.devices(None)).unwrap().len(), 1);
    assert_eq!(wait(db.flush(None)).unwrap(), 0);
}
