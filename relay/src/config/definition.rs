//! Reads one source, endpoint, rule or event type by itself, as the management API takes it: the
//! keys are those of the file, and so are the rules.

use serde_json::{Map, Value, json};

use super::reader::{Fault, Findings, Section, Surroundings};
use super::sketch::Node;
use super::{Config, Declared, alert, check, endpoint, event_type, rule, source, tenant};
use crate::model::alert::Alert;
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::rule::Rule;
use crate::model::source::Source;
use crate::model::tenant::Tenant;

/// A definition that reads well, or all that is wrong with it.
pub type Read<T> = Result<Declared<T>, Vec<Fault>>;

/// Reads an endpoint by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn endpoint(config: &Config, table: &Map<String, Value>) -> Read<Endpoint> {
    let guard = check::guard(&config.outbound, config.mail.as_ref(), &config.server);
    read(table, |section| {
        endpoint::read(section, config.plugins.limits, &guard).1
    })
}

/// What decides which events an endpoint gets.
const ROUTING: [&str; 5] = ["name", "event_types", "sources", "filter", "sample"];

/// Reads of an endpoint only what decides which events it gets: where they would go is nowhere.
/// `None` if that does not read either.
pub fn routing(config: &Config, table: &Map<String, Value>) -> Option<Endpoint> {
    let mut table = table.clone();
    table.retain(|key, _| ROUTING.contains(&key.as_str()));
    table.insert("url".to_owned(), "https://nowhere.invalid/".into());
    endpoint(config, &table).ok().map(|read| read.item)
}

/// Reads of an endpoint what decides which events it gets and what its plugins make of them, by the
/// rules of a relay that is not configured: for whoever tries plugins out elsewhere.
///
/// # Errors
/// Every fault of it.
pub fn trial(table: &Map<String, Value>) -> Read<Endpoint> {
    let config = unconfigured().ok_or_else(Vec::new)?;
    let mut table = table.clone();
    table.retain(|key, _| ROUTING.contains(&key.as_str()) || CHAIN.contains(&key.as_str()));
    table.insert("url".to_owned(), "https://nowhere.invalid/".into());
    endpoint(&config, &table)
}

/// What decides what an endpoint's plugins make of an event.
const CHAIN: [&str; 2] = ["plugins", "on_fault"];

/// Reads a source by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn source(config: &Config, table: &Map<String, Value>) -> Read<Source> {
    let usual = source::Usual {
        limits: config.plugins.limits,
        body_bytes_max: config.server.body_bytes_max,
        public_url: config.server.public_url.as_ref(),
    };
    read(table, |section| source::read(section, usual))
}

/// Reads a rule; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn rule(table: &Map<String, Value>) -> Read<Rule> {
    read(table, |section| rule::read(section).1)
}

/// What an endpoint is defined by, as a JSON Schema; the bounds are those of a relay that is not
/// configured.
pub fn endpoint_schema() -> Value {
    let Some(config) = unconfigured() else {
        return json!({});
    };
    let guard = check::guard(&config.outbound, config.mail.as_ref(), &config.server);
    let read = |section: &Section<'_>| {
        endpoint::read(section, config.plugins.limits, &guard);
    };
    let sent = drawn(&json!({}), read);
    let polled = json!({"delivery": "poll"});
    let mut schema = sent.or(drawn(&polled, read)).schema();
    // Nothing is sent to one that is polled.
    schema["anyOf"] = json!([
        {"required": ["url"]},
        {"required": ["delivery"], "properties": {"delivery": {"const": "poll"}}},
    ]);
    schema
}

/// What a source is defined by, as a JSON Schema.
pub fn source_schema() -> Value {
    let Some(config) = unconfigured() else {
        return json!({});
    };
    let usual = source::Usual {
        limits: config.plugins.limits,
        body_bytes_max: config.server.body_bytes_max,
        public_url: config.server.public_url.as_ref(),
    };
    let read = |section: &Section<'_>| {
        source::read(section, usual);
    };
    let drawings = source::openings().into_iter().map(|table| drawn(&table, read));
    drawings.reduce(Node::or).unwrap_or_default().schema()
}

/// What a rule is defined by, as a JSON Schema.
pub fn rule_schema() -> Value {
    let read = |section: &Section<'_>| {
        rule::read(section);
    };
    drawn(&json!({}), read).schema()
}

/// What an event type is defined by, as a JSON Schema.
pub fn event_type_schema() -> Value {
    let read = |section: &Section<'_>| {
        event_type::read(section);
    };
    drawn(&json!({}), read).schema()
}

/// What an alert is defined by, as a JSON Schema.
pub fn alert_schema() -> Value {
    let read = |section: &Section<'_>| {
        alert::read(section);
    };
    drawn(&json!({}), read).schema()
}

/// What a tenant is defined by, as a JSON Schema.
pub fn tenant_schema() -> Value {
    let read = |section: &Section<'_>| {
        tenant::read(section, None);
    };
    drawn(&json!({}), read).schema()
}

fn unconfigured() -> Option<Config> {
    super::load("", &Strangers).ok()
}

/// What a reader asks for, given this much.
fn drawn(table: &Value, read: impl FnOnce(&Section<'_>)) -> Node {
    let findings = Findings::sketching();
    let nothing = Map::new();
    let section = Section::root(table.as_object().unwrap_or(&nothing), &findings, &Strangers);
    read(&section);
    drop(section);
    findings.into_node()
}

/// Reads an event type; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn event_type(table: &Map<String, Value>) -> Read<EventType> {
    read(table, event_type::read)
}

/// Reads an alert; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn alert(table: &Map<String, Value>) -> Read<Alert> {
    read(table, |section| alert::read(section).1)
}

/// Reads a tenant by the rules of a configuration; its id is 0.
///
/// # Errors
/// Every fault of it.
pub fn tenant(config: &Config, table: &Map<String, Value>) -> Read<Tenant> {
    read(table, |section| tenant::read(section, Some(&config.plans)))
}

/// Reads a tenant that was kept: its plan may have gone from the configuration since.
///
/// # Errors
/// Every fault of it.
pub fn kept_tenant(table: &Map<String, Value>) -> Read<Tenant> {
    read(table, |section| tenant::read(section, None))
}

fn read<T>(table: &Map<String, Value>, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Read<T> {
    let findings = Findings::default();
    let section = Section::root(table, &findings, &Strangers);
    let item = read(&section);
    let definition = section.definition();
    section.finish();
    let faults = findings.into_faults();
    match item {
        Some(item) if faults.is_empty() => Ok(Declared { item, definition }),
        _ => Err(faults),
    }
}

/// Who writes over the network gets nothing of the relay's environment and files.
struct Strangers;

impl Surroundings for Strangers {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no file may be named here".to_owned())
    }

    fn gives(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        unconfigured().expect("an empty file is valid")
    }

    fn faults(definition: Value) -> Vec<String> {
        let table = definition.as_object().expect("an object");
        let faults = endpoint(&config(), table).err().unwrap_or_default();
        faults
            .iter()
            .map(|fault| format!("{} {}", fault.path.pointer(), fault.problem))
            .collect()
    }

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let definition = json!({
            "name": "crm", "url": "https://example.com", "headers": {"authorization": "Bearer x"},
            "plugins": [{"use": "p", "secrets": {"token": "t"}}],
            "secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        });
        let read = endpoint(&config(), definition.as_object().expect("an object")).expect("valid");
        let mut secrets = read.definition.secrets;
        secrets.sort();
        assert_eq!(
            secrets,
            ["/headers/authorization", "/plugins/0/secrets/token", "/secret"]
        );
    }

    #[test]
    fn faults_stand_at_json_pointers() {
        let found = faults(json!({"name": "crm", "url": "ftp://example.com", "retry": {"jiter": 1}}));
        assert!(found[0].starts_with("/url "), "{found:?}");
        assert!(found[1].starts_with("/retry/jiter "), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn nothing_of_the_machine_is_given_to_who_writes_over_the_network() {
        for reference in [json!({"env": "PATH"}), json!({"file": "/etc/passwd"})] {
            let found =
                faults(json!({"name": "a", "url": "https://example.com", "headers": {"x-a": reference}}));
            assert!(found[0].contains("only a configuration file"), "{found:?}");
        }
    }

    fn properties(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(keys) => {
                if let Some(properties) = keys.get("properties").and_then(Value::as_object) {
                    found.extend(properties.keys().cloned());
                }
                keys.values().for_each(|value| properties(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| properties(value, found)),
            _ => {}
        }
    }

    /// The readers' own text is searched, so that a key is not left out because no opening leads
    /// to it.
    #[test]
    fn every_key_that_is_read_is_in_the_schemas() {
        let readers = [
            include_str!("endpoint.rs"),
            include_str!("plugin.rs"),
            include_str!("rule.rs"),
            include_str!("label.rs"),
            include_str!("source/mod.rs"),
            include_str!("source/event.rs"),
            include_str!("source/verify/mod.rs"),
            include_str!("source/verify/handshake.rs"),
            include_str!("source/verify/jwt.rs"),
            include_str!("source/verify/keys.rs"),
            include_str!("source/verify/signature.rs"),
        ];
        let mut known = Vec::new();
        properties(&endpoint_schema(), &mut known);
        properties(&source_schema(), &mut known);
        properties(&rule_schema(), &mut known);
        let questions = [
            "string",
            "strings",
            "required",
            "boolean",
            "integer",
            "number",
            "duration",
            "durations",
            "bytes",
            "choice",
            "section",
            "sections",
            "secret",
            "secrets",
            "value",
        ];
        let mut asked = 0;
        for reader in readers {
            let reader = reader.split("#[cfg(test)]").next().unwrap_or_default();
            let questions = questions.iter().map(|question| format!(".{question}("));
            for question in questions.chain(["(section, ".to_owned()]) {
                for (at, _) in reader.match_indices(&question) {
                    let rest = reader[at + question.len()..].trim_start();
                    let Some(key) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                        continue;
                    };
                    asked += 1;
                    assert!(
                        known.iter().any(|known| known == key),
                        "{key} is not in the schemas"
                    );
                }
            }
        }
        assert!(asked > 50, "{asked} questions were found");
    }

    fn agree<T>(schema: &Value, definition: &Value, read: &Read<T>) {
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let faults = read.as_ref().err();
        let errors: Vec<_> = validator.iter_errors(definition).collect();
        assert_eq!(
            errors.is_empty(),
            read.is_ok(),
            "{definition}: the reader says {faults:?}, the schema {errors:?}"
        );
    }

    #[test]
    fn the_schemas_take_what_the_readers_take() {
        let endpoints = [
            json!({"name": "crm", "url": "https://example.com"}),
            json!({
                "name": "crm", "url": "https://example.com", "event_types": "a.*", "method": "PUT",
                "filter": {"type": ["a.b"]}, "headers": {"x-a": "b", "x-n": 1}, "timeout": "1s500ms",
                "retry": {"schedule": ["5s", "1m"], "jitter": 0.5, "max_age": null},
                "plugins": [{"use": "p", "config": {"a": [1]}, "secrets": {"t": "u"}, "memory": "1MiB"}],
                "rate_limit": "50/s", "signatures": ["v1"], "secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
                "tags": ["a"], "concurrency": 3, "enabled": false,
            }),
            json!({"name": "crm"}),
            json!({"name": "crm", "delivery": "push"}),
            json!({"name": "crm", "delivery": "poll", "event_types": "a.*"}),
            json!({"name": "crm", "url": "https://example.com", "nmae": 1}),
            json!({"name": null, "url": "https://example.com"}),
            json!({"name": "crm", "url": "https://example.com", "retry": {"jiter": 1}}),
            json!({"name": "crm", "url": "https://example.com", "retry": {"jitter": 2}}),
            json!({"name": "crm", "url": "https://example.com", "format": "xml"}),
            json!({"name": "crm", "url": "https://example.com", "concurrency": 0}),
            json!({"name": "crm", "url": "https://example.com", "timeout": 5}),
            json!({"name": "crm", "url": "https://example.com", "headers": {"x-a": ["b"]}}),
            json!({"name": "crm", "url": "https://example.com", "plugins": [{"config": {}}]}),
        ];
        let schema = endpoint_schema();
        for definition in &endpoints {
            let read = endpoint(&config(), definition.as_object().expect("an object"));
            agree(&schema, definition, &read);
        }
        let changes = json!({"value": "/a", "to": ["b", 1]});
        let cancel = json!({"event_types": "c.d", "filter": {"type": ["c.d"]}, "key": "/id"});
        let emit = json!({"type": "a.c", "member": "why"});
        let rules = [
            json!({"name": "r", "event_types": ["a.b"], "key": ["/id"], "changes": changes, "emit": emit}),
            json!({"name": "r", "key": "/id", "delay": "5m", "cancel_on": cancel, "emit": emit, "tags": ["a"]}),
            json!({"name": "r", "debounce": "5m", "max_wait": "1h", "include_emitted": true, "emit": emit}),
            json!({"name": "r", "inactive_for": "5m"}),
            json!({"name": "r", "inactive_for": 5, "emit": emit}),
            json!({"name": "r", "key": "/id", "changes": {"to": 1}, "emit": emit}),
            json!({"name": "r", "inactive_for": "5m", "emit": {"type": "a.c", "kind": "x"}}),
            json!({"name": "r", "inactive_for": "5m", "emit": emit, "other": 1}),
        ];
        let schema = rule_schema();
        for definition in &rules {
            agree(
                &schema,
                definition,
                &rule(definition.as_object().expect("an object")),
            );
        }
        let verify = [
            json!({"scheme": "none"}),
            json!({"scheme": "token", "secret": "s", "in": ["header:x-a", "query:b"]}),
            json!({"scheme": "basic", "user": "u", "password": "p"}),
            json!({"scheme": "hmac", "header": "x-s", "secrets": ["a", "b"], "encoding": "hex", "prefix": "sha256="}),
            json!({"scheme": "jwt", "algorithm": "HS256", "secret": "s", "issuer": "i"}),
            json!({"scheme": "github", "secret": "s"}),
            json!({"scheme": "none", "handshake": "cloudevents", "allow_origins": ["*"], "allow_rate": 1}),
            json!({"scheme": "nonesuch"}),
            json!({"secret": "s"}),
            json!({"scheme": "token", "secret": ""}),
            json!({"scheme": "token", "secret": "s", "other": 1}),
        ];
        let schema = source_schema();
        for verify in verify {
            let definition = json!({
                "name": "shop", "verify": verify, "body_limit": "1MiB",
                "event": {"type": "a.{/event}", "dedupe": ["/id"], "words": {"a": "b.c"}},
            });
            let read = source(&config(), definition.as_object().expect("an object"));
            agree(&schema, &definition, &read);
        }
    }
}
