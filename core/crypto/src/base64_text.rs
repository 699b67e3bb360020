//! Base64 as the envelope has it: standard alphabet, padding required, one spelling per value
//! (RFC 4648, sections 3.5 and 4).

use base64::Engine as _;
use base64::engine::general_purpose::PAD;

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
mod engine {
    use std::sync::LazyLock;

    use base64::engine::Simd;

    use super::PAD;

    /// Several times as fast as the portable engine; asks the processor once what it can do.
    pub(super) static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
mod engine {
    use base64::engine::GeneralPurpose;

    use super::PAD;

    pub(super) static ENGINE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, PAD);
}

/// Not base64, or not the one spelling of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotBase64;

/// Length in characters of `bytes` bytes.
pub(crate) fn encoded_len(bytes: u64) -> u64 {
    bytes.div_ceil(3).saturating_mul(4)
}

/// Appends the text of `bytes`, with padding.
pub(crate) fn encode_onto(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    match engine::ENGINE.encode_slice(bytes, &mut out[start..]) {
        Ok(written) => out.truncate(start + written),
        Err(_) => unreachable!("the output was sized for the text"),
    }
}

/// Appends the bytes of a text whose length is a multiple of four. Leaves `out` alone on error.
pub(crate) fn decode_onto(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    let start = out.len();
    out.resize(start + text.len().div_ceil(4) * 3, 0);
    let decoded = engine::ENGINE.decode_slice(text, &mut out[start..]);
    out.truncate(start + decoded.as_ref().map_or(0, |written| *written));
    decoded.map(|_| ()).map_err(|_| NotBase64)
}

/// The bytes of a text that must hold exactly `N`.
pub(crate) fn decode_exact<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = Vec::with_capacity(N);
    decode_onto(text, &mut bytes).ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, NotBase64> {
        let mut out = Vec::new();
        decode_onto(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn one_spelling_only() {
        assert_eq!(decoded("AP8="), Ok(vec![0, 0xff]));
        assert_eq!(decoded("-_+/"), Err(NotBase64), "url-safe alphabet");
        for refused in ["AP8", "AP9=", "AP8==", "AP=8", "A===", "AP8=AP8=", " AP8=", "AP8=\n", "AP8\0"] {
            assert_eq!(decoded(refused), Err(NotBase64), "{refused:?}");
        }
    }

    #[test]
    fn a_refused_text_leaves_the_output_alone() {
        let mut out = vec![1, 2, 3];
        assert_eq!(decode_onto(b"AP8*", &mut out), Err(NotBase64));
        assert_eq!(out, [1, 2, 3]);
    }

    proptest! {
        /// Long enough for the vector code, which short texts never reach.
        #[test]
        fn equals_the_portable_engine(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut text = Vec::new();
            encode_onto(&bytes, &mut text);
            prop_assert!(text == STANDARD.encode(&bytes).as_bytes());
            prop_assert_eq!(text.len() as u64, encoded_len(bytes.len() as u64));
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = byte;
                let mut out = Vec::new();
                let decoded = decode_onto(&text, &mut out).ok().map(|()| out);
                prop_assert_eq!(decoded, STANDARD.decode(&text).ok());
            }
        }
    }
}
