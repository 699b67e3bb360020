//! The state of the connection: what four facts make of it.
//!
//! | state | when |
//! |---|---|
//! | `offline` | no mesh is connected, or there is no network, or the mailbox could not be reached |
//! | `connecting` | a connect is under way |
//! | `syncing` | an exchange is under way |
//! | `idle` | connected, and the mailbox answered when it was asked last |
//!
//! | from | what happens | to |
//! |---|---|---|
//! | `offline` | a connect begins, by hand or as a retry | `connecting` |
//! | `connecting` | it succeeds | `idle` |
//! | `connecting` | it fails | `offline` |
//! | `idle`, `offline` while connected | an exchange begins | `syncing` |
//! | `syncing` | it succeeds, is broken off, or the mailbox answers with an error | `idle` |
//! | `syncing` | the mailbox cannot be reached (`OFFLINE`, `REMOTE_TIMEOUT`) | `offline`, still connected: the next exchange that succeeds leads back |
//! | `idle` | the network goes | `offline`, still connected |
//! | `offline` while connected | the network comes | `idle`, if the mailbox was reached last; an exchange follows at once |
//! | any | disconnect, another mailbox, shutdown | `offline` |

use crate::{error::Error, events::ConnectionStatus};

/// Something that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Connecting,
    Syncing,
}

/// The facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) is_linked: bool,
    pub(super) has_network: bool,
    pub(super) is_reachable: bool,
    pub(super) activity: Option<Activity>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { is_linked: false, has_network: true, is_reachable: true, activity: None }
    }
}

impl Facts {
    /// The state that the facts make.
    pub(super) fn status(self) -> ConnectionStatus {
        match self.activity {
            Some(Activity::Connecting) => ConnectionStatus::Connecting,
            Some(Activity::Syncing) => ConnectionStatus::Syncing,
            None if self.is_linked && self.has_network && self.is_reachable => ConnectionStatus::Idle,
            None => ConnectionStatus::Offline,
        }
    }

    /// Takes note of how a connect or an exchange ended.
    pub(super) fn note_outcome(&mut self, problem: Option<&Error>) {
        match problem {
            // Broken off from here: that says nothing of the mailbox.
            Some(Error::Cancelled | Error::Suspended | Error::ShutDown) => {}
            Some(Error::Offline(_) | Error::RemoteTimeout { .. }) => self.is_reachable = false,
            _ => self.is_reachable = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{MailboxError, MailboxErrorKind};

    fn failed(kind: MailboxErrorKind) -> Error {
        MailboxError::new(kind, "list", "/", "test").into()
    }

    /// Walks through the table above.
    #[test]
    fn transitions() {
        use ConnectionStatus::{Connecting, Idle, Offline, Syncing};
        let mut facts = Facts::default();
        assert_eq!(facts.status(), Offline);
        let mut run = |activity, is_linked: bool, problem: Option<Error>| {
            facts.activity = Some(activity);
            let during = facts.status();
            facts.is_linked = is_linked;
            facts.note_outcome(problem.as_ref());
            facts.activity = None;
            (during, facts.status())
        };
        let connect = Activity::Connecting;
        assert_eq!(run(connect, false, Some(failed(MailboxErrorKind::Offline))), (Connecting, Offline));
        assert_eq!(run(connect, false, Some(failed(MailboxErrorKind::Unauthorized))), (Connecting, Offline));
        assert_eq!(run(connect, true, None), (Connecting, Idle));
        for (problem, wanted) in [
            (None, Idle),
            (Some(Error::Cancelled), Idle),
            (Some(failed(MailboxErrorKind::Unauthorized)), Idle),
            (Some(failed(MailboxErrorKind::QuotaFull)), Idle),
            (Some(failed(MailboxErrorKind::Timeout)), Offline),
            // Broken off while it was out of reach: it still is, for all we know.
            (Some(Error::Cancelled), Offline),
            (Some(failed(MailboxErrorKind::RateLimited)), Idle),
            (Some(failed(MailboxErrorKind::Offline)), Offline),
            (None, Idle),
        ] {
            let text = format!("{problem:?}");
            assert_eq!(run(Activity::Syncing, true, problem), (Syncing, wanted), "{text}");
        }
        facts.has_network = false;
        assert_eq!(facts.status(), Offline);
        facts.has_network = true;
        assert_eq!(facts.status(), Idle);
        facts.is_linked = false;
        assert_eq!(facts.status(), Offline);
    }
}
