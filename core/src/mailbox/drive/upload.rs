//! Bodies on their way: small ones in one request, large ones in parts that can be sent again.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use reqwest::Url;

use super::super::body::{self, Meter};
use super::super::http::Answer;
use super::super::place::Place;
use super::super::{Body, ByteStream, MailboxErrorKind, MailboxResult};
use super::api::{Api, Target, stored};
use super::item::Item;

/// Drive wants larger bodies in parts.
const SMALL_MAX: u64 = 5_000_000;
/// A part; Drive wants a multiple of 256 KiB. So much of a body is held in memory.
const PART: usize = 8 * 1024 * 1024;

/// Whether a body of this length is sent in parts.
pub(super) fn in_parts(len: u64) -> bool {
    len > SMALL_MAX
}

/// A body that is ready to be sent.
pub(super) enum Upload {
    Small(Bytes),
    Large { len: u64, stream: ByteStream },
}

impl Upload {
    /// Reads small bodies to their end: what breaks off does so before anything is sent.
    pub(super) async fn new(place: &Place, body: Body) -> MailboxResult<Self> {
        Ok(match body {
            body if !in_parts(body.len()) => {
                Self::Small(body::collect(place.operation, &place.path, body).await?)
            }
            Body::Bytes(bytes) => {
                let len = bytes.len() as u64;
                Self::Large { len, stream: stream::once(async { Ok(bytes) }).boxed() }
            }
            Body::Stream { len, stream } => Self::Large { len, stream },
        })
    }

    /// Sends it. Nothing of a body that breaks off is stored.
    pub(super) async fn send(self, api: &Api, place: &Place, target: Target<'_>) -> MailboxResult<Item> {
        let (len, stream) = match self {
            Self::Small(bytes) => {
                return match target {
                    Target::In(folder) => api.create(place, folder, bytes).await,
                    Target::Over(id) => api.overwrite(place, id, bytes).await,
                };
            }
            Self::Large { len, stream } => (len, stream),
        };
        let session = api.begin(place, target, len).await?;
        let parts =
            Parts { stream, rest: Bytes::new(), meter: Meter::new(place.operation, &place.path, len) };
        let outcome = send_parts(api, place, &session, len, parts).await;
        if outcome.is_err() {
            api.abandon(place, &session).await;
        }
        outcome
    }
}

/// A body, cut into parts.
struct Parts {
    stream: ByteStream,
    /// What came with the last part and belongs to the next.
    rest: Bytes,
    meter: Meter,
}

impl Parts {
    async fn next(&mut self) -> MailboxResult<Bytes> {
        let mut part = BytesMut::new();
        loop {
            let take = self.rest.len().min(PART - part.len());
            part.extend_from_slice(&self.rest.split_to(take));
            if part.len() == PART && !(self.rest.is_empty() && self.meter.remaining() == 0) {
                return Ok(part.freeze());
            }
            match self.stream.next().await {
                Some(piece) => {
                    let piece = piece?;
                    self.meter.add(piece.len())?;
                    self.rest = piece;
                }
                // The last part leaves only after the body proved to have its length.
                None => {
                    self.meter.finish()?;
                    return Ok(part.freeze());
                }
            }
        }
    }
}

async fn send_parts(
    api: &Api,
    place: &Place,
    session: &Url,
    len: u64,
    mut parts: Parts,
) -> MailboxResult<Item> {
    let mut sent = 0;
    while sent < len {
        let part = parts.next().await?;
        let end = sent + part.len() as u64;
        if let Some(item) = send_part(api, place, session, len, sent, &part).await? {
            return Ok(item);
        }
        sent = end;
    }
    Err(place.error(MailboxErrorKind::Protocol, "Google Drive does not finish the upload"))
}

/// Sends a part until all of it has arrived: after a failure, from where it broke off. Gives the file where
/// the body is complete.
async fn send_part(
    api: &Api,
    place: &Place,
    session: &Url,
    len: u64,
    from: u64,
    part: &Bytes,
) -> MailboxResult<Option<Item>> {
    let end = from + part.len() as u64;
    let (mut at, mut tries, mut is_known) = (from, 0, true);
    loop {
        let sent = if is_known {
            let range = format!("bytes {at}-{}/{len}", end - 1);
            let skipped = usize::try_from(at - from).unwrap_or(part.len());
            api.part(place, session, &range, part.slice(skipped..)).await
        } else {
            api.part(place, session, &format!("bytes */{len}"), Bytes::new()).await
        };
        let error = match sent {
            Ok(answer) if answer.status() == 308 => {
                let arrived = arrived(&answer);
                answer.drain().await;
                if arrived == end && end < len {
                    return Ok(None);
                }
                if !(from..end).contains(&arrived) {
                    let message = "Google Drive tells of another part than was sent";
                    return Err(place.error(MailboxErrorKind::Protocol, message));
                }
                if arrived > at {
                    tries = 0;
                }
                at = arrived;
                if !std::mem::replace(&mut is_known, true) {
                    continue;
                }
                place.error(MailboxErrorKind::Unavailable, "Google Drive takes no more of the upload")
            }
            Ok(answer) => return stored(place, answer).await.map(Some),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => {
                let message = "the upload was interrupted for too long: it has to be started again";
                return Err(place.error(MailboxErrorKind::Unavailable, message).with_source(error));
            }
            Err(error) => {
                is_known = false;
                error
            }
        };
        let Some(pause) = api.pause(&error, tries, true) else { return Err(error) };
        tokio::time::sleep(pause).await;
        tries += 1;
    }
}

/// How much has arrived: `Range: bytes=0-41` tells of 42 bytes, no header of none.
fn arrived(answer: &Answer) -> u64 {
    let last = answer.header("range").and_then(|range| range.strip_prefix("bytes=0-")?.parse::<u64>().ok());
    last.map_or(0, |last| last.saturating_add(1))
}
