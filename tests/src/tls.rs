//! A client that speaks TLS to the relay, over HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::Answer;
use crate::instance::ADMIN_KEY;
use crate::receiver::tls::{Authority, Certificate};
use crate::wait::within;

/// What a client trusts, shows and speaks.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl TlsClient {
    /// Trusts this authority alone, offers these protocols, and shows this certificate, if any.
    ///
    /// # Panics
    /// If the certificate and its key cannot be shown.
    pub fn new(authority: &Authority, protocols: &[&str], shown: Option<&Certificate>) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("an authority's PEM");
        roots.add(root).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the usual versions")
            .with_root_certificates(roots);
        let mut config = match shown.map(Certificate::to_show) {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .expect("a certificate with its key"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the handshake fails.
    pub async fn open(&self, address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = within("the handshake", self.connector.connect(name, stream)).await?;
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().map(|chain| chain[0].to_vec());
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let requests = if is_http2 {
            let (requests, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            Requests::Http2(requests)
        } else {
            let (requests, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Requests::Http1(requests)
        };
        Ok(Connection {
            address,
            requests,
            certificate: certificate.unwrap_or_default(),
        })
    }
}

/// An open connection.
pub struct Connection {
    address: SocketAddr,
    requests: Requests,
    /// What the relay showed.
    pub certificate: Vec<u8>,
}

enum Requests {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Whether HTTP/2 is spoken.
    pub const fn is_http2(&self) -> bool {
        matches!(self.requests, Requests::Http2(_))
    }

    /// Sends a request as the admin and reads the answer.
    ///
    /// # Errors
    /// If there is none.
    ///
    /// # Panics
    /// If it does not come in time.
    pub async fn call(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> io::Result<Answer> {
        let uri = match self.requests {
            Requests::Http1(_) => path.to_owned(),
            Requests::Http2(_) => format!("https://{}{path}", self.address),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/json");
        if !self.is_http2() {
            request = request.header("host", self.address.to_string());
        }
        let request = request.body(Full::new(body.into())).expect("a valid request");
        let response = within("an answer", self.send(request)).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> io::Result<Response<Incoming>> {
        let answered = match &mut self.requests {
            Requests::Http1(requests) => {
                requests.ready().await.map_err(io::Error::other)?;
                requests.send_request(request).await
            }
            Requests::Http2(requests) => {
                requests.ready().await.map_err(io::Error::other)?;
                requests.send_request(request).await
            }
        };
        answered.map_err(io::Error::other)
    }
}
