//! W3C Trace Context: the sender's trace goes on with the delivery.

use relay_tests::instance::{Relay, accepted};
use relay_tests::receiver::{Receiver, Reply, Request};
use serde_json::json;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const EVENT: &str = r#"{"type": "a.b", "data": 1}"#;

async fn post(relay: &Relay, headers: &[(&str, &str)]) -> String {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    accepted(&relay.post_events(&all, EVENT).await)
}

/// Whether a request goes on with the trace, as another step of it; the step.
fn step(request: &Request) -> String {
    let sent = request.header("traceparent").to_owned();
    let parts: Vec<&str> = sent.split('-').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1], parts[3]),
        (4, "00", TRACE, "01"),
        "{sent}"
    );
    assert_ne!(parts[2], "b7ad6b7169203331", "it is a step of its own");
    parts[2].to_owned()
}

#[tokio::test]
async fn a_trace_goes_from_the_sender_to_every_attempt() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings = "retry = { schedule = [\"10ms\"], jitter = 0 }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let headers = [("traceparent", PARENT), ("tracestate", "rojo=1,congo=2")];
    let event = post(&relay, &headers).await;
    let requests = receiver.received(2).await;
    assert_eq!(
        step(&requests[0]),
        step(&requests[1]),
        "the same bytes and headers"
    );
    assert_eq!(requests[0].header("tracestate"), "rojo=1,congo=2");
    let shown = relay.read(&format!("/v1/events/{event}")).await;
    assert_eq!(shown["trace_id"], TRACE, "{shown}");
    let listed = relay.read("/v1/events").await;
    assert_eq!(listed["data"][0]["trace_id"], TRACE, "{listed}");
}

#[tokio::test]
async fn endpoints_get_steps_of_their_own_and_logs_name_the_trace() {
    let (gone, other) = (Receiver::always(Reply::Status(410)), Receiver::start());
    let config = format!("{}{}", gone.endpoint("gone", ""), other.endpoint("other", ""));
    let relay = Relay::start(&config).await;
    // It takes two to disable an endpoint.
    for count in 1..=2 {
        post(&relay, &[("traceparent", PARENT)]).await;
        gone.received(count).await;
    }
    let (first, second) = (step(&gone.requests()[0]), step(&gone.requests()[1]));
    let others = step(&other.received(2).await[0]);
    assert!(first != second && first != others, "{first} {second} {others}");
    let line = relay.logged("endpoint disabled").await;
    assert!(line.contains(TRACE), "{line}");
}

#[tokio::test]
async fn a_source_passes_its_trace_on() {
    let receiver = Receiver::start();
    let source = "[[source]]\nname = \"shop\"\nverify = { scheme = \"none\" }\n";
    let relay = Relay::start(&format!("{source}{}", receiver.endpoint("crm", ""))).await;
    accepted(&relay.post_source("shop", &[("traceparent", PARENT)], "{}").await);
    step(&receiver.received(1).await[0]);
}

#[tokio::test]
async fn what_is_no_trace_is_passed_over() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let upper = PARENT.to_uppercase();
    let long = format!("a={}", "x".repeat(600));
    let cases: [&[(&str, &str)]; 5] = [
        &[],
        &[("traceparent", "00-1-2-01"), ("tracestate", "a=1")],
        &[("traceparent", &upper)],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
        &[("tracestate", "a=1")],
    ];
    for (index, headers) in cases.iter().enumerate() {
        let event = post(&relay, headers).await;
        let request = receiver.received(index + 1).await.remove(index);
        for name in ["traceparent", "tracestate"] {
            assert_eq!(request.header(name), "", "{headers:?}");
        }
        let shown = relay.read(&format!("/v1/events/{event}")).await;
        assert!(shown.get("trace_id").is_none(), "{shown}");
    }
    post(&relay, &[("traceparent", PARENT), ("tracestate", &long)]).await;
    let request = receiver.received(cases.len() + 1).await.remove(cases.len());
    step(&request);
    assert_eq!(request.header("tracestate"), "", "too long to be passed on");
}

#[tokio::test]
async fn an_event_that_names_its_trace_keeps_to_it() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "format = \"cloudevents\"")).await;
    let other = PARENT.replace("0af7", "0be8");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "traceparent": PARENT, "data": 1,
    });
    let headers = [
        ("content-type", "application/cloudevents+json"),
        ("traceparent", other.as_str()),
    ];
    accepted(&relay.post_events(&headers, event.to_string()).await);
    let request = receiver.received(1).await.remove(0);
    step(&request);
    assert_eq!(
        request.json()["traceparent"],
        PARENT,
        "the event itself is not changed"
    );
}

#[tokio::test]
async fn an_event_that_names_no_trace_well_belongs_to_that_of_its_request() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "format = \"cloudevents\"")).await;
    let headers = [
        ("content-type", "application/cloudevents+json"),
        ("traceparent", PARENT),
        ("tracestate", "rojo=1"),
    ];
    let attributes = [
        json!({"tracestate": "congo=2"}),
        json!({"traceparent": "00-1-2-01"}),
        json!({"traceparent": PARENT.to_uppercase(), "tracestate": "congo=2"}),
    ];
    for (index, attributes) in attributes.iter().enumerate() {
        let mut event = json!({
            "specversion": "1.0", "id": index.to_string(), "source": "/s", "type": "a.b", "data": 1,
        });
        for (name, value) in attributes.as_object().expect("a table") {
            event[name] = value.clone();
        }
        let event = accepted(&relay.post_events(&headers, event.to_string()).await);
        let request = receiver.received(index + 1).await.remove(index);
        step(&request);
        assert_eq!(request.header("tracestate"), "rojo=1", "{attributes}");
        let text = request.text();
        for name in ["\"traceparent\"", "\"tracestate\""] {
            assert_eq!(text.matches(name).count(), 1, "{name} in {text}");
        }
        let shown = relay.read(&format!("/v1/events/{event}")).await;
        assert_eq!(shown["trace_id"], TRACE, "{shown}");
    }
}
