//! The OpenAPI document: what it promises is what the relay answers.

use std::collections::BTreeSet;

use http::Method;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Every operation of a document, as method and path.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("the document has paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path has operations") {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

async fn document(relay: &Relay) -> Value {
    let answer = relay.send(Method::GET, "/openapi.json", &[], "").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    answer.json()
}

#[tokio::test]
async fn v1_the_document_is_served_to_anybody_and_printed_by_the_program() {
    let relay = Relay::start("").await;
    let served = document(&relay).await;
    assert_eq!(served["openapi"], "3.1.0");
    let printed = Setup::new("").run(&["openapi"]).await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let printed: Value = serde_json::from_str(&printed.stdout).expect("JSON is printed");
    assert_eq!(printed, served);
}

#[tokio::test]
async fn v1_every_operation_is_answered_and_no_other_method_is() {
    let relay = Relay::start("").await;
    let document = document(&relay).await;
    let known: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    for path in document["paths"].as_object().expect("paths").keys() {
        // What a source takes is for its configuration to say; an inspector takes everything.
        if path.starts_with("/in/") || path.starts_with("/bin/") {
            continue;
        }
        let asked = path.replace("{id}", "nothing");
        for method in METHODS {
            // Its answer never ends; the tests of the stream read it.
            if (&method, path.as_str()) == (&Method::GET, "/v1/stream") {
                continue;
            }
            let answer = relay.admin(method.clone(), &asked, None).await;
            let is_known = known.contains(&(method.to_string(), path.clone()));
            let is_answered = answer.status != 405;
            assert_eq!(is_answered, is_known, "{method} {path}: {}", answer.text());
            if answer.status == 404 {
                let detail = answer.problem()["detail"].to_string();
                assert!(
                    !detail.contains("there is nothing at"),
                    "{method} {path}: {detail}"
                );
            }
            if answer.status == 405 {
                assert!(!answer.header("allow").is_empty(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn v1_operations_have_names_of_their_own_and_say_what_they_do() {
    let relay = Relay::start("").await;
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document(&relay).await) {
        let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(
            names.insert(name.clone()),
            "{name} is there twice: {method} {path}"
        );
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(
            summary.len() > 5 && !summary.ends_with('.'),
            "{method} {path}: {summary:?}"
        );
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let has_text = response["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            assert!(has_text, "{method} {path} {status}");
            if status.starts_with(['4', '5']) {
                let schema = &response["content"]["application/problem+json"]["schema"];
                assert_eq!(
                    schema["$ref"], "#/components/schemas/Problem",
                    "{method} {path} {status}"
                );
            }
        }
    }
}

/// Where a document refers to, anywhere in it.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(keys) => {
            found.extend(keys.get("$ref").and_then(Value::as_str).map(str::to_owned));
            keys.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn v1_what_the_document_refers_to_is_in_it() {
    let relay = Relay::start("").await;
    let document = document(&relay).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// The reader and the schema agree about what a definition may have.
#[tokio::test]
async fn v1_definitions_are_taken_as_the_document_describes_them() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let document = document(&relay).await;
    let schemas = &document["components"]["schemas"];
    for (path, name, keys) in [
        (
            "/v1/endpoints",
            "Endpoint",
            json!({"name": "crm", "url": receiver.url(), "retry": {"schedule": ["5s"]}, "headers": {"x-a": "b"}}),
        ),
        (
            "/v1/event-types",
            "EventType",
            json!({"name": "a.b", "schema": {"type": "object"}, "sample": {}, "validate": "warn", "group": "g"}),
        ),
        (
            "/v1/sources",
            "Source",
            json!({"name": "shop", "verify": {"scheme": "token", "in": "header:x-token", "secret": "s3cr3t-s3cr3t"}}),
        ),
        (
            "/v1/rules",
            "Rule",
            json!({"name": "again", "event_types": ["a.b"], "delay": "5m", "emit": {"type": "a.c"}}),
        ),
    ] {
        let definition = &schemas[format!("{name}Definition")];
        assert_eq!(definition["additionalProperties"], false, "{definition}");
        for key in keys.as_object().expect("keys").keys() {
            assert!(definition["properties"][key].is_object(), "{key}");
        }
        let made = relay.admin(Method::POST, path, Some(keys)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let shown = schemas[name]["properties"].as_object().expect("properties");
        for key in made.json().as_object().expect("an object").keys() {
            assert!(shown.contains_key(key), "{name} shows {key}");
        }
    }
}
