//! `relay openapi`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::receive;

#[derive(Debug, Args)]
pub(super) struct Openapi {}

impl Openapi {
    #[expect(clippy::unused_self, reason = "like every other command")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        out.write_all(&receive::document())?;
        out.write_all(b"\n")?;
        Ok(ExitCode::SUCCESS)
    }
}
