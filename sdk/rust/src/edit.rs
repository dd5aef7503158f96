//! Changes to a JSON payload, made by the relay.

use serde::Serialize;

use crate::message::{Change, Data, Envelope, Message};
use crate::{Fault, Outcome};

/// A change to a JSON payload. Pointers are RFC 6901, values are JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Pointer and value: creates or replaces.
    Set(String, String),
    /// Takes a value away.
    Remove(String),
    /// From and to.
    Move(String, String),
    /// From and to.
    Copy(String, String),
    /// Pointer and JSON Merge Patch (RFC 7396).
    Merge(String, String),
}

/// A list of changes to the payload, made in this order by the relay. Bytes that no change
/// names stay exactly as they came.
///
/// With [`Envelope`] it changes headers and attributes too. It is an [`Outcome`] by itself,
/// and one [`Message`] among several.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    changes: Vec<Change>,
    fault: Option<Fault>,
}

impl Edits {
    /// Creates or replaces a value. Missing parent objects are created; `-` appends to an array.
    #[must_use]
    pub fn set(self, pointer: impl Into<String>, value: impl Serialize) -> Self {
        self.with_value(pointer.into(), &value, Edit::Set)
    }

    /// Creates or replaces a value that is JSON text already.
    #[must_use]
    pub fn set_raw(self, pointer: impl Into<String>, json: impl Into<String>) -> Self {
        self.with(Edit::Set(pointer.into(), json.into()))
    }

    /// Takes a value away; an absent one is no error.
    #[must_use]
    pub fn remove(self, pointer: impl Into<String>) -> Self {
        self.with(Edit::Remove(pointer.into()))
    }

    /// Moves a value; if there is none, nothing happens.
    #[must_use]
    pub fn rename(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Edit::Move(from.into(), to.into()))
    }

    /// Copies a value; if there is none, nothing happens.
    #[must_use]
    pub fn copy(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Edit::Copy(from.into(), to.into()))
    }

    /// Applies a JSON Merge Patch (RFC 7396) to the value at the pointer.
    #[must_use]
    pub fn merge(self, pointer: impl Into<String>, patch: impl Serialize) -> Self {
        self.with_value(pointer.into(), &patch, Edit::Merge)
    }

    /// Applies a JSON Merge Patch that is JSON text already.
    #[must_use]
    pub fn merge_raw(self, pointer: impl Into<String>, patch: impl Into<String>) -> Self {
        self.with(Edit::Merge(pointer.into(), patch.into()))
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.changes.is_empty() && self.fault.is_none()
    }

    fn with(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// A value that cannot be written spoils the whole answer, once it is given.
    fn with_value(
        mut self,
        pointer: String,
        value: &impl Serialize,
        edit: fn(String, String) -> Edit,
    ) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => self.with(edit(pointer, json)),
            Err(error) => {
                let fault = || {
                    Fault::invalid(format!(
                        "the value for {pointer:?} cannot be written as JSON: {error}"
                    ))
                };
                self.fault.get_or_insert_with(fault);
                self
            }
        }
    }
}

impl Envelope for Edits {
    fn with_change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl From<Edits> for Message {
    fn from(edits: Edits) -> Self {
        let data = match edits.fault {
            Some(fault) => Err(fault),
            None if edits.edits.is_empty() => Ok(Data::Same),
            None => Ok(Data::Edits(edits.edits)),
        };
        Self {
            changes: edits.changes,
            data,
        }
    }
}

impl From<Edits> for Outcome {
    fn from(edits: Edits) -> Self {
        if edits.is_empty() {
            Self::Keep
        } else {
            Self::Emit(vec![edits.into()])
        }
    }
}
