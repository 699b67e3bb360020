//! The three ways to write a file.

use super::super::http::Payload;
use super::super::place::Place;
use super::super::{Body, MailboxError, MailboxErrorKind, MailboxResult};
use super::Inner;
use super::claim::Check;

/// What a conditional write waits for.
#[derive(Clone, Copy)]
enum Goal<'a> {
    Absent,
    Version(&'a str),
}

/// Whether the goal can still be reached.
struct Reachable<'a> {
    inner: &'a Inner,
    place: &'a Place,
    goal: Goal<'a>,
}

impl Check for Reachable<'_> {
    async fn check(&self) -> MailboxResult<()> {
        let facts = match self.goal {
            Goal::Absent => self.inner.dav.look(self.place).await?,
            Goal::Version(_) => self.inner.look(self.place).await?,
        };
        let (kind, message) = match (self.goal, facts) {
            (_, Some(facts)) if facts.collection => return Err(in_the_way(self.place)),
            (Goal::Absent, None) => return Ok(()),
            (Goal::Absent, Some(_)) => (MailboxErrorKind::AlreadyExists, "the file exists"),
            (Goal::Version(_), None) => {
                self.inner.dav.missing_is_fine(self.place).await?;
                (MailboxErrorKind::Conflict, "the file is gone")
            }
            (Goal::Version(expected), Some(facts)) => match facts.etag {
                Some(etag) if opaque(&etag) == opaque(expected) => return Ok(()),
                _ => (MailboxErrorKind::Conflict, "the file has changed"),
            },
        };
        Err(self.place.error(kind, message))
    }
}

/// An etag without its weakness: apache calls every version weak for the first second.
pub(super) fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

fn is_strong(etag: &str) -> bool {
    etag.starts_with('"')
}

fn payload(body: Body) -> Payload {
    match body {
        Body::Bytes(bytes) => Payload::Whole(bytes),
        Body::Stream { len, stream } => Payload::Stream(len, stream),
    }
}

impl Inner {
    /// Writes or overwrites.
    ///
    /// Where a server shows uploads before they are whole, the file is uploaded to a temporary name and
    /// takes its place with `MOVE`. Everywhere else a plain PUT is better: to move over a file, servers
    /// remove it first, and readers find nothing for a moment.
    pub(super) async fn write(&self, place: &Place, body: Body) -> MailboxResult<()> {
        if !self.moves_into_place() {
            return self.put(place, payload(body)).await;
        }
        let temp = self.upload(place, payload(body)).await?;
        self.place(&temp, place, self.move_into_place(&temp, place)).await.map(drop)
    }

    /// Moves a file over whatever file is there. Over a folder it must not: servers would remove it with
    /// everything in it.
    async fn move_into_place(&self, temp: &Place, place: &Place) -> MailboxResult<bool> {
        if !self.is_file_known(place) {
            if self.dav.rename(temp, place, false).await? {
                return Ok(true);
            }
            if self.dav.look(place).await?.is_some_and(|facts| facts.collection) {
                return Err(in_the_way(place));
            }
            self.remember_file(place);
        }
        self.dav.rename(temp, place, true).await
    }

    /// Writes where nothing is yet.
    pub(super) async fn create(&self, place: &Place, body: Body) -> MailboxResult<()> {
        let findings = self.findings();
        let free = || Reachable { inner: self, place, goal: Goal::Absent };
        free().check().await?;
        if findings.renames {
            let temp = self.upload(place, payload(body)).await?;
            let rename = self.dav.rename(&temp, place, false);
            let placed = match findings.referee {
                Some(referee) => {
                    let work = self.dav.exclusively(referee, place, self.patience, free(), rename);
                    self.place(&temp, place, Box::pin(work)).await
                }
                // Without a referee, races are left to what the server does about them.
                None => self.place(&temp, place, rename).await,
            };
            return if placed? { Ok(()) } else { exists(place) };
        }
        let Some(referee) = findings.referee else {
            let condition = findings.if_none_match.then_some(("if-none-match", "*"));
            let held = self.dav.put_with_folder(place, payload(body), condition).await?;
            return if held { Ok(()) } else { exists(place) };
        };
        // The claim is in the folder, so the folder comes first.
        self.dav.ensure_folder(&place.parent()).await.map_err(|error| error.at(&place.path))?;
        let work = async {
            free().check().await?;
            self.put(place, payload(body)).await
        };
        Box::pin(self.dav.exclusively(referee, place, self.patience, free(), work)).await
    }

    /// Overwrites one version.
    pub(super) async fn replace(&self, place: &Place, body: Body, etag: &str) -> MailboxResult<()> {
        let findings = self.findings();
        let current = || Reachable { inner: self, place, goal: Goal::Version(etag) };
        current().check().await?;
        let Some(referee) = findings.referee else {
            // apache answers 412 to any weak etag, so only a strong one is sent.
            if findings.if_match && is_strong(etag) && !self.moves_into_place() {
                let condition = Some(("if-match", etag));
                let held = self.dav.put_with_folder(place, payload(body), condition).await?;
                let changed = || place.error(MailboxErrorKind::Conflict, "the file has changed");
                return held.then_some(()).ok_or_else(changed);
            }
            return self.write(place, body).await;
        };
        if self.moves_into_place() {
            let temp = self.upload(place, payload(body)).await?;
            let work = async {
                current().check().await?;
                self.dav.rename(&temp, place, true).await
            };
            let work = self.dav.exclusively(referee, place, self.patience, current(), work);
            return self.place(&temp, place, Box::pin(work)).await.map(drop);
        }
        let work = async {
            current().check().await?;
            self.put(place, payload(body)).await
        };
        Box::pin(self.dav.exclusively(referee, place, self.patience, current(), work)).await
    }

    async fn put(&self, place: &Place, payload: Payload) -> MailboxResult<()> {
        self.dav.put_with_folder(place, payload, None).await.map(drop)
    }

    /// Uploads to a temporary name beside the target; what fails leaves nothing behind.
    async fn upload(&self, place: &Place, payload: Payload) -> MailboxResult<Place> {
        let temp = place.temporary()?;
        match self.put(&temp, payload).await {
            Ok(()) => Ok(temp),
            Err(error) => {
                self.discard(&temp).await;
                // The caller knows nothing of temporary names.
                Err(error.at(&place.path))
            }
        }
    }

    /// Ends an upload by `rename`; a temporary file that did not get its place is removed.
    async fn place(
        &self,
        temp: &Place,
        place: &Place,
        rename: impl Future<Output = MailboxResult<bool>> + Send,
    ) -> MailboxResult<bool> {
        let placed = rename.await;
        if !matches!(placed, Ok(true)) {
            self.discard(temp).await;
        }
        placed.map_err(|error| error.at(&place.path))
    }

    /// Removes a temporary file; one that stays is swept with a later listing.
    async fn discard(&self, temp: &Place) {
        let _ = self.dav.delete(temp).await;
    }
}

fn in_the_way(place: &Place) -> MailboxError {
    place.error(MailboxErrorKind::InvalidPath, "a folder stands where a file is to be written")
}

fn exists(place: &Place) -> MailboxResult<()> {
    Err(place.error(MailboxErrorKind::AlreadyExists, "the file exists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weakness_does_not_change_a_version() {
        assert_eq!(opaque("W/\"a\""), opaque("\"a\""));
        assert_ne!(opaque("\"b\""), opaque("\"a\""));
        assert!(is_strong("\"a\"") && !is_strong("W/\"a\"") && !is_strong("a"));
    }
}
