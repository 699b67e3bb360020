//! Meeting files by what lies inside them: a hidden name tells no path, but a frame of ours does.

use std::sync::Arc;

use super::{Files, path::FilePath, queue::Meter};
use crate::{
    error::{Error, Result},
    files::form::is_sha256,
    mailbox::MailboxErrorKind,
    store::files::FileRow,
    sync::Link,
    transfer::FileForm,
};

impl Files {
    /// Learns the paths of files that this device has never met. Each of them is fetched once; those of other clients
    /// tell no path, and those that are damaged or too large tell nothing.
    pub(crate) async fn discover(&self, link: &Arc<Link>) -> Result<()> {
        if !link.codec.is_sealed() {
            return Ok(());
        }
        let known = self.hidden_names(link)?;
        let listed = match link.adapter.list_files(&link.layout.files()).await {
            Err(error) if error.kind() == MailboxErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        for entry in listed {
            if !is_sha256(&entry.name) || known.contains(&entry.name) {
                continue;
            }
            let place = link.layout.file(&entry.name);
            let nameless = FilePath::new(&entry.name)?;
            let meter = Meter::silent(&self.ctx, &entry.name);
            let told = match self.path_inside(link, &nameless, &place, &meter).await {
                Err(Error::FileIntegrity { .. } | Error::Limit { .. }) => continue,
                told => told?,
            };
            // A header may say anything: only the path that gives this name is meant.
            let Some(path) = told.filter(|path| FileForm::Hashed.place(link, path) == place) else {
                continue;
            };
            let mut file = FileRow::new(path.as_str(), self.ctx.host.now_ms());
            file.form = Some(FileForm::Hashed.text().to_owned());
            file.modified_ms = entry.modified_ms.and_then(|modified| u64::try_from(modified).ok());
            self.ctx.write(|tx| match tx.file(path.as_str())? {
                None => tx.put_file(&file),
                Some(_) => Ok(()),
            })?;
        }
        Ok(())
    }
}
