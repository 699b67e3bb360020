//! The credential on its way: encrypted for one device, bound to what both have said.

use std::{borrow::Cow, fmt};

use interocitor_crypto::{Key, Passphrase, agreement::PublicKey, base64url, parcel};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{PairingPayload, capabilities, capabilities::Capabilities};
use crate::{
    error::{Error, Result},
    host::Host,
};

/// Label of the key that both devices agree on.
pub(super) const KEY_INFO: &str = "interocitor-handshake-v1";

/// Longest remote path that is taken over, in bytes.
const LONGEST_PATH: usize = 4096;

/// What one device gives to the other.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// The mesh's folder.
    pub(crate) remote_path: String,
    /// `None` for a mesh without encryption.
    pub(crate) passphrase: Option<Passphrase>,
    /// How to reach the mailbox from now on, for apps that have agreed on something of that kind.
    pub(crate) connection_config: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("remote_path", &self.remote_path).finish_non_exhaustive()
    }
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    v: u64,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    ct: Cow<'a, str>,
}

/// What is encrypted. Borrowed where it can be, so that the passphrase is not copied on the way.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret<'a> {
    #[serde(borrow)]
    remote_path: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    passphrase: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    connection_config: Option<Cow<'a, str>>,
}

/// What both have said, in the order in which it is bound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transcript<'a> {
    v: u64,
    intent: &'static str,
    handshake_id: &'a str,
    generator_pub: &'a str,
    scanner_pub: &'a str,
    generator_capabilities: capabilities::Wire,
    scanner_capabilities: capabilities::Wire,
}

/// Why a file holds no credential for us.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is no envelope, or one that is still being written.
    Unreadable,
    /// It is one, and not for us.
    Refused(Error),
}

/// The key that both agreed on, and what is bound to it.
pub(super) struct Seal {
    key: Key,
    /// `None`: nobody requires anything, and the envelope is that of older clients.
    transcript: Option<Vec<u8>>,
}

impl Seal {
    pub(super) fn new(
        key: Key,
        payload: &PairingPayload,
        scanner_pub: &PublicKey,
        scanner_capabilities: &Capabilities,
    ) -> Self {
        let is_bound = payload.capabilities.requires_any() || scanner_capabilities.requires_any();
        let transcript = is_bound.then(|| {
            let transcript = Transcript {
                v: 2,
                intent: payload.intent.as_str(),
                handshake_id: &payload.handshake_id,
                generator_pub: &payload.generator_pub.to_text(),
                scanner_pub: &scanner_pub.to_text(),
                generator_capabilities: payload.capabilities.to_transcript(),
                scanner_capabilities: scanner_capabilities.to_transcript(),
            };
            // Texts alone: this cannot fail.
            serde_json::to_vec(&transcript).unwrap_or_default()
        });
        Self { key, transcript }
    }

    fn version(&self) -> u64 {
        if self.transcript.is_some() { 2 } else { 1 }
    }

    /// The file with the credential.
    pub(super) fn seal(&self, host: &dyn Host, credential: &Credential) -> Result<Vec<u8>> {
        let secret = Secret {
            remote_path: (&*credential.remote_path).into(),
            passphrase: credential.passphrase.as_ref().map(|passphrase| passphrase.expose().into()),
            connection_config: credential.connection_config.as_deref().map(Cow::Borrowed),
        };
        let unusable = |_| Error::invalid("the credential", "it cannot be sent");
        // Sized at once: a growing buffer would leave copies of the secret behind.
        let size = 512
            + 6 * (credential.remote_path.len() + secret.passphrase.as_ref().map_or(0, |text| text.len()));
        let mut text = Zeroizing::new(Vec::with_capacity(size));
        serde_json::to_writer(&mut *text, &secret).map_err(unusable)?;
        let mut iv = [0; 12];
        host.random(&mut iv);
        let additional = self.transcript.as_deref().unwrap_or_default();
        let sealed = parcel::seal(&self.key, iv, additional, &text)
            .map_err(|error| Error::invalid("the credential", error.to_string()))?;
        let envelope = Envelope {
            v: self.version(),
            iv: base64url::encode(&iv).into(),
            ct: base64url::encode(&sealed).into(),
        };
        serde_json::to_vec(&envelope).map_err(unusable)
    }

    /// The credential in a file.
    pub(super) fn open(&self, file: &[u8]) -> Result<Credential, Fault> {
        let refuse = |why: &str| Fault::Refused(Error::rejected(why));
        let envelope: Envelope<'_> = serde_json::from_slice(file).map_err(|_| Fault::Unreadable)?;
        if envelope.v != self.version() {
            return Err(refuse("the credential came in a form that was not agreed upon; update both apps"));
        }
        let iv = base64url::decode(&envelope.iv).and_then(|iv| <[u8; 12]>::try_from(iv.as_slice()).ok());
        let (Some(iv), Some(sealed)) = (iv, base64url::decode(&envelope.ct)) else {
            return Err(Fault::Unreadable);
        };
        let additional = self.transcript.as_deref().unwrap_or_default();
        let text = parcel::open(&self.key, iv, additional, &sealed).map_err(|_| {
            refuse("the credential is not for this device: another one may have scanned the code; start again with a new code")
        })?;
        let secret: Secret<'_> = serde_json::from_slice(&text)
            .map_err(|_| refuse("what came is no credential; update both apps"))?;
        let passphrase = secret.passphrase.map(|text| match text {
            Cow::Borrowed(text) => Passphrase::from(text),
            Cow::Owned(text) => Passphrase::from(text),
        });
        if passphrase.as_ref().is_some_and(|passphrase| passphrase.to_key_lenient().is_err()) {
            return Err(refuse("what came as a passphrase is none"));
        }
        if !is_usable_path(&secret.remote_path) {
            return Err(refuse("the remote path that came cannot be used"));
        }
        Ok(Credential {
            remote_path: secret.remote_path.into_owned(),
            passphrase,
            connection_config: secret.connection_config.map(Cow::into_owned),
        })
    }
}

/// Whether a remote path stays inside the mailbox.
fn is_usable_path(path: &str) -> bool {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    path.len() <= LONGEST_PATH
        && !path.contains(char::is_control)
        && (inner.is_empty() || inner.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use interocitor_crypto::agreement::PrivateKey;
    use serde_json::{Value, json};

    use super::*;
    use crate::host::Job;

    /// Gives the initialisation vector of a vector.
    #[derive(Debug)]
    struct Fixed(Vec<u8>);

    impl Host for Fixed {
        fn now_ms(&self) -> u64 {
            0
        }

        fn random(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0);
        }

        fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn blocking(&self, _: Job) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    const PLAINTEXT: &str = "ZgwUSegVQRadCOney0AgfSFqYcWbFTxHUc2s6S4V2apsIv78M75QdOHIWWbm5SbtMMQBhMUym5cUXnL0roxXPdk8dAQPh9R4uiaTg7gQ2cPs";

    fn credential() -> Credential {
        Credential {
            remote_path: "/MyApp".into(),
            passphrase: Some("1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE".into()),
            connection_config: None,
        }
    }

    fn seal(required: &str) -> Seal {
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let capabilities = Capabilities::new(ids(required), ids(required)).unwrap();
        let (generator, scanner) =
            (PrivateKey::from_bytes(&[0x11; 32]).unwrap(), PrivateKey::from_bytes(&[0x22; 32]).unwrap());
        let payload = PairingPayload {
            intent: super::super::Intent::Share,
            handshake_id: "0123456789abcdef01234567".into(),
            generator_pub: generator.public_key(),
            adapter_config: None,
            capabilities: capabilities.clone(),
        };
        let key = generator.agree(&scanner.public_key(), KEY_INFO);
        Seal::new(key, &payload, &scanner.public_key(), &capabilities)
    }

    #[test]
    fn vectors_of_the_protocol() {
        let host = Fixed((0..12).collect());
        for (required, v, tag) in
            [("", 1, "M1YenprJrvTx6vHo-2wUWQ"), ("mesh-routing:indirect:v1", 2, "GQaj8o1AGWGJ82IUlWKjnQ")]
        {
            let file = seal(required).seal(&host, &credential()).unwrap();
            let wanted = format!(r#"{{"v":{v},"iv":"AAECAwQFBgcICQoL","ct":"{PLAINTEXT}{tag}"}}"#);
            assert_eq!(String::from_utf8(file.clone()).unwrap(), wanted);
            assert_eq!(seal(required).open(&file).unwrap(), credential());
        }
    }

    #[test]
    fn all_fields_come_back() {
        let host = Fixed(vec![7; 12]);
        for credential in [
            Credential { passphrase: None, ..credential() },
            Credential { remote_path: "/Köln/\"x\" \\ ☕".into(), ..credential() },
            Credential { connection_config: Some("{\"a\":1}".into()), ..credential() },
        ] {
            let file = seal("").seal(&host, &credential).unwrap();
            assert_eq!(seal("").open(&file).unwrap(), credential);
        }
    }

    #[test]
    fn the_version_is_the_one_that_was_agreed_upon() {
        let host = Fixed(vec![7; 12]);
        for (sent, expected) in [("", "a"), ("a", ""), ("a", "b")] {
            let file = seal(sent).seal(&host, &credential()).unwrap();
            assert!(matches!(seal(expected).open(&file), Err(Fault::Refused(_))), "{sent:?} {expected:?}");
        }
        let mut file: Value = serde_json::from_slice(&seal("").seal(&host, &credential()).unwrap()).unwrap();
        for v in [0, 2, 3] {
            file["v"] = json!(v);
            assert!(matches!(seal("").open(file.to_string().as_bytes()), Err(Fault::Refused(_))), "{v}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_be_under_way() {
        let whole = seal("").seal(&Fixed(vec![7; 12]), &credential()).unwrap();
        for end in 0..whole.len() {
            assert!(matches!(seal("").open(&whole[..end]), Err(Fault::Unreadable)), "{end}");
        }
        for other in [&b"null"[..], b"{}", br#"{"v":1,"iv":"AAAA","ct":"AAAA"}"#, b"\xff"] {
            assert!(matches!(seal("").open(other), Err(Fault::Unreadable)));
        }
    }

    #[test]
    fn a_hostile_plaintext_is_refused() {
        let hostile = |text: &Value| {
            let key = seal("").key;
            let sealed = parcel::seal(&key, [1; 12], &[], text.to_string().as_bytes()).unwrap();
            let file = json!({"v": 1, "iv": base64url::encode(&[1; 12]), "ct": base64url::encode(&sealed)});
            seal("").open(file.to_string().as_bytes())
        };
        assert!(hostile(&json!({"remotePath": "/a/b/", "later": 1})).is_ok());
        assert!(hostile(&json!({"remotePath": "/", "passphrase": null})).is_ok());
        for refused in [
            json!({"passphrase": "2"}),
            json!({"remotePath": 1}),
            json!({"remotePath": "/a/../b"}),
            json!({"remotePath": "//a"}),
            json!({"remotePath": "/a\u{0}"}),
            json!({"remotePath": "/a\n"}),
            json!({"remotePath": "a".repeat(5000)}),
            json!({"remotePath": "/a", "passphrase": ""}),
            json!({"remotePath": "/a", "passphrase": "0OIl"}),
            json!({"remotePath": "/a", "passphrase": 7}),
            json!("x"),
        ] {
            assert!(matches!(hostile(&refused), Err(Fault::Refused(_))), "{refused}");
        }
    }

    #[test]
    fn the_passphrase_is_not_shown() {
        assert!(!format!("{:?}", credential()).contains("1thX"));
    }
}
