//! Bodies of announced length: counted while they pass.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{Body, MailboxError, MailboxErrorKind, MailboxResult};

/// The largest body that is read into memory at once; greater ones are for `read_stream`. A bad remote
/// must not be able to exhaust memory.
pub(super) const WHOLE_BODY_MAX: u64 = 512 * 1024 * 1024;

/// Most bytes that are reserved on the word of an announcement alone.
const RESERVE_MAX: u64 = 8 * 1024 * 1024;

/// Counts a body against its announced length.
#[derive(Debug)]
pub(super) struct Meter {
    operation: &'static str,
    path: String,
    expected: u64,
    seen: u64,
}

impl Meter {
    pub(super) fn new(operation: &'static str, path: &str, expected: u64) -> Self {
        Self { operation, path: path.to_owned(), expected, seen: 0 }
    }

    /// Bytes still to come.
    pub(super) fn remaining(&self) -> u64 {
        self.expected - self.seen
    }

    /// Counts a piece; one that exceeds the announced length is refused.
    pub(super) fn add(&mut self, len: usize) -> MailboxResult<()> {
        let len = len as u64;
        if len > self.remaining() {
            return Err(self.mismatch("more"));
        }
        self.seen += len;
        Ok(())
    }

    /// Refuses a body that ended early.
    pub(super) fn finish(&self) -> MailboxResult<()> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.mismatch("fewer")) }
    }

    fn mismatch(&self, than: &str) -> MailboxError {
        let message = format!("the body has {than} than the announced {} bytes", self.expected);
        MailboxError::new(MailboxErrorKind::Io, self.operation, self.path.as_str(), message)
    }
}

/// The whole body in memory, its length checked.
pub(super) async fn collect(operation: &'static str, path: &str, body: Body) -> MailboxResult<Bytes> {
    let (len, mut stream) = match body {
        Body::Bytes(bytes) => return Ok(bytes),
        Body::Stream { len, stream } => (len, stream),
    };
    let mut meter = Meter::new(operation, path, len);
    let mut whole = BytesMut::with_capacity(reserve(len));
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        meter.add(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    meter.finish()?;
    Ok(whole.freeze())
}

/// How much to reserve for a body of announced length.
pub(super) fn reserve(len: u64) -> usize {
    usize::try_from(len.min(RESERVE_MAX)).unwrap_or(0)
}
