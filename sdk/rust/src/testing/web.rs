//! What answers a plugin's requests in a test.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

use crate::Payload;
use crate::http::{HttpError, Response};

/// The number of the first body; those that come with an event are lower.
const FIRST_BODY: u32 = 16;

/// An answer that a test has ready.
#[derive(Debug, Clone)]
pub struct Reply(Result<Ready, HttpError>);

#[derive(Debug, Clone)]
struct Ready {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// An answer with this status and no body.
    pub fn status(status: u16) -> Self {
        Self(Ok(Ready {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }))
    }

    /// 200 with a JSON document.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn json(document: impl Serialize) -> Self {
        let body = serde_json::to_vec(&document).expect("a reply can be written as JSON");
        Self::status(200)
            .body(body)
            .header("content-type", "application/json")
    }

    /// No answer at all.
    pub fn error(error: HttpError) -> Self {
        Self(Err(error))
    }

    /// Sets its body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|ready| ready.body = body.into())
    }

    /// Adds a header.
    #[must_use]
    pub fn header(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        let header = (name.as_ref().to_ascii_lowercase(), value.into());
        self.with(|ready| ready.headers.push(header))
    }

    fn with(mut self, change: impl FnOnce(&mut Ready)) -> Self {
        if let Ok(ready) = &mut self.0 {
            change(ready);
        }
        self
    }

    pub(super) fn coded(self, status: u16) -> Self {
        self.with(|ready| ready.status = status)
    }
}

/// A request that a plugin sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// Method and URL: `GET https://api.example.com/u/1`.
    pub request: String,
    /// Names in lower case; the value of a bearer secret among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Requested {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// What is ready, and what happened.
#[derive(Debug, Default)]
pub(crate) struct Web {
    ready: VecDeque<(String, Reply)>,
    pub(super) requests: Vec<Requested>,
    bodies: Vec<Vec<u8>>,
}

impl Web {
    pub(super) fn prepare(&mut self, request: String, reply: Reply) {
        self.ready.push_back((request, reply));
    }

    /// Requests that are ready for nobody.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.ready.iter().map(|(request, _)| request.as_str())
    }

    /// The body of an answer.
    pub(super) fn body(&self, number: u32) -> Vec<u8> {
        let index = number.checked_sub(FIRST_BODY).map(|index| index as usize);
        let found = index.and_then(|index| self.bodies.get(index));
        found.expect("there is a payload of that number").clone()
    }

    pub(super) fn answer(&mut self, asked: Requested) -> Result<Response, HttpError> {
        let place = self
            .ready
            .iter()
            .position(|(request, _)| *request == asked.request);
        let failed = || HttpError::Failed(format!("the test has no reply for {}", asked.request));
        let reply = place
            .and_then(|place| self.ready.remove(place))
            .ok_or_else(failed);
        self.requests.push(asked);
        let (_, Reply(ready)) = reply?;
        let ready = ready?;
        self.bodies.push(ready.body);
        Ok(Response {
            status: ready.status,
            headers: ready.headers,
            body: Payload(FIRST_BODY + self.bodies.len() as u32 - 1),
        })
    }
}
