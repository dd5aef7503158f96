//! `relay plugin build`

mod javascript;
mod language;
mod manifest;
mod python;
mod rust;
mod sdk;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use super::EXIT_FAILURE;
use super::inspect::or_none;
use super::project::Project;
use super::push;
use super::watch::Watch;
use crate::cli::client::Access;
use crate::plugins::{Inspection, Plugins};

pub(super) use language::{File, LANGUAGES, Language, New, USUAL, fill, language};

/// How a component is built that is to be used.
pub(super) const PROFILE: &str = "release";

#[derive(Debug, Args)]
pub(in crate::cli) struct Build {
    /// The plugin's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The profile it is built with, in languages that have some
    #[arg(long, default_value = PROFILE)]
    profile: String,
    /// Uploads it to a relay that runs
    #[arg(long)]
    push: bool,
    /// Makes it current there, too
    #[arg(long, requires = "push")]
    promote: bool,
    /// Builds again whenever something is saved
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    access: Access,
}

/// A component that was built, or was there.
pub(super) struct Built {
    pub(super) component: Vec<u8>,
    pub(super) inspection: Inspection,
    took: Duration,
}

impl Build {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let project = Project::open(&self.folder)?;
        project.language.check_tools(&project.folder)?;
        if !self.watch {
            self.once(&project).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut watch = Watch::start(&project.folder)?;
        loop {
            // What does not build now will after the next change.
            if let Err(error) = self.once(&project).await {
                let stays = if self.push {
                    "\nwhat was uploaded before stays as it is"
                } else {
                    ""
                };
                say(&format!("{error:#}{stays}"));
            }
            watch.changed().await;
            say(&format!("saved at {}", now()));
        }
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn once(&self, project: &Project) -> anyhow::Result<()> {
        let built = build(project, &self.profile).await?;
        println!("{}", shown(project, &built));
        if self.push {
            let started = Instant::now();
            let pushed = push::push(
                &self.access,
                &project.name,
                built.component,
                &push::Then::promote(self.promote),
            )
            .await?;
            println!("{}", push::shown(&pushed.version, pushed.is_new));
            println!(
                "built in {:.1} s, uploaded in {:.1} s",
                built.took.as_secs_f64(),
                started.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "the command goes on")]
pub(super) fn say(text: &str) {
    eprintln!("relay: {text}");
}

/// The time of day, in UTC: for lines that come one after the other.
fn now() -> String {
    jiff::Timestamp::now().strftime("%H:%M:%SZ").to_string()
}

/// Builds a plugin and puts its component into its folder. The one before it is kept.
pub(super) async fn build(project: &Project, profile: &str) -> anyhow::Result<Built> {
    let started = Instant::now();
    let (wanted, profile) = (project.clone(), profile.to_owned());
    let component = tokio::task::spawn_blocking(move || component(&wanted, &profile)).await??;
    let inspection = Plugins::inspect(&component, &project.name)
        .map_err(|why| anyhow::anyhow!("the component that was built {why}"))?;
    put(project, &component)?;
    Ok(Built {
        component,
        inspection,
        took: started.elapsed(),
    })
}

fn component(project: &Project, profile: &str) -> anyhow::Result<Vec<u8>> {
    if !project.language.knows_what_changed() && project.is_built() {
        let path = project.component();
        return std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    }
    if !project.language.knows_what_changed() {
        // Cargo says itself what it does.
        say(&format!("building {}", project.name));
    }
    project.language.build(project, profile)
}

/// Whole or not at all, and only if it is another than before.
fn put(project: &Project, component: &[u8]) -> anyhow::Result<()> {
    let path = project.component();
    let before = std::fs::read(&path).ok();
    if before.as_deref() == Some(component) {
        return Ok(());
    }
    if before.is_some() {
        keep(&path, &project.previous())?;
    }
    // Hidden, so that nobody takes it for a source that was saved.
    let draft = project.folder.join(format!(".{}.wasm", project.name));
    std::fs::write(&draft, component)
        .and_then(|()| std::fs::rename(&draft, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn keep(path: &Path, previous: &Path) -> anyhow::Result<()> {
    let Some(folder) = previous.parent() else {
        bail!("{} is in no folder", previous.display());
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::rename(path, previous))
        .with_context(|| format!("cannot keep {} as {}", path.display(), previous.display()))
}

fn shown(project: &Project, built: &Built) -> String {
    let path = project.component();
    let here = std::env::current_dir().ok();
    let near = here.and_then(|here| path.strip_prefix(here).ok());
    let inspection = &built.inspection;
    let powers = inspection.powers.iter().map(String::as_str);
    format!(
        "{}  {} KiB  hooks {}  powers {}",
        near.unwrap_or(&path).display(),
        inspection.size.div_ceil(1024),
        or_none(inspection.hooks.names().collect()),
        or_none(powers.filter(|name| *name != "types").collect())
    )
}

/// How the program ends if something did not go well.
pub(super) fn ended(is_well: bool) -> ExitCode {
    match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_FAILURE),
    }
}
