//! Mailboxes that tell of changes: what others write arrives without a poll.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::open_at;
use interocitor_core::{Interocitor, StoreLocation, mailbox::FolderMailbox};
use serde_json::json;

async fn device(folder: &std::path::Path, is_live: bool) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
        config.batch_window = Duration::ZERO;
        config.auto_sync = is_live;
        // Nothing in this test comes by a poll.
        config.poll_interval = Duration::from_hours(1);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder)))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// Writes a row on one device; gives how long it takes to the other, up to a limit.
async fn arrives(from: &Interocitor, to: &Interocitor, row: &str, limit: Duration) -> Option<Duration> {
    from.table("t").put(row, &json!({"a": 1})).await.unwrap();
    from.sync().await.unwrap();
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if to.table("t").row(row).await.unwrap().is_some() {
            return Some(begin.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_is_pulled_from_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, live) = (device(folder.path(), false).await, device(folder.path(), true).await);
    let patient = Duration::from_secs(30);
    for row in ["first", "second"] {
        let took = arrives(&writer, &live, row, patient).await.expect("it never arrived");
        println!("{row}: {took:?}");
    }
    // Who is not connected is not told, and hears of it again afterwards.
    live.disconnect().await;
    assert_eq!(arrives(&writer, &live, "third", Duration::from_secs(3)).await, None);
    assert!(live.connect().await.unwrap().is_online());
    assert!(live.table("t").row("third").await.unwrap().is_some());
    assert!(arrives(&writer, &live, "fourth", patient).await.is_some());
    for db in [writer, live] {
        db.shutdown().await.unwrap();
    }
}
