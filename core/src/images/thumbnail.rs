//! Small pictures.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder,
    error::ImageError,
};

use super::Thumbnail;
use crate::error::{Error, Result};

/// The longest edge of a small picture, in pixels.
pub(crate) const MAX_EDGE: u32 = 2048;

/// An image is not decoded above this many pixels an edge: a decompression bomb, or nothing for a phone.
const MAX_SOURCE_EDGE: u32 = 32_768;

/// Nor where decoding it takes more memory than this, in bytes: 64 megapixels of a camera.
const MAX_DECODED: u64 = 192 * 1024 * 1024;

/// Of the JPEG files that are written, of 100.
const QUALITY: u8 = 82;

/// A picture of an image that fits into a square, upright as its camera says, never larger than the image. `path` is for
/// errors. Takes time, and memory for the whole picture.
pub(crate) fn small(path: &str, bytes: &[u8], edge: u32) -> Result<Thumbnail> {
    let fail = |error: ImageError, needed: u64| match error {
        ImageError::Limits(_) => {
            Error::Limit { what: "the decoded image", actual: needed, limit: MAX_DECODED }
        }
        ImageError::Unsupported(_) => {
            undecodable(path, "small pictures are made of PNG, JPEG, GIF, WebP, BMP and ICO")
        }
        _ => undecodable(path, "its content is not the image that it should be"),
    };
    let open =
        || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| fail(error.into(), 0));
    // From its head alone.
    let (width, height) = open()?.into_dimensions().map_err(|error| fail(error, 0))?;
    let needed = u64::from(width) * u64::from(height) * 3;
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SOURCE_EDGE), Some(MAX_SOURCE_EDGE));
    limits.max_alloc = Some(MAX_DECODED);
    let mut reader = open()?;
    reader.limits(limits.clone());
    let fail = |error| fail(error, needed);
    let mut decoder = reader.into_decoder().map_err(fail)?;
    limits.reserve(decoder.total_bytes()).map_err(fail)?;
    let orientation = decoder.orientation().map_err(fail)?;
    let whole = DynamicImage::from_decoder(decoder).map_err(fail)?;
    let mut picture =
        if whole.width().max(whole.height()) > edge { whole.thumbnail(edge, edge) } else { whole };
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width(), picture.height());
    let mut bytes = Vec::new();
    let content_type = if is_opaque(&picture) {
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&picture.to_rgb8()).map_err(fail)?;
        "image/jpeg"
    } else {
        picture.to_rgba8().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(fail)?;
        "image/png"
    };
    Ok(Thumbnail { content_type: content_type.to_owned(), width, height, bytes })
}

fn is_opaque(picture: &DynamicImage) -> bool {
    !picture.color().has_alpha() || picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX)
}

fn undecodable(path: &str, reason: &str) -> Error {
    Error::Decode { path: path.to_owned(), reason: reason.to_owned() }
}
