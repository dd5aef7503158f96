//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{flip, kill, power_cut};
use crate::disk::Syncs;

/// Kills the relay, cuts the power under its store or damages its files, again and again, and
/// reckons up what was lost. Ends with exit code 1 if anything was.
#[derive(Debug, Parser)]
#[command(name = "relay-torture", version)]
struct Arguments {
    #[command(subcommand)]
    how: How,
}

#[derive(Debug, Subcommand)]
enum How {
    /// Kills a relay under load with SIGKILL and starts it again
    Kill(kill::Options),
    /// Cuts the power under the store, on a disk that loses what was not synced
    PowerCut {
        /// How many seeds to run
        #[arg(long, value_name = "N", default_value_t = 200)]
        seeds: u64,
        /// The first seed
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
    },
    /// Flips single bits in the files of a stopped store
    Flip {
        /// How many bits
        #[arg(long, value_name = "N", default_value_t = 100)]
        flips: usize,
        /// Decides which
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,
    },
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let is_sound = match arguments.how {
        How::Kill(options) => {
            let reckoning = runtime.block_on(kill::run(&options, say));
            say(&reckoning.to_string());
            reckoning.is_sound()
        }
        How::PowerCut { seeds, seed } => runtime.block_on(power_cuts(seed..seed + seeds)),
        How::Flip { flips, seed } => runtime.block_on(bit_flips(flips, seed)),
    };
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn power_cuts(seeds: std::ops::Range<u64>) -> bool {
    let (mut cuts, mut acknowledged, mut broken) = (0, 0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match power_cut::run(seed, Syncs::Kept).await {
            Ok(survived) => {
                cuts += survived.cuts;
                acknowledged += survived.acknowledged;
            }
            Err(what) => {
                broken += 1;
                say(&what);
            }
        }
    }
    say(&format!(
        "broken: {broken} seeds: {count} cuts: {cuts} acknowledged: {acknowledged}"
    ));
    broken == 0
}

async fn bit_flips(flips: usize, seed: u64) -> bool {
    match flip::run(flips, seed).await {
        Ok(done) => {
            done.faults.iter().for_each(|fault| say(fault));
            let (faults, found, harmless) = (done.faults.len(), done.found, done.harmless);
            say(&format!("faults: {faults} found: {found} harmless: {harmless}"));
            faults == 0
        }
        Err(error) => {
            say(&error);
            false
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the report of a program goes to standard output"
)]
fn say(line: &str) {
    println!("{line}");
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
