//! From mailbox paths to URLs and back.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use super::super::http::Redirect;
use super::super::{MailboxError, MailboxErrorKind, MailboxResult};

/// Everything but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The collection that a mailbox lives in.
#[derive(Debug)]
pub(super) struct Address {
    /// Without a slash at the end.
    root: String,
    url: Url,
}

impl Address {
    pub(super) fn new(url: &Url) -> Self {
        Self { root: url.as_str().trim_end_matches('/').to_owned(), url: url.clone() }
    }

    pub(super) fn shown(&self) -> &str {
        &self.root
    }

    /// The URL of a file.
    pub(super) fn file(&self, operation: &'static str, segments: &[&str]) -> MailboxResult<Url> {
        self.build(operation, segments, "")
    }

    /// The URL of a collection, with the slash at its end that some servers insist on.
    pub(super) fn folder(&self, operation: &'static str, segments: &[&str]) -> MailboxResult<Url> {
        self.build(operation, segments, "/")
    }

    fn build(&self, operation: &'static str, segments: &[&str], end: &str) -> MailboxResult<Url> {
        let mut text = self.root.clone();
        for segment in segments {
            text.push('/');
            text.extend(utf8_percent_encode(segment, ESCAPED));
        }
        text.push_str(end);
        Url::parse(&text).map_err(|error| {
            let path = super::super::path::join(segments);
            MailboxError::new(
                MailboxErrorKind::InvalidPath,
                operation,
                path,
                "no URL can be made of the path",
            )
            .with_source(error)
        })
    }

    /// Where to go instead: only within the origin, so that nobody else gets to see the credentials, and only
    /// to the same thing in another place, so that a login page is not taken for a file.
    pub(super) fn redirected(&self, redirect: &Redirect<'_>) -> MailboxResult<Url> {
        let Some(url) = &redirect.to else { return Err(redirect.refuse("the server redirects to nowhere")) };
        if self.url.origin() != url.origin() {
            return Err(redirect.refuse("the server redirects to another address"));
        }
        let kept = redirect.path().trim_end_matches('/');
        let same = url.query().is_none() && path_of(url).is_some_and(|path| path.ends_with(kept));
        if !same || redirect.status == 303 {
            return Err(redirect.refuse("the server redirects to something else"));
        }
        Ok(url.clone())
    }
}

/// The decoded path of a URL, without a slash at its end.
pub(super) fn path_of(url: &Url) -> Option<String> {
    decode(url.path())
}

/// The decoded path of an `href`, which is an absolute URL or an absolute path. It is not parsed as a
/// URL: careless servers leave `?` and `#` as they are. `None` if it is not UTF-8.
pub(super) fn path_of_href(href: &str) -> Option<String> {
    let href = href.trim();
    let path = match href.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("", |start| &rest[start..]),
        _ => href,
    };
    decode(path)
}

fn decode(path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    percent_decode_str(path).decode_utf8().ok().map(Cow::into_owned)
}

/// The name of a resource directly in a collection; both paths as given by the functions above.
pub(super) fn child_name<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let name = path.strip_prefix(folder)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_unescapes() {
        let address = Address::new(&Url::parse("http://host/d%20v/").unwrap());
        let url = address.file("read", &["a b", "%41", "#?+&'ü", "~x-._"]).unwrap();
        assert_eq!(url.as_str(), "http://host/d%20v/a%20b/%2541/%23%3F%2B%26%27%C3%BC/~x-._");
        assert_eq!(path_of(&url).unwrap(), "/d v/a b/%41/#?+&'ü/~x-._");
        assert_eq!(address.folder("list", &[]).unwrap().as_str(), "http://host/d%20v/");
        let bare = Address::new(&Url::parse("http://host").unwrap());
        assert_eq!(bare.folder("list", &[]).unwrap().as_str(), "http://host/");
        assert_eq!(bare.file("list", &["x"]).unwrap().as_str(), "http://host/x");
    }

    #[test]
    fn reads_every_form_of_href() {
        let table = [
            ("/dav/a%20b", Some("/dav/a b")),
            ("/dav/a b/", Some("/dav/a b")),
            ("http://other:81/dav/%C3%BC/", Some("/dav/ü")),
            ("http://host", Some("")),
            (" /dav/x\n", Some("/dav/x")),
            ("/dav/100%", Some("/dav/100%")),
            ("/dav/a?b#c", Some("/dav/a?b#c")),
            ("/dav/http://x", Some("/dav/http://x")),
            ("/dav/%FF", None),
        ];
        for (href, expected) in table {
            assert_eq!(path_of_href(href).as_deref(), expected, "{href}");
        }
    }

    #[test]
    fn names_only_direct_children() {
        assert_eq!(child_name("/dav", "/dav/x"), Some("x"));
        assert_eq!(child_name("", "/x"), Some("x"));
        assert_eq!(child_name("/dav", "/dav"), None);
        assert_eq!(child_name("/dav", "/dav/x/y"), None);
        assert_eq!(child_name("/dav", "/davx/y"), None);
    }
}
