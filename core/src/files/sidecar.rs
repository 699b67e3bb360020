//! The sidecar of a file on a WebDAV server: its metadata in clear JSON beside it, as the JavaScript client keeps them
//! there. Only files in the plain form have one.

use crate::{
    mailbox::FileEntry,
    wire::{WireError, iso_time, record::Record},
};

/// What the name of a sidecar adds to that of its file.
pub(crate) const ENDING: &str = ".interocitor-meta.json";

/// Sidecars above this size are no sidecars, in bytes.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// What a sidecar says that nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sidecar {
    pub(super) content_type: Option<String>,
    /// Length of the file itself, in bytes.
    pub(super) size: Option<u64>,
}

impl Sidecar {
    pub(super) fn path(stored: &str) -> String {
        format!("{stored}{ENDING}")
    }

    /// Fields that are missing or of another type are unknown.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let record = Record::parse(bytes)?;
        Ok(Self { content_type: record.text("contentType"), size: record.integer("plaintextSize") })
    }

    /// The sidecar of a file that was just uploaded.
    pub(super) fn encode(&self, stored: &FileEntry, device_id: &str, now_ms: u64) -> Vec<u8> {
        let now = iso_time(now_ms);
        let mut record = Record::default();
        record.set_text("name", &stored.name);
        record.set_text("path", &stored.path);
        record.set_integer("size", stored.size.unwrap_or(0));
        record.set_text("modifiedTime", &now);
        record.set_text("uploadedByDeviceId", device_id);
        record.set_text("uploadedAt", &now);
        record.set_text("lastAccessedAt", &now);
        record.set_integer("useCount", 0);
        if let Some(size) = self.size {
            record.set_integer("plaintextSize", size);
        }
        record.set_integer("storedSize", stored.size.unwrap_or(0));
        if let Some(content_type) = &self.content_type {
            record.set_text("contentType", content_type);
        }
        record.compact()
    }
}
