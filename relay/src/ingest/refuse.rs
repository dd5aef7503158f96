//! Everything that ingest can say no with, and what the caller is told.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use crate::http::head;
use crate::http::problem::{Flaw, Problem};
use crate::model::schema::Mismatch;
use crate::store;

use super::decode;
use super::verify::Forgery;

/// How soon a caller may come back when the relay cannot take an event at present.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// Why a request was not taken. [`Refusal::problem`] is what the caller is told, the
/// `Display` text is what the log gets.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The head does not read the same to everybody, or is too large.
    #[error(transparent)]
    Head(#[from] head::Fault),
    /// The request is not genuine. The caller is never told which check failed.
    #[error("not genuine: {0}")]
    Forged(#[from] Forgery),
    /// An `authenticate` plugin said no, with a status from 400 to 499.
    #[error("refused by plugin {plugin}: {reason}")]
    Rejected {
        plugin: String,
        status: u16,
        reason: String,
    },
    /// An `authenticate` plugin broke: nobody is let in unchecked.
    #[error("plugin {plugin} could not check the request: {reason}")]
    Unchecked { plugin: String, reason: String },
    #[error("there is no such source")]
    UnknownSource,
    #[error("the method is none of {allow}")]
    Method { allow: &'static str },
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not come within {deadline:?}")]
    TooSlow { deadline: Duration },
    #[error("the body did not come whole: {0}")]
    BodyBroken(String),
    #[error("the content type {0:?} is not understood")]
    MediaType(String),
    #[error("the content encoding {0:?} is not taken")]
    ContentEncoding(String),
    /// The body or its headers are malformed; each fault with its place.
    #[error("the event is malformed: {}", summary(.0))]
    Malformed(Vec<decode::Fault>),
    /// The data do not satisfy the schema of the event's type; pointers into the body.
    #[error("the data of an event of the type {event_type:?} do not satisfy its schema: {}", first(.mismatches))]
    Unfit {
        event_type: String,
        mismatches: Vec<Mismatch>,
    },
    #[error("it has gone through {hops} relays already")]
    Loop { hops: u8 },
    #[error("the header idempotency-key {0}")]
    IdempotencyKey(&'static str),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<decode::Error> for Refusal {
    fn from(error: decode::Error) -> Self {
        match error {
            decode::Error::MediaType(found) => Self::MediaType(found),
            decode::Error::Malformed(faults) => Self::Malformed(faults),
        }
    }
}

impl Refusal {
    /// What the caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Head(fault) => head_problem(fault),
            Self::Forged(_) => unauthenticated(401),
            Self::Rejected { status, .. } => unauthenticated((*status).clamp(400, 499)),
            Self::Unchecked { .. } => Problem::new(
                503,
                "authentication_unavailable",
                "The request could not be checked",
                "try again later",
            ),
            Self::UnknownSource => Problem::new(
                404,
                "unknown_source",
                "Unknown source",
                "there is no source of this name",
            ),
            Self::Method { allow } => Problem::new(
                405,
                "method_not_allowed",
                "Method not allowed",
                format!("use one of {allow}"),
            ),
            Self::TooLarge { limit } => Problem::new(
                413,
                "body_too_large",
                "Body too large",
                format!("the body may have up to {limit} bytes"),
            ),
            Self::TooSlow { .. } => Problem::new(
                408,
                "body_timeout",
                "Body too slow",
                "the body did not come in time",
            ),
            Self::BodyBroken(_) => Problem::new(
                400,
                "body_incomplete",
                "Body incomplete",
                "the body ended before its end",
            ),
            Self::MediaType(found) => Problem::new(
                415,
                "unsupported_media_type",
                "Unsupported media type",
                format!("{found:?} is not understood; {}", decode::MEDIA_TYPES),
            ),
            Self::ContentEncoding(found) => Problem::new(
                415,
                "unsupported_content_encoding",
                "Unsupported content encoding",
                format!("{found:?} is not taken; send the body as it is, without content-encoding"),
            ),
            Self::Malformed(faults) => malformed(faults),
            Self::Unfit { mismatches, .. } => {
                let flaws = mismatches
                    .iter()
                    .map(|mismatch| Flaw::new(mismatch.pointer.clone(), "schema", mismatch.problem.clone()));
                Problem::new(422, "schema_mismatch", "Schema mismatch", self.to_string()).with_errors(flaws)
            }
            Self::Loop { .. } => Problem::new(508, "loop_detected", "Loop detected", self.to_string()),
            Self::IdempotencyKey(fault) => Problem::new(
                400,
                "invalid_idempotency_key",
                "Invalid idempotency key",
                format!("the header idempotency-key {fault}"),
            ),
            Self::Store(error) => store_problem(error),
        }
    }

    /// Says in the headers of an answer what the caller can do about it.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(span) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(span.as_secs().max(1)));
        }
        if let Some(allow) = self.allow() {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(codings) = self.accept_encoding() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// What to answer in `Retry-After`, if the caller shall come back.
    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unchecked { .. } | Self::Store(_) => Some(RETRY_SOON),
            _ => None,
        }
    }

    /// Whether the connection ends with the answer: where the next request begins is not certain.
    const fn ends_connection(&self) -> bool {
        matches!(self, Self::Head(_))
    }

    /// What to answer in `Accept-Encoding`, with a 415 for the content encoding.
    const fn accept_encoding(&self) -> Option<&'static str> {
        match self {
            Self::ContentEncoding(_) => Some("identity"),
            _ => None,
        }
    }

    /// What to answer in `Allow`, with a 405.
    pub(super) const fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { allow } => Some(allow),
            _ => None,
        }
    }
}

fn head_problem(fault: &head::Fault) -> Problem {
    let (status, code, title) = match fault {
        head::Fault::UriTooLong { .. } => (414, "uri_too_long", "URI too long"),
        head::Fault::TooManyHeaders { .. } => (431, "too_many_headers", "Too many headers"),
        head::Fault::Target(_) => (400, "bad_target", "Bad request target"),
        head::Fault::Host(_) => (400, "bad_host", "Bad host"),
        head::Fault::TransferEncoding => (400, "bad_transfer_encoding", "Bad transfer encoding"),
        head::Fault::Repeated(_) => (400, "repeated_header", "Repeated header"),
    };
    Problem::new(status, code, title, fault.to_string())
}

/// The same words for every reason, so that a forger learns nothing from the answer.
fn unauthenticated(status: u16) -> Problem {
    Problem::new(
        status,
        "unauthenticated",
        "Not authenticated",
        "the request could not be authenticated",
    )
}

/// The code is that of the first fault, since a caller mostly has one.
fn malformed(faults: &[decode::Fault]) -> Problem {
    let code = faults.first().map_or("invalid_event", |fault| match fault.kind {
        decode::FaultKind::Utf8(_) => "invalid_utf8",
        decode::FaultKind::Json(_) => "invalid_json",
        decode::FaultKind::TooDeep => "json_too_deep",
        _ => "invalid_event",
    });
    Problem::new(400, code, "Malformed event", summary(faults)).with_errors(faults.iter().map(flaw))
}

fn flaw(fault: &decode::Fault) -> Flaw {
    let message = match &fault.at {
        decode::At::Body(_) => fault.kind.to_string(),
        decode::At::Header(name) => format!("the header {name} {}", fault.kind),
    };
    Flaw::new(fault.at.pointer(), fault.kind.code(), message)
}

fn summary(faults: &[decode::Fault]) -> String {
    match faults {
        [] => String::new(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

fn first(mismatches: &[Mismatch]) -> String {
    match mismatches {
        [] => String::new(),
        [only] => format!("at {:?} {}", only.pointer, only.problem),
        [first, rest @ ..] => format!(
            "at {:?} {}, and {} more",
            first.pointer,
            first.problem,
            rest.len()
        ),
    }
}

fn store_problem(error: &store::Error) -> Problem {
    match error {
        store::Error::Unavailable(_) => Problem::new(
            503,
            "store_unavailable",
            "Store unavailable",
            "nothing was accepted; try again",
        ),
        store::Error::Full(_) => Problem::new(
            503,
            "store_full",
            "Store full",
            "nothing was accepted; try again later",
        ),
        store::Error::Corrupt(_) | store::Error::Schema { .. } | store::Error::Sealed { .. } => Problem::new(
            500,
            "store_broken",
            "Store broken",
            "nothing was accepted; the relay's log says why",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forger_is_not_told_what_was_wrong() {
        let answers: Vec<_> = [Forgery::NoSecret, Forgery::Mismatch, Forgery::Stale]
            .into_iter()
            .map(|forgery| Refusal::from(forgery).problem())
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(answers[0].status, 401);
    }

    #[test]
    fn a_plugin_cannot_refuse_with_a_success() {
        let rejected = |status| Refusal::Rejected {
            plugin: "p".to_owned(),
            status,
            reason: String::new(),
        };
        assert_eq!(rejected(200).problem().status, 400);
        assert_eq!(rejected(403).problem().status, 403);
        assert_eq!(rejected(503).problem().status, 499);
    }

    #[test]
    fn a_full_disk_asks_to_come_back() {
        let refusal = Refusal::from(store::Error::Full("no space".to_owned()));
        assert_eq!(
            (refusal.problem().status, refusal.problem().code),
            (503, "store_full")
        );
        assert_eq!(refusal.retry_after(), Some(RETRY_SOON));
    }

    #[test]
    fn the_code_of_the_first_fault_counts() {
        let fault = |kind| decode::Fault {
            at: decode::At::Body(String::new()),
            kind,
        };
        let problem = Refusal::Malformed(vec![fault(decode::FaultKind::TooDeep)]).problem();
        assert_eq!((problem.code, problem.errors.len()), ("json_too_deep", 1));
        let problem = Refusal::Malformed(vec![
            fault(decode::FaultKind::Missing),
            fault(decode::FaultKind::Time),
        ]);
        assert_eq!(problem.problem().code, "invalid_event");
        assert!(problem.to_string().ends_with("and 1 more"), "{problem}");
    }
}
