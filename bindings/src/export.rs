//! Export and import.

use std::{fmt, path::PathBuf, sync::Arc};

use interocitor_core::{
    ExportFormat as CoreFormat, Exported as CoreExported, Imported as CoreImported, Passphrase,
};

use crate::{CancelToken, Failure, Interocitor, status::whole};

/// How an export is written.
#[expect(missing_docs, reason = "explained in the interface")]
pub enum ExportFormat {
    Folder,
    Archive { passphrase: String },
    MeshArchive,
}

impl fmt::Debug for ExportFormat {
    /// Without the passphrase.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExportFormat::Folder => "Folder",
            ExportFormat::Archive { .. } => "Archive(***)",
            ExportFormat::MeshArchive => "MeshArchive",
        })
    }
}

impl From<ExportFormat> for CoreFormat {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Folder => CoreFormat::Folder,
            ExportFormat::Archive { passphrase } => CoreFormat::Archive(Passphrase::from(passphrase)),
            ExportFormat::MeshArchive => CoreFormat::MeshArchive,
        }
    }
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Exported {
    pub tables: i64,
    pub rows: i64,
    pub files: i64,
    pub unnamed: i64,
    pub bytes: i64,
}

impl From<CoreExported> for Exported {
    fn from(done: CoreExported) -> Self {
        Self {
            tables: whole(done.tables),
            rows: whole(done.rows),
            files: whole(done.files),
            unnamed: whole(done.unnamed),
            bytes: whole(done.bytes),
        }
    }
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Imported {
    pub rows: i64,
    pub changed: i64,
    pub files: i64,
}

impl From<CoreImported> for Imported {
    fn from(done: CoreImported) -> Self {
        Self { rows: whole(done.rows), changed: whole(done.changed), files: whole(done.files) }
    }
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Interocitor {
    /// Writes all rows and files to a path.
    pub async fn export_to(
        &self,
        path: String,
        format: ExportFormat,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Exported, Failure> {
        let (target, format) = (PathBuf::from(path), format.into());
        self.cancellable(cancel, async move |db| Ok(db.export(target, format).await?.into())).await
    }

    /// Takes over what was exported to a path.
    pub async fn import_from(
        &self,
        path: String,
        passphrase: Option<String>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Imported, Failure> {
        let (source, passphrase) = (PathBuf::from(path), passphrase.map(Passphrase::from));
        self.cancellable(cancel, async move |db| Ok(db.import(source, passphrase.as_ref()).await?.into()))
            .await
    }
}
