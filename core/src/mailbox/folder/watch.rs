//! Noticing what others change in a directory, by the file system's own messages.

use notify::{Event, EventKind, RecursiveMode, Watcher};

use super::super::{MailboxError, MailboxErrorKind, Notice, Watch, path};
use super::{FolderMailbox, MailboxResult};

impl FolderMailbox {
    /// Watches everything below a folder. Blocks for as long as the file system takes to say yes.
    pub(super) fn watch_folder(&self, folder: &str, notice: Notice) -> MailboxResult<Watch> {
        let segments = path::folder("watch", folder)?;
        let place = segments.iter().fold(self.base().to_owned(), |place, segment| place.join(segment));
        let failed = |error: notify::Error| {
            // A system that has no more watches to give, or a drive that knows none: polls go on.
            let message = "the directory cannot be watched; it is polled as before";
            MailboxError::new(MailboxErrorKind::Unavailable, "watch", folder, message).with_source(error)
        };
        let on_event = move |event: notify::Result<Event>| match event {
            Ok(event) if !is_news(&event) => {}
            // What was missed may have been news.
            Ok(_) | Err(_) => notice(),
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(failed)?;
        watcher.watch(&place, RecursiveMode::Recursive).map_err(failed)?;
        Ok(Box::new(watcher))
    }
}

/// Whether somebody changed a file that listings show: reading is none, nor are hidden files, such as those
/// that are still being written.
fn is_news(event: &Event) -> bool {
    let is_shown = |path: &std::path::PathBuf| {
        path.file_name().is_none_or(|name| !path::is_hidden(&name.to_string_lossy()))
    };
    let is_change = !matches!(event.kind, EventKind::Access(_));
    event.need_rescan() || (is_change && (event.paths.is_empty() || event.paths.iter().any(is_shown)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use super::super::super::{Body, StorageAdapter};
    use super::*;

    /// Waits for news, which come at any time within a few seconds.
    async fn news(seen: &AtomicU32) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if seen.swap(0, Ordering::SeqCst) > 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn changes_of_others_are_noticed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (FolderMailbox::new(folder.path()), FolderMailbox::new(folder.path()));
        theirs.write_file("/Mesh/changes/a", Body::from("1")).await.unwrap();
        let seen = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&seen);
        let notice: Notice = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let watch = ours.watch("/Mesh", Arc::clone(&notice)).await.unwrap().expect("folders are watched");
        theirs.write_file("/Mesh/changes/b", Body::from("2")).await.unwrap();
        assert!(news(&seen).await, "a new file");
        theirs.delete_file("/Mesh/changes/a").await.unwrap();
        assert!(news(&seen).await, "a file that is gone");
        theirs.write_file("/Mesh/new/deep", Body::from("3")).await.unwrap();
        assert!(news(&seen).await, "a new folder");
        tokio::time::sleep(Duration::from_millis(300)).await;

        // Reading, what is still being written, and another mesh are no news.
        seen.store(0, Ordering::SeqCst);
        ours.list_files("/Mesh/changes").await.unwrap();
        ours.read_file("/Mesh/changes/b").await.unwrap();
        std::fs::write(folder.path().join("Mesh/changes/.half"), "4").unwrap();
        theirs.write_file("/Other/changes/a", Body::from("5")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(seen.load(Ordering::SeqCst), 0);

        drop(watch);
        theirs.write_file("/Mesh/changes/c", Body::from("6")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(seen.load(Ordering::SeqCst), 0, "after the end");

        let missing = FolderMailbox::new(folder.path().join("gone")).watch("/Mesh", notice).await;
        assert_eq!(missing.err().map(|error| error.kind()), Some(MailboxErrorKind::Unavailable));
    }
}
