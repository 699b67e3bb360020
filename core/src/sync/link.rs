//! A mailbox and the mesh in it, with what is remembered between requests so that none is made twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Codec;
use crate::{
    error::Result,
    mailbox::{FileEntry, MailboxErrorKind, MailboxResult, StorageAdapter},
    wire::{
        layout::{Layout, original_of_copy},
        manifest::{Manifest, Pointer},
    },
};

/// For so long a pointer that was read stands for the one that lies there, in ms: a little more than the time
/// between two polls.
const LATELY_MS: u64 = 2 * 60 * 1000;

/// For so long a manifest stands while its pointer stays the same, in ms. A mesh that was founded over ours has the
/// same pointer as a young one.
const MANIFEST_MS: u64 = 3600 * 1000;

/// Where creating is not exclusive, another compactor may still write over a manifest, for as long as an election may
/// take and a little more, in ms.
pub(super) const UNSETTLED_MS: u64 = 15 * 60 * 1000;

/// For so long a listing is used again, in ms.
const LISTING_MS: u64 = 10 * 1000;

/// A mailbox and the mesh in it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) adapter: Arc<dyn StorageAdapter>,
    pub(crate) layout: Layout,
    pub(crate) codec: Codec,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The manifest last accepted, with the pointer that named it.
    known: Option<(Pointer, Arc<Manifest>)>,
    /// When that manifest was read, and first read, wall ms.
    read_ms: u64,
    first_ms: u64,
    /// Content hash of the manifest that was read last.
    hash: Option<String>,
    /// When that pointer was last seen in its place, wall ms.
    seen_ms: Option<u64>,
    /// Its version in the listing of the tree that came before it was read.
    pointer_version: Option<String>,
    /// `changes/` as the last tree showed it, until somebody asks.
    tree: Option<Vec<FileEntry>>,
    /// Names in `changes/` as last listed, and when.
    listing: Option<(u64, Vec<String>)>,
    /// A change file that was read before its turn.
    change: Option<(String, Bytes)>,
}

/// The files of `changes/` without the copies that file-sync services made of them, and those copies. One whose
/// original is not there counts as a file of its own.
pub(super) fn without_copies(files: Vec<FileEntry>) -> (Vec<FileEntry>, Vec<FileEntry>) {
    // Most listings have none, and are long.
    if files.iter().all(|file| original_of_copy(&file.name).is_none()) {
        return (files, Vec::new());
    }
    let names: HashSet<String> = files.iter().map(|file| file.name.clone()).collect();
    let is_copy = |name: &str| original_of_copy(name).is_some_and(|original| names.contains(&original));
    files.into_iter().partition(|file| !is_copy(&file.name))
}

impl Link {
    pub(crate) fn new(adapter: Arc<dyn StorageAdapter>, layout: Layout, codec: Codec) -> Self {
        Self { adapter, layout, codec, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of `changes/`; a folder that is missing has none.
    pub(super) async fn list_changes(&self) -> Result<Vec<FileEntry>> {
        if let Some(files) = self.memory().tree.take() {
            return Ok(files);
        }
        match self.adapter.list_files(&self.layout.changes()).await {
            Ok(files) => Ok(without_copies(files).0),
            Err(error) if error.kind() == MailboxErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the whole mesh where the mailbox can: one request in place of the pointer and `changes/`. Gives
    /// the manifest that is known where the pointer is still the one that named it.
    pub(super) async fn list_tree(&self) -> Result<Option<Arc<Manifest>>> {
        let Some((_, manifest)) = self.known() else { return Ok(None) };
        let Some(files) = self.adapter.list_tree(self.layout.root()).await? else { return Ok(None) };
        let (pointer, changes) = (self.layout.pointer(), format!("{}/", self.layout.changes()));
        let version = files.iter().find(|file| file.path == pointer).and_then(|file| file.etag.clone());
        let is_change =
            |file: &FileEntry| file.path.strip_prefix(&changes).is_some_and(|name| !name.contains('/'));
        let mut memory = self.memory();
        memory.tree = Some(without_copies(files.into_iter().filter(is_change).collect()).0);
        let is_same = version.is_some() && memory.pointer_version == version;
        // What is read now is at least as new as this version.
        memory.pointer_version = version;
        Ok(is_same.then_some(manifest))
    }

    /// The manifest that was accepted last, if one was.
    pub(crate) fn manifest(&self) -> Option<Arc<Manifest>> {
        self.known().map(|(_, manifest)| manifest)
    }

    pub(super) fn known(&self) -> Option<(Pointer, Arc<Manifest>)> {
        self.memory().known.clone()
    }

    /// The known manifest, if its pointer was seen lately.
    pub(super) fn known_lately(&self, now_ms: u64) -> Option<Arc<Manifest>> {
        let memory = self.memory();
        let is_fresh = memory.seen_ms.is_some_and(|seen| now_ms.abs_diff(seen) <= LATELY_MS);
        memory.known.as_ref().filter(|_| is_fresh).map(|(_, manifest)| Arc::clone(manifest))
    }

    pub(super) fn remember(&self, pointer: Pointer, manifest: &Arc<Manifest>, now_ms: u64) {
        let mut memory = self.memory();
        if memory.hash.as_ref() != Some(&manifest.content_hash) {
            memory.hash = Some(manifest.content_hash.clone());
            memory.first_ms = now_ms;
        }
        memory.known = Some((pointer, Arc::clone(manifest)));
        memory.read_ms = now_ms;
    }

    /// Forgets a manifest that may not be the one that lies there any more, though its pointer is.
    pub(super) fn refresh(&self, now_ms: u64) {
        let is_settled = self.adapter.capabilities().exclusive_create;
        let mut memory = self.memory();
        let is_young = !is_settled && now_ms.abs_diff(memory.first_ms) < UNSETTLED_MS;
        if is_young || now_ms.abs_diff(memory.read_ms) > MANIFEST_MS {
            memory.known = None;
        }
    }

    /// The pointer that is known was just seen in its place.
    pub(super) fn note_seen(&self, now_ms: u64) {
        self.memory().seen_ms = Some(now_ms);
    }

    /// Makes the next load read the manifest itself again.
    pub(crate) fn forget_manifest(&self) {
        let mut memory = self.memory();
        let (hash, first_ms) = (memory.hash.take(), memory.first_ms);
        *memory = Memory { first_ms, hash, ..Memory::default() };
    }

    /// Keeps the names of a listing for the flush that follows it.
    pub(super) fn keep_listing(&self, now_ms: u64, names: Vec<String>) {
        self.memory().listing = Some((now_ms, names));
    }

    /// Forgets it: the next flush is of another exchange.
    pub(crate) fn forget_listing(&self) {
        self.memory().listing = None;
    }

    /// The names of a listing that was made just now, once.
    pub(super) fn take_listing(&self, now_ms: u64) -> Option<Vec<String>> {
        let (at, names) = self.memory().listing.take()?;
        (now_ms.abs_diff(at) <= LISTING_MS).then_some(names)
    }

    /// Keeps a change file that was read before its turn.
    pub(super) fn keep_change(&self, path: String, bytes: Bytes) {
        self.memory().change = Some((path, bytes));
    }

    /// Change files, each with its own outcome, in the order asked for.
    pub(super) async fn read_changes(&self, paths: &[String]) -> Vec<MailboxResult<Bytes>> {
        let kept = self.memory().change.take();
        let Some((at, bytes)) =
            kept.and_then(|(kept, bytes)| Some((paths.iter().position(|path| *path == kept)?, bytes)))
        else {
            return self.adapter.read_many(paths).await;
        };
        let others = [&paths[..at], &paths[at + 1..]].concat();
        let mut bodies = if others.is_empty() { Vec::new() } else { self.adapter.read_many(&others).await };
        bodies.insert(at.min(bodies.len()), Ok(bytes));
        bodies
    }
}
