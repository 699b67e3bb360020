//! Files of a folder that are written by a process that is killed: each is there whole, or not at all.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{Body, FolderMailbox, StorageAdapter};
use serde::{Deserialize, Serialize};

use crate::{
    common::sim::Rng,
    process::{Process, tell},
    scan::{is_temporary, leftovers},
};

/// Size of the largest body, in bytes.
const LARGEST: usize = 3_000_000;

/// Pieces of a streamed body, in bytes.
const PIECE: usize = 70_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    mailbox: PathBuf,
    seed: u64,
    first: u64,
}

/// A file and the number of its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Line {
    Try(String, u64),
    Done(String, u64),
}

/// A body that knows its number and its length.
fn body(number: u64) -> Vec<u8> {
    let length = Rng(number).below(LARGEST);
    let mut body = format!("{number} {length}\n").into_bytes();
    body.resize(body.len() + length, b'a' + u8::try_from(number % 26).unwrap());
    body
}

/// Writes until it is killed: in one piece, streamed, over a version, or under a new name.
#[tokio::main]
pub(crate) async fn live(order: &Order) {
    let mailbox = FolderMailbox::new(&order.mailbox);
    let mut rng = Rng(order.seed);
    for number in order.first.. {
        let way = rng.below(4);
        let name = if way == 3 { format!("n{number}") } else { format!("f{}", rng.below(4)) };
        let path = format!("/Mesh/{name}");
        let bytes = body(number);
        tell(&Line::Try(name.clone(), number));
        let outcome = match way {
            0 => mailbox.write_file(&path, bytes.into()).await,
            1 => mailbox.write_file(&path, streamed(&bytes)).await,
            2 => match mailbox.metadata(&path).await.unwrap().and_then(|file| file.etag) {
                Some(etag) => mailbox.replace_file(&path, bytes.into(), &etag).await,
                None => mailbox.create_file(&path, bytes.into()).await,
            },
            _ => mailbox.create_file(&path, streamed(&bytes)).await,
        };
        outcome.unwrap();
        tell(&Line::Done(name, number));
    }
}

fn streamed(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes.chunks(PIECE).map(|piece| Ok(piece.to_vec().into())).collect();
    Body::Stream { len: bytes.len() as u64, stream: stream::iter(pieces).boxed() }
}

/// Kills so many processes, and looks at every file after each; gives the number of temporary files left.
pub(crate) fn outlive(seed: u64, kills: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = folder.path().join("mailbox");
    std::fs::create_dir(&mailbox).unwrap();
    let mut rng = Rng(seed);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut next = 1;
    for kill in 1..=kills {
        let order = Order { mailbox: mailbox.clone(), seed: rng.next(), first: next };
        let mut process: Process<Line> =
            Process::start("life_of_a_mailbox", &order, &folder.path().join("complaints"));
        let mut writes = rng.below(3);
        let began = process.wait_for(|line| {
            let is_last = writes == 0 && matches!(line, Line::Try(..));
            writes -= usize::from(matches!(line, Line::Done(..)));
            is_last
        });
        began.unwrap_or_else(|fault| panic!("seed {seed}, kill {kill}: {fault}"));
        // A write takes some milliseconds.
        std::thread::sleep(Duration::from_micros(rng.next() % 12_000));
        process.kill();
        let mut under_way = None;
        for line in std::mem::take(&mut process.told) {
            match line {
                Line::Try(name, number) => {
                    next = number + 1;
                    under_way = Some((name, number));
                }
                Line::Done(name, number) => {
                    acknowledged.insert(name, number);
                    under_way = None;
                }
            }
        }
        check(&mailbox.join("Mesh"), &mut acknowledged, under_way, &format!("seed {seed}, kill {kill}"));
    }
    leftovers(&mailbox)
}

fn check(
    folder: &Path,
    acknowledged: &mut BTreeMap<String, u64>,
    under_way: Option<(String, u64)>,
    place: &str,
) {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if is_temporary(&path) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let head = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let number = std::str::from_utf8(head).ok().and_then(|head| head.split(' ').next()?.parse().ok());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(
            number.is_some_and(|number| bytes == body(number)),
            "{place}: {name} has {} bytes",
            bytes.len()
        );
        found.insert(name, number.unwrap());
    }
    if let Some((name, number)) = under_way
        && found.get(&name) == Some(&number)
    {
        acknowledged.insert(name, number);
    }
    assert_eq!(found, *acknowledged, "{place}");
}
