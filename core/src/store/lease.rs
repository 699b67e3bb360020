//! The lease: which of several processes on one store exchanges with the mailbox in the background.
//!
//! It makes work rare, not right: a record of the outbox is bound to its name in the store, so two who
//! publish at once publish the same files.

use super::{Tx, meta::keys};
use crate::error::Result;

/// A longer lease than this was written under a wall clock that went back since, in ms.
const LONGEST_MS: u64 = 10 * 60 * 1000;

impl Tx<'_> {
    /// Who holds the lease, unless it has run out.
    pub(crate) fn lease_holder(&self, now_ms: u64) -> Result<Option<String>> {
        let row = self.meta(keys::LEASE)?;
        let held = row.as_deref().and_then(|row| {
            let (instance, until) = row.split_once(' ')?;
            let left = until.parse::<u64>().ok()?.checked_sub(now_ms)?;
            (1..=LONGEST_MS).contains(&left).then(|| instance.to_owned())
        });
        Ok(held)
    }

    /// Takes the lease, or prolongs it, until `until_ms`; tells whether it is ours now. `from_anybody`: also
    /// where another holds it.
    pub(crate) fn take_lease(
        &self,
        instance: &str,
        now_ms: u64,
        until_ms: u64,
        from_anybody: bool,
    ) -> Result<bool> {
        let is_free = from_anybody || self.lease_holder(now_ms)?.is_none_or(|holder| holder == instance);
        if is_free {
            self.set_meta(keys::LEASE, &format!("{instance} {until_ms}"))?;
        }
        Ok(is_free)
    }

    /// Gives the lease up, where it is ours.
    pub(crate) fn give_up_lease(&self, instance: &str) -> Result<()> {
        let row = self.meta(keys::LEASE)?;
        match row.as_deref().and_then(|row| row.split_once(' ')) {
            Some((holder, _)) if holder == instance => self.clear_meta(keys::LEASE),
            _ => Ok(()),
        }
    }
}
