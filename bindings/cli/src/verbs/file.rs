//! Durable files: put, get, show, list, delete.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use interocitor_core::{Error, FileInfo, FileSource, GetFile, TransferState};
use serde::Serialize;

use crate::{
    args::FileVerb,
    failure::{Failure, Outcome},
    reply::Reply,
    session::Session,
    text,
};

pub(super) async fn file(session: &mut Session, verb: &FileVerb, as_json: bool) -> Outcome<Reply> {
    match verb {
        FileVerb::Put { path, source, content_type } => {
            put(session, path, source, content_type.as_deref(), as_json).await
        }
        FileVerb::Get { path, target, digest } => get(session, path, target, digest.as_ref(), as_json).await,
        FileVerb::Meta { path } => meta(session, path, as_json).await,
        FileVerb::Rm { path } => remove(session, path, as_json).await,
        FileVerb::List { prefix } => list(session, prefix.as_deref().unwrap_or_default(), as_json).await,
    }
}

/// Connects where a mailbox is known; gives why it cannot be used now.
pub(super) async fn go_online(session: &mut Session) -> Outcome<Option<Error>> {
    if session.settings.mailbox.is_none() {
        session.remember().await?;
        return Ok(None);
    }
    session.attach().await?;
    Ok(session.connect().await?.err())
}

/// Moves what waits. What the mailbox cannot take now is a note; what it will never take is a failure.
async fn transfer(session: &mut Session, path: &str, reply: Reply) -> Outcome<Reply> {
    let offline = match go_online(session).await? {
        None if session.settings.mailbox.is_some() => session.db.sync_files().await?.problem,
        offline => offline,
    };
    let waiting = session.db.file_transfers().await?;
    let Some(transfer) =
        waiting.into_iter().find(|file| file.path == clean(path)).and_then(|file| file.transfer)
    else {
        return Ok(reply);
    };
    match transfer.problem.filter(|_| transfer.state == TransferState::Failed) {
        Some(problem) => Err(Failure::new(problem.code, problem.error)),
        None => {
            let why = offline.map_or_else(|| "no mailbox is known yet".into(), |error| error.to_string());
            Ok(reply.note(format!("note: {path} waits here for the next sync: {why}")))
        }
    }
}

/// A path as the engine spells it.
fn clean(path: &str) -> String {
    path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/")
}

async fn put(
    session: &mut Session,
    path: &str,
    source: &Path,
    content_type: Option<&str>,
    as_json: bool,
) -> Outcome<Reply> {
    let source = if source == Path::new("-") {
        FileSource::reader(std::io::stdin())
    } else {
        FileSource::Path(source.to_owned())
    };
    let info = session.db.put_file(path, source, content_type).await?;
    let reply = if as_json { as_object(&info)? } else { Reply::nothing() };
    transfer(session, path, reply).await
}

async fn get(
    session: &mut Session,
    path: &str,
    target: &PathBuf,
    digest: Option<&String>,
    as_json: bool,
) -> Outcome<Reply> {
    let offline = go_online(session).await?;
    let want = GetFile { digest: digest.cloned(), ..GetFile::default() };
    let content = match (session.db.get_file_with(path, &want).await, offline) {
        // Why it is not connected says more than that it is not.
        (Err(Error::Offline(_)), Some(offline)) => {
            return Err(Failure::from(offline).at(&session.mailbox()));
        }
        (content, _) => content?,
    };
    let info = content.info().clone();
    if target == Path::new("-") {
        let mut content = content.reader().await?;
        let mut stdout = std::io::stdout().lock();
        std::io::copy(&mut content, &mut stdout)
            .and_then(|_| stdout.flush())
            .map_err(|error| Failure::output(&error))?;
        return Ok(Reply::nothing());
    }
    content.save_to(target).await?;
    if as_json { as_object(&info) } else { Ok(Reply::nothing()) }
}

async fn meta(session: &mut Session, path: &str, as_json: bool) -> Outcome<Reply> {
    let offline = go_online(session).await?;
    let info = match (session.db.get_file_metadata(path).await, offline) {
        (Err(Error::Offline(_)), Some(offline)) => {
            return Err(Failure::from(offline).at(&session.mailbox()));
        }
        (info, _) => info?,
    };
    if as_json {
        return as_object(&info);
    }
    let Some(info) = info else {
        return Ok(Reply::nothing().note(format!("note: there is no file {path}")));
    };
    let mut lines = vec![vec!["path".to_owned(), info.path.clone()]];
    let mut line = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| vec![name.to_owned(), value]));
    };
    line("size", info.size.map(|size| text::count(size, "byte")));
    line("type", info.content_type.clone());
    line("sha256", info.digest.clone());
    line("here", Some(if info.is_here { "yes" } else { "no" }.to_owned()));
    line("waits", info.transfer.as_ref().map(state));
    Ok(Reply::text(text::aligned(&lines, usize::MAX)))
}

async fn remove(session: &mut Session, path: &str, as_json: bool) -> Outcome<Reply> {
    session.db.delete_file(path).await?;
    let object = serde_json::json!({ "path": clean(path) }).to_string();
    let reply = if as_json { Reply::text(object) } else { Reply::nothing() };
    transfer(session, path, reply).await
}

async fn list(session: &mut Session, prefix: &str, as_json: bool) -> Outcome<Reply> {
    let offline = go_online(session).await?;
    let listing = session.db.list_files(prefix).await?;
    let note = offline.map(|error| format!("note: only what this device knows: {error}"));
    let reply = if as_json {
        as_object(&listing)?
    } else {
        let size = |file: &FileInfo| file.size.map_or_else(String::new, |size| text::count(size, "byte"));
        let lines = listing.files.iter().map(|file| {
            vec![file.path.clone(), size(file), file.transfer.as_ref().map(state).unwrap_or_default()]
        });
        let reply = Reply::text(text::aligned(&lines.collect::<Vec<_>>(), usize::MAX));
        match listing.unnamed {
            0 => reply,
            unnamed => reply.note(format!(
                "note: {} more whose paths are hidden: whoever knows a path gets the file",
                text::count(unnamed, "file")
            )),
        }
    };
    Ok(note.into_iter().fold(reply, Reply::note))
}

fn state(transfer: &interocitor_core::Transfer) -> String {
    let problem = transfer.problem.as_ref().map(|problem| format!(" ({})", problem.error));
    let words = serde_json::json!([transfer.kind, transfer.state]);
    let word = |at: usize| words[at].as_str().unwrap_or_default().to_owned();
    format!("{} {}{}", word(0), word(1), problem.unwrap_or_default())
}

fn as_object(answer: &impl Serialize) -> Outcome<Reply> {
    let text = serde_json::to_string(answer).map_err(|error| Failure::invalid(error.to_string()))?;
    Ok(Reply::text(text))
}
