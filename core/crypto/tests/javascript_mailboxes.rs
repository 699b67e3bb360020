//! Every envelope in the fixtures, written by the JavaScript client, opens; sealed again with its own
//! vector it is the same text.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use interocitor_crypto::{EnvelopeOpener, Passphrase, open, seal};

#[test]
fn envelopes_of_the_javascript_client() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut envelopes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mailbox: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (Some(files), Some(passphrase)) = (mailbox["files"].as_object(), mailbox["passphrase"].as_str())
        else {
            continue;
        };
        let key = Passphrase::from(passphrase).to_key().unwrap();
        for (name, text) in files {
            let text = text.as_str().unwrap();
            if !text.contains("\"ct\"") {
                continue;
            }
            let plaintext = open(&key, text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut spool = Vec::new();
            let mut opener = EnvelopeOpener::new(&key);
            opener.update(text.as_bytes(), &mut spool).unwrap();
            opener.finish().unwrap().apply(&mut spool).unwrap();
            assert_eq!(spool, plaintext);

            let envelope: serde_json::Value = serde_json::from_str(text).unwrap();
            let iv = STANDARD.decode(envelope["iv"].as_str().unwrap()).unwrap().try_into().unwrap();
            assert_eq!(seal(&key, iv, &plaintext).unwrap(), text.as_bytes(), "{name}");
            envelopes += 1;
        }
    }
    assert!(envelopes > 100, "only {envelopes} envelopes found");
}
