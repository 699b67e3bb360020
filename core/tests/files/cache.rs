//! What stays on a device.

use std::time::Duration;

use interocitor_core::{StoreLocation, mailbox::MemoryMailbox};

use super::{bytes, device, device_at, put};
use crate::common;

#[tokio::test]
async fn the_cache_keeps_to_its_budget_and_to_pinned_files() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = MemoryMailbox::new();
    let store = StoreLocation::File(folder.path().join("a.db"));
    let db = device_at(store, &mailbox, |config| config.file_cache_bytes = 250).await;
    let bodies = || common::tree(&folder.path().join("a.db.files")).len();
    for number in 0..5 {
        put(&db, &format!("f{number}"), &[number; 100]).await;
    }
    assert_eq!(bodies(), 5, "what the mailbox does not have stays");
    db.sync().await.unwrap();
    assert_eq!(bodies(), 2);
    for number in 0..5 {
        assert_eq!(bytes(&db, &format!("f{number}")).await, [number; 100]);
        assert!(bodies() <= 2);
    }
    let is_here = async |path: &str| db.list_files(path).await.unwrap().files[0].is_here;
    db.pin_file("f0").await.unwrap();
    db.sync().await.unwrap();
    assert!(is_here("f0").await);
    for number in 1..5 {
        bytes(&db, &format!("f{number}")).await;
    }
    assert!(is_here("f0").await && bodies() == 3);
    db.unpin_file("f0").await.unwrap();
    assert!(!is_here("f0").await);
    db.evict_file("f4").await.unwrap();
    assert!(!is_here("f4").await && bodies() == 1);
    put(&db, "f4", b"new").await;
    let error = db.evict_file("f4").await.unwrap_err();
    assert_eq!(error.code().as_str(), "INVALID_ARGUMENT", "{error}");
    // One that is larger than the budget is given all the same.
    put(&db, "large", &[7; 1000]).await;
    db.sync().await.unwrap();
    assert!(!is_here("large").await);
    assert_eq!(bytes(&db, "large").await, [7; 1000]);
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_is_removed_when_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = || StoreLocation::File(folder.path().join("a.db"));
    let mailbox = MemoryMailbox::new();
    let db = device_at(store(), &mailbox, |_| {}).await;
    put(&db, "a", b"x").await;
    db.shutdown().await.unwrap();
    let bodies = folder.path().join("a.db.files");
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(2);
    let age = |name: &str| {
        let file = std::fs::File::options().write(true).open(bodies.join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    };
    let kept = common::tree(&bodies).into_keys().next().unwrap();
    for name in ["old", "new"] {
        std::fs::write(bodies.join(name), "half a body").unwrap();
    }
    age("old");
    age(&kept);
    let db = device_at(store(), &mailbox, |_| {}).await;
    let left: Vec<String> = common::tree(&bodies).into_keys().collect();
    assert!(left.len() == 2 && left.contains(&kept) && left.contains(&"new".to_owned()), "{left:?}");
    assert_eq!(bytes(&db, "a").await, b"x");
    db.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_thousand_small_files_cost_about_one_request_each() {
    let mailbox = MemoryMailbox::new();
    let (phone, tablet) = (device(&mailbox, |_| {}).await, device(&mailbox, |_| {}).await);
    for number in 0..1000 {
        put(&phone, &format!("notes/{number}.txt"), format!("note {number}").as_bytes()).await;
    }
    let before = mailbox.requests();
    phone.sync_files().await.unwrap();
    let up = mailbox.requests() - before;
    assert!(up <= 1200, "{up} requests up");
    let before = mailbox.requests();
    for number in 0..1000 {
        assert_eq!(bytes(&tablet, &format!("notes/{number}.txt")).await, format!("note {number}").as_bytes());
    }
    let down = mailbox.requests() - before;
    assert!(down <= 1200, "{down} requests down");
}
