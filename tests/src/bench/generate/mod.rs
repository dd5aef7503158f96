//! The load: sends events, notes when each was sent and answered, and writes that down.
//!
//! Closed loop ([`closed`]): every connection sends its next event when the last is answered,
//! which finds the throughput. Open loop ([`open`]): events are due at a fixed rate, whether
//! or not the last was answered, which finds the latency.

mod closed;
mod open;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::trace::{self, Exchange};
use super::{system, wire, worker};

/// Room for an answer.
const ANSWER_BYTES: usize = 4096;

/// How a load is started.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Where the events go, as `127.0.0.1:PORT`.
    #[arg(long)]
    target: String,
    #[arg(long)]
    key: String,
    /// The event type before its number.
    #[arg(long)]
    prefix: String,
    /// How many event types take turns.
    #[arg(long, default_value_t = 1)]
    kinds: u64,
    #[arg(long)]
    connections: usize,
    /// The first sequence number.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Send this many events and end, instead of sending for a time.
    #[arg(long)]
    count: Option<u64>,
    /// Events a second; without it each connection sends as fast as it is answered.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 0)]
    warm_up_ms: u64,
    #[arg(long, default_value_t = 0)]
    duration_ms: u64,
    /// Where the exchanges are written.
    #[arg(long)]
    trace: PathBuf,
}

/// Said when the time that is measured begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Started {
    /// Events sent from here on …
    pub from: u64,
    /// … until here are measured.
    pub until: u64,
}

/// Said when the last answer has come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub sent: u64,
    pub accepted: u64,
    /// What was wrong with the first event that was not accepted.
    pub fault: Option<String>,
}

/// When to send what.
#[derive(Debug, Clone)]
struct Plan {
    options: Options,
    template: wire::Template,
    /// When it all begins.
    start: u64,
    window: Started,
}

/// What one or more connections have done.
#[derive(Debug, Default)]
struct Log {
    exchanges: Vec<Exchange>,
    fault: Option<String>,
}

/// Puts the load on and reports; stays until standard input ends, so that its use of the
/// processors can be read.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let plan = Plan::new(options);
    let log = match plan.options.rate {
        Some(rate) => open::run(&plan, rate).await?,
        None => closed::run(&plan).await?,
    };
    trace::write_exchanges(&plan.options.trace, &log.exchanges)?;
    let accepted = log.exchanges.iter().filter(|exchange| exchange.accepted).count();
    worker::say(&Finished {
        sent: log.exchanges.len() as u64,
        accepted: accepted as u64,
        fault: log.fault,
    })?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

impl Plan {
    fn new(options: Options) -> Self {
        let template = wire::Template::new(&options.target, &options.key, &options.prefix, options.kinds);
        // Time to open all connections before the first event is due.
        let start = system::monotonic() + nanos(Duration::from_millis(100));
        let from = start + nanos(Duration::from_millis(options.warm_up_ms));
        let until = match options.count {
            Some(_) => u64::MAX,
            None => from + nanos(Duration::from_millis(options.duration_ms)),
        };
        Self {
            options,
            template,
            start,
            window: Started { from, until },
        }
    }

    /// The sequence number after the last.
    const fn end(&self) -> u64 {
        match self.options.count {
            Some(count) => self.options.first + count,
            None => u64::MAX,
        }
    }
}

impl Log {
    fn note(&mut self, sequence: u64, sent: u64, answered: u64, status: &io::Result<u16>) {
        let accepted = matches!(status, Ok(200..=299));
        if !accepted {
            self.fault.get_or_insert_with(|| match status {
                Ok(status) => format!("event {sequence} was answered with {status}"),
                Err(error) => format!("event {sequence} was not answered: {error}"),
            });
        }
        self.exchanges.push(Exchange {
            sequence,
            sent,
            answered,
            accepted,
        });
    }

    fn join(&mut self, other: Self) {
        self.exchanges.extend(other.exchanges);
        self.fault = self.fault.take().or(other.fault);
    }
}

/// The status of the answer once all of it has come.
fn answer(bytes: &[u8]) -> io::Result<Option<u16>> {
    match wire::Head::read(bytes).map_err(io::Error::other)? {
        Some(head) if head.total() <= bytes.len() => wire::status(bytes).map(Some).map_err(io::Error::other),
        _ if bytes.len() == ANSWER_BYTES => Err(io::Error::other("the answer is too long")),
        _ => Ok(None),
    }
}

fn closed_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How long it is until `moment`; zero once it has passed.
fn until(moment: u64) -> Duration {
    Duration::from_nanos(moment.saturating_sub(system::monotonic()))
}
