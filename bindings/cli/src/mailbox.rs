//! Mailboxes by their address: `folder:/path`, `webdav+https://user:pass@host/path`.

use std::{path::Path, sync::Arc};

use interocitor_core::mailbox::{FolderMailbox, StorageAdapter, WebDavConfig, WebDavMailbox};

use crate::failure::{Failure, Outcome};

/// Kinds that the contract names and this version does not have.
const LATER: [&str; 4] = ["s3", "gdrive", "cloudflare+http", "cloudflare+https"];

/// An address in the form in which it is remembered. Relative folders are made absolute: the next run
/// may start elsewhere.
pub(crate) fn normalised(uri: &str) -> Outcome<String> {
    let address = Address::parse(uri)?;
    let Address::Folder(path) = address else { return Ok(uri.to_owned()) };
    let absolute =
        std::path::absolute(path).map_err(|error| Failure::file("--mailbox", Path::new(path), &error))?;
    let text =
        absolute.to_str().ok_or_else(|| Failure::invalid("--mailbox: the folder's name is not UTF-8"))?;
    Ok(format!("folder:{text}"))
}

/// The mailbox at an address. Nothing is read or sent yet.
pub(crate) fn open(uri: &str) -> Outcome<Arc<dyn StorageAdapter>> {
    match Address::parse(uri)? {
        Address::Folder(path) => Ok(Arc::new(FolderMailbox::new(path))),
        Address::WebDav(url) => {
            let mailbox = WebDavConfig::new(url).and_then(|config| WebDavMailbox::new(&config));
            // The engine's reason never shows the address.
            Ok(Arc::new(mailbox.map_err(|error| Failure::invalid(format!("--mailbox: {error}")))?))
        }
    }
}

/// The address without its password.
pub(crate) fn redacted(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user_info, host)) = authority.rsplit_once('@') else { return uri.to_owned() };
    let user = user_info.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}{path}")
}

enum Address<'a> {
    Folder(&'a str),
    /// The `http` or `https` address, credentials included.
    WebDav(&'a str),
}

impl<'a> Address<'a> {
    /// The text of a wrong address is never shown: it may hold a password.
    fn parse(uri: &'a str) -> Outcome<Self> {
        let (scheme, rest) = uri.split_once(':').ok_or_else(|| unknown("this"))?;
        match scheme {
            "folder" if rest.is_empty() => {
                Err(Failure::invalid("--mailbox: folder: needs a path, as folder:/path"))
            }
            "folder" => Ok(Address::Folder(rest)),
            "webdav+http" | "webdav+https" => Ok(Address::WebDav(uri.trim_start_matches("webdav+"))),
            later if LATER.contains(&later) => {
                Err(Failure::invalid(format!("--mailbox: {later}: is not available in this version")))
            }
            other if other.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
                Err(unknown(&format!("{other}:")))
            }
            _ => Err(unknown("this")),
        }
    }
}

fn unknown(what: &str) -> Failure {
    Failure::invalid(format!(
        "--mailbox: {what} is no mailbox that this version knows; use folder:/path or webdav+https://user:password@host/path"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let table = [
            ("webdav+https://me:p%40ss@host:8443/dav", "webdav+https://me:***@host:8443/dav"),
            ("webdav+https://me:p@ss:x@host/a@b", "webdav+https://me:***@host/a@b"),
            ("webdav+https://token@host", "webdav+https://token:***@host"),
            ("webdav+http://host/a@b", "webdav+http://host/a@b"),
            ("folder:/a@b:c", "folder:/a@b:c"),
        ];
        for (uri, wanted) in table {
            assert_eq!(redacted(uri), wanted);
        }
        for uri in [
            "ftp://u:s3cret@host",
            "s3cret",
            "s3c ret:x",
            "s3://s3cret:k@host",
            "webdav+https://u:s3cret%FF@h/",
        ] {
            let failure = open(uri).map(|_| ()).unwrap_err();
            assert!(!format!("{failure:?}").contains("s3cret"), "{uri}: {failure:?}");
        }
    }

    #[test]
    fn folders_become_absolute() {
        assert_eq!(normalised("folder:/a/b").unwrap(), "folder:/a/b");
        let here = std::env::current_dir().unwrap();
        assert_eq!(normalised("folder:box").unwrap(), format!("folder:{}", here.join("box").display()));
        assert!(normalised("folder:").is_err());
        assert!(open("folder:/a").is_ok());
    }
}
