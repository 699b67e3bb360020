//! What the QR code holds.

use std::{borrow::Cow, fmt};

use interocitor_crypto::{agreement::PublicKey, base64url};
use serde::{Deserialize, Serialize};

use super::capabilities::{self, Capabilities};
use crate::error::{Error, Result};

/// What precedes the payload in the fragment of a link.
const MARK: &str = "hs=";

/// A QR code holds 2,953 bytes; a link may hold more, but nobody needs it.
const LONGEST: usize = 16 * 1024;

/// Longest id of a handshake.
const LONGEST_ID: usize = 128;

/// What the device that shows a payload wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It has a credential and gives it to the device that scans.
    Share,
    /// It wants the credential of the device that scans.
    Join,
}

impl Intent {
    /// As it travels: `share` or `join`.
    pub fn as_str(self) -> &'static str {
        match self {
            Intent::Share => "share",
            Intent::Join => "join",
        }
    }
}

/// What a QR code or a pair link holds. Whoever has it may take part in the pairing: it is for the eyes of
/// the two devices only, and good for one pairing within two minutes.
///
/// Reading one does nothing. See what it wants, then
/// [`pair_scan`](crate::Interocitor::pair_scan) it.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingPayload {
    pub(super) intent: Intent,
    pub(super) handshake_id: String,
    pub(super) generator_pub: PublicKey,
    pub(super) adapter_config: Option<String>,
    pub(super) capabilities: Capabilities,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    intent: Cow<'a, str>,
    #[serde(borrow)]
    handshake_id: Cow<'a, str>,
    #[serde(borrow)]
    generator_pub: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    adapter_config: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capabilities: Option<capabilities::Wire>,
}

impl PairingPayload {
    /// Reads what was scanned: the bare payload, or a link with it.
    ///
    /// # Errors
    ///
    /// `PAIRING_REJECTED` for anything else.
    pub fn parse(scanned: &str) -> Result<Self> {
        let refuse = |why: &str| Err(Error::rejected(format!("this is no pairing code: {why}")));
        let scanned = scanned.trim();
        if scanned.len() > LONGEST {
            return refuse("it is far too long");
        }
        let text = match in_link(scanned) {
            Some(text) => text,
            None if !scanned.is_empty() && scanned.chars().all(base64url::has) => scanned,
            None => return refuse("scan the code that the other device shows"),
        };
        let Some(json) = base64url::decode(text) else { return refuse("it was cut short or damaged") };
        let Ok(wire) = serde_json::from_slice::<Wire<'_>>(&json) else {
            return refuse("it was cut short or damaged");
        };
        let intent = match &*wire.intent {
            "share" => Intent::Share,
            "join" => Intent::Join,
            _ => return refuse("it wants something that this version does not know; update this app"),
        };
        let is_id = (1..=LONGEST_ID).contains(&wire.handshake_id.len())
            && wire.handshake_id.chars().all(base64url::has);
        if !is_id {
            return refuse("its id is unusable");
        }
        let Some(generator_pub) = PublicKey::from_text(&wire.generator_pub) else {
            return refuse("its key is unusable");
        };
        let Some(capabilities) = Capabilities::received(wire.capabilities) else {
            return refuse("its capabilities are unusable");
        };
        Ok(Self {
            intent,
            handshake_id: wire.handshake_id.into_owned(),
            generator_pub,
            adapter_config: wire.adapter_config.map(Cow::into_owned),
            capabilities,
        })
    }

    /// What the device that shows it wants.
    pub fn intent(&self) -> Intent {
        self.intent
    }

    /// How the other device says that the mailbox is reached, as JSON of its kind of mailbox. **Unproven**: the
    /// engine never follows it. Show it, and use it only if the user knows the place.
    pub fn adapter_config(&self) -> Option<&str> {
        self.adapter_config.as_deref()
    }

    /// The text for a QR code.
    pub fn encode(&self) -> String {
        let wire = Wire {
            intent: self.intent.as_str().into(),
            handshake_id: (&*self.handshake_id).into(),
            generator_pub: self.generator_pub.to_text().into(),
            adapter_config: self.adapter_config.as_deref().map(Cow::Borrowed),
            capabilities: self.capabilities.to_wire(),
        };
        // Texts alone: this cannot fail.
        base64url::encode(&serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// A link that opens an app, or a page, with the payload: `<base>#hs=<payload>`. A fragment of `base` makes way.
    pub fn to_url(&self, base: &str) -> String {
        let base = base.split('#').next().unwrap_or_default();
        format!("{base}#{MARK}{}", self.encode())
    }
}

/// The payload in a link: behind the first `hs=` that stands at the start, after `#` or after `&`.
fn in_link(text: &str) -> Option<&str> {
    text.match_indices(MARK)
        .filter(|(at, _)| *at == 0 || matches!(text.as_bytes()[at - 1], b'#' | b'&'))
        .map(|(at, mark)| {
            let rest = &text[at + mark.len()..];
            &rest[..rest.find(|character| !base64url::has(character)).unwrap_or(rest.len())]
        })
        .find(|payload| !payload.is_empty())
}

impl fmt::Debug for PairingPayload {
    /// The key is left out: whoever has it can take part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingPayload").field("intent", &self.intent).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAhfmF_C2RDkoJ4-WmZ5pojpPLBUr321s32bluAKC1O0ZSn3ry5dxLS3aPKhaqHZaVvRfx1hZllLyiXxlMG5XlA";

    fn sound() -> Value {
        json!({"intent": "share", "handshakeId": "0123456789abcdef01234567", "generatorPub": KEY})
    }

    fn parsed(json: &Value) -> Result<PairingPayload> {
        PairingPayload::parse(&base64url::encode(json.to_string().as_bytes()))
    }

    #[test]
    fn vector_of_the_protocol() {
        let payload = PairingPayload {
            intent: Intent::Share,
            handshake_id: "0123456789abcdef01234567".into(),
            generator_pub: PublicKey::from_text(KEY).unwrap(),
            adapter_config: Some(r#"{"baseUrl":"https://dav.example/files/alice"}"#.into()),
            capabilities: Capabilities::default(),
        };
        let text = payload.encode();
        assert!(
            text.starts_with(
                "eyJpbnRlbnQiOiJzaGFyZSIsImhhbmRzaGFrZUlkIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3Iiwi"
            )
        );
        assert!(text.ends_with("9maWxlcy9hbGljZVwifSJ9"));
        assert_eq!(PairingPayload::parse(&text).unwrap(), payload);
    }

    #[test]
    fn recorded_payloads_are_read_and_written_alike() {
        let fixture = include_str!("../../../tests/fixtures/pairing.json");
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let handshakes = fixture["handshakes"].as_array().unwrap();
        assert_eq!(handshakes.len(), 3);
        for handshake in handshakes {
            let (encoded, url) =
                (handshake["qrEncoded"].as_str().unwrap(), handshake["pairUrl"].as_str().unwrap());
            let payload = PairingPayload::parse(encoded).unwrap();
            assert_eq!(payload, PairingPayload::parse(url).unwrap());
            assert_eq!(payload.encode(), encoded);
            assert_eq!(payload.to_url("https://app.example/pair"), url);
            assert_eq!(payload.to_url("https://app.example/pair#old"), url);
            assert_eq!(payload.intent().as_str(), handshake["intent"]);
            assert_eq!(payload.adapter_config(), Some("{}"));
        }
    }

    #[test]
    fn a_payload_is_found_in_links_of_any_form() {
        let text = base64url::encode(sound().to_string().as_bytes());
        for link in [
            text.clone(),
            format!("  {text}\n"),
            format!("hs={text}"),
            format!("#hs={text}"),
            format!("app://pair#a=b&hs={text}&c=d"),
            format!("https://a/?xhs=no#hs=&hs={text}"),
        ] {
            assert!(PairingPayload::parse(&link).is_ok(), "{link}");
        }
        for link in ["https://a/#nhs=abc", "https://a/", "", " ", "hs=", "hello world"] {
            let error = PairingPayload::parse(link).unwrap_err();
            assert_eq!(error.code().as_str(), "PAIRING_REJECTED", "{link}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        assert!(parsed(&sound()).is_ok());
        let with = |field: &str, value: Value| {
            let mut json = sound();
            json[field] = value;
            json
        };
        let capabilities = |required: Value| json!({"supported": ["a"], "required": required});
        for refused in [
            with("intent", json!("own")),
            with("intent", json!(1)),
            with("handshakeId", json!("../../Mesh")),
            with("handshakeId", json!("")),
            with("handshakeId", json!("a".repeat(129))),
            with("handshakeId", json!("a/b")),
            with("generatorPub", json!("AAAA")),
            with("generatorPub", json!(null)),
            with("adapterConfig", json!({"baseUrl": "https://evil.example"})),
            with("adapterConfig", json!("x".repeat(17_000))),
            with("capabilities", json!({"required": ["a"]})),
            with("capabilities", capabilities(json!("a"))),
            with("capabilities", capabilities(json!(["x".repeat(129)]))),
            with("capabilities", capabilities(json!(vec!["a"; 33]))),
            json!([]),
            json!({}),
        ] {
            let error = parsed(&refused).unwrap_err();
            assert_eq!(error.code().as_str(), "PAIRING_REJECTED", "{refused}");
            // What a stranger's code says is not repeated.
            assert!(!error.to_string().contains("evil"), "{error}");
        }
        // What a later version adds is no fault.
        assert!(parsed(&with("later", json!([1]))).is_ok());
        assert!(parsed(&with("adapterConfig", json!(null))).is_ok());
    }

    #[test]
    fn one_that_is_cut_short_is_refused() {
        let text = base64url::encode(sound().to_string().as_bytes());
        for end in 0..text.len() {
            let error = PairingPayload::parse(&text[..end]).unwrap_err();
            assert_eq!(error.code().as_str(), "PAIRING_REJECTED", "{end}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?}", parsed(&sound()).unwrap());
        assert!(!shown.contains(&KEY[40..60]) && !shown.contains("0123456789"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, tail in "[A-Za-z0-9_-]{0,40}") {
            let _ = PairingPayload::parse(&text);
            let _ = PairingPayload::parse(&format!("{text}#hs={tail}"));
        }

        #[test]
        fn no_json_panics(text in r#"\{("intent":"share"|"handshakeId":"a"|"generatorPub":"b"|[\[\],:"0-9])*\}"#) {
            prop_assert!(PairingPayload::parse(&base64url::encode(text.as_bytes())).is_err());
        }
    }
}
