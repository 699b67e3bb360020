//! The state of one row: the greatest delete clock, and each column's greatest clock with its value.
//!
//! In memory a [`RowState`]; in the store a JSON object of the values beside a compact blob of the
//! clocks, so that a reader who wants the row pays nothing for the clocks.

use std::collections::HashMap;

use crate::{
    clock::Clock,
    value::{
        Name, Value,
        scan::{self, Cursor, ScanError},
    },
};

/// One column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) name: Name,
    pub(crate) clock: Clock,
    pub(crate) value: Value,
}

/// A row as a merge state. No cell stands at or below `deleted`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RowState {
    /// The greatest delete clock seen; stays after a resurrection.
    pub(crate) deleted: Option<Clock>,
    /// Live columns in the order in which they came.
    pub(crate) cells: Vec<Cell>,
}

/// A row in the form of the store.
#[derive(Debug, Clone)]
pub(crate) struct EncodedRow {
    /// The values as a JSON object; nothing for a tombstone.
    pub(crate) json: Option<String>,
    pub(crate) clocks: Vec<u8>,
    pub(crate) deleted: Option<Vec<u8>>,
}

/// A stored row that is not in the form this version writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored row is damaged: {0}")]
pub(crate) struct DamagedRow(pub(crate) &'static str);

impl From<ScanError> for DamagedRow {
    fn from(error: ScanError) -> Self {
        Self(error.reason)
    }
}

impl RowState {
    /// Whether the row shows: it has columns, or was never deleted.
    pub(crate) fn is_live(&self) -> bool {
        !self.cells.is_empty() || self.deleted.is_none()
    }

    /// The cell of a column.
    pub(crate) fn cell(&self, name: &Name) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.name == *name)
    }

    /// The greatest clock in the row.
    pub(crate) fn greatest_clock(&self) -> Option<&Clock> {
        self.cells.iter().map(|cell| &cell.clock).chain(&self.deleted).max()
    }

    /// The least clock in the row.
    pub(crate) fn least_clock(&self) -> Option<&Clock> {
        self.cells.iter().map(|cell| &cell.clock).chain(&self.deleted).min()
    }

    /// Whether one device alone made the row what it is.
    pub(crate) fn is_of(&self, node: &Name) -> bool {
        self.cells.iter().map(|cell| &cell.clock).chain(&self.deleted).all(|clock| clock.node == *node)
    }

    /// Positions of the columns by name, for rows with many.
    pub(crate) fn positions(&self) -> HashMap<Name, usize> {
        self.cells.iter().enumerate().map(|(at, cell)| (cell.name.clone(), at)).collect()
    }

    /// The values as a JSON object.
    pub(crate) fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(
            2 + self.cells.iter().map(|cell| cell.value.as_str().len() + 24).sum::<usize>(),
        );
        out.push(b'{');
        for (at, cell) in self.cells.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            scan::write_string(&mut out, cell.name.as_bytes());
            out.push(b':');
            out.extend_from_slice(cell.value.as_str().as_bytes());
        }
        out.push(b'}');
        String::from_utf8(out).unwrap_or_default()
    }

    /// The clocks of the columns, in the order of the columns in [`to_json`](Self::to_json):
    /// the distinct nodes, then timestamp, counter and node of each.
    pub(crate) fn clocks_blob(&self) -> Vec<u8> {
        let mut nodes: Vec<&Name> = Vec::new();
        let mut body = Vec::with_capacity(self.cells.len() * 9);
        for cell in &self.cells {
            let node = nodes.iter().position(|known| **known == cell.clock.node).unwrap_or_else(|| {
                nodes.push(&cell.clock.node);
                nodes.len() - 1
            });
            put_varint(&mut body, cell.clock.ts);
            put_varint(&mut body, u64::from(cell.clock.counter));
            put_varint(&mut body, node as u64);
        }
        let mut blob = Vec::with_capacity(
            2 + nodes.iter().map(|node| node.as_bytes().len() + 2).sum::<usize>() + body.len(),
        );
        put_varint(&mut blob, nodes.len() as u64);
        for node in nodes {
            put_bytes(&mut blob, node.as_bytes());
        }
        blob.extend_from_slice(&body);
        blob
    }

    /// The form of the store.
    pub(crate) fn encode(&self) -> EncodedRow {
        EncodedRow {
            json: self.is_live().then(|| self.to_json()),
            clocks: self.clocks_blob(),
            deleted: self.deleted.as_ref().map(Clock::to_wtf8),
        }
    }

    /// Puts a stored row together again. `json` is absent for a tombstone.
    pub(crate) fn from_stored(
        json: Option<&[u8]>,
        clocks: &[u8],
        deleted: Option<&[u8]>,
    ) -> Result<Self, DamagedRow> {
        let deleted = deleted.map(Clock::parse).transpose().map_err(|_| DamagedRow("its delete clock"))?;
        let mut cells = Vec::new();
        if let Some(json) = json {
            let mut reader = Reader(clocks);
            let count = reader.varint()?;
            let mut nodes = Vec::new();
            for _ in 0..count {
                nodes.push(Name::from_wtf8(reader.bytes()?));
            }
            Cursor::new(json).object(|key, cursor| {
                let clock = Clock {
                    ts: reader.varint()?,
                    counter: u32::try_from(reader.varint()?).map_err(|_| DamagedRow("a counter"))?,
                    node: usize::try_from(reader.varint()?)
                        .ok()
                        .and_then(|at| nodes.get(at))
                        .cloned()
                        .ok_or(DamagedRow("a node"))?,
                };
                let value = Value::from_raw(cursor.value()?);
                cells.push(Cell { name: Name::from_wtf8(&key), clock, value });
                Ok::<_, DamagedRow>(())
            })?;
        }
        Ok(Self { deleted, cells })
    }

    /// Appends the whole state as one record, for the outbox.
    pub(crate) fn write_record(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.deleted.as_ref().map(Clock::to_wtf8).unwrap_or_default());
        // One byte: whether there is an object at all, since an empty live row differs from none.
        let json = if self.is_live() { self.to_json() } else { String::new() };
        put_bytes(out, json.as_bytes());
        put_bytes(out, &if self.is_live() { self.clocks_blob() } else { Vec::new() });
    }

    /// Reads what [`write_record`](Self::write_record) wrote.
    pub(crate) fn read_record(reader: &mut Reader<'_>) -> Result<Self, DamagedRow> {
        let (deleted, json, clocks) = (reader.bytes()?, reader.bytes()?, reader.bytes()?);
        Self::from_stored(
            (!json.is_empty()).then_some(json),
            clocks,
            (!deleted.is_empty()).then_some(deleted),
        )
    }
}

/// Appends an unsigned LEB128 number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends bytes behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what [`put_varint`] and [`put_bytes`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DamagedRow> {
        let (first, rest) = self.0.split_first().ok_or(DamagedRow("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DamagedRow> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DamagedRow("a number"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DamagedRow> {
        let length = usize::try_from(self.varint()?).map_err(|_| DamagedRow("a length"))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DamagedRow("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        pub(crate) fn any_clock()(ts in 1..40u64, counter in 0..3u32, node in "[abc]") -> Clock {
            Clock { ts, counter, node: node.into() }
        }
    }

    prop_compose! {
        pub(crate) fn any_state()(
            deleted in prop::option::of(any_clock()),
            cells in prop::collection::btree_map("[x-z\u{e9}\"]", (any_clock(), 0..5u8), 0..4),
        ) -> RowState {
            let cells = cells.into_iter()
                .filter(|(_, (clock, _))| deleted.as_ref().is_none_or(|deleted| clock > deleted))
                .map(|(name, (clock, value))| Cell { name: name.into(), clock, value: Value::parse(&value.to_string()).unwrap() })
                .collect();
            RowState { deleted, cells }
        }
    }

    proptest! {
        #[test]
        fn record_round_trip(states in prop::collection::vec(any_state(), 0..5)) {
            let mut bytes = Vec::new();
            for state in &states {
                state.write_record(&mut bytes);
            }
            let mut reader = Reader(&bytes);
            for state in &states {
                prop_assert_eq!(&RowState::read_record(&mut reader).unwrap(), state);
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn damage_is_an_error_or_another_row(state in any_state(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = Vec::new();
            state.write_record(&mut bytes);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = RowState::read_record(&mut Reader(&bytes));
            let _ = RowState::read_record(&mut Reader(&bytes[..at]));
        }
    }

    #[test]
    fn an_empty_live_row_is_no_tombstone() {
        let empty = RowState::default();
        assert!(empty.is_live());
        let mut bytes = Vec::new();
        empty.write_record(&mut bytes);
        assert_eq!(RowState::read_record(&mut Reader(&bytes)).unwrap(), empty);
        assert_eq!(empty.to_json(), "{}");
    }
}
