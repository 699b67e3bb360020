//! Use after the end.

use std::sync::Arc;

use interocitor_ffi::{Failure, FileSource, ImageSource, Mailbox, MeshConfiguration, QueryOptions};

use crate::support::{PASSPHRASE, code, member, wait};

#[test]
fn after_a_shutdown_every_call_says_so() {
    let db = member(&Arc::new(Mailbox::memory()), |_| {});
    let (table, batch, stores) = (db.table("t".into()), db.begin_batch().unwrap(), db.connected_stores());
    let query = table.query(QueryOptions::default()).unwrap();
    wait(db.shutdown()).unwrap();
    let mesh = || MeshConfiguration { remote_path: "/M".into(), passphrase: None, encrypted: true };
    let row = || b"{}".to_vec();
    let content = || FileSource::Bytes { content: b"x".to_vec() };
    let image = || ImageSource::File { source: content() };
    let outcomes: Vec<(&str, Result<(), Failure>)> = vec![
        ("configure_mesh", db.configure_mesh(mesh())),
        ("set_remote_storage", wait(db.set_remote_storage(Some(Arc::new(Mailbox::memory()))))),
        ("connect", wait(db.connect(None)).map(drop)),
        ("join", wait(db.join(mesh(), None)).map(drop)),
        ("rebuild_remote", wait(db.rebuild_remote(None)).map(drop)),
        ("disconnect", wait(db.disconnect())),
        ("pull", wait(db.pull(None)).map(drop)),
        ("flush", wait(db.flush(None)).map(drop)),
        ("sync", wait(db.sync(None))),
        ("sync_once", wait(db.sync_once(1000, None))),
        ("compact", wait(db.compact(0, None)).map(drop)),
        ("suspend", wait(db.suspend())),
        ("resume", wait(db.resume())),
        ("table_names", wait(db.table_names()).map(drop)),
        ("begin_batch", db.begin_batch().map(drop)),
        ("dump", wait(db.dump()).map(drop)),
        ("status", wait(db.status()).map(drop)),
        ("devices", wait(db.devices(None)).map(drop)),
        ("retire_device", wait(db.retire_device("x".into(), None))),
        ("quarantined", wait(db.quarantined()).map(drop)),
        ("restore_quarantined", wait(db.restore_quarantined("x".into()))),
        ("discard_quarantined", wait(db.discard_quarantined("x".into()))),
        ("put_file", wait(db.put_file("a".into(), content(), None, None)).map(drop)),
        ("stage_file", wait(db.stage_file("a".into(), content(), None, None)).map(drop)),
        ("get_file", wait(db.get_file("a".into(), None, false, None)).map(drop)),
        ("get_file_metadata", wait(db.get_file_metadata("a".into(), None)).map(drop)),
        ("delete_file", wait(db.delete_file("a".into()))),
        ("list_files", wait(db.list_files(String::new(), None)).map(drop)),
        ("pin_file", wait(db.pin_file("a".into()))),
        ("unpin_file", wait(db.unpin_file("a".into()))),
        ("evict_file", wait(db.evict_file("a".into()))),
        ("pause_file", wait(db.pause_file("a".into()))),
        ("resume_file", wait(db.resume_file("a".into()))),
        ("cancel_file", wait(db.cancel_file("a".into()))),
        ("file_transfers", wait(db.file_transfers()).map(drop)),
        ("watch_file_transfers", db.watch_file_transfers().map(drop)),
        ("sync_files", wait(db.sync_files(None)).map(drop)),
        ("put_image", wait(db.put_image("a".into(), image(), None, None)).map(drop)),
        ("stage_image", wait(db.stage_image("a".into(), image(), None, None)).map(drop)),
        ("get_image", wait(db.get_image("a".into(), None)).map(drop)),
        ("get_image_url", wait(db.get_image_url("a".into(), None)).map(drop)),
        #[cfg(feature = "thumbnails")]
        ("get_thumbnail", wait(db.get_thumbnail("a".into(), 1, None)).map(drop)),
        ("set_passphrase", db.set_passphrase(PASSPHRASE.into())),
        ("secure_with_biometrics", wait(db.secure_with_biometrics("why".into()))),
        ("restore_with_biometrics", wait(db.restore_with_biometrics("why".into()))),
        ("clear_credentials", wait(db.clear_credentials())),
        ("Table.add", wait(table.add(row(), None)).map(drop)),
        ("Table.put", wait(table.put("r".into(), row()))),
        ("Table.replace", wait(table.replace("r".into(), row()))),
        ("Table.delete", wait(table.delete("r".into()))),
        ("Table.row", wait(table.row("r".into())).map(drop)),
        ("Query.rows", wait(query.rows(None)).map(drop)),
        ("Query.count", wait(query.count()).map(drop)),
        ("Query.observe", query.observe().map(drop)),
        ("Batch.row", batch.row("t".into(), "r".into()).map(drop)),
        ("Batch.commit", wait(batch.commit())),
        ("ConnectedStores.list", stores.list().map(drop)),
        ("ConnectedStores.get", stores.get("x".into()).map(drop)),
        ("ConnectedStores.put", stores.put(r#"{"id":"x"}"#.into())),
        ("ConnectedStores.remove", stores.remove("x".into()).map(drop)),
    ];
    let odd: Vec<_> = outcomes
        .into_iter()
        .filter_map(|(call, outcome)| match outcome {
            Err(failure) => Some((call, code(Err::<(), _>(failure)))).filter(|(_, code)| code != "SHUT_DOWN"),
            Ok(()) => Some((call, "OK".to_owned())),
        })
        .collect();
    assert_eq!(odd, []);
    wait(db.shutdown()).unwrap();
    db.set_foreground(true);
    assert_eq!(db.connection_state(), interocitor_ffi::ConnectionState::Offline);
}
