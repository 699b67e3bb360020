//! A look at the store itself: what SQLite says of the file, and whether rows and outbox can be read.

use super::{Tx, rows::bytes_of};
use crate::{
    clock::Clock,
    diagnosis::{Finding, Trouble},
    error::{Error, Result},
    row::RowState,
    value::Name,
};

/// Faults that SQLite lists at most.
const FAULTS: usize = 100;

/// What was read of the rows.
#[derive(Debug, Default)]
pub(crate) struct RowsSeen {
    pub(crate) count: u64,
    /// Rows with a clock above the limit that was given, and the greatest of these.
    pub(crate) late: u64,
    pub(crate) latest: Option<Clock>,
}

impl Tx<'_> {
    /// What SQLite finds wrong with the file.
    pub(crate) fn check_file(&self) -> Result<Option<Finding>> {
        let mut statement = self.conn().prepare(&format!("PRAGMA integrity_check({FAULTS})"))?;
        let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if lines == ["ok"] {
            return Ok(None);
        }
        let is_index = |line: &String| line.contains(" index ");
        let trouble = if lines.iter().all(is_index) { Trouble::IndexDamaged } else { Trouble::StoreDamaged };
        let more = if lines.len() > 1 { format!(", and {} more", lines.len() - 1) } else { String::new() };
        let first = lines.into_iter().next().unwrap_or_default();
        Ok(Some(Finding::new(trouble, "the store", first + &more)))
    }

    /// Builds every index anew.
    pub(crate) fn rebuild_indexes(&self) -> Result<()> {
        Ok(self.conn().execute_batch("REINDEX")?)
    }

    /// Reads every row; `limit_ms` is the latest time that a clock should show.
    pub(crate) fn check_rows(&self, limit_ms: u64, findings: &mut Vec<Finding>) -> Result<RowsSeen> {
        let mut seen = RowsSeen::default();
        for table in self.tables()? {
            let mut damaged: Vec<String> = Vec::new();
            let mut statement =
                self.sql(&format!("SELECT id, data, clocks, d FROM t_{} ORDER BY rid", table.id))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                seen.count += 1;
                let read = || {
                    let clocks = bytes_of(row, 2)?.unwrap_or_default();
                    Ok::<_, Error>(RowState::from_stored(bytes_of(row, 1)?, clocks, bytes_of(row, 3)?)?)
                };
                match read() {
                    Ok(state) => {
                        if let Some(clock) = state.greatest_clock().filter(|clock| clock.ts > limit_ms) {
                            seen.late += 1;
                            seen.latest = seen.latest.max(Some(clock.clone()));
                        }
                    }
                    Err(_) => {
                        let id = bytes_of(row, 0).ok().flatten().unwrap_or_default();
                        damaged.push(Name::from_wtf8(id).to_string());
                    }
                }
            }
            if let Some(first) = damaged.first() {
                let detail = match damaged.len() {
                    1 => format!("row {first}"),
                    count => format!("{count} rows, the first of them {first}"),
                };
                findings.push(Finding::new(Trouble::RowDamaged, table.name.to_string(), detail));
            }
        }
        Ok(seen)
    }

    /// Reads every record that waits.
    pub(crate) fn check_outbox(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for record in self.all_records()? {
            let place = format!("outbox record {record}");
            match self.record_ops(record) {
                Ok(ops) if ops.is_empty() => {
                    findings.push(Finding::new(Trouble::OutboxDamaged, place, "it holds nothing"));
                }
                Ok(_) => {}
                Err(error) => findings.push(Finding::new(Trouble::OutboxDamaged, place, error.to_string())),
            }
        }
        let mut orphans = self.sql(
            "SELECT DISTINCT seq FROM outbox_ops WHERE seq NOT IN (SELECT seq FROM outbox) ORDER BY seq LIMIT 100",
        )?;
        let mut rows = orphans.query([])?;
        while let Some(row) = rows.next()? {
            let place = format!("outbox record {}", row.get::<_, i64>(0)?);
            findings.push(Finding::new(Trouble::OutboxDamaged, place, "its operations have no record"));
        }
        for problem in self.problems()? {
            findings.push(Finding::new(Trouble::OutboxStuck, "outbox", problem));
        }
        for file in self.quarantined()? {
            findings.push(Finding::new(Trouble::Quarantined, file.name, file.reason));
        }
        Ok(())
    }
}
