//! What happened to one row, for the report of a run that failed: who wrote, what was published, which snapshots had it.

use std::collections::BTreeMap;

use crate::{
    mailbox::{Remote, Written},
    oracle::{Oracle, Place},
    reference::Row,
    wire::{Change, Codec, Hlc, Manifest, Op, Snapshot},
};

/// Line by line, in the order in which it happened.
pub fn of(place: &Place, oracle: &Oracle, remote: &Remote) -> Vec<String> {
    let log = remote.log_since(0);
    let mut lines: Vec<(usize, String)> = Vec::new();
    for write in oracle.acknowledged_at(place) {
        let what = match &write.cell {
            Some((name, value)) => format!("{name} = {value}"),
            None => "deleted".to_owned(),
        };
        let before = write.before.as_ref().map_or("no row".to_owned(), row);
        let writer = if write.device == usize::MAX { "d?".to_owned() } else { format!("d{}", write.device) };
        lines
            .push((write.at, format!("{writer} writes {what} at {}; before: {before}", clock(&write.clock))));
    }
    let mut files = BTreeMap::new();
    let mut in_snapshot = None;
    for (at, file) in log.iter().enumerate() {
        files.insert(file.path.clone(), file.body.clone());
        if file.path.ends_with("/manifest.json") {
            if let Some(manifest) = Manifest::current(|path| files.get(path).cloned()) {
                let floor = Hlc::parse(&manifest.floor).map_or("none".to_owned(), |floor| clock(&floor));
                lines.push((
                    at,
                    format!("{} puts epoch {} into force, floor {floor}", who(file), manifest.epoch),
                ));
            }
        } else if let Some(told) = told(place, oracle.codec(), file) {
            let is_snapshot = file.path.contains("/mainline/");
            if !is_snapshot || in_snapshot.as_ref() != Some(&told) {
                let name = file.path.rsplit('/').next().unwrap_or_default();
                lines.push((at, format!("{} writes {}: {told}", who(file), name.get(..28).unwrap_or(name))));
            }
            if is_snapshot {
                in_snapshot = Some(told);
            }
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let time = |at: usize| log.get(at).map_or(0, |file| file.at_ms.saturating_sub(crate::world::BEGIN_MS));
    lines.into_iter().map(|(at, line)| format!("{:>12} {line}", time(at))).collect()
}

fn who(file: &Written) -> String {
    format!("d{}", file.by)
}

/// What a file says of the row, where it can say something.
fn told(place: &Place, codec: &Codec, file: &Written) -> Option<String> {
    let is_meant = |op: &&Op| (&op.table, &op.row) == (&place.0, &place.1);
    if file.path.contains("-chg_") {
        let ops = Change::read(&codec.open(&file.body)?)?.ops;
        let told: Vec<String> = ops.iter().filter(is_meant).map(op).collect();
        return (!told.is_empty()).then(|| told.join(", then "));
    }
    if file.path.contains("/mainline/snapshot-") {
        let rows = Snapshot::read(&codec.open(&file.body)?)?.rows;
        return Some(rows.iter().find(is_meant).map_or("no row".to_owned(), op));
    }
    None
}

fn op(op: &Op) -> String {
    row(&Row { deleted: op.deleted.clone(), cells: op.cells.iter().cloned().collect() })
}

fn row(row: &Row) -> String {
    let cells =
        row.cells.iter().map(|(name, cell)| format!("{name} = {} {}", cell.value, clock(&cell.clock)));
    let deleted = row.deleted.iter().map(|deleted| format!("deleted {}", clock(deleted)));
    format!("{{{}}}", deleted.chain(cells).collect::<Vec<_>>().join(", "))
}

/// A clock in short: what it is behind the beginning of the run, and the end of its node.
fn clock(clock: &Hlc) -> String {
    let ts = i128::from(clock.ts) - i128::from(crate::world::BEGIN_MS);
    let node = clock.node.get(clock.node.len().saturating_sub(4)..).unwrap_or_default();
    format!("@{ts}.{}-{node}", clock.counter)
}
