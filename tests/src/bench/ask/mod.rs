//! Requests to the management API: sent at a fixed rate, whether or not earlier ones were answered,
//! and how long each took.
//!
//! A request counts from the moment that it was due, however late it could be sent: whoever uses
//! the API waits that long. [`script`] says what is asked for.

mod script;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::generate::Started;
use super::trace::{self, Exchange};
use super::{system, wire, worker};
pub(super) use script::{CONSUMER, Script};

/// An answer that takes longer is none.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// A page of 250 deliveries is about 100 KiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
const READ_BYTES: usize = 64 << 10;

/// How the requests are started.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Where they go, as `127.0.0.1:PORT`.
    #[arg(long)]
    target: String,
    #[arg(long)]
    key: String,
    #[arg(long)]
    mix: Mix,
    /// Requests a second.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    connections: usize,
    /// Tells the names of what is made in this run from those of another.
    #[arg(long)]
    run: String,
    /// How many endpoints there are to ask for.
    #[arg(long)]
    endpoints: u64,
    #[arg(long)]
    warm_up_ms: u64,
    #[arg(long)]
    duration_ms: u64,
    /// Where the exchanges are written.
    #[arg(long)]
    trace: PathBuf,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mix {
    /// What people and their programs do all day.
    Everyday,
    /// Page after page of lists, by filters that find little or nothing, or what is oldest.
    Lists,
}

impl Mix {
    /// The word on the command line.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Everyday => "everyday",
            Self::Lists => "lists",
        }
    }
}

/// Said when the last answer has come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    /// What each kind of request is called; exchanges have its place here as their number.
    pub kinds: Vec<String>,
    /// What was wrong with the first answer that was not a 2xx.
    pub fault: Option<String>,
}

/// When to ask what.
#[derive(Debug)]
struct Plan {
    options: Options,
    script: Script,
    start: u64,
    window: Started,
}

#[derive(Debug, Default)]
struct Log {
    exchanges: Vec<Exchange>,
    fault: Option<String>,
}

/// Asks and reports.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let script = Script::prepare(&options.target, options.mix, &options.run, options.endpoints).await?;
    let start = system::monotonic() + nanos(100);
    let from = start + nanos(options.warm_up_ms);
    let until = from + nanos(options.duration_ms);
    let plan = Arc::new(Plan {
        options,
        script,
        start,
        window: Started { from, until },
    });
    let connections = (0..plan.options.connections)
        .map(|turn| Connection::open(&plan, turn))
        .collect::<io::Result<Vec<_>>>()?;
    let threads: Vec<_> = connections
        .into_iter()
        .map(|connection| std::thread::spawn(move || connection.run()))
        .collect();
    tokio::time::sleep(Duration::from_nanos(from.saturating_sub(system::monotonic()))).await;
    worker::say(&plan.window)?;
    let mut log = Log::default();
    for thread in threads {
        let one = thread
            .join()
            .map_err(|_| anyhow::anyhow!("an asking thread panicked"))?;
        log.exchanges.extend(one.exchanges);
        log.fault = log.fault.or(one.fault);
    }
    trace::write_exchanges(&plan.options.trace, &log.exchanges)?;
    worker::say(&Finished {
        kinds: plan.script.kinds(),
        fault: log.fault,
    })?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    plan: Arc<Plan>,
    /// Its place among the connections.
    turn: usize,
}

impl Connection {
    fn open(plan: &Arc<Plan>, turn: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(&plan.options.target)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Self {
            stream,
            answer: Vec::new(),
            plan: Arc::clone(plan),
            turn,
        })
    }

    fn run(mut self) -> Log {
        let mut log = Log::default();
        let plan = Arc::clone(&self.plan);
        let Options {
            rate,
            connections,
            key,
            target,
            ..
        } = &plan.options;
        for number in (self.turn as u64..).step_by(*connections) {
            let due = plan.start + (number as f64 / rate * 1e9) as u64;
            if due >= plan.window.until {
                break;
            }
            let asked = plan.script.request(number);
            let request = asked.http(target, key);
            std::thread::sleep(Duration::from_nanos(due.saturating_sub(system::monotonic())));
            let answered = self.exchange(request.as_bytes());
            let accepted = matches!(answered, Ok(200..=299));
            log.exchanges.push(Exchange {
                sequence: asked.kind as u64,
                sent: due,
                answered: system::monotonic(),
                accepted,
            });
            match answered {
                Ok(200..=299) => plan.script.hear(asked.kind, &self.answer),
                Ok(status) => {
                    let text = String::from_utf8_lossy(&self.answer);
                    let words: String = text.chars().take(600).collect();
                    let fault = format!(
                        "{} {} was answered with {status}: {words}",
                        asked.method, asked.path
                    );
                    log.fault.get_or_insert(fault);
                }
                Err(error) => {
                    let fault = format!("{} {} was not answered: {error}", asked.method, asked.path);
                    log.fault.get_or_insert(fault);
                    break;
                }
            }
        }
        log
    }

    /// Sends a request; its status, once all of the answer is there.
    fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            if self.answer.len() < filled + READ_BYTES {
                self.answer.resize(filled + READ_BYTES, 0);
            }
            let read = self.stream.read(&mut self.answer[filled..])?;
            filled += read;
            let head = wire::Head::read(&self.answer[..filled]).map_err(io::Error::other)?;
            if head.is_some_and(|head| head.total() <= filled) {
                self.answer.truncate(filled);
                return wire::status(&self.answer).map_err(io::Error::other);
            }
            if read == 0 || filled > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the answer is not whole, or too long"));
            }
        }
    }
}

const fn nanos(milliseconds: u64) -> u64 {
    milliseconds * 1_000_000
}
