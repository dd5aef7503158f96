//! TLS of the listeners: what they show is read from files, and read again while they run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::model::time::Timestamp;

/// The protocols offered, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What a peer may still have sent when its handshake has failed: read before the connection
/// is closed, because closing over unread bytes would take the answer away from it.
const UNREAD_BYTES_MAX: u64 = 64 << 10;
/// How long that may take.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(1);

/// `[server.tls]`: where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate and those between it and its authority, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities of client certificates, PEM; without it, none is asked for.
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
}

/// Whether a client without a certificate is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    Required,
    Optional,
}

/// What of the files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The key in `[server.tls]`.
    pub setting: &'static str,
    pub problem: String,
    pub remedy: &'static str,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "server.tls.{}: {}; {}",
            self.setting, self.problem, self.remedy
        )
    }
}

impl std::error::Error for Unusable {}

// ---- from files ------------------------------------------------------------------------

/// What the listeners show, read and checked.
pub struct Identity {
    config: Arc<ServerConfig>,
    /// When the certificate ends.
    pub ends: Timestamp,
    /// The bytes it was made of, to tell a change from a touch.
    seen: Vec<Vec<u8>>,
    client_auth: ClientAuth,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, is not what it should be, or does not go with the others.
    pub fn read(files: &Files) -> Result<Self, Unusable> {
        let cert = read("cert", &files.cert)?;
        let key = read("key", &files.key)?;
        let authorities = match &files.client_ca {
            Some(path) => Some((read("client_ca", path)?, path)),
            None => None,
        };
        let chain = certificates("cert", &files.cert, &cert)?;
        let ends = end_of("cert", &files.cert, &chain[0])?;
        // What the reader of PEM says quotes the line that it does not understand.
        let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| Unusable {
            setting: "key",
            problem: format!("{} has no private key that can be read", files.key.display()),
            remedy: "it has to be PEM, without a passphrase, with the line breaks it was made with",
        })?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(files, &error))?;
        let builder = match &authorities {
            None => builder.with_no_client_auth(),
            Some((pem, path)) => {
                let roots = roots(path, pem)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match files.client_auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| no_authority(path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, private)
            .map_err(|error| unfit(files, &error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        let seen = [Some(cert), Some(key), authorities.map(|(pem, _)| pem)];
        Ok(Self {
            config: Arc::new(config),
            ends,
            seen: seen.into_iter().flatten().collect(),
            client_auth: files.client_auth,
        })
    }

    /// Whether it was made of the same bytes, and asks clients for the same.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.seen, self.client_auth) == (&other.seen, other.client_auth)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|error| Unusable {
        setting,
        problem: format!("{} cannot be read: {error}", path.display()),
        remedy: "the relay's user has to be able to read it",
    })
}

fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    // What the reader of PEM says quotes the line that it does not understand, and a file with
    // certificates may have a key beside them.
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(Unusable {
            setting,
            problem: format!("{} has no certificate that can be read", path.display()),
            remedy: "it has to be PEM: -----BEGIN CERTIFICATE-----, and lines of base64 below",
        }),
    }
}

fn end_of(
    setting: &'static str,
    path: &Path,
    certificate: &CertificateDer<'_>,
) -> Result<Timestamp, Unusable> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| Unusable {
        setting,
        problem: format!("the first certificate in {} is none: {error}", path.display()),
        remedy: "it has to be an X.509 certificate",
    })?;
    let seconds = parsed.validity().not_after.timestamp();
    Ok(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

fn roots(path: &Path, pem: &[u8]) -> Result<Arc<RootCertStore>, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", path, pem)? {
        roots
            .add(certificate)
            .map_err(|error| no_authority(path, &error))?;
    }
    Ok(Arc::new(roots))
}

fn no_authority(path: &Path, error: &dyn fmt::Display) -> Unusable {
    Unusable {
        setting: "client_ca",
        problem: format!(
            "{} has a certificate that is no authority's: {error}",
            path.display()
        ),
        remedy: "it has to hold the certificates of authorities",
    }
}

/// What rustls says when certificate and key are put together.
fn unfit(files: &Files, error: &rustls::Error) -> Unusable {
    let (key, cert) = (files.key.display(), files.cert.display());
    match error {
        rustls::Error::InconsistentKeys(_) => Unusable {
            setting: "key",
            problem: format!("{key} is not the key of the certificate in {cert}"),
            remedy: "they have to be issued together",
        },
        error => Unusable {
            setting: "cert",
            problem: format!("{cert} with {key} cannot be used: {error}"),
            remedy: "RSA from 2048 bits, ECDSA and Ed25519 keys can",
        },
    }
}

// ---- connections -----------------------------------------------------------------------

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What came is no TLS.
    Plaintext,
    /// The client's certificate is missing, not trusted, or not accepting ours.
    Certificate,
    /// It took too long.
    Timeout,
    /// The peer went away.
    Closed,
    /// Versions, ciphers, or a breach of the protocol.
    Protocol,
}

impl Failure {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Plaintext,
        Self::Certificate,
        Self::Timeout,
        Self::Closed,
        Self::Protocol,
    ];

    /// Its word in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Certificate => "certificate",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
        }
    }

    fn of(error: &io::Error) -> Self {
        use rustls::{AlertDescription as Alert, Error};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidMessage(_)) => Self::Plaintext,
            Some(
                Error::NoCertificatesPresented
                | Error::InvalidCertificate(_)
                | Error::AlertReceived(
                    Alert::UnknownCA
                    | Alert::BadCertificate
                    | Alert::CertificateExpired
                    | Alert::CertificateUnknown
                    | Alert::UnsupportedCertificate,
                ),
            ) => Self::Certificate,
            Some(_) => Self::Protocol,
            None => Self::Closed,
        }
    }
}

/// What the listeners show at present, and what came of it.
pub struct Tls {
    identity: ArcSwap<Identity>,
    handshakes: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
}

impl Tls {
    /// Shows this.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity: ArcSwap::from_pointee(identity),
            handshakes: AtomicU64::new(0),
            failures: Default::default(),
        }
    }

    /// Shows another to whoever connects from now on; connections that are open stay.
    pub fn replace(&self, identity: Identity) {
        self.identity.store(Arc::new(identity));
    }

    /// What is shown.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Handshakes that led to a connection.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Handshakes that failed for this reason.
    pub fn failures(&self, why: Failure) -> u64 {
        self.failures[why as usize].load(Ordering::Relaxed)
    }

    /// Takes a connection through its handshake, within `deadline`. One that fails is closed
    /// in order.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn accept(&self, stream: TcpStream, deadline: Duration) -> Result<Stream, Failure> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.identity.load().config));
        let accepting = acceptor.accept(stream).into_fallible();
        let failure = match tokio::time::timeout(deadline, accepting).await {
            Ok(Ok(stream)) => {
                self.handshakes.fetch_add(1, Ordering::Relaxed);
                return Ok(Stream::Tls(Box::new(stream)));
            }
            Ok(Err((error, stream))) => {
                close(stream).await;
                Failure::of(&error)
            }
            Err(_) => Failure::Timeout,
        };
        self.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        Err(failure)
    }
}

/// Closes so that the peer reads the alert that says why.
async fn close(mut stream: TcpStream) {
    let closing = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(UNREAD_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection is over.
    drop(tokio::time::timeout(UNREAD_TIMEOUT, closing).await);
}

/// A connection with TLS or without.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
