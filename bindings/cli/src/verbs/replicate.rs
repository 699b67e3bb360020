//! `replicate`: brings replicas up to date.

use std::collections::BTreeMap;

use interocitor_core::Event;
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome},
    progress::Listener,
    reply::Reply,
    session::Session,
    text,
};

/// What one replica was given.
#[derive(Serialize)]
struct Answer {
    name: String,
    files: u64,
    copied: u64,
    bytes: u64,
    damaged: u64,
}

pub(super) async fn replicate(
    session: &mut Session,
    listener: &Listener,
    name: Option<&str>,
    verify: bool,
    as_json: bool,
) -> Outcome<Reply> {
    let known = session.settings.replicas.iter().map(|replica| replica.name.clone());
    let names: Vec<String> = known.filter(|known| name.is_none_or(|name| name == known)).collect();
    if names.is_empty() {
        let known = name.map_or("no replica".to_owned(), |name| format!("no replica {name}"));
        return Err(Failure::invalid(format!(
            "this store knows {known}: give --mirror NAME=URI once, it is remembered"
        )));
    }
    let mut events = session.db.events();
    super::exchange::go_online(session, listener).await?;
    let mut answers = Vec::new();
    for name in names {
        let done =
            session.db.replicate(&name, verify).await.map_err(|error| Failure::from(error).at(&name))?;
        answers.push(Answer { name, files: done.files, copied: 0, bytes: 0, damaged: done.damaged });
    }
    // Connecting has brought a part of it.
    let mut copied: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    while let Some(event) = events.try_next() {
        if let Event::ReplicaComplete { replica, copied: files, bytes, .. } = event {
            let known = copied.entry(replica).or_default();
            *known = (known.0 + files, known.1 + bytes);
        }
    }
    for answer in &mut answers {
        (answer.copied, answer.bytes) = copied.get(&answer.name).copied().unwrap_or_default();
    }
    let reply = if as_json {
        Reply::text(serde_json::to_string(&answers).map_err(|error| Failure::invalid(error.to_string()))?)
    } else {
        let lines = answers.iter().map(|answer| {
            let (files, copied) = (text::count(answer.files, "file"), answer.copied);
            text::shown(&format!("{}: {files}, {copied} of them written now", answer.name))
        });
        Reply::text(lines.collect::<Vec<_>>().join("\n"))
    };
    Ok(answers.iter().filter(|answer| answer.damaged > 0).fold(reply, |reply, answer| {
        let damaged = text::count(answer.damaged, "file");
        reply.note(format!("warning: {damaged} of the main mailbox cannot be opened, and {} does not get them; see: interocitor doctor", answer.name))
    }))
}
