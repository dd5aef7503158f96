//! What is generated from the WIT package, and its translation from and to the SDK's types.
//!
//! One module for the imports and one for each hook's world, so that a component exports no
//! hook but those that its author wrote.

use crate::message::{Change, Data, Message};
use crate::{
    Answer, Decision, Edit, Event, Fault, Handshake, Identity, Outcome, Payload, Plugin, Problem, Reply,
};
use crate::{Request, Verdict};

use host::relay::plugin::types;

pub(crate) mod host {
    wit_bindgen::generate!({ path: "../../wit", world: "relay:plugin/host", generate_unused_types: true });
}

macro_rules! hook_world {
    ($module:ident, $world:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                world: $world,
                pub_export_macro: true,
                with: {
                    "relay:plugin/types@0.1.0": crate::bindings::host::relay::plugin::types,
                    "relay:plugin/call@0.1.0": crate::bindings::host::relay::plugin::call,
                    "relay:plugin/payload@0.1.0": crate::bindings::host::relay::plugin::payload,
                    "relay:plugin/log@0.1.0": crate::bindings::host::relay::plugin::log,
                    "relay:plugin/config@0.1.0": crate::bindings::host::relay::plugin::config,
                    "relay:plugin/secrets@0.1.0": crate::bindings::host::relay::plugin::secrets,
                    "relay:plugin/crypto@0.1.0": crate::bindings::host::relay::plugin::crypto,
                    "relay:plugin/state@0.1.0": crate::bindings::host::relay::plugin::state,
                    "relay:plugin/http@0.1.0": crate::bindings::host::relay::plugin::http,
                    "relay:plugin/judge@0.1.0": crate::bindings::host::relay::plugin::judge,
                    "relay:plugin/media@0.1.0": crate::bindings::host::relay::plugin::media,
                },
            });
        }
    };
}

hook_world!(authenticator, "relay:plugin/authenticator");
hook_world!(filterer, "relay:plugin/lean-filterer");
hook_world!(transformer, "relay:plugin/lean-transformer");
hook_world!(responder, "relay:plugin/responder");
hook_world!(checker, "relay:plugin/checker");

use authenticator::exports::relay::plugin::authenticate;
use checker::exports::relay::plugin::setup;
use filterer::exports::relay::plugin::lean_filter as filter;
use responder::exports::relay::plugin::respond;
use transformer::exports::relay::plugin::lean_transform as transform;

impl<P: Plugin> authenticate::Guest for P {
    fn authenticate(request: authenticate::Request) -> Result<authenticate::Verdict, types::Fault> {
        let request = Request {
            method: request.method,
            path: request.path,
            query: request.query,
            remote: request.remote,
            body: Payload(request.body),
        };
        Ok(P::authenticate(&request)?.into())
    }
}

impl<P: Plugin> filter::Guest for P {
    fn filter(data: types::Blob) -> Result<filter::Decision, types::Fault> {
        Ok(match P::filter(&Event::of(Payload(data)))? {
            Decision::Keep => filter::Decision::Keep,
            Decision::Drop(reason) => filter::Decision::Drop(reason),
        })
    }
}

impl<P: Plugin> transform::Guest for P {
    fn transform(data: types::Blob) -> Result<transform::Outcome, types::Fault> {
        Ok(match P::transform(&Event::of(Payload(data)))? {
            Outcome::Keep => transform::Outcome::Keep,
            Outcome::Drop(reason) => transform::Outcome::Drop(reason),
            Outcome::Emit(messages) => {
                let messages: Result<_, Fault> = messages.into_iter().map(TryInto::try_into).collect();
                transform::Outcome::Emit(messages?)
            }
        })
    }
}

impl<P: Plugin> respond::Guest for P {
    fn respond(event: types::Event, answer: respond::Answer) -> Result<respond::Reply, types::Fault> {
        let answer = Answer {
            status: answer.status,
            body: Payload(answer.body),
        };
        let event = Event::of(Payload(event.data));
        let Reply { status, message } = P::respond(&event, &answer)?;
        let transform::Message { changes, data } = message.try_into()?;
        Ok(respond::Reply {
            status,
            changes,
            data,
        })
    }
}

impl<P: Plugin> setup::Guest for P {
    fn check(config: String) -> Vec<setup::Problem> {
        let problem = |Problem { at, message }| setup::Problem { at, message };
        P::check(&config).into_iter().map(problem).collect()
    }
}

impl From<Fault> for types::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Misconfigured(message) => Self::Misconfigured(message),
            Fault::Unavailable { message, after } => Self::Unavailable(types::Retry {
                message,
                after_ms: after.map(|after| after.as_millis().try_into().unwrap_or(u32::MAX)),
            }),
        }
    }
}

impl TryFrom<Message> for transform::Message {
    type Error = Fault;

    fn try_from(message: Message) -> Result<Self, Fault> {
        Ok(Self {
            changes: message.changes.into_iter().map(Into::into).collect(),
            data: message.data?.into(),
        })
    }
}

impl From<Data> for types::Data {
    fn from(data: Data) -> Self {
        match data {
            Data::Same => Self::Same,
            Data::Text(text) => Self::Text(text),
            Data::Bytes(bytes) => Self::Bytes(bytes),
            Data::Edits(edits) => Self::Edits(edits.into_iter().map(Into::into).collect()),
            Data::Held(payload) => Self::Held(payload.0),
        }
    }
}

impl From<Edit> for types::Edit {
    fn from(edit: Edit) -> Self {
        match edit {
            Edit::Set(pointer, value) => Self::Set((pointer, value)),
            Edit::Remove(pointer) => Self::Remove(pointer),
            Edit::Move(from, to) => Self::Move((from, to)),
            Edit::Copy(from, to) => Self::Copy((from, to)),
            Edit::Merge(pointer, patch) => Self::Merge((pointer, patch)),
        }
    }
}

impl From<Change> for types::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::SetAttribute(name, value) => Self::SetAttribute((name, value)),
            Change::RemoveAttribute(name) => Self::RemoveAttribute(name),
            Change::SetHeader(name, value) => Self::SetHeader((name, value)),
            Change::AddHeader(name, value) => Self::AddHeader((name, value)),
            Change::RemoveHeader(name) => Self::RemoveHeader(name),
        }
    }
}

impl From<Verdict> for authenticate::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept(Identity {
                principal,
                tenant,
                attributes,
            }) => Self::Accept(authenticate::Identity {
                principal,
                tenant,
                attributes,
            }),
            Verdict::Reject { status, reason } => Self::Reject(authenticate::Rejection { status, reason }),
            Verdict::Answer(Handshake {
                status,
                headers,
                body,
            }) => Self::Answer(authenticate::Reply {
                status,
                headers,
                body,
            }),
        }
    }
}
