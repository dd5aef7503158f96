//! A small HTTP client for the commands that talk to a relay.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The relay that is talked to where none is named.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// Largest answer that is read: an event of 64 MiB that is fetched comes as JSON and as base64.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How long a whole exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same of one that something has to be compiled for.
const LONG_PATIENCE: Duration = Duration::from_secs(150);

/// Which relay to talk to, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Access {
    /// The relay's address
    #[arg(long, value_name = "URL", env = "RELAY_URL", default_value = DEFAULT_URL)]
    pub(super) url: url::Url,
    /// A key of the relay
    #[arg(long, value_name = "KEY", env = "RELAY_KEY", hide_env_values = true)]
    pub(super) key: Option<String>,
    /// The tenant it is about, by name or id; for keys of admins
    #[arg(long, value_name = "TENANT", env = "RELAY_TENANT")]
    pub(super) tenant: Option<String>,
}

/// An answer: status and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as JSON if the relay agreed; otherwise what it objected to.
    pub(super) fn json(&self) -> anyhow::Result<serde_json::Value> {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if (200..300).contains(&self.status) {
            return Ok(value);
        }
        let detail = value
            .get("detail")
            .and_then(|detail| detail.as_str())
            .unwrap_or("no detail");
        let how = if self.status == 401 {
            "; give one with --key or RELAY_KEY"
        } else {
            ""
        };
        bail!("the relay answered {}: {detail}{how}", self.status)
    }
}

impl Access {
    /// Sends one request.
    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let headers = vec![(header::CONTENT_TYPE.to_string(), content_type.to_owned())];
        self.send(method, path, headers, body).await
    }

    /// Sends what takes the relay long.
    pub(super) async fn upload(
        &self,
        path: &str,
        content_type: &str,
        signature: Option<String>,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let mut headers = vec![(header::CONTENT_TYPE.to_string(), content_type.to_owned())];
        headers.extend(signature.map(|signature| ("relay-signature".to_owned(), signature)));
        headers.extend(self.headers());
        exchange_within(LONG_PATIENCE, "POST", &self.at(path)?, &headers, body).await
    }

    /// Reads what is at a path.
    pub(super) async fn read(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, Vec::new(), Vec::new()).await
    }

    /// Sends JSON, meant for one revision of what is there if one is given.
    pub(super) async fn change(
        &self,
        method: &str,
        path: &str,
        revision: Option<u64>,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<Answer> {
        let mut headers = vec![(header::CONTENT_TYPE.to_string(), "application/json".to_owned())];
        headers.extend(revision.map(|revision| (header::IF_MATCH.to_string(), format!("\"{revision}\""))));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.send(method, path, headers, body).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        headers.extend(self.headers());
        exchange(method, &self.at(path)?, &headers, body).await
    }

    /// Asks for an answer that goes on.
    pub(super) async fn stream(&self, path: &str) -> anyhow::Result<Stream> {
        let url = self.at(path)?;
        let headers = self.headers();
        let begun = begin("GET", &url, &headers, Vec::new());
        let (response, driver) = tokio::time::timeout(PATIENCE, begun)
            .await
            .with_context(|| format!("{url} did not answer within {PATIENCE:?}"))??;
        if !response.status().is_success() {
            let answer = read(response).await?;
            answer.json()?;
            bail!("the relay answered {}", answer.status);
        }
        let body = response.into_body();
        Ok(Stream { body, driver })
    }

    fn at(&self, path: &str) -> anyhow::Result<url::Url> {
        let url = self.url.join(path);
        url.with_context(|| format!("{} has no path {path}", self.url))
    }

    fn headers(&self) -> Vec<(String, String)> {
        let key = self.key.iter();
        let key = key.map(|key| (header::AUTHORIZATION.to_string(), format!("Bearer {key}")));
        let tenant = self.tenant.iter();
        key.chain(tenant.map(|tenant| ("relay-tenant".to_owned(), tenant.clone())))
            .collect()
    }
}

/// Sends one request anywhere.
pub(super) async fn exchange(
    method: &str,
    url: &url::Url,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    exchange_within(PATIENCE, method, url, headers, body).await
}

async fn exchange_within(
    patience: Duration,
    method: &str,
    url: &url::Url,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let talk = async {
        let (response, driver) = begin(method, url, headers, body).await?;
        let answer = read(response).await;
        driver.abort();
        answer
    };
    tokio::time::timeout(patience, talk)
        .await
        .with_context(|| format!("{url} did not answer within {patience:?}"))?
}

/// Sends one request; the answer is there up to its body.
async fn begin(
    method: &str,
    url: &url::Url,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
    let host = url.host_str().context("the URL names no host")?;
    let port = url.port_or_known_default().context("the URL names no port")?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, url.authority());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .with_context(|| format!("cannot reach {host}:{port}; is the relay running?"))?;
    if url.scheme() == "https" {
        send(secure(stream, host).await?, request).await
    } else {
        send(stream, request).await
    }
}

async fn secure(
    stream: TcpStream,
    host: &str,
) -> anyhow::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector
        .connect(name, stream)
        .await
        .with_context(|| format!("no TLS with {host}"))
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    Ok((sender.send_request(request).await?, driver))
}

async fn read(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
        .to_bytes();
    Ok(Answer { status, body })
}

/// An answer that goes on.
pub(super) struct Stream {
    body: Incoming,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Stream {
    /// The next piece of it; `None` at its end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(piece) = frame.context("the answer broke off")?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
