//! One shared mailbox that misbehaves, as each device sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use interocitor_core::mailbox::{
    Body, Capabilities, FileEntry, MailboxError, MailboxErrorKind, MailboxResult, StorageAdapter,
};

use crate::{
    rng::Rng,
    weather::{Fate, Fault, Weather},
    world::{World, yield_once},
};

/// One successful write, for the oracle.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where.
    pub path: String,
    /// What.
    pub body: Bytes,
    /// When, ms since the epoch.
    pub at_ms: u64,
    /// By whom: the number of a device or peer.
    pub by: usize,
}

#[derive(Debug, Clone)]
struct Stored {
    body: Bytes,
    version: u64,
    at_ms: u64,
    by: usize,
}

struct Files {
    here: BTreeMap<String, Stored>,
    /// Deleted files with the time of their end: stale listings still show them.
    gone: BTreeMap<String, (Stored, u64)>,
    folders: BTreeSet<String>,
    version: u64,
    weather: Weather,
    is_full: bool,
    faults: Rng,
    /// Faults ordered by a story: by operation and a part of the path, each for one call.
    ordered: Vec<(&'static str, String, Fault)>,
    log: Vec<Written>,
}

/// What all devices share.
pub struct Remote {
    world: Arc<World>,
    files: Mutex<Files>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("files", &self.files().here.len()).finish_non_exhaustive()
    }
}

impl Remote {
    /// An empty mailbox.
    pub fn new(world: &Arc<World>, seed: u64, weather: Weather) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            files: Mutex::new(Files {
                here: BTreeMap::new(),
                gone: BTreeMap::new(),
                folders: BTreeSet::new(),
                version: 0,
                weather,
                is_full: false,
                faults: Rng::new(seed, "faults"),
                ordered: Vec::new(),
                log: Vec::new(),
            }),
        })
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the weather is another one.
    pub fn set_weather(&self, weather: Weather) {
        self.files().weather = weather;
    }

    /// The next call of an operation on a path that holds `part` meets a fault.
    pub fn order(&self, operation: &'static str, part: &str, fault: Fault) {
        self.files().ordered.push((operation, part.to_owned(), fault));
    }

    /// The mailbox takes no more bytes, or does again.
    pub fn set_full(&self, is_full: bool) {
        self.files().is_full = is_full;
    }

    /// Successful writes from the `from`-th on.
    pub fn log_since(&self, from: usize) -> Vec<Written> {
        self.files().log[from..].to_vec()
    }

    /// Number of successful writes so far.
    pub fn writes(&self) -> usize {
        self.files().log.len()
    }

    /// Every file as it truly is.
    pub fn truth(&self) -> BTreeMap<String, Bytes> {
        self.files().here.iter().map(|(path, stored)| (path.clone(), stored.body.clone())).collect()
    }

    /// A file as it truly is.
    pub fn file(&self, path: &str) -> Option<Bytes> {
        self.files().here.get(path).map(|stored| stored.body.clone())
    }

    /// Names of the files directly in a folder, as they truly are.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        let files = self.files();
        let names = files.here.keys().filter_map(|path| path.strip_prefix(&prefix));
        names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    /// A write of a peer, which is spared faults.
    pub fn put(&self, by: usize, path: &str, body: impl Into<Bytes>) {
        let now_ms = self.world.now_ms();
        self.files().put(now_ms, by, path, body.into());
        self.world.trace(format_args!("p{by} write {}", short(path)));
    }

    /// A delete by a peer.
    pub fn remove(&self, by: usize, path: &str) {
        let now_ms = self.world.now_ms();
        self.files().remove(now_ms, path);
        self.world.trace(format_args!("p{by} delete {}", short(path)));
    }

    /// Whether a peer's call fails now.
    pub fn is_failing(&self) -> bool {
        let mut files = self.files();
        let Files { weather, faults, .. } = &mut *files;
        faults.permille(weather.fails)
    }
}

impl Files {
    fn put(&mut self, now_ms: u64, by: usize, path: &str, body: Bytes) {
        self.version += 1;
        self.gone.remove(path);
        let mut at = 0;
        while let Some(next) = path[at + 1..].find('/') {
            at += 1 + next;
            self.folders.insert(path[..at].to_owned());
        }
        self.log.push(Written { path: path.to_owned(), body: body.clone(), at_ms: now_ms, by });
        // An overwritten file keeps its place in listings.
        let at_ms = self.here.get(path).map_or(now_ms, |before| before.at_ms);
        self.here.insert(path.to_owned(), Stored { body, version: self.version, at_ms, by });
    }

    fn remove(&mut self, now_ms: u64, path: &str) {
        if let Some(stored) = self.here.remove(path) {
            self.gone.insert(path.to_owned(), (stored, now_ms));
        }
    }

    /// How much later a device's listings tell of a change to a file, ms.
    fn lag(&self, path: &str, device: usize) -> u64 {
        match self.weather.stale_ms {
            0 => 0,
            most => Rng::new(device as u64, path).below(most),
        }
    }

    fn list(&self, folder: &str, device: usize, now_ms: u64) -> Vec<FileEntry> {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let name =
            |path: &str| path.strip_prefix(&prefix).filter(|name| !name.contains('/')).map(str::to_owned);
        let entry = |path: &str, name: String, stored: &Stored| FileEntry {
            name,
            path: path.to_owned(),
            size: Some(stored.body.len() as u64),
            modified_ms: i64::try_from(stored.at_ms).ok(),
            etag: Some(format!("v{}", stored.version)),
        };
        let shown = self
            .here
            .iter()
            .filter(|(path, stored)| stored.by == device || stored.at_ms + self.lag(path, device) <= now_ms);
        let ghosts = self.gone.iter().filter(|(path, (stored, end_ms))| {
            stored.at_ms + self.lag(path, device) <= now_ms && end_ms + self.lag(path, device) > now_ms
        });
        shown
            .chain(ghosts.map(|(path, (stored, _))| (path, stored)))
            .filter_map(|(path, stored)| Some(entry(path, name(path)?, stored)))
            .collect()
    }
}

/// A path without the root of the mesh, for the trace.
fn short(path: &str) -> &str {
    path.strip_prefix("/Mesh/").unwrap_or(path)
}

/// The mailbox as one device sees it.
pub struct View {
    remote: Arc<Remote>,
    device: usize,
    is_offline: AtomicBool,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("device", &self.device).finish_non_exhaustive()
    }
}

/// What must hold before a write.
#[derive(Clone, Copy)]
enum Condition<'a> {
    None,
    Absent,
    Version(&'a str),
}

impl View {
    /// The mailbox behind it.
    pub fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// The view of a device.
    pub fn new(remote: &Arc<Remote>, device: usize) -> Arc<Self> {
        Arc::new(Self { remote: Arc::clone(remote), device, is_offline: AtomicBool::new(false) })
    }

    /// The device's network goes away, or comes back.
    pub fn set_offline(&self, is_offline: bool) {
        self.is_offline.store(is_offline, Ordering::SeqCst);
    }

    /// A crash point: a process that ends here is never heard of again.
    async fn crash_point(&self, when: &str, operation: &str, path: &str) {
        if self.remote.world.is_due(self.device) {
            self.remote.world.trace(format_args!(
                "d{} crashes {when} {operation} {}",
                self.device,
                short(path)
            ));
            futures_util::future::pending::<()>().await;
        }
    }

    async fn pause(&self, ms: u64) {
        if ms == 0 {
            yield_once().await;
        } else {
            self.remote.world.sleep(Duration::from_millis(ms)).await;
        }
    }

    /// One call: waits, faults and crashes around the effect.
    async fn call<T>(
        &self,
        operation: &'static str,
        path: &str,
        work: impl FnOnce(&mut Files, u64, Fate) -> MailboxResult<T>,
    ) -> MailboxResult<T> {
        let fate = {
            let mut files = self.remote.files();
            let Files { weather, faults, ordered, .. } = &mut *files;
            let here = ordered.iter().position(|(what, part, _)| *what == operation && path.contains(part));
            here.map_or_else(|| Fate::draw(weather, faults), |at| ordered.remove(at).2.into())
        };
        self.pause(fate.waits.0).await;
        self.crash_point("before", operation, path).await;
        let error = |kind| Err(MailboxError::new(kind, operation, path, "simulated"));
        let tell = |outcome: &dyn fmt::Debug| {
            let (device, path) = (self.device, short(path));
            self.remote.world.trace(format_args!("d{device} {operation} {path} {outcome:?}"));
        };
        let refused = if self.is_offline.load(Ordering::SeqCst) {
            Some(MailboxErrorKind::Offline)
        } else {
            fate.refused
        };
        if let Some(kind) = refused {
            tell(&kind);
            return error(kind);
        }
        let now_ms = self.remote.world.now_ms();
        let outcome = work(&mut self.remote.files(), now_ms, fate);
        match &outcome {
            Ok(_) => tell(&"ok"),
            Err(error) => tell(&error.kind()),
        }
        self.crash_point("after", operation, path).await;
        if fate.waits.1 > 0 {
            self.pause(fate.waits.1).await;
        }
        match fate.lost {
            Some(kind) => error(kind),
            None => outcome,
        }
    }

    async fn write(
        &self,
        operation: &'static str,
        path: &str,
        body: Body,
        condition: Condition<'_>,
    ) -> MailboxResult<()> {
        let body = collect(body).await?;
        let capabilities = self.capabilities();
        let is_checked_apart = match condition {
            Condition::None => false,
            Condition::Absent => !capabilities.exclusive_create,
            Condition::Version(_) => !capabilities.conditional_replace,
        };
        let check = |files: &Files| {
            let stored = files.here.get(path);
            let kind = match condition {
                Condition::Absent if stored.is_some() => MailboxErrorKind::AlreadyExists,
                Condition::Version(etag)
                    if stored.is_none_or(|stored| format!("v{}", stored.version) != *etag) =>
                {
                    MailboxErrorKind::Conflict
                }
                _ => return Ok(()),
            };
            Err(MailboxError::new(kind, operation, path, "simulated"))
        };
        if is_checked_apart {
            // Check, then act: somebody else may come in between.
            self.call("stat", path, |files, _, _| check(files)).await?;
        }
        let by = self.device;
        self.call(operation, path, |files, now_ms, fate| {
            let rounds = if fate.is_doubled { 2 } else { 1 };
            for _ in 0..rounds {
                if !is_checked_apart {
                    check(files)?;
                }
                if files.is_full {
                    return Err(MailboxError::new(MailboxErrorKind::QuotaFull, operation, path, "full"));
                }
                files.put(now_ms, by, path, body.clone());
            }
            Ok(())
        })
        .await
    }
}

async fn collect(body: Body) -> MailboxResult<Bytes> {
    match body {
        Body::Bytes(bytes) => Ok(bytes),
        Body::Stream { mut stream, .. } => {
            let mut whole = BytesMut::new();
            while let Some(piece) = stream.next().await {
                whole.extend_from_slice(&piece?);
            }
            Ok(whole.freeze())
        }
    }
}

#[async_trait]
impl StorageAdapter for View {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn authenticate(&self) -> MailboxResult<()> {
        self.call("authenticate", "/", |_, _, _| Ok(())).await
    }

    fn capabilities(&self) -> Capabilities {
        self.remote.files().weather.capabilities
    }

    async fn ensure_folder(&self, path: &str) -> MailboxResult<()> {
        self.call("ensure", path, |files, _, _| {
            files.folders.insert(path.to_owned());
            Ok(())
        })
        .await
    }

    async fn list_files(&self, folder: &str) -> MailboxResult<Vec<FileEntry>> {
        let device = self.device;
        self.call("list", folder, |files, now_ms, _| {
            if !files.folders.contains(folder) {
                return Err(MailboxError::new(MailboxErrorKind::NotFound, "list", folder, "no folder"));
            }
            let mut listed = files.list(folder, device, now_ms);
            // In any order.
            for at in (1..listed.len()).rev() {
                let other = files.faults.index(at + 1);
                listed.swap(at, other);
            }
            Ok(listed)
        })
        .await
    }

    async fn list_folders(&self, folder: &str) -> MailboxResult<Vec<String>> {
        let prefix = format!("{folder}/");
        self.call("list", folder, |files, _, _| {
            let below = files.folders.iter().filter_map(|path| path.strip_prefix(&prefix));
            Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
        })
        .await
    }

    async fn read_file(&self, path: &str) -> MailboxResult<Bytes> {
        self.call("read", path, |files, _, fate| match files.here.get(path) {
            Some(stored) if fate.is_cut => Ok(stored.body.slice(..stored.body.len() / 2)),
            Some(stored) => Ok(stored.body.clone()),
            None => Err(MailboxError::new(MailboxErrorKind::NotFound, "read", path, "not found")),
        })
        .await
    }

    async fn write_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.write("write", path, body, Condition::None).await
    }

    async fn create_file(&self, path: &str, body: Body) -> MailboxResult<()> {
        self.write("create", path, body, Condition::Absent).await
    }

    async fn replace_file(&self, path: &str, body: Body, etag: &str) -> MailboxResult<()> {
        self.write("replace", path, body, Condition::Version(etag)).await
    }

    async fn delete_file(&self, path: &str) -> MailboxResult<()> {
        self.call("delete", path, |files, now_ms, _| {
            files.remove(now_ms, path);
            Ok(())
        })
        .await
    }

    async fn metadata(&self, path: &str) -> MailboxResult<Option<FileEntry>> {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        self.call("metadata", path, |files, _, _| {
            Ok(files.here.get(path).map(|stored| FileEntry {
                name,
                path: path.to_owned(),
                size: Some(stored.body.len() as u64),
                modified_ms: i64::try_from(stored.at_ms).ok(),
                etag: Some(format!("v{}", stored.version)),
            }))
        })
        .await
    }
}
