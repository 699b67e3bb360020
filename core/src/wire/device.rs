//! `devices/<id>.json`: what a device tells the others about itself.

use super::{CLIENT, WireError, coverage::Frontier, iso_time, parse_iso_time, record::Record};
use crate::{clock::Clock, value::Value};

/// A device record; fields we do not know are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceRecord(Record);

/// What a device has merged of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) watermark: Option<Clock>,
    pub(crate) floor: Option<Clock>,
    /// Our installation, and how many entries it published.
    pub(crate) published: (String, u64),
}

impl DeviceRecord {
    /// The record of a device that registers now.
    pub(crate) fn new(device_id: &str, now_ms: u64) -> Self {
        let mut record = Record::default();
        record.set_text("deviceId", device_id);
        record.set_text("registeredAt", &iso_time(now_ms));
        record.set_text("lastSeenAt", &iso_time(now_ms));
        Self(record)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let record = Record::parse(bytes)?;
        record.text("deviceId").ok_or(WireError::Shape("the device record has no deviceId"))?;
        Ok(Self(record))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.0.pretty()
    }

    pub(crate) fn device_id(&self) -> String {
        self.0.text("deviceId").unwrap_or_default()
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.0.text(key)
    }

    pub(crate) fn retired(&self) -> bool {
        self.0.boolean("retired").unwrap_or(false)
    }

    pub(crate) fn retire(&mut self) {
        self.0.set_boolean("retired", true);
    }

    pub(crate) fn last_seen_ms(&self) -> Option<u64> {
        self.0.text("lastSeenAt").as_deref().and_then(parse_iso_time)
    }

    /// Whether the mesh waits for this device: it is not retired, and not away for longer than the grace.
    pub(crate) fn counts(&self, now_ms: u64, grace_ms: u64) -> bool {
        let age = self.last_seen_ms().map_or(0, |seen| now_ms.saturating_sub(seen));
        !self.retired() && age <= grace_ms
    }

    pub(crate) fn observed_epoch(&self) -> Option<u64> {
        self.0.integer("observedEpoch")
    }

    pub(crate) fn observed_watermark(&self) -> Option<Clock> {
        self.0.text("observedWatermarkHlc").and_then(|text| text.parse().ok())
    }

    /// Whether a client of ours writes this record.
    pub(crate) fn is_native(&self) -> bool {
        self.0.text("client").is_some_and(|client| client.starts_with("native/"))
    }

    /// Whether a B10 JavaScript client writes this record: no other tells the floor that it observed.
    pub(crate) fn is_b10(&self) -> bool {
        !self.is_native() && self.0.get("observedGcFloorHlc").is_some()
    }

    /// Installation of our client, and how many entries it had published when it acknowledged.
    pub(crate) fn published(&self) -> Option<(String, u64)> {
        Some((self.0.text("install")?, self.0.integer("published")?))
    }

    /// Tells how many entries this installation had published. Ours alone, others ignore it.
    pub(crate) fn set_published(&mut self, install: &str, entries: u64) {
        self.0.set_text("install", install);
        self.0.set_integer("published", entries);
    }

    /// The number up to which every entry of an installation is merged there. Ours alone, others ignore it.
    pub(crate) fn merged_of(&self, install: &str) -> Option<u64> {
        self.0.record("merged")?.integer(install)
    }

    pub(crate) fn set_merged(&mut self, frontiers: &[Frontier]) {
        let mut merged = Record::default();
        for frontier in frontiers {
            merged.set_integer(&frontier.install, frontier.upto);
        }
        self.0.set("merged", Value::from_raw(&merged.compact()));
    }

    pub(crate) fn set_seen(&mut self, now_ms: u64) {
        self.0.set_text("lastSeenAt", &iso_time(now_ms));
    }

    /// An envelope under the mesh key that says nothing but the mesh id, from the founder of a mesh: a key
    /// can be proven against it before there is any change. Ours alone, others ignore it.
    pub(crate) fn key_proof(&self) -> Option<String> {
        self.0.text("keyProof")
    }

    pub(crate) fn set_key_proof(&mut self, envelope: &str) {
        self.0.set_text("keyProof", envelope);
    }

    /// The mesh that the device takes part in here. Ours alone, others ignore it.
    pub(crate) fn mesh_id(&self) -> Option<String> {
        self.0.text("meshId")
    }

    /// Sets who this is, and of which mesh; returns whether anything changed.
    pub(crate) fn describe(&mut self, mesh_id: &str, name: Option<&str>, device_type: Option<&str>) -> bool {
        let before = self.0.clone();
        self.0.set_text("meshId", mesh_id);
        for (key, text) in [("name", name), ("deviceType", device_type)] {
            if let Some(text) = text {
                self.0.set_text(key, text);
            }
        }
        self.0.set_text("client", CLIENT);
        self.0 != before
    }

    /// Acknowledges what was merged; returns whether anything changed.
    pub(crate) fn observe(&mut self, observed: &Observed, now_ms: u64) -> bool {
        let before = self.0.clone();
        let text = |clock: &Option<Clock>| clock.as_ref().map(ToString::to_string).unwrap_or_default();
        self.0.set_integer("observedManifestGeneration", observed.generation);
        self.0.set_integer("observedEpoch", observed.epoch);
        self.0.set_text("observedWatermarkHlc", &text(&observed.watermark));
        if observed.floor.is_some() || self.0.get("observedGcFloorHlc").is_some() {
            self.0.set_text("observedGcFloorHlc", &text(&observed.floor));
        }
        if self.0 == before {
            return false;
        }
        let (install, entries) = &observed.published;
        self.set_published(install, *entries);
        self.0.set_text("observedAt", &iso_time(now_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_and_only_changes_count() {
        let text = br#"{"deviceId":"d","registeredAt":"2026-01-01T00:00:00.000Z","userId":"u","x":[1]}"#;
        let mut record = DeviceRecord::parse(text).unwrap();
        assert!(record.describe("mesh_1", Some("phone"), Some("ios")));
        assert!(!record.describe("mesh_1", Some("phone"), Some("ios")));
        let observed = Observed {
            generation: 2,
            epoch: 1,
            watermark: Some("1-0-a".parse().unwrap()),
            floor: None,
            published: ("i".into(), 7),
        };
        assert!(record.observe(&observed, 5));
        assert!(!record.observe(&observed, 6), "an acknowledgement that says nothing new is not written");
        let read = |install: &str, upto| Frontier { install: install.into(), upto, ..Frontier::default() };
        record.set_merged(&[read("j", 3), read("k", 0)]);
        assert_eq!(["j", "k", "i"].map(|install| record.merged_of(install)), [Some(3), Some(0), None]);
        let encoded = String::from_utf8(record.encode()).unwrap();
        assert!(
            encoded.contains("\"userId\": \"u\"") && encoded.contains("\"observedEpoch\": 1"),
            "{encoded}"
        );
        assert!(encoded.contains("\"observedWatermarkHlc\": \"000000000000001-0000-a\""), "{encoded}");
    }

    #[test]
    fn faults() {
        assert!(DeviceRecord::parse(b"{}").is_err());
        assert!(DeviceRecord::parse(b"nonsense").is_err());
    }
}
