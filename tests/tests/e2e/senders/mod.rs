//! Every sender that is known by name: the recipes of the documentation are the configuration,
//! and each source takes what its sender signs and nothing else.

mod posts;
mod recipes;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, accepted};
use relay_tests::sign::now_secs;
use serde_json::json;

use self::posts::{Post, hex_sha256, senders, sha1, v0};
use self::recipes::{Keys, OTHER_WHSEC, WHSEC, blocks, documentation, setup, variables};

#[tokio::test]
async fn every_recipe_is_valid() {
    let ended = setup(&Keys::new()).run(&["check"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    assert_eq!(answer.problem()["code"], "unauthenticated", "{why}");
}

#[tokio::test]
async fn each_source_takes_what_its_sender_signs_and_nothing_else() {
    let keys = Keys::new();
    let relay = setup(&keys).start().await;
    for sender in senders() {
        let source = sender.source;
        let secret = match sender.secret {
            "" => String::new(),
            variable => keys.secret(variable),
        };
        let post = |secret: &str, at| (sender.sign)(&keys, secret, at, sender.body.as_bytes());
        let genuine = post(&secret, now_secs(0));
        let mut bare = genuine.clone();
        bare.query.clear();
        bare.headers.truncate(1);
        if source != "mail" {
            assert_refused(&bare.to(&relay, source).await, &format!("{source}: unsigned"));
        }
        let wrong = post("another-secret", now_secs(0));
        assert_refused(
            &wrong.to(&relay, source).await,
            &format!("{source}: wrongly signed"),
        );
        if sender.covers_body {
            let mut changed = genuine.clone();
            changed.body.push(b' ');
            assert_refused(&changed.to(&relay, source).await, &format!("{source}: changed"));
        }
        if let Some(tolerance) = sender.tolerance {
            let stale = post(&secret, now_secs(-tolerance - 30));
            assert_refused(&stale.to(&relay, source).await, &format!("{source}: stale"));
        }
        // Signed now: the time since it was made above may be more than its sender allows.
        let genuine = post(&secret, now_secs(0));
        let answer = genuine.to(&relay, source).await;
        assert_eq!(answer.status, 202, "{source}: {}", answer.text());
        let event = relay.read(&format!("/v1/events/{}", accepted(&answer))).await;
        assert_eq!(event["type"], sender.kind, "{source}");
        assert_eq!(event["source"], source);
        assert_eq!(event["bytes"], genuine.body.len(), "{source}");
        for (name, value) in &genuine.headers {
            let is_proof = ["signature", "token", "authorization", "hmac"]
                .iter()
                .any(|word| name.contains(word))
                && !name.contains("timestamp")
                && !name.contains("idempotency");
            assert!(
                !is_proof || !event.to_string().contains(value.as_str()),
                "{source}: {name} is kept: {event}"
            );
        }
        let again = genuine.to(&relay, source).await;
        assert_eq!(again.json()["duplicate"], sender.is_deduped, "{source}: again");
    }
}

#[tokio::test]
async fn what_senders_ask_first_is_answered_and_makes_no_event() {
    let relay = setup(&Keys::new()).start().await;
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str| {
        relay.send(method, path, headers, body.to_owned()).await
    };

    for source in ["meta", "whatsapp"] {
        let path = |token: &str| {
            format!("/in/{source}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=115")
        };
        let answer = ask(Method::GET, &path("META_VERIFY_TOKEN"), &[], "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "115"), "{source}");
        assert_refused(&ask(Method::GET, &path("wrong"), &[], "").await, source);
    }

    let challenge = [("x-okta-verification-challenge", "abc123")];
    let answer = ask(Method::GET, "/in/okta", &challenge, "").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"verification": "abc123"}))
    );
    assert_refused(&ask(Method::GET, "/in/okta", &[], "").await, "okta");

    let slack = br#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
    let names = ["x-slack-request-timestamp", "x-slack-signature"];
    let post = v0(names, "SLACK_SIGNING_SECRET", now_secs(0), slack);
    let answer = post.to(&relay, "slack").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "3eZbrw1a"));
    let forged = v0(names, "wrong", now_secs(0), slack);
    assert_refused(&forged.to(&relay, "slack").await, "slack");

    let zoom = br#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZ"}}"#;
    let names = ["x-zm-request-timestamp", "x-zm-signature"];
    let post = v0(names, "ZOOM_SECRET_TOKEN", now_secs(0), zoom);
    let encrypted = hex_sha256("ZOOM_SECRET_TOKEN", &[b"qgg8vlvZ"]);
    let answer = post.to(&relay, "zoom").await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({"plainToken": "qgg8vlvZ", "encryptedToken": encrypted})
        )
    );
    let forged = v0(names, "wrong", now_secs(0), zoom);
    assert_refused(&forged.to(&relay, "zoom").await, "zoom");

    let origin = [
        ("webhook-request-origin", "eventgrid.azure.net"),
        ("webhook-request-rate", "1000"),
    ];
    let answer = ask(Method::OPTIONS, "/in/cloudevents", &origin, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("webhook-allowed-origin"), "eventgrid.azure.net");
    assert_eq!(answer.header("webhook-allowed-rate"), "600");
    let other = [("webhook-request-origin", "other.example.com")];
    let answer = ask(Method::OPTIONS, "/in/cloudevents", &other, "").await;
    assert_refused(&answer, "cloudevents");
    assert_eq!(answer.header("webhook-allowed-origin"), "", "no consent");

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = ask(Method::POST, "/in/woocommerce", &form, "webhook_id=12").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_refused(
        &ask(Method::POST, "/in/woocommerce", &form, "webhook_id=12&x=1").await,
        "woocommerce",
    );

    assert_eq!(relay.read("/v1/events").await["data"], json!([]));
}

#[tokio::test]
async fn a_body_that_is_no_form_is_covered_by_its_digest_in_the_address() {
    let relay = setup(&Keys::new()).start().await;
    let body = b"[{\"type\":\"com.twilio.messaging.message.delivered\",\"id\":\"EZ1\"}]";
    let query = format!(
        "?bodySHA256={}",
        hex::encode(digest::digest(&digest::SHA256, body))
    );
    let url = format!("https://hooks.example.com:443/in/twilio{query}");
    let signature = STANDARD.encode(sha1("TWILIO_AUTH_TOKEN", &[url.as_bytes()]));
    let post = Post {
        query,
        ..Post::json(body)
    }
    .with("x-twilio-signature", signature);
    accepted(&post.to(&relay, "twilio").await);
    let mut changed = post.clone();
    changed.body.push(b'\n');
    assert_refused(&changed.to(&relay, "twilio").await, "another body");
    let mut without = post;
    without.query.clear();
    assert_refused(&without.to(&relay, "twilio").await, "without the digest");
}

// ---- relay send --as -------------------------------------------------------------------

/// The words of a line of the documentation, its variables filled in.
fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    line.split_whitespace()
        .map(|word| {
            let word = word.trim_matches('"');
            match word.strip_prefix('$') {
                Some(name) => variables.get(name).cloned().expect("a variable of a recipe"),
                None => word.to_owned(),
            }
        })
        .collect()
}

#[tokio::test]
async fn every_command_of_the_documentation_works() {
    let keys = Keys::new();
    let relay = setup(&keys).start().await;
    let text = documentation();
    let config = blocks(&text, "toml").concat();
    let variables: BTreeMap<String, String> = variables(&config)
        .into_iter()
        .map(|name| (name.to_owned(), keys.secret(name)))
        .collect();
    let mut played = Vec::new();
    for block in blocks(&text, "sh") {
        for line in block.replace("\\\n", " ").lines() {
            let Some(arguments) = line.strip_prefix("relay ") else {
                continue;
            };
            let arguments = words(arguments, &variables);
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let ended = relay.command(ADMIN_KEY, &arguments).await;
            assert_eq!(
                (ended.code, ended.stderr.as_str()),
                (Some(0), ""),
                "{line}: {ended:?}"
            );
            if arguments.contains(&"--handshake") {
                assert!(ended.stdout.starts_with("200 "), "{line}: {ended:?}");
            } else {
                let id = ended.stdout.trim();
                let event = relay.read(&format!("/v1/events/{id}")).await;
                let kind = event["type"].as_str().expect("a type");
                assert!(kind.ends_with(arguments[1]), "{line}: {event}");
                played.push(event["source"].as_str().expect("a source").to_owned());
            }
        }
    }
    played.sort();
    played.dedup();
    assert!(played.len() > 20, "{played:?}");
}

#[tokio::test]
async fn every_sender_that_can_be_played_is_taken_by_its_source() {
    let keys = Keys::new();
    let relay = setup(&keys).start().await;
    let unknown = relay.command(ADMIN_KEY, &["send", "a.b", "--as", "githup"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    let (_, known) = unknown.stderr.trim().split_once("known are ").expect("a list");
    let senders = senders();
    for name in known.split(", ") {
        let sender = senders.iter().find(|sender| sender.source == name);
        let sender = sender.unwrap_or_else(|| panic!("{name} is tested"));
        let secret = match name {
            "sendgrid" => "@sendgrid.pem".to_owned(),
            _ => keys.secret(sender.secret),
        };
        let mut arguments = vec!["send", "a.b", "--as", name, "--user", name, "--secret", &secret];
        if name == "twilio" {
            arguments.extend(["--public-url", "https://hooks.example.com/in/twilio"]);
        }
        let ended = relay.command(ADMIN_KEY, &arguments).await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{name}: {ended:?}"
        );
        arguments[7] = match name {
            "sendgrid" => "another",
            _ if secret == WHSEC => OTHER_WHSEC,
            _ => "another",
        };
        let ended = relay.command(ADMIN_KEY, &arguments).await;
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
    }
}
