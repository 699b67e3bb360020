//! Where an image comes from.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_url::DataUrl;

use super::kind::{self, SVG};
use crate::{
    error::{Error, Result},
    files::FileSource,
};

/// Where an image comes from.
#[derive(Debug)]
pub enum ImageSource {
    /// What any file can come from: memory, a file of this device, a reader.
    File(FileSource),
    /// A data URL, or else the text of an SVG.
    Text(String),
}

impl ImageSource {
    /// The content, and its media type where the source names it.
    pub(crate) fn resolve(self) -> Result<(FileSource, Option<String>)> {
        let text = match self {
            ImageSource::File(source) => return Ok((source, None)),
            ImageSource::Text(text) => text,
        };
        let is_url = text.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        if !is_url {
            return Ok((text.into_bytes().into(), Some(SVG.into())));
        }
        let refuse = |reason: String| Error::invalid("data URL", reason);
        let url = DataUrl::process(&text)
            .map_err(|_| refuse("it has no comma between its media type and its content".into()))?;
        let (content, _) =
            url.decode_to_vec().map_err(|_| refuse("its content is not valid base64".into()))?;
        let content_type = url.mime_type().to_string();
        kind::check(&content_type)?;
        Ok((content.into(), Some(content_type)))
    }
}

impl From<FileSource> for ImageSource {
    fn from(source: FileSource) -> Self {
        ImageSource::File(source)
    }
}

impl From<Vec<u8>> for ImageSource {
    fn from(bytes: Vec<u8>) -> Self {
        ImageSource::File(bytes.into())
    }
}

impl From<Bytes> for ImageSource {
    fn from(bytes: Bytes) -> Self {
        ImageSource::File(bytes.into())
    }
}

impl From<PathBuf> for ImageSource {
    fn from(path: PathBuf) -> Self {
        ImageSource::File(path.into())
    }
}

impl From<&Path> for ImageSource {
    fn from(path: &Path) -> Self {
        ImageSource::File(path.into())
    }
}

impl From<String> for ImageSource {
    fn from(text: String) -> Self {
        ImageSource::Text(text)
    }
}

impl From<&str> for ImageSource {
    fn from(text: &str) -> Self {
        ImageSource::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> (Vec<u8>, Option<String>) {
        match ImageSource::from(text).resolve().unwrap() {
            (FileSource::Bytes(bytes), content_type) => (bytes.to_vec(), content_type),
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn data_urls_name_their_type_and_other_text_is_svg() {
        let png = (b"hi".to_vec(), Some("image/png".into()));
        assert_eq!(resolved("data:image/png;base64,aGk="), png);
        assert_eq!(resolved("DATA:image/png;base64,aG k"), png);
        assert_eq!(resolved("data:image/svg+xml,%3Csvg%2F%3E"), (b"<svg/>".to_vec(), Some(SVG.into())));
        assert_eq!(resolved("<svg/>"), (b"<svg/>".to_vec(), Some(SVG.into())));
        assert_eq!(resolved("dat\u{e4}:"), ("dat\u{e4}:".as_bytes().to_vec(), Some(SVG.into())));
    }

    #[test]
    fn broken_data_urls_are_refused() {
        let broken =
            ["data:image/png;base64", "data:image/png;base64,a*b=", "data:text/plain,hi", "data:,hi"];
        for text in broken {
            let error = ImageSource::from(text).resolve().unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { .. }), "{text}: {error}");
        }
    }
}
