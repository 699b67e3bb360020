//! Names that are doubled, differ in case only, or lead into the trash.

use std::sync::Arc;

use futures_util::future;
use interocitor_core::mailbox::{
    Body, GoogleDriveConfig, GoogleDriveMailbox, MailboxErrorKind as K, StorageAdapter,
};
use serde_json::{Value, json};

use super::kind;
use super::scripted::{Reply, Server};
use super::server::{Drive, FOLDER};

async fn names(client: &impl StorageAdapter, folder: &str) -> Vec<String> {
    let mut names: Vec<_> =
        client.list_files(folder).await.unwrap().into_iter().map(|file| file.name).collect();
    names.sort();
    names
}

async fn text(client: &impl StorageAdapter, path: &str) -> String {
    String::from_utf8(client.read_file(path).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn of_doubled_files_all_see_the_first_until_one_is_overwritten() {
    let drive = Drive::start();
    drive.client().ensure_folder("/Mesh").await.unwrap();
    let mesh = drive.id("Mesh");
    let first = drive.add(&mesh, "x", "first");
    drive.tell("set", &json!({"id": first, "createdTime": "2026-01-01T00:00:00.000Z", "modifiedTime": "2026-01-01T00:00:00.000Z"}));
    let second = drive.add(&mesh, "x", "second");
    let client = drive.client();
    assert_eq!(text(&client, "/Mesh/x").await, "first");
    assert_eq!(names(&client, "/Mesh").await, ["x"]);
    let tree = client.list_tree("/Mesh").await.unwrap().unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(tree[0].etag, client.metadata("/Mesh/x").await.unwrap().unwrap().etag);
    // Somebody knows the second only, and overwrites it later.
    drive.tell("set", &json!({"id": second, "modifiedTime": "2099-01-01T00:00:00.000Z"}));
    assert_eq!(text(&drive.client(), "/Mesh/x").await, "second");
    // Nobody removed anything for having seen it.
    assert_eq!(drive.named("x").len(), 2);
    // A write goes to the one that is read, and the other one is out of date.
    drive.client().write_file("/Mesh/x", Body::from("third")).await.unwrap();
    assert_eq!(drive.id("x"), second);
    assert_eq!(text(&client, "/Mesh/x").await, "third");
    // Removing a name removes all of it.
    drive.add(&mesh, "x", "once more");
    drive.client().delete_file("/Mesh/x").await.unwrap();
    assert!(drive.named("x").is_empty());
}

#[tokio::test]
async fn who_creates_later_takes_its_file_back() {
    let drive = Drive::start();
    drive.client().ensure_folder("/Mesh").await.unwrap();
    for round in 0..5 {
        let path = format!("/Mesh/{round}");
        let clients: Vec<_> = (0..8).map(|_| drive.client()).collect();
        let race = clients
            .iter()
            .enumerate()
            .map(|(racer, client)| client.create_file(&path, Body::from(format!("by {racer}").into_bytes())));
        let outcomes = future::join_all(race).await;
        let stored = text(&drive.client(), &path).await;
        let winners: Vec<_> =
            (0..8).filter(|racer| outcomes[*racer].is_ok()).map(|racer| format!("by {racer}")).collect();
        for outcome in outcomes {
            assert!(outcome.is_ok() || kind(outcome) == K::AlreadyExists);
        }
        assert!(winners.contains(&stored), "{winners:?} {stored}");
        let left = drive.named(&round.to_string());
        assert_eq!(left.len(), winners.len(), "those who were told that they lost left nothing");
    }
}

#[tokio::test]
async fn creators_who_cannot_see_each_other_both_win_and_the_name_is_healed_later() {
    let drive = Drive::start();
    drive.client().ensure_folder("/Mesh").await.unwrap();
    drive.tell("lag", &json!({"seconds": 60}));
    // A new folder is not seen either: it is used by its id.
    let (a, b) = (drive.client(), drive.client());
    drive.tell("lag", &json!({"seconds": 0}));
    a.list_files("/Mesh").await.unwrap();
    b.list_files("/Mesh").await.unwrap();
    drive.tell("lag", &json!({"seconds": 60}));
    let (one, two) =
        future::join(a.create_file("/Mesh/x", Body::from("a")), b.create_file("/Mesh/x", Body::from("b")))
            .await;
    assert!(one.is_ok() && two.is_ok(), "no promise of one winner");
    assert!(!a.capabilities().exclusive_create && !a.capabilities().conditional_replace);
    drive.tell("lag", &json!({"seconds": 0}));
    assert_eq!(drive.named("x").len(), 2);
    let (seen, others) = (text(&drive.client(), "/Mesh/x").await, text(&drive.client(), "/Mesh/x").await);
    assert_eq!(seen, others);
    drive.client().write_file("/Mesh/x", Body::from("healed")).await.unwrap();
    assert_eq!(drive.named("x").len(), 1);
    assert_eq!(text(&drive.client(), "/Mesh/x").await, "healed");
}

#[tokio::test]
async fn doubled_folders_are_read_as_one_and_joined() {
    let drive = Drive::start();
    let (old, new) = (drive.add_folder("root", "Mesh"), drive.add_folder("root", "Mesh"));
    drive.tell("set", &json!({"id": old, "createdTime": "2026-01-01T00:00:00.000Z"}));
    let inner = (drive.add_folder(&old, "changes"), drive.add_folder(&new, "changes"));
    drive.tell("set", &json!({"id": inner.0, "createdTime": "2026-01-01T00:00:00.000Z"}));
    drive.add(&inner.0, "a", "in the old one");
    drive.add(&inner.1, "b", "in the new one");
    drive.add(&new, "manifest.json", "{}");
    let client = drive.client();
    assert_eq!(names(&client, "/Mesh").await, ["manifest.json"]);
    assert_eq!(names(&client, "/Mesh/changes").await, ["a", "b"]);
    assert_eq!(client.list_folders("/Mesh").await.unwrap(), ["changes"]);
    let mut tree: Vec<_> =
        drive.client().list_tree("/Mesh").await.unwrap().unwrap().into_iter().map(|file| file.path).collect();
    tree.sort();
    assert_eq!(tree, ["/Mesh/changes/a", "/Mesh/changes/b", "/Mesh/manifest.json"]);
    assert_eq!(text(&client, "/Mesh/changes/b").await, "in the new one");
    client.write_file("/Mesh/changes/c", Body::from("new")).await.unwrap();
    assert_eq!(drive.named("c")[0]["parents"], json!([inner.0]));

    // Connecting joins them; the empty one stays for a day, for those who still write into it.
    for path in ["/Mesh", "/Mesh/changes"] {
        drive.client().ensure_folder(path).await.unwrap();
    }
    assert_eq!(drive.named("manifest.json")[0]["parents"], json!([old]));
    let in_trash = |name: &str| drive.named(name).iter().filter(|item| item["trashed"] == true).count();
    assert_eq!((drive.named("Mesh").len(), in_trash("Mesh")), (2, 0));
    for path in ["/Mesh", "/Mesh/changes"] {
        drive.client().ensure_folder(path).await.unwrap();
    }
    assert_eq!(names(&drive.client(), "/Mesh/changes").await, ["a", "b", "c"]);
    assert_eq!((drive.named("Mesh").len(), in_trash("Mesh")), (2, 0));
    drive.tell("set", &json!({"id": new, "createdTime": "2026-01-02T00:00:00.000Z"}));
    drive.client().ensure_folder("/Mesh").await.unwrap();
    let gone: Vec<Value> = drive.named("Mesh").into_iter().filter(|item| item["trashed"] == true).collect();
    assert_eq!((gone.len(), &gone[0]["id"]), (1, &json!(new)));
    assert_eq!(names(&drive.client(), "/Mesh/changes").await, ["a", "b", "c"]);
}

/// Drive may leave all that it found out of a page, and go on with the next.
#[tokio::test]
async fn a_doubled_folder_whose_listing_goes_on_is_not_empty() {
    for (next, is_trashed) in [(Some("more"), false), (None, true)] {
        let server = Server::start(move |request| {
            let folder = |id: &str| json!({"id": id, "name": "Mesh", "mimeType": FOLDER, "createdTime": "2026-01-01T00:00:00.000Z"});
            let json = |value: Value| Reply::with(200, "application/json", value.to_string());
            if request.path.contains("/files/two") {
                json(folder("two"))
            } else if request.path.contains("Mesh") {
                json(json!({"files": [folder("one"), folder("two")]}))
            } else {
                json(json!({"files": [], "nextPageToken": next}))
            }
        })
        .await;
        let config = GoogleDriveConfig::with_token("token").unwrap();
        let config = config.with_endpoint(server.url.strip_suffix("/dav").unwrap()).unwrap();
        GoogleDriveMailbox::new(&config).unwrap().ensure_folder("/Mesh").await.unwrap();
        let writes: Vec<_> = server.seen().into_iter().filter(|request| request.method != "GET").collect();
        assert_eq!(writes.len(), usize::from(is_trashed), "{writes:?}");
    }
}

#[tokio::test]
async fn a_folder_is_made_once_by_one_client() {
    let drive = Drive::start();
    let client = drive.client();
    let writes = (0..12).map(|number| {
        let client = client.clone();
        async move { client.write_file(&format!("/Mesh/deep/{number}"), Body::from("x")).await }
    });
    for outcome in future::join_all(writes).await {
        outcome.unwrap();
    }
    assert_eq!((drive.named("Mesh").len(), drive.named("deep").len()), (1, 1));
    assert_eq!(names(&client, "/Mesh/deep").await.len(), 12);
}

#[tokio::test]
async fn names_that_differ_in_case_are_two() {
    let drive = Drive::start();
    let client = drive.client();
    client.create_file("/Mesh/Name", Body::from("upper")).await.unwrap();
    client.create_file("/Mesh/name", Body::from("lower")).await.unwrap();
    assert_eq!(text(&drive.client(), "/Mesh/Name").await, "upper");
    assert_eq!(text(&drive.client(), "/Mesh/name").await, "lower");
    assert_eq!(kind(client.read_file("/mesh/name").await), K::NotFound);
    drive.client().delete_file("/Mesh/NAME").await.unwrap();
    assert_eq!(names(&client, "/Mesh").await, ["Name", "name"]);
}

#[tokio::test]
async fn what_is_in_the_trash_is_gone_and_its_successor_found() {
    let drive = Drive::start();
    let client = Arc::new(drive.client());
    client.write_file("/Mesh/x", Body::from("old")).await.unwrap();
    assert_eq!(client.list_tree("/Mesh").await.unwrap().unwrap().len(), 1);
    // The file: nobody is told that a write into the trash was a write.
    drive.tell("set", &json!({"id": drive.id("x"), "trashed": true}));
    assert_eq!(kind(client.write_file("/Mesh/x", Body::from("lost")).await), K::Unavailable);
    client.write_file("/Mesh/x", Body::from("new")).await.unwrap();
    assert_eq!(text(&drive.client(), "/Mesh/x").await, "new");
    // The whole mailbox, with another one in its place.
    let old = drive.id("Mesh");
    drive.tell("set", &json!({"id": old, "trashed": true}));
    assert!(drive.client().list_files("/Mesh").await.is_err());
    assert_eq!(client.list_tree("/Mesh").await.unwrap(), None);
    assert_eq!(kind(client.read_file("/Mesh/x").await), K::NotFound);
    drive.client().write_file("/Mesh/x", Body::from("another mailbox")).await.unwrap();
    assert_eq!(client.list_tree("/Mesh").await.unwrap().unwrap().len(), 1);
    assert_eq!(text(&*client, "/Mesh/x").await, "another mailbox");
    client.write_file("/Mesh/y", Body::from("y")).await.unwrap();
    assert_eq!(names(&drive.client(), "/Mesh").await, ["x", "y"]);
}
