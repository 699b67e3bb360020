//! The reference Worker that `bash tests/run.sh mailboxes` runs, and a line to it that can be cut.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use interocitor_core::mailbox::{CloudflareConfig, CloudflareMailbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The address of the vector in the protocol, issued under the public secret.
pub(crate) const ADDRESS: &str = "01900000-0000-7000-8000-0000000000f1.GaNIHY0mdTY";

/// Host and port of the Worker.
pub(crate) fn host() -> String {
    let url = std::env::var("CLOUDFLARE_WORKER_URL");
    let url = url.expect("CLOUDFLARE_WORKER_URL is not set: run `bash tests/run.sh mailboxes`");
    url.strip_prefix("http://").unwrap().to_owned()
}

/// Asks the Worker for something outside the mailbox; gives status and body.
pub(crate) fn ask(method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let host = host();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

/// A new address of the Worker.
pub(crate) fn address() -> String {
    let (_, body) = ask(
        "POST",
        "/__interocitor/system/new",
        "x-interocitor-system-token: system\r\n",
        r#"{"op":"issue-mesh-id"}"#,
    );
    let body = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    serde_json::from_str::<serde_json::Value>(body).unwrap()["meshId"].as_str().unwrap().to_owned()
}

/// The base address of a mesh at a place where the Worker is mounted.
pub(crate) fn url(host: &str, mount: &str, address: &str) -> String {
    format!("http://{host}/{mount}/io/{address}")
}

/// A new mailbox at a place where the Worker is mounted; `tests/cloudflare-worker/serve.mjs` tells what each is for.
pub(crate) fn config(mount: &str) -> CloudflareConfig {
    CloudflareConfig::new(&url(&host(), mount, &address())).unwrap()
}

pub(crate) fn client(config: &CloudflareConfig) -> CloudflareMailbox {
    CloudflareMailbox::new(config).unwrap()
}

/// A line to the Worker: it counts requests, and can be cut.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) host: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// Nothing passes any more, and nobody is told.
    is_dead: AtomicBool,
    /// So many requests whose first line holds this are carried out, and their answers lost.
    swallowed: Mutex<(String, u32)>,
    requests: Mutex<Vec<String>>,
    connections: tokio::sync::Mutex<JoinSet<()>>,
}

impl Line {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state: Arc<State> = Arc::default();
        let kept = Arc::clone(&state);
        // Ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !kept.is_cut.load(Ordering::SeqCst) {
                    kept.connections.lock().await.spawn(carry(stream, Arc::clone(&kept)));
                }
            }
        });
        Self { host, state }
    }

    /// Ends all connections, and all that come until it is mended.
    pub(crate) async fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.state.connections.lock().await.shutdown().await;
    }

    pub(crate) fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// From now on nothing passes, as when a phone has left its network: connections stay as if they were open.
    pub(crate) fn go_dead(&self) {
        self.state.is_dead.store(true, Ordering::SeqCst);
    }

    /// The answers to the next requests that have this in their first line are lost.
    pub(crate) fn swallow(&self, text: &str, count: u32) {
        *self.state.swallowed.lock().unwrap() = (text.to_owned(), count);
    }

    /// The first lines of the requests since the last time, without those of sockets.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.requests.lock().unwrap())
    }
}

async fn carry(mut client: TcpStream, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(host()).await else { return };
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    let mut swallows = false;
    let pass = async || {
        if state.is_dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    };
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Some(read) = read.ok().filter(|read| *read > 0) else { return };
                pass().await;
                // Heads are sent in one piece.
                let head = String::from_utf8_lossy(&up[..read.min(4096)]).into_owned();
                let first = head.lines().next().unwrap_or_default();
                if let Some(line) = first.strip_suffix(" HTTP/1.1").filter(|line| !line.contains("/notify/")) {
                    state.requests.lock().unwrap().push(line.to_owned());
                    let mut swallowed = state.swallowed.lock().unwrap();
                    swallows = swallowed.1 > 0 && line.contains(&swallowed.0);
                    swallowed.1 -= u32::from(swallows);
                }
                if server.write_all(&up[..read]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Some(read) = read.ok().filter(|read| *read > 0) else { return };
                pass().await;
                if swallows || client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
