//! The closed loop: one thread, many connections, one event under way on each.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{ANSWER_BYTES, Log, Plan, answer, closed_early, until};
use crate::bench::{system, wire, worker};

/// Sends until the time is up or all are sent.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Log> {
    let next = Arc::new(AtomicU64::new(plan.options.first));
    let mut connections = JoinSet::new();
    for _ in 0..plan.options.connections {
        let stream = TcpStream::connect(&plan.options.target).await?;
        stream.set_nodelay(true)?;
        connections.spawn(Connection::new(stream, plan).run(plan.clone(), Arc::clone(&next)));
    }
    tokio::time::sleep(until(plan.window.from)).await;
    worker::say(&plan.window)?;
    let mut log = Log::default();
    while let Some(one) = connections.join_next().await {
        log.join(one?);
    }
    Ok(log)
}

struct Connection {
    stream: TcpStream,
    template: wire::Template,
    buffer: [u8; ANSWER_BYTES],
}

impl Connection {
    fn new(stream: TcpStream, plan: &Plan) -> Self {
        Self {
            stream,
            template: plan.template.clone(),
            buffer: [0; ANSWER_BYTES],
        }
    }

    /// Sends event after event; ends when the connection breaks.
    async fn run(mut self, plan: Plan, next: Arc<AtomicU64>) -> Log {
        let mut log = Log::default();
        tokio::time::sleep(until(plan.start)).await;
        let mut sent = system::monotonic();
        while sent < plan.window.until {
            let sequence = next.fetch_add(1, Ordering::Relaxed);
            if sequence >= plan.end() {
                break;
            }
            let status = self.exchange(sequence).await;
            let answered = system::monotonic();
            log.note(sequence, sent, answered, &status);
            if status.is_err() {
                break;
            }
            sent = answered;
        }
        log
    }

    async fn exchange(&mut self, sequence: u64) -> io::Result<u16> {
        self.stream.write_all(self.template.numbered(sequence)).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(closed_early());
            }
            filled += read;
            if let Some(status) = answer(&self.buffer[..filled])? {
                return Ok(status);
            }
        }
    }
}
