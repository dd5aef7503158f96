//! Plugins in JavaScript that misbehave: each is stopped, its fault says how it did, and the next call finds
//! nothing of it.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::kit::{Plugin, built, project, with_manifest};

/// How long what ends by itself, or by another limit, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const HOSTILE: &str = include_str!("hostile.js");

/// Built once for all.
static COMPONENT: LazyLock<Bytes> = LazyLock::new(|| {
    let project = project(&[("src/plugin.js", HOSTILE)]);
    built(project.path(), "src/plugin.js").expect("it builds")
});

fn hostile() -> Plugin {
    Plugin::of(COMPONENT.clone()).within(Duration::from_millis(500))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misdeed_ends_in_a_fault_that_names_it() {
    // Only what never ends may run out of time, however busy the machine is.
    let (hurried, patient) = (hostile(), hostile().within(PATIENCE));
    let mut surprises = Vec::new();
    for (deed, kind, said) in [
        ("spin", "timed_out", "did not end within 500 ms"),
        (
            "spin-in-host",
            "over_limit",
            "called the relay more than 100000 times",
        ),
        ("spin-in-a-pattern", "timed_out", "did not end"),
        ("eat-memory", "out_of_memory", "16777216 are allowed"),
        ("eat-objects", "out_of_memory", "16777216 are allowed"),
        ("huge-text", "over_limit", "output"),
        ("many-messages", "over_limit", "more than 100 messages"),
        ("flood-console", "over_limit", "logged more than 64 lines"),
        ("throw", "invalid", "Error: not to my taste (src/plugin.js:37)"),
        ("throw-a-text", "invalid", "transform threw \"a text\""),
        ("throw-nothing", "invalid", "transform threw undefined"),
        ("throw-what-throws", "invalid", "transform threw an object"),
        (
            "no-such-function",
            "invalid",
            "ReferenceError: event is not defined (src/plugin.js:52)",
        ),
        (
            "no-such-answer",
            "invalid",
            "transform answered 7; it answers edits",
        ),
        ("async", "invalid", "transform is async"),
        (
            "not-json",
            "invalid",
            "the value for /a is undefined, which is not JSON",
        ),
        ("bigint", "invalid", "TypeError"),
        (
            "bad-pointer",
            "bad_answer",
            "edit 1 (set \"no/slash\"): the pointer",
        ),
        ("not-a-pointer", "invalid", "a pointer is 7, not a string"),
        ("foreign-payload", "invalid", "Message.held takes a payload"),
        (
            "bad-header",
            "bad_answer",
            "`content-length` belongs to the relay",
        ),
        ("no-grant", "misconfigured", "the secret `other` is not granted"),
        (
            "fetch",
            "invalid",
            "fetch is not there in a plugin: ask with relay.http",
        ),
        ("timer", "invalid", "setTimeout is not there in a plugin"),
    ] {
        let plugin = if kind == "timed_out" { &hurried } else { &patient };
        let found = plugin.transform(json!({ "do": deed }), json!({})).await.shown;
        let message = found["message"].as_str().unwrap_or_default();
        if found["fault"] != kind || !message.contains(said) {
            surprises.push(format!("{deed}: {found}"));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_ends_in_a_fault_of_the_event() {
    let plugin = hostile();
    for deed in ["recurse", "recurse-in-data"] {
        let found = plugin.transform(json!({ "do": deed }), json!({})).await.shown;
        let is_stopped = found["fault"] == "invalid" || found["fault"] == "trapped";
        assert!(is_stopped && found["message"] != "", "{deed}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_misdeed_goes_on() {
    let plugin = hostile();
    for (deed, expected) in [
        ("nothing", json!({ "keep": true })),
        ("long-line", json!({ "keep": true })),
        ("eval", json!({ "drop": "42" })),
        (
            "half-a-character",
            json!({ "emit": [{ "data_text": "a\u{fffd}b" }] }),
        ),
    ] {
        let found = plugin.transform(json!({ "do": deed }), json!({ "n": 1 })).await;
        assert!(
            relay::plugins::fixtures::fits(&expected, &found.shown),
            "{deed}: {}",
            found.shown
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_serves_one_event_alone_unless_its_author_says_otherwise() {
    let plugin = hostile();
    let fixture = |deed: &str, n: u32| {
        json!({
            "hook": "transform",
            "event": { "type": "order.changed", "data": { "n": n } },
            "config": { "do": deed },
        })
    };
    for n in 1..4 {
        let found = plugin.play(fixture("pollute", n)).await.shown;
        assert_eq!(found["drop"], "polluted", "{found}");
        let found = plugin.play(fixture("look", n)).await.shown;
        assert_eq!(found["drop"], format!("0 undefined undefined 2 {n}"), "{found}");
    }

    // With reuse, calls of one use of it share an instance, and a thrown error leaves it alive.
    let component = plugin.trial.component.clone();
    let reused = Plugin::of(with_manifest(component, &json!({ "type": "object" }), &[]));
    let look = serde_json::from_value(fixture("look", 1)).expect("a fixture");
    let bound = match reused.trial.bind(&look, true).await {
        Ok(Ok(bound)) => bound,
        other => panic!("it cannot be bound: {:?}", other.map(|_| ())),
    };
    for count in 0..3 {
        let found = reused.trial.play(&look, &bound).await.shown;
        assert_eq!(
            found["drop"],
            format!("{count} undefined undefined 2 1"),
            "{found}"
        );
    }
}
