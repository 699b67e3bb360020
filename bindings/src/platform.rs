//! Uploads in the hands of the operating system, by code written in Swift or Kotlin.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
#[cfg(feature = "http")]
use interocitor_core::mailbox::{
    MailboxResult, PlatformHttp as CoreHttp, PlatformUploads as CoreUploads, UploadRequest as CoreRequest,
    UploadResponse as CoreResponse,
};

use crate::{Failure, MailboxFailure};

/// A header of a request or an answer.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct HttpHeader {
    pub name: String,
    pub value: String,
}

impl fmt::Debug for HttpHeader {
    /// Some values are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An upload that the platform is to carry.
#[expect(missing_docs, reason = "explained in the interface")]
pub struct UploadRequest {
    pub id: String,
    pub method: String,
    pub url: String,
    pub headers: Vec<HttpHeader>,
    pub body: String,
    pub len: i64,
}

impl fmt::Debug for UploadRequest {
    /// Address and headers hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadRequest")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// What the server answered to an upload.
#[derive(Debug)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct UploadResponse {
    pub status: u16,
    pub headers: Vec<HttpHeader>,
    pub body: Vec<u8>,
}

/// Carries uploads, in Swift or Kotlin.
#[uniffi::trait_interface]
#[async_trait]
pub trait PlatformHttp: Send + Sync {
    /// Sends a file and gives the answer of the server, whatever its status.
    async fn upload(&self, request: UploadRequest) -> Result<UploadResponse, MailboxFailure>;
}

/// Hands large uploads of a mailbox to the platform.
#[derive(Debug)]
pub struct PlatformUploads(#[cfg(feature = "http")] CoreUploads);

impl PlatformUploads {
    /// With this carrier, and a folder for what waits to be sent.
    ///
    /// # Errors
    ///
    /// A `Rejected` failure where the folder cannot be used, `DISK_FULL` where there is no room.
    #[cfg(feature = "http")]
    pub fn new(http: Arc<dyn PlatformHttp>, folder: String) -> Result<Self, Failure> {
        use interocitor_core::mailbox::MailboxErrorKind;

        CoreUploads::new(Arc::new(ForeignHttp(http)), folder).map(Self).map_err(|error| match error.kind() {
            MailboxErrorKind::DiskFull => interocitor_core::Error::from(error).into(),
            _ => crate::configuration::invalid("folder", error.to_string()),
        })
    }

    /// Refused: nothing here uploads over HTTP.
    ///
    /// # Errors
    ///
    /// A `Rejected` failure.
    #[cfg(not(feature = "http"))]
    pub fn new(_: Arc<dyn PlatformHttp>, _: String) -> Result<Self, Failure> {
        Err(crate::configuration::invalid("mailbox", "this build has none behind HTTP"))
    }

    /// For the configuration of a mailbox.
    #[cfg(feature = "http")]
    pub(crate) fn of_core(&self) -> CoreUploads {
        self.0.clone()
    }
}

#[cfg(feature = "http")]
struct ForeignHttp(Arc<dyn PlatformHttp>);

#[cfg(feature = "http")]
impl fmt::Debug for ForeignHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignHttp")
    }
}

#[cfg(feature = "http")]
#[async_trait]
impl CoreHttp for ForeignHttp {
    async fn upload(&self, request: CoreRequest) -> MailboxResult<CoreResponse> {
        let foreign = UploadRequest {
            id: request.id,
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(|(name, value)| HttpHeader { name, value }).collect(),
            body: request.body.display().to_string(),
            len: i64::try_from(request.len).unwrap_or(i64::MAX),
        };
        let answer = self.0.upload(foreign).await.map_err(|failure| failure.about("upload", "/"))?;
        let headers = answer.headers.into_iter().map(|header| (header.name, header.value)).collect();
        Ok(CoreResponse { status: answer.status, headers, body: answer.body })
    }
}
