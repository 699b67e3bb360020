use std::{cmp::Ordering, ops::Bound};

use proptest::prelude::*;

use super::*;
use crate::{
    clock::Clock,
    error::Error,
    row::{Cell, RowState},
    store::{Durability, FileStore, MemoryStore, Store, cipher::Form, fields::WantedField},
    value::{Value, canonical, key},
};

fn clock(ts: u64) -> Clock {
    Clock { ts, counter: 0, node: "n".into() }
}

fn value(json: &str) -> Value {
    Value::parse(json).unwrap()
}

/// A live row; of equal names the last counts.
fn live(columns: &[(Name, Value)]) -> RowState {
    let mut state = RowState::default();
    for (name, value) in columns {
        state.cells.retain(|cell| cell.name != *name);
        state.cells.push(Cell { name: name.clone(), clock: clock(1), value: value.clone() });
    }
    state
}

fn tombstone() -> RowState {
    RowState { deleted: Some(clock(2)), cells: Vec::new() }
}

/// Stores rows in the table `t`.
fn fill(store: &dyn Store, rows: &[(Name, RowState)]) {
    store
        .write_with(Durability::Process, |tx| {
            let table = tx.ensure_table(&"t".into())?;
            rows.iter().try_for_each(|(id, row)| tx.put_row(&table, id, None, row))
        })
        .unwrap();
}

fn index(store: &dyn Store, fields: &[&Name]) {
    let field = |field: &&Name| WantedField { table: "t".into(), field: (*field).clone(), is_unique: false };
    let wanted: Vec<WantedField> = fields.iter().map(field).collect();
    store.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted)).unwrap();
}

/// A store with rows of one column `f`.
fn column(values: &[&str]) -> MemoryStore {
    let store = MemoryStore::new().unwrap();
    let rows = values
        .iter()
        .enumerate()
        .map(|(at, json)| (format!("r{at}").into(), live(&[("f".into(), value(json))])));
    fill(&store, &rows.collect::<Vec<_>>());
    store
}

fn ids(store: &dyn Store, query: &Query) -> Vec<String> {
    let rows = store.read_with(|tx| run(tx, query)).unwrap();
    rows.into_iter().map(|row| row.id.to_string_lossy().into_owned()).collect()
}

fn t() -> Query {
    Query::table("t")
}

#[test]
fn only_live_rows_show_ordered_by_id() {
    let store = MemoryStore::new().unwrap();
    let row = || live(&[("f".into(), value("1"))]);
    // Surrogate pairs stand before U+E000..U+FFFF, in ids as in values.
    fill(
        &store,
        &[
            ("\u{ff5e}".into(), row()),
            ("b".into(), row()),
            ("\u{1f600}".into(), row()),
            ("dead".into(), tombstone()),
            (Name::from_wtf8(b"\xed\xa0\x80"), row()),
            ("empty".into(), live(&[])),
            ("a".into(), row()),
        ],
    );
    let store: &dyn Store = &store;
    let wanted = [
        "a".into(),
        "b".into(),
        "empty".into(),
        Name::from_wtf8(b"\xed\xa0\x80"),
        Name::from("\u{1f600}"),
        Name::from("\u{ff5e}"),
    ];
    for limit in 1..7 {
        let rows = store.read_with(|tx| run(tx, &t().limit(limit as u64))).unwrap();
        assert_eq!(rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), wanted[..limit.min(6)], "{limit}");
    }
    assert_eq!(store.read_with(|tx| count(tx, &t())).unwrap(), 6);
    assert_eq!(ids(store, &t().offset(1).limit(2)), ["b", "empty"]);
    assert!(ids(store, &Query::table("missing")).is_empty());
    assert_eq!(store.read_with(|tx| count(tx, &Query::table("missing"))).unwrap(), 0);
}

#[test]
fn ids_whose_bytes_order_otherwise_are_noticed() {
    let store = MemoryStore::new().unwrap();
    let id = |at: usize| if at == 0 { "\u{1f600}".into() } else { format!("\u{ff5e}{at}") };
    fill(&store, &(0..10).map(|at| (Name::from(id(at)), live(&[]))).collect::<Vec<_>>());
    assert_eq!(ids(&store, &t().limit(1)), [id(0)]);
    assert_eq!(ids(&store, &t().offset(1).limit(1)), [id(1)]);
}

#[test]
fn the_index_only_suggests_arrays_and_objects() {
    let store = column(&["[2]", "[1]"].repeat(20));
    index(&store, &[&"f".into()]);
    let query = t().filter("f", Condition::Equals(value("[2.0]")));
    assert_eq!(ids(&store, &query.clone().limit(2)), ["r0", "r10"]);
    assert_eq!(ids(&store, &query.clone().order_by("f", Direction::Ascending).limit(2)), ["r0", "r10"]);
    assert_eq!((&store as &dyn Store).read_with(|tx| count(tx, &query)).unwrap(), 20);
}

#[test]
fn rows_come_as_they_were_written() {
    let store = MemoryStore::new().unwrap();
    let columns = [("b", "1e3"), ("a", "\"\\ud800\\/\""), ("\u{e9}\"", "{\"z\":1.0,\"a\":[]}")];
    let columns = columns.map(|(name, json)| (Name::from(name), value(json)));
    fill(&store, &[(Name::from_wtf8(b"\"\xed\xa0\x80"), live(&columns)), ("z".into(), live(&[]))]);
    let store: &dyn Store = &store;
    let json = "{\"b\":1e3,\"a\":\"\\ud800\\/\",\"\u{e9}\\\"\":{\"z\":1.0,\"a\":[]}}";
    let rows = store.read_with(|tx| run(tx, &t())).unwrap();
    assert_eq!((rows[0].json.as_str(), rows[1].json.as_str()), (json, "{}"));
    let page = store.read_with(|tx| page_json(tx, &t())).unwrap();
    let wanted = format!("[{{\"id\":\"\\\"\\ud800\",\"row\":{json}}},{{\"id\":\"z\",\"row\":{{}}}}]");
    assert_eq!(String::from_utf8(page).unwrap(), wanted);
    assert_eq!(store.read_with(|tx| page_json(tx, &t().limit(0))).unwrap(), b"[]");
    assert!(!format!("{rows:?}").contains("1e3"));
}

#[test]
fn missing_and_null_stand_first_or_last_and_ties_go_on() {
    let store = MemoryStore::new().unwrap();
    let row = |f: &str, g: &str| live(&[("f".into(), value(f)), ("g".into(), value(g))]);
    let rows = [
        ("a", row("2", "1")),
        ("b", row("null", "1")),
        ("c", row("1", "\"x\"")),
        ("d", live(&[("g".into(), value("2"))])),
        ("e", row("1", "7")),
        ("f", row("1", "7.0")),
        ("g", row("\"1\"", "0")),
    ];
    fill(&store, &rows.map(|(id, row)| (id.into(), row)));
    let store: &dyn Store = &store;
    let (up, down) = (Direction::Ascending, Direction::Descending);
    for indexed in [&[][..], &[&"f".into()]] {
        index(store, indexed);
        assert_eq!(ids(store, &t().order_by("f", up)), ["b", "d", "c", "e", "f", "a", "g"]);
        assert_eq!(ids(store, &t().order_by("f", down)), ["g", "a", "c", "e", "f", "b", "d"]);
        assert_eq!(ids(store, &t().order_by("f", up).order_by("g", up)), ["b", "d", "e", "f", "c", "a", "g"]);
        assert_eq!(
            ids(store, &t().order_by("f", down).order_by("g", down)),
            ["g", "a", "c", "e", "f", "d", "b"]
        );
        assert_eq!(ids(store, &t().order_by("f", up).order_by("g", down).offset(1).limit(1)), ["b"]);
        assert_eq!(ids(store, &t().order_by("f", up).order_by("f", down).limit(1)), ["b"]);
    }
}

#[test]
fn odd_field_names() {
    let names = ["", "a\"b\\", "nul\0", "\u{e9}", "e\u{301}", "\u{1f600}", "k_0", "id"].map(Name::from);
    let names: Vec<Name> = names.into_iter().chain([Name::from_wtf8(b"\xed\xb0\x80x")]).collect();
    let store = MemoryStore::new().unwrap();
    for (at, name) in names.iter().enumerate() {
        let columns: Vec<_> =
            names.iter().map(|other| (other.clone(), value(if other == name { "1" } else { "0" }))).collect();
        fill(&store, &[(at.to_string().into(), live(&columns))]);
    }
    let store: &dyn Store = &store;
    for indexed in [vec![], names.iter().collect::<Vec<_>>()] {
        index(store, &indexed);
        for (at, name) in names.iter().enumerate() {
            assert_eq!(ids(store, &t().filter(name, Condition::Equals(value("1")))), [at.to_string()]);
            assert_eq!(ids(store, &t().order_by(name, Direction::Descending).limit(1)), [at.to_string()]);
        }
        assert!(ids(store, &t().filter("other", Condition::Equals(value("1")))).is_empty());
    }
}

#[test]
fn deep_and_huge_values() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("\"{}\"", "x".repeat(3_000_000));
    let store = column(&[&deep, &huge, "1e400", "123456789012345678901234567890", &deep.replace('1', "2")]);
    let store: &dyn Store = &store;
    for indexed in [&[][..], &[&"f".into()]] {
        index(store, indexed);
        for (at, json) in
            [deep.as_str(), &huge, "1e999", "123456789012345678901234567890.0"].iter().enumerate()
        {
            assert_eq!(ids(store, &t().filter("f", Condition::Equals(value(json)))), [format!("r{at}")]);
        }
        assert_eq!(ids(store, &t().filter("f", Condition::StartsWith("xxx".into()))), ["r1"]);
        assert_eq!(ids(store, &t().order_by("f", Direction::Ascending)), ["r3", "r2", "r1", "r0", "r4"]);
    }
}

#[test]
fn a_lost_index_costs_time_only() {
    let values: Vec<String> = (0..200).map(|at| (at % 50).to_string()).collect();
    let store = column(&values.iter().map(String::as_str).collect::<Vec<_>>());
    let store: &dyn Store = &store;
    index(store, &[&"f".into()]);
    let queries = [
        t().filter("f", Condition::Equals(value("7"))),
        t().filter("f", Condition::Below(value("3"))).order_by("f", Direction::Descending).limit(3),
        t().order_by("f", Direction::Ascending).limit(5),
    ];
    let answers = || queries.iter().map(|query| ids(store, query)).collect::<Vec<_>>();
    let wanted = answers();
    assert_eq!(wanted[0].len(), 4);
    store.write_with(Durability::Process, |tx| tx.run_sql("DROP INDEX i_1_0")).unwrap();
    assert_eq!(answers(), wanted);
    index(store, &[&"f".into()]);
    assert_eq!(answers(), wanted);
}

#[test]
fn another_process_may_move_the_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let open = || FileStore::open(&path, Durability::Process, Form::Plain).unwrap();
    let (here, there) = (open(), open());
    let row = |f: &str, g: &str| live(&[("f".into(), value(f)), ("g".into(), value(g))]);
    fill(&here, &[("a".into(), row("1", "2")), ("b".into(), row("2", "1"))]);
    let one = |field: &str| ids(&here, &t().filter(field, Condition::Equals(value("1"))));
    for indexed in [["f", "g"].as_slice(), &["g"], &["g", "f"], &[]] {
        let names: Vec<Name> = indexed.iter().copied().map(Name::from).collect();
        index(&there, &names.iter().collect::<Vec<_>>());
        assert_eq!((one("f"), one("g")), (vec!["a".into()], vec!["b".into()]), "{indexed:?}");
    }
}

#[test]
fn a_damaged_row_is_an_error() {
    let store = column(&["1", "2"]);
    let store: &dyn Store = &store;
    store
        .write_with(Durability::Process, |tx| tx.run_sql("UPDATE t_1 SET data = '{\"f\":[' WHERE rid = 2"))
        .unwrap();
    let outcome = store.read_with(|tx| run(tx, &t().filter("f", Condition::Equals(value("1")))));
    assert!(matches!(outcome, Err(Error::StoreCorrupt { .. })), "{outcome:?}");
    store
        .write_with(Durability::Process, |tx| tx.run_sql("UPDATE t_1 SET data = x'7bff7d' WHERE rid = 2"))
        .unwrap();
    assert!(matches!(store.read_with(|tx| run(tx, &t())), Err(Error::StoreCorrupt { .. })));
}

/// The same answer worked out from the definitions, one row at a time.
fn model(rows: &[(Name, RowState)], query: &Query) -> Vec<Row> {
    let key_in = |row: &RowState, field: &Name| {
        row.cell(field).and_then(|cell| key::of(cell.value.as_str().as_bytes()))
    };
    let mut found: Vec<&(Name, RowState)> = rows
        .iter()
        .filter(|(_, row)| row.is_live())
        .filter(|(_, row)| {
            query.filters.iter().all(|(field, condition)| {
                row.cell(field).is_some_and(|cell| !cell.value.is_null() && meets(&cell.value, condition))
            })
        })
        .collect();
    found.sort_by(|(id_a, a), (id_b, b)| {
        let keys = query.orders.iter().map(|(field, direction)| {
            let order = key_in(a, field).cmp(&key_in(b, field));
            if *direction == Direction::Descending { order.reverse() } else { order }
        });
        keys.fold(Ordering::Equal, Ordering::then).then_with(|| id_a.cmp(id_b))
    });
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    let page = found.into_iter().skip(usize::try_from(query.offset).unwrap()).take(limit);
    page.map(|(id, row)| Row { id: id.clone(), json: row.to_json() }).collect()
}

fn meets(column: &Value, condition: &Condition) -> bool {
    let key = |value: &Value| key::of(value.as_str().as_bytes());
    let column_key = key(column).unwrap();
    let within = |low: Bound<&Value>, high: Bound<&Value>| {
        let one_type = |bound: Bound<&Value>| match bound {
            Bound::Included(value) | Bound::Excluded(value) => {
                key(value).is_some_and(|key| key[0] == column_key[0])
            }
            Bound::Unbounded => true,
        };
        let above = match low {
            Bound::Included(low) => Some(&column_key) >= key(low).as_ref(),
            Bound::Excluded(low) => Some(&column_key) > key(low).as_ref(),
            Bound::Unbounded => true,
        };
        let below = match high {
            Bound::Included(high) => Some(&column_key) <= key(high).as_ref(),
            Bound::Excluded(high) => Some(&column_key) < key(high).as_ref(),
            Bound::Unbounded => true,
        };
        one_type(low) && one_type(high) && above && below
    };
    let open = |value, is_open: &bool| if *is_open { Bound::Excluded(value) } else { Bound::Included(value) };
    match condition {
        Condition::Equals(value) if value.as_str().starts_with(['[', '{']) => canonical::same(column, value),
        Condition::Equals(value) => Some(column_key) == key(value),
        Condition::AnyOf(values) => {
            values.iter().any(|value| meets(column, &Condition::Equals(value.clone())))
        }
        Condition::Above(value) => within(Bound::Excluded(value), Bound::Unbounded),
        Condition::AboveOrEqual(value) => within(Bound::Included(value), Bound::Unbounded),
        Condition::Below(value) => within(Bound::Unbounded, Bound::Excluded(value)),
        Condition::BelowOrEqual(value) => within(Bound::Unbounded, Bound::Included(value)),
        Condition::Between { low, high, low_open, high_open } => {
            within(open(low, low_open), open(high, high_open))
        }
        Condition::StartsWith(prefix) => scan::Cursor::new(column.as_str().as_bytes())
            .string()
            .is_ok_and(|text| text.starts_with(prefix.as_bytes())),
    }
}

const VALUES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1",
    "1.0",
    "-1",
    "2e0",
    "1e400",
    "\"\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"ab\"",
    "\"\\u0000\"",
    "\"1\"",
    "\"\u{1f600}\"",
    "\"\u{ff5e}\"",
    "\"\\ud83d\"",
    "\"\\ud83d\\ude00x\"",
    "[]",
    "{\"a\":1,\"b\":2}",
    "{\"b\":2.0,\"a\":1}",
    "[1]",
];

/// Indexed in one of the stores: the first two.
const FIELDS: [&str; 4] = ["f", "g", "h\"", "never"];

fn any_value() -> impl Strategy<Value = Value> {
    prop::sample::select(&VALUES[..]).prop_map(value)
}

fn any_rows() -> impl Strategy<Value = Vec<(Name, RowState)>> {
    let columns = prop::collection::vec((prop::sample::select(&FIELDS[..3]), any_value()), 0..4);
    let columns = columns.prop_map(|columns| {
        live(&columns.into_iter().map(|(name, value)| (Name::from(name), value)).collect::<Vec<_>>())
    });
    let row = prop_oneof![9 => columns, 1 => Just(tombstone())];
    let id = prop_oneof![
        8 => "[a-z]{1,3}".prop_map(Name::from),
        1 => "[a\u{fffd}\u{e000}\u{10000}\u{1f600}]{1,2}".prop_map(Name::from),
        1 => Just(Name::from_wtf8(b"\xed\xa0\xbd")),
    ];
    prop::collection::hash_map(id, row, 0..60).prop_map(|rows| rows.into_iter().collect())
}

fn any_condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        any_value().prop_map(Condition::Equals),
        any_value().prop_map(Condition::Above),
        any_value().prop_map(Condition::AboveOrEqual),
        any_value().prop_map(Condition::Below),
        any_value().prop_map(Condition::BelowOrEqual),
        (any_value(), any_value(), any::<bool>(), any::<bool>()).prop_map(
            |(low, high, low_open, high_open)| Condition::Between { low, high, low_open, high_open }
        ),
        prop::sample::select(&["", "a", "ab", "\0", "\u{1f600}", "\u{ff5e}", "z"][..])
            .prop_map(|prefix| Condition::StartsWith(prefix.into())),
        prop::collection::vec(any_value(), 0..5).prop_map(Condition::AnyOf),
    ]
}

prop_compose! {
    fn any_query()(
        filters in prop::collection::vec((prop::sample::select(&FIELDS[..]), any_condition()), 0..3),
        orders in prop::collection::vec((prop::sample::select(&FIELDS[..]), any::<bool>()), 0..3),
        limit in prop::option::of(0..12u64),
        offset in prop_oneof![3 => Just(0), 1 => 0..9u64, 1 => Just(u64::MAX)],
    ) -> Query {
        let mut query = filters.into_iter().fold(t(), |query, (field, condition)| query.filter(field, condition));
        for (field, is_descending) in orders {
            query = query.order_by(field, if is_descending { Direction::Descending } else { Direction::Ascending });
        }
        let query = if offset == u64::MAX { query } else { query.offset(offset) };
        match limit {
            Some(limit) => query.limit(limit),
            None => query,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_way_gives_the_rows_of_the_model(rows in any_rows(), queries in prop::collection::vec(any_query(), 1..12)) {
        let (plain, indexed) = (MemoryStore::new().unwrap(), MemoryStore::new().unwrap());
        fill(&plain, &rows);
        // Half of the keys come from filling, half from writing.
        let (before, after) = rows.split_at(rows.len() / 2);
        fill(&indexed, before);
        index(&indexed, &[&"f".into(), &"g".into()]);
        fill(&indexed, after);
        for query in &queries {
            let wanted = model(&rows, query);
            for store in [&plain as &dyn Store, &indexed] {
                prop_assert_eq!(&store.read_with(|tx| run(tx, query)).unwrap(), &wanted, "{:?}", query);
                let count = store.read_with(|tx| count(tx, query)).unwrap();
                prop_assert_eq!(count, wanted.len() as u64, "{:?}", query);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn many_rows_cut_to_few(seed in any::<u64>(), limit in 0..200u64, offset in 0..200u64, is_descending in any::<bool>()) {
        let rows: Vec<(Name, RowState)> = (0..1500u64)
            .map(|at| {
                let mixed = (at + 1).wrapping_mul(seed | 1).rotate_left(29);
                let f = value(&(mixed % 40).to_string());
                (format!("{mixed:016x}-{at}").into(), live(&[("f".into(), f), ("g".into(), value("[]"))]))
            })
            .collect();
        let (plain, indexed) = (MemoryStore::new().unwrap(), MemoryStore::new().unwrap());
        fill(&plain, &rows);
        fill(&indexed, &rows);
        index(&indexed, &[&"f".into()]);
        let direction = if is_descending { Direction::Descending } else { Direction::Ascending };
        for query in [
            t(),
            t().order_by("f", direction),
            t().order_by("g", direction),
            t().filter("f", Condition::Above(value("3"))).order_by("f", direction),
            t().filter("f", Condition::AnyOf((0..30).map(|at| value(&at.to_string())).collect())),
            t().filter("f", Condition::AnyOf((0..30).map(|at| value(&at.to_string())).collect())).order_by("f", direction),
            t().filter("f", Condition::Equals(value("5"))).order_by("g", direction),
        ] {
            for query in [query.clone().limit(limit).offset(offset), query.limit(limit / 20)] {
                let wanted = model(&rows, &query);
                for store in [&plain as &dyn Store, &indexed] {
                    prop_assert_eq!(&store.read_with(|tx| run(tx, &query)).unwrap(), &wanted, "{:?}", &query);
                    prop_assert_eq!(store.read_with(|tx| count(tx, &query)).unwrap(), wanted.len() as u64);
                }
            }
        }
    }
}
