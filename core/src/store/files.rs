//! Durable files: what is known of each, where its body lies here, and what is still to be done about it.
//!
//! The bodies lie in a folder beside the store, each hidden under a key of its own that is kept here.

use interocitor_crypto::Key;
use rusqlite::{OptionalExtension, Row, params};

use super::{
    Tx,
    meta::{keys, signed},
};
use crate::{error::Result, value::Name};

/// The tables of this noun; stores of before do not have them.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS files(
    path TEXT PRIMARY KEY,
    body TEXT, key BLOB,                            -- the body that lies here
    size INTEGER, digest TEXT, content_type TEXT,   -- of that body
    version TEXT,                                   -- what the mailbox called it, where that was asked
    form TEXT,                                      -- how it lies in the mailbox, where that is known
    modified_ms INTEGER, used_ms INTEGER NOT NULL, is_pinned INTEGER NOT NULL,
    task TEXT, turn INTEGER,                        -- what is to be done, and the number of that wish
    is_paused INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    due_ms INTEGER,                                 -- when it is tried; nothing: it cannot succeed as it is
    code TEXT, problem TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file_rows(               -- rows that must not be published before their files
    path TEXT NOT NULL, table_name BLOB NOT NULL, row_id BLOB NOT NULL,
    PRIMARY KEY (table_name, row_id, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file_imports(            -- to be uploaded only where the mailbox has nothing
    path TEXT PRIMARY KEY
) WITHOUT ROWID;
";

/// Nothing is put off for longer than this, in ms.
pub(crate) const LONGEST_WAIT_MS: u64 = 24 * 3600 * 1000;

/// A body in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) key: Key,
}

/// What a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) size: u64,
    /// SHA-256, lowercase hex.
    pub(crate) digest: String,
    pub(crate) content_type: Option<String>,
}

/// What is to be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Upload,
    Download,
    Delete,
}

impl Task {
    const fn text(self) -> &'static str {
        match self {
            Task::Upload => "upload",
            Task::Download => "download",
            Task::Delete => "delete",
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        [Task::Upload, Task::Download, Task::Delete].into_iter().find(|task| task.text() == text)
    }
}

/// A wish that is not fulfilled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) task: Task,
    /// Tells this wish from one that took its place.
    pub(crate) turn: u64,
    pub(crate) is_paused: bool,
    pub(crate) attempts: u32,
    /// When it is tried, wall ms; `None` where another try would end as the last one.
    pub(crate) due_ms: Option<u64>,
    /// Code and text of the last failure.
    pub(crate) problem: Option<(String, String)>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) path: String,
    pub(crate) body: Option<Body>,
    pub(crate) facts: Option<Facts>,
    pub(crate) version: Option<String>,
    pub(crate) form: Option<String>,
    pub(crate) modified_ms: Option<u64>,
    pub(crate) used_ms: u64,
    pub(crate) is_pinned: bool,
    pub(crate) job: Option<Job>,
}

impl FileRow {
    /// A file of which nothing is known.
    pub(crate) fn new(path: &str, now_ms: u64) -> Self {
        Self {
            path: path.to_owned(),
            body: None,
            facts: None,
            version: None,
            form: None,
            modified_ms: None,
            used_ms: now_ms,
            is_pinned: false,
            job: None,
        }
    }

    /// Whether such a wish waits.
    pub(crate) fn awaits(&self, task: Task) -> bool {
        self.job.as_ref().is_some_and(|job| job.task == task)
    }

    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs));
        let key: Option<[u8; 32]> = row.get(2)?;
        let name: Option<String> = row.get(1)?;
        let facts = match (number(3)?, row.get::<_, Option<String>>(4)?) {
            (Some(size), Some(digest)) => Some(Facts { size, digest, content_type: row.get(5)? }),
            _ => None,
        };
        let task = row.get::<_, Option<String>>(11)?.and_then(|text| Task::of_text(&text));
        let problem = row.get::<_, Option<String>>(16)?.zip(row.get::<_, Option<String>>(17)?);
        let job = match task {
            None => None,
            Some(task) => Some(Job {
                task,
                turn: number(12)?.unwrap_or(0),
                is_paused: row.get(13)?,
                attempts: row.get(14)?,
                due_ms: number(15)?,
                problem,
            }),
        };
        Ok(Self {
            path: row.get(0)?,
            body: name.zip(key).map(|(name, key)| Body { name, key: Key::from_bytes(key) }),
            facts,
            version: row.get(6)?,
            form: row.get(7)?,
            modified_ms: number(8)?,
            used_ms: number(9)?.unwrap_or(0),
            is_pinned: row.get(10)?,
            job,
        })
    }
}

const COLUMNS: &str = "path, body, key, size, digest, content_type, version, form, modified_ms, used_ms, is_pinned, \
                       task, turn, is_paused, attempts, due_ms, code, problem";

/// How many wishes wait, and how many of them cannot be fulfilled as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileCount {
    pub(crate) waiting: u64,
    pub(crate) failed: u64,
}

impl Tx<'_> {
    /// What is known of a file.
    pub(crate) fn file(&self, path: &str) -> Result<Option<FileRow>> {
        let mut statement = self.sql(&format!("SELECT {COLUMNS} FROM files WHERE path = ?1"))?;
        Ok(statement.query_row([path], FileRow::of_row).optional()?)
    }

    /// All files whose path begins with `prefix`, in order.
    pub(crate) fn files(&self, prefix: &str) -> Result<Vec<FileRow>> {
        let sql = format!("SELECT {COLUMNS} FROM files WHERE substr(path, 1, length(?1)) = ?1 ORDER BY path");
        let mut statement = self.sql(&sql)?;
        Ok(statement.query_map([prefix], FileRow::of_row)?.collect::<Result<_, _>>()?)
    }

    /// Stores what is known of a file.
    pub(crate) fn put_file(&self, file: &FileRow) -> Result<()> {
        let job = file.job.as_ref();
        let facts = file.facts.as_ref();
        let problem = job.and_then(|job| job.problem.as_ref());
        self.sql(&format!(
            "INSERT OR REPLACE INTO files({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
        ))?
        .execute(params![
            file.path,
            file.body.as_ref().map(|body| &body.name),
            file.body.as_ref().map(|body| body.key.as_bytes()),
            facts.map(|facts| signed(facts.size)),
            facts.map(|facts| &facts.digest),
            facts.and_then(|facts| facts.content_type.as_ref()),
            file.version,
            file.form,
            file.modified_ms.map(signed),
            signed(file.used_ms),
            file.is_pinned,
            job.map(|job| job.task.text()),
            job.map(|job| signed(job.turn)),
            job.is_some_and(|job| job.is_paused),
            job.map_or(0, |job| job.attempts),
            job.and_then(|job| job.due_ms).map(signed),
            problem.map(|(code, _)| code),
            problem.map(|(_, text)| text),
        ])?;
        Ok(())
    }

    /// Forgets a file.
    pub(crate) fn remove_file(&self, path: &str) -> Result<()> {
        self.sql("DELETE FROM files WHERE path = ?1")?.execute([path])?;
        Ok(())
    }

    /// A fresh wish, to be tried at once.
    pub(crate) fn new_job(&self, task: Task, now_ms: u64) -> Result<Job> {
        let turn = self.meta_number(keys::FILE_TURN)?.unwrap_or(0) + 1;
        self.set_meta(keys::FILE_TURN, &turn.to_string())?;
        Ok(Job { task, turn, is_paused: false, attempts: 0, due_ms: Some(now_ms), problem: None })
    }

    /// Wishes that may be tried now, oldest first.
    pub(crate) fn due_files(&self, now_ms: u64, limit: usize) -> Result<Vec<FileRow>> {
        let mut statement = self.sql(&format!(
            "SELECT {COLUMNS} FROM files WHERE task IS NOT NULL AND NOT is_paused
             AND (due_ms <= ?1 OR due_ms > ?3) ORDER BY turn LIMIT ?2"
        ))?;
        // A time that far ahead was set under a wall clock that went back since.
        let latest = now_ms.saturating_add(LONGEST_WAIT_MS);
        let rows = statement
            .query_map(params![signed(now_ms), signed(limit as u64), signed(latest)], FileRow::of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next wish is to be tried, wall ms.
    pub(crate) fn next_due_file(&self) -> Result<Option<u64>> {
        let due: Option<i64> = self
            .sql("SELECT min(due_ms) FROM files WHERE task IS NOT NULL AND NOT is_paused")?
            .query_row([], |row| row.get(0))?;
        Ok(due.map(i64::unsigned_abs))
    }

    /// How many wishes wait.
    pub(crate) fn file_count(&self) -> Result<FileCount> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE due_ms IS NULL) FROM files WHERE task IS NOT NULL";
        Ok(self.sql(sql)?.query_row([], |row| {
            Ok(FileCount {
                waiting: row.get::<_, i64>(0)?.unsigned_abs(),
                failed: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })?)
    }

    /// Whether a body belongs to a file.
    pub(crate) fn has_body(&self, name: &str) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM files WHERE body = ?1")?.exists([name])?)
    }

    /// Bytes of the bodies that may be given up, since the mailbox has them and nobody pinned them.
    pub(crate) fn cached_bytes(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(size), 0) FROM files WHERE body IS NOT NULL AND NOT is_pinned
                   AND (task IS NULL OR task <> 'upload')";
        Ok(self.sql(sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The body of those that was used longest ago.
    pub(crate) fn oldest_cached(&self) -> Result<Option<FileRow>> {
        let mut statement = self.sql(&format!(
            "SELECT {COLUMNS} FROM files WHERE body IS NOT NULL AND NOT is_pinned
             AND (task IS NULL OR task <> 'upload') ORDER BY used_ms, path LIMIT 1"
        ))?;
        Ok(statement.query_row([], FileRow::of_row).optional()?)
    }

    /// Marks a file that must not take the place of one in the mailbox.
    pub(crate) fn note_import(&self, path: &str) -> Result<()> {
        self.sql("INSERT OR IGNORE INTO file_imports VALUES (?1)")?.execute([path])?;
        Ok(())
    }

    /// Whether a file must not take the place of one in the mailbox.
    pub(crate) fn is_import(&self, path: &str) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM file_imports WHERE path = ?1")?.exists([path])?)
    }

    /// From now on a file is like any other.
    pub(crate) fn settle_import(&self, path: &str) -> Result<()> {
        self.sql("DELETE FROM file_imports WHERE path = ?1")?.execute([path])?;
        Ok(())
    }

    /// Keeps a row from being published before a file.
    pub(crate) fn hold_row(&self, table: &Name, row_id: &Name, path: &str) -> Result<()> {
        self.sql("INSERT OR IGNORE INTO file_rows(path, table_name, row_id) VALUES (?1, ?2, ?3)")?
            .execute(params![path, table.as_bytes(), row_id.as_bytes()])?;
        Ok(())
    }

    /// Whether any row waits for a file.
    pub(crate) fn holds_rows(&self) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM file_rows LIMIT 1")?.exists([])?)
    }

    /// Whether rows wait for this file.
    pub(crate) fn holds_rows_for(&self, path: &str) -> Result<bool> {
        Ok(self.sql("SELECT 1 FROM file_rows WHERE path = ?1 LIMIT 1")?.exists([path])?)
    }

    /// Whether this row waits for a file.
    pub(crate) fn is_held(&self, table: &Name, row_id: &Name) -> Result<bool> {
        let mut statement =
            self.sql("SELECT 1 FROM file_rows WHERE table_name = ?1 AND row_id = ?2 LIMIT 1")?;
        Ok(statement.exists(params![table.as_bytes(), row_id.as_bytes()])?)
    }

    /// The rows that waited for this file wait no more for it; tells whether there were any.
    pub(crate) fn release_rows(&self, path: &str) -> Result<bool> {
        Ok(self.sql("DELETE FROM file_rows WHERE path = ?1")?.execute([path])? > 0)
    }

    /// Bodies that the mailbox does not have yet.
    pub(crate) fn bodies_to_upload(&self) -> Result<Vec<String>> {
        let mut statement = self.sql("SELECT body FROM files WHERE body IS NOT NULL AND task = 'upload'")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Forgets all files that belong to another mailbox; what is to be uploaded stays where `keeps_uploads`. Gives the
    /// bodies that nothing names any more.
    pub(crate) fn forget_files(&self, keeps_uploads: bool) -> Result<Vec<String>> {
        let mut dropped = Vec::new();
        for mut file in self.files("")? {
            if keeps_uploads && file.awaits(Task::Upload) {
                (file.version, file.form) = (None, None);
                self.put_file(&file)?;
            } else {
                dropped.extend(file.body.take().map(|body| body.name));
                self.remove_file(&file.path)?;
                file.facts.map_or(Ok(()), |facts| self.drop_thumbnails(&facts.digest))?;
                self.release_rows(&file.path)?;
            }
        }
        self.clear_meta(keys::FILE_FORM)?;
        Ok(dropped)
    }
}
