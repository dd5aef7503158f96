//! Events, requests and answers for tests.

use serde::Serialize;

use super::call::Call;
use crate::event::Attribute;
use crate::{Answer, Event, Payload, Request};

/// The payload of the event or request, and of the destination's answer.
const INPUT: Payload = Payload(0);
const ANSWER: Payload = Payload(1);

/// Begins a sample event of this type; its payload is `{}` until it is given another.
pub fn event(event_type: impl Into<String>) -> SampleEvent {
    SampleEvent {
        event: Event {
            id: Attribute::known(Some("evt_test")),
            source: Attribute::known(Some("test")),
            event_type: Attribute::known(Some(&event_type.into())),
            subject: Attribute::known(None),
            time: Attribute::known(None),
            content_type: Attribute::known(Some("application/json")),
            data: INPUT,
        },
        headers: Vec::new(),
        extensions: Vec::new(),
        data: b"{}".to_vec(),
    }
}

/// Begins a sample request: `POST /in/test` with an empty body until told otherwise.
pub fn request() -> SampleRequest {
    SampleRequest {
        request: Request {
            method: "POST".into(),
            path: "/in/test".into(),
            query: String::new(),
            remote: None,
            body: INPUT,
        },
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// Begins a sample answer of the destination, with an empty body.
pub fn answer(status: u16) -> SampleAnswer {
    SampleAnswer {
        answer: Answer { status, body: ANSWER },
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// An event with its headers and payload.
#[derive(Debug, Clone)]
pub struct SampleEvent {
    pub(super) event: Event,
    pub(super) headers: Vec<(String, String)>,
    pub(super) extensions: Vec<(String, String)>,
    pub(super) data: Vec<u8>,
}

impl SampleEvent {
    /// Sets its id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.event.id = Attribute::known(Some(&id.into()));
        self
    }

    /// Sets its source.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.event.source = Attribute::known(Some(&source.into()));
        self
    }

    /// Sets its subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.event.subject = Attribute::known(Some(&subject.into()));
        self
    }

    /// Sets its time, in RFC 3339.
    #[must_use]
    pub fn time(mut self, time: impl Into<String>) -> Self {
        self.event.time = Attribute::known(Some(&time.into()));
        self
    }

    /// Sets the content type of its payload, which is `application/json` otherwise.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.event.content_type = Attribute::known(Some(&content_type.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers
            .push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// Adds a CloudEvents extension attribute.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON payload.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    #[must_use]
    pub fn data(self, value: impl Serialize) -> Self {
        let text = serde_json::to_vec(&value).expect("a sample payload can be written as JSON");
        self.bytes(text)
    }

    /// Sets a payload of text; say its [`content_type`](Self::content_type) too.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.bytes(text.into())
    }

    /// Sets a payload of bytes; say its [`content_type`](Self::content_type) too.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.data = bytes.into();
        self
    }

    pub(super) fn enter(&self, call: &mut Call) {
        call.headers.clone_from(&self.headers);
        call.extensions.clone_from(&self.extensions);
        call.payloads = vec![self.data.clone()];
    }
}

/// A request with its headers and body.
#[derive(Debug, Clone)]
pub struct SampleRequest {
    pub(super) request: Request,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl SampleRequest {
    /// Sets its method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.request.method = method.into();
        self
    }

    /// Sets its path.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.request.path = path.into();
        self
    }

    /// Sets its query, as sent and without the question mark.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.request.query = query.into();
        self
    }

    /// Sets the address of the peer.
    #[must_use]
    pub fn remote(mut self, remote: impl Into<String>) -> Self {
        self.request.remote = Some(remote.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers
            .push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets its body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn enter(&self, call: &mut Call) {
        call.headers.clone_from(&self.headers);
        call.payloads = vec![self.body.clone()];
    }
}

/// A destination's answer with its headers and body.
#[derive(Debug, Clone)]
pub struct SampleAnswer {
    pub(super) answer: Answer,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl SampleAnswer {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers
            .push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets its body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn enter(&self, call: &mut Call) {
        call.answer_headers.clone_from(&self.headers);
        call.payloads.push(self.body.clone());
    }
}
