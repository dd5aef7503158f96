//! This program started again in another role, and the lines of JSON it says.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::process::Process;

/// Longer than any load; a worker that is silent for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// Writes one line for the benchmark that started this process.
pub(super) fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A running worker and both ends of its pipes.
#[derive(Debug)]
pub(super) struct Worker {
    pub process: Process,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts this program with `arguments`.
    pub(super) fn start(name: &'static str, arguments: &[OsString]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start(name, command)?;
        let (stdin, stdout) = process.pipes().context("the worker has no pipes")?;
        Ok(Self {
            process,
            stdin,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// The next line it says.
    pub(super) async fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let name = self.process.name();
        let next = tokio::time::timeout(SILENCE_MAX, self.lines.next_line()).await;
        let Some(line) = next.with_context(|| format!("the {name} says nothing any more"))?? else {
            bail!("the {name} ended before it was done");
        };
        serde_json::from_str(&line).with_context(|| format!("the {name} said {line:?}"))
    }

    /// Asks one line and hears the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, question: &str) -> anyhow::Result<T> {
        self.stdin.write_all(format!("{question}\n").as_bytes()).await?;
        self.stdin.flush().await?;
        self.hear().await
    }
}
