//! `relay plugin keygen` and `relay plugin sign`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::crypto::standard_webhooks::SigningKey;
use crate::model::plugin::Version;
use crate::model::publisher;
use crate::model::secret::Secret;

#[derive(Debug, Args)]
pub(in crate::cli) struct Keygen {
    /// The file that the private key is put into; it must not be there yet
    file: PathBuf,
}

impl Keygen {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let secret = SigningKey::generate().asymmetric;
        let public = SigningKey::parse(&secret).ok().and_then(|key| key.public());
        let public = public.context("the key that was made is none")?;
        let file = self.file.display();
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&self.file);
        let mut opened = opened.with_context(|| format!("cannot make {file}"))?;
        writeln!(opened, "{}", secret.reveal()).with_context(|| format!("cannot write {file}"))?;
        println!("{public}");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Sign {
    /// The file with the component
    file: PathBuf,
    /// The file with the private key
    #[arg(long, value_name = "FILE")]
    sign_with: PathBuf,
}

impl Sign {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let file = self.file.display();
        let component = std::fs::read(&self.file).with_context(|| format!("cannot read {file}"))?;
        let signature = signature(&self.sign_with, &component)?;
        let beside = format!("{file}.sig");
        std::fs::write(&beside, format!("{signature}\n"))
            .with_context(|| format!("cannot write {beside}"))?;
        println!("{beside}");
        Ok(ExitCode::SUCCESS)
    }
}

/// The signature of a component with the key in a file.
pub(super) fn signature(key: &Path, component: &[u8]) -> anyhow::Result<String> {
    let file = key.display();
    let text = std::fs::read_to_string(key).with_context(|| format!("cannot read {file}"))?;
    let signed = publisher::sign(&Secret::new(text), &Version::of(component));
    signed.map_err(|why| anyhow!("what is in {file} {why}"))
}
