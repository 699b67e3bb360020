//! Snapshots: all rows of a mesh at one epoch, read and written as a stream.

use std::io::Read;

use super::{
    CLIENT, WireError,
    change::{Op, cells_of, check_payload, write_cells, write_clock},
    coverage::{self, Frontier},
    iso_time,
    stream::StreamCursor,
};
use crate::{
    clock::Clock,
    row::RowState,
    value::{
        Name,
        scan::{self, Cursor},
    },
};

/// What a snapshot says besides its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SnapshotHead {
    pub(crate) epoch: Option<u64>,
    /// Whether we wrote it: only then its covered names stand for merged files, since the JavaScript
    /// client drops delete clocks of live rows.
    pub(crate) ours: bool,
    /// Names of the change files whose effects it holds.
    pub(crate) covered: Vec<String>,
    /// What its writer had read of each installation.
    pub(crate) frontiers: Vec<Frontier>,
    /// An installation without a frontier may have published before: a foreign compaction came between.
    pub(crate) is_anchored: bool,
    /// Number of rows, tombstones included.
    pub(crate) rows: u64,
}

/// Reads a snapshot payload of the mesh `mesh_id`, giving each row to `row` as it comes, with what is known of the
/// head by then: all of it, where we wrote the snapshot.
///
/// Rows may come before the fields that say whose snapshot this is, so the caller must be ready to
/// throw them away when an error follows.
pub(crate) fn read<E: From<WireError>>(
    source: impl Read,
    mesh_id: &str,
    mut row: impl FnMut(&SnapshotHead, Op) -> Result<(), E>,
) -> Result<SnapshotHead, E> {
    let mut head = SnapshotHead::default();
    let (mut mesh, mut kind, mut tables) = (None, None, false);
    let mut cursor = StreamCursor::new(source);
    cursor.object(|key, cursor| {
        match key.as_bytes() {
            b"meshId" => mesh = Some(cursor.name()?),
            b"kind" => kind = Some(cursor.name()?),
            b"snapshot" => cursor.object(|key, cursor| {
                match key.as_bytes() {
                    b"epoch" => {
                        head.epoch = cursor.value(|raw| std::str::from_utf8(raw).ok()?.parse().ok())?;
                    }
                    b"client" => head.ours = cursor.name()?.as_str() == Some(CLIENT),
                    b"coveredChangeFiles" => head.covered = coverage::names(cursor)?,
                    b"anchored" => head.is_anchored = cursor.value(|raw| raw == b"true")?,
                    b"frontiers" => head.frontiers = coverage::frontiers(cursor)?,
                    b"tables" => {
                        tables = true;
                        cursor.object(|_, cursor| {
                            cursor.object(|_, cursor| {
                                let op = cursor.value(op_of)??;
                                head.rows += 1;
                                row(&head, op)
                            })
                        })?;
                    }
                    _ => cursor.skip()?,
                }
                Ok::<_, E>(())
            })?,
            _ => cursor.skip()?,
        }
        Ok::<_, E>(())
    })?;
    cursor.end()?;
    check_payload(
        mesh.as_ref().map(Name::as_bytes),
        kind.as_ref().map(Name::as_bytes),
        b"snapshot",
        mesh_id,
    )?;
    if !tables {
        return Err(WireError::Shape("the snapshot has no tables").into());
    }
    Ok(head)
}

/// What a snapshot that is written says besides its rows.
#[derive(Debug, Clone)]
pub(crate) struct Preamble<'a> {
    pub(crate) mesh_id: &'a str,
    pub(crate) id: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) watermark: &'a Clock,
    pub(crate) epoch: u64,
    pub(crate) schema: u64,
    /// Names of the change files whose effects are in the rows, sorted.
    pub(crate) covered: &'a [String],
    pub(crate) frontiers: &'a [Frontier],
    pub(crate) is_anchored: bool,
}

/// Writes a snapshot payload piece by piece: text gathers in [`out`](Self::out) until it is taken.
#[derive(Debug)]
pub(crate) struct SnapshotWriter {
    pub(crate) out: Vec<u8>,
    table: Option<Name>,
    row_separator: Option<u8>,
}

impl SnapshotWriter {
    pub(crate) fn new(preamble: &Preamble<'_>) -> Self {
        let mut out = b"{\"meshId\":".to_vec();
        scan::write_string(&mut out, preamble.mesh_id.as_bytes());
        out.extend_from_slice(b",\"kind\":\"snapshot\",\"snapshot\":{\"snapshotId\":");
        scan::write_string(&mut out, preamble.id.as_bytes());
        out.extend_from_slice(
            format!(",\"timestamp\":\"{}\",\"hlc\":", iso_time(preamble.now_ms)).as_bytes(),
        );
        write_clock(&mut out, preamble.watermark);
        let Preamble { epoch, schema, .. } = preamble;
        out.extend_from_slice(
            format!(",\"epoch\":{epoch},\"schemaVersion\":{schema},\"client\":\"{CLIENT}\",").as_bytes(),
        );
        coverage::write(&mut out, preamble.covered, preamble.frontiers, preamble.is_anchored);
        out.extend_from_slice(b",\"tables\":{");
        Self { out, table: None, row_separator: None }
    }

    /// Writes one row; the rows of a table come one after another.
    pub(crate) fn row(&mut self, table: &Name, row_id: &Name, state: &RowState) {
        let out = &mut self.out;
        if self.table.as_ref() != Some(table) {
            if self.table.replace(table.clone()).is_some() {
                out.extend_from_slice(b"},");
            }
            scan::write_string(out, table.as_bytes());
            out.extend_from_slice(b":{");
            self.row_separator = None;
        }
        out.extend(self.row_separator.replace(b','));
        scan::write_string(out, row_id.as_bytes());
        out.extend_from_slice(b":{\"_meta\":{\"table\":");
        scan::write_string(out, table.as_bytes());
        out.extend_from_slice(b",\"rowId\":");
        scan::write_string(out, row_id.as_bytes());
        let is_live = state.is_live();
        out.extend_from_slice(if is_live { b",\"deleted\":false" } else { b",\"deleted\":true" });
        if let Some(deleted) = &state.deleted {
            // Never `deletedHlc` on a live row: the JavaScript client would take it for a tombstone.
            let key: &[u8] = if is_live { b",\"clearedHlc\":" } else { b",\"deletedHlc\":" };
            out.extend_from_slice(key);
            write_clock(out, deleted);
        }
        out.extend_from_slice(b",\"schemaVersion\":0},\"payload\":");
        write_cells(out, &state.cells);
        out.push(b'}');
    }

    /// The end of the text.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let end: &[u8] = if self.table.is_some() { b"}}}}" } else { b"}}}" };
        self.out.extend_from_slice(end);
        self.out
    }
}

/// One row: `{"_meta":{table,rowId,deleted,deletedHlc?,clearedHlc?},"payload":{…}}`. The map keys
/// around it do not count.
fn op_of(raw: &[u8]) -> Result<Op, WireError> {
    let (mut table, mut row_id, mut deleted, mut cleared, mut cells) = (None, None, None, None, None);
    let mut cursor = Cursor::new(raw);
    cursor.object(|key, cursor| {
        match &*key {
            b"_meta" => cursor.object(|key, cursor| {
                match &*key {
                    b"table" => table = Some(cursor.name()?),
                    b"rowId" => row_id = Some(cursor.name()?),
                    b"deletedHlc" => deleted = optional_clock(cursor)?,
                    b"clearedHlc" => cleared = optional_clock(cursor)?,
                    _ => {
                        cursor.value()?;
                    }
                }
                Ok::<_, WireError>(())
            })?,
            b"payload" => cells = Some(cells_of(cursor)?),
            _ => {
                cursor.value()?;
            }
        }
        Ok::<_, WireError>(())
    })?;
    let deleted: Option<Clock> = deleted.max(cleared);
    let mut state =
        RowState { deleted: None, cells: cells.ok_or(WireError::Shape("a snapshot row has no payload"))? };
    if let Some(deleted) = deleted {
        state.cells.retain(|cell| cell.clock > deleted);
        state.deleted = Some(deleted);
    }
    Ok(Op {
        table: table.ok_or(WireError::Shape("a snapshot row names no table"))?,
        row_id: row_id.ok_or(WireError::Shape("a snapshot row names no row"))?,
        state,
    })
}

/// A clock, or null, or the empty text for none.
fn optional_clock(cursor: &mut Cursor<'_>) -> Result<Option<Clock>, WireError> {
    if cursor.peek()? == b'n' {
        cursor.value()?;
        return Ok(None);
    }
    let text = cursor.string()?;
    if text.is_empty() { Ok(None) } else { Ok(Some(Clock::parse(&text)?)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::any_state;
    use proptest::prelude::*;

    fn read_all(text: &str) -> Result<(SnapshotHead, Vec<Op>), WireError> {
        let mut ops = Vec::new();
        let head = read(text.as_bytes(), "m", |_, op| {
            ops.push(op);
            Ok::<_, WireError>(())
        })?;
        Ok((head, ops))
    }

    const SNAPSHOT: &str = r#"{"meshId":"m","kind":"snapshot","snapshot":{"snapshotId":"snap_1","timestamp":"2026-01-01T00:00:00.000Z","hlc":"5-0-a","epoch":2,"schemaVersion":1,"coveredChangeFiles":["1-0-a-chg_1.json"],"tables":{"t":{"r1":{"_meta":{"table":"t","rowId":"r1","deleted":false,"schemaVersion":0,"owner":"a","key":"t/r1"},"payload":{"x":{"value":1,"hlc":"4-0-a"}}},"r2":{"_meta":{"table":"t","rowId":"r2","deleted":true,"deletedHlc":"3-0-a","schemaVersion":0},"payload":{}}},"empty":{}}}}"#;

    #[test]
    fn reads_rows_and_head() {
        let (head, ops) = read_all(SNAPSHOT).unwrap();
        assert_eq!((head.epoch, head.ours, head.rows), (Some(2), false, 2));
        assert_eq!(head.covered, ["1-0-a-chg_1.json"]);
        assert_eq!(ops[0].state.to_json(), "{\"x\":1}");
        assert!(!ops[1].state.is_live());
    }

    #[test]
    fn order_of_fields_does_not_matter_and_ours_is_known() {
        let text = r#"{"snapshot":{"tables":{"t":{"k":{"payload":{"x":{"value":1,"hlc":"4-0-a"},"y":{"value":2,"hlc":"2-0-a"}},"_meta":{"rowId":"r","table":"u","clearedHlc":"3-0-a"}}}},"client":"native/1"},"kind":"snapshot","meshId":"m"}"#;
        let (head, ops) = read_all(text).unwrap();
        assert!(head.ours);
        assert_eq!((&ops[0].table, &ops[0].row_id), (&"u".into(), &"r".into()));
        assert_eq!(ops[0].state.to_json(), "{\"x\":1}", "a column at or below the kept delete clock is gone");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(("[a-c]", "\\PC{0,6}", any_state()), 0..12)) {
            let mut rows: Vec<(Name, Name, RowState)> =
                rows.into_iter().map(|(table, id, state)| (table.into(), id.into(), state)).collect();
            rows.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            let covered = ["1-0-a-chg_1.json".to_owned(), "2-0-a-chg_\"2.json".to_owned()];
            let frontier = |device: &str, upto, ahead| Frontier { device: device.into(), install: "i\"".into(), upto, ahead };
            let frontiers = [frontier("a", 7, vec![9, 12]), frontier("b", 0, vec![])];
            let preamble = Preamble {
                mesh_id: "m",
                id: "snap_1",
                now_ms: 5,
                watermark: &"9-0-a".parse().unwrap(),
                epoch: 7,
                schema: 1,
                covered: &covered,
                frontiers: &frontiers,
                is_anchored: rows.len().is_multiple_of(2),
            };
            let mut writer = SnapshotWriter::new(&preamble);
            for (table, id, state) in &rows {
                writer.row(table, id, state);
            }
            let text = String::from_utf8(writer.finish()).unwrap();
            let (head, ops) = read_all(&text).unwrap();
            prop_assert_eq!((head.epoch, head.ours, head.rows), (Some(7), true, rows.len() as u64));
            prop_assert_eq!(&head.covered[..], &covered[..]);
            prop_assert_eq!(&head.frontiers[..], &frontiers[..]);
            prop_assert_eq!(head.is_anchored, rows.len().is_multiple_of(2));
            let read: Vec<_> = ops.into_iter().map(|op| (op.table, op.row_id, op.state)).collect();
            prop_assert_eq!(read, rows);
        }
    }

    #[test]
    fn faults_are_named() {
        let fault = |from: &str, to: &str| read_all(&SNAPSHOT.replacen(from, to, 1)).unwrap_err();
        assert_eq!(fault("\"m\"", "\"w\""), WireError::ForeignMesh);
        assert!(matches!(fault("\"snapshot\"", "\"change\""), WireError::Shape(_)));
        assert!(matches!(fault("\"tables\"", "\"gone\""), WireError::Shape(_)));
        assert!(matches!(fault("\"payload\"", "\"gone\""), WireError::Shape(_)));
        assert_eq!(fault("4-0-a", "4-0"), WireError::Clock);
        for cut in 0..SNAPSHOT.len() {
            assert!(read_all(&SNAPSHOT[..cut]).is_err(), "{cut}");
        }
    }
}
