//! Checks of conditional writes, and who wins where several try.

use futures_util::future;

use super::{RACERS, ROUNDS, Remote, fails, noise, ok};
use crate::mailbox::{Body, MailboxErrorKind};

pub(super) async fn create(remote: &Remote<'_>) {
    let path = remote.path("deep/new");
    ok("create", remote.client.create_file(&path, Body::from("first")).await);
    let again = remote.another().create_file(&path, Body::from("second")).await;
    fails("create again", again, MailboxErrorKind::AlreadyExists);
    assert_eq!(remote.read("deep/new").await, "first");
    ok("delete", remote.client.delete_file(&path).await);
    ok("create after a delete", remote.client.create_file(&path, Body::from("third")).await);
    assert_eq!(remote.read("deep/new").await, "third");
    let files = ok("list", remote.client.list_files(&remote.path("deep")).await);
    assert_eq!(files.len(), 1, "files left over: {files:?}");
}

pub(super) async fn create_race(remote: &Remote<'_>) {
    ok("ensure", remote.client.ensure_folder(&remote.folder).await);
    if !remote.client.capabilities().exclusive_create {
        return;
    }
    for round in 0..ROUNDS {
        let path = remote.path(&format!("round {round}"));
        let race = remote
            .others
            .iter()
            .enumerate()
            .map(|(racer, client)| client.create_file(&path, Body::from(noise(1000 + racer, 1))));
        let mut winners = Vec::new();
        for (racer, outcome) in future::join_all(race).await.into_iter().enumerate() {
            match outcome {
                Ok(()) => winners.push(racer),
                Err(error) => {
                    assert_eq!(error.kind(), MailboxErrorKind::AlreadyExists, "racer {racer}: {error}");
                }
            }
        }
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        let stored = ok("read the winner", remote.client.read_file(&path).await);
        assert!(stored == noise(1000 + winners[0], 1), "another body than the winner's is stored");
    }
    assert_eq!(remote.list().await.len(), ROUNDS, "files left over");
}

pub(super) async fn replace(remote: &Remote<'_>) {
    use crate::mailbox::MailboxErrorKind::Conflict;
    let client = remote.client;
    let path = remote.path("file");
    if remote.is_write_once("file") {
        return;
    }
    remote.write("file", "zero").await;
    let zero = ok("stat", client.metadata(&path).await).and_then(|facts| facts.etag);
    let strict = client.capabilities().conditional_replace;
    if zero.is_none() && !strict {
        return;
    }
    // Without the capability, bodies of one size may be taken for each other.
    let two = if strict { "two" } else { "another" };
    ok("delete", client.delete_file(&path).await);
    fails("replace a missing file", client.replace_file(&path, Body::from("x"), "etag").await, Conflict);
    remote.write("file", "one").await;
    let first = remote.etag("file").await;
    ok("replace", client.replace_file(&path, Body::from(two), &first).await);
    assert_eq!(remote.read("file").await, two);
    fails("stale", client.replace_file(&path, Body::from("bad"), &first).await, Conflict);
    let second = remote.etag("file").await;
    assert_ne!(first, second, "another body has the same etag");
    remote.write("file", "three").await;
    fails("overwritten", client.replace_file(&path, Body::from("bad"), &second).await, Conflict);
    fails("nonsense", client.replace_file(&path, Body::from("bad"), "no such etag").await, Conflict);
    assert_eq!(remote.read("file").await, "three");
    // An etag from a listing, used by another client.
    let listed = remote.list().await.remove(0).etag;
    let Some(listed) = listed else { panic!("no etag in the listing") };
    let other = remote.another();
    ok("replace", other.replace_file(&path, Body::from("four"), &listed).await);
    assert_eq!(remote.read("file").await, "four");
    ok("delete", client.delete_file(&path).await);
    let last = client.replace_file(&path, Body::from("bad"), &listed).await;
    fails("replace a deleted file", last, Conflict);
    assert!(remote.list().await.is_empty(), "files left over");
}

pub(super) async fn replace_race(remote: &Remote<'_>) {
    remote.write("file", "start").await;
    if !remote.client.capabilities().conditional_replace {
        return;
    }
    let path = remote.path("file");
    for round in 0..ROUNDS {
        let etag = remote.etag("file").await;
        // All bodies have one size, so that the size cannot tell them apart.
        let body = |racer: usize| noise(1000, u32::try_from(round * RACERS + racer).unwrap_or_default());
        let race = remote
            .others
            .iter()
            .enumerate()
            .map(|(racer, client)| client.replace_file(&path, Body::from(body(racer)), &etag));
        let mut winners = Vec::new();
        for (racer, outcome) in future::join_all(race).await.into_iter().enumerate() {
            match outcome {
                Ok(()) => winners.push(racer),
                Err(error) => {
                    assert_eq!(error.kind(), MailboxErrorKind::Conflict, "racer {racer}: {error}");
                }
            }
        }
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        assert!(remote.read("file").await == body(winners[0]), "another body than the winner's is stored");
    }
}
