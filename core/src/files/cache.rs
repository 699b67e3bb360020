//! What of the files stays on this device: pinned ones, those that wait to be uploaded, and of the others the latest,
//! up to a budget. And the wishes of the app about single files.

use super::{FileInfo, Files, path::FilePath};
use crate::{
    error::{Error, Result},
    store::files::{FileRow, Job, Task},
};

impl Files {
    /// Notes that a file is used.
    pub(super) fn touch(&self, path: &FilePath) -> Result<()> {
        let now_ms = self.ctx.host.now_ms();
        self.change(path, |file| {
            file.used_ms = now_ms;
            Ok(())
        })
    }

    fn change(&self, path: &FilePath, mut change: impl FnMut(&mut FileRow) -> Result<()>) -> Result<()> {
        self.ctx.write(|tx| match tx.file(path.as_str())? {
            Some(mut file) => {
                change(&mut file)?;
                tx.put_file(&file)
            }
            None => Ok(()),
        })
    }

    /// Gives up bodies until the rest keeps to the budget, those used longest ago first.
    pub(crate) fn shrink(&self) -> Result<()> {
        let budget = self.settings.cache_bytes;
        if self.ctx.read(|tx| tx.cached_bytes())? <= budget {
            return Ok(());
        }
        let dropped = self.ctx.write(|tx| {
            let mut dropped = Vec::new();
            while tx.cached_bytes()? > budget {
                let Some(mut file) = tx.oldest_cached()? else { break };
                dropped.extend(file.body.take().map(|body| body.name));
                tx.put_file(&file)?;
            }
            Ok(dropped)
        })?;
        self.bodies.remove(&dropped);
        Ok(())
    }

    /// Gives up the copy of a file on this device.
    pub(crate) fn evict(&self, path: &FilePath) -> Result<()> {
        let dropped = self.ctx.write(|tx| {
            let Some(mut file) = tx.file(path.as_str())? else { return Ok(None) };
            if file.awaits(Task::Upload) {
                let reason = "the mailbox does not have this file yet; upload it first, or delete it";
                return Err(Error::invalid("evict", reason));
            }
            let dropped = file.body.take().map(|body| body.name);
            file.is_pinned = false;
            if file.awaits(Task::Download) {
                file.job = None;
            }
            tx.put_file(&file)?;
            Ok(dropped)
        })?;
        self.give_up(path.as_str());
        self.bodies.remove(dropped.as_slice());
        self.tell(path.as_str())
    }

    /// Keeps a file on this device, and wishes for its content where that is not here.
    pub(crate) fn pin(&self, path: &FilePath) -> Result<()> {
        let now_ms = self.ctx.host.now_ms();
        self.ctx.write(|tx| {
            let mut file = tx.file(path.as_str())?.unwrap_or_else(|| FileRow::new(path.as_str(), now_ms));
            if file.awaits(Task::Delete) {
                return Err(Error::FileNotFound { path: path.as_str().to_owned() });
            }
            file.is_pinned = true;
            if file.body.is_none() && file.job.is_none() {
                file.job = Some(tx.new_job(Task::Download, now_ms)?);
            }
            tx.put_file(&file)
        })?;
        self.tell(path.as_str())
    }

    /// Lets the file go when the space is needed.
    pub(crate) fn unpin(&self, path: &FilePath) -> Result<()> {
        self.change(path, |file| {
            file.is_pinned = false;
            Ok(())
        })?;
        self.shrink()
    }

    /// Deletes a file, here at once and in the mailbox when it can be reached. Rows that waited for it wait no more;
    /// tells whether there were any.
    pub(crate) fn remove(&self, path: &FilePath) -> Result<bool> {
        let now_ms = self.ctx.host.now_ms();
        let (dropped, has_released) = self.ctx.write(|tx| {
            let mut file = tx.file(path.as_str())?.unwrap_or_else(|| FileRow::new(path.as_str(), now_ms));
            let dropped = file.body.take().map(|body| body.name);
            let former = file.facts.take();
            (file.version, file.is_pinned) = (None, false);
            file.job = Some(tx.new_job(Task::Delete, now_ms)?);
            tx.put_file(&file)?;
            former.map_or(Ok(()), |facts| tx.drop_thumbnails(&facts.digest))?;
            Ok((dropped, tx.release_rows(path.as_str())?))
        })?;
        self.give_up(path.as_str());
        self.bodies.remove(dropped.as_slice());
        self.tell(path.as_str())?;
        Ok(has_released)
    }

    fn change_job(&self, path: &FilePath, change: impl Fn(&mut Job)) -> Result<()> {
        self.change(path, |file| {
            if let Some(job) = &mut file.job {
                change(job);
            }
            Ok(())
        })
    }

    /// Stops what is to be done about a file, until it is resumed.
    pub(crate) fn pause(&self, path: &FilePath) -> Result<()> {
        self.change_job(path, |job| job.is_paused = true)?;
        self.give_up(path.as_str());
        self.tell(path.as_str())
    }

    /// Goes on with it, at once and as if it had never failed.
    pub(crate) fn resume(&self, path: &FilePath) -> Result<()> {
        let now_ms = self.ctx.host.now_ms();
        self.change_job(path, |job| {
            job.is_paused = false;
            (job.attempts, job.due_ms, job.problem) = (0, Some(now_ms), None);
        })?;
        self.tell(path.as_str())
    }

    /// Gives up what is to be done about a file: the mailbox stays as it is. Content that waited to be uploaded is gone
    /// from here.
    pub(crate) fn cancel(&self, path: &FilePath) -> Result<()> {
        let dropped = self.ctx.write(|tx| {
            let Some(mut file) = tx.file(path.as_str())? else { return Ok(None) };
            let Some(job) = file.job.take() else { return Ok(None) };
            let mut dropped = None;
            match job.task {
                Task::Upload if tx.holds_rows_for(path.as_str())? => {
                    let reason =
                        "rows of a batch wait for this upload; to publish them without it, delete the file";
                    return Err(Error::invalid("cancel", reason));
                }
                Task::Upload => {
                    dropped = file.body.take().map(|body| body.name);
                    (file.facts, file.version) = (None, None);
                }
                Task::Download => file.is_pinned = false,
                Task::Delete => {}
            }
            if file.form.is_some() || file.body.is_some() {
                tx.put_file(&file)?;
            } else {
                tx.remove_file(path.as_str())?;
            }
            Ok(dropped)
        })?;
        self.give_up(path.as_str());
        self.bodies.remove(dropped.as_slice());
        self.tell(path.as_str())
    }

    /// Everything that is still to be done.
    pub(crate) fn transfers(&self) -> Result<Vec<FileInfo>> {
        let files = self.ctx.read(|tx| tx.files(""))?;
        let waiting = files.iter().filter(|file| file.job.is_some());
        Ok(waiting.map(|file| FileInfo::of(file, self.active.moved(&file.path))).collect())
    }

    /// When the queue is to be looked at next, wall ms.
    pub(crate) fn next_due_ms(&self) -> Result<Option<u64>> {
        self.ctx.read(|tx| tx.next_due_file())
    }

    /// Removes what crashes left in the folder of bodies.
    pub(crate) fn clean(&self) {
        self.bodies.clean(|name| self.ctx.read(|tx| tx.has_body(name)));
    }
}
