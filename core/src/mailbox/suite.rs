//! The conformance suite of the mailbox: what every [`StorageAdapter`] must do.
//!
//! A check panics with what it found. Nothing depends on time; the races are won by whoever wins them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture};
use futures_util::{StreamExt, stream};

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
    ("missing", |remote| Box::pin(missing(remote))),
    ("round-trip", |remote| Box::pin(round_trip(remote))),
    ("listing", |remote| Box::pin(listing(remote))),
    ("many", |remote| Box::pin(many(remote))),
    ("names", |remote| Box::pin(names(remote))),
    ("composed", |remote| Box::pin(composed(remote))),
    ("hidden", |remote| Box::pin(hidden(remote))),
    ("bad-paths", |remote| Box::pin(bad_paths(remote))),
    ("bodies", |remote| Box::pin(bodies(remote))),
    ("streams", |remote| Box::pin(streams(remote))),
    ("broken-streams", |remote| Box::pin(broken_streams(remote))),
    ("read-many", |remote| Box::pin(read_many(remote))),
    ("delete", |remote| Box::pin(delete(remote))),
    ("metadata", |remote| Box::pin(metadata(remote))),
    ("create", |remote| Box::pin(create(remote))),
    ("create-race", |remote| Box::pin(create_race(remote))),
    ("replace", |remote| Box::pin(replace(remote))),
    ("replace-race", |remote| Box::pin(replace_race(remote))),
    ("whole-bodies", |remote| Box::pin(whole_bodies(remote))),
];

/// Runs every check against the remote of `make`, each in its own folder below `root`, which must be
/// empty or missing.
///
/// # Panics
///
/// When a check fails.
pub async fn run(make: Make<'_>, root: &str) {
    let client = make();
    let others: Vec<_> = (0..RACERS).map(|_| make()).collect();
    ok("authenticate", client.authenticate().await);
    ok("authenticate again", client.authenticate().await);
    for outcome in future::join_all(others.iter().map(|other| other.authenticate())).await {
        ok("authenticate another client", outcome);
    }
    for (name, check) in CHECKS {
        let remote = Remote { client: client.as_ref(), others: &others, folder: format!("{root}/{name}") };
        // Shown with the panic of a failing check, and nowhere else.
        let mut running = Running(name, false);
        check(&remote).await;
        running.1 = true;
    }
}

/// Names the check that was running when a panic passed by.
struct Running(&'static str, bool);

impl Drop for Running {
    #[allow(clippy::print_stderr, reason = "test output")]
    fn drop(&mut self) {
        if !self.1 {
            eprintln!("conformance check failed: {}", self.0);
        }
    }
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

async fn missing(remote: &Remote<'_>) {
    use MailboxErrorKind::NotFound;
    let client = remote.client;
    fails("list a missing folder", client.list_files(&remote.folder).await, NotFound);
    fails("list folders of a missing folder", client.list_folders(&remote.folder).await, NotFound);
    fails("read in a missing folder", client.read_file(&remote.path("x")).await, NotFound);
    assert!(ok("stat in a missing folder", client.metadata(&remote.path("x")).await).is_none());

    ok("ensure", client.ensure_folder(&remote.folder).await);
    ok("ensure again", client.ensure_folder(&remote.folder).await);
    assert!(ok("list an empty folder", client.list_files(&remote.folder).await).is_empty());
    assert!(ok("list folders of an empty folder", client.list_folders(&remote.folder).await).is_empty());
    fails("read a missing file", client.read_file(&remote.path("x")).await, NotFound);
    let streamed = client.read_stream(&remote.path("x")).await.map(drop);
    fails("stream a missing file", streamed, NotFound);

    remote.write("file", "a file").await;
    fails("read below a file", client.read_file(&remote.path("file/x")).await, NotFound);
    assert!(client.list_files(&remote.path("file")).await.is_err(), "listed a file");
    assert!(client.write_file(&remote.path("file/x"), Body::from("")).await.is_err(), "wrote below a file");
    assert_eq!(remote.read("file").await, "a file");
    assert!(
        client.write_file(&remote.folder, Body::from("")).await.is_err(),
        "a file was written in the place of a folder"
    );
    assert_eq!(remote.read("file").await, "a file");
}

async fn round_trip(remote: &Remote<'_>) {
    // No folder was made: the write makes it.
    remote.write("deep/er/file", "first").await;
    assert_eq!(remote.read("deep/er/file").await, "first");
    let other = remote.another();
    ok("overwrite", other.write_file(&remote.path("deep/er/file"), Body::from("second, longer")).await);
    assert_eq!(remote.read("deep/er/file").await, "second, longer");
    remote.write("deep/er/file", "3").await;
    assert_eq!(ok("read", other.read_file(&remote.path("deep/er/file")).await), "3");
    // The folder is known by now, but gone for a client that does not know.
    remote.write("deep/er/another", "4").await;
    assert_eq!(ok("read", other.read_file(&remote.path("deep/er/another")).await), "4");
}

async fn listing(remote: &Remote<'_>) {
    remote.write("a", "1").await;
    remote.write("b.json", "four").await;
    remote.write("empty", "").await;
    remote.write("sub/inside", "not a direct child").await;
    remote.write("sub2/deeper/inside", "neither").await;
    ok("ensure", remote.client.ensure_folder(&remote.path("void")).await);

    let files = remote.list().await;
    let seen: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.size)).collect();
    assert_eq!(seen, [("a", Some(1)), ("b.json", Some(4)), ("empty", Some(0))]);
    for file in &files {
        assert_eq!(file.path, remote.path(&file.name));
    }
    let mut folders = ok("list folders", remote.client.list_folders(&remote.folder).await);
    folders.sort();
    assert_eq!(folders, ["sub", "sub2", "void"]);
    // A folder whose name is the beginning of another one is not mixed up with it.
    let inside = ok("list", remote.client.list_files(&remote.path("sub")).await);
    assert_eq!(inside.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["inside"]);

    // A folder whose only child has its name: the entry of the folder itself must not be confused.
    remote.write("twin/twin/twin", "deep").await;
    assert!(ok("list", remote.client.list_files(&remote.path("twin")).await).is_empty());
    let twins = ok("list folders", remote.client.list_folders(&remote.path("twin")).await);
    assert_eq!(twins, ["twin"]);
}

async fn many(remote: &Remote<'_>) {
    let names: Vec<String> = (0..230).map(|number| format!("file-{number:03}")).collect();
    let paths: Vec<String> = names.iter().map(|name| remote.path(name)).collect();
    for some in paths.chunks(8) {
        let writes = some.iter().map(|path| remote.client.write_file(path, Body::from("body")));
        for outcome in future::join_all(writes).await {
            ok("write one of many", outcome);
        }
    }
    assert_eq!(remote.listed_names().await, names);
}

/// Names that a careless adapter escapes twice, not at all, or cuts off.
fn unusual_names() -> Vec<&'static str> {
    let mut names = vec![
        "with space",
        " leading",
        "%41",
        "100%",
        "%2F",
        "a#b",
        "a+b",
        "a&b=c",
        "a'b",
        "a;b,c!$@~()[]{}^`",
        "grüße",
        "日本語.json",
        "🚲",
        "ﬁ",
        "dots..",
        "-",
        "index.html",
    ];
    if !cfg!(windows) {
        names.extend(["a?b", "<a>", "a\"b", "a:b", "trailing ", "a\\b", "a|b*"]);
    }
    names
}

async fn names(remote: &Remote<'_>) {
    let names = unusual_names();
    for name in &names {
        let body = Body::from(name.as_bytes().to_vec());
        ok(name, remote.client.write_file(&remote.path(name), body).await);
        let inside = format!("in {name}/{name}");
        ok(name, remote.client.write_file(&remote.path(&inside), Body::from("inside")).await);
    }
    let mut expected: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    expected.sort();
    assert_eq!(remote.listed_names().await, expected);
    let mut folders = ok("list folders", remote.client.list_folders(&remote.folder).await);
    folders.sort();
    let mut expected: Vec<String> = names.iter().map(|name| format!("in {name}")).collect();
    expected.sort();
    assert_eq!(folders, expected);

    for name in &names {
        assert_eq!(remote.read(name).await, name.as_bytes(), "{name}");
        let folder = remote.path(&format!("in {name}"));
        let inside = ok(name, remote.client.list_files(&folder).await);
        assert_eq!(inside.len(), 1, "{name}");
        assert_eq!((&inside[0].name, &inside[0].path), (&(*name).to_owned(), &format!("{folder}/{name}")));
        let facts = ok(name, remote.client.metadata(&remote.path(name)).await);
        assert_eq!(facts.map(|facts| facts.name).as_deref(), Some(*name));
        ok(name, remote.client.delete_file(&remote.path(name)).await);
        ok(name, remote.client.create_file(&remote.path(name), Body::from("again")).await);
        assert_eq!(remote.read(name).await, "again", "{name}");
    }
}

/// Precomposed and decomposed spellings are two names, or consistently one where the backing says so.
async fn composed(remote: &Remote<'_>) {
    let (nfc, nfd) = ("caf\u{e9}", "cafe\u{301}");
    remote.write(nfc, "composed").await;
    remote.write(nfd, "decomposed").await;
    match remote.listed_names().await.len() {
        1 => assert_eq!(remote.read(nfc).await, "decomposed"),
        2 => assert_eq!(remote.read(nfc).await, "composed"),
        other => panic!("two names became {other}"),
    }
    assert_eq!(remote.read(nfd).await, "decomposed");
}

async fn hidden(remote: &Remote<'_>) {
    remote.write("seen", "1").await;
    remote.write(".hidden", "2").await;
    remote.write(".folder/inside", "3").await;
    assert_eq!(remote.listed_names().await, ["seen"]);
    assert!(ok("list folders", remote.client.list_folders(&remote.folder).await).is_empty());
    assert_eq!(remote.read(".hidden").await, "2");
    let inside = ok("list", remote.client.list_files(&remote.path(".folder")).await);
    assert_eq!(inside.len(), 1);
}

async fn bad_paths(remote: &Remote<'_>) {
    use MailboxErrorKind::InvalidPath;
    let client = remote.client;
    remote.write("inside", "kept").await;
    for bad in ["../out", "sub/../../out", "./a", "a//b", "a/", "a\0b", ""] {
        let path = remote.path(bad);
        fails(bad, client.read_file(&path).await, InvalidPath);
        fails(bad, client.read_stream(&path).await.map(drop), InvalidPath);
        fails(bad, client.write_file(&path, Body::from("x")).await, InvalidPath);
        fails(bad, client.create_file(&path, Body::from("x")).await, InvalidPath);
        fails(bad, client.replace_file(&path, Body::from("x"), "etag").await, InvalidPath);
        fails(bad, client.delete_file(&path).await, InvalidPath);
        fails(bad, client.metadata(&path).await, InvalidPath);
        fails(bad, client.list_files(&path).await, InvalidPath);
        fails(bad, client.list_folders(&path).await, InvalidPath);
        fails(bad, client.ensure_folder(&path).await, InvalidPath);
    }
    fails("write the root", client.write_file("/", Body::from("x")).await, InvalidPath);
    assert_eq!(remote.read("inside").await, "kept");
}

async fn bodies(remote: &Remote<'_>) {
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

async fn streams(remote: &Remote<'_>) {
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

async fn broken_streams(remote: &Remote<'_>) {
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

async fn read_many(remote: &Remote<'_>) {
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

async fn delete(remote: &Remote<'_>) {
    ok("delete in a missing folder", remote.client.delete_file(&remote.path("x")).await);
    remote.write("x", "1").await;
    remote.write("y", "2").await;
    ok("delete", remote.client.delete_file(&remote.path("x")).await);
    ok("delete again", remote.client.delete_file(&remote.path("x")).await);
    assert_eq!(remote.listed_names().await, ["y"]);
    fails("read", remote.client.read_file(&remote.path("x")).await, MailboxErrorKind::NotFound);
    remote.write("x", "back").await;
    assert_eq!(remote.read("x").await, "back");

    remote.write("folder/inside", "kept").await;
    let outcome = remote.another().delete_file(&remote.path("folder")).await;
    fails("delete a folder", outcome, MailboxErrorKind::InvalidPath);
    assert_eq!(remote.read("folder/inside").await, "kept");
}

async fn metadata(remote: &Remote<'_>) {
    remote.write("some file", "12345").await;
    let path = remote.path("some file");
    let Some(facts) = ok("stat", remote.client.metadata(&path).await) else {
        panic!("no metadata of a file that exists");
    };
    assert_eq!((facts.name.as_str(), &facts.path, facts.size), ("some file", &path, Some(5)));
    let listed = remote.list().await;
    assert_eq!((&listed[0].name, &listed[0].path), (&facts.name, &facts.path));
    assert!(ok("stat", remote.client.metadata(&remote.path("other")).await).is_none());
    assert!(ok("stat a folder", remote.client.metadata(&remote.folder).await).is_none());
}

async fn create(remote: &Remote<'_>) {
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

async fn create_race(remote: &Remote<'_>) {
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

async fn replace(remote: &Remote<'_>) {
    use MailboxErrorKind::Conflict;
    let client = remote.client;
    let path = remote.path("file");
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

async fn replace_race(remote: &Remote<'_>) {
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

/// A reader beside a writer sees one of the bodies, never a part or a mixture. The bodies have one length:
/// servers fix the length of an answer first and open the file afterwards. For the same reason an answer
/// may break off, which is an error that can be told from a body.
async fn whole_bodies(remote: &Remote<'_>) {
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
