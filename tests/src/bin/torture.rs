//! `relay-torture`: kills and power cuts, and a reckoning; see `docs/reliability.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    relay_tests::torture::run()
}
