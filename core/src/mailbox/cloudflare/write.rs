//! Writing: what the Worker keeps, replaces or refuses, and what that means for the caller.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use interocitor_crypto::digest::{Sha256Hasher, sha256_hex};

use super::super::http::{Payload, is_broken};
use super::super::place::Place;
use super::super::{Body, MailboxError, MailboxErrorKind, MailboxResult};
use super::Inner;
use super::class::Class;
use super::recent::Presence;
use super::worker::Put;

/// What was sent, to be compared with what lies there.
enum Sent {
    Whole(Bytes),
    /// The digest of a stream that passed by.
    Passed(Arc<Mutex<Option<Sha256Hasher>>>),
}

impl Sent {
    /// The body as it is sent.
    fn tap(body: Body) -> (Self, Payload) {
        match body {
            Body::Bytes(bytes) => (Self::Whole(bytes.clone()), Payload::Whole(bytes)),
            Body::Stream { len, stream } => {
                let digest = Arc::new(Mutex::new(Some(Sha256Hasher::new())));
                let tap = Arc::clone(&digest);
                let stream = stream.inspect(move |piece| {
                    let mut digest = tap.lock().unwrap_or_else(PoisonError::into_inner);
                    if let (Ok(piece), Some(digest)) = (piece, digest.as_mut()) {
                        digest.update(piece);
                    }
                });
                (Self::Passed(digest), Payload::Stream(len, stream.boxed()))
            }
        }
    }

    fn again(&self) -> Option<Payload> {
        match self {
            Self::Whole(bytes) => Some(Payload::Whole(bytes.clone())),
            Self::Passed(_) => None,
        }
    }

    fn is(&self, stored: &Bytes) -> bool {
        match self {
            Self::Whole(bytes) => bytes == stored,
            Self::Passed(digest) => {
                let digest = digest.lock().unwrap_or_else(PoisonError::into_inner).take();
                digest.is_some_and(|digest| digest.finish_hex() == sha256_hex(stored))
            }
        }
    }
}

impl Inner {
    /// Writes, and overwrites where the Worker lets us.
    pub(super) async fn write(&self, place: &Place, body: Body) -> MailboxResult<()> {
        let class = Class::of(place);
        self.check_ground(place, class).await?;
        let len = body.len();
        let (sent, payload) = Sent::tap(body);
        self.expect(place, class);
        if self.worker.put(place, class, payload, false).await? == Put::Kept
            && !self.lies_there(place, &sent).await?
        {
            return Err(exists(place));
        }
        self.wrote(place, class, len);
        Ok(())
    }

    /// Writes what must not be there yet.
    pub(super) async fn create(&self, place: &Place, body: Body) -> MailboxResult<()> {
        let class = Class::of(place);
        if !class.is_write_once() {
            return self.create_checked(place, class, body).await;
        }
        self.check_ground(place, class).await?;
        let len = body.len();
        let (sent, payload) = Sent::tap(body);
        self.expect(place, class);
        let put = match self.worker.put(place, class, payload, true).await {
            // It may have arrived all the same: then it is ours that lies there.
            Err(error) if is_broken(&error) => {
                let Some(again) = sent.again() else { return Err(error) };
                match self.worker.put(place, class, again, true).await? {
                    Put::Kept if self.lies_there(place, &sent).await? => Put::New,
                    put => put,
                }
            }
            outcome => outcome?,
        };
        if put == Put::Kept {
            return Err(exists(place));
        }
        self.wrote(place, class, len);
        Ok(())
    }

    /// Where the Worker overwrites, a look must do.
    async fn create_checked(&self, place: &Place, class: Class, body: Body) -> MailboxResult<()> {
        if class == Class::Stored && matches!(Class::of_control(place), Class::Pointer | Class::Manifest) {
            let message =
                "a mesh cannot lie in a folder that is called files: durable files are kept apart there";
            return Err(place.error(MailboxErrorKind::InvalidPath, message));
        }
        if self.worker.about(place, class).await?.is_some() {
            return Err(exists(place));
        }
        let len = body.len();
        let (_, payload) = Sent::tap(body);
        self.expect(place, class);
        let put = self.worker.put(place, class, payload, false).await?;
        self.wrote(place, class, len);
        // Somebody was faster; ours is no worse, but it was not the first.
        if put == Put::New { Ok(()) } else { Err(exists(place)) }
    }

    /// Overwrites the version of this etag, as far as a look before can tell.
    pub(super) async fn replace(&self, place: &Place, body: Body, etag: &str) -> MailboxResult<()> {
        let class = Class::of(place);
        let stored = self.worker.about(place, class).await?;
        if stored.and_then(|entry| entry.etag).as_deref() != Some(etag) {
            return Err(place.error(MailboxErrorKind::Conflict, "the file has changed"));
        }
        if class.is_write_once() {
            return Err(exists(place));
        }
        self.write(place, body).await
    }

    pub(super) async fn remove(&self, place: &Place) -> MailboxResult<()> {
        let class = Class::of(place);
        // Deleting a folder deletes what is in it. Only paths that are none of a mesh's could be one.
        if class == Class::Other && self.worker.about(place, class).await?.is_none() {
            if self.is_folder(place).await? {
                let message = "a folder is not deleted as a file";
                return Err(place.error(MailboxErrorKind::InvalidPath, message));
            }
            return Ok(());
        }
        if class != Class::Stored {
            self.recent.expect_echo(&place.path, self.now_ms());
        }
        self.worker.delete(place, class).await?;
        if class != Class::Stored {
            self.recent.note(&place.path, Presence::Gone, self.now_ms());
        }
        Ok(())
    }

    /// A Worker would take a file below a file, and one in the place of a folder. Not asked where the engine
    /// alone writes, which does neither.
    async fn check_ground(&self, place: &Place, class: Class) -> MailboxResult<()> {
        if class != Class::Other {
            return Ok(());
        }
        for depth in 1..place.segments.len() {
            let above = place.ancestor(depth);
            if self.recent.knows_folder(&above.path) {
                continue;
            }
            if self.worker.about(&above, Class::of(&above)).await?.is_some() {
                let message = "a file stands where a folder is needed";
                return Err(place.error(MailboxErrorKind::InvalidPath, message));
            }
            self.recent.remember_folder(&above.path);
        }
        if self.is_folder(place).await? {
            return Err(place.error(MailboxErrorKind::InvalidPath, "a folder has this name"));
        }
        Ok(())
    }

    /// Whether something lies below a path.
    async fn is_folder(&self, place: &Place) -> MailboxResult<bool> {
        Ok(self.recent.knows_folder(&place.path)
            || !self.worker.files(place).await?.is_empty()
            || !self.worker.folders(place).await?.is_empty())
    }

    async fn lies_there(&self, place: &Place, sent: &Sent) -> MailboxResult<bool> {
        Ok(sent.is(&self.read(place).await?))
    }

    /// A message will come back, perhaps before the answer.
    fn expect(&self, place: &Place, class: Class) {
        if class.is_told() {
            self.recent.expect_echo(&place.path, self.now_ms());
        }
    }

    fn wrote(&self, place: &Place, class: Class, len: u64) {
        if class != Class::Stored {
            self.recent.note(&place.path, Presence::There(Some(len)), self.now_ms());
        }
    }
}

fn exists(place: &Place) -> MailboxError {
    place.error(MailboxErrorKind::AlreadyExists, "the file exists, and the Worker keeps the first one")
}
