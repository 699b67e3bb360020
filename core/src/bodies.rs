//! Bodies: the contents of files as they lie on this device, each hidden under a key of its own that the store keeps.
//!
//! Where the store is encrypted, so are they; and whoever finds the folder without the store finds nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use interocitor_crypto::{Key, Veil, digest::Sha256Hasher};

use crate::{
    error::{Error, Result},
    host::{Host, ids},
    store::files::{Body, Facts},
};

/// What the name of the folder adds to that of the store.
const ENDING: &str = ".files";

/// Files in the folder that nothing names are somebody's who is still at it, unless they are older than this.
const ABANDONED: Duration = Duration::from_hours(1);

/// A piece from this size on is worth a thread beside, in bytes.
const WORTH_A_THREAD: usize = 64 * 1024;

/// Two halves of the work on a piece of `size` bytes, at once where it is large.
pub(crate) fn both<T>(size: usize, beside: impl FnOnce() + Send, here: impl FnOnce() -> T) -> T {
    let beside = Mutex::new(Some(beside));
    let run = || {
        if let Some(work) = beside.lock().unwrap_or_else(PoisonError::into_inner).take() {
            work();
        }
    };
    std::thread::scope(|scope| {
        let has_thread =
            size >= WORTH_A_THREAD && std::thread::Builder::new().spawn_scoped(scope, run).is_ok();
        if !has_thread {
            run();
        }
        here()
    })
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Bodies(Arc<Place>);

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    /// Made when it is first needed, and gone with the store in memory.
    Temporary(Mutex<Option<tempfile::TempDir>>),
}

/// What a failure in the folder means.
pub(crate) fn failed(place: &Path, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::StoreOpen { path: place.display().to_string(), reason: error.to_string() },
    }
}

impl Bodies {
    /// Beside a store, or in a temporary folder for one in memory.
    pub(crate) fn of(store: Option<&Path>) -> Self {
        Self(Arc::new(match store {
            Some(store) => {
                let mut folder = store.as_os_str().to_owned();
                folder.push(ENDING);
                Place::Folder(folder.into())
            }
            None => Place::Temporary(Mutex::default()),
        }))
    }

    /// Whether both are the folder of one store.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&*self.0, &*other.0) {
            (Place::Folder(ours), Place::Folder(theirs)) => ours == theirs,
            _ => Arc::ptr_eq(&self.0, &other.0),
        }
    }

    /// The folder, made where it is missing, for its owner's eyes only.
    fn folder(&self) -> Result<PathBuf> {
        match &*self.0 {
            Place::Folder(folder) => {
                make_private(folder).map_err(|error| failed(folder, &error))?;
                Ok(folder.clone())
            }
            Place::Temporary(made) => {
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                if made.is_none() {
                    *made = Some(tempfile::tempdir().map_err(|error| failed(&std::env::temp_dir(), &error))?);
                }
                Ok(made.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default())
            }
        }
    }

    /// Where a body lies, if the folder is there.
    fn path(&self, name: &str) -> Option<PathBuf> {
        match &*self.0 {
            Place::Folder(folder) => Some(folder.join(name)),
            Place::Temporary(made) => {
                let made = made.lock().unwrap_or_else(PoisonError::into_inner);
                made.as_ref().map(|folder| folder.path().join(name))
            }
        }
    }

    /// A new body, to be written.
    pub(crate) fn create(&self, host: &dyn Host) -> Result<BodyWriter> {
        let part = self.part(host)?;
        let mut key = zeroize::Zeroizing::new([0; 32]);
        host.random(&mut *key);
        let key = Key::from_bytes(*key);
        Ok(BodyWriter {
            veil: Veil::new(&key),
            key,
            hasher: Sha256Hasher::new(),
            hidden: Vec::new(),
            size: 0,
            part,
        })
    }

    /// A file for something on its way; gone when it is dropped.
    pub(crate) fn part(&self, host: &dyn Host) -> Result<Part> {
        let name = ids::uuid_v4(host);
        let path = self.folder()?.join(&name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(&path).map_err(|error| failed(&path, &error))?;
        Ok(Part { file, trace: Trace { path: Some(path) }, name })
    }

    /// A body to be read; `None` where it is gone.
    pub(crate) fn open(&self, body: &Body, facts: &Facts, file: &str) -> Result<Option<BodyReader>> {
        let Some(path) = self.path(&body.name) else { return Ok(None) };
        match File::open(&path) {
            Ok(opened) => Ok(Some(BodyReader {
                file: opened,
                key: body.key.clone(),
                veil: Veil::new(&body.key),
                hasher: Sha256Hasher::new(),
                read: 0,
                is_proven: false,
                facts: facts.clone(),
                path: file.to_owned(),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Removes bodies that nothing names any more. One that stays is found when the store is opened next.
    pub(crate) fn remove(&self, names: &[String]) {
        for path in names.iter().filter_map(|name| self.path(name)) {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes what crashes left behind: files that nothing names and nobody wrote to lately.
    pub(crate) fn clean(&self, is_known: impl Fn(&str) -> Result<bool>) {
        let Place::Folder(folder) = &*self.0 else { return };
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let changed = entry.metadata().and_then(|facts| facts.modified());
            let is_old = changed.is_ok_and(|changed| {
                SystemTime::now().duration_since(changed).is_ok_and(|age| age > ABANDONED)
            });
            if is_old && !entry.file_name().to_str().is_some_and(|name| is_known(name).unwrap_or(true)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Gives the bodies of a copy of the store to the copy, which lies at `copy`.
    pub(crate) fn share_with(&self, copy: &Path, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let theirs = Self::of(Some(copy)).folder()?;
        for name in names {
            let (Some(from), to) = (self.path(name), theirs.join(name)) else { continue };
            if from.exists() && fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).map_err(|error| failed(&to, &error))?;
            }
        }
        Ok(())
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Removes a file when it is dropped, unless it is kept.
#[derive(Debug)]
struct Trace {
    path: Option<PathBuf>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// A file for something on its way.
#[derive(Debug)]
pub(crate) struct Part {
    file: File,
    name: String,
    trace: Trace,
}

impl Part {
    fn fail(&self, error: &io::Error) -> Error {
        failed(self.trace.path.as_deref().unwrap_or(Path::new("")), error)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.fail(&error))
    }

    pub(crate) fn rewind(&mut self) -> Result<()> {
        self.file.rewind().map_err(|error| self.fail(&error))
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// A body on its way into the folder: hidden and counted as it comes.
#[derive(Debug)]
pub(crate) struct BodyWriter {
    part: Part,
    key: Key,
    veil: Veil,
    hasher: Sha256Hasher,
    /// The last piece as it lies in the folder.
    hidden: Vec<u8>,
    size: u64,
}

impl BodyWriter {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        let Self { part, veil, hasher, hidden, size: actual, .. } = self;
        both(
            bytes.len(),
            || hasher.update(bytes),
            || {
                hidden.clear();
                hidden.extend_from_slice(bytes);
                let limit = u64::MAX;
                veil.apply(hidden).map_err(|_| Error::Limit { what: "a file", actual: *actual, limit })?;
                part.write(hidden)
            },
        )
    }

    /// `is_durable`: it survives a loss of power.
    pub(crate) fn finish(self, is_durable: bool) -> Result<Staged> {
        if is_durable {
            self.part.file.sync_all().map_err(|error| self.part.fail(&error))?;
        }
        Ok(Staged {
            body: Body { name: self.part.name, key: self.key },
            facts: Facts { size: self.size, digest: self.hasher.finish_hex(), content_type: None },
            trace: self.part.trace,
        })
    }
}

/// A body that is whole and not named by the store yet; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) body: Body,
    pub(crate) facts: Facts,
    trace: Trace,
}

impl Staged {
    /// The store names it now.
    pub(crate) fn keep(&mut self) {
        self.trace.path = None;
    }
}

/// A body that is read from its beginning, checked at its end.
#[derive(Debug)]
pub(crate) struct BodyReader {
    file: File,
    key: Key,
    veil: Veil,
    hasher: Sha256Hasher,
    read: u64,
    /// It was proven a moment ago, and only its length is checked.
    is_proven: bool,
    facts: Facts,
    path: String,
}

impl BodyReader {
    pub(crate) fn size(&self) -> u64 {
        self.facts.size
    }

    /// For a body that was written a moment ago, from what was proven.
    pub(crate) fn proven(mut self) -> Self {
        self.is_proven = true;
        self
    }

    /// Whether what was read, to its end, is what the store says.
    pub(crate) fn check(&self) -> Result<()> {
        let is_same = || self.is_proven || self.hasher.clone().finish_hex() == self.facts.digest;
        if self.read == self.facts.size && is_same() {
            return Ok(());
        }
        Err(Error::integrity(&self.path, "its copy on this device was damaged"))
    }

    /// Checks all of it and stands at its beginning again.
    pub(crate) fn verify(&mut self) -> Result<()> {
        if self.is_proven {
            return Ok(());
        }
        io::copy(self, &mut io::sink()).map_err(|error| self.fail(&error))?;
        self.check()?;
        self.file.rewind().map_err(|error| self.fail(&error))?;
        (self.veil, self.hasher, self.read) = (Veil::new(&self.key), Sha256Hasher::new(), 0);
        Ok(())
    }

    /// Fills `buffer`, but for the end of the body. What it gave is to be proven.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.uncover(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(&error)),
            }
        }
        Ok(filled)
    }

    /// Takes a piece that [`fill`](Self::fill) gave into account, for [`check`](Self::check).
    pub(crate) fn prove(&mut self, piece: &[u8]) {
        if !self.is_proven {
            self.hasher.update(piece);
        }
        self.read += piece.len() as u64;
    }

    fn uncover(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.veil.apply(&mut buffer[..count]).map_err(io::Error::other)?;
        Ok(count)
    }

    pub(crate) fn fail(&self, error: &io::Error) -> Error {
        failed(Path::new(&self.path), error)
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.uncover(buffer)?;
        self.prove(&buffer[..count]);
        Ok(count)
    }
}
