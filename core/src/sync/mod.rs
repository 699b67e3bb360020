//! Sync: the exchange of one store with one mailbox.
//!
//! Each module is one step: [`manifest`] reads which state is current, [`bootstrap`] founds a mesh,
//! [`key`] proves a passphrase, [`join`] settles which mesh a store belongs to, [`restore`] adopts a
//! snapshot, fetched by [`spool`], [`pull`] merges change files page by page ([`page`]), [`flush`] publishes the outbox,
//! [`device`] acknowledges, [`compact`] writes a snapshot and forgets what [`collect`] allows, [`coverage`] takes an
//! epoch without its snapshot, [`honesty`] notices what a mailbox lost, [`stale`] settles work that an adopted
//! snapshot makes too late, [`import`] merges rows of an export, [`connect`] runs them in order, [`progress`] tells how far it is, [`inspect`] looks for
//! what is wrong. They reach time, randomness, store and
//! mailbox through a [`Context`] and a [`Link`] only.

pub(crate) mod bootstrap;
mod collect;
pub(crate) mod compact;
pub(crate) mod connect;
mod coverage;
pub(crate) mod device;
pub(crate) mod flush;
mod honesty;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod join;
pub(crate) mod key;
mod link;
pub(crate) mod manifest;
mod page;
pub(crate) mod progress;
pub(crate) mod pull;
mod restore;
mod spool;
mod stale;

use std::{borrow::Cow, sync::Arc, time::Duration};

use interocitor_crypto::{Key, OpenError};
pub(crate) use link::Link;

use crate::{
    bodies::Bodies,
    config::{JoinPolicy, SchemaPolicy},
    error::Result,
    events::{Event, EventHub},
    host::{self, Host},
    mailbox::FileEntry,
    merge::Strategies,
    store::{Durability, Store, Tx},
    value::Name,
    wire::{WireError, manifest::Manifest},
};

/// The part of the configuration that sync needs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server_id: String,
    pub(crate) managed: bool,
    pub(crate) schema_version: Option<u64>,
    pub(crate) schema_policy: SchemaPolicy,
    pub(crate) join_policy: JoinPolicy,
    pub(crate) full_rows: bool,
    pub(crate) device_name: Option<String>,
    pub(crate) device_type: Option<String>,
    pub(crate) stage_timeout: Duration,
    /// Names of the mailboxes that are to have every change file, too.
    pub(crate) replicas: Vec<String>,
}

/// This device: its store, and the seams to everything else.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bodies: Bodies,
    pub(crate) events: EventHub,
    pub(crate) progress: progress::Progress,
    pub(crate) settings: Settings,
    pub(crate) strategies: Strategies,
    /// Node id of every clock issued here.
    pub(crate) device: Name,
    /// This copy of the store.
    pub(crate) install: String,
}

impl Context {
    pub(crate) fn device_id(&self) -> Cow<'_, str> {
        self.device.to_string_lossy()
    }

    pub(crate) fn emit(&self, event: &Event) {
        self.events.emit(event);
    }

    /// A short read on the store, inline.
    pub(crate) fn read<T>(&self, work: impl FnMut(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.store.read_with(work)
    }

    /// A short write on the store, inline.
    pub(crate) fn write<T>(&self, work: impl FnMut(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.store.write_with(Durability::Process, work)
    }

    /// Long work on the store, off the async threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Context) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let context = Arc::clone(self);
        host::run_blocking(&*self.host, move || work(&context)).await
    }
}

/// What proving a key fetched already, for the pull that follows.
#[derive(Debug, Default)]
pub(crate) struct Foretaste {
    /// The manifest in force.
    manifest: Option<Arc<Manifest>>,
    /// The listing of `changes/`.
    files: Option<Vec<FileEntry>>,
    /// The manifest's snapshot.
    snapshot: Option<spool::Spool>,
}

/// How bodies are stored.
#[derive(Debug, Clone)]
pub(crate) enum Codec {
    /// As they are.
    Plain,
    /// In encrypted envelopes.
    Sealed(Key),
}

impl Codec {
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self, Codec::Sealed(_))
    }

    /// The payload of a stored body.
    pub(crate) fn open<'a>(&self, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, Fault> {
        match self {
            Codec::Plain => Ok(Cow::Borrowed(stored)),
            Codec::Sealed(key) => Ok(Cow::Owned(interocitor_crypto::open(key, stored)?)),
        }
    }

    /// The stored body of a payload.
    pub(crate) fn seal(&self, host: &dyn Host, payload: Vec<u8>) -> Result<Vec<u8>, Fault> {
        match self {
            Codec::Plain => Ok(payload),
            Codec::Sealed(key) => {
                let mut iv = [0; 12];
                host.random(&mut iv);
                interocitor_crypto::seal(key, iv, &payload).map_err(|_| Fault::TooLong)
            }
        }
    }
}

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Envelope(#[from] OpenError),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("it is too long to be encrypted")]
    TooLong,
    #[error("the manifest names it, but it is missing")]
    Missing,
}

impl Fault {
    /// Whether another key might open it.
    pub(crate) fn is_wrong_key(&self) -> bool {
        matches!(self, Fault::Envelope(OpenError::WrongKeyOrCorrupt))
    }
}
