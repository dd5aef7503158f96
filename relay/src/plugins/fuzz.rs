//! What fuzzing reaches that is private otherwise: reading and changing JSON on its text.

use super::edits::{self, Bounds};
use super::json::{self, pointer::Pointer, tree};
use super::v0_1::edited::Edited;

/// By how much the edits of one input may make a payload longer.
const GROWTH: usize = 1 << 20;

/// One change, as a plugin writes it.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'e> {
    Set { at: &'e str, value: &'e str },
    Remove { at: &'e str },
    Move { from: &'e str, to: &'e str },
    Copy { from: &'e str, to: &'e str },
    Merge { at: &'e str, patch: &'e str },
}

/// Applies edits in order.
///
/// # Errors
/// Why they cannot be applied.
pub fn edit(payload: &[u8], edits: &[Edit<'_>]) -> Result<String, String> {
    let edits: Vec<_> = edits.iter().copied().map(owned).collect();
    apply(payload, &edits)
}

fn apply(payload: &[u8], edits: &[edits::Edit]) -> Result<String, String> {
    let bounds = Bounds {
        growth: GROWTH,
        work: tree::WORK_MAX,
    };
    edits::apply(payload, edits, bounds).map_err(|error| error.to_string())
}

/// Edits and changes that came as one text.
#[derive(Debug)]
pub struct Steps(Edited);

impl Steps {
    /// Reads them.
    ///
    /// # Errors
    /// Why they are none, or that they take more than so many bytes of memory.
    pub fn read(text: &str, bytes_max: usize) -> Result<Self, String> {
        let read = Edited::read(text, bytes_max).map_err(|fault| fault.message)?;
        Ok(Self(read))
    }

    /// How many edits and changes there are.
    pub fn len(&self) -> usize {
        self.0.edits.len() + self.0.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies the edits in order.
    ///
    /// # Errors
    /// Why they cannot be applied.
    pub fn apply(&self, payload: &[u8]) -> Result<String, String> {
        apply(payload, &self.0.edits)
    }
}

/// The text of the value at a pointer.
pub fn find<'t>(text: &'t str, pointer: &str) -> Option<&'t str> {
    json::find(text, &Pointer::parse(pointer).ok()?)
}

fn owned(edit: Edit<'_>) -> edits::Edit {
    let text = str::to_owned;
    match edit {
        Edit::Set { at, value } => edits::Edit::Set {
            at: text(at),
            value: text(value),
        },
        Edit::Remove { at } => edits::Edit::Remove { at: text(at) },
        Edit::Move { from, to } => edits::Edit::Move {
            from: text(from),
            to: text(to),
        },
        Edit::Copy { from, to } => edits::Edit::Copy {
            from: text(from),
            to: text(to),
        },
        Edit::Merge { at, patch } => edits::Edit::Merge {
            at: text(at),
            patch: text(patch),
        },
    }
}
