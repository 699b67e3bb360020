//! Change files: one published batch of operations.

use std::collections::HashMap;

use super::{CLIENT, WireError};
use crate::{
    clock::Clock,
    row::{Cell, RowState},
    value::{
        Name, Value,
        scan::{self, Cursor},
    },
};

/// Rows wider than this are checked for doubled columns through a map.
const MANY_COLUMNS: usize = 24;

/// What one operation says about one row: an upsert carries cells, a delete the delete clock. On the
/// way out one state becomes a delete and an upsert where it holds both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) table: Name,
    pub(crate) row_id: Name,
    pub(crate) state: RowState,
}

/// A change entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeEntry {
    pub(crate) id: Name,
    /// As spelled in the file, for comparison with its name.
    pub(crate) clock_text: Name,
    pub(crate) clock: Clock,
    pub(crate) device: Name,
    /// Installation and number of the entry, where our client wrote it.
    pub(crate) number: Option<(String, u64)>,
    pub(crate) ops: Vec<Op>,
}

impl ChangeEntry {
    /// Whether the file was stored under the name that its content asks for.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let wanted = [self.clock_text.as_bytes(), b"-", self.id.as_bytes(), b".json"].concat();
        wanted == name.as_bytes()
    }
}

/// Reads a change payload of the mesh `mesh_id`.
pub(crate) fn decode(payload: &[u8], mesh_id: &str) -> Result<ChangeEntry, WireError> {
    let (mut mesh, mut kind, mut entry) = (None, None, None);
    let mut cursor = Cursor::new(payload);
    cursor.object(|key, cursor| {
        match &*key {
            b"meshId" => mesh = Some(cursor.string()?),
            b"kind" => kind = Some(cursor.string()?),
            b"entry" => entry = Some(entry_of(cursor)?),
            _ => {
                cursor.value()?;
            }
        }
        Ok::<_, WireError>(())
    })?;
    cursor.end()?;
    check_payload(mesh.as_deref(), kind.as_deref(), b"change", mesh_id)?;
    entry.ok_or(WireError::Shape("the payload has no entry"))
}

/// The checks that changes and snapshots share.
pub(crate) fn check_payload(
    mesh: Option<&[u8]>,
    kind: Option<&[u8]>,
    wanted_kind: &[u8],
    mesh_id: &str,
) -> Result<(), WireError> {
    match mesh {
        None | Some(b"") => return Err(WireError::Shape("the payload names no mesh")),
        Some(mesh) if mesh != mesh_id.as_bytes() => return Err(WireError::ForeignMesh),
        Some(_) => {}
    }
    match kind {
        None => Err(WireError::Shape("the payload has no kind")),
        Some(kind) if kind == wanted_kind => Ok(()),
        Some(b"change" | b"snapshot" | b"coverage") => {
            Err(WireError::Shape("the payload is of another kind"))
        }
        Some(_) => Err(WireError::Newer("payload kind")),
    }
}

fn entry_of(cursor: &mut Cursor<'_>) -> Result<ChangeEntry, WireError> {
    let (mut id, mut device, mut clock, mut ops) = (None, None, None, None);
    let (mut seq, mut install) = (None, None);
    cursor.object(|key, cursor| {
        match &*key {
            // Ours alone: whatever else stands there is somebody else's business.
            b"seq" => seq = std::str::from_utf8(cursor.value()?).ok().and_then(|text| text.parse().ok()),
            b"install" if cursor.peek()? == b'"' => {
                install = Some(cursor.name()?.to_string_lossy().into_owned());
            }
            b"id" => id = Some(cursor.name()?),
            b"device" => device = Some(cursor.name()?),
            b"hlc" => clock = Some(cursor.name()?),
            b"ops" => {
                let mut list = Vec::new();
                cursor.array(|cursor| {
                    list.push(op_of(cursor)?);
                    Ok::<_, WireError>(())
                })?;
                ops = Some(list);
            }
            _ => {
                cursor.value()?;
            }
        }
        Ok::<_, WireError>(())
    })?;
    let clock_text = clock.ok_or(WireError::Shape("the entry has no hlc"))?;
    Ok(ChangeEntry {
        id: id.ok_or(WireError::Shape("the entry has no id"))?,
        clock: Clock::parse(clock_text.as_bytes())?,
        clock_text,
        device: device.ok_or(WireError::Shape("the entry names no device"))?,
        number: install.zip(seq),
        ops: ops.ok_or(WireError::Shape("the entry has no ops"))?,
    })
}

fn op_of(cursor: &mut Cursor<'_>) -> Result<Op, WireError> {
    let (mut kind, mut table, mut row_id, mut deleted, mut cells) = (None, None, None, None, None);
    cursor.object(|key, cursor| {
        match &*key {
            b"type" => kind = Some(cursor.string()?),
            b"table" => table = Some(cursor.name()?),
            b"rowId" => row_id = Some(cursor.name()?),
            b"hlc" => deleted = Some(Clock::parse(&cursor.string()?)?),
            b"columns" => cells = Some(cells_of(cursor)?),
            _ => {
                cursor.value()?;
            }
        }
        Ok::<_, WireError>(())
    })?;
    let state = match kind.as_deref() {
        Some(b"upsert") => {
            RowState { deleted: None, cells: cells.ok_or(WireError::Shape("an upsert has no columns"))? }
        }
        Some(b"delete") => RowState {
            deleted: Some(deleted.ok_or(WireError::Shape("a delete has no hlc"))?),
            cells: Vec::new(),
        },
        Some(_) => return Err(WireError::Newer("operation")),
        None => return Err(WireError::Shape("an operation has no type")),
    };
    Ok(Op {
        table: table.ok_or(WireError::Shape("an operation names no table"))?,
        row_id: row_id.ok_or(WireError::Shape("an operation names no row"))?,
        state,
    })
}

/// Reads `{column: {value, hlc}}`; of equal columns the last counts, as in JavaScript.
pub(crate) fn cells_of(cursor: &mut Cursor<'_>) -> Result<Vec<Cell>, WireError> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut positions: HashMap<Name, usize> = HashMap::new();
    cursor.object(|name, cursor| {
        let (mut clock, mut value) = (None, None);
        cursor.object(|key, cursor| {
            match &*key {
                b"hlc" => clock = Some(Clock::parse(&cursor.string()?)?),
                b"value" => value = Some(Value::from_raw(cursor.value()?)),
                _ => {
                    cursor.value()?;
                }
            }
            Ok::<_, WireError>(())
        })?;
        let cell = Cell {
            name: Name::from_wtf8(&name),
            clock: clock.ok_or(WireError::Shape("a column has no hlc"))?,
            value: value.unwrap_or_else(Value::null),
        };
        let known = if cells.len() > MANY_COLUMNS {
            if positions.is_empty() {
                positions.extend(cells.iter().enumerate().map(|(at, cell)| (cell.name.clone(), at)));
            }
            positions.get(&cell.name).copied()
        } else {
            cells.iter().position(|known| known.name == cell.name)
        };
        match known {
            Some(at) => cells[at] = cell,
            None => {
                if !positions.is_empty() {
                    positions.insert(cell.name.clone(), cells.len());
                }
                cells.push(cell);
            }
        }
        Ok::<_, WireError>(())
    })?;
    Ok(cells)
}

/// What stands around the operations of an entry.
#[derive(Debug, Clone)]
pub(crate) struct EntryHead<'a> {
    pub(crate) mesh_id: &'a str,
    pub(crate) id: &'a str,
    pub(crate) ts_ms: u64,
    pub(crate) device: &'a Name,
    pub(crate) clock: &'a Clock,
    /// Counts the entries of this installation, so that a hole shows; ours alone, others ignore it.
    pub(crate) seq: u64,
    pub(crate) install: &'a str,
    /// Place and number of parts, where a batch was split.
    pub(crate) part: Option<(u64, u64)>,
}

/// Writes a change payload.
pub(crate) fn encode<'a>(head: &EntryHead<'_>, ops: impl IntoIterator<Item = &'a Op>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"meshId\":");
    scan::write_string(&mut out, head.mesh_id.as_bytes());
    out.extend_from_slice(b",\"kind\":\"change\",\"entry\":{\"id\":");
    scan::write_string(&mut out, head.id.as_bytes());
    out.extend_from_slice(format!(",\"ts\":{},\"device\":", head.ts_ms).as_bytes());
    scan::write_string(&mut out, head.device.as_bytes());
    out.extend_from_slice(b",\"hlc\":");
    write_clock(&mut out, head.clock);
    out.extend_from_slice(b",\"ops\":[");
    let mut separator = None;
    for op in ops {
        out.extend(separator.replace(b','));
        write_op(&mut out, op);
    }
    out.extend_from_slice(format!("],\"client\":\"{CLIENT}\",\"seq\":{},\"install\":", head.seq).as_bytes());
    scan::write_string(&mut out, head.install.as_bytes());
    if let Some((part, parts)) = head.part {
        out.extend_from_slice(format!(",\"part\":{part},\"parts\":{parts}").as_bytes());
    }
    out.extend_from_slice(b"}}");
    out
}

/// One state as a delete with its original clock and the upsert above it, as far as it holds them.
fn write_op(out: &mut Vec<u8>, op: &Op) {
    if let Some(deleted) = &op.state.deleted {
        write_op_start(out, "delete", op);
        out.extend_from_slice(b",\"hlc\":");
        write_clock(out, deleted);
        out.push(b'}');
        if op.state.is_live() {
            out.push(b',');
        }
    }
    if op.state.is_live() {
        write_op_start(out, "upsert", op);
        out.extend_from_slice(b",\"columns\":");
        write_cells(out, &op.state.cells);
        out.push(b'}');
    }
}

/// Length of an operation on the wire, in bytes.
pub(crate) fn encoded_len(op: &Op) -> usize {
    let mut out = Vec::new();
    write_op(&mut out, op);
    out.len() + 1
}

fn write_op_start(out: &mut Vec<u8>, kind: &str, op: &Op) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"table\":");
    scan::write_string(out, op.table.as_bytes());
    out.extend_from_slice(b",\"rowId\":");
    scan::write_string(out, op.row_id.as_bytes());
}

pub(crate) fn write_clock(out: &mut Vec<u8>, clock: &Clock) {
    out.push(b'"');
    clock.write_time(out);
    // Only the node can need escapes.
    scan::write_escaped(out, clock.node.as_bytes());
    out.push(b'"');
}

/// Writes `{column: {value, hlc}}`.
pub(crate) fn write_cells(out: &mut Vec<u8>, cells: &[Cell]) {
    out.push(b'{');
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        scan::write_string(out, cell.name.as_bytes());
        out.extend_from_slice(b":{\"value\":");
        out.extend_from_slice(cell.value.as_str().as_bytes());
        out.extend_from_slice(b",\"hlc\":");
        write_clock(out, &cell.clock);
        out.push(b'}');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::any_state;
    use proptest::prelude::*;

    const MESH: &str = "mesh_01900000-0000-7000-8000-0000000000f1";
    /// The payload of the vector in protocol.md 6.2.
    const PAYLOAD: &str = r#"{"meshId":"mesh_01900000-0000-7000-8000-0000000000f1","kind":"change","entry":{"id":"chg_01900000-0000-7000-8000-0000000000c1","ts":1711785600123,"device":"01900000-0000-7000-8000-00000000000a","hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a","ops":[{"type":"upsert","table":"todos","rowId":"todo_1","columns":{"title":{"value":"Köln ✓","hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a"},"done":{"value":false,"hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a"}}}]}}"#;

    fn decoded(payload: &str) -> Result<ChangeEntry, WireError> {
        decode(payload.as_bytes(), MESH)
    }

    #[test]
    fn reads_the_vector() {
        let entry = decoded(PAYLOAD).unwrap();
        assert_eq!(PAYLOAD.len(), 517);
        assert_eq!(entry.ops.len(), 1);
        assert_eq!(entry.ops[0].table, Name::from("todos"));
        assert_eq!(entry.ops[0].state.to_json(), r#"{"title":"Köln ✓","done":false}"#);
        assert!(entry.is_named(
            "001711785600000-0000-01900000-0000-7000-8000-00000000000a-chg_01900000-0000-7000-8000-0000000000c1.json"
        ));
        assert!(!entry.is_named("001711785600001-0000-a-chg_b.json"));
    }

    #[test]
    fn writes_the_fields_of_the_vector_in_its_order() {
        let entry = decoded(PAYLOAD).unwrap();
        let written = encode(
            &EntryHead {
                mesh_id: MESH,
                id: entry.id.as_str().unwrap(),
                ts_ms: 1_711_785_600_123,
                device: &entry.device,
                clock: &entry.clock,
                seq: 3,
                install: "i1",
                part: None,
            },
            &entry.ops,
        );
        let ours = r#","client":"native/1","seq":3,"install":"i1"}}"#;
        assert_eq!(String::from_utf8(written).unwrap(), PAYLOAD.replace("}]}}", "}]") + ours);
    }

    #[test]
    fn values_pass_through_unchanged() {
        let odd = r#"{"\ud800":[1.50,-0,1e400,"\ud83d\ude00\udfff\/"],"":123456789012345678901234567890}"#;
        let payload = PAYLOAD.replace("false", odd).replace("\"title\"", "\"\\udc00\"");
        let entry = decoded(&payload).unwrap();
        assert_eq!(entry.ops[0].state.cells[1].value.as_str(), odd);
        let head = EntryHead {
            mesh_id: MESH,
            id: "c",
            ts_ms: 0,
            device: &entry.device,
            clock: &entry.clock,
            seq: 0,
            install: "",
            part: Some((1, 2)),
        };
        let again = decode(&encode(&head, &entry.ops), MESH).unwrap();
        assert_eq!(again.ops, entry.ops);
    }

    #[test]
    fn faults_are_named() {
        let fault = |from: &str, to: &str| decoded(&PAYLOAD.replacen(from, to, 1)).unwrap_err();
        assert_eq!(fault("0000f1", "0000f2"), WireError::ForeignMesh);
        assert!(matches!(fault("\"change\"", "\"snapshot\""), WireError::Shape(_)));
        assert!(matches!(fault("\"change\"", "\"epic\""), WireError::Newer(_)));
        assert!(matches!(fault("\"upsert\"", "\"increment\""), WireError::Newer(_)));
        assert_eq!(
            fault("001711785600000-0000-01900000-0000-7000-8000-00000000000a\"}", "soon\"}"),
            WireError::Clock
        );
        for field in [
            "\"meshId\"",
            "\"kind\"",
            "\"entry\"",
            "\"id\"",
            "\"hlc\"",
            "\"ops\"",
            "\"table\"",
            "\"rowId\"",
            "\"columns\"",
        ] {
            assert!(matches!(fault(field, "\"gone\""), WireError::Shape(_)), "{field}");
        }
        for cut in 0..PAYLOAD.len() {
            assert!(decode(&PAYLOAD.as_bytes()[..cut], MESH).is_err());
        }
    }

    #[test]
    fn the_last_of_doubled_columns_counts() {
        let columns = |count: usize| {
            let mut text: Vec<String> =
                (0..count).map(|at| format!(r#""c{at}":{{"value":0,"hlc":"1-0-a"}}"#)).collect();
            text.push(r#""c0":{"value":9,"hlc":"1-0-a"}"#.into());
            text.push(format!(r#""c{}":{{"value":9,"hlc":"1-0-a"}}"#, count - 1));
            format!("{{{}}}", text.join(","))
        };
        for count in [2, 200] {
            let cells = cells_of(&mut Cursor::new(columns(count).as_bytes())).unwrap();
            assert_eq!(cells.len(), count);
            assert_eq!((cells[0].value.as_str(), cells[count - 1].value.as_str()), ("9", "9"));
        }
    }

    proptest! {
        #[test]
        fn round_trip(states in prop::collection::vec(any_state(), 0..4)) {
            let ops: Vec<Op> = states.into_iter().enumerate()
                .map(|(at, state)| Op { table: "t\"".into(), row_id: format!("r{at}").into(), state }).collect();
            let clock = "5-1-a-b".parse().unwrap();
            let device = Name::from("a-b");
            let head = EntryHead { mesh_id: "m", id: "chg_1", ts_ms: 5, device: &device, clock: &clock, seq: 1, install: "i", part: None };
            let read = decode(&encode(&head, &ops), "m").unwrap();
            // Deletes and upserts come apart; joined again they are the states.
            let mut joined: Vec<Op> = Vec::new();
            for op in read.ops {
                match joined.last_mut().filter(|last| last.row_id == op.row_id) {
                    Some(last) => { crate::merge::join(&mut last.state, op.state, &|_| false); }
                    None => joined.push(op),
                }
            }
            prop_assert_eq!(joined, ops);
        }

        #[test]
        fn garbage_never_panics(text in "[\\{\\}\\[\\]\",:a-z0-9\\\\ ]{0,80}") {
            let _ = decoded(&text);
        }
    }
}
