//! Held entries: how many entries of this installation the snapshot of an epoch holds, so that a device which has merged
//! it is known to have seen them.

use super::{Tx, meta::keys};
use crate::{error::Result, wire::coverage::Frontier};

/// Epochs that are remembered; a device that is further behind counts as one that has seen nothing.
const EPOCHS: usize = 64;

/// The installation, and `(epoch, number of the last entry)` in order.
type Held = (String, Vec<(u64, u64)>);

impl Tx<'_> {
    fn held(&self, install: &str) -> Result<Vec<(u64, u64)>> {
        let known = self.meta(keys::HELD_ENTRIES)?.and_then(|text| serde_json::from_str::<Held>(&text).ok());
        // A copy of the store counts its entries anew.
        Ok(known.filter(|(known, _)| known == install).map(|(_, epochs)| epochs).unwrap_or_default())
    }

    /// Notes that the snapshot of an epoch holds every entry of this installation up to a number.
    pub(crate) fn note_held(&self, install: &str, epoch: u64, upto: u64) -> Result<()> {
        let mut epochs = self.held(install)?;
        if epochs.last().is_some_and(|(last, held)| *last >= epoch || *held >= upto) {
            return Ok(());
        }
        epochs.push((epoch, upto));
        let first = epochs.len().saturating_sub(EPOCHS);
        let text = serde_json::to_string(&(install, &epochs[first..])).unwrap_or_default();
        self.set_meta(keys::HELD_ENTRIES, &text)
    }

    /// The same, as the writer of the snapshot tells it.
    pub(crate) fn note_held_by(
        &self,
        (device, install): (&str, &str),
        epoch: u64,
        frontiers: &[Frontier],
    ) -> Result<()> {
        match frontiers.iter().find(|known| known.device == device && known.install == install) {
            Some(known) => self.note_held(install, epoch, known.upto),
            None => Ok(()),
        }
    }

    /// The number up to which a device that has merged this epoch has every entry of this installation.
    pub(crate) fn held_by(&self, install: &str, epoch: u64) -> Result<u64> {
        let epochs = self.held(install)?;
        Ok(epochs.iter().rev().find(|(known, _)| *known <= epoch).map_or(0, |(_, upto)| *upto))
    }
}
