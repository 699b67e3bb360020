//! Two devices agree on a key (ECDH over P-256), and people can check that nobody stands between them.

use std::fmt;

use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use zeroize::Zeroizing;

use crate::base64url;
use crate::digest::sha256;
use crate::hkdf::{hkdf_sha256, pbkdf2_sha256};
use crate::key::{KEY_BYTES, Key};

/// What stands before the point in the DER form of every P-256 public key (RFC 5480: SEQUENCE of the
/// algorithm, with the curve as its parameter, and a BIT STRING).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Length of an uncompressed point in bytes (SEC 1, section 2.3.3).
const POINT_BYTES: usize = 65;

/// Length of the DER form of a public key in bytes.
const SPKI_BYTES: usize = SPKI_PREFIX.len() + POINT_BYTES;

/// Salt of [`short_code`]. Another one gives other codes.
const CODE_SALT: &str = "interocitor/native/pairing-code/v1";

/// Rounds of [`short_code`]: some ten milliseconds for who computes it once, far too long for who would look
/// for a key with a given code.
const CODE_ROUNDS: u32 = 1 << 16;

/// How many codes there are: those of twelve digits.
const CODES: u128 = 1_000_000_000_000;

/// A key pair for one agreement. Wiped from memory when dropped, never printed.
pub struct PrivateKey(SecretKey);

/// The half of a key pair that others may see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(p256::PublicKey);

impl PrivateKey {
    /// Takes 32 bytes of the caller's random generator. `None` for the few that are no key (zero, or not
    /// below the order of the curve: one in 2^32): draw again.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        SecretKey::from_slice(bytes).ok().map(Self)
    }

    /// The other half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// The key that both sides arrive at: HKDF-SHA-256 (RFC 5869) of the shared point's x coordinate, salt
    /// of 32 zero bytes, `info` as label.
    pub fn agree(&self, theirs: &PublicKey, info: &str) -> Key {
        let shared = self.0.diffie_hellman(&theirs.0);
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        secret.copy_from_slice(shared.raw_secret_bytes());
        Key::from_bytes(hkdf_sha256(&secret, info.as_bytes()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PublicKey {
    /// The key in a text: its DER form (SubjectPublicKeyInfo, uncompressed point) in base64url without
    /// padding. `None` where it is anything else, or no point of the curve.
    pub fn from_text(text: &str) -> Option<Self> {
        let der = base64url::decode(text)?;
        let point = der.strip_prefix(&SPKI_PREFIX)?;
        if point.len() != POINT_BYTES {
            return None;
        }
        p256::PublicKey::from_sec1_bytes(point).ok().map(Self)
    }

    /// The text that [`from_text`](Self::from_text) reads.
    pub fn to_text(&self) -> String {
        base64url::encode(&self.to_der())
    }

    fn to_der(self) -> [u8; SPKI_BYTES] {
        let mut der = [0; SPKI_BYTES];
        let (prefix, point) = der.split_at_mut(SPKI_PREFIX.len());
        prefix.copy_from_slice(&SPKI_PREFIX);
        point.copy_from_slice(self.0.to_sec1_point(false).as_bytes());
        der
    }
}

impl fmt::Debug for PublicKey {
    /// Who sees the public keys of an agreement could take part in its place: they are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

/// A code for people to compare, `1234 5678 9012`: the same on both devices if each has the other's key,
/// another one if somebody stands between them. `first` and `second` are the same on both sides.
///
/// Twelve decimal digits of PBKDF2-HMAC-SHA-256 (RFC 8018) with 2^16 rounds, its password SHA-256 of the two
/// DER forms, the first 16 bytes of its output read as a big-endian number. The keys are not committed to beforehand, so somebody
/// who knows both could look for a pair with the same code: the rounds make that 2^55 hashes of work, to be
/// done while the devices wait.
pub fn short_code(first: &PublicKey, second: &PublicKey) -> String {
    let keys = sha256(&[first.to_der(), second.to_der()].concat());
    let hash = pbkdf2_sha256(&keys, CODE_SALT.as_bytes(), CODE_ROUNDS);
    let (number, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    let code = u128::from_be_bytes(*number) % CODES;
    format!("{:04} {:04} {:04}", code / 100_000_000, code / 10_000 % 10_000, code % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATOR: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAhfmF_C2RDkoJ4-WmZ5pojpPLBUr321s32bluAKC1O0ZSn3ry5dxLS3aPKhaqHZaVvRfx1hZllLyiXxlMG5XlA";
    const SCANNER: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1lqTl3yqPRsIGFL_V6eeRl8WYFdzBLrq1QXdOkhYnPNQGF6JU3LfYiHqOhN1V-Rz_dtnVfBb1QfDxTP86ckShQ";

    fn pair() -> (PrivateKey, PrivateKey) {
        (PrivateKey::from_bytes(&[0x11; 32]).unwrap(), PrivateKey::from_bytes(&[0x22; 32]).unwrap())
    }

    #[test]
    fn vectors_of_the_protocol() {
        let (generator, scanner) = pair();
        assert_eq!(generator.public_key().to_text(), GENERATOR);
        assert_eq!(scanner.public_key().to_text(), SCANNER);
        let shared = generator.0.diffie_hellman(&scanner.public_key().0);
        assert_eq!(
            hex::encode(shared.raw_secret_bytes()),
            "ccfc261f58193c98ca4ad4a53bbac6f0ee29bc4d48438090446908622ca79af6"
        );
        let key = generator.agree(&PublicKey::from_text(SCANNER).unwrap(), "interocitor-handshake-v1");
        assert_eq!(
            hex::encode(key.as_bytes()),
            "54822338ed6bab7f3dad248072ae0ae1a041a60ba06623e0f8549d74cfe5cbe7"
        );
        assert_eq!(scanner.agree(&generator.public_key(), "interocitor-handshake-v1"), key);
        assert_ne!(scanner.agree(&generator.public_key(), "another label"), key);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(PrivateKey::from_bytes(&[0; 32]).is_none());
        assert!(PrivateKey::from_bytes(&[0xff; 32]).is_none());
        let der = base64url::decode(GENERATOR).unwrap();
        let text = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut der = der.to_vec();
            change(&mut der);
            base64url::encode(&der)
        };
        assert!(PublicKey::from_text(&text(&|_| {})).is_some());
        for (what, refused) in [
            ("cut short", text(&|der| der.truncate(90))),
            ("longer", text(&|der| der.push(0))),
            ("another curve", text(&|der| der[22] = 8)),
            ("not on the curve", text(&|der| der[90] ^= 1)),
            ("no uncompressed point", text(&|der| der[26] = 2)),
            ("the point at infinity", base64url::encode(&[&SPKI_PREFIX[..], &[0]].concat())),
            ("compressed", {
                let point = pair().0.public_key().0.to_sec1_point(true);
                base64url::encode(&[&SPKI_PREFIX[..], point.as_bytes()].concat())
            }),
            ("empty", String::new()),
            ("padded", format!("{GENERATOR}=")),
        ] {
            assert!(PublicKey::from_text(&refused).is_none(), "{what}");
        }
    }

    #[test]
    fn the_code_is_that_of_both_keys_in_their_order() {
        let (generator, scanner) = pair();
        let (a, b) = (generator.public_key(), scanner.public_key());
        // By Python's hashlib.pbkdf2_hmac.
        assert_eq!(short_code(&a, &b), "4654 8422 7877");
        assert_ne!(short_code(&b, &a), short_code(&a, &b));
        assert_ne!(short_code(&a, &a), short_code(&a, &b));
    }

    #[test]
    fn nothing_is_shown() {
        let (generator, _) = pair();
        let shown = format!("{generator:?} {:?}", generator.public_key());
        assert_eq!(shown, "PrivateKey(..) PublicKey(..)");
    }
}
