//! One table of a database.

use std::sync::Arc;

use super::{Inner, Writing};
use crate::{
    error::Result,
    host::ids,
    local::{IntoFields, RowWrite, Write, check_name},
    query::{Condition, Query, Row},
    value::Name,
};

/// A table: rows under ids, each a set of named JSON values that merge column by column.
///
/// Values are given as anything that serialises to a JSON object; `undefined` has no counterpart,
/// dates are ISO texts. Names and ids may be any string.
#[derive(Debug, Clone)]
pub struct Table {
    inner: Arc<Inner>,
    name: Name,
}

#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Table {
    pub(super) fn new(inner: Arc<Inner>, name: Name) -> Self {
        Self { inner, name }
    }

    /// The table's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Adds a row under a new id and returns the id.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where `fields` is no object, `LIMIT`, `UNIQUE_VIOLATION`, and those of the store.
    pub async fn add(&self, fields: impl IntoFields) -> Result<Name> {
        self.add_under(ids::uuid_v4(&*self.inner.ctx.host).into(), fields).await
    }

    /// As [`add`](Self::add), with an id that starts with `prefix` and `_`.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub async fn add_with_prefix(&self, prefix: &str, fields: impl IntoFields) -> Result<Name> {
        self.add_under(format!("{prefix}_{}", ids::uuid_v4(&*self.inner.ctx.host)).into(), fields).await
    }

    async fn add_under(&self, row_id: Name, fields: impl IntoFields) -> Result<Name> {
        self.put(row_id.clone(), fields).await?;
        Ok(row_id)
    }

    /// Sets the given columns and keeps the others. A missing row is made; a deleted one comes back
    /// with these columns only.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub async fn put(&self, row_id: impl Into<Name>, fields: impl IntoFields) -> Result<()> {
        self.write(row_id, Write::Put(fields.into_fields()?)).await
    }

    /// The same as [`put`](Self::put), under the JavaScript client's name for it.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub async fn patch(&self, row_id: impl Into<Name>, fields: impl IntoFields) -> Result<()> {
        self.put(row_id, fields).await
    }

    /// Sets the given columns and every other column of the row to null.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub async fn replace(&self, row_id: impl Into<Name>, fields: impl IntoFields) -> Result<()> {
        self.write(row_id, Write::Replace(fields.into_fields()?)).await
    }

    /// Deletes a row; an unknown or deleted one stays as it is.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn delete(&self, row_id: impl Into<Name>) -> Result<()> {
        self.write(row_id, Write::Delete).await
    }

    async fn write(&self, row_id: impl Into<Name>, write: Write) -> Result<()> {
        let row_id = row_id.into();
        check_name("a table name", &self.name)?;
        check_name("a row id", &row_id)?;
        let rows = vec![RowWrite { table: self.name.clone(), row_id, write }];
        self.inner.write(Writing { rows, ..Writing::default() }).await
    }

    /// A live row.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn row(&self, row_id: impl Into<Name>) -> Result<Option<Row>> {
        self.inner.check_open()?;
        let id = row_id.into();
        self.inner.ctx.read(|tx| {
            let Some(table) = tx.table(&self.name)? else { return Ok(None) };
            Ok(tx.row_json(&table, &id)?.map(|json| Row { id: id.clone(), json }))
        })
    }

    /// A query over this table, to be run by [`Interocitor::query`](super::Interocitor::query).
    pub fn query(&self) -> Query {
        Query::table(self.name.clone())
    }

    /// The rows whose `field` meets `condition`.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn where_(&self, field: impl Into<Name>, condition: Condition) -> Result<Vec<Row>> {
        self.inner.check_open()?;
        let query = self.query().filter(field, condition);
        self.inner.ctx.read(|tx| crate::query::run(tx, &query))
    }
}
