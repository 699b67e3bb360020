//! Checks of bodies: of every size, in pieces, broken off, read while they are replaced.

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};

use super::{Remote, fails, gather, noise, ok, pieces};
use crate::mailbox::{Body, MailboxError, MailboxErrorKind};

pub(super) async fn bodies(remote: &Remote<'_>) {
    for (name, len) in [("empty", 0), ("one", 1), ("3MB", 3_000_017)] {
        let body = noise(len, 7);
        ok(name, remote.client.write_file(&remote.path(name), Body::from(body.clone())).await);
        assert!(remote.read(name).await == body, "{name}: another body came back");
        let streamed = ok(name, remote.client.read_stream(&remote.path(name)).await);
        assert!(gather(name, streamed).await == body, "{name}: another body was streamed back");
    }
    let sizes: Vec<_> = remote.list().await.into_iter().map(|file| file.size).collect();
    assert_eq!(sizes, [Some(3_000_017), Some(0), Some(1)]);
}

pub(super) async fn streams(remote: &Remote<'_>) {
    for (name, len, piece) in [("nothing", 0, 1), ("small", 10, 3), ("large", 3_000_017, 70_001)] {
        let body = noise(len, 11);
        let streamed = || Body::Stream { len: len as u64, stream: pieces(&body, piece) };
        ok(name, remote.client.write_file(&remote.path(name), streamed()).await);
        assert!(remote.read(name).await == body, "{name}: another body came back");
        let created = format!("created-{name}");
        ok(name, remote.client.create_file(&remote.path(&created), streamed()).await);
        assert!(remote.read(&created).await == body, "{created}: another body came back");
        let again = remote.client.create_file(&remote.path(&created), streamed()).await;
        fails(name, again, MailboxErrorKind::AlreadyExists);
    }
}

pub(super) async fn broken_streams(remote: &Remote<'_>) {
    remote.write("old", "old body").await;
    let broken = || {
        let error = || MailboxError::new(MailboxErrorKind::Forbidden, "spool", "/spool", "the source broke");
        let half = || stream::iter([Ok(Bytes::from(noise(100_000, 3)))]);
        [
            ("too short", Body::Stream { len: 200_000, stream: half().boxed() }),
            ("too long", Body::Stream { len: 50_000, stream: half().boxed() }),
            ("empty", Body::Stream { len: 5, stream: stream::empty().boxed() }),
            (
                "failing",
                Body::Stream { len: 200_000, stream: half().chain(stream::iter([Err(error())])).boxed() },
            ),
        ]
    };
    for (what, body) in broken() {
        let error = remote.client.write_file(&remote.path("new"), body).await;
        assert!(error.is_err(), "{what}: written");
        if what == "failing" {
            fails(what, error, MailboxErrorKind::Forbidden);
        }
    }
    for (what, body) in broken() {
        assert!(remote.client.write_file(&remote.path("old"), body).await.is_err(), "{what}: overwritten");
    }
    for (what, body) in broken() {
        assert!(remote.client.create_file(&remote.path("new"), body).await.is_err(), "{what}: created");
    }
    assert_eq!(remote.read("old").await, "old body");
    assert_eq!(remote.listed_names().await, ["old"]);
}

pub(super) async fn read_many(remote: &Remote<'_>) {
    let mut paths = Vec::new();
    for number in 0..40 {
        let path = remote.path(&format!("file {number}"));
        if number % 7 != 3 {
            let body = noise(number * 100, 5);
            ok("write", remote.client.write_file(&path, Body::from(body)).await);
        }
        paths.push(path);
    }
    paths.push(remote.path("../bad"));
    paths.push(paths[1].clone());
    let outcomes = remote.client.read_many(&paths).await;
    assert_eq!(outcomes.len(), paths.len());
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match number {
            40 => drop(fails("bad path", outcome, MailboxErrorKind::InvalidPath)),
            41 => assert!(ok("repeated", outcome) == noise(100, 5)),
            _ if number % 7 == 3 => drop(fails("missing", outcome, MailboxErrorKind::NotFound)),
            _ => assert!(ok("read", outcome) == noise(number * 100, 5), "file {number}: another body"),
        }
    }
    assert!(remote.client.read_many(&[]).await.is_empty());
}

/// A reader beside a writer sees one of the bodies, never a part or a mixture. The bodies have one length:
/// servers fix the length of an answer first and open the file afterwards. For the same reason an answer
/// may break off, which is an error that can be told from a body.
pub(super) async fn whole_bodies(remote: &Remote<'_>) {
    if remote.is_write_once("file") {
        return;
    }
    let bodies = [21, 22, 23].map(|seed| noise(250_000, seed));
    let path = remote.path("file");
    ok("write", remote.client.write_file(&path, Body::from(bodies[0].clone())).await);
    let (writer, reader) = (remote.another(), &remote.others[1]);
    let write = async {
        for round in 0..30 {
            ok("write", writer.write_file(&path, Body::from(bodies[round % 3].clone())).await);
        }
    };
    let read = async {
        let mut whole = 0;
        for _ in 0..60 {
            match reader.read_file(&path).await {
                Ok(seen) if bodies.iter().any(|body| seen == body) => whole += 1,
                Ok(seen) => panic!("a part of a body, or a mixture, was read: {} bytes", seen.len()),
                Err(error) => assert_eq!(error.kind(), MailboxErrorKind::Unavailable, "{error}"),
            }
        }
        assert!(whole > 0, "no body was read");
    };
    future::join(write, read).await;
    assert_eq!(remote.listed_names().await, ["file"]);
}
