//! Media types of images (protocol, 12.5).

use crate::error::{Error, Result};

/// Media types and the endings of their files; the first ending of a type is the one that is written.
const KINDS: [(&str, &str); 10] = [
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", SVG),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("ico", "image/x-icon"),
    ("heic", "image/heic"),
];

/// Of text that is an image.
pub(super) const SVG: &str = "image/svg+xml";

/// What a path of an app ends with; `image/png` where that says nothing.
fn of_path(path: &str) -> &'static str {
    let ending =
        path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    KINDS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map_or("image/png", |(_, kind)| kind)
}

/// The media type of an image: the given or stored one, where it is that of an image, else by the path.
pub(crate) fn type_of(given: Option<&str>, path: &str) -> String {
    given.filter(|given| is_image(given)).unwrap_or_else(|| of_path(path)).to_owned()
}

/// Refuses a media type that is not an image's.
pub(crate) fn check(given: &str) -> Result<()> {
    if is_image(given) {
        return Ok(());
    }
    Err(Error::invalid("content type", format!("{given} is not that of an image, such as image/jpeg")))
}

fn is_image(given: &str) -> bool {
    given.get(..6).is_some_and(|beginning| beginning.eq_ignore_ascii_case("image/"))
}

/// What a file of this media type ends with, so that other programs know it.
pub(super) fn ending(content_type: &str) -> &'static str {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    KINDS.iter().find(|(_, kind)| bare.eq_ignore_ascii_case(kind)).map_or("img", |(ending, _)| ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_type_counts_and_then_the_path() {
        let kinds = [
            ("a.jpg", "image/jpeg"),
            ("a.JPEG", "image/jpeg"),
            ("a.png", "image/png"),
            ("a.gif", "image/gif"),
            ("a.webp", "image/webp"),
            ("a.svg", "image/svg+xml"),
            ("a.avif", "image/avif"),
            ("a.bmp", "image/bmp"),
            ("a.ico", "image/x-icon"),
            ("a.tiff", "image/png"),
            ("jpg", "image/png"),
            ("a.jpg/b", "image/png"),
        ];
        for (path, kind) in kinds {
            assert_eq!(type_of(None, path), kind, "{path}");
            assert_eq!(type_of(Some("image/x-own"), path), "image/x-own");
            assert_eq!(type_of(Some("text/plain"), path), kind, "{path}");
        }
    }

    #[test]
    fn only_images_are_images() {
        assert!(check("image/jpeg").is_ok() && check("IMAGE/PNG; a=b").is_ok());
        for other in ["", "image", "text/plain", "imagé/png", "application/image/png"] {
            assert!(check(other).is_err(), "{other}");
        }
    }

    #[test]
    fn endings_are_known_to_others() {
        assert_eq!(ending("image/jpeg"), "jpg");
        assert_eq!(ending("image/svg+xml; charset=utf-8"), "svg");
        assert_eq!(ending("image/../../x"), "img");
    }
}
