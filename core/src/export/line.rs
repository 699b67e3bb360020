//! The JSON of an export: its head, a row, a file.

use super::invalid;
use crate::{
    clock::Clock,
    error::{Error, Result},
    files::FilePath,
    row::RowState,
    value::{
        Name,
        scan::{self, Cursor},
    },
    wire::{
        CLIENT, WireError,
        change::{cells_of, write_cells, write_clock},
        iso_time,
        record::Record,
    },
};

/// What the head calls itself.
const FORMAT: &str = "interocitor-export";

/// The only version there is.
pub(super) const VERSION: u64 = 1;

/// The longest line that is written and read, in bytes.
pub(super) const MAX_LINE: usize = 64 * 1024 * 1024;

/// One table of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableEntry {
    pub(super) name: Name,
    pub(super) file: String,
    pub(super) rows: u64,
}

/// What an export says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The mesh that the rows belong to, if they do.
    pub(super) mesh_id: Option<String>,
    pub(super) tables: Vec<TableEntry>,
}

impl Head {
    pub(super) fn encode(&self, now_ms: u64) -> Vec<u8> {
        let mut record = Record::default();
        record.set_text("format", FORMAT);
        record.set_integer("version", VERSION);
        record.set_text("exportedAt", &iso_time(now_ms));
        record.set_text("client", CLIENT);
        if let Some(mesh_id) = &self.mesh_id {
            record.set_text("meshId", mesh_id);
        }
        let mut tables = vec![b'['];
        for (at, table) in self.tables.iter().enumerate() {
            if at > 0 {
                tables.push(b',');
            }
            tables.extend_from_slice(b"{\"name\":");
            scan::write_string(&mut tables, table.name.as_bytes());
            tables.extend_from_slice(
                format!(",\"file\":\"{}\",\"rows\":{}}}", table.file, table.rows).as_bytes(),
            );
        }
        tables.push(b']');
        record.set("tables", crate::value::Value::from_raw(&tables));
        let mut text = record.pretty();
        text.push(b'\n');
        text
    }

    pub(super) fn parse(bytes: &[u8], entry: &str) -> Result<Self> {
        let wrong = |reason: &str| invalid(entry, reason);
        let record = Record::parse(bytes).map_err(|error| wrong(&error.to_string()))?;
        if record.text("format").as_deref() != Some(FORMAT) {
            return Err(wrong("it is not the head of an export"));
        }
        check_version(record.integer("version"), entry)?;
        let tables = record.get("tables").ok_or_else(|| wrong("it names no tables"))?;
        let mut head = Self { mesh_id: record.text("meshId"), tables: Vec::new() };
        let mut cursor = Cursor::new(tables.as_str().as_bytes());
        let parsed: Result<(), WireError> = cursor.array(|cursor| {
            let (mut name, mut file, mut rows) = (None, None, None);
            cursor.object(|key, cursor| {
                match &*key {
                    b"name" => name = Some(cursor.name()?),
                    b"file" => file = Some(cursor.name()?.to_string_lossy().into_owned()),
                    b"rows" => {
                        rows = std::str::from_utf8(cursor.value()?).ok().and_then(|text| text.parse().ok());
                    }
                    _ => {
                        cursor.value()?;
                    }
                }
                Ok::<_, WireError>(())
            })?;
            let missing = || WireError::Shape("a table lacks its name, its file or the number of its rows");
            let (Some(name), Some(file), Some(rows)) = (name, file, rows) else { return Err(missing()) };
            head.tables.push(TableEntry { name, file, rows });
            Ok(())
        });
        parsed.map_err(|error| wrong(&error.to_string()))?;
        Ok(head)
    }
}

/// Whether this version can be read here.
pub(super) fn check_version(version: Option<u64>, entry: &str) -> Result<()> {
    match version {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(Error::ExportNewer { found, known: VERSION }),
        _ => Err(invalid(entry, "it names no version of the format")),
    }
}

/// Appends the line of a row.
pub(super) fn write_row(out: &mut Vec<u8>, id: &Name, state: &RowState) {
    out.extend_from_slice(b"{\"id\":");
    scan::write_string(out, id.as_bytes());
    if let Some(deleted) = &state.deleted {
        out.extend_from_slice(b",\"deletedHlc\":");
        write_clock(out, deleted);
    }
    // A row without columns that was never deleted exists; with a deletion it is a tombstone.
    out.extend_from_slice(b",\"columns\":");
    write_cells(out, &state.cells);
    out.extend_from_slice(b"}\n");
}

/// Reads the line of a row.
pub(super) fn read_row(line: &[u8]) -> Result<(Name, RowState), WireError> {
    let (mut id, mut deleted, mut cells) = (None, None, None);
    let mut cursor = Cursor::new(line);
    cursor.object(|key, cursor| {
        match &*key {
            b"id" => id = Some(cursor.name()?),
            b"deletedHlc" => deleted = Some(Clock::parse(&cursor.string()?)?),
            b"columns" => cells = Some(cells_of(cursor)?),
            _ => {
                cursor.value()?;
            }
        }
        Ok::<_, WireError>(())
    })?;
    cursor.end()?;
    let mut state = RowState { deleted, cells: cells.ok_or(WireError::Shape("a row has no columns"))? };
    if let Some(deleted) = &state.deleted {
        state.cells.retain(|cell| cell.clock > *deleted);
    }
    Ok((id.ok_or(WireError::Shape("a row has no id"))?, state))
}

/// A durable file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileLine {
    pub(super) path: FilePath,
    /// Its entry.
    pub(super) entry: String,
    pub(super) size: u64,
    pub(super) digest: String,
    pub(super) content_type: Option<String>,
    pub(super) modified_ms: Option<u64>,
}

impl FileLine {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut record = Record::default();
        record.set_text("path", self.path.as_str());
        record.set_text("file", &self.entry);
        record.set_integer("size", self.size);
        record.set_text("sha256", &self.digest);
        if let Some(content_type) = &self.content_type {
            record.set_text("contentType", content_type);
        }
        if let Some(modified_ms) = self.modified_ms {
            record.set_integer("modifiedMs", modified_ms);
        }
        out.extend_from_slice(&record.compact());
        out.push(b'\n');
    }

    pub(super) fn read(line: &[u8], entry: &str) -> Result<Self> {
        let record = Record::parse(line).map_err(|error| invalid(entry, error.to_string()))?;
        let missing = || invalid(entry, "a file lacks its path, its entry, its size or its digest");
        let path = record.text("path").ok_or_else(missing)?;
        let checked = FilePath::new(&path).map_err(|error| invalid(entry, error.to_string()))?;
        if checked.as_str() != path {
            return Err(invalid(entry, "a path has another spelling than files have"));
        }
        Ok(Self {
            path: checked,
            entry: record.text("file").ok_or_else(missing)?,
            size: record.integer("size").ok_or_else(missing)?,
            digest: record.text("sha256").ok_or_else(missing)?,
            content_type: record.text("contentType"),
            modified_ms: record.integer("modifiedMs"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::any_state;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_comes_back_as_it_was(state in any_state(), id in "[a\"\\\\\u{e9}]{1,3}") {
            let mut line = Vec::new();
            write_row(&mut line, &id.as_str().into(), &state);
            prop_assert_eq!(read_row(&line).unwrap(), (Name::from(id.as_str()), state));
            prop_assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"id":"a"}"#,
            r#"{"columns":{}}"#,
            r#"{"id":"a","columns":{"x":{"value":1}}}"#,
            r#"{"id":"a","columns":{},"deletedHlc":"soon"}"#,
            r#"{"id":"a","columns":{}} {}"#,
        ] {
            assert!(read_row(bad.as_bytes()).is_err(), "{bad}");
        }
        let odd = r#"{"id":"\ud800","columns":{"x":{"value":1.50,"hlc":"5-0-a"},"y":{"value":1,"hlc":"3-0-a"}},"deletedHlc":"4-0-a","more":1}"#;
        let (id, state) = read_row(odd.as_bytes()).unwrap();
        assert_eq!((id.as_str(), state.cells.len(), state.cells[0].value.as_str()), (None, 1, "1.50"));
    }

    #[test]
    fn heads_and_files() {
        let head = Head {
            mesh_id: Some("mesh_1".into()),
            tables: vec![TableEntry { name: "t\"".into(), file: "tables/0001-t.jsonl".into(), rows: 3 }],
        };
        let text = head.encode(0);
        assert_eq!(Head::parse(&text, "x").unwrap(), head);
        let text = String::from_utf8(text).unwrap();
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert_eq!(Head::parse(newer.as_bytes(), "x").unwrap_err().code().as_str(), "EXPORT_NEWER");
        for (from, to) in
            [("interocitor-export", "x"), ("\"version\": 1", "\"version\": -1"), ("\"tables\"", "\"x\"")]
        {
            let error = Head::parse(text.replace(from, to).as_bytes(), "x").unwrap_err();
            assert_eq!(error.code().as_str(), "EXPORT_INVALID", "{to}");
        }
        let line = r#"{"path":"../a","file":"files/a","size":1,"sha256":""}"#;
        assert!(FileLine::read(line.as_bytes(), "x").is_err());
    }
}
