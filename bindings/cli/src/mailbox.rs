//! Mailboxes by their address: `folder:/path`, `webdav+https://user:pass@host/path`, `s3://bucket/prefix`,
//! `gdrive:?token-file=/path`, `cloudflare+https://host/io/ADDRESS`.

use std::{path::Path, sync::Arc};

use interocitor_core::mailbox::{
    FolderMailbox, MailboxError, S3Config, S3Credentials, S3Mailbox, StorageAdapter, WebDavConfig,
    WebDavMailbox,
};

use crate::{
    cloudflare,
    failure::{Failure, Outcome},
    gdrive,
};

/// An address in the form in which it is remembered. Relative folders are made absolute: the next run
/// may start elsewhere.
pub(crate) fn normalised(uri: &str) -> Outcome<String> {
    let address = Address::parse(uri)?;
    match &address {
        Address::Cloudflare(worker) => worker.check_file()?,
        Address::GoogleDrive(drive) => drive.check_file()?,
        _ => {}
    }
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
        Address::Cloudflare(worker) => Ok(Arc::new(worker.open()?)),
        Address::GoogleDrive(drive) => Ok(Arc::new(drive.open()?)),
        Address::WebDav(url) => {
            let mailbox = WebDavConfig::new(url).and_then(|config| WebDavMailbox::new(&config));
            // The engine's reason never shows the address.
            Ok(Arc::new(mailbox.map_err(|error| Failure::invalid(format!("--mailbox: {error}")))?))
        }
        Address::S3(uri) => {
            let invalid = |error: MailboxError| Failure::invalid(format!("--mailbox: {error}"));
            let config = with_keys(S3Config::new(uri).map_err(invalid)?);
            if !config.has_credentials() {
                return Err(Failure::invalid(
                    "--mailbox: the keys are missing: write s3://access-key:secret-key@bucket/prefix, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                ));
            }
            Ok(Arc::new(S3Mailbox::new(&config).map_err(invalid)?))
        }
    }
}

/// Keys that the address does not have come from the variables that the tools of S3 share.
fn with_keys(config: S3Config) -> S3Config {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let keys = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    let (Some(access_key), Some(secret_key), false) = (keys.0, keys.1, config.has_credentials()) else {
        return config;
    };
    let credentials = S3Credentials::new(access_key, secret_key);
    config.with_credentials(match variable("AWS_SESSION_TOKEN") {
        Some(token) => credentials.with_session_token(token),
        None => credentials,
    })
}

/// The address without its password.
pub(crate) fn redacted(uri: &str) -> String {
    if uri.starts_with("s3:") {
        return S3Config::new(uri).map_or_else(|_| "s3:***".to_owned(), |config| config.shown());
    }
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user_info, host)) = authority.rsplit_once('@') else { return uri.to_owned() };
    let user = user_info.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}{path}")
}

enum Address<'a> {
    Folder(&'a str),
    Cloudflare(cloudflare::Address<'a>),
    GoogleDrive(gdrive::Address),
    /// The `http` or `https` address, credentials included.
    WebDav(&'a str),
    /// The whole address, keys included.
    S3(&'a str),
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
            "gdrive" => Ok(Address::GoogleDrive(gdrive::Address::parse(rest)?)),
            "webdav+http" | "webdav+https" => Ok(Address::WebDav(uri.trim_start_matches("webdav+"))),
            "cloudflare+http" | "cloudflare+https" => {
                Ok(Address::Cloudflare(cloudflare::Address::parse(uri.trim_start_matches("cloudflare+"))?))
            }
            "s3" => Ok(Address::S3(uri)),
            other if other.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
                Err(unknown(&format!("{other}:")))
            }
            _ => Err(unknown("this")),
        }
    }
}

fn unknown(what: &str) -> Failure {
    Failure::invalid(format!(
        "--mailbox: {what} is no mailbox that this version knows; use folder:/path, webdav+https://user:password@host/path, s3://access-key:secret-key@bucket/prefix, gdrive:?token-file=/path or cloudflare+https://host/io/ADDRESS"
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
            ("s3://me:s3cret@box/a%20b?session_token=t0ken&region=eu-1", "s3://box/a b"),
            ("s3://me:s3/cret@box", "s3:***"),
        ];
        for (uri, wanted) in table {
            assert_eq!(redacted(uri), wanted);
        }
        for uri in [
            "ftp://u:s3cret@host",
            "s3cret",
            "s3c ret:x",
            "s3://s3cret:k@",
            "s3://s3cret:k@bucket?s3cret",
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
