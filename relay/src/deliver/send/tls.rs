//! Whom the relay trusts, and how it speaks TLS.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Error;

/// The protocols offered, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Reads certificate authorities from PEM.
pub(super) fn parse_roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // What the reader says quotes the line that it does not understand, which may be a key's.
        let certificate = certificate.map_err(|_| Error::ExtraRoots("a certificate is malformed"))?;
        roots.add(certificate).map_err(Error::UnusableRoot)?;
    }
    if roots.is_empty() && !pem.trim_ascii().is_empty() {
        return Err(Error::ExtraRoots("there is no certificate in them"));
    }
    Ok(roots)
}

/// Trusts the platform's authorities and the `extra` ones. There is no way not to verify.
pub(super) fn client_config(extra: &RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let mut roots = extra.clone();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a certificate authority of the platform cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::warn!("the platform has no certificate authorities; only extra ones are trusted");
    }
    // Named here because another crate may bring a second provider into the process.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}
