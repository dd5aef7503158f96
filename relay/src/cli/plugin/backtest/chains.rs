//! The plugins of an endpoint, as they are and with the candidate in its place.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::cli::client::Access;
use crate::cli::plugin::host::Host;
use crate::cli::plugin::run::owner;
use crate::cli::plugin::subject::Component;
use crate::config::definition;
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::plugin::{Choice, PluginUse, Version};
use crate::model::secret::Secret;
use crate::plugins::{Chain, Owner, Plugins};
use crate::route::table::Table;

/// How long a call may take at least: this machine is busier than a relay's, and what is slow is
/// told anyway.
const TIME_MIN: Duration = Duration::from_secs(1);
/// The power that lets a plugin remember.
const STATE: &str = "state";
/// The power that lets it send requests.
const HTTP: &str = "http";

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) endpoint: &'a str,
    pub(super) replaces: Option<&'a str>,
    pub(super) config: Option<&'a str>,
    pub(super) secrets: &'a [String],
}

/// Both chains, and who wants what they are run on.
pub(super) struct Chains {
    pub(super) before: Chain,
    pub(super) after: Chain,
    table: Table,
    /// Name and version of the candidate.
    pub(super) candidate: String,
    /// The same of what it takes the place of; `None`: it is one more.
    pub(super) in_use: Option<String>,
    /// Whether a plugin remembers anything.
    pub(super) has_state: bool,
    pub(super) warnings: Vec<String>,
}

impl Chains {
    /// Whether the endpoint wants an event.
    pub(super) fn wants(&self, event: &Event) -> bool {
        !self.table.route(event, Some(&event.envelope.source)).is_empty()
    }
}

/// A use in a chain with its component.
#[derive(Clone)]
struct Link {
    used: PluginUse,
    component: Bytes,
}

/// Asks a relay for an endpoint and its plugins. Nothing there is changed.
pub(super) async fn make(
    access: &Access,
    host: &Host,
    candidate: Component,
    asked: Asked<'_>,
) -> anyhow::Result<Chains> {
    let path = format!("/v1/endpoints/{}", asked.endpoint);
    let shown = access.read(&path).await?.json()?;
    let mut keys = shown
        .as_object()
        .cloned()
        .context("the relay showed no endpoint")?;
    let missing = grant(&mut keys, asked.secrets)?;
    let read = definition::trial(&keys).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the endpoint cannot be read here: {}", faults.join("; "))
    })?;
    let endpoint = read.item;
    let mut links = Vec::with_capacity(endpoint.plugins.len());
    for used in &endpoint.plugins {
        links.push(link(access, used).await?);
    }
    let found = Plugins::inspect(&candidate.bytes, &candidate.name)
        .map_err(|why| anyhow::anyhow!("{} {why}", candidate.name))?;
    let place = place(&links, &asked, &[&found.manifest.name, &candidate.name])?;
    let config: Option<Value> = asked
        .config
        .map(serde_json::from_str)
        .transpose()
        .context("--config is no JSON")?;
    let version = |component: &[u8]| short(&Version::of(component).to_string());
    let in_use = place.map(|at| format!("{}@{}", links[at].used.name, version(&links[at].component)));
    let shown = format!("{}@{}", found.manifest.name, version(&candidate.bytes));
    let mut with_candidate = links.clone();
    match place {
        Some(at) => {
            let link = &mut with_candidate[at];
            link.component = candidate.bytes;
            link.used.config = config.unwrap_or_else(|| link.used.config.clone());
        }
        None => with_candidate.push(Link {
            used: PluginUse {
                name: candidate.name,
                pin: None,
                config: config.unwrap_or_else(|| json!({})),
                secrets: secrets(asked.secrets)?
                    .into_iter()
                    .map(|(name, value)| (name, Secret::new(value)))
                    .collect(),
                // There is no owner's word on it yet.
                granted: found.manifest.all_granted(),
                limits: Default::default(),
                reuse: true,
            },
            component: candidate.bytes,
        }),
    }
    let has = |wanted: &str| {
        with_candidate.iter().chain(&links).any(|link| {
            Plugins::inspect(&link.component, "")
                .is_ok_and(|found| found.powers.iter().any(|power| power == wanted))
        })
    };
    let has_state = has(STATE);
    let warnings = warnings(&missing, has_state, has(HTTP));
    Ok(Chains {
        before: bind(host, links, &endpoint, 1).await.context("as it is")?,
        after: bind(host, with_candidate, &endpoint, 2)
            .await
            .context("with the candidate")?,
        table: table(endpoint)?,
        candidate: shown,
        in_use,
        has_state,
        warnings,
    })
}

/// Puts the secrets that are at hand where the relay shows only that there is one, and takes the
/// others away; their names.
fn grant(keys: &mut Map<String, Value>, given: &[String]) -> anyhow::Result<Vec<String>> {
    let given = secrets(given)?;
    let mut missing = Vec::new();
    let uses = keys.get_mut("plugins").and_then(Value::as_array_mut);
    for used in uses.into_iter().flatten() {
        let Some(granted) = used.get_mut("secrets").and_then(Value::as_object_mut) else {
            continue;
        };
        granted.retain(|name, value| {
            let found = given.iter().find(|(known, _)| known == name);
            match found {
                Some((_, secret)) => *value = json!(secret),
                None => missing.push(name.clone()),
            }
            found.is_some()
        });
    }
    Ok(missing)
}

/// Reads `NAME=env:VARIABLE` and `NAME=file:PATH`: a value would be seen by whoever lists processes.
fn secrets(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let read = |text: &String| {
        let (name, place) = text.split_once('=').context("--secret wants NAME=env:VARIABLE")?;
        let secret = match place.split_once(':') {
            Some(("env", variable)) => std::env::var(variable)
                .with_context(|| format!("the variable {variable} of --secret {name} is not set"))?,
            Some(("file", path)) => std::fs::read_to_string(path)
                .with_context(|| format!("the file {path} of --secret {name} cannot be read"))?
                .trim_end_matches(['\n', '\r'])
                .to_owned(),
            _ => bail!("--secret {name} wants env:VARIABLE or file:PATH behind the `=`"),
        };
        Ok((name.to_owned(), secret))
    };
    given.iter().map(read).collect()
}

async fn link(access: &Access, used: &PluginUse) -> anyhow::Result<Link> {
    let name = &used.name;
    let version = match &used.pin {
        Some(Choice::Version(pin)) => pin.to_string(),
        other => {
            let plugin = access.read(&format!("/v1/plugins/{name}")).await?.json()?;
            let version = match other {
                Some(tag) => &plugin["tags"][tag.to_string()],
                None => &plugin["version"],
            };
            version
                .as_str()
                .with_context(|| format!("the plugin {name} cannot be used by the relay"))?
                .to_owned()
        }
    };
    let answer = access
        .read(&format!("/v1/plugins/{name}/versions/{version}"))
        .await?;
    if answer.status != 200 {
        answer
            .json()
            .with_context(|| format!("the component of {name}"))?;
    }
    Ok(Link {
        used: used.clone(),
        component: answer.body,
    })
}

/// Which use the candidate takes the place of; `None`: the chain is empty.
fn place(links: &[Link], asked: &Asked<'_>, names: &[&str]) -> anyhow::Result<Option<usize>> {
    let at = |name: &str| links.iter().position(|link| link.used.name == name);
    if let Some(name) = asked.replaces {
        let place = at(name);
        return match place {
            Some(_) => Ok(place),
            None => bail!("the endpoint {} does not use {name}", asked.endpoint),
        };
    }
    if let Some(place) = names.iter().find_map(|name| at(name)) {
        return Ok(Some(place));
    }
    match links {
        [] => Ok(None),
        [_] => Ok(Some(0)),
        _ => {
            let uses: Vec<_> = links.iter().map(|link| link.used.name.as_str()).collect();
            bail!(
                "the endpoint {} uses {}: say with --replaces which of them the candidate takes the place of",
                asked.endpoint,
                uses.join(", ")
            )
        }
    }
}

fn warnings(missing: &[String], has_state: bool, has_http: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !missing.is_empty() {
        warnings.push(format!(
            "the relay keeps secrets to itself; plugins run without: {} (give them with --secret NAME=env:VARIABLE)",
            missing.join(", ")
        ));
    }
    if has_state {
        warnings.push("a plugin keeps state: both begin without any, and events run one by one".to_owned());
    }
    if has_http {
        warnings.push("a plugin sends requests: none leaves from here, and it is told so".to_owned());
    }
    warnings
}

/// `owner` keeps the state of the two chains apart.
async fn bind(host: &Host, links: Vec<Link>, endpoint: &Endpoint, id: i64) -> anyhow::Result<Chain> {
    let mut bound = Vec::with_capacity(links.len());
    for Link { mut used, component } in links {
        used.limits.time = used.limits.time.max(TIME_MIN);
        let owner = Owner { id, ..owner() };
        bound.push(host.plugins.bind_component(component, &used, owner).await?);
    }
    Ok(Chain::new(bound, endpoint.on_fault))
}

fn table(endpoint: Endpoint) -> anyhow::Result<Table> {
    let endpoints = vec![std::sync::Arc::new(endpoint)];
    Table::build(endpoints).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(faults.join("; "))
    })
}

/// As much of a version as people read.
fn short(version: &str) -> String {
    version.chars().take("sha256:".len() + 12).collect()
}
