//! Plays the steps about durable files.

use interocitor_core::{GetFile, Interocitor, Result};
use serde_json::{Value, json};

use crate::{
    format::Action,
    interpreter::{Fault, Outcome},
};

/// Plays a step; `None` for one that is about something else.
pub(crate) async fn play(db: &Interocitor, action: &Action) -> Option<Outcome> {
    let done = |outcome: Result<()>| outcome.map(|()| Value::Null).map_err(Fault::from);
    Some(match action {
        Action::PutFile { path, text, content_type } => {
            let put = db.put_file(path, text.clone().into_bytes(), content_type.as_deref()).await;
            put.map(|file| json!(file.digest)).map_err(Fault::from)
        }
        Action::GetFile { path, digest } => get(db, path, digest.clone()).await,
        Action::FileMetadata { path } => match db.get_file_metadata(path).await {
            Ok(Some(file)) => {
                Ok(json!({ "size": file.size, "digest": file.digest, "contentType": file.content_type }))
            }
            Ok(None) => Ok(Value::Null),
            Err(error) => Err(error.into()),
        },
        Action::DeleteFile { path } => done(db.delete_file(path).await),
        Action::Files { prefix } => match db.list_files(prefix.as_deref().unwrap_or_default()).await {
            Ok(listing) => {
                let paths: Vec<_> = listing.files.into_iter().map(|file| file.path).collect();
                Ok(json!({ "paths": paths, "unnamed": listing.unnamed }))
            }
            Err(error) => Err(error.into()),
        },
        Action::Transfers {} => db.file_transfers().await.map_err(Fault::from).map(|files| {
            let waiting = files.into_iter().filter_map(|file| Some((file.path, file.transfer?)));
            waiting
                .map(|(path, transfer)| json!({ "path": path, "kind": transfer.kind, "state": transfer.state }))
                .collect()
        }),
        Action::SyncFiles {} => match db.sync_files().await {
            Ok(synced) => Ok(json!({ "done": synced.done, "failed": synced.failed })),
            Err(error) => Err(error.into()),
        },
        Action::PinFile { path } => done(db.pin_file(path).await),
        Action::UnpinFile { path } => done(db.unpin_file(path).await),
        Action::EvictFile { path } => done(db.evict_file(path).await),
        Action::PauseFile { path } => done(db.pause_file(path).await),
        Action::ResumeFile { path } => done(db.resume_file(path).await),
        Action::CancelFile { path } => done(db.cancel_file(path).await),
        _ => return None,
    })
}

async fn get(db: &Interocitor, path: &str, digest: Option<String>) -> Outcome {
    let content = db.get_file_with(path, &GetFile { digest, ..GetFile::default() }).await?;
    let text = String::from_utf8(content.bytes().await?).map_err(Fault::driver)?;
    Ok(text.into())
}
