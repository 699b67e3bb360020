//! One table.

use interocitor_core::{Fields, Interocitor as Core, Name, Table as CoreTable};

use crate::{Failure, Query, QueryOptions, configuration::invalid, runtime::in_place};

/// A table: rows under ids, each a JSON object whose members merge one by one.
#[derive(Debug)]
pub struct Table {
    db: Core,
    table: CoreTable,
}

/// The columns in a JSON object.
pub(crate) fn fields(json: Vec<u8>) -> Result<Fields, Failure> {
    let json = String::from_utf8(json).map_err(|_| invalid("row", "its text is not UTF-8"))?;
    Ok(Fields::from_json(&json)?)
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Table {
    pub(crate) fn new(db: Core, name: String) -> Self {
        let table = db.table(name);
        Self { db, table }
    }

    async fn run<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send + 'static>(
        &self,
        work: impl FnOnce(CoreTable) -> F,
    ) -> Result<T, Failure> {
        in_place(work(self.table.clone())).await
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.table.name().to_string()
    }

    /// Adds a row under a new id and returns the id.
    pub async fn add(&self, json: Vec<u8>, prefix: Option<String>) -> Result<String, Failure> {
        self.run(async move |table| {
            let fields = fields(json)?;
            let id: Name = match &prefix {
                Some(prefix) => table.add_with_prefix(prefix, fields).await?,
                None => table.add(fields).await?,
            };
            Ok(id.to_string())
        })
        .await
    }

    /// Sets the given columns and keeps the others.
    pub async fn put(&self, row_id: String, json: Vec<u8>) -> Result<(), Failure> {
        self.run(async move |table| Ok(table.put(row_id, fields(json)?).await?)).await
    }

    /// Sets the given columns and every other column of the row to null.
    pub async fn replace(&self, row_id: String, json: Vec<u8>) -> Result<(), Failure> {
        self.run(async move |table| Ok(table.replace(row_id, fields(json)?).await?)).await
    }

    /// Deletes a row.
    pub async fn delete(&self, row_id: String) -> Result<(), Failure> {
        self.run(async move |table| Ok(table.delete(row_id).await?)).await
    }

    /// A live row as a JSON object.
    pub async fn row(&self, row_id: String) -> Result<Option<Vec<u8>>, Failure> {
        self.run(async move |table| Ok(table.row(row_id).await?.map(|row| row.json.into_bytes()))).await
    }

    /// A query over this table.
    pub fn query(&self, options: QueryOptions) -> Result<std::sync::Arc<Query>, Failure> {
        Ok(std::sync::Arc::new(Query::new(self.db.clone(), options.over(self.table.query())?)))
    }
}
