//! Receipts: exact names of the change files whose effects are in the rows.

use super::Tx;
use crate::error::Result;

impl Tx<'_> {
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

    /// Forgets every receipt but those of `names`, so that the other files are read again.
    pub(crate) fn keep_receipts(&self, names: &[String]) -> Result<()> {
        self.sql("DELETE FROM receipts")?.execute([])?;
        names.iter().try_for_each(|name| self.add_receipt(name))
    }
}
