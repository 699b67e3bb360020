//! Replicas as they are named, remembered and opened.

use interocitor_core::Replica;

use crate::{
    args::Options,
    failure::{Failure, Outcome},
    mailbox,
    settings::ReplicaSettings,
};

/// The replicas that are remembered, with the options of this run on top.
pub(crate) fn merge(options: &Options, known: &mut Vec<ReplicaSettings>) -> Outcome<()> {
    for name in &options.forget_replica {
        let before = known.len();
        known.retain(|replica| replica.name != *name);
        if known.len() == before {
            return Err(Failure::invalid(format!("--forget-replica: this store knows no replica {name}")));
        }
    }
    let plain = options.replica.iter().map(|text| ("--replica", text, false));
    let mirrors = options.mirror.iter().map(|text| ("--mirror", text, true));
    for (option, text, mirror) in plain.chain(mirrors) {
        // The text is never shown: it may hold a password.
        let (name, uri) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
            .ok_or_else(|| Failure::invalid(format!("{option}: give NAME=URI, as backup=folder:/path")))?;
        let mailbox = mailbox::normalised(uri).map_err(|failure| failure.at(option))?;
        // Checked early: a wrong address should not be remembered.
        mailbox::open(uri).map_err(|failure| failure.at(option))?;
        known.retain(|replica| replica.name != name);
        known.push(ReplicaSettings { name: name.to_owned(), mailbox, mirror });
    }
    Ok(())
}

/// As the engine takes them. Nothing is read or sent yet.
pub(crate) fn open(known: &[ReplicaSettings]) -> Outcome<Vec<Replica>> {
    known
        .iter()
        .map(|ReplicaSettings { name, mailbox, mirror }| {
            Ok(Replica { mirror: *mirror, ..Replica::new(name, mailbox::open(mailbox)?) })
        })
        .collect()
}
