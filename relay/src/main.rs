//! The `relay` program: arguments in, exit code out.

// All commands are one future, whose parts lie deep in each other.
#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser as _;
use relay::cli::{self, Cli};

/// Chosen by measurement: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `sysexits.h`: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Before there is a second thread: what it gives up is given up by thread.
    if cli.runs_plugins() {
        return cli::run_plugins();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&anyhow::Error::new(error).context("the runtime cannot start")),
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}

/// Whoever reads what is printed may have seen enough: `relay plugin list | head -1`.
fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

fn usage(error: &clap::Error) -> ExitCode {
    // Printing can only fail on a closed terminal, and then there is nobody to tell.
    error.print().ok();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
