//! `relay plugin versions`: what was uploaded to a relay that runs.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::push::told;
use super::rollout::{at, word};
use crate::cli::client::Access;

#[derive(Debug, Args)]
pub(in crate::cli) struct Versions {
    #[command(flatten)]
    access: Access,
    /// The plugin; without it, all that were uploaded or are in the operator's folder
    name: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Versions {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let path = match &self.name {
            Some(name) => at(name, "versions"),
            None => "/v1/plugins".to_owned(),
        };
        let answer = self.access.read(&path).await?;
        let found = told(&answer.json(), &answer.body)?;
        let rows = found["data"].as_array().into_iter().flatten();
        // Those that come with the relay are the same everywhere.
        let rows: Vec<_> = rows.filter(|row| word(row, "from") != "stock").collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else if rows.is_empty() {
            println!("none yet; `relay plugin push` uploads one");
        } else {
            let line = if self.name.is_some() { version } else { plugin };
            for row in rows {
                println!("{}", line(row));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A plugin, for people.
fn plugin(row: &Value) -> String {
    let state = match row["unusable"].as_str() {
        Some(why) => format!("cannot be used: {why}"),
        None => format!("used by {}", row["used_by"]),
    };
    format!(
        "{:24} {} {:6} {state}",
        word(row, "name"),
        short(row),
        word(row, "from")
    )
}

/// A version of a plugin, for people.
fn version(row: &Value) -> String {
    let stands = ["current", "before"]
        .into_iter()
        .filter(|key| row[*key] == json!(true));
    let tags = row["tags"].as_array().into_iter().flatten();
    let mut states: Vec<_> = stands
        .chain(tags.filter_map(Value::as_str))
        .map(str::to_owned)
        .collect();
    if let Some(count) = row["pinned_by"].as_u64().filter(|count| *count > 0) {
        states.push(format!("pinned by {count}"));
    }
    let line = format!("{} {:24} {}", short(row), word(row, "made_at"), states.join(", "));
    line.trim_end().to_owned()
}

/// As much of a version as is enough to name it: `sha256:` and twelve digits.
fn short(row: &Value) -> &str {
    const CHARS: usize = 19;
    let version = word(row, "version");
    version.get(..CHARS).unwrap_or(version)
}
