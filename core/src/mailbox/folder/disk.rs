//! The blocking half of the folder mailbox: plain file system calls.

use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::super::body::{self, Meter};
use super::super::{FileEntry, MailboxError, MailboxErrorKind, MailboxResult, path};
use super::fault;
use super::lock::{self, Lock};
use super::temp::{self, TempFile};

/// Size of the pieces of a streamed reading.
const READ_PIECE: u64 = 256 * 1024;

/// A successor is at least this much younger than what it replaces; coarser than the clocks of the usual
/// file systems.
const TICK: Duration = Duration::from_millis(10);

/// A checked path, with what is needed to report on it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    operation: &'static str,
    /// Absolute within the mailbox.
    path: String,
    /// Relative to the base directory.
    relative: PathBuf,
    /// Last segment, empty for the root.
    name: String,
}

impl Target {
    pub(super) fn file(operation: &'static str, path: &str) -> MailboxResult<Self> {
        Self::new(operation, path, &path::file(operation, path)?)
    }

    pub(super) fn folder(operation: &'static str, path: &str) -> MailboxResult<Self> {
        Self::new(operation, path, &path::folder(operation, path)?)
    }

    fn new(operation: &'static str, path: &str, segments: &[&str]) -> MailboxResult<Self> {
        if cfg!(windows) && segments.iter().any(|segment| unfit_for_windows(segment)) {
            let message = "Windows cannot express the name";
            return Err(MailboxError::new(MailboxErrorKind::InvalidPath, operation, path, message));
        }
        Ok(Self {
            operation,
            path: path::join(segments),
            relative: segments.iter().collect(),
            name: segments.last().copied().unwrap_or_default().to_owned(),
        })
    }

    fn error(&self, kind: MailboxErrorKind, message: &str) -> MailboxError {
        MailboxError::new(kind, self.operation, self.path.as_str(), message)
    }
}

/// Whether Windows would refuse the name, change it, or take it for something else than a file.
fn unfit_for_windows(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || ["COM", "LPT"].iter().any(|port| stem.len() == 4 && stem.starts_with(port));
    device
        || segment.ends_with(['.', ' '])
        || segment.contains(|c: char| c < ' ' || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'))
}

/// What must hold before a write.
#[derive(Debug)]
pub(super) enum Condition {
    None,
    Absent,
    Version(String),
}

/// An open file that is being streamed.
#[derive(Debug)]
pub(super) struct Opened {
    target: Target,
    file: File,
    meter: Meter,
}

impl Opened {
    pub(super) fn path(&self) -> &str {
        &self.target.path
    }
}

/// The base directory and what is known of it.
#[derive(Debug)]
pub(super) struct Disk {
    base: PathBuf,
    lockable: AtomicBool,
}

impl Disk {
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, lockable: AtomicBool::new(true) }
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn can_lock(&self) -> bool {
        self.lockable.load(Ordering::Relaxed)
    }

    fn locate(&self, target: &Target) -> PathBuf {
        self.base.join(&target.relative)
    }

    /// Checks that the base directory can be used, and whether it can be locked.
    pub(super) fn probe(&self) -> MailboxResult<()> {
        let root = Target::folder("authenticate", "/")?;
        fs::read_dir(&self.base).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => self.missing(&root, error),
            _ => fault::error(root.operation, &root.path, error),
        })?;
        self.lock(&root).map(drop)
    }

    pub(super) fn ensure_folder(&self, target: &Target) -> MailboxResult<()> {
        self.make_folders(target, &target.relative)?;
        temp::sweep(&self.locate(target));
        Ok(())
    }

    /// Creates what is missing of `relative`, but never the base directory.
    fn make_folders(&self, target: &Target, relative: &Path) -> MailboxResult<()> {
        self.check_base(target)?;
        let mut folder = self.base.clone();
        for segment in relative {
            let parent = folder.clone();
            folder.push(segment);
            match fs::create_dir(&folder) {
                Ok(()) => sync_folder(&parent).map_err(|error| self.write_fault(target, error))?,
                // Some file systems answer this or that for a folder that exists, hence the look.
                Err(_) if folder.is_dir() => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let message = "a file stands where a folder is needed";
                    return Err(target.error(MailboxErrorKind::InvalidPath, message));
                }
                Err(error) => return Err(self.write_fault(target, error)),
            }
        }
        Ok(())
    }

    pub(super) fn list_files(&self, target: &Target) -> MailboxResult<Vec<FileEntry>> {
        let mut files = Vec::new();
        let mut placeholders = Vec::new();
        for entry in self.read_dir(target)? {
            let entry = entry.map_err(|error| self.read_fault(target, error))?;
            // A name that is not UTF-8 cannot be asked for through this interface.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(name) = placeholder_of(&name) {
                placeholders.push(name.to_owned());
            }
            if path::is_hidden(&name) {
                continue;
            }
            match follow(&entry) {
                Ok(facts) if facts.is_file() => files.push(describe(&target.path, name, &facts)),
                Ok(_) => {}
                // Removed in the meantime, or a link to nowhere.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(self.read_fault(target, error)),
            }
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for name in placeholders {
            if let Err(place) = files.binary_search_by(|file| file.name.cmp(&name)) {
                let path = path::child(&target.path, &name);
                files.insert(place, FileEntry { name, path, size: None, modified_ms: None, etag: None });
            }
        }
        Ok(files)
    }

    pub(super) fn list_leftovers(&self, target: &Target) -> MailboxResult<Vec<FileEntry>> {
        let mut files = Vec::new();
        for entry in self.read_dir(target)? {
            let entry = entry.map_err(|error| self.read_fault(target, error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(facts) = name.starts_with(path::TEMP_PREFIX).then(|| entry.metadata().ok()).flatten()
            {
                files.push(describe(&target.path, name, &facts));
            }
        }
        Ok(files)
    }

    pub(super) fn remove_leftovers(&self, target: &Target) -> MailboxResult<()> {
        self.check_base(target)?;
        temp::sweep(&self.locate(target));
        Ok(())
    }

    pub(super) fn list_folders(&self, target: &Target) -> MailboxResult<Vec<String>> {
        let mut folders = Vec::new();
        for entry in self.read_dir(target)? {
            let entry = entry.map_err(|error| self.read_fault(target, error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if path::is_hidden(&name) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() && !entry.path().is_dir() => {}
                Ok(kind) if kind.is_dir() || kind.is_symlink() => folders.push(name),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(self.read_fault(target, error)),
            }
        }
        folders.sort_unstable();
        Ok(folders)
    }

    fn read_dir(&self, target: &Target) -> MailboxResult<fs::ReadDir> {
        fs::read_dir(self.locate(target)).map_err(|error| self.read_fault(target, error))
    }

    pub(super) fn read(&self, target: &Target) -> MailboxResult<Bytes> {
        let (mut file, len) = self.open_file(target)?;
        if len > body::WHOLE_BODY_MAX {
            return Err(target.error(MailboxErrorKind::TooLarge, "the file is too large to be read at once"));
        }
        let mut bytes = Vec::with_capacity(body::reserve(len));
        let mut limited = (&mut file).take(body::WHOLE_BODY_MAX + 1);
        limited.read_to_end(&mut bytes).map_err(|error| self.read_fault(target, error))?;
        if bytes.len() as u64 != len {
            return Err(changed(target));
        }
        Ok(bytes.into())
    }

    pub(super) fn open(&self, target: Target) -> MailboxResult<Opened> {
        let (file, len) = self.open_file(&target)?;
        let meter = Meter::new(target.operation, &target.path, len);
        Ok(Opened { target, file, meter })
    }

    /// The next piece, or `None` after the last one.
    pub(super) fn next_piece(&self, opened: &mut Opened) -> MailboxResult<Option<Bytes>> {
        let wanted = opened.meter.remaining().min(READ_PIECE);
        if wanted == 0 {
            return Ok(None);
        }
        let mut piece = Vec::with_capacity(body::reserve(wanted));
        let mut limited = (&mut opened.file).take(wanted);
        limited.read_to_end(&mut piece).map_err(|error| self.read_fault(&opened.target, error))?;
        if piece.len() as u64 != wanted {
            return Err(changed(&opened.target));
        }
        opened.meter.add(piece.len())?;
        Ok(Some(piece.into()))
    }

    fn open_file(&self, target: &Target) -> MailboxResult<(File, u64)> {
        let mut options = File::options();
        options.read(true);
        #[cfg(unix)]
        {
            // A named pipe must not make us wait for a writer.
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0));
        }
        let file = options.open(self.locate(target)).map_err(|error| self.read_fault(target, error))?;
        let facts = file.metadata().map_err(|error| self.read_fault(target, error))?;
        if !facts.is_file() {
            return Err(target.error(MailboxErrorKind::NotFound, "not a file"));
        }
        Ok((file, facts.len()))
    }

    /// Starts a write: a temporary file beside the target, whose parents are created if needed.
    pub(super) fn begin(&self, target: &Target) -> MailboxResult<TempFile> {
        let parent = parent_of(&self.locate(target));
        match TempFile::create(&parent) {
            Ok(temp) => return Ok(temp),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(self.write_fault(target, error)),
        }
        self.make_folders(target, &parent_of(&target.relative))?;
        TempFile::create(&parent).map_err(|error| self.write_fault(target, error))
    }

    pub(super) fn append(&self, target: &Target, temp: &mut TempFile, bytes: &[u8]) -> MailboxResult<()> {
        temp.file.write_all(bytes).map_err(|error| self.write_fault(target, error))
    }

    /// Ends a write: body on disk, condition checked, name taken, name on disk.
    pub(super) fn commit(&self, target: &Target, temp: TempFile, condition: &Condition) -> MailboxResult<()> {
        let place = self.locate(target);
        temp.file.sync_all().map_err(|error| self.write_fault(target, error))?;
        if let Condition::Absent = condition {
            if placeholder(&place).exists() {
                return Err(target.error(MailboxErrorKind::AlreadyExists, "the file exists in the cloud"));
            }
            temp.place_new(&place).map_err(|error| self.write_fault(target, error))?;
        } else {
            let _lock = self.lock(target)?;
            let current = fs::metadata(&place).ok().filter(Metadata::is_file);
            if let Condition::Version(expected) = condition {
                match &current {
                    Some(facts) if etag(facts) == *expected => {}
                    Some(_) => return Err(target.error(MailboxErrorKind::Conflict, "the file has changed")),
                    None => return Err(self.gone(target)),
                }
            }
            if let Some(facts) = current {
                // Best effort: a file system that stores no times has versions of inode and size only.
                let _ = outdate(&temp.file, &facts);
            }
            temp.replace(&place).map_err(|error| self.write_fault(target, error))?;
        }
        sync_folder(&parent_of(&place)).map_err(|error| self.write_fault(target, error))
    }

    /// The error of a conditional write whose target is not there.
    fn gone(&self, target: &Target) -> MailboxError {
        let error = self.read_fault(target, ErrorKind::NotFound.into());
        match error.kind() {
            MailboxErrorKind::NotFound => target.error(MailboxErrorKind::Conflict, "the file is gone"),
            _ => error,
        }
    }

    pub(super) fn delete(&self, target: &Target) -> MailboxResult<()> {
        let place = self.locate(target);
        let lock = self.lock(target)?;
        // Of a file in the cloud, the placeholder is what there is to delete.
        let mut removed = false;
        for path in [placeholder(&place), place.clone()] {
            match fs::remove_file(&path) {
                Ok(()) => removed = true,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(_) if place.is_dir() => {
                    let message = "a folder is not deleted as a file";
                    return Err(target.error(MailboxErrorKind::InvalidPath, message));
                }
                Err(error) => return Err(self.write_fault(target, error)),
            }
        }
        drop(lock);
        if !removed {
            return self.check_base(target);
        }
        sync_folder(&parent_of(&place)).map_err(|error| self.write_fault(target, error))
    }

    pub(super) fn stat(&self, target: &Target) -> MailboxResult<Option<FileEntry>> {
        match fs::metadata(self.locate(target)) {
            Ok(facts) if facts.is_file() => {
                let folder = target.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let folder = if folder.is_empty() { "/" } else { folder };
                Ok(Some(describe(folder, target.name.clone(), &facts)))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                let error = self.read_fault(target, error);
                if error.kind() == MailboxErrorKind::NotFound { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Takes the lock, where there is one.
    fn lock(&self, target: &Target) -> MailboxResult<Lock> {
        let lock = lock::take(&self.base);
        match lock {
            Lock::Busy => {
                Err(target.error(MailboxErrorKind::Unavailable, "another process holds the folder"))
            }
            Lock::Unsupported => {
                self.check_base(target)?;
                self.lockable.store(false, Ordering::Relaxed);
                Ok(lock)
            }
            Lock::Held(_) => Ok(lock),
        }
    }

    /// The error of a reading call. "Not found" is certain only while the base directory is there.
    fn read_fault(&self, target: &Target, error: Error) -> MailboxError {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => self.missing(target, error),
            ErrorKind::IsADirectory => target.error(MailboxErrorKind::NotFound, "not a file"),
            _ => fault::error(target.operation, &target.path, error),
        }
    }

    /// The error of a writing call. Folders were created, so what is missing now disappeared meanwhile.
    fn write_fault(&self, target: &Target, error: Error) -> MailboxError {
        match error.kind() {
            ErrorKind::NotFound => match self.check_base(target) {
                Ok(()) => target
                    .error(MailboxErrorKind::Unavailable, "the folder was removed during the write")
                    .with_source(error),
                Err(unavailable) => unavailable,
            },
            ErrorKind::NotADirectory => {
                target.error(MailboxErrorKind::InvalidPath, "a file stands where a folder is needed")
            }
            _ => fault::error(target.operation, &target.path, error),
        }
    }

    fn missing(&self, target: &Target, error: Error) -> MailboxError {
        if let Err(unavailable) = self.check_base(target) {
            return unavailable;
        }
        if !target.name.is_empty() && placeholder(&self.locate(target)).exists() {
            let message = "the file is in the cloud and not downloaded";
            return target.error(MailboxErrorKind::Unavailable, message);
        }
        fault::error(target.operation, &target.path, error)
    }

    fn check_base(&self, target: &Target) -> MailboxResult<()> {
        if self.base.is_dir() {
            return Ok(());
        }
        Err(target.error(
            MailboxErrorKind::Unavailable,
            "the folder of the mailbox is missing: mount its disk or make it, and try again",
        ))
    }
}

fn changed(target: &Target) -> MailboxError {
    target.error(MailboxErrorKind::Unavailable, "the file changed while it was read")
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The stand-in that iCloud leaves for an evicted file.
fn placeholder(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.icloud"))
}

/// The visible file for which a placeholder of this name stands.
fn placeholder_of(name: &str) -> Option<&str> {
    let name = name.strip_prefix('.')?.strip_suffix(".icloud")?;
    (!name.is_empty() && !path::is_hidden(name)).then_some(name)
}

fn follow(entry: &fs::DirEntry) -> std::io::Result<Metadata> {
    let facts = entry.metadata()?;
    if facts.is_symlink() { fs::metadata(entry.path()) } else { Ok(facts) }
}

fn describe(folder: &str, name: String, facts: &Metadata) -> FileEntry {
    FileEntry {
        path: path::child(folder, &name),
        name,
        size: Some(facts.len()),
        modified_ms: facts.modified().ok().and_then(millis),
        etag: Some(etag(facts)),
    }
}

fn millis(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis()).ok().map(|millis| -millis),
    }
}

/// The version of a file: inode (where there are any), size and modification time.
fn etag(facts: &Metadata) -> String {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(facts);
    #[cfg(not(unix))]
    let inode = 0u64;
    let nanos = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{inode:x}-{:x}-{:x}", facts.len(), nanos.unwrap_or_default().as_nanos())
}

/// Makes a file younger than what it replaces: a freed inode may be handed out again within one tick of
/// the file system's clock, and the version must not come back with it.
fn outdate(file: &File, old: &Metadata) -> std::io::Result<()> {
    let old = old.modified()?;
    if file.metadata()?.modified()? <= old
        && let Some(later) = old.checked_add(TICK)
    {
        file.set_modified(later)?;
    }
    Ok(())
}

/// Makes a new, renamed or removed name durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a directory; they have nothing better to offer.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_that_windows_cannot_keep() {
        for bad in ["a\\b", "a:b", "con", "NUL.json", "com1", "a.", "a ", "a?b", "a\u{1}"] {
            assert!(unfit_for_windows(bad), "{bad:?}");
        }
        for good in ["a", "a b.json", "console", "a%3A", "ü", ".a"] {
            assert!(!unfit_for_windows(good), "{good:?}");
        }
    }

    #[test]
    fn a_successor_within_one_tick_has_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let old = File::create(folder.path().join("old")).unwrap();
        let new = File::create(folder.path().join("new")).unwrap();
        let time = SystemTime::now() + Duration::from_secs(1000);
        old.set_modified(time).unwrap();
        outdate(&new, &old.metadata().unwrap()).unwrap();
        assert!(new.metadata().unwrap().modified().unwrap() > time);
    }
}
