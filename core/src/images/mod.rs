//! Images: durable files with a media type of their own, shown by a temporary file or as a small picture.
//!
//! `kind` tells media types apart, [`ImageSource`] says where an image comes from, [`ImageUrl`] is one laid out in the
//! clear for a view that takes a URL, [`Thumbnail`] a small one. Content, queue and cache are those of the durable files.

mod kind;
mod shown;
mod source;
#[cfg(feature = "thumbnails")]
mod thumbnail;

pub(crate) use kind::{check, type_of};
pub use shown::ImageUrl;
pub(crate) use shown::Shown;
pub use source::ImageSource;
#[cfg(feature = "thumbnails")]
pub(crate) use thumbnail::{MAX_EDGE, small};

use crate::files::FileInfo;

/// The largest image that is given out in memory, in bytes. Above it, [`get_image_url`] shows images without holding
/// them.
///
/// [`get_image_url`]: crate::Interocitor::get_image_url
pub const MAX_IN_MEMORY: u64 = 64 * 1024 * 1024;

/// An image in memory, as it was stored.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// What is known of its file.
    pub info: FileInfo,
    /// Its media type: the stored one, or else what its path ends with.
    pub content_type: String,
    /// The encoded image.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("info", &self.info)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// A small picture of an image, for lists: JPEG, or PNG where something of it is transparent.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thumbnail {
    /// `image/jpeg` or `image/png`.
    pub content_type: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Thumbnail({}, {} x {}, {} bytes)",
            self.content_type,
            self.width,
            self.height,
            self.bytes.len()
        )
    }
}
