//! Images on the handle.

use super::Interocitor;
use crate::{
    error::{Error, Result},
    files::{FileContent, FileInfo, StagedFile},
    images::{Image, ImageSource, ImageUrl, MAX_IN_MEMORY, check, type_of},
};
#[cfg(feature = "thumbnails")]
use crate::{
    files::{FilePath, GetFile},
    host::run_blocking,
    images::{self, Thumbnail},
    store::thumbnails::Picture,
};

/// Small pictures are kept up to this many bytes in all.
#[cfg(feature = "thumbnails")]
const THUMBNAILS: u64 = 16 * 1024 * 1024;

/// Images are durable files with the media type of an image: all that is said of
/// [files](Self::put_file) holds for them, and each can be got, pinned, evicted and deleted as a file.
impl Interocitor {
    /// Puts an image: from memory, a file of this device, a reader, a data URL or the text of an SVG. Its media type is
    /// `content_type`, else that of the data URL, else `image/svg+xml` for text, else what `path` ends with, else
    /// `image/png`.
    ///
    /// # Errors
    ///
    /// As [`put_file`](Self::put_file); `INVALID_ARGUMENT` too for a media type that is not an image's and for a data URL
    /// that cannot be read.
    pub async fn put_image(
        &self,
        path: &str,
        source: impl Into<ImageSource>,
        content_type: Option<&str>,
    ) -> Result<FileInfo> {
        let (source, content_type) = resolve(path, source.into(), content_type)?;
        self.put_file(path, source, Some(&content_type)).await
    }

    /// Takes an image over from its source, without putting it under its path yet:
    /// [`Batch::put_file`](super::Batch::put_file) does that, together with the rows that name it.
    ///
    /// # Errors
    ///
    /// As [`put_image`](Self::put_image).
    pub async fn stage_image(
        &self,
        path: &str,
        source: impl Into<ImageSource>,
        content_type: Option<&str>,
    ) -> Result<StagedFile> {
        let (source, content_type) = resolve(path, source.into(), content_type)?;
        self.stage_file(path, source, Some(&content_type)).await
    }

    /// An image in memory, of up to [`MAX_IN_MEMORY`] bytes.
    ///
    /// # Errors
    ///
    /// As [`get_file`](Self::get_file); `LIMIT` for a larger one.
    pub async fn get_image(&self, path: &str) -> Result<Image> {
        let content = self.get_file(path).await?;
        let info = content.info().clone();
        let content_type = type_of(info.content_type.as_deref(), path);
        Ok(Image { content_type, bytes: in_memory(content).await?, info })
    }

    /// Lays an image out in the clear, in a temporary file for a view that takes a URL. It goes when it is revoked or
    /// dropped, at the latest when the database shuts down, and after a crash when it is opened next.
    ///
    /// # Errors
    ///
    /// As [`get_file`](Self::get_file); `STORE_OPEN` where the temporary file cannot be made.
    pub async fn get_image_url(&self, path: &str) -> Result<ImageUrl> {
        let content = self.get_file(path).await?;
        self.inner.check_open()?;
        self.inner.shown.show(content, &*self.inner.config.host).await
    }

    /// A small picture of an image, which fits into a square of `edge` pixels (1 to 2048) and stands upright. Made once,
    /// off the async threads, and kept on this device. A copy of the image that lies here is taken without asking the
    /// mailbox whether there is a newer one.
    ///
    /// # Errors
    ///
    /// As [`get_file`](Self::get_file); `DECODE` for what is no PNG, JPEG, GIF, WebP, BMP or ICO; `LIMIT` for an image
    /// that would take too much memory; `INVALID_ARGUMENT` for another `edge`.
    #[cfg(feature = "thumbnails")]
    pub async fn get_thumbnail(&self, path: &str, edge: u32) -> Result<Thumbnail> {
        if !(1..=images::MAX_EDGE).contains(&edge) {
            let reason = format!("{edge} pixels; give 1 to {}", images::MAX_EDGE);
            return Err(Error::invalid("edge of a thumbnail", reason));
        }
        let path = FilePath::new(path)?;
        self.inner.check_open()?;
        let ctx = &self.inner.ctx;
        if let Some(digest) = self.inner.files.info(&path)?.and_then(|info| info.digest)
            && let Some(kept) = ctx.read(|tx| tx.thumbnail(&digest, edge))?
        {
            return Ok(kept.into());
        }
        let want = GetFile { prefers_cache: true, ..GetFile::default() };
        let content = self.get_file_with(path.as_str(), &want).await?;
        let digest = content.info().digest.clone();
        let bytes = in_memory(content).await?;
        let shown = path.as_str().to_owned();
        let made = run_blocking(&*ctx.host, move || images::small(&shown, &bytes, edge)).await?;
        if let Some(digest) = digest {
            let picture = Picture::from(made.clone());
            ctx.write(|tx| tx.put_thumbnail(&digest, edge, &picture, THUMBNAILS))?;
        }
        Ok(made)
    }
}

fn resolve(
    path: &str,
    source: ImageSource,
    content_type: Option<&str>,
) -> Result<(crate::files::FileSource, String)> {
    content_type.map_or(Ok(()), check)?;
    let (source, named) = source.resolve()?;
    Ok((source, type_of(content_type.or(named.as_deref()), path)))
}

async fn in_memory(content: FileContent) -> Result<Vec<u8>> {
    match content.info().size {
        Some(size) if size > MAX_IN_MEMORY => {
            Err(Error::Limit { what: "an image in memory", actual: size, limit: MAX_IN_MEMORY })
        }
        _ => content.bytes().await,
    }
}

#[cfg(feature = "thumbnails")]
impl From<Picture> for Thumbnail {
    fn from(Picture { content_type, width, height, bytes }: Picture) -> Self {
        Self { content_type, width, height, bytes }
    }
}

#[cfg(feature = "thumbnails")]
impl From<Thumbnail> for Picture {
    fn from(Thumbnail { content_type, width, height, bytes }: Thumbnail) -> Self {
        Self { content_type, width, height, bytes }
    }
}
