//! Pointer, manifest and head: the clear text that says which state of a mesh is current.

use sha2::{Digest, Sha256};

use crate::clock::Clock;

use super::{
    WireError, iso_time,
    layout::is_plain_name,
    record::{Record, text_value},
};
use crate::value::Value;

/// The only manifest version there is.
const VERSION: u64 = 3;

/// `manifest.json`: names the current manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) generation: u64,
    pub(crate) file: String,
}

impl Pointer {
    pub(crate) fn to_generation(generation: u64) -> Self {
        Self { generation, file: format!("manifest-{generation}.json") }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let record = Record::parse(bytes)?;
        let file = record.text("file").ok_or(WireError::Shape("the pointer names no file"))?;
        if !is_plain_name(&file) {
            return Err(WireError::Shape("the pointer names a file elsewhere"));
        }
        let generation =
            record.integer("currentGeneration").ok_or(WireError::Shape("the pointer has no generation"))?;
        Ok(Self { generation, file })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = Record::default();
        record.set_integer("currentGeneration", self.generation);
        record.set_text("file", &self.file);
        record.pretty()
    }
}

/// A manifest whose content hash was checked. Unknown fields stay in `record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    record: Record,
    pub(crate) generation: u64,
    pub(crate) mesh_id: String,
    pub(crate) schema: u64,
    pub(crate) encrypted: bool,
    pub(crate) epoch: u64,
    pub(crate) written_by: String,
    pub(crate) managed: bool,
    pub(crate) server_id: String,
    pub(crate) watermark: Option<Clock>,
    pub(crate) snapshot_path: Option<String>,
    /// The small file that says what the snapshot covers; ours alone.
    pub(crate) coverage_path: Option<String>,
    pub(crate) floor: Option<Clock>,
    /// How long a device that is away is waited for, in ms.
    pub(crate) grace_ms: u64,
    pub(crate) content_hash: String,
}

/// How long a device that is away is waited for, where the manifest does not say, in ms: seven days.
const OFFLINE_GRACE_MS: u64 = 7 * 24 * 3600 * 1000;

/// What a new mesh is made of.
#[derive(Debug, Clone)]
pub(crate) struct Founding<'a> {
    pub(crate) mesh_id: &'a str,
    pub(crate) schema: u64,
    pub(crate) encrypted: bool,
    pub(crate) managed: bool,
    pub(crate) server_id: &'a str,
    pub(crate) now_ms: u64,
    /// 1 for a new mesh, more where a lost manifest is rebuilt.
    pub(crate) generation: u64,
    /// 0 for a new mesh; a rebuilt one keeps the epoch that its members know.
    pub(crate) epoch: u64,
}

/// What a compaction puts into the next manifest.
#[derive(Debug, Clone)]
pub(crate) struct Next<'a> {
    pub(crate) generation: u64,
    pub(crate) server_id: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) schema: u64,
    pub(crate) epoch: u64,
    pub(crate) watermark: &'a Clock,
    pub(crate) snapshot_path: &'a str,
    pub(crate) coverage_path: &'a str,
    pub(crate) floor: Option<&'a Clock>,
}

/// Where the coverage of a snapshot lies.
pub(crate) fn coverage_of(snapshot: &str) -> String {
    match snapshot.rsplit_once("/snapshot-") {
        Some((folder, name)) => format!("{folder}/coverage-{name}"),
        None => format!("{snapshot}.coverage"),
    }
}

impl Manifest {
    /// Whether its coverage is that of its snapshot: then both are ours. Another client's manifest may still carry the
    /// path of an older one.
    pub(crate) fn tells_coverage(&self) -> bool {
        let (Some(snapshot), Some(coverage)) = (&self.snapshot_path, &self.coverage_path) else {
            return false;
        };
        *coverage == coverage_of(snapshot)
    }

    /// Which generation of the JavaScript client wrote it or one before it: the newer where true, the older where false,
    /// `None` where it does not show.
    pub(crate) fn is_of_newer(&self) -> Option<bool> {
        if self.record.get("retention").is_some() || self.record.get("lineage").is_some() {
            return Some(true);
        }
        self.record.get("offlineGraceMs").map(|_| false)
    }

    /// Reads a manifest and checks its content hash and version.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut record = Record::parse(bytes)?;
        let content_hash =
            record.text("contentHash").ok_or(WireError::Shape("the manifest has no contentHash"))?;
        record.remove("contentHash");
        if hash(&record) != content_hash {
            return Err(WireError::ContentHash);
        }
        if record.integer("version") != Some(VERSION) {
            return Err(WireError::Newer("manifest version"));
        }
        let text = |key, reason| record.text(key).ok_or(WireError::Shape(reason));
        let integer = |key, reason| record.integer(key).ok_or(WireError::Shape(reason));
        let clock = |key| match record.text(key) {
            Some(text) if !text.is_empty() => text.parse().map(Some).map_err(WireError::from),
            _ => Ok(None),
        };
        let server = record.record("server").unwrap_or_default();
        let offline = record.integer("offlineGraceMs").unwrap_or(OFFLINE_GRACE_MS);
        let retained = record.record("retention").and_then(|kept| kept.integer("maxOfflineDurationMs"));
        let mesh_id = text("meshId", "the manifest has no meshId")?;
        if mesh_id.is_empty() {
            return Err(WireError::Shape("the manifest has an empty meshId"));
        }
        Ok(Self {
            generation: integer("generation", "the manifest has no generation")?,
            mesh_id,
            schema: integer("schema", "the manifest has no schema number")?,
            encrypted: record
                .boolean("encrypted")
                .ok_or(WireError::Shape("the manifest has no encryption mode"))?,
            epoch: integer("epoch", "the manifest has no epoch")?,
            written_by: record.text("writtenBy").unwrap_or_default(),
            managed: server.boolean("managed").unwrap_or(false),
            server_id: server.text("serverId").unwrap_or_default(),
            watermark: clock("watermarkHlc")?,
            snapshot_path: record.text("snapshotPath"),
            coverage_path: record.text("coveragePath"),
            floor: clock("gcFloorHlc")?,
            grace_ms: offline.max(retained.unwrap_or(0)),
            content_hash,
            record,
        })
    }

    /// The manifest of a new mesh.
    pub(crate) fn found(founding: &Founding<'_>) -> Result<Self, WireError> {
        let now = iso_time(founding.now_ms);
        let mut server = Record::default();
        server.set_boolean("managed", founding.managed);
        server.set("relayUrl", Value::null());
        server.set_text("serverId", founding.server_id);
        let mut record = Record::default();
        record.set_integer("generation", founding.generation);
        record.set_integer("parentGeneration", founding.generation - 1);
        record.set_text("writtenBy", founding.server_id);
        record.set_text("writtenAt", &now);
        record.set_integer("version", VERSION);
        record.set_text("meshId", founding.mesh_id);
        record.set_integer("schema", founding.schema);
        record.set_boolean("encrypted", founding.encrypted);
        record.set("server", server.to_value());
        record.set_text("createdAt", &now);
        record.set_integer("epoch", founding.epoch);
        record.set_text("watermarkHlc", "");
        record.set("snapshotPath", Value::null());
        record.set("deltaPath", Value::null());
        Self::parse(&sealed(record))
    }

    /// The manifest after this one, for a new snapshot. Fields we do not know are carried over, and a floor
    /// that a foreign compaction dropped is written back.
    pub(crate) fn next(&self, next: &Next<'_>) -> Result<Self, WireError> {
        let mut record = self.record.clone();
        record.set_integer("generation", next.generation);
        record.set_integer("parentGeneration", self.generation);
        record.set_text("writtenBy", next.server_id);
        record.set_text("writtenAt", &iso_time(next.now_ms));
        record.set_integer("schema", next.schema);
        record.set_integer("epoch", next.epoch);
        record.set_text("watermarkHlc", &next.watermark.to_string());
        record.set_text("snapshotPath", next.snapshot_path);
        record.set_text("coveragePath", next.coverage_path);
        if let Some(floor) = next.floor {
            record.set_text("gcFloorHlc", &floor.to_string());
        }
        Self::parse(&sealed(record))
    }

    /// The same state under another generation, where this one was overwritten.
    pub(crate) fn again(&self, generation: u64, now_ms: u64) -> Result<Self, WireError> {
        let mut record = self.record.clone();
        record.set_integer("generation", generation);
        record.set_integer("parentGeneration", self.generation);
        record.set_text("writtenAt", &iso_time(now_ms));
        Self::parse(&sealed(record))
    }

    /// The file: pretty-printed, `contentHash` last.
    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(self.record.clone())
    }
}

fn sealed(mut record: Record) -> Vec<u8> {
    let hash = hash(&record);
    record.set("contentHash", text_value(&hash));
    record.pretty()
}

/// The content hash of a manifest without its `contentHash`: SHA-256 of the compact text in file order.
fn hash(record: &Record) -> String {
    hex(&record.compact())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `changes/head.json`: the greatest entry clock published, a hint for B10 peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head(pub(crate) Clock);

impl Head {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let latest =
            Record::parse(bytes)?.text("latestHlc").ok_or(WireError::Shape("the head has no latestHlc"))?;
        Ok(Self(latest.parse()?))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = Record::default();
        record.set_text("latestHlc", &self.0.to_string());
        record.pretty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = r#"{"generation":1,"parentGeneration":0,"writtenBy":"server_relay_1","writtenAt":"2026-01-02T03:04:05.678Z","version":3,"meshId":"mesh_01900000-0000-7000-8000-0000000000f1","schema":1,"encrypted":true,"server":{"managed":false,"relayUrl":null,"serverId":"server_relay_1"},"createdAt":"2026-01-02T03:04:05.678Z","epoch":0,"watermarkHlc":"","snapshotPath":null,"deltaPath":null}"#;

    fn body() -> Record {
        Record::parse(BODY.as_bytes()).unwrap()
    }

    /// The vectors of protocol.md 7.2.
    #[test]
    fn content_hash_vectors() {
        assert_eq!(hash(&body()), "sha256:2a413d26ba1d89d96721d5ae55e3b3fcbf4081f13c2c488ec7585300b9abc11c");
        let second = |record: &mut Record| {
            record.set_integer("generation", 2);
            record.set_integer("parentGeneration", 1);
            record.set_text("writtenAt", "2026-01-03T00:00:00.000Z");
            record.set_integer("epoch", 1);
            record.set_text("watermarkHlc", "001711785600000-0000-01900000-0000-7000-8000-00000000000a");
            record.set_text("snapshotPath", "/MyApp/mainline/snapshot-1-server_relay_1.json");
        };
        let mut beta10 = body();
        second(&mut beta10);
        beta10.set_text("gcFloorHlc", "");
        beta10.set_integer("offlineGraceMs", 604_800_000);
        assert_eq!(hash(&beta10), "sha256:56581c1ce227b2327094a1c0aee78227dc7846c11f63ab241e34001c1ee5980b");
        let mut new = body();
        second(&mut new);
        new.set(
            "retention",
            Value::parse(r#"{"compactAfterMs":604800000,"maxOfflineDurationMs":2592000000}"#).unwrap(),
        );
        new.set_integer("lineage", 1);
        assert_eq!(hash(&new), "sha256:d0f25740e727e6463c362a76af2d54cf3489c9cacffccffcc23bf7f864855ebd");
    }

    #[test]
    fn the_bootstrap_file_is_that_of_the_vector() {
        let founded = Manifest::found(&Founding {
            mesh_id: "mesh_01900000-0000-7000-8000-0000000000f1",
            schema: 1,
            encrypted: true,
            managed: false,
            server_id: "server_relay_1",
            now_ms: 1_767_323_045_678,
            generation: 1,
            epoch: 0,
        })
        .unwrap();
        let file = founded.encode();
        assert_eq!(file.len(), 543);
        assert_eq!(hex(&file), "sha256:e1bfe54a5a4a09f35952b8f057cb5c60f6b5901189a033bddd9e87d8537bf446");
        assert_eq!(Manifest::parse(&file).unwrap(), founded);
    }

    #[test]
    fn key_order_counts() {
        // Sorted keys give the hash that the protocol lists as wrong.
        let mut keys: Vec<&str> =
            BODY.split('"').skip(1).step_by(2).filter(|key| body().get(key).is_some()).collect();
        keys.sort_unstable();
        let mut record = Record::default();
        let mut server = Record::default();
        for key in ["managed", "relayUrl", "serverId"] {
            server.set(key, body().record("server").unwrap().get(key).unwrap().clone());
        }
        for key in keys {
            record
                .set(key, if key == "server" { server.to_value() } else { body().get(key).unwrap().clone() });
        }
        assert_eq!(hash(&record), "sha256:efa3e166e7faf3f5e67de035ac12cdf9daf336f9c6e829b3fe7d249c0c8c4368");
        assert_ne!(hash(&record), hash(&body()));
    }

    #[test]
    fn faults() {
        let file = String::from_utf8(sealed(body())).unwrap();
        let parse = |text: &str| Manifest::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(&file.replace("\"epoch\": 0", "\"epoch\": 1")), WireError::ContentHash);
        assert!(matches!(parse("{}"), WireError::Shape(_)));
        assert!(matches!(parse("<html>"), WireError::Json(_)));
        let mut newer = body();
        newer.set_integer("version", 4);
        assert!(matches!(Manifest::parse(&sealed(newer)), Err(WireError::Newer(_))));
        for pointer in [r#"{"currentGeneration":1,"file":"../x"}"#, r#"{"file":"manifest-1.json"}"#, "[]", ""]
        {
            assert!(Pointer::parse(pointer.as_bytes()).is_err(), "{pointer}");
        }
        assert!(Head::parse(br#"{"latestHlc":"soon"}"#).is_err());
    }

    #[test]
    fn pointer_and_head_round_trip() {
        let pointer = Pointer::to_generation(12);
        assert_eq!(Pointer::parse(&pointer.encode()).unwrap(), pointer);
        assert_eq!(pointer.encode(), b"{\n  \"currentGeneration\": 12,\n  \"file\": \"manifest-12.json\"\n}");
        let head = Head("001711785600000-0000-a".parse().unwrap());
        assert_eq!(Head::parse(&head.encode()).unwrap(), head);
    }

    proptest! {
        #[test]
        fn any_layout_of_one_manifest_has_one_hash_and_unknown_fields_survive(key in "[a-z]{1,6}", text in ".{0,10}") {
            let mut record = body();
            record.set_text(&format!("x{key}"), &text);
            let wanted = hash(&record);
            let read = Manifest::parse(&sealed(record)).unwrap();
            prop_assert_eq!(&read.content_hash, &wanted);
            prop_assert_eq!(Manifest::parse(&read.encode()).unwrap(), read);
        }
    }
}
