//! The oracle: what was promised to whom, what was published, and whether the end agrees with both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use interocitor_core::InspectedRow;
use serde_json::Value;

use crate::{
    mailbox::Remote,
    reference::{Join, Rows},
    wire::{Change, Codec, Hlc, Op, Snapshot},
};

/// Table and id of a row.
pub type Place = (String, String);

/// A write that the engine acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The device that wrote.
    pub device: usize,
    /// Where.
    pub place: Place,
    /// The column and its value; nothing for a delete.
    pub cell: Option<(String, Value)>,
    /// Under which clock.
    pub clock: Hlc,
    /// It, or something that beats it, was found in the mailbox.
    is_published: bool,
}

/// Stands for a device whose store is gone.
const NOBODY: usize = usize::MAX;

/// Everything the oracle knows.
#[derive(Debug)]
pub struct Oracle {
    codec: Codec,
    /// Every clock ever seen for a column, with its value.
    cells: BTreeMap<(Place, String), BTreeMap<Hlc, Value>>,
    /// Every delete clock of a row that was published.
    deletes: BTreeMap<Place, BTreeSet<Hlc>>,
    /// The first clock under which a value was seen or acknowledged; values are unique.
    first_clocks: HashMap<String, Hlc>,
    acknowledged: Vec<Acknowledged>,
    /// Entries of the mailbox's log that were read.
    read_until: usize,
    broken: Option<String>,
}

/// A rule that was broken, in words.
pub type Verdict = Result<(), String>;

impl Oracle {
    /// An oracle that can read the mailbox.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            cells: BTreeMap::new(),
            deletes: BTreeMap::new(),
            first_clocks: HashMap::new(),
            acknowledged: Vec::new(),
            read_until: 0,
            broken: None,
        }
    }

    /// The codec of the mesh.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The first rule that was found broken so far.
    pub fn verdict(&self) -> Verdict {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Notes a broken rule; the first one counts.
    pub fn accuse(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    /// Number of acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// A device, known by its number and its id, acknowledged a write to these columns of a row (none: its deletion); `row` is the row as
    /// it stood at that very moment.
    pub fn acknowledge(
        &mut self,
        (device, id): (usize, &str),
        columns: &[(String, Value)],
        row: Option<&InspectedRow>,
    ) {
        let Some(row) = row else { return };
        let place = (row.table.to_string(), row.row_id.to_string());
        if columns.is_empty() {
            // A row that did not live is not deleted again: its clock is an old one, and not of this device.
            let deleted = row.deleted.as_ref().and_then(|clock| Hlc::parse(&clock.to_string()));
            if let Some(deleted) = deleted.filter(|deleted| deleted.node == id) {
                let is_new =
                    !self.acknowledged.iter().any(|write| write.clock == deleted && write.place == place);
                if is_new && !self.deletes.get(&place).is_some_and(|known| known.contains(&deleted)) {
                    self.promise(device, place, None, deleted);
                }
            }
            return;
        }
        for (name, value) in columns {
            let stored = row.cells.iter().find(|(cell, _, _)| cell.to_string() == *name);
            let found = stored.and_then(|(_, clock, stored)| {
                let is_same = serde_json::from_str::<Value>(stored.as_str()).ok()? == *value;
                is_same.then(|| Hlc::parse(&clock.to_string()))?
            });
            let Some(clock) = found else {
                self.accuse(format!(
                    "d{device} acknowledged {place:?}.{name} = {value}, but the row is {row:?}"
                ));
                continue;
            };
            self.note_cell(&place, name, &clock, value);
            self.promise(device, place.clone(), Some((name.clone(), value.clone())), clock);
        }
    }

    fn promise(&mut self, device: usize, place: Place, cell: Option<(String, Value)>, clock: Hlc) {
        self.acknowledged.push(Acknowledged { device, place, cell, clock, is_published: false });
    }

    /// The store of a device is gone, by its user's will: what it alone held goes with it.
    pub fn forgive(&mut self, device: usize, remote: &Remote) {
        self.read(remote);
        self.acknowledged.retain(|write| write.device != device || write.is_published);
        // Who comes next under this number has not written the rest.
        for write in self.acknowledged.iter_mut().filter(|write| write.device == device) {
            write.device = NOBODY;
        }
    }

    fn note_cell(&mut self, place: &Place, column: &str, clock: &Hlc, value: &Value) {
        if let Some(text) = value.as_str() {
            let first = self.first_clocks.entry(text.to_owned()).or_insert_with(|| clock.clone());
            *first = first.clone().min(clock.clone());
        }
        let known = self.cells.entry((place.clone(), column.to_owned())).or_default();
        let before = known.entry(clock.clone()).or_insert_with(|| value.clone());
        if before != value {
            let both = format!("{before} and {value}");
            self.accuse(format!("{place:?}.{column} at {clock} was issued twice, as {both}"));
        }
    }

    fn note_delete(&mut self, place: &Place, clock: &Hlc) {
        self.deletes.entry(place.clone()).or_default().insert(clock.clone());
    }

    fn note_op(&mut self, op: &Op) {
        let place = (op.table.clone(), op.row.clone());
        if let Some(deleted) = &op.deleted {
            self.note_delete(&place, deleted);
        }
        for (name, cell) in &op.cells {
            self.note_cell(&place, name, &cell.clock, &cell.value);
        }
    }

    /// Reads what was published since the last time.
    pub fn read(&mut self, remote: &Remote) {
        let written = remote.log_since(self.read_until);
        self.read_until += written.len();
        for file in written {
            let (is_change, is_snapshot) =
                (file.path.contains("-chg_"), file.path.contains("/mainline/snapshot-"));
            if !is_change && !is_snapshot {
                continue;
            }
            let Some(payload) = self.codec.open(&file.body) else {
                self.accuse(format!("{} was published, but cannot be opened", file.path));
                continue;
            };
            let ops = if is_change {
                Change::read(&payload).map(|change| change.ops)
            } else {
                Snapshot::read(&payload).map(|snapshot| snapshot.rows)
            };
            match ops {
                Some(ops) => {
                    for op in &ops {
                        self.note_op(op);
                    }
                    if is_change {
                        self.published(&ops);
                    }
                }
                None => self.accuse(format!("{} was published, but is not in form", file.path)),
            }
        }
    }

    /// Marks the acknowledged writes that a change file publishes.
    fn published(&mut self, ops: &[Op]) {
        for op in ops {
            let place = (&op.table, &op.row);
            for write in self.acknowledged.iter_mut().filter(|write| !write.is_published) {
                if (&write.place.0, &write.place.1) != place {
                    continue;
                }
                let is_beaten = op.deleted.as_ref().is_some_and(|deleted| *deleted >= write.clock);
                let is_there = write.cell.as_ref().is_some_and(|(name, _)| {
                    op.cells.iter().any(|(column, cell)| column == name && cell.clock >= write.clock)
                });
                write.is_published |= is_beaten || is_there;
            }
        }
    }

    /// A device says that nothing waits; `is_settled` knows what it keeps in another way.
    pub fn nothing_waits(
        &mut self,
        device: usize,
        remote: &Remote,
        is_settled: &dyn Fn(&Acknowledged) -> bool,
    ) {
        self.read(remote);
        let mut waiting =
            self.acknowledged.iter().filter(|write| write.device == device && !write.is_published);
        if let Some(write) = waiting.find(|write| !is_settled(write)) {
            let rule = format!("d{device} says that nothing is pending, but {write:?} is not in the mailbox");
            self.accuse(rule);
        }
    }

    /// The last deletion of each row, published or promised.
    fn last_deletes(&self) -> BTreeMap<Place, Hlc> {
        let published = self.deletes.iter().filter_map(|(place, clocks)| Some((place, clocks.last()?)));
        let promised = self.acknowledged.iter().filter(|write| write.cell.is_none());
        let mut last: BTreeMap<Place, Hlc> = BTreeMap::new();
        for (place, clock) in published.chain(promised.map(|write| (&write.place, &write.clock))) {
            if last.get(place).is_none_or(|known| known < clock) {
                last.insert(place.clone(), clock.clone());
            }
        }
        last
    }

    /// Every acknowledged write (of one device, where that is given) is in the final state, beaten, or in the
    /// keeping of `kept`. Without `deletions`, those are left out.
    pub fn check_promises(
        &self,
        rows: &Rows,
        of: Option<usize>,
        deletions: bool,
        kept: &dyn Fn(&str) -> bool,
    ) -> Verdict {
        let deletes = self.last_deletes();
        let is_meant = |write: &&Acknowledged| {
            of.is_none_or(|device| write.device == device) && (deletions || write.cell.is_some())
        };
        for write in self.acknowledged.iter().filter(is_meant) {
            let deleted = deletes.get(&write.place);
            let is_deleted = deleted.is_some_and(|deleted| *deleted >= write.clock);
            let row = rows.get(&write.place);
            let holds = match &write.cell {
                None => {
                    is_deleted
                        && row.is_none_or(|row| row.cells.values().all(|cell| cell.clock > write.clock))
                }
                Some((name, value)) => {
                    let cell = row.and_then(|row| row.cells.get(name));
                    cell.is_some_and(|cell| {
                        cell.clock > write.clock || cell.clock == write.clock && cell.value == *value
                    }) || is_deleted
                        || value.as_str().is_some_and(kept)
                }
            };
            if !holds {
                return Err(format!("{write:?} was acknowledged, and is lost: the row is {row:?}"));
            }
        }
        Ok(())
    }

    /// No row came back by a write older than its deletion.
    pub fn check_deletions(&self, rows: &Rows) -> Verdict {
        for (place, deleted) in &self.last_deletes() {
            let Some(row) = rows.get(place) else { continue };
            for (name, cell) in &row.cells {
                if cell.clock <= *deleted {
                    return Err(format!(
                        "{place:?}.{name} = {} of {} shows, but was deleted at {deleted}",
                        cell.value, cell.clock
                    ));
                }
            }
            if row.cells.is_empty() || row.deleted.as_ref() == Some(deleted) {
                continue;
            }
            // The deletion is forgotten. A late column may be written again to a row that lives (rule 3.12), but no row
            // lives by such columns alone.
            let is_late = |cell: &crate::wire::Cell| {
                let first = cell.value.as_str().and_then(|text| self.first_clocks.get(text));
                first.is_some_and(|first| first <= deleted)
            };
            if row.cells.values().all(is_late) {
                return Err(format!(
                    "{place:?} came back as {row:?}, but its deletion at {deleted} was collected"
                ));
            }
        }
        Ok(())
    }

    /// The join of all files in the mailbox is what the devices hold.
    pub fn check_mailbox(&self, remote: &Remote, rows: &Rows) -> Verdict {
        let join = Join::of(&remote.truth(), &self.codec)?;
        differs("the join of the mailbox's files", &join.rows, "the devices", rows)
    }
}

/// Tells the first row in which two states differ.
pub fn differs(a_name: &str, a: &Rows, b_name: &str, b: &Rows) -> Verdict {
    let places: BTreeSet<&Place> = a.keys().chain(b.keys()).collect();
    for place in places {
        if a.get(place) != b.get(place) {
            return Err(format!(
                "{place:?} differs: {a_name} {:?}, {b_name} {:?}",
                a.get(place),
                b.get(place)
            ));
        }
    }
    Ok(())
}
