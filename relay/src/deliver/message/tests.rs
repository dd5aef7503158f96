use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::endpoint::RetryPolicy;
use crate::model::event::Envelope;
use crate::model::id::{EndpointId, EventId, SourceId, TenantId};
use crate::model::plugin::OnFault;
use crate::model::time::Timestamp;
use crate::model::trace::TraceParent;

/// The example of the specification of Trace Context.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn endpoint(format: Option<Format>) -> Endpoint {
    Endpoint {
        id: EndpointId::from_raw(1),
        tenant: TenantId::DEFAULT,
        name: "crm".to_owned(),
        url: "https://example.com/".parse().unwrap(),
        method: http::Method::POST,
        event_types: Vec::new(),
        sources: Vec::new(),
        filter: None,
        plugins: Vec::new(),
        on_fault: OnFault::Retry,
        format,
        headers: Vec::new(),
        secrets: Vec::new(),
        signatures: Default::default(),
        timeout: Some(Duration::from_secs(15)),
        retry: RetryPolicy::default(),
        rate_limit: None,
        concurrency: NonZeroU32::MIN,
        query: Vec::new(),
        batch: None,
        consent_origin: None,
        sample: None,
        success_statuses: Vec::new(),
        disable_after: Duration::from_secs(3600),
        reply: None,
        enabled: true,
        digest: None,
        is_polled: false,
    }
}

fn event(content_type: Option<&str>, data: &[u8]) -> Event {
    Event {
        id: EventId::from_raw(1 << 30),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: Timestamp::from_millis(1_700_000_000_007),
        envelope: Envelope {
            source: "shop".to_owned(),
            kind: "invoice.paid".to_owned(),
            content_type: content_type.map(str::to_owned),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: Bytes::copy_from_slice(data),
    }
}

fn built(format: Option<Format>, event: &Event, change: impl FnOnce(&mut Draft)) -> Message {
    let mut draft = Draft::of(event);
    change(&mut draft);
    let mut messages = build(&endpoint(format), event, event.id.delivery(0), vec![draft]);
    assert_eq!((messages.list.len(), messages.sent), (1, 0));
    messages.list.remove(0)
}

fn body(format: Format, content_type: Option<&str>, data: &[u8]) -> String {
    let message = built(Some(format), &event(content_type, data), |_| {});
    String::from_utf8(message.body.to_vec()).unwrap()
}

fn shown(message: &Message) -> Vec<String> {
    message
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[test]
fn standard_splices_json_and_quotes_the_rest() {
    let around =
        |data: &str| format!(r#"{{"type":"invoice.paid","timestamp":"2023-11-14T22:13:20.007Z",{data}}}"#);
    for (content_type, data, member) in [
        // Neither the number nor the escape nor the spaces are written anew.
        (
            None,
            &b"{\"n\": 1.10, \"t\":\"\\u00e9\"}"[..],
            r#""data":{"n": 1.10, "t":"\u00e9"}"#,
        ),
        (
            Some("application/problem+json; charset=utf-8"),
            b"[1]",
            r#""data":[1]"#,
        ),
        (Some("text/plain"), b"say \"hi\"\n", r#""data":"say \"hi\"\n""#),
        (Some("text/plain"), b"{}", r#""data":"{}""#),
        (Some("image/png"), b"\x89PNG", r#""data_base64":"iVBORw==""#),
        (None, b"", r#""data":null"#),
        (None, b"{},\"type\":\"x\"", r#""data":"{},\"type\":\"x\"""#),
        (None, b"{} {}", r#""data":"{} {}""#),
    ] {
        assert_eq!(body(Format::Standard, content_type, data), around(member));
    }
}

#[test]
fn cloudevents_carry_attributes_and_data() {
    let mut event = event(Some("application/json"), b"{\"a\":1}");
    event.envelope.id = Some("42".to_owned());
    event.envelope.subject = Some("über".to_owned());
    event.envelope.time = Some(Timestamp::from_millis(0));
    event.envelope.extensions = [
        ("dataschema", "https://x/y"),
        ("tenantid", "a b%\""),
        ("Bad-Name", "x"),
        ("data", "x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let message = built(Some(Format::CloudEvents), &event, |_| {});
    assert_eq!(
        std::str::from_utf8(&message.body).unwrap(),
        concat!(
            r#"{"specversion":"1.0","id":"42","source":"shop","type":"invoice.paid","time":"1970-01-01T00:00:00.000Z","#,
            r#""subject":"über","dataschema":"https://x/y","tenantid":"a b%\"","datacontenttype":"application/json","data":{"a":1}}"#
        )
    );
    assert_eq!(
        shown(&message),
        ["content-type: application/cloudevents+json; charset=utf-8"]
    );

    let message = built(Some(Format::CloudEventsBinary), &event, |_| {});
    assert_eq!(message.body, event.data);
    assert_eq!(
        shown(&message),
        [
            "content-type: application/json",
            "ce-specversion: 1.0",
            "ce-id: 42",
            "ce-source: shop",
            "ce-type: invoice.paid",
            "ce-time: 1970-01-01T00:00:00.000Z",
            "ce-subject: %C3%BCber",
            "ce-dataschema: https://x/y",
            "ce-tenantid: a%20b%25%22",
        ]
    );
}

#[test]
fn cloudevents_data_is_a_value_a_string_or_base64() {
    for (content_type, data, end) in [
        (None, &b"7"[..], r#","data":7}"#),
        (
            Some("text/plain"),
            b"7",
            r#","datacontenttype":"text/plain","data":"7"}"#,
        ),
        (
            Some("application/json"),
            b"{",
            r#","datacontenttype":"application/json","data_base64":"ew=="}"#,
        ),
        (
            Some("image/png"),
            b"\x89",
            r#","datacontenttype":"image/png","data_base64":"iQ=="}"#,
        ),
        (None, b"", r#""time":"2023-11-14T22:13:20.007Z"}"#),
    ] {
        let body = body(Format::CloudEvents, content_type, data);
        assert!(body.ends_with(end), "{body} does not end with {end}");
    }
}

#[test]
fn the_default_format_follows_where_the_event_came_from() {
    let from_api = event(Some("application/json"), b"{}");
    assert!(built(None, &from_api, |_| {}).body.starts_with(b"{\"type\""));
    assert_eq!(
        built(None, &from_api, |draft| draft.data_replaced = true).body,
        "{}"
    );
    let standard = built(Some(Format::Standard), &from_api, |draft| {
        draft.data_replaced = true
    });
    assert!(standard.body.starts_with(b"{\"type\""));

    let from_source = Event {
        source: Some(SourceId::from_raw(1)),
        ..event(Some("text/csv"), b"a,b\xff")
    };
    let message = built(None, &from_source, |_| {});
    assert_eq!(message.body, from_source.data);
    assert_eq!(shown(&message), ["content-type: text/csv"]);
}

#[test]
fn headers_that_a_plugin_set_are_sent_in_place_of_ours() {
    let mut event = event(None, b"{}");
    event.headers = [("x-came", "in"), ("traceparent", PARENT), ("tracestate", "a=1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let message = built(None, &event, |draft| {
        draft.headers_set = [
            ("content-type", "text/x"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("host", "x"),
            ("webhook-id", "x"),
            ("x-b", "a\nb"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    });
    let child = TraceParent::parse(PARENT)
        .unwrap()
        .child(event.id.delivery(0).raw().unsigned_abs());
    assert_eq!(
        shown(&message),
        [
            &format!("traceparent: {child}"),
            "tracestate: a=1",
            "content-type: text/x",
            "x-a: 1",
            "x-a: 2"
        ]
    );
}

#[test]
fn wire_ids_are_the_deliverys_digits_and_a_number_when_there_are_several() {
    let event = event(None, b"{}");
    let delivery = event.id.delivery(3);
    let digits = delivery.to_string().replace("dlv_", "");
    let ids = |count: usize| -> Vec<String> {
        let messages = build(&endpoint(None), &event, delivery, vec![Draft::of(&event); count]);
        messages.list.into_iter().map(|message| message.id).collect()
    };
    assert_eq!(ids(0), [""; 0]);
    assert_eq!(ids(1), [format!("msg_{digits}")]);
    assert_eq!(ids(2), [format!("msg_{digits}_1"), format!("msg_{digits}_2")]);
}

proptest! {
    #[test]
    fn any_data_makes_a_document_with_the_same_data_inside(
        data in proptest::collection::vec(any::<u8>(), 0..64),
        content_type in proptest::option::of("application/json|text/plain"),
        kind in ".{0,20}",
    ) {
        for format in [Format::Standard, Format::CloudEvents] {
            let mut event = event(content_type.as_deref(), &data);
            event.envelope.kind.clone_from(&kind);
            let message = built(Some(format), &event, |_| {});
            let document: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
            prop_assert_eq!(document["type"].as_str(), Some(kind.as_str()));
            if let Some(base64) = document["data_base64"].as_str() {
                prop_assert_eq!(STANDARD.decode(base64).unwrap(), data.clone());
            } else if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&data) {
                prop_assert!(document["data"] == value || document["data"].as_str().map(str::as_bytes) == Some(&data));
            } else if !data.is_empty() {
                prop_assert_eq!(document["data"].as_str().map(str::as_bytes), Some(&data[..]));
            }
        }
    }
}
