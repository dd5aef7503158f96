//! `relay check`

use std::fmt;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::ConfigFile;
use crate::app::App;
use crate::config::reader::{Fault, Process};
use crate::config::{self, Config};

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

/// A configuration with faults.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) place: String,
    pub(super) faults: Vec<Fault>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(
            f,
            "{} has {count} fault{}:",
            self.place,
            if count == 1 { "" } else { "s" }
        )?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faulty {}

impl Check {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = load(&self.file)?;
        App::check(&config).await?;
        println!(
            "{}: {} sources, {} endpoints, {} rules, {} event types, no faults",
            place(&self.file),
            config.sources.len(),
            config.endpoints.len(),
            config.rules.len(),
            config.event_types.len()
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads the configuration that a command was given.
pub(super) fn load(file: &ConfigFile) -> anyhow::Result<Config> {
    let text = match &file.config {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => String::new(),
    };
    config::load(&text, &Process).map_err(|faults| {
        Faulty {
            place: place(file),
            faults,
        }
        .into()
    })
}

fn place(file: &ConfigFile) -> String {
    file.config.as_ref().map_or_else(
        || "the configuration".to_owned(),
        |path| path.display().to_string(),
    )
}
