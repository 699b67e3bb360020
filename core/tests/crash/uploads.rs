//! Durable files of a process that is killed while it takes them over and uploads them: what was acknowledged has its
//! content, here and in the mailbox, and in the end nothing else is left.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use interocitor_core::{Interocitor, StoreLocation, mailbox::FolderMailbox};
use serde::{Deserialize, Serialize};

use crate::{
    PASSPHRASE,
    common::{open_at, sim::Rng, tree},
    process::{Process, tell},
};

/// Size of the largest file, in bytes.
const LARGEST: usize = 4_000_000;

/// Files by name.
const FILES: usize = 3;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    folder: PathBuf,
    seed: u64,
    first: u64,
}

/// A file, where one is concerned, and the number of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Line {
    Try(String, u64),
    Put(String, u64),
    Upload,
    Uploaded,
}

/// Content that tells its number.
fn content(number: u64) -> Vec<u8> {
    let mut rng = Rng(number);
    let length = rng.below(LARGEST) / 8;
    std::iter::repeat_with(|| rng.next().to_le_bytes()).take(length).flatten().collect()
}

async fn device(folder: &Path, store: StoreLocation) -> Interocitor {
    let db = open_at(store, |config| config.passphrase = Some(PASSPHRASE.into())).await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(folder.join("box"))))).await;
    assert!(db.connect().await.unwrap().is_online());
    db
}

fn store(folder: &Path) -> StoreLocation {
    StoreLocation::File(folder.join("a.db"))
}

/// Puts and uploads files until it is killed.
#[tokio::main]
pub(crate) async fn live(order: &Order) {
    let db = device(&order.folder, store(&order.folder)).await;
    let mut rng = Rng(order.seed);
    for number in order.first.. {
        let name = format!("f{}", rng.below(FILES));
        let bytes = content(number);
        tell(&Line::Try(name.clone(), number));
        db.put_file(&name, bytes, None).await.unwrap();
        tell(&Line::Put(name, number));
        tell(&Line::Upload);
        let run = db.sync_files().await.unwrap();
        assert_eq!((run.failed, run.problem.is_none()), (0, true));
        tell(&Line::Uploaded);
    }
}

/// Kills so many processes in each of the two things they do, and looks at every file after each.
pub(crate) fn outlive(seed: u64, kills: u64) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("box")).unwrap();
    let mut rng = Rng(seed);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut next = 1;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for kill in 1..=kills {
        let order = Order { folder: folder.to_owned(), seed: rng.next(), first: next };
        let mut process: Process<Line> =
            Process::start("life_of_an_uploader", &order, &folder.join("complaints"));
        let (mut rounds, is_upload) = (rng.below(3), rng.chance(60));
        let began = process.wait_for(|line| {
            let is_it = if is_upload { *line == Line::Upload } else { matches!(line, Line::Try(..)) };
            rounds = rounds.saturating_sub(usize::from(!is_it));
            is_it && rounds == 0
        });
        began.unwrap_or_else(|fault| panic!("seed {seed}, kill {kill}: {fault}"));
        std::thread::sleep(Duration::from_micros(rng.next() % 25_000));
        process.kill();
        let mut under_way = None;
        for line in std::mem::take(&mut process.told) {
            match line {
                Line::Try(name, number) => {
                    next = number + 1;
                    under_way = Some((name, number));
                }
                Line::Put(name, number) => {
                    acknowledged.insert(name, number);
                    under_way = None;
                }
                Line::Upload | Line::Uploaded => {}
            }
        }
        let place = format!("seed {seed}, kill {kill}");
        runtime.block_on(check_here(folder, &mut acknowledged, under_way, &place));
    }
    runtime.block_on(check_everywhere(folder, &acknowledged));
}

/// What was put is here, in its last version or the one that was under way.
async fn check_here(
    folder: &Path,
    acknowledged: &mut BTreeMap<String, u64>,
    under_way: Option<(String, u64)>,
    place: &str,
) {
    let db = open_at(store(folder), |config| config.passphrase = Some(PASSPHRASE.into())).await;
    if let Some((name, number)) = under_way
        && db.get_file(&name).await.is_ok()
        && db.get_file(&name).await.unwrap().bytes().await.unwrap() == content(number)
    {
        acknowledged.insert(name, number);
    }
    for (name, number) in &*acknowledged {
        let found = db.get_file(name).await.unwrap().bytes().await.unwrap();
        assert!(found == content(*number), "{place}: {name} is not {number}");
    }
    db.shutdown().await.unwrap();
}

async fn check_everywhere(folder: &Path, acknowledged: &BTreeMap<String, u64>) {
    let db = device(folder, store(folder)).await;
    let run = db.sync_files().await.unwrap();
    assert_eq!((run.failed, run.problem.is_none()), (0, true));
    db.shutdown().await.unwrap();
    let other = device(folder, StoreLocation::Memory).await;
    for (name, number) in acknowledged {
        let found = other.get_file(name).await.unwrap().bytes().await.unwrap();
        assert!(found == content(*number), "{name} is not {number} in the mailbox");
    }
    // What a killed process left is removed when nobody can be at it any more: by whoever opens the store, and by
    // whoever writes into the folder.
    let long_ago = SystemTime::now() - Duration::from_hours(2);
    for root in ["a.db.files", "box"] {
        for name in tree(&folder.join(root)).keys() {
            let file = std::fs::File::options().write(true).open(folder.join(root).join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
    }
    let db = device(folder, store(folder)).await;
    db.put_file("last", b"last".to_vec(), None).await.unwrap();
    assert_eq!(db.sync_files().await.unwrap().done, 1);
    db.shutdown().await.unwrap();
    let wanted = acknowledged.len() + 1;
    let here = tree(&folder.join("a.db.files"));
    assert_eq!(here.len(), wanted, "{:?}", here.keys());
    let there: Vec<_> =
        tree(&folder.join("box")).into_keys().filter(|name| name.contains("/files/")).collect();
    assert_eq!(there.len(), wanted, "{there:?}");
}
