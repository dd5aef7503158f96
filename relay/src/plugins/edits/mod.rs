//! Changes to a JSON payload, made by the relay on behalf of a plugin.
//!
//! They work on the text: what no edit names keeps its bytes, so numbers keep their
//! spelling, objects their order and pretty documents their lines.

use serde::{Deserialize, Serialize};

use super::json::pointer::{self, Pointer};
use super::json::tree::{self, Document};

/// One change. Pointers are RFC 6901, values are JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Edit {
    Set { at: String, value: String },
    Remove { at: String },
    Move { from: String, to: String },
    Copy { from: String, to: String },
    Merge { at: String, patch: String },
}

/// Why edits cannot be applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the payload is not UTF-8, so it is no JSON to edit")]
    Encoding,
    #[error("the payload cannot be edited: {0}")]
    Payload(tree::Error),
    #[error("edit {number} ({verb} {at:?}): {source}")]
    Edit {
        number: usize,
        verb: &'static str,
        at: String,
        source: EditError,
    },
}

/// What is wrong with one edit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EditError {
    #[error(transparent)]
    Pointer(#[from] pointer::Invalid),
    #[error(transparent)]
    Document(#[from] tree::Error),
}

/// What applying edits may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes by which the payload may become longer.
    pub(super) growth: usize,
    /// Steps of work, of [`tree::WORK_MAX`] for a whole answer.
    pub(super) work: usize,
}

/// Applies edits in order.
pub(super) fn apply(payload: &[u8], edits: &[Edit], bounds: Bounds) -> Result<String, Error> {
    let text = std::str::from_utf8(payload).map_err(|_| Error::Encoding)?;
    let mut document = Document::parse(text, bounds.growth, bounds.work).map_err(Error::Payload)?;
    for (index, edit) in edits.iter().enumerate() {
        edit.apply(&mut document)
            .map_err(|source| edit.error(index + 1, source))?;
    }
    Ok(document.into_text(text.len() + edits.iter().map(Edit::weight).sum::<usize>()))
}

impl Edit {
    /// Bytes that the plugin gave.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Set {
                at: one,
                value: other,
            }
            | Self::Move { from: one, to: other }
            | Self::Copy { from: one, to: other }
            | Self::Merge {
                at: one,
                patch: other,
            } => one.len() + other.len(),
            Self::Remove { at } => at.len(),
        }
    }

    fn apply<'t>(&'t self, document: &mut Document<'t>) -> Result<(), EditError> {
        match self {
            Self::Set { at, value } => document.set(&Pointer::parse(at)?, value)?,
            Self::Remove { at } => document.remove(&Pointer::parse(at)?)?,
            Self::Move { from, to } => document.rename(&Pointer::parse(from)?, &Pointer::parse(to)?)?,
            Self::Copy { from, to } => document.copy(&Pointer::parse(from)?, &Pointer::parse(to)?)?,
            Self::Merge { at, patch } => document.merge(&Pointer::parse(at)?, patch)?,
        }
        Ok(())
    }

    fn error(&self, number: usize, source: EditError) -> Error {
        let (verb, at) = match self {
            Self::Set { at, .. } => ("set", at),
            Self::Remove { at } => ("remove", at),
            Self::Move { from, .. } => ("move", from),
            Self::Copy { from, .. } => ("copy", from),
            Self::Merge { at, .. } => ("merge", at),
        };
        Error::Edit {
            number,
            verb,
            at: at.chars().take(64).collect(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
