//! Queries: live rows of one table that meet every condition, in a definite order.
//!
//! Rows come ordered by the given fields, then by row id in UTF-16 code-unit order, so that a query
//! gives the same rows in the same order on every device, with an index and without one. A column that
//! is missing or null stands first where a field ascends and last where it descends. Columns are
//! returned as their writer spelled them.

mod condition;
mod matches;
mod members;
mod order;
mod plan;

#[cfg(test)]
mod suite;

use std::fmt;

pub use condition::Condition;

use crate::{
    error::Result,
    row::DamagedRow,
    store::Tx,
    value::{Name, scan},
};

/// A row as queries return it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id; no column.
    pub id: Name,
    /// Its columns as one JSON object.
    pub json: String,
}

impl fmt::Debug for Row {
    /// Values are the user's data: only their size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("id", &self.id)
            .field("json", &format_args!("{} bytes", self.json.len()))
            .finish()
    }
}

/// Which way a field orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Least first; missing and null before everything.
    #[default]
    Ascending,
    /// Greatest first; missing and null after everything.
    Descending,
}

/// What to look for in one table. Without anything else: all its live rows, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    table: Name,
    filters: Vec<(Name, Condition)>,
    orders: Vec<(Name, Direction)>,
    limit: Option<u64>,
    offset: u64,
}

impl Query {
    /// All live rows of a table. A table that does not exist has none.
    pub fn table(name: impl Into<Name>) -> Self {
        Self { table: name.into(), filters: Vec::new(), orders: Vec::new(), limit: None, offset: 0 }
    }

    /// Only rows whose column `field` meets `condition`, and every condition given before.
    #[must_use]
    pub fn filter(mut self, field: impl Into<Name>, condition: Condition) -> Self {
        self.filters.push((field.into(), condition));
        self
    }

    /// Orders by a column; among its equals the order of later calls holds, then that of row ids.
    #[must_use]
    pub fn order_by(mut self, field: impl Into<Name>, direction: Direction) -> Self {
        self.orders.push((field.into(), direction));
        self
    }

    /// At most so many rows. The last call holds.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Leaves out so many rows at the start. The last call holds.
    #[must_use]
    pub fn offset(mut self, rows: u64) -> Self {
        self.offset = rows;
        self
    }

    /// The table that is looked at.
    pub fn table_name(&self) -> &Name {
        &self.table
    }
}

/// The rows of a query.
pub(crate) fn run(tx: &Tx<'_>, query: &Query) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    run_each(tx, query, |id, json| {
        let json = std::str::from_utf8(json).map_err(|_| DamagedRow("its text"))?;
        found.push(Row { id: Name::from_wtf8(id), json: json.to_owned() });
        Ok(())
    })?;
    Ok(found)
}

/// The rows of a query as JSON: `[{"id":…,"row":{…}},…]`.
pub(crate) fn page_json(tx: &Tx<'_>, query: &Query) -> Result<Vec<u8>> {
    let mut page = vec![b'['];
    run_each(tx, query, |id, json| {
        if page.len() > 1 {
            page.push(b',');
        }
        page.reserve(id.len() + json.len() + 18);
        page.extend_from_slice(b"{\"id\":");
        scan::write_string(&mut page, id);
        page.extend_from_slice(b",\"row\":");
        page.extend_from_slice(json);
        page.push(b'}');
        Ok(())
    })?;
    page.push(b']');
    Ok(page)
}

/// Visits the rows of a query: id in WTF-8, columns as JSON.
pub(crate) fn run_each(
    tx: &Tx<'_>,
    query: &Query,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let Some(plan) = plan::Plan::new(tx, query)? else { return Ok(()) };
    let (start, end) = query.window();
    let mut matches = plan.matches(tx, end)?;
    matches.rows(start..end).try_for_each(|(id, json)| visit(id, json))
}

/// Number of rows that the query gives.
pub(crate) fn count(tx: &Tx<'_>, query: &Query) -> Result<u64> {
    let Some(plan) = plan::Plan::new(tx, query)? else { return Ok(0) };
    let total = plan.count(tx)?.saturating_sub(query.offset);
    Ok(query.limit.map_or(total, |limit| total.min(limit)))
}

impl Query {
    /// The positions, among all matches, of the first row wanted and of the row behind the last.
    fn window(&self) -> (usize, usize) {
        let position = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let end = self.limit.map_or(u64::MAX, |limit| limit.saturating_add(self.offset));
        (position(self.offset), position(end))
    }
}
