//! `relay backup` and `relay restore`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{ConfigFile, check};
use crate::config::Place;
use crate::store::sqlite::{self, Copied};

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    file: ConfigFile,
    /// The file to be made
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    file: ConfigFile,
    /// The file that `relay backup` made
    from: PathBuf,
}

impl Backup {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let store = store(&self.file)?;
        let copied = sqlite::back_up(&store, &self.to)
            .with_context(|| format!("{} was not backed up", store.display()))?;
        println!("{}: {}", self.to.display(), told(&copied));
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let store = store(&self.file)?;
        let copied = sqlite::restore(&self.from, &store)
            .with_context(|| format!("{} was not restored", store.display()))?;
        println!("{}: {}", store.display(), told(&copied));
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the configuration has the store.
fn store(file: &ConfigFile) -> anyhow::Result<PathBuf> {
    match check::load(file)?.store.place {
        Place::Sqlite(path) => Ok(path),
        Place::Memory => bail!("store.url is \"memory:\", which keeps nothing"),
    }
}

fn told(copied: &Copied) -> String {
    let Copied {
        bytes,
        events,
        schema,
        master_keys,
    } = copied;
    let sealed = match master_keys.as_slice() {
        [] => "nothing in it is sealed".to_owned(),
        keys => format!(
            "sealed with the master key {}, which it needs and does not hold",
            keys.join(" and ")
        ),
    };
    format!("{events} events, {bytes} bytes, schema {schema}; {sealed}")
}
