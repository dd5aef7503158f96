//! `relay plugin backtest`

mod chains;
mod compare;
mod lines;
mod tally;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use url::form_urlencoded::Serializer;

use super::build::{ended, say};
use super::host::Host;
use super::subject::Subject;
use crate::cli::client::Access;
use crate::cli::job;
use chains::{Asked, Chains};
use compare::{Compared, compare};
use lines::Lines;
use tally::Tally;

/// Bites of an export that wait for whoever is free.
const WAITING_MAX: usize = 8;

#[derive(Debug, Args)]
pub(in crate::cli) struct Backtest {
    /// The candidate: the folder of a plugin's source, a component, or a stock plugin's name
    candidate: String,
    /// The endpoint whose events it is run on: its name or id
    #[arg(long)]
    endpoint: String,
    /// The use that it takes the place of, if that is not called as it is
    #[arg(long, value_name = "NAME")]
    replaces: Option<String>,
    /// The candidate's configuration, in place of that of the use
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// A secret that plugins are granted, from a variable or a file; may be given several times
    #[arg(long, value_name = "NAME=env:VARIABLE|file:PATH")]
    secret: Vec<String>,
    /// Events from then on: a time, or how long ago
    #[arg(long, value_name = "TIME|AGO", default_value = "1d")]
    since: String,
    /// Those before then
    #[arg(long, value_name = "TIME|AGO")]
    until: Option<String>,
    /// Only those of a type
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// At most so many, the oldest first
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Differences that are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    diffs: usize,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What everybody who runs events needs.
struct Work {
    chains: Chains,
    kind: Option<String>,
    limit: u64,
    diffs: usize,
    /// Events that were taken so far.
    taken: AtomicU64,
    bar: ProgressBar,
}

impl Backtest {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let candidate = Subject::of(&self.candidate)?.component().await?;
        let host = Host::new()?;
        let asked = Asked {
            endpoint: &self.endpoint,
            replaces: self.replaces.as_deref(),
            config: self.config.as_deref(),
            secrets: &self.secret,
        };
        let chains = chains::make(&self.access, &host, candidate, asked).await?;
        for warning in &chains.warnings {
            say(warning);
        }
        let work = Arc::new(Work {
            chains,
            kind: self.r#type.clone(),
            limit: self.limit.unwrap_or(u64::MAX),
            diffs: self.diffs,
            taken: AtomicU64::new(0),
            bar: bar()?,
        });
        let started = Instant::now();
        let mut tally = self.play(&work).await?;
        let took = started.elapsed();
        work.bar.finish_and_clear();
        tally.sort();
        let chains = &work.chains;
        match self.json {
            true => {
                let mut shown = tally.json(took);
                shown["endpoint"] = json!(self.endpoint);
                shown["candidate"] = json!(chains.candidate);
                shown["in_use"] = json!(chains.in_use);
                println!("{}", serde_json::to_string_pretty(&shown)?);
            }
            false => {
                println!("{}", tally.text(took, chains, &self.endpoint));
            }
        }
        Ok(ended(tally.failed() == 0))
    }

    /// Reads what came in and runs it, on all processors.
    async fn play(&self, work: &Arc<Work>) -> anyhow::Result<Tally> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        // What a plugin remembers depends on the order of events.
        let processors = available_parallelism().map_or(1, usize::from);
        let workers = if work.chains.has_state { 1 } else { processors };
        let workers: Vec<_> = (0..workers)
            .map(|_| tokio::spawn(play(work.clone(), receiver.clone())))
            .collect();
        drop(receiver);
        let read = self.read(sender).await;
        let mut tally = Tally::new(self.diffs);
        for worker in workers {
            tally.add(worker.await.context("a plugin made this program panic")??);
        }
        read.map(|()| tally)
    }

    /// Hands on the lines of an export, in bites.
    async fn read(&self, sender: mpsc::Sender<(u64, Bytes)>) -> anyhow::Result<()> {
        let mut query = Serializer::new(String::new());
        for (name, given) in [
            ("since", Some(self.since.as_str())),
            ("until", self.until.as_deref()),
        ] {
            if let Some(time) = job::time(given)? {
                query.append_pair(name, time.as_str().unwrap_or_default());
            }
        }
        let path = format!("/v1/export/events?{}", query.finish());
        let mut stream = self.access.stream(&path).await?;
        let (mut lines, mut number) = (Lines::default(), 0);
        loop {
            let piece = stream.next().await?;
            let is_over = piece.is_none();
            let bite = match piece {
                Some(piece) => lines.add(&piece)?,
                None => lines.end()?,
            };
            if let Some(bite) = bite {
                number += 1;
                // Nobody takes it who has not enough, or has failed, which is told there.
                if sender.send((number, bite)).await.is_err() {
                    return Ok(());
                }
            }
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Runs bites until there are none.
async fn play(work: Arc<Work>, bites: Arc<Mutex<mpsc::Receiver<(u64, Bytes)>>>) -> anyhow::Result<Tally> {
    let mut tally = Tally::new(work.diffs);
    loop {
        let next = bites.lock().await.recv().await;
        let Some((number, bite)) = next else {
            return Ok(tally);
        };
        let events = lines::events(&bite)?;
        let count = events.len() as u64;
        for (at, event) in events.into_iter().enumerate() {
            let is_wanted = work.kind.as_ref().is_none_or(|kind| event.envelope.kind == *kind)
                && work.chains.wants(&event);
            if !is_wanted {
                continue;
            }
            if work.taken.fetch_add(1, Ordering::Relaxed) >= work.limit {
                return Ok(tally);
            }
            let event = Arc::new(event);
            let compared: Compared = compare(&work.chains, &event, at % 2 == 0).await;
            tally.count((number, at), &event, compared);
        }
        work.bar.inc(count);
    }
}

/// On a terminal alone.
fn bar() -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{spinner} {pos} events read, {per_sec}, {elapsed}")?;
    let bar = ProgressBar::no_length().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
