//! What a Worker does with a path: it knows by the name of a file and that of its folder.

use super::super::place::Place;
use crate::wire::layout::is_change_name;

/// The folder of durable files, which have routes of their own.
const FILES: &str = "files";

/// How a path may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `manifest.json`: overwritten, but not by a lower generation.
    Pointer,
    /// `changes/head.json`: overwritten, but not by a lower clock.
    Head,
    /// A record in `devices/`: overwritten.
    Device,
    /// A numbered manifest: the first body stays.
    Manifest,
    /// A change file: the first body stays.
    Change,
    /// A file of `mainline/`: the first body stays.
    Mainline,
    /// A durable file: overwritten, never listed.
    Stored,
    /// Anything else: the first body stays.
    Other,
}

impl Class {
    pub(super) fn of(place: &Place) -> Self {
        let folders = place.segments.len().saturating_sub(1);
        if place.segments.iter().take(folders).any(|segment| segment == FILES) {
            return Self::Stored;
        }
        Self::of_control(place)
    }

    /// Of a path that is no durable file.
    pub(super) fn of_control(place: &Place) -> Self {
        let name = place.name();
        let folder = place.segments.iter().rev().nth(1).map_or("", String::as_str);
        let number = name.strip_prefix("manifest-").and_then(|rest| rest.strip_suffix(".json"));
        if name == "manifest.json" {
            return Self::Pointer;
        }
        if number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
            return Self::Manifest;
        }
        match folder {
            "changes" if name == "head.json" => Self::Head,
            "changes" if is_change_name(name) => Self::Change,
            "mainline" => Self::Mainline,
            "devices" => Self::Device,
            _ => Self::Other,
        }
    }

    pub(super) fn is_write_once(self) -> bool {
        matches!(self, Self::Manifest | Self::Change | Self::Mainline | Self::Other)
    }

    /// Whether the relay tells of writes.
    pub(super) fn is_told(self) -> bool {
        !matches!(self, Self::Device | Self::Manifest | Self::Stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_mesh_has_its_class() {
        let table = [
            ("/manifest.json", Class::Pointer),
            ("/Mesh/manifest.json", Class::Pointer),
            ("/Mesh/manifest-12.json", Class::Manifest),
            ("/Mesh/manifest-x.json", Class::Other),
            ("/Mesh/manifest-.json", Class::Other),
            ("/Mesh/changes/head.json", Class::Head),
            ("/Mesh/head.json", Class::Other),
            ("/Mesh/changes/001-0000-dev-chg_1.json", Class::Change),
            ("/Mesh/changes/note.json", Class::Other),
            ("/Mesh/mainline/snapshot-1-dev.json", Class::Mainline),
            ("/Mesh/devices/dev.json", Class::Device),
            ("/Mesh/files/a/b.png", Class::Stored),
            ("/Mesh/files/devices/x", Class::Stored),
            ("/Mesh/files", Class::Other),
            ("/base/handshake/abc/credentials.json", Class::Other),
        ];
        for (path, wanted) in table {
            let class = Class::of(&Place::file("read", path).unwrap());
            assert_eq!(class, wanted, "{path}");
        }
        assert!(Class::Change.is_told() && Class::Change.is_write_once());
        assert!(!Class::Device.is_told() && !Class::Stored.is_write_once());
    }
}
