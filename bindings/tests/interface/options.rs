//! Options of every mailbox behind HTTP that are in order.

use interocitor_ffi::{CloudflareOptions, GoogleDriveOptions, S3Options, WebDavOptions};

/// Nobody listens there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";

pub(crate) fn s3() -> S3Options {
    S3Options {
        bucket: "notes".into(),
        prefix: "in a/folder?#%41".into(),
        endpoint: Some(NOWHERE.into()),
        region: "us-east-1".into(),
        addressing: None,
        access_key: "s3cret-id".into(),
        secret_key: "s3cret".into(),
        session_token: Some("s3cret".into()),
        authorities: None,
        timeout_ms: 1000,
        uploads: None,
    }
}

pub(crate) fn drive() -> GoogleDriveOptions {
    GoogleDriveOptions {
        token_provider: None,
        token: Some("s3cret".into()),
        folder: Some("1aB_-x".into()),
        client_id: Some("client".into()),
        endpoint: Some(NOWHERE.into()),
        timeout_ms: 1000,
        uploads: None,
        retries: 0,
    }
}

pub(crate) fn worker() -> CloudflareOptions {
    CloudflareOptions {
        url: format!("{NOWHERE}/io/uuid.tag"),
        token: Some("s3cret".into()),
        token_provider: None,
        access_secret: None,
        push: false,
        max_file_bytes: 1,
        authorities: None,
        timeout_ms: 1000,
        uploads: None,
    }
}

pub(crate) fn webdav() -> WebDavOptions {
    WebDavOptions {
        url: NOWHERE.into(),
        user: Some("u".into()),
        password: Some("s3cret".into()),
        digest: true,
        token: None,
        token_provider: None,
        authorities: None,
        timeout_ms: 1000,
        uploads: None,
    }
}
