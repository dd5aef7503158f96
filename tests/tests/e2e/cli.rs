//! The commands that talk to a relay, receive from it, and look at plugins.

use std::process::Stdio;

use relay_tests::guests;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use relay_tests::receiver::{Receiver, endpoint};
use serde_json::{Value, json};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[tokio::test]
async fn events_are_sent_from_an_argument_and_from_a_file() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    // Passed on as it is written: a number beyond 64 bits, white space, escapes.
    let data = r#"{"n":  123456789012345678901234567890, "s": "\u00e9"}"#;
    let file = relay.setup().file("event.json", data);
    for from in [data.to_owned(), format!("@{}", file.display())] {
        let before = receiver.requests().len();
        let sent = relay
            .command(
                ADMIN_KEY,
                &["send", "invoice.paid", "--data", &from, "--subject", "i1"],
            )
            .await;
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""), "{sent:?}");
        let id = sent.stdout.trim();
        let event = relay.read(&format!("/v1/events/{id}")).await;
        assert_eq!(
            (&event["type"], &event["subject"]),
            (&json!("invoice.paid"), &json!("i1"))
        );
        let request = receiver.received(before + 1).await.remove(before);
        assert!(request.text().contains(data), "{}", request.text());
    }
}

#[tokio::test]
async fn an_event_sent_twice_with_its_id_is_said_to_be_known() {
    let relay = Relay::start("").await;
    let send = async || {
        relay
            .command(ADMIN_KEY, &["send", "a.b", "--id", "order-1"])
            .await
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(
        second.stdout.trim(),
        format!("{} (accepted before)", first.stdout.trim())
    );
}

#[tokio::test]
async fn a_batch_of_lines_is_an_event_for_each() {
    let relay = Relay::start("").await;
    let file = relay
        .setup()
        .file("events.ndjson", "{\"n\": 1}\n\n2\n\"three\"\n");
    let sent = relay
        .command(
            ADMIN_KEY,
            &[
                "send",
                "a.b",
                "--batch",
                "--data",
                &format!("@{}", file.display()),
            ],
        )
        .await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let mut data = Vec::new();
    for id in lines(&sent.stdout) {
        data.push(relay.read(&format!("/v1/events/{id}")).await["data"].take());
    }
    assert_eq!(Value::from(data), json!([{"n": 1}, 2, "three"]));
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_standard_error() {
    let relay = Relay::start("").await;
    let wrong_key = format!("rk_{}", "0".repeat(32));
    for (key, arguments, words) in [
        (wrong_key.as_str(), &["send", "a.b"][..], "401"),
        (ADMIN_KEY, &["send", "a b"], "400"),
        (ADMIN_KEY, &["send", "a.b", "--data", "{"], "no JSON"),
        (ADMIN_KEY, &["send", "a.b", "--data", "@not-there"], "not-there"),
        (
            ADMIN_KEY,
            &["send", "a.b", "--url", "http://127.0.0.1:1"],
            "is the relay running?",
        ),
        (ADMIN_KEY, &["keys", "revoke", "key_nonsense"], "404"),
        (
            ADMIN_KEY,
            &["plugin", "inspect", "no-such-plugin"],
            "no-such-plugin",
        ),
        (
            ADMIN_KEY,
            &["plugin", "inspect", "./not-there.wasm"],
            "not-there.wasm",
        ),
    ] {
        let ended = relay.command(key, arguments).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(
            ended.stderr.contains(words),
            "{arguments:?}: {words:?} is not in: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let relay = Relay::start("").await;
    let made = relay
        .command(ADMIN_KEY, &["keys", "create", "--name", "shop", "--role", "send"])
        .await;
    let key = made.stdout.trim();
    assert!(made.code == Some(0) && key.starts_with("rk_"), "{made:?}");
    assert_eq!(relay.command(key, &["send", "a.b"]).await.code, Some(0));
    let refused = relay.command(key, &["keys", "list"]).await;
    assert!(
        refused.code == Some(1) && refused.stderr.contains("403"),
        "{refused:?}"
    );
    let listed = relay.command(ADMIN_KEY, &["keys", "list"]).await;
    let line = listed
        .stdout
        .lines()
        .find(|line| line.contains("shop"))
        .expect("the key is listed");
    assert!(line.contains("send") && !listed.stdout.contains(key), "{line}");
    let id = line.split_whitespace().next().unwrap_or_default();
    assert_eq!(
        relay.command(ADMIN_KEY, &["keys", "revoke", id]).await.code,
        Some(0)
    );
    let revoked = relay.command(key, &["send", "a.b"]).await;
    assert!(
        revoked.code == Some(1) && revoked.stderr.contains("401"),
        "{revoked:?}"
    );
    let listed = relay.command(ADMIN_KEY, &["keys", "list"]).await;
    assert!(listed.stdout.contains("revoked"), "{listed:?}");
}

#[tokio::test]
async fn v14_c10_a_listener_verifies_what_a_relay_sends() {
    let relay_config = |port: u16, secret: &str| {
        endpoint(
            "crm",
            &format!("http://127.0.0.1:{port}/hook"),
            &format!("secret = \"{secret}\""),
        )
    };
    let right = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let wrong = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    for (secret, verdict, answered) in [
        (right, "signature: valid", 204),
        (wrong, "signature: NOT VALID", 401),
    ] {
        let setup = Setup::new("");
        let mut command = setup.process(&["listen", "--port", "0", "--secret", secret]);
        let mut listener = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the relay can be run");
        let output = relay_tests::output::Output::of(listener.stdout.take().expect("it is piped"));
        let port = output
            .find(|line| line.strip_prefix("listening on http://127.0.0.1:")?.parse().ok())
            .await
            .expect("it says where");
        let relay = Relay::start(&relay_config(port, right)).await;
        let event = relay.event("a.b", json!({"n": 1})).await;
        let delivery = relay
            .delivery_that(&event, "tried once", |delivery| delivery["attempts"] == 1)
            .await;
        let attempts = relay.attempts(&delivery).await;
        assert_eq!(attempts[0]["outcome"]["status"], answered, "{attempts:?}");
        let said = output
            .find(|line| line.starts_with("  signature: ").then(|| line.trim().to_owned()))
            .await
            .unwrap_or_default();
        assert!(said.starts_with(verdict), "{said}");
        assert!(
            output.text().contains("POST /hook") && output.text().contains("webhook-id: msg_"),
            "{}",
            output.text()
        );
        listener.kill().await.expect("a child can be killed");
    }
}

#[tokio::test]
async fn a_plugin_is_looked_at_and_tried_without_a_relay() {
    let setup = Setup::new("");
    let everything = setup
        .file("everything.wasm", guests::EVERYTHING)
        .display()
        .to_string();
    let edits = setup.file("edits.wasm", guests::EDITS).display().to_string();
    let hostile = setup.file("hostile.wasm", guests::HOSTILE).display().to_string();
    setup.file(
        "event.json",
        r#"{"type": "a.b", "data": {"n": 1.0, "debug": true}}"#,
    );
    let shown = setup.run(&["plugin", "inspect", &everything]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for words in [
        "everything 1.2.3",
        "authenticate",
        "transform",
        "key",
        "greeting",
        "0.1.0",
    ] {
        assert!(
            shown.stdout.contains(words),
            "{words:?} is not in: {}",
            shown.stdout
        );
    }
    let json: Value = serde_json::from_str(
        &setup
            .run(&["plugin", "inspect", &everything, "--json"])
            .await
            .stdout,
    )
    .expect("JSON");
    assert!(json.to_string().contains("greeting"), "{json}");
    let ran = setup.run(&["plugin", "run", &edits, "event.json"]).await;
    assert!(
        ran.code == Some(0) && ran.stdout.contains("processed_by") && !ran.stdout.contains("debug"),
        "{ran:?}"
    );
    let data = setup.file("data.json", r#"{"id": 7}"#).display().to_string();
    let neither = setup.run(&["plugin", "run", &edits, &data]).await;
    assert!(
        neither.code == Some(1) && neither.stderr.contains(r#"neither an event, as in {"type": "#),
        "{neither:?}"
    );
    let misspelt = setup.run(&["plugin", "run", "redact-field", "event.json"]).await;
    assert!(
        misspelt.code == Some(1) && misspelt.stderr.contains("did you mean redact-fields?"),
        "{misspelt:?}"
    );
    let broke = setup
        .run(&[
            "plugin",
            "run",
            &hostile,
            "event.json",
            "--config",
            r#"{"do": "panic"}"#,
        ])
        .await;
    assert!(broke.code == Some(1), "{broke:?}");
    assert!((broke.stdout + &broke.stderr).contains("not to my taste"));
    let text = setup.file("text.wasm", "no component").display().to_string();
    let refused = setup.run(&["plugin", "inspect", &text]).await;
    assert!(
        refused.code == Some(1) && refused.stderr.contains("component"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn secrets_that_a_plugin_needs_are_named_and_given_to_what_tries_it() {
    let setup = Setup::new("");
    setup.file(
        "event.json",
        r#"{"type": "a.b", "data": {"card": "4111", "name": "Ada"}}"#,
    );
    let lacking = "the plugin needs the secret encryption-key; give it with --secret encryption-key=VALUE";
    let tried: [(&str, &[&str]); 2] = [
        ("run", &["event.json"]),
        ("bench", &["--event", "event.json", "--for", "20ms"]),
    ];
    for (command, rest) in tried {
        let config = ["--config", r#"{"fields": ["/card"]}"#];
        let arguments = [&["plugin", command, "encrypt-fields"], rest, &config].concat();
        let without = setup.run(&arguments).await;
        assert!(without.stderr.contains(lacking), "{without:?}");
        assert_eq!(without.code, Some(1), "{without:?}");
        let key = "encryption-key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let with = setup.run(&[&arguments[..], &["--secret", key]].concat()).await;
        assert_eq!((with.code, with.stderr.as_str()), (Some(0), ""), "{with:?}");
    }
}

#[tokio::test]
async fn the_demo_plays_every_platform_and_ends_well() {
    let setup = Setup::new("");
    let ended = setup.run(&["demo", "--once"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in [
        "mumble",
        "mumara",
        "whatsable",
        "calls",
        "vambe",
        "Every expected delivery arrived, signed and verified.",
    ] {
        assert!(
            ended.stdout.contains(words),
            "{words:?} is not in: {}",
            ended.stdout
        );
    }
}
