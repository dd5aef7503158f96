//! The command line, and the roles behind it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::scenario::{self, Scenario};
use super::{ask, generate, host, proxy, receiver};

/// Measures Relay beside nginx and a plain hyper proxy, and prints one table.
///
/// Example: relay-bench --quick --only nginx,no-plugin,redact-fields
#[derive(Debug, Parser)]
#[command(name = "relay-bench", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What is measured, and how long.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The relay to measure [default: `relay` beside this program]
    #[arg(long, value_name = "PATH")]
    pub relay: Option<PathBuf>,
    /// The nginx to compare with
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/nginx")]
    pub nginx: PathBuf,
    /// Short loads, one round: done within two minutes
    #[arg(long)]
    pub quick: bool,
    /// Also the long ones: 10,000 endpoints, a million stored events, a backlog of a million
    #[arg(long)]
    pub full: bool,
    /// Only these scenarios, by name
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub only: Vec<Scenario>,
    /// How often each throughput is measured; the median counts [default: 3, or 1 with --quick]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Seconds that each load is measured [default: 10, or 5 with --quick]
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Where the report is written; stores are kept beside it while they are measured
    #[arg(long, value_name = "FILE", default_value = "target/bench/report.json")]
    pub out: PathBuf,
    /// Events in the backlogs and stores of the long scenarios [default: 1000000, or 250000 for
    /// `api` with --quick]
    #[arg(long, value_name = "N")]
    stored: Option<u64>,
}

impl Options {
    /// The relay's program.
    pub(super) fn relay(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.relay {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("relay"),
        };
        path.canonicalize().with_context(|| {
            format!(
                "there is no relay at {}: build it, or name it with --relay",
                path.display()
            )
        })
    }

    /// How long a load runs before it is measured.
    pub(super) const fn warm_up(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 2 })
    }

    /// How long a load is measured.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 5.0 } else { 10.0 }))
    }

    /// Events in the backlogs and stores of the long scenarios.
    pub(super) fn stored(&self) -> u64 {
        self.stored.unwrap_or(1_000_000)
    }

    /// The same, of the scenario that measures more than one load on them.
    pub(super) fn stored_before_requests(&self) -> u64 {
        self.stored
            .unwrap_or(if self.quick { 250_000 } else { 1_000_000 })
    }

    /// How often each throughput is measured.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }
}

/// What else it does; mostly the other processes of a benchmark, which are this program again.
#[derive(Debug, Subcommand)]
enum Role {
    /// Measures the stock plugins and writes docs/plugins.md
    Catalogue {
        /// Leaves what a call costs as it is there
        #[arg(long)]
        unmeasured: bool,
    },
    /// Writes docs/plugin-interface.md from the prose in wit/
    Interface,
    /// Measures the plugin host by itself: what calls cost, how many there are in a second, and more
    Host(host::Options),
    /// Receives deliveries and notes when they came
    #[command(hide = true)]
    Receiver(receiver::Options),
    /// Sends events and notes when they were accepted
    #[command(hide = true)]
    Generate(generate::Options),
    /// Sends requests to the management API and notes when they were answered
    #[command(hide = true)]
    Ask(ask::Options),
    /// Passes requests on and does nothing else
    #[command(hide = true)]
    Proxy(proxy::Options),
}

/// Runs the benchmark, or the role that it started this process for.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        None => on_one_thread(bench(&arguments.options)),
        Some(Role::Catalogue { unmeasured }) => on_one_thread(catalogue(unmeasured)).map(|()| Verdict::Sound),
        Some(Role::Interface) => interface().map(|()| Verdict::Sound),
        Some(Role::Host(parts)) => host::run(&parts, &arguments.options).map(|()| Verdict::Sound),
        Some(Role::Receiver(options)) => on_one_thread(receiver::run(options)).map(|()| Verdict::Sound),
        Some(Role::Generate(options)) => on_one_thread(generate::run(options)).map(|()| Verdict::Sound),
        Some(Role::Ask(options)) => on_one_thread(ask::run(options)).map(|()| Verdict::Sound),
        Some(Role::Proxy(options)) => proxy::run(&options).map(|()| Verdict::Sound),
    };
    match done {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Faulty) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether every row can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound,
    Faulty,
}

/// Runs all scenarios; when interrupted, drops them, which ends what they have started.
async fn bench(options: &Options) -> anyhow::Result<Verdict> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = scenario::run(options) => done,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

/// Writes the page of the plugin interface.
fn interface() -> anyhow::Result<()> {
    let path = crate::interface::path();
    std::fs::write(&path, crate::interface::page()?)?;
    complain(&format!("wrote {}", path.display()));
    Ok(())
}

/// Writes the page that lists the stock plugins, measured by this build.
async fn catalogue(unmeasured: bool) -> anyhow::Result<()> {
    let path = crate::catalogue::path();
    let page = match unmeasured {
        true => crate::catalogue::corrected(&std::fs::read_to_string(&path)?),
        false => crate::catalogue::measured().await?,
    };
    std::fs::write(&path, page)?;
    complain(&format!("wrote {}", path.display()));
    Ok(())
}

fn on_one_thread<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(task)
}

/// Tells the person at the terminal how it goes.
#[expect(
    clippy::print_stderr,
    reason = "progress and errors of a program go to standard error"
)]
pub(super) fn complain(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
