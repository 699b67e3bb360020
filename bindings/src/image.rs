//! Images: durable files with a media type of their own, in memory, as temporary files and as small pictures.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use interocitor_core::images::{Image as CoreImage, ImageSource as CoreSource, ImageUrl as CoreUrl};

use crate::{CancelToken, Failure, FileInfo, FileSource, Interocitor, StagedFile, file::Reading};

/// Where an image comes from.
#[derive(Debug)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum ImageSource {
    File { source: FileSource },
    Text { text: String },
}

impl ImageSource {
    /// As the engine takes it, and what ends its reading when it is dropped.
    fn opened(self) -> (CoreSource, Reading) {
        match self {
            ImageSource::File { source } => {
                let (source, reading) = source.opened();
                (source.into(), reading)
            }
            ImageSource::Text { text } => (text.into(), Reading::default()),
        }
    }
}

/// An image in memory, as it was stored.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct ImageContent {
    pub info: FileInfo,
    pub content_type: String,
    pub bytes: Vec<u8>,
}

impl From<CoreImage> for ImageContent {
    fn from(image: CoreImage) -> Self {
        Self { info: image.info.into(), content_type: image.content_type, bytes: image.bytes }
    }
}

impl fmt::Debug for ImageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageContent({}, {} bytes)", self.content_type, self.bytes.len())
    }
}

/// A small picture of an image.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Thumbnail {
    pub content_type: String,
    pub width: u32,
    pub height: u32,
    pub bytes: Vec<u8>,
}

#[cfg(feature = "thumbnails")]
impl From<interocitor_core::images::Thumbnail> for Thumbnail {
    fn from(made: interocitor_core::images::Thumbnail) -> Self {
        Self { content_type: made.content_type, width: made.width, height: made.height, bytes: made.bytes }
    }
}

impl fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbnail({}, {} x {})", self.content_type, self.width, self.height)
    }
}

/// An image that lies in the clear in a temporary file.
#[derive(Debug)]
pub struct ImageUrl {
    path: String,
    content_type: String,
    /// Until it is revoked.
    shown: Mutex<Option<CoreUrl>>,
}

impl ImageUrl {
    fn new(shown: CoreUrl) -> Self {
        Self {
            path: shown.path().display().to_string(),
            content_type: shown.content_type().to_owned(),
            shown: Mutex::new(Some(shown)),
        }
    }

    /// The temporary file.
    pub fn path(&self) -> String {
        self.path.clone()
    }

    /// The media type of the image.
    pub fn content_type(&self) -> String {
        self.content_type.clone()
    }

    /// Removes the file now.
    ///
    /// # Errors
    ///
    /// `STORE_OPEN` where it cannot be removed; it may be tried again.
    pub fn revoke(&self) -> Result<(), Failure> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(laid) = &*shown {
            laid.clone().revoke()?;
            *shown = None;
        }
        Ok(())
    }
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Interocitor {
    /// Puts an image.
    pub async fn put_image(
        &self,
        path: String,
        source: ImageSource,
        content_type: Option<String>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<FileInfo, Failure> {
        let (source, reading) = source.opened();
        self.cancellable(cancel, async move |db| {
            let _reading = reading;
            Ok(db.put_image(&path, source, content_type.as_deref()).await?.into())
        })
        .await
    }

    /// Takes an image over from its source, for a batch.
    pub async fn stage_image(
        &self,
        path: String,
        source: ImageSource,
        content_type: Option<String>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<StagedFile>, Failure> {
        let ((source, reading), handle) = (source.opened(), self.number());
        self.cancellable(cancel, async move |db| {
            let _reading = reading;
            let staged = db.stage_image(&path, source, content_type.as_deref()).await?;
            Ok(Arc::new(StagedFile::new(staged, handle)))
        })
        .await
    }

    /// An image in memory.
    pub async fn get_image(
        &self,
        path: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<ImageContent, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.get_image(&path).await?.into())).await
    }

    /// Lays an image out in the clear.
    pub async fn get_image_url(
        &self,
        path: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<ImageUrl>, Failure> {
        self.cancellable(cancel, async move |db| Ok(Arc::new(ImageUrl::new(db.get_image_url(&path).await?))))
            .await
    }

    /// A small picture of an image.
    #[cfg(feature = "thumbnails")]
    pub async fn get_thumbnail(
        &self,
        path: String,
        edge: u32,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Thumbnail, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.get_thumbnail(&path, edge).await?.into())).await
    }

    /// A small picture of an image, which this build cannot make.
    #[cfg(not(feature = "thumbnails"))]
    #[expect(clippy::unused_async, reason = "as the interface has it")]
    pub async fn get_thumbnail(
        &self,
        _path: String,
        _edge: u32,
        _cancel: Option<Arc<CancelToken>>,
    ) -> Result<Thumbnail, Failure> {
        Err(crate::configuration::invalid("thumbnail", "this build makes no small pictures"))
    }
}
