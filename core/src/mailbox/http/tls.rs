//! TLS: rustls with the `ring` provider, chosen here and not through a process-wide default.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
#[cfg(any(feature = "cloudflare", feature = "s3", feature = "webdav"))]
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, Error, RootCertStore};

/// The certificates in a PEM text; `None` where one of them is not to be read, or there is none.
#[cfg(any(feature = "cloudflare", feature = "s3", feature = "webdav"))]
pub(in crate::mailbox) fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty())
}

/// The configuration of a client that also trusts `authorities`. Without `needed` nobody is trusted, and no
/// certificates have to be found.
pub(super) fn config(needed: bool, authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    if needed {
        return trusting(provider, authorities);
    }
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The platform decides whom to trust, including authorities that its owner added.
#[cfg(not(target_os = "android"))]
fn trusting(
    provider: Arc<CryptoProvider>,
    authorities: &[CertificateDer<'static>],
) -> Result<ClientConfig, Error> {
    let extra = authorities.iter().cloned();
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // "Dangerous" is any verifier that is not rustls's own; this one is the platform's.
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

/// Android's verifier panics unless the app set it up in Java: the bundled Mozilla roots decide.
#[cfg(target_os = "android")]
fn trusting(
    provider: Arc<CryptoProvider>,
    authorities: &[CertificateDer<'static>],
) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_no_certificates_for_plain_http() {
        assert!(config(false, &[]).is_ok());
    }
}
