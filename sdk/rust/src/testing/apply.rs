//! Does to an event what a plugin answers, as the relay would.

use serde_json::{Map, Value};

use super::sample::{SampleAnswer, SampleEvent};
use super::web::Web;
use crate::message::{Change, Data, Message};
use crate::{Edit, Fault, Outcome, Reply};

/// What came of a transform.
#[derive(Debug, Clone, PartialEq)]
pub struct Transformed {
    /// The plugin's answer.
    pub outcome: Outcome,
    /// What is sent: the event itself if it is kept, nothing if it is dropped.
    pub messages: Vec<Sent>,
}

impl Transformed {
    /// Whether the plugin left the event as it is.
    pub fn is_kept(&self) -> bool {
        self.outcome == Outcome::Keep
    }

    /// Why the event was dropped, if it was.
    pub fn dropped(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Drop(reason) => Some(reason),
            _ => None,
        }
    }

    /// The one message that is sent.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn message(&self) -> &Sent {
        match self.messages.as_slice() {
            [message] => message,
            _ => panic!("not one message: {:?}", self.outcome),
        }
    }

    /// The JSON payload of the one message that is sent.
    ///
    /// # Panics
    /// If there is not one message, or it is not JSON.
    pub fn json(&self) -> Value {
        self.message().json()
    }
}

/// A message as the destination would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The payload.
    pub body: Vec<u8>,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// CloudEvents attributes, extensions included.
    pub attributes: Vec<(String, String)>,
}

impl Sent {
    /// The payload as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// A CloudEvents attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        first(&self.attributes, name)
    }
}

/// What the waiting platform gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replied {
    /// The HTTP status.
    pub status: u16,
    /// The body and headers.
    pub message: Sent,
}

pub(super) fn transformed(sample: &SampleEvent, outcome: Outcome, web: &Web) -> Result<Transformed, Fault> {
    let messages = match &outcome {
        Outcome::Keep => vec![Message::same()],
        Outcome::Drop(_) => Vec::new(),
        Outcome::Emit(messages) => messages.clone(),
    };
    let payloads = Payloads {
        given: &[&sample.data],
        web,
    };
    let messages = messages
        .into_iter()
        .map(|message| sent(envelope(sample), &payloads, 0, message));
    Ok(Transformed {
        messages: messages.collect::<Result<_, _>>()?,
        outcome,
    })
}

pub(super) fn replied(
    sample: &SampleEvent,
    answer: &SampleAnswer,
    reply: Reply,
    web: &Web,
) -> Result<Replied, Fault> {
    let start = Sent {
        body: Vec::new(),
        headers: answer.headers.clone(),
        attributes: Vec::new(),
    };
    let payloads = Payloads {
        given: &[&sample.data, &answer.body],
        web,
    };
    let message = sent(start, &payloads, 1, reply.message)?;
    Ok(Replied {
        status: reply.status.unwrap_or(answer.answer.status),
        message,
    })
}

fn envelope(sample: &SampleEvent) -> Sent {
    let event = &sample.event;
    let attributes = event
        .attributes()
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Sent {
        body: Vec::new(),
        headers: sample.headers.clone(),
        attributes: attributes.chain(sample.extensions.clone()).collect(),
    }
}

/// What the relay would hold.
struct Payloads<'p> {
    given: &'p [&'p [u8]],
    /// Bodies of answers.
    web: &'p Web,
}

impl Payloads<'_> {
    fn get(&self, number: u32) -> Vec<u8> {
        match self.given.get(number as usize) {
            Some(given) => given.to_vec(),
            None => self.web.body(number),
        }
    }
}

/// `same` is the number of the payload that the message begins with.
fn sent(start: Sent, payloads: &Payloads<'_>, same: u32, message: Message) -> Result<Sent, Fault> {
    let body = match message.data? {
        Data::Same => payloads.get(same),
        Data::Text(text) => text.into_bytes(),
        Data::Bytes(bytes) => bytes,
        Data::Held(payload) => payloads.get(payload.0),
        Data::Edits(edits) => edited(&payloads.get(same), &edits)?,
    };
    Ok(message.changes.into_iter().fold(Sent { body, ..start }, change))
}

fn change(mut sent: Sent, change: Change) -> Sent {
    let (fields, name, value, is_one_more) = match change {
        Change::SetAttribute(name, value) => (&mut sent.attributes, name, Some(value), false),
        Change::RemoveAttribute(name) => (&mut sent.attributes, name, None, false),
        Change::SetHeader(name, value) => (&mut sent.headers, name.to_ascii_lowercase(), Some(value), false),
        Change::AddHeader(name, value) => (&mut sent.headers, name.to_ascii_lowercase(), Some(value), true),
        Change::RemoveHeader(name) => (&mut sent.headers, name.to_ascii_lowercase(), None, false),
    };
    if !is_one_more {
        fields.retain(|(known, _)| *known != name);
    }
    fields.extend(value.map(|value| (name, value)));
    sent
}

fn first<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

pub(super) fn edited(payload: &[u8], edits: &[Edit]) -> Result<Vec<u8>, Fault> {
    let mut document = serde_json::from_slice(payload)
        .map_err(|error| Fault::invalid(format!("the payload is not JSON to edit: {error}")))?;
    for (index, change) in edits.iter().enumerate() {
        edit(&mut document, change).ok_or_else(|| {
            Fault::invalid(format!("edit {} does not fit the payload: {change:?}", index + 1))
        })?;
    }
    Ok(document.to_string().into_bytes())
}

fn edit(document: &mut Value, edit: &Edit) -> Option<()> {
    match edit {
        Edit::Set(at, value) => *place(document, at)? = serde_json::from_str(value).ok()?,
        Edit::Remove(at) => drop(take(document, at)?),
        Edit::Move(from, to) if from == to => {}
        Edit::Move(from, to) if to.starts_with(&format!("{from}/")) => return None,
        Edit::Move(from, to) => {
            if let Some(moved) = take(document, from)? {
                *place(document, to)? = moved;
            }
        }
        Edit::Copy(from, to) => {
            if let Some(copied) = document.pointer(from).cloned() {
                *place(document, to)? = copied;
            }
        }
        Edit::Merge(at, patch) => merge(place(document, at)?, serde_json::from_str(patch).ok()?),
    }
    Some(())
}

/// The value at a pointer, made if it is not there. `None` if there can be none.
fn place<'d>(document: &'d mut Value, at: &str) -> Option<&'d mut Value> {
    steps(at)?
        .into_iter()
        .try_fold(document, |value, step| match value {
            Value::Object(members) => Some(members.entry(step).or_insert_with(|| Value::Object(Map::new()))),
            Value::Array(elements) => {
                let index = if step == "-" {
                    elements.len()
                } else {
                    step.parse().ok()?
                };
                if index == elements.len() {
                    elements.push(Value::Object(Map::new()));
                }
                elements.get_mut(index)
            }
            _ => None,
        })
}

/// Takes a value away: the outer `None` if the pointer is unusable, the inner if nothing is there.
fn take(document: &mut Value, at: &str) -> Option<Option<Value>> {
    let last = steps(at)?.pop()?;
    let (parent, _) = at.rsplit_once('/')?;
    Some(match document.pointer_mut(parent) {
        Some(Value::Object(members)) => members.shift_remove(&last),
        Some(Value::Array(elements)) => last
            .parse()
            .ok()
            .filter(|index| *index < elements.len())
            .map(|index: usize| elements.remove(index)),
        _ => None,
    })
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.shift_remove(&name)),
            value => merge(members.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// The steps of a JSON Pointer, `None` if it is none.
fn steps(pointer: &str) -> Option<Vec<String>> {
    let mut steps = pointer.split('/');
    steps.next().filter(|first| first.is_empty())?;
    Some(
        steps
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::prelude::*;
    use crate::testing::{answer, event};

    #[test]
    fn edits_are_made_as_the_relay_makes_them() {
        let payload = json!({ "a": { "b": 1 }, "list": [1, 2] });
        for (edits, expected) in [
            (
                Edits::default().set("/x/y", "z").set("/list/-", 3),
                json!({ "a": { "b": 1 }, "list": [1, 2, 3], "x": { "y": "z" } }),
            ),
            (
                Edits::default()
                    .remove("/a/b")
                    .remove("/none/b")
                    .remove("/list/0"),
                json!({ "a": {}, "list": [2] }),
            ),
            (
                Edits::default()
                    .rename("/a/b", "/b")
                    .copy("/b", "/c")
                    .rename("/none", "/d"),
                json!({ "a": {}, "list": [1, 2], "b": 1, "c": 1 }),
            ),
            (
                Edits::default().merge("", json!({ "a": { "b": null, "c": 2 }, "list": null })),
                json!({ "a": { "c": 2 } }),
            ),
            (Edits::default().set_raw("", "[]"), json!([])),
        ] {
            let outcome = transformed(&event("a").data(&payload), edits.into(), &Web::default()).unwrap();
            assert_eq!(outcome.json(), expected);
        }
        for unusable in [
            Edits::default().set("a", 1),
            Edits::default().set("/a/b/c", 1),
            Edits::default().remove(""),
        ] {
            assert!(matches!(
                transformed(&event("a").data(&payload), unusable.into(), &Web::default()),
                Err(Fault::Invalid(_))
            ));
        }
    }

    #[test]
    fn the_envelope_changes_with_the_message() {
        let sample = event("a").header("X-One", "1").header("x-one", "2").subject("s");
        let message = Message::json(json!([1]))
            .set_header("X-One", "3")
            .add_header("x-two", "4")
            .remove_attribute("subject");
        let sent = transformed(
            &sample,
            message.set_attribute("type", "b").into(),
            &Web::default(),
        )
        .unwrap()
        .message()
        .clone();
        assert_eq!(
            sent.headers,
            [("x-one".into(), "3".into()), ("x-two".into(), "4".into())]
        );
        assert_eq!(
            (sent.attribute("type"), sent.attribute("subject")),
            (Some("b"), None)
        );
        assert_eq!(
            (sent.text().as_str(), sent.attribute("datacontenttype")),
            ("[1]", Some("application/json"))
        );
    }

    #[test]
    fn a_value_that_is_no_json_is_a_fault_and_no_panic() {
        let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
        let edits = event("a").event.edit().set("/a", &unwritable);
        let fault = transformed(&event("a"), edits.into(), &Web::default()).unwrap_err();
        assert!(
            fault.message().contains("\"/a\" cannot be written as JSON"),
            "{fault}"
        );
        assert!(transformed(&event("a"), Message::json(unwritable).into(), &Web::default()).is_err());
    }

    #[test]
    fn replies_begin_with_the_answer() {
        let answer = answer(500).header("x", "1").body(r#"{"a":1}"#);
        let reply = Reply::from(Edits::default().set("/b", 2))
            .status(200)
            .set_header("y", "2");
        let replied = replied(&event("a"), &answer, reply, &Web::default()).unwrap();
        assert_eq!(
            (replied.status, replied.message.json()),
            (200, json!({ "a": 1, "b": 2 }))
        );
        assert_eq!(replied.message.headers.len(), 2);
    }
}
