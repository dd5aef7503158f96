//! Asks a relay for work over many deliveries or events, and follows it to its end.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::EXIT_FAILURE;
use super::client::Access;
use crate::clock::{Clock as _, SystemClock};
use crate::config::parse_duration;
use crate::model::time::Timestamp;

pub(super) const JSON: &str = "application/json";
/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(250);
/// Looks for each line, where there is no terminal.
const LOOKS_PER_LINE: u32 = 20;

/// How to ask for work.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// At most so many, such as 50/s
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Only counts what there is
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// The results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Watch {
    /// Asks for work and follows it.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn ask(
        &self,
        access: &Access,
        path: &str,
        mut body: Map<String, Value>,
    ) -> anyhow::Result<ExitCode> {
        body.insert("dry_run".to_owned(), json!(self.dry_run));
        if let Some(rate) = &self.rate {
            body.insert("rate".to_owned(), json!(rate));
        }
        let body = Value::Object(body).to_string().into_bytes();
        let answer = access.request("POST", path, JSON, body).await?.json()?;
        if self.dry_run {
            println!(
                "{}",
                if self.json {
                    answer.to_string()
                } else {
                    counted(&answer)
                }
            );
            return Ok(ExitCode::SUCCESS);
        }
        let job = if self.no_wait {
            answer
        } else {
            follow(access, answer).await?
        };
        println!("{}", if self.json { job.to_string() } else { told(&job) });
        let is_cancelled = job["state"] == json!("cancelled");
        Ok(if is_cancelled || number(&job, "failed") > 0 {
            ExitCode::from(EXIT_FAILURE)
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Reads a time, or how long ago it was.
pub(super) fn time(text: Option<&str>) -> anyhow::Result<Option<Value>> {
    let Some(text) = text else { return Ok(None) };
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => match parse_duration(text) {
            Some(ago) => SystemClock.now() - ago,
            None => bail!(
                "{text:?} is no time; use one such as 2026-01-31T15:00:00Z, or how long ago, such as 2h"
            ),
        },
    };
    Ok(Some(json!(time.to_string())))
}

fn counted(answer: &Value) -> String {
    let count = number(answer, "count");
    let at_least = if answer["complete"] == json!(true) {
        ""
    } else {
        "at least "
    };
    let mut line = format!("{at_least}{count}");
    if let (Some(oldest), Some(newest)) = (answer["oldest"].as_str(), answer["newest"].as_str()) {
        line.push_str(&format!(", from {oldest} to {newest}"));
    }
    if let Some(bytes) = answer["bytes"].as_u64() {
        line.push_str(&format!(", {bytes} bytes"));
    }
    line
}

fn told(job: &Value) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let (done, failed) = (number(job, "done"), number(job, "failed"));
    let not = if failed > 0 {
        format!(", {failed} could not be")
    } else {
        String::new()
    };
    // How a retry ends is not known yet.
    let verb = match text("kind") {
        "retry" => "set off",
        _ => "done",
    };
    format!(
        "{} of {} is {}: {done} {verb}{not}",
        text("id"),
        text("kind"),
        text("state")
    )
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// Follows a job to its end.
async fn follow(access: &Access, mut job: Value) -> anyhow::Result<Value> {
    let id = job["id"].as_str().context("the relay named no job")?.to_owned();
    let shown = Shown::new(&job);
    let mut looks = 0;
    while job["state"] == json!("running") {
        tokio::time::sleep(LOOK).await;
        looks += 1;
        job = access
            .request("GET", &format!("/v1/jobs/{id}"), JSON, Vec::new())
            .await?
            .json()?;
        shown.update(&job, looks);
    }
    shown.end();
    Ok(job)
}

/// A bar on a terminal, else a line now and then.
enum Shown {
    Bar(ProgressBar),
    Lines,
}

impl Shown {
    fn new(job: &Value) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = match job["total"].as_u64() {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {per_sec}, {eta} left");
        Self::Bar(style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)))
    }

    #[expect(clippy::print_stderr, reason = "how far it has come; results go to stdout")]
    fn update(&self, job: &Value, looks: u32) {
        let position = number(job, "done") + number(job, "failed");
        match self {
            Self::Bar(bar) => bar.set_position(position),
            Self::Lines if looks.is_multiple_of(LOOKS_PER_LINE) => match job["total"].as_u64() {
                Some(total) => eprintln!("{position} of {total}"),
                None => eprintln!("{position}"),
            },
            Self::Lines => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
