//! The conformance suite of the mailbox: what every [`StorageAdapter`] must do.
//!
//! It is here for your own adapters too, behind the feature `adapter-tests`:
//!
//! ```
//! use std::sync::Arc;
//! use interocitor_core::mailbox::{MemoryMailbox, StorageAdapter, suite};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let remote = MemoryMailbox::new(); // yours instead
//! // One more client of the same remote, as another device would open it.
//! let make = || Arc::new(remote.clone()) as Arc<dyn StorageAdapter>;
//! suite::run(&make, "/conformance").await;
//! # }
//! ```
//!
//! The example `own_mailbox` is a whole adapter with the least that the suite accepts. What an adapter says of
//! itself in [`capabilities`](StorageAdapter::capabilities) is put to the test: whoever claims that one of
//! several racing writers wins has 16 clients race for it. Claim nothing and the plain contract is enough; the
//! engine then reads back what it wrote. Where it says that a path is [written
//! once](StorageAdapter::is_write_once), nothing is overwritten here, and that it cannot be is checked instead.
//!
//! [`run`] panics with the name of a check and what it found, [`check`] answers it. Nothing depends on time; the races are won by whoever
//! wins them.

mod bodies;
mod files;
mod races;

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture};
use futures_util::{FutureExt, StreamExt, stream};

use super::{Body, ByteStream, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, StorageAdapter};

/// Makes one more client of the same remote.
pub type Make<'a> = &'a (dyn Fn() -> Arc<dyn StorageAdapter> + Sync);

/// How many clients race for a name.
const RACERS: usize = 16;
/// How many names they race for.
const ROUNDS: usize = 8;

/// One check: it gets clients, and a folder of its own that does not exist yet.
type Check = for<'a> fn(&'a Remote<'a>) -> BoxFuture<'a, ()>;

const CHECKS: &[(&str, Check)] = &[
    ("missing", |remote| Box::pin(files::missing(remote))),
    ("round-trip", |remote| Box::pin(files::round_trip(remote))),
    ("write-once", |remote| Box::pin(files::write_once(remote))),
    ("listing", |remote| Box::pin(files::listing(remote))),
    ("many", |remote| Box::pin(files::many(remote))),
    ("names", |remote| Box::pin(files::names(remote))),
    ("composed", |remote| Box::pin(files::composed(remote))),
    ("hidden", |remote| Box::pin(files::hidden(remote))),
    ("bad-paths", |remote| Box::pin(files::bad_paths(remote))),
    ("bodies", |remote| Box::pin(bodies::bodies(remote))),
    ("streams", |remote| Box::pin(bodies::streams(remote))),
    ("broken-streams", |remote| Box::pin(bodies::broken_streams(remote))),
    ("read-many", |remote| Box::pin(bodies::read_many(remote))),
    ("delete", |remote| Box::pin(files::delete(remote))),
    ("metadata", |remote| Box::pin(files::metadata(remote))),
    ("create", |remote| Box::pin(races::create(remote))),
    ("create-race", |remote| Box::pin(races::create_race(remote))),
    ("replace", |remote| Box::pin(races::replace(remote))),
    ("replace-race", |remote| Box::pin(races::replace_race(remote))),
    ("whole-bodies", |remote| Box::pin(bodies::whole_bodies(remote))),
];

/// What a mailbox does not do as it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the conformance check `{check}` failed: {finding}")]
pub struct Unsound {
    /// The check.
    pub check: &'static str,
    /// What was done, what came of it, and what should have.
    pub finding: String,
}

/// Runs every check against the remote of `make`, each in its own folder below `root`, which must be
/// empty or missing.
///
/// # Panics
///
/// When a check fails.
pub async fn run(make: Make<'_>, root: &str) {
    if let Err(unsound) = check(make, root).await {
        panic!("{unsound}");
    }
}

/// As [`run`], for those who want an answer. The panic of a check is caught, but its hook has run.
///
/// # Errors
///
/// The first check that failed.
pub async fn check(make: Make<'_>, root: &str) -> Result<(), Unsound> {
    let client = make();
    let others: Vec<_> = (0..RACERS).map(|_| make()).collect();
    caught("authenticate", async {
        ok("authenticate", client.authenticate().await);
        ok("authenticate again", client.authenticate().await);
        for outcome in future::join_all(others.iter().map(|other| other.authenticate())).await {
            ok("authenticate another client", outcome);
        }
    })
    .await?;
    for (name, check) in CHECKS {
        let remote = Remote { client: client.as_ref(), others: &others, folder: format!("{root}/{name}") };
        caught(name, check(&remote)).await?;
    }
    Ok(())
}

/// A check, with what it panicked with as an answer.
async fn caught(check: &'static str, work: impl Future<Output = ()>) -> Result<(), Unsound> {
    // Nothing of a check is used after it has failed.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let finding = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason was given");
        Unsound { check, finding: finding.to_owned() }
    })
}

struct Remote<'a> {
    client: &'a dyn StorageAdapter,
    /// More clients of the same remote: those who race.
    others: &'a [Arc<dyn StorageAdapter>],
    folder: String,
}

impl Remote<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn is_write_once(&self, name: &str) -> bool {
        self.client.is_write_once(&self.path(name))
    }

    fn another(&self) -> &dyn StorageAdapter {
        self.others[0].as_ref()
    }

    async fn write(&self, name: &str, body: &'static str) {
        ok(name, self.client.write_file(&self.path(name), Body::from(body)).await);
    }

    async fn read(&self, name: &str) -> Bytes {
        ok(name, self.client.read_file(&self.path(name)).await)
    }

    async fn list(&self) -> Vec<FileEntry> {
        let mut files = ok("list", self.client.list_files(&self.folder).await);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    }

    async fn listed_names(&self) -> Vec<String> {
        self.list().await.into_iter().map(|file| file.name).collect()
    }

    async fn etag(&self, name: &str) -> String {
        let Some(entry) = ok(name, self.client.metadata(&self.path(name)).await) else {
            panic!("{name}: no metadata of a file that exists");
        };
        entry.etag.unwrap_or_else(|| panic!("{name}: no etag although replacing is supported"))
    }
}

#[track_caller]
fn ok<T>(what: &str, outcome: MailboxResult<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{what}: {error} ({:?})", error.kind()))
}

#[track_caller]
fn fails<T>(what: &str, outcome: MailboxResult<T>, expected: MailboxErrorKind) -> MailboxError {
    match outcome {
        Ok(_) => panic!("{what}: succeeded, expected {expected:?}"),
        Err(error) => {
            assert_eq!(error.kind(), expected, "{what}: {error}");
            error
        }
    }
}

/// Bytes in which every value and no short period occurs.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn pieces(body: &[u8], size: usize) -> ByteStream {
    let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn gather(what: &str, mut stream: ByteStream) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(piece) = stream.next().await {
        whole.extend_from_slice(&ok(what, piece));
    }
    whole
}
