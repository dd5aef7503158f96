//! `relay plugin inspect`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::subject::Subject;
use crate::plugins::{Inspection, Need, Plugins};

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// A stock plugin's name, a file, or the folder of a plugin's source
    plugin: String,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Inspect {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let component = Subject::of(&self.plugin)?.component().await?;
        let found =
            Plugins::inspect(&component.bytes, &component.name).with_context(|| component.name.clone())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{}", described(&found)?);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn described(found: &Inspection) -> anyhow::Result<String> {
    let manifest = &found.manifest;
    let version = manifest.version.as_deref().unwrap_or("(no version)");
    let mut lines = vec![format!("{} {version}", manifest.name)];
    lines.extend(manifest.description.clone());
    let powers = found.powers.iter().map(String::as_str);
    let needs: Vec<_> = manifest.powers().map(need).collect();
    let secrets: Vec<_> = manifest.secrets().map(need).collect();
    let reuse = match manifest.reuse {
        true => "yes",
        false => "no: a fresh instance for every call",
    };
    let config = match &manifest.config {
        Some(schema) => serde_json::to_string_pretty(schema)?,
        None => "anything: it has no schema".to_owned(),
    };
    for (title, value) in [
        ("hooks", or_none(found.hooks.names().collect())),
        (
            "powers",
            or_none(powers.filter(|name| *name != "types").collect()),
        ),
        ("needs", or_none(needs.iter().map(String::as_str).collect())),
        ("secrets", or_none(secrets.iter().map(String::as_str).collect())),
        ("interface", format!("relay:plugin {}", found.wit)),
        ("reuse", reuse.to_owned()),
        ("size", format!("{} KiB", found.size.div_ceil(1024))),
        ("config", config),
    ] {
        lines.push(format!("{title:10} {value}"));
    }
    Ok(lines.join("\n"))
}

fn need(need: Need<'_>) -> String {
    match need.is_optional {
        true => format!("{} (optional)", need.name),
        false => need.name.to_owned(),
    }
}

pub(super) fn or_none(list: Vec<&str>) -> String {
    match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    }
}
