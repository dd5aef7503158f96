//! `relay plugin`

mod project;
mod build;
mod new;
mod watch;
mod subject;
mod host;
mod diff;
mod given;
mod timings;
mod inspect;
mod run;
mod test;
mod bench;
mod backtest;
mod push;
mod rollout;
mod versions;
mod sign;

use std::process::ExitCode;

use clap::Subcommand;

use super::EXIT_FAILURE;
use crate::plugins::{Plugins, stock};

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// Makes the folder of a plugin that builds and whose tests pass
    #[command(after_help = "Example:\n  relay plugin new only-paid --lang rust --hook transform")]
    New(new::New),
    /// Builds a plugin's component
    #[command(
        after_help = "Example:\n  relay plugin build only-paid\n  relay plugin build only-paid --push --promote --watch\n\nThe component is put into the plugin's folder, as only-paid.wasm."
    )]
    Build(Box<build::Build>),
    /// Runs a plugin's fixtures as a relay would
    #[command(
        after_help = "Example:\n  relay plugin test only-paid\n  relay plugin test only-paid --watch\n  relay plugin test redact-fields --fixtures plugins/redact-fields/tests\n\nFixtures are the files tests/*.json. Exit code 1 if one does not hold."
    )]
    Test(test::Test),
    /// Measures what a call of a plugin costs, beside the build before and a plugin that does nothing
    #[command(
        after_help = "Example:\n  relay plugin bench only-paid\n  relay plugin bench redact-fields --event event.json --config '{\"mask\": [\"/phone\"]}'\n\nInstructions are counted in a run of their own (fuel): they are the same on every machine."
    )]
    Bench(bench::Bench),
    /// Runs a candidate on the stored events of an endpoint and shows what would change
    #[command(
        after_help = "Example:\n  relay plugin backtest only-paid --endpoint crm --since 7d\n\nNothing is sent and nothing is changed: plugins run here, in this process. Exit code 1 if the candidate fails on an event that does not fail now."
    )]
    Backtest(Box<backtest::Backtest>),
    /// Lists the plugins that come with the relay
    List,
    /// Shows a plugin's hooks, powers and configuration without running it
    #[command(
        after_help = "Example:\n  relay plugin inspect redact-fields\n  relay plugin inspect only-paid/only-paid.wasm"
    )]
    Inspect(inspect::Inspect),
    /// Runs a plugin on one event and shows what it makes of it
    #[command(
        after_help = "Example:\n  relay plugin run redact-fields event.json --config '{\"mask\": [\"/phone\"]}'\n\nThe file holds an event ({\"type\": …, \"data\": …}) or a fixture ({\"hook\", \"event\" or \"request\", \"config\", \"secrets\"})."
    )]
    Run(run::Run),
    /// Uploads a plugin to a relay that runs
    #[command(
        after_help = "Example:\n  relay plugin push only-paid/only-paid.wasm --promote\n\nThe first version of a name is current at once. Later ones are when they are promoted; until then they are used where they are named: { use = \"only-paid@sha256:…\" }."
    )]
    Push(push::Push),
    /// Lists the plugins that were uploaded to a relay, or the versions of one
    #[command(
        after_help = "Example:\n  relay plugin versions\n  relay plugin versions only-paid\n\n`relay plugin list` shows those that come with the relay."
    )]
    Versions(versions::Versions),
    /// Shows how a version that is tried does, or ends that
    #[command(
        after_help = "Example:\n  relay plugin push only-paid.wasm --canary 10\n  relay plugin rollout only-paid\n  relay plugin promote only-paid\n\nA version that fails too often is taken back by itself."
    )]
    Rollout(rollout::Rollout),
    /// Makes a version of a plugin current: one that is named, or the one that is rolled out
    Promote(rollout::Promote),
    /// Makes the version of a plugin current again that was so before
    Rollback(rollout::Rollback),
    /// Lists the tags of a plugin, moves one, or takes one away
    #[command(
        after_help = "Example:\n  relay plugin tag only-paid\n  relay plugin tag only-paid beta sha256:0123456789ab\n\n{ use = \"only-paid@beta\" } follows the tag."
    )]
    Tag(rollout::Tag),
    /// Makes a pair of keys to sign plugins with: the private one into a file, the public one is shown
    Keygen(sign::Keygen),
    /// Signs a plugin: the signature is put beside it, as FILE.sig
    #[command(
        after_help = "Example:\n  relay plugin keygen publisher.key\n  relay plugin sign plugins/only-paid.wasm --sign-with publisher.key\n\nA relay with `[plugins] publishers = [\"whpk_…\"]` takes no others."
    )]
    Sign(sign::Sign),
}

impl Plugin {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run().await,
            Self::Test(test) => test.run().await,
            Self::Bench(bench) => bench.run().await,
            Self::Backtest(backtest) => backtest.run().await,
            Self::List => list(),
            Self::Inspect(inspect) => inspect.run().await,
            Self::Run(run) => run.run().await,
            Self::Push(push) => push.run().await,
            Self::Versions(versions) => versions.run().await,
            Self::Rollout(rollout) => rollout.run().await,
            Self::Promote(promote) => promote.run().await,
            Self::Rollback(rollback) => rollback.run().await,
            Self::Tag(tag) => tag.run().await,
            Self::Keygen(keygen) => keygen.run(),
            Self::Sign(sign) => sign.run(),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn list() -> anyhow::Result<ExitCode> {
    for name in stock::names() {
        let bytes = stock::find(name).unwrap_or_default();
        let found = Plugins::inspect(bytes, name)?;
        println!("{name:18} {}", found.manifest.description.unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}
