//! From a receiver's answer to the caller's.
//!
//! Templates point into one document, made of both sides:
//!
//! ```json
//! {"reply": {"status": 200, "headers": {…}, "body": …},
//!  "event": {"id": …, "source": …, "type": …, "subject": …, "time": …, "data": …}}
//! ```

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::model::event::Event;
use crate::model::reply::{Answer, Fallback, Mapping, Template};

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";

/// Turns an answer into what the caller gets. What does not fit into a header is left out.
pub fn map(mapping: &Mapping, event: &Event, answer: &Answer) -> Answer {
    let document = document(event, Some(answer));
    let mut headers: Vec<(String, String)> = mapping
        .headers
        .iter()
        .filter_map(|(name, template)| Some((name.clone(), text(template.fill(&document)?))))
        .collect();
    let body = match &mapping.body {
        Some(template) => {
            set_default(&mut headers, CONTENT_TYPE, JSON);
            written(template, &document)
        }
        None => {
            if let Some((_, kind)) = answer.headers.iter().find(|(name, _)| name == CONTENT_TYPE) {
                set_default(&mut headers, CONTENT_TYPE, kind);
            }
            answer.body.clone()
        }
    };
    Answer {
        status: mapping.status.unwrap_or(answer.status),
        headers,
        body,
    }
}

/// What is answered without a receiver.
pub fn fall_back(fallback: &Fallback, event: &Event) -> Answer {
    let body = fallback.body.as_ref();
    let body = body.map(|template| written(template, &document(event, None)));
    let kind = body.as_ref().map(|_| (CONTENT_TYPE.to_owned(), JSON.to_owned()));
    Answer {
        status: fallback.status,
        headers: kind.into_iter().collect(),
        body: body.unwrap_or_default(),
    }
}

fn set_default(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if headers.iter().all(|(known, _)| known != name) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn written(template: &Template, document: &Value) -> Bytes {
    let value = template.fill(document).unwrap_or(Value::Null);
    Bytes::from(value.to_string())
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn document(event: &Event, answer: Option<&Answer>) -> Value {
    let envelope = &event.envelope;
    let mut document = json!({"event": {
        "id": event.cloudevents_id(),
        "source": envelope.source,
        "type": envelope.kind,
        "subject": envelope.subject,
        "time": event.happened_at().to_string(),
        "data": readable(&event.data),
    }});
    if let Some(answer) = answer {
        let headers: Map<String, Value> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        document["reply"] = json!({
            "status": answer.status,
            "headers": headers,
            "body": readable(&answer.body),
        });
    }
    document
}

/// A body as JSON; one that is none is a text, one that is no text either is nothing.
pub fn readable(body: &[u8]) -> Value {
    match (serde_json::from_slice(body), std::str::from_utf8(body)) {
        (Ok(value), _) => value,
        (Err(_), Ok(text)) if !text.is_empty() => Value::String(text.to_owned()),
        _ => Value::Null,
    }
}

impl Template {
    /// The value with its holes filled; `None` if it is a hole for which there is nothing.
    /// A member without a value is left out, an item without one is null.
    fn fill(&self, document: &Value) -> Option<Value> {
        Some(match self {
            Self::Literal(value) => value.clone(),
            Self::From { pointer, default } => {
                let found = document.pointer(pointer).filter(|value| !value.is_null());
                return found.or(default.as_ref()).cloned();
            }
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .filter_map(|(name, member)| Some((name.clone(), member.fill(document)?)))
                    .collect(),
            ),
            Self::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.fill(document).unwrap_or(Value::Null))
                    .collect(),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::{EventId, TenantId};
    use crate::model::reply::Caching;
    use crate::model::time::Timestamp;

    fn event(data: &Value) -> Event {
        Event {
            id: EventId::from_raw(1),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: Timestamp::from_millis(0),
            envelope: Envelope {
                kind: "order.asked".to_owned(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::from(data.to_string()),
        }
    }

    fn from(pointer: &str, default: Option<Value>) -> Template {
        Template::From {
            pointer: pointer.to_owned(),
            default,
        }
    }

    fn mapping(body: Option<Template>) -> Mapping {
        Mapping {
            status: None,
            headers: vec![("x-status".to_owned(), from("/reply/status", None))],
            body,
            fallback: None,
            cache: Some(Caching {
                ttl: Duration::from_secs(1),
                key: Vec::new(),
            }),
        }
    }

    fn answer(body: &str) -> Answer {
        Answer {
            status: 201,
            headers: vec![(CONTENT_TYPE.to_owned(), "text/plain".to_owned())],
            body: Bytes::from(body.to_owned()),
        }
    }

    fn mapped(body: Template, answered: &str) -> String {
        let made = map(
            &mapping(Some(body)),
            &event(&json!({"order": "A7"})),
            &answer(answered),
        );
        String::from_utf8(made.body.to_vec()).expect("JSON is text")
    }

    #[test]
    fn holes_are_filled_from_both_sides() {
        let body = Template::Object(vec![
            ("status".to_owned(), from("/reply/body/state", None)),
            ("order".to_owned(), from("/event/data/order", None)),
            ("kind".to_owned(), from("/event/type", None)),
            ("gone".to_owned(), from("/reply/body/none", None)),
            ("eta".to_owned(), from("/reply/body/eta", Some(json!("soon")))),
            (
                "list".to_owned(),
                Template::List(vec![from("/reply/body/none", None), Template::Literal(json!(1))]),
            ),
        ]);
        assert_eq!(
            serde_json::from_str::<Value>(&mapped(body, r#"{"state":"sent","eta":null}"#)).expect("JSON"),
            json!({"status": "sent", "order": "A7", "kind": "order.asked", "eta": "soon", "list": [null, 1]})
        );
    }

    #[test]
    fn an_answer_that_is_no_json_is_a_text_or_nothing() {
        assert_eq!(mapped(from("/reply/body", None), "plain"), "\"plain\"");
        assert_eq!(mapped(from("/reply/body/x", None), "{broken"), "null");
        let deep = "[".repeat(100_000);
        assert_eq!(mapped(from("/reply/body/0", Some(json!(0))), &deep), "0");
        assert_eq!(readable(b"\xff"), Value::Null);
    }

    #[test]
    fn without_a_body_of_its_own_the_answer_goes_on_as_it_came() {
        let made = map(&mapping(None), &event(&json!({})), &answer("plain"));
        assert_eq!((made.status, &made.body[..]), (201, &b"plain"[..]));
        assert_eq!(
            made.headers,
            [("x-status", "201"), (CONTENT_TYPE, "text/plain")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
