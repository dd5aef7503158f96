use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::event_type;
use crate::model::time::Timestamp;

use super::*;

const PLAIN: &str = "application/json";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        (HeaderName::from_static(name), value)
    };
    pairs.iter().map(pair).collect()
}

fn read(content_type: &str, body: &str) -> Result<Vec<Decoded>, Error> {
    decode(
        &headers(&[("content-type", content_type)]),
        &Bytes::copy_from_slice(body.as_bytes()),
    )
}

fn one(content_type: &str, body: &str) -> Decoded {
    let mut events = read(content_type, body).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    assert_eq!(events.len(), 1, "{body}");
    events.remove(0)
}

/// The pointers and codes of what is wrong, as `pointer code`.
fn faults(result: Result<Vec<Decoded>, Error>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(Error::MediaType(_)) => vec!["media type".to_owned()],
        Err(Error::Malformed(faults)) => faults
            .iter()
            .map(|fault| match &fault.at {
                At::Body(pointer) => format!("{pointer} {}", fault.kind.code()),
                At::Header(name) => format!("{name} {}", fault.kind.code()),
            })
            .collect(),
    }
}

#[test]
fn a_plain_body_keeps_its_data_byte_for_byte() {
    let body = r#" {"data" : { "n": 1.50, "n": 2, "u":"\u00e9" } ,"type":"a.b","id":"1","source":"/s",
        "subject":"x","time":"2026-01-02T03:04:05+01:00"} "#;
    let event = one(PLAIN, body);
    assert_eq!(event.data, r#"{ "n": 1.50, "n": 2, "u":"\u00e9" }"#);
    let envelope = event.envelope;
    assert_eq!(
        (
            envelope.kind.as_str(),
            envelope.id.as_deref(),
            envelope.source.as_str()
        ),
        ("a.b", Some("1"), "/s")
    );
    assert_eq!(envelope.subject.as_deref(), Some("x"));
    assert_eq!(envelope.time, Some(Timestamp::from_millis(1_767_319_445_000)));
    assert_eq!(envelope.content_type.as_deref(), Some(PLAIN));
}

#[test]
fn only_the_type_of_a_plain_body_is_needed() {
    let event = one(PLAIN, r#"{"type":"t","id":null,"time":null}"#);
    assert_eq!(event.data, "null");
    assert_eq!((event.envelope.id, event.envelope.source.as_str()), (None, "api"));
    for data in ["null", "false", "0", "\"x\"", "[]", "\"\\ud800\""] {
        assert_eq!(one(PLAIN, &format!(r#"{{"type":"t","data":{data}}}"#)).data, data);
    }
}

#[test]
fn every_fault_of_a_plain_body_is_named() {
    let deep = format!(r#"{{"type":"t","data":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let long = "x".repeat(TEXT_LEN_MAX + 1);
    for (body, wrong) in [
        ("", vec![" invalid_json"]),
        ("{", vec![" invalid_json"]),
        (r#"{"type":"t"} x"#, vec![" invalid_json"]),
        ("[]", vec![" wrong_type"]),
        ("7", vec![" wrong_type"]),
        ("{}", vec!["/type missing"]),
        (r#"{"type":null}"#, vec!["/type missing"]),
        (r#"{"type":5}"#, vec!["/type wrong_type"]),
        (r#"{"type":""}"#, vec!["/type invalid_event_type"]),
        (r#"{"type":"a b"}"#, vec!["/type invalid_event_type"]),
        (r#"{"type":"t","time":"yesterday"}"#, vec!["/time invalid_time"]),
        (r#"{"type":"t","time":5}"#, vec!["/time wrong_type"]),
        (r#"{"type":"t","id":""}"#, vec!["/id empty"]),
        (r#"{"type":"t","id":"a\nb"}"#, vec!["/id invalid_character"]),
        (r#"{"type":"t","id":"\ud800"}"#, vec!["/id invalid_json"]),
        (
            r#"{"type":"t","source":"a b"}"#,
            vec!["/source invalid_character"],
        ),
        (
            &format!(r#"{{"type":"t","subject":"{long}"}}"#),
            vec!["/subject too_long"],
        ),
        (r#"{"type":"t","type":"t"}"#, vec!["/type duplicate"]),
        (r#"{"type":"t","typ\u0065":"t"}"#, vec!["/type duplicate"]),
        (r#"{"type":"t","a/b~":1}"#, vec!["/a~1b~0 unknown_member"]),
        (
            r#"{"id":1,"tpye":"t"}"#,
            vec!["/tpye unknown_member", "/type missing", "/id wrong_type"],
        ),
        (&deep, vec![" json_too_deep"]),
    ] {
        assert_eq!(faults(read(PLAIN, body)), wrong, "{body}");
    }
}

#[test]
fn invalid_utf8_is_named_with_its_place() {
    let body = Bytes::from_static(b"{\"type\":\"\xff\"}");
    let error = decode(&headers(&[("content-type", PLAIN)]), &body).expect_err("not UTF-8");
    let Error::Malformed(faults) = error else {
        panic!("malformed")
    };
    assert_eq!(faults[0].to_string(), "the body is not UTF-8 from byte 9 on");
}

#[test]
fn a_structured_event_is_read_with_its_extensions() {
    let event = one(
        STRUCTURED,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","dataschema":"http://x/y","traceparent":"00-a",
           "hops":3,"live":true,"none":null,"datacontenttype":"application/vnd.x+json","data":{"a": 1}}"#,
    );
    assert_eq!(event.data, r#"{"a": 1}"#);
    let expected = [
        ("dataschema", "http://x/y"),
        ("traceparent", "00-a"),
        ("hops", "3"),
        ("live", "true"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(event.envelope.extensions, expected);
    assert_eq!(
        event.envelope.content_type.as_deref(),
        Some("application/vnd.x+json")
    );
}

#[test]
fn the_payload_of_a_structured_event_follows_its_content_type() {
    let base = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
    for (rest, data) in [
        ("", &b"null"[..]),
        (r#","data":"x""#, b"\"x\""),
        (r#","data":null"#, b"null"),
        (
            r#","datacontenttype":"text/plain","data":"a\"\u00e9""#,
            "a\"é".as_bytes(),
        ),
        (
            r#","datacontenttype":"text/plain","data":{"a": 1}"#,
            br#"{"a": 1}"#,
        ),
        (r#","datacontenttype":"text/plain""#, b""),
        (
            r#","datacontenttype":"image/png","data_base64":"AP+A""#,
            b"\x00\xff\x80",
        ),
        (r#","data_base64":null,"data":1"#, b"1"),
    ] {
        assert_eq!(one(STRUCTURED, &format!("{{{base}{rest}}}")).data, data, "{rest}");
    }
}

#[test]
fn every_fault_of_a_structured_event_is_named() {
    let base = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
    for (body, wrong) in [
        (
            "{}".to_owned(),
            vec![
                "/specversion missing",
                "/id missing",
                "/source missing",
                "/type missing",
            ],
        ),
        (
            format!("{{{base}}}").replace("1.0", "0.3"),
            vec!["/specversion unknown_specversion"],
        ),
        (format!(r#"{{{base},"source":"/x"}}"#), vec!["/source duplicate"]),
        (
            format!(r#"{{{base},"data":1,"data_base64":"AA=="}}"#),
            vec!["/data_base64 two_payloads"],
        ),
        (
            format!(r#"{{{base},"data_base64":"A"}}"#),
            vec!["/data_base64 invalid_base64"],
        ),
        (
            format!(r#"{{{base},"data_base64":5}}"#),
            vec!["/data_base64 wrong_type"],
        ),
        (
            format!(r#"{{{base},"TraceParent":"x"}}"#),
            vec!["/TraceParent invalid_attribute_name"],
        ),
        (
            format!(r#"{{{base},"{}":"x"}}"#, "a".repeat(21)),
            vec!["/aaaaaaaaaaaaaaaaaaaaa invalid_attribute_name"],
        ),
        (
            format!(r#"{{{base},"a":{{}},"b":1.5}}"#),
            vec!["/a wrong_type", "/b wrong_type"],
        ),
        (format!(r#"{{{base},"subject":""}}"#), vec!["/subject empty"]),
    ] {
        assert_eq!(faults(read(STRUCTURED, &body)), wrong, "{body}");
    }
}

#[test]
fn a_binary_event_is_read_from_its_headers() {
    let headers = headers(&[
        ("content-type", "text/xml"),
        ("ce-specversion", "1.0"),
        ("ce-id", "a%20b%E2%82%AC"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-subject", "\"quoted \\\" text\""),
        ("ce-time", "2026-01-02T03:04:05Z"),
        ("ce-region", "eu"),
        ("ce-dataschema", "http://x/y"),
    ]);
    let body = Bytes::from_static(b"<a/>\xff");
    let events = decode(&headers, &body).expect("a valid event");
    let envelope = &events[0].envelope;
    assert_eq!(events[0].data, body);
    assert_eq!(
        (envelope.id.as_deref(), envelope.subject.as_deref()),
        (Some("a b€"), Some("quoted \" text"))
    );
    let extensions = [("dataschema", "http://x/y"), ("region", "eu")];
    assert_eq!(
        envelope.extensions,
        extensions.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(envelope.content_type.as_deref(), Some("text/xml"));
}

#[test]
fn every_fault_of_a_binary_event_is_named() {
    let base = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
    ];
    for (more, wrong) in [
        (("ce-id", "2"), vec!["ce-id duplicate"]),
        (("ce-time", "now"), vec!["ce-time invalid_time"]),
        (("ce-subject", "%4"), vec!["ce-subject invalid_escape"]),
        (("ce-subject", "%ff"), vec!["ce-subject invalid_utf8"]),
        (("ce-subject", "%0a"), vec!["ce-subject invalid_character"]),
        (("ce-data", "x"), vec!["ce-data invalid_attribute_name"]),
        (("ce-a-b", "x"), vec!["ce-a-b invalid_attribute_name"]),
        (
            ("ce-datacontenttype", "x"),
            vec!["ce-datacontenttype unknown_member"],
        ),
        (("content-type", "application/json"), vec![" invalid_json"]),
    ] {
        let mut pairs = base.to_vec();
        pairs.push(more);
        let result = decode(&headers(&pairs), &Bytes::from_static(b"{"));
        assert_eq!(faults(result), wrong, "{more:?}");
    }
    let result = decode(&headers(&base[1..3]), &Bytes::new());
    assert_eq!(faults(result), ["ce-specversion missing", "ce-type missing"]);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let event =
        |id: usize| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":{id}}}"#);
    let batch = |count: usize| format!("[{}]", (0..count).map(event).collect::<Vec<_>>().join(","));
    let events = read(BATCH, &batch(3)).expect("a valid batch");
    assert_eq!(
        events.iter().map(|event| event.data.clone()).collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
    assert_eq!(read(BATCH, "[]"), Ok(Vec::new()));
    assert_eq!(
        read(BATCH, &batch(BATCH_MAX)).map(|events| events.len()),
        Ok(BATCH_MAX)
    );
    assert_eq!(faults(read(BATCH, &batch(BATCH_MAX + 1))), [" too_many"]);
    assert_eq!(faults(read(BATCH, "{}")), [" wrong_type"]);
    let mixed = format!("[{},5,{}]", event(0), event(1).replace("\"t\"", "\"a b\""));
    assert_eq!(
        faults(read(BATCH, &mixed)),
        ["/1 wrong_type", "/2/type invalid_event_type"]
    );
    let bad = format!("[{}]", vec!["1"; 200].join(","));
    assert_eq!(faults(read(BATCH, &bad)).len(), FAULTS_MAX);
}

#[test]
fn content_types_that_are_not_understood_are_refused() {
    for content_type in [
        "text/plain",
        "application/cloudevents+avro",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "",
    ] {
        assert_eq!(
            faults(read(content_type, r#"{"type":"t"}"#)),
            ["media type"],
            "{content_type}"
        );
    }
    assert!(read("Application/JSON;charset=\"UTF-8\"", r#"{"type":"t"}"#).is_ok());
    assert!(decode(&HeaderMap::new(), &Bytes::from_static(br#"{"type":"t"}"#)).is_ok());
}

#[test]
fn the_data_of_one_event_shares_the_bodys_memory() {
    let body = Bytes::from_static(br#"{"type":"t","data":{"a":1}}"#);
    let event = &decode(&headers(&[("content-type", PLAIN)]), &body).expect("a valid event")[0];
    assert_eq!(event.data.as_ptr(), body[19..].as_ptr());
}

#[test]
fn every_rule_of_event_types_is_a_fault_of_its_own_words() {
    let error = FaultKind::from(event_type::Error::Empty);
    assert_eq!(error.to_string(), "is no event type: it is empty");
}

proptest::proptest! {
    #[test]
    fn decoding_arbitrary_bytes_never_panics(
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        mode in 0_usize..4,
    ) {
        let headers = headers(&match mode {
            0 => vec![("content-type", PLAIN)],
            1 => vec![("content-type", STRUCTURED)],
            2 => vec![("content-type", BATCH)],
            _ => vec![("ce-id", "1")],
        });
        decode(&headers, &Bytes::from(body)).ok();
    }

    #[test]
    fn decoding_nearly_json_never_panics(
        body in "(\\{|\\[|\\}|\\]|\"type\"|\"data\"|\"id\"|:|,|\"t\"|1|null|\\\\|\"|\\\\ud800| ){0,40}",
        mode in 0_usize..3,
    ) {
        read([PLAIN, STRUCTURED, BATCH][mode], &body).ok();
    }

    #[test]
    fn header_values_of_any_bytes_never_panic(
        value in proptest::collection::vec(32_u8..=255, 0..40),
    ) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        for name in ["ce-id", "ce-type", "ce-source", "ce-time", "ce-x", "content-type", "idempotency-key"] {
            headers.insert(name, value.clone());
        }
        decode(&headers, &Bytes::new()).ok();
        super::super::dedupe::idempotency_key(&headers).ok();
        super::super::headers::kept(&headers, &crate::model::verify::Scheme::None.into());
    }
}
