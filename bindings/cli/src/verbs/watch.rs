//! Watch: sync again and again, show what changes.

use std::time::Duration;

use interocitor_core::{Error, Event, Interocitor};

use crate::{
    args::Options,
    failure::{Failure, Outcome},
    json, reply,
    session::{Session, quarantine_warning, remote_path},
    terminal::Paint,
    text,
};

/// The longest wait for a mailbox that fails.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How long a leaving user waits for a mailbox that hangs.
const GOODBYE: Duration = Duration::from_secs(3);

pub(super) async fn watch(options: &Options, interval: Duration) -> Outcome<()> {
    let mut session = Session::open(options).await?;
    session.attach().await?;
    let mut events = session.db.events();
    let mut leaving = std::pin::pin!(interrupted());
    // The first connect is part of the watching: a mailbox may come later.
    let db = session.db.clone();
    let place = format!("{} {}", session.mailbox(), remote_path(&session.settings));
    let mut syncing = tokio::spawn(async move {
        let outcome = sync_for_ever(&mut session, interval).await;
        (session, outcome)
    });
    eprintln!("watching {} (Ctrl-C ends it)", text::shown(&place));
    let screen = Screen { db: db.clone(), as_json: options.json, paint: Paint::new() };
    let outcome = loop {
        tokio::select! {
            () = &mut leaving => break Ok(()),
            ended = &mut syncing => {
                break match ended {
                    Ok((_, Err(failure))) => Err(failure),
                    _ => Ok(()),
                };
            }
            event = events.next() => match event {
                Some(event) => if let Err(failure) = screen.show(&event).await { break Err(failure) },
                None => break Ok(()),
            },
        }
    };
    if !matches!(outcome, Err(Failure::BrokenPipe)) {
        while let Some(event) = events.try_next() {
            screen.show(&event).await?;
        }
    }
    // Breaking off in the middle is as safe as a crash: the next run goes on from there.
    syncing.abort();
    let _ = tokio::time::timeout(GOODBYE, db.shutdown()).await;
    outcome
}

/// Connects and syncs until something happens that waiting does not mend.
async fn sync_for_ever(session: &mut Session, interval: Duration) -> Outcome<()> {
    let (mut is_connected, mut failures, mut quarantined) = (false, 0_u32, 0);
    loop {
        let outcome = if is_connected { session.db.sync().await } else { session.connect().await? };
        let wait = match outcome {
            Ok(()) => {
                if failures > 0 {
                    eprintln!("note: the mailbox is back");
                }
                (is_connected, failures) = (true, 0);
                let now = session.db.status().await?.quarantined;
                if let Some(warning) = quarantine_warning(now).filter(|_| now > quarantined) {
                    eprintln!("{warning}");
                }
                quarantined = now;
                interval
            }
            Err(error) if error.is_retryable() => {
                if failures == 0 {
                    eprintln!("note: {}; trying again", text::shown(&error.to_string()));
                }
                let wait = backoff(interval, failures, &error);
                failures += 1;
                wait
            }
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Twice as long after each failure, and as long as the mailbox asks for.
fn backoff(interval: Duration, failures: u32, error: &Error) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT.max(interval));
    error.retry_after().map_or(doubled, |asked| asked.max(doubled))
}

/// Completes when the user, or the system, wants us to end.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => return,
            Some(()) = terminate.recv() => return,
            else => {}
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself.
        std::future::pending::<()>().await;
    }
}

/// Where changes are shown.
struct Screen {
    db: Interocitor,
    as_json: bool,
    paint: Paint,
}

impl Screen {
    async fn show(&self, event: &Event) -> Outcome<()> {
        match event {
            Event::Change { table, row_ids } => {
                for id in row_ids {
                    // A row that was deleted meanwhile has an event of its own to come.
                    if let Some(row) = self.db.table(table).row(id).await? {
                        self.line("change", table, id, Some(&row.json))?;
                    }
                }
            }
            Event::Delete { table, row_ids } => {
                for id in row_ids {
                    self.line("delete", table, id, None)?;
                }
            }
            Event::Lagged if self.as_json => reply::print("{\"event\":\"lagged\"}\n")?,
            Event::Lagged => eprintln!("note: too much changed at once to show it all"),
            _ => {}
        }
        Ok(())
    }

    fn line(&self, event: &str, table: &str, id: &str, row: Option<&str>) -> Outcome<()> {
        if self.as_json {
            let row = row.map_or_else(String::new, |row| format!(",\"row\":{row}"));
            let (table, id) = (json::string(table), json::string(id));
            return reply::print(&format!("{{\"event\":\"{event}\",\"table\":{table},\"id\":{id}{row}}}\n"));
        }
        let word = if row.is_some() { self.paint.green("changed") } else { self.paint.red("deleted") };
        let place = text::shown(&format!("{table}/{id}"));
        let row = text::shown(row.unwrap_or_default());
        reply::print(format!("{word}  {place}  {row}").trim_end()).and_then(|()| reply::print("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let second = Duration::from_secs(1);
        let waits: Vec<u64> =
            (0..11).map(|failures| backoff(second, failures, &Error::StoreBusy).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
