//! `relay-simulate`: simulates the whole relay from a seed; see `docs/simulation.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    relay_tests::simulate::main()
}
