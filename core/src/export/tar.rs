//! The part of the tar format (POSIX ustar) that an archive uses: plain files with short names.

use super::{entry, invalid};
use crate::error::{Error, Result};

/// Everything comes in blocks of so many bytes.
pub(super) const BLOCK: usize = 512;

/// The largest entry: 11 octal digits.
const MAX_SIZE: u64 = (1 << 33) - 1;

/// The header of an entry.
pub(super) fn header(name: &str, size: u64, now_ms: u64) -> Result<[u8; BLOCK]> {
    if size > MAX_SIZE {
        return Err(Error::Limit { what: "an entry of an archive", actual: size, limit: MAX_SIZE });
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    if name.len() > entry::MAX_NAME {
        return Err(invalid(name, "its name is too long for an archive"));
    }
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", (now_ms / 1000).min(MAX_SIZE)).as_bytes());
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Bytes that fill up the last block of an entry.
pub(super) fn padding(size: u64) -> usize {
    // Below 512.
    usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0)
}

/// Name and size in a header; `None` for the block that ends an archive.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Option<(String, u64)>> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let wrong = |reason: &str| Err(invalid("the archive", reason));
    let octal = |field: &[u8]| {
        let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
        u64::from_str_radix(text, 8).ok()
    };
    let mut unsummed = *block;
    unsummed[148..156].fill(b' ');
    let sum: u64 = unsummed.iter().map(|byte| u64::from(*byte)).sum();
    if octal(&block[148..156]) != Some(sum) {
        return wrong("the header of an entry is damaged");
    }
    let length = block[..100].iter().position(|byte| *byte == 0).unwrap_or(100);
    let Ok(name) = std::str::from_utf8(&block[..length]) else { return wrong("a name is not UTF-8") };
    // A link, a folder, or a name that goes on elsewhere is none of ours.
    if !matches!(block[156], b'0' | 0) || block[345] != 0 {
        return wrong("it has an entry that is no plain file");
    }
    match octal(&block[124..136]) {
        Some(size) => Ok(Some((name.to_owned(), size))),
        None => wrong("the size of an entry cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let block = header("files/a", 1234, 5000).unwrap();
        assert_eq!(parse(&block).unwrap(), Some(("files/a".into(), 1234)));
        assert_eq!(parse(&[0; BLOCK]).unwrap(), None);
        assert_eq!((padding(0), padding(1), padding(512), padding(513)), (0, 511, 0, 511));
        for at in 0..BLOCK {
            let mut bad = block;
            bad[at] ^= 1;
            assert!(parse(&bad).is_err() || bad == block, "byte {at}");
        }
        assert_eq!(header("a", MAX_SIZE + 1, 0).unwrap_err().code().as_str(), "LIMIT");
        assert!(header(&"x".repeat(101), 0, 0).is_err());
    }
}
