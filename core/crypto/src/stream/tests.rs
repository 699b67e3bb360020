use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::error::{OpenError, SealError};
use crate::gcm::MAX_BYTES;
use crate::{Key, open, seal};

fn key() -> Key {
    Key::from_bytes([0x42; 32])
}

/// `bytes` in pieces of the given sizes; what is left over as a last piece.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, rest) = bytes.split_at(bytes.len().min(*size));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

fn seal_streamed(plaintext: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sealer = EnvelopeSealer::new(&key(), [3; 12]);
    for piece in pieces(plaintext, sizes) {
        sealer.update(piece, &mut out).unwrap();
    }
    sealer.finish(&mut out);
    out
}

/// The spool before it is decrypted, and the plaintext.
fn open_streamed(envelope: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, Vec<u8>), OpenError> {
    let mut spool = Vec::new();
    let mut opener = EnvelopeOpener::new(&key());
    for piece in pieces(envelope, sizes) {
        opener.update(piece, &mut spool)?;
    }
    let mut decryptor = opener.finish()?;
    assert_eq!(decryptor.remaining(), spool.len() as u64);
    let mut plaintext = spool.clone();
    let mut rest = plaintext.as_mut_slice();
    for size in sizes {
        let (piece, after) = rest.split_at_mut((*size).min(rest.len()));
        decryptor.apply(piece)?;
        rest = after;
    }
    decryptor.apply(rest)?;
    assert_eq!(decryptor.remaining(), 0);
    Ok((spool, plaintext))
}

#[test]
fn sealed_length_is_exact_and_never_overflows() {
    for len in 0..100 {
        assert_eq!(seal_streamed(&vec![0; len], &[]).len() as u64, sealed_len(len as u64));
    }
    assert_eq!(sealed_len(MAX_BYTES), 39 + (MAX_BYTES + 16).div_ceil(3) * 4);
    assert!(sealed_len(u64::MAX) >= sealed_len(u64::MAX - 1000));
}

#[test]
fn one_byte_at_a_time() {
    let plaintext: Vec<u8> = (0..=255).collect();
    let envelope = seal(&key(), [3; 12], &plaintext).unwrap();
    assert_eq!(seal_streamed(&plaintext, &[1; 256]), envelope);
    assert_eq!(open_streamed(&envelope, &vec![1; envelope.len()]).unwrap().1, plaintext);
}

#[test]
fn an_empty_file() {
    let envelope = seal_streamed(&[], &[0, 0]);
    assert_eq!(envelope, seal(&key(), [3; 12], &[]).unwrap());
    assert_eq!(open_streamed(&envelope, &[0, 5, 0]), Ok((vec![], vec![])));
}

#[test]
fn too_long_is_refused_before_anything_is_written() {
    let mut sealer = EnvelopeSealer::new(&key(), [3; 12]);
    sealer.pretend_sealed(MAX_BYTES - 2);
    let mut out = Vec::new();
    assert_eq!(sealer.update(b"abc", &mut out), Err(SealError::TooLong));
    assert!(out.is_empty());
    assert_eq!(sealer.update(b"ab", &mut out), Ok(()));
}

#[test]
fn memory_stays_bounded() {
    let mut sealer = EnvelopeSealer::new(&key(), [3; 12]);
    let mut opener = EnvelopeOpener::new(&key());
    let (mut envelope, mut spool, mut spooled) = (Vec::new(), Vec::new(), 0);
    for _ in 0..500 {
        sealer.update(&[7; 10_000], &mut envelope).unwrap();
        opener.update(&envelope, &mut spool).unwrap();
        spooled += spool.len();
        envelope.clear();
        spool.clear();
    }
    sealer.finish(&mut envelope);
    opener.update(&envelope, &mut spool).unwrap();
    spooled += spool.len();
    assert_eq!(opener.finish().unwrap().remaining(), 5_000_000);
    assert_eq!(spooled, 5_000_000);
    assert!(envelope.capacity() < 64 * 1024 && spool.capacity() < 64 * 1024);
}

#[test]
fn what_comes_out_before_the_proof_is_encrypted() {
    let plaintext = vec![b'a'; 100];
    let envelope = seal(&key(), [3; 12], &plaintext).unwrap();
    let (spool, opened) = open_streamed(&envelope, &[]).unwrap();
    assert_eq!(opened, plaintext);
    let text = std::str::from_utf8(&envelope).unwrap().rsplit('"').nth(1).unwrap();
    assert_eq!(spool, STANDARD.decode(text).unwrap()[..100]);
    assert_ne!(spool, opened);
}

#[test]
fn white_space_may_stand_between_the_tokens() {
    let envelope = String::from_utf8(seal(&key(), [3; 12], b"text").unwrap()).unwrap();
    let spaced = envelope
        .replace(':', " :\n")
        .replace(',', "\r\n,\t")
        .replace('{', &format!("{}{{ ", " ".repeat(100_000)))
        .replace('}', " } \n");
    assert_eq!(open_streamed(spaced.as_bytes(), &[7; 30]).unwrap().1, b"text");
}

#[test]
fn what_cannot_be_streamed_says_so_and_opens_whole() {
    let envelope = String::from_utf8(seal(&key(), [3; 12], b"text").unwrap()).unwrap();
    let iv = &envelope[7..30];
    let ct = &envelope[31..envelope.len() - 1];
    assert!(iv.starts_with("\"iv\":\"") && ct.starts_with("\"ct\":\""));
    for unusual in [
        format!("{{\"v\":1,{ct},{iv}}}"),
        format!("{{{ct},{iv},\"v\":1}}"),
        format!("{{{iv},\"v\":1,{ct}}}"),
        format!("{{\"v\":1,\"x\":0,{iv},{ct}}}"),
        format!("{{\"v\":1,{iv},{ct},\"x\":0}}"),
        envelope.replace("\"v\"", "\"\\u0076\""),
        envelope.replace("\"AwMD", "\"\\u0041wMD"),
        envelope.replace("\"}", "\\u003d\"}").replace("=\\u003d", "\\u003d"),
        format!("{{\"a-name-longer-than-any-token\":1,\"v\":1,{iv},{ct}}}"),
    ] {
        let streamed = open_streamed(unusual.as_bytes(), &[]);
        assert!(matches!(streamed, Err(OpenError::NotStreamable { .. })), "{unusual}: {streamed:?}");
        assert_eq!(open(&key(), unusual.as_bytes()).as_deref(), Ok(b"text".as_slice()), "{unusual}");
    }
}

#[test]
fn the_first_error_is_final() {
    let envelope = seal(&key(), [3; 12], b"text").unwrap();
    let mut opener = EnvelopeOpener::new(&key());
    let mut spool = Vec::new();
    let error = opener.update(b"[", &mut spool).unwrap_err();
    assert_eq!(opener.update(&envelope, &mut spool), Err(error.clone()));
    assert_eq!(opener.finish().unwrap_err(), error);
    assert!(spool.is_empty());
}

#[test]
fn a_wrong_key_shows_only_at_the_end() {
    let envelope = seal(&key(), [3; 12], &[1; 1000]).unwrap();
    let mut opener = EnvelopeOpener::new(&Key::from_bytes([0x43; 32]));
    opener.update(&envelope, &mut Vec::new()).unwrap();
    assert_eq!(opener.finish().unwrap_err(), OpenError::WrongKeyOrCorrupt);
}

#[test]
fn a_spool_that_grew_is_refused() {
    let envelope = seal(&key(), [3; 12], b"text").unwrap();
    let mut spool = Vec::new();
    let mut opener = EnvelopeOpener::new(&key());
    opener.update(&envelope, &mut spool).unwrap();
    let mut decryptor = opener.finish().unwrap();
    spool.push(0);
    let before = spool.clone();
    assert_eq!(decryptor.apply(&mut spool), Err(OpenError::WrongKeyOrCorrupt));
    assert_eq!(spool, before);
}

#[test]
fn truncated_anywhere_is_refused() {
    let envelope = seal(&key(), [3; 12], &[5; 50]).unwrap();
    for len in 0..envelope.len() {
        let result = open_streamed(&envelope[..len], &[13; 5]);
        assert!(matches!(result, Err(OpenError::NotAnEnvelope { .. })), "{len}: {result:?}");
    }
}

#[test]
fn padding_ends_the_text_wherever_the_pieces_end() {
    let envelope = String::from_utf8(seal(&key(), [3; 12], &[9; 24]).unwrap()).unwrap();
    let (head, text) = envelope.strip_suffix("\"}").unwrap().rsplit_once('"').unwrap();
    let bytes = STANDARD.decode(text).unwrap();
    // The same 40 bytes, written as two padded texts.
    let parts = [STANDARD.encode(&bytes[..16]), STANDARD.encode(&bytes[16..])];
    let twice = format!("{head}\"{}{}\"}}", parts[0], parts[1]);
    for size in 1..twice.len() {
        let result = open_streamed(twice.as_bytes(), &[size]);
        assert!(matches!(result, Err(OpenError::NotAnEnvelope { .. })), "{size}: {result:?}");
    }
}

#[test]
fn debug_shows_no_secrets() {
    let shown = format!("{:?} {:?}", EnvelopeSealer::new(&key(), [3; 12]), EnvelopeOpener::new(&key()));
    assert_eq!(shown, "EnvelopeSealer { plaintext_len: 0, .. } EnvelopeOpener { failure: None, .. }");
}

/// Sizes around a quantum, a block and a piece.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0_usize..70, 4000_usize..20_000], 0..12)
}

proptest! {
    #[test]
    fn sealing_in_any_pieces_equals_sealing_at_once(
        plaintext in prop::collection::vec(any::<u8>(), 0..40_000), sizes in sizes(),
    ) {
        prop_assert!(seal_streamed(&plaintext, &sizes) == seal(&key(), [3; 12], &plaintext).unwrap());
    }

    #[test]
    fn opening_in_any_pieces_equals_opening_at_once(
        plaintext in prop::collection::vec(any::<u8>(), 0..40_000), sizes in sizes(),
    ) {
        let envelope = seal(&key(), [3; 12], &plaintext).unwrap();
        prop_assert!(open_streamed(&envelope, &sizes).unwrap().1 == plaintext);
    }

    /// The same verdict in pieces as at once, whatever was changed.
    #[test]
    fn damage_is_judged_alike_in_pieces(
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        at: prop::sample::Index,
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"=\"\\{},: 1A".to_vec())],
        sizes in sizes(),
    ) {
        let mut envelope = seal(&key(), [3; 12], &plaintext).unwrap();
        let at = at.index(envelope.len());
        envelope[at] = byte;
        let whole = open(&key(), &envelope);
        match open_streamed(&envelope, &sizes) {
            Err(OpenError::NotStreamable { .. }) => {}
            streamed => prop_assert_eq!(streamed.map(|(_, plaintext)| plaintext), whole),
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), sizes in sizes()) {
        prop_assert!(open_streamed(&bytes, &sizes).is_err());
        let begun = [br#"{"v":1,"iv":"AAECAwQFBgcICQoL","ct":""#.as_slice(), &bytes].concat();
        prop_assert!(open_streamed(&begun, &sizes).is_err());
    }
}
