//! The wire as the oracle and the peers read and write it: plain JSON code of their own, so that a mistake of
//! the engine's encoder is not made twice.

use std::fmt;

use interocitor_crypto::Key;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A hybrid logical clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc {
    /// Milliseconds since the epoch.
    pub ts: u64,
    /// Counter within the millisecond.
    pub counter: u64,
    /// The device; ids here are ASCII, whose order is that of UTF-16.
    pub node: String,
}

impl Hlc {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let ts = parts.next()?.parse().ok()?;
        let counter = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { ts, counter, node: parts.next()?.to_owned() })
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}-{:04x}-{}", self.ts, self.counter, self.node)
    }
}

/// A column with its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// When it was written.
    pub clock: Hlc,
    /// What.
    pub value: Value,
}

/// One operation of a change file, or one row of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Table of the row.
    pub table: String,
    /// Id of the row.
    pub row: String,
    /// Its columns.
    pub cells: Vec<(String, Cell)>,
    /// Its delete clock.
    pub deleted: Option<Hlc>,
}

/// A change file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Clock of the entry.
    pub clock: Hlc,
    /// What it does.
    pub ops: Vec<Op>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its epoch.
    pub epoch: u64,
    /// Whether our engine wrote it.
    pub is_ours: bool,
    /// Change files whose effects it holds.
    pub covered: Vec<String>,
    /// The rows.
    pub rows: Vec<Op>,
}

/// How bodies are stored.
#[derive(Debug, Clone)]
pub enum Codec {
    /// As they are.
    Plain,
    /// Encrypted.
    Sealed(Key),
}

impl Codec {
    /// The payload of a stored body.
    pub fn open(&self, body: &[u8]) -> Option<Value> {
        match self {
            Self::Plain => serde_json::from_slice(body).ok(),
            Self::Sealed(key) => serde_json::from_slice(&interocitor_crypto::open(key, body).ok()?).ok(),
        }
    }

    /// The stored body of a payload.
    pub fn seal(&self, payload: &Value, iv: [u8; 12]) -> Vec<u8> {
        let text = payload.to_string().into_bytes();
        match self {
            Self::Plain => text,
            Self::Sealed(key) => interocitor_crypto::seal(key, iv, &text).unwrap_or_default(),
        }
    }
}

fn cells(columns: &Value) -> Option<Vec<(String, Cell)>> {
    let read = |(name, entry): (&String, &Value)| {
        let clock = Hlc::parse(entry.get("hlc")?.as_str()?)?;
        Some((name.clone(), Cell { clock, value: entry.get("value")?.clone() }))
    };
    columns.as_object()?.iter().map(read).collect()
}

fn columns(cells: &[(String, Cell)]) -> Value {
    let column = |(name, cell): &(String, Cell)| {
        (name.clone(), json!({"value": cell.value, "hlc": cell.clock.to_string()}))
    };
    Value::Object(cells.iter().map(column).collect::<Map<_, _>>())
}

fn text(value: &Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_owned())
}

impl Change {
    /// Reads a payload.
    pub fn read(payload: &Value) -> Option<Self> {
        let entry = payload.get("entry")?;
        let op = |op: &Value| {
            let (table, row) = (text(op, "table")?, text(op, "rowId")?);
            match op.get("type")?.as_str()? {
                "upsert" => Some(Op { table, row, cells: cells(op.get("columns")?)?, deleted: None }),
                "delete" => {
                    Some(Op { table, row, cells: Vec::new(), deleted: Some(Hlc::parse(&text(op, "hlc")?)?) })
                }
                _ => None,
            }
        };
        let ops: Option<Vec<Op>> = entry.get("ops")?.as_array()?.iter().map(op).collect();
        Some(Self { clock: Hlc::parse(&text(entry, "hlc")?)?, ops: ops? })
    }

    /// The payload as a JavaScript client writes it.
    pub fn payload(&self, mesh_id: &str, id: &str, device: &str) -> Value {
        let op = |op: &Op| match &op.deleted {
            Some(clock) => {
                json!({"type": "delete", "table": op.table, "rowId": op.row, "hlc": clock.to_string()})
            }
            None => {
                json!({"type": "upsert", "table": op.table, "rowId": op.row, "columns": columns(&op.cells)})
            }
        };
        let ops: Vec<Value> = self.ops.iter().map(op).collect();
        json!({
            "meshId": mesh_id,
            "kind": "change",
            "entry": {"id": id, "ts": self.clock.ts, "device": device, "hlc": self.clock.to_string(), "ops": ops},
        })
    }
}

impl Snapshot {
    /// Reads a payload.
    pub fn read(payload: &Value) -> Option<Self> {
        let snapshot = payload.get("snapshot")?;
        let mut rows = Vec::new();
        for table in snapshot.get("tables")?.as_object()?.values() {
            for row in table.as_object()?.values() {
                let meta = row.get("_meta")?;
                let deleted = ["deletedHlc", "clearedHlc"].iter().find_map(|key| text(meta, key));
                rows.push(Op {
                    table: text(meta, "table")?,
                    row: text(meta, "rowId")?,
                    cells: cells(row.get("payload")?)?,
                    deleted: deleted.and_then(|clock| Hlc::parse(&clock)),
                });
            }
        }
        let covered = snapshot.get("coveredChangeFiles").and_then(Value::as_array);
        Some(Self {
            epoch: snapshot.get("epoch")?.as_u64()?,
            is_ours: text(snapshot, "client").is_some_and(|client| client.starts_with("native/")),
            covered: covered
                .map(|names| names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
                .unwrap_or_default(),
            rows,
        })
    }

    /// The payload as a JavaScript client writes it; B10 names no covered files.
    pub fn payload(&self, mesh_id: &str, watermark: &Hlc, has_covered: bool) -> Value {
        let mut tables = Map::new();
        for row in &self.rows {
            let mut meta = json!({
                "table": row.table, "rowId": row.row, "deleted": row.deleted.is_some(), "schemaVersion": 0,
            });
            if let Some(deleted) = &row.deleted {
                meta["deletedHlc"] = json!(deleted.to_string());
            }
            let table = tables.entry(row.table.clone()).or_insert_with(|| json!({}));
            table[&row.row] = json!({"_meta": meta, "payload": columns(&row.cells)});
        }
        let mut snapshot = json!({
            "snapshotId": format!("snap_{watermark}"), "timestamp": "2027-01-15T08:00:00.000Z",
            "hlc": watermark.to_string(), "epoch": self.epoch, "schemaVersion": 1, "tables": tables,
        });
        if has_covered {
            snapshot["coveredChangeFiles"] = json!(self.covered);
        }
        json!({"meshId": mesh_id, "kind": "snapshot", "snapshot": snapshot})
    }
}

/// What a manifest says, for readers and for writers that know no other fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its number.
    pub generation: u64,
    /// The mesh.
    pub mesh_id: String,
    /// Whether bodies are encrypted.
    pub encrypted: bool,
    /// Number of the snapshot.
    pub epoch: u64,
    /// Clock of the snapshot, or nothing.
    pub watermark: String,
    /// Where the snapshot lies.
    pub snapshot_path: Option<String>,
    /// At and below which the snapshot is the state; nothing where there is none.
    pub floor: String,
}

impl Manifest {
    /// The manifest in force, from the files of a mailbox.
    pub fn current(read: impl Fn(&str) -> Option<bytes::Bytes>) -> Option<Self> {
        let pointer: Value = serde_json::from_slice(&read("/Mesh/manifest.json")?).ok()?;
        let body = read(&format!("/Mesh/{}", text(&pointer, "file")?))?;
        let manifest: Value = serde_json::from_slice(&body).ok()?;
        Some(Self {
            generation: manifest.get("generation")?.as_u64()?,
            mesh_id: text(&manifest, "meshId")?,
            encrypted: manifest.get("encrypted")?.as_bool()?,
            epoch: manifest.get("epoch")?.as_u64()?,
            watermark: text(&manifest, "watermarkHlc").unwrap_or_default(),
            snapshot_path: text(&manifest, "snapshotPath"),
            floor: text(&manifest, "gcFloorHlc").unwrap_or_default(),
        })
    }

    /// The file, its hash over exactly this order of keys.
    pub fn encode(&self, generation_fields: &str) -> String {
        let path = self.snapshot_path.as_ref().map_or("null".to_owned(), |path| format!("\"{path}\""));
        let body = format!(
            "{{\"generation\":{},\"parentGeneration\":{},\"writtenBy\":\"server_relay_1\",\
             \"writtenAt\":\"2027-01-15T08:00:00.000Z\",\"version\":3,\"meshId\":\"{}\",\"schema\":1,\
             \"encrypted\":{},\"server\":{{\"managed\":false,\"relayUrl\":null,\"serverId\":\"server_relay_1\"}},\
             \"createdAt\":\"2027-01-15T08:00:00.000Z\",\"epoch\":{},\"watermarkHlc\":\"{}\",\
             \"snapshotPath\":{path},\"deltaPath\":null{generation_fields}",
            self.generation,
            self.generation.saturating_sub(1),
            self.mesh_id,
            self.encrypted,
            self.epoch,
            self.watermark,
        );
        let digest = Sha256::digest(format!("{body}}}").as_bytes());
        let hash = hex::encode(digest);
        format!("{body},\"contentHash\":\"sha256:{hash}\"}}")
    }

    /// The pointer to it.
    pub fn pointer(&self) -> String {
        format!("{{\"currentGeneration\":{0},\"file\":\"manifest-{0}.json\"}}", self.generation)
    }
}
