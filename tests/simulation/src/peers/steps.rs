//! What a JavaScript client does with a mailbox.

use serde_json::{Value, json};

use super::{Kind, NODE, NUMBER, Peer, rows::JsRow};
use crate::{
    mailbox::Remote,
    oracle::Place,
    wire::{Change, Hlc, Manifest, Op, Snapshot},
};

const ROOT: &str = "/Mesh";

/// B10 counts devices that were seen within this time, ms.
const OFFLINE_GRACE_MS: u64 = 604_800_000;

/// The clock in the name of a change file.
fn clock_of(name: &str) -> Option<Hlc> {
    Hlc::parse(name.rsplit_once("-chg_")?.0)
}

impl Peer {
    fn tick(&mut self, now_ms: u64) -> Hlc {
        self.clock = if now_ms > self.clock.0 { (now_ms, 0) } else { (self.clock.0, self.clock.1 + 1) };
        Hlc { ts: self.clock.0, counter: self.clock.1, node: NODE.to_owned() }
    }

    fn receive(&mut self, remote: &Hlc, now_ms: u64) {
        let safe = remote.ts.min(now_ms + 300_000);
        let most = now_ms.max(self.clock.0).max(safe);
        self.clock = if most == self.clock.0 && most == remote.ts {
            (most, self.clock.1.max(remote.counter) + 1)
        } else if most == self.clock.0 {
            (most, self.clock.1 + 1)
        } else if most == safe {
            (most, remote.counter + 1)
        } else {
            (most, 0)
        };
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("chg_01900000-0000-7000-8000-{:012x}", self.next_id)
    }

    fn iv(&mut self) -> [u8; 12] {
        let mut iv = [0; 12];
        self.rng.fill(&mut iv);
        iv
    }

    /// A local write: whole rows are published, whatever was written.
    pub fn write(&mut self, now_ms: u64) {
        let place: Place = (self.rng.pick(&["todos", "notes"]).to_owned(), format!("r{}", self.rng.below(6)));
        let clock = self.tick(now_ms);
        let is_delete = self.rng.permille(200);
        let (column, number) = (self.rng.pick(&["a", "b", "c"]).to_owned(), self.next_value + 1);
        let row = self.rows.entry(place.clone()).or_default();
        if is_delete {
            if row.deleted.is_some() || row.cells.is_empty() {
                return;
            }
            *row = JsRow { deleted: Some(clock.clone()), ..JsRow::default() };
        } else {
            if row.deleted.take().is_some() {
                row.cells.clear();
            }
            self.next_value = number;
            let value = json!(format!("js-{number}"));
            row.cells.insert(column, crate::wire::Cell { clock: clock.clone(), value });
        }
        let ops = vec![row.op(&place)];
        self.outbox.push(Change { clock, ops });
    }

    /// Publishes the outbox, and moves the head.
    pub fn flush(&mut self, remote: &Remote, now_ms: u64) {
        if self.kind == Kind::New {
            self.load(remote);
        }
        let Some(manifest) = self.manifest.clone().filter(|_| !self.is_poisoned) else { return };
        let mut latest: Option<Hlc> = None;
        for change in std::mem::take(&mut self.outbox) {
            let id = self.id();
            let payload = change.payload(&manifest.mesh_id, &id, NODE);
            let name = format!("{}-{id}.json", change.clock);
            let iv = self.iv();
            remote.put(NUMBER, &format!("{ROOT}/changes/{name}"), self.codec.seal(&payload, iv));
            self.receipts.insert(name);
            latest = latest.max(Some(change.clock));
        }
        let Some(latest) = latest else { return };
        if Self::head(remote).is_none_or(|head| head < latest) {
            let head = json!({"latestHlc": latest.to_string()});
            remote.put(NUMBER, &format!("{ROOT}/changes/head.json"), head.to_string());
        }
        self.cursor = self.cursor.take().max(Some(latest));
        self.introduce(remote, now_ms);
    }

    fn head(remote: &Remote) -> Option<Hlc> {
        let head: Value = serde_json::from_slice(&remote.file(&format!("{ROOT}/changes/head.json"))?).ok()?;
        Hlc::parse(head.get("latestHlc")?.as_str()?)
    }

    /// Writes the device record, with what was observed.
    fn introduce(&self, remote: &Remote, now_ms: u64) {
        let mut record = json!({"deviceId": NODE, "retired": false, "lastSeenAt": iso(now_ms)});
        if let Some(manifest) = self.manifest.as_ref().filter(|manifest| !manifest.watermark.is_empty()) {
            record["observedWatermarkHlc"] = json!(manifest.watermark);
            record["observedEpoch"] = json!(manifest.epoch);
        }
        remote.put(NUMBER, &format!("{ROOT}/devices/{NODE}.json"), record.to_string());
    }

    fn load(&mut self, remote: &Remote) {
        if let Some(manifest) = Manifest::current(|path| remote.file(path)) {
            self.manifest = Some(manifest);
        }
    }

    /// Reads what it takes for new.
    pub fn pull(&mut self, remote: &Remote, now_ms: u64) {
        if self.is_poisoned || self.manifest.is_none() {
            return;
        }
        if self.kind == Kind::B10
            && let (Some(head), Some(cursor)) = (Self::head(remote), &self.cursor)
            && head <= *cursor
        {
            return;
        }
        let mut names: Vec<(Hlc, String)> = remote
            .names(&format!("{ROOT}/changes"))
            .into_iter()
            .filter_map(|name| Some((clock_of(&name)?, name)))
            .filter(|(clock, name)| match self.kind {
                Kind::B10 => self.cursor.as_ref().is_none_or(|cursor| clock > cursor),
                Kind::New => !self.receipts.contains(name),
            })
            .collect();
        names.sort();
        for (clock, name) in names {
            let body = remote.file(&format!("{ROOT}/changes/{name}"));
            let change =
                body.and_then(|body| self.codec.open(&body)).and_then(|payload| Change::read(&payload));
            let Some(change) = change else {
                self.is_poisoned = true;
                return;
            };
            self.receive(&change.clock, now_ms);
            change.ops.iter().for_each(|op| self.merge(op));
            self.receipts.insert(name);
            self.cursor = self.cursor.take().max(Some(clock));
        }
    }

    /// B10 merges into what it pulled before, and stores that: its own newer columns are undone.
    fn merge(&mut self, op: &Op) {
        let place = (op.table.clone(), op.row.clone());
        match self.kind {
            Kind::New => self.rows.entry(place).or_default().merge(op),
            Kind::B10 => {
                let stored = self.rows.get(&place).cloned().unwrap_or_default();
                let row = self.cache.entry(place.clone()).or_insert(stored);
                row.merge(op);
                self.rows.insert(place, row.clone());
            }
        }
    }

    /// Reads the manifest anew; a snapshot it does not know replaces everything.
    pub fn connect(&mut self, remote: &Remote, now_ms: u64) {
        self.is_poisoned = false;
        if self.habits.founds_anew && self.manifest.is_some() && remote.is_failing() {
            self.found_anew(remote);
            return;
        }
        self.load(remote);
        let Some(manifest) = self.manifest.clone() else { return };
        if self.epoch >= manifest.epoch {
            self.introduce(remote, now_ms);
            self.pull(remote, now_ms);
            return;
        }
        if self.kind == Kind::New {
            self.flush(remote, now_ms);
        }
        // B10 throws its outbox away here.
        self.outbox.clear();
        let path = manifest.snapshot_path.clone().unwrap_or_default();
        let body = remote.file(&path).and_then(|body| self.codec.open(&body));
        let Some(snapshot) = body.and_then(|payload| Snapshot::read(&payload)) else {
            self.is_poisoned = true;
            return;
        };
        self.rows.clear();
        for row in &snapshot.rows {
            let mut stored = JsRow::default();
            stored.cells.extend(row.cells.iter().cloned());
            // They know delete clocks of tombstones only.
            stored.deleted = row.deleted.clone().filter(|_| row.cells.is_empty());
            self.rows.insert((row.table.clone(), row.row.clone()), stored);
        }
        self.receipts = snapshot.covered.into_iter().collect();
        self.cursor = None;
        self.epoch = snapshot.epoch;
        if let Some(watermark) = Hlc::parse(&manifest.watermark) {
            self.receive(&watermark, now_ms);
        }
        self.introduce(remote, now_ms);
        self.pull(remote, now_ms);
    }

    /// Protocol.md 7.4: generation 1 over a live mesh, and every row once more.
    fn found_anew(&mut self, remote: &Remote) {
        let Some(known) = self.manifest.clone() else { return };
        let manifest = Manifest {
            generation: 1,
            epoch: 0,
            watermark: String::new(),
            snapshot_path: None,
            floor: String::new(),
            ..known
        };
        remote.put(NUMBER, &format!("{ROOT}/manifest-1.json"), manifest.encode(""));
        remote.put(NUMBER, &format!("{ROOT}/manifest.json"), manifest.pointer());
        self.manifest = Some(manifest);
        let rows = self
            .rows
            .iter()
            .filter_map(|(place, row)| Some(Change { clock: row.greatest()?, ops: vec![row.op(place)] }));
        self.outbox = rows.collect();
    }

    /// Writes a snapshot, and deletes what it takes for superfluous.
    pub fn compact(&mut self, remote: &Remote, now_ms: u64) {
        let watermark = Hlc { ts: self.clock.0, counter: self.clock.1, node: NODE.to_owned() };
        if self.kind == Kind::New {
            self.load(remote);
            if self.manifest.as_ref().is_some_and(|manifest| manifest.epoch > self.epoch) {
                self.connect(remote, now_ms);
            }
            self.flush(remote, now_ms);
        }
        self.pull(remote, now_ms);
        let Some(known) = self.manifest.clone().filter(|_| !self.is_poisoned) else { return };
        let floor = if self.kind == Kind::B10 { Self::floor(remote, now_ms, &known.floor) } else { None };
        let is_collected = |row: &JsRow| row.deleted.as_ref().is_some_and(|at| floor.as_ref() >= Some(at));
        let rows = self.rows.iter().filter(|(_, row)| !is_collected(row)).map(|(place, row)| row.op(place));
        let snapshot = Snapshot {
            epoch: known.epoch + 1,
            is_ours: false,
            covered: self.receipts.iter().cloned().collect(),
            rows: rows.collect(),
        };
        let path = format!("{ROOT}/mainline/snapshot-{}-server_relay_1.json", snapshot.epoch);
        let payload = snapshot.payload(&known.mesh_id, &watermark, self.kind == Kind::New);
        let iv = self.iv();
        remote.put(NUMBER, &path, self.codec.seal(&payload, iv));
        let floor = floor.map(|floor| floor.to_string()).unwrap_or_default();
        let fields = match self.kind {
            Kind::B10 => format!(",\"gcFloorHlc\":\"{floor}\",\"offlineGraceMs\":{OFFLINE_GRACE_MS}"),
            Kind::New => {
                ",\"retention\":{\"compactAfterMs\":604800000,\"maxOfflineDurationMs\":2592000000},\"lineage\":1".into()
            }
        };
        let manifest = Manifest {
            generation: known.generation + 1,
            epoch: snapshot.epoch,
            watermark: watermark.to_string(),
            snapshot_path: Some(path.clone()),
            floor,
            ..known
        };
        let file = format!("{ROOT}/manifest-{}.json", manifest.generation);
        remote.put(NUMBER, &file, manifest.encode(&fields));
        remote.put(NUMBER, &format!("{ROOT}/manifest.json"), manifest.pointer());
        self.epoch = manifest.epoch;
        self.manifest = Some(manifest);
        self.prune(remote, &watermark, &path);
        self.introduce(remote, now_ms);
    }

    /// B10 deletes what is older than its watermark, read or not; NEW what it has read, at once.
    fn prune(&self, remote: &Remote, watermark: &Hlc, snapshot: &str) {
        for name in remote.names(&format!("{ROOT}/changes")) {
            let is_superfluous = match self.kind {
                Kind::B10 => clock_of(&name).is_some_and(|clock| clock <= *watermark),
                Kind::New => self.receipts.contains(&name),
            };
            if is_superfluous {
                remote.remove(NUMBER, &format!("{ROOT}/changes/{name}"));
            }
        }
        if self.kind == Kind::New {
            for name in remote.names(&format!("{ROOT}/mainline")) {
                let path = format!("{ROOT}/mainline/{name}");
                if path != snapshot {
                    remote.remove(NUMBER, &path);
                }
            }
        }
    }

    /// The floor of B10: the least watermark that all live devices have observed.
    fn floor(remote: &Remote, now_ms: u64, known: &str) -> Option<Hlc> {
        let known = Hlc::parse(known);
        let mut least: Option<Hlc> = None;
        for name in remote.names(&format!("{ROOT}/devices")) {
            let body = remote.file(&format!("{ROOT}/devices/{name}"))?;
            let record: Value = serde_json::from_slice(&body).ok()?;
            let text = |key: &str| record.get(key).and_then(Value::as_str);
            if text("lastSeenAt").and_then(millis).is_some_and(|seen| seen + OFFLINE_GRACE_MS < now_ms) {
                continue;
            }
            let Some(observed) = text("observedWatermarkHlc").and_then(Hlc::parse) else { return known };
            if least.as_ref().is_none_or(|least| observed < *least) {
                least = Some(observed);
            }
        }
        known.max(least)
    }
}

/// Days from 1970 to the first of January 2000.
const DAYS_TO_2000: u64 = 10_957;

/// A time as JavaScript prints it.
fn iso(ms: u64) -> String {
    let (mut days, of_day) = (ms / 86_400_000 - DAYS_TO_2000, ms % 86_400_000);
    let mut year = 2000;
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_length(year, month) {
        days -= month_length(year, month);
        month += 1;
    }
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year}-{month:02}-{:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z", days + 1)
}

/// The time that JavaScript reads from a text.
fn millis(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month) = (number(0, 4)?, number(5, 7)?);
    let years: u64 = (2000..year).map(length).sum();
    let months: u64 = (1..month).map(|month| month_length(year, month)).sum();
    let days = DAYS_TO_2000 + years + months + number(8, 10)?.checked_sub(1)?;
    Some(
        days * 86_400_000
            + number(11, 13)? * 3_600_000
            + number(14, 16)? * 60_000
            + number(17, 19)? * 1000
            + number(20, 23)?,
    )
}

fn length(year: u64) -> u64 {
    if month_length(year, 2) == 29 { 366 } else { 365 }
}

fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_javascript() {
        assert_eq!(iso(1_800_000_000_000), "2027-01-15T08:00:00.000Z");
        for ms in [1_800_000_000_000, 1_835_395_199_999, 1_709_164_800_001, 946_684_800_000] {
            assert_eq!(millis(&iso(ms)), Some(ms));
        }
    }
}
