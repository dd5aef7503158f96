//! `relay listen`: a receiver for trying things out; with `--from` what it gets is fetched
//! ([`super::tunnel`]).

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::client::Access;
use super::tunnel::Tunnel;
use crate::clock::{Clock as _, SystemClock};
use crate::crypto::standard_webhooks::{self, VerifyingKey};
use crate::model::secret::Secret;

/// Largest body that is read.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The tolerance of Standard Webhooks.
const TOLERANCE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(super) struct Listen {
    /// The port of 127.0.0.1 to listen on
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// What to verify signatures with: whsec_… or whpk_…; may be given several times; what does
    /// not verify is answered with 401
    #[arg(long, value_name = "SECRET", env = "RELAY_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// How to answer, whether it verifies or not: a status such as 204, 500 or 429, slow:3s,
    /// redirect:URL, reset, or bad-tls; 204 if not given
    #[arg(long, conflicts_with = "from")]
    respond: Option<Respond>,
    /// Fetches the webhooks of a relay elsewhere instead of listening: this machine need not be
    /// reachable
    #[arg(long, value_name = "URL", conflicts_with = "port")]
    from: Option<Url>,
    /// A key of that relay that may manage
    #[arg(long, value_name = "KEY", env = "RELAY_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The tenant it is about, by name or id; for keys of admins
    #[arg(long, value_name = "TENANT", env = "RELAY_TENANT")]
    tenant: Option<String>,
    /// The endpoint whose webhooks are fetched: one that is polled, or one that is made, and removed
    /// at the end
    #[arg(long, value_name = "NAME", default_value = "listen")]
    endpoint: String,
    /// Which events an endpoint that is made gets, such as message.*; may be given several times
    #[arg(long, value_name = "TYPE", requires = "from")]
    event_types: Vec<String>,
    /// The sources that it gets them from, by name; may be given several times
    #[arg(long, value_name = "SOURCE", requires = "from")]
    source: Vec<String>,
    /// Where each webhook is posted as the relay would have; without it they are printed
    #[arg(long, value_name = "URL", requires = "from")]
    forward: Option<Url>,
}

/// How the receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Respond {
    Status(StatusCode),
    Slow(Duration),
    /// 302 to there.
    Redirect(HeaderValue),
    Reset,
    /// Refuses every TLS handshake.
    BadTls,
}

/// What a TLS server says that does not want to: a fatal alert, `handshake_failure` (RFC 8446,
/// section 6.2).
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

impl FromStr for Respond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reset" => return Ok(Self::Reset),
            "bad-tls" => return Ok(Self::BadTls),
            _ => {}
        }
        if let Some(url) = text.strip_prefix("redirect:") {
            let location = HeaderValue::from_str(url).map_err(|_| format!("{url:?} is no URL"))?;
            return Ok(Self::Redirect(location));
        }
        if let Some(span) = text.strip_prefix("slow:") {
            return crate::config::reader::parse_duration(span)
                .map(Self::Slow)
                .ok_or_else(|| format!("{span:?} is no span of time, such as 3s"));
        }
        text.parse()
            .map(Self::Status)
            .map_err(|_| "use a status such as 204, slow:3s, redirect:URL, reset, or bad-tls".to_owned())
    }
}

/// A webhook that arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Arrival {
    /// Reads a request.
    pub(super) async fn read(request: Request<Incoming>) -> Option<Self> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .ok()?
            .to_bytes();
        Some(Self {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: head.headers,
            body,
        })
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether it is signed as Standard Webhooks says, with one of these keys, just now.
    pub(super) fn verify(&self, keys: &[VerifyingKey]) -> Result<(), standard_webhooks::VerifyError> {
        standard_webhooks::verify(
            keys,
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.header("webhook-signature"),
            &self.body,
            SystemClock.now(),
            TOLERANCE,
        )
    }
}

impl Listen {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let keys = self
            .secret
            .iter()
            .map(|secret| VerifyingKey::parse(&Secret::new(secret.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(url) = self.from {
            // What only verifies signs nothing.
            let signs = |secret: &String| !secret.starts_with("whpk_");
            let tunnel = Tunnel {
                access: Access {
                    url,
                    key: self.key,
                    tenant: self.tenant,
                },
                endpoint: self.endpoint,
                event_types: self.event_types,
                sources: self.source,
                secrets: self.secret.into_iter().filter(signs).collect(),
                forward: self.forward,
                keys,
            };
            return tunnel.run().await;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        println!("listening on http://{}", listener.local_addr()?);
        let keys = Arc::new(keys);
        let respond = self.respond;
        tokio::select! {
            () = accept(listener, keys, respond) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn accept(listener: TcpListener, keys: Arc<Vec<VerifyingKey>>, respond: Option<Respond>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        let (keys, respond) = (Arc::clone(&keys), respond.clone());
        tokio::spawn(async move {
            if respond == Some(Respond::BadTls) {
                refuse_tls(&mut stream).await.ok();
                return;
            }
            let answer = service_fn(move |request| answer(request, Arc::clone(&keys), respond.clone()));
            // A client that goes away is nothing to report.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await
                .ok();
        });
    }
}

/// Reads what comes first, so that the alert is not lost to a reset.
async fn refuse_tls(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut hello = [0; 4096];
    let read = stream.read(&mut hello).await?;
    if read > 0 {
        stream.write_all(&HANDSHAKE_FAILURE).await?;
    }
    stream.shutdown().await
}

async fn answer(
    request: Request<Incoming>,
    keys: Arc<Vec<VerifyingKey>>,
    respond: Option<Respond>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let arrival = Arrival::read(request)
        .await
        .ok_or_else(|| std::io::Error::other("the body broke off"))?;
    let verified = (!keys.is_empty()).then(|| arrival.verify(&keys));
    show(&arrival, verified.as_ref());
    let usual = match verified {
        Some(Err(_)) => StatusCode::UNAUTHORIZED,
        _ => StatusCode::NO_CONTENT,
    };
    let mut response = Response::new(Full::default());
    let status = match respond.unwrap_or(Respond::Status(usual)) {
        Respond::BadTls => return Err(std::io::Error::other("asked to refuse")),
        Respond::Redirect(location) => {
            response.headers_mut().insert(LOCATION, location);
            StatusCode::FOUND
        }
        // An error instead of an answer closes the connection.
        Respond::Reset => return Err(std::io::Error::other("asked to reset")),
        Respond::Slow(span) => {
            tokio::time::sleep(span).await;
            StatusCode::NO_CONTENT
        }
        Respond::Status(status) => status,
    };
    *response.status_mut() = status;
    Ok(response)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn show(arrival: &Arrival, verified: Option<&Result<(), standard_webhooks::VerifyError>>) {
    println!("\n{} {} {}", SystemClock.now(), arrival.method, arrival.path);
    for (name, value) in &arrival.headers {
        println!("  {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    match verified {
        None => println!("  (signature not checked: no --secret given)"),
        Some(Ok(())) => println!("  signature: valid"),
        Some(Err(error)) => println!("  signature: NOT VALID: {error}"),
    }
    match serde_json::from_slice::<serde_json::Value>(&arrival.body) {
        Ok(value) => println!("{}", serde_json::to_string_pretty(&value).unwrap_or_default()),
        Err(_) => println!("{}", String::from_utf8_lossy(&arrival.body).escape_debug()),
    }
}
