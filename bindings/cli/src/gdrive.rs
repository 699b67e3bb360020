//! Google Drive by its address: `gdrive:?token-file=/path` or `gdrive:?token-command=COMMAND`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use async_trait::async_trait;
use interocitor_core::mailbox::{
    GoogleDriveConfig, GoogleDriveMailbox, MailboxError, MailboxErrorKind, MailboxResult, TokenProvider,
};
use percent_encoding::percent_decode_str;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};

/// What the address says.
#[derive(Default)]
pub(crate) struct Address {
    tokens: Option<Tokens>,
    folder: Option<String>,
    client_id: Option<String>,
    endpoint: Option<String>,
}

/// Where access tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// A file that somebody keeps fresh.
    File(PathBuf),
    /// A command that prints one.
    Command(String),
}

impl Address {
    /// Of what follows `gdrive:`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let mut address = Self::default();
        let query = text.trim_start_matches('/').strip_prefix('?').unwrap_or_default();
        if query.is_empty() {
            return Err(refused("needs to know where access tokens come from"));
        }
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| refused("is not UTF-8"))?.into_owned();
            if value.is_empty() {
                return Err(refused("has a parameter without a value"));
            }
            match name {
                "token-file" | "token-command" if address.tokens.is_some() => {
                    return Err(refused("names two places where access tokens come from"));
                }
                "token-file" => address.tokens = Some(Tokens::File(PathBuf::from(value))),
                "token-command" => address.tokens = Some(Tokens::Command(value)),
                "folder" => address.folder = Some(value),
                "client-id" => address.client_id = Some(value),
                "endpoint" => address.endpoint = Some(value),
                // Its text is not shown: it may be a token.
                _ => return Err(refused("has a parameter that is not known")),
            }
        }
        if address.tokens.is_none() {
            return Err(refused("needs to know where access tokens come from"));
        }
        Ok(address)
    }

    /// The mailbox. Nothing is read or sent yet.
    pub(crate) fn open(self) -> Outcome<GoogleDriveMailbox> {
        let tokens = self.tokens.ok_or_else(|| refused("needs to know where access tokens come from"))?;
        let build = || -> MailboxResult<GoogleDriveMailbox> {
            let mut config = GoogleDriveConfig::new(Arc::new(tokens))?;
            if let Some(folder) = &self.folder {
                config = config.with_folder(folder)?;
            }
            if let Some(client_id) = self.client_id {
                config = config.with_client_id(client_id);
            }
            if let Some(endpoint) = &self.endpoint {
                config = config.with_endpoint(endpoint)?;
            }
            GoogleDriveMailbox::new(&config)
        };
        build().map_err(|error| Failure::invalid(format!("--mailbox: {error}")))
    }

    /// Whether the file of tokens is named so that the next run finds it too.
    pub(crate) fn check_file(&self) -> Outcome<()> {
        match &self.tokens {
            Some(Tokens::File(path)) if !path.is_absolute() => {
                Err(refused("needs the whole path of the token file: the next run may start elsewhere"))
            }
            _ => Ok(()),
        }
    }
}

fn refused(why: &str) -> Failure {
    Failure::invalid(format!(
        "--mailbox: gdrive: {why}; use gdrive:?token-file=/path or gdrive:?token-command=COMMAND, with %20 for a \
         space and %26 for &"
    ))
}

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, rejected: Option<&str>) -> MailboxResult<Zeroizing<String>> {
        let text = match self {
            Tokens::File(path) => read(path)?,
            Tokens::Command(command) => run(command).await?,
        };
        let token = Zeroizing::new(text.trim().to_owned());
        if token.is_empty() {
            return Err(missing(&format!("there is no access token: {}", self.advice())));
        }
        // The same once more would be refused once more.
        if rejected == Some(token.as_str()) {
            return Err(missing(&format!("the access token has expired: {}", self.advice())));
        }
        Ok(token)
    }
}

impl Tokens {
    fn advice(&self) -> String {
        match self {
            Tokens::File(path) => format!("put a fresh one into {}", path.display()),
            Tokens::Command(_) => "look at what the command of the address prints".to_owned(),
        }
    }
}

fn read(path: &Path) -> MailboxResult<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        missing(&format!("the file of the access token, {}, cannot be read: {error}", path.display()))
    })
}

/// What a command prints; it ends with the call that asks.
async fn run(command: &str) -> MailboxResult<Zeroizing<String>> {
    let (shell, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let output = Command::new(shell)
        .args([option, command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| missing(&format!("the command for the access token cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(missing(&format!("the command for the access token failed: {}", output.status)));
    }
    let text = String::from_utf8(output.stdout);
    text.map(Zeroizing::new).map_err(|_| missing("the command for the access token prints no text"))
}

fn missing(why: &str) -> MailboxError {
    MailboxError::new(MailboxErrorKind::Unauthorized, "sign in", "/", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let address =
            Address::parse("?token-command=print%20it%20%26%26%20true&folder=1a&client-id=x.y").unwrap();
        assert_eq!(address.tokens, Some(Tokens::Command("print it && true".into())));
        assert_eq!((address.folder.as_deref(), address.client_id.as_deref()), (Some("1a"), Some("x.y")));
        assert!(Address::parse("//?token-file=/t").unwrap().check_file().is_ok());
        assert!(Address::parse("?token-file=t").unwrap().check_file().is_err());
        for bad in [
            "",
            "?",
            "?folder=x",
            "?token-file=",
            "?token=s3cret",
            "?token-file=/a&token-command=b",
            "s3cret",
            "?token-file=%FF",
        ] {
            let failure = Address::parse(bad).map(|_| ()).unwrap_err();
            assert!(!format!("{failure:?}").contains("s3cret"), "{bad}");
        }
        assert!(Address::parse("?token-file=/t&folder=../x").unwrap().open().is_err());
        assert!(Address::parse("?token-file=/t&endpoint=ftp://x").unwrap().open().is_err());
    }

    #[tokio::test]
    async fn a_token_is_asked_for_again_and_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let of_file = Tokens::File(path.clone());
        assert!(of_file.token(None).await.unwrap_err().to_string().contains("cannot be read"));
        for tokens in [of_file, Tokens::Command(format!("cat '{}'", path.display()))] {
            std::fs::write(&path, "one\n").unwrap();
            assert_eq!(*tokens.token(None).await.unwrap(), "one");
            let expired = tokens.token(Some("one")).await.unwrap_err();
            assert!(expired.to_string().contains("expired"), "{expired}");
            std::fs::write(&path, "two").unwrap();
            assert_eq!(*tokens.token(Some("one")).await.unwrap(), "two");
            std::fs::write(&path, " \n").unwrap();
            assert!(tokens.token(None).await.is_err());
        }
        let failing = Tokens::Command("echo s3cret; exit 3".into());
        let failed = failing.token(None).await.unwrap_err();
        assert!(!format!("{failed} {failed:?}").contains("s3cret"));
    }
}
