//! Single requests of the benchmark itself, outside what is measured.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::Process;
use super::wire;

const POLL: Duration = Duration::from_micros(500);
const START_WAIT: Duration = Duration::from_secs(60);
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
    tokio::time::timeout(CALL_WAIT, exchange(address, request))
        .await
        .context("no answer")?
}

async fn exchange(address: &str, request: &[u8]) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    while stream.read_buf(&mut answer).await? > 0 {
        if wire::Head::read(&answer)?.is_some() {
            return Ok(wire::status(&answer)?);
        }
    }
    bail!("the connection was closed");
}
