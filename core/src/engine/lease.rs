//! Several processes on one store: one of them exchanges with the mailbox in the background, the others
//! write, and see what it does.
//!
//! Who may is a row of the store, with an end that the holder moves while it lives. A call of the app
//! (`connect`, `sync`, `pull`, `flush`, `compact`, `sync_once`, and showing the app) takes it from whoever
//! holds it, so that nobody waits: two exchanges at once are safe, since the outbox binds every record to one
//! name, and this only spares requests. In the background it is taken when it has run out. `suspend`,
//! `disconnect` and `shutdown` give it up; a process that was killed loses it after [`LEASE`].

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{Inner, status::Background};
use crate::{
    error::Result,
    host::{Host, ids},
    store::Tx,
};

/// How long the lease lasts unless it is prolonged: longer than a poll of an app that somebody sees. One
/// that nobody sees polls more seldom, so that another may take over meanwhile.
pub(super) const LEASE: Duration = Duration::from_secs(75);

/// This handle's part in it.
#[derive(Debug)]
pub(super) struct Lease {
    /// Tells handles apart, also two of one process.
    instance: String,
    is_held: AtomicBool,
}

impl Lease {
    pub(super) fn new(host: &dyn Host) -> Self {
        Self { instance: ids::uuid_v4(host), is_held: AtomicBool::new(false) }
    }

    /// Whether this handle held it when it last looked.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }
}

impl Inner {
    /// Takes or prolongs the lease where it is free or ours, or `from_anybody`; tells whether it is ours now.
    pub(super) fn take_lease(&self, from_anybody: bool) -> Result<bool> {
        let lease = &self.lease;
        let is_held = self.ctx.store.path().is_none() || {
            let now_ms = self.ctx.host.now_ms();
            let until_ms = now_ms + u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
            self.ctx.write(|tx| tx.take_lease(&lease.instance, now_ms, until_ms, from_anybody))?
        };
        lease.is_held.store(is_held, Ordering::Release);
        Ok(is_held)
    }

    /// Who exchanges in the background.
    pub(super) fn background(&self, tx: &Tx<'_>) -> Result<Background> {
        if self.ctx.store.path().is_none() {
            return Ok(if self.lease.is_held() { Background::Here } else { Background::Nowhere });
        }
        Ok(match tx.lease_holder(self.ctx.host.now_ms())? {
            Some(holder) if holder == self.lease.instance => Background::Here,
            Some(_) => Background::Elsewhere,
            // It ran out between two polls of an app that nobody sees.
            None if self.lease.is_held() => Background::Here,
            None => Background::Nowhere,
        })
    }

    /// Whether nobody holds it.
    pub(super) fn is_lease_free(&self) -> Result<bool> {
        let now_ms = self.ctx.host.now_ms();
        Ok(self.ctx.read(|tx| tx.lease_holder(now_ms))?.is_none())
    }

    /// Gives it up, where it is ours. A store that cannot be written to lets it run out.
    pub(super) fn give_up_lease(&self) {
        let is_held = self.lease.is_held.swap(false, Ordering::AcqRel);
        if is_held && self.ctx.store.path().is_some() {
            let _ = self.ctx.write(|tx| tx.give_up_lease(&self.lease.instance));
        }
    }

    /// Prolongs the lease while something long is under way.
    pub(super) async fn keep_lease(&self) -> Infallible {
        loop {
            self.ctx.host.sleep(LEASE / 3).await;
            if self.lease.is_held() {
                // It may have been taken over, or the store may be busy: what is under way goes on.
                let _ = self.take_lease(false);
            }
        }
    }
}
