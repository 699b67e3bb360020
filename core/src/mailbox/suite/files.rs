//! Checks of what lies where: files, folders, names, listings.

use futures_util::future;

use super::{Remote, fails, ok, pieces};
use crate::mailbox::{Body, MailboxErrorKind};

pub(super) async fn missing(remote: &Remote<'_>) {
    use crate::mailbox::MailboxErrorKind::NotFound;
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

pub(super) async fn round_trip(remote: &Remote<'_>) {
    // No folder was made: the write makes it.
    remote.write("deep/er/file", "first").await;
    assert_eq!(remote.read("deep/er/file").await, "first");
    if remote.is_write_once("deep/er/file") {
        return;
    }
    let other = remote.another();
    ok("overwrite", other.write_file(&remote.path("deep/er/file"), Body::from("second, longer")).await);
    assert_eq!(remote.read("deep/er/file").await, "second, longer");
    remote.write("deep/er/file", "3").await;
    assert_eq!(ok("read", other.read_file(&remote.path("deep/er/file")).await), "3");
    // The folder is known by now, but gone for a client that does not know.
    remote.write("deep/er/another", "4").await;
    assert_eq!(ok("read", other.read_file(&remote.path("deep/er/another")).await), "4");
}

/// What says that it keeps the first body keeps it, whoever writes what and how.
pub(super) async fn write_once(remote: &Remote<'_>) {
    use crate::mailbox::MailboxErrorKind::AlreadyExists;
    if !remote.is_write_once("file") {
        return;
    }
    let path = remote.path("file");
    remote.write("file", "first").await;
    for client in [remote.client, remote.another()] {
        fails("overwrite", client.write_file(&path, Body::from("second")).await, AlreadyExists);
        let streamed = || Body::Stream { len: 6, stream: pieces(b"stream", 4) };
        fails("overwrite by a stream", client.write_file(&path, streamed()).await, AlreadyExists);
        // A try that is repeated does no harm.
        ok("write the same", client.write_file(&path, Body::from("first")).await);
        let same = Body::Stream { len: 5, stream: pieces(b"first", 2) };
        ok("write the same as a stream", client.write_file(&path, same).await);
        let etag = ok("stat", client.metadata(&path).await).and_then(|facts| facts.etag).unwrap_or_default();
        assert!(client.replace_file(&path, Body::from("second"), &etag).await.is_err(), "replaced");
        assert_eq!(remote.read("file").await, "first");
    }
    ok("delete", remote.client.delete_file(&path).await);
    ok("write anew", remote.another().write_file(&path, Body::from("second")).await);
    assert_eq!(remote.read("file").await, "second");
}

pub(super) async fn listing(remote: &Remote<'_>) {
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

pub(super) async fn many(remote: &Remote<'_>) {
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

pub(super) async fn names(remote: &Remote<'_>) {
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
pub(super) async fn composed(remote: &Remote<'_>) {
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

pub(super) async fn hidden(remote: &Remote<'_>) {
    remote.write("seen", "1").await;
    remote.write(".hidden", "2").await;
    remote.write(".folder/inside", "3").await;
    assert_eq!(remote.listed_names().await, ["seen"]);
    assert!(ok("list folders", remote.client.list_folders(&remote.folder).await).is_empty());
    assert_eq!(remote.read(".hidden").await, "2");
    let inside = ok("list", remote.client.list_files(&remote.path(".folder")).await);
    assert_eq!(inside.len(), 1);
}

pub(super) async fn bad_paths(remote: &Remote<'_>) {
    use crate::mailbox::MailboxErrorKind::InvalidPath;
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

pub(super) async fn delete(remote: &Remote<'_>) {
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

pub(super) async fn metadata(remote: &Remote<'_>) {
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
