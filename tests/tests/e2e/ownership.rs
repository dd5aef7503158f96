//! Every operation of the relay's own document, asked by one tenant for what is another's. Whatever
//! is added to the document has to be added here, too: the tests say so.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use relay_tests::client::Answer;
use relay_tests::guests;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// What all names and payloads of the owner have in them.
const MARK: &str = "acmes";
/// Kinds that are defined, and how their paths begin.
const KINDS: [(&str, &str); 5] = [
    ("alert", "/v1/alerts"),
    ("endpoint", "/v1/endpoints"),
    ("event_type", "/v1/event-types"),
    ("rule", "/v1/rules"),
    ("source", "/v1/sources"),
];
const SINCE: &str = "2020-01-01T00:00:00Z";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Someone with a key.
struct As<'a> {
    relay: &'a Relay,
    key: String,
}

impl As<'_> {
    /// With a body or, for `null`, without one.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let body = Some(body).filter(|body| !body.is_null());
        let body = body.map_or_else(String::new, Value::to_string);
        self.relay.send(method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", path, &body).await;
        assert!((201..=202).contains(&answer.status), "{path}: {}", answer.text());
        answer.json()
    }
}

/// A tenant's manager.
async fn manager<'a>(relay: &'a Relay, name: &str) -> As<'a> {
    let made = relay
        .admin(Method::POST, "/v1/tenants", Some(json!({"name": name})))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let admin = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", admin.as_str()),
        ("content-type", "application/json"),
        ("relay-tenant", name),
    ];
    let key = json!({"name": "manager", "role": "manage"}).to_string();
    let made = relay.send(Method::POST, "/v1/keys", &headers, key).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = text(&made.json()["key"]).to_owned();
    As { relay, key }
}

// ---- what is somebody's ----------------------------------------------------------------

/// Ids by what they are of.
type Own = BTreeMap<&'static str, String>;

fn definition(kind: &str, name: &str) -> Value {
    match kind {
        "alert" => json!({"name": name, "when": {"pending_above": 1_000_000}}),
        "endpoint" => json!({"name": name, "url": "https://example.com", "event_types": ["never.*"]}),
        "event_type" => json!({"name": format!("{name}.made"), "sample": {"name": name}}),
        "rule" => json!({
            "name": name, "event_types": [format!("{MARK}.*")], "key": "/n", "delay": "1h",
            "emit": {"type": format!("{name}.later")},
        }),
        "source" => {
            let verify = json!({"scheme": "token", "in": "header:x-token", "secret": "s3same-0pen"});
            json!({"name": name, "verify": verify})
        }
        other => panic!("there is no kind {other}"),
    }
}

/// One of each, with what an event has led to.
async fn one_of_each(owner: &As<'_>, receiver: &Receiver) -> Own {
    let mut own = Own::new();
    let mut keep = |what, made: &Value| {
        let id = text(&made["id"]);
        assert!(!id.is_empty(), "{what}: {made}");
        own.insert(what, id.to_owned());
    };
    for (kind, path) in KINDS {
        let mut keys = definition(kind, MARK);
        if kind == "endpoint" {
            keys["url"] = json!(receiver.url());
            keys["event_types"] = json!([format!("{MARK}.*")]);
        }
        keep(kind, &owner.make(path, keys).await);
    }
    let polled =
        json!({"name": format!("{MARK}-polled"), "delivery": "poll", "event_types": [format!("{MARK}.*")]});
    let polled = owner.make("/v1/endpoints", polled).await;
    keep("polled", &polled);
    let named = json!({"name": format!("{MARK}-inspector")});
    keep("inspector", &owner.make("/v1/inspectors", named).await);
    let key = json!({"name": format!("{MARK}-key"), "role": "read"});
    keep("key", &owner.make("/v1/keys", key).await);
    let event = json!({"type": format!("{MARK}.made"), "data": {"n": 1, "of": format!("{MARK}-data")}});
    let event = owner.ask("POST", "/v1/events", &event).await;
    let event = json!({"id": accepted(&event)});
    keep("event", &event);
    receiver.received(1).await;
    let shown = owner.get(&format!("/v1/events/{}", text(&event["id"]))).await;
    let deliveries = shown["deliveries"].as_array().cloned().unwrap_or_default();
    for delivery in &deliveries {
        let is_polled = delivery["endpoint"] == polled["id"];
        keep(if is_polled { "waiting" } else { "delivery" }, delivery);
    }
    let media = captured(owner, receiver).await;
    keep("media", &media);
    let replay = format!("/v1/endpoints/{MARK}/replay");
    let job = owner.make(&replay, json!({"since": SINCE})).await;
    keep("job", &job);
    receiver.received(2).await;
    let capture = format!("/v1/endpoints/{MARK}/capture");
    let begun = owner.ask("POST", &capture, &json!({"for": "10m"})).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    for (what, (kind, path)) in GONE.into_iter().zip(KINDS) {
        let made = owner.make(path, definition(kind, &format!("{MARK}-gone"))).await;
        keep(what, &made);
        let path = format!("{path}/{}", text(&made["id"]));
        let gone = owner.ask("DELETE", &path, &Value::Null).await;
        assert!(gone.status < 300, "{path}: {}", gone.text());
    }
    let bearer = format!("Bearer {}", owner.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
    ];
    let name = format!("{MARK}-plugin");
    let path = format!("/v1/plugins/{name}/versions");
    let made = owner
        .relay
        .send(Method::POST, &path, &headers, guests::EDITS)
        .await;
    assert_eq!(made.status, 201, "{path}: {}", made.text());
    own.insert("version", text(&made.json()["version"]).to_owned());
    own.insert("plugin", name);
    let job = format!("/v1/jobs/{}", own["job"]);
    let is_over = |shown: &Value| shown["job"]["state"] == "done" && shown["pending"] == json!(1);
    eventually("the job to be done and both deliveries recorded", || async {
        let pending = owner.get("/v1/deliveries?status=pending").await;
        let pending = pending["data"].as_array().map(Vec::len);
        let shown = json!({"job": owner.get(&job).await, "pending": pending});
        if is_over(&shown) { Ok(()) } else { Err(shown) }
    })
    .await;
    own
}

/// A file that a plugin had the relay keep; nothing of it came to the receiver.
async fn captured(owner: &As<'_>, receiver: &Receiver) -> Value {
    let server = Receiver::always(Reply::with_body(200, &format!("{MARK}-file")));
    let host = server
        .url()
        .trim_start_matches("http://")
        .trim_end_matches("/hook")
        .to_owned();
    let plugin = json!({
        "use": "capture-media", "config": {"urls": ["/url"]}, "grants": {"http": [host], "media": true},
    });
    let keys = json!({
        "name": format!("{MARK}-media"), "url": server.url(), "event_types": ["media.made"], "plugins": [plugin],
    });
    owner.make("/v1/endpoints", keys).await;
    let before = receiver.requests().len();
    let event = json!({"type": "media.made", "data": {"url": server.url()}});
    accepted(&owner.ask("POST", "/v1/events", &event).await);
    server.received(2).await;
    assert_eq!(receiver.requests().len(), before);
    owner.get("/v1/media").await["data"][0].clone()
}

/// What was deleted, of each of [`KINDS`].
const GONE: [&str; 5] = [
    "gone_alert",
    "gone_endpoint",
    "gone_event_type",
    "gone_rule",
    "gone_source",
];

// ---- how operations are called ---------------------------------------------------------

/// What another tenant is told.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// That there is no such thing, or that it is another's.
    Nothing,
    /// That only an admin may do that.
    ForAdmins,
    /// That it is not who it says: this is for whoever knows a source's secret.
    NotGenuine,
    /// That no such address was made: this is for whoever has it.
    Unsigned,
    /// What anybody is told of a name of their own: nobody else's can be said.
    OfItsOwn(u16),
}

/// What the path of an operation leads to, with what body it is called, and what comes of it.
fn call(method: &str, path: &str, own: &Own) -> Option<(&'static str, Value, Told)> {
    let none = Value::Null;
    let found = |what, body| Some((what, body, Told::Nothing));
    for ((kind, begins), gone) in KINDS.into_iter().zip(GONE) {
        match (method, path.strip_prefix(begins)) {
            ("GET" | "DELETE", Some("/{id}")) => return found(kind, none),
            ("PUT", Some("/{id}")) => return found(kind, definition(kind, "taken")),
            ("PATCH", Some("/{id}")) => return found(kind, json!({"name": "taken"})),
            ("POST", Some("/{id}/restore")) => return found(gone, none),
            ("POST", Some("/{id}/clone")) => return found(kind, json!({"name": "copy"})),
            _ => {}
        }
    }
    if path.starts_with("/v1/tenants/{id}") {
        let body = match method {
            "PUT" | "PATCH" => json!({"name": "taken"}),
            _ => none,
        };
        return Some(("tenant", body, Told::ForAdmins));
    }
    let event = json!({"type": "a.b", "data": {}});
    match (method, path) {
        ("GET", "/v1/event-types/{id}/sample") => found("event_type", none),
        ("POST", "/v1/event-types/{id}/sample") => found("event_type", json!({"event": own["event"]})),
        ("GET" | "DELETE", "/v1/endpoints/{id}/capture") => found("endpoint", none),
        ("POST", "/v1/endpoints/{id}/capture") => found("endpoint", json!({"for": "1m"})),
        ("GET", "/v1/rules/{id}/keys") => found("rule", none),
        ("POST", "/v1/rules/{id}/test") => found("rule", json!({"event": event})),
        (
            "GET",
            "/v1/endpoints/{id}/expected" | "/v1/endpoints/{id}/health" | "/v1/endpoints/{id}/secret",
        ) => found("endpoint", none),
        (
            "POST",
            "/v1/endpoints/{id}/diagnose" | "/v1/endpoints/{id}/purge" | "/v1/endpoints/{id}/url/rollback",
        ) => found("endpoint", none),
        ("POST", "/v1/endpoints/{id}/secret/rotate") => found("endpoint", none),
        ("POST", "/v1/sources/{id}/rotate-path") => found("source", none),
        ("POST", "/v1/endpoints/{id}/call") => found("endpoint", event),
        ("POST", "/v1/endpoints/{id}/test") => found("endpoint", json!({"type": "a.b"})),
        ("POST", "/v1/endpoints/{id}/recover" | "/v1/endpoints/{id}/replay") => {
            found("endpoint", json!({"since": SINCE}))
        }
        ("POST", "/v1/endpoints/{id}/url") => {
            found("endpoint", json!({"url": "https://example.com", "verify": false}))
        }
        ("GET", "/v1/endpoints/{id}/poll") => found("polled", none),
        ("POST", "/v1/endpoints/{id}/poll/ack") => found("polled", json!({"ids": [own["waiting"]]})),
        ("GET", "/v1/events/{id}" | "/v1/events/{id}/payload" | "/v1/events/{id}/explain") => {
            found("event", none)
        }
        ("POST", "/v1/events/{id}/replay") => found("event", json!({})),
        ("GET", "/v1/deliveries/{id}" | "/v1/deliveries/{id}/attempts") => found("delivery", none),
        ("POST", "/v1/deliveries/{id}/retry") => found("delivery", none),
        ("POST", "/v1/deliveries/{id}/cancel") => found("waiting", none),
        ("GET", "/v1/inspectors/{id}" | "/v1/inspectors/{id}/requests") => found("inspector", none),
        ("DELETE", "/v1/inspectors/{id}") => found("inspector", none),
        ("POST", "/bin/{token}") => found("inspector", none),
        ("GET", "/v1/jobs/{id}") | ("POST", "/v1/jobs/{id}/cancel") => found("job", none),
        ("GET" | "DELETE", "/v1/keys/{id}") => found("key", none),
        ("PATCH", "/v1/keys/{id}") => found("key", json!({"name": "taken"})),
        ("GET", "/v1/plugins/{name}" | "/v1/plugins/{name}/versions")
        | ("GET" | "DELETE", "/v1/plugins/{name}/versions/{version}")
        | ("GET", "/v1/plugins/{name}/tags")
        | ("DELETE", "/v1/plugins/{name}/tags/{tag}")
        | ("GET" | "DELETE", "/v1/plugins/{name}/rollout")
        | ("POST", "/v1/plugins/{name}/rollout/promote")
        | ("POST", "/v1/plugins/{name}/rollback") => Some(("plugin", none, Told::OfItsOwn(404))),
        ("PUT", "/v1/plugins/{name}/tags/{tag}") => {
            let version = json!({"version": own["version"]});
            Some(("plugin", version, Told::OfItsOwn(404)))
        }
        ("POST", "/v1/plugins/{name}/rollout") => {
            let wanted = json!({"version": own["version"], "mode": "canary"});
            Some(("plugin", wanted, Told::OfItsOwn(404)))
        }
        ("POST", "/v1/plugins/{name}/promote") => {
            let version = json!({"version": own["version"]});
            Some(("plugin", version, Told::OfItsOwn(404)))
        }
        ("POST", "/v1/plugins/{name}/run") => {
            let event = json!({"event": {"type": "a.b"}});
            Some(("plugin", event, Told::OfItsOwn(404)))
        }
        // It is no component.
        ("POST", "/v1/plugins/{name}/versions") => Some(("plugin", json!({}), Told::OfItsOwn(415))),
        ("GET" | "DELETE", "/v1/media/{id}") => found("media", none),
        ("GET", "/media/{id}") => Some(("media", none, Told::Unsigned)),
        (_, "/in/{source}") => Some(("source", event, Told::NotGenuine)),
        _ => None,
    }
}

/// Bodies of an operation without an id in its path; where it may be about something, about what is
/// another's.
fn bodies(path: &str, own: &Own) -> Option<Vec<Value>> {
    let (event, delivery) = (&own["event"], &own["waiting"]);
    if let Some((kind, _)) = KINDS.into_iter().find(|(_, begins)| *begins == path) {
        return Some(vec![definition(kind, "theirs")]);
    }
    Some(match path {
        "/v1/deliveries/cancel" | "/v1/deliveries/retry" => vec![
            json!({"ids": [delivery, own["delivery"]]}),
            json!({"endpoint": own["polled"], "since": SINCE}),
            json!({"event": event, "since": SINCE}),
            json!({"source": own["source"], "since": SINCE}),
        ],
        "/v1/definitions/plan" => vec![json!({"endpoint": [definition("endpoint", "theirs")]})],
        "/v1/diagnose" => vec![json!({"url": "http://127.0.0.1:1/"})],
        "/v1/erasures" => vec![
            json!({"q": format!("{MARK}-data")}),
            json!({"pointer": "/n", "equals": 1}),
        ],
        "/v1/events" => vec![json!({"type": "theirs.made", "data": {}})],
        "/v1/filters/test" => vec![json!({"filter": {"data": {"n": [1]}}, "event": event})],
        "/v1/inspectors" => vec![json!({})],
        "/v1/keys" => vec![json!({"name": "theirs", "role": "read"})],
        "/v1/tenants" => vec![json!({"name": "theirs"})],
        _ => return None,
    })
}

/// What a list is asked with.
fn queries(path: &str, operation: &Value, own: &Own) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let names: BTreeSet<&str> = parameters.map(|parameter| text(&parameter["name"])).collect();
    let plain = match path {
        // It goes on until somebody hangs up.
        "/v1/stream" => vec![],
        "/v1/definitions" => KINDS
            .map(|(kind, _)| format!("?managed_by=all&kind={kind}"))
            .to_vec(),
        _ => vec![String::new()],
    };
    let of_others = ["endpoint", "source", "event"].into_iter();
    let of_others = of_others.filter(|name| names.contains(name));
    let named = of_others.map(|name| format!("?{name}={}", own[name]));
    let deleted = names.contains("deleted").then(|| "?deleted=true".to_owned());
    plain.into_iter().chain(named).chain(deleted).collect()
}

// ---- the rounds ------------------------------------------------------------------------

/// Every operation: method, path, and what the document says of it.
async fn operations(relay: &Relay) -> Vec<(String, String, Value)> {
    let document = relay.send(Method::GET, "/openapi.json", &[], "").await.json();
    let paths = document["paths"].as_object().expect("the document has paths");
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().cloned().unwrap_or_default();
        let path = path.clone();
        operations
            .into_iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

/// The path of an operation with somebody's id in it.
fn with_id(path: &str, id: &str, own: &Own) -> String {
    let path = &path.replace("{version}", &own["version"]);
    let path = &path.replace("{tag}", "beta");
    let (before, after) = path.split_once('{').expect("it has a parameter");
    let (_, after) = after.split_once('}').expect("a parameter ends");
    assert!(!after.contains('{'), "{path} has several parameters");
    format!("{before}{id}{after}")
}

/// Nothing of the owner's is in an answer, but for what was asked.
fn tells_nothing(own: &Own, asked: &str, answer: &Answer) {
    let told = answer.text();
    let ids = own.values().map(String::as_str).chain([MARK]);
    for word in ids.filter(|word| !asked.contains(word)) {
        assert!(!told.contains(word), "{asked} tells {word}: {told}");
    }
}

/// All that the owner can read: how it was answered, with its revision.
async fn seen(owner: &As<'_>, own: &Own, operations: &[(String, String, Value)]) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for (method, path, _) in operations.iter().filter(|(method, ..)| method == "GET") {
        let asked = match call(method, path, own) {
            Some((_, _, Told::ForAdmins | Told::NotGenuine | Told::Unsigned)) => continue,
            Some((what, ..)) => with_id(path, &own[what], own),
            // What goes on, counts by the minute, or needs to be asked otherwise.
            None if path.contains('{') || UNSETTLED.contains(&path.as_str()) => continue,
            None => path.clone(),
        };
        let answer = owner.ask(method, &asked, &Value::Null).await;
        // Of the owner's plugin no version is being rolled out.
        let status = if path.ends_with("/rollout") { 404 } else { 200 };
        assert_eq!(answer.status, status, "{asked} is the owner's: {}", answer.text());
        let body = match path.ends_with("/health") {
            true => String::new(),
            false => answer.text(),
        };
        seen.insert(asked, format!("{} {body}", answer.header("etag")));
    }
    seen
}

const UNSETTLED: [&str; 9] = [
    "/v1/audit",
    "/v1/audit/export",
    "/v1/audit/verify",
    "/v1/definitions",
    "/v1/digests",
    "/v1/stats",
    "/v1/stream",
    "/v1/tenants",
    "/metrics",
];

/// Asks for each thing of the owner's, in every way that there is.
async fn reach_for(other: &As<'_>, own: &Own, operations: &[(String, String, Value)], wanted: u16) {
    for (method, path, _) in operations.iter().filter(|(_, path, _)| path.contains('{')) {
        let (what, body, told) = call(method, path, own)
            .unwrap_or_else(|| panic!("{method} {path} is new: say in `call` how it is called"));
        let asked = with_id(path, &own[what], own);
        let answer = other.ask(method, &asked, &body).await;
        let wanted = match told {
            Told::Nothing => wanted,
            Told::ForAdmins | Told::Unsigned => 403,
            Told::NotGenuine => 401,
            Told::OfItsOwn(status) => status,
        };
        assert_eq!(answer.status, wanted, "{method} {asked}: {}", answer.text());
        answer.problem();
        tells_nothing(own, &format!("{method} {asked} {body}"), &answer);
    }
}

/// Lists whatever there is, also by what is the owner's.
async fn list_all(other: &As<'_>, own: &Own, operations: &[(String, String, Value)]) {
    let lists = operations
        .iter()
        .filter(|(method, path, _)| method == "GET" && !path.contains('{'));
    for (method, path, operation) in lists {
        for query in queries(path, operation, own) {
            let asked = format!("{path}{query}");
            let answer = other.ask(method, &asked, &Value::Null).await;
            assert!(answer.status < 500, "{asked}: {}", answer.text());
            tells_nothing(own, &asked, &answer);
            let is_list = answer.status == 200 && answer.header("content-type") == "application/json";
            // The other has a key, has done something, and may use the operator's plugins.
            let has_own = ["/v1/audit", "/v1/keys", "/v1/plugins", "/openapi.json"].contains(&path.as_str());
            if is_list && !has_own {
                let data = answer.json()["data"].take();
                assert!(data.is_null() || data == json!([]), "{asked}: {}", answer.text());
            }
        }
    }
}

/// Does whatever can be done without an id in the path, to what is the owner's where that can be said.
async fn do_all(other: &As<'_>, own: &Own, operations: &[(String, String, Value)]) {
    let changes = operations
        .iter()
        .filter(|(method, path, _)| method != "GET" && !path.contains('{'));
    for (method, path, _) in changes {
        let bodies = bodies(path, own)
            .unwrap_or_else(|| panic!("{method} {path} is new: say in `bodies` how it is called"));
        for body in bodies {
            let answer = other.ask(method, path, &body).await;
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
            tells_nothing(own, &format!("{method} {path} {body}"), &answer);
        }
    }
}

async fn keeps_apart(config: &str, wanted: u16) {
    let receiver = Receiver::start();
    let setup = Setup::new(config).variable("RELAY_SERVER__PUBLIC_URL", "https://hooks.example.com");
    let relay = setup.start().await;
    let owner = manager(&relay, &format!("{MARK}-tenant")).await;
    let other = manager(&relay, "others").await;
    let mut own = one_of_each(&owner, &receiver).await;
    own.insert("tenant", text(&owner.get("/v1/usage").await["tenant"]).to_owned());
    let operations = operations(&relay).await;
    let before = seen(&owner, &own, &operations).await;
    reach_for(&other, &own, &operations, wanted).await;
    list_all(&other, &own, &operations).await;
    do_all(&other, &own, &operations).await;
    // The other's jobs were about nothing; they are over when there is none that runs.
    eventually("the other's jobs to end", || async {
        let jobs = other.get("/v1/jobs").await;
        let data = jobs["data"].as_array().cloned().unwrap_or_default();
        match data.iter().any(|job| job["state"] == "running") {
            true => Err(jobs),
            false => Ok(()),
        }
    })
    .await;
    let after = seen(&owner, &own, &operations).await;
    for (asked, was) in &before {
        assert_eq!(after.get(asked), Some(was), "{asked} has changed");
    }
    assert_eq!(receiver.requests().len(), 2, "nothing more was sent");
}

#[tokio::test]
async fn w12_no_operation_reaches_what_is_another_tenants() {
    keeps_apart("", 404).await;
}

#[tokio::test]
async fn w12_every_operation_says_that_an_id_is_anothers_where_that_is_wanted() {
    keeps_apart("[server]\nforeign_ids = \"forbidden\"", 403).await;
}
