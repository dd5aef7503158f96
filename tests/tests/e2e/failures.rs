//! Receivers that misbehave: each gets the right class, and holds nothing up.

use std::collections::BTreeMap;

use relay_tests::instance::Relay;
use relay_tests::receiver::tls::{Authority, Certificate, Validity};
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// One try, with a deadline that a slow machine keeps.
const ONCE: &str = "retry = { schedule = [] }\ntimeout = \"2s\"";

/// The deliveries of an event by their endpoint, once none is pending.
async fn settled(relay: &Relay, event: &str) -> BTreeMap<String, Value> {
    let deliveries = eventually("every delivery to be settled", || async {
        let deliveries = relay.deliveries(event).await;
        if deliveries.iter().any(|delivery| delivery["status"] == "pending") {
            Err(deliveries)
        } else {
            Ok(deliveries)
        }
    })
    .await;
    let by_name = |delivery: Value| {
        (
            delivery["endpoint_name"].as_str().unwrap_or_default().to_owned(),
            delivery,
        )
    };
    deliveries.into_iter().map(by_name).collect()
}

#[tokio::test]
async fn c19_each_misbehaviour_has_its_class() {
    let elsewhere = Receiver::start();
    let replies = [
        ("never", Reply::Never, "timeout"),
        ("drip", Reply::Drip, "timeout"),
        ("interim", Reply::Interim, "too_large"),
        ("head", Reply::EndlessHead, "too_large"),
        ("garbage", Reply::Garbage, "protocol"),
        ("close", Reply::Close, "reset"),
        ("reset", Reply::Reset, "reset"),
        ("reset-in-body", Reply::ResetInBody, "reset"),
        (
            "redirect",
            Reply::with_header(302, "location", &elsewhere.url()),
            "http_3xx",
        ),
        ("unauthorized", Reply::Status(401), "http_4xx"),
        ("error", Reply::Status(500), "http_5xx"),
        ("odd", Reply::Status(600), "http_other"),
    ];
    let receivers = replies.map(|(name, reply, class)| (name, Receiver::always(reply), class));
    let closed = Closed::new();
    let mut config: String = receivers
        .iter()
        .map(|(name, receiver, _)| receiver.endpoint(name, ONCE))
        .collect();
    config += &endpoint("refused", &closed.url(), ONCE);
    config += &endpoint("no-name", "http://nowhere.invalid/", ONCE);
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    let deliveries = settled(&relay, &event).await;
    let classes = receivers.iter().map(|(name, _, class)| (*name, *class));
    for (name, class) in classes.chain([("refused", "connect"), ("no-name", "dns")]) {
        let delivery = &deliveries[name];
        let attempts = relay.attempts(delivery).await;
        // On a machine whose name server does not answer, the deadline comes first.
        let is_unanswered = name == "no-name" && attempts[0]["error_class"] == "timeout";
        assert!(
            attempts[0]["error_class"] == class || is_unanswered,
            "{name}: {attempts:?}"
        );
        assert_eq!(delivery["status"], "failed", "{name}");
        assert!(
            delivery["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{name}: {delivery}"
        );
    }
    assert_eq!(elsewhere.requests().len(), 0, "redirects are not followed");
    for (name, receiver, _) in &receivers {
        assert_eq!(receiver.requests().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_and_counts() {
    let receiver = Receiver::always(Reply::EndlessBody);
    let relay = Relay::start(&receiver.endpoint("crm", ONCE)).await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = relay.attempts(&delivery).await;
    let excerpt = attempts[0]["outcome"]["excerpt"].as_str().unwrap_or_default();
    assert_eq!(excerpt, "x".repeat(1024));
}

#[tokio::test]
async fn c11_bad_certificates_are_refused() {
    let authority = Authority::new();
    let certificates = [
        ("self-signed", Certificate::self_signed("127.0.0.1")),
        ("unknown-authority", authority.issue("127.0.0.1", Validity::Valid)),
        ("other-name", authority.issue("example.com", Validity::Valid)),
        ("expired", authority.issue("127.0.0.1", Validity::Expired)),
    ];
    let receivers = certificates.map(|(name, certificate)| (name, Receiver::behind(&certificate)));
    // One that does not speak TLS at all.
    let plain = Receiver::start();
    let mut config: String = receivers
        .iter()
        .map(|(name, receiver)| receiver.endpoint(name, ONCE))
        .collect();
    config += &endpoint("plain", &plain.url().replace("http:", "https:"), ONCE);
    let trusting = relay_tests::instance::Setup::new(&config);
    let file = trusting.file("ca.pem", authority.pem());
    // The authority is trusted, so that the name and the date alone are what is wrong.
    let trusting = trusting
        .variable("RELAY_OUTBOUND__CA_FILES", &format!("[{file:?}]"))
        .start()
        .await;
    let strict = Relay::start(&config).await;
    for (relay, accepted) in [(&trusting, vec!["unknown-authority"]), (&strict, vec![])] {
        let event = relay.event("a.b", json!(1)).await;
        for (name, delivery) in settled(relay, &event).await {
            let attempts = relay.attempts(&delivery).await;
            let class = if accepted.contains(&name.as_str()) {
                Value::Null
            } else {
                json!("tls")
            };
            assert_eq!(attempts[0]["error_class"], class, "{name}: {attempts:?}");
        }
    }
    let counts: Vec<(&str, usize)> = receivers
        .iter()
        .map(|(name, receiver)| (*name, receiver.requests().len()))
        .collect();
    assert_eq!(
        counts,
        [
            ("self-signed", 0),
            ("unknown-authority", 1),
            ("other-name", 0),
            ("expired", 0)
        ]
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_receiver_closed_costs_no_attempt() {
    let receiver = Receiver::script([Reply::with_header(200, "connection", "keep-alive"), Reply::Close]);
    let relay = Relay::start(&receiver.endpoint("crm", ONCE)).await;
    for n in 0..2 {
        let event = relay.event("a.b", json!(n)).await;
        let delivery = relay.delivery(&event, "succeeded").await;
        assert_eq!(delivery["attempts"], 1);
    }
    assert_eq!(
        receiver.requests().len(),
        3,
        "nothing was heard of the second, so it was sent once more"
    );
}
