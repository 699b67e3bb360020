//! The engine's mailboxes behind HTTP: what their options refuse, and that a remote which is not there is an answer.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
};

use async_trait::async_trait;
use interocitor_ffi::{
    CloudflareOptions, Failure, GoogleDriveOptions, Mailbox, MailboxFailure, S3Addressing, S3Options,
    TokenProvider, WebDavOptions,
};

use crate::{
    drive::Drive,
    options::{drive, s3, webdav, worker},
    support::{code, member, open, text, wait},
};

struct Tokens;

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, _: Option<String>) -> Result<String, MailboxFailure> {
        Ok("s3cret".into())
    }
}

/// Refused as unusable, naming what it is about and showing no secret.
fn refused(about: &str, mailbox: Result<Mailbox, Failure>) {
    let failure = mailbox.map(|_| ()).unwrap_err();
    let shown = format!("{failure} {failure:?}");
    assert!(shown.contains(about), "{about}: {shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(code(Err::<(), _>(failure)), "INVALID_ARGUMENT");
}

#[test]
fn a_remote_that_is_not_there_is_offline_and_retryable() {
    let table = [
        ("s3", Mailbox::s3(s3())),
        ("gdrive", Mailbox::google_drive(drive())),
        ("cloudflare", Mailbox::cloudflare(worker())),
        ("webdav", Mailbox::webdav(webdav())),
    ];
    for (kind, mailbox) in table {
        let mailbox = mailbox.unwrap();
        assert_eq!(mailbox.kind(), kind);
        assert!(!format!("{mailbox:?}").contains("s3cret"), "{mailbox:?}");
        let db = open(|_| {});
        wait(db.set_remote_storage(Some(Arc::new(mailbox)))).unwrap();
        let failure = wait(db.sync_once(10_000, None)).unwrap_err();
        assert!(matches!(failure, Failure::Remote { retryable: true, .. }), "{kind}: {failure:?}");
        assert_eq!(code(Err::<(), _>(failure)), "OFFLINE", "{kind}");
    }
}

#[test]
fn s3_options_are_checked() {
    for addressing in [None, Some(S3Addressing::Path), Some(S3Addressing::VirtualHost)] {
        assert_eq!(Mailbox::s3(S3Options { addressing, endpoint: None, ..s3() }).unwrap().kind(), "s3");
    }
    for bucket in
        ["", "a", "s3cret:s3cret@notes", "notes/s3cret", "notes?region=s3cret", "notes#s3cret", "no tes"]
    {
        refused("bucket", Mailbox::s3(S3Options { bucket: bucket.into(), ..s3() }));
    }
    refused("prefix", Mailbox::s3(S3Options { prefix: "a/../s3cret".into(), ..s3() }));
    for endpoint in ["ftp://host", "http://u:s3cret@host", "http://host/s3cret", "s3cret"] {
        refused("endpoint", Mailbox::s3(S3Options { endpoint: Some(endpoint.into()), ..s3() }));
    }
    refused("region", Mailbox::s3(S3Options { region: "a/s3cret".into(), ..s3() }));
    refused("credentials", Mailbox::s3(S3Options { access_key: String::new(), ..s3() }));
    refused("authorities", Mailbox::s3(S3Options { authorities: Some("s3cret".into()), ..s3() }));
    refused("timeout_ms", Mailbox::s3(S3Options { timeout_ms: -1, ..s3() }));
    assert!(!format!("{:?}", s3()).contains("s3cret"));
}

#[test]
fn google_drive_options_are_checked() {
    let provided = || GoogleDriveOptions { token: None, token_provider: Some(Arc::new(Tokens)), ..drive() };
    assert_eq!(Mailbox::google_drive(provided()).unwrap().kind(), "gdrive");
    refused("credentials", Mailbox::google_drive(GoogleDriveOptions { token: None, ..drive() }));
    refused(
        "credentials",
        Mailbox::google_drive(GoogleDriveOptions { token: Some("s3cret".into()), ..provided() }),
    );
    refused(
        "credentials",
        Mailbox::google_drive(GoogleDriveOptions { token: Some("s3cret\n".into()), ..drive() }),
    );
    refused(
        "folder",
        Mailbox::google_drive(GoogleDriveOptions { folder: Some("../s3cret".into()), ..drive() }),
    );
    for endpoint in ["ftp://host", "http://u:s3cret@host", "http://host/s3cret"] {
        let options = GoogleDriveOptions { endpoint: Some(endpoint.into()), ..drive() };
        refused("endpoint", Mailbox::google_drive(options));
    }
    refused("timeout_ms", Mailbox::google_drive(GoogleDriveOptions { timeout_ms: -1, ..drive() }));
    assert!(!format!("{:?}", drive()).contains("s3cret"));
}

#[test]
fn cloudflare_options_are_checked() {
    let bare = || CloudflareOptions { token: None, ..worker() };
    let secret = || Some("s3cret".to_owned());
    for options in [
        bare(),
        CloudflareOptions { token_provider: Some(Arc::new(Tokens)), ..bare() },
        CloudflareOptions { access_secret: secret(), push: true, ..bare() },
    ] {
        assert_eq!(Mailbox::cloudflare(options).unwrap().kind(), "cloudflare");
    }
    for url in ["s3cret", "ftp://host/io/a", "https://host/s3cret", "https://u:s3cret@host/io/a"] {
        refused("url", Mailbox::cloudflare(CloudflareOptions { url: url.into(), ..worker() }));
    }
    refused("credentials", Mailbox::cloudflare(CloudflareOptions { access_secret: secret(), ..worker() }));
    let both = CloudflareOptions { token_provider: Some(Arc::new(Tokens)), ..worker() };
    refused("credentials", Mailbox::cloudflare(both));
    refused("max_file_bytes", Mailbox::cloudflare(CloudflareOptions { max_file_bytes: -1, ..worker() }));
    refused("authorities", Mailbox::cloudflare(CloudflareOptions { authorities: secret(), ..worker() }));
    refused("timeout_ms", Mailbox::cloudflare(CloudflareOptions { timeout_ms: -1, ..worker() }));
    assert!(!format!("{:?}", worker()).contains("s3cret"));
}

#[test]
fn digest_is_for_a_user_with_a_password() {
    refused("credentials", Mailbox::webdav(WebDavOptions { user: None, password: None, ..webdav() }));
    let token = Some("s3cret".into());
    refused("credentials", Mailbox::webdav(WebDavOptions { user: None, password: None, token, ..webdav() }));
}

/// A server that refuses everything, and what it was asked, in lower case.
fn refusing() -> (String, mpsc::Receiver<String>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut request = vec![0; 16 * 1024];
            let read = connection.read(&mut request).unwrap();
            let answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            // Told first: whoever has the answer may look at once.
            if sender.send(String::from_utf8_lossy(&request[..read]).to_lowercase()).is_err() {
                return;
            }
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, asked)
}

/// What a mailbox asks such a server until it gives up.
fn asked(open_mailbox: impl FnOnce(String) -> Mailbox) -> Vec<String> {
    let (url, asked) = refusing();
    let db = open(|_| {});
    wait(db.set_remote_storage(Some(Arc::new(open_mailbox(url))))).unwrap();
    assert_eq!(code(wait(db.sync_once(10_000, None))), "REMOTE_ACCESS");
    asked.try_iter().collect()
}

#[test]
fn digest_answers_the_challenge_and_sends_no_password() {
    let requests = asked(|url| Mailbox::webdav(WebDavOptions { url, ..webdav() }).unwrap());
    let answered = requests.iter().find(|request| request.contains("authorization: digest")).unwrap();
    assert!(answered.contains("username=\"u\""), "{answered}");
    for request in &requests {
        assert!(!request.contains("authorization: basic") && !request.contains("s3cret"), "{request}");
    }
}

#[test]
fn s3_requests_are_as_the_options_say() {
    let options =
        |url, addressing| S3Options { endpoint: Some(url), region: "eu-x".into(), addressing, ..s3() };
    let requests = asked(|url| Mailbox::s3(options(url, Some(S3Addressing::Path))).unwrap());
    let request = requests.first().unwrap();
    assert!(request.contains(" /notes") && request.contains("/eu-x/s3/"), "{request}");
    assert!(request.contains("credential=s3cret-id/"), "{request}");
    assert!(request.contains("x-amz-security-token: s3cret"), "{request}");
    // The prefix is taken as it is.
    let prefix = ["in%20a%2ffolder%3f%23%2541", "in%20a/folder%3f%23%2541", "in+a%2ffolder%3f%23%2541"];
    assert!(
        requests.iter().any(|request| prefix.iter().any(|prefix| request.contains(prefix))),
        "{requests:?}"
    );
}

#[test]
fn tokens_are_those_of_the_options() {
    let bearer = |request: &String| {
        let (_, rest) = request.split_once("authorization: bearer ").unwrap();
        rest.split_once("\r\n").unwrap().0.to_owned()
    };
    let requests =
        asked(|url| Mailbox::google_drive(GoogleDriveOptions { endpoint: Some(url), ..drive() }).unwrap());
    assert_eq!(bearer(&requests[0]), "s3cret");
    let worker = |url: String| CloudflareOptions { url: format!("{url}/at/io/uuid.tag"), ..worker() };
    let requests = asked(|url| Mailbox::cloudflare(worker(url)).unwrap());
    assert_eq!(bearer(&requests[0]), "s3cret");
    assert!(requests[0].contains(" /at/io/uuid.tag"), "{}", requests[0]);
    let requests = asked(|url| {
        let secret = Some("s3cret".into());
        Mailbox::cloudflare(CloudflareOptions { token: None, access_secret: secret, ..worker(url) }).unwrap()
    });
    // The SHA-256 of address and secret; the secret itself stays here.
    assert_eq!(bearer(&requests[0]).len(), 64);
    assert!(requests.iter().all(|request| !request.contains("s3cret")));
}

#[test]
fn two_devices_converge_over_drive() {
    /// Has an expired token at first.
    struct Refreshing;
    #[async_trait]
    impl TokenProvider for Refreshing {
        async fn token(&self, rejected: Option<String>) -> Result<String, MailboxFailure> {
            Ok(if rejected.as_deref() == Some("expired") { "token-1" } else { "expired" }.into())
        }
    }
    let server = Drive::start();
    let mailbox = Arc::new(
        Mailbox::google_drive(GoogleDriveOptions {
            token: None,
            token_provider: Some(Arc::new(Refreshing)),
            folder: None,
            endpoint: Some(server.url.clone()),
            ..drive()
        })
        .unwrap(),
    );
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    wait(a.table("t".into()).put("r".into(), br#"{"v":1}"#.to_vec())).unwrap();
    wait(a.sync(None)).unwrap();
    wait(b.sync(None)).unwrap();
    assert_eq!(text(wait(b.table("t".into()).row("r".into())).unwrap()).unwrap(), r#"{"v":1}"#);
}
