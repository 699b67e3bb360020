//! What a service really does about conditions, found out with an object of our own.
//!
//! Compatible services differ: some ignore conditions, some check them first and write afterwards, so that of
//! writers in the same moment several win. So the writers of the probe race. A service that loses races only
//! now and then can still pass; whoever needs certainty reads back, as the engine does.

use bytes::Bytes;
use futures_util::future;

use super::super::place::Place;
use super::super::{MailboxResult, path};
use super::bucket::{Bucket, Condition, Put};

/// Racers for one key.
const RACERS: u8 = 6;

/// What a service was found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Findings {
    /// `If-None-Match: *` lets exactly one of several racing writers win.
    pub(super) creates_once: bool,
    /// `If-Match` lets exactly one of several racing writers win.
    pub(super) replaces_once: bool,
}

/// Finds out what the service does, and cleans up. Nothing that goes wrong here is an error: it is a thing that
/// the service does not do.
pub(super) async fn run(bucket: &Bucket) -> Findings {
    let Ok(name) = path::temp_name() else { return Findings::default() };
    let object = Place::root("probe").child(&name);
    let creates_once = race(bucket, &object, Condition::Absent, b'a').await.unwrap_or(false);
    let replaces_once = match bucket.head(&object).await {
        Ok(Some(facts)) => match &facts.etag {
            Some(etag) => race(bucket, &object, Condition::Version(etag), b'A').await.unwrap_or(false),
            None => false,
        },
        _ => false,
    };
    let _ = bucket.delete(&object).await;
    Findings { creates_once, replaces_once }
}

/// Whether of several writers at once exactly one wins, and those who come later lose. No body, from `first` on,
/// may have been stored before: its version would be the same again.
async fn race(bucket: &Bucket, object: &Place, condition: Condition<'_>, first: u8) -> MailboxResult<bool> {
    let racers =
        (0..RACERS).map(|racer| bucket.put(object, Bytes::from(vec![first + racer; 64]), Some(condition)));
    let mut winners = 0;
    for outcome in future::join_all(racers).await {
        winners += u32::from(outcome? == Put::Done);
    }
    let late = bucket.put(object, Bytes::from_static(b"late"), Some(condition)).await?;
    Ok(winners == 1 && late == Put::Refused)
}
