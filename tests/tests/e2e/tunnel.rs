//! `relay listen --from`: events come to an address that nobody outside reaches.

use std::net::TcpListener;
use std::process::Stdio;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, interrupt};
use relay_tests::output::Output;
use relay_tests::receiver::{Closed, Receiver, Reply};
use relay_tests::wait::{eventually, within};
use serde_json::{Value, json};
use tokio::process::Child;

/// The command, as it runs.
struct Tunnel {
    child: Child,
    printed: Output,
    noted: Output,
    /// Keeps its folder.
    _setup: Setup,
}

impl Tunnel {
    fn start(relay: &Relay, arguments: &[&str]) -> Self {
        let setup = Setup::new("");
        let from = format!("http://{}", relay.address());
        let mut command = setup.process(&["listen", "--from", &from]);
        let mut child = command
            .args(arguments)
            .env("RELAY_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the relay can be run");
        Self {
            printed: Output::of(child.stdout.take().expect("it is piped")),
            noted: Output::of(child.stderr.take().expect("it is piped")),
            child,
            _setup: setup,
        }
    }

    /// Waits until it fetches; what its messages are verified with.
    async fn ready(&self) -> String {
        let secret = |line: &str| Some(line.split_once("verify them with ")?.1.to_owned());
        let found = within("the tunnel to be open", self.noted.find(secret)).await;
        found.unwrap_or_else(|| panic!("the tunnel is not open: {}", self.noted.text()))
    }

    async fn says(&self, text: &str) {
        let look = |line: &str| line.contains(text).then_some(());
        let found = within(text, self.printed.find(look)).await;
        assert!(found.is_some(), "{}", self.printed.text());
    }

    /// Interrupts it and waits for its end.
    async fn end(&mut self) {
        interrupt(&self.child);
        let ended = within("the end of the tunnel", self.child.wait()).await;
        let noted = self.noted.text();
        assert!(ended.expect("it can be waited for").success(), "{noted}");
    }
}

async fn status(relay: &Relay, path: &str) -> u16 {
    relay.admin(Method::GET, path, None).await.status
}

async fn waits(relay: &Relay) -> Vec<Value> {
    let page = relay.read("/v1/endpoints/dev/poll").await;
    page["data"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn w15_v14_a_tunnel_brings_events_as_a_push_would() {
    let local = Receiver::start();
    let pushed = Receiver::start();
    let relay = Relay::start(&pushed.endpoint("pushed", "event_types = [\"a.*\"]")).await;
    let url = local.url();
    let arguments = ["--endpoint", "dev", "--event-types", "a.*", "--forward", &url];
    let mut tunnel = Tunnel::start(&relay, &arguments);
    let secret = tunnel.ready().await;
    relay.event("x.y", json!("not wanted")).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    let brought = local.received(1).await.remove(0);
    brought.verify(&secret).expect("it is signed");
    let sent = pushed.received(1).await.remove(0);
    assert_eq!((brought.method.as_str(), &brought.path), ("POST", &sent.path));
    assert_eq!(brought.body, sent.body);
    let names = |request: &relay_tests::receiver::Request| {
        let names = request.headers.iter().map(|(name, _)| name.clone());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&brought), names(&sent));
    for name in ["content-type", "user-agent", "relay-hops"] {
        assert_eq!(brought.header(name), sent.header(name), "{name}");
    }
    tunnel
        .says(&format!("{} a.b → 200", brought.header("webhook-id")))
        .await;
    eventually("it to be acknowledged", || async {
        let deliveries = relay.deliveries(&event).await;
        let is_done = deliveries
            .iter()
            .all(|delivery| delivery["status"] == "succeeded");
        if is_done { Ok(()) } else { Err(deliveries) }
    })
    .await;
    assert_eq!(status(&relay, "/v1/endpoints/dev").await, 200);
    tunnel.end().await;
    assert_eq!(
        status(&relay, "/v1/endpoints/dev").await,
        404,
        "it was made for this"
    );
    assert_eq!(local.requests().len(), 1);
}

/// A port that is free, and stays so unless somebody is quicker.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

#[tokio::test]
async fn v14_what_is_not_taken_comes_again_and_restarts_are_survived() {
    let config = "[[endpoint]]\nname = \"dev\"\ndelivery = \"poll\"\n";
    let listen = format!("127.0.0.1:{}", free_port());
    let setup = Setup::new(config).variable("RELAY_SERVER__LISTEN", &listen);
    let mut relay = setup.start().await;
    let nobody = Closed::new();
    let url = nobody.url();
    let mut tunnel = Tunnel::start(&relay, &["--endpoint", "dev", "--forward", &url]);
    tunnel.ready().await;
    relay.event("a.b", json!(1)).await;
    tunnel.says("nobody listens").await;
    assert_eq!(waits(&relay).await.len(), 1);
    // It is there now, and declines at first.
    let local = nobody.open(|_, number| Reply::Status(if number == 0 { 500 } else { 204 }));
    let received = local.received(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    tunnel.says("→ 500").await;
    relay.stop().await;
    relay.start_again().await;
    relay.event("a.c", json!(2)).await;
    let received = local.received(3).await;
    assert_eq!(received[2].json()["type"], "a.c");
    eventually("all to be acknowledged", || async {
        let waits = waits(&relay).await;
        if waits.is_empty() { Ok(()) } else { Err(waits) }
    })
    .await;
    tunnel.end().await;
    assert_eq!(
        status(&relay, "/v1/endpoints/dev").await,
        200,
        "it was there before"
    );
}

#[tokio::test]
async fn v14_without_an_address_messages_are_printed_and_verified() {
    let relay = Relay::start("").await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut tunnel = Tunnel::start(&relay, &["--secret", secret]);
    assert_eq!(tunnel.ready().await, secret);
    relay.event("a.b", json!({"n": 17})).await;
    tunnel.says("\"n\": 17").await;
    assert!(tunnel.printed.text().contains("signature: valid"));
    tunnel.end().await;
    // What is sent its events has nothing to fetch.
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let mut refused = Tunnel::start(&relay, &["--endpoint", "crm"]);
    let ended = within("the end of the tunnel", refused.child.wait()).await;
    assert!(!ended.expect("it can be waited for").success());
    let text = refused.noted.text();
    assert!(text.contains("the endpoint crm is sent its events"), "{text}");
}

#[tokio::test]
async fn v14_what_is_polled_tells_the_request_that_would_be_sent() {
    let config = "[[endpoint]]\nname = \"dev\"\ndelivery = \"poll\"\nformat = \"cloudevents\"\n";
    let relay = Relay::start(config).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    relay.delivery(&event, "pending").await;
    let plain = waits(&relay).await;
    assert!(plain[0]["message"].is_null(), "{plain:?}");
    let page = relay.read("/v1/endpoints/dev/poll?messages=true").await;
    let message = &page["data"][0]["message"];
    let headers = message["headers"].as_array().cloned().unwrap_or_default();
    let header = |name: &str| {
        let named = headers.iter().find(|header| header[0] == name);
        named.map_or(Value::Null, |header| header[1].clone())
    };
    assert_eq!(header("webhook-id"), page["data"][0]["webhook_id"]);
    assert_eq!(
        header("content-type"),
        "application/cloudevents+json; charset=utf-8"
    );
    let refused = relay
        .admin(Method::GET, "/v1/endpoints/dev/poll?messages=yes", None)
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}
