//! Where the entries of an export go: into a folder or an archive, neither of which shows under its name before it is
//! whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use interocitor_crypto::{EnvelopeSealer, Key, digest::Sha256Hasher};

use super::{archive, entry, failed, sums::Sums, tar};
use crate::{
    error::{Error, Result},
    host::Host,
};

/// Bytes gathered before they are encrypted or written.
const PIECE: usize = 256 * 1024;

/// Takes entries, one after another.
pub(super) struct Sink {
    place: Place,
    sums: Sums,
    now_ms: u64,
    current: Option<Current>,
    pub(super) bytes: u64,
}

/// The entry under way.
struct Current {
    name: String,
    hasher: Sha256Hasher,
    size: u64,
    written: u64,
    file: Option<BufWriter<File>>,
}

enum Place {
    Folder {
        partial: tempfile::TempDir,
        target: PathBuf,
    },
    Archive {
        file: BufWriter<tempfile::NamedTempFile>,
        sealer: EnvelopeSealer,
        sealed: Vec<u8>,
        target: PathBuf,
    },
}

/// The folder in which something is to lie.
fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Sink {
    /// A folder that must not exist yet, or be empty.
    pub(super) fn folder(target: &Path, now_ms: u64) -> Result<Self> {
        match fs::read_dir(target).map(Iterator::count) {
            Ok(1..) => {
                return Err(Error::invalid("export", format!("{} is not empty", target.display())));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(target, &error)),
            _ => {}
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".interocitor-export-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let partial = builder.tempdir_in(parent(target)).map_err(|error| failed(target, &error))?;
        Ok(Self::new(Place::Folder { partial, target: target.to_owned() }, now_ms))
    }

    /// An archive, which must not exist yet.
    pub(super) fn archive(target: &Path, head: &[u8], key: &Key, host: &dyn Host) -> Result<Self> {
        if target.exists() {
            return Err(Error::invalid("export", format!("{} exists already", target.display())));
        }
        let fail = |error: &std::io::Error| failed(target, error);
        let file = tempfile::NamedTempFile::new_in(parent(target)).map_err(|error| fail(&error))?;
        let mut file = BufWriter::with_capacity(PIECE, file);
        archive::write_head(&mut file, head).map_err(|error| fail(&error))?;
        let mut iv = [0; 12];
        host.random(&mut iv);
        let place = Place::Archive {
            file,
            sealer: EnvelopeSealer::new(key, iv),
            sealed: Vec::new(),
            target: target.to_owned(),
        };
        Ok(Self::new(place, host.now_ms()))
    }

    fn new(place: Place, now_ms: u64) -> Self {
        Self { place, sums: Sums::default(), now_ms, current: None, bytes: 0 }
    }

    /// Begins an entry of so many bytes.
    pub(super) fn begin(&mut self, name: &str, size: u64) -> Result<()> {
        entry::kind(name)?;
        let file = match &mut self.place {
            Place::Folder { partial, .. } => {
                let path = partial.path().join(name);
                let made = make_parents(partial.path(), name).and_then(|()| create(&path));
                Some(BufWriter::with_capacity(PIECE, made.map_err(|error| failed(&path, &error))?))
            }
            Place::Archive { .. } => {
                let header = tar::header(name, size, self.now_ms)?;
                self.seal(&header)?;
                None
            }
        };
        let hasher = Sha256Hasher::new();
        self.current = Some(Current { name: name.to_owned(), hasher, size, written: 0, file });
        Ok(())
    }

    /// Takes the next bytes of the entry.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.hasher.update(bytes);
        current.written += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        if let Some(file) = &mut current.file {
            return file.write_all(bytes).map_err(|error| failed(Path::new(&current.name), &error));
        }
        self.seal(bytes)
    }

    /// Ends the entry; gives its digest.
    pub(super) fn end(&mut self) -> Result<String> {
        let Some(current) = self.current.take() else { return Ok(String::new()) };
        if current.written != current.size {
            return Err(Error::integrity(&current.name, "it changed while it was exported"));
        }
        match current.file {
            Some(mut file) => {
                file.flush().map_err(|error| failed(Path::new(&current.name), &error))?;
            }
            None => self.seal(&[0; tar::BLOCK][..tar::padding(current.size)])?,
        }
        let digest = current.hasher.finish_hex();
        self.sums.0.insert(current.name, digest.clone());
        Ok(digest)
    }

    /// A whole entry.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.begin(name, bytes.len() as u64)?;
        self.write(bytes)?;
        self.end().map(|_| ())
    }

    fn seal(&mut self, bytes: &[u8]) -> Result<()> {
        let Place::Archive { file, sealer, sealed, target } = &mut self.place else { return Ok(()) };
        for piece in bytes.chunks(PIECE) {
            sealed.clear();
            // What one envelope can hold.
            let limit = (1 << 36) - 32;
            sealer.update(piece, sealed).map_err(|_| Error::Limit {
                what: "an archive",
                actual: limit + 1,
                limit,
            })?;
            file.write_all(sealed).map_err(|error| failed(target, &error))?;
        }
        Ok(())
    }

    /// Writes the digests, and shows the whole under its name.
    pub(super) fn finish(mut self) -> Result<u64> {
        let sums = std::mem::take(&mut self.sums).encode();
        self.put(entry::SUMS, &sums)?;
        self.seal(&[0; 2 * tar::BLOCK])?;
        match self.place {
            Place::Folder { partial, target } => {
                // An empty folder makes way; one that was filled meanwhile does not.
                match fs::remove_dir(&target) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(failed(&target, &error));
                    }
                    _ => {}
                }
                fs::rename(partial.path(), &target).map_err(|error| failed(&target, &error))?;
                // There is nothing left to remove.
                let _ = partial.keep();
            }
            Place::Archive { mut file, sealer, mut sealed, target } => {
                sealed.clear();
                sealer.finish(&mut sealed);
                let written = file.write_all(&sealed).and_then(|()| file.flush());
                written.map_err(|error| failed(&target, &error))?;
                let file = file.into_inner().map_err(|error| failed(&target, error.error()))?;
                file.as_file().sync_all().map_err(|error| failed(&target, &error))?;
                file.persist_noclobber(&target).map_err(|error| failed(&target, &error.error))?;
            }
        }
        Ok(self.bytes)
    }
}

/// Makes the folders of an entry, for their owner's eyes only.
fn make_parents(root: &Path, name: &str) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match name.rsplit_once('/') {
        Some((folder, _)) => builder.create(root.join(folder)),
        None => Ok(()),
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
