//! Copying one body from the main mailbox to a replica, piece by piece, and proving it on the way: what is damaged never
//! takes the place of what is not.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_crypto::{EnvelopeOpener, Key, OpenError, digest::Sha256Hasher};

use super::{Target, or_none};
use crate::{
    error::{Error, Result},
    mailbox::{Body, ByteStream, MailboxError, MailboxErrorKind, StorageAdapter},
    sync::{Codec, Link},
};

/// Bodies up to this size are copied in one piece, in bytes.
const WHOLE: u64 = 256 * 1024;

/// A body to be copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// As the main mailbox lists it, where it does.
    pub(super) size: Option<u64>,
    /// It is an envelope under the key of the mesh.
    pub(super) is_sealed: bool,
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// So many bytes were written.
    Written(u64),
    /// The main mailbox does not have it any more.
    Missing,
    /// It is damaged, and was not written.
    Damaged,
}

/// Why a stream ended early: not the replica's fault.
#[derive(Debug)]
enum Fault {
    Damaged,
    Failed(MailboxError),
}

/// Copies a body. A write is all or nothing, so that a body which proves damaged at its end leaves no trace.
pub(super) async fn body(link: &Link, target: &Target, item: &Item<'_>) -> Result<Copied> {
    let from = &*link.adapter;
    let size = match item.size {
        Some(size) => Some(size),
        None => match from.metadata(item.from).await? {
            Some(entry) => entry.size,
            None => return Ok(Copied::Missing),
        },
    };
    let key = match &link.codec {
        Codec::Sealed(key) if item.is_sealed => Some(key),
        _ => None,
    };
    match size {
        Some(size) if size > WHOLE => streamed(from, target, item, size, key).await,
        // A mailbox that does not tell sizes has to give the whole.
        _ => whole(from, target, item, key).await,
    }
}

async fn whole(
    from: &dyn StorageAdapter,
    target: &Target,
    item: &Item<'_>,
    key: Option<&Key>,
) -> Result<Copied> {
    let Some(bytes) = or_none(from.read_file(item.from).await)? else { return Ok(Copied::Missing) };
    let mut prover = Prover::new(key);
    if prover.take(&bytes).and_then(|()| prover.finish()).is_err() {
        return Ok(Copied::Damaged);
    }
    let size = bytes.len() as u64;
    target.adapter().write_file(item.to, bytes.into()).await?;
    Ok(Copied::Written(size))
}

async fn streamed(
    from: &dyn StorageAdapter,
    target: &Target,
    item: &Item<'_>,
    size: u64,
    key: Option<&Key>,
) -> Result<Copied> {
    let Some(source) = or_none(from.read_stream(item.from).await)? else { return Ok(Copied::Missing) };
    let fault = Arc::new(Mutex::new(None));
    let stream = proven(source, Prover::new(key), item.from, &fault);
    let outcome = target.adapter().write_file(item.to, Body::Stream { len: size, stream }).await;
    let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (fault, outcome) {
        (Some(Fault::Damaged), _) => Ok(Copied::Damaged),
        (Some(Fault::Failed(error)), _) if error.kind() == MailboxErrorKind::NotFound => Ok(Copied::Missing),
        (Some(Fault::Failed(error)), _) | (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => {
            let there = target.adapter().metadata(item.to).await?;
            match there.map(|there| there.size) {
                Some(None) => Ok(Copied::Written(size)),
                Some(Some(there)) if there == size => Ok(Copied::Written(size)),
                there => Err(differs(item.to, size, there.flatten())),
            }
        }
    }
}

/// The replica does not hold what it was given.
pub(super) fn differs(path: &str, wanted: u64, there: Option<u64>) -> Error {
    let there = there.map_or("nothing".into(), |there| format!("{there} bytes"));
    let reason = format!("the replica holds {there} where {wanted} bytes were written; it is tried again");
    MailboxError::new(MailboxErrorKind::Io, "write", path, reason).into()
}

/// SHA-256 of a body, read piece by piece; `None` where there is none.
pub(super) async fn digest(adapter: &dyn StorageAdapter, path: &str) -> Result<Option<String>> {
    let Some(mut stream) = or_none(adapter.read_stream(path).await)? else { return Ok(None) };
    let mut hasher = Sha256Hasher::new();
    while let Some(piece) = stream.next().await {
        hasher.update(&piece?);
    }
    Ok(Some(hasher.finish_hex()))
}

/// Checks an envelope while it passes.
struct Prover {
    opener: Option<EnvelopeOpener>,
    scratch: Vec<u8>,
}

impl Prover {
    fn new(key: Option<&Key>) -> Self {
        Self { opener: key.map(EnvelopeOpener::new), scratch: Vec::new() }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), OpenError> {
        let Some(opener) = &mut self.opener else { return Ok(()) };
        self.scratch.clear();
        if !can_tell(opener.update(piece, &mut self.scratch))? {
            // What this client cannot judge passes.
            self.opener = None;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OpenError> {
        match self.opener.take() {
            Some(opener) => can_tell(opener.finish().map(|_| ())).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Whether an envelope can be judged; an error where it is certainly damaged.
fn can_tell(outcome: Result<(), OpenError>) -> Result<bool, OpenError> {
    match outcome {
        Ok(()) => Ok(true),
        // Another spelling, or a newer version: others may read it.
        Err(OpenError::NotStreamable { .. } | OpenError::UnsupportedVersion { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the pieces pass through.
struct Passing {
    source: ByteStream,
    prover: Prover,
    path: String,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Passing {
    fn stop(&self, fault: Fault) -> MailboxError {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        MailboxError::new(MailboxErrorKind::Io, "write", self.path.as_str(), "the original cannot be read")
    }
}

fn proven(source: ByteStream, prover: Prover, path: &str, fault: &Arc<Mutex<Option<Fault>>>) -> ByteStream {
    let passing = Passing { source, prover, path: path.to_owned(), fault: Arc::clone(fault) };
    Box::pin(stream::unfold(Some(passing), |passing| async move {
        let mut passing = passing?;
        let step: Result<Option<Bytes>, Fault> = match passing.source.next().await {
            Some(Ok(piece)) => match passing.prover.take(&piece) {
                Ok(()) => Ok(Some(piece)),
                Err(_) => Err(Fault::Damaged),
            },
            Some(Err(error)) => Err(Fault::Failed(error)),
            None => passing.prover.finish().map(|()| None).map_err(|_| Fault::Damaged),
        };
        match step {
            Ok(None) => None,
            Ok(Some(piece)) => Some((Ok(piece), Some(passing))),
            Err(fault) => {
                let error = passing.stop(fault);
                Some((Err(error), None))
            }
        }
    }))
}
