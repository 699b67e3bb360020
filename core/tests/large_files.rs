//! A large file through a folder and through WebDAV, up and down: how much memory it takes, and how long beside its ground.
//!
//! `LARGE_FILE_MB=1000` for another size than the default, `-- --nocapture` for the figures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use common::open_at;
use interocitor_core::{
    Interocitor, StoreLocation,
    mailbox::{FolderMailbox, StorageAdapter},
};
use interocitor_crypto::{EnvelopeSealer, Key, digest::Sha256Hasher};
use tempfile::TempDir;

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// How much more than before a file may take, in kilobytes.
const PEAK_KB: u64 = 48 * 1024;

/// A line of what the system knows of this process, in kilobytes.
fn memory_kb(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Forgets the peak so far.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

async fn device(folder: &Path, name: &str, mailbox: Arc<dyn StorageAdapter>) -> Interocitor {
    let store = StoreLocation::File(folder.join(name));
    let db = open_at(store, |config| {
        // A server is there for others, too.
        config.remote_path = Some(format!("/Large {}", std::process::id()));
        config.passphrase = Some(PASSPHRASE.into());
    })
    .await;
    db.set_remote_storage(Some(mailbox)).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

fn digest(path: &Path) -> String {
    let (mut file, mut piece) = (std::fs::File::open(path).unwrap(), vec![0; 1 << 20]);
    let mut hasher = Sha256Hasher::new();
    loop {
        match file.read(&mut piece).unwrap() {
            0 => return hasher.finish_hex(),
            count => hasher.update(&piece[..count]),
        }
    }
}

/// A virtual machine gives memory that was freed back to its host, and to take it again costs more than to write a
/// file to it: what is compared begins after the same pause. Without figures there is nothing to compare.
async fn settle() {
    if std::env::var_os("LARGE_FILE_MB").is_some() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// What cannot be spared: encrypting and spelling as base64, both in one, and copying the same bytes.
fn ground(source: &Path, target: &Path) -> Duration {
    let (mut file, mut piece) = (std::fs::File::open(source).unwrap(), vec![0; 1 << 20]);
    let mut sealer = EnvelopeSealer::new(&Key::from_bytes([7; 32]), [0; 12]);
    let (mut text, mut spent) = (Vec::new(), Duration::ZERO);
    loop {
        let count = file.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        let start = Instant::now();
        text.clear();
        sealer.update(&piece[..count], &mut text).unwrap();
        spent += start.elapsed();
    }
    let start = Instant::now();
    std::fs::copy(source, target).unwrap();
    std::fs::File::open(target).unwrap().sync_all().unwrap();
    spent + start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = folder.path().join("box");
    std::fs::create_dir(&mailbox).unwrap();
    measure("folder", &folder, &|| Arc::new(FolderMailbox::new(&mailbox))).await;
}

/// Over `WEBDAV_APACHE_URL`, which the part `mailboxes` of `tests/run.sh` starts.
#[cfg(feature = "webdav")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server"]
async fn a_large_file_takes_little_memory_over_a_server() {
    use interocitor_core::mailbox::{WebDavConfig, WebDavMailbox};

    let folder = tempfile::tempdir().unwrap();
    let url = std::env::var("WEBDAV_APACHE_URL").expect("run `bash tests/run.sh mailboxes`");
    let config = WebDavConfig::new(&url).unwrap();
    measure("apache", &folder, &|| Arc::new(WebDavMailbox::new(&config).unwrap())).await;
}

#[allow(clippy::print_stdout, reason = "figures")]
async fn measure(kind: &str, folder: &TempDir, mailbox: &(dyn Fn() -> Arc<dyn StorageAdapter> + Sync)) {
    let megabytes: usize = std::env::var("LARGE_FILE_MB").map_or(100, |text| text.parse().unwrap());
    let source = folder.path().join("source");
    let mut file = std::fs::File::create(&source).unwrap();
    let mut state = 1_u64;
    for _ in 0..megabytes {
        let block: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_le_bytes()
        })
        .take(1_000_000 / 8)
        .flatten()
        .collect();
        file.write_all(&block).unwrap();
    }
    drop(file);
    let wanted = digest(&source);
    let (a, b) =
        (device(folder.path(), "a.db", mailbox()).await, device(folder.path(), "b.db", mailbox()).await);

    settle().await;
    reset_peak();
    let idle = memory_kb("VmRSS:");
    let start = Instant::now();
    let put = a.put_file("large", source.clone(), None).await.unwrap();
    let staged = start.elapsed();
    let synced = a.sync_files().await.unwrap();
    assert_eq!(synced.done, 1, "{synced:?} {:?}", a.file_transfers().await);
    let up = start.elapsed();
    let peak_up = memory_kb("VmHWM:").saturating_sub(idle);
    assert_eq!(put.digest.as_deref(), Some(wanted.as_str()));
    a.shutdown().await.unwrap();
    std::fs::remove_dir_all(folder.path().join("a.db.files")).unwrap();

    let target = folder.path().join("target");
    settle().await;
    reset_peak();
    let start = Instant::now();
    let content = b.get_file("large").await.unwrap();
    let fetched = start.elapsed();
    content.save_to(&target).await.unwrap();
    let down = start.elapsed();
    let peak_down = memory_kb("VmHWM:").saturating_sub(idle);
    assert_eq!(digest(&target), wanted);
    b.shutdown().await.unwrap();
    std::fs::remove_file(&target).unwrap();

    settle().await;
    let ground = ground(&source, &target);
    println!(
        "{kind}, {megabytes} MB: up {up:.2?} (staged {staged:.2?}), {:.2} of the ground, {} MB; down {down:.2?} (fetched \
         {fetched:.2?}), {:.2} of the ground, {} MB; ground {ground:.2?}",
        ground.as_secs_f64() / up.as_secs_f64(),
        peak_up / 1024,
        ground.as_secs_f64() / down.as_secs_f64(),
        peak_down / 1024,
    );
    assert!(peak_up < PEAK_KB, "{peak_up} kB more on the way up");
    assert!(peak_down < PEAK_KB, "{peak_down} kB more on the way down");
}
