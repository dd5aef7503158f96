//! The commands of the program. Results go to stdout, everything else to stderr.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::manage::Unusable;
use crate::plugins::{compile, worker};

mod apply;
mod backup;
mod check;
mod client;
mod demo;
mod export;
mod keys;
mod job;
mod listen;
mod openapi;
mod packs;
mod plugin;
mod reconcile;
mod replay;
mod retry;
mod samples;
mod send;
mod serve;
mod tail;
mod tunnel;

/// `sysexits.h`: something was found in an unconfigured or misconfigured state.
const EXIT_CONFIG: u8 = 78;
/// Anything else that went wrong.
const EXIT_FAILURE: u8 = 1;

/// Takes in the events of platforms, keeps them, and delivers them signed, filtered and
/// reshaped by WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "relay", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the relay
    #[command(after_help = "Example:\n  relay serve --config relay.toml")]
    Serve(serve::Serve),
    /// Plays sample events of five platforms through a relay of its own and shows what happens
    #[command(after_help = "Example:\n  relay demo --once")]
    Demo(demo::Demo),
    /// Shows every fault of a configuration at once
    #[command(
        after_help = "Example:\n  relay check --config relay.toml\n\nExit code 78 if there is a fault."
    )]
    Check(check::Check),
    /// Sends an event to a relay, or posts to a source as a known sender would
    #[command(
        after_help = "Example:\n  relay send invoice.paid --data '{\"amount\": 12}'\n  relay send message.received --data @message.json\n  cat events.ndjson | relay send invoice.paid --batch --data -\n  relay send push --as github --secret \"$GITHUB_WEBHOOK_SECRET\"\n  relay send --as slack --handshake --secret \"$SLACK_SIGNING_SECRET\""
    )]
    Send(Box<send::Send>),
    /// Tries deliveries again: by id, or all that a filter names
    #[command(
        after_help = "Example:\n  relay retry dlv_…\n  relay retry --endpoint crm --since 2h --dry-run\n  relay retry --error-class timeout --since 2026-01-31T15:00:00Z --rate 20/s"
    )]
    Retry(Box<retry::Retry>),
    /// Sends events again, as new deliveries: by id, or those of a time to one endpoint
    #[command(
        after_help = "Example:\n  relay replay evt_…\n  relay replay --endpoint crm --since 24h --type invoice.paid --dry-run"
    )]
    Replay(Box<replay::Replay>),
    /// Receives webhooks, prints them and verifies their signatures; or brings those of a relay
    /// elsewhere to this machine
    #[command(
        after_help = "Example:\n  relay listen --port 9000 --secret whsec_…\n  relay listen --port 9000 --respond 500\n  relay listen --from https://relay.example.com --forward http://127.0.0.1:3000/hook"
    )]
    Listen(Box<listen::Listen>),
    /// Shows what a relay does, as it does it
    #[command(after_help = "Example:\n  relay tail --endpoint crm --status failed")]
    Tail(tail::Tail),
    /// Compares the webhook ids that a receiver has with what should have come to it
    #[command(
        after_help = "Example:\n  relay reconcile --endpoint crm --since 2026-01-31T00:00:00Z --ids received.txt\n\nExit code 1 if something is missing."
    )]
    Reconcile(reconcile::Reconcile),
    /// Looks at plugins and tries them
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Compiles the component on stdin, within limits; the relay calls itself so
    #[command(name = compile::COMMAND, hide = true)]
    CompilePlugin,
    /// Runs plugins for the relay at the other end of stdin; the relay calls itself so
    #[command(name = worker::COMMAND, hide = true)]
    RunPlugins,
    /// Copies the store to a file, while a relay uses it or not
    #[command(
        after_help = "Example:\n  relay backup --config relay.toml /backups/relay-2026-01-31.db\n\nThe copy is of use only with the master key that the store is sealed with."
    )]
    Backup(backup::Backup),
    /// Puts a copy of the store in its place, which has to be empty
    #[command(after_help = "Example:\n  relay restore --config relay.toml /backups/relay-2026-01-31.db")]
    Restore(backup::Restore),
    /// Puts what a file says in force in a relay that runs
    #[command(
        after_help = "Example:\n  relay apply -f relay-resources.toml --dry-run\n  relay apply -f pack:whatsable\n  relay apply -f relay-resources.toml --url https://other.example\n\nIn what `relay export` writes, secrets are sealed: fill them in before it is applied to another relay.\n\nExit code 78 if there is a fault; then nothing was changed."
    )]
    Apply(apply::Apply),
    /// Writes what a relay that runs has, as a file that `apply` takes
    #[command(
        after_help = "Example:\n  relay export > relay-resources.toml\n  relay export --inventory > INVENTORY.md"
    )]
    Export(export::Export),
    /// Lists the packs of known platforms, or prints one
    #[command(after_help = "Example:\n  relay packs\n  relay packs whatsable > whatsable.toml")]
    Packs(packs::Packs),
    /// Makes, lists and revokes keys of a relay that runs
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Prints the OpenAPI document of everything that a relay answers over HTTP
    #[command(after_help = "Example:\n  relay openapi > openapi.json")]
    Openapi(openapi::Openapi),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file; without one, every setting has its default
    #[arg(long, short, value_name = "FILE", env = "RELAY_CONFIG")]
    config: Option<PathBuf>,
}

impl Cli {
    /// Whether the command is [`run_plugins`].
    pub const fn runs_plugins(&self) -> bool {
        matches!(self.command, Command::RunPlugins)
    }
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for [`fail`].
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(serve) => serve.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Check(check) => check.run().await,
        Command::Send(send) => send.run().await,
        Command::Retry(retry) => retry.run().await,
        Command::Replay(replay) => replay.run().await,
        Command::Listen(listen) => listen.run().await,
        Command::Tail(tail) => tail.run().await,
        Command::Reconcile(reconcile) => reconcile.run().await,
        Command::Plugin(plugin) => plugin.run().await,
        Command::CompilePlugin => Ok(compile_plugin()),
        Command::RunPlugins => Ok(run_plugins()),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Apply(apply) => apply.run().await,
        Command::Export(export) => export.run().await,
        Command::Packs(packs) => packs.run(),
        Command::Keys(keys) => keys.run().await,
        Command::Openapi(openapi) => openapi.run(),
    }
}

#[expect(clippy::print_stderr, reason = "the relay that called reads it there")]
fn compile_plugin() -> ExitCode {
    match compile::serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Runs plugins for the relay that started this process. Has to be called before there is a second thread.
#[expect(clippy::print_stderr, reason = "the worker has no other way to tell")]
pub fn run_plugins() -> ExitCode {
    match worker::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Says what went wrong, and how the program ends.
#[expect(clippy::print_stderr, reason = "the last words of the program")]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("relay: {error:#}");
    let is_config = error.is::<check::Faulty>() || error.is::<Unusable>();
    ExitCode::from(if is_config { EXIT_CONFIG } else { EXIT_FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
