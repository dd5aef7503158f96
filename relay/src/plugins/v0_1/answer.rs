//! Answers of plugins, converted into types of ours.

use std::time::Duration;

use bytes::Bytes;

use super::bindings::relay::plugin::types;
use crate::model::attempt::FaultKind;
use crate::plugins::changes::Change;
use crate::plugins::edits::Edit;
use crate::plugins::fault::Fault;
use crate::plugins::payload::Payload;
use crate::plugins::visit::Visit;

impl From<types::Fault> for Fault {
    fn from(fault: types::Fault) -> Self {
        match fault {
            types::Fault::Invalid(message) => Self::new(FaultKind::Invalid, message),
            types::Fault::Misconfigured(message) => Self::new(FaultKind::Misconfigured, message),
            types::Fault::Unavailable(retry) => Self {
                retry_after: retry.after_ms.map(|ms| Duration::from_millis(ms.into())),
                ..Self::new(FaultKind::Unavailable, retry.message)
            },
        }
    }
}

impl From<types::Change> for Change {
    fn from(change: types::Change) -> Self {
        match change {
            types::Change::SetAttribute((name, value)) => Self::SetAttribute(name, value),
            types::Change::RemoveAttribute(name) => Self::RemoveAttribute(name),
            types::Change::SetHeader((name, value)) => Self::SetHeader(name, value),
            types::Change::AddHeader((name, value)) => Self::AddHeader(name, value),
            types::Change::RemoveHeader(name) => Self::RemoveHeader(name),
        }
    }
}

impl From<types::Edit> for Edit {
    fn from(edit: types::Edit) -> Self {
        match edit {
            types::Edit::Set((at, value)) => Self::Set { at, value },
            types::Edit::Remove(at) => Self::Remove { at },
            types::Edit::Move((from, to)) => Self::Move { from, to },
            types::Edit::Copy((from, to)) => Self::Copy { from, to },
            types::Edit::Merge((at, patch)) => Self::Merge { at, patch },
        }
    }
}

pub(super) fn changes(list: Vec<types::Change>) -> Vec<Change> {
    list.into_iter().map(Into::into).collect()
}

/// The payload that a plugin answers with.
pub(super) fn payload(data: types::Data, visit: &Visit) -> Result<Payload, Fault> {
    Ok(match data {
        types::Data::Same => Payload::Same,
        types::Data::Text(text) => Payload::New(Bytes::from(text)),
        types::Data::Bytes(bytes) => Payload::New(Bytes::from(bytes)),
        types::Data::Edits(edits) => Payload::Edited(edits.into_iter().map(Into::into).collect()),
        types::Data::Held(number) => match visit.blob(number) {
            Some(bytes) => Payload::Held(bytes.clone()),
            None => {
                return Err(Fault::bad_answer(format!(
                    "there is no payload {number} in this call"
                )));
            }
        },
    })
}

/// The messages that a plugin answers with.
pub(super) fn messages(
    list: impl Iterator<Item = (Vec<types::Change>, types::Data)>,
    visit: &Visit,
) -> Result<Vec<(Vec<Change>, Payload)>, Fault> {
    list.map(|(changed, data)| Ok((changes(changed), payload(data, visit)?)))
        .collect()
}
