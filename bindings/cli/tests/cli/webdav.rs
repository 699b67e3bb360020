//! Two devices over real WebDAV servers, whose addresses `tests/run.sh mailboxes` tells.

use serde_json::json;

use crate::common::{Place, tree};

#[test]
#[ignore = "needs the servers of: bash tests/run.sh mailboxes"]
fn two_devices_converge_over_webdav() {
    let addresses = ["WEBDAV_APACHE_URL", "WEBDAV_RCLONE_URL"].map(|variable| std::env::var(variable).ok());
    assert!(addresses.iter().any(Option::is_some), "no server to test against");
    for url in addresses.iter().flatten() {
        let place = Place::new();
        let (a, b) = (place.device("a"), place.device("b"));
        let mailbox = format!("webdav+{url}");
        let remote_path = format!("/cli 100% ü {}", std::process::id());
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
        assert_eq!(a.json(&["devices"]).as_array().unwrap().len(), 2);

        // A wrong password is told apart from a server that is away, and no password is shown.
        let (user, host) = url.split_once('@').unwrap();
        let password = user.rsplit(':').next().unwrap();
        let refused = a.run(&["sync", "--mailbox", &format!("webdav+http://user:wrong@{host}")]);
        assert!(refused.failed_with("REMOTE_ACCESS").contains("401"), "{refused:?}");
        a.ok(&["sync"]);
        assert!(!a.ok(&["status"]).contains(password));
        for (path, content) in tree(place.folder.path()) {
            let holds = String::from_utf8_lossy(&content).contains(password);
            assert!(
                !holds || path.extension().is_some_and(|ending| ending == "settings"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
#[ignore = "needs the servers of: bash tests/run.sh mailboxes"]
fn two_devices_pair_over_webdav() {
    let addresses = ["WEBDAV_APACHE_URL", "WEBDAV_RCLONE_URL"].map(|variable| std::env::var(variable).ok());
    assert!(addresses.iter().any(Option::is_some), "no server to test against");
    for url in addresses.iter().flatten() {
        for a_shows in [true, false] {
            let remote_path = format!("/paired ü {} {a_shows}", std::process::id());
            crate::pair::pair_over(&Place::new(), &format!("webdav+{url}"), &remote_path, a_shows);
        }
    }
}
