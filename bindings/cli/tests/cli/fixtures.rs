//! Mailboxes written by the JavaScript client, read and continued from the command line.

use serde_json::Value;

use crate::common::{Place, assert_same, reference, root, without_lone_surrogates};

struct Fixture {
    json: Value,
    place: Place,
}

impl Fixture {
    /// Lays the mailbox out in the folder `box` and its passphrase in a file.
    fn unpack(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(format!("tests/fixtures/{name}.json"))).unwrap();
        let json: Value = serde_json::from_str(&without_lone_surrogates(&text)).unwrap();
        let place = Place::new();
        for (path, text) in json["files"].as_object().unwrap() {
            let path = place.path("box").join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.as_str().unwrap()).unwrap();
        }
        place.write("passphrase", json["passphrase"].as_str().unwrap());
        Self { json, place }
    }
}

#[test]
fn mailboxes_are_read_and_continued() {
    for name in ["basic", "odd-values", "swarm-compacted"] {
        let fixture = Fixture::unpack(name);
        let device = fixture.place.device("a");
        let remote_path = fixture.json["remotePath"].as_str().unwrap();
        device.connect(&["--remote-path", remote_path, "--passphrase-file", "passphrase"]);
        let dump = device.json(&["dump"]);
        for part in ["epoch", "generation", "tables", "tombstones"] {
            assert_same(&dump[part], &fixture.json["expected"][part], &format!("{name}: {part}"));
        }
        assert_eq!(dump["meshId"], fixture.json["meshId"]);

        let tables = fixture.json["expected"]["tables"].as_object().unwrap();
        for (table, rows) in tables {
            let rows: Vec<&String> = rows.as_object().unwrap().keys().collect();
            device.ok(&["put", "--", table, rows[0], r#"{"native":[1,{"a":"é"}],"n":1.50}"#]);
            device.ok(&["delete", "--", table, rows[rows.len() - 1]]);
            device.ok(&["add", "--prefix", "new", "--", table, r#"{"x":null}"#]);
        }
        device.ok(&["sync"]);
        let ours = device.json(&["dump"]);
        let mesh = fixture.place.path("box").join(remote_path.trim_start_matches('/'));
        let theirs = reference(&mesh, fixture.json["passphrase"].as_str().unwrap());
        for part in ["meshId", "epoch", "generation", "tables", "tombstones"] {
            assert_same(&ours[part], &theirs[part], &format!("{name}: {part}"));
        }
        assert_eq!(device.json(&["status"])["pending"]["count"], 0);
    }
}
