//! Uploads in the hands of the operating system: what is to be sent lies in a file, so that it travels on while the
//! app is frozen.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Response, ResponseBuilderExt};

use super::super::{MailboxError, MailboxErrorKind, MailboxResult};
use super::spool::Spooled;
use super::{Head, refuse};

/// Bodies from this size on are handed to the platform, in bytes. Smaller ones have left sooner than a job begins.
pub(super) const CARRIED_MIN: u64 = 1024 * 1024;
/// The longest answer that is taken from the platform, in bytes. Answers to uploads are short.
const ANSWER_MAX: usize = 1024 * 1024;
/// An upload that the platform has not ended after this time is given up, and begun anew by whoever wanted it.
const PATIENCE: Duration = Duration::from_hours(24);

/// Distinguishes the spooled files of this process from those that a former one left.
static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-", std::process::id(), began.as_nanos())
});

/// Uploads of this process so far.
static UPLOADS: AtomicU64 = AtomicU64::new(0);

/// What spooled files are named after.
const PREFIX: &str = "interocitor-upload-";

/// Carries uploads for the app: a background session of `URLSession`, a job of Android.
///
/// What it must keep to:
///
/// - **Redirects are answers** and not followed. The mailbox follows those that are safe, with another upload.
/// - **The request is sent as it is**, with these headers and the file as its body; nothing is added but what HTTP
///   itself needs (`Host`, `Content-Length`).
/// - **Dropping the future cancels the upload.** The file is removed at that moment.
/// - **It may take its time**: until there is a network, or until the device is charging. After a day the upload is
///   given up.
/// - **Errors** are those of the way there ([`Offline`](MailboxErrorKind::Offline), [`Timeout`](MailboxErrorKind::Timeout),
///   [`Unavailable`](MailboxErrorKind::Unavailable), …). Whatever the server answers is an answer, not an error.
#[async_trait]
pub trait PlatformHttp: Send + Sync + fmt::Debug {
    /// Sends a file and gives the answer of the server, whatever its status.
    async fn upload(&self, request: UploadRequest) -> MailboxResult<UploadResponse>;
}

/// An upload that the platform is to carry.
#[derive(Clone)]
pub struct UploadRequest {
    /// Names the upload; no two have the same.
    pub id: String,
    /// Method, such as `PUT`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers, credentials among them: keep them out of logs.
    pub headers: Vec<(String, String)>,
    /// The file that is the body. It stays as it is until the upload ends.
    pub body: PathBuf,
    /// Its length in bytes.
    pub len: u64,
}

impl fmt::Debug for UploadRequest {
    /// Address and headers hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadRequest")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// What the server answered to an upload.
#[derive(Debug, Clone, Default)]
pub struct UploadResponse {
    /// Status, 200 to 599.
    pub status: u16,
    /// Headers; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// Body, up to 1 MiB.
    pub body: Vec<u8>,
}

/// Hands large uploads of a mailbox to the platform.
///
/// Durable files of 1 MiB and more are written to a folder on this disk, as the server is to store them (encrypted in
/// an encrypted mesh), and sent from there. Everything else goes as ever. Clones share one carrier and folder.
///
/// Google Drive (over 5 MB) and S3 (over 8 MiB) take such a file in parts of 8 MiB, each an upload of its own that begins
/// when the one before has ended: while a process is frozen, no new part begins.
#[derive(Debug, Clone)]
pub struct PlatformUploads {
    http: Arc<dyn PlatformHttp>,
    folder: PathBuf,
}

impl PlatformUploads {
    /// With this carrier, and a folder for what waits to be sent. The folder is made where it is missing. It belongs to
    /// this process: spooled files that another one left behind when it was killed are removed.
    ///
    /// # Errors
    ///
    /// [`MailboxErrorKind::Io`] or [`MailboxErrorKind::DiskFull`] where the folder cannot be used.
    pub fn new(http: Arc<dyn PlatformHttp>, folder: impl Into<PathBuf>) -> MailboxResult<Self> {
        let folder = folder.into();
        let swept = std::fs::create_dir_all(&folder).and_then(|()| sweep(&folder));
        swept.map_err(|error| {
            let message = "the folder for what waits to be sent cannot be used";
            refuse(kind_of(&error), message).with_source(error)
        })?;
        Ok(Self { http, folder })
    }

    /// A name for another upload, and where its body is spooled.
    pub(super) fn next(&self) -> (String, PathBuf) {
        let id = format!("{}{}", *PROCESS, UPLOADS.fetch_add(1, Ordering::Relaxed));
        let body = self.folder.join(format!("{PREFIX}{id}"));
        (id, body)
    }

    /// Has a spooled body sent; the answer is one like any other.
    pub(super) async fn carry(&self, head: &Head<'_>, spooled: &Spooled) -> MailboxResult<Response> {
        let headers = head.headers.iter().map(|(name, value)| {
            let text = value.to_str().map_err(|error| {
                head.error(MailboxErrorKind::Protocol, "a header cannot be sent").with_source(error)
            })?;
            Ok((name.as_str().to_owned(), text.to_owned()))
        });
        let mut headers = headers.collect::<MailboxResult<Vec<_>>>()?;
        headers.push(("accept-encoding".to_owned(), "identity".to_owned()));
        headers.push(("user-agent".to_owned(), super::USER_AGENT.to_owned()));
        let request = UploadRequest {
            id: spooled.id.clone(),
            method: head.method.to_owned(),
            url: head.url.to_string(),
            headers,
            body: spooled.path.clone(),
            len: spooled.len,
        };
        match tokio::time::timeout(PATIENCE, self.http.upload(request)).await {
            Ok(Ok(answer)) => response(head, answer),
            Ok(Err(error)) => Err(of_the_way(head, error)),
            Err(_) => Err(head.error(MailboxErrorKind::Timeout, "the platform does not end the upload")),
        }
    }
}

/// Removes the spooled files of processes that are gone.
fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left =
            |name: &str| name.strip_prefix(PREFIX).is_some_and(|rest| !rest.starts_with(&**PROCESS));
        if name.to_str().is_some_and(is_left) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What a fault of the spool means.
pub(super) fn kind_of(error: &std::io::Error) -> MailboxErrorKind {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => MailboxErrorKind::DiskFull,
        _ => MailboxErrorKind::Io,
    }
}

/// The answer in the form of our own client. A platform that tells what no server can have said is not believed.
fn response(head: &Head<'_>, answer: UploadResponse) -> MailboxResult<Response> {
    let lie = |message: &str| head.error(MailboxErrorKind::Protocol, message);
    if !(200..=599).contains(&answer.status) {
        return Err(lie("the platform answers with a status that there is not"));
    }
    if answer.body.len() > ANSWER_MAX {
        return Err(lie("the platform answers with too long a body"));
    }
    let mut response = http::Response::builder().status(answer.status).url(head.url.clone());
    for (name, value) in &answer.headers {
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = pair else {
            return Err(lie("the platform answers with a header that there cannot be"));
        };
        response = response.header(name, value);
    }
    let response = response.body(answer.body);
    response
        .map(Response::from)
        .map_err(|error| lie("the platform answers what is no answer").with_source(error))
}

/// An error of the platform, about what was to be sent. It knows the way, and nothing of what lies at its end: that
/// is for the server to say.
fn of_the_way(head: &Head<'_>, error: MailboxError) -> MailboxError {
    use MailboxErrorKind as K;
    let kind = match error.kind() {
        kind @ (K::Forbidden | K::RateLimited | K::Timeout | K::Offline | K::DiskFull | K::Io) => kind,
        _ => K::Unavailable,
    };
    let wait = error.retry_after();
    head.error(kind, "the platform could not carry the upload").with_retry_after(wait).with_source(error)
}
