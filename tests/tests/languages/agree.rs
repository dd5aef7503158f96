//! The same fixtures in every language.

use bytes::Bytes;
use http::Method;
use relay::plugins::fixtures::{Fixture, Found, comparable, fits};
use relay::plugins::{Plugins, Settings};
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::{binary, guests, languages};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{folder, found, workbench};

/// Every language, with its plugin.
fn plugins() -> Vec<(&'static str, Bytes)> {
    vec![
        ("rust", Bytes::from_static(guests::AGREES)),
        ("python", languages::component("python")),
    ]
}

/// What a plugin says of itself, but for what it was built with.
fn said(component: &[u8]) -> Value {
    let inspection = Plugins::inspect(component, "agrees").expect("a plugin");
    let manifest = inspection.manifest;
    let mut powers = inspection.powers;
    powers.sort();
    json!({
        "name": manifest.name, "description": manifest.description, "config": manifest.config,
        "reuse": manifest.reuse, "secrets": manifest.secrets, "hooks": inspection.hooks, "powers": powers,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_languages_hold_the_same_fixtures() {
    let plugins = tokio::task::spawn_blocking(plugins).await.expect("they build");
    let fixtures = Fixture::read_all(&folder("fixtures")).expect("fixtures");
    assert!(
        fixtures.len() >= 50,
        "only {} fixtures were found",
        fixtures.len()
    );
    let workbench = workbench();
    let mut wrong = Vec::new();
    let mut first: Vec<Found> = Vec::new();
    for (language, component) in &plugins {
        assert_eq!(said(component), said(&plugins[0].1), "{language}");
        let trial = workbench.trial_of("agrees", component.clone());
        for (number, (path, fixture)) in fixtures.iter().enumerate() {
            let name = path.file_stem().unwrap_or_default().display();
            let found = found(&trial, fixture).await;
            let expected = fixture.expect.as_ref().unwrap_or(&Value::Null);
            if !fits(expected, &found.shown) {
                let found = comparable(expected, &found.shown, &found.brief);
                wrong.push(format!(
                    "{name} in {language}\n  expected {expected}\n  found    {found}"
                ));
            }
            let Some(first) = first.get(number) else {
                first.push(found);
                continue;
            };
            // Whatever is not expected in so many words: headers, attributes, bytes, lines.
            if (&first.shown, &first.log) != (&found.shown, &found.log) {
                wrong.push(format!(
                    "{name} in {language}\n  differs from {} {:?}\n  found        {} {:?}",
                    first.shown, first.log, found.shown, found.log
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn components_of_every_language_are_small_enough_to_be_uploaded() {
    let settings = Settings::new("cache".into());
    for (language, component) in plugins() {
        let size = component.len();
        assert!(size < settings.component_bytes_max, "{language}: {size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_compiles_and_runs_plugins_of_every_language() {
    let plugins = tokio::task::spawn_blocking(plugins).await.expect("they build");
    let (relay, receiver) = (Relay::start("").await, Receiver::start());
    for (number, (language, component)) in plugins.into_iter().enumerate() {
        let file = relay.setup().file(&format!("in-{language}.wasm"), component);
        // As its author does, whose patience is longer than that of other tests: it is compiled meanwhile.
        let pushed = Command::new(binary::path())
            .args(["plugin", "push", "--name", &format!("in-{language}")])
            .arg(file)
            .args([
                "--url",
                &format!("http://{}", relay.address()),
                "--key",
                ADMIN_KEY,
            ])
            .output()
            .await
            .expect("it can be run");
        let said = String::from_utf8_lossy(&pushed.stderr);
        assert!(pushed.status.success(), "{language}: {said}");
        let secrets = json!({"token": "correct-horse-battery", "signing-key": "k"});
        let used = json!([{"use": format!("in-{language}"), "secrets": secrets, "grants": {"state": true}}]);
        let endpoint = json!({
            "name": language, "url": receiver.url(), "format": "raw",
            "event_types": [format!("agrees.{}", ["secret", "merge"][number])], "plugins": used,
        });
        let made = relay.admin(Method::POST, "/v1/endpoints", Some(endpoint)).await;
        assert_eq!(made.status, 201, "{language}: {}", made.text());
    }
    relay.event("agrees.secret", json!({})).await;
    let sent = receiver.received(1).await[0].json();
    assert_eq!(sent, json!({"length": 21}));
    relay.event("agrees.merge", json!({"address": {"zip": 1}})).await;
    let sent = receiver.received(2).await[1].json();
    assert_eq!(sent["address"], json!({"street": "Main", "geo": {"lat": 1}}));
}
