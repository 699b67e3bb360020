//! Where the entries of an export come from: a folder or an opened archive, one after another, the head first.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use interocitor_crypto::digest::Sha256Hasher;

use super::{
    archive::Opened,
    entry::{self, Kind},
    failed, invalid,
    sums::Sums,
    tar,
};
use crate::error::Result;

/// The longest list of digests, and the longest head, in bytes.
const MAX_WHOLE: u64 = 256 * 1024 * 1024;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Gives entries.
pub(super) struct Source {
    place: Place,
    current: Option<Current>,
    /// What was read to its end.
    seen: BTreeMap<String, String>,
}

enum Place {
    Folder { root: PathBuf, waiting: VecDeque<String>, sums: Sums },
    Archive { opened: BufReader<Opened>, sums: Option<Sums>, is_first: bool },
}

struct Current {
    name: String,
    hasher: Sha256Hasher,
    /// Bytes still to come.
    left: u64,
    padding: usize,
    file: Option<BufReader<File>>,
}

impl Source {
    pub(super) fn folder(root: &Path) -> Result<Self> {
        let list = open_file(root, entry::SUMS)?;
        let Some((list, size)) = list else {
            return Err(invalid(
                entry::SUMS,
                "it is missing: this is no export, or one that was not finished",
            ));
        };
        let sums = Sums::parse(&whole(&mut BufReader::new(list), size, entry::SUMS)?)?;
        let mut waiting: Vec<String> = sums.0.keys().cloned().collect();
        let place = |name: &String| match entry::kind(name) {
            Ok(Kind::Head) => 0,
            Ok(Kind::Table) => 1,
            Ok(Kind::File) => 2,
            _ => 3,
        };
        waiting.sort_by_key(place);
        if waiting.first().is_none_or(|first| first != entry::HEAD) {
            return Err(invalid(entry::SUMS, "it does not name export.json"));
        }
        let place = Place::Folder { root: root.to_owned(), waiting: waiting.into(), sums };
        Ok(Self { place, current: None, seen: BTreeMap::new() })
    }

    pub(super) fn archive(opened: Opened) -> Self {
        let opened = BufReader::with_capacity(PIECE, opened);
        let place = Place::Archive { opened, sums: None, is_first: true };
        Self { place, current: None, seen: BTreeMap::new() }
    }

    /// The next entry, with its length; `None` after the last, when all of them are proven.
    pub(super) fn next(&mut self) -> Result<Option<(Kind, String, u64)>> {
        self.end()?;
        let (name, size, padding, file) = match &mut self.place {
            Place::Folder { root, waiting, .. } => {
                let Some(name) = waiting.pop_front() else { return self.prove().map(|()| None) };
                let file = open_file(root, &name)?;
                let (file, size) = file.ok_or_else(|| invalid(&name, "it is missing"))?;
                (name, size, 0, Some(BufReader::with_capacity(PIECE, file)))
            }
            Place::Archive { opened, sums, is_first } => loop {
                let mut block = [0; tar::BLOCK];
                opened.read_exact(&mut block).map_err(|_| invalid("the archive", "it is cut short"))?;
                let Some((name, size)) = tar::parse(&block)? else {
                    return self.prove().map(|()| None);
                };
                let kind = entry::kind(&name)?;
                if std::mem::take(is_first) != (kind == Kind::Head) || sums.is_some() {
                    return Err(invalid(&name, "it stands in the wrong place"));
                }
                let padding = tar::padding(size);
                if kind == Kind::Sums {
                    let bytes = whole(opened, size, &name)?;
                    skip(opened, padding)?;
                    *sums = Some(Sums::parse(&bytes)?);
                    continue;
                }
                break (name, size, padding, None);
            },
        };
        if self.seen.contains_key(&name) {
            return Err(invalid(&name, "it is there twice"));
        }
        let kind = entry::kind(&name)?;
        let hasher = Sha256Hasher::new();
        self.current = Some(Current { name: name.clone(), hasher, left: size, padding, file });
        Ok(Some((kind, name, size)))
    }

    /// Ends the entry under way, which must have been read.
    fn end(&mut self) -> Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        let name = current.name.clone();
        if current.left > 0 {
            std::io::copy(self, &mut std::io::sink()).map_err(|error| invalid(&name, error.to_string()))?;
        }
        let Some(current) = self.current.take() else { return Ok(()) };
        if current.left > 0 {
            return Err(invalid(&name, "it is cut short"));
        }
        if let Place::Archive { opened, .. } = &mut self.place {
            skip(opened, current.padding)?;
        }
        let digest = current.hasher.finish_hex();
        if let Place::Folder { sums, .. } = &self.place
            && sums.0.get(&name) != Some(&digest)
        {
            return Err(invalid(&name, "it was changed after it was exported: its SHA-256 is another one"));
        }
        self.seen.insert(name, digest);
        Ok(())
    }

    /// Whether everything that the list of digests names was there, and nothing else.
    fn prove(&self) -> Result<()> {
        let sums = match &self.place {
            Place::Folder { sums, .. } => Some(sums),
            Place::Archive { sums, .. } => sums.as_ref(),
        };
        match sums {
            Some(sums) if sums.0 == self.seen => Ok(()),
            Some(_) => Err(invalid(entry::SUMS, "it does not fit to what is there")),
            None => Err(invalid(entry::SUMS, "it is missing: the export was not finished")),
        }
    }

    /// All of a small entry.
    pub(super) fn whole(&mut self, size: u64, name: &str) -> Result<Vec<u8>> {
        whole(self, size, name)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(current) = &mut self.current else { return Ok(0) };
        let most = buffer.len().min(usize::try_from(current.left).unwrap_or(usize::MAX));
        let count = match (&mut current.file, &mut self.place) {
            (Some(file), _) => file.read(&mut buffer[..most])?,
            (None, Place::Archive { opened, .. }) => opened.read(&mut buffer[..most])?,
            (None, Place::Folder { .. }) => 0,
        };
        current.hasher.update(&buffer[..count]);
        current.left -= count as u64;
        Ok(count)
    }
}

/// Reads lines of at most `limit` bytes, each with its end.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(PIECE, reader), limit, line: Vec::new(), number: 0 }
    }

    /// The next line and its number; `None` after the last.
    pub(super) fn next(&mut self, name: &str) -> Result<Option<(&[u8], u64)>> {
        self.line.clear();
        self.number += 1;
        let limit = self.limit as u64;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line);
        let count = read.map_err(|error| invalid(name, error.to_string()))?;
        if count == 0 {
            return Ok(None);
        }
        if !self.line.ends_with(b"\n") {
            let number = self.number;
            let reason = if count as u64 >= limit {
                format!("line {number} has more than {} bytes", self.limit)
            } else {
                format!("line {number} is cut short")
            };
            return Err(invalid(name, reason));
        }
        Ok(Some((&self.line, self.number)))
    }
}

/// A file of a folder, and its length; `None` where there is none. Nothing but plain files is opened.
fn open_file(root: &Path, name: &str) -> Result<Option<(File, u64)>> {
    let mut path = root.to_owned();
    let parts: Vec<&str> = name.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        path.push(part);
        let facts = match std::fs::symlink_metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        let fits = if at + 1 == parts.len() { facts.is_file() } else { facts.is_dir() };
        if !fits {
            return Err(invalid(name, "it is no plain file"));
        }
    }
    let file = File::open(&path).map_err(|error| failed(&path, &error))?;
    let size = file.metadata().map_err(|error| failed(&path, &error))?.len();
    Ok(Some((file, size)))
}

fn whole(reader: &mut impl Read, size: u64, name: &str) -> Result<Vec<u8>> {
    if size > MAX_WHOLE {
        return Err(invalid(name, format!("it has more than {MAX_WHOLE} bytes")));
    }
    let mut bytes = Vec::new();
    let read = reader.take(size).read_to_end(&mut bytes);
    read.map_err(|error| invalid(name, error.to_string()))?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(invalid(name, "it is cut short")) }
}

fn skip(reader: &mut impl Read, count: usize) -> Result<()> {
    let mut rest = [0; tar::BLOCK];
    reader.read_exact(&mut rest[..count]).map_err(|_| invalid("the archive", "it is cut short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_and_have_a_limit() {
        let read = |text: &'static [u8]| {
            let mut lines = Lines::new(text, 4);
            let mut count = 0;
            while lines.next("x")?.is_some() {
                count += 1;
            }
            Ok::<_, crate::error::Error>(count)
        };
        assert_eq!((read(b"").unwrap(), read(b"abc\n\nx\n").unwrap()), (0, 3));
        assert!(read(b"abcd\n").unwrap_err().to_string().contains("line 1 has more than 4 bytes"));
        assert!(read(b"abc\nx").unwrap_err().to_string().contains("line 2 is cut short"));
    }
}
