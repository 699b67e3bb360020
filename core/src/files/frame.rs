//! The frame of a file in the hashed form: a length, a JSON header, the body. Inside the envelope, so that nothing of
//! it shows.

use crate::{
    error::{Error, Result},
    wire::record::Record,
};

/// Bytes of the length in front of the header, big-endian.
pub(super) const LENGTH_BYTES: usize = 4;

/// The longest header that is read.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// What a frame says of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the body in bytes.
    pub(super) size: u64,
    /// SHA-256 of the body, lowercase hex.
    pub(super) digest: String,
    pub(super) content_type: Option<String>,
    /// Whose body it is. Ours alone: the JavaScript client ignores it, and does not write it.
    pub(super) path: Option<String>,
    /// The body is sealed once more, with a key of its own.
    pub(super) is_sealed: bool,
}

impl Header {
    /// Length and header, as they stand in front of the body.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut record = Record::default();
        record.set_integer("v", 1);
        record.set_integer("size", self.size);
        record.set_text("digest", &self.digest);
        if let Some(content_type) = &self.content_type {
            record.set_text("contentType", content_type);
        }
        if let Some(path) = &self.path {
            record.set_text("path", path);
        }
        let header = record.compact();
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &header].concat()
    }

    /// Reads a header without its length. `None`: it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let record = Record::parse(bytes).ok()?;
        let digest = record.text("digest").filter(|digest| digest.len() == 64)?;
        (record.integer("v")? == 1).then_some(())?;
        Some(Self {
            size: record.integer("size")?,
            digest,
            content_type: record.text("contentType"),
            path: record.text("path"),
            is_sealed: record.get("taint").is_some(),
        })
    }

    /// Whether this can be the header of the file at `path`, with `rest` bytes behind it.
    pub(super) fn check(&self, path: &str, rest: u64) -> Result<()> {
        let fault = |reason: &str| Err(Error::integrity(path, reason));
        if self.is_sealed {
            return fault("it is sealed with a key of its own, which this client does not have");
        }
        if self.size != rest {
            return fault("it is not as long as its header says");
        }
        match &self.path {
            Some(theirs) if theirs != path => fault("the mailbox gave the body of another file"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of protocol.md 12.3: the frame of `hi`, `text/plain`.
    fn hi() -> Header {
        Header {
            size: 2,
            digest: "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4".into(),
            content_type: Some("text/plain".into()),
            path: None,
            is_sealed: false,
        }
    }

    #[test]
    fn the_vector_of_the_protocol() {
        let frame = hi().encode();
        assert_eq!(frame[..4], [0, 0, 0, 0x77]);
        assert_eq!(frame.len() + 2, 125);
        let text = r#"{"v":1,"size":2,"digest":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","contentType":"text/plain"}"#;
        assert_eq!(frame[4..], *text.as_bytes());
        assert_eq!(Header::parse(&frame[4..]), Some(hi()));
    }

    #[test]
    fn headers_that_lie_are_told() {
        let code = |header: &Header, path: &str, rest| {
            header.check(path, rest).err().map(|error| error.code().as_str())
        };
        assert_eq!(code(&hi(), "a", 2), None);
        assert_eq!(code(&hi(), "a", 3), Some("FILE_INTEGRITY"));
        let named = Header { path: Some("a".into()), ..hi() };
        assert_eq!(Header::parse(&named.encode()[4..]), Some(named.clone()));
        assert_eq!((code(&named, "a", 2), code(&named, "b", 2)), (None, Some("FILE_INTEGRITY")));
        let sealed = br#"{"v":1,"size":2,"digest":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","taint":"x"}"#;
        assert_eq!(code(&Header::parse(sealed).unwrap(), "a", 2), Some("FILE_INTEGRITY"));
        for bad in [
            &b"{}"[..],
            b"",
            b"[1]",
            br#"{"v":2,"size":1,"digest":""}"#,
            br#"{"v":1,"size":1,"digest":"00"}"#,
        ] {
            assert_eq!(Header::parse(bad), None);
        }
    }
}
