//! The mailbox behind a Cloudflare Worker: against the reference Worker in the real runtime, and against servers that
//! answer as they are told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;
#[path = "cloudflare/faults.rs"]
mod faults;
#[path = "cloudflare/meshes.rs"]
mod meshes;
#[path = "cloudflare/push.rs"]
mod push;
#[allow(dead_code, reason = "a part of it is for WebDAV")]
#[path = "webdav/server.rs"]
mod scripted;
#[path = "cloudflare/server.rs"]
mod server;

use std::error::Error;
use std::sync::Arc;

use interocitor_core::mailbox::{
    Body, CloudflareConfig, MailboxError, MailboxErrorKind as K, MailboxResult, StorageAdapter, suite,
};

use self::server::{ADDRESS, ask, client, config, host, url};

/// The token of [`ADDRESS`] under the secret `s3cret`, from the protocol.
const TOKEN: &str = "c02e0ee4528526a194dd6c781ab91c6cd0021ddd93ff3be177e8dc86ffc91ce3";

/// The error of a call, looked through for secrets.
#[track_caller]
fn error<T>(outcome: MailboxResult<T>) -> MailboxError {
    let Err(error) = outcome else { panic!("succeeded") };
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        shown.extend([inner.to_string(), format!("{inner:?}")]);
        source = inner.source();
    }
    for secret in [TOKEN, "s3cret"] {
        assert!(!shown.contains(secret), "a secret in {shown}");
    }
    error
}

#[track_caller]
fn kind<T>(outcome: MailboxResult<T>) -> K {
    error(outcome).kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_near_and_where_listings_are_old() {
    for mount in ["near", "far"] {
        let config = config(mount);
        suite::run(&|| Arc::new(client(&config)) as Arc<dyn StorageAdapter>, "/conformance").await;
    }
}

#[tokio::test]
async fn the_vectors_of_the_protocol_open_the_worker() {
    let near = CloudflareConfig::new(&url(&host(), "near", ADDRESS)).unwrap();
    client(&near).authenticate().await.unwrap();
    let base = format!(r#"{{"baseUrl":"http://{}/near/io/{ADDRESS}"}}"#, host());
    assert_eq!(client(&near).handshake_config(), Some(base));
    let forged = CloudflareConfig::new(&url(&host(), "near", &ADDRESS.replace("GaNI", "GaNJ"))).unwrap();
    assert_eq!(kind(client(&forged).authenticate().await), K::Forbidden);
    assert_eq!(kind(client(&forged).read_file("/Mesh/manifest.json").await), K::Forbidden);

    let secret = CloudflareConfig::new(&url(&host(), "secret", ADDRESS)).unwrap();
    for (config, wanted) in [
        (secret.clone(), Some(K::Unauthorized)),
        (secret.clone().with_token("s3cret"), Some(K::Unauthorized)),
        (secret.clone().with_access_secret("another"), Some(K::Unauthorized)),
        (secret.clone().with_token(TOKEN), None),
        (secret.with_access_secret("s3cret"), None),
    ] {
        let client = client(&config);
        assert!(!format!("{config:?} {client:?}").contains(TOKEN));
        let outcome = client.authenticate().await;
        let listing = client.list_folders("/").await;
        assert_eq!(outcome.as_ref().err().map(MailboxError::kind), wanted);
        assert_eq!(listing.as_ref().err().map(MailboxError::kind), wanted);
        if wanted.is_some() {
            error(outcome);
            error(listing);
        }
    }
}

#[tokio::test]
async fn nothing_goes_back_and_the_first_of_several_stays() {
    let config = config("near");
    let (a, b) = (client(&config), client(&config));
    let pointer =
        |generation: u32| Body::from(format!(r#"{{"currentGeneration":{generation}}}"#).into_bytes());
    let head = |clock: &str| Body::from(format!(r#"{{"latestHlc":"{clock}"}}"#).into_bytes());
    a.write_file("/Mesh/manifest.json", pointer(9)).await.unwrap();
    b.write_file("/Mesh/manifest.json", pointer(10)).await.unwrap();
    assert_eq!(kind(a.write_file("/Mesh/manifest.json", pointer(9)).await), K::Conflict);
    assert_eq!(kind(a.create_file("/Mesh/manifest.json", pointer(11)).await), K::AlreadyExists);
    assert_eq!(a.read_file("/Mesh/manifest.json").await.unwrap(), r#"{"currentGeneration":10}"#);
    a.write_file("/Mesh/changes/head.json", head("000002-0000-a")).await.unwrap();
    assert_eq!(kind(b.write_file("/Mesh/changes/head.json", head("000001-ffff-b")).await), K::Conflict);
    b.write_file("/Mesh/changes/head.json", head("000002-0000-b")).await.unwrap();
    for round in ["1", "2"] {
        a.write_file("/Mesh/devices/a.json", Body::from(round)).await.unwrap();
        assert_eq!(b.read_file("/Mesh/devices/a.json").await.unwrap(), round);
    }
    for path in
        ["/Mesh/manifest-2.json", "/Mesh/changes/1-chg_a.json", "/Mesh/mainline/s", "/handshake/x/hello"]
    {
        assert!(a.is_write_once(path), "{path}");
        a.create_file(path, Body::from("first")).await.unwrap();
        assert_eq!(kind(b.create_file(path, Body::from("first")).await), K::AlreadyExists, "{path}");
        assert_eq!(kind(b.write_file(path, Body::from("second")).await), K::AlreadyExists, "{path}");
        assert_eq!(b.read_file(path).await.unwrap(), "first");
    }
    // A version that was looked at before is replaced, and no other.
    let etag = a.metadata("/Mesh/devices/a.json").await.unwrap().unwrap().etag.unwrap();
    a.replace_file("/Mesh/devices/a.json", Body::from("3"), &etag).await.unwrap();
    let late = a.replace_file("/Mesh/devices/a.json", Body::from("4"), &etag).await;
    assert_eq!(kind(late), K::Conflict);
}

#[tokio::test]
async fn deleting_takes_one_file_and_never_a_folder() {
    let config = config("near");
    let client = client(&config);
    for path in ["/Mesh/manifest-1.json", "/Mesh/changes/1-chg_a.json", "/Mesh/notes/a", "/Mesh/files/f"] {
        client.write_file(path, Body::from("x")).await.unwrap();
    }
    let another = server::client(&config);
    for folder in ["/Mesh", "/Mesh/notes", "/Mesh/changes"] {
        assert_eq!(kind(another.delete_file(folder).await), K::InvalidPath, "{folder}");
    }
    assert_eq!(kind(another.delete_file("/").await), K::InvalidPath);
    another.delete_file("/Mesh/missing").await.unwrap();
    another.delete_file("/Mesh/files/missing").await.unwrap();
    for path in ["/Mesh/manifest-1.json", "/Mesh/changes/1-chg_a.json", "/Mesh/notes/a", "/Mesh/files/f"] {
        assert_eq!(client.read_file(path).await.unwrap(), "x", "{path}");
        another.delete_file(path).await.unwrap();
        assert_eq!(kind(client.read_file(path).await), K::NotFound, "{path}");
    }
}

/// Durable files have routes of their own: they are overwritten, and the Worker learns who put them.
#[tokio::test]
async fn durable_files_are_stored_apart() {
    let config = config("near");
    let client = client(&config.clone().with_device_id("dev-1"));
    let path = "/Mesh/files/a folder/100% ü.bin";
    client.write_file(path, Body::from("one")).await.unwrap();
    client.introduce("dev-2");
    client.write_file(path, Body::from("two!")).await.unwrap();
    let facts = server::client(&config).metadata(path).await.unwrap().unwrap();
    assert_eq!((facts.name.as_str(), facts.size), ("100% ü.bin", Some(4)));
    let route = config.url().split_once(&host()).unwrap().1;
    let body = format!(r#"{{"path":"{path}"}}"#);
    let (status, about) = ask("POST", &format!("{route}/stored-file-metadata"), "", &body);
    assert!(status == 200 && about.contains(r#""uploadedByDeviceId":"dev-2""#), "{about}");
    // No listing shows them, and no mesh can lie among them.
    assert_eq!(kind(client.list_files("/Mesh/files").await), K::NotFound);
    let founded = client.create_file("/x/files/mesh/manifest-1.json", Body::from("{}")).await;
    assert_eq!(kind(founded), K::InvalidPath);
    assert_eq!(kind(client.create_file(path, Body::from("x")).await), K::AlreadyExists);

    // A reader beside a writer sees one body or the other.
    let bodies = [vec![1_u8; 300_000], vec![2; 300_000]];
    let (writer, reader) = (server::client(&config), server::client(&config));
    writer.write_file(path, Body::from(bodies[0].clone())).await.unwrap();
    let write = async {
        for round in 0..20 {
            writer.write_file(path, Body::from(bodies[round % 2].clone())).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..40 {
            match reader.read_file(path).await {
                Ok(seen) => assert!(bodies.iter().any(|body| seen == *body), "a mixture"),
                Err(error) => assert_eq!(error.kind(), K::Unavailable, "{error}"),
            }
        }
    };
    futures_util::future::join(write, read).await;
}

#[tokio::test]
async fn limits_of_a_worker_are_typed_errors() {
    let tiny = client(&config("tiny"));
    let body = |len: usize| Body::from(vec![7; len]);
    assert_eq!(kind(tiny.write_file("/Mesh/files/a", body(100_001)).await), K::TooLarge);
    tiny.write_file("/Mesh/files/a", body(100_000)).await.unwrap();
    let full = error(tiny.write_file("/Mesh/files/b", body(60_000)).await);
    assert_eq!((full.kind(), full.status()), (K::QuotaFull, Some(413)), "{full}");
    tiny.write_file("/Mesh/files/a", body(60_000)).await.unwrap();
    tiny.write_file("/Mesh/files/b", body(60_000)).await.unwrap();
    assert_eq!(kind(tiny.write_file("/Mesh/changes/1-chg_a.json", body(20_001)).await), K::TooLarge);
    assert_eq!(kind(tiny.write_file("/Mesh/devices/a.json", body(262_145)).await), K::TooLarge);

    let bare = error(client(&config("bare")).write_file("/Mesh/files/a", body(1)).await);
    assert_eq!((bare.kind(), bare.is_retryable()), (K::Forbidden, false), "{bare}");
}
