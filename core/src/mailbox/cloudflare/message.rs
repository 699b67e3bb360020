//! What a message of the relay means.

use serde::Deserialize;

use super::super::path;
use super::class::Class;
use super::recent::{Presence, Recent};
use crate::mailbox::place::Place;

/// A change file that is told of is pulled at once, and the head that follows it in this time with it. Relays
/// that send the last message of a second only keep their messages further apart.
const HEAD_AFTER_MS: u64 = 500;

/// What to do about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing at all.
    None,
    /// Nothing now. Relays may keep the last of several messages only: what it covered up is looked for later.
    Later,
    Now,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    op: String,
    #[serde(default)]
    path: String,
}

/// Reads the messages of one socket.
#[derive(Debug)]
pub(super) struct Reader {
    /// The folder that is watched.
    folder: String,
    /// When a change file of somebody else was told of last.
    change_ms: Option<u64>,
}

impl Reader {
    pub(super) fn new(folder: &Place) -> Self {
        Self { folder: folder.path.clone(), change_ms: None }
    }

    pub(super) fn read(&mut self, text: &str, recent: &Recent, now_ms: u64) -> News {
        let Ok(message) = serde_json::from_str::<Message>(text) else { return News::Now };
        match message.kind.as_str() {
            "invalidation" | "invalidate" => {}
            "compact" => return News::Now,
            _ => return News::None,
        }
        let prefix = if self.folder == "/" { "" } else { &self.folder };
        let below = message.path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        // A path that is none is no hint where to look.
        let Ok(place) = Place::file("watch", &message.path) else { return News::Now };
        if recent.is_echo(&place.path, now_ms) || !below {
            return News::Later;
        }
        let class = Class::of(&place);
        if class == Class::Head {
            let is_covered = self.change_ms.is_some_and(|at| now_ms.abs_diff(at) < HEAD_AFTER_MS);
            return if is_covered { News::Later } else { News::Now };
        }
        // Listings may not show it for a minute.
        if class == Class::Change && !path::is_hidden(place.name()) {
            let is_gone = message.op == "delete";
            recent.note(&place.path, if is_gone { Presence::Gone } else { Presence::There(None) }, now_ms);
            if !is_gone {
                self.change_ms = Some(now_ms);
            }
        }
        News::Now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(op: &str, path: &str) -> String {
        serde_json::json!({"type": "invalidation", "op": op, "path": path, "ts": 1}).to_string()
    }

    #[test]
    fn own_writes_and_other_meshes_are_no_news() {
        let recent = Recent::default();
        let mut reader = Reader::new(&Place::folder("watch", "/m").unwrap());
        let change = "/m/changes/1-chg_a.json";
        recent.expect_echo(change, 1000);
        assert_eq!(reader.read(&message("write", change), &recent, 1010), News::Later);
        assert_eq!(reader.read(&message("write", change), &recent, 1020), News::Now);
        assert_eq!(reader.read(&message("write", "/other/changes/1-chg_a.json"), &recent, 0), News::Later);
        assert_eq!(reader.read(&message("write", "/mx/manifest.json"), &recent, 0), News::Later);
        assert_eq!(reader.read(&message("write", "/m/manifest.json"), &recent, 0), News::Now);
        assert_eq!(reader.read(r#"{"type":"compact"}"#, &recent, 0), News::Now);
        assert_eq!(reader.read(r#"{"type":"hello"}"#, &recent, 0), News::None);
        assert_eq!(reader.read(r#"{"type":"invalidate"}"#, &recent, 0), News::Now);
        for garbage in ["", "x", "[]", "{\"type\":7}", "{\"type\":\"invalidation\",\"path\":\"/../x\"}"] {
            assert_eq!(reader.read(garbage, &recent, 0), News::Now, "{garbage}");
        }
    }

    #[test]
    fn the_head_after_a_change_brings_nothing_new() {
        let recent = Recent::default();
        let mut reader = Reader::new(&Place::folder("watch", "/").unwrap());
        let (change, head) = ("/m/changes/1-chg_a.json", "/m/changes/head.json");
        assert_eq!(reader.read(&message("write", head), &recent, 1000), News::Now);
        assert_eq!(reader.read(&message("write", change), &recent, 2000), News::Now);
        assert_eq!(reader.read(&message("write", head), &recent, 2040), News::Later);
        assert_eq!(reader.read(&message("write", head), &recent, 2900), News::Now);
    }

    #[test]
    fn what_is_told_of_is_listed() {
        let recent = Recent::default();
        let mut reader = Reader::new(&Place::folder("watch", "/m").unwrap());
        let listed = || {
            let mut files = Vec::new();
            recent.correct_files("/m/changes", &mut files, 1000);
            files.into_iter().map(|file| file.path).collect::<Vec<_>>()
        };
        let change = "/m/changes/1-chg_a.json";
        reader.read(&message("write", change), &recent, 1000);
        assert_eq!(listed(), [change]);
        reader.read(&message("delete", change), &recent, 1000);
        assert_eq!(listed(), Vec::<String>::new());
    }
}
