//! Merge functions of the app.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use interocitor_ffi::{Configuration, Failure, Mailbox, MergeConflict, MergeFunction, MergeRule};
use serde_json::json;

use crate::support::{broken, member, row, wait};

/// Takes the greater number, or misbehaves.
struct Greatest(AtomicUsize);

impl MergeFunction for Greatest {
    fn merge(&self, conflicts: Vec<MergeConflict>) -> Result<Vec<String>, Failure> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(conflicts.into_iter().map(|met| met.local.max(met.remote)).collect()),
            1 => Err(broken()),
            2 => Ok(Vec::new()),
            _ => Ok(conflicts.into_iter().map(|_| "no JSON".into()).collect()),
        }
    }
}

#[test]
fn merge_functions_of_the_app_decide_and_may_misbehave() {
    for mode in 0..4 {
        let mailbox = Arc::new(Mailbox::memory());
        let with_rule = |configuration: &mut Configuration| {
            let function = Arc::new(Greatest(AtomicUsize::new(mode)));
            configuration.merge_rules =
                vec![MergeRule { table: "t".into(), field: Some("score".into()), function }];
        };
        let (a, b) = (member(&mailbox, with_rule), member(&mailbox, with_rule));
        for (db, row) in [(&a, r#"{"score":9,"by":"a"}"#), (&b, r#"{"score":5,"by":"b"}"#)] {
            wait(db.table("t".into()).put("r".into(), row.as_bytes().to_vec())).unwrap();
            thread::sleep(Duration::from_millis(3));
        }
        for db in [&a, &b, &a, &b] {
            wait(db.sync(None)).unwrap();
        }
        let wanted = json!({"by": "b", "score": if mode == 0 { 9 } else { 5 }});
        for db in [&a, &b] {
            assert_eq!(row(wait(db.table("t".into()).row("r".into())).unwrap()), wanted, "{mode}");
        }
    }
}
