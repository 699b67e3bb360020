//! Where the content of a file comes from.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    bodies::{BodyWriter, Staged},
    error::{Error, Result},
};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Where the content of a file comes from. It is read once, in bounded memory.
pub enum FileSource {
    /// Memory.
    Bytes(Bytes),
    /// A file of this device, which may change or go afterwards.
    Path(PathBuf),
    /// Anything that can be read, to its end; on a thread where blocking harms nobody.
    Reader(Box<dyn Read + Send>),
}

impl FileSource {
    /// Anything that can be read.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        FileSource::Reader(Box::new(reader))
    }

    /// Reads all of it into a body. Blocks.
    pub(super) fn fill(self, mut body: BodyWriter, limit: u64, is_durable: bool) -> Result<Staged> {
        let mut reader: Box<dyn Read + Send> = match self {
            FileSource::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
            FileSource::Reader(reader) => reader,
            FileSource::Path(path) => {
                let (file, size) = open(&path)?;
                check(size, limit)?;
                Box::new(file)
            }
        };
        let mut piece = vec![0; PIECE];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return body.finish(is_durable),
                Ok(count) => {
                    check(body.size() + count as u64, limit)?;
                    body.write(&piece[..count])?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable("what was given", &error)),
            }
        }
    }
}

fn open(path: &Path) -> Result<(File, u64)> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&shown, &error))?;
    let facts = file.metadata().map_err(|error| unreadable(&shown, &error))?;
    if facts.is_dir() {
        return Err(Error::invalid("file source", format!("{shown} is a folder; give a file")));
    }
    Ok((file, facts.len()))
}

fn unreadable(what: &str, error: &std::io::Error) -> Error {
    Error::invalid("file source", format!("{what} cannot be read: {error}; nothing was stored"))
}

fn check(size: u64, limit: u64) -> Result<()> {
    if size > limit { Err(Error::Limit { what: "a file", actual: size, limit }) } else { Ok(()) }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSource::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            FileSource::Path(path) => write!(f, "Path({})", path.display()),
            FileSource::Reader(_) => f.write_str("Reader(..)"),
        }
    }
}

impl From<Vec<u8>> for FileSource {
    fn from(bytes: Vec<u8>) -> Self {
        FileSource::Bytes(bytes.into())
    }
}

impl From<Bytes> for FileSource {
    fn from(bytes: Bytes) -> Self {
        FileSource::Bytes(bytes)
    }
}

impl From<&'static [u8]> for FileSource {
    fn from(bytes: &'static [u8]) -> Self {
        FileSource::Bytes(Bytes::from_static(bytes))
    }
}

impl From<PathBuf> for FileSource {
    fn from(path: PathBuf) -> Self {
        FileSource::Path(path)
    }
}

impl From<&Path> for FileSource {
    fn from(path: &Path) -> Self {
        FileSource::Path(path.to_owned())
    }
}
