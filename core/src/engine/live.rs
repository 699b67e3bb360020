//! Live queries: the rows of a query, again whenever they have changed.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    events::TableWatch,
    query::{self, Query, Row},
    store::Tx,
    sync::Context,
};

/// A query whose rows are given now and after every change of them, by this device or another.
///
/// It is asked, it does not push: of many changes between two questions only the last state is given, and
/// a change that leaves the rows as they were is passed over.
#[derive(Debug)]
pub struct LiveQuery {
    ctx: Arc<Context>,
    query: Query,
    watch: TableWatch,
    /// Digest of the rows given last.
    last: Option<[u8; 32]>,
}

impl LiveQuery {
    pub(super) fn new(ctx: Arc<Context>, query: Query) -> Self {
        let watch = ctx.events.watch(query.table_name());
        Self { ctx, query, watch, last: None }
    }

    /// The rows: at once the first time, later as soon as they differ from those given last. `None` after
    /// the database was shut down. While it is suspended this waits.
    ///
    /// # Errors
    ///
    /// Those of the store; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Vec<Row>>> {
        self.next_with(query::run, |digest, rows| {
            for row in rows {
                digest.update((row.id.as_bytes().len() as u64).to_le_bytes());
                digest.update(row.id.as_bytes());
                digest.update((row.json.len() as u64).to_le_bytes());
                digest.update(row.json.as_bytes());
            }
        })
        .await
    }

    /// The rows as [`query_json`](super::Interocitor::query_json) gives them, otherwise as
    /// [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_json(&mut self) -> Option<Result<Vec<u8>>> {
        self.next_with(query::page_json, |digest, page| digest.update(page)).await
    }

    async fn next_with<T>(
        &mut self,
        run: fn(&Tx<'_>, &Query) -> Result<T>,
        feed: fn(&mut Sha256, &T),
    ) -> Option<Result<T>> {
        loop {
            if self.last.is_some() && !self.watch.changed().await {
                return None;
            }
            let found = match self.ctx.read(|tx| run(tx, &self.query)) {
                Ok(found) => found,
                Err(Error::ShutDown) => return None,
                // Everything is marked as changed when the store is back.
                Err(Error::Suspended) => {
                    self.last.get_or_insert([0; 32]);
                    continue;
                }
                Err(error) => return Some(Err(error)),
            };
            let mut digest = Sha256::new();
            feed(&mut digest, &found);
            let digest = digest.finalize().into();
            if self.last.replace(digest) != Some(digest) {
                return Some(Ok(found));
            }
        }
    }
}
