//! Receipts: exact names of the change files whose effects are in the rows.

use std::collections::HashSet;

use rusqlite::params;

use super::{Tx, rows::Text};
use crate::{clock::Clock, error::Result};

impl Tx<'_> {
    /// Notes a file that brought nothing here: our own, or one that a snapshot holds.
    pub(crate) fn add_receipt(&self, name: &str) -> Result<()> {
        self.add_receipt_of(name, None)
    }

    /// Notes a file that was merged, with the least clock that was new in it.
    pub(crate) fn add_receipt_of(&self, name: &str, lowest: Option<&Clock>) -> Result<()> {
        let lowest = lowest.map(Clock::to_wtf8);
        self.sql("INSERT OR IGNORE INTO receipts VALUES (?1, ?2)")?
            .execute(params![name, lowest.as_deref().map(Text)])?;
        Ok(())
    }

    /// The names that have no receipt yet, in the order given.
    pub(crate) fn without_receipt(&self, names: Vec<String>) -> Result<Vec<String>> {
        let mut statement = self.sql("SELECT 1 FROM receipts WHERE name = ?1")?;
        let mut unknown = Vec::new();
        for name in names {
            if !statement.exists([&name])? {
                unknown.push(name);
            }
        }
        Ok(unknown)
    }

    /// Whether a file that is not among `names` brought anything at or below a clock.
    pub(crate) fn brought_below(&self, clock: &Clock, names: &HashSet<&str>) -> Result<bool> {
        let mut statement = self.sql("SELECT name, lowest FROM receipts WHERE lowest IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let lowest = super::rows::bytes_of(row, 1)?.and_then(|text| Clock::parse(text).ok());
            if lowest.is_some_and(|lowest| lowest <= *clock) && !names.contains(name.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the least clocks of files away: from now on a snapshot speaks for them.
    pub(crate) fn settle_receipts(&self, names: &[String]) -> Result<()> {
        let mut statement =
            self.sql("UPDATE receipts SET lowest = NULL WHERE name = ?1 AND lowest IS NOT NULL")?;
        names.iter().try_for_each(|name| Ok(statement.execute([name]).map(|_| ())?))
    }

    /// Forgets every receipt but those of `names`, so that the other files are read again.
    pub(crate) fn keep_receipts(&self, names: &[String]) -> Result<()> {
        self.sql("DELETE FROM receipts")?.execute([])?;
        names.iter().try_for_each(|name| self.add_receipt(name))
    }
}
