//! The doctor: looks at store and mailbox, says what is wrong, what it means and what to do.

use std::{path::Path, sync::Arc};

use super::{Inner, Interocitor};
use crate::{
    clock::MAX_AHEAD_MS,
    diagnosis::{Diagnosis, Finding, Trouble},
    error::{Error, Result},
    store::{ASIDE, BEFORE_JOIN, Durability},
    sync::{
        Context, Link,
        inspect::{self, Inspection, late_by},
    },
};

impl Interocitor {
    /// Looks at everything: the store's file, every row and waiting change, the clocks; and, where a mailbox
    /// is set, its shape and every file in it. Takes long on large meshes, and can be dropped at any time.
    ///
    /// Without `mends` nothing is written anywhere. With it, what is [mendable](Trouble::is_mendable) is
    /// mended: indexes are built anew, the head is moved, leftovers and what was superseded for a day are
    /// deleted. Nothing that any device could miss is touched.
    ///
    /// # Errors
    ///
    /// Those of the store, where it cannot be read at all; `SHUT_DOWN`, `SUSPENDED`. A mailbox that cannot
    /// be read is a finding.
    pub async fn doctor(&self, mends: bool) -> Result<Diagnosis> {
        let inner = &self.inner;
        inner.check_open()?;
        let _one = inner.exchange.lock().await;
        let mut diagnosis = inner.ctx.blocking(move |ctx| look_at_store(ctx, mends)).await?;
        if let Some(path) = inner.ctx.store.path() {
            diagnosis.findings.extend(old_copies(path));
        }
        let seen = inner.interruptible(inner.look_at_mailbox(mends)).await?;
        diagnosis.files_checked = seen.files;
        diagnosis.findings.extend(seen.findings);
        diagnosis.findings.sort_by_key(|finding| std::cmp::Reverse(finding.trouble.severity()));
        Ok(diagnosis)
    }
}

impl Inner {
    async fn look_at_mailbox(&self, mends: bool) -> Result<Inspection> {
        let not_checked = |why: &str| Inspection {
            findings: vec![Finding::new(Trouble::MailboxNotChecked, "the mailbox", why)],
            files: 0,
        };
        let Ok((layout, adapter)) = self.destination() else {
            return Ok(not_checked("none is set"));
        };
        let resolved = match self.secrets().resolve() {
            Ok(Some(resolved)) => resolved,
            Ok(None) => return Ok(not_checked("there is no passphrase")),
            Err(error) => return Ok(not_checked(&error.to_string())),
        };
        let link = Arc::new(Link::new(adapter, layout, resolved.codec));
        let looking = async {
            if mends {
                // What the mailbox can do is found out by writing to it.
                link.adapter.authenticate().await?;
            }
            inspect::inspect(&self.ctx, &link, mends).await
        };
        match looking.await {
            Err(error) if error.mailbox_kind().is_some() || matches!(error, Error::RemoteTimeout { .. }) => {
                let finding = Finding::new(
                    Trouble::MailboxUnreadable,
                    link.layout.root(),
                    format!("{}: {error}", error.code().as_str()),
                );
                Ok(Inspection { findings: vec![finding], files: 0 })
            }
            Err(Error::StoreCorrupt { .. }) => Ok(not_checked("the store is damaged")),
            outcome => outcome,
        }
    }
}

fn look_at_store(ctx: &Context, mends: bool) -> Result<Diagnosis> {
    let now_ms = ctx.host.now_ms();
    let limit_ms = now_ms + MAX_AHEAD_MS;
    let mut diagnosis = Diagnosis::default();
    let mut file = or_damage(ctx.read(|tx| tx.check_file()))?;
    if let Some(finding) = file.as_mut().filter(|finding| mends && finding.trouble == Trouble::IndexDamaged) {
        ctx.store.write_with(Durability::Power, |tx| tx.rebuild_indexes())?;
        finding.is_mended = ctx.read(|tx| tx.check_file())?.is_none();
    }
    let is_sound = file.is_none();
    diagnosis.findings.extend(file);
    let looked = ctx.read(|tx| {
        let mut findings = Vec::new();
        let rows = tx.check_rows(limit_ms, &mut findings)?;
        tx.check_outbox(&mut findings)?;
        Ok((findings, rows, tx.engine()?.clock))
    });
    let (findings, rows, clock) = match looked {
        Ok(looked) => looked,
        // Where SQLite found damage, more of it is no news.
        Err(error) => {
            diagnosis.findings.extend(or_damage(Err(error))?.filter(|_| is_sound));
            return Ok(diagnosis);
        }
    };
    diagnosis.rows_checked = rows.count;
    diagnosis.findings.extend(findings);
    if clock.ts > limit_ms {
        let minutes = (clock.ts - now_ms) / 60_000;
        let detail = format!("{minutes} minutes ahead");
        diagnosis.findings.push(Finding::new(Trouble::ClockAhead, "this device", detail));
    }
    if let Some(latest) = &rows.latest {
        let detail = format!("{} rows; the latest by {}", rows.late, late_by(latest, limit_ms));
        diagnosis.findings.push(Finding::new(Trouble::RowsFromTheFuture, "the store", detail));
    }
    Ok(diagnosis)
}

/// Damage that keeps a check from going on is what it was looking for.
fn or_damage(outcome: Result<Option<Finding>>) -> Result<Option<Finding>> {
    match outcome {
        Err(Error::StoreCorrupt { reason, .. }) => {
            Ok(Some(Finding::new(Trouble::StoreDamaged, "the store", reason)))
        }
        outcome => outcome,
    }
}

/// Copies that were kept beside the store.
fn old_copies(path: &Path) -> Vec<Finding> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let kinds = [BEFORE_JOIN, ASIDE].map(|mark| format!("{name}{mark}"));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut copies: Vec<Finding> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            kinds.iter().any(|kind| name.starts_with(kind))
                && !name.ends_with("-wal")
                && !name.ends_with("-shm")
        })
        .map(|entry| {
            let bytes = entry.metadata().map_or(0, |facts| facts.len());
            Finding::new(Trouble::OldCopy, entry.path().display().to_string(), format!("{bytes} bytes"))
        })
        .collect();
    copies.sort_by(|a, b| a.place.cmp(&b.place));
    copies
}
