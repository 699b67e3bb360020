//! How a query is answered: by an index where one leads to few rows, in the order of an index where
//! few rows are wanted, else by one pass over the table. All ways give the same rows.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use super::{
    Direction, Query,
    condition::Test,
    matches::{Matches, is_odd},
    members, order,
};
use crate::{
    error::Result,
    store::{
        Tx,
        rows::{KeyRange, TableInfo, Walk},
    },
    value::Name,
};

/// Rows that may be looked up one by one before anything is said about the size of the table.
const FEW: u64 = 1000;

/// A pass over the table costs as much per row as a look-up costs for this many.
const PASS: u64 = 8;

/// An ordered walk is tried if it may visit this many times the rows that it has to find.
const CHANCE: u64 = 4;

/// A query made ready for a table.
#[derive(Debug)]
pub(super) struct Plan {
    table: Arc<TableInfo>,
    /// The columns that are looked at.
    fields: Vec<Name>,
    clauses: Vec<Clause>,
    /// Columns to order by, as places in `fields`.
    orders: Vec<(usize, Direction)>,
}

/// One condition.
#[derive(Debug)]
struct Clause {
    /// Place of its column in `fields`.
    field: usize,
    test: Test,
    index: Option<Index>,
}

/// What the index of a clause's field says about it.
#[derive(Debug)]
struct Index {
    slot: i64,
    ranges: Vec<KeyRange>,
    /// Whether the ranges hold just what matches.
    is_exact: bool,
}

/// Rows to look at: all, or those of a clause by its index.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    clause: Option<(usize, &'a Index)>,
    /// About how many rows there are.
    rows: u64,
}

impl Plan {
    /// `None` where there can be no rows.
    pub(super) fn new(tx: &Tx<'_>, query: &Query) -> Result<Option<Self>> {
        // Another process may have changed the indexes since this connection last looked.
        tx.engine()?;
        let Some(table) = tx.table(&query.table)? else { return Ok(None) };
        if query.limit == Some(0) {
            return Ok(None);
        }
        let mut fields: Vec<Name> = Vec::new();
        let mut place = |field: &Name| {
            fields.iter().position(|known| known == field).unwrap_or_else(|| {
                fields.push(field.clone());
                fields.len() - 1
            })
        };
        let mut clauses = Vec::new();
        for (field, condition) in &query.filters {
            let test = Test::new(condition);
            if matches!(test, Test::Never) {
                return Ok(None);
            }
            let index = slot(&table, field).map(|slot| Index {
                slot,
                ranges: test.key_ranges(),
                is_exact: test.is_exact(),
            });
            clauses.push(Clause { field: place(field), test, index });
        }
        let orders = query.orders.iter().map(|(field, direction)| (place(field), *direction)).collect();
        Ok(Some(Self { table, fields, clauses, orders }))
    }

    /// The matches; of more than `wanted` the first.
    pub(super) fn matches(&self, tx: &Tx<'_>, wanted: usize) -> Result<Matches> {
        let mut matches = Matches::new(wanted);
        let source = self.source(tx)?;
        if !self.walk_in_order(tx, source, wanted, &mut matches)? {
            matches.clear();
            self.visit(tx, source, |candidate, id, json| {
                if candidate.matches(json)? {
                    candidate.set_order(json);
                    matches.push(&candidate.order, id, json);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(matches)
    }

    /// Number of matches.
    pub(super) fn count(&self, tx: &Tx<'_>) -> Result<u64> {
        match self.clauses.as_slice() {
            [] => tx.live_count(&self.table),
            [Clause { index: Some(index), .. }] if index.is_exact => self.count_in(tx, index, u64::MAX),
            _ => {
                let mut count = 0;
                self.visit(tx, self.source(tx)?, |candidate, _, json| {
                    count += u64::from(candidate.matches(json)?);
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(count)
            }
        }
    }

    /// The clause whose index leads to the fewest rows, unless a pass over the table is cheaper.
    fn source(&self, tx: &Tx<'_>) -> Result<Source<'_>> {
        if let Some(few) = self.fewest(tx, FEW)? {
            return Ok(few);
        }
        let rows = tx.row_bound(&self.table)?;
        Ok(self.fewest(tx, FEW + rows / PASS)?.unwrap_or(Source { clause: None, rows }))
    }

    /// The clause whose index leads to the fewest rows, and to less than `bound`.
    fn fewest(&self, tx: &Tx<'_>, mut bound: u64) -> Result<Option<Source<'_>>> {
        let mut fewest = None;
        for (at, clause) in self.clauses.iter().enumerate() {
            if let Some(index) = &clause.index {
                let rows = self.count_in(tx, index, bound)?;
                if rows < bound {
                    fewest = Some(Source { clause: Some((at, index)), rows });
                    bound = rows;
                }
            }
        }
        Ok(fewest)
    }

    fn count_in(&self, tx: &Tx<'_>, index: &Index, at_most: u64) -> Result<u64> {
        let mut rows = 0;
        for range in &index.ranges {
            if rows >= at_most {
                break;
            }
            rows += tx.count_keys(&self.table, index.slot, range, at_most - rows)?;
        }
        Ok(rows)
    }

    /// Looks at every row of a source until `visit` breaks.
    fn visit(
        &self,
        tx: &Tx<'_>,
        source: Source<'_>,
        mut visit: impl FnMut(&mut Candidate<'_>, &[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let Some((at, index)) = source.clause else {
            let mut candidate = Candidate::new(self, None);
            let _ = tx.each_live(&self.table, Walk::Made, |id, json| visit(&mut candidate, id, json))?;
            return Ok(());
        };
        let mut candidate = Candidate::new(self, index.is_exact.then_some(at));
        for range in &index.ranges {
            let walk = Walk::Keys { slot: index.slot, range };
            if tx.each_live(&self.table, walk, |id, json| visit(&mut candidate, id, json))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Looks for the wanted rows in their order. Tells whether they are complete: it gives up when that
    /// would cost more than going through `source`.
    fn walk_in_order(
        &self,
        tx: &Tx<'_>,
        source: Source<'_>,
        wanted: usize,
        matches: &mut Matches,
    ) -> Result<bool> {
        let mut budget = source.rows.min(FEW + source.rows / PASS);
        if u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(CHANCE) > budget {
            return Ok(false);
        }
        let Some((walks, met)) = self.ordered_walks() else { return Ok(false) };
        let mut candidate = Candidate::new(self, met);
        let by_id = self.orders.is_empty();
        let mut is_complete = true;
        for walk in walks {
            let flow = tx.each_live(&self.table, walk, |id, json| {
                if budget == 0 || by_id && id.iter().any(|byte| is_odd(*byte)) {
                    is_complete = false;
                    return Ok(ControlFlow::Break(()));
                }
                budget -= 1;
                if !candidate.matches(json)? {
                    return Ok(ControlFlow::Continue(()));
                }
                candidate.set_order(json);
                let order = &candidate.order;
                // Rows with one key come in any order: all of them belong to the choice.
                if matches.len() >= wanted && !matches.last_order().starts_with(&order[..candidate.first_end])
                {
                    return Ok(ControlFlow::Break(()));
                }
                matches.push(order, id, json);
                Ok(if by_id && matches.len() >= wanted {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(is_complete)
    }

    /// The walks that give rows in the order of the first key, where there are any, and the clause that
    /// they meet.
    fn ordered_walks(&self) -> Option<(Vec<Walk<'_>>, Option<usize>)> {
        let Some((field, direction)) = self.orders.first() else { return Some((vec![Walk::ById], None)) };
        let slot = slot(&self.table, self.fields.get(*field)?)?;
        let is_descending = *direction == Direction::Descending;
        let by_key = |range| Walk::ByKey { slot, range, is_descending };
        let clause = self.clauses.iter().enumerate().find(|(_, clause)| clause.field == *field);
        let Some((at, Clause { index: Some(index), .. })) = clause else {
            return Some((vec![by_key(None)], None));
        };
        let mut walks: Vec<Walk<'_>> = index.ranges.iter().map(|range| by_key(Some(range))).collect();
        if is_descending {
            walks.reverse();
        }
        Some((walks, index.is_exact.then_some(at)))
    }
}

/// The key column of a field that has an index.
fn slot(table: &TableInfo, field: &Name) -> Option<i64> {
    table.fields.iter().find(|indexed| indexed.name == *field).map(|indexed| indexed.slot)
}

/// The row that is looked at.
#[derive(Debug)]
struct Candidate<'a> {
    plan: &'a Plan,
    /// A clause that every row meets.
    met: Option<usize>,
    /// Where its columns lie, by place in the plan's fields.
    found: Vec<Range<usize>>,
    order: Vec<u8>,
    /// Where the first key in `order` ends.
    first_end: usize,
}

impl<'a> Candidate<'a> {
    fn new(plan: &'a Plan, met: Option<usize>) -> Self {
        Self { plan, met, found: vec![0..0; plan.fields.len()], order: Vec::new(), first_end: 0 }
    }

    /// Whether a row meets every clause.
    fn matches(&mut self, json: &[u8]) -> Result<bool> {
        let Plan { fields, clauses, orders, .. } = self.plan;
        if orders.is_empty() && clauses.len() == usize::from(self.met.is_some()) {
            return Ok(true);
        }
        members::find(json, fields, &mut self.found)?;
        Ok(clauses.iter().enumerate().all(|(at, clause)| {
            self.met == Some(at) || clause.test.matches(&json[self.found[clause.field].clone()])
        }))
    }

    /// Notes what a row that matches is ordered by.
    fn set_order(&mut self, json: &[u8]) {
        self.order.clear();
        for (at, (field, direction)) in self.plan.orders.iter().enumerate() {
            order::push(&mut self.order, &json[self.found[*field].clone()], *direction);
            if at == 0 {
                self.first_end = self.order.len();
            }
        }
    }
}
