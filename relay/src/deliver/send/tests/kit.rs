//! Receivers on loopback that do what they are told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Answer(Vec<u8>),
    AnswerAndClose(Vec<u8>),
    Close,
    Reset,
    /// Writes the beginning of an answer and leaves it at that.
    Hang(Vec<u8>),
    Endless {
        head: Vec<u8>,
        part: Vec<u8>,
    },
}

/// An answer with a body of known length.
pub(super) fn answer(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    closed: watch::Sender<usize>,
}

/// A receiver over plain TCP, scripted to the byte.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// `act` is given the number of the connection and that of the request, from 0.
    pub(super) async fn start(act: impl Fn(usize, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", act).await
    }

    /// The same, at a place of its own.
    pub(super) async fn start_on(
        place: &str,
        act: impl Fn(usize, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let act = Arc::new(act);
        Self::listen(place, move |stream, connection, seen| {
            let act = Arc::clone(&act);
            async move { serve(stream, connection, &seen, &*act).await }
        })
        .await
    }

    /// Says something to whoever connects, and then listens without a word.
    pub(super) async fn start_speaking(words: &'static [u8]) -> Self {
        Self::listen("127.0.0.1:0", move |mut stream, _, _| async move {
            stream.write_all(words).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.ok();
        })
        .await
    }

    async fn listen<F>(place: &str, serve: impl Fn(TcpStream, usize, Arc<Seen>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(place).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, connection, Arc::clone(&shared)));
            }
        });
        Self { address, seen, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Waits until the receiver has closed that many connections.
    pub(super) async fn closed(&self, count: usize) {
        self.seen
            .closed
            .subscribe()
            .wait_for(|closed| *closed >= count)
            .await
            .unwrap();
    }

    pub(super) async fn stop(self) {
        self.task.abort();
        self.task.await.ok();
    }
}

async fn serve(
    stream: TcpStream,
    connection: usize,
    seen: &Seen,
    act: &(dyn Fn(usize, usize) -> Act + Sync),
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut requests = seen.requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        match act(connection, number) {
            Act::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::AnswerAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                break;
            }
            Act::Close => break,
            Act::Reset => {
                stream.get_ref().set_zero_linger().unwrap();
                break;
            }
            Act::Hang(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.ok();
                break;
            }
            Act::Endless { head, part } => {
                stream.write_all(&head).await.unwrap();
                while stream.write_all(&part.repeat(100)).await.is_ok() {}
                break;
            }
        }
    }
    drop(stream);
    seen.closed.send_modify(|closed| *closed += 1);
}

/// Head and body of one request; `None` at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut request = String::new();
    let mut length = 0;
    while !request.ends_with("\r\n\r\n") {
        let begin = request.len();
        if stream.read_line(&mut request).await.ok()? == 0 {
            return None;
        }
        if let Some(value) = request[begin..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(request + std::str::from_utf8(&body).unwrap())
}

/// A receiver over TLS that answers with what it got.
#[derive(Debug)]
pub(super) struct TlsReceiver {
    address: SocketAddr,
    pub(super) root_pem: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl TlsReceiver {
    /// Its certificate is for `name`, signed by an authority of its own.
    pub(super) async fn start(name: &str, protocol: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (root_pem, config) = certified(name, protocol);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let receiver = Self {
            address,
            root_pem,
            connections: Arc::clone(&connections),
            requests: Arc::clone(&requests),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve_tls(
                    acceptor.clone(),
                    stream,
                    protocol,
                    Arc::clone(&requests),
                ));
            }
        });
        receiver
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn certified(name: &str, protocol: &str) -> (String, rustls::ServerConfig) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority =
        rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    (authority.pem(), config)
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream, protocol: &str, requests: Arc<AtomicUsize>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| echo(request, Arc::clone(&requests)));
    let stream = TokioIo::new(stream);
    if protocol == "h2" {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(stream, service).await.ok();
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(stream, service).await.ok();
    }
}

async fn echo(
    request: http::Request<Incoming>,
    requests: Arc<AtomicUsize>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    requests.fetch_add(1, Ordering::SeqCst);
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path_and_query().unwrap();
    let header = head.headers["x-test"].to_str().unwrap();
    let body = std::str::from_utf8(&body).unwrap();
    Ok(http::Response::new(
        format!("{:?} {} {path} x-test={header} {body}", head.version, head.method).into(),
    ))
}
