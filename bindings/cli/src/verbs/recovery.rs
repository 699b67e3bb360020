//! The recovery kit: printed, and read back.

use std::io::Read as _;

use interocitor_core::recovery::RecoveryKit;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    args::Options,
    failure::{Failure, Outcome},
    progress::Progress,
    reply::Reply,
    session::Session,
};

/// The longest kit that is read: a page has far less.
const MOST: u64 = 1 << 20;

/// The kit as JSON.
#[derive(Serialize)]
struct Kit<'a> {
    passphrase: &'a str,
    words: Vec<&'static str>,
    qr: &'a str,
}

pub(super) fn show(session: &Session, as_json: bool) -> Outcome<Reply> {
    let kit = session.db.recovery_kit()?;
    if !as_json {
        return Ok(Reply::text(kit.text().as_str()));
    }
    let (passphrase, qr) = (kit.passphrase(), kit.qr());
    let kit = Kit { passphrase: passphrase.expose(), words: kit.words(), qr: &qr };
    Ok(Reply::text(serde_json::to_string(&kit).map_err(|error| Failure::invalid(error.to_string()))?))
}

/// Reads a kit from standard input and uses its key, which the mailbox checks where the store knows one.
pub(super) async fn import(options: &Options) -> Outcome<()> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(MOST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::invalid(format!("standard input cannot be read: {error}")))?;
    let passphrase = RecoveryKit::parse(&text)?.passphrase();
    let progress = Progress::start("connecting to the mailbox");
    let mut session = Session::open_with(options, Some(passphrase)).await?;
    let outcome = used(&mut session, options.json).await;
    session.close().await;
    drop(progress);
    outcome?.print()
}

async fn used(session: &mut Session, as_json: bool) -> Outcome<Reply> {
    let is_checked = session.settings.mailbox.is_some();
    if is_checked {
        session.attach().await?;
        session.go_online().await?;
    } else if !session.remember_first().await? {
        return Err(Failure::invalid(
            "this store has a passphrase already: give --mailbox folder:/path, where the kit can be checked",
        ));
    }
    if as_json {
        return Ok(Reply::text(format!("{{\"checked\":{is_checked}}}")));
    }
    let text = if is_checked {
        "the kit opens the mesh; its passphrase is saved"
    } else {
        "the passphrase of the kit is saved; the first connect checks it"
    };
    Ok(Reply::text(text))
}
