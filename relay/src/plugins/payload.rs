//! The payload that a plugin answers with.

use bytes::Bytes;

use super::edits::{self, Bounds, Edit};
use super::fault::Fault;

/// What the payload becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payload {
    /// What came in, untouched.
    Same,
    New(Bytes),
    /// What came in with these changes.
    Edited(Vec<Edit>),
    /// Another payload that the relay holds.
    Held(Bytes),
}

impl Payload {
    /// Bytes that the plugin gave.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Same | Self::Held(_) => 0,
            Self::New(bytes) => bytes.len(),
            Self::Edited(edits) => edits.iter().map(Edit::weight).sum(),
        }
    }

    /// The payload made of `given`; `None` if it stays. Edits stay within `bounds`.
    pub(super) fn apply(self, given: &Bytes, bounds: Bounds) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Same => Ok(None),
            Self::New(bytes) | Self::Held(bytes) => Ok(Some(bytes)),
            Self::Edited(edits) if edits.is_empty() => Ok(None),
            Self::Edited(edits) => {
                let text = edits::apply(given, &edits, bounds).map_err(Fault::bad_answer)?;
                Ok(Some(Bytes::from(text)))
            }
        }
    }
}
