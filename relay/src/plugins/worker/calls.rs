//! Calls as they cross: what is to be done and of what, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bytes_as_such;
use crate::model::attempt::FaultKind;
use crate::model::event::{Envelope, Event, Header};
use crate::model::id::{DeliveryId, EventId, TenantId};
use crate::model::time::Timestamp;
use crate::plugins::Hooks;
use crate::plugins::changes::Change;
use crate::plugins::doors::{Authenticated, Identity, Problem};
use crate::plugins::edits::Edit;
use crate::plugins::fault::Fault;
use crate::plugins::job::{Done, Job};
use crate::plugins::payload::Payload;
use crate::plugins::subject::{Asked, Subject, Working};
use crate::plugins::v0_1::{Reply, RequestLine, Transformed};
use crate::plugins::visit::Origin;

/// One call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallSent {
    pub(super) call: u64,
    pub(super) place: u64,
    /// If it is less than the place's own.
    pub(super) time: Duration,
    source: Option<String>,
    delivery: Option<i64>,
    attempt: u32,
    waited_elsewhere: Duration,
    pub(super) job: JobSent,
}

/// See [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum JobSent {
    Pass {
        event: EventSent,
        hooks: Hooks,
    },
    Authenticate {
        asked: AskedSent,
        line: RequestLine,
    },
    Respond {
        event: EventSent,
        answer: AskedSent,
        status: u16,
    },
    CheckConfig,
}

/// What a plugin can see of an event.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EventSent {
    id: i64,
    received_ms: i64,
    own_id: Option<String>,
    source: String,
    kind: String,
    subject: Option<String>,
    time_ms: Option<i64>,
    content_type: Option<String>,
    extensions: Vec<Header>,
    headers: Vec<Header>,
    #[serde(with = "bytes_as_such")]
    data: Bytes,
}

/// What a plugin can see of a request or an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AskedSent {
    headers: Vec<Header>,
    #[serde(with = "bytes_as_such")]
    body: Bytes,
}

impl CallSent {
    pub(super) fn new(call: u64, place: u64, time: Duration, job: &Job, origin: Origin) -> Self {
        Self {
            call,
            place,
            time,
            source: origin.source,
            delivery: origin.delivery.map(DeliveryId::raw),
            attempt: origin.attempt,
            waited_elsewhere: origin.waited_elsewhere,
            job: JobSent::of(job),
        }
    }

    /// What the worker makes of it.
    pub(super) fn open(self) -> (Job, Origin) {
        let origin = Origin {
            source: self.source,
            delivery: self.delivery.map(DeliveryId::from_raw),
            attempt: self.attempt,
            waited_elsewhere: self.waited_elsewhere,
            call: self.call,
        };
        (self.job.open(), origin)
    }
}

impl JobSent {
    fn of(job: &Job) -> Self {
        match job {
            Job::Pass { event, hooks } => Self::Pass {
                event: EventSent::of(event),
                hooks: *hooks,
            },
            Job::Authenticate { asked, line } => Self::Authenticate {
                asked: AskedSent::of(asked),
                line: line.clone(),
            },
            Job::Respond {
                event,
                answer,
                status,
            } => Self::Respond {
                event: EventSent::of(event),
                answer: AskedSent::of(answer),
                status: *status,
            },
            Job::CheckConfig => Self::CheckConfig,
        }
    }

    fn open(self) -> Job {
        match self {
            Self::Pass { event, hooks } => Job::Pass {
                event: event.open(),
                hooks,
            },
            Self::Authenticate { asked, line } => Job::Authenticate {
                asked: asked.open(),
                line,
            },
            Self::Respond {
                event,
                answer,
                status,
            } => Job::Respond {
                event: event.open(),
                answer: answer.open(),
                status,
            },
            Self::CheckConfig => Job::CheckConfig,
        }
    }
}

impl EventSent {
    fn of(event: &Working) -> Self {
        let (id, received_at) = match event {
            Working::Event(event) => (event.id, event.received_at),
            Working::Draft(draft) => (draft.event, draft.received_at),
        };
        let envelope = event.envelope();
        Self {
            id: id.raw(),
            received_ms: received_at.as_millis(),
            own_id: envelope.id.clone(),
            source: envelope.source.clone(),
            kind: envelope.kind.clone(),
            subject: envelope.subject.clone(),
            time_ms: envelope.time.map(Timestamp::as_millis),
            content_type: envelope.content_type.clone(),
            extensions: envelope.extensions.clone(),
            headers: event.headers().to_vec(),
            data: event.data().clone(),
        }
    }

    fn open(self) -> Working {
        Working::Event(Arc::new(Event {
            id: EventId::from_raw(self.id),
            // Which tenant and source they are is not for plugins: they are told names.
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: Timestamp::from_millis(self.received_ms),
            envelope: Envelope {
                id: self.own_id,
                source: self.source,
                kind: self.kind,
                subject: self.subject,
                time: self.time_ms.map(Timestamp::from_millis),
                content_type: self.content_type,
                extensions: self.extensions,
            },
            headers: self.headers,
            data: self.data,
        }))
    }
}

impl AskedSent {
    fn of(asked: &Asked) -> Self {
        Self {
            headers: asked.headers.clone(),
            body: asked.body.clone(),
        }
    }

    fn open(self) -> Arc<Asked> {
        Arc::new(Asked {
            headers: self.headers,
            body: self.body,
        })
    }
}

// ---- back ------------------------------------------------------------------------------

/// See [`Done`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum DoneSent {
    Keep,
    Drop(String),
    Emit(Vec<(Vec<Change>, PayloadSent)>),
    Accept(Identity),
    Reject {
        status: u16,
        reason: String,
    },
    Answer {
        status: u16,
        headers: Vec<Header>,
        #[serde(with = "bytes_as_such")]
        body: Bytes,
    },
    Reply {
        status: Option<u16>,
        changes: Vec<Change>,
        payload: PayloadSent,
    },
    Checked(Vec<Problem>),
}

/// See [`Payload`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PayloadSent {
    Same,
    New(#[serde(with = "bytes_as_such")] Bytes),
    Edited(Vec<Edit>),
    /// The payload of the call with that number, which both have.
    Held(u32),
}

/// See [`Fault`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FaultSent {
    kind: FaultKind,
    message: String,
    stderr: String,
    retry_after: Option<Duration>,
}

/// Payloads of a call that both sides have.
pub(super) const HELD: u32 = 2;

/// The payload with that number in a call.
pub(super) fn held(subject: &Subject, number: u32) -> Option<&Bytes> {
    match number {
        0 => subject.data(),
        1 => subject.answer_body(),
        _ => None,
    }
}

impl DoneSent {
    pub(super) fn of(done: Done, subject: &Subject) -> Result<Self, Fault> {
        Ok(match done {
            Done::Passed(Transformed::Keep) => Self::Keep,
            Done::Passed(Transformed::Drop(reason)) => Self::Drop(reason),
            Done::Passed(Transformed::Emit(messages)) => Self::Emit(
                messages
                    .into_iter()
                    .map(|(changes, payload)| (changes, PayloadSent::of(payload, subject)))
                    .collect(),
            ),
            Done::Authenticated(Authenticated::Accept(identity)) => Self::Accept(identity),
            Done::Authenticated(Authenticated::Reject { status, reason }) => Self::Reject { status, reason },
            Done::Authenticated(Authenticated::Answer {
                status,
                headers,
                body,
            }) => Self::Answer {
                status,
                headers,
                body,
            },
            Done::Authenticated(Authenticated::Fault(fault)) => return Err(fault),
            Done::Replied(reply) => Self::Reply {
                status: reply.status,
                changes: reply.changes,
                payload: PayloadSent::of(reply.payload, subject),
            },
            Done::Checked(problems) => Self::Checked(problems),
        })
    }

    /// The same, if its payloads have no more bytes than the plugin's output may: bodies that it has
    /// fetched weigh nothing until they have to cross.
    pub(super) fn within(self, output_bytes: usize) -> Result<Self, Fault> {
        let of = |payload: &PayloadSent| match payload {
            PayloadSent::New(bytes) => bytes.len(),
            _ => 0,
        };
        let bytes = match &self {
            Self::Emit(messages) => messages.iter().map(|(_, payload)| of(payload)).sum(),
            Self::Reply { payload, .. } => of(payload),
            Self::Answer { body, .. } => body.len(),
            _ => 0,
        };
        if bytes > output_bytes {
            return Err(Fault::over_limit(format!(
                "it gave {bytes} bytes of output, what it fetched included, {output_bytes} are allowed"
            )));
        }
        Ok(self)
    }

    /// What the relay makes of it, for a call about that subject.
    pub(super) fn open(self, subject: &Subject) -> Result<Done, Fault> {
        Ok(match self {
            Self::Keep => Done::Passed(Transformed::Keep),
            Self::Drop(reason) => Done::Passed(Transformed::Drop(reason)),
            Self::Emit(messages) => {
                let open = |(changes, payload): (Vec<Change>, PayloadSent)| {
                    payload.open(subject).map(|payload| (changes, payload))
                };
                Done::Passed(Transformed::Emit(
                    messages.into_iter().map(open).collect::<Result<_, _>>()?,
                ))
            }
            Self::Accept(identity) => Done::Authenticated(Authenticated::Accept(identity)),
            Self::Reject { status, reason } => Done::Authenticated(Authenticated::Reject { status, reason }),
            Self::Answer {
                status,
                headers,
                body,
            } => Done::Authenticated(Authenticated::Answer {
                status,
                headers,
                body,
            }),
            Self::Reply {
                status,
                changes,
                payload,
            } => Done::Replied(Reply {
                status,
                changes,
                payload: payload.open(subject)?,
            }),
            Self::Checked(problems) => Done::Checked(problems),
        })
    }
}

impl PayloadSent {
    fn of(payload: Payload, subject: &Subject) -> Self {
        match payload {
            Payload::Same => Self::Same,
            Payload::New(bytes) => Self::New(bytes),
            Payload::Edited(edits) => Self::Edited(edits),
            // By where it is. What only the worker holds counts as the plugin's own.
            Payload::Held(bytes) => {
                let is_it = |held: &Bytes| held.as_ptr() == bytes.as_ptr() && held.len() == bytes.len();
                match (0..HELD).find(|number| held(subject, *number).is_some_and(is_it)) {
                    Some(number) => Self::Held(number),
                    None => Self::New(bytes),
                }
            }
        }
    }

    fn open(self, subject: &Subject) -> Result<Payload, Fault> {
        Ok(match self {
            Self::Same => Payload::Same,
            Self::New(bytes) => Payload::New(bytes),
            Self::Edited(edits) => Payload::Edited(edits),
            Self::Held(number) => match held(subject, number) {
                Some(bytes) => Payload::Held(bytes.clone()),
                None => {
                    return Err(Fault::bad_answer(format!(
                        "there is no payload {number} in this call"
                    )));
                }
            },
        })
    }
}

impl From<Fault> for FaultSent {
    fn from(fault: Fault) -> Self {
        Self {
            kind: fault.kind,
            message: fault.message,
            stderr: fault.stderr,
            retry_after: fault.retry_after,
        }
    }
}

impl From<FaultSent> for Fault {
    fn from(fault: FaultSent) -> Self {
        Self {
            kind: fault.kind,
            message: fault.message,
            stderr: fault.stderr,
            retry_after: fault.retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_weighs_once_it_has_to_cross() {
        let given = || (Vec::new(), PayloadSent::New(Bytes::from_static(b"four")));
        let held = (Vec::new(), PayloadSent::Held(0));
        assert!(DoneSent::Emit(vec![given(), held, given()]).within(8).is_ok());
        let fault = DoneSent::Emit(vec![given(), given()]).within(7);
        assert!(fault.is_err_and(|fault| fault.message.contains("8 bytes")));
    }
}
