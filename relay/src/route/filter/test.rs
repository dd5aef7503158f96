//! One alternative of a field: what a single value has to be.

use std::net::IpAddr;

use ipnet::IpNet;
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};

use super::super::view::Node;
use super::number::{Bound, Number};
use super::wildcard::Wildcard;
use crate::model::time::Timestamp;

/// What a value can be tested for.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equal(Literal),
    Prefix(Affix),
    Suffix(Affix),
    Wildcard(Wildcard),
    /// Equal but for upper and lower case; kept in lower case.
    EqualFolded(String),
    /// All of these comparisons.
    Numeric(Vec<Bound>),
    /// A moment for whose age when the event came in all of these comparisons hold, in
    /// milliseconds.
    Age(Vec<Bound>),
    /// A moment for which all of these comparisons hold, in milliseconds since 1970.
    Moment(Vec<Bound>),
    /// An address within a network.
    Network(IpNet),
    /// Whether there is anything at all, `null` included.
    Exists(bool),
    /// A plain value of which none of these holds. Within an array one such element is
    /// enough, as with every other test.
    AnythingBut(Vec<Self>),
}

/// A plain value of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

/// The beginning or end of a text.
#[derive(Debug, Clone)]
pub(super) struct Affix {
    /// In lower case if case does not matter.
    pub(super) text: String,
    pub(super) ignores_case: bool,
}

/// A plain value of an event.
#[derive(Clone, Copy)]
enum Scalar<'v> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'v str),
}

impl Test {
    /// As patterns name it; `equal` for a plain value.
    pub(super) const fn operator(&self) -> &'static str {
        match self {
            Self::Equal(_) => "equal",
            Self::Prefix(_) => "prefix",
            Self::Suffix(_) => "suffix",
            Self::Wildcard(_) => "wildcard",
            Self::EqualFolded(_) => "equals-ignore-case",
            Self::Numeric(_) => "numeric",
            Self::Age(_) => "age",
            Self::Moment(_) => "time",
            Self::Network(_) => "cidr",
            Self::Exists(_) => "exists",
            Self::AnythingBut(_) => "anything-but",
        }
    }

    /// Whether the test holds of what stands there, or of one element of the array there.
    /// `now` is when the event came in.
    pub(super) fn holds(&self, found: Node<'_>, now: Timestamp) -> bool {
        if let Self::Exists(wanted) = self {
            return found.is_absent() != *wanted;
        }
        match found {
            Node::Text(text) => self.holds_of(Scalar::Text(text), now),
            Node::Json(value) => self.holds_in(value, now),
            Node::Event(_) | Node::Absent => false,
        }
    }

    fn holds_in(&self, value: &Value, now: Timestamp) -> bool {
        match value.as_array() {
            Some(array) => array.iter().any(|element| self.holds_in(element, now)),
            None => scalar(value).is_some_and(|scalar| self.holds_of(scalar, now)),
        }
    }

    fn holds_of(&self, value: Scalar<'_>, now: Timestamp) -> bool {
        match (self, value) {
            (Self::Equal(literal), value) => literal.equals(value),
            (Self::AnythingBut(tests), value) => !tests.iter().any(|test| test.holds_of(value, now)),
            (Self::Numeric(bounds), Scalar::Number(number)) => bounds.iter().all(|bound| bound.holds(number)),
            (Self::Age(bounds), value) => value.moment().is_some_and(|moment| {
                let age = i128::from(now.as_millis()) - i128::from(moment.as_millis());
                bounds.iter().all(|bound| bound.holds(Number::Whole(age)))
            }),
            (Self::Moment(bounds), value) => value.moment().is_some_and(|moment| {
                let moment = Number::Whole(moment.as_millis().into());
                bounds.iter().all(|bound| bound.holds(moment))
            }),
            (Self::Prefix(prefix), Scalar::Text(text)) => prefix.begins(text),
            (Self::Suffix(suffix), Scalar::Text(text)) => suffix.ends(text),
            (Self::Wildcard(wildcard), Scalar::Text(text)) => wildcard.matches(text),
            (Self::EqualFolded(wanted), Scalar::Text(text)) => lower(text).eq(wanted.chars()),
            (Self::Network(network), Scalar::Text(text)) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address)),
            _ => false,
        }
    }
}

impl Scalar<'_> {
    /// The moment that it tells: RFC 3339, or a number since 1970.
    fn moment(self) -> Option<Timestamp> {
        match self {
            Self::Text(text) => Timestamp::read(text),
            Self::Number(number) => Timestamp::from_number(number.as_float()),
            Self::Null | Self::Bool(_) => None,
        }
    }
}

impl Literal {
    fn equals(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Null, Scalar::Null) => true,
            (Self::Bool(wanted), Scalar::Bool(found)) => *wanted == found,
            (Self::Number(wanted), Scalar::Number(found)) => {
                wanted.compare(found).is_some_and(std::cmp::Ordering::is_eq)
            }
            (Self::Text(wanted), Scalar::Text(found)) => wanted == found,
            _ => false,
        }
    }
}

impl Affix {
    fn begins(&self, text: &str) -> bool {
        if !self.ignores_case {
            return text.starts_with(&self.text);
        }
        let mut found = lower(text);
        self.text.chars().all(|wanted| found.next() == Some(wanted))
    }

    fn ends(&self, text: &str) -> bool {
        if self.ignores_case {
            lower(text).collect::<String>().ends_with(&self.text)
        } else {
            text.ends_with(&self.text)
        }
    }
}

/// Character by character, as patterns are lowered too.
pub(super) fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn scalar(value: &Value) -> Option<Scalar<'_>> {
    if let Some(text) = value.as_str() {
        return Some(Scalar::Text(text));
    }
    if let Some(flag) = value.as_bool() {
        return Some(Scalar::Bool(flag));
    }
    if value.is_null() {
        return Some(Scalar::Null);
    }
    let whole = value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from));
    let number = whole
        .map(Number::Whole)
        .or_else(|| value.as_f64().map(Number::Other));
    number.map(Scalar::Number)
}
