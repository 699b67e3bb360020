//! A key for safekeeping, keys that were replaced, and credentials as text.

use std::sync::Arc;

use interocitor_ffi::{Connection, Interocitor, Mailbox, RecoveryKit, file_credentials};

use crate::support::{PASSPHRASE, code, member, open, wait};

/// A device that knows the mesh's folder, but no key.
fn locked_out(mailbox: &Arc<Mailbox>) -> Interocitor {
    let db = open(|configuration| configuration.passphrase = None);
    wait(db.set_remote_storage(Some(Arc::clone(mailbox)))).unwrap();
    assert_eq!(code(wait(db.connect(None))), "PASSPHRASE_REQUIRED");
    db
}

#[test]
fn every_form_of_a_kit_brings_the_key_back() {
    let mailbox = Arc::new(Mailbox::memory());
    let kit = member(&mailbox, |_| {}).recovery_kit().unwrap();
    assert_eq!(kit.passphrase(), PASSPHRASE);
    let words = kit.words();
    assert_eq!(words.len(), 24);
    for form in [kit.text(), kit.qr(), words.join(" ")] {
        let db = locked_out(&mailbox);
        db.recover(form.clone()).unwrap();
        assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
        assert_eq!(RecoveryKit::parse(form).unwrap().passphrase(), PASSPHRASE);
    }
    let asked = kit.quiz(3);
    assert_eq!(asked.len(), 3);
    for number in asked {
        let word = &words[usize::try_from(number).unwrap() - 1];
        assert!(kit.is_word(number, word.to_uppercase()));
        assert!(!kit.is_word(number, "nonsense".into()));
    }
    assert!(!kit.is_word(u32::MAX, words[0].clone()));
    assert_eq!(kit.quiz(u32::MAX).len(), 24);
    assert_eq!(code(RecoveryKit::parse("nonsense".into())), "INVALID_ARGUMENT");
    assert_eq!(code(locked_out(&mailbox).recover("nonsense".into())), "INVALID_ARGUMENT");
    assert_eq!(code(locked_out(&mailbox).recovery_kit()), "PASSPHRASE_REQUIRED");
}

#[test]
fn credentials_travel_as_text() {
    let mailbox = Arc::new(Mailbox::memory());
    let text = member(&mailbox, |_| {}).export_credentials().unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["passphrase"], PASSPHRASE);
    assert!(json["meshId"].is_string());
    let db = locked_out(&mailbox);
    db.import_credentials(text).unwrap();
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    assert_eq!(code(db.import_credentials("{}".into())), "INVALID_ARGUMENT");
    wait(db.shutdown()).unwrap();
    assert_eq!(code(db.export_credentials()), "SHUT_DOWN");
}

#[test]
fn a_replaced_key_is_kept_until_it_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json").display().to_string();
    let (former, next) = (Arc::new(Mailbox::memory()), Arc::new(Mailbox::memory()));
    let db = member(&former, |configuration| {
        configuration.passphrase = None;
        configuration.credentials = Some(file_credentials(file, "master".into()).unwrap());
    });
    let first = db.get_passphrase().unwrap();
    assert!(wait(db.superseded_keys()).unwrap().is_empty());
    // Another mesh, with a key of its own, takes its place.
    let _founder = member(&next, |_| {});
    wait(db.disconnect()).unwrap();
    wait(db.set_remote_storage(Some(Arc::clone(&next)))).unwrap();
    wait(db.clear_credentials()).unwrap();
    db.set_passphrase(first.clone()).unwrap();
    wait(db.set_remote_storage(Some(Arc::clone(&former)))).unwrap();
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    wait(db.disconnect()).unwrap();
    wait(db.set_remote_storage(Some(next))).unwrap();
    db.set_passphrase(PASSPHRASE.into()).unwrap();
    assert_eq!(wait(db.connect(None)).unwrap(), Connection::Online);
    let keys = wait(db.superseded_keys()).unwrap();
    assert_eq!(keys.len(), 1);
    assert!(keys[0].mesh_id.is_some() && keys[0].superseded_ms > 0);
    assert!(!format!("{keys:?}").contains(&first));
    assert_eq!(code(wait(db.restore_superseded_key(keys[0].id.clone()))), "INVALID_ARGUMENT");
    wait(db.disconnect()).unwrap();
    assert_eq!(code(wait(db.restore_superseded_key("unknown".into()))), "INVALID_ARGUMENT");
    wait(db.restore_superseded_key(keys[0].id.clone())).unwrap();
    assert_eq!(db.get_passphrase(), Some(first));
    assert!(wait(db.discard_superseded_key(keys[0].id.clone())).unwrap());
    assert!(!wait(db.discard_superseded_key(keys[0].id.clone())).unwrap());
    assert!(wait(db.superseded_keys()).unwrap().is_empty());
}
