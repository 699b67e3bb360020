//! The content of a file, to be taken out: whole, into a file, or piece by piece.

use std::{
    io::{self, Read, Write as _},
    path::Path,
    sync::Arc,
};

use super::info::FileInfo;
use crate::{
    bodies::{BodyReader, failed},
    error::{Error, Result},
    host::{Host, run_blocking},
};

/// Bytes taken out at once.
const PIECE: usize = 256 * 1024;

/// The content of a file, as it was when it was asked for: nothing that happens to the file changes it.
///
/// Nothing of it is given out before all of it has been checked against its digest.
#[derive(Debug)]
pub struct FileContent {
    pub(super) info: FileInfo,
    pub(super) body: BodyReader,
    pub(super) host: Arc<dyn Host>,
}

impl FileContent {
    /// What is known of the file.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// What is known of the file, and its content.
    pub(crate) fn into_parts(self) -> (FileInfo, BodyReader) {
        (self.info, self.body)
    }

    /// The whole content. For what fits into memory.
    ///
    /// # Errors
    ///
    /// `FILE_INTEGRITY` where the copy on this device was damaged; `STORE_OPEN` where it cannot be read.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        let mut body = self.body;
        run_blocking(&*self.host, move || {
            let mut bytes = Vec::with_capacity(usize::try_from(body.size()).unwrap_or(0).min(1 << 26));
            body.read_to_end(&mut bytes).map_err(|error| body.fail(&error))?;
            body.check()?;
            Ok(bytes)
        })
        .await
    }

    /// Writes the content to a file of this device, readable by its owner only. A file that is there is replaced in
    /// one step; on failure it stays as it was.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes); `DISK_FULL`, and `INVALID_ARGUMENT` where no file can be written there.
    pub async fn save_to(self, path: impl AsRef<Path>) -> Result<()> {
        let (mut body, path) = (self.body, path.as_ref().to_owned());
        run_blocking(&*self.host, move || {
            let refuse = |error: &io::Error| match failed(&path, error) {
                Error::DiskFull => Error::DiskFull,
                _ => Error::invalid("file target", format!("{} cannot be written: {error}", path.display())),
            };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut target = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
                .map_err(|error| refuse(&error))?;
            let mut piece = vec![0; PIECE];
            loop {
                match body.read(&mut piece).map_err(|error| body.fail(&error))? {
                    0 => break,
                    count => target.write_all(&piece[..count]).map_err(|error| refuse(&error))?,
                }
            }
            body.check()?;
            target.persist(&path).map_err(|error| refuse(&error.error))?;
            Ok(())
        })
        .await
    }

    /// The content piece by piece. It is read once to be checked, and once by the caller.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn reader(self) -> Result<FileReader> {
        let mut body = self.body;
        run_blocking(&*self.host, move || {
            body.verify()?;
            Ok(FileReader(body))
        })
        .await
    }
}

/// Reads the content of a file. Blocks while the disk works.
#[derive(Debug)]
pub struct FileReader(BodyReader);

impl FileReader {
    /// Length of the content in bytes.
    pub fn size(&self) -> u64 {
        self.0.size()
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
