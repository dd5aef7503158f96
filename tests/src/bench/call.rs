//! Single requests of the benchmark itself, outside what is measured.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::Process;
use super::relay::KEY;
use super::wire;

const POLL: Duration = Duration::from_micros(500);
/// The first start of two hundred plugins compiles them all.
const START_WAIT: Duration = Duration::from_secs(300);
const CALL_WAIT: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens.
pub(super) async fn wait_for_port(address: &str, process: &mut Process) -> anyhow::Result<()> {
    wait(process, async || TcpStream::connect(address).await.is_ok()).await
}

/// Waits until `GET /readyz` is answered with 200.
pub(super) async fn wait_until_ready(address: &str, process: &mut Process) -> anyhow::Result<()> {
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\n\r\n");
    wait(process, async || {
        matches!(call(address, request.as_bytes()).await, Ok(200))
    })
    .await
}

/// Waits until `request` is answered with a 2xx.
pub(super) async fn wait_until_accepted(
    address: &str,
    request: &[u8],
    process: &mut Process,
) -> anyhow::Result<()> {
    wait(process, async || {
        matches!(call(address, request).await, Ok(200..=299))
    })
    .await
}

/// What the management API answers to a `GET`, as JSON.
pub(super) async fn get(address: &str, path: &str) -> anyhow::Result<Value> {
    send(address, "GET", path, None).await
}

/// What the management API answers to a request, as JSON.
pub(super) async fn send(
    address: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let body = body.map_or_else(String::new, Value::to_string);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = tokio::time::timeout(CALL_WAIT, exchange(address, request.as_bytes()))
        .await
        .context("no answer")??;
    let status = wire::status(&answer)?;
    let body = wire::Head::read(&answer)?.map_or(&[][..], |head| &answer[head.head..]);
    if !(200..=299).contains(&status) {
        bail!(
            "{method} {path} was answered with {status}: {}",
            String::from_utf8_lossy(body)
        );
    }
    Ok(serde_json::from_slice(body)?)
}

/// Sends one request that has to be answered with a 2xx.
pub(super) async fn accepted(address: &str, request: &[u8]) -> anyhow::Result<()> {
    match call(address, request).await? {
        200..=299 => Ok(()),
        status => bail!("the request was answered with {status}"),
    }
}

/// Polls `done`, as long as the process lives and for no longer than [`START_WAIT`].
async fn wait(process: &mut Process, done: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done().await {
        if !process.is_running() {
            bail!("the {} has ended", process.name());
        }
        if started.elapsed() > START_WAIT {
            bail!("the {} is not ready after {START_WAIT:?}", process.name());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Sends one request on a connection of its own; the status of the answer.
async fn call(address: &str, request: &[u8]) -> anyhow::Result<u16> {
    let answer = tokio::time::timeout(CALL_WAIT, exchange(address, request))
        .await
        .context("no answer")??;
    Ok(wire::status(&answer)?)
}

/// The whole answer, which has to say how long it is.
async fn exchange(address: &str, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    while stream.read_buf(&mut answer).await? > 0 {
        if wire::Head::read(&answer)?.is_some_and(|head| answer.len() >= head.total()) {
            return Ok(answer);
        }
    }
    bail!("the connection was closed");
}
