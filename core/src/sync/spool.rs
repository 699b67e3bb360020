//! Large bodies in bounded memory. One that is fetched is spooled as ciphertext, its tag checked, then
//! decrypted in a second pass; one that is to be written is encrypted into a spool, so that its length is known.

use std::{
    io::{Read, Seek, Write},
    sync::mpsc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use interocitor_crypto::{Decryptor, EnvelopeOpener, EnvelopeSealer, OpenError};

use super::{Codec, Context, Fault, Link};
use crate::{
    error::{Error, Result},
    host::Host,
    mailbox::{Body, MailboxError, MailboxErrorKind},
};

/// Ciphertext up to this size is spooled in memory, more of it in an unnamed temporary file, in bytes.
const SPOOL_IN_MEMORY: usize = 48 * 1024 * 1024;

/// Pieces that may wait to be encrypted.
const PIECES_AHEAD: usize = 4;

/// Bytes handed to the adapter at once.
const PIECE: usize = 256 * 1024;

/// A body whose integrity is established, still encrypted.
#[derive(Debug)]
pub(super) struct Spool {
    file: tempfile::SpooledTempFile,
    decryptor: Option<Decryptor>,
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Some(decryptor) = &mut self.decryptor {
            decryptor.apply(&mut buffer[..count]).map_err(std::io::Error::other)?;
        }
        Ok(count)
    }
}

/// Fetches a body piece by piece and checks its tag; no plaintext exists before that.
pub(super) async fn download(ctx: &Context, link: &Link, path: &str) -> Result<Result<Spool, Fault>> {
    let mut stream = match link.adapter.read_stream(path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == MailboxErrorKind::NotFound => {
            return Ok(Err(Fault::Missing));
        }
        Err(error) => return Err(error.into()),
    };
    let mut file = tempfile::SpooledTempFile::new(SPOOL_IN_MEMORY);
    let mut opener = match &link.codec {
        Codec::Plain => None,
        Codec::Sealed(key) => Some(EnvelopeOpener::new(key)),
    };
    let mut ciphertext = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        ctx.progress.add(0, 0, piece.len() as u64);
        let bytes: &[u8] = match &mut opener {
            None => &piece,
            Some(opener) => {
                ciphertext.clear();
                match opener.update(&piece, &mut ciphertext) {
                    Ok(()) => &ciphertext,
                    Err(OpenError::NotStreamable { .. }) => return whole(link, path).await,
                    Err(error) => return Ok(Err(error.into())),
                }
            }
        };
        file.write_all(bytes).map_err(|error| spooled(&error))?;
    }
    let decryptor = match opener.map(EnvelopeOpener::finish).transpose() {
        Ok(decryptor) => decryptor,
        Err(error) => return Ok(Err(error.into())),
    };
    file.rewind().map_err(|error| spooled(&error))?;
    Ok(Ok(Spool { file, decryptor }))
}

/// What a failure of the temporary file means.
fn spooled(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::StoreOpen { path: "the temporary folder".into(), reason: error.to_string() },
    }
}

/// Takes the pieces of a payload, in order.
#[derive(Debug)]
pub(super) struct Pieces(mpsc::SyncSender<Vec<u8>>);

impl Pieces {
    pub(super) fn send(&mut self, piece: Vec<u8>) -> Result<()> {
        self.0.send(piece).map_err(|_| Error::Cancelled)
    }
}

/// A body on its way out, encrypted as it comes.
pub(super) struct Outgoing {
    file: tempfile::SpooledTempFile,
    sealer: Option<EnvelopeSealer>,
    sealed: Vec<u8>,
    len: u64,
}

impl Outgoing {
    pub(super) fn new(codec: &Codec, host: &dyn Host) -> Self {
        let sealer = match codec {
            Codec::Plain => None,
            Codec::Sealed(key) => {
                let mut iv = [0; 12];
                host.random(&mut iv);
                Some(EnvelopeSealer::new(key, iv))
            }
        };
        Self { file: tempfile::SpooledTempFile::new(SPOOL_IN_MEMORY), sealer, sealed: Vec::new(), len: 0 }
    }

    /// Takes the next piece of the payload.
    fn write(&mut self, payload: &[u8]) -> Result<()> {
        let Some(sealer) = &mut self.sealer else { return Self::put(&mut self.file, &mut self.len, payload) };
        self.sealed.clear();
        sealer
            .update(payload, &mut self.sealed)
            .map_err(|_| Error::EntryTooLarge { size: u64::MAX, limit: u64::MAX })?;
        Self::put(&mut self.file, &mut self.len, &self.sealed)
    }

    fn put(file: &mut tempfile::SpooledTempFile, len: &mut u64, bytes: &[u8]) -> Result<()> {
        file.write_all(bytes).map_err(|error| spooled(&error))?;
        *len += bytes.len() as u64;
        Ok(())
    }

    /// Takes a payload from `produce`, piece by piece, and encrypts it on a thread beside it: the one takes about as
    /// long as the other.
    pub(super) fn fill<T>(self, produce: impl FnOnce(&mut Pieces) -> Result<T>) -> Result<(T, Self)> {
        let (sender, receiver) = mpsc::sync_channel(PIECES_AHEAD);
        std::thread::scope(|scope| {
            let sealing = scope.spawn(move || {
                let mut outgoing = self;
                receiver.iter().try_for_each(|piece: Vec<u8>| outgoing.write(&piece)).map(|()| outgoing)
            });
            let produced = produce(&mut Pieces(sender));
            // What went wrong while sealing is why the pieces were not taken any more.
            let outgoing = sealing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((produced?, outgoing))
        })
    }

    /// The stored body.
    pub(super) fn into_body(mut self) -> Result<Body> {
        if let Some(sealer) = self.sealer.take() {
            self.sealed.clear();
            sealer.finish(&mut self.sealed);
            Self::put(&mut self.file, &mut self.len, &self.sealed)?;
        }
        self.file.rewind().map_err(|error| spooled(&error))?;
        let pieces = stream::unfold(Some(self.file), |file| async move {
            let mut file = file?;
            let mut piece = vec![0; PIECE];
            match file.read(&mut piece) {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    Some((Ok(Bytes::from(piece)), Some(file)))
                }
                Err(error) => {
                    let failed =
                        MailboxError::new(MailboxErrorKind::Io, "write", "/", "the spool cannot be read");
                    Some((Err(failed.with_source(error)), None))
                }
            }
        });
        Ok(Body::Stream { len: self.len, stream: Box::pin(pieces) })
    }
}

/// An envelope in another spelling than the JavaScript client's is opened in one piece.
async fn whole(link: &Link, path: &str) -> Result<Result<Spool, Fault>> {
    let bytes = link.adapter.read_file(path).await?;
    let payload = match link.codec.open(&bytes) {
        Ok(payload) => payload,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut file = tempfile::SpooledTempFile::new(usize::MAX);
    file.write_all(&payload).and_then(|()| file.rewind()).map_err(|_| Error::DiskFull)?;
    Ok(Ok(Spool { file, decryptor: None }))
}
