//! Two devices behind the reference Worker, whose address `tests/run.sh mailboxes` tells.

use serde_json::json;

use crate::common::{Place, Run, tree};

/// A mesh of the vector in the protocol, at the place of the Worker that wants tokens.
const ADDRESS: &str = "01900000-0000-7000-8000-0000000000f1.GaNIHY0mdTY";
const TOKEN: &str = "c02e0ee4528526a194dd6c781ab91c6cd0021ddd93ff3be177e8dc86ffc91ce3";

fn worker() -> String {
    let url = std::env::var("CLOUDFLARE_WORKER_URL").expect("no service to test against");
    format!("cloudflare+{url}/secret/io/{ADDRESS}")
}

#[test]
#[ignore = "needs the service of: bash tests/run.sh mailboxes"]
fn two_devices_converge_over_cloudflare() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    let remote_path = format!("/cli {}", std::process::id());
    let token = place.write("token", TOKEN);
    let connect = ["connect", "--remote-path", &remote_path, "--mailbox"];
    a.ok(&["put", "t", "r", "{\"x\":1}"]);
    // Without a token, and with a wrong one: said, and nothing is lost.
    let run = a.run(&[&connect[..], &[&worker()]].concat());
    assert!(run.failed_with("REMOTE_ACCESS").contains("401"));
    let wrong = place.write("wrong", "s3cret");
    let run = a.run(&[&connect[..], &[&format!("{}?token-file={wrong}", worker())]].concat());
    assert!(!run.failed_with("REMOTE_ACCESS").contains("s3cret"));
    let founded = a.ok(&[&connect[..], &[&format!("{}?token-file={token}", worker())]].concat());
    assert!(founded.contains("founded a new mesh"), "{founded}");
    // The other one has it in its environment.
    let of_b = |arguments: &[&str]| {
        let run = Run::of(b.command(arguments).env("INTEROCITOR_CLOUDFLARE_TOKEN", TOKEN));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
        run.stdout
    };
    of_b(&[&connect[..], &[&worker(), "--passphrase-file", "a.db.credentials"]].concat());
    of_b(&["put", "t", "r", "{\"y\":2}"]);
    of_b(&["sync"]);
    a.ok(&["sync"]);
    for device in [&a, &b] {
        assert_eq!(device.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));
    }
    assert!(of_b(&["doctor"]).contains("nothing is wrong"));
    a.ok(&["compact"]);
    of_b(&["sync"]);
    assert_eq!(b.json(&["row", "t", "r"]), json!({"x": 1, "y": 2}));
    let status = a.ok(&["status"]);
    assert!(status.contains(ADDRESS) && !status.contains(TOKEN), "{status}");
    // Only its own file holds the token.
    for (path, content) in tree(place.folder.path()) {
        let holds = String::from_utf8_lossy(&content).contains(TOKEN);
        assert!(!holds || path.ends_with("token"), "{}", path.display());
    }
}

#[test]
#[ignore = "needs the service of: bash tests/run.sh mailboxes"]
fn two_devices_pair_over_cloudflare() {
    let place = Place::new();
    let token = place.write("token", TOKEN);
    let mailbox = format!("{}?token-file={token}", worker());
    crate::pair::pair_over(&place, &mailbox, &format!("/paired {}", std::process::id()), true);
}
