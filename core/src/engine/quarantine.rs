//! What waits for a decision: files that cannot be read, and writes whose rows are gone.

use super::{Interocitor, Writing};
use crate::{
    error::{Error, Result},
    local::{Fields, RowWrite, Write},
    store::{
        quarantine::{Quarantined, QuarantinedWrite},
        stale::StaleWrite,
    },
};

/// Prefix of the names of writes.
const WRITES: &str = "writes/";

#[expect(clippy::unused_async, reason = "async by contract: a store may come to work on a thread of its own")]
impl Interocitor {
    /// Files of the mailbox that cannot be read, and writes of this device that were put aside.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.inner.check_open()?;
        self.inner.ctx.read(|tx| {
            let mut list = tx.quarantined()?;
            list.extend(tx.stale()?.iter().map(listed));
            Ok(list)
        })
    }

    /// Takes something out of quarantine: a write is made once more, under a fresh clock, and its row comes back with
    /// these columns; a file is tried again with the next pull.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a name that is not in quarantine; those of a write.
    pub async fn restore_quarantined(&self, name: &str) -> Result<()> {
        self.inner.check_open()?;
        let ctx = &self.inner.ctx;
        let Some(id) = write_id(name) else {
            let known = ctx.write(|tx| tx.retry_quarantined(name))?;
            self.inner.driver.hurry();
            return if known { Ok(()) } else { Err(unknown(name)) };
        };
        let stale = ctx.read(|tx| Ok(tx.stale()?.into_iter().find(|stale| stale.id == id)))?;
        let StaleWrite { table, row_id, state, .. } = stale.ok_or_else(|| unknown(name))?;
        let fields: Fields = state.cells.into_iter().map(|cell| (cell.name, cell.value)).collect();
        // Written first: broken off in between it is there twice, and not gone.
        let rows = vec![RowWrite { table, row_id, write: Write::Put(fields) }];
        self.inner.write(Writing { rows, files: Vec::new(), is_batch: true }).await?;
        ctx.write(|tx| tx.remove_stale(id)).map(|_| ())
    }

    /// Lets something in quarantine go: a write is forgotten for good; a file stays in the mailbox, and is not tried
    /// again before its content changes.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for a name that is not in quarantine; those of the store.
    pub async fn discard_quarantined(&self, name: &str) -> Result<()> {
        self.inner.check_open()?;
        let known = self.inner.ctx.write(|tx| match write_id(name) {
            Some(id) => tx.remove_stale(id),
            None => tx.discard_quarantined(name),
        })?;
        if known { Ok(()) } else { Err(unknown(name)) }
    }
}

fn write_id(name: &str) -> Option<i64> {
    name.strip_prefix(WRITES)?.parse().ok()
}

fn unknown(name: &str) -> Error {
    Error::invalid("name", format!("nothing in quarantine is called {name}"))
}

fn listed(stale: &StaleWrite) -> Quarantined {
    Quarantined {
        name: format!("{WRITES}{}", stale.id),
        code: "ROW_DELETED".into(),
        reason:
            "the row was deleted elsewhere before this write was published; restore brings the row back with \
                 these columns, discard lets it go"
                .into(),
        first_ms: stale.since_ms,
        last_ms: stale.since_ms,
        tries: 0,
        write: Some(QuarantinedWrite {
            table: stale.table.to_string(),
            row_id: stale.row_id.to_string(),
            columns: stale.state.to_json(),
        }),
    }
}
