//! Bodies that wait in a file to be sent.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::super::body::Meter;
use super::super::{ByteStream, MailboxResult};
use super::Head;
use super::platform::{PlatformUploads, kind_of};

/// A body in a file, which is gone with the last reference, whatever became of the upload.
pub(in super::super) struct Spooled {
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

impl Spooled {
    /// Writes a body to its end.
    pub(super) async fn write(
        uploads: &PlatformUploads,
        head: &Head<'_>,
        len: u64,
        mut stream: ByteStream,
    ) -> MailboxResult<Self> {
        let (id, path) = uploads.next();
        let failed = |error: std::io::Error| {
            head.error(kind_of(&error), "what is to be sent cannot be kept in a file").with_source(error)
        };
        // From here on, so that a broken body leaves nothing behind.
        let spooled = Self { id, path, len };
        let mut file = spooled.create().await.map_err(failed)?;
        let mut meter = Meter::new(head.operation, head.path, len);
        while let Some(piece) = stream.next().await {
            let piece: Bytes = piece?;
            meter.add(piece.len())?;
            file.write_all(&piece).await.map_err(failed)?;
        }
        meter.finish()?;
        // What is written last fails here, if it does.
        file.flush().await.map_err(failed)?;
        Ok(spooled)
    }

    /// A file that nobody else may read: without encryption of the mesh it holds what the user put.
    async fn create(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        options.open(&self.path).await
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // One that stays is removed by the next process.
        let _ = std::fs::remove_file(&self.path);
    }
}
