//! `relay plugin rollout`, `promote`, `rollback` and `tag`: which version is used.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::push::{shown, shown_as, told};
use crate::cli::client::Access;

/// Differences that people are shown.
const DIFFERENCES_MAX: usize = 5;

#[derive(Debug, Args)]
pub(in crate::cli) struct Rollout {
    #[command(flatten)]
    access: Access,
    /// The plugin
    name: String,
    /// Ends it; what is current stays so
    #[arg(long)]
    abort: bool,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Rollout {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let path = at(&self.name, "rollout");
        if self.abort {
            let answer = self.access.change("DELETE", &path, None, None).await?;
            told(&answer.json(), &answer.body)?;
            println!("ended");
            return Ok(ExitCode::SUCCESS);
        }
        let answer = self.access.read(&path).await?;
        let rollout = told(&answer.json(), &answer.body)?;
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&rollout)?),
            false => println!("{}", standing(&rollout)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Promote {
    #[command(flatten)]
    access: Access,
    /// The plugin, or NAME@VERSION
    name: String,
    /// The version, `sha256:…`; without it the candidate that is rolled out
    version: Option<String>,
}

impl Promote {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (name, version) = self.named();
        let (path, body) = match version {
            Some(version) => (at(name, "promote"), Some(json!({"version": version}))),
            None => (at(name, "rollout/promote"), None),
        };
        let answer = self.access.change("POST", &path, None, body.as_ref()).await?;
        println!(
            "{}",
            shown_as(&told(&answer.json(), &answer.body)?, "is current now")
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Promote {
    /// The plugin, and its version if one is named: by itself, or as it is where it is used.
    fn named(&self) -> (&str, Option<&str>) {
        match (&self.version, self.name.split_once('@')) {
            (Some(version), _) => (&self.name, Some(version)),
            (None, Some((name, version))) => (name, Some(version)),
            (None, None) => (&self.name, None),
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rollback {
    #[command(flatten)]
    access: Access,
    /// The plugin
    name: String,
}

impl Rollback {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let path = at(&self.name, "rollback");
        let answer = self.access.change("POST", &path, None, None).await?;
        println!(
            "{}",
            shown_as(&told(&answer.json(), &answer.body)?, "is current again")
        );
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Tag {
    #[command(flatten)]
    access: Access,
    /// The plugin
    name: String,
    /// The tag; without it all are listed
    tag: Option<String>,
    /// The version that it is to stand for, `sha256:…`; without it the tag is taken away
    version: Option<String>,
}

impl Tag {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let access = &self.access;
        let Some(tag) = &self.tag else {
            let answer = access.read(&at(&self.name, "tags")).await?;
            let tags = told(&answer.json(), &answer.body)?;
            for tag in tags["data"].as_array().into_iter().flatten() {
                println!("{:16} {}", word(tag, "tag"), word(tag, "version"));
            }
            return Ok(ExitCode::SUCCESS);
        };
        match &self.version {
            Some(version) => {
                let version = put_tag(access, &self.name, tag, version).await?;
                println!("{}", shown(&version, false));
            }
            None => {
                let path = at(&self.name, &format!("tags/{}", encoded(tag)));
                let answer = access.change("DELETE", &path, None, None).await?;
                told(&answer.json(), &answer.body)?;
                println!("taken away");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Has a tag stand for a version; answers with the version.
pub(super) async fn put_tag(access: &Access, name: &str, tag: &str, version: &str) -> anyhow::Result<Value> {
    let path = at(name, &format!("tags/{}", encoded(tag)));
    let wanted = json!({"version": version});
    let answer = access.change("PUT", &path, None, Some(&wanted)).await?;
    told(&answer.json(), &answer.body)
}

/// Begins to try a version.
pub(super) async fn begin(access: &Access, name: &str, wanted: &Value) -> anyhow::Result<Value> {
    let path = at(name, "rollout");
    let answer = access.change("POST", &path, None, Some(wanted)).await?;
    told(&answer.json(), &answer.body)
}

/// Where something of a plugin is.
pub(super) fn at(name: &str, what: &str) -> String {
    format!("/v1/plugins/{}/{what}", encoded(name))
}

fn encoded(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

pub(super) fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// A roll-out, for people.
pub(super) fn standing(rollout: &Value) -> String {
    let mut lines = vec![format!(
        "{}@{} {}, {} % of the deliveries, beside {}",
        word(rollout, "name"),
        word(rollout, "version"),
        word(rollout, "mode"),
        rollout["percent"],
        word(rollout, "before")
    )];
    if let Some(until) = rollout["watched_until"].as_str() {
        lines.push(format!("promoted; watched until {until}"));
    }
    let counted = &rollout["counted"];
    if counted.is_null() {
        lines.push("nobody follows it: there is nothing to count".to_owned());
        return lines.join("\n");
    }
    // A shadow's calls are those that were compared, until it is promoted.
    let is_shadow = rollout["mode"] == "shadow" && rollout["watched_until"].is_null();
    let sides = if is_shadow {
        &["before"][..]
    } else {
        &["before", "candidate"]
    };
    for side in sides {
        let calls = &counted[side];
        lines.push(format!(
            "{side:9} {} calls, {} broke",
            calls["calls"], calls["faults"]
        ));
    }
    let words = [
        "same", "changed", "dropped", "passed", "failed", "mended", "slower", "skipped",
    ];
    let counts = words.map(|word| format!("{word} {}", counted["compared"][word]));
    if rollout["mode"] == "shadow" {
        lines.push(format!("compared  {}", counts.join(", ")));
    }
    let differences = counted["differences"].as_array().into_iter().flatten();
    for difference in differences.take(DIFFERENCES_MAX) {
        lines.push(format!(
            "{} {}",
            word(difference, "delivery"),
            word(difference, "verdict")
        ));
        for change in difference["changes"].as_array().into_iter().flatten() {
            let side = |key: &str| change[key].as_str().unwrap_or("nothing").to_owned();
            let (before, after) = (side("before"), side("after"));
            lines.push(format!("  {}: {before} → {after}", word(change, "at")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_what_differs_and_where() {
        let calls = |calls, faults| json!({"calls": calls, "faults": faults});
        let rollout = json!({
            "name": "tidy", "version": "sha256:ab", "before": "sha256:cd", "mode": "shadow", "percent": 100,
            "counted": {
                "before": calls(9, 0), "candidate": calls(0, 0),
                "compared": {"same": 8, "changed": 1, "dropped": 0, "passed": 0, "failed": 0, "mended": 0,
                    "slower": 2, "skipped": 0},
                "differences": [{"delivery": "dlv_1", "verdict": "changed", "changes": [
                    {"at": "/emit/0/data/a", "before": null, "after": "1"}]}],
            },
        });
        let lines = [
            "tidy@sha256:ab shadow, 100 % of the deliveries, beside sha256:cd",
            "before    9 calls, 0 broke",
            "compared  same 8, changed 1, dropped 0, passed 0, failed 0, mended 0, slower 2, skipped 0",
            "dlv_1 changed",
            "  /emit/0/data/a: nothing → 1",
        ];
        assert_eq!(standing(&rollout), lines.join("\n"));
    }
}
