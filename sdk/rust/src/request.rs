//! What `authenticate` and `respond` look at besides an event.

use crate::form::decoded;
use crate::message::{Change, Data, Envelope, Message};
use crate::{Edits, Payload, Reply, host};

/// A request to a source, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) remote: Option<String>,
    pub(crate) body: Payload,
}

impl Request {
    /// Its method, in capitals.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its query as sent, without the question mark.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The first value of a query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_value(&self.query, name)
    }

    /// The first value of a field in a form body (`application/x-www-form-urlencoded`), decoded.
    pub fn form_field(&self, name: &str) -> Option<String> {
        form_value(&self.body.text()?, name)
    }

    /// The address of the peer, if known.
    pub fn remote(&self) -> Option<&str> {
        self.remote.as_deref()
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        host::header(name)
    }

    /// Every header in the order of arrival.
    pub fn headers(&self) -> Vec<(String, String)> {
        host::headers()
    }

    /// The body as the relay holds it.
    pub fn body(&self) -> Payload {
        self.body
    }
}

/// The destination's answer, as `respond` sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Payload,
}

impl Answer {
    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of one of its headers, by the name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        host::answer_header(name)
    }

    /// Every header of it, in order.
    pub fn headers(&self) -> Vec<(String, String)> {
        host::answer_headers()
    }

    /// Its body as the relay holds it.
    pub fn body(&self) -> Payload {
        self.body
    }

    /// Begins a list of changes to its body, for a [`Reply`].
    pub fn edit(&self) -> Edits {
        Edits::default()
    }
}

impl Reply {
    /// The destination's own answer.
    pub fn same() -> Self {
        Message::same().into()
    }

    /// Another status, such as 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The payload.
    ///
    /// # Errors
    /// The fault of a value that cannot be written as JSON.
    pub fn data(&self) -> Result<&Data, &crate::Fault> {
        self.message.data()
    }
}

impl Envelope for Reply {
    fn with_change(mut self, change: Change) -> Self {
        self.message = self.message.with_change(change);
        self
    }
}

impl From<Edits> for Reply {
    fn from(edits: Edits) -> Self {
        Message::from(edits).into()
    }
}

impl From<Message> for Reply {
    /// An answer has headers and no attributes: what a payload is goes into its `content-type`.
    fn from(mut message: Message) -> Self {
        for change in &mut message.changes {
            if let Change::SetAttribute(name, value) = change
                && name == "datacontenttype"
            {
                *change = Change::SetHeader("content-type".to_owned(), std::mem::take(value));
            }
        }
        Self {
            status: None,
            message,
        }
    }
}

/// The first value of a name in a URL-encoded list of pairs.
fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decoded(key).is_ok_and(|key| key == name))
        .and_then(|(_, value)| decoded(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_what_it_is_by_a_header() {
        let reply = Reply::from(Message::json(1)).status(200);
        let kind = Change::SetHeader("content-type".to_owned(), "application/json".to_owned());
        assert_eq!(reply.message.changes(), [kind]);
    }

    #[test]
    fn form_values_are_decoded_and_the_first_wins() {
        let form = "a=1&to%6ben=s%C3%A9+cret%26&token=second&flag&bad=%f";
        assert_eq!(form_value(form, "token").as_deref(), Some("sé cret&"));
        assert_eq!(form_value(form, "flag").as_deref(), Some(""));
        for absent in ["bad", "b", ""] {
            assert_eq!(form_value(form, absent), None, "{absent}");
        }
    }
}
