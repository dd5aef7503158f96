//! Golden fixtures of the stock plugins, run by the real host on the real components.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use relay::clock::SystemClock;
use relay::model::attempt::FaultKind;
use relay::model::draft::Draft;
use relay::model::event::{Envelope, Event};
use relay::model::id::{DeliveryId, EventId, TenantId};
use relay::model::plugin::{Limits, OnFault, PluginUse};
use relay::model::secret::Secret;
use relay::model::time::Timestamp;
use relay::plugins::{
    AuthRequest, Authenticated, BindError, Bound, Call, Chain, Chained, Owner, Plugins, Settings,
};
use relay::store::Named;
use relay::store::memory::MemoryStore;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What a plugin must do, from a file beside it; `relay_sdk::testing::fixtures` has the format.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    pub hook: String,
    event: Option<GivenEvent>,
    request: Option<GivenRequest>,
    #[serde(default = "empty")]
    config: Value,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    pub expect: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenEvent {
    r#type: String,
    source: Option<String>,
    subject: Option<String>,
    id: Option<String>,
    time: Option<Timestamp>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    content_type: Option<String>,
    data: Option<Box<RawValue>>,
    data_text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRequest {
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

fn empty() -> Value {
    json!({})
}

/// A host for plugins, which keeps what it compiles in a folder.
pub fn host(cache: &Path) -> Plugins {
    let settings = Settings::new(cache.to_owned());
    Plugins::new(settings, Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a host")
}

/// The fixtures of a stock plugin, in the order of their files' names.
pub fn fixtures(plugin: &str) -> Vec<(PathBuf, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins")
        .join(plugin)
        .join("tests");
    let entries = std::fs::read_dir(&folder).expect("every stock plugin has fixtures");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let fixture =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, fixture)
    };
    paths.into_iter().map(read).collect()
}

impl Fixture {
    /// What the plugin did, in the words of `expect`.
    pub async fn result(self, plugins: &Plugins, plugin: &str) -> Value {
        match self.ready(plugins, plugin).await {
            Ok(ready) => ready.result().await,
            Err(problems) => problems,
        }
    }

    /// The payload of the event, if it is JSON.
    pub fn data(&self) -> Option<Value> {
        let data = self.event.as_ref()?.data.as_ref()?;
        serde_json::from_str(data.get()).ok()
    }

    /// Binds the plugin to the configuration; what is wrong with that is a result by itself.
    ///
    /// # Errors
    /// The problems of the configuration, in the words of `expect`.
    pub async fn ready(self, plugins: &Plugins, plugin: &str) -> Result<Ready, Value> {
        let secret = |(name, value)| (name, Secret::new(value));
        let used = PluginUse {
            name: plugin.to_owned(),
            pin: None,
            config: self.config,
            secrets: self.secrets.into_iter().map(secret).collect(),
            limits: Limits {
                time: std::time::Duration::from_secs(5),
                ..Limits::default()
            },
            reuse: true,
        };
        let owner = Owner {
            tenant: TenantId::DEFAULT,
            tenant_name: "default".to_owned(),
            kind: Named::Endpoint,
            id: 1,
            name: "fixture".to_owned(),
        };
        match plugins.bind(&used, owner).await {
            Ok(bound) => Ok(Ready::new(&self.hook, bound, self.request, self.event)),
            Err(BindError::Config { problems, .. }) => {
                let shown = problems
                    .iter()
                    .map(|problem| json!({"at": problem.at, "message": problem.message}));
                Err(json!({"problems": shown.collect::<Vec<_>>()}))
            }
            Err(error) => panic!("{plugin} cannot be bound: {error}"),
        }
    }
}

/// A call that can be made, any number of times.
pub enum Ready {
    Check,
    Request {
        bound: Bound,
        request: Box<PostedRequest>,
    },
    Event {
        chain: Chain,
        event: Arc<Event>,
    },
}

/// A request as a source would get it.
pub struct PostedRequest {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// What came of a call.
pub enum Called {
    Checked,
    Request(Authenticated),
    Event(Chained),
}

impl Ready {
    fn new(hook: &str, bound: Bound, request: Option<GivenRequest>, event: Option<GivenEvent>) -> Self {
        match (hook, request, event) {
            ("check", _, _) => Self::Check,
            ("authenticate", Some(request), _) => Self::Request {
                bound,
                request: Box::new(request.into_request()),
            },
            (_, _, Some(event)) => Self::Event {
                chain: Chain::new(vec![bound], OnFault::DeadLetter),
                event: Arc::new(event.into_event()),
            },
            (hook, _, _) => panic!("a fixture for {hook} without what it looks at"),
        }
    }

    /// Makes the call.
    pub async fn call(&self) -> Called {
        match self {
            Self::Check => Called::Checked,
            Self::Request { bound, request } => {
                let asked = AuthRequest {
                    method: &request.method,
                    path: &request.path,
                    query: &request.query,
                    remote: None,
                    headers: &request.headers,
                    body: request.body.clone(),
                };
                Called::Request(bound.authenticate(&asked).await)
            }
            Self::Event { chain, event } => {
                let call = Call {
                    source: None,
                    delivery: Some(DeliveryId::from_raw(1)),
                    attempt: 1,
                };
                Called::Event(chain.run(event, call).await.result)
            }
        }
    }

    async fn result(&self) -> Value {
        let fault = |kind, message| json!({"fault": fault_word(kind), "message": message});
        match self.call().await {
            Called::Checked => json!({"problems": []}),
            Called::Request(Authenticated::Accept(_)) => json!({"accept": true}),
            Called::Request(Authenticated::Reject { status, .. }) => json!({"reject": status}),
            Called::Request(Authenticated::Answer { status, .. }) => json!({"answer": status}),
            Called::Request(Authenticated::Fault(found)) => fault(found.kind, found.message),
            Called::Event(Chained::Emit(drafts)) => {
                json!({"emit": drafts.iter().map(show).collect::<Vec<_>>()})
            }
            Called::Event(Chained::Drop { reason, .. }) => json!({"drop": reason}),
            Called::Event(Chained::Fault {
                fault: kind, message, ..
            }) => fault(kind, message),
        }
    }
}

impl GivenRequest {
    fn into_request(self) -> PostedRequest {
        let body = match self.body {
            Value::String(text) => text,
            value => value.to_string(),
        };
        PostedRequest {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: self.headers.into_iter().collect(),
            body: Bytes::from(body),
        }
    }
}

impl GivenEvent {
    fn into_event(self) -> Event {
        let data = self
            .data
            .map(|data| data.get().to_owned())
            .or(self.data_text)
            .unwrap_or_else(|| "null".to_owned());
        Event {
            id: EventId::from_raw(1 << 40),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: Timestamp::from_millis(1_700_000_000_000),
            envelope: Envelope {
                id: self.id,
                source: self.source.unwrap_or_else(|| "fixture".to_owned()),
                kind: self.r#type,
                subject: self.subject,
                time: self.time,
                content_type: Some(self.content_type.unwrap_or_else(|| "application/json".to_owned())),
                extensions: Vec::new(),
            },
            headers: self.headers.into_iter().collect(),
            data: Bytes::from(data),
        }
    }
}

fn fault_word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Invalid => "invalid",
        FaultKind::Misconfigured => "misconfigured",
        FaultKind::Unavailable => "unavailable",
        _ => "broken",
    }
}

fn show(draft: &Draft) -> Value {
    let text = String::from_utf8_lossy(&draft.data).into_owned();
    let mut attributes = BTreeMap::from([
        ("type".to_owned(), draft.envelope.kind.clone()),
        ("source".to_owned(), draft.envelope.source.clone()),
    ]);
    let optional = [
        ("id", &draft.envelope.id),
        ("subject", &draft.envelope.subject),
        ("datacontenttype", &draft.envelope.content_type),
    ];
    for (name, value) in optional {
        attributes.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    attributes.extend(draft.envelope.extensions.iter().cloned());
    let headers: BTreeMap<_, _> = draft.headers.iter().cloned().collect();
    json!({
        "data": serde_json::from_str::<Value>(&text).ok(),
        "data_text": text,
        "headers": headers,
        "attributes": attributes,
    })
}
