//! Large uploads in the hands of the app, as Swift and Kotlin carry them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use interocitor_ffi::{
    FileSource, GoogleDriveOptions, HttpHeader, Interocitor, Mailbox, MailboxFailure, MailboxFault,
    PlatformHttp, PlatformUploads, Problem, UploadRequest, UploadResponse,
};

use crate::{
    drive::Drive,
    options,
    support::{code, member, wait},
};

/// Drive takes larger bodies in parts, which the platform carries.
const LARGE: usize = 6_000_000;

/// Plays the platform: sends what it is given, or answers as it is told.
#[derive(Default)]
struct Carrier {
    seen: Mutex<Vec<UploadRequest>>,
    told: Mutex<Option<Result<UploadResponse, MailboxFailure>>>,
}

#[async_trait]
impl PlatformHttp for Carrier {
    async fn upload(&self, request: UploadRequest) -> Result<UploadResponse, MailboxFailure> {
        let told = self.told.lock().unwrap().take();
        let answer = told.unwrap_or_else(|| Ok(send(&request)));
        self.seen.lock().unwrap().push(request);
        answer
    }
}

/// Sends a request as it is, with nothing but what HTTP itself needs.
fn send(request: &UploadRequest) -> UploadResponse {
    let body = std::fs::read(&request.body).unwrap();
    assert_eq!(i64::try_from(body.len()).unwrap(), request.len);
    let (host, path) = request.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut head = format!("{} /{path} HTTP/1.1\r\nHost: {host}\r\n", request.method);
    for header in &request.headers {
        head.extend([&header.name, ": ", &header.value, "\r\n"]);
    }
    head.extend(["Content-Length: ", &body.len().to_string(), "\r\nConnection: close\r\n\r\n"]);
    let mut connection = TcpStream::connect(host).unwrap();
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.lines();
    UploadResponse {
        status: lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| header(name, value))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

fn header(name: &str, value: &str) -> HttpHeader {
    HttpHeader { name: name.into(), value: value.into() }
}

fn mailbox(drive: &Drive, carrier: &Arc<Carrier>, spool: &Path) -> Arc<Mailbox> {
    let http = Arc::clone(carrier) as Arc<dyn PlatformHttp>;
    let options = GoogleDriveOptions {
        token: Some("token-1".into()),
        folder: None,
        endpoint: Some(drive.url.clone()),
        timeout_ms: 20_000,
        uploads: Some(Arc::new(PlatformUploads::new(http, spool.display().to_string()).unwrap())),
        ..options::drive()
    };
    Arc::new(Mailbox::google_drive(options).unwrap())
}

fn put(db: &Interocitor, path: &str, len: usize) {
    wait(db.put_file(path.into(), FileSource::Bytes { content: vec![7; len] }, None, None)).unwrap();
}

fn spooled(spool: &Path) -> usize {
    std::fs::read_dir(spool).unwrap().count()
}

#[test]
fn a_large_file_is_carried_as_the_platform_is_told() {
    let (drive, carrier, spool) =
        (Drive::start(), Arc::new(Carrier::default()), tempfile::tempdir().unwrap());
    let mailbox = mailbox(&drive, &carrier, spool.path());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    put(&a, "small", 1000);
    put(&a, "large", LARGE);
    assert_eq!(wait(a.sync_files(None)).unwrap().done, 2);
    {
        let seen = carrier.seen.lock().unwrap();
        let [request] = &seen[..] else { panic!("{seen:?}") };
        assert!(request.method == "PUT" && request.url.starts_with(&drive.url), "{request:?}");
        let value =
            |name: &str| request.headers.iter().find(|known| known.name == name).map(|known| &*known.value);
        assert_eq!(value("authorization"), Some("Bearer token-1"));
        let range = format!("bytes 0-{}/{}", request.len - 1, request.len);
        assert_eq!(value("content-range"), Some(&*range));
        assert!(Path::new(&request.body).starts_with(spool.path()) && request.body.ends_with(&request.id));
        let shown = format!("{request:?} {:?}", request.headers);
        assert!(!shown.contains("token-1") && !shown.contains("http"), "{shown}");
    }
    assert_eq!(spooled(spool.path()), 0);
    // The answer of the server was told as it came: both devices know the file.
    let content = wait(b.get_file("large".into(), None, false, None)).unwrap();
    assert!(wait(content.bytes(None)).unwrap() == vec![7; LARGE]);
}

#[test]
fn an_answer_is_believed_and_an_error_keeps_its_kind() {
    let (drive, carrier, spool) =
        (Drive::start(), Arc::new(Carrier::default()), tempfile::tempdir().unwrap());
    let db = member(&mailbox(&drive, &carrier, spool.path()), |_| {});
    put(&db, "large", LARGE);
    let problem = |told: Result<UploadResponse, MailboxFailure>| -> Problem {
        *carrier.told.lock().unwrap() = Some(told);
        let synced = wait(db.sync_files(None)).unwrap();
        assert_eq!((synced.done, synced.failed), (0, 1));
        assert!(carrier.told.lock().unwrap().is_none(), "the platform was asked");
        assert_eq!(spooled(spool.path()), 0);
        let transfers = wait(db.file_transfers()).unwrap();
        transfers.into_iter().next().unwrap().transfer.unwrap().problem.unwrap()
    };
    // Status, headers and body: the one meaning is in the body.
    let full = br#"{"error":{"errors":[{"reason":"storageQuotaExceeded"}]}}"#;
    let headers = vec![header("content-type", "application/json")];
    assert_eq!(problem(Ok(UploadResponse { status: 403, headers, body: full.to_vec() })).code, "QUOTA_FULL");
    // Told by a header: more is stored than was sent.
    let headers = vec![header("range", "bytes=0-99999999")];
    let odd = problem(Ok(UploadResponse { status: 308, headers, body: Vec::new() }));
    assert!(odd.code == "REMOTE_ACCESS" && odd.reason.contains("another part"), "{odd:?}");
    for (fault, wanted) in [
        (MailboxFault::Offline, "OFFLINE"),
        (MailboxFault::Timeout, "REMOTE_TIMEOUT"),
        (MailboxFault::Forbidden, "REMOTE_ACCESS"),
        (MailboxFault::RateLimited, "REMOTE_ACCESS"),
        (MailboxFault::Unavailable, "REMOTE_ACCESS"),
        // The platform knows the way, not what lies at its end.
        (MailboxFault::NotFound, "REMOTE_ACCESS"),
    ] {
        let told = MailboxFailure::Failed { fault, reason: "on purpose".into(), retry_after_ms: Some(0) };
        assert_eq!(problem(Err(told)).code, wanted, "{fault:?}");
    }
    assert_eq!(wait(db.sync_files(None)).unwrap().done, 1);
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = PlatformUploads::new(Arc::new(Carrier::default()), file.path().display().to_string());
    assert_eq!(code(refused), "INVALID_ARGUMENT");
}
