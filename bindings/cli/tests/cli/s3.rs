//! Two devices over a real S3 service, whose address `tests/run.sh mailboxes` tells.

use serde_json::json;

use crate::common::{Place, tree};

/// The address of a bucket, with its keys.
fn bucket() -> String {
    std::env::var("S3_VERSITYGW_URL").expect("no service to test against")
}

#[test]
#[ignore = "needs the service of: bash tests/run.sh mailboxes"]
fn two_devices_converge_over_s3() {
    let mailbox = bucket();
    let remote_path = format!("/cli 100% \u{fc} {}", std::process::id());
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    let connect = |device: &crate::common::Device<'_>, others: &[&str]| {
        let arguments = ["connect", "--mailbox", &mailbox, "--remote-path", &remote_path];
        device.ok(&[&arguments, others].concat())
    };
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    assert!(connect(&a, &[]).contains("founded a new mesh"));
    connect(&b, &["--passphrase-file", "a.db.credentials"]);
    b.ok(&["put", "t", "r", "{\"y\":2}"]);
    b.ok(&["sync"]);
    a.ok(&["sync"]);
    for device in [&a, &b] {
        assert_eq!(device.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));
    }
    assert!(b.ok(&["doctor"]).contains("nothing is wrong"));
    a.ok(&["compact"]);
    b.ok(&["sync"]);
    assert_eq!(b.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));

    // A wrong key is told apart from a service that is away, and no key is shown.
    let secret = "s3cret%2Fkey";
    let refused = a.run(&["sync", "--mailbox", &mailbox.replace(secret, "wrong")]);
    assert!(refused.failed_with("REMOTE_ACCESS").contains("403"), "{refused:?}");
    a.ok(&["sync", "--mailbox", &mailbox]);
    let shown = a.ok(&["status"]);
    assert!(shown.contains("s3://mailbox/") && !shown.contains("s3cret"), "{shown}");
    for (path, content) in tree(place.folder.path()) {
        let holds = String::from_utf8_lossy(&content).contains("s3cret");
        assert!(!holds || path.extension().is_some_and(|ending| ending == "settings"), "{}", path.display());
    }
}

#[test]
#[ignore = "needs the service of: bash tests/run.sh mailboxes"]
fn two_devices_pair_over_s3() {
    let remote_path = format!("/paired \u{fc} {}", std::process::id());
    crate::pair::pair_over(&Place::new(), &bucket(), &remote_path, true);
}
