//! What a build leaves out is refused by its name; what it has is there.

use std::sync::Arc;

use async_trait::async_trait;
use interocitor_ffi::{
    Failure, Mailbox, MailboxFailure, PlatformHttp, PlatformUploads, UploadRequest, UploadResponse,
};

use crate::{
    options::{drive, s3, webdav, worker},
    support::{code, wait},
};

struct Idle;

#[async_trait]
impl PlatformHttp for Idle {
    async fn upload(&self, _: UploadRequest) -> Result<UploadResponse, MailboxFailure> {
        unreachable!("nothing is uploaded")
    }
}

#[test]
fn what_is_left_out_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = PlatformUploads::new(Arc::new(Idle), folder.path().display().to_string());
    let check = wait(Mailbox::memory().check("/conformance".into(), Vec::new(), None));
    let table: [(&str, bool, Result<(), Failure>); 6] = [
        ("no Cloudflare", cfg!(feature = "cloudflare"), Mailbox::cloudflare(worker()).map(drop)),
        ("no Google Drive", cfg!(feature = "drive"), Mailbox::google_drive(drive()).map(drop)),
        ("no S3", cfg!(feature = "s3"), Mailbox::s3(s3()).map(drop)),
        ("no WebDAV", cfg!(feature = "webdav"), Mailbox::webdav(webdav()).map(drop)),
        ("none behind HTTP", cfg!(feature = "http"), uploads.map(drop)),
        ("no conformance suite", cfg!(feature = "adapter-tests"), check),
    ];
    for (reason, is_there, outcome) in table {
        if is_there {
            outcome.unwrap();
            continue;
        }
        let failure = outcome.unwrap_err();
        let shown = format!("{failure} {failure:?}");
        assert!(shown.contains(reason) && !shown.contains("s3cret"), "{reason}: {shown}");
        assert!(matches!(failure, Failure::Rejected { retryable: false, .. }), "{failure:?}");
        assert_eq!(code(Err::<(), _>(failure)), "INVALID_ARGUMENT", "{reason}");
    }
}
