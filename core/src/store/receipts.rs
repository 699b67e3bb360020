//! Receipts: exact names of the change files whose effects are in the rows.

use rusqlite::OptionalExtension;

use super::Tx;
use crate::error::Result;

impl Tx<'_> {
    pub(crate) fn has_receipt(&self, name: &str) -> Result<bool> {
        let found = self.sql("SELECT 1 FROM receipts WHERE name = ?1")?.query_row([name], |_| Ok(())).optional()?;
        Ok(found.is_some())
    }

    pub(crate) fn add_receipt(&self, name: &str) -> Result<()> {
        self.sql("INSERT OR IGNORE INTO receipts VALUES (?1)")?.execute([name])?;
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
}
