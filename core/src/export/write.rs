//! Writing an export: rows from one state of the store, then the files, one after another.

use std::{io::Read as _, path::Path, sync::Arc};

use interocitor_crypto::digest::Sha256Hasher;

use super::{
    Course, Exported, Secret, archive,
    entry::{self, FileNames},
    line::{self, FileLine, Head, MAX_LINE, TableEntry},
    sink::Sink,
};
use crate::{
    bodies::BodyReader,
    error::{Error, Result},
    files::{FileInfo, FilePath},
    store::{Tx, meta::keys, rows::TableInfo},
    sync::Context,
};

/// Bytes handed on at once.
const PIECE: usize = 256 * 1024;

/// Text of rows that is gathered before it goes on, in bytes.
const GATHERED: usize = 256 * 1024;

/// An export on its way. Everything here blocks.
pub(crate) struct Writer {
    sink: Sink,
    course: Arc<Course>,
    names: FileNames,
    /// The lines of the files so far.
    lines: Vec<u8>,
    done: Exported,
}

impl Writer {
    /// Writes head and tables. `secret`: into an archive.
    pub(crate) fn begin(
        ctx: &Context,
        target: &Path,
        secret: Option<&Secret>,
        course: Arc<Course>,
    ) -> Result<Self> {
        let sink = match secret {
            None => Sink::folder(target, ctx.host.now_ms())?,
            Some(secret) => {
                let (head, key) = archive::new_head(secret, &*ctx.host)?;
                Sink::archive(target, &head, &key, &*ctx.host)?
            }
        };
        let mut writer =
            Self { sink, course, names: FileNames::default(), lines: Vec::new(), done: Exported::default() };
        let now_ms = ctx.host.now_ms();
        ctx.store.read_with(|tx| writer.rows(tx, now_ms))?;
        Ok(writer)
    }

    fn rows(&mut self, tx: &Tx<'_>, now_ms: u64) -> Result<()> {
        let mut head = Head { mesh_id: tx.meta(keys::MESH_ID)?, tables: Vec::new() };
        if head.mesh_id.is_none() {
            head.mesh_id = tx.meta(keys::IMPORTED_MESH)?;
        }
        // Twice over the same state: an entry begins with its length.
        let mut sizes = Vec::new();
        let tables = tx.tables()?;
        for (number, table) in (1..).zip(&tables) {
            let (mut rows, mut size, mut hasher) = (0, 0, Sha256Hasher::new());
            self.table(tx, table, |writer, text, count| {
                hasher.update(text);
                (rows, size) = (rows + count, size + text.len() as u64);
                writer.course.add(0, 0, 0)
            })?;
            head.tables.push(TableEntry {
                name: table.name.clone(),
                file: entry::of_table(number, &table.name),
                rows,
            });
            sizes.push((size, hasher.finish_hex()));
        }
        self.sink.put(entry::HEAD, &head.encode(now_ms))?;
        for ((table, listed), (size, digest)) in tables.iter().zip(&head.tables).zip(sizes) {
            self.sink.begin(&listed.file, size)?;
            self.table(tx, table, |writer, text, count| {
                writer.sink.write(text)?;
                writer.course.add(count, 0, text.len() as u64)
            })?;
            if self.sink.end()? != digest {
                return Err(Error::integrity(&listed.file, "it changed while it was exported"));
            }
            self.done.rows += listed.rows;
            self.done.tables += 1;
        }
        Ok(())
    }

    /// The lines of a table in the order of the bytes of its ids, a few at a time.
    fn table(
        &mut self,
        tx: &Tx<'_>,
        table: &TableInfo,
        mut take: impl FnMut(&mut Self, &[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let (mut text, mut count) = (Vec::new(), 0);
        tx.each_row_by_id(table, |id, state| {
            let before = text.len();
            line::write_row(&mut text, &id, &state);
            let length = text.len() - before;
            if length > MAX_LINE {
                let (actual, limit) = (length as u64, MAX_LINE as u64);
                return Err(Error::Limit { what: "a row of an export", actual, limit });
            }
            count += 1;
            if text.len() >= GATHERED {
                take(self, &text, count)?;
                text.clear();
                count = 0;
            }
            Ok(())
        })?;
        take(self, &text, count)
    }

    /// Writes a file. An error in the middle of it is one of the whole export.
    pub(crate) fn file(&mut self, info: &FileInfo, mut body: BodyReader) -> Result<()> {
        let path = FilePath::new(&info.path)?;
        let size = body.size();
        let entry = self.names.give(&path);
        self.sink.begin(&entry, size)?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = body.read(&mut piece).map_err(|error| body.fail(&error))?;
            if count == 0 {
                break;
            }
            self.sink.write(&piece[..count])?;
            self.course.add(0, 0, count as u64)?;
        }
        body.check()?;
        let digest = self.sink.end()?;
        let line = FileLine {
            path,
            entry,
            size,
            digest,
            content_type: info.content_type.clone(),
            modified_ms: info.modified_ms,
        };
        line.write(&mut self.lines);
        self.done.files += 1;
        self.course.add(0, 1, 0)
    }

    /// Ends the export, which shows under its name now.
    pub(crate) fn finish(mut self, unnamed: u64) -> Result<Exported> {
        let lines = std::mem::take(&mut self.lines);
        self.sink.put(entry::FILES, &lines)?;
        Ok(Exported { unnamed, bytes: self.sink.finish()?, ..self.done })
    }
}
