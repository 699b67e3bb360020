//! Batches: several writes that are stored and published together.

use std::sync::Arc;

use super::{Inner, Writing};
use crate::{
    error::Result,
    files::StagedFile,
    host::ids,
    local::{self, IntoFields, RowWrite, Write, check_name},
    query::Row,
    value::Name,
};

/// Writes that wait to be committed together. Dropping it writes nothing.
#[derive(Debug)]
pub struct Batch {
    inner: Arc<Inner>,
    writes: Vec<RowWrite>,
    files: Vec<StagedFile>,
}

impl Batch {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, writes: Vec::new(), files: Vec::new() }
    }

    /// A table within this batch.
    pub fn table(&mut self, name: impl Into<Name>) -> BatchTable<'_> {
        BatchTable { batch: self, name: name.into() }
    }

    /// Puts a file, staged by [`Interocitor::stage_file`](super::Interocitor::stage_file), together with the rows. Other
    /// devices see none of the rows before the mailbox has all the files: the files are uploaded first, then the rows
    /// are published. Of several files under one path the last one counts.
    pub fn put_file(&mut self, file: StagedFile) {
        self.files.retain(|known| known.path() != file.path());
        self.files.push(file);
    }

    /// Number of writes so far, files included.
    pub fn len(&self) -> usize {
        self.writes.len() + self.files.len()
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.files.is_empty()
    }

    /// Applies all writes, onto the rows as they are now, in one transaction; they are published as
    /// one change.
    ///
    /// # Errors
    ///
    /// `UNIQUE_VIOLATION` and those of the store; then nothing is written.
    pub async fn commit(self) -> Result<()> {
        if self.is_empty() {
            return self.inner.check_open();
        }
        self.inner.write(Writing { rows: self.writes, files: self.files, is_batch: true }).await
    }
}

/// One table of a [`Batch`].
#[derive(Debug)]
pub struct BatchTable<'a> {
    batch: &'a mut Batch,
    name: Name,
}

impl BatchTable<'_> {
    /// As [`Table::add`](super::Table::add), when the batch is committed.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where `fields` is no object, `LIMIT`.
    pub fn add(&mut self, fields: impl IntoFields) -> Result<Name> {
        let row_id = Name::from(ids::uuid_v4(&*self.batch.inner.ctx.host));
        self.put(row_id.clone(), fields)?;
        Ok(row_id)
    }

    /// As [`add`](Self::add), with an id that starts with `prefix` and `_`.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_with_prefix(&mut self, prefix: &str, fields: impl IntoFields) -> Result<Name> {
        let row_id = Name::from(format!("{prefix}_{}", ids::uuid_v4(&*self.batch.inner.ctx.host)));
        self.put(row_id.clone(), fields)?;
        Ok(row_id)
    }

    /// As [`Table::put`](super::Table::put), when the batch is committed.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn put(&mut self, row_id: impl Into<Name>, fields: impl IntoFields) -> Result<()> {
        self.push(row_id, Write::Put(fields.into_fields()?))
    }

    /// As [`Table::replace`](super::Table::replace), when the batch is committed.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn replace(&mut self, row_id: impl Into<Name>, fields: impl IntoFields) -> Result<()> {
        self.push(row_id, Write::Replace(fields.into_fields()?))
    }

    /// As [`Table::delete`](super::Table::delete), when the batch is committed.
    ///
    /// # Errors
    ///
    /// `LIMIT` for an id that no row can have.
    pub fn delete(&mut self, row_id: impl Into<Name>) -> Result<()> {
        self.push(row_id, Write::Delete)
    }

    fn push(&mut self, row_id: impl Into<Name>, write: Write) -> Result<()> {
        let row_id = row_id.into();
        check_name("a table name", &self.name)?;
        check_name("a row id", &row_id)?;
        self.batch.writes.push(RowWrite { table: self.name.clone(), row_id, write });
        Ok(())
    }

    /// A row as it would be if the batch were committed now.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn row(&self, row_id: impl Into<Name>) -> Result<Option<Row>> {
        let id = row_id.into();
        let writes = self.batch.writes.iter().filter(|write| write.table == self.name && write.row_id == id);
        let writes: Vec<&Write> = writes.map(|write| &write.write).collect();
        let state = self.batch.inner.ctx.read(|tx| {
            let Some(table) = tx.table(&self.name)? else { return Ok(None) };
            Ok(tx.row(&table, &id)?.map(|stored| stored.state))
        })?;
        let state = local::preview(state, &writes);
        Ok(state.filter(crate::row::RowState::is_live).map(|state| Row { id, json: state.to_json() }))
    }
}
