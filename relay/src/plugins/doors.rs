//! What plugins see of requests and answers at a source, and what they say to them.

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::changes;
use super::fault::Fault;
use crate::model::event::Header;

/// A request to a source, as it came.
#[derive(Debug, Clone)]
pub struct AuthRequest<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    /// The address of the peer, if known.
    pub remote: Option<IpAddr>,
    /// Names in lower case.
    pub headers: &'a [Header],
    pub body: Bytes,
}

/// What an `authenticate` plugin decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authenticated {
    /// Genuine.
    Accept(Identity),
    /// Refused. The reason goes to the log, never to the caller.
    Reject { status: u16, reason: String },
    /// Answered here, without making an event: handshakes and challenges.
    Answer {
        status: u16,
        headers: Vec<Header>,
        body: Bytes,
    },
    /// The plugin broke: the caller must refuse with 503, never accept.
    Fault(Fault),
}

/// Who sent a request, and what the plugin knows about the event in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    pub principal: Option<String>,
    /// `None`, or the name of the source's own tenant.
    pub tenant: Option<String>,
    /// Attributes for the event: `id`, `source`, `type`, `subject`, `time`, or names of
    /// extension attributes. Checked.
    pub attributes: Vec<Header>,
}

/// An objection to a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A JSON Pointer into the configuration.
    pub at: String,
    pub message: String,
}

impl Authenticated {
    /// The decision if it can be carried out, else a fault, which refuses the request.
    pub(super) fn check(self, tenant: &str, output_bytes_max: usize) -> Self {
        match self {
            Self::Accept(identity) => match identity.check(tenant) {
                Ok(()) => Self::Accept(identity),
                Err(fault) => Self::Fault(fault),
            },
            Self::Reject { status, .. } if !(400..500).contains(&status) => Self::Fault(Fault::bad_answer(
                format!("it rejected with status {status}; use one of 400 to 499"),
            )),
            Self::Answer {
                status,
                headers,
                body,
            } => match check_answer(status, headers, &body, output_bytes_max) {
                Ok(headers) => Self::Answer {
                    status,
                    headers,
                    body,
                },
                Err(fault) => Self::Fault(fault),
            },
            other => other,
        }
    }
}

impl Identity {
    fn check(&self, tenant: &str) -> Result<(), Fault> {
        if let Some(claimed) = &self.tenant
            && claimed != tenant
        {
            return Err(Fault::bad_answer("it named another tenant than the source's own"));
        }
        for (name, value) in &self.attributes {
            changes::check_attribute_value(name, value).map_err(Fault::bad_answer)?;
        }
        Ok(())
    }
}

fn check_answer(
    status: u16,
    headers: Vec<Header>,
    body: &Bytes,
    bytes_max: usize,
) -> Result<Vec<Header>, Fault> {
    if !(200..600).contains(&status) {
        return Err(Fault::bad_answer(format!(
            "it answered with status {status}; use one of 200 to 599"
        )));
    }
    if body.len() > bytes_max {
        return Err(Fault::over_limit(format!(
            "it answered with more than {bytes_max} bytes"
        )));
    }
    let checked = headers
        .into_iter()
        .map(|(name, value)| changes::check_header(&name, value));
    checked.collect::<Result<_, _>>().map_err(Fault::bad_answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::FaultKind;

    fn kind(verdict: Authenticated) -> Option<FaultKind> {
        match verdict.check("acme", 8) {
            Authenticated::Fault(fault) => Some(fault.kind),
            _ => None,
        }
    }

    #[test]
    fn verdicts_that_cannot_be_carried_out_are_faults() {
        let identity = |tenant: &str, name: &str| {
            let attributes = vec![(name.to_owned(), "x".to_owned())];
            Authenticated::Accept(Identity {
                principal: None,
                tenant: Some(tenant.to_owned()),
                attributes,
            })
        };
        let answer = |status, name: &str, body: &'static [u8]| Authenticated::Answer {
            status,
            headers: vec![(name.to_owned(), "v".to_owned())],
            body: Bytes::from_static(body),
        };
        for (verdict, expected) in [
            (identity("acme", "subject"), None),
            (identity("other", "subject"), Some(FaultKind::BadAnswer)),
            (identity("acme", "Not A Name"), Some(FaultKind::BadAnswer)),
            (
                Authenticated::Reject {
                    status: 401,
                    reason: String::new(),
                },
                None,
            ),
            (
                Authenticated::Reject {
                    status: 200,
                    reason: String::new(),
                },
                Some(FaultKind::BadAnswer),
            ),
            (answer(200, "x-a", b"ok"), None),
            (answer(99, "x-a", b"ok"), Some(FaultKind::BadAnswer)),
            (
                answer(200, "transfer-encoding", b"ok"),
                Some(FaultKind::BadAnswer),
            ),
            (answer(200, "x-a", b"far too long"), Some(FaultKind::OverLimit)),
        ] {
            let text = format!("{verdict:?}");
            assert_eq!(kind(verdict), expected, "{text}");
        }
    }
}
