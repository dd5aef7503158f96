//! `relay plugin backtest`

mod chains;
mod compare;
mod lines;
mod newest;
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
use crate::cli::client::{Access, Stream};
use crate::cli::job;
use crate::model::event::Event;
use chains::{Asked, Chains};
use compare::{Compared, compare};
use lines::{Bite, Lines};
use newest::Newest;
use tally::Tally;

/// Bites of an export that wait for whoever is free.
const WAITING_MAX: usize = 8;
/// How far back events are looked at if nothing is said.
const USUALLY_SINCE: &str = "1d";

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
    /// Events from then on: a time, or how long ago [default: 1d]
    #[arg(long, value_name = "TIME|AGO")]
    since: Option<String>,
    /// Those before then
    #[arg(long, value_name = "TIME|AGO")]
    until: Option<String>,
    /// Only those of a type
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// At most so many: the newest ones, or with --since the first ones from then on
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
        let read = self.read(work, sender).await;
        let mut tally = Tally::new(self.diffs);
        for worker in workers {
            tally.add(worker.await.context("a plugin made this program panic")??);
        }
        read.map(|()| tally)
    }

    /// Hands on what came in, in bites.
    async fn read(&self, work: &Work, sender: mpsc::Sender<(u64, Bite)>) -> anyhow::Result<()> {
        let mut export = self.export().await?;
        let mut number = 0;
        let mut hand_on = async |bite: Bite| {
            number += 1;
            // Nobody takes it who has not enough, or has failed, which is told there.
            sender.send((number, bite)).await.is_ok()
        };
        let Some(mut newest) = self.newest() else {
            while let Some(lines) = export.next().await? {
                if !hand_on(Bite::Lines(lines)).await {
                    break;
                }
            }
            return Ok(());
        };
        while let Some(lines) = export.next().await? {
            let events = Bite::Lines(lines).events()?;
            work.bar.inc(events.len() as u64);
            events
                .into_iter()
                .filter(|event| work.wants(event))
                .for_each(|event| newest.add(event));
        }
        for bite in newest.bites() {
            if !hand_on(bite).await {
                break;
            }
        }
        Ok(())
    }

    /// Where the newest events are kept, if not all of them are wanted, nor the first ones.
    fn newest(&self) -> Option<Newest> {
        let limit = self.limit.filter(|_| self.since.is_none())?;
        Some(Newest::new(usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn export(&self) -> anyhow::Result<Export> {
        let mut query = Serializer::new(String::new());
        let since = self.since.as_deref().unwrap_or(USUALLY_SINCE);
        for (name, given) in [("since", Some(since)), ("until", self.until.as_deref())] {
            if let Some(time) = job::time(given)? {
                query.append_pair(name, time.as_str().unwrap_or_default());
            }
        }
        let path = format!("/v1/export/events?{}", query.finish());
        Ok(Export {
            stream: self.access.stream(&path).await?,
            lines: Lines::default(),
            is_over: false,
        })
    }
}

impl Work {
    fn wants(&self, event: &Event) -> bool {
        self.kind.as_ref().is_none_or(|kind| event.envelope.kind == *kind) && self.chains.wants(event)
    }
}

/// Everything of a span of time, oldest first.
struct Export {
    stream: Stream,
    lines: Lines,
    is_over: bool,
}

impl Export {
    /// Whole lines, many at once.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while !self.is_over {
            let bite = match self.stream.next().await? {
                Some(piece) => self.lines.add(&piece)?,
                None => {
                    self.is_over = true;
                    self.lines.end()?
                }
            };
            if bite.is_some() {
                return Ok(bite);
            }
        }
        Ok(None)
    }
}

/// Runs bites until there are none.
async fn play(work: Arc<Work>, bites: Arc<Mutex<mpsc::Receiver<(u64, Bite)>>>) -> anyhow::Result<Tally> {
    let mut tally = Tally::new(work.diffs);
    loop {
        let next = bites.lock().await.recv().await;
        let Some((number, bite)) = next else {
            return Ok(tally);
        };
        // What was read before is counted already.
        let is_read = matches!(bite, Bite::Events(_));
        let events = bite.events()?;
        let count = if is_read { 0 } else { events.len() as u64 };
        for (at, event) in events.into_iter().enumerate() {
            if !work.wants(&event) {
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
