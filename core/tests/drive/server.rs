//! The server that answers as Google Drive does, and how tests steer it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use interocitor_core::mailbox::{
    GoogleDriveConfig, GoogleDriveMailbox, MailboxResult, StorageAdapter, TokenProvider,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";

/// A running server. What it is told is done before the call returns.
pub(crate) struct Drive {
    process: Child,
    pub(crate) url: String,
}

impl Drive {
    pub(crate) fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/drive_server.py");
        let mut process = Command::new("python3").arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://127.0.0.1:"), "no server");
        Self { process, url: line.trim().to_owned() }
    }

    fn ask(&self, method: &str, name: &str, told: &Value) -> Value {
        ask(&self.url, method, name, told)
    }

    pub(crate) fn tell(&self, name: &str, told: &Value) -> Value {
        self.ask("POST", name, told)
    }

    /// The next `times` requests that `matching` fits fail.
    pub(crate) fn fail(
        &self,
        times: u32,
        matching: &str,
        status: u16,
        reason: &str,
        retry_after: Option<&str>,
    ) {
        let mut told = json!({"times": times, "match": matching, "status": status, "reason": reason});
        if let Some(wait) = retry_after {
            told["retryAfter"] = wait.into();
        }
        self.tell("fail", &told);
    }

    /// The next request that `matching` fits is carried out, and its answer lost.
    pub(crate) fn lose(&self, matching: &str) {
        self.tell("fail", &json!({"times": 1, "match": matching, "isLost": true}));
    }

    /// The requests since it was asked last.
    pub(crate) fn log(&self) -> Vec<String> {
        serde_json::from_value(self.ask("GET", "log", &Value::Null)).unwrap()
    }

    /// What is stored under a name, the trash included.
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        let files = self.ask("GET", "files", &Value::Null);
        files.as_array().unwrap().iter().filter(|item| item["name"] == name).cloned().collect()
    }

    /// The id of the only one of a name.
    pub(crate) fn id(&self, name: &str) -> String {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0]["id"].as_str().unwrap().to_owned()
    }

    /// Stores a file as another client would, whatever else has its name.
    pub(crate) fn add(&self, parent: &str, name: &str, body: &str) -> String {
        let told = json!({"parent": parent, "name": name, "content": STANDARD.encode(body)});
        self.tell("add", &told).as_str().unwrap().to_owned()
    }

    pub(crate) fn add_folder(&self, parent: &str, name: &str) -> String {
        let told = json!({"parent": parent, "name": name, "mimeType": FOLDER});
        self.tell("add", &told).as_str().unwrap().to_owned()
    }

    pub(crate) fn config(&self) -> GoogleDriveConfig {
        let config = GoogleDriveConfig::new(Arc::new(Tokens::new(self))).unwrap();
        config.with_endpoint(&self.url).unwrap().with_timeout(Duration::from_secs(20))
    }

    pub(crate) fn client(&self) -> GoogleDriveMailbox {
        GoogleDriveMailbox::new(&self.config()).unwrap()
    }

    pub(crate) fn adapter(&self) -> Arc<dyn StorageAdapter> {
        Arc::new(self.client())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells or asks the server, which answers when it is done.
pub(crate) fn ask(url: &str, method: &str, name: &str, told: &Value) -> Value {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let body = told.to_string();
    write!(
        stream,
        "{method} /control/{name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    serde_json::from_str(body).unwrap()
}

/// Keeps the token until it is refused, and then refreshes it.
#[derive(Debug)]
pub(crate) struct Tokens {
    url: String,
    refused: std::sync::Mutex<Vec<String>>,
}

impl Tokens {
    pub(crate) fn new(drive: &Drive) -> Self {
        Self { url: drive.url.clone(), refused: std::sync::Mutex::default() }
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }
}

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        self.refused.lock().unwrap().extend(rejected.map(str::to_owned));
        let token = ask(&self.url, "GET", "token", &Value::Null);
        Ok(Zeroizing::new(token.as_str().unwrap().to_owned()))
    }
}
