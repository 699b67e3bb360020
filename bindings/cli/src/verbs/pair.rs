//! Pair: share this device's mesh, or join that of another, by a code that one device shows and the other scans.

use std::{io::Read as _, time::Duration};

use interocitor_core::{
    ErrorCode, Paired, Pairing,
    pairing::{Intent, PairingOptions, PairingPayload, QrCode},
};
use zeroize::Zeroizing;

use super::watch::interrupted;
use crate::{
    args::{Options, PairArgs, PairVerb},
    failure::{Failure, Outcome},
    progress::Progress,
    reply::{self, Reply},
    session::{Session, remote_path},
    terminal, text,
};

pub(super) async fn pair(options: &Options, verb: &PairVerb) -> Outcome<()> {
    // What cannot be a code is told before anything is opened.
    let payload = match verb {
        PairVerb::Scan { payload, .. } => Some(read_payload(payload)?),
        _ => None,
    };
    let mut session = Session::open(options).await?;
    let outcome = run(&mut session, options, verb, payload).await;
    session.close().await;
    outcome?.print()
}

async fn run(
    session: &mut Session,
    options: &Options,
    verb: &PairVerb,
    payload: Option<PairingPayload>,
) -> Outcome<Reply> {
    if session.settings.mailbox.is_none() {
        let said = payload.as_ref().and_then(PairingPayload::adapter_config).and_then(said_address);
        return Err(Failure::invalid(format!(
            "this store knows no mailbox: give --mailbox, the same place as on the other device{}",
            said.unwrap_or_default()
        )));
    }
    // Nothing is remembered before all has gone well.
    session.attach_to_look().await?;
    let (PairVerb::Share { args } | PairVerb::Join { args } | PairVerb::Scan { args, .. }) = verb;
    let mut how = PairingOptions::default();
    how.relay_base.clone_from(&args.relay);
    how.timeout = Duration::from_secs(args.timeout);
    let is_shown = payload.is_none();
    let pairing = match (verb, payload) {
        (_, Some(payload)) => session.db.pair_scan(payload, how).await?,
        (PairVerb::Share { .. }, None) => session.db.pair_share(how).await?,
        (_, None) => session.db.pair_join(how).await?,
    };
    if is_shown {
        show(&pairing, options.json)?;
    }
    let paired = tokio::select! {
        paired = course(&pairing, args, options.json) => paired,
        () = interrupted() => Err(Failure::new(ErrorCode::UserCancelled.as_str(), "cancelled by the user")),
    };
    let paired = match paired {
        Ok(paired) => paired,
        Err(failure) => {
            pairing.cancel().await;
            return Err(failure);
        }
    };
    drop(pairing);
    let note = if paired.received { take_over(session, &paired).await? } else { None };
    let reply = if options.json {
        Reply::text(serde_json::json!({ "remotePath": paired.remote_path }).to_string())
    } else {
        let place = text::shown(&format!("{} {}", session.mailbox(), remote_path(&session.settings)));
        let who = if paired.received { "this device takes part" } else { "the other device can take part" };
        Reply::text(format!("{who} in the mesh in {place}"))
    };
    Ok(note.into_iter().fold(reply, Reply::note))
}

/// Shows what the other device is to scan.
fn show(pairing: &Pairing, as_json: bool) -> Outcome<()> {
    let payload = pairing.payload().encode();
    if as_json {
        return reply::print(&format!("{}\n", serde_json::json!({ "payload": payload })));
    }
    if !terminal::is_shown() {
        return reply::print(&format!("{payload}\n"));
    }
    let code = QrCode::new(&payload)?;
    let blocks = if terminal::has_colours() {
        // Black on white, whatever the terminal's colours are.
        let lines = code.to_blocks(false);
        lines.lines().flat_map(|line| ["\u{1b}[30;107m", line, "\u{1b}[0m\n"]).collect()
    } else {
        code.to_blocks(true)
    };
    let wish = match pairing.payload().intent() {
        Intent::Share => "to let another device take part, scan this with it",
        Intent::Join => "to take part, scan this with a device of the mesh",
    };
    reply::print(&format!(
        "{blocks}{wish}, or run there:\n\n  interocitor pair scan {payload}\n\nKeep it to yourself. It is good for one pairing.\n"
    ))
}

/// Waits for the other device, shows the code, asks if it is to, and passes the credential.
async fn course(pairing: &Pairing, args: &PairArgs, as_json: bool) -> Outcome<Paired> {
    let code = pairing.code().await?;
    if as_json {
        reply::print(&format!("{}\n", serde_json::json!({ "code": code })))?;
    } else {
        reply::print(&format!("code {code}: the other device must show the same\n"))?;
    }
    if args.confirm {
        eprint!("does it? [y/N] ");
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new(
                ErrorCode::UserCancelled.as_str(),
                "not confirmed: nothing was given or taken; if the codes differ, somebody else has seen the code",
            ));
        }
    }
    Ok(pairing.complete().await?)
}

/// Proves what came against the mailbox, and remembers it then; where the mailbox cannot tell now, it is
/// remembered all the same, since the code is used up.
async fn take_over(session: &mut Session, paired: &Paired) -> Outcome<Option<String>> {
    let progress = Progress::start("joining the mesh");
    let mut events = session.db.events();
    let listener = progress.listener();
    let listening = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            listener.note(&event);
        }
    });
    let joined = session.join(&paired.remote_path).await;
    listening.abort();
    drop(progress);
    Ok(joined?.map(|error| {
        format!("note: the mesh could not be reached yet ({error}); interocitor sync tries again")
    }))
}

/// A payload from the arguments, or from standard input: other users of a machine can see arguments.
fn read_payload(argument: &str) -> Outcome<PairingPayload> {
    let text = if argument == "-" {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin()
            .take(64 * 1024)
            .read_to_string(&mut text)
            .map_err(|error| Failure::invalid(format!("standard input: {error}")))?;
        text
    } else {
        Zeroizing::new(argument.to_owned())
    };
    Ok(PairingPayload::parse(&text)?)
}

/// Where the other device says that the mailbox is: for the user to judge, never followed.
fn said_address(config: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    let address: String = config["baseUrl"].as_str()?.chars().take(200).collect();
    Some(format!("; the code says {address:?}, if you know it"))
}
