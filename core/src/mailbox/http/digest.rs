//! Digest authentication (RFC 7616): the password never travels, and each request answers the server's challenge.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http_auth::digest::{Algorithm, DigestClient};
use http_auth::{PasswordParams, parse_challenges};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use zeroize::Zeroizing;

use super::super::{MailboxErrorKind, MailboxResult};
use super::refuse;

/// A user and a password that are never sent, and the challenge that the server gave last.
pub(in super::super) struct Digest {
    user: String,
    password: Zeroizing<String>,
    challenge: Mutex<Option<DigestClient>>,
}

impl Digest {
    pub(super) fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
            challenge: Mutex::new(None),
        }
    }

    fn challenge(&self) -> MutexGuard<'_, Option<DigestClient>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header of a request; none before the first challenge.
    pub(super) fn header(&self, method: &str, url: &Url) -> Option<HeaderValue> {
        let mut challenge = self.challenge();
        let client = challenge.as_mut()?;
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let params = PasswordParams {
            username: &self.user,
            password: &self.password,
            uri: &uri,
            method,
            // What is streamed cannot be part of the answer.
            body: None,
        };
        // The errors are dropped: they could show what they refused.
        let header = client.respond(&params).ok().and_then(|text| HeaderValue::from_str(&text).ok());
        let Some(mut header) = header else {
            // Too many requests for one nonce, perhaps; the next challenge brings another.
            *challenge = None;
            return None;
        };
        header.set_sensitive(true);
        Some(header)
    }

    /// Takes the challenge of an answer to a request with the header `refused`; tells whether there is something new
    /// to try.
    pub(super) fn renew(&self, refused: Option<&HeaderValue>, headers: &HeaderMap) -> MailboxResult<bool> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let offers = texts.filter_map(|text| parse_challenges(text).ok()).flatten();
        let offers = offers.filter_map(|offer| DigestClient::try_from(&offer).ok());
        // The server's first choice is to be taken, and MD5 where there is nothing better.
        let best = |best: Option<DigestClient>, next: DigestClient| match best {
            Some(best) if best.algorithm() != Algorithm::Md5 || next.algorithm() == Algorithm::Md5 => {
                Some(best)
            }
            _ => Some(next),
        };
        let Some(next) = offers.fold(None, best) else {
            let message = "the server does not ask for digest authentication";
            return Err(refuse(MailboxErrorKind::Unauthorized, message));
        };
        let mut challenge = self.challenge();
        let answers = |client: &DigestClient| {
            let nonce = format!("nonce=\"{}\"", client.nonce());
            refused.and_then(|header| header.to_str().ok()).is_some_and(|header| header.contains(&nonce))
        };
        match &*challenge {
            // Another request was faster.
            Some(current) if !answers(current) => Ok(true),
            // The same challenge again: it was answered with a wrong password.
            Some(current) if current.nonce() == next.nonce() && !next.stale() => Ok(false),
            _ => {
                *challenge = Some(next);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = r#"Digest realm="r", nonce="n1", qop="auth""#;

    fn offers(texts: &[&str]) -> HeaderMap {
        let values = texts.iter().map(|text| (WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    fn answer(digest: &Digest) -> String {
        let url = Url::parse("http://host/a%20b?c").unwrap();
        digest.header("GET", &url).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn answers_are_counted_until_there_is_another_challenge() {
        let digest = Digest::new("user", "s3cret");
        assert!(digest.header("GET", &Url::parse("http://host/").unwrap()).is_none());
        assert!(digest.renew(None, &offers(&[MD5])).unwrap());
        let first = answer(&digest);
        assert!(first.contains("nc=00000001") && first.contains(r#"uri="/a%20b?c""#), "{first}");
        let second = answer(&digest);
        assert!(second.contains("nc=00000002") && !second.contains("s3cret"), "{second}");
        let refused = HeaderValue::from_str(&second).unwrap();
        assert!(!digest.renew(Some(&refused), &offers(&[MD5])).unwrap(), "a wrong password");
        let stale = format!("{MD5}, stale=true");
        assert!(digest.renew(Some(&refused), &offers(&[&stale])).unwrap());
        assert!(answer(&digest).contains("nc=00000001"));
        let other = MD5.replace("n1", "n2");
        assert!(digest.renew(Some(&refused), &offers(&[&other])).unwrap());
        assert!(digest.renew(Some(&refused), &offers(&[&other])).unwrap(), "another request was faster");
        assert!(answer(&digest).contains(r#"nonce="n2""#));
    }

    #[test]
    fn the_better_algorithm_is_taken() {
        let sha = r#"Digest realm="r", nonce="n2", qop="auth, auth-int", algorithm=SHA-256"#;
        for texts in
            [&[MD5, sha][..], &[sha, MD5], &["Basic realm=\"r\"", MD5, sha], &[&format!("{MD5}, {sha}")]]
        {
            let digest = Digest::new("user", "s3cret");
            digest.renew(None, &offers(texts)).unwrap();
            assert!(answer(&digest).contains("algorithm=SHA-256"), "{texts:?}");
        }
        let digest = Digest::new("user", "s3cret");
        for texts in [
            &[][..],
            &["Basic realm=\"r\""],
            &["Digest realm=\"r\""],
            &["Digest nonce=\"n\", qop=x, realm=r"],
        ] {
            let error = digest.renew(None, &offers(texts)).unwrap_err();
            assert_eq!(error.kind(), MailboxErrorKind::Unauthorized, "{texts:?}");
        }
    }

    /// A server that wants the body to be part of the answer gets none: bodies are streamed.
    #[test]
    fn what_cannot_be_answered_is_not() {
        let digest = Digest::new("user", "s3cret");
        digest.renew(None, &offers(&[&MD5.replace("auth", "auth-int")])).unwrap();
        assert!(digest.header("GET", &Url::parse("http://host/").unwrap()).is_none());
        // It is over with: the next challenge is taken.
        assert!(digest.renew(None, &offers(&[MD5])).unwrap());
        assert!(answer(&digest).contains("qop=auth,"));
    }
}
