//! The plainest proxy that hyper allows: every request goes to one address, every answer back.
//!
//! It stores, signs and decides nothing. What the relay costs beyond it is what the relay does.

use std::convert::Infallible;

use anyhow::Context as _;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::receiver::Ready;
use super::worker;

type Upstream = Client<HttpConnector, Incoming>;

/// How a proxy is started.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where requests go, as `127.0.0.1:PORT`.
    #[arg(long)]
    to: String,
}

/// Passes on until standard input ends.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("the proxy found no port")?;
        worker::say(&Ready {
            port: listener.local_addr()?.port(),
        })?;
        tokio::spawn(accept(listener, options.to.clone()));
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

async fn accept(listener: TcpListener, to: String) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let upstream: Upstream = Client::builder(TokioExecutor::new()).build(connector);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, upstream.clone(), to.clone()));
    }
}

async fn serve(stream: TcpStream, upstream: Upstream, to: String) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(|request| pass(request, &upstream, &to));
    Ok(hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?)
}

async fn pass(
    mut request: Request<Incoming>,
    upstream: &Upstream,
    to: &str,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{to}{path}").parse::<Uri>() else {
        return Ok(bad_gateway());
    };
    *request.uri_mut() = uri;
    match upstream.request(request).await {
        Ok(answer) => Ok(answer.map(BodyExt::boxed)),
        Err(_) => Ok(bad_gateway()),
    }
}

fn bad_gateway() -> Response<BoxBody<Bytes, hyper::Error>> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
