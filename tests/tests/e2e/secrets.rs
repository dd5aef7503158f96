//! Secrets stay where they belong: sealed in the store, and in no log, answer or metric.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::json;

const SOURCE_TOKEN: &str = "tk-Zq7Kp2Wx9Lr4-of-the-source";
const HEADER_TOKEN: &str = "Bearer hd-Vb3Nm8Ty6Qe1-of-the-endpoint";
const PLUGIN_TOKEN: &str = "azGDORePK8gMaC0QOYAMyEEuzJnyUi";
const PUSHOVER_USER: &str = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwQ4hVn7dT1pY=";
const MASTER: &str = "q1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6J7k8L9z0X1c=";
const OTHER_MASTER: &str = "Zx9Cv8Bn7Mq6Lk5Jh4Gf3Ds2Ap1Oi0Uy9Tr8Ew7QaSc=";

/// Every kind of secret there is, with an endpoint that fails.
fn config(receiver: &Receiver) -> String {
    format!(
        "[store]\nmaster_key = {{ env = \"MASTER\" }}\n\
         [[source]]\nname = \"shop\"\nverify = {{ scheme = \"token\", secret = {{ file = \"token.txt\" }} }}\n\
         {}{}{}",
        receiver.endpoint(
            "own",
            &format!(
                "headers = {{ authorization = {{ env = \"HEADER\" }} }}\nretry = {{ schedule = [\"1h\"] }}\n\
                 secret = \"{WHSEC}\""
            )
        ),
        receiver.endpoint(
            "made",
            "signatures = [\"v1\", \"v1a\"]\nretry = { schedule = [\"1h\"] }"
        ),
        receiver.endpoint(
            "push",
            "retry = { schedule = [\"1h\"] }\nplugins = [{ use = \"notify-pushover\", config = { message = \"hi\" }, \
             secrets = { pushover-token = { env = \"PUSH\" }, pushover-user = { env = \"PUSH_USER\" } } }]"
        ),
    )
}

fn setup(receiver: &Receiver) -> Setup {
    let setup = Setup::new(&config(receiver))
        .variable("MASTER", MASTER)
        .variable("HEADER", HEADER_TOKEN)
        .variable("PUSH", PLUGIN_TOKEN)
        .variable("PUSH_USER", PUSHOVER_USER);
    setup.file("token.txt", SOURCE_TOKEN);
    setup
}

#[tokio::test]
async fn c13_a_whole_flow_shows_no_secret_anywhere() {
    let receiver = Receiver::script(vec![Reply::Status(500); 100]);
    let mut relay = setup(&receiver).start().await;
    // Those that the relay makes itself; the kit notes what these answers show.
    relay
        .admin(
            Method::POST,
            "/v1/keys",
            Some(json!({"name": "shop", "role": "send"})),
        )
        .await;
    for endpoint in ["made", "push"] {
        relay.secret(endpoint).await;
    }
    let token = [("authorization", format!("Bearer {SOURCE_TOKEN}"))];
    let token = token.each_ref().map(|(name, value)| (*name, value.as_str()));
    let event = accepted(&relay.post_source("shop", &token, r#"{"text": "hi"}"#).await);
    receiver.received(3).await;
    // Refusals quote what was wrong, and never what would have been right.
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(relay.post_source("shop", &wrong, "{}").await.status, 401);
    assert_eq!(
        relay.send(Method::GET, "/v1/events", &wrong, "").await.status,
        401
    );
    for path in [
        "/v1/events",
        &format!("/v1/events/{event}"),
        "/v1/deliveries",
        "/v1/endpoints",
        "/metrics",
        "/nothing/here",
    ] {
        // The kit looks through every answer.
        relay.admin(Method::GET, path, None).await;
    }
    let deliveries = relay.deliveries(&event).await;
    assert_eq!(deliveries.len(), 3, "{deliveries:?}");
    for delivery in &deliveries {
        relay.attempts(delivery).await;
    }
    relay.hang_up();
    relay.logged("configuration reloaded").await;
    let secrets = relay.setup().secrets();
    for secret in [
        ADMIN_KEY,
        SOURCE_TOKEN,
        HEADER_TOKEN,
        PLUGIN_TOKEN,
        PUSHOVER_USER,
        WHSEC,
        MASTER,
    ] {
        assert!(
            secrets.find_in(secret.as_bytes()).is_some(),
            "{secret} is looked for"
        );
    }
    scan_files(&relay);
    relay.stop().await;
    scan_files(&relay);
}

/// Looks through the store's files: the database, its log, and what else is beside them.
fn scan_files(relay: &Relay) {
    let home = relay.setup().home();
    let mut scanned = 0;
    for entry in home.read_dir().expect("the folder can be listed") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("relay.db") && path.is_file() {
            let bytes = std::fs::read(&path).expect("the file can be read");
            relay.setup().secrets().check(&bytes, &name);
            scanned += 1;
        }
    }
    assert!(scanned > 0, "there is a store");
}

#[tokio::test]
async fn c13_the_master_key_rotates_while_events_flow() {
    let receiver = Receiver::start();
    let keyed = |keys: &str| format!("[store]\nmaster_key = [{keys}]\n{}", receiver.endpoint("crm", ""));
    let (first, second) = (format!("\"{MASTER}\""), format!("\"{OTHER_MASTER}\""));
    let mut relay = Relay::start(&keyed(&first)).await;
    let secret = relay.secret("crm").await;
    for round in 0..20 {
        if round == 10 {
            relay.reconfigure(&keyed(&format!("{second}, {first}")));
        }
        relay.event("a.b", json!(round)).await;
    }
    relay.logged("sealed with another master key").await;
    receiver.received(20).await;
    relay.stop().await;
    relay.setup().file("relay.toml", keyed(&first));
    let refused = relay.setup().run(&["serve"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("sealed with the master key"),
        "{refused:?}"
    );
    relay.setup().file("relay.toml", keyed(&second));
    relay.start_again().await;
    assert_eq!(relay.secret("crm").await, secret);
}

#[tokio::test]
async fn a_weak_master_key_is_refused_without_being_shown() {
    for key in ["hunter2-hunter2", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        let setup = Setup::new(&format!("[store]\nmaster_key = \"{key}\"\n"));
        let ended = setup.run(&["check"]).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains("store.master_key"), "{ended:?}");
        assert!(ended.stderr.contains("openssl rand"), "{ended:?}");
    }
}
