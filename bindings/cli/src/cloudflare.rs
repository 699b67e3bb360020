//! A Cloudflare Worker by its address: `cloudflare+https://host/io/ADDRESS?token-file=/path`.

use std::{path::PathBuf, sync::Arc};

use interocitor_core::mailbox::{CloudflareConfig, CloudflareMailbox};
use percent_encoding::percent_decode_str;

use crate::{
    failure::{Failure, Outcome},
    gdrive::Tokens,
};

/// Has the access token where the address says nothing of one.
const VARIABLE: &str = "INTEROCITOR_CLOUDFLARE_TOKEN";

/// What the address says.
pub(crate) struct Address<'a> {
    /// The `http` or `https` address of the mesh.
    url: &'a str,
    tokens: Option<Tokens>,
}

impl<'a> Address<'a> {
    /// Of what follows `cloudflare+`.
    pub(crate) fn parse(text: &'a str) -> Outcome<Self> {
        let (url, query) = text.split_once('?').unwrap_or((text, ""));
        let mut address = Self { url, tokens: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|_| refused("is not UTF-8"))?;
            if value.is_empty() || address.tokens.is_some() {
                return Err(refused("has a parameter without a value, or one too many"));
            }
            address.tokens = Some(match name {
                "token-file" => Tokens::File(PathBuf::from(&*value)),
                "token-command" => Tokens::Command(value.into_owned()),
                // Its text is not shown: it may be a token.
                _ => return Err(refused("has a parameter that is not known")),
            });
        }
        Ok(address)
    }

    /// The mailbox. Nothing is read or sent yet.
    pub(crate) fn open(self) -> Outcome<CloudflareMailbox> {
        let build = || {
            let config = CloudflareConfig::new(self.url)?;
            let variable = std::env::var(VARIABLE).ok().filter(|token| !token.is_empty());
            CloudflareMailbox::new(&match (self.tokens, variable) {
                (Some(tokens), _) => config.with_token_provider(Arc::new(tokens)),
                (None, Some(token)) => config.with_token(token),
                (None, None) => config,
            })
        };
        // The engine's reason never shows the address.
        build().map_err(|error| Failure::invalid(format!("--mailbox: {error}")))
    }

    /// Whether the file of the token is named so that the next run finds it too.
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
        "--mailbox: cloudflare: the address {why}; use cloudflare+https://host/io/ADDRESS, with ?token-file=/path, \
         ?token-command=COMMAND or the variable {VARIABLE} where the Worker wants a token"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let plain = Address::parse("https://host/mount/io/uuid.tag").unwrap();
        assert_eq!((plain.url, &plain.tokens), ("https://host/mount/io/uuid.tag", &None));
        assert!(plain.check_file().is_ok() && plain.open().is_ok());
        let command = Address::parse("https://host/io/a?token-command=print%20it%20%26").unwrap();
        assert_eq!(command.tokens, Some(Tokens::Command("print it &".into())));
        assert!(Address::parse("https://host/io/a?token-file=t").unwrap().check_file().is_err());
        for bad in ["?token=s3cret", "?token-file=", "?token-file=/a&token-command=b", "?token-file=%FF"] {
            let failure = Address::parse(&format!("https://host/io/a{bad}")).map(|_| ()).unwrap_err();
            assert!(!format!("{failure:?}").contains("s3cret"), "{bad}");
        }
        for bad in ["https://host/s3cret", "https://u:s3cret@host/io/a", "https:/s3cret"] {
            let failure = Address::parse(bad).unwrap().open().map(|_| ()).unwrap_err();
            assert!(!format!("{failure:?}").contains("s3cret"), "{bad}");
        }
    }
}
