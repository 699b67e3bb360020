//! Compacting by hand.

use std::sync::Arc;

use interocitor_ffi::{CancelToken, Compaction, Mailbox};

use crate::support::{code, member, open, text, wait};

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_compaction_tells_what_it_wrote_and_deleted() {
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    for (db, id) in [(&a, "a"), (&b, "b")] {
        wait(db.table("t".into()).put(id.into(), br#"{"v":1}"#.to_vec())).unwrap();
    }
    wait(b.sync(None)).unwrap();
    // What `a` did not publish yet goes out first.
    let kept = wait(a.compact(DAY_MS, None)).unwrap();
    assert_eq!(kept, Compaction::Written { epoch: 1, rows: 2, covered: 2, deleted: 0 });
    let swept = wait(b.compact(0, None)).unwrap();
    // The two change files, and what else nobody needs any more.
    assert!(
        matches!(swept, Compaction::Written { epoch: 2, rows: 2, covered: 2, deleted: 2.. }),
        "{swept:?}"
    );
    let fresh = member(&mailbox, |_| {});
    assert_eq!(wait(fresh.dump()).unwrap(), wait(b.dump()).unwrap());
    assert_eq!(wait(fresh.status()).unwrap().epoch, 2);
    assert_eq!(text(wait(fresh.table("t".into()).row("a".into())).unwrap()).unwrap(), r#"{"v":1}"#);
}

#[test]
fn a_compaction_that_may_not_be_says_why() {
    let mailbox = Arc::new(Mailbox::memory());
    let managed = |id: &'static str| {
        move |configuration: &mut interocitor_ffi::Configuration| {
            configuration.device_id = Some(id.into());
            configuration.server_managed = true;
            configuration.server_id = "server".into();
        }
    };
    let (server, phone) = (member(&mailbox, managed("server")), member(&mailbox, managed("phone")));
    assert_eq!(code(wait(phone.compact(0, None))), "WRITER_MISMATCH");
    assert_eq!(code(wait(server.compact(-1, None))), "INVALID_ARGUMENT");
    let cancel = Arc::new(CancelToken::new());
    cancel.cancel();
    assert_eq!(code(wait(server.compact(0, Some(cancel)))), "CANCELLED");
    assert_eq!(wait(server.status()).unwrap().epoch, 0);
    assert!(matches!(wait(server.compact(0, None)).unwrap(), Compaction::Written { epoch: 1, .. }));
    wait(server.disconnect()).unwrap();
    assert_eq!(code(wait(server.compact(0, None))), "INVALID_ARGUMENT");
    wait(server.shutdown()).unwrap();
    assert_eq!(code(wait(server.compact(0, None))), "SHUT_DOWN");
    let local = open(|_| {});
    assert_eq!(code(wait(local.compact(0, None))), "INVALID_ARGUMENT");
}

#[test]
fn a_compaction_that_another_device_overtook_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Arc::new(Mailbox::folder(folder.path().display().to_string()));
    let db = member(&mailbox, |_| {});
    // Another device is at the next manifest.
    std::fs::write(folder.path().join("Mesh/manifest-2.json"), "{}").unwrap();
    assert_eq!(wait(db.compact(0, None)).unwrap(), Compaction::Overtaken);
    assert_eq!(wait(db.status()).unwrap().epoch, 0);
}
