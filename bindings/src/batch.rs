//! Writes that wait to be committed together.

use std::sync::{Arc, Mutex, PoisonError};

use interocitor_core::Batch as CoreBatch;

use crate::{Failure, StagedFile, configuration::invalid, runtime::on_runtime, table::fields};

/// Writes that wait to be committed together.
#[derive(Debug)]
pub struct Batch {
    batch: Mutex<Option<CoreBatch>>,
    /// The handle that it was begun with.
    handle: u64,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Batch {
    pub(crate) fn new(batch: CoreBatch, handle: u64) -> Self {
        Self { batch: Mutex::new(Some(batch)), handle }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut CoreBatch) -> interocitor_core::Result<T>,
    ) -> Result<T, Failure> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(batch.as_mut().ok_or_else(spent)?)?)
    }

    /// As `Table::add`, when the batch is committed.
    pub fn add(&self, table: String, json: Vec<u8>, prefix: Option<String>) -> Result<String, Failure> {
        let fields = fields(json)?;
        self.with(|batch| {
            let mut table = batch.table(table);
            let id = match &prefix {
                Some(prefix) => table.add_with_prefix(prefix, fields)?,
                None => table.add(fields)?,
            };
            Ok(id.to_string())
        })
    }

    /// As `Table::put`, when the batch is committed.
    pub fn put(&self, table: String, row_id: String, json: Vec<u8>) -> Result<(), Failure> {
        let fields = fields(json)?;
        self.with(|batch| batch.table(table).put(row_id, fields))
    }

    /// As `Table::replace`, when the batch is committed.
    pub fn replace(&self, table: String, row_id: String, json: Vec<u8>) -> Result<(), Failure> {
        let fields = fields(json)?;
        self.with(|batch| batch.table(table).replace(row_id, fields))
    }

    /// As `Table::delete`, when the batch is committed.
    pub fn delete(&self, table: String, row_id: String) -> Result<(), Failure> {
        self.with(|batch| batch.table(table).delete(row_id))
    }

    /// A row as it would be if the batch were committed now.
    pub fn row(&self, table: String, row_id: String) -> Result<Option<Vec<u8>>, Failure> {
        self.with(|batch| Ok(batch.table(table).row(row_id)?.map(|row| row.json.into_bytes())))
    }

    /// Puts a staged file together with the rows.
    pub fn put_file(&self, file: Arc<StagedFile>) -> Result<(), Failure> {
        // Not taken by a batch that is spent.
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.as_mut().ok_or_else(spent)?.put_file(file.take(self.handle)?);
        Ok(())
    }

    /// Applies all writes.
    pub async fn commit(&self) -> Result<(), Failure> {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(spent)?;
        on_runtime(async move { Ok(batch.commit().await?) }).await
    }
}

fn spent() -> Failure {
    invalid("batch", "it was committed already")
}
