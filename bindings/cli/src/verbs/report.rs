//! What the store can tell by itself: tables, status, quarantine, everything.

use interocitor_core::{
    Background, Name, Operation, Phase, Status,
    host::{Host as _, TokioHost},
};
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome},
    json, mailbox,
    reply::Reply,
    session::{Session, remote_path},
    text,
};

pub(super) fn now_ms() -> u64 {
    TokioHost.now_ms()
}

pub(super) async fn tables(session: &Session, as_json: bool) -> Outcome<Reply> {
    let mut names = session.db.table_names().await?;
    names.sort();
    if as_json {
        return Ok(Reply::text(json::list(names.iter().map(Name::to_json))));
    }
    if names.is_empty() {
        return Ok(Reply::nothing().note("note: no tables yet"));
    }
    let names: Vec<String> = names.iter().map(|name| text::shown(&name.to_string_lossy())).collect();
    Ok(Reply::text(names.join("\n")))
}

/// The engine's status with what the command line knows on top.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreStatus<'a> {
    store: String,
    mailbox: Option<String>,
    has_passphrase: bool,
    #[serde(flatten)]
    status: &'a Status,
}

pub(super) async fn status(session: &Session, as_json: bool) -> Outcome<Reply> {
    let status = session.db.status().await?;
    let mailbox = session.settings.mailbox.as_deref().map(mailbox::redacted);
    let has_passphrase = session.db.get_passphrase().is_some();
    if as_json {
        let store = session.store.display().to_string();
        let all = StoreStatus { store, mailbox, has_passphrase, status: &status };
        return Ok(Reply::text(
            serde_json::to_string(&all).map_err(|error| Failure::invalid(error.to_string()))?,
        ));
    }
    let now = now_ms();
    let mut lines = vec![("store", session.store.display().to_string()), ("device", status.device_id)];
    match mailbox {
        Some(mailbox) => {
            lines.push(("mailbox", mailbox));
            lines.push(("remote path", remote_path(&session.settings).to_owned()));
        }
        None => lines.push(("mailbox", "none yet: connect --mailbox folder:/path".into())),
    }
    let mesh = status.mesh_id.clone().unwrap_or_else(|| "none yet: rows are kept here only".into());
    lines.push(("mesh", mesh));
    let encryption = match (status.encrypted, has_passphrase) {
        (false, _) => "off",
        (true, true) => "on, the passphrase is saved",
        (true, false) => "on, no passphrase yet",
    };
    lines.push(("encryption", encryption.into()));
    lines
        .push(("last sync", status.last_sync_ms.map_or_else(|| "never".into(), |last| text::ago(last, now))));
    let background = match status.background {
        Background::Elsewhere => "another process syncs this store",
        _ => "nobody syncs this store; to do it now: interocitor sync",
    };
    lines.push(("background", background.into()));
    if let Some(operation) = &status.operation {
        lines.push(("now", in_words(operation)));
    }
    if let Some(problem) = &status.problem {
        lines.push(("problem", format!("{}: {}", problem.code, problem.error)));
    }
    let unit = if status.mesh_id.is_some() { "change" } else { "row" };
    let since = status
        .pending
        .oldest_ms
        .map_or_else(String::new, |oldest| format!(", the oldest {}", text::ago(oldest, now)));
    lines.push(("waiting", format!("{}{since}", text::count(status.pending.count, unit))));
    lines.extend(status.pending.problems.into_iter().map(|problem| ("stuck", problem)));
    lines.push(("quarantine", text::count(status.quarantined, "item")));
    let files = status.quarantined_files.into_iter().take(FILES);
    lines.extend(files.map(|file| ("aside", format!("{}: {}", file.name, file.reason))));
    let lines: Vec<_> = lines.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    Ok(Reply::text(text::aligned(&lines, usize::MAX)))
}

/// Quarantined files that people are shown with the status.
const FILES: usize = 5;

/// What goes on, and how far it is.
fn in_words(operation: &Operation) -> String {
    let phase = match operation.phase {
        Phase::Connecting => "connecting",
        Phase::Restoring => "restoring the snapshot",
        Phase::Publishing => "publishing",
        _ => "reading changes",
    };
    let files = match operation.files_total {
        Some(total) if total > 1 => {
            format!(", {} of {}", text::grouped(operation.files), text::count(total, "file"))
        }
        _ => String::new(),
    };
    let rows =
        if operation.rows == 0 { String::new() } else { format!(", {}", text::count(operation.rows, "row")) };
    format!("{phase}{files}{rows}")
}

pub(super) async fn quarantine(session: &Session, as_json: bool) -> Outcome<Reply> {
    let files = session.db.quarantined().await?;
    if as_json {
        return Ok(Reply::text(
            serde_json::to_string(&files).map_err(|error| Failure::invalid(error.to_string()))?,
        ));
    }
    if files.is_empty() {
        return Ok(Reply::nothing().note("note: nothing is in quarantine"));
    }
    let now = now_ms();
    let mut lines = vec![["name", "reason", "first met", "tries"].map(str::to_owned).to_vec()];
    lines.extend(files.into_iter().map(|file| {
        let reason = match file.write {
            Some(write) => format!("{} {} {}: {}", write.table, write.row_id, write.columns, file.reason),
            None => file.reason,
        };
        let tries = if file.tries == 0 { String::new() } else { file.tries.to_string() };
        vec![file.name, format!("{}: {reason}", file.code), text::ago(file.first_ms, now), tries]
    }));
    Ok(Reply::text(text::aligned(&lines, usize::MAX)))
}

pub(super) async fn restore(session: &Session, name: &str, as_json: bool) -> Outcome<Reply> {
    session.db.restore_quarantined(name).await?;
    let object = serde_json::json!({ "restored": name }).to_string();
    let line =
        if name.starts_with("writes/") { "the row is back" } else { "it is tried again with the next pull" };
    Ok(Reply::text(if as_json { object } else { line.to_owned() }))
}

pub(super) async fn discard(session: &Session, name: &str, as_json: bool) -> Outcome<Reply> {
    session.db.discard_quarantined(name).await?;
    let object = serde_json::json!({ "discarded": name }).to_string();
    Ok(Reply::text(if as_json { object } else { format!("{name} is out of quarantine") }))
}

/// JSON either way; people get line breaks.
pub(super) async fn dump(session: &Session, as_json: bool) -> Outcome<Reply> {
    let dump = session.db.dump().await?;
    Ok(Reply::text(if as_json { dump } else { json::indented(&dump, 3) }))
}
