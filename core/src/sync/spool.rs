//! Fetching a large body in bounded memory: spooled as ciphertext, its tag checked, then decrypted in a
//! second pass.

use std::io::{Read, Seek, Write};

use futures_util::StreamExt;
use interocitor_crypto::{Decryptor, EnvelopeOpener, OpenError};

use super::{Codec, Fault, Link};
use crate::{
    error::{Error, Result},
    mailbox::MailboxErrorKind,
    wire::WireError,
};

/// Ciphertext up to this size is spooled in memory, more of it in an unnamed temporary file, in bytes.
const SPOOL_IN_MEMORY: usize = 48 * 1024 * 1024;

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
pub(super) async fn download(link: &Link, path: &str) -> Result<Result<Spool, Fault>> {
    let mut stream = match link.adapter.read_stream(path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == MailboxErrorKind::NotFound => {
            return Ok(Err(Fault::Wire(WireError::Shape("the manifest names it, but it is missing"))));
        }
        Err(error) => return Err(error.into()),
    };
    let mut file = tempfile::SpooledTempFile::new(SPOOL_IN_MEMORY);
    let mut opener = match &link.codec {
        Codec::Plain => None,
        Codec::Sealed(key) => Some(EnvelopeOpener::new(key)),
    };
    let spooled = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::StoreOpen { path: "the temporary folder".into(), reason: error.to_string() },
    };
    let mut ciphertext = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
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
        file.write_all(bytes).map_err(spooled)?;
    }
    let decryptor = match opener.map(EnvelopeOpener::finish).transpose() {
        Ok(decryptor) => decryptor,
        Err(error) => return Ok(Err(error.into())),
    };
    file.rewind().map_err(spooled)?;
    Ok(Ok(Spool { file, decryptor }))
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
