//! The oracle: what was promised to whom, what was published, and whether the end agrees with both.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    rc::Rc,
};

use bytes::Bytes;
use interocitor_core::InspectedRow;
use serde_json::Value;

use crate::{
    mailbox::{Remote, Written},
    peers::NUMBER,
    reference::{Join, Row, Rows},
    wire::{Change, Codec, Hlc, Manifest, Op, Snapshot},
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
    /// The row in the writer's store just before.
    pub before: Option<Row>,
    /// Files that had been written to the mailbox by then.
    pub at: usize,
    /// It, or something that beats it, was found in the mailbox.
    is_published: bool,
    /// Nobody else can know the row, as far as its writer can tell: it was made by this write, or by others like it.
    is_born: bool,
    /// Its writer published it while everybody listened to its clock.
    is_in_time: bool,
}

impl Acknowledged {
    /// A column that was emptied together with a write to others: its value cannot be told from other such ones, so it
    /// is no promise, but what it replaced is gone.
    fn is_emptied(&self) -> bool {
        self.cell.as_ref().is_some_and(|(_, value)| value.is_null())
    }
}

/// Stands for a device whose store is gone.
const NOBODY: usize = usize::MAX;

/// Everything the oracle knows.
#[derive(Debug)]
pub struct Oracle {
    codec: Codec,
    /// Every clock ever seen for a column, with its value.
    cells: BTreeMap<(Place, String), BTreeMap<Hlc, Value>>,
    /// The greatest clock of a column that was published; without a column, of a deletion.
    published: BTreeMap<(Place, Option<String>), Hlc>,
    /// Every delete clock of a row that was published.
    deletes: BTreeMap<Place, BTreeSet<Hlc>>,
    /// Those of them that were published at or below the floor, and by whom.
    late_deletes: BTreeMap<(Place, Hlc), usize>,
    /// The clock under which a value counts; values are unique. That of its write, until rule 3.12 lets it be written again.
    clocks: HashMap<String, Hlc>,
    /// Values of writes that were never acknowledged: who published each first, and whether that was above the floor.
    untold: HashMap<String, (usize, bool)>,
    acknowledged: Vec<Acknowledged>,
    /// Where the write of a value stands among them.
    places: HashMap<String, usize>,
    /// Entries of the mailbox's log that were read.
    read_until: usize,
    mainline: Mainline,
    broken: Option<String>,
}

/// The snapshots that were put into force, the last ones.
#[derive(Debug, Default)]
struct Mainline {
    manifests: BTreeMap<String, Bytes>,
    snapshots: HashMap<String, Rc<Rows>>,
    in_force: VecDeque<InForce>,
}

#[derive(Debug)]
struct InForce {
    floor: Option<Hlc>,
    watermark: Option<Hlc>,
    rows: Rc<Rows>,
}

/// A device that adopts a snapshot publishes what it settled soon, and looks before whether there is a newer one; while it
/// does, others may compact.
const IN_FORCE: usize = 3;

impl Mainline {
    fn note(&mut self, codec: &Codec, file: &Written) {
        if file.path.contains("/mainline/snapshot-") {
            let rows = codec.open(&file.body).and_then(|payload| Snapshot::read(&payload));
            let rows = rows.map(|snapshot| snapshot.rows).unwrap_or_default();
            let row = |op: Op| {
                ((op.table, op.row), Row { deleted: op.deleted, cells: op.cells.into_iter().collect() })
            };
            self.snapshots.insert(file.path.clone(), Rc::new(rows.into_iter().map(row).collect()));
        } else if file.path.contains("/manifest") {
            self.manifests.insert(file.path.clone(), file.body.clone());
            let current = Manifest::current(|path| self.manifests.get(path).cloned());
            if let Some(manifest) = current.filter(|_| file.path.ends_with("/manifest.json")) {
                let rows = manifest.snapshot_path.as_ref().and_then(|path| self.snapshots.get(path));
                self.in_force.push_back(InForce {
                    floor: Hlc::parse(&manifest.floor),
                    watermark: Hlc::parse(&manifest.watermark),
                    rows: rows.cloned().unwrap_or_default(),
                });
                if self.in_force.len() > IN_FORCE {
                    self.in_force.pop_front();
                }
            }
        }
    }

    /// Whether nobody listens to a clock any more.
    fn is_below(&self, clock: &Hlc) -> bool {
        self.in_force.back().is_some_and(|last| last.floor.as_ref() >= Some(clock))
    }

    /// Whether a row lives in a snapshot whose floor took a clock.
    fn has(&self, place: &Place, clock: &Hlc) -> bool {
        self.in_force.iter().any(|snapshot| {
            let row = snapshot.rows.get(place);
            snapshot.floor.as_ref() >= Some(clock) && row.is_some_and(|row| !row.cells.is_empty())
        })
    }

    /// Whether the mesh keeps a published write although its writer is gone: the last snapshot holds it, or what beats
    /// it; or the next floor cannot pass it.
    fn keeps(&self, write: &Acknowledged) -> bool {
        let Some(last) = self.in_force.back() else { return true };
        let row = last.rows.get(&write.place);
        let is_deleted = row.is_some_and(|row| row.deleted.as_ref() >= Some(&write.clock));
        let is_there = write.cell.as_ref().is_some_and(|(name, _)| {
            row.is_some_and(|row| row.cells.get(name).is_some_and(|cell| cell.clock >= write.clock))
        });
        is_deleted || is_there || last.watermark.as_ref() < Some(&write.clock)
    }
}

/// A rule that was broken, in words.
pub type Verdict = Result<(), String>;

impl Oracle {
    /// An oracle that can read the mailbox.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            cells: BTreeMap::new(),
            published: BTreeMap::new(),
            deletes: BTreeMap::new(),
            late_deletes: BTreeMap::new(),
            clocks: HashMap::new(),
            untold: HashMap::new(),
            acknowledged: Vec::new(),
            places: HashMap::new(),
            read_until: 0,
            mainline: Mainline::default(),
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
        (device, id, at): (usize, &str, usize),
        columns: &[(String, Value)],
        row: Option<&InspectedRow>,
        before: Option<&Row>,
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
                    self.promise((device, at), place, None, deleted, before);
                }
            }
            return;
        }
        let mut written = None;
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
            let cell = Some((name.clone(), value.clone()));
            self.promise((device, at), place.clone(), cell, clock.clone(), before);
            written = Some(clock);
        }
        let Some(written) = written else { return };
        for (name, clock, value) in &row.cells {
            let known = before.and_then(|row| row.cells.get(&name.to_string()));
            let is_emptied = value.as_str() == "null"
                && clock.to_string() == written.to_string()
                && known.is_none_or(|known| !known.value.is_null() || known.clock != written);
            if is_emptied && !columns.iter().any(|(given, _)| *given == name.to_string()) {
                let cell = Some((name.to_string(), Value::Null));
                self.promise((device, at), place.clone(), cell, written.clone(), before);
            }
        }
    }

    fn promise(
        &mut self,
        (device, at): (usize, usize),
        place: Place,
        cell: Option<(String, Value)>,
        clock: Hlc,
        before: Option<&Row>,
    ) {
        // The columns of one write have one clock: the first of them tells what the row was.
        let of_it = |write: &&Acknowledged| write.device == device && write.place == place;
        let is_own = |row: &Row| row.clocks().all(|known| known.node == clock.node);
        let is_born = before.is_none_or(|row| {
            let last = self.acknowledged.iter().rev().filter(of_it).find(|write| write.clock < clock);
            is_own(row) && last.is_some_and(|last| last.is_born && !last.is_in_time)
        });
        if let Some(text) = cell.as_ref().and_then(|(_, value)| value.as_str()) {
            self.places.insert(text.to_owned(), self.acknowledged.len());
        }
        // Its writer may not know of what beats it.
        let is_beaten =
            |column| self.published.get(&(place.clone(), column)).is_some_and(|known: &Hlc| *known >= clock);
        let name = cell.as_ref().map(|(name, _)| name.clone());
        let is_published = is_beaten(None) || is_beaten(name);
        let before = before.cloned();
        let write =
            Acknowledged { device, place, cell, clock, before, at, is_published, is_born, is_in_time: false };
        self.acknowledged.push(write);
    }

    /// The rows that a text names as this oracle does.
    pub fn places_in(&self, text: &str) -> BTreeSet<Place> {
        let places = self.acknowledged.iter().map(|write| &write.place);
        places
            .chain(self.deletes.keys())
            .filter(|place| text.contains(&format!("{place:?}")))
            .cloned()
            .collect()
    }

    /// What the writes of a row say, for a report.
    pub fn acknowledged_at<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = &'a Acknowledged> {
        self.acknowledged.iter().filter(move |write| write.place == *place)
    }

    /// The store of a device is gone, by its user's will: what it alone held goes with it.
    pub fn forgive(&mut self, device: usize, remote: &Remote) {
        self.read(remote);
        let mainline = &self.mainline;
        let is_kept = |write: &Acknowledged| write.is_published && mainline.keeps(write);
        self.acknowledged.retain(|write| write.device != device || is_kept(write));
        let texts = self
            .acknowledged
            .iter()
            .enumerate()
            .filter_map(|(at, write)| Some((write.cell.as_ref()?.1.as_str()?.to_owned(), at)));
        self.places = texts.collect();
        // Who comes next under this number has not written the rest.
        for write in self.acknowledged.iter_mut().filter(|write| write.device == device) {
            write.device = NOBODY;
        }
    }

    fn note_cell(&mut self, place: &Place, column: &str, clock: &Hlc, value: &Value) {
        if let Some(text) = value.as_str() {
            self.clocks.entry(text.to_owned()).or_insert_with(|| clock.clone());
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
            self.mainline.note(&self.codec, &file);
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
                        self.note_late(&ops, file.by);
                        self.published(&ops);
                        for op in &ops {
                            self.entitle(op, file.by);
                        }
                    }
                }
                None => self.accuse(format!("{} was published, but is not in form", file.path)),
            }
        }
    }

    /// Notes deletions that come at or below the floor, where nobody takes them: they are late work themselves.
    fn note_late(&mut self, ops: &[Op], by: usize) {
        for op in ops {
            let Some(deleted) = op.deleted.as_ref().filter(|deleted| self.mainline.is_below(deleted)) else {
                continue;
            };
            let place = (op.table.clone(), op.row.clone());
            let greatest = self.published.get(&(place.clone(), None));
            if greatest.is_none_or(|known| known < deleted) {
                self.late_deletes.insert((place, deleted.clone()), by);
            }
        }
    }

    /// Marks the acknowledged writes that a change file publishes.
    fn published(&mut self, ops: &[Op]) {
        for op in ops {
            let cells = op.cells.iter().map(|(name, cell)| (Some(name.clone()), &cell.clock));
            for (column, clock) in cells.chain(op.deleted.iter().map(|deleted| (None, deleted))) {
                let greatest = self.published.entry(((op.table.clone(), op.row.clone()), column));
                let greatest = greatest.or_insert_with(|| clock.clone());
                *greatest = greatest.clone().max(clock.clone());
            }
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

    /// Rule 3.12: at or below the floor a value may be written again, under a fresh clock, to a row that the snapshot
    /// has, and to one that nobody else ever knew.
    fn entitle(&mut self, op: &Op, by: usize) {
        let place = (op.table.clone(), op.row.clone());
        for (_, cell) in &op.cells {
            let Some(text) = cell.value.as_str() else { continue };
            let is_below = self.mainline.is_below(&cell.clock);
            let Some(counts) = self.clocks.get_mut(text) else { continue };
            let Some(write) = self.places.get(text).map(|at| &mut self.acknowledged[*at]) else {
                // Stored by a process that ended before it could say so: nobody knows what it knew of the row.
                let (writer, is_in_time) = self.untold.entry(text.to_owned()).or_insert((by, !is_below));
                if *writer == by && !*is_in_time && cell.clock > *counts {
                    *counts = cell.clock.clone();
                }
                continue;
            };
            if cell.clock == write.clock && by == write.device {
                write.is_in_time |= !is_below;
            }
            let is_again = cell.clock > *counts;
            let is_new = by == write.device && write.is_born && !write.is_in_time;
            if is_again && (is_new || self.mainline.has(&place, counts)) {
                *counts = cell.clock.clone();
            }
        }
    }

    /// Whether a write that was never published made way for a later one of the same device, of which `is_settled` says
    /// that it is well kept, or that made way in its turn.
    fn has_made_way(&self, write: &Acknowledged, is_settled: &dyn Fn(&Acknowledged) -> bool) -> bool {
        let column = |write: &Acknowledged| write.cell.as_ref().map(|(name, _)| name.clone());
        let mut last = write;
        while !last.is_published {
            // Whatever a row is after its deletion, or beside a column that was emptied, is of one piece with that.
            let ends = last.cell.is_none() || last.is_emptied();
            let is_later = |other: &&Acknowledged| {
                (other.device, &other.place) == (last.device, &last.place)
                    && (other.clock > last.clock
                        || other.clock == last.clock && last.is_emptied() && !other.is_emptied())
                    && (other.cell.is_none() || ends || column(other) == column(last))
            };
            let later = self.acknowledged.iter().filter(is_later).min_by_key(|other| &other.clock);
            match later {
                Some(later) if is_settled(later) => return true,
                Some(later) => last = later,
                None => return false,
            }
        }
        last.clock > write.clock
    }

    /// A device says that nothing waits; `is_settled` knows what it keeps in another way.
    pub fn nothing_waits(
        &mut self,
        device: usize,
        remote: &Remote,
        is_settled: &dyn Fn(&Acknowledged) -> bool,
    ) {
        self.read(remote);
        let mut waiting = self
            .acknowledged
            .iter()
            .filter(|write| write.device == device && !write.is_published && !write.is_emptied());
        let is_lost = |write: &&Acknowledged| !is_settled(write) && !self.has_made_way(write, is_settled);
        if let Some(write) = waiting.find(is_lost) {
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
    /// keeping of `is_kept`. Without `deletions`, those are left out.
    pub fn check_promises(
        &self,
        rows: &Rows,
        of: Option<usize>,
        deletions: bool,
        is_kept: &dyn Fn(&Acknowledged) -> bool,
    ) -> Verdict {
        let deletes = self.last_deletes();
        let is_meant = |write: &&Acknowledged| {
            of.is_none_or(|device| write.device == device)
                && (deletions || write.cell.is_some())
                && !write.is_emptied()
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
                        || is_kept(write)
                        || self.has_made_way(write, is_kept)
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
            let late = self.late_deletes.get(&(place.clone(), deleted.clone()));
            if late == Some(&NUMBER) {
                // A JavaScript peer knows no floor, and does not follow a clock that is far ahead.
                continue;
            }
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
            // One that came too late was never taken for a deletion by those who settled their own work meanwhile.
            if late.is_some() {
                continue;
            }
            // The deletion is forgotten. A late column may be written again to a row that lives (rule 3.12), but no row
            // lives by such columns alone.
            let is_late = |cell: &crate::wire::Cell| {
                let counts = cell.value.as_str().and_then(|text| self.clocks.get(text));
                counts.is_some_and(|counts| counts <= deleted)
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
