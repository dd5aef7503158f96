//! The call in progress on this thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::apply;
use super::host::Line;
use super::judge::Prepared;
use super::state::State;
use super::web::{Requested, Web};
use crate::Payload;
use crate::call::Context;
use crate::http::{HttpError, Request, Response};
use crate::message::Data;

/// What the host functions see while a plugin runs.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) context: Context,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) extensions: Vec<(String, String)>,
    pub(crate) answer_headers: Vec<(String, String)>,
    /// The event or request, then the answer.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) config: String,
    pub(crate) secrets: BTreeMap<String, String>,
    /// Powers that are not granted.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) shared: Rc<Shared>,
}

/// What outlives a call.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) state: RefCell<State>,
    pub(crate) lines: RefCell<Vec<Line>>,
    pub(crate) web: RefCell<Web>,
    pub(crate) judge: RefCell<Prepared>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

impl Call {
    /// Runs `work` as a plugin's hook; a call inside a call ends before the outer one goes on.
    pub(super) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        let _outer = Restore(CURRENT.replace(Some(Rc::new(self))));
        work()
    }

    /// Hands the call in progress to a host function.
    ///
    /// # Panics
    /// If there is none: the test calls a hook by itself.
    pub(crate) fn with<R>(answer: impl FnOnce(&Self) -> R) -> R {
        let call = CURRENT.with_borrow(Clone::clone);
        answer(&call.expect("no call in progress: run the hook through relay_sdk::testing::Host"))
    }

    /// One that came with the subject, or the body of an answer to a request.
    pub(crate) fn payload(&self, number: u32) -> Vec<u8> {
        match self.payloads.get(number as usize) {
            Some(given) => given.clone(),
            None => self.shared.web.borrow().body(number),
        }
    }

    /// Why a power may not be used; `None` if it may.
    pub(crate) fn denied(&self, power: &str) -> Option<String> {
        self.denied.contains(power).then(|| {
            format!("the power {power} is not granted: name it in plugin.toml, powers = [\"{power}\"], for its user to grant")
        })
    }

    /// Sends a request to what the test has ready.
    pub(crate) fn fetch(&self, request: Request) -> Result<Response, HttpError> {
        if let Some(why) = self.denied("http") {
            return Err(HttpError::Denied(why));
        }
        let mut headers = request.headers;
        if let Some(name) = request.bearer_secret {
            let secret = self.secrets.get(&name);
            let secret =
                secret.ok_or_else(|| HttpError::Denied(format!("the secret {name} is not granted")))?;
            headers.push(("authorization".to_owned(), format!("Bearer {secret}")));
        }
        let asked = Requested {
            request: format!("{} {}", request.method, request.url),
            headers,
            body: self.sent(request.body.map_err(HttpError::Invalid)?)?,
        };
        let answer = self.shared.web.borrow_mut().answer(asked)?;
        match request.max_bytes {
            Some(max) if self.payload(answer.body.0).len() > max as usize => Err(HttpError::TooLarge(max)),
            _ => Ok(answer),
        }
    }

    /// The bytes of a body.
    fn sent(&self, body: Option<Data>) -> Result<Vec<u8>, HttpError> {
        Ok(match body {
            None => Vec::new(),
            Some(Data::Same) => self.payload(0),
            Some(Data::Text(text)) => text.into_bytes(),
            Some(Data::Bytes(bytes)) => bytes,
            Some(Data::Held(Payload(number))) => self.payload(number),
            Some(Data::Edits(edits)) => apply::edited(&self.payload(0), &edits)
                .map_err(|fault| HttpError::Invalid(fault.message().to_owned()))?,
        })
    }
}

/// Puts the outer call back, also when a test panics.
struct Restore(Option<Rc<Call>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}
