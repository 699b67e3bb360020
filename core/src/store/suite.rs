//! One suite for every store.

use std::path::Path;

use super::{
    Durability, FileStore, MemoryStore, Patience, Store,
    cipher::Form,
    fields::WantedField,
    outbox::{Binding, Known, OpWriter},
};
use crate::{
    clock::Clock,
    error::{Error, Result},
    row::{Cell, RowState},
    value::{Name, Value},
};

fn state(ts: u64, value: &str) -> RowState {
    let clock = Clock { ts, counter: 0, node: "n".into() };
    RowState {
        deleted: None,
        cells: vec![Cell { name: "f".into(), clock, value: Value::parse(value).unwrap() }],
    }
}

fn tombstone(ts: u64) -> RowState {
    RowState { deleted: Some(Clock { ts, counter: 0, node: "n".into() }), cells: Vec::new() }
}

fn put(store: &dyn Store, table: &Name, id: &Name, row: &RowState) {
    store
        .write_with(Durability::Process, |tx| {
            let table = tx.ensure_table(table)?;
            let rid = tx.row(&table, id)?.map(|stored| stored.rid);
            tx.put_row(&table, id, rid, row)
        })
        .unwrap();
}

fn each_store(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    check(&FileStore::open(&folder.path().join("a.db"), Durability::Process, Form::Plain).unwrap());
}

#[test]
fn rows_of_any_name_round_trip() {
    each_store(|store| {
        let names = ["t", "", "a/b", "q'\"`;--", "nul\0", "\u{e9}", "e\u{301}", &"x".repeat(10_000)];
        for name in names {
            for id in names {
                put(store, &name.into(), &id.into(), &state(1, "1"));
            }
        }
        put(store, &Name::from_wtf8(b"\xed\xa0\x80"), &Name::from_wtf8(b"\xed\xa0\x81"), &state(1, "2"));
        store
            .read_with(|tx| {
                assert_eq!(tx.tables()?.len(), names.len() + 1);
                assert_eq!(tx.row_count()?, (names.len() * names.len() + 1) as u64);
                let table = tx.table(&Name::from_wtf8(b"\xed\xa0\x80"))?.unwrap();
                assert_eq!(tx.row_json(&table, &Name::from_wtf8(b"\xed\xa0\x81"))?.unwrap(), "{\"f\":2}");
                assert_eq!(tx.row_json(&table, &"other".into())?, None);
                assert!(tx.table(&"missing".into())?.is_none());
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn tombstones_keep_their_clock_and_show_nothing() {
    each_store(|store| {
        let (table, id) = ("t".into(), "r".into());
        put(store, &table, &id, &state(1, "1"));
        put(store, &table, &id, &tombstone(2));
        store
            .read_with(|tx| {
                let table = tx.table(&table)?.unwrap();
                assert_eq!(tx.row_json(&table, &id)?, None);
                assert_eq!(tx.row(&table, &id)?.unwrap().state, tombstone(2));
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn an_error_or_a_panic_rolls_everything_back() {
    each_store(|store| {
        let failed: Result<()> = store.write_with(Durability::Process, |tx| {
            tx.ensure_table(&"gone".into())?;
            tx.set_meta("k", "v")?;
            Err(Error::Cancelled)
        });
        assert!(matches!(failed, Err(Error::Cancelled)));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.write_with(Durability::Process, |tx| -> Result<()> {
                tx.set_meta("k", "v")?;
                panic!("in the middle")
            })
        }));
        assert!(panicked.is_err());
        store
            .write_with(Durability::Power, |tx| {
                assert!(tx.meta("k")?.is_none());
                assert!(tx.table(&"gone".into())?.is_none());
                tx.ensure_table(&"gone".into()).map(|_| ())
            })
            .unwrap();
    });
}

#[test]
fn the_outbox_joins_the_states_of_a_row_and_keeps_its_binding() {
    each_store(|store| {
        store
            .write_with(Durability::Process, |tx| {
                let mut engine = tx.engine()?;
                for (ts, value) in [(1, "1"), (3, "3"), (2, "2")] {
                    engine.clock.tick(ts);
                    let mut ops = OpWriter::default();
                    ops.push(&"t".into(), &"r".into(), &state(ts, value), Known::Here);
                    tx.append_to_open_batch(&mut engine, &ops, 100, 1000)?;
                }
                tx.set_engine(&engine)
            })
            .unwrap();
        store
            .write_with(Durability::Process, |tx| {
                let mut engine = tx.engine()?;
                assert!(
                    tx.closed_records(&engine, 9, -1, i64::MAX)?.is_empty(),
                    "the open batch is not closed"
                );
                assert_eq!(tx.outbox_count()?.oldest_ms, Some(100));
                // A write after the window opens the next batch.
                let mut ops = OpWriter::default();
                ops.push(&"t".into(), &"s".into(), &tombstone(5), Known::Here);
                engine.clock.tick(5);
                tx.append_to_open_batch(&mut engine, &ops, 1100, 1000)?;
                let closed = tx.closed_records(&engine, 9, -1, i64::MAX)?;
                assert_eq!(closed.len(), 1);
                let joined = tx.record_ops(closed[0].seq)?;
                assert_eq!(joined.len(), 1);
                assert_eq!(joined[0].op.state, state(3, "3"));
                let binding = Binding { id: "chg_1".into(), clock: "9-0-n".parse().unwrap(), seq: 4 };
                tx.bind_record(closed[0].seq, &binding)?;
                assert_eq!(tx.closed_records(&engine, 9, -1, i64::MAX)?[0].binding, Some(binding));
                tx.remove_record(closed[0].seq)?;
                assert_eq!(tx.outbox_count()?.records, 1);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn quarantine_waits_and_lets_a_new_version_through() {
    each_store(|store| {
        store
            .write_with(Durability::Process, |tx| {
                let waiting = |version: &str, now| tx.is_waiting("changes/x", version, now);
                assert!(!waiting("v1", 0)?);
                tx.quarantine("changes/x", "DECODE", "broken", "v1", 1000)?;
                assert!(waiting("v1", 2000)?);
                assert!(!waiting("v2", 2000)?);
                assert!(!waiting("v1", 1000 + 60_000)?);
                tx.quarantine("changes/x", "DECODE", "broken", "v1", 61_000)?;
                assert!(waiting("v1", 61_000 + 119_000)?);
                assert_eq!(tx.quarantined()?[0].tries, 2);
                assert!(tx.release("changes/x")?);
                assert_eq!(tx.quarantine_count()?, 0);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn receipts_are_exact() {
    each_store(|store| {
        store
            .write_with(Durability::Process, |tx| {
                tx.add_receipt("a-chg_1.json")?;
                tx.add_receipt("a-chg_1.json")?;
                let names = ["a-chg_1.json", "A-chg_1.json", "a-chg_1.jso"].map(String::from).to_vec();
                assert_eq!(tx.without_receipt(names)?, ["A-chg_1.json", "a-chg_1.jso"]);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn indexes_follow_the_schema_and_are_repaired() {
    each_store(|store| {
        let table: Name = "t".into();
        for (id, value) in [("a", "1"), ("b", "true"), ("c", "\"1\"")] {
            put(store, &table, &id.into(), &state(1, value));
        }
        let wanted = [WantedField { table: table.clone(), field: "f".into(), is_unique: true }];
        let reconcile = |wanted: &[WantedField]| {
            store
                .write_with(Durability::Process, |tx| {
                    tx.reconcile_fields(std::slice::from_ref(&table), wanted)
                })
                .unwrap()
        };
        assert_eq!((reconcile(&wanted), reconcile(&wanted)), (1, 0));
        let one = crate::value::key::of(b"1").unwrap();
        let holds = |except: &str| {
            store
                .read_with(|tx| {
                    let table = tx.table(&"t".into())?.unwrap();
                    tx.holder(&table, table.fields[0].slot, &one, &except.into())
                })
                .unwrap()
        };
        assert!(holds("b") && !holds("a"), "1 is not true and not \"1\"");
        // A row written after it, and a broken index.
        put(store, &table, &"d".into(), &state(1, "1"));
        assert!(holds("a"));
        store.write_with(Durability::Process, |tx| Ok(tx.conn().execute_batch("DROP INDEX i_1_0")?)).unwrap();
        assert_eq!(reconcile(&wanted), 1);
        assert!(holds("a"));
        assert_eq!(reconcile(&[]), 1);
        put(store, &table, &"e".into(), &state(1, "1"));
    });
}

#[test]
fn a_closed_store_says_so() {
    each_store(|store| {
        store.close().unwrap();
        assert!(matches!(store.read_with(|tx| tx.meta("x")), Err(Error::ShutDown)));
        assert!(matches!(store.write_with(Durability::Process, |tx| tx.meta("x")), Err(Error::ShutDown)));
        store.close().unwrap();
    });
}

#[test]
fn a_copy_holds_everything() {
    each_store(|store| {
        put(store, &"t".into(), &"r".into(), &state(1, "1"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        store.copy_to(&path).unwrap();
        let copy: &dyn Store = &FileStore::open(&path, Durability::Process, Form::Plain).unwrap();
        assert_eq!(copy.read_with(|tx| tx.row_count()).unwrap(), 1);
    });
}

/// As a store is reset: what is copied and what is cleared are the same.
#[test]
fn a_file_can_be_copied_inside_a_write_which_keeps_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.db"), folder.path().join("copy.db"));
    let (store, other) = (open(&path).unwrap(), open(&path).unwrap());
    let (store, other): (&dyn Store, &dyn Store) = (&store, &other);
    put(store, &"t".into(), &"r".into(), &state(1, "1"));
    store
        .write_with(Durability::Process, |tx| {
            store.copy_to(&copy)?;
            let intruding =
                other.write_patiently(Durability::Process, Patience::Hurries, |tx| tx.set_meta("late", "1"));
            assert!(matches!(intruding, Err(Error::StoreBusy)), "{intruding:?}");
            tx.clear_rows()
        })
        .unwrap();
    let copy = open(&copy).unwrap();
    let count = |store: &dyn Store| store.read_with(|tx| tx.row_count()).unwrap();
    assert_eq!((count(store), count(&copy)), (0, 1));
}

#[test]
fn what_waits_in_a_copy_has_no_name_and_no_number() {
    each_store(|store| {
        let binding = Binding { id: "chg_1".into(), clock: "5-0-n".parse().unwrap(), seq: 7 };
        store
            .write_with(Durability::Process, |tx| {
                let mut ops = OpWriter::default();
                ops.push(&"t".into(), &"r".into(), &state(1, "1"), Known::Nowhere);
                let bound = tx.add_batch(&ops, 1, None)?;
                tx.bind_record(bound, &binding)?;
                // One that lost its name, and kept its number with nothing left to say.
                let numbered = tx.add_batch(&ops, 1, None)?;
                tx.bind_record(numbered, &binding)?;
                tx.rewrite_record(numbered, &[])?;
                tx.disown_outbox()?;
                let records = tx.closed_records(&tx.engine()?, 9, -1, i64::MAX)?;
                assert_eq!(records.len(), 1, "what says nothing and counts for nothing is gone");
                assert_eq!((records[0].seq, &records[0].binding, records[0].number), (bound, &None, None));
                let kept = tx.record_ops(bound)?;
                assert_eq!(
                    (kept.len(), kept[0].known, &kept[0].op.state),
                    (1, Known::Elsewhere, &state(1, "1"))
                );
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn numbers_of_an_outbox_that_was_emptied_are_not_gone_on_from() {
    each_store(|store| {
        store
            .write_with(Durability::Process, |tx| {
                let mut engine = tx.engine()?;
                tx.clear_outbox(&mut engine)?;
                assert_eq!(tx.stream("i")?, "i", "no number was given out");
                assert_eq!((tx.next_entry_seq()?, tx.next_entry_seq()?), (1, 2));
                tx.clear_outbox(&mut engine)?;
                assert_eq!((tx.stream("i")?.as_str(), tx.next_entry_seq()?), ("i.1", 1));
                Ok(())
            })
            .unwrap();
    });
}

fn open(path: &Path) -> Result<FileStore> {
    FileStore::open(path, Durability::Process, Form::Plain)
}

#[test]
fn files_that_are_no_store_are_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(&path, vec![0x42; 8192]).unwrap();
    assert!(matches!(open(&path), Err(Error::StoreCorrupt { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), vec![0x42; 8192]);
    let aside = super::set_aside(&path, "1").unwrap();
    assert!(aside.exists() && open(&path).is_ok());

    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine(x)").unwrap();
    assert!(matches!(open(&foreign), Err(Error::StoreCorrupt { .. })));

    let newer = folder.path().join("newer.db");
    open(&newer).unwrap().close().unwrap();
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(open(&newer), Err(Error::StoreNewer { found: 99, .. })));

    assert!(matches!(open(&folder.path().join("no/such/folder.db")), Err(Error::StoreOpen { .. })));
    assert!(matches!(open(folder.path()), Err(Error::StoreOpen { .. })));
}

#[test]
fn a_full_disk_is_told_and_nothing_is_half_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    let store: &dyn Store = &open(&path).unwrap();
    store
        .write_with(Durability::Process, |tx| Ok(tx.conn().pragma_update(None, "max_page_count", 40)?))
        .unwrap();
    let long = format!("\"{}\"", "x".repeat(400_000));
    let outcome = store.write_with(Durability::Process, |tx| {
        tx.set_meta("before", "1")?;
        let table = tx.ensure_table(&"t".into())?;
        tx.put_row(&table, &"r".into(), None, &state(1, &long))
    });
    assert!(matches!(outcome, Err(Error::DiskFull)), "{outcome:?}");
    assert_eq!(store.read_with(|tx| tx.meta("before")).unwrap(), None);
    store.write_with(Durability::Process, |tx| tx.set_meta("after", "1")).unwrap();
}

#[test]
fn many_may_make_one_store_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        let threads: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || open(&path).map(|store| store.close()))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap().unwrap();
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("0.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn two_connections_see_each_others_tables_and_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let (a, b) = (open(&path).unwrap(), open(&path).unwrap());
    let (a, b): (&dyn Store, &dyn Store) = (&a, &b);
    put(a, &"t".into(), &"r".into(), &state(1, "1"));
    put(b, &"t".into(), &"s".into(), &state(1, "1"));
    let wanted = [WantedField { table: "t".into(), field: "f".into(), is_unique: false }];
    a.write_with(Durability::Process, |tx| tx.reconcile_fields(&["t".into()], &wanted)).unwrap();
    b.write_with(Durability::Process, |tx| {
        tx.engine()?;
        assert_eq!(tx.table(&"t".into())?.unwrap().fields.len(), 1);
        Ok(())
    })
    .unwrap();
}
