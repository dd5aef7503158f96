//! What an OpenTelemetry collector is sent: a receiver of the kit stands for it, and what comes is
//! read with the messages that OpenTelemetry publishes.

use std::collections::BTreeMap;

use http::Method;
use memchr::memmem::find;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use relay_tests::instance::{Relay, Setup, accepted};
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::receiver::{Receiver, Reply, Request, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TOKEN: &str = "Bearer token-of-the-collector";
const PLAIN: [(&str, &str); 1] = [("content-type", "application/json")];

/// The section, and what else it says.
fn telemetry(collector: &Receiver, settings: &str) -> String {
    let url = collector.url().replace("/hook", "");
    format!("[telemetry]\notlp_url = {url:?}\n{settings}\n")
}

/// Every span that has come.
fn spans(collector: &Receiver) -> Vec<Span> {
    let requests = collector.requests();
    let bodies = requests.iter().filter(|request| request.path == "/v1/traces");
    bodies
        .map(|request| ExportTraceServiceRequest::decode(request.body.clone()).expect("spans"))
        .flat_map(|request| request.resource_spans)
        .flat_map(|spans| spans.scope_spans)
        .flat_map(|spans| spans.spans)
        .collect()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        None => String::new(),
        other => panic!("{key} is {other:?}"),
    }
}

/// The spans of one event: its own, and those of its attempts in order.
fn of_event(spans: &[Span], event: &str) -> (Span, Vec<Span>) {
    let mut own: Vec<Span> = spans
        .iter()
        .filter(|span| text(&span.attributes, "relay.event.id") == event)
        .cloned()
        .collect();
    own.sort_by_key(|span| text(&span.attributes, "relay.attempt.number"));
    assert!(!own.is_empty(), "{event} in {spans:#?}");
    (own.remove(0), own)
}

fn traceparent(request: &Request) -> Vec<String> {
    let sent = request.header("traceparent");
    sent.split('-').map(str::to_owned).collect()
}

#[tokio::test]
async fn an_event_and_its_attempts_are_spans_of_the_senders_trace() {
    let collector = Receiver::start();
    let receiver = Receiver::script([Reply::with_body(500, "said-by-the-receiver")]);
    let url = format!("{}/path-of-the-hook?token=token-of-the-hook", receiver.url());
    let settings = "retry = { schedule = [\"10ms\"], jitter = 0 }\n\
                    headers = { x-api-key = { env = \"KEY\" } }";
    let config = format!(
        "{}{}",
        telemetry(
            &collector,
            "otlp_headers = { authorization = { env = \"TOKEN\" } }\nservice_name = \"hooks\"\ntrace_share = 0",
        ),
        endpoint("crm", &url, settings)
    );
    let setup = Setup::new(&config)
        .variable("TOKEN", TOKEN)
        .variable("KEY", "key-of-the-endpoint");
    let mut relay = setup.start().await;
    let headers = [PLAIN[0], ("traceparent", PARENT), ("tracestate", "rojo=1")];
    let body = r#"{"type": "a.b", "subject": "subject-of-the-event", "data": {"x": "data-of-the-event"}}"#;
    let event = accepted(&relay.post_events(&headers, body).await);
    let requests = receiver.received(2).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    // Nobody has to wait until a batch is old enough.
    relay.stop().await;

    let (own, attempts) = of_event(&spans(&collector), &event);
    let parent = hex::encode(&own.parent_span_id);
    assert_eq!(
        (hex::encode(&own.trace_id).as_str(), parent.as_str()),
        (TRACE, "b7ad6b7169203331")
    );
    assert_eq!((own.kind(), own.name.as_str()), (SpanKind::Server, "accept api"));
    assert!(own.end_time_unix_nano > own.start_time_unix_nano, "{own:?}");
    assert_eq!(own.trace_state, "rojo=1");
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    let statuses = [
        ("500", "500", StatusCode::Error, ""),
        ("200", "", StatusCode::Unset, "1"),
    ];
    for ((span, request), (status, error, code, resent)) in attempts.iter().zip(&requests).zip(statuses) {
        assert_eq!(
            (&span.trace_id, &span.parent_span_id),
            (&own.trace_id, &own.span_id)
        );
        assert_eq!((span.kind(), span.name.as_str()), (SpanKind::Client, "send crm"));
        let sent = traceparent(request);
        let id = hex::encode(&span.span_id);
        assert_eq!(
            sent[1..],
            [TRACE, id.as_str(), "01"],
            "the receiver goes on with the attempt's span"
        );
        for (key, value) in [
            ("http.response.status_code", status),
            ("error.type", error),
            ("http.request.resend_count", resent),
            ("http.request.method", "POST"),
            ("server.address", "127.0.0.1"),
            ("messaging.system", "relay"),
            ("messaging.operation.type", "send"),
            ("relay.endpoint.name", "crm"),
            ("relay.delivery.id", delivery["id"].as_str().expect("an id")),
        ] {
            assert_eq!(text(&span.attributes, key), value, "{key}");
        }
        assert_eq!(span.status.as_ref().map(|status| status.code()), Some(code));
    }
    assert_ne!(attempts[0].span_id, attempts[1].span_id);

    let sent = collector.requests();
    for request in &sent {
        assert_eq!(request.header("authorization"), TOKEN);
        assert_eq!(request.header("content-type"), "application/x-protobuf");
        relay
            .setup()
            .secrets()
            .check(&request.body, "what the collector was sent");
        for private in [
            "data-of-the-event",
            "subject-of-the-event",
            "path-of-the-hook",
            "token-of-the-hook",
            "said-by-the-receiver",
        ] {
            assert!(find(&request.body, private.as_bytes()).is_none(), "{private}");
        }
    }
    let traces = sent.iter().find(|request| request.path == "/v1/traces");
    let body = traces.expect("spans").body.clone();
    let resource = ExportTraceServiceRequest::decode(body)
        .expect("spans")
        .resource_spans
        .remove(0);
    let resource = resource.resource.expect("it says who sends");
    assert_eq!(text(&resource.attributes, "service.name"), "hooks");
}

#[tokio::test]
async fn what_is_not_sampled_makes_no_spans_and_goes_on_as_ever() {
    let (collector, receiver) = (Receiver::start(), Receiver::start());
    let config = format!(
        "{}{}",
        telemetry(&collector, "trace_share = 0\nmetrics = false"),
        receiver.endpoint("crm", "")
    );
    let mut relay = Relay::start(&config).await;
    let unsampled = PARENT.replace("-01", "-00");
    relay.event("a.b", json!(1)).await;
    let headers = [PLAIN[0], ("traceparent", unsampled.as_str())];
    accepted(&relay.post_events(&headers, r#"{"type": "a.b"}"#).await);
    let requests = receiver.received(2).await;
    let sent = |parent: &str| {
        requests
            .iter()
            .any(|request| request.header("traceparent").contains(parent))
    };
    assert!(requests.iter().any(|request| !request.has_header("traceparent")));
    assert!(
        sent(TRACE)
            && !requests
                .iter()
                .any(|request| request.header("traceparent").ends_with("-01"))
    );
    // What it is sent is settled at the start, and a change is named.
    relay.reconfigure(&config.replace("trace_share = 0", "trace_share = 1"));
    let line = relay.logged("take effect at the next start").await;
    assert!(line.contains("telemetry"), "{line}");
    relay.stop().await;
    assert!(collector.requests().is_empty(), "{:?}", collector.requests());
}

#[tokio::test]
async fn a_trace_that_the_relay_begins_outlasts_a_restart() {
    let collector = Receiver::start();
    let receiver = Receiver::script([Reply::Status(500)]);
    let config = format!(
        "{}{}",
        telemetry(&collector, "trace_share = 1.0\nmetrics = false"),
        receiver.endpoint("crm", "retry = { schedule = [\"1s\"], jitter = 0 }")
    );
    let mut relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    receiver.received(1).await;
    relay.stop().await;
    relay.start_again().await;
    receiver.received(2).await;
    relay.delivery(&event, "succeeded").await;
    let shown = relay.read(&format!("/v1/events/{event}")).await;
    relay.stop().await;
    let (own, attempts) = of_event(&spans(&collector), &event);
    assert!(own.parent_span_id.is_empty(), "{own:?}");
    assert_eq!(shown["trace_id"], hex::encode(&own.trace_id), "{shown}");
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    for (span, request) in attempts.iter().zip(receiver.requests()) {
        assert_eq!(
            (&span.trace_id, &span.parent_span_id),
            (&own.trace_id, &own.span_id)
        );
        let sent = traceparent(&request);
        assert_eq!(
            sent[1..3],
            [hex::encode(&span.trace_id), hex::encode(&span.span_id)]
        );
    }
}

/// One value of each series, under the name that `/metrics` gives it.
type Series = BTreeMap<String, String>;

fn series(name: &str, labels: impl IntoIterator<Item = (String, String)>) -> String {
    let mut labels: Vec<_> = labels
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.sort_unstable();
    format!("{name} {}", labels.join(","))
}

/// What `/metrics` tells; none of these values has a brace, a comma or a quote in it.
fn scraped(text: &str) -> Series {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let read = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
            let (key, value) = label.split_once('=')?;
            let value = value.trim_matches('"');
            let value = if key == "le" {
                number(value)
            } else {
                value.to_owned()
            };
            Some((key.to_owned(), value))
        });
        (series(name, labels), number(value))
    });
    read.collect()
}

fn number(text: &str) -> String {
    text.parse::<f64>().expect("a number").to_string()
}

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    attributes
        .iter()
        .map(|label| (label.key.clone(), text(attributes, &label.key)))
        .collect()
}

/// What a metric tells, as `/metrics` would.
fn told(metric: &Metric) -> Series {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let points = match metric.data.as_ref().expect("data") {
        Data::Gauge(gauge) => &gauge.data_points,
        Data::Sum(sum) => {
            assert_eq!(sum.aggregation_temporality, cumulative, "{metric:?}");
            assert_eq!(sum.is_monotonic, metric.name.ends_with("_total"), "{metric:?}");
            &sum.data_points
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, cumulative, "{metric:?}");
            let mut all = Series::new();
            for point in &histogram.data_points {
                let name = |suffix: &str| format!("{}_{suffix}", metric.name);
                let own = labels(&point.attributes);
                all.insert(series(&name("count"), own.clone()), point.count.to_string());
                let sum = point.sum.expect("a sum").to_string();
                all.insert(series(&name("sum"), own.clone()), sum);
                let bounds = point
                    .explicit_bounds
                    .iter()
                    .chain([&f64::INFINITY])
                    .map(f64::to_string);
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                let mut below = 0;
                for (bound, count) in bounds.zip(&point.bucket_counts) {
                    below += count;
                    let labels = own.iter().cloned().chain([("le".to_owned(), bound)]);
                    all.insert(series(&name("bucket"), labels), below.to_string());
                }
            }
            return all;
        }
        other => panic!("{other:?}"),
    };
    let value = |value: &Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(number)) => number.to_string(),
        Some(number_data_point::Value::AsInt(number)) => number.to_string(),
        None => panic!("{metric:?}"),
    };
    let points = points.iter().map(|point| {
        (
            series(&metric.name, labels(&point.attributes)),
            value(&point.value),
        )
    });
    points.collect()
}

/// What changes from one look to the next, or by looking.
const UNSTEADY: [&str; 5] = [
    "process_",
    "relay_connections_",
    "relay_tls_",
    "relay_store_",
    "relay_telemetry_",
];

/// What can be compared.
fn steady(series: &Series) -> Series {
    let is_steady = |name: &String| !UNSTEADY.iter().any(|unsteady| name.starts_with(unsteady));
    let steady = series.iter().filter(|(name, _)| is_steady(name));
    steady
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn names(series: &Series) -> Vec<&str> {
    let mut names: Vec<_> = series.keys().filter_map(|name| name.split(' ').next()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn metrics_are_those_of_the_scrape_over_tls_too() {
    let authority = Authority::new();
    let collector = Receiver::behind(&authority.issue("127.0.0.1", Validity::Valid));
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings = r#"plugins = [{ use = "redact-fields", config = { mask = ["/phone"] } }]
           retry = { schedule = ["10ms"], jitter = 0 }"#;
    let setup = Setup::new(&format!(
        "{}{}",
        telemetry(&collector, "traces = false\nmetrics_every = \"1s\""),
        receiver.endpoint("crm", settings)
    ));
    let file = setup.file("ca.pem", authority.pem());
    let setup = setup.variable("RELAY_OUTBOUND__CA_FILES", &format!("[{file:?}]"));
    let relay = setup.start().await;
    let event = relay.event("a.b", json!({"phone": "1"})).await;
    relay.delivery(&event, "succeeded").await;
    eventually("the same metrics on both ways", || async {
        let answer = relay.admin(Method::GET, "/metrics", None).await;
        let scraped = scraped(&answer.text());
        let requests = collector.requests();
        let Some(last) = requests.last() else {
            return Err(("nothing".to_owned(), scraped, Series::new()));
        };
        assert_eq!(last.path, "/v1/metrics");
        let request = ExportMetricsServiceRequest::decode(last.body.clone()).expect("metrics");
        let metrics = request
            .resource_metrics
            .into_iter()
            .flat_map(|metrics| metrics.scope_metrics);
        let metrics: Vec<Metric> = metrics.flat_map(|metrics| metrics.metrics).collect();
        let exported: Series = metrics.iter().flat_map(told).collect();
        let is_same = steady(&exported) == steady(&scraped) && names(&exported) == names(&scraped);
        is_same
            .then_some(())
            .ok_or_else(|| ("others".to_owned(), scraped, exported))
    })
    .await;
}

/// So many events at once, each a span.
fn batch(count: usize) -> String {
    let event = |id| json!({"specversion": "1.0", "id": id, "source": "/s", "type": "a.b", "data": 1});
    let events: Vec<Value> = (0..count).map(|id| event(id.to_string())).collect();
    json!(events).to_string()
}

async fn post_batch(relay: &Relay, source: &str, count: usize) {
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let body = batch(count).replace("\"/s\"", &format!("\"/{source}\""));
    let answer = relay.post_events(&headers, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// How many spans were dropped for that reason, once some were.
async fn dropped(relay: &Relay, reason: &str) -> u64 {
    let begin = format!("relay_telemetry_dropped_total{{signal=\"traces\",reason=\"{reason}\"}} ");
    let begin = &begin;
    eventually(begin, || async move {
        let text = relay.admin(Method::GET, "/metrics", None).await.text();
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix(begin.as_str())?.parse().ok());
        count.ok_or(text)
    })
    .await
}

#[tokio::test]
async fn a_collector_that_fails_costs_its_spans_and_nothing_else() {
    let collector = Receiver::always(Reply::Status(500));
    let receiver = Receiver::start();
    let config = format!(
        "{}{}",
        telemetry(&collector, "trace_share = 1.0\nmetrics_every = \"1s\""),
        receiver.endpoint("crm", "event_types = [\"a.c\"]")
    );
    let mut relay = Relay::start(&config).await;
    // More than one batch.
    post_batch(&relay, "s", 600).await;
    assert_eq!(dropped(&relay, "failed").await, 512);
    let event = relay.event("a.c", json!(1)).await;
    relay.delivery(&event, "succeeded").await;
    collector
        .until("two reports", |requests| {
            requests
                .iter()
                .filter(|request| request.path == "/v1/metrics")
                .count()
                >= 2
        })
        .await;
    relay.stop().await;
    let lines = relay.log();
    let said = |signal: &str| {
        let is_one = |line: &&str| line.contains("did not take what it was sent") && line.contains(signal);
        lines.lines().filter(is_one).count()
    };
    assert_eq!((said("traces"), said("metrics")), (1, 1), "{lines}");
}

#[tokio::test]
async fn a_collector_that_hangs_holds_nothing_up() {
    let collector = Receiver::always(Reply::Never);
    let receiver = Receiver::start();
    let config = format!(
        "{}{}",
        telemetry(&collector, "trace_share = 1.0\nmetrics = false"),
        receiver.endpoint("crm", "event_types = [\"a.c\"]")
    );
    let mut relay = Relay::start(&config).await;
    // A batch under way, all that may wait, and more.
    for source in ["a", "b", "c", "d", "e"] {
        post_batch(&relay, source, 1000).await;
    }
    assert!(dropped(&relay, "full").await > 0);
    let event = relay.event("a.c", json!(1)).await;
    relay.delivery(&event, "succeeded").await;
    // In the midst of a request that will never be answered.
    relay.stop().await;
    assert!(relay.log().contains("collector is slow"), "{}", relay.log());
}
