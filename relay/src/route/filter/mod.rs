//! Event patterns: alternatives within a field, all fields together.
//!
//! A pattern has the shape of the event. A list holds alternatives for one field, an object
//! goes on below it. Where the event has an array, one element that matches is enough, and
//! all that an object asks has to hold of the same element. An absent object has only absent
//! fields, so `exists: false` holds below it.
//!
//! ```json
//! {"type": ["message.received"], "data": {"labels": [{"wildcard": "*sales*"}]}}
//! ```

mod key;
mod number;
mod parse;
mod test;
mod wildcard;

#[cfg(test)]
mod tests;

use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};

use super::view::{Node, View};
use crate::model::time::Timestamp;
use test::Test;

pub use self::key::{Key, Texts, texts_at};
pub use self::parse::{DEPTH_MAX, FAULTS_MAX, TESTS_MAX, TEXT_LEN_MAX};

/// Longest value that is repeated in an explanation, in bytes.
const SHOWN_MAX: usize = 100;

/// A pattern, checked and ready to be held against events.
#[derive(Debug, Clone)]
pub struct Filter(Pattern);

/// One thing that is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct Fault {
    /// A JSON Pointer into the pattern.
    pub pointer: String,
    pub message: String,
}

/// The first clause that an event did not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A JSON Pointer to the clause in the pattern, and so to the field in the event.
    pub pointer: String,
    /// What kinds of test its alternatives are, as patterns name them; `equal` for plain values.
    pub operators: Vec<&'static str>,
    /// The alternatives, as they were written; cut if they are long.
    pub wanted: String,
    /// What stands there in the event, for people.
    pub found: String,
}

impl Mismatch {
    /// One line for people.
    pub fn message(&self) -> String {
        format!("found {}, wanted {}", self.found, self.wanted)
    }
}

impl Filter {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(pattern: &serde_json::Value) -> Result<Self, Vec<Fault>> {
        parse::parse(pattern).map(Self)
    }

    /// Whether the event meets the pattern.
    pub fn matches(&self, view: &View<'_>) -> bool {
        self.0.failure(Node::Event(view), view.received_at()).is_none()
    }

    /// Why the event does not meet the pattern; `None` if it does.
    pub fn explain(&self, view: &View<'_>) -> Option<Mismatch> {
        let Failure { clause, found } = self.0.failure(Node::Event(view), view.received_at())?;
        Some(Mismatch {
            pointer: clause.pointer.clone(),
            operators: clause.operators.clone(),
            wanted: clause.wanted.clone(),
            found: found.describe(SHOWN_MAX),
        })
    }
}

/// What has to hold of one object: every field, and of every `$or` one branch.
#[derive(Debug, Clone, Default)]
struct Pattern {
    fields: Vec<Field>,
    any_of: Option<AnyOf>,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    /// One of these has to hold of the value.
    OneOf { clause: Clause, tests: Vec<Test> },
    /// This has to hold of the object there.
    Below(Pattern),
}

#[derive(Debug, Clone)]
struct AnyOf {
    clause: Clause,
    branches: Vec<Pattern>,
}

/// Where a clause stands and how it reads, for explanations.
#[derive(Debug, Clone)]
struct Clause {
    pointer: String,
    operators: Vec<&'static str>,
    wanted: String,
}

/// A clause that does not hold, and what was there instead.
#[derive(Clone, Copy)]
struct Failure<'f, 'v> {
    clause: &'f Clause,
    found: Node<'v>,
}

impl Pattern {
    fn failure<'f, 'v>(&'f self, on: Node<'v>, now: Timestamp) -> Option<Failure<'f, 'v>> {
        let failed = self
            .fields
            .iter()
            .find_map(|field| field.failure(on.field(&field.name), now));
        failed.or_else(|| self.any_of.as_ref().and_then(|any_of| any_of.failure(on, now)))
    }

    /// As [`Self::failure`], of one of the objects in an array.
    fn failure_among<'f, 'v>(&'f self, elements: &'v [Value], now: Timestamp) -> Option<Failure<'f, 'v>> {
        let mut first = None;
        if self.holds_among(elements, now, &mut first) {
            return None;
        }
        // An array without any object has no fields at all.
        first.or_else(|| self.failure(Node::Absent, now))
    }

    /// Goes through arrays in arrays; their depth is bounded with that of the data.
    fn holds_among<'f, 'v>(
        &'f self,
        elements: &'v [Value],
        now: Timestamp,
        first: &mut Option<Failure<'f, 'v>>,
    ) -> bool {
        elements.iter().any(|element| match element.as_array() {
            Some(array) => self.holds_among(array.as_slice(), now, first),
            None if element.is_object() => match self.failure(Node::Json(element), now) {
                Some(failure) => {
                    first.get_or_insert(failure);
                    false
                }
                None => true,
            },
            None => false,
        })
    }
}

impl Field {
    fn failure<'f, 'v>(&'f self, found: Node<'v>, now: Timestamp) -> Option<Failure<'f, 'v>> {
        match &self.rule {
            Rule::OneOf { tests, .. } if tests.iter().any(|test| test.holds(found, now)) => None,
            Rule::OneOf { clause, .. } => Some(Failure { clause, found }),
            Rule::Below(pattern) => match found.elements() {
                Some(elements) => pattern.failure_among(elements, now),
                None => pattern.failure(found, now),
            },
        }
    }
}

impl AnyOf {
    fn failure<'f, 'v>(&'f self, on: Node<'v>, now: Timestamp) -> Option<Failure<'f, 'v>> {
        let holds = self
            .branches
            .iter()
            .any(|branch| branch.failure(on, now).is_none());
        (!holds).then_some(Failure {
            clause: &self.clause,
            found: on,
        })
    }
}
