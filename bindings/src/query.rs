//! Queries and live queries.

use std::{fmt, sync::Arc};

use interocitor_core::{
    Condition as CoreCondition, Direction, Interocitor as Core, LiveQuery as CoreLive, Query as CoreQuery,
    Value,
};
use tokio::sync::Mutex;

use crate::{
    CancelToken, Failure,
    configuration::invalid,
    runtime::{on_runtime, until_cancelled},
    status::whole,
};

/// What to look for.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct QueryOptions {
    pub filters: Vec<Filter>,
    pub order: Vec<Order>,
    pub limit: Option<i64>,
    pub offset: i64,
}

/// A column and what it must be like.
#[derive(Debug)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Filter {
    pub field: String,
    pub condition: Condition,
}

/// A column to order by.
#[derive(Debug)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Order {
    pub field: String,
    pub descending: bool,
}

/// What a column must be like; operands are JSON.
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Condition {
    Equals { value: String },
    Above { value: String },
    AboveOrEqual { value: String },
    Below { value: String },
    BelowOrEqual { value: String },
    Between { low: String, high: String, low_open: bool, high_open: bool },
    StartsWith { prefix: String },
    AnyOf { values: Vec<String> },
}

impl fmt::Debug for Condition {
    /// Operands are the user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Condition::Equals { .. } => "Equals",
            Condition::Above { .. } => "Above",
            Condition::AboveOrEqual { .. } => "AboveOrEqual",
            Condition::Below { .. } => "Below",
            Condition::BelowOrEqual { .. } => "BelowOrEqual",
            Condition::Between { .. } => "Between",
            Condition::StartsWith { .. } => "StartsWith",
            Condition::AnyOf { .. } => "AnyOf",
        })
    }
}

impl TryFrom<Condition> for CoreCondition {
    type Error = Failure;

    fn try_from(condition: Condition) -> Result<Self, Failure> {
        let value = |json: String| {
            Value::parse(&json).map_err(|error| invalid("query", format!("an operand is no JSON: {error}")))
        };
        Ok(match condition {
            Condition::Equals { value: json } => Self::Equals(value(json)?),
            Condition::Above { value: json } => Self::Above(value(json)?),
            Condition::AboveOrEqual { value: json } => Self::AboveOrEqual(value(json)?),
            Condition::Below { value: json } => Self::Below(value(json)?),
            Condition::BelowOrEqual { value: json } => Self::BelowOrEqual(value(json)?),
            Condition::Between { low, high, low_open, high_open } => {
                Self::Between { low: value(low)?, high: value(high)?, low_open, high_open }
            }
            Condition::StartsWith { prefix } => Self::StartsWith(prefix),
            Condition::AnyOf { values } => {
                Self::AnyOf(values.into_iter().map(value).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl QueryOptions {
    /// The engine's query.
    pub(crate) fn over(self, mut query: CoreQuery) -> Result<CoreQuery, Failure> {
        let rows = |what, rows| u64::try_from(rows).map_err(|_| invalid(what, "it is below zero"));
        for Filter { field, condition } in self.filters {
            query = query.filter(field, condition.try_into()?);
        }
        for Order { field, descending } in self.order {
            query =
                query.order_by(field, if descending { Direction::Descending } else { Direction::Ascending });
        }
        if let Some(limit) = self.limit {
            query = query.limit(rows("limit", limit)?);
        }
        Ok(query.offset(rows("offset", self.offset)?))
    }
}

/// A query that is ready to be run.
#[derive(Debug)]
pub struct Query {
    db: Core,
    query: CoreQuery,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Query {
    pub(crate) fn new(db: Core, query: CoreQuery) -> Self {
        Self { db, query }
    }

    /// The rows as one JSON array.
    pub async fn rows(&self, cancel: Option<Arc<CancelToken>>) -> Result<Vec<u8>, Failure> {
        let (db, query) = (self.db.clone(), self.query.clone());
        until_cancelled(cancel, async move { Ok(db.query_json(&query).await?) }).await
    }

    /// How many rows there are.
    pub async fn count(&self) -> Result<i64, Failure> {
        let (db, query) = (self.db.clone(), self.query.clone());
        on_runtime(async move { Ok(whole(db.count(&query).await?)) }).await
    }

    /// The rows now, and again whenever they have changed.
    pub fn observe(&self) -> Result<Arc<LiveQuery>, Failure> {
        let live = self.db.observe(self.query.clone())?;
        Ok(Arc::new(LiveQuery { live: Arc::new(Mutex::new(live)), end: Arc::default() }))
    }
}

/// A query whose rows are given now and after every change of them.
#[derive(Debug)]
pub struct LiveQuery {
    /// One question at a time.
    live: Arc<Mutex<CoreLive>>,
    end: Arc<CancelToken>,
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl LiveQuery {
    /// The rows, as soon as they differ from those given last.
    pub async fn next(&self) -> Result<Option<Vec<u8>>, Failure> {
        let (live, end) = (Arc::clone(&self.live), Arc::clone(&self.end));
        on_runtime(async move {
            let next = async { Ok(live.lock().await.next_json().await.transpose()?) };
            tokio::select! {
                biased;
                () = end.cancelled() => Ok(None),
                outcome = next => outcome,
            }
        })
        .await
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.end.cancel();
    }
}
