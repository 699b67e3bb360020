//! Change files of this device that a replica lacks. The store lists them, from the transaction on in which the main
//! mailbox confirmed them, so that nothing is forgotten over restarts.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{
    Replicated, Target,
    copy::{self, Copied, Item},
    head,
};
use crate::{
    error::Result,
    sync::{Context, Link},
    wire::layout::clock_of_change,
};

/// Change files looked at in one go.
const ROUND: usize = 64;

/// Change files on their way at once.
const AT_ONCE: usize = 4;

/// Brings a replica the change files that it is owed, then the head.
pub(crate) async fn pay(ctx: &Arc<Context>, link: &Link, target: &Target) -> Result<Replicated> {
    let _one = target.turn.lock().await;
    let mut replicated = Replicated::default();
    let layout = target.layout(&link.layout);
    let mut latest = None;
    loop {
        let names = ctx.read(|tx| tx.owed_changes(target.name(), ROUND))?;
        if names.is_empty() {
            break;
        }
        if replicated.files == 0 {
            target.adapter().authenticate().await?;
        }
        let copies = names.into_iter().map(|name| {
            let (from, to) = (link.layout.change(&name), layout.change(&name));
            async move {
                let item = Item { from: &from, to: &to, size: None, is_sealed: true };
                let outcome = copy::body(link, target, &item).await;
                (name, outcome)
            }
        });
        let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some((name, outcome)) = copies.next().await {
            match outcome {
                Ok(copied) => {
                    replicated.files += 1;
                    match copied {
                        Copied::Written(bytes) => {
                            replicated.copied += 1;
                            replicated.bytes += bytes;
                            latest = latest.max(clock_of_change(&name));
                        }
                        // A snapshot has taken its place: what only it holds is for mirrors.
                        Copied::Missing => {}
                        Copied::Damaged => replicated.damaged += 1,
                    }
                    ctx.write(|tx| tx.settle_change(target.name(), &name))?;
                }
                Err(error) => failed = Some(error),
            }
        }
        drop(copies);
        if let Some(error) = failed {
            // What did get there is announced all the same, if the replica still answers.
            let _ = head::advance(target, &layout, latest).await;
            return Err(error);
        }
    }
    head::advance(target, &layout, latest).await?;
    if replicated.copied > 0 {
        ctx.emit(&replicated.event(target));
    }
    Ok(replicated)
}
