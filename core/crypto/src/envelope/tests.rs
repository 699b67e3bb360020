use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// K and the vector of protocol.md 6.2.
fn k() -> Key {
    Key::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn counting_iv() -> [u8; 12] {
    std::array::from_fn(|i| u8::try_from(i).unwrap())
}

/// The JSON by other means than the code under test.
fn envelope_by_aes_gcm(key: [u8; 32], iv: [u8; 12], plaintext: &[u8]) -> String {
    let ct = Aes256Gcm::new(&key.into()).encrypt(&iv.into(), plaintext).unwrap();
    format!(r#"{{"v":1,"iv":"{}","ct":"{}"}}"#, STANDARD.encode(iv), STANDARD.encode(ct))
}

fn reason(result: Result<Vec<u8>, OpenError>) -> &'static str {
    match result {
        Err(OpenError::NotAnEnvelope { reason }) => reason,
        other => panic!("not refused as no envelope: {other:?}"),
    }
}

const ONE: &str = r#"{"v":1,"iv":"AAECAwQFBgcICQoL","ct":"PCC3Of/Uv/leDUorNT/XZP722B+wgyY="}"#;
const PLAIN: &[u8] = br#"{"a":1}"#;

#[test]
fn vectors_of_the_protocol() {
    for (plaintext, envelope) in
        [(PLAIN, ONE), (&[0x00, 0xff], r#"{"v":1,"iv":"AAECAwQFBgcICQoL","ct":"R/3O3F/pFx9Z3Q8u7yeo/FPB"}"#)]
    {
        assert_eq!(seal(&k(), counting_iv(), plaintext).unwrap(), envelope.as_bytes());
        assert_eq!(open(&k(), envelope.as_bytes()).unwrap(), plaintext);
    }
}

#[test]
fn change_payload_of_the_protocol() {
    let payload = r#"{"meshId":"mesh_01900000-0000-7000-8000-0000000000f1","kind":"change","entry":{"id":"chg_01900000-0000-7000-8000-0000000000c1","ts":1711785600123,"device":"01900000-0000-7000-8000-00000000000a","hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a","ops":[{"type":"upsert","table":"todos","rowId":"todo_1","columns":{"title":{"value":"Köln ✓","hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a"},"done":{"value":false,"hlc":"001711785600000-0000-01900000-0000-7000-8000-00000000000a"}}}]}}"#;
    assert_eq!(payload.len(), 517);
    let envelope = String::from_utf8(seal(&k(), counting_iv(), payload.as_bytes()).unwrap()).unwrap();
    assert!(envelope.contains(r#""ct":"PCC7fraNi3+ve7Xm1JoQMrPnvgTAS29MFVfVtS1EN4Ix"#), "{envelope}");
    assert!(envelope.ends_with(r#"JPAAxcNYkAYexfpA="}"#), "{envelope}");
    assert_eq!(open(&k(), envelope.as_bytes()).unwrap(), payload.as_bytes());
}

#[test]
fn any_spelling_json_allows() {
    let iv = r#""iv":"AAECAwQFBgcICQoL""#;
    let ct = r#""ct":"PCC3Of/Uv/leDUorNT/XZP722B+wgyY=""#;
    for envelope in [
        format!(" \r\n\t{{ \"v\" :\n1 ,{iv},\t{ct} \n}} \n"),
        format!(r#"{{{ct},{iv},"v":1}}"#),
        format!(r#"{{{iv},"v":1,{ct}}}"#),
        format!(r#"{{"w":[1,{{"v":2}}],"v":1,"x":null,{iv},"y":"\ud800",{ct},"z":"\"}}"}}"#),
        format!(r#"{{"\u0076":1,{iv},{ct}}}"#),
        ONE.replace('/', "\\/"),
        ONE.replace('=', "\\u003d"),
        ONE.replace("AAEC", "\\u0041AEC"),
    ] {
        assert_eq!(open(&k(), envelope.as_bytes()).as_deref(), Ok(PLAIN), "{envelope}");
    }
}

#[test]
fn other_versions_are_told_apart_from_rubbish() {
    for (version, envelope) in [
        (2, ONE.replace("\"v\":1", "\"v\":2")),
        (0, ONE.replace("\"v\":1", "\"v\":0")),
        (10, r#"{"v":10}"#.to_owned()),
        (3, r#"{"kid":"x","ct":[],"v":3}"#.to_owned()),
        (u64::MAX, format!(r#"{{"v":{}}}"#, u64::MAX)),
    ] {
        assert_eq!(
            open(&k(), envelope.as_bytes()),
            Err(OpenError::UnsupportedVersion { version }),
            "{envelope}"
        );
    }
    for version in ["\"1\"", "1.0", "1e0", "-1", "01", "true", "null", "[1]", "99999999999999999999", "1x"] {
        for envelope in [ONE.replace("\"v\":1", &format!("\"v\":{version}")), format!("{{\"v\":{version}}}")]
        {
            reason(open(&k(), envelope.as_bytes()));
        }
    }
}

#[test]
fn what_is_no_envelope() {
    let array = r#"[1,"AAECAwQFBgcICQoL","PCC3Of/Uv/leDUorNT/XZP722B+wgyY="]"#;
    for text in ["", " ", "null", "1", "\"v\"", "[]", array, "hello", "\u{feff}{\"v\":1}", "\0"] {
        assert!(
            matches!(reason(open(&k(), text.as_bytes())), "not a JSON object" | "the JSON is cut short"),
            "{text}"
        );
    }
    for text in [
        "{}".to_owned(),
        "{".to_owned(),
        r#"{"v":1}"#.to_owned(),
        r#"{"v":1,"iv":"AAECAwQFBgcICQoL"}"#.to_owned(),
        r#"{"v":1,"iv":"AAECAwQFBgcICQoL","ct":null}"#.to_owned(),
        r#"{"v":1,"iv":12,"ct":""}"#.to_owned(),
        format!("{ONE}x"),
        format!("{ONE}{ONE}"),
        format!("{ONE},"),
        ONE.replace("\"}", "\",}"),
        ONE.replace("\"v\":1", "\"v\":1,\"v\":1"),
        ONE.replace("\"}", "\",\"ct\":\"\"}"),
        ONE.replace(':', " "),
        ONE.replace('"', "'"),
        ONE.replace("\"ct\"", "\"cT\""),
        ONE.replace("\"iv\"", "\"a-name-much-longer-than-any-token\""),
    ] {
        reason(open(&k(), text.as_bytes()));
    }
    reason(open(&k(), &[0xff, 0xfe, 0x00]));
    reason(open(&k(), &[b"{\"v\":1,\"\xff\":".as_slice(), b"1}"].concat()));
}

#[test]
fn only_canonical_base64_counts() {
    let ct = "PCC3Of/Uv/leDUorNT/XZP722B+wgyY=";
    for other in [
        "",
        "AAAA",
        "AAAAAAAAAAAAAAAAAAAA", // 15 bytes, one short of a tag
        "PCC3Of/Uv/leDUorNT/XZP722B+wgyY",
        "PCC3Of_Uv_leDUorNT_XZP722B-wgyY=",
        "PCC3Of/Uv/leDUorNT/XZP722B+wgyZ=", // other spelling of the same bytes
        "PCC3Of/Uv/leDUorNT/XZP722B+wgyY==",
        "PCC3Of/Uv/leDUorNT/XZP722B+wgyY=AAAA",
        "PCC3Of/Uv/le DUorNT/XZP722B+wgyY=",
        "PCC3Of/Uv/leDUorNT/XZP722B+wgyY=\n",
    ] {
        reason(open(&k(), ONE.replace(ct, other).as_bytes()));
        // The same by way of the JSON parser.
        let reordered = format!(r#"{{"ct":"{other}","iv":"AAECAwQFBgcICQoL","v":1}}"#);
        reason(open(&k(), reordered.as_bytes()));
    }
    let iv = "AAECAwQFBgcICQoL";
    for other in [
        "",
        "AAECAwQFBgcICQo=",
        "AAECAwQFBgcICQoLDA==",
        "AAECAwQFBgcICQoLDA0OD",
        "AAECAwQFBgcICQo",
        "AAECAwQFBgcICQ-_",
    ] {
        assert_eq!(
            reason(open(&k(), ONE.replace(iv, other).as_bytes())),
            "iv is not 12 bytes of base64 with padding",
            "{other}"
        );
    }
}

#[test]
fn a_wrong_key_is_told_apart_from_rubbish() {
    let wrong = Key::from_bytes([9; 32]);
    assert_eq!(open(&wrong, ONE.as_bytes()), Err(OpenError::WrongKeyOrCorrupt));
    let reordered = r#"{"ct":"PCC3Of/Uv/leDUorNT/XZP722B+wgyY=","iv":"AAECAwQFBgcICQoL","v":1}"#;
    assert_eq!(open(&wrong, reordered.as_bytes()), Err(OpenError::WrongKeyOrCorrupt));
}

#[test]
fn the_buffer_is_allocated_once() {
    for len in [0, 1, 2, 3, 100, 12 * 1024 - 16, 12 * 1024, 100_000] {
        let envelope = seal(&k(), counting_iv(), &vec![1; len]).unwrap();
        assert_eq!(envelope.len(), envelope.capacity());
    }
}

#[test]
fn truncated_anywhere_is_refused() {
    let envelope = seal(&k(), counting_iv(), &[5; 50]).unwrap();
    for len in 0..envelope.len() {
        reason(open(&k(), &envelope[..len]));
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    // Every length modulo 3, hence every kind of padding.
    for len in 20..23 {
        let envelope = seal(&k(), counting_iv(), &vec![5; len]).unwrap();
        for at in 0..envelope.len() {
            for bit in 0..8 {
                let mut damaged = envelope.clone();
                damaged[at] ^= 1 << bit;
                assert!(open(&k(), &damaged).is_err(), "byte {at}, bit {bit}");
            }
        }
    }
}

proptest! {
    #[test]
    fn equals_the_one_shot_cipher(key: [u8; 32], iv: [u8; 12], plaintext in prop::collection::vec(any::<u8>(), 0..2000)) {
        let sealed = seal(&Key::from_bytes(key), iv, &plaintext).unwrap();
        let expected = envelope_by_aes_gcm(key, iv, &plaintext);
        prop_assert_eq!(std::str::from_utf8(&sealed).unwrap(), &expected);
        prop_assert_eq!(open(&Key::from_bytes(key), &sealed), Ok(plaintext));
    }

    #[test]
    fn round_trip_across_pieces(len in 0_usize..60_000, fill: u8) {
        let plaintext: Vec<u8> = (0..len).map(|i| fill.wrapping_add(i.to_le_bytes()[0])).collect();
        let sealed = seal(&k(), counting_iv(), &plaintext).unwrap();
        prop_assert_eq!(sealed.len() as u64, sealed_len(len as u64));
        prop_assert!(sealed == envelope_by_aes_gcm(*k().as_bytes(), counting_iv(), &plaintext).as_bytes());
        prop_assert!(open(&k(), &sealed).as_deref() == Ok(plaintext.as_slice()));
    }

    #[test]
    fn a_changed_byte_is_refused(
        plaintext in prop::collection::vec(any::<u8>(), 0..20_000),
        at: prop::sample::Index,
        change in 1_u8..,
    ) {
        let mut sealed = seal(&k(), counting_iv(), &plaintext).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= change;
        prop_assert!(open(&k(), &sealed).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open(&k(), &bytes).is_err());
    }

    /// Closer to an envelope than random bytes ever come: pieces of one, put together at random.
    #[test]
    fn near_envelopes_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", "\"v\"", "\"iv\"", "\"ct\"", ":", ",", "1", "2", "\"", "\\", "\\u0076", " ",
        "\"AAECAwQFBgcICQoL\"", "\"PCC3Of/Uv/leDUorNT/XZP722B+wgyY=\"", "AAAA", "=", "null", "{\"v\":1,\"iv\":",
    ]), 0..24)) {
        let text = pieces.concat();
        let _ = open(&k(), text.as_bytes());
        let _ = open(&k(), format!("{{\"v\":1,\"iv\":\"AAECAwQFBgcICQoL\",\"ct\":\"{text}").as_bytes());
    }
}
