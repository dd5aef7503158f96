//! Whom the relay trusts, and how it speaks TLS.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier,
};

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

/// Whom the relay trusts, ready for use.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Trusts the platform's authorities and the `extra` ones. There is no way not to verify.
    pub(super) fn of(extra: &RootCertStore) -> Result<Self, rustls::Error> {
        let mut roots = extra.clone();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a certificate authority of the platform cannot be read");
        }
        let (added, _) = roots.add_parsable_certificates(native.certs);
        if added == 0 {
            tracing::warn!("the platform has no certificate authorities; only extra ones are trusted");
        }
        let roots = Arc::new(roots);
        let mut config = builder()?
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            config: Arc::new(config),
            roots,
        })
    }

    /// The same trust, with somebody who takes down what is shown.
    pub(super) fn watched(&self) -> Result<(Arc<ClientConfig>, Arc<Witness>), String> {
        let roots = Arc::clone(&self.roots);
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider());
        let judge = judge.build().map_err(|error| error.to_string())?;
        let witness = Arc::new(Witness {
            judge,
            seen: Mutex::default(),
        });
        let verifier = Arc::clone(&witness) as Arc<dyn ServerCertVerifier>;
        let builder = builder().map_err(|error| error.to_string())?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok((Arc::new(config), witness))
    }
}

// Named because another crate may bring a second provider into the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// Takes down what certificate was shown and why it was not trusted. It judges nothing itself:
/// what the relay would not trust is not trusted here.
#[derive(Debug)]
pub(super) struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Seen>>,
}

/// What was shown.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) certificate: CertificateDer<'static>,
    /// Why it is not trusted.
    pub(super) fault: Option<String>,
}

impl Witness {
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged =
            self.judge
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen {
            certificate: end_entity.clone().into_owned(),
            fault: judged.as_ref().err().map(ToString::to_string),
        });
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
