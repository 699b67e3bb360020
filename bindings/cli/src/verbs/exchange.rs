//! The mailbox: connect, pull, flush, sync, compact, devices.

use std::time::Duration;

use interocitor_core::Compaction;
use serde::Serialize;

use crate::{
    args::Verb,
    failure::{Failure, Outcome},
    progress::Listener,
    reply::Reply,
    session::{Exchange, Session, quarantine_warning, remote_path},
    text,
};

/// The answer of `connect`, `pull`, `flush` and `sync`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    mesh_id: Option<&'a str>,
    remote_path: &'a str,
    founded: bool,
    /// `None` where there was too much to count.
    pulled_rows: Option<u64>,
    published_changes: Option<u64>,
    pending: u64,
    quarantined: u64,
}

pub(super) async fn exchange(
    session: &mut Session,
    listener: &Listener,
    verb: &Verb,
    as_json: bool,
) -> Outcome<Reply> {
    let done = session.exchange(listener).await?;
    let reply = if as_json {
        Reply::text(as_object(session, &done)?)
    } else {
        Reply::text(as_lines(session, verb, &done))
    };
    Ok(done.notes(reply))
}

fn as_object(session: &Session, done: &Exchange) -> Outcome<String> {
    let counted = |number| (!done.seen.has_lagged).then_some(number);
    let answer = Answer {
        mesh_id: done.status.mesh_id.as_deref(),
        remote_path: remote_path(&session.settings),
        founded: done.seen.has_founded,
        pulled_rows: counted(done.seen.rows),
        published_changes: counted(done.seen.changes),
        pending: done.status.pending.count,
        quarantined: done.status.quarantined,
    };
    serde_json::to_string(&answer).map_err(|error| Failure::invalid(error.to_string()))
}

fn as_lines(session: &Session, verb: &Verb, done: &Exchange) -> String {
    let place = format!("{} {}", session.mailbox(), remote_path(&session.settings));
    let mut lines = Vec::new();
    if done.seen.has_founded {
        lines.push(format!("founded a new mesh in {place}"));
        if done.seen.has_new_passphrase {
            lines.push(format!("its passphrase was made and saved in {}:", done.credentials.display()));
            lines.push("keep a copy safe; to let another device take part: interocitor pair share".into());
        }
    } else if matches!(verb, Verb::Connect) {
        lines.push(format!("connected to mesh {} in {place}", done.status.mesh_id.as_deref().unwrap_or("?")));
    }
    let counts = if done.seen.has_lagged {
        "many rows in and out".into()
    } else {
        format!("{} in, {} out", text::count(done.seen.rows, "row"), text::count(done.seen.changes, "change"))
    };
    let waiting = match done.status.pending.count {
        0 => String::new(),
        waiting => format!("; {} waiting, written meanwhile", text::count(waiting, "change")),
    };
    lines.push(format!("synced: {counts}{waiting}"));
    let lines: Vec<String> = lines.iter().map(|line| text::shown(line)).collect();
    lines.join("\n")
}

/// Connects, and shows progress from then on.
pub(super) async fn go_online(session: &mut Session, listener: &Listener) -> Outcome<()> {
    session.attach().await?;
    let mut events = session.db.events();
    let listener = listener.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            listener.note(&event);
        }
    });
    session.go_online().await
}

pub(super) async fn compact(
    session: &mut Session,
    listener: &Listener,
    grace: Duration,
    as_json: bool,
) -> Outcome<Reply> {
    go_online(session, listener).await?;
    let compaction = session.db.compact(grace).await?;
    let warning = quarantine_warning(session.db.status().await?.quarantined);
    let (object, line) = match compaction {
        Compaction::Written { epoch, rows, covered, deleted } => (
            serde_json::json!({ "epoch": epoch, "rows": rows, "covered": covered, "deleted": deleted }),
            format!(
                "wrote snapshot {epoch}: {}, {} covered, {} deleted",
                text::count(rows, "row"),
                text::count(covered, "change file"),
                text::count(deleted, "file"),
            ),
        ),
        _ => (
            serde_json::Value::Null,
            "another device compacted at the same time; nothing was changed here".to_owned(),
        ),
    };
    let reply = Reply::text(if as_json { object.to_string() } else { line });
    Ok(warning.into_iter().fold(reply, Reply::note))
}

pub(super) async fn devices(session: &mut Session, listener: &Listener, as_json: bool) -> Outcome<Reply> {
    go_online(session, listener).await?;
    let devices = session.db.devices().await?;
    let warning = quarantine_warning(session.db.status().await?.quarantined);
    let reply = if as_json {
        Reply::text(serde_json::to_string(&devices).map_err(|error| Failure::invalid(error.to_string()))?)
    } else {
        let now = super::report::now_ms();
        let mut lines = vec![["(id)", "name", "type", "last seen", ""].map(str::to_owned).to_vec()];
        lines.extend(devices.into_iter().map(|device| {
            let mark = match (device.is_this_device, device.retired) {
                (true, _) => "this device",
                (_, true) => "retired",
                _ => "",
            };
            let seen = device.last_seen_ms.map_or_else(String::new, |seen| text::ago(seen, now));
            let (name, kind) = (device.name.unwrap_or_default(), device.device_type.unwrap_or_default());
            vec![device.device_id, name, kind, seen, mark.to_owned()]
        }));
        Reply::text(text::aligned(&lines, usize::MAX))
    };
    Ok(warning.into_iter().fold(reply, Reply::note))
}

pub(super) async fn retire(
    session: &mut Session,
    listener: &Listener,
    id: &str,
    as_json: bool,
) -> Outcome<Reply> {
    go_online(session, listener).await?;
    session.db.retire_device(id).await?;
    let object = serde_json::json!({ "retired": id }).to_string();
    Ok(Reply::text(if as_json { object } else { format!("nobody waits for {id} any more") }))
}
