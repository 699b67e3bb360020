//! What lies in a mailbox: every file whole, and no clock twice for two values.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use interocitor_crypto::{Key, digest::sha256_hex};
use serde_json::{Value, json};

/// What every file of a mailbox said so far, deleted ones included.
pub(crate) struct Scan {
    key: Key,
    /// Files read, with what tells a later body from them.
    known: BTreeMap<PathBuf, (std::time::SystemTime, u64)>,
    /// Digests of change entries: a name has one content for ever.
    entries: BTreeMap<PathBuf, String>,
    /// (table, row, column, clock) and the digest of the value.
    values: BTreeMap<[String; 4], String>,
}

impl Scan {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, known: BTreeMap::new(), entries: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// Reads what is new below a mailbox; half files and contradictions are errors.
    pub(crate) fn read(&mut self, mailbox: &Path) -> Result<(), String> {
        for path in files(mailbox) {
            let facts = fs::metadata(&path).unwrap();
            let version = (facts.modified().unwrap(), facts.len());
            if self.known.insert(path.clone(), version) == Some(version) {
                continue;
            }
            let place = path.strip_prefix(mailbox).unwrap().display().to_string();
            let payload = self.decode(&fs::read(&path).unwrap());
            let payload = payload.map_err(|fault| format!("{place} of {} bytes: {fault}", facts.len()))?;
            self.take_in(&path, &payload).map_err(|fault| format!("{place}: {fault}"))?;
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Value, String> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if json.get("ct").is_none() {
            return Ok(json);
        }
        let payload = interocitor_crypto::open(&self.key, bytes).map_err(|error| error.to_string())?;
        serde_json::from_slice(&payload).map_err(|error| error.to_string())
    }

    fn take_in(&mut self, path: &Path, payload: &Value) -> Result<(), String> {
        match payload["kind"].as_str() {
            Some("change") => {
                let digest = sha256_hex(payload.to_string().as_bytes());
                let former = self.entries.insert(path.to_owned(), digest.clone());
                if former.is_some_and(|former| former != digest) {
                    return Err("it was written again with another content".into());
                }
                for op in payload["entry"]["ops"].as_array().into_iter().flatten() {
                    self.take_columns(&op["table"], &op["rowId"], &op["columns"])?;
                }
            }
            Some("snapshot") => {
                for row in payload["snapshot"]["tables"].as_object().into_iter().flatten() {
                    for row in row.1.as_object().into_iter().flatten() {
                        let meta = &row.1["_meta"];
                        self.take_columns(&meta["table"], &meta["rowId"], &row.1["payload"])?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_columns(&mut self, table: &Value, row: &Value, columns: &Value) -> Result<(), String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for (name, column) in columns.as_object().into_iter().flatten() {
            let place = [text(table), text(row), name.clone(), text(&column["hlc"])];
            let digest = sha256_hex(column["value"].to_string().as_bytes());
            let shown = place.join(" ");
            let former = self.values.insert(place, digest.clone());
            if former.is_some_and(|former| former != digest) {
                return Err(format!("another value under a clock that was used before: {shown}"));
            }
        }
        Ok(())
    }

    /// Number of (row, column, clock) seen.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Every file under its final name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !is_temporary(&path) {
            found.push(path);
        }
    }
    found
}

/// Whether a file has not got its final name yet.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Number of temporary files that kills left behind.
pub(crate) fn leftovers(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { leftovers(&path) } else { usize::from(is_temporary(&path)) })
        .sum()
}

/// A copy of a mailbox that shares the bodies of its files: bodies are never changed, only replaced.
pub(crate) fn link_copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            link_copy(&path, &copy);
        } else if !is_temporary(&path) {
            fs::hard_link(&path, &copy).unwrap();
        }
    }
}

#[test]
fn half_files_and_contradictions_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let change = |value: u32, hlc: &str| {
        json!({"kind": "change", "entry": {"ops": [
            {"type": "upsert", "table": "t", "rowId": "r", "columns": {"c": {"value": value, "hlc": hlc}}}
        ]}})
        .to_string()
    };
    let key = Key::from_bytes([7; 32]);
    let mut scan = Scan::new(key.clone());
    let mut read = |name: &str, body: &[u8]| {
        fs::write(folder.path().join(name), body).unwrap();
        scan.read(folder.path())
    };
    let sealed = interocitor_crypto::seal(&key, [1; 12], change(1, "2-a").as_bytes()).unwrap();
    assert_eq!(read("a", &sealed), Ok(()));
    assert_eq!(read("b", change(2, "3-a").as_bytes()), Ok(()));
    assert_eq!(read("c", change(1, "2-a").as_bytes()), Ok(()), "a row is published again");
    assert_eq!(read(".temporary", b"{"), Ok(()));
    assert!(read("d", change(2, "2-a").as_bytes()).unwrap_err().contains("used before: t r c 2-a"));
    assert!(read("a", change(10, "4-a").as_bytes()).unwrap_err().contains("another content"));
    assert!(read("e", &sealed[..sealed.len() / 2]).unwrap_err().contains("e of"));
    let foreign = interocitor_crypto::seal(&Key::from_bytes([8; 32]), [1; 12], b"{}").unwrap();
    assert!(read("f", &foreign).is_err());
    let snapshot = json!({"kind": "snapshot", "snapshot": {"tables": {"t": {"r": {
        "_meta": {"table": "t", "rowId": "r"}, "payload": {"c": {"value": 3, "hlc": "3-a"}}
    }}}}});
    assert!(read("g", snapshot.to_string().as_bytes()).unwrap_err().contains("used before"));
}
