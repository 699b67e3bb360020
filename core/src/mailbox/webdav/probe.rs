//! What a server really does, found out in a folder of our own.
//!
//! Announcements are not asked for: servers claim what they do not do. A server that lets us probe
//! nothing gets the plain contract.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};

use super::super::http::Payload;
use super::super::place::Place;
use super::super::{MailboxErrorKind, MailboxResult, path};
use super::claim::Referee;
use super::dav::{Dav, Made, Put};
use super::write::opaque;

/// Half of the body that is cut off: more than a server keeps before it starts writing.
const CUT: usize = 64 * 1024;
/// So long the first half gets to reach the server. One too far away for it counts as careful.
const CUT_AFTER: Duration = Duration::from_millis(60);
/// How often to try to find out how races are decided.
const REFEREE_TRIES: usize = 4;
/// How often to look what became of the cut upload.
const CUT_LOOKS: usize = 3;

/// What a server was found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent findings, not a state")]
pub(super) struct Findings {
    /// An upload shows when it is whole, and one that breaks off leaves nothing.
    pub(super) whole_uploads: bool,
    /// `MOVE` works, and with `Overwrite: F` refuses a taken name.
    pub(super) renames: bool,
    /// `PUT` with `If-None-Match: *` refuses a taken name.
    pub(super) if_none_match: bool,
    /// `PUT` with `If-Match` refuses another version.
    pub(super) if_match: bool,
    /// What decides races.
    pub(super) referee: Option<Referee>,
    /// Every body of a file has another etag.
    pub(super) etags: bool,
    /// `DELETE` with `Depth: 0` refuses a folder.
    pub(super) deletes_files_only: bool,
}

/// Finds out what the server does, and cleans up. Nothing that goes wrong here is an error: it is a thing
/// that the server does not do.
pub(super) async fn run(dav: &Dav) -> Findings {
    let Ok(name) = path::temp_name() else { return Findings::default() };
    let folder = Place::root("probe").child(&name);
    if !matches!(dav.mkcol(&folder).await, Ok(Made::New)) {
        return Findings::default();
    }
    let cut = folder.child("cut");
    let (shows_half, (if_none_match, if_match), etags, renames, referee) = Box::pin(future::join5(
        Box::pin(cut_upload(dav, &cut)),
        Box::pin(async { conditions(dav, &folder.child("conditions")).await.unwrap_or_default() }),
        async { etags(dav, &folder.child("etags")).await.unwrap_or_default() },
        async { renames(dav, &folder).await.unwrap_or_default() },
        referee(dav, &folder),
    ))
    .await;
    let whole_uploads = !shows_half && leaves_nothing(dav, &cut).await;
    let deletes_files_only = deletes_files_only(dav, &folder).await;
    let _ = dav.delete_folder(&folder).await;
    Findings { whole_uploads, renames, if_none_match, if_match, referee, etags, deletes_files_only }
}

fn small() -> Payload {
    Payload::Whole(Bytes::from_static(b"interocitor"))
}

/// Announces a body and breaks off in its middle. Answers whether the half of it was to be seen.
async fn cut_upload(dav: &Dav, place: &Place) -> bool {
    let half = stream::iter([Ok(vec![b'.'; CUT].into())]);
    let broken = place.error(MailboxErrorKind::Io, "cut off on purpose");
    let end = stream::once(async move {
        tokio::time::sleep(2 * CUT_AFTER).await;
        Err(broken)
    });
    let upload = dav.put(place, Payload::Stream(2 * CUT as u64, half.chain(end).boxed()), None);
    let look = async {
        tokio::time::sleep(CUT_AFTER).await;
        !matches!(dav.look(place).await, Ok(None))
    };
    future::join(upload, look).await.1
}

async fn leaves_nothing(dav: &Dav, cut: &Place) -> bool {
    for look in 0..CUT_LOOKS {
        if look > 0 {
            tokio::time::sleep(CUT_AFTER).await;
        }
        if !matches!(dav.look(cut).await, Ok(None)) {
            return false;
        }
    }
    true
}

/// Whether `If-None-Match` and `If-Match` are honoured.
async fn conditions(dav: &Dav, file: &Place) -> MailboxResult<(bool, bool)> {
    if !matches!(dav.put(file, small(), None).await?, Put::Done) {
        return Ok((false, false));
    }
    let refused = |outcome| matches!(outcome, Ok(Put::Refused));
    let if_none_match = refused(dav.put(file, small(), Some(("if-none-match", "*"))).await);
    let if_match = refused(dav.put(file, small(), Some(("if-match", "\"no-such-version\""))).await);
    Ok((if_none_match, if_match))
}

/// Whether files have etags, and another body of the same size at once has another one. Some are made of
/// the time in seconds.
async fn etags(dav: &Dav, file: &Place) -> MailboxResult<bool> {
    let mut seen = Vec::new();
    for body in ["first body", "other body"] {
        dav.put(file, Payload::Whole(body.into()), None).await?;
        seen.push(dav.look(file).await?.and_then(|facts| facts.etag));
    }
    let opaque = |etag: &Option<String>| etag.as_deref().map(|etag| opaque(etag).to_owned());
    Ok(seen[0].is_some() && seen[1].is_some() && opaque(&seen[0]) != opaque(&seen[1]))
}

async fn renames(dav: &Dav, folder: &Place) -> MailboxResult<bool> {
    let (first, second, target) = (folder.child("first"), folder.child("second"), folder.child("target"));
    let (one, two) = future::join(dav.put(&first, small(), None), dav.put(&second, small(), None)).await;
    if !matches!((one?, two?), (Put::Done, Put::Done)) {
        return Ok(false);
    }
    Ok(dav.rename(&first, &target, false).await?
        && !dav.rename(&second, &target, false).await?
        && dav.look(&first).await?.is_none())
}

/// All clients of a server must come to the same finding, since those who go by folders and those who go by
/// locks do not see each other. So what fails is tried again, and locks are chosen on proof only.
async fn referee(dav: &Dav, folder: &Place) -> Option<Referee> {
    for attempt in 0..REFEREE_TRIES {
        match makes_folders_once(dav, &folder.child(&format!("claim-{attempt}"))).await {
            Ok(true) => return Some(Referee::Folder),
            Ok(false) => {
                let locks = locks(dav, &folder.child("lock")).await.unwrap_or(false);
                return locks.then_some(Referee::Lock);
            }
            Err(error) => tracing::debug!(%error, "probing for claims failed"),
        }
        tokio::time::sleep(CUT_AFTER).await;
    }
    None
}

/// Whether a second MKCOL is refused, a folder can be removed again, and its age is told, so that a dead
/// claim can be evicted. An error proves neither.
async fn makes_folders_once(dav: &Dav, place: &Place) -> MailboxResult<bool> {
    let unclear = || Err(place.error(MailboxErrorKind::Unavailable, "no clear answer"));
    match (dav.mkcol(place).await?, dav.mkcol(place).await?) {
        (Made::New, Made::Exists) => {}
        (Made::New, Made::New) => return Ok(false),
        _ => return unclear(),
    }
    if dav.age(place).await?.is_none() {
        return if dav.look(place).await?.is_some() { Ok(false) } else { unclear() };
    }
    if dav.delete_folder(place).await? && matches!(dav.mkcol(place).await?, Made::New) {
        return Ok(true);
    }
    unclear()
}

async fn locks(dav: &Dav, place: &Place) -> MailboxResult<bool> {
    let Some(held) = dav.lock(place).await? else { return Ok(false) };
    // Some servers hand out locks that lock nothing.
    let second = dav.lock(place).await;
    dav.release(held).await;
    if !matches!(second, Ok(None)) {
        return Ok(false);
    }
    let Some(held) = dav.lock(place).await? else { return Ok(false) };
    dav.release(held).await;
    Ok(true)
}

async fn deletes_files_only(dav: &Dav, folder: &Place) -> bool {
    let refused = dav.delete_file_only(folder).await.is_err_and(|error| error.status() == Some(400));
    refused && matches!(dav.look(folder).await, Ok(Some(_)))
}
