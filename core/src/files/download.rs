//! Downloads: what a mailbox gives is spooled as it came, proven, and only then decrypted into a body.

use std::{io::Read, sync::Arc};

use futures_util::StreamExt;
use interocitor_crypto::{Decryptor, EnvelopeOpener, OpenError};
use tokio::sync::oneshot;

use super::{
    Files,
    frame::{Header, LENGTH_BYTES, MAX_HEADER_BYTES},
    path::FilePath,
    queue::Meter,
};
use crate::{
    bodies::{Bodies, Part, Staged},
    error::{Error, Result},
    host::{Host, run_blocking},
    mailbox::MailboxErrorKind,
    sync::{Codec, Link},
    transfer::FileForm,
};

/// Bytes decrypted at once.
const PIECE: usize = 256 * 1024;

/// A file as it came from the mailbox, proven.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) staged: Staged,
    pub(super) form: FileForm,
}

/// What is to be decrypted.
enum Spool {
    /// Ciphertext of a proven envelope, or the content of a mesh without encryption.
    Part { part: Part, decryptor: Option<Decryptor>, len: u64 },
    /// An envelope in another spelling than the JavaScript client's was opened in one piece.
    Whole(std::io::Cursor<Vec<u8>>),
}

impl Spool {
    fn len(&self) -> u64 {
        match self {
            Spool::Part { len, .. } => *len,
            Spool::Whole(content) => content.get_ref().len() as u64,
        }
    }

    fn rewind(&mut self) -> Result<()> {
        match self {
            Spool::Part { part, .. } => part.rewind(),
            Spool::Whole(content) => {
                content.set_position(0);
                Ok(())
            }
        }
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Spool::Whole(content) => content.read(buffer),
            Spool::Part { part, decryptor, .. } => {
                let count = part.read(buffer)?;
                if let Some(decryptor) = decryptor {
                    decryptor.apply(&mut buffer[..count]).map_err(std::io::Error::other)?;
                }
                Ok(count)
            }
        }
    }
}

/// Why what a mailbox gives is not taken in.
enum Refused {
    /// An envelope in another spelling than the JavaScript client's.
    Unstreamable,
    Damaged(OpenError),
    Failed(Error),
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotStreamable { .. } => Refused::Unstreamable,
            error => Refused::Damaged(error),
        }
    }
}

/// Takes in what a mailbox gives: unpacked where it is an envelope, and still encrypted.
struct Intake {
    part: Part,
    opener: Option<EnvelopeOpener>,
    ciphertext: Vec<u8>,
    len: u64,
    limit: u64,
}

impl Intake {
    fn take(&mut self, piece: &[u8]) -> Result<(), Refused> {
        let bytes = match &mut self.opener {
            None => piece,
            Some(opener) => {
                self.ciphertext.clear();
                opener.update(piece, &mut self.ciphertext)?;
                &self.ciphertext
            }
        };
        self.len += bytes.len() as u64;
        let limit = self.limit;
        if self.len > limit.saturating_add((LENGTH_BYTES + MAX_HEADER_BYTES) as u64) {
            return Err(Refused::Failed(Error::Limit { what: "a file", actual: self.len, limit }));
        }
        self.part.write(bytes).map_err(Refused::Failed)
    }

    /// Takes the last piece, and proves the whole.
    fn finish(mut self, last: &[u8]) -> Result<Spool, Refused> {
        self.take(last)?;
        let decryptor = self.opener.map(EnvelopeOpener::finish).transpose()?;
        self.part.rewind().map_err(Refused::Failed)?;
        Ok(Spool::Part { part: self.part, decryptor, len: self.len })
    }
}

/// Takes a piece in beside whoever fetches the next one.
fn beside(
    host: &Arc<dyn Host>,
    mut intake: Intake,
    piece: Vec<u8>,
) -> oneshot::Receiver<(Result<(), Refused>, Intake)> {
    let (sender, receiver) = oneshot::channel();
    let worker = Arc::clone(host);
    host.spawn(Box::pin(async move {
        let job = move || {
            let outcome = intake.take(&piece);
            // Nobody waits for it where the download was given up.
            let _ = sender.send((outcome, intake));
        };
        worker.blocking(Box::new(job)).await;
    }));
    receiver
}

impl Files {
    /// Fetches a file, in the form in which it is known to lie, or else in either. `digest`: it must be this content.
    pub(super) async fn fetch(
        &self,
        link: &Link,
        path: &FilePath,
        known: Option<FileForm>,
        digest: Option<&str>,
        meter: &Arc<Meter>,
    ) -> Result<Fetched> {
        let first = match known {
            Some(form) => form,
            None => self.form(link).await?,
        };
        for form in first.and_other(link, path) {
            let Some(spool) = self.receive(link, path, &form.place(link, path), meter).await? else {
                continue;
            };
            let unpacking = Unpacking {
                bodies: self.bodies.clone(),
                host: Arc::clone(&self.ctx.host),
                path: path.as_str().to_owned(),
                form,
                is_sealed: link.codec.is_sealed(),
            };
            let (staged, form) = run_blocking(&*self.ctx.host, move || unpacking.unpack(spool)).await?;
            if digest.is_some_and(|digest| digest != staged.facts.digest) {
                return Err(Error::integrity(
                    path.as_str(),
                    "the mailbox has other content under this path than was asked for",
                ));
            }
            return Ok(Fetched { staged, form });
        }
        Err(Error::FileNotFound { path: path.as_str().to_owned() })
    }

    /// Takes in what lies at `place`; `None` where nothing does. No content exists before the tag is checked.
    async fn receive(
        &self,
        link: &Link,
        path: &FilePath,
        place: &str,
        meter: &Arc<Meter>,
    ) -> Result<Option<Spool>> {
        let mut stream = match link.adapter.read_stream(place).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        meter.begin(None);
        let opener = match &link.codec {
            Codec::Plain => None,
            Codec::Sealed(key) => Some(EnvelopeOpener::new(key)),
        };
        let mut intake = Intake {
            part: self.bodies.part(&*self.ctx.host)?,
            opener,
            ciphertext: Vec::new(),
            len: 0,
            limit: self.settings.max_bytes,
        };
        // One piece is taken in while the next one comes.
        let (mut gathered, mut has_ended) = (Vec::new(), false);
        while !has_ended {
            let taken = beside(&self.ctx.host, intake, gathered);
            gathered = Vec::with_capacity(2 * PIECE);
            let mut failure = None;
            while gathered.len() < PIECE && !has_ended && failure.is_none() {
                match stream.next().await {
                    Some(Ok(piece)) => {
                        meter.add(piece.len() as u64);
                        gathered.extend_from_slice(&piece);
                    }
                    Some(Err(error)) => failure = Some(error),
                    None => has_ended = true,
                }
            }
            let (outcome, back) = taken.await.map_err(|_| Error::ShutDown)?;
            intake = back;
            match (outcome, failure) {
                (Err(Refused::Unstreamable), _) => {
                    return self.receive_whole(link, path, place).await.map(Some);
                }
                (Err(Refused::Damaged(error)), _) => {
                    return Err(Error::integrity(path.as_str(), error.to_string()));
                }
                (Err(Refused::Failed(error)), _) => return Err(error),
                (Ok(()), Some(error)) => return Err(error.into()),
                (Ok(()), None) => {}
            }
        }
        match intake.finish(&gathered) {
            Ok(spool) => Ok(Some(spool)),
            Err(Refused::Unstreamable) => self.receive_whole(link, path, place).await.map(Some),
            Err(Refused::Damaged(error)) => Err(Error::integrity(path.as_str(), error.to_string())),
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// The path in the header of what lies at `place`, where it has one.
    pub(super) async fn path_inside(
        &self,
        link: &Link,
        path: &FilePath,
        place: &str,
        meter: &Arc<Meter>,
    ) -> Result<Option<FilePath>> {
        let Some(mut spool) = self.receive(link, path, place, meter).await? else { return Ok(None) };
        let unpacking = Unpacking {
            bodies: self.bodies.clone(),
            host: Arc::clone(&self.ctx.host),
            path: path.as_str().to_owned(),
            form: FileForm::Hashed,
            is_sealed: true,
        };
        let header = run_blocking(&*self.ctx.host, move || unpacking.header(&mut spool)).await?;
        Ok(header.and_then(|(header, _)| FilePath::new(&header.path?).ok()))
    }

    async fn receive_whole(&self, link: &Link, path: &FilePath, place: &str) -> Result<Spool> {
        let bytes = link.adapter.read_file(place).await?;
        let content = link.codec.open(&bytes);
        let content = content.map_err(|fault| Error::integrity(path.as_str(), fault.to_string()))?;
        Ok(Spool::Whole(std::io::Cursor::new(content.into_owned())))
    }
}

/// Takes a proven spool apart.
struct Unpacking {
    bodies: Bodies,
    host: Arc<dyn Host>,
    path: String,
    form: FileForm,
    is_sealed: bool,
}

impl Unpacking {
    /// Gives the body and the form that it was found in. Blocks.
    fn unpack(self, mut spool: Spool) -> Result<(Staged, FileForm)> {
        if !self.is_sealed {
            return self.unpack_either(spool);
        }
        match self.form {
            FileForm::Plain => {
                let size = spool.len();
                Ok((self.copy(&mut spool, size, None)?, FileForm::Plain))
            }
            FileForm::Hashed => {
                let header = self.header(&mut spool)?;
                let header = header
                    .ok_or_else(|| Error::integrity(&self.path, "it has no header, or a damaged one"))?;
                let rest = spool.len().saturating_sub((header.1 + LENGTH_BYTES) as u64);
                header.0.check(&self.path, rest)?;
                let staged = self.copy(&mut spool, rest, header.0.content_type)?;
                if staged.facts.digest != header.0.digest {
                    return Err(Error::integrity(&self.path, "its content is not what its header says"));
                }
                Ok((staged, FileForm::Hashed))
            }
        }
    }

    /// In a mesh without encryption both forms have one name: it is a frame only where everything in it holds.
    fn unpack_either(&self, mut spool: Spool) -> Result<(Staged, FileForm)> {
        if let Some((header, length)) = self.header(&mut spool)? {
            let rest = spool.len().saturating_sub((length + LENGTH_BYTES) as u64);
            if header.size == rest && !header.is_sealed {
                let staged = self.copy(&mut spool, rest, header.content_type.clone())?;
                if staged.facts.digest == header.digest {
                    header.check(&self.path, rest)?;
                    return Ok((staged, FileForm::Hashed));
                }
            }
        }
        spool.rewind()?;
        let size = spool.len();
        Ok((self.copy(&mut spool, size, None)?, FileForm::Plain))
    }

    /// The header and its length, where there is one.
    fn header(&self, spool: &mut Spool) -> Result<Option<(Header, usize)>> {
        let mut length = [0; LENGTH_BYTES];
        if spool.len() < LENGTH_BYTES as u64 {
            return Ok(None);
        }
        self.fill(spool, &mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_HEADER_BYTES || length as u64 > spool.len() - LENGTH_BYTES as u64 {
            return Ok(None);
        }
        let mut header = vec![0; length];
        self.fill(spool, &mut header)?;
        Ok(Header::parse(&header).map(|header| (header, length)))
    }

    fn fill(&self, spool: &mut Spool, buffer: &mut [u8]) -> Result<()> {
        spool.read_exact(buffer).map_err(|error| self.lost(&error))
    }

    /// Copies the rest of a spool, which must have so many bytes, into a body.
    fn copy(&self, spool: &mut Spool, size: u64, content_type: Option<String>) -> Result<Staged> {
        let mut body = self.bodies.create(&*self.host)?;
        let mut piece = vec![0; PIECE];
        loop {
            match spool.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => body.write(&piece[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
        if body.size() != size {
            return Err(Error::integrity(&self.path, "what was spooled here was cut"));
        }
        // It can be fetched again.
        let mut staged = body.finish(false)?;
        staged.facts.content_type = content_type;
        Ok(staged)
    }

    fn lost(&self, error: &std::io::Error) -> Error {
        Error::integrity(&self.path, format!("what was spooled here cannot be read: {error}"))
    }
}
