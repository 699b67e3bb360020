//! Uploads: a body of this device, brought into its form and encrypted while it is sent.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use interocitor_crypto::{EnvelopeSealer, sealed_len};
use tokio::sync::oneshot;

use super::{Files, carried::Course, frame::Header, path::FilePath, queue::Meter, sidecar::Sidecar};
use crate::{
    bodies::{BodyReader, both},
    error::{Error, Result},
    host::Host,
    mailbox::{self, FileEntry, MailboxError, MailboxErrorKind},
    store::files::FileRow,
    sync::{Codec, Link},
    transfer::FileForm,
};

/// Bytes read, encrypted and sent at once.
const PIECE: usize = 512 * 1024;

/// For files from this size on one more request spares their uploader to fetch them again, in bytes.
const WORTH_ASKING: u64 = 64 * 1024;

/// Encrypts a body piece by piece.
struct Outgoing {
    body: BodyReader,
    /// What stands in front of the content.
    head: Vec<u8>,
    sealer: Option<EnvelopeSealer>,
    has_ended: bool,
}

impl Outgoing {
    /// The next piece of what is stored; `None` behind the last. Blocks.
    fn next(&mut self) -> Result<Option<Bytes>> {
        if self.has_ended {
            return Ok(None);
        }
        let mut content = std::mem::take(&mut self.head);
        let start = content.len();
        content.resize(start + PIECE, 0);
        let count = self.body.fill(&mut content[start..])?;
        content.truncate(start + count);
        self.has_ended = count < PIECE;
        let Self { body, sealer, .. } = self;
        let mut sealed = Vec::new();
        let size = body.size();
        if let Some(sealer) = sealer {
            sealed.reserve(content.len() / 3 * 4 + 64);
            let limit = u64::MAX;
            let outcome =
                both(count, || body.prove(&content[start..]), || sealer.update(&content, &mut sealed));
            outcome.map_err(|_| Error::Limit { what: "a file", actual: size, limit })?;
        } else {
            body.prove(&content[start..]);
        }
        if self.has_ended {
            // A body that was damaged here must not become what everybody sees.
            self.body.check()?;
        }
        if self.sealer.is_none() {
            return Ok(Some(content.into()));
        }
        if self.has_ended
            && let Some(sealer) = self.sealer.take()
        {
            sealer.finish(&mut sealed);
        }
        Ok(Some(sealed.into()))
    }
}

/// A piece and what makes the next.
type Step = (Result<Option<Bytes>>, Outgoing);

/// Makes the next piece beside whoever sends the last one.
fn ahead(host: &Arc<dyn Host>, mut outgoing: Outgoing) -> oneshot::Receiver<Step> {
    let (sender, receiver) = oneshot::channel();
    let worker = Arc::clone(host);
    host.spawn(Box::pin(async move {
        let job = move || {
            let piece = outgoing.next();
            // Nobody waits for it where the upload was given up.
            let _ = sender.send((piece, outgoing));
        };
        worker.blocking(Box::new(job)).await;
    }));
    receiver
}

impl Files {
    /// Puts a file into the mailbox, in the form of the mesh, which is returned, with what the mailbox calls this version
    /// where that was worth a request.
    pub(super) async fn upload(
        &self,
        link: &Link,
        file: &FileRow,
        meter: &Arc<Meter>,
    ) -> Result<(FileForm, Option<String>)> {
        let path = FilePath::new(&file.path)?;
        let turn = file.job.as_ref().map_or(0, |job| job.turn);
        let course = match self.carried.course(&file.path, turn, meter) {
            // Begun before the database was suspended.
            Some(course) => {
                self.carried.outcome(&file.path, turn).await?;
                course
            }
            None => self.send(link, file, &path, turn, meter).await?,
        };
        let Course { form, place, len } = course;
        if form == FileForm::Plain && link.adapter.keeps_sidecars() {
            self.write_sidecar(link, &path, &place, len, file).await?;
        }
        let former = file.form.as_deref().and_then(FileForm::of_text);
        if let Some(former) = former.filter(|former| *former != form) {
            self.delete_form(link, &path, former, &place).await?;
        }
        if len < WORTH_ASKING {
            return Ok((form, None));
        }
        let entry = link.adapter.metadata(&place).await?.filter(|entry| entry.size == Some(len));
        Ok((form, entry.as_ref().and_then(super::version_of)))
    }

    /// Sends a file to its end.
    async fn send(
        &self,
        link: &Link,
        file: &FileRow,
        path: &FilePath,
        turn: u64,
        meter: &Arc<Meter>,
    ) -> Result<Course> {
        let gone = || Error::integrity(&file.path, "its copy on this device is gone");
        let (Some(kept), Some(facts)) = (&file.body, &file.facts) else { return Err(gone()) };
        let body = self.bodies.open(kept, facts, &file.path)?.ok_or_else(gone)?;
        let form = self.form(link).await?;
        let head = match form {
            FileForm::Plain => Vec::new(),
            FileForm::Hashed => Header {
                size: facts.size,
                digest: facts.digest.clone(),
                content_type: facts.content_type.clone(),
                path: Some(file.path.clone()),
                is_sealed: false,
            }
            .encode(),
        };
        let size = head.len() as u64 + facts.size;
        let (len, sealer) = match &link.codec {
            Codec::Plain => (size, None),
            Codec::Sealed(key) => {
                let mut iv = [0; 12];
                self.ctx.host.random(&mut iv);
                (sealed_len(size), Some(EnvelopeSealer::new(key, iv)))
            }
        };
        if let Some(limit) = link.adapter.capabilities().max_body
            && len > limit
        {
            return Err(Error::Limit { what: "what the mailbox has to store of a file", actual: len, limit });
        }
        meter.begin(Some(len));
        let fault = Arc::new(Mutex::new(None));
        let outgoing = Outgoing { body, head, sealer, has_ended: false };
        let course = Course { form, place: form.place(link, path), len };
        let body = self.stream(outgoing, len, &course.place, &fault, meter);
        self.sweep(link, &course.place).await;
        let (adapter, place) = (Arc::clone(&link.adapter), course.place.clone());
        let write = async move {
            adapter.write_file(&place, body).await.map_err(|error| {
                // What went wrong here is why the mailbox could not finish.
                let here = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
                here.unwrap_or_else(|| refused(error, len))
            })
        };
        if link.adapter.is_carried(len) {
            let wish = (file.path.as_str(), turn);
            self.carried.begin(&self.ctx.host, wish, course.clone(), meter, Box::pin(write));
            self.carried.outcome(&file.path, turn).await?;
        } else {
            write.await?;
        }
        Ok(course)
    }

    /// Removes what uploads of killed processes left where this file is to lie, once in the life of a handle.
    async fn sweep(&self, link: &Link, place: &str) {
        let folder = place.rsplit_once('/').map_or("/", |(folder, _)| folder);
        if !self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
            return;
        }
        if let Err(error) = link.adapter.remove_leftovers(folder).await {
            // The folder may not be there yet, and an upload does not fail for what others left.
            tracing::debug!(%error, "what killed uploads left is not removed");
        }
    }

    fn stream(
        &self,
        outgoing: Outgoing,
        len: u64,
        place: &str,
        fault: &Arc<Mutex<Option<Error>>>,
        meter: &Arc<Meter>,
    ) -> mailbox::Body {
        let (host, fault, meter) = (Arc::clone(&self.ctx.host), Arc::clone(fault), Arc::clone(meter));
        let place = place.to_owned();
        let first = ahead(&host, outgoing);
        let pieces = stream::unfold(Some(first), move |next| {
            let (host, fault, meter, place) =
                (Arc::clone(&host), Arc::clone(&fault), Arc::clone(&meter), place.clone());
            async move {
                let Ok((piece, outgoing)) = next?.await else {
                    return Some((Err(broken(&place)), None));
                };
                match piece {
                    Ok(None) => None,
                    Ok(Some(piece)) => {
                        meter.add(piece.len() as u64);
                        Some((Ok(piece), Some(ahead(&host, outgoing))))
                    }
                    Err(error) => {
                        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Some((Err(broken(&place)), None))
                    }
                }
            }
        });
        mailbox::Body::Stream { len, stream: Box::pin(pieces) }
    }

    async fn write_sidecar(
        &self,
        link: &Link,
        path: &FilePath,
        place: &str,
        len: u64,
        file: &FileRow,
    ) -> Result<()> {
        let facts = file.facts.as_ref();
        let sidecar = Sidecar {
            content_type: facts.and_then(|facts| facts.content_type.clone()),
            size: facts.map(|facts| facts.size),
        };
        let entry = FileEntry {
            name: path.name().to_owned(),
            path: place.to_owned(),
            size: Some(len),
            modified_ms: None,
            etag: None,
        };
        let text = sidecar.encode(&entry, &self.ctx.device_id(), self.ctx.host.now_ms());
        Ok(link.adapter.write_file(&Sidecar::path(place), text.into()).await?)
    }

    /// Removes a file from the mailbox, in both forms.
    pub(super) async fn delete(&self, link: &Link, file: &FileRow) -> Result<()> {
        let path = FilePath::new(&file.path)?;
        let first = FileForm::Hashed.place(link, &path);
        self.delete_form(link, &path, FileForm::Hashed, "").await?;
        self.delete_form(link, &path, FileForm::Plain, &first).await
    }

    /// Removes one form of a file, unless it lies at `except`.
    async fn delete_form(&self, link: &Link, path: &FilePath, form: FileForm, except: &str) -> Result<()> {
        let place = form.place(link, path);
        if place == except {
            return Ok(());
        }
        link.adapter.delete_file(&place).await?;
        if form == FileForm::Plain && link.adapter.keeps_sidecars() {
            link.adapter.delete_file(&Sidecar::path(&place)).await?;
        }
        Ok(())
    }
}

fn broken(place: &str) -> MailboxError {
    MailboxError::new(MailboxErrorKind::Io, "write", place, "the content could not be read to its end")
}

/// What an answer of the mailbox means for a file.
fn refused(error: MailboxError, len: u64) -> Error {
    match error.kind() {
        MailboxErrorKind::TooLarge => {
            Error::Limit { what: "what the mailbox has to store of a file", actual: len, limit: u64::MAX }
        }
        _ => error.into(),
    }
}
