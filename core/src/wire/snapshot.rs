//! Snapshots: all rows of a mesh at one epoch, read as a stream.

use std::io::Read;

use super::{
    CLIENT, WireError,
    change::{Op, cells_of, check_payload},
    stream::StreamCursor,
};
use crate::{
    clock::Clock,
    row::RowState,
    value::{Name, scan::Cursor},
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
    /// Number of rows, tombstones included.
    pub(crate) rows: u64,
}

/// Reads a snapshot payload of the mesh `mesh_id`, giving each row to `row` as it comes.
///
/// Rows may come before the fields that say whose snapshot this is, so the caller must be ready to
/// throw them away when an error follows.
pub(crate) fn read<E: From<WireError>>(
    source: impl Read,
    mesh_id: &str,
    mut row: impl FnMut(Op) -> Result<(), E>,
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
                    b"coveredChangeFiles" if cursor.peek()? == b'[' => cursor.array(|cursor| {
                        head.covered.push(cursor.name()?.to_string_lossy().into_owned());
                        Ok::<_, E>(())
                    })?,
                    b"tables" => {
                        tables = true;
                        cursor.object(|_, cursor| {
                            cursor.object(|_, cursor| {
                                let op = cursor.value(op_of)??;
                                head.rows += 1;
                                row(op)
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

    fn read_all(text: &str) -> Result<(SnapshotHead, Vec<Op>), WireError> {
        let mut ops = Vec::new();
        let head = read(text.as_bytes(), "m", |op| {
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
