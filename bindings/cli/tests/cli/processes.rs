//! Several processes on one store file.

use std::{collections::BTreeSet, thread};

use crate::common::{Place, reference};

#[test]
fn concurrent_writers_lose_nothing() {
    let place = Place::new();
    let device = place.device("a");
    // Neither finds a store: both make it.
    thread::scope(|scope| {
        for writer in ["x", "y"] {
            let device = &device;
            scope.spawn(move || {
                for number in 0..50 {
                    let row = format!("{{\"writer\":\"{writer}\",\"number\":{number}}}");
                    device.ok(&["add", "t", &row, "--prefix", writer]);
                }
            });
        }
    });
    let rows = device.json(&["query", "t"]);
    let seen: BTreeSet<String> = rows.as_array().unwrap().iter().map(|row| row["row"].to_string()).collect();
    assert_eq!(seen.len(), 100);
}

#[test]
fn writing_and_syncing_at_once_publishes_everything() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..8).for_each(|_| drop(device.ok(&["sync"]))));
        }
        for writer in ["x", "y"] {
            let device = &device;
            scope.spawn(move || {
                for number in 0..20 {
                    device.ok(&["put", "t", &format!("{writer}{number}"), "{\"x\":1}"]);
                    device.ok(&["put", "t", "shared", &format!("{{\"{writer}{number}\":1}}")]);
                }
            });
        }
    });
    device.ok(&["sync"]);
    let seen = reference(&place.path("box/Mesh"), &device.passphrase());
    let dump = device.json(&["dump"]);
    assert_eq!(seen["tables"], dump["tables"]);
    assert_eq!(dump["tables"]["t"].as_object().unwrap().len(), 41);
    assert_eq!(dump["tables"]["t"]["shared"].as_object().unwrap().len(), 40);
}
