//! The little of WASI that plugins get: clocks, random numbers, an empty environment, and
//! stdout and stderr into the log. Files and sockets are there for runtimes that insist on
//! importing them, with nothing in them: no directory, no address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::limits::STDIO_BYTES_MAX;
use super::visit::Visit;
use crate::clock::Clock;

/// Handles a plugin may hold at once.
const HANDLES_MAX: usize = 256;
/// Random bytes it may ask for in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Bytes a stream takes in one call.
const WRITE_BYTES_MAX: usize = 4096;

/// The WASI state of one instance, made when it first asks: most plugins never do.
pub(super) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

impl Wasi {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let ctx = WasiCtx::builder()
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .wall_clock(Wall(clock))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            ctx,
            table,
            stdout,
            stderr,
        }
    }
}

impl WasiView for Visit {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let clock = &self.grants.clock;
        let wasi = self
            .wasi
            .get_or_insert_with(|| Box::new(Wasi::new(clock.clone())));
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

/// The relay's clock, so that a test can hold the time of plugins too.
struct Wall(Arc<dyn Clock>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().as_millis()).unwrap_or(0))
    }
}

/// The beginning of what was written to a stream; the rest is thrown away.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// What was written so far, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The same, and starts anew.
    pub(super) fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl IsTerminal for Captured {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Captured {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only asked for by WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for Captured {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDIO_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Captured {
    async fn ready(&mut self) {}
}
