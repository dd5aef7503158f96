//! `relay-bench`: measures Relay beside nginx and a plain hyper proxy; see `docs/performance.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    relay_tests::bench::run()
}
