//! `relay plugin push`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::{rollout, sign};
use crate::cli::client::Access;
use crate::plugins::Plugins;

#[derive(Debug, Args)]
pub(in crate::cli) struct Push {
    #[command(flatten)]
    access: Access,
    /// The file with the component
    file: PathBuf,
    /// What it is used by, in place of the name that its author gave it, or of the file's
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    then: Then,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// What becomes of it there.
#[derive(Debug, Default, Args)]
pub(super) struct Then {
    /// Makes it current, too
    #[arg(long)]
    promote: bool,
    /// Has a tag stand for it
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Compares it with the current version on the events that come, and uses nothing of it
    #[arg(long, conflicts_with_all = ["promote", "canary"])]
    shadow: bool,
    /// Has it used for so many percent of the deliveries
    #[arg(long, value_name = "PERCENT", conflicts_with = "promote", value_parser = clap::value_parser!(u8).range(1..=100))]
    canary: Option<u8>,
    /// Signs it with the private key in this file, which `relay plugin keygen` has made
    #[arg(long, value_name = "FILE")]
    sign_with: Option<PathBuf>,
}

impl Then {
    /// It becomes current, if that is wanted.
    pub(super) fn promote(promote: bool) -> Self {
        Self {
            promote,
            ..Self::default()
        }
    }
}

impl Push {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let file = self.file.display();
        if self.file.is_dir() {
            let file = file.to_string();
            let name = file.trim_end_matches('/');
            anyhow::bail!(
                "{name} is a folder; `relay plugin build {name} --push` builds and uploads it, and `relay plugin push` takes the component, NAME.wasm"
            );
        }
        let component = std::fs::read(&self.file).with_context(|| format!("cannot read {file}"))?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
                // What the relay would refuse is told without asking it.
                let found = Plugins::inspect(&component, &stem);
                found.map_err(|why| anyhow!("{file} {why}"))?.manifest.name
            }
        };
        let pushed = push(&self.access, &name, component, &self.then).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&pushed.version)?);
        } else {
            println!("{}", shown(&pushed.version, pushed.is_new));
            if let Some(rollout) = &pushed.rollout {
                println!("{}", rollout::standing(rollout));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What became of an upload.
pub(super) struct Pushed {
    /// As the relay shows it.
    pub(super) version: Value,
    pub(super) is_new: bool,
    /// The roll-out that was begun.
    rollout: Option<Value>,
}

/// Uploads a component, and has it used as is wanted.
pub(super) async fn push(
    access: &Access,
    name: &str,
    component: Vec<u8>,
    then: &Then,
) -> anyhow::Result<Pushed> {
    let signature = then
        .sign_with
        .as_deref()
        .map(|key| sign::signature(key, &component));
    let signature = signature.transpose()?;
    let plugin = name;
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let path = format!("/v1/plugins/{name}/versions");
    let answer = access
        .upload(&path, "application/wasm", signature, component)
        .await?;
    let (is_new, mut version) = (answer.status == 201, told(&answer.json(), &answer.body)?);
    if then.promote && version["current"] == json!(false) {
        let wanted = json!({"version": version["version"]});
        let path = format!("/v1/plugins/{name}/promote");
        let answer = access.change("POST", &path, None, Some(&wanted)).await?;
        version = told(&answer.json(), &answer.body)?;
    }
    let digest = version["version"].as_str().unwrap_or_default().to_owned();
    if let Some(tag) = &then.tag {
        version = rollout::put_tag(access, plugin, tag, &digest).await?;
    }
    let mode = match then.canary {
        Some(percent) => Some(json!({"version": digest, "mode": "canary", "percent": percent})),
        None => then.shadow.then(|| json!({"version": digest, "mode": "shadow"})),
    };
    // The first version of a name is current: there is nothing to try it beside.
    let mode = mode.filter(|_| version["current"] == json!(false));
    let rollout = match &mode {
        Some(wanted) => Some(rollout::begin(access, plugin, wanted).await?),
        None => None,
    };
    Ok(Pushed {
        version,
        is_new,
        rollout,
    })
}

/// The answer, or what the relay objected to: all of it.
pub(super) fn told(answer: &anyhow::Result<Value>, body: &[u8]) -> anyhow::Result<Value> {
    match answer {
        Ok(value) => Ok(value.clone()),
        Err(refused) => {
            let problem: Value = serde_json::from_slice(body).unwrap_or_default();
            let faults = problem["errors"].as_array().into_iter().flatten();
            let faults = faults.filter_map(|fault| fault["message"].as_str());
            let lines: Vec<_> = std::iter::once(refused.to_string())
                .chain(faults.map(str::to_owned))
                .collect();
            anyhow::bail!(lines.join("\n  "))
        }
    }
}

/// A version and who uses it, for people.
pub(super) fn shown(version: &Value, is_new: bool) -> String {
    let is_current = version["current"] == json!(true);
    let state = match (is_new, is_current) {
        (true, true) => "uploaded, current",
        (true, false) => "uploaded, not current: promote it, or name it where it is used",
        (false, true) => "there already, current",
        (false, false) => "there already, not current",
    };
    shown_as(version, state)
}

/// The same in other words.
pub(super) fn shown_as(version: &Value, state: &str) -> String {
    let word = |key: &str| version[key].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}@{} {state}", word("name"), word("version"))];
    let users = version["users"].as_array().cloned().unwrap_or_default();
    for user in &users {
        let word = |key: &str| user[key].as_str().unwrap_or_default();
        let how = match user["follows"] == json!(true) {
            true => String::new(),
            false => format!(", pinned to {}", pins(user)),
        };
        lines.push(format!("used by {} {}{how}", word("kind"), word("name")));
    }
    if users.is_empty() {
        lines.push("used by nobody yet".to_owned());
    }
    lines.join("\n")
}

fn pins(user: &Value) -> String {
    let pins = user["pins"].as_array().into_iter().flatten();
    let pins: Vec<_> = pins.filter_map(Value::as_str).collect();
    pins.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_became_of_it_and_who_uses_it() {
        let user = |name: &str, follows: bool, pins: &[&str]| json!({"kind": "endpoint", "name": name, "follows": follows, "pins": pins});
        let mut version = json!({
            "name": "tidy", "version": "sha256:ab", "current": true,
            "users": [user("crm", true, &[]), user("erp", false, &["sha256:cd"])],
        });
        assert_eq!(
            shown(&version, true),
            "tidy@sha256:ab uploaded, current\nused by endpoint crm\nused by endpoint erp, pinned to sha256:cd"
        );
        version["users"] = json!([]);
        version["current"] = json!(false);
        assert_eq!(
            shown(&version, false),
            "tidy@sha256:ab there already, not current\nused by nobody yet"
        );
    }
}
