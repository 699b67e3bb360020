//! Coverage: which change files a snapshot holds, beside the snapshot and again in a small file of its own.
//!
//! The small file is ours alone. A device that has merged every covered file already takes the snapshot's epoch from
//! it, and does not fetch the rows once more. The manifest names it as `coveragePath`.

use std::io::Read;

use super::{
    CLIENT, WireError,
    change::{check_payload, write_clock},
    stream::StreamCursor,
};
use crate::{
    clock::Clock,
    value::{Name, scan},
};

/// How far the writer of a snapshot had read the entries of one installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frontier {
    pub(crate) device: String,
    pub(crate) install: String,
    /// Every entry up to this number.
    pub(crate) upto: u64,
    /// Entries behind a hole.
    pub(crate) ahead: Vec<u64>,
}

/// What a snapshot did, for those who need not read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Coverage {
    pub(crate) epoch: u64,
    /// The snapshot that it belongs to, as the manifest names it.
    pub(crate) snapshot_path: String,
    /// Names of the change files whose effects are in it, with those of the epoch before.
    pub(crate) covered: Vec<String>,
    pub(crate) frontiers: Vec<Frontier>,
    /// An installation without a frontier may have published before.
    pub(crate) is_anchored: bool,
    /// The snapshot holds writes that no change file has yet, and perhaps never will.
    pub(crate) has_unpublished: bool,
    /// Delete clocks that stood in the epoch before and are forgotten: table, row, clock.
    pub(crate) collected: Vec<(Name, Name, Clock)>,
}

impl Coverage {
    /// The payload for the mesh `mesh_id`.
    pub(crate) fn encode(&self, mesh_id: &str) -> Vec<u8> {
        let mut out = b"{\"meshId\":".to_vec();
        scan::write_string(&mut out, mesh_id.as_bytes());
        out.extend_from_slice(b",\"kind\":\"coverage\",\"coverage\":{\"snapshotPath\":");
        scan::write_string(&mut out, self.snapshot_path.as_bytes());
        out.extend_from_slice(format!(",\"epoch\":{},\"client\":\"{CLIENT}\",", self.epoch).as_bytes());
        write(&mut out, &self.covered, &self.frontiers, self.is_anchored);
        if self.has_unpublished {
            out.extend_from_slice(b",\"unpublished\":true");
        }
        out.extend_from_slice(b",\"collected\":[");
        let mut separator = None;
        for (table, row_id, clock) in &self.collected {
            out.extend(separator.replace(b','));
            out.push(b'[');
            scan::write_string(&mut out, table.as_bytes());
            out.push(b',');
            scan::write_string(&mut out, row_id.as_bytes());
            out.push(b',');
            write_clock(&mut out, clock);
            out.push(b']');
        }
        out.extend_from_slice(b"]}}");
        out
    }

    /// Reads a payload of the mesh `mesh_id`.
    pub(crate) fn decode(payload: &[u8], mesh_id: &str) -> Result<Self, WireError> {
        let mut coverage = Self::default();
        let (mut mesh, mut kind, mut epoch) = (None, None, None);
        let mut cursor = StreamCursor::new(payload);
        cursor.object(|key, cursor| {
            match key.as_bytes() {
                b"meshId" => mesh = Some(cursor.name()?),
                b"kind" => kind = Some(cursor.name()?),
                b"coverage" => cursor.object(|key, cursor| {
                    match key.as_bytes() {
                        b"epoch" => epoch = cursor.value(number)?,
                        b"snapshotPath" => {
                            coverage.snapshot_path = cursor.name()?.to_string_lossy().into_owned();
                        }
                        b"coveredChangeFiles" => coverage.covered = names(cursor)?,
                        b"frontiers" => coverage.frontiers = frontiers(cursor)?,
                        b"anchored" => coverage.is_anchored = cursor.value(|raw| raw == b"true")?,
                        b"unpublished" => coverage.has_unpublished = cursor.value(|raw| raw == b"true")?,
                        b"collected" => cursor.array(|cursor| {
                            coverage.collected.push(collected(cursor)?);
                            Ok::<_, WireError>(())
                        })?,
                        _ => cursor.skip()?,
                    }
                    Ok::<_, WireError>(())
                })?,
                _ => cursor.skip()?,
            }
            Ok::<_, WireError>(())
        })?;
        cursor.end()?;
        check_payload(
            mesh.as_ref().map(Name::as_bytes),
            kind.as_ref().map(Name::as_bytes),
            b"coverage",
            mesh_id,
        )?;
        coverage.epoch = epoch.ok_or(WireError::Shape("the coverage has no epoch"))?;
        Ok(coverage)
    }
}

/// `[table, rowId, clock]`
fn collected<R: Read>(cursor: &mut StreamCursor<R>) -> Result<(Name, Name, Clock), WireError> {
    let mut parts = Vec::new();
    cursor.array(|cursor| {
        parts.push(cursor.name()?);
        Ok::<_, WireError>(())
    })?;
    match <[Name; 3]>::try_from(parts) {
        Ok([table, row_id, clock]) => Ok((table, row_id, Clock::parse(clock.as_bytes())?)),
        Err(_) => Err(WireError::Shape("a collected deletion is no triple")),
    }
}

fn number(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// Members that a snapshot and its coverage share.
pub(super) fn write(out: &mut Vec<u8>, covered: &[String], frontiers: &[Frontier], is_anchored: bool) {
    out.extend_from_slice(b"\"coveredChangeFiles\":[");
    let mut separator = None;
    for name in covered {
        out.extend(separator.replace(b','));
        scan::write_string(out, name.as_bytes());
    }
    out.extend_from_slice(b"],\"frontiers\":[");
    let mut separator = None;
    for Frontier { device, install, upto, ahead } in frontiers {
        out.extend(separator.replace(b','));
        out.extend_from_slice(b"{\"device\":");
        scan::write_string(out, device.as_bytes());
        out.extend_from_slice(b",\"install\":");
        scan::write_string(out, install.as_bytes());
        out.extend_from_slice(format!(",\"upto\":{upto},\"ahead\":{ahead:?}}}").as_bytes());
    }
    out.extend_from_slice(if is_anchored { b"],\"anchored\":true" } else { b"]" });
}

/// A list of names; anything else is passed over.
pub(super) fn names<R: Read>(cursor: &mut StreamCursor<R>) -> Result<Vec<String>, WireError> {
    let mut names = Vec::new();
    if cursor.peek()? != b'[' {
        cursor.skip()?;
        return Ok(names);
    }
    cursor.array(|cursor| {
        names.push(cursor.name()?.to_string_lossy().into_owned());
        Ok::<_, WireError>(())
    })?;
    Ok(names)
}

/// A list of `{"device","install","upto","ahead"}`; anything else is passed over.
pub(super) fn frontiers<R: Read>(cursor: &mut StreamCursor<R>) -> Result<Vec<Frontier>, WireError> {
    let mut frontiers = Vec::new();
    if cursor.peek()? != b'[' {
        cursor.skip()?;
        return Ok(frontiers);
    }
    cursor.array(|cursor| {
        frontiers.push(frontier(cursor)?);
        Ok::<_, WireError>(())
    })?;
    Ok(frontiers)
}

fn frontier<R: Read>(cursor: &mut StreamCursor<R>) -> Result<Frontier, WireError> {
    let mut frontier = Frontier::default();
    let fault = || WireError::Shape("a frontier is no number");
    cursor.object(|key, cursor| {
        match key.as_bytes() {
            b"device" => frontier.device = cursor.name()?.to_string_lossy().into_owned(),
            b"install" => frontier.install = cursor.name()?.to_string_lossy().into_owned(),
            b"upto" => frontier.upto = cursor.value(number)?.ok_or_else(fault)?,
            b"ahead" => cursor.array(|cursor| {
                frontier.ahead.push(cursor.value(number)?.ok_or_else(fault)?);
                Ok::<_, WireError>(())
            })?,
            _ => cursor.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    Ok(frontier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_faults() {
        let frontier = Frontier { device: "d\"".into(), install: "i".into(), upto: 3, ahead: vec![5, 9] };
        let coverage = Coverage {
            epoch: 7,
            snapshot_path: "/Mesh/mainline/snapshot-7-d.json".into(),
            covered: vec!["1-0-a-chg_1.json".into(), "2-0-a-chg_2.json".into()],
            frontiers: vec![frontier],
            is_anchored: true,
            has_unpublished: true,
            collected: vec![("t".into(), "r\u{0}".into(), "9-0-n".parse().unwrap())],
        };
        let payload = coverage.encode("m");
        assert_eq!(Coverage::decode(&payload, "m"), Ok(coverage));
        assert_eq!(Coverage::decode(&payload, "other"), Err(WireError::ForeignMesh));
        for cut in 0..payload.len() {
            assert!(Coverage::decode(&payload[..cut], "m").is_err(), "{cut}");
        }
    }
}
