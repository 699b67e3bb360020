//! Export and import on the handle.

use std::{path::Path, sync::Arc};

use interocitor_crypto::Passphrase;

use super::{Inner, Interocitor};
use crate::{
    error::{Error, Result},
    export::{self, Course, ExportFormat, Exported, Imported, Secret, Writer},
    files::{FilePath, GetFile},
    store::meta::keys,
    sync::Codec,
};

impl Interocitor {
    /// Writes all rows, with deletions and clocks, and all durable files into a folder or an archive at `target`, which
    /// must not exist yet (an empty folder may). It shows there when it is whole. Rows are of one moment; the files are
    /// read after them, and those that lie in the mailbox alone are fetched: connect first. Progress is told by
    /// `export:progress`; giving the call up leaves nothing behind. The format is described in `core/FORMAT.md`.
    ///
    /// Files that another client wrote under hidden names cannot be exported, since nothing tells their paths; they
    /// are counted as [`unnamed`](Exported::unnamed).
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where `target` cannot be written or is there already; `PASSPHRASE_REQUIRED` for an archive
    /// under the key of a mesh where there is none; `OFFLINE` where a file lies in the mailbox alone and the database is
    /// not connected, and the other errors of the mailbox; `FILE_INTEGRITY`; `LIMIT` for a row over 64 MiB, a file over
    /// 8 GiB or an archive over 64 GiB; `DISK_FULL`; those of the store.
    pub async fn export(&self, target: impl AsRef<Path>, format: ExportFormat) -> Result<Exported> {
        let inner = &self.inner;
        inner.check_open()?;
        let secret = inner.secret_of(format)?;
        let (course, _waiting) = Course::begin(&inner.ctx, false);
        let target = target.as_ref().to_owned();
        let mut writer =
            inner.ctx.blocking(move |ctx| Writer::begin(ctx, &target, secret.as_ref(), course)).await?;
        let link = inner.remote().link.clone();
        let listing = {
            let _inside = inner.file_gate.read().await;
            inner
                .interruptible(async {
                    if let Some(link) = &link {
                        inner.files.discover(link).await?;
                    }
                    inner.files.list(link.as_deref(), "").await
                })
                .await?
        };
        for file in listing.files {
            let path = FilePath::new(&file.path)?;
            let content = {
                let _inside = inner.file_gate.read().await;
                inner.interruptible(inner.files.get(link.as_ref(), &path, &GetFile::default())).await
            };
            let content = match content {
                // It was deleted meanwhile.
                Err(Error::FileNotFound { .. }) => continue,
                content => content?,
            };
            writer = inner
                .ctx
                .blocking(move |_| {
                    let (info, body) = content.into_parts();
                    writer.file(&info, body)?;
                    Ok(writer)
                })
                .await?;
        }
        let unnamed = listing.unnamed;
        inner.ctx.blocking(move |_| writer.finish(unnamed)).await
    }

    /// Takes over an export: a folder or an archive at `source`. All of it is read and proven first; then one
    /// transaction takes it over, or nothing is changed.
    ///
    /// Into a new store: a restore on any platform. The rows keep their clocks, and belong to no mesh until the store
    /// connects. In an empty mailbox it founds a fresh mesh with them, under a key of its own: an export holds no key.
    /// With the passphrase of the mesh that was exported it joins that again, and merges: whatever is newer there stays,
    /// and what was deleted there stays deleted.
    ///
    /// Into a store of the same mesh: the same merge, so that a second import changes nothing; rows that are news are
    /// published. An export of another mesh is refused.
    ///
    /// Files are queued for upload; one that the store knows, or the mailbox has, under the same path stays as it is.
    /// Mailboxes keep no trace of deleted files: those come back.
    ///
    /// `passphrase`: of the archive. For one under the key of a mesh that mesh's passphrase, unless it is this
    /// database's own.
    ///
    /// # Errors
    ///
    /// `EXPORT_INVALID` for what is damaged, cut short or no export; `EXPORT_NEWER`; `PASSPHRASE_WRONG`;
    /// `INVALID_ARGUMENT` where `source` cannot be read or is of another mesh; `DISK_FULL`; those of the store. Nothing
    /// was changed then.
    pub async fn import(
        &self,
        source: impl AsRef<Path>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Imported> {
        let inner = Arc::clone(&self.inner);
        inner.check_open()?;
        let key = match inner.secrets().resolve() {
            Ok(Some(resolved)) => match resolved.codec {
                Codec::Sealed(key) => Some(key),
                Codec::Plain => None,
            },
            _ => None,
        };
        let (course, _waiting) = Course::begin(&inner.ctx, true);
        let (source, passphrase) = (source.as_ref().to_owned(), passphrase.cloned());
        self.inner
            .ctx
            .blocking(move |ctx| {
                let staged = export::stage(ctx, &source, (passphrase.as_ref(), key.as_ref()), &course)?;
                let imported = export::commit(ctx, staged, &course)?;
                // Here: a caller who gives up meanwhile must not keep it from being published.
                inner.driver.wake(true);
                inner.file_worker.wake();
                Ok(imported)
            })
            .await
    }
}

impl Inner {
    fn secret_of(&self, format: ExportFormat) -> Result<Option<Secret>> {
        match format {
            ExportFormat::Folder => Ok(None),
            ExportFormat::Archive(passphrase) => Ok(Some(Secret::Passphrase(passphrase))),
            ExportFormat::MeshArchive => {
                let resolved = self.secrets().resolve()?.ok_or(Error::PassphraseRequired)?;
                let Codec::Sealed(key) = resolved.codec else {
                    return Err(Error::invalid("export", "the mesh is not encrypted; give a passphrase"));
                };
                let mesh_id = self.ctx.read(|tx| tx.meta(keys::MESH_ID))?;
                Ok(Some(Secret::Mesh { key, mesh_id }))
            }
        }
    }
}
