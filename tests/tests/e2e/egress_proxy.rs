//! Everything that is sent leaves through the operator's proxy.

use std::net::SocketAddr;

use http::Method;
use relay_tests::egress_proxy::EgressProxy;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::receiver::{Receiver, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// One attempt, so that what came of it is final.
const ONCE: &str = "retry = { schedule = [] }";

async fn only_attempt(relay: &Relay, status: &str) -> Value {
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, status).await;
    relay.attempts(&delivery).await.remove(0)
}

#[tokio::test]
async fn c14_requests_leave_through_the_proxy_to_the_address_that_was_judged() {
    let (receiver, proxy) = (Receiver::start(), EgressProxy::start().await);
    let url = format!("http://localhost:{}/hook", receiver.address().port());
    let outbound = format!(
        "[outbound]\negress = [\"203.0.113.7\"]\n{}proxy_user = \"relay\"\nproxy_password = {{ env = \"PROXY_PASSWORD\" }}\n",
        proxy.setting()
    );
    let relay = Setup::new(&(outbound + &endpoint("crm", &url, "")))
        .variable("PROXY_PASSWORD", "pr0xy-s3cr3t")
        // Nobody reads these.
        .variable("http_proxy", "http://127.0.0.1:1")
        .variable("HTTP_PROXY", "http://127.0.0.1:1")
        .start()
        .await;
    for number in 0..3 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "succeeded").await;
    }
    let requests = receiver.received(3).await;
    let host = format!("localhost:{}", receiver.address().port());
    assert!(requests.iter().all(|request| request.header("host") == host));
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "a connection is used again: {asked:?}");
    assert_eq!(
        asked[0].target,
        receiver.address().to_string(),
        "no name, but an address"
    );
    // relay:pr0xy-s3cr3t
    let authorization = asked[0].authorization.as_deref();
    assert_eq!(authorization, Some("Basic cmVsYXk6cHIweHktczNjcjN0"));

    let diagnosis = relay
        .admin(Method::POST, "/v1/endpoints/crm/diagnose", None)
        .await
        .json();
    let connect = &diagnosis["steps"][3];
    assert_eq!(
        (&connect["step"], &connect["outcome"]),
        (&json!("connect"), &json!("ok"))
    );
    assert_eq!(connect["detail"], "connected through the egress proxy");
    assert_eq!(proxy.asked().len(), 2);
    let egress = relay.read("/v1/egress").await;
    assert_eq!(egress, json!({"networks": ["203.0.113.7/32"], "pinned": true}));
}

#[tokio::test]
async fn c14_tls_goes_through_the_tunnel_to_the_name_of_the_url() {
    let (authority, proxy) = (Authority::new(), EgressProxy::start().await);
    let receiver = Receiver::behind(&authority.issue("localhost", Validity::Valid));
    let url = format!("https://localhost:{}/hook", receiver.address().port());
    let outbound = format!("[outbound]\nca_files = [\"ca.pem\"]\n{}", proxy.setting());
    let setup = Setup::new(&(outbound + &endpoint("crm", &url, ONCE)));
    setup.file("ca.pem", authority.pem());
    let relay = setup.start().await;
    only_attempt(&relay, "succeeded").await;
    assert_eq!(receiver.received(1).await.len(), 1);
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn c14_the_guard_judges_before_the_proxy_is_asked() {
    let (receiver, proxy) = (Receiver::start(), EgressProxy::start().await);
    let config = format!(
        "[outbound]\n{}{}",
        proxy.setting(),
        receiver.endpoint("crm", ONCE)
    );
    let url = format!("http://localhost:{}/hook", receiver.address().port());
    let config = config.replace(&receiver.url(), &url);
    let relay = Setup::new(&config)
        .variable("RELAY_OUTBOUND__ALLOW_NETWORKS", "[]")
        .start()
        .await;
    let attempt = only_attempt(&relay, "failed").await;
    assert_eq!(attempt["error_class"], "blocked");
    assert_eq!((proxy.asked(), receiver.requests().len()), (Vec::new(), 0));
}

#[tokio::test]
async fn c14_what_the_proxy_refuses_is_told_and_a_reload_takes_another_one() {
    let receiver = Receiver::start();
    let mut relay: Option<Relay> = None;
    for (status, class) in [(403, "blocked"), (407, "blocked"), (502, "connect")] {
        let proxy = EgressProxy::answering(status).await;
        let config = format!(
            "[outbound]\n{}{}",
            proxy.setting(),
            receiver.endpoint("crm", ONCE)
        );
        let relay = match &relay {
            None => relay.insert(Relay::start(&config).await),
            Some(relay) => {
                reload(relay, &config).await;
                relay
            }
        };
        let attempt = only_attempt(relay, "failed").await;
        assert_eq!(attempt["error_class"], class, "{attempt}");
        assert!(
            attempt["outcome"].to_string().contains(&status.to_string()),
            "{attempt}"
        );
        assert_eq!(
            proxy.asked()[0].target.parse(),
            Ok::<SocketAddr, _>(receiver.address())
        );
    }
    let relay = relay.expect("it runs");
    assert_eq!(receiver.requests().len(), 0);

    let proxy = EgressProxy::start().await;
    let proxied = format!(
        "[outbound]\n{}{}",
        proxy.setting(),
        receiver.endpoint("crm", ONCE)
    );
    let straight = receiver.endpoint("crm", ONCE);
    for (config, tunnels) in [(&proxied, 1), (&straight, 1), (&proxied, 2)] {
        reload(&relay, config).await;
        only_attempt(&relay, "succeeded").await;
        assert_eq!(
            proxy.asked().len(),
            tunnels,
            "kept connections go the new way too"
        );
    }
}

/// Gives the relay another configuration, and waits until it is in force.
async fn reload(relay: &Relay, config: &str) {
    let before = relay.log().matches("configuration reloaded").count();
    relay.reconfigure(config);
    eventually("the reload", || async {
        match relay.log().matches("configuration reloaded").count() > before {
            true => Ok(()),
            false => Err(()),
        }
    })
    .await;
}
