//! What people read of an event: a subject, a sentence where the relay knows one, and the data.
//!
//! It is frozen like every message, so that each attempt sends the same words. What a plugin has
//! written for people is sent as it is.

use serde_json::{Map, Value};
use url::Url;

use super::mailto::{self, SUBJECT_CHARS_MAX};
use crate::deliver::header::check_header;
use crate::model::draft::Draft;
use crate::model::event::{Header, is_json};
use crate::model::event_type;
use crate::model::message::Message;

/// Data larger than this is not put into a mail, in bytes.
const DATA_BYTES_MAX: usize = 256 << 10;
/// What stands before the lines that say where a mail comes from: readers show them smaller.
const SIGNATURE: &str = "\n-- \n";
const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The message that a draft becomes for those whom a URL names.
pub fn freeze(id: String, url: &Url, draft: &Draft) -> Message {
    let set = |name: &str| {
        let mut headers = draft.headers_set.iter();
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value.as_str()))
    };
    let content_type = set("content-type").or(draft.envelope.content_type.as_deref());
    let data = Data::of(draft, content_type);
    let json = match &data {
        Data::Json(json) => Some(json),
        _ => None,
    };
    let sentence = json.and_then(|json| sentence(&draft.envelope.kind, json));
    let subject = set("subject")
        .map(str::to_owned)
        .or_else(|| mailto::read(url).ok()?.subject)
        .or_else(|| sentence.clone())
        .unwrap_or_else(|| title(draft));
    let (content_type, body) = match data {
        Data::Html(text) => (HTML, text),
        Data::Text(text) => (PLAIN, text),
        data => (PLAIN, shown(&id, draft, sentence.as_deref(), &data)),
    };
    let headers = [
        ("subject", line(&subject)),
        ("content-type", content_type.to_owned()),
    ];
    let is_sendable = |(name, value): &Header| check_header(name, value).is_ok();
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    Message {
        id,
        headers: headers.into_iter().filter(is_sendable).collect(),
        body: body.into(),
    }
}

/// The data by what people make of it.
enum Data {
    Nothing,
    /// Written for people.
    Text(String),
    Html(String),
    Json(Value),
    /// Not for people, or too much for them.
    Bytes(usize),
}

impl Data {
    /// HTML counts only from a plugin, which the operator chose: as it comes from a sender it could
    /// look like anything, and is shown as the text that it is.
    fn of(draft: &Draft, content_type: Option<&str>) -> Self {
        let media = content_type.unwrap_or("application/json");
        let media = media
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let data = &draft.data[..];
        let text = || std::str::from_utf8(data).ok().map(str::to_owned);
        match media.as_str() {
            _ if data.is_empty() => Self::Nothing,
            "text/html" if draft.data_replaced => text().map_or(Self::Bytes(data.len()), Self::Html),
            _ if data.len() > DATA_BYTES_MAX && !draft.data_replaced => Self::Bytes(data.len()),
            _ if is_json(Some(&media)) => match serde_json::from_slice(data) {
                Ok(Value::Null) => Self::Nothing,
                Ok(json) => Self::Json(json),
                Err(_) => text().map_or(Self::Bytes(data.len()), Self::Text),
            },
            media if media.starts_with("text/") => text().map_or(Self::Bytes(data.len()), Self::Text),
            _ => Self::Bytes(data.len()),
        }
    }
}

/// A mail of what was not written for people.
fn shown(id: &str, draft: &Draft, sentence: Option<&str>, data: &Data) -> String {
    let mut text = sentence.map_or_else(String::new, |sentence| format!("{sentence}.\n\n"));
    match data {
        Data::Json(json) => text.push_str(&readable(json)),
        Data::Bytes(bytes) => text.push_str(&format!("{bytes} bytes of data, which a mail does not show.\n")),
        Data::Nothing | Data::Text(_) | Data::Html(_) => {}
    }
    let envelope = &draft.envelope;
    text.push_str(SIGNATURE);
    text.push_str(&format!("{} at {}", line(&envelope.kind), draft.happened_at()));
    if !envelope.source.is_empty() {
        text.push_str(&format!(" from {}", line(&envelope.source)));
    }
    text.push_str(&format!("\nevent {}, message {id}\n", draft.event));
    text
}

/// A name and a value in each line if that is all there is, else JSON as people write it.
fn readable(json: &Value) -> String {
    let mut lines = String::new();
    let is_flat = json
        .as_object()
        .is_some_and(|members| flatten("", members, &mut lines));
    match is_flat {
        true => lines,
        false => serde_json::to_string_pretty(json).unwrap_or_default() + "\n",
    }
}

/// Writes the members down; false if one is neither a plain value nor an object of these.
fn flatten(above: &str, members: &Map<String, Value>, lines: &mut String) -> bool {
    members.iter().all(|(name, value)| {
        let value = match value {
            Value::Object(below) if above.is_empty() => {
                return flatten(&format!("{} ", line(name)), below, lines);
            }
            Value::Array(_) | Value::Object(_) => return false,
            Value::String(text) if text.chars().any(|c| c.is_control()) => return false,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push_str(&format!("{above}{}: {value}\n", line(name)));
        true
    })
}

/// What an event of the relay's own says, in a sentence without a full stop.
fn sentence(kind: &str, data: &Value) -> Option<String> {
    if !event_type::is_own(kind) {
        return None;
    }
    let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str);
    let endpoint = text("/endpoint/name").filter(|name| !name.is_empty());
    let of = endpoint.map_or_else(String::new, |name| format!(" for the endpoint {name}"));
    let because = text("/reason").map_or_else(String::new, |reason| format!(": {reason}"));
    Some(match kind {
        "relay.alert.firing" => {
            let again = data["repeated"].as_bool().unwrap_or_default();
            let fires = if again { "still fires" } else { "fires" };
            format!("The alert {} {fires}{of}", text("/alert/name")?)
        }
        "relay.alert.resolved" => format!("The alert {} is resolved{of}", text("/alert/name")?),
        "relay.endpoint.failing" => format!("The endpoint {} keeps failing{because}", endpoint?),
        "relay.endpoint.disabled" => format!("The endpoint {} was disabled{because}", endpoint?),
        "relay.endpoint.recovered" => format!("The endpoint {} takes messages again", endpoint?),
        "relay.plugin.rolled_back" => format!(
            "A version of the plugin {} was taken back: {} of {} calls failed",
            text("/plugin")?,
            data["faults"].as_u64()?,
            data["calls"].as_u64()?
        ),
        "relay.delivery.exhausted" => match data["count"].as_u64()? {
            1 => format!("A delivery to {} has failed for good{because}", endpoint?),
            count => format!(
                "{count} deliveries to {} have failed for good{because}",
                endpoint?
            ),
        },
        "relay.digest" => format!(
            "{} of {} messages to {} have arrived",
            data["delivered"].as_u64()?,
            data["matched"].as_u64()?,
            text("/endpoint_name")?
        ),
        _ => return None,
    })
}

/// What an event is, and what it is about.
fn title(draft: &Draft) -> String {
    let envelope = &draft.envelope;
    match &envelope.subject {
        Some(subject) => format!("{}: {subject}", envelope.kind),
        None => envelope.kind.clone(),
    }
}

/// One line of bounded length: nothing in it ends a header.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().map(plain).take(SUBJECT_CHARS_MAX).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::EventId;
    use crate::model::time::Timestamp;

    fn draft(kind: &str, content_type: &str, data: impl Into<Vec<u8>>) -> Draft {
        Draft {
            event: EventId::from_raw(256),
            received_at: Timestamp::from_millis(1_770_000_000_000),
            envelope: Envelope {
                kind: kind.to_owned(),
                source: "shop".to_owned(),
                content_type: Some(content_type.to_owned()),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::from(data.into()),
            data_replaced: false,
            headers_set: Vec::new(),
        }
    }

    fn mail(draft: &Draft) -> (String, String, String) {
        let url = Url::parse("mailto:ops@acme.example").unwrap();
        let message = freeze("msg_1".to_owned(), &url, draft);
        let header = |name: &str| {
            let mut headers = message.headers.iter();
            headers.find_map(|(known, value)| (known == name).then(|| value.clone()))
        };
        let body = String::from_utf8(message.body.to_vec()).unwrap();
        (
            header("subject").unwrap_or_default(),
            header("content-type").unwrap_or_default(),
            body,
        )
    }

    #[test]
    fn an_alert_is_a_sentence_and_its_facts() {
        let data = json!({
            "alert": {"id": "alr_1", "name": "crm-fails"},
            "endpoint": {"id": "ep_1", "name": "crm"},
            "condition": "consecutive_failures", "threshold": 3.0, "value": 4.0, "repeated": false,
        });
        let (subject, media, body) = mail(&draft("relay.alert.firing", "application/json", data.to_string()));
        assert_eq!(subject, "The alert crm-fails fires for the endpoint crm");
        assert_eq!(media, PLAIN);
        assert!(
            body.starts_with("The alert crm-fails fires for the endpoint crm.\n\nalert id: alr_1\n"),
            "{body}"
        );
        assert!(body.contains("\nthreshold: 3.0\nvalue: 4.0\n"), "{body}");
        assert!(
            body.ends_with(", message msg_1\n") && body.contains(SIGNATURE),
            "{body}"
        );
    }

    #[test]
    fn json_that_is_not_flat_is_written_as_people_write_it() {
        let data = json!({"order": {"lines": [{"sku": "x"}]}});
        let (subject, _, body) = mail(&draft("order.paid", "application/json", data.to_string()));
        assert_eq!(subject, "order.paid");
        assert!(body.starts_with("{\n  \"order\": {\n    \"lines\": ["), "{body}");
    }

    #[test]
    fn text_is_sent_as_it_is_and_html_only_from_a_plugin() {
        let (_, media, body) = mail(&draft("a.b", "text/plain", "hi\n"));
        assert_eq!((media.as_str(), body.as_str()), (PLAIN, "hi\n"));
        let mut html = draft("a.b", "text/html; charset=utf-8", "<b>hi</b>");
        assert_eq!(mail(&html).1, PLAIN);
        html.data_replaced = true;
        let (_, media, body) = mail(&html);
        assert_eq!((media.as_str(), body.as_str()), (HTML, "<b>hi</b>"));
        let (_, _, body) = mail(&draft("a.b", "image/png", vec![0xff; 9]));
        assert!(body.starts_with("9 bytes of data"), "{body}");
    }

    #[test]
    fn subjects_are_a_plugins_the_urls_or_made_up_and_always_one_line() {
        let mut draft = draft("a.b", "application/json", "{}");
        draft.envelope.subject = Some("order 7\r\nBcc: all@acme.example".to_owned());
        assert_eq!(mail(&draft).0, "a.b: order 7  Bcc: all@acme.example");
        let url = Url::parse("mailto:ops@acme.example?subject=On%20call").unwrap();
        let subject = |draft: &Draft| freeze("msg_1".to_owned(), &url, draft).headers.remove(0).1;
        assert_eq!(subject(&draft), "On call");
        draft.headers_set = vec![("Subject".to_owned(), "Order 7 was paid".to_owned())];
        assert_eq!(subject(&draft), "Order 7 was paid");
        draft.headers_set = vec![("subject".to_owned(), "x".repeat(1000))];
        assert_eq!(subject(&draft).len(), SUBJECT_CHARS_MAX);
    }
}
