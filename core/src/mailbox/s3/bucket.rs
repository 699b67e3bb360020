//! What is done with a bucket, over opendal, with the outcomes that the mailbox tells apart.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use opendal::options::{ListOptions, WriteOptions};
use opendal::services::S3;
use opendal::{BufferStream, HttpTransporter, OperationContext, Operator};
use reqsign_aws_v4::RequestSigner;

use super::super::body;
use super::super::http::{Authorization, Http, Setup, refuse};
use super::super::place::Place;
use super::super::{Body, ByteStream, FileEntry, MailboxErrorKind, MailboxResult, path};
use super::config::S3Config;
use super::fault::Fault;
use super::listing::{Listing, Object, version};
use super::transport::{Exchange, Service, Transport, escaped, escaped_prefix};

/// Where opendal believes the service to be. It takes endpoints apart whose host begins with the name of the bucket;
/// so the transport alone knows the real one.
const ENDPOINT: &str = "http://s3.invalid";
/// A listing that is longer than two million files is none.
const PAGES_MAX: usize = 2000;

/// What must hold before a write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    Absent,
    Version(&'a str),
}

/// How a conditional write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// The condition did not hold.
    Refused,
}

/// How much of what begins with a prefix is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The first object or folder.
    First,
    /// What lies directly in the folder.
    Folder,
    /// Every object at any depth, unless that takes more pages than this.
    Tree(usize),
}

/// A bucket, and the part of it that is the mailbox.
pub(super) struct Bucket {
    operator: Operator,
    pub(super) service: Arc<Service>,
    /// What all keys begin with; ends with a slash unless it is empty.
    prefix: String,
}

impl Bucket {
    pub(super) fn new(config: &S3Config) -> MailboxResult<Self> {
        let Some(credentials) = config.credentials() else {
            return Err(refuse(MailboxErrorKind::Unauthorized, "the access key and its secret are missing"));
        };
        let base = config.base()?;
        let http = Http::new(Setup {
            is_secure: base.starts_with("https:"),
            authorities: config.authorities(),
            // Every request has a signature of its own.
            authorization: Authorization::Fixed(None),
            timeout: config.timeout(),
            connect_timeout: config.connect_timeout(),
            uploads: config.uploads(),
        })?;
        // The transport signs; nothing is looked for in the environment, in files or in the network.
        let builder = S3::default()
            .bucket(config.bucket())
            .region(config.region())
            .endpoint(ENDPOINT)
            .skip_signature()
            .disable_config_load()
            .disable_ec2_metadata();
        let operator = Operator::new(builder).map_err(|error| {
            refuse(MailboxErrorKind::InvalidPath, "the address is none of a bucket").with_source(error)
        })?;
        let service = Service {
            http,
            base,
            bucket: config.bucket().to_owned(),
            // Session tokens go where those of accounts go, whatever the name of the host.
            signer: RequestSigner::new("s3", config.region()).with_standard_session_token(),
            credentials: credentials.clone(),
        };
        Ok(Self {
            operator,
            service: Arc::new(service),
            prefix: config.prefix().iter().fold(String::new(), |prefix, segment| prefix + segment + "/"),
        })
    }

    /// opendal for one operation, and what will have become of it.
    pub(super) fn operator(&self, place: &Place) -> (Operator, Arc<Exchange>) {
        self.operator_for(place, usize::MAX)
    }

    fn operator_for(&self, place: &Place, pages: usize) -> (Operator, Arc<Exchange>) {
        let exchange = Arc::new(Exchange::new(place, pages));
        let transport = Transport { service: Arc::clone(&self.service), exchange: Arc::clone(&exchange) };
        let context = OperationContext::default().with_http_transport(HttpTransporter::new(transport));
        (self.operator.clone().with_context(context), exchange)
    }

    /// The key of a file.
    pub(super) fn key(&self, place: &Place) -> String {
        format!("{}{}", self.prefix, place.segments.join("/"))
    }

    /// What the keys in a folder begin with.
    pub(super) fn prefix_of(&self, folder: &Place) -> String {
        if folder.segments.is_empty() { self.prefix.clone() } else { format!("{}/", self.key(folder)) }
    }

    /// The path of a key, if it is one that this interface can ask for.
    pub(super) fn path_of(&self, key: &str) -> Option<String> {
        let path = format!("/{}", key.strip_prefix(&self.prefix)?);
        path::file("list", &path).is_ok().then_some(path)
    }

    /// The body of an object, with its announced length, once it begins to arrive.
    async fn open(&self, place: &Place) -> MailboxResult<(u64, BufferStream, Arc<Exchange>)> {
        let (operator, exchange) = self.operator(place);
        let opening = async {
            let mut stream = operator.reader(&escaped(&self.key(place))).await?.into_stream(..).await?;
            let len = stream.metadata().await?.content_length();
            Ok((len, stream))
        };
        let (len, stream) = opening.await.map_err(|error| exchange.fault(error))?;
        Ok((len, stream, exchange))
    }

    /// The body of an object as a stream.
    pub(super) async fn stream(&self, place: &Place) -> MailboxResult<ByteStream> {
        let (_, stream, exchange) = self.open(place).await?;
        let pieces = stream.map(move |piece| match piece {
            Ok(piece) => stream::iter(Iterator::map(piece, Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(exchange.fault(error).into())]),
        });
        Ok(pieces.flatten().boxed())
    }

    /// The whole body of an object, unless it is longer than `limit`.
    pub(super) async fn read(&self, place: &Place, limit: u64) -> MailboxResult<Bytes> {
        let (len, mut stream, exchange) = self.open(place).await?;
        let too_large =
            || place.error(MailboxErrorKind::TooLarge, "the body is too large to be read at once");
        if len > limit {
            return Err(too_large());
        }
        let mut whole = BytesMut::with_capacity(body::reserve(len));
        while let Some(piece) = stream.next().await {
            for piece in piece.map_err(|error| exchange.fault(error))? {
                if whole.len() as u64 + piece.len() as u64 > limit {
                    return Err(too_large());
                }
                whole.extend_from_slice(&piece);
            }
        }
        Ok(whole.freeze())
    }

    /// The facts of an object.
    pub(super) async fn head(&self, place: &Place) -> MailboxResult<Option<FileEntry>> {
        let key = self.key(place);
        let (operator, exchange) = self.operator(place);
        match operator.stat(&escaped(&key)).await {
            Ok(facts) => Ok(Some(FileEntry {
                name: place.name().to_owned(),
                path: place.path.clone(),
                size: Some(facts.content_length()),
                modified_ms: facts.last_modified().map(|time| time.into_inner().as_millisecond()),
                etag: facts.etag().and_then(version),
            })),
            // Without a body there is no reason, and a missing bucket must not look like an empty one. A listing
            // tells.
            Err(error) => {
                let fault = exchange.fault(error);
                let listing = self.list(place, &key, Extent::First).await?.unwrap_or_default();
                if fault.status != 404 {
                    return Err(fault.into());
                }
                let found = listing.objects.into_iter().find(|object| object.key == key);
                Ok(found.map(|object| entry(place.path.clone(), object)))
            }
        }
    }

    /// Stores a body in one request.
    pub(super) async fn put(
        &self,
        place: &Place,
        body: Bytes,
        condition: Option<Condition<'_>>,
    ) -> MailboxResult<Put> {
        self.upload(place, body.into(), condition).await
    }

    /// Makes a folder show that has no files.
    pub(super) async fn mark(&self, folder: &Place) -> MailboxResult<()> {
        let key = self.prefix_of(folder);
        self.upload_to(folder, &key, Body::from(Bytes::new()), None).await.map(drop)
    }

    /// Removes an object; a missing one counts as removed.
    pub(super) async fn delete(&self, place: &Place) -> MailboxResult<()> {
        let (operator, exchange) = self.operator(place);
        match operator.delete(&escaped(&self.key(place))).await {
            Ok(()) => Ok(()),
            Err(error) => match exchange.fault(error) {
                fault if fault.code == "NoSuchKey" => Ok(()),
                fault => Err(fault.into()),
            },
        }
    }

    /// Removes an object unless it is a folder: the removal leaves a folder alone, so both are asked at once.
    pub(super) async fn delete_file(&self, place: &Place) -> MailboxResult<()> {
        let (removed, below) = future::join(self.delete(place), self.has_any(place)).await;
        if below? {
            return Err(place.error(MailboxErrorKind::InvalidPath, "a folder is not deleted as a file"));
        }
        removed
    }

    /// Whether anything lies in a folder, its own mark included.
    pub(super) async fn has_any(&self, folder: &Place) -> MailboxResult<bool> {
        let listing = self.list(folder, &self.prefix_of(folder), Extent::First).await?.unwrap_or_default();
        Ok(!listing.objects.is_empty() || !listing.folders.is_empty())
    }

    /// What begins with `prefix`; `None` where it is more than wanted.
    pub(super) async fn list(
        &self,
        place: &Place,
        prefix: &str,
        extent: Extent,
    ) -> MailboxResult<Option<Listing>> {
        let pages = if let Extent::Tree(pages) = extent { pages } else { PAGES_MAX };
        let (operator, exchange) = self.operator_for(place, pages);
        let options = ListOptions {
            recursive: extent != Extent::Folder,
            limit: (extent == Extent::First).then_some(1),
            ..ListOptions::default()
        };
        let lister = operator.lister_options(&escaped_prefix(prefix), options).await;
        let mut lister = lister.map_err(|error| exchange.fault(error))?;
        let mut listing = Listing::default();
        while let Some(entry) = lister.next().await {
            match entry {
                Ok(entry) => listing.add(&entry, exchange.is_escaped()),
                Err(_) if exchange.is_too_long() && matches!(extent, Extent::Tree(_)) => return Ok(None),
                Err(error) => return Err(exchange.fault(error).into()),
            }
            if extent == Extent::First {
                break;
            }
        }
        Ok(Some(listing))
    }
}

impl Condition<'_> {
    /// The options of a write under this condition.
    pub(super) fn options(condition: Option<Self>) -> WriteOptions {
        let mut options = WriteOptions::default();
        match condition {
            Some(Condition::Absent) => options.if_not_exists = true,
            Some(Condition::Version(etag)) => options.if_match = Some(format!("\"{etag}\"")),
            None => {}
        }
        options
    }

    /// Whether a write failed because its condition did not hold.
    pub(super) fn is_refusal(condition: Option<Self>, fault: &Fault) -> bool {
        let is_unmet = fault.status == 412 || fault.code == "PreconditionFailed";
        let is_gone = fault.status == 404 && matches!(fault.code.as_str(), "NoSuchKey" | "");
        match condition {
            Some(Condition::Absent) => is_unmet,
            Some(Condition::Version(_)) => is_unmet || is_gone,
            None => false,
        }
    }
}

/// An object as a file.
pub(super) fn entry(path: String, object: Object) -> FileEntry {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    FileEntry { name, path, size: object.size, modified_ms: object.modified_ms, etag: object.etag }
}
