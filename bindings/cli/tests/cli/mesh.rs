//! Several devices over one mailbox, and what a store remembers of it.

use serde_json::{Value, json};

use crate::common::{Device, Place, reference, tree};

#[test]
fn two_devices_converge() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "todos", "milk", "{\"title\":\"Milk\",\"done\":false}"]);
    let said = a.connect(&["--remote-path", "/Todo List"]);
    assert!(said.contains("founded a new mesh") && said.contains("a.db.credentials"), "{said}");
    assert!(!said.contains(&a.passphrase()));

    let joined = b.json(&[
        "connect",
        "--mailbox",
        "folder:box",
        "--remote-path",
        "/Todo List",
        "--passphrase-file",
        "a.db.credentials",
    ]);
    assert_eq!(
        (&joined["founded"], &joined["pulledRows"], &joined["pending"]),
        (&json!(false), &json!(1), &json!(0))
    );
    assert_eq!(joined["remotePath"], "/Todo List");
    b.ok(&["put", "todos", "milk", "{\"done\":true}"]);
    a.ok(&["put", "todos", "milk", "{\"title\":\"Oat milk\"}"]);
    let status = b.json(&["status"]);
    assert_eq!((&status["pending"]["count"], &status["quarantined"]), (&json!(1), &json!(0)));

    // The remembered settings are all that sync needs.
    assert_eq!(b.ok(&["flush"]), "synced: 0 rows in, 1 change out\n");
    assert_eq!(a.ok(&["sync"]), "synced: 1 row in, 1 change out\n");
    assert_eq!(b.ok(&["pull"]), "synced: 1 row in, 0 changes out\n");
    for device in [&a, &b] {
        assert_eq!(device.json(&["row", "todos", "milk"]), json!({"title": "Oat milk", "done": true}));
    }
    let (ours, theirs) = (a.json(&["dump"]), b.json(&["dump"]));
    assert_eq!(ours, theirs);
    let seen = reference(&place.path("box/Todo List"), &a.passphrase());
    for part in ["meshId", "epoch", "generation", "tables", "tombstones"] {
        assert_eq!(ours[part], seen[part], "{part}");
    }
}

#[test]
fn a_batch_travels_as_one_file() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    let ops = "{\"op\":\"add\",\"table\":\"t\",\"row\":{\"x\":1}}\n".repeat(20);
    assert_eq!(device.feed(&["batch", "-"], &ops).code, 0);
    assert_eq!(device.json(&["sync"])["publishedChanges"], 1);
    let names: Vec<_> = tree(&place.path("box/Mesh/changes")).into_keys().collect();
    assert_eq!(names.len(), 2, "one change and the head: {names:?}");
}

#[test]
fn devices_describe_themselves() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&["--device-id", "laptop", "--device-name", "My laptop"]);
    b.connect(&["--passphrase-file", "a.db.credentials", "--device-id", "phone"]);
    let devices = a.json(&["devices"]);
    let ids: Vec<_> =
        devices.as_array().unwrap().iter().map(|device| device["deviceId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["laptop", "phone"]);
    assert_eq!(
        (&devices[0]["name"], &devices[0]["isThisDevice"], &devices[1]["retired"]),
        (&json!("My laptop"), &json!(true), &json!(false))
    );
    let shown = b.ok(&["devices"]);
    assert!(shown.lines().any(|line| line.starts_with("laptop  My laptop  desktop  just now")), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("phone ") && line.ends_with("this device")), "{shown}");
    assert_eq!(b.json(&["status"])["deviceId"], "phone");
    for id in ["laptop", "nobody"] {
        a.run(&["devices", "retire", id]).failed_with("INVALID_ARGUMENT");
    }
    assert_eq!(a.json(&["devices", "retire", "phone"]), json!({"retired": "phone"}));
    assert_eq!(b.json(&["devices"])[1]["retired"], true);
}

/// The lines of `status`, single-spaced.
fn status_lines(device: &Device<'_>) -> Vec<String> {
    let single = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    device.ok(&["status"]).lines().map(single).collect()
}

#[test]
fn status_is_an_object() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    let status = device.json(&["status"]);
    assert_eq!(status["mailbox"], Value::Null);
    assert_eq!(status["meshId"], Value::Null);
    assert_eq!(status["pending"]["count"], 1);
    let shown = status_lines(&device);
    assert!(shown.contains(&"waiting 1 row".into()), "{shown:?}");
    assert!(shown.iter().any(|line| line.starts_with("mailbox none yet")), "{shown:?}");
    device.connect(&[]);
    let status = device.json(&["status"]);
    let place_text = place.folder.path().display();
    assert_eq!(status["mailbox"], format!("folder:{place_text}/box"));
    assert_eq!((&status["remotePath"], &status["encrypted"]), (&json!("/Mesh"), &json!(true)));
    assert_eq!((&status["hasPassphrase"], &status["pending"]["count"]), (&json!(true), &json!(0)));
    assert!(status["lastSyncMs"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(status["meshId"].as_str().unwrap().starts_with("mesh_"));
    let shown = status_lines(&device);
    assert!(shown.contains(&"last sync just now".into()), "{shown:?}");
    assert!(shown.iter().any(|line| line.starts_with("background nobody syncs")), "{shown:?}");
    assert_eq!((&status["connection"], &status["background"]), (&json!("offline"), &json!("nowhere")));
    assert_eq!((&status["operation"], &status["problem"]), (&Value::Null, &Value::Null));
    std::fs::write(place.path("box/Mesh/changes/001711785600000-0000-x-chg_1.json"), "garbage").unwrap();
    assert_eq!(device.run(&["sync"]).code, 0);
    let status = device.json(&["status"]);
    assert_eq!(
        (&status["quarantined"], &status["quarantinedFiles"][0]["code"]),
        (&json!(1), &json!("DECODE"))
    );
    let shown_again = status_lines(&device);
    let line = "aside changes/001711785600000-0000-x-chg_1.json: ";
    assert!(shown_again.iter().any(|shown| shown.starts_with(line)), "{shown_again:?}");
    assert!(shown.contains(&"encryption on, the passphrase is saved".into()), "{shown:?}");
    assert!(!shown.concat().contains(&device.passphrase()));
}

#[cfg(unix)]
#[test]
fn secrets_are_for_their_owner_only() {
    use crate::common::mode;
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(device.beside("credentials")).unwrap()).unwrap();
    let keys: Vec<_> = saved.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["deviceId", "meshId", "passphrase"]);
    assert_eq!((mode(&device.beside("credentials")), mode(&device.beside("settings"))), (0o600, 0o600));
}

#[cfg(unix)]
#[test]
fn a_password_in_the_address_stays_in_one_private_file() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    // Port 9 of this machine refuses.
    let address = "webdav+http://me:s3cr%40t@127.0.0.1:9/dav";
    let run = device.run(&["connect", "--mailbox", address]);
    run.failed_with("OFFLINE");
    assert!(!run.stderr.contains("s3cr"), "{run:?}");
    let shown = device.ok(&["status"]) + &device.ok(&["status", "--json"]);
    assert!(shown.contains("webdav+http://me:***@127.0.0.1:9/dav") && !shown.contains("s3cr"), "{shown}");
    for (path, content) in tree(place.folder.path()) {
        let holds = String::from_utf8_lossy(&content).contains("s3cr");
        assert_eq!(holds, path == device.beside("settings"), "{}", path.display());
    }
    assert_eq!(crate::common::mode(&device.beside("settings")), 0o600);
    assert_eq!(device.json(&["row", "t", "r"]), json!({"x": 1}));
}

#[test]
fn a_mesh_without_encryption() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.ok(&["put", "t", "r", "{\"x\":\"in the clear\"}"]);
    a.connect(&["--plaintext"]);
    a.ok(&["sync"]);
    let texts: Vec<u8> = tree(&place.path("box")).into_values().flatten().collect();
    assert!(String::from_utf8_lossy(&texts).contains("in the clear"));
    let refused = b.run(&["connect", "--mailbox", "folder:box"]);
    assert!(refused.failed_with("MESH_ENCRYPTION_MISMATCH").ends_with("add --plaintext"));
    b.connect(&["--plaintext"]);
    assert_eq!(b.json(&["row", "t", "r"]), json!({"x": "in the clear"}));
    assert_eq!(b.json(&["status"])["encrypted"], false);
}

#[test]
fn a_passphrase_given_early_is_the_one_that_founds() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    let passphrase = place.write("passphrase", format!("  {}\r\n", a.passphrase()));
    b.ok(&[
        "put",
        "t",
        "r",
        "{\"x\":1}",
        "--mailbox",
        "folder:box",
        "--remote-path",
        "Other",
        "--passphrase-file",
        &passphrase,
    ]);
    b.ok(&["sync"]);
    assert_eq!(b.passphrase(), a.passphrase());
    assert_eq!(reference(&place.path("box/Other"), &a.passphrase())["tables"], json!({"t": {"r": {"x": 1}}}));
}

#[test]
fn an_unreachable_mailbox_keeps_everything() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    std::fs::rename(place.path("box"), place.path("unplugged")).unwrap();
    for verb in ["connect", "sync", "pull", "flush", "devices"] {
        device.run(&[verb]).failed_with("REMOTE_ACCESS");
    }
    assert_eq!(device.json(&["status"])["pending"]["count"], 1);
    std::fs::rename(place.path("unplugged"), place.path("box")).unwrap();
    assert_eq!(device.ok(&["sync"]), "synced: 0 rows in, 1 change out\n");
}

#[test]
fn a_first_mailbox_that_cannot_be_reached_is_remembered() {
    let place = Place::new();
    let device = place.device("a");
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    device.run(&["connect", "--mailbox", "folder:later", "--remote-path", "/M"]).failed_with("REMOTE_ACCESS");
    std::fs::create_dir(place.path("later")).unwrap();
    device.ok(&["sync"]);
    assert!(place.path("later/M/manifest.json").is_file());
}

#[test]
fn an_unreadable_file_is_a_warning() {
    let place = Place::new();
    let device = place.device("a");
    device.connect(&[]);
    device.ok(&["put", "t", "r", "{\"x\":1}"]);
    let name = "001711785600000-0000-evil\u{1b}[2J-chg_01900000-0000-7000-8000-0000000000c1.json";
    std::fs::write(place.path("box/Mesh/changes").join(name), "garbage").unwrap();
    let run = device.run(&["sync"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "synced: 0 rows in, 1 change out\n"));
    assert_eq!(run.stderr, "warning: 1 item is in quarantine; see: interocitor quarantine list\n");
    let listed = device.json(&["quarantine", "list"]);
    assert_eq!(listed[0]["name"], format!("changes/{name}"));
    for key in ["code", "reason", "firstMs", "lastMs", "tries"] {
        assert!(!listed[0][key].is_null(), "{key}: {listed}");
    }
    let shown = device.ok(&["quarantine", "list"]);
    assert!(shown.contains("changes/001711785600000") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(device.json(&["status"])["quarantined"], 1);
    device.run(&["quarantine", "discard", "writes/7"]).failed_with("INVALID_ARGUMENT");
    let listed = listed[0]["name"].as_str().unwrap();
    assert_eq!(device.json(&["quarantine", "discard", listed]), json!({"discarded": listed}));
    assert_eq!(device.run(&["sync"]).stderr, "", "a file that was discarded stays away");
    assert_eq!(device.json(&["quarantine", "list"]), json!([]));
    device.ok(&["quarantine", "restore", listed]);
    assert_eq!(device.run(&["sync"]).stderr, run.stderr, "it was tried again");
    std::fs::remove_file(place.path("box/Mesh/changes").join(name)).unwrap();
    device.ok(&["sync"]);
    assert_eq!(device.json(&["quarantine", "list"]), json!([]));
}

#[test]
fn compacting_leaves_the_same_mesh() {
    let place = Place::new();
    let (a, b) = (place.device("a"), place.device("b"));
    a.connect(&[]);
    a.ok(&["put", "todos", "milk", "{\"title\":\"Milk\"}"]);
    a.ok(&["put", "todos", "bread", "{\"title\":\"Bread\"}"]);
    a.ok(&["delete", "todos", "bread"]);
    a.ok(&["sync"]);
    let seen = reference(&place.path("box/Mesh"), &a.passphrase());
    let changes = || tree(&place.path("box/Mesh/changes")).len();
    let before = changes();
    let said = a.ok(&["compact"]);
    assert!(
        said.starts_with("wrote snapshot 1: 2 rows, ") && said.ends_with(" covered, 0 files deleted\n"),
        "{said}"
    );
    assert_eq!(changes(), before);
    let second = a.json(&["compact", "--grace", "0"]);
    // Every device, this one alone, has merged a snapshot with the deletion: it is forgotten.
    assert_eq!((&second["epoch"], &second["rows"]), (&json!(2), &json!(1)));
    assert_eq!(changes(), 1, "the head is left");
    b.ok(&["connect", "--mailbox", "folder:box", "--passphrase-file", "a.db.credentials"]);
    let compacted = reference(&place.path("box/Mesh"), &a.passphrase());
    assert_eq!((&seen["tombstones"], &compacted["tombstones"]), (&json!({"todos": ["bread"]}), &json!({})));
    for part in ["meshId", "tables"] {
        assert_eq!(compacted[part], seen[part], "{part}");
        assert_eq!(b.json(&["dump"])[part], seen[part], "{part}");
    }
    assert_eq!(a.run(&["compact", "--grace", "soon"]).code, 2);
}

#[test]
fn a_recovery_kit_brings_the_passphrase_back() {
    let place = Place::new();
    let a = place.device("a");
    a.run(&["recovery"]).failed_with("PASSPHRASE_REQUIRED");
    a.connect(&[]);
    let page = a.ok(&["recovery"]);
    let kit = a.json(&["recovery"]);
    let words: Vec<&str> =
        kit["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!((words.len(), kit["passphrase"].as_str().unwrap()), (24, &*a.passphrase()));
    assert!(page.contains(&a.passphrase()) && words.iter().all(|word| page.contains(word)), "{page}");
    for (name, text) in
        [("b", &*page), ("c", &words.join("\n").to_uppercase()), ("d", kit["qr"].as_str().unwrap())]
    {
        let device = place.device(name);
        let checked = device.feed(&["recovery", "import", "--mailbox", "folder:box"], text);
        assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
        assert!(checked.stdout.contains("opens the mesh"), "{}", checked.stdout);
        assert_eq!(device.passphrase(), a.passphrase());
        device.ok(&["sync"]);
    }
    // Without a mailbox the first connect checks it.
    let late = place.device("late");
    assert_eq!(late.feed(&["recovery", "import"], &page).code, 0);
    late.connect(&[]);
    assert_eq!(late.passphrase(), a.passphrase());
    // A kit of another mesh changes nothing, and what is no kit is told.
    let other = words.iter().rev().copied().collect::<Vec<_>>().join(" ");
    let stranger = "zoo ".repeat(23) + "vote";
    for (text, code) in
        [(&*other, "INVALID_ARGUMENT"), ("", "INVALID_ARGUMENT"), (&stranger, "PASSPHRASE_WRONG")]
    {
        let run = a.feed(&["recovery", "import"], text);
        let said = run.failed_with(code);
        assert!(!said.contains(words[3]) && !said.contains("zoo"), "{said}");
    }
    assert_eq!(a.ok(&["recovery"]), page);
    a.ok(&["sync"]);
}
