//! `relay plugin`

mod push;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::EXIT_FAILURE;
use crate::clock::{Clock, SystemClock};
use crate::model::draft::Draft;
use crate::model::event::{Envelope, Event, Header, is_json};
use crate::model::id::{DeliveryId, EventId, TenantId};
use crate::model::plugin::{Limits, OnFault, PluginUse};
use crate::model::secret::Secret;
use crate::plugins::{
    AuthRequest, Authenticated, Bound, Call, Chain, Chained, Owner, Plugins, Ran, Settings, stock,
};
use crate::store::Named;
use crate::store::memory::MemoryStore;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// Lists the plugins that come with the relay
    List,
    /// Shows a plugin's hooks, powers and configuration without running it
    #[command(
        after_help = "Example:\n  relay plugin inspect redact-fields\n  relay plugin inspect target/wasm32-wasip2/release/mine.wasm"
    )]
    Inspect(Inspect),
    /// Runs a plugin on one event and shows what it makes of it
    #[command(
        after_help = "Example:\n  relay plugin run redact-fields event.json --config '{\"mask\": [\"/phone\"]}'\n\nThe file holds an event ({\"type\": …, \"data\": …}) or a fixture ({\"hook\", \"event\" or \"request\", \"config\", \"secrets\"})."
    )]
    Run(Run),
    /// Uploads a plugin to a relay that runs
    #[command(
        after_help = "Example:\n  relay plugin push target/wasm32-wasip2/release/only_paid.wasm --name only-paid --promote\n\nThe first version of a name is current at once. Later ones are when they are promoted; until then they are used where they are named: { use = \"only-paid@sha256:…\" }."
    )]
    Push(push::Push),
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A stock plugin's name, or a file
    plugin: String,
    /// For machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// A stock plugin's name, or a file
    plugin: String,
    /// The file with the event or fixture
    event: PathBuf,
    /// The plugin's configuration, in place of the fixture's
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// A secret that is granted; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    secret: Vec<String>,
}

impl Plugin {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => list(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Run(run) => run.run().await,
            Self::Push(push) => push.run().await,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn list() -> anyhow::Result<ExitCode> {
    for name in stock::names() {
        let bytes = stock::find(name).unwrap_or_default();
        let found = Plugins::inspect(bytes, name)?;
        println!("{name:18} {}", found.manifest.description.unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

/// The component that a name or path stands for.
fn component(plugin: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let path = Path::new(plugin);
    if plugin.ends_with(".wasm") || path.components().count() > 1 {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {plugin}"))?;
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("plugin");
        return Ok((name.to_owned(), bytes));
    }
    match stock::find(plugin) {
        Some(bytes) => Ok((plugin.to_owned(), bytes.to_vec())),
        None => {
            let known: Vec<_> = stock::names().collect();
            bail!(
                "there is no stock plugin {plugin}; known: {}; a file is named by its path",
                known.join(", ")
            )
        }
    }
}

impl Inspect {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    fn run(self) -> anyhow::Result<ExitCode> {
        let (name, bytes) = component(&self.plugin)?;
        let found = Plugins::inspect(&bytes, &name).with_context(|| name.clone())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
            return Ok(ExitCode::SUCCESS);
        }
        let manifest = &found.manifest;
        let or_none = |list: Vec<&str>| {
            if list.is_empty() {
                "none".to_owned()
            } else {
                list.join(", ")
            }
        };
        println!(
            "{} {}",
            manifest.name,
            manifest.version.as_deref().unwrap_or("(no version)")
        );
        if let Some(description) = &manifest.description {
            println!("{description}");
        }
        println!("hooks      {}", or_none(found.hooks.names().collect()));
        println!(
            "powers     {}",
            or_none(
                found
                    .powers
                    .iter()
                    .map(String::as_str)
                    .filter(|name| *name != "types")
                    .collect()
            )
        );
        println!(
            "secrets    {}",
            or_none(manifest.secrets.iter().map(String::as_str).collect())
        );
        println!("interface  relay:plugin {}", found.wit);
        println!(
            "reuse      {}",
            if manifest.reuse {
                "yes"
            } else {
                "no: a fresh instance for every call"
            }
        );
        println!("size       {} KiB", found.size.div_ceil(1024));
        match &manifest.config {
            Some(schema) => println!("config     {}", serde_json::to_string_pretty(schema)?),
            None => println!("config     anything: it has no schema"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A file given to `run`: an event by itself, or a fixture around one.
#[derive(Debug, Deserialize)]
struct Given {
    event: Option<GivenEvent>,
    request: Option<GivenRequest>,
    config: Option<Value>,
    #[serde(default)]
    secrets: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct GivenEvent {
    r#type: String,
    source: Option<String>,
    subject: Option<String>,
    id: Option<String>,
    time: Option<crate::model::time::Timestamp>,
    content_type: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    data: Option<Box<RawValue>>,
    data_text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct GivenRequest {
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

fn post() -> String {
    "POST".to_owned()
}

impl Run {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let given = self.given()?;
        let (name, bytes) = component(&self.plugin)?;
        // The host finds plugins by name in a folder: this one gets a folder of its own.
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(format!("{name}.wasm")), bytes)?;
        let cache = std::env::temp_dir().join(format!("relay-plugins-{}", crate::app::user()));
        let settings = Settings {
            folder: Some(folder.path().to_owned()),
            compiler: crate::app::compiler(),
            ..Settings::new(cache)
        };
        let plugins = Plugins::new(settings, Arc::new(MemoryStore::default()), Arc::new(SystemClock))?;
        let used = PluginUse {
            name,
            pin: None,
            config: given.config.clone().unwrap_or_else(|| json!({})),
            secrets: given
                .secrets
                .iter()
                .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
                .collect(),
            limits: Limits::default(),
            reuse: false,
        };
        let owner = Owner {
            tenant: TenantId::DEFAULT,
            tenant_name: "default".to_owned(),
            kind: Named::Endpoint,
            id: 0,
            name: "trial".to_owned(),
        };
        let bound = plugins.bind(&used, owner).await?;
        match (given.request, given.event) {
            (Some(request), _) => authenticate(&bound, request).await,
            (None, Some(event)) => transform(bound, event).await,
            (None, None) => bail!("{} holds neither an event nor a request", self.event.display()),
        }
    }

    fn given(&self) -> anyhow::Result<Given> {
        let text = std::fs::read_to_string(&self.event)
            .with_context(|| format!("cannot read {}", self.event.display()))?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON", self.event.display()))?;
        let is_fixture = value.get("event").is_some_and(Value::is_object) || value.get("request").is_some();
        let mut given = if is_fixture {
            serde_json::from_str::<Given>(&text)
        } else {
            serde_json::from_str(&text).map(|event| Given {
                event: Some(event),
                request: None,
                config: None,
                secrets: Default::default(),
            })
        }
        .with_context(|| format!("{} is neither an event nor a fixture", self.event.display()))?;
        if let Some(config) = &self.config {
            given.config = Some(serde_json::from_str(config).context("--config is no JSON")?);
        }
        for secret in &self.secret {
            let (name, value) = secret.split_once('=').context("--secret wants NAME=VALUE")?;
            given.secrets.insert(name.to_owned(), value.to_owned());
        }
        Ok(given)
    }
}

async fn transform(bound: Bound, given: GivenEvent) -> anyhow::Result<ExitCode> {
    let event = Arc::new(given.into_event());
    let call = Call {
        source: None,
        delivery: Some(DeliveryId::from_raw(0)),
        attempt: 1,
    };
    let ran = Chain::new(vec![bound], OnFault::DeadLetter)
        .run(&event, call)
        .await;
    let failed = matches!(ran.result, Chained::Fault { .. });
    print(&show(&ran))?;
    Ok(if failed {
        ExitCode::from(EXIT_FAILURE)
    } else {
        ExitCode::SUCCESS
    })
}

async fn authenticate(bound: &Bound, given: GivenRequest) -> anyhow::Result<ExitCode> {
    let headers: Vec<Header> = given
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let body = match given.body {
        Value::String(text) => text,
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let request = AuthRequest {
        method: &given.method,
        path: &given.path,
        query: &given.query,
        remote: None,
        headers: &headers,
        body: Bytes::from(body),
    };
    let (shown, failed) = match bound.authenticate(&request).await {
        Authenticated::Accept(identity) => {
            (json!({"accept": true, "attributes": identity.attributes}), false)
        }
        Authenticated::Reject { status, reason } => (json!({"reject": status, "reason": reason}), false),
        Authenticated::Answer {
            status,
            headers,
            body,
        } => (
            json!({"answer": status, "headers": headers, "body": String::from_utf8_lossy(&body)}),
            false,
        ),
        Authenticated::Fault(fault) => (
            json!({"fault": fault.kind, "message": fault.message, "stderr": fault.stderr}),
            true,
        ),
    };
    print(&shown)?;
    Ok(if failed {
        ExitCode::from(EXIT_FAILURE)
    } else {
        ExitCode::SUCCESS
    })
}

impl GivenEvent {
    fn into_event(self) -> Event {
        let data = match (self.data, self.data_text) {
            (_, Some(text)) => Bytes::from(text),
            (Some(data), None) => Bytes::from(data.get().to_owned()),
            (None, None) => Bytes::from_static(b"null"),
        };
        let now = SystemClock.now();
        Event {
            id: EventId::from_raw(crate::model::id::first_raw_at(now)),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: now,
            envelope: Envelope {
                id: self.id,
                source: self.source.unwrap_or_else(|| "trial".to_owned()),
                kind: self.r#type,
                subject: self.subject,
                time: self.time,
                content_type: Some(self.content_type.unwrap_or_else(|| "application/json".to_owned())),
                extensions: Vec::new(),
            },
            headers: self
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            data,
        }
    }
}

fn show(ran: &Ran) -> Value {
    let mut shown = match &ran.result {
        Chained::Emit(drafts) => json!({"emit": drafts.iter().map(show_draft).collect::<Vec<_>>()}),
        Chained::Drop { reason, .. } => json!({"drop": reason}),
        Chained::Fault {
            fault,
            message,
            stderr,
            ..
        } => json!({"fault": fault, "message": message, "stderr": stderr}),
    };
    shown["log"] = json!(ran.log);
    shown["cost_us"] = json!(ran.costs.iter().map(|cost| cost.duration_us).sum::<u64>());
    shown
}

fn show_draft(draft: &Draft) -> Value {
    let json = is_json(draft.envelope.content_type.as_deref())
        .then(|| serde_json::from_slice(&draft.data).ok())
        .flatten();
    let data: Value =
        json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&draft.data).into_owned()));
    json!({"type": draft.envelope.kind, "content_type": draft.envelope.content_type, "headers": draft.headers_set, "data": data})
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(value: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
