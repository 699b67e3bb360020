//! One function a verb.

mod batch;
mod doctor;
mod exchange;
mod export;
mod file;
mod pair;
mod query;
mod recovery;
mod replicate;
mod report;
mod rows;
mod watch;

use std::time::Duration;

use crate::{
    args::{Cli, DevicesVerb, Options, QuarantineVerb, RecoveryVerb, Verb},
    demo,
    failure::Outcome,
    progress::Progress,
    reply::Reply,
    session::Session,
};

/// Runs the verb and prints its answer.
pub(crate) async fn run(cli: &Cli) -> Outcome<()> {
    match &cli.verb {
        Verb::Demo { keep } => return demo::run(keep.as_deref(), cli.options.json).await,
        Verb::Watch { interval } => return watch::watch(&cli.options, *interval).await,
        Verb::Pair { verb } => return pair::pair(&cli.options, verb).await,
        Verb::Doctor { fix } => return doctor::doctor(&cli.options, *fix).await,
        Verb::Recovery { verb: Some(RecoveryVerb::Import) } => return recovery::import(&cli.options).await,
        _ => {}
    }
    // Wrong usage is told before anything is opened.
    let query = match &cli.verb {
        Verb::Query(args) => Some(query::build(args)?),
        _ => None,
    };
    let progress = Progress::start(label(&cli.verb));
    let mut session = Session::open(&cli.options).await?;
    let outcome = match query {
        Some(query) => match session.remember().await {
            Ok(()) => query::run(&session, &query, cli.options.json).await,
            Err(failure) => Err(failure),
        },
        None => answer(&mut session, &progress, &cli.verb, &cli.options).await,
    };
    session.close().await;
    drop(progress);
    outcome?.print()
}

async fn answer(
    session: &mut Session,
    progress: &Progress,
    verb: &Verb,
    options: &Options,
) -> Outcome<Reply> {
    let json = options.json;
    match verb {
        Verb::Connect | Verb::Pull | Verb::Flush | Verb::Sync => {
            return exchange::exchange(session, &progress.listener(), verb, json).await;
        }
        Verb::Compact { grace } => {
            return exchange::compact(session, &progress.listener(), Duration::from_secs(*grace), json).await;
        }
        Verb::Devices { verb: None } => return exchange::devices(session, &progress.listener(), json).await,
        Verb::Devices { verb: Some(DevicesVerb::Retire { id }) } => {
            return exchange::retire(session, &progress.listener(), id, json).await;
        }
        Verb::Replicate { name, verify } => {
            return replicate::replicate(session, &progress.listener(), name.as_deref(), *verify, json).await;
        }
        Verb::Export { folder, archive, archive_passphrase_file } => {
            let place = (folder.as_deref(), archive.as_deref());
            return export::export(
                session,
                &progress.listener(),
                place,
                archive_passphrase_file.as_deref(),
                json,
            )
            .await;
        }
        Verb::File { verb } => return file::file(session, verb, json).await,
        _ => session.remember().await?,
    }
    match verb {
        Verb::Add { table, row, prefix } => rows::add(session, table, row, prefix.as_deref(), json).await,
        Verb::Put(args) | Verb::Patch(args) => rows::put(session, args, json).await,
        Verb::Replace(args) => rows::replace(session, args, json).await,
        Verb::Delete { table, rowid } => rows::delete(session, table, rowid, json).await,
        Verb::Row { table, rowid } => rows::row(session, table, rowid, json).await,
        Verb::Batch { file } => batch::batch(session, file, json).await,
        Verb::Tables => report::tables(session, json).await,
        Verb::Status => report::status(session, json).await,
        Verb::Quarantine { verb } => match verb {
            QuarantineVerb::List => report::quarantine(session, json).await,
            QuarantineVerb::Restore { name } => report::restore(session, name, json).await,
            QuarantineVerb::Discard { name } => report::discard(session, name, json).await,
        },
        Verb::Recovery { .. } => recovery::show(session, json),
        Verb::Import { source, archive_passphrase_file } => {
            export::import(session, &progress.listener(), source, archive_passphrase_file.as_deref(), json)
                .await
        }
        Verb::Dump => report::dump(session, json).await,
        _ => Ok(Reply::nothing()),
    }
}

/// What the progress line says at first.
fn label(verb: &Verb) -> &'static str {
    match verb {
        Verb::Batch { .. } | Verb::Add { .. } | Verb::Put(_) | Verb::Patch(_) | Verb::Replace(_) => "writing",
        Verb::Connect | Verb::Pull | Verb::Flush | Verb::Sync | Verb::Devices { .. } => {
            "connecting to the mailbox"
        }
        Verb::File { .. } => "moving files",
        Verb::Export { .. } => "exporting",
        Verb::Import { .. } => "importing",
        Verb::Compact { .. } => "compacting",
        Verb::Replicate { .. } => "copying to the replicas",
        _ => "reading the store",
    }
}
