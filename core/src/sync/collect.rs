//! Collecting: which deletions a snapshot may leave out, and how far the floor may rise.
//!
//! A delete clock is forgotten only when it stood in a snapshot that every device of the mesh has merged,
//! and only at or below the floor, where nobody listens to older columns any more. The floor rises to what all
//! devices acknowledged: they hold no unpublished work at or below it.

use super::Context;
use crate::{
    clock::Clock,
    error::Result,
    row::RowState,
    store::{Tx, rows::TableInfo},
    value::Name,
    wire::{device::DeviceRecord, manifest::Manifest},
};

/// What may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Collection {
    /// The floor of the next snapshot.
    pub(super) floor: Option<Clock>,
    /// Every device that counts has merged the snapshot of this epoch.
    merged: Option<u64>,
}

impl Collection {
    /// What the device records allow, read before the change files were listed: so nothing that a device
    /// published before it acknowledged can be missing here without a hole in its numbers.
    pub(super) fn plan(
        ctx: &Context,
        tx: &Tx<'_>,
        manifest: &Manifest,
        records: &[DeviceRecord],
    ) -> Result<Self> {
        let now_ms = ctx.host.now_ms();
        let kept = tx.floor()?.max(manifest.floor.clone());
        let active: Vec<&DeviceRecord> =
            records.iter().filter(|record| record.counts(now_ms, manifest.grace_ms)).collect();
        if !active.iter().any(|record| record.device_id() == *ctx.device_id()) {
            return Ok(Self { floor: kept, merged: None });
        }
        let merged = active.iter().map(|record| record.observed_epoch()).min().flatten();
        let mut may_rise = true;
        for record in &active {
            may_rise &= record.is_b10() || (record.is_native() && is_read(tx, record)?);
        }
        let acknowledged = active.iter().map(|record| record.observed_watermark()).min().flatten();
        let floor = if may_rise { kept.max(acknowledged) } else { kept };
        Ok(Self { floor, merged })
    }

    /// The delete clock of a row, where it may be forgotten.
    pub(super) fn takes<'a>(
        &self,
        tx: &Tx<'_>,
        table: &TableInfo,
        row_id: &Name,
        state: &'a RowState,
    ) -> Result<Option<&'a Clock>> {
        let (Some(floor), Some(merged), Some(deleted)) = (&self.floor, self.merged, &state.deleted) else {
            return Ok(None);
        };
        let is_old =
            deleted <= floor && tx.grave(table, row_id, deleted)?.is_some_and(|epoch| epoch <= merged);
        Ok(is_old.then_some(deleted))
    }
}

/// Whether everything that a device of ours had published when it acknowledged was read here.
fn is_read(tx: &Tx<'_>, record: &DeviceRecord) -> Result<bool> {
    let Some((install, entries)) = record.published() else { return Ok(false) };
    Ok(entries == 0 || tx.frontier(&record.device_id(), &install)?.is_some_and(|upto| upto >= entries))
}
