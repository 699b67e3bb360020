//! A platform that carries uploads: it sends the files over connections of its own, or does what a test wants.

use std::collections::VecDeque;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use interocitor_core::mailbox::{
    MailboxError, MailboxErrorKind, MailboxResult, PlatformHttp, PlatformUploads, UploadRequest,
    UploadResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What is answered in place of the server.
pub(crate) type Answer = MailboxResult<UploadResponse>;

/// The platform of a test.
pub(crate) struct Carrier {
    seen: Mutex<Vec<UploadRequest>>,
    answers: Mutex<VecDeque<Answer>>,
    is_open: watch::Sender<bool>,
    cancelled: Mutex<Vec<String>>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

impl Carrier {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            answers: Mutex::default(),
            is_open: watch::Sender::new(true),
            cancelled: Mutex::default(),
        })
    }

    /// What a mailbox is given.
    pub(crate) fn uploads(self: &Arc<Self>, folder: &std::path::Path) -> PlatformUploads {
        PlatformUploads::new(Arc::clone(self) as Arc<dyn PlatformHttp>, folder).unwrap()
    }

    /// The uploads so far.
    pub(crate) fn seen(&self) -> Vec<UploadRequest> {
        self.seen.lock().unwrap().clone()
    }

    /// Those whose future was dropped before they ended.
    pub(crate) fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().unwrap().clone()
    }

    /// Answers the next upload in place of the server.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Uploads wait until [`Self::let_go`].
    pub(crate) fn hold(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn let_go(&self) {
        self.is_open.send_replace(true);
    }

    /// Waits until so many uploads have begun.
    pub(crate) async fn begun(&self, count: usize) {
        for _ in 0..4000 {
            if self.seen.lock().unwrap().len() >= count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("no upload begins");
    }
}

/// Remembers an upload that does not end.
struct Under<'a>(&'a Carrier, Option<String>);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.cancelled.lock().unwrap().extend(self.1.take());
    }
}

#[async_trait]
impl PlatformHttp for Carrier {
    async fn upload(&self, request: UploadRequest) -> MailboxResult<UploadResponse> {
        let facts = std::fs::metadata(&request.body).unwrap();
        assert_eq!(
            (facts.len(), facts.mode() & 0o777),
            (request.len, 0o600),
            "length and mode of the spooled file"
        );
        self.seen.lock().unwrap().push(request.clone());
        let mut under = Under(self, Some(request.id.clone()));
        self.is_open.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        let told = self.answers.lock().unwrap().pop_front();
        let answer = match told {
            Some(answer) => answer,
            None => send(&request).await.map_err(|error| {
                MailboxError::new(MailboxErrorKind::Offline, "upload", "/", "nobody there").with_source(error)
            }),
        };
        under.1 = None;
        answer
    }
}

/// Plain HTTP/1.1, one connection for one request.
async fn send(request: &UploadRequest) -> std::io::Result<UploadResponse> {
    let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let (host, path) = request.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    let mut stream = TcpStream::connect(host).await?;
    let mut head = format!("{} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", request.method);
    for (name, value) in &request.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["Content-Length: ", &request.len.to_string(), "\r\n\r\n"]);
    stream.write_all(head.as_bytes()).await?;
    let mut file = tokio::fs::File::open(&request.body).await?;
    let (mut reader, mut writer) = stream.split();
    let receive = async {
        let (mut answer, mut piece) = (Vec::new(), vec![0; 65536]);
        while !is_whole(&answer) {
            match reader.read(&mut piece).await? {
                0 => break,
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        std::io::Result::Ok(answer)
    };
    tokio::pin!(receive);
    // Servers may refuse early, and close.
    let answer = tokio::select! {
        outcome = &mut receive => outcome?,
        _ = tokio::io::copy(&mut file, &mut writer) => receive.await?,
    };
    let end = end_of_head(&answer).ok_or_else(broken)?;
    let head = String::from_utf8(answer[..end].to_vec()).map_err(|_| broken())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(broken)?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Ok(UploadResponse { status, headers, body: answer[end + 4..].to_vec() })
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n")
}

/// Whether as much of a body has come as was announced; what nobody announces ends with the connection.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = end_of_head(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let none = head.split(' ').nth(1) == Some("204");
    announced.or(none.then_some(0)).is_some_and(|len: usize| answer.len() >= end + 4 + len)
}
