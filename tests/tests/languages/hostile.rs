//! Plugins that misbehave, in languages that bring a runtime along: each is stopped, its fault says how it
//! did, and the next event is served.

use std::time::Duration;

use relay::model::plugin::Limits;
use relay::plugins::fixtures::Trial;
use relay_tests::languages;
use serde_json::{Value, json};

use crate::{fixture, found, workbench};

async fn trial(name: &'static str) -> Trial {
    let component = tokio::task::spawn_blocking(move || languages::component(name)).await;
    let limits = Limits {
        time: Duration::from_secs(1),
        ..Limits::default()
    };
    Trial {
        limits,
        ..workbench().trial_of("hostile", component.expect("it builds"))
    }
}

fn asked(deed: &str) -> relay::plugins::fixtures::Fixture {
    let data = json!({"do": deed});
    fixture(json!({
        "hook": "transform",
        "event": {"type": "any.thing", "data": data},
        "secrets": {"token": "t0ps3cret-t0ps3cret"},
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misdeed_in_python_ends_in_a_fault_that_names_it() {
    let trial = trial("hostile/python").await;
    let harmless = asked("nothing");
    // One place, whose instances are kept: what one event leaves behind must not meet the next.
    let bound = trial.bind(&harmless, true).await.expect("it is bound");
    let bound = bound.expect("its configuration is taken");
    let mut surprises = Vec::new();
    for (deed, kind, said) in [
        ("spin", "timed_out", "did not end"),
        ("sleep", "timed_out", "did not end"),
        ("eat-memory", "out_of_memory", "16777216 are allowed"),
        ("recurse", "invalid", "RecursionError"),
        ("recurse-deeper", "trapped", ""),
        ("exit", "invalid", "SystemExit: 3 (plugin.py, line"),
        ("exit-hard", "trapped", "exit"),
        ("abort", "trapped", ""),
        (
            "raise",
            "invalid",
            "ValueError: the payload is not to my taste (plugin.py, line",
        ),
        ("raise-base", "invalid", "KeyboardInterrupt (plugin.py, line"),
        ("raise-odd", "invalid", "Odd (plugin.py, line"),
        ("print-flood", "timed_out", "did not end"),
        ("flood-log", "over_limit", "logged more than 64 lines"),
        ("log-secret", "invalid", "ValueError: the secret is *** ("),
        ("huge-output", "over_limit", "output"),
        ("huge-drop", "out_of_memory", "16777216 are allowed"),
        ("many-messages", "over_limit", "more than 100 messages"),
        ("half-character", "invalid", "no Unicode text"),
        (
            "wrong-type",
            "invalid",
            "TypeError: the value of x-a is a str, not int",
        ),
        ("wrong-answer", "invalid", "TypeError: transform returned a int"),
        ("late-import", "invalid", "import it at the top of the file"),
        ("unknown", "invalid", "KeyError: 'unknown'"),
    ] {
        let found = trial.play(&asked(deed), &bound).await;
        let message = found.shown["message"].as_str().unwrap_or_default();
        if found.shown["fault"] != kind || !message.contains(said) {
            surprises.push(format!("{deed}: expected {kind} {said:?}, found {}", found.shown));
        }
        let after = trial.play(&harmless, &bound).await;
        if after.shown["keep"] != true {
            surprises.push(format!("after {deed}: {}", after.shown));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_leaves_to_a_plugin_is_its_own() {
    let trial = trial("hostile/python").await;
    let one = async |deed: &str| found(&trial, &asked(deed)).await;
    let dropped = |shown: &Value| shown["drop"].as_str().unwrap_or_default().to_owned();
    // No file, no variable, no socket.
    let files = one("read-files").await.shown;
    let expected = "FileNotFoundError FileNotFoundError FileNotFoundError";
    assert!(
        dropped(&files).starts_with(expected) && dropped(&files).ends_with("{}"),
        "{files}"
    );
    let socket = one("open-socket").await.shown;
    assert!(
        socket["message"]
            .as_str()
            .is_some_and(|said| said.contains("gaierror")),
        "{socket}"
    );
    // What is random is not what it was when the plugin was built.
    let (first, second) = (one("random").await.shown, one("random").await.shown);
    assert!(first["drop"].is_string() && first != second, "{first} {second}");
    // Half a character is shown as what cannot be shown.
    assert_eq!(one("half-reason").await.shown["drop"], "?");
    // What it prints is in the log, at once and whole.
    let printed = one("print-some").await;
    let lines = printed.log.join("\n");
    assert!(
        lines.contains("to stdout") && lines.contains("to stderr"),
        "{printed:?}"
    );
    // Memory that was refused and hidden is still a fault, or at least no more than it may have.
    let hidden = one("eat-and-hide").await.shown;
    assert!(
        hidden["drop"] == "hidden" || hidden["fault"] == "out_of_memory",
        "{hidden}"
    );
    // An instance is of one place alone, and remembers there as its author chose.
    let bound = trial.bind(&asked("remember"), true).await.expect("it is bound");
    let bound = bound.expect("its configuration is taken");
    let mut counts = Vec::new();
    for _ in 0..2 {
        counts.push(dropped(&trial.play(&asked("remember"), &bound).await.shown));
    }
    assert_eq!(counts, ["calls=1", "calls=2"]);
    assert_eq!(dropped(&one("remember").await.shown), "calls=1");
    // Not reused, it remembers nothing.
    let fresh = trial.bind(&asked("remember"), false).await.expect("it is bound");
    let fresh = fresh.expect("its configuration is taken");
    for _ in 0..2 {
        let shown = trial.play(&asked("remember"), &fresh).await.shown;
        assert_eq!(dropped(&shown), "calls=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_loses_memory_is_replaced_before_it_has_none_left() {
    let trial = trial("hostile/python").await;
    let losing = asked("lose-memory");
    let bound = trial.bind(&losing, true).await.expect("it is bound");
    let bound = bound.expect("its configuration is taken");
    for number in 0..100 {
        let found = trial.play(&losing, &bound).await;
        assert!(
            found.shown["emit"].is_array(),
            "call {number}: {}",
            found.shown["message"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traceback_has_the_authors_lines() {
    let trial = trial("hostile/python").await;
    let found = found(&trial, &asked("raise")).await;
    let text = format!("{} {}", found.shown, found.log.join("\n"));
    for words in ["plugin.py", "raise ValueError(", "in raise_error"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert!(!text.contains("relay_sdk/"), "{text}");
}
