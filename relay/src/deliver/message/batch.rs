//! Several messages as one: a JSON array of their bodies, or one line for each (NDJSON).
//!
//! Bodies in CloudEvents' JSON format make a batch as its specification has it (CloudEvents 1.0.2,
//! JSON Event Format, section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::crypto::{self, Digest};
use crate::model::endpoint::{BatchBody, Endpoint, Format};
use crate::model::message::{Message, Messages};

/// What wire ids of batches begin with.
const BATCH_ID_PREFIX: &str = "batch_";
/// Bytes of the digest that a batch is known by.
const ID_BYTES: usize = 16;
/// Where the ids of its messages stand, in their order.
const MESSAGE_IDS: &str = "relay-message-ids";

/// Messages in one, in their order. The same messages make the same one, so that a receiver
/// recognises a batch that comes again.
pub fn join(endpoint: &Endpoint, messages: &[&Message]) -> Message {
    let body = endpoint.batch.map(|batch| batch.body).unwrap_or_default();
    join_as(body, endpoint.format, messages)
}

fn join_as(body: BatchBody, format: Option<Format>, messages: &[&Message]) -> Message {
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let ids = ids.join(",");
    let digest = crypto::hash(Digest::Sha256, &[ids.as_bytes()]);
    let content_type = match (body, format) {
        (BatchBody::Lines, _) => "application/x-ndjson",
        (BatchBody::List, Some(Format::CloudEvents)) => "application/cloudevents-batch+json; charset=utf-8",
        (BatchBody::List, _) => "application/json",
    };
    Message {
        id: format!(
            "{BATCH_ID_PREFIX}{}",
            hex::encode(&digest[..ID_BYTES.min(digest.len())])
        ),
        headers: vec![
            ("content-type".to_owned(), content_type.to_owned()),
            (MESSAGE_IDS.to_owned(), ids),
        ],
        body: match body {
            BatchBody::List => array(messages),
            BatchBody::Lines => lines(messages),
        },
    }
}

/// The same of all messages of one delivery, for whoever tries an endpoint out.
pub fn join_all(endpoint: &Endpoint, messages: &Messages) -> Messages {
    let list: Vec<&Message> = messages.list.iter().collect();
    Messages {
        list: vec![join(endpoint, &list)],
        sent: 0,
    }
}

fn array(messages: &[&Message]) -> Bytes {
    let bytes: usize = messages.iter().map(|message| message.body.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 2);
    body.push(b'[');
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push(&mut body, &message.body);
    }
    body.push(b']');
    body.into()
}

/// One line for each body that is JSON. Any other one is as a plugin has made it, also if it has several
/// lines: bulk requests consist of pairs.
fn lines(messages: &[&Message]) -> Bytes {
    let bytes: usize = messages.iter().map(|message| message.body.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes);
    for message in messages.iter().filter(|message| !message.body.is_empty()) {
        let start = body.len();
        body.extend_from_slice(&message.body);
        if serde_json::from_slice::<IgnoredAny>(&message.body).is_ok() {
            // Within JSON they can stand nowhere but between its tokens.
            let breaks = body[start..]
                .iter_mut()
                .filter(|byte| matches!(byte, b'\n' | b'\r'));
            breaks.for_each(|byte| *byte = b' ');
        }
        if body.last() != Some(&b'\n') {
            body.push(b'\n');
        }
    }
    body.into()
}

/// A body as it is if it is JSON; any other as a string, in base64 if it is no text.
fn push(body: &mut Vec<u8>, element: &[u8]) {
    if serde_json::from_slice::<IgnoredAny>(element).is_ok() {
        body.extend_from_slice(element);
        return;
    }
    match std::str::from_utf8(element) {
        Ok(text) => super::push_string(body, text),
        Err(_) => super::push_string(body, &STANDARD.encode(element)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, body: &'static [u8]) -> Message {
        Message {
            id: id.to_owned(),
            headers: Vec::new(),
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn bodies_stand_in_an_array_in_their_order() {
        let parts = [
            message("msg_1", b"{\"n\":1}"),
            message("msg_2", b"plain \"text\""),
            message("msg_3", b"\xff"),
            message("msg_4", b""),
        ];
        let parts: Vec<&Message> = parts.iter().collect();
        let join = |format, parts: &[&Message]| join_as(BatchBody::List, format, parts);
        let joined = join(None, &parts);
        assert_eq!(&joined.body[..], br#"[{"n":1},"plain \"text\"","/w==",""]"#);
        let header = |name: &str| {
            let found = joined.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header(MESSAGE_IDS), Some("msg_1,msg_2,msg_3,msg_4"));
        assert!(!joined.id.contains('.'));
        assert_eq!(join(None, &parts).id, joined.id, "the same messages");
        assert_ne!(join(None, &parts[1..]).id, joined.id);
        let events = join(Some(Format::CloudEvents), &parts[..1]);
        assert!(
            events.headers[0]
                .1
                .starts_with("application/cloudevents-batch+json")
        );
    }

    #[test]
    fn lines_are_one_for_each_body_and_pairs_stay_pairs() {
        let parts = [
            message("msg_1", b"{\"n\":\r\n 1}\n"),
            message("msg_2", b"{\"create\":{}}\n{\"n\":2}\n"),
            message("msg_3", b""),
            message("msg_4", b"plain"),
        ];
        let parts: Vec<&Message> = parts.iter().collect();
        let joined = join_as(BatchBody::Lines, None, &parts);
        assert_eq!(
            &joined.body[..],
            b"{\"n\":   1} \n{\"create\":{}}\n{\"n\":2}\nplain\n"
        );
        assert_eq!(joined.headers[0].1, "application/x-ndjson");
    }
}
