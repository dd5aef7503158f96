//! Every golden fixture of the stock plugins, run by the real host on the real components, and the
//! page that lists them.
//!
//! The plugins' own unit tests run the same files natively, against the SDK's fake host.

use relay::plugins::stock;
use relay_tests::{catalogue, fixture};
use serde_json::{Value, json};

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
    let plugins = fixture::host(cache.path());
    let mut wrong = Vec::new();
    let mut ran = 0;
    for plugin in stock::names() {
        for (path, fixture) in fixture::fixtures(plugin) {
            let expected = match &fixture.expect {
                keep if keep.get("keep").is_some() => kept(&fixture.data()),
                expected => expected.clone(),
            };
            let found = fixture.result(&plugins, plugin).await;
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
    assert!(ran >= 220, "only {ran} fixtures were found");
}

#[test]
fn the_catalogue_lists_what_comes_with_the_relay() {
    let path = catalogue::path();
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        page,
        catalogue::corrected(&page),
        "{} is not true any more: run relay-bench catalogue",
        path.display()
    );
}
