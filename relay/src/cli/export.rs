//! `relay export`

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::client::Access;
use crate::config::document;
use crate::model::resource::Kind;

/// Definitions asked for at once.
const PAGE: usize = 50;

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Only what is of this kind
    #[arg(long, value_enum)]
    kind: Option<Wanted>,
    /// What the relay's configuration file declares, too
    #[arg(long)]
    all: bool,
    /// An overview for people, in Markdown, of everything: what it is, whose, what it is for
    #[arg(long)]
    inventory: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    Source,
    Endpoint,
    EventType,
    Rule,
    Alert,
}

impl Wanted {
    const fn kind(self) -> Kind {
        match self {
            Self::Source => Kind::Source,
            Self::Endpoint => Kind::Endpoint,
            Self::EventType => Kind::EventType,
            Self::Rule => Kind::Rule,
            Self::Alert => Kind::Alert,
        }
    }
}

/// One resource as it was defined.
type Definition = Map<String, Value>;

impl Export {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let kinds = self
            .kind
            .map_or_else(|| Kind::ALL.to_vec(), |wanted| vec![wanted.kind()]);
        let mut parts = Vec::new();
        for kind in kinds {
            let definitions = self.definitions(kind).await?;
            if self.inventory {
                parts.push(inventory(kind, &definitions));
            } else {
                parts.extend(definitions.iter().map(|keys| document::write(kind, keys)));
            }
        }
        print!("{}", parts.join("\n"));
        Ok(ExitCode::SUCCESS)
    }

    /// Those of a kind, oldest first.
    async fn definitions(&self, kind: Kind) -> anyhow::Result<Vec<Definition>> {
        let managed_by = if self.all || self.inventory { "all" } else { "api" };
        let path = format!(
            "/v1/definitions?kind={}&managed_by={managed_by}&limit={PAGE}",
            kind.section()
        );
        let mut definitions = Vec::new();
        let mut next = path.clone();
        loop {
            let page = self.access.read(&next).await?.json()?;
            let data = page["data"].as_array().into_iter().flatten();
            definitions.extend(data.filter_map(|keys| keys.as_object().cloned()));
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}&cursor={cursor}"),
                None => break,
            }
        }
        definitions.reverse();
        Ok(definitions)
    }
}

fn inventory(kind: Kind, definitions: &[Definition]) -> String {
    let title = match kind {
        Kind::Source => "Sources",
        Kind::Endpoint => "Endpoints",
        Kind::EventType => "Event types",
        Kind::Rule => "Rules",
        Kind::Alert => "Alerts",
        Kind::Tenant => "Tenants",
    };
    let mut text = format!("# {title}\n");
    for keys in definitions {
        text.push_str(&entry(keys));
    }
    text
}

/// What people look for first, then what tells one from another.
fn entry(keys: &Definition) -> String {
    let said = |key: &str| keys.get(key).filter(|value| !value.is_null());
    let mut text = format!(
        "\n## {}\n\n",
        said("name").and_then(Value::as_str).unwrap_or_default()
    );
    if let Some(description) = said("description").and_then(Value::as_str) {
        text.push_str(&format!("{}\n\n", one_line(description)));
    }
    for (key, label) in [
        ("owner", "Owner"),
        ("external_id", "External id"),
        ("tags", "Tags"),
        ("group", "Group"),
        ("url", "Sends to"),
        ("event_types", "Event types"),
        ("sources", "Sources"),
        ("preset", "Platform"),
        ("deprecated", "Deprecated"),
        ("validate", "Validated"),
    ] {
        if let Some(value) = said(key) {
            text.push_str(&format!("- {label}: {}\n", words(value)));
        }
    }
    if let Some(sample) = said("sample") {
        text.push_str(&format!("\n```json\n{sample:#}\n```\n"));
    }
    text
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
