//! Folders that were made twice, by clients that did not see each other.

use super::super::MailboxResult;
use super::super::place::Place;
use super::memory::Ids;
use super::query::{self, Wanted};
use super::tree::Tree;

/// Moves at one time; the rest is for the next.
const MOVES_MAX: usize = 200;
/// A doubled folder that has been empty for so long is nobody's any more: clients that use it write into it.
const ABANDONED_MS: i64 = 24 * 60 * 60 * 1000;

impl Tree {
    /// Moves what is in the others into the first, and those of them that stay empty into the trash. Whoever
    /// sees but one of them, as the JavaScript client does, sees everything again.
    pub(super) async fn heal(&self, folder: &Place, ids: &Ids) {
        let Some((first, others)) = ids.split_first() else { return };
        for other in others {
            if let Err(error) = self.empty(folder, other, first).await {
                // They are read as one in the meantime.
                tracing::debug!(kind = ?error.kind(), "a doubled folder stays as it is");
            }
        }
    }

    async fn empty(&self, folder: &Place, other: &str, first: &str) -> MailboxResult<()> {
        let query = query::children(&[other.to_owned()], Wanted::Everything);
        let page = self.api.page(folder, &query, None).await?;
        for item in page.files.iter().take(MOVES_MAX) {
            self.api.move_to(folder, &item.id, other, first).await?;
        }
        let is_empty = page.files.is_empty() && page.next_page_token.is_none();
        if is_empty && self.api.facts(folder, other).await?.is_older_than(ABANDONED_MS) {
            self.api.trash(folder, other).await?;
            self.memory.forget_folder(folder);
        }
        Ok(())
    }
}
