//! A WebDAV server in memory that can be told what not to do, for the ways around it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::server::{Reply, Request, Server};

/// What the server does as the standard wants it.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "every combination is a server")]
pub(crate) struct Abilities {
    /// `MOVE`.
    pub(crate) moves: bool,
    /// `Overwrite: F` on `MOVE`.
    pub(crate) keeps: bool,
    /// `If-Match` and `If-None-Match`.
    pub(crate) conditions: bool,
    /// `MKCOL` refuses an existing folder.
    pub(crate) makes_once: bool,
    pub(crate) locks: bool,
    pub(crate) etags: bool,
    /// Etags tell bodies of one size apart.
    pub(crate) fine_etags: bool,
    /// `Depth: 0` on the `DELETE` of a folder is an error.
    pub(crate) minds_depth: bool,
}

pub(crate) const ALL: Abilities = Abilities {
    moves: true,
    keeps: true,
    conditions: true,
    makes_once: true,
    locks: true,
    etags: true,
    fine_etags: true,
    minds_depth: true,
};

struct Node {
    /// `None` for a folder.
    body: Option<Vec<u8>>,
    version: u64,
    modified: SystemTime,
}

impl Node {
    fn etag(&self, can: Abilities) -> String {
        let size = self.body.as_ref().map_or(0, Vec::len);
        if can.fine_etags { format!("\"{}\"", self.version) } else { format!("\"size-{size}\"") }
    }
}

#[derive(Default)]
struct State {
    /// By escaped path, without a slash at the end.
    nodes: BTreeMap<String, Node>,
    locks: BTreeMap<String, String>,
    count: u64,
}

/// A running server and its content.
pub(crate) struct Model {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl Model {
    pub(crate) async fn start(abilities: Abilities) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        state.lock().unwrap().put("/dav", None);
        let kept = Arc::clone(&state);
        let server = Server::start(move |request| kept.lock().unwrap().serve(abilities, request)).await;
        Self { server, state }
    }

    /// Makes a folder of a certain age.
    pub(crate) fn make_folder(&self, path: &str, age: Duration) {
        let mut state = self.state.lock().unwrap();
        state.put(path, None);
        state.nodes.get_mut(path).unwrap().modified -= age;
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.lock().unwrap().nodes.keys().cloned().collect()
    }
}

impl State {
    fn put(&mut self, path: &str, body: Option<Vec<u8>>) {
        self.count += 1;
        let node = Node { body, version: self.count, modified: SystemTime::now() };
        self.nodes.insert(path.to_owned(), node);
    }

    fn is_folder(&self, path: &str) -> bool {
        self.nodes.get(path).is_some_and(|node| node.body.is_none())
    }

    fn has_parent(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(parent, _)| self.is_folder(parent))
    }

    fn remove(&mut self, path: &str) -> BTreeMap<String, Node> {
        let below = format!("{path}/");
        let gone = self.nodes.extract_if(.., |key, _| key == path || key.starts_with(&below));
        gone.collect()
    }

    fn serve(&mut self, can: Abilities, request: &Request) -> Reply {
        let path = request.path.trim_end_matches('/');
        match request.method.as_str() {
            "PROPFIND" => self.propfind(can, path, request.header("depth") == Some("1")),
            "GET" => match self.nodes.get(path).map(|node| &node.body) {
                None => Reply::status(404),
                Some(None) => Reply::status(405),
                Some(Some(body)) => Reply::with(200, "application/octet-stream", body.clone()),
            },
            // The status that nginx gives, where it is not the standard's.
            "PUT" if !self.has_parent(path) && !can.minds_depth => Reply::status(500),
            "PUT" if !self.has_parent(path) || self.is_folder(path) => Reply::status(409),
            "PUT" if can.conditions && !self.holds(can, request, path) => Reply::status(412),
            "PUT" => {
                self.put(path, Some(request.body.clone()));
                Reply::status(201)
            }
            "MKCOL" if self.nodes.contains_key(path) && (can.makes_once || !self.is_folder(path)) => {
                Reply::status(405)
            }
            "MKCOL" if !self.has_parent(path) => Reply::status(409),
            "MKCOL" => {
                if !self.nodes.contains_key(path) {
                    self.put(path, None);
                }
                Reply::status(201)
            }
            "DELETE" if can.minds_depth && self.is_folder(path) && request.header("depth") == Some("0") => {
                Reply::status(400)
            }
            "DELETE" if self.remove(path).is_empty() => Reply::status(404),
            "DELETE" => Reply::status(204),
            "MOVE" if can.moves => self.rename(can, path, request),
            "LOCK" if can.locks => {
                if self.locks.contains_key(path) {
                    return Reply::status(423);
                }
                self.count += 1;
                let token = format!("<urn:{}>", self.count);
                self.locks.insert(path.to_owned(), token.clone());
                Reply::with(200, "application/xml", "<x/>").header("Lock-Token", token)
            }
            "UNLOCK" => match self.locks.get(path) {
                Some(token) if request.header("lock-token") == Some(token) => {
                    self.locks.remove(path);
                    Reply::status(204)
                }
                _ => Reply::status(409),
            },
            _ => Reply::status(501),
        }
    }

    fn holds(&self, can: Abilities, request: &Request, path: &str) -> bool {
        let etag = self.nodes.get(path).map(|node| node.etag(can));
        let fits = |expected: &str| etag.as_deref() == Some(expected);
        request.header("if-match").is_none_or(fits)
            && (request.header("if-none-match").is_none() || etag.is_none())
    }

    fn rename(&mut self, can: Abilities, path: &str, request: &Request) -> Reply {
        let destination = request.header("destination").unwrap();
        let to = destination.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap();
        if can.keeps && request.header("overwrite") == Some("F") && self.nodes.contains_key(&to) {
            return Reply::status(412);
        }
        self.remove(&to);
        let moved = self.remove(path);
        if moved.is_empty() {
            return Reply::status(404);
        }
        for (key, node) in moved {
            self.nodes.insert(key.replacen(path, &to, 1), node);
        }
        Reply::status(201)
    }

    fn propfind(&self, can: Abilities, path: &str, children: bool) -> Reply {
        if !self.nodes.contains_key(path) {
            return Reply::status(404);
        }
        let below = format!("{path}/");
        let is_child = |key: &str| key.strip_prefix(&below).is_some_and(|name| !name.contains('/'));
        let shown = self.nodes.iter().filter(|(key, _)| *key == path || (children && is_child(key)));
        let entries: String = shown.map(|(key, node)| entry(can, key, node)).collect();
        Reply::multistatus(&entries).header("Date", httpdate::fmt_http_date(SystemTime::now()))
    }
}

fn entry(can: Abilities, path: &str, node: &Node) -> String {
    let kind = match &node.body {
        None => "<d:resourcetype><d:collection/></d:resourcetype>".to_owned(),
        Some(body) => format!("<d:getcontentlength>{}</d:getcontentlength>", body.len()),
    };
    let etag = if can.etags { format!("<d:getetag>{}</d:getetag>", node.etag(can)) } else { String::new() };
    let modified = httpdate::fmt_http_date(node.modified);
    format!(
        "<d:response><d:href>{path}</d:href><d:propstat><d:prop>{kind}{etag}\
         <d:getlastmodified>{modified}</d:getlastmodified></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}
