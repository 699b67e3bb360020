//! What the integration tests share: fixtures unpacked into folders, databases without background sync.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod ahead;
pub(crate) mod between;
#[cfg(all(unix, feature = "webdav"))]
pub(crate) mod carrier;
pub(crate) mod faulty;
pub(crate) mod sim;

use std::{collections::BTreeMap, path::Path};

use interocitor_core::{Config, Interocitor, StoreLocation};
use serde_json::Value;
use tempfile::TempDir;

/// A mailbox written by the JavaScript client.
pub(crate) struct Fixture {
    pub(crate) remote_path: String,
    pub(crate) passphrase: Option<String>,
    pub(crate) encrypted: bool,
    pub(crate) mesh_id: String,
    pub(crate) expected: Value,
    files: BTreeMap<String, String>,
}

impl Fixture {
    /// Reads `tests/fixtures/<name>.json`.
    pub(crate) fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/{name}.json"));
        let text = std::fs::read_to_string(path).unwrap();
        let json: Value = serde_json::from_str(&without_lone_surrogates(&text)).unwrap();
        let files = json["files"].as_object().unwrap();
        Self {
            remote_path: json["remotePath"].as_str().unwrap().into(),
            passphrase: json["passphrase"].as_str().map(Into::into),
            encrypted: json["encrypted"].as_bool().unwrap(),
            mesh_id: json["meshId"].as_str().unwrap().into(),
            expected: json["expected"].clone(),
            files: files.iter().map(|(path, text)| (path.clone(), text.as_str().unwrap().into())).collect(),
        }
    }

    /// Lays the mailbox out in a temporary folder.
    pub(crate) fn unpack(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &self.files {
            let path = folder.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }
}

/// A database that syncs only when told.
pub(crate) async fn open_at(store: StoreLocation, change: impl FnOnce(&mut Config)) -> Interocitor {
    let mut config = Config::new("test", store);
    config.remote_path = Some("/Mesh".into());
    config.auto_sync = false;
    change(&mut config);
    Interocitor::open(config).await.unwrap()
}

/// `serde_json` refuses lone surrogates, which some texts hold as escapes: both sides of a comparison
/// get the same stand-in.
pub(crate) fn without_lone_surrogates(json: &str) -> String {
    let bytes = json.as_bytes();
    let unit = |at: usize| {
        let digits = json.get(at + 2..at + 6).filter(|_| bytes[at..].starts_with(br"\u"))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        match (unit(at), bytes.get(at + 6).and_then(|_| unit(at + 6))) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                out.push_str(&json[at..at + 12]);
                at += 12;
            }
            (Some(lone @ 0xd800..=0xdfff), _) => {
                out.extend(["<lone ", &lone.to_string(), ">"]);
                at += 6;
            }
            _ if bytes[at] == b'\\' => {
                out.push_str(&json[at..at + 2]);
                at += 2;
            }
            _ => {
                let character = json[at..].chars().next().unwrap();
                out.push(character);
                at += character.len_utf8();
            }
        }
    }
    out
}

/// Compares JSON by meaning: 1 and 1.0 are the same number.
pub(crate) fn assert_json(ours: &Value, wanted: &Value, place: &str) {
    match (ours, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let (keys_a, keys_b): (Vec<_>, Vec<_>) = (a.keys().collect(), b.keys().collect());
            assert_eq!(keys_a, keys_b, "keys of {place}");
            a.iter().for_each(|(key, value)| assert_json(value, &b[key], &format!("{place}.{key}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "length of {place}");
            a.iter().zip(b).for_each(|(a, b)| assert_json(a, b, place));
        }
        (Value::Number(a), Value::Number(b)) => {
            assert_eq!(a.as_f64().map(f64::to_bits), b.as_f64().map(f64::to_bits), "{place}");
        }
        _ => assert_eq!(ours, wanted, "{place}"),
    }
}

/// All files below a folder with their content.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(
                    path.strip_prefix(root).unwrap().display().to_string(),
                    std::fs::read(&path).unwrap(),
                );
            }
        }
    }
    files
}
