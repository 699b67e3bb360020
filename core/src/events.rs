//! Events: what the engine tells the app while it works.
//!
//! Names are those of the JavaScript client. Rows travel as ids, one event for each commit or page;
//! a listener that falls behind gets its changes folded together and then [`Event::Lagged`], and
//! never makes the engine wait.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::{
    local::Changes,
    transfer::{TransferKind, TransferState},
    value::Name,
};

/// Events a listener may leave unread before changes are folded together.
const QUEUE: usize = 256;

/// Ids in one folded event before it gives way to [`Event::Lagged`].
const FOLDED_IDS: usize = 10_000;

/// State of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ConnectionStatus {
    /// Not connected, or the mailbox cannot be reached now: local work goes on.
    Offline,
    /// Connecting.
    Connecting,
    /// Exchanging changes.
    Syncing,
    /// Connected, nothing to do.
    Idle,
}

/// Something that happened. Never holds values, keys or passphrases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are those of the JavaScript client's events")]
pub enum Event {
    /// Rows have new values or came to life.
    #[serde(rename = "change")]
    Change { table: String, row_ids: Vec<String> },
    /// Rows were deleted.
    #[serde(rename = "delete")]
    Delete { table: String, row_ids: Vec<String> },
    /// Read again what you show: this listener fell behind, or another process changed the store.
    #[serde(rename = "lagged")]
    Lagged,
    #[serde(rename = "sync:start")]
    SyncStart,
    #[serde(rename = "sync:complete")]
    SyncComplete { entries_merged: u64 },
    #[serde(rename = "sync:error")]
    SyncError { code: String, error: String },
    #[serde(rename = "flush:start")]
    FlushStart { entry_count: u64 },
    /// So many change files of this flush are in the mailbox, and so many batches still wait.
    #[serde(rename = "flush:progress")]
    FlushProgress { published: u64, waiting: u64 },
    #[serde(rename = "flush:complete")]
    FlushComplete,
    #[serde(rename = "flush:error")]
    FlushError { code: String, error: String },
    #[serde(rename = "rehydrate:start")]
    RehydrateStart { epoch: u64 },
    #[serde(rename = "rehydrate:complete")]
    RehydrateComplete { row_count: u64 },
    #[serde(rename = "connection:status")]
    ConnectionStatus { status: ConnectionStatus },
    #[serde(rename = "connect:state")]
    ConnectState {
        remote_path: String,
        device_id: String,
        local_epoch: u64,
        remote_epoch: u64,
        mesh_id: String,
        encrypted: bool,
    },
    #[serde(rename = "connect:noop")]
    ConnectNoop { reason: &'static str },
    #[serde(rename = "connect:error")]
    ConnectError { stage: String, code: String, error: String },
    #[serde(rename = "join:existing-mesh")]
    JoinExistingMesh {
        previous_mesh_id: String,
        next_mesh_id: String,
        policy: &'static str,
        local_row_count: u64,
        queued_change_count: u64,
    },
    #[serde(rename = "transport:teardown")]
    TransportTeardown { reason: &'static str },
    #[serde(rename = "auth:required")]
    AuthRequired,
    #[serde(rename = "auth:complete")]
    AuthComplete,
    #[serde(rename = "mesh:configured")]
    MeshConfigured { device_id: String, encrypted: bool, had_passphrase: bool },
    #[serde(rename = "encryption:resolved")]
    EncryptionResolved { strategy: &'static str, encrypted: bool },
    #[serde(rename = "credentials:restored")]
    CredentialsRestored { source: &'static str, device_id_changed: bool, had_passphrase: bool },
    #[serde(rename = "credentials:persisted")]
    CredentialsPersisted { device_id: String, encrypted: bool },
    #[serde(rename = "credentials:conflict")]
    CredentialsConflict { stored_device_id: String, active_device_id: String },
    #[serde(rename = "credentials:meshMismatch")]
    CredentialsMeshMismatch { stored_mesh_id: String, active_mesh_id: String },
    /// A file could not be read; it is in quarantine and sync goes on.
    #[serde(rename = "decode:error")]
    DecodeError { path: String, error: String },
    /// A write was not published: its row was deleted for good elsewhere. It waits in quarantine.
    #[serde(rename = "write:quarantined")]
    WriteQuarantined { table: String, row_id: String },
    #[serde(rename = "schema:mismatch")]
    SchemaMismatch { local: u64, remote: u64 },
    /// A peer's clock, or ours, is further from the wall clock than five minutes.
    #[serde(rename = "clock:skew")]
    ClockSkew { device: String, ahead_ms: u64 },
    /// Two values met under one clock; the greater one was kept.
    #[serde(rename = "merge:tie")]
    MergeTie { table: String, row_id: String, field: String },
    /// A peer's row holds a value that is unique here.
    #[serde(rename = "unique:duplicate")]
    UniqueDuplicate { table: String, row_id: String, field: String },
    /// The mailbox shows an older state than was seen before.
    #[serde(rename = "remote:rollback")]
    RemoteRollback { known_generation: u64, generation: u64, known_epoch: u64, epoch: u64 },
    /// Something that must be in the mailbox is not: the snapshot at `path`, or the change files of `device` with the
    /// numbers `first` to `last`, missing for a day although later ones are there.
    #[serde(rename = "remote:withheld")]
    RemoteWithheld { path: Option<String>, device: Option<String>, first: u64, last: u64 },
    /// Another client had put an older or another mesh in the place of ours; ours is in force again.
    #[serde(rename = "remote:repaired")]
    RemoteRepaired { generation: u64, found_generation: u64 },
    /// A compaction by itself begins; `trigger` is `immediate` or `delayed`.
    #[serde(rename = "compact:auto:start")]
    CompactAutoStart { trigger: &'static str },
    #[serde(rename = "compact:auto:complete")]
    CompactAutoComplete { trigger: &'static str, epoch: u64, deleted: u64 },
    /// It was left to others or to later: `sampling`, `other-clients`, `not-the-writer`, `overtaken` or
    /// `rows-wait-for-files`.
    #[serde(rename = "compact:auto:skip")]
    CompactAutoSkip { trigger: &'static str, reason: &'static str },
    #[serde(rename = "compact:auto:error")]
    CompactAutoError { code: String, error: String },
    /// The mailbox refused or failed; tried again after the wait.
    #[serde(rename = "remote:access")]
    RemoteAccess { kind: String, error: String, retry_in_ms: u64 },
    /// A pairing code is ready to be scanned. `intent` is `share` or `join`, in all four events.
    #[serde(rename = "pairing:waiting")]
    PairingWaiting { intent: &'static str },
    /// The other device is there.
    #[serde(rename = "pairing:scanned")]
    PairingScanned { intent: &'static str },
    /// The credential lies in the mailbox, for the other device alone.
    #[serde(rename = "pairing:sent")]
    PairingSent { intent: &'static str },
    /// The device that wanted it has the credential: both are done.
    #[serde(rename = "pairing:received")]
    PairingReceived { intent: &'static str },
    /// A file or what is to be done about it is in another state; both are `None` where nothing is to be done.
    #[serde(rename = "file:state")]
    FileState { path: String, is_here: bool, kind: Option<TransferKind>, state: Option<TransferState> },
    /// A transfer moves on, told at most four times a second.
    #[serde(rename = "file:progress")]
    FileProgress { path: String, bytes: u64, bytes_total: Option<u64> },
    /// A transfer failed. It is tried again after the wait, or not at all as it is.
    #[serde(rename = "file:error")]
    FileError { path: String, code: String, error: String, retry_in_ms: Option<u64> },
    /// A replica was brought up to date: it has `files`, of which `copied` were written now.
    #[serde(rename = "replica:complete")]
    ReplicaComplete { replica: String, files: u64, copied: u64, bytes: u64 },
    /// A replica is being brought up to date, told at most four times a second.
    #[serde(rename = "replica:progress")]
    ReplicaProgress { replica: String, files: u64, files_total: u64, bytes: u64 },
    /// A replica could not be written to. What it lacks is caught up: after the wait, or with the next exchange where
    /// nothing runs in the background. The main mailbox is not concerned.
    #[serde(rename = "replica:error")]
    ReplicaError { replica: String, code: String, error: String, retryable: bool, retry_in_ms: Option<u64> },
    /// An export moves on, told at most four times a second.
    #[serde(rename = "export:progress")]
    ExportProgress { rows: u64, files: u64, bytes: u64 },
    /// An import moves on, told at most four times a second.
    #[serde(rename = "import:progress")]
    ImportProgress { rows: u64, files: u64, bytes: u64 },
    #[serde(rename = "trace:manifest")]
    TraceManifest { op: &'static str, reason: &'static str, generation: u64 },
    #[serde(rename = "trace:head")]
    TraceHead { op: &'static str, prior_hlc: Option<String>, next_hlc: Option<String> },
}

impl Event {
    /// The name in the JavaScript client: `sync:complete`, `change`, …
    pub fn name(&self) -> String {
        let json = self.to_json();
        json.split('"').nth(3).unwrap_or_default().to_owned()
    }

    /// The event as a JSON object with its name as `event`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Beats whenever something happened, whatever it was; of many beats one is left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<watch::Sender<u64>>);

impl Pulse {
    pub(crate) fn beat(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Feels the beats from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// Hands events to every subscription.
#[derive(Default)]
pub(crate) struct EventHub {
    pulse: Pulse,
    queues: Mutex<Vec<Weak<Mutex<Queue>>>>,
    watches: Mutex<Vec<Weak<Watch>>>,
    /// What happened while the database was opened, for whoever listens first.
    opening: Mutex<Vec<Event>>,
    is_closed: AtomicBool,
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    closed: bool,
}

impl Queue {
    fn push(&mut self, event: &Event) {
        if self.events.len() >= QUEUE {
            self.fold(event);
        } else {
            self.events.push_back(event.clone());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Over the limit: ids are added to an event of their table that waits already.
    fn fold(&mut self, event: &Event) {
        let folded = match event {
            Event::Change { table, row_ids } | Event::Delete { table, row_ids } => {
                self.events.iter_mut().rev().find_map(|waiting| match (waiting, event) {
                    (Event::Change { table: theirs, row_ids: ids }, Event::Change { .. })
                    | (Event::Delete { table: theirs, row_ids: ids }, Event::Delete { .. })
                        if theirs == table && ids.len() + row_ids.len() <= FOLDED_IDS =>
                    {
                        ids.extend(row_ids.iter().cloned());
                        Some(())
                    }
                    _ => None,
                })
            }
            _ => None,
        };
        if folded.is_none() {
            self.events.clear();
            self.events.push_back(Event::Lagged);
        }
    }
}

impl EventHub {
    /// Beats with every event, with every change and at the end.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Tells everyone.
    pub(crate) fn emit(&self, event: &Event) {
        self.pulse.beat();
        tracing::debug!(target: "interocitor", event = %event.name(), "event");
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            queue.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            true
        });
    }

    /// Keeps an event of the opening, when nobody can listen yet, for the first subscription.
    pub(crate) fn emit_at_first(&self, event: Event) {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Tells which rows changed.
    pub(crate) fn emit_changes(&self, changes: &Changes) {
        let texts = |ids: Vec<&Name>| ids.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        self.pulse.beat();
        for watch in self.watches() {
            if changes.0.contains_key(&watch.table) {
                watch.mark();
            }
        }
        if self.queues.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        for (table, rows) in &changes.0 {
            let table = table.to_string();
            let (changed, deleted) = (texts(rows.rows(true)), texts(rows.rows(false)));
            if !changed.is_empty() {
                self.emit(&Event::Change { table: table.clone(), row_ids: changed });
            }
            if !deleted.is_empty() {
                self.emit(&Event::Delete { table, row_ids: deleted });
            }
        }
    }

    pub(crate) fn subscribe(&self) -> Events {
        let events = std::mem::take(&mut *self.opening.lock().unwrap_or_else(PoisonError::into_inner));
        let closed = self.is_closed.load(Ordering::Acquire);
        let queue = Arc::new(Mutex::new(Queue { events: events.into(), closed, waker: None }));
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&queue));
        Events(queue)
    }

    /// Watches one table, from now on.
    pub(crate) fn watch(&self, table: &Name) -> TableWatch {
        let watch = Arc::new(Watch {
            table: table.clone(),
            is_changed: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            notify: Notify::new(),
        });
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&watch));
        TableWatch(watch)
    }

    /// Tells every watch to look again, whatever changed.
    pub(crate) fn mark_all(&self) {
        self.watches().iter().for_each(|watch| watch.mark());
    }

    /// Tells that others changed rows of the store, nobody here knows which.
    pub(crate) fn emit_changes_of_others(&self) {
        self.mark_all();
        self.emit(&Event::Lagged);
    }

    fn watches(&self) -> Vec<Arc<Watch>> {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends every subscription once it is read out.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.pulse.beat();
        for watch in self.watches() {
            watch.is_closed.store(true, Ordering::Release);
            watch.notify.notify_one();
        }
        for queue in self.queues.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let Some(queue) = queue.upgrade() else { continue };
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.closed = true;
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}

#[derive(Debug)]
struct Watch {
    table: Name,
    is_changed: AtomicBool,
    is_closed: AtomicBool,
    notify: Notify,
}

impl Watch {
    fn mark(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

/// Knows whether a table changed; of many changes one is left.
#[derive(Debug)]
pub(crate) struct TableWatch(Arc<Watch>);

impl TableWatch {
    /// Waits until the table has changed since the last time; `false` after the engine was shut down.
    pub(crate) async fn changed(&self) -> bool {
        loop {
            if self.0.is_closed.load(Ordering::Acquire) {
                return false;
            }
            if self.0.is_changed.swap(false, Ordering::AcqRel) {
                return true;
            }
            self.0.notify.notified().await;
        }
    }
}

/// A subscription: the events since it was made, in order; the first one of a database also has those
/// of its opening. Dropping it ends it.
#[derive(Debug)]
pub struct Events(Arc<Mutex<Queue>>);

impl Events {
    /// The next event; `None` after the engine was shut down.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue().events.pop_front()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = self.queue();
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str) -> Event {
        Event::Change { table: "t".into(), row_ids: vec![id.into()] }
    }

    #[test]
    fn names_are_those_of_javascript() {
        assert_eq!(change("r").name(), "change");
        assert_eq!(
            Event::SyncComplete { entries_merged: 3 }.to_json(),
            r#"{"event":"sync:complete","entriesMerged":3}"#
        );
        assert_eq!(Event::Lagged.name(), "lagged");
    }

    #[tokio::test]
    async fn subscribers_get_everything_until_the_end() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        hub.emit(&change("a"));
        hub.emit(&Event::FlushComplete);
        hub.close();
        assert_eq!(events.next().await, Some(change("a")));
        assert_eq!(events.next().await, Some(Event::FlushComplete));
        assert_eq!(events.next().await, None);
        assert_eq!(hub.subscribe().next().await, None, "who comes after the end hears of it");
    }

    #[test]
    fn a_slow_listener_gets_folded_changes_and_then_lagged() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        for at in 0..QUEUE + 50 {
            hub.emit(&change(&at.to_string()));
        }
        let mut seen = 0;
        while let Some(Event::Change { row_ids, .. }) = events.try_next() {
            seen += row_ids.len();
        }
        assert_eq!(seen, QUEUE + 50);
        for _ in 0..=QUEUE {
            hub.emit(&Event::FlushComplete);
        }
        assert_eq!(events.try_next(), Some(Event::Lagged));
        assert_eq!(events.try_next(), None);
    }

    #[test]
    fn a_dropped_listener_is_forgotten() {
        let hub = EventHub::default();
        drop(hub.subscribe());
        hub.emit(&Event::Lagged);
        assert!(hub.queues.lock().unwrap().is_empty());
    }
}
