//! What can be wrong with a posted event, and where.

use std::borrow::Cow;
use std::fmt;

use crate::model::event_type;
use crate::model::json;

/// Most faults that are collected of one request.
pub const FAULTS_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub at: At,
    pub kind: FaultKind,
}

/// Where a fault stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A JSON Pointer into the body; empty for all of it.
    Body(String),
    /// The name of a header.
    Header(String),
}

impl At {
    /// The JSON Pointer; empty for a header.
    pub fn pointer(&self) -> &str {
        match self {
            Self::Body(pointer) => pointer,
            Self::Header(_) => "",
        }
    }
}

/// What is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("is not UTF-8 from byte {0} on")]
    Utf8(usize),
    #[error("is not JSON: {0}")]
    Json(String),
    #[error("is nested deeper than {} levels", json::DEPTH_MAX)]
    TooDeep,
    #[error("is {found}, not {wanted}")]
    WrongKind {
        found: &'static str,
        wanted: &'static str,
    },
    #[error("is not known here; {0}")]
    Unknown(String),
    #[error("is there more than once")]
    Duplicate,
    #[error("is missing")]
    Missing,
    #[error("is empty; leave it out instead")]
    Empty,
    #[error("is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("contains {0:?}, which is not allowed here")]
    Character(char),
    #[error("has more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("is no event type: it {0}")]
    EventType(#[from] event_type::Error),
    #[error("is no RFC 3339 time such as 2026-01-31T15:04:05Z")]
    Time,
    #[error("is no CloudEvents version that is known; use \"1.0\"")]
    SpecVersion,
    #[error("is no attribute name: 1 to 20 lower-case letters and digits")]
    ExtensionName,
    #[error("is there beside data; give one of them")]
    TwoPayloads,
    #[error("is not base64")]
    Base64,
    #[error("has a % that no two hexadecimal digits follow")]
    Escape,
}

impl FaultKind {
    /// A fault of a value of the wrong kind.
    pub(super) const fn wrong_kind(found: &'static str, wanted: &'static str) -> Self {
        Self::WrongKind { found, wanted }
    }

    /// The stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Utf8(_) => "invalid_utf8",
            Self::Json(_) => "invalid_json",
            Self::TooDeep => "json_too_deep",
            Self::WrongKind { .. } => "wrong_type",
            Self::Unknown(_) => "unknown_member",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
            Self::Character(_) => "invalid_character",
            Self::TooMany { .. } => "too_many",
            Self::EventType(_) => "invalid_event_type",
            Self::Time => "invalid_time",
            Self::SpecVersion => "unknown_specversion",
            Self::ExtensionName => "invalid_attribute_name",
            Self::TwoPayloads => "two_payloads",
            Self::Base64 => "invalid_base64",
            Self::Escape => "invalid_escape",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place: Cow<'_, str> = match &self.at {
            At::Body(pointer) if pointer.is_empty() => "the body".into(),
            At::Body(pointer) => pointer.into(),
            At::Header(name) => format!("the header {name}").into(),
        };
        write!(f, "{place} {}", self.kind)
    }
}

/// The faults found so far, the first [`FAULTS_MAX`] of them.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, at: At, kind: FaultKind) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault { at, kind });
        }
    }

    /// The value, or nothing and a fault noted.
    pub(super) fn keep<T>(&mut self, at: impl FnOnce() -> At, checked: Result<T, FaultKind>) -> Option<T> {
        checked.map_err(|kind| self.add(at(), kind)).ok()
    }

    /// The value if nothing is wrong.
    pub(super) fn none_or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}
