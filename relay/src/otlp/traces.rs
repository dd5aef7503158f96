//! Spans: one for each event that is sampled, and one for each of its attempts.
//!
//! The span of an event has the event's number as its id, so that attempts find their parent
//! whenever they are made. Attributes follow OpenTelemetry's semantic conventions for messaging and
//! HTTP; what a sender posted and a receiver answered is not among them, nor is any header.
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::collector::{SPANS, Why};
use super::proto::{KeyValue, Span, SpanKind, Status, StatusCode};
use super::sample::Sampler;
use crate::deliver::address::LOCAL_SCHEME;
use crate::deliver::mail::is_mail;
use crate::metrics::Metrics;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::State;
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::message::Messages;
use crate::model::time::Timestamp;
use crate::model::trace::{self, TRACEPARENT, TRACESTATE, TraceParent};

/// Names of messaging systems, of which the relay is one.
const SYSTEM: &str = "relay";
/// Where an event went that came by the API.
const BY_API: &str = "api";
/// Flags of OTLP beside those of the trace: whether it is known that the parent is elsewhere, and
/// that it is.
const KNOWN_WHERE: u32 = 0x100;
const ELSEWHERE: u32 = 0x200;

/// Hands spans to the one task that sends them; never waits for it.
#[derive(Debug)]
pub struct Traces {
    sampler: Sampler,
    spans: mpsc::Sender<Span>,
    metrics: Arc<Metrics>,
}

/// An event that is sampled, on its way to the disk.
#[derive(Debug)]
pub struct Begun {
    /// The step before, or none if the trace begins here.
    parent: Option<TraceParent>,
    trace: TraceParent,
    source: Option<String>,
    /// Whether it came by a request, rather than from a rule.
    is_posted: bool,
    since: Instant,
}

/// One attempt of a sampled event.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The trace as the event has it.
    trace: TraceParent,
    /// The span's id.
    id: u64,
}

/// What an attempt was about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub event: &'a Event,
    pub delivery: DeliveryId,
    pub endpoint: &'a Endpoint,
    /// Where its delivery stands now.
    pub state: State,
}

impl Traces {
    pub(super) const fn new(sampler: Sampler, spans: mpsc::Sender<Span>, metrics: Arc<Metrics>) -> Self {
        Self {
            sampler,
            spans,
            metrics,
        }
    }

    /// Decides about an event that has its id and is not stored yet. One without a trace gets one
    /// if it is taken, which is kept with it like a sender's: so later attempts know, and
    /// receivers go on with it.
    pub fn begin(&self, event: &mut Event, source: Option<&str>, is_posted: bool) -> Option<Box<Begun>> {
        let sent = trace::of(&event.envelope.extensions, &event.headers).map(|(parent, _)| parent);
        let trace = match sent {
            Some(parent) => self.sampler.takes(parent).then_some(parent)?,
            None => {
                let begun = self.sampler.begin(event.id)?;
                keep(event, begun);
                begun
            }
        };
        Some(Box::new(Begun {
            parent: sent,
            trace,
            source: source.map(str::to_owned),
            is_posted,
            since: Instant::now(),
        }))
    }

    /// The event is durable.
    pub fn accepted(&self, event: &Event, begun: &Begun) {
        let destination = begun.source.as_deref().unwrap_or(BY_API);
        let mut attributes = about_event(event, "accept", "receive", destination);
        attributes.push(KeyValue::int("messaging.message.body.size", event.data.len()));
        if let Some(source) = &begun.source {
            attributes.push(KeyValue::text("relay.source.name", source.as_str()));
        }
        let kind = if begun.is_posted {
            SpanKind::Server
        } else {
            SpanKind::Internal
        };
        let known = begun.parent.map_or(0, |_| ELSEWHERE);
        self.hand_in(Span {
            parent_span_id: begun
                .parent
                .map_or_else(Vec::new, |parent| id_bytes(parent.step())),
            name: format!("accept {destination}"),
            attributes,
            flags: flags(begun.trace) | known,
            ..span(
                event,
                begun.trace,
                event_span(event),
                kind,
                event.received_at,
                begun.since.elapsed(),
            )
        });
    }

    /// The attempt that is about to be made of an event, if it is sampled.
    pub fn step(&self, event: &Event, make_id: impl FnOnce() -> i64) -> Option<Box<Step>> {
        let (trace, _) = trace::of(&event.envelope.extensions, &event.headers)?;
        self.sampler.takes(trace).then(|| {
            Box::new(Step {
                trace,
                id: make_id().unsigned_abs(),
            })
        })
    }

    /// An attempt is over.
    pub fn attempted(&self, step: &Step, about: &About<'_>, attempt: &Attempt) {
        let (event, endpoint) = (about.event, about.endpoint);
        let mut attributes = about_event(event, "send", "send", &endpoint.name);
        attributes.extend([
            KeyValue::text("relay.endpoint.name", endpoint.name.as_str()),
            KeyValue::text("relay.delivery.id", about.delivery.to_string()),
            KeyValue::text("relay.delivery.state", about.state.as_str()),
            KeyValue::text("relay.attempt.id", attempt.id.to_string()),
            KeyValue::int("relay.attempt.number", attempt.number),
        ]);
        let outcome = &attempt.outcome;
        let has_left = matches!(outcome, Outcome::Responded { .. } | Outcome::Unreachable { .. });
        if has_left {
            attributes.extend(about_request(endpoint, attempt));
        }
        attributes.extend(
            outcome
                .status()
                .filter(|_| !is_mail(&endpoint.url))
                .map(|status| KeyValue::int("http.response.status_code", status)),
        );
        let is_error = !outcome.is_success() && !matches!(outcome, Outcome::Dropped { .. });
        if is_error {
            attributes.push(KeyValue::text("error.type", error_type(outcome)));
        }
        let code = if is_error {
            StatusCode::Error
        } else {
            StatusCode::Unset
        };
        let kind = if has_left {
            SpanKind::Client
        } else {
            SpanKind::Internal
        };
        let took = Duration::from_micros(attempt.duration_us);
        self.hand_in(Span {
            parent_span_id: id_bytes(event_span(event)),
            name: format!("send {}", endpoint.name),
            attributes,
            status: Some(Status { code: code as i32 }),
            ..span(event, step.trace, step.id, kind, attempt.started_at, took)
        });
    }

    fn hand_in(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.metrics.telemetry_dropped(SPANS, Why::Full.as_str(), 1);
        }
    }
}

impl Step {
    /// Has the messages say that this attempt is the step before the receiver's. A plugin's own
    /// `traceparent` stays.
    pub fn show(&self, delivery: DeliveryId, messages: &mut Messages) {
        rename(messages, self.frozen(delivery), self.shown());
    }

    /// Has them say again what every attempt of an event says that is not sampled: messages are
    /// stored as they were frozen.
    pub fn hide(&self, delivery: DeliveryId, messages: &mut Messages) {
        rename(messages, self.shown(), self.frozen(delivery));
    }

    fn frozen(&self, delivery: DeliveryId) -> TraceParent {
        self.trace.child(delivery.raw().unsigned_abs())
    }

    fn shown(&self) -> TraceParent {
        self.trace.child(self.id).sampled()
    }
}

fn rename(messages: &mut Messages, from: TraceParent, to: TraceParent) {
    let (from, to) = (from.to_string(), to.to_string());
    let headers = messages.list.iter_mut().flat_map(|message| &mut message.headers);
    for (_, value) in headers.filter(|(name, value)| name == TRACEPARENT && *value == from) {
        value.clone_from(&to);
    }
}

/// What the event said of a trace, and did not say well, would stand beside.
fn keep(event: &mut Event, begun: TraceParent) {
    let extensions = &mut event.envelope.extensions;
    extensions.retain(|(name, _)| name != TRACEPARENT && name != TRACESTATE);
    extensions.push((TRACEPARENT.to_owned(), begun.to_string()));
}

/// The span of an event.
fn event_span(event: &Event) -> u64 {
    event.id.raw().unsigned_abs().max(1)
}

/// What all spans have in common.
fn span(
    event: &Event,
    trace: TraceParent,
    id: u64,
    kind: SpanKind,
    start: Timestamp,
    took: Duration,
) -> Span {
    let state = trace::of(&event.envelope.extensions, &event.headers).and_then(|(_, state)| state);
    let start = nanos(start);
    let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    Span {
        trace_id: trace.trace().to_be_bytes().to_vec(),
        span_id: id_bytes(id),
        trace_state: state.unwrap_or_default().to_owned(),
        kind: kind as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(took),
        flags: flags(trace),
        ..Span::default()
    }
}

fn flags(trace: TraceParent) -> u32 {
    u32::from(trace.sampled().flags()) | KNOWN_WHERE
}

fn id_bytes(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(0)
        .saturating_mul(1_000_000)
}

fn about_event(event: &Event, name: &str, kind: &str, destination: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::text("messaging.system", SYSTEM),
        KeyValue::text("messaging.operation.name", name),
        KeyValue::text("messaging.operation.type", kind),
        KeyValue::text("messaging.destination.name", destination),
        KeyValue::text("messaging.message.id", event.id.to_string()),
        KeyValue::text("cloudevents.event_type", event.envelope.kind.as_str()),
        KeyValue::text("relay.event.id", event.id.to_string()),
        KeyValue::text("relay.tenant.id", event.tenant.to_string()),
    ]
}

/// The host alone: paths and queries of webhooks hold tokens, and so does the host of an inspector.
fn about_request(endpoint: &Endpoint, attempt: &Attempt) -> Vec<KeyValue> {
    let url = &endpoint.url;
    if is_mail(url) {
        return vec![KeyValue::text("url.scheme", url.scheme())];
    }
    let mut attributes = vec![
        KeyValue::text("http.request.method", endpoint.method.as_str()),
        KeyValue::text("url.scheme", url.scheme()),
    ];
    if url.scheme() != LOCAL_SCHEME {
        let host = url.host_str().map(|host| KeyValue::text("server.address", host));
        let port = url
            .port_or_known_default()
            .map(|port| KeyValue::int("server.port", port));
        attributes.extend(host.into_iter().chain(port));
    }
    if attempt.number > 1 {
        attributes.push(KeyValue::int("http.request.resend_count", attempt.number - 1));
    }
    attributes
}

/// The status as text, or the class of the error: what receivers and plugins say of it may hold
/// anything.
fn error_type(outcome: &Outcome) -> String {
    match outcome.status() {
        Some(status) => status.to_string(),
        None => outcome.class().unwrap_or("_OTHER").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::{EventId, TenantId};
    use crate::model::message::Message;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn event(extensions: &[(&str, &str)]) -> Event {
        Event {
            id: EventId::from_raw(77),
            tenant: TenantId::from_raw(1),
            source: None,
            received_at: Timestamp::from_millis(1_700_000_000_000),
            envelope: Envelope {
                extensions: extensions
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::new(),
        }
    }

    fn traces(share: f64, room: usize) -> (Traces, mpsc::Receiver<Span>) {
        let (spans, taken) = mpsc::channel(room);
        let metrics = Arc::new(Metrics::default());
        (Traces::new(Sampler::new(share, 1), spans, metrics), taken)
    }

    #[test]
    fn an_event_without_a_trace_gets_one_that_its_attempts_find() {
        let (traces, mut taken) = traces(1.0, 8);
        let mut event = event(&[(TRACEPARENT, "00-1-2-01"), (TRACESTATE, "a=1")]);
        let begun = traces.begin(&mut event, Some("shop"), true).expect("it is taken");
        assert_eq!(event.envelope.extensions.len(), 1, "{event:?}");
        traces.accepted(&event, &begun);
        let span = taken.try_recv().expect("a span");
        assert!(
            span.parent_span_id.is_empty() && span.trace_state.is_empty(),
            "{span:?}"
        );
        assert_eq!(span.span_id, 77_u64.to_be_bytes());
        let step = traces.step(&event, || 5).expect("its attempts are taken too");
        assert_eq!(step.trace, begun.trace);
    }

    #[test]
    fn what_is_not_taken_is_left_as_it_is() {
        let (traces, _taken) = traces(0.0, 8);
        for extensions in [&[][..], &[(TRACEPARENT, PARENT)], &[(TRACESTATE, "a=1")]] {
            let mut event = event(extensions);
            let before = event.clone();
            assert!(traces.begin(&mut event, None, true).is_none());
            assert!(traces.step(&event, || 5).is_none());
            assert_eq!(event, before);
        }
    }

    #[test]
    fn an_attempt_shows_its_step_and_hides_it_again() {
        let trace = TraceParent::parse(PARENT).unwrap();
        let delivery = EventId::from_raw(77).delivery(0);
        let frozen = trace.child(delivery.raw().unsigned_abs()).to_string();
        let message = |value: &str| Message {
            id: "msg_1".to_owned(),
            headers: vec![(TRACEPARENT.to_owned(), value.to_owned())],
            body: Bytes::new(),
        };
        let mut messages = Messages {
            list: vec![message(&frozen), message("a plugin's own")],
            sent: 0,
        };
        let before = messages.clone();
        let step = Step { trace, id: 0xabc };
        step.show(delivery, &mut messages);
        assert_eq!(
            messages.list[0].headers[0].1,
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01"
        );
        assert_eq!(messages.list[1], before.list[1]);
        step.hide(delivery, &mut messages);
        assert_eq!(messages, before);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let (traces, _taken) = traces(1.0, 1);
        let mut event = event(&[]);
        let begun = traces.begin(&mut event, None, true).expect("it is taken");
        traces.accepted(&event, &begun);
        traces.accepted(&event, &begun);
        let text = traces.metrics.text();
        let line = r#"relay_telemetry_dropped_total{signal="traces",reason="full"} 1"#;
        assert!(text.contains(line), "{text}");
    }
}
