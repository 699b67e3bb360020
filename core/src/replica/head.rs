//! The head of a replica: moved forward, never back.

use super::{Target, or_none};
use crate::{
    clock::Clock,
    error::Result,
    mailbox::MailboxErrorKind,
    wire::{layout::Layout, manifest::Head},
};

/// Moves the head of a replica to `latest`, where it is not further already.
pub(super) async fn advance(target: &Target, layout: &Layout, latest: Option<Clock>) -> Result<()> {
    let Some(latest) = latest else { return Ok(()) };
    let known = or_none(target.adapter().read_file(&layout.head()).await)?;
    // A damaged head is replaced.
    let known = known.and_then(|bytes| Head::parse(&bytes).ok()).map(|head| head.0);
    if known.is_some_and(|known| known >= latest) {
        return Ok(());
    }
    match target.adapter().write_file(&layout.head(), Head(latest).encode().into()).await {
        // A Worker refuses to move it back: somebody else was further.
        Err(error) if error.kind() == MailboxErrorKind::Conflict => Ok(()),
        outcome => Ok(outcome?),
    }
}
