//! The mailbox in Google Drive, against a server that answers as Google documents it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[path = "common/ahead.rs"]
mod ahead;
#[path = "drive/faults.rs"]
mod faults;
#[path = "drive/meshes.rs"]
mod meshes;
#[path = "drive/names.rs"]
mod names;
#[allow(dead_code, reason = "a part of it is for WebDAV")]
#[path = "webdav/server.rs"]
mod scripted;
#[path = "drive/server.rs"]
mod server;

use interocitor_core::mailbox::{MailboxError, MailboxErrorKind, MailboxResult, StorageAdapter, suite};

use self::server::Drive;

/// The error of a call.
#[track_caller]
fn error<T>(outcome: MailboxResult<T>) -> MailboxError {
    let Err(error) = outcome else { panic!("succeeded") };
    assert!(!format!("{error} {error:?}").contains("token-"), "a token in {error:?}");
    error
}

#[track_caller]
fn kind<T>(outcome: MailboxResult<T>) -> MailboxErrorKind {
    error(outcome).kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let drive = Drive::start();
    suite::run(&|| drive.adapter(), "/conformance").await;
    let first = drive.client();
    assert!(first.capabilities().streaming);
    assert_eq!(first.handshake_config(), None);
    let known = drive.config().with_client_id("app.example");
    let known = interocitor_core::mailbox::GoogleDriveMailbox::new(&known).unwrap();
    assert_eq!(known.handshake_config().as_deref(), Some(r#"{"clientId":"app.example"}"#));
}
