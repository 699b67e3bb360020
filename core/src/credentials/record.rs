//! Credentials as one JSON text: the JavaScript client's record, and more fields where a store needs them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use interocitor_crypto::{Key, Passphrase};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Credentials, SupersededKey};
use crate::error::{Error, Result};

/// The first three fields are the JavaScript client's, which leaves the others alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    passphrase: Option<Zeroizing<String>>,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_id: Option<String>,
    /// What later versions of the JavaScript client call the passphrase.
    #[serde(default, skip_serializing)]
    portable_key: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_key: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded: Vec<Former>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Former {
    id: String,
    passphrase: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_id: Option<String>,
    superseded_ms: u64,
}

impl Credentials {
    /// Everything as one JSON text, for stores that keep a text under a name. **Secret.**
    pub fn to_json(&self) -> Zeroizing<String> {
        let superseded = self.superseded.iter().map(|key| Former {
            id: key.id.clone(),
            passphrase: Zeroizing::new(key.passphrase.expose().to_owned()),
            mesh_id: key.mesh_id.clone(),
            superseded_ms: key.superseded_ms,
        });
        written(&Record {
            sealed: self.sealed.as_deref().map(|sealed| STANDARD.encode(sealed)),
            local_key: self.local_key.as_ref().map(|key| Zeroizing::new(STANDARD.encode(key.as_bytes()))),
            superseded: superseded.collect(),
            ..self.shared()
        })
    }

    /// What the JavaScript client keeps, `{"passphrase","deviceId","meshId"}`, for a store of it or of another
    /// device. **Secret.** What belongs to this device only stays here.
    pub fn export_json(&self) -> Zeroizing<String> {
        written(&self.shared())
    }

    /// Reads what [`to_json`](Self::to_json), [`export_json`](Self::export_json) or the JavaScript client wrote.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where it is no such text. The error holds nothing of it.
    pub fn from_json(text: &str) -> Result<Self> {
        let refused = |reason: &str| Error::invalid("credentials", reason);
        // An array would pass for an object with fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(refused("the text is no record of credentials"));
        }
        // The reason of a JSON error could show a part of a passphrase.
        let record: Record =
            serde_json::from_str(text).map_err(|_| refused("the text is no record of credentials"))?;
        let passphrase = record.passphrase.or(record.portable_key);
        if passphrase.is_none() && record.device_id.is_none() {
            return Err(refused("the record holds neither a passphrase nor a device id"));
        }
        let local_key = match record.local_key {
            None => None,
            Some(text) => Some(key_from(&text).ok_or(refused("the local key in the record is damaged"))?),
        };
        let sealed = record.sealed.map(|text| STANDARD.decode(text)).transpose();
        Ok(Self {
            passphrase: passphrase.map(|text| Passphrase::from(text.as_str())),
            device_id: record.device_id.unwrap_or_default(),
            mesh_id: record.mesh_id.filter(|id| !id.is_empty()),
            sealed: sealed.map_err(|_| refused("the sealed copy in the record is damaged"))?,
            local_key,
            superseded: record.superseded.into_iter().map(SupersededKey::from).collect(),
        })
    }

    fn shared(&self) -> Record {
        Record {
            passphrase: self.passphrase.as_ref().map(|text| Zeroizing::new(text.expose().to_owned())),
            device_id: Some(self.device_id.clone()),
            mesh_id: self.mesh_id.clone(),
            portable_key: None,
            sealed: None,
            local_key: None,
            superseded: Vec::new(),
        }
    }
}

impl From<Former> for SupersededKey {
    fn from(key: Former) -> Self {
        Self {
            id: key.id,
            passphrase: Passphrase::from(key.passphrase.as_str()),
            mesh_id: key.mesh_id,
            superseded_ms: key.superseded_ms,
        }
    }
}

fn key_from(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let mut fixed: [u8; 32] = bytes.as_slice().try_into().ok()?;
    let key = Key::from_bytes(fixed);
    fixed.zeroize();
    Some(key)
}

fn written(record: &Record) -> Zeroizing<String> {
    // Text fields only: there is nothing that JSON could not hold.
    Zeroizing::new(serde_json::to_string(record).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Credentials {
        Credentials {
            passphrase: Some("pass".into()),
            device_id: "d".into(),
            mesh_id: Some("mesh_1".into()),
            sealed: Some(vec![0, 255]),
            local_key: Some(Key::from_bytes([7; 32])),
            superseded: vec![SupersededKey {
                id: "1".into(),
                passphrase: "older".into(),
                mesh_id: None,
                superseded_ms: 5,
            }],
        }
    }

    #[test]
    fn everything_comes_back() {
        for credentials in [full(), Credentials::default()] {
            assert_eq!(Credentials::from_json(&credentials.to_json()).unwrap(), credentials);
        }
    }

    #[test]
    fn the_javascript_client_reads_what_is_exported_and_nothing_else_leaves() {
        assert_eq!(*full().export_json(), r#"{"passphrase":"pass","deviceId":"d","meshId":"mesh_1"}"#);
        let plain = Credentials { device_id: "d".into(), ..Credentials::default() };
        assert_eq!(*plain.export_json(), r#"{"passphrase":null,"deviceId":"d"}"#);
    }

    #[test]
    fn every_spelling_of_the_javascript_client_is_read() {
        let read = |text: &str| Credentials::from_json(text).unwrap();
        let wanted =
            Credentials { passphrase: Some("p".into()), device_id: "d".into(), ..Credentials::default() };
        assert_eq!(read(r#"{"passphrase":"p","deviceId":"d"}"#), wanted);
        assert_eq!(read(r#"{"portableKey":"p","deviceId":"d","meshId":"","other":{"x":1}}"#), wanted);
        assert_eq!(read(r#"{"passphrase":null,"portableKey":"p","deviceId":"d"}"#), wanted);
    }

    #[test]
    fn a_bad_text_is_refused_and_not_shown() {
        for text in [
            "",
            "s3cret",
            "[]",
            "{}",
            r#"{"other":"s3cret"}"#,
            r#"["s3cret","d"]"#,
            r#"{"passphrase":"s3cret""#,
            r#"{"passphrase":{"s3cret":1}}"#,
            r#"{"passphrase":"s3cret","localKey":"AAAA"}"#,
            r#"{"passphrase":"s3cret","sealed":"?"}"#,
        ] {
            let error = Credentials::from_json(text).unwrap_err();
            assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn debug_shows_that_there_are_secrets_and_none_of_them() {
        let text = format!("{:?}", full());
        assert!(text.contains("has_passphrase: true") && text.contains("superseded: 1"), "{text}");
        for secret in ["pass\"", "older", "255", "7, 7"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
