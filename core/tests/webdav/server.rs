//! A small HTTP server that answers as it is told, for the faults that real servers show too rarely.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path as sent, escaped.
    pub(crate) path: String,
    /// Lines of the head, the names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does about a request.
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Announces more than it sends, and closes.
    Cut {
        status: u16,
        announced: usize,
        body: Vec<u8>,
    },
    /// Sends the beginning, and nothing more.
    Stall {
        status: u16,
        announced: usize,
        body: Vec<u8>,
    },
    /// Closes without an answer.
    Close,
    /// Never answers.
    Silence,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn with(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: vec![("Content-Type", content_type.to_owned())], body: body.into() }
    }

    pub(crate) fn multistatus(inside: &str) -> Self {
        let body = format!(r#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">{inside}</d:multistatus>"#);
        Self::with(207, "application/xml", body)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

/// The entry of a folder.
pub(crate) fn folder(href: &str) -> String {
    format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>\
         </d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

/// The entry of a file of 3 bytes.
pub(crate) fn file(href: &str) -> String {
    format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype/>\
         <d:getcontentlength>3</d:getcontentlength></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// How the server treats the bodies of requests.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    Whole,
    /// Answers before the body, then closes.
    Never,
    /// Closes in the middle of a body.
    Half,
    /// Rests after each piece.
    Slowly,
}

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::reading(Reading::Whole, handler).await
    }

    pub(crate) async fn reading(
        reading: Reading,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/dav", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, kept): (Handler, _) = (Arc::new(handler), Arc::clone(&seen));
        // Ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, reading, Arc::clone(&handler), Arc::clone(&kept)));
            }
        });
        Self { url, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves one connection until something ends it.
async fn serve(
    mut stream: TcpStream,
    reading: Reading,
    handler: Handler,
    seen: Arc<Mutex<Vec<Request>>>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            more(&mut stream, &mut buffer).await?;
        };
        let head = String::from_utf8(buffer.drain(..end + 4).collect()).ok()?;
        let mut request = parse(&head)?;
        let len: usize = request.header("content-length").map_or(0, |len| len.parse().unwrap());
        match reading {
            Reading::Never if len > 0 => {}
            Reading::Half if len > 0 => {
                while buffer.len() < len / 2 {
                    more(&mut stream, &mut buffer).await?;
                }
                return None;
            }
            _ => {
                while buffer.len() < len {
                    more(&mut stream, &mut buffer).await?;
                    if matches!(reading, Reading::Slowly) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                request.body = buffer.drain(..len).collect();
            }
        }
        seen.lock().unwrap().push(request.clone());
        reply(&mut stream, handler(&request), request.method == "HEAD").await?;
        if matches!(reading, Reading::Never) && len > 0 {
            // Let the answer arrive before the connection is reset.
            stream.shutdown().await.ok()?;
            let mut rest = vec![0; 65536];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            return None;
        }
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = vec![0; 262_144];
    let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(&piece[..read]);
    Some(())
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Request { method, path, headers, body: Vec::new() })
}

/// `None` ends the connection.
async fn reply(stream: &mut TcpStream, reply: Reply, head_only: bool) -> Option<()> {
    let (status, headers, announced, body) = match &reply {
        Reply::Answer { status, headers, body } => (*status, headers.clone(), body.len(), body),
        Reply::Cut { status, announced, body } | Reply::Stall { status, announced, body } => {
            let headers = vec![("Content-Type", "application/xml".to_owned())];
            (*status, headers, *announced, body)
        }
        Reply::Close => return None,
        Reply::Silence => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            return None;
        }
    };
    let mut head = format!("HTTP/1.1 {status} Told\r\n");
    if status != 204 {
        head.extend(["Content-Length: ", &announced.to_string(), "\r\n"]);
    }
    for (name, value) in &headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    // In one piece: small ones wait for each other.
    let body: &[u8] = if head_only { b"" } else { body };
    let answer = [head.as_bytes(), b"\r\n", body].concat();
    stream.write_all(&answer).await.ok()?;
    match reply {
        Reply::Cut { .. } => None,
        Reply::Stall { .. } => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            None
        }
        _ => Some(()),
    }
}
