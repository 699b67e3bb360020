//! The rows of several devices side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::TABLE;
use crate::{
    failure::{Failure, Outcome},
    terminal::Paint,
    text,
};

/// Columns for the name of a field, and for each device.
const FIELD: usize = 14;
const CELL: usize = 18;

/// What one device has: each field of each row, and the deleted rows.
pub(super) struct View {
    device: &'static str,
    fields: BTreeMap<(String, String), String>,
    deleted: BTreeSet<String>,
}

/// Reads a dump of the demo, which holds nothing but plain values.
pub(super) fn parse(dump: &str) -> Outcome<Value> {
    serde_json::from_str(dump).map_err(|error| Failure::new("DEMO", format!("the dump is not JSON: {error}")))
}

impl View {
    pub(super) fn new(device: &'static str, dump: &str) -> Outcome<Self> {
        let dump = parse(dump)?;
        let mut fields = BTreeMap::new();
        for (row, columns) in dump["tables"][TABLE].as_object().into_iter().flatten() {
            for (column, value) in columns.as_object().into_iter().flatten() {
                fields.insert((row.clone(), column.clone()), value.to_string());
            }
        }
        let deleted = dump["tombstones"][TABLE].as_array().into_iter().flatten();
        let deleted = deleted.filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self { device, fields, deleted })
    }

    fn cell(&self, row: &str, column: &str) -> &str {
        match self.fields.get(&(row.to_owned(), column.to_owned())) {
            Some(value) => value,
            None if self.deleted.contains(row) => "(deleted)",
            None => "",
        }
    }
}

/// One line a field; lines on which the devices differ are marked.
pub(super) fn side_by_side(views: &[View], paint: Paint) -> String {
    let mut lines: BTreeSet<(String, String)> =
        views.iter().flat_map(|view| view.fields.keys().cloned()).collect();
    let gone = views.iter().flat_map(|view| &view.deleted);
    let gone: Vec<_> = gone.filter(|row| !lines.iter().any(|(known, _)| known == *row)).cloned().collect();
    lines.extend(gone.into_iter().map(|row| (row, String::new())));
    let head: String = views.iter().map(|view| text::pad(view.device, CELL)).collect();
    let mut out = format!("   {}\n", paint.dim(format!("{}{head}", text::pad(TABLE, FIELD)).trim_end()));
    let mut last = String::new();
    for (row, column) in &lines {
        let cells: Vec<&str> = views.iter().map(|view| view.cell(row, column)).collect();
        let differ = cells.iter().any(|cell| *cell != cells[0]);
        let shown = if *row == last { "" } else { row };
        let values: String = cells.iter().map(|cell| text::pad(&text::cut(cell, CELL - 1), CELL)).collect();
        let line = format!("{}{values}", text::pad(&format!("{shown:<7}{column}"), FIELD));
        let line = line.trim_end();
        let line = if differ {
            paint.yellow(&format!("{}≠", text::pad(line, FIELD + CELL * views.len())))
        } else {
            line.to_owned()
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "   {line}");
        last.clone_from(row);
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_marked() {
        let a = r#"{"tables":{"todos":{"m":{"done":true}}},"tombstones":{"todos":["c"]}}"#;
        let b = r#"{"tables":{"todos":{"c":{"x":1},"m":{"done":true}}},"tombstones":{}}"#;
        let views = [View::new("a", a).unwrap(), View::new("b", b).unwrap()];
        let shown = side_by_side(&views, Paint(false));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].starts_with("   c      x      (deleted)         1") && lines[1].ends_with('≠'),
            "{shown}"
        );
        assert_eq!(lines[2], "   m      done   true              true");
    }
}
