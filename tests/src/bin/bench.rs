//! `relay-bench`: measures Relay beside nginx and a plain hyper proxy; see `docs/performance.md`.

use std::process::ExitCode;

/// The relay's own: what runs in this process is to cost what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    relay_tests::bench::run()
}
