//! Every golden fixture of the stock plugins, run by the real host on the real components.
//!
//! The plugins' own unit tests run the same files natively, against the SDK's fake host.

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
    AuthRequest, Authenticated, BindError, Call, Chain, Chained, Owner, Plugins, Settings, stock,
};
use relay::store::Named;
use relay::store::memory::MemoryStore;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    hook: String,
    event: Option<GivenEvent>,
    request: Option<GivenRequest>,
    #[serde(default = "empty")]
    config: Value,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    expect: Value,
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

/// The fixtures of a plugin, by file name.
fn fixtures(plugin: &str) -> Vec<(PathBuf, Fixture)> {
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

async fn check(plugins: &Plugins, plugin: &str, fixture: Fixture) -> Value {
    let used = PluginUse {
        name: plugin.to_owned(),
        pin: None,
        config: fixture.config,
        secrets: fixture
            .secrets
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
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
    let bound = match plugins.bind(&used, owner).await {
        Ok(bound) => bound,
        Err(BindError::Config { problems, .. }) => {
            let shown = problems
                .iter()
                .map(|problem| json!({"at": problem.at, "message": problem.message}));
            return json!({"problems": shown.collect::<Vec<_>>()});
        }
        Err(error) => panic!("{plugin} cannot be bound: {error}"),
    };
    match (fixture.hook.as_str(), fixture.request, fixture.event) {
        ("check", _, _) => json!({"problems": []}),
        ("authenticate", Some(request), _) => {
            let headers: Vec<_> = request.headers.into_iter().collect();
            let body = match request.body {
                Value::String(text) => text,
                value => value.to_string(),
            };
            let asked = AuthRequest {
                method: &request.method,
                path: &request.path,
                query: &request.query,
                remote: None,
                headers: &headers,
                body: Bytes::from(body),
            };
            match bound.authenticate(&asked).await {
                Authenticated::Accept(_) => json!({"accept": true}),
                Authenticated::Reject { status, .. } => json!({"reject": status}),
                Authenticated::Answer { status, .. } => json!({"answer": status}),
                Authenticated::Fault(fault) => {
                    json!({"fault": fault_word(fault.kind), "message": fault.message})
                }
            }
        }
        (_, _, Some(event)) => {
            let event = Arc::new(event.into_event());
            let call = Call {
                source: None,
                delivery: Some(DeliveryId::from_raw(1)),
                attempt: 1,
            };
            let ran = Chain::new(vec![bound], OnFault::DeadLetter)
                .run(&event, call)
                .await;
            match ran.result {
                Chained::Emit(drafts) => json!({"emit": drafts.iter().map(show).collect::<Vec<_>>()}),
                Chained::Drop { reason, .. } => json!({"drop": reason}),
                Chained::Fault { fault, message, .. } => {
                    json!({"fault": fault_word(fault), "message": message})
                }
            }
        }
        (hook, _, _) => panic!("a fixture for {hook} without what it looks at"),
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

/// Whether what was found is what was expected: objects may hold more than was asked for,
/// except in a payload; messages and reasons may be longer.
fn fits(expected: &Value, found: &Value, key: &str) -> bool {
    match (expected, found) {
        (_, _) if key == "data" => expected == found,
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(key, value)| fits(value, found.get(key).unwrap_or(&Value::Null), key)),
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .zip(found)
                    .all(|(expected, found)| fits(expected, found, key))
        }
        (Value::String(expected), Value::String(found)) if key == "message" || key == "drop" => {
            found.contains(expected)
        }
        _ => expected == found,
    }
}

/// Leaving an event as it is shows as one message that equals it.
fn kept(event: &Option<Value>) -> Value {
    json!({"emit": [{"data": event}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_fixtures_hold_on_the_real_host() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings::new(cache.path().to_owned());
    let plugins =
        Plugins::new(settings, Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a host");
    let mut wrong = Vec::new();
    let mut ran = 0;
    for plugin in stock::names() {
        for (path, fixture) in fixtures(plugin) {
            let expected = match &fixture.expect {
                keep if keep.get("keep").is_some() => {
                    let data = fixture.event.as_ref().and_then(|event| event.data.as_ref());
                    kept(&data.and_then(|data| serde_json::from_str(data.get()).ok()))
                }
                expected => expected.clone(),
            };
            let found = check(&plugins, plugin, fixture).await;
            ran += 1;
            if !fits(&expected, &found, "") {
                wrong.push(format!(
                    "{}\n  expected {expected}\n  found    {found}",
                    path.display()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {ran} fixtures do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(ran >= 120, "only {ran} fixtures were found");
}
