//! The WebDAV mailbox against real servers, and against one that does everything wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;
#[path = "webdav/faults.rs"]
mod faults;
#[path = "webdav/model.rs"]
mod model;
#[path = "webdav/platform.rs"]
mod platform;
#[path = "webdav/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use interocitor_core::mailbox::{
    Body, MailboxError, MailboxErrorKind as K, StorageAdapter, WebDavAuth, WebDavConfig, WebDavMailbox, suite,
};

use interocitor_core::{FileForm, StoreLocation};

use self::common::carrier::Carrier;
use self::common::open_at;
use self::faults::{client, error, impatient, kind};
use self::model::{ALL, Abilities, Model};

/// The real servers, by the variable that tells their address.
const SERVERS: [&str; 4] =
    ["WEBDAV_APACHE_URL", "WEBDAV_DIGEST_URL", "WEBDAV_NGINX_URL", "WEBDAV_RCLONE_URL"];

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_real_servers() {
    let mut tried = 0;
    for variable in SERVERS {
        let Ok(url) = std::env::var(variable) else { continue };
        tried += 1;
        let config = WebDavConfig::new(&url).unwrap();
        let make = || Arc::new(WebDavMailbox::new(&config).unwrap()) as Arc<dyn StorageAdapter>;
        let client = make();
        client.authenticate().await.unwrap();
        println!("{variable}: {client:?}");
        let capabilities = client.capabilities();
        assert!(capabilities.exclusive_create && capabilities.streaming);
        // nginx tells no versions.
        assert_eq!(capabilities.conditional_replace, !variable.contains("NGINX"));
        suite::run(&make, &format!("/conformance {}", std::process::id())).await;
        // Once more with large uploads in the hands of a platform.
        let (carrier, spool) = (Carrier::new(), tempfile::tempdir().unwrap());
        let carried = config.clone().with_platform_uploads(carrier.uploads(spool.path()));
        let make = || Arc::new(WebDavMailbox::new(&carried).unwrap()) as Arc<dyn StorageAdapter>;
        suite::run(&make, &format!("/carried {}", std::process::id())).await;
        assert!(!carrier.seen().is_empty(), "{variable}: nothing was carried");
        // Wrong credentials are told apart from a missing mailbox.
        let wrong = if url.ends_with("digest") { WebDavAuth::digest } else { WebDavAuth::basic };
        let stranger = config.with_auth(wrong("user", "wrong"));
        let stranger = WebDavMailbox::new(&stranger).unwrap();
        assert_eq!(stranger.authenticate().await.unwrap_err().kind(), K::Unauthorized);
        assert_eq!(stranger.read_file("/x").await.unwrap_err().kind(), K::Unauthorized);
    }
    assert!(tried > 0, "no server to test against: run `bash tests/run.sh mailboxes`");
}

/// Servers limit how much they tell at once: none is asked for more than one folder.
#[tokio::test(flavor = "multi_thread")]
async fn folders_of_more_than_a_thousand_names_are_listed_whole() {
    const NAMES: usize = 1100;
    for variable in SERVERS {
        let Ok(url) = std::env::var(variable) else { continue };
        let client = WebDavMailbox::new(&WebDavConfig::new(&url).unwrap()).unwrap();
        let folder = format!("/many {}", std::process::id());
        client.ensure_folder(&folder).await.unwrap();
        let write = async |number: usize| {
            client.write_file(&format!("{folder}/{number:04}"), Body::from("x")).await.unwrap();
        };
        stream::iter(0..NAMES).map(write).buffer_unordered(8).collect::<Vec<_>>().await;
        let mut names: Vec<_> =
            client.list_files(&folder).await.unwrap().into_iter().map(|file| file.name).collect();
        names.sort();
        assert!(names.into_iter().eq((0..NAMES).map(|number| format!("{number:04}"))), "{variable}");
        assert!(client.list_tree("/").await.unwrap().is_none());
    }
    let model = Model::start(ALL).await;
    suite::run(&|| Arc::new(client(&model.server)), "/Mesh").await;
    let depths = model.server.seen();
    let depths =
        depths.iter().filter(|request| request.method == "PROPFIND").map(|request| request.header("depth"));
    assert!(depths.into_iter().all(|depth| matches!(depth, Some("0" | "1"))));
}

/// Challenges last two seconds there. One that has run out is answered anew, also for a body that can be sent only once.
#[tokio::test]
async fn challenges_that_run_out_are_answered_anew() {
    let url = std::env::var("WEBDAV_DIGEST_URL").expect("run `bash tests/run.sh mailboxes`");
    let client = WebDavMailbox::new(&WebDavConfig::new(&url).unwrap()).unwrap();
    let path = format!("/stale {}/x", std::process::id());
    client.write_file(&path, Body::from("first")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    let stream = stream::iter([Ok(Bytes::from(vec![7; 300_000]))]).boxed();
    client.write_file(&path, Body::Stream { len: 300_000, stream }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(client.read_file(&path).await.unwrap(), vec![7; 300_000]);
    // The server wants another way of asking than the one that was chosen.
    let basic = std::env::var("WEBDAV_APACHE_URL").expect("run `bash tests/run.sh mailboxes`");
    let client = WebDavMailbox::new(&WebDavConfig::new(&format!("{basic}?auth=digest")).unwrap()).unwrap();
    let error = error(client.read_file(&path).await);
    assert_eq!(error.kind(), K::Unauthorized);
    assert!(error.to_string().contains("digest"), "{error}");
}

/// A server of its own, with the certificate of a private authority.
struct TlsServer {
    process: Child,
    url: String,
    authority: String,
}

impl TlsServer {
    fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/webdav/apache.sh");
        let mut command = Command::new("bash");
        let mut process = command.args([script, &port, "tls"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (url, authority) = (lines.next(), lines.next());
        let (url, authority) = url.zip(authority).expect("no server: run `bash tests/run.sh mailboxes`");
        Self { process, url, authority: std::fs::read_to_string(authority).unwrap() }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // TERM, so that the script ends its server too.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn speaks_tls_with_those_it_can_trust() {
    let server = TlsServer::start();
    let config = WebDavConfig::new(&server.url).unwrap();
    let trusting = WebDavMailbox::new(&config.clone().with_authorities(&server.authority).unwrap()).unwrap();
    trusting.authenticate().await.unwrap();
    let body = vec![7; 3_000_000];
    trusting.write_file("/tls", Body::from(body.clone())).await.unwrap();
    assert_eq!(trusting.read_file("/tls").await.unwrap(), body);

    // An authority that nobody knows, another name than in the certificate, no TLS at all.
    let strict = WebDavMailbox::new(&config).unwrap();
    let unknown = error(strict.read_file("/tls").await);
    assert_eq!((unknown.kind(), unknown.is_retryable()), (K::Protocol, false), "{unknown:?}");
    let misnamed = WebDavConfig::new(&server.url.replace("127.0.0.1", "localhost")).unwrap();
    let misnamed = WebDavMailbox::new(&misnamed.with_authorities(&server.authority).unwrap()).unwrap();
    assert_eq!(kind(misnamed.read_file("/tls").await), K::Protocol);
    let plain =
        WebDavMailbox::new(&WebDavConfig::new(&server.url.replace("https:", "http:")).unwrap()).unwrap();
    assert_eq!(kind(plain.read_file("/tls").await), K::Protocol);
}

/// The same with servers that lack this or that: everything works, races apart.
#[tokio::test]
async fn conforms_on_poorer_servers() {
    let servers = [
        (ALL, true),
        (Abilities { makes_once: false, ..ALL }, true),
        (Abilities { moves: false, minds_depth: false, ..ALL }, true),
        (Abilities { moves: false, makes_once: false, ..ALL }, true),
        (Abilities { keeps: false, ..ALL }, true),
        (Abilities { etags: false, ..ALL }, true),
        (Abilities { fine_etags: false, ..ALL }, true),
        (Abilities { makes_once: false, locks: false, ..ALL }, false),
        (Abilities { makes_once: false, locks: false, keeps: false, ..ALL }, false),
        (Abilities { makes_once: false, locks: false, moves: false, conditions: false, ..ALL }, false),
        (
            Abilities {
                makes_once: false,
                locks: false,
                moves: false,
                conditions: false,
                etags: false,
                fine_etags: false,
                keeps: false,
                minds_depth: false,
            },
            false,
        ),
    ];
    future::join_all(servers.map(|(abilities, exclusive)| conforms_on_model(abilities, exclusive))).await;
}

async fn conforms_on_model(abilities: Abilities, exclusive: bool) {
    let model = Model::start(abilities).await;
    let make = || Arc::new(client(&model.server)) as Arc<dyn StorageAdapter>;
    let first = make();
    first.authenticate().await.unwrap();
    let capabilities = first.capabilities();
    assert_eq!(capabilities.exclusive_create, exclusive, "{abilities:?}");
    assert_eq!(
        capabilities.conditional_replace,
        exclusive && abilities.etags && abilities.fine_etags,
        "{abilities:?}"
    );
    suite::run(&make, "/Mesh").await;
    let left: Vec<_> = model.paths().into_iter().filter(|path| path.contains("interocitor")).collect();
    assert_eq!(left, Vec::<String>::new(), "left over: {abilities:?}");
}

#[tokio::test]
async fn the_claim_of_a_dead_device_is_evicted_and_that_of_a_living_one_respected() {
    for (age, expected) in [(Duration::from_mins(3), None), (Duration::ZERO, Some(K::Unavailable))] {
        let model = Model::start(ALL).await;
        let client = impatient(&model.server);
        client.authenticate().await.unwrap();
        client.ensure_folder("/Mesh").await.unwrap();
        let claim = "/dav/Mesh/.interocitor-tmp-claim";
        model.make_folder(claim, age);
        let outcome = client.create_file("/Mesh/x", Body::from("body")).await;
        assert_eq!(outcome.as_ref().err().map(MailboxError::kind), expected);
        let left: Vec<_> = model.paths().into_iter().filter(|path| path.contains("interocitor")).collect();
        assert_eq!(left, if expected.is_some() { vec![claim] } else { vec![] });
        // Other writes are not held up.
        client.write_file("/Mesh/y", Body::from("body")).await.unwrap();
    }
}

#[tokio::test]
async fn abandoned_temporary_files_go_with_a_listing() {
    let model = Model::start(ALL).await;
    model.make_folder("/dav/.interocitor-tmp-old", Duration::from_hours(30));
    model.make_folder("/dav/.interocitor-tmp-new", Duration::from_hours(20));
    assert!(client(&model.server).list_files("/").await.unwrap().is_empty());
    assert_eq!(model.paths(), ["/dav", "/dav/.interocitor-tmp-new"]);
}

/// Up and down, in the form that needs a sidecar and in the one that does not.
#[tokio::test]
async fn small_files_cost_a_request_each_and_one_more_for_a_sidecar() {
    const FILES: usize = 300;
    for (form, most) in [(FileForm::Hashed, FILES * 12 / 10), (FileForm::Plain, FILES * 22 / 10)] {
        let model = Model::start(ALL).await;
        let device = async || {
            let db = open_at(StoreLocation::Memory, |config| {
                config.passphrase = Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into());
                config.file_form = Some(form);
            })
            .await;
            db.set_remote_storage(Some(Arc::new(client(&model.server)))).await;
            assert!(db.connect().await.unwrap().is_online());
            db
        };
        let (phone, tablet) = (device().await, device().await);
        let before = model.server.seen().len();
        for number in 0..FILES {
            phone.put_file(&format!("notes/{number}"), number.to_string().into_bytes(), None).await.unwrap();
        }
        phone.sync_files().await.unwrap();
        let middle = model.server.seen().len();
        for number in 0..FILES {
            let content = tablet.get_file(&format!("notes/{number}")).await.unwrap();
            assert_eq!(content.bytes().await.unwrap(), number.to_string().into_bytes());
        }
        let (up, down) = (middle - before, model.server.seen().len() - middle);
        assert!(up >= FILES && down >= FILES, "{form:?}: {up} requests up and {down} down");
        assert!(up <= most && down <= most, "{form:?}: {up} requests up and {down} down for {FILES} files");
    }
}
