//! `interocitor`: the engine at a terminal.
//!
//! One verb a run. `args` says what can be asked, `session` opens the store and the mailbox, each
//! module of `verbs` answers with a [`reply::Reply`], which is printed once the store is closed.
//! `watch` and `demo` print while they work.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod cloudflare;
mod credentials;
mod demo;
mod failure;
mod gdrive;
mod json;
mod mailbox;
mod places;
mod private_file;
mod progress;
mod replicas;
mod reply;
mod session;
mod settings;
mod terminal;
mod text;
mod verbs;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use args::{Cli, Verb};
use failure::{Failure, Outcome};
use interocitor_core::{ErrorCode, host::TokioHost, set_aside_store};

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) | Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => Cli::command().error(ErrorKind::ValueValidation, message).exit(),
        Err(Failure::Reported { code, reason }) => {
            eprintln!("error[{code}]: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Outcome<()> {
    let outcome = start(cli);
    let is_corrupt =
        matches!(&outcome, Err(Failure::Reported { code, .. }) if code == ErrorCode::StoreCorrupt.as_str());
    if !(is_corrupt && cli.options.set_aside_corrupt) || matches!(cli.verb, Verb::Demo { .. }) {
        return outcome;
    }
    let store = places::store(cli.options.store.as_deref())?;
    let place = set_aside_store(&store, &TokioHost)?;
    eprintln!(
        "note: the damaged store is now {}; continuing with an empty one",
        text::shown(&place.to_string_lossy())
    );
    start(cli)
}

/// Runs the verb on a runtime of its own. The second thread keeps listeners alive while the first works.
fn start(cli: &Cli) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new("STORE_OPEN", format!("no thread can be started: {error}")))?;
    let outcome = runtime.block_on(verbs::run(cli));
    // A read of standard input or a hanging mailbox must not keep the process.
    runtime.shutdown_background();
    outcome
}
