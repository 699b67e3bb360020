//! One table of all mailboxes: what each was found to do, and what everyday work costs with it. Nothing in it is
//! an announcement: the conformance suite ran first, races included, and the rest is counted and measured.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[allow(dead_code, reason = "shared with the tests of Cloudflare")]
#[path = "cloudflare/server.rs"]
mod cloudflare;
mod common;
#[path = "mailboxes/counting.rs"]
mod counting;
#[allow(dead_code, reason = "shared with the tests of Google Drive")]
#[path = "drive/server.rs"]
mod drive;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_core::mailbox::{
    Body, CloudflareMailbox, FolderMailbox, GoogleDriveMailbox, MemoryMailbox, PlatformUploads, S3Config,
    S3Mailbox, StorageAdapter, WebDavConfig, WebDavMailbox, suite,
};
use interocitor_core::{Interocitor, StoreLocation};
use serde_json::json;

use self::common::carrier::Carrier;
use self::common::open_at;
use self::counting::Counting;

/// The body that is streamed, and the memory that its streaming may take.
const STREAMED: u64 = 64_000_000;
const MEMORY_MAX: u64 = 48_000_000;

/// What the platform is given to carry: several parts, where a mailbox takes large bodies in parts.
const CARRIED: u64 = 20_000_000;

/// Makes a client, which may hand large uploads to a platform.
type Make = Box<dyn Fn(Option<PlatformUploads>) -> Arc<dyn StorageAdapter> + Send + Sync>;

/// Clients over one configuration.
macro_rules! over {
    ($mailbox:ident, $config:expr) => {{
        let config = $config;
        Box::new(move |uploads: Option<PlatformUploads>| {
            let config = config.clone();
            let config = match uploads {
                Some(uploads) => config.with_platform_uploads(uploads),
                None => config,
            };
            Arc::new($mailbox::new(&config).unwrap()) as Arc<dyn StorageAdapter>
        })
    }};
}

/// Every mailbox, with the servers of `bash tests/run.sh mailboxes`.
fn mailboxes(folder: &Path, drive: &drive::Drive) -> Vec<(&'static str, Make)> {
    let server = |variable: &str| {
        let missing = || panic!("{variable} is not set: run `bash tests/run.sh mailboxes`");
        std::env::var(variable).unwrap_or_else(|_| missing())
    };
    let webdav = |variable: &str| WebDavConfig::new(&server(variable)).unwrap();
    let (memory, folder) = (MemoryMailbox::new(), folder.to_owned());
    vec![
        ("memory", Box::new(move |_| Arc::new(memory.clone()))),
        ("folder", Box::new(move |_| Arc::new(FolderMailbox::new(&folder)))),
        ("WebDAV, apache", over!(WebDavMailbox, webdav("WEBDAV_APACHE_URL"))),
        ("WebDAV, apache, digest", over!(WebDavMailbox, webdav("WEBDAV_DIGEST_URL"))),
        ("WebDAV, nginx", over!(WebDavMailbox, webdav("WEBDAV_NGINX_URL"))),
        ("WebDAV, rclone", over!(WebDavMailbox, webdav("WEBDAV_RCLONE_URL"))),
        ("S3, versitygw", over!(S3Mailbox, S3Config::new(&server("S3_VERSITYGW_URL")).unwrap())),
        ("Cloudflare, workerd", over!(CloudflareMailbox, cloudflare::config("near"))),
        ("Google Drive, as documented", over!(GoogleDriveMailbox, drive.config())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mailbox_conforms_and_is_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let drive = drive::Drive::start();
    let mut table = Vec::new();
    for (name, make) in mailboxes(folder.path(), &drive) {
        let root = format!("/table {}", std::process::id());
        let plain = || make(None);
        // The suite lets clients race for what a mailbox says that it decides.
        suite::run(&plain, &format!("{root}/suite")).await;
        let mut cells = row(name, &plain, &root).await;
        cells.push(carried(name, &make, &root).await);
        table.push(cells);
    }
    let head = [
        "mailbox",
        "exclusive create",
        "conditional replace",
        "tree at once",
        "memory to stream 64 MB",
        "calls to connect",
        "calls of an idle poll",
        "calls of a write",
        "idle poll",
        "carried by the platform",
    ];
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    table.insert(0, head);
    println!("\n{}", drawn(&table));
}

async fn row(name: &str, make: &(dyn Fn() -> Arc<dyn StorageAdapter> + Sync), root: &str) -> Vec<String> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let client = make();
    client.authenticate().await.unwrap();
    let found = client.capabilities();
    client.ensure_folder(root).await.unwrap();
    let tree = client.list_tree(root).await.unwrap();
    let streaming = if found.streaming {
        // As a durable file, and as large as one may be.
        let len = found.max_body.map_or(STREAMED, |most| STREAMED.min(most / 100_000 * 100_000));
        let taken = stream_through(&*client, &format!("{root}/files/large"), len).await;
        // Memory keeps what it stores.
        assert!(taken < MEMORY_MAX || name == "memory", "{name}: {taken} bytes");
        let of = if len < STREAMED { format!(" ({} MB)", len / 1_000_000) } else { String::new() };
        format!("{} MB{of}", taken.div_ceil(1_000_000))
    } else {
        "whole body".to_owned()
    };

    let counting = Counting::new(make());
    let db = device(Arc::new(counting.clone()), &format!("{root}/mesh")).await;
    let connect = counting.take();
    put(&db).await;
    put(&db).await;
    counting.take();
    put(&db).await;
    let write = counting.take();
    let (mut polls, begin) = (Vec::new(), Instant::now());
    for _ in 0..5 {
        db.sync().await.unwrap();
        polls.push(counting.take());
    }
    let poll = begin.elapsed() / 5;
    // Where others may still write over a young manifest, it is read again for the first minutes.
    let most = if found.exclusive_create { 2 } else { 3 };
    assert!(polls.iter().all(|calls| *calls <= most), "{name}: calls of an idle poll: {polls:?}");
    db.shutdown().await.unwrap();
    vec![
        name.to_owned(),
        yes(found.exclusive_create),
        yes(found.conditional_replace),
        yes(tree.is_some()),
        streaming,
        connect.to_string(),
        polls[4].to_string(),
        write.to_string(),
        format!("{:.1} ms", poll.as_secs_f64() * 1000.0),
    ]
}

/// A large file that the platform carries, where the mailbox is reached by HTTP.
async fn carried(name: &str, make: &Make, root: &str) -> String {
    let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
    let client = make(Some(carrier.uploads(spool.path())));
    client.authenticate().await.unwrap();
    let path = format!("{root}/files/carried");
    for round in 0..2_u8 {
        // What is there already is replaced.
        let body: Vec<u8> = (0..CARRIED).map(|at| (at % 251) as u8 ^ round).collect();
        let pieces: Vec<_> = body.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        client
            .write_file(&path, Body::Stream { len: CARRIED, stream: stream::iter(pieces).boxed() })
            .await
            .unwrap();
        let stored = make(None);
        stored.authenticate().await.unwrap();
        let (mut pieces, mut read) = (stored.read_stream(&path).await.unwrap(), Vec::new());
        while let Some(piece) = pieces.next().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == body, "{name}: other bytes, {} of {}", read.len(), body.len());
    }
    client.delete_file(&path).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(spool.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{name}: {left:?} stay");
    let (is_http, seen) = (!["memory", "folder"].contains(&name), carrier.seen());
    let bytes: u64 = seen.iter().map(|request| request.len).sum();
    assert_eq!(
        (bytes, client.is_carried(CARRIED)),
        if is_http { (2 * CARRIED, true) } else { (0, false) },
        "{name}"
    );
    if is_http { format!("20 MB in {}", seen.len() / 2) } else { "no".to_owned() }
}

async fn device(mailbox: Arc<dyn StorageAdapter>, root: &str) -> Interocitor {
    let db = open_at(StoreLocation::Memory, |config| {
        config.remote_path = Some(root.into());
        config.batch_window = Duration::ZERO;
    })
    .await;
    db.set_remote_storage(Some(mailbox)).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

/// A write that reaches the mailbox.
async fn put(db: &Interocitor) {
    db.table("t").put("row", &json!({"a": 1})).await.unwrap();
    db.sync().await.unwrap();
}

/// Streams a body through the mailbox and back; gives the memory that took, at its peak.
async fn stream_through(client: &dyn StorageAdapter, path: &str, len: u64) -> u64 {
    client.write_file(path, Body::from("warm")).await.unwrap();
    let before = forget_peak();
    let pieces = stream::iter((0..len / 100_000).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
    client.write_file(path, Body::Stream { len, stream: pieces.boxed() }).await.unwrap();
    let (mut stream, mut read) = (client.read_stream(path).await.unwrap(), 0);
    while let Some(piece) = stream.next().await {
        read += piece.unwrap().len() as u64;
    }
    assert_eq!(read, len);
    let taken = memory("VmHWM:").saturating_sub(before);
    client.delete_file(path).await.unwrap();
    taken
}

/// Lets the peak begin anew; gives the memory that is in use now.
fn forget_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    memory("VmRSS:")
}

/// Memory of this process in bytes, by its name in `/proc`.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The table, its columns under each other.
fn drawn(table: &[Vec<String>]) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect::<Vec<_>>().join("\n")
}
