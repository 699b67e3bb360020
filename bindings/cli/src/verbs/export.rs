//! `export` and `import`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use interocitor_core::{ExportFormat, Passphrase};
use zeroize::Zeroizing;

use crate::{
    failure::{Failure, Outcome},
    progress::Listener,
    reply::Reply,
    session::Session,
    text,
};

/// Lets the progress line know.
fn listen(session: &Session, listener: &Listener) {
    let mut events = session.db.events();
    let listener = listener.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            listener.note(&event);
        }
    });
}

pub(super) async fn export(
    session: &mut Session,
    listener: &Listener,
    (folder, archive): (Option<&Path>, Option<&Path>),
    passphrase: Option<&Path>,
    as_json: bool,
) -> Outcome<Reply> {
    listen(session, listener);
    let format = match (archive, passphrase) {
        (None, _) => ExportFormat::Folder,
        (Some(_), None) => ExportFormat::MeshArchive,
        (Some(_), Some(file)) => ExportFormat::Archive(read_passphrase(file)?),
    };
    let target = archive.or(folder).map(Path::to_owned).unwrap_or_default();
    let offline = super::file::go_online(session).await?;
    let exported = match session.db.export(&target, format).await {
        // Why it is not connected says more than that it is not.
        Err(interocitor_core::Error::Offline(error)) => {
            return Err(match offline {
                Some(offline) => Failure::from(offline).at(&session.mailbox()),
                None => Failure::from(interocitor_core::Error::Offline(error)),
            });
        }
        outcome => outcome?,
    };
    let reply = if as_json {
        Reply::text(
            serde_json::json!({
                "path": shown(&target), "tables": exported.tables, "rows": exported.rows, "files": exported.files,
                "unnamed": exported.unnamed, "bytes": exported.bytes,
            })
            .to_string(),
        )
    } else {
        let (rows, files) = (text::count(exported.rows, "row"), text::count(exported.files, "file"));
        Reply::text(text::shown(&format!("exported {rows} and {files} to {}", target.display())))
    };
    let reply = match offline {
        Some(error) => reply.note(format!("note: the mailbox was not asked: {error}")),
        None => reply,
    };
    Ok(match exported.unnamed {
        0 => reply,
        unnamed => reply.note(format!(
            "warning: {} more in the mailbox hide their paths: get them by path once, then export again",
            text::count(unnamed, "file")
        )),
    })
}

pub(super) async fn import(
    session: &mut Session,
    listener: &Listener,
    source: &Path,
    passphrase: Option<&Path>,
    as_json: bool,
) -> Outcome<Reply> {
    listen(session, listener);
    let passphrase = passphrase.map(read_passphrase).transpose()?;
    let imported = session.db.import(source, passphrase.as_ref()).await?;
    if as_json {
        let answer = serde_json::json!({
            "rows": imported.rows, "changed": imported.changed, "files": imported.files,
        });
        return Ok(Reply::text(answer.to_string()));
    }
    let (rows, files) = (text::count(imported.rows, "row"), text::count(imported.files, "file"));
    Ok(Reply::text(format!("imported {rows}, {} of them news, and {files}", imported.changed)))
}

fn shown(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}

/// The passphrase of an archive: all of the file but the end of its line.
fn read_passphrase(path: &Path) -> Outcome<Passphrase> {
    let mut given = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut given)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut given))
    };
    read.map_err(|error| Failure::file("the passphrase file", path, &error))?;
    let bare = given.trim_end_matches(['\r', '\n']);
    if bare.is_empty() {
        return Err(Failure::invalid(format!("the passphrase file {} is empty", path.display())));
    }
    Ok(Passphrase::from(bare))
}
