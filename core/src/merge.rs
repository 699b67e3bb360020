//! The merge: component-wise maximum of two row states, the same in any order.
//!
//! A row is (greatest delete clock, column → greatest clock with its value). Joining takes the
//! greater of each component; a column at or below the delete clock is erased. The join is
//! commutative, associative and idempotent, so devices agree whatever the order, duplication or
//! delay of files (a state-based CRDT: Shapiro et al., 2011).

use std::{cmp::Ordering, collections::HashMap, fmt, sync::Arc};

use crate::{
    clock::Clock,
    row::{Cell, RowState},
    value::{Name, Value, canonical},
};

/// Rows with more columns than this are joined through a map.
const MANY_COLUMNS: usize = 24;

/// What a join did.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// Whether the state is another one now.
    pub(crate) changed: bool,
    /// The least clock that was new.
    pub(crate) lowest: Option<Clock>,
    /// Columns where two values met under one clock.
    pub(crate) ties: Vec<Name>,
    /// Columns where both sides had a different value under different clocks.
    pub(crate) conflicts: Vec<Overwrite>,
}

impl Joined {
    fn note(&mut self, clock: Option<&Clock>) {
        self.changed = true;
        if self.lowest.is_none() || self.lowest.as_ref() > clock {
            self.lowest = clock.cloned();
        }
    }
}

/// Two values of one column that met in a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overwrite {
    pub(crate) field: Name,
    pub(crate) local: (Clock, Value),
    pub(crate) remote: (Clock, Value),
}

/// Joins `incoming` into `local`. Conflicts are collected only where `wants_conflict` says so.
pub(crate) fn join(
    local: &mut RowState,
    incoming: RowState,
    wants_conflict: &dyn Fn(&Name) -> bool,
) -> Joined {
    let mut joined = Joined::default();
    if incoming.deleted > local.deleted {
        local.deleted = incoming.deleted;
        joined.note(local.deleted.as_ref());
    }
    let positions = (local.cells.len() > MANY_COLUMNS).then(|| local.positions());
    let known = local.cells.len();
    for cell in incoming.cells {
        if local.deleted.as_ref().is_some_and(|deleted| cell.clock <= *deleted) {
            continue;
        }
        let at = match &positions {
            Some(positions) => positions.get(&cell.name).copied(),
            None => local.cells[..known].iter().position(|mine| mine.name == cell.name),
        };
        match at {
            None => {
                joined.note(Some(&cell.clock));
                local.cells.push(cell);
            }
            Some(at) => join_cell(&mut local.cells[at], cell, wants_conflict, &mut joined),
        }
    }
    if let Some(deleted) = &local.deleted {
        let before = local.cells.len();
        local.cells.retain(|cell| cell.clock > *deleted);
        joined.changed |= local.cells.len() != before;
    }
    joined
}

fn join_cell(mine: &mut Cell, theirs: Cell, wants_conflict: &dyn Fn(&Name) -> bool, joined: &mut Joined) {
    let order = theirs.clock.cmp(&mine.clock);
    if order == Ordering::Equal {
        if mine.value == theirs.value {
            return;
        }
        if !canonical::same(&mine.value, &theirs.value) {
            joined.ties.push(mine.name.clone());
        }
        if canonical::compare(&theirs.value, &mine.value) == Ordering::Greater {
            mine.value = theirs.value;
            joined.note(Some(&theirs.clock));
        }
        return;
    }
    if wants_conflict(&mine.name) && !canonical::same(&mine.value, &theirs.value) {
        joined.conflicts.push(Overwrite {
            field: mine.name.clone(),
            local: (mine.clock.clone(), mine.value.clone()),
            remote: (theirs.clock.clone(), theirs.value.clone()),
        });
    }
    if order == Ordering::Greater {
        joined.note(Some(&theirs.clock));
        *mine = theirs;
    }
}

/// Drops what stands at or below the floor: there the snapshot alone is the state.
pub(crate) fn strip(state: &mut RowState, floor: &Clock) {
    state.cells.retain(|cell| cell.clock > *floor);
    if state.deleted.as_ref().is_some_and(|deleted| deleted <= floor) {
        state.deleted = None;
    }
}

/// Two values of one column that a custom merge function is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Table of the row.
    pub table: Name,
    /// Id of the row.
    pub row_id: Name,
    /// The column.
    pub field: Name,
    /// The value that is stored here.
    pub local: Value,
    /// The value that arrived.
    pub remote: Value,
}

/// A custom merge function: one value for each conflict, in order.
///
/// It must be commutative and idempotent, or devices overwrite each other for ever. A result that
/// is not the last writer's value becomes a local write under a fresh clock.
pub type MergeFunction = Arc<dyn Fn(&[Conflict]) -> Vec<Value> + Send + Sync>;

/// How two values of one column become one.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum MergeStrategy {
    /// The last writer wins: the greater clock.
    #[default]
    LastWriterWins,
    /// As the JavaScript README describes it: last writer wins, equal clocks by our tie rule.
    RemoteWins,
    /// As the JavaScript README describes it: last writer wins, equal clocks by our tie rule.
    LocalWins,
    /// A function of the app.
    Custom(MergeFunction),
}

impl fmt::Debug for MergeStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MergeStrategy::LastWriterWins => "lww",
            MergeStrategy::RemoteWins => "remote-wins",
            MergeStrategy::LocalWins => "local-wins",
            MergeStrategy::Custom(_) => "custom",
        })
    }
}

/// Which strategy holds where: field before table before database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strategies {
    pub(crate) database: MergeStrategy,
    pub(crate) tables: HashMap<Name, TableStrategies>,
}

/// The strategies of one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableStrategies {
    pub(crate) table: Option<MergeStrategy>,
    pub(crate) fields: HashMap<Name, MergeStrategy>,
}

impl Strategies {
    /// The strategy of one column.
    pub(crate) fn of(&self, table: &Name, field: &Name) -> &MergeStrategy {
        let here = self.tables.get(table);
        here.and_then(|table| table.fields.get(field))
            .or_else(|| here.and_then(|table| table.table.as_ref()))
            .unwrap_or(&self.database)
    }

    /// The custom function of one column, if it has one.
    pub(crate) fn function(&self, table: &Name, field: &Name) -> Option<&MergeFunction> {
        match self.of(table, field) {
            MergeStrategy::Custom(function) => Some(function),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::any_state;
    use proptest::prelude::*;

    fn joined(states: impl IntoIterator<Item = RowState>) -> RowState {
        let mut out = RowState::default();
        for state in states {
            join(&mut out, state, &|_| false);
        }
        sorted(out)
    }

    fn sorted(mut state: RowState) -> RowState {
        state.cells.sort_by(|a, b| a.name.cmp(&b.name));
        state
    }

    /// One op a component: the finest split in which the same writes can travel.
    fn split(state: &RowState) -> Vec<RowState> {
        let deletes =
            state.deleted.iter().map(|clock| RowState { deleted: Some(clock.clone()), cells: Vec::new() });
        let upserts = state.cells.iter().map(|cell| RowState { deleted: None, cells: vec![cell.clone()] });
        deletes.chain(upserts).collect()
    }

    fn cell(name: &str, ts: u64, value: &str) -> Cell {
        let clock = Clock { ts, counter: 0, node: "n".into() };
        Cell { name: name.into(), clock, value: Value::parse(value).unwrap() }
    }

    fn live(cells: Vec<Cell>) -> RowState {
        RowState { deleted: None, cells }
    }

    fn dead(ts: u64) -> RowState {
        RowState { deleted: Some(Clock { ts, counter: 0, node: "n".into() }), cells: Vec::new() }
    }

    #[test]
    fn a_delete_erases_what_is_older_and_stays_after_resurrection() {
        let state = joined([live(vec![cell("a", 1, "1"), cell("b", 3, "2")]), dead(2)]);
        assert_eq!(state.cells.len(), 1);
        assert_eq!(state, joined([dead(2), live(vec![cell("b", 3, "2")]), live(vec![cell("a", 1, "1")])]));
        assert!(state.is_live());
        assert!(
            !joined([live(vec![cell("a", 2, "1")]), dead(2)]).is_live(),
            "an equal clock loses to the delete"
        );
    }

    #[test]
    fn equal_clocks_are_reported_and_the_greater_canonical_value_wins() {
        let mut state = live(vec![cell("a", 1, "10")]);
        let outcome = join(&mut state, live(vec![cell("a", 1, "2")]), &|_| false);
        assert_eq!((outcome.changed, outcome.ties.len()), (true, 1));
        assert_eq!(state.cells[0].value.as_str(), "2");
        let outcome = join(&mut state, live(vec![cell("a", 1, "2.0")]), &|_| false);
        assert_eq!((outcome.changed, outcome.ties.len()), (false, 0));
    }

    #[test]
    fn conflicts_name_both_values() {
        let mut state = live(vec![cell("a", 1, "1"), cell("b", 1, "1")]);
        let outcome = join(&mut state, live(vec![cell("a", 2, "3"), cell("b", 2, "3")]), &|name| {
            *name == Name::from("a")
        });
        assert_eq!(outcome.conflicts.len(), 1);
        assert_eq!(outcome.conflicts[0].local.1.as_str(), "1");
    }

    #[test]
    fn the_nearest_strategy_holds() {
        let custom = MergeStrategy::Custom(Arc::new(|_| Vec::new()));
        let strategies = Strategies {
            database: MergeStrategy::LocalWins,
            tables: HashMap::from([(
                "t".into(),
                TableStrategies {
                    table: Some(MergeStrategy::RemoteWins),
                    fields: HashMap::from([("f".into(), custom)]),
                },
            )]),
        };
        assert_eq!(format!("{:?}", strategies.of(&"t".into(), &"f".into())), "custom");
        assert_eq!(format!("{:?}", strategies.of(&"t".into(), &"g".into())), "remote-wins");
        assert_eq!(format!("{:?}", strategies.of(&"u".into(), &"f".into())), "local-wins");
    }

    proptest! {
        #[test]
        fn any_order_duplication_and_split_gives_one_row(
            states in prop::collection::vec(any_state(), 1..6), seed in any::<u64>()
        ) {
            let wanted = joined(states.clone());
            let mut pieces: Vec<RowState> = states.iter().flat_map(split).collect();
            // Republication: a device sends on what it has joined so far.
            pieces.push(joined(states[..states.len() / 2].iter().cloned()));
            pieces.extend(states);
            let mut order: Vec<usize> = (0..pieces.len()).collect();
            order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
            prop_assert_eq!(joined(order.into_iter().map(|at| pieces[at].clone())), wanted);
        }

        #[test]
        fn changed_tells_the_truth(a in any_state(), b in any_state()) {
            let mut state = a.clone();
            let outcome = join(&mut state, b, &|_| false);
            prop_assert_eq!(outcome.changed, sorted(state) != sorted(a));
        }

        #[test]
        fn wide_rows_join_as_narrow_ones_do(a in any_state(), b in any_state()) {
            let filler: Vec<Cell> = (0..40).map(|at| cell(&format!("w{at}"), 100, "0")).collect();
            let widen = |mut state: RowState| { state.cells.extend(filler.clone()); state };
            let wide = joined([widen(a.clone()), widen(b.clone())]);
            prop_assert_eq!(wide, joined([a, b, live(filler.clone())]));
        }
    }
}
