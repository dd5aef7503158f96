//! What the relay notices by itself over several events, and what it emits then.

use std::time::Duration;

use serde_json::Value;

use super::event_type::Pattern;
use super::id::{RuleId, TenantId};

/// Bytes of a key as JSON: what identifies whatever is watched.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes of a watched value as JSON.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Pointers that one key is made of.
pub const KEY_PARTS_MAX: usize = 8;
/// Values in `from` and in `to`.
pub const VALUES_MAX: usize = 100;
/// An event that rules emitted one out of the other is looked at by no further rule after so
/// many.
pub const HOPS_MAX: u8 = 8;

/// A rule: which events it looks at, what it waits for, and what it emits.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub id: RuleId,
    pub tenant: TenantId,
    pub name: String,
    /// A rule that is off sees nothing and remembers nothing.
    pub enabled: bool,
    /// Empty: every type.
    pub event_types: Vec<Pattern>,
    /// Names of sources; empty: every source, and the API.
    pub sources: Vec<String>,
    pub filter: Option<Value>,
    /// Whether it also sees what rules emitted.
    pub include_emitted: bool,
    /// JSON Pointers into the data; empty: all events are of one key.
    pub key: Vec<String>,
    pub condition: Condition,
    pub emit: Emit,
    /// Tells apart what was kept for it while it read otherwise: a digest of all that decides
    /// what it waits for.
    pub version: i64,
}

/// What a rule waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A value that becomes another one.
    Changes(Changes),
    /// Nothing for so long after the last event of a key.
    Inactive { after: Duration, cancel: Option<Cancel> },
    /// Silence of a key, for the latest event; `max_wait` after the first one at the latest.
    Debounce {
        wait: Duration,
        max_wait: Option<Duration>,
        cancel: Option<Cancel>,
    },
    /// A while after each event.
    Delay { by: Duration, cancel: Option<Cancel> },
}

impl Condition {
    /// What calls off what was armed for a key.
    pub const fn cancel(&self) -> Option<&Cancel> {
        match self {
            Self::Changes(_) => None,
            Self::Inactive { cancel, .. } | Self::Debounce { cancel, .. } | Self::Delay { cancel, .. } => {
                cancel.as_ref()
            }
        }
    }
}

/// From which values to which ones; `None`: whichever.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// A JSON Pointer into the data.
    pub value: String,
    pub from: Option<Vec<Value>>,
    pub to: Option<Vec<Value>>,
}

/// Events that call off what was armed for their key.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    pub event_types: Vec<Pattern>,
    pub filter: Option<Value>,
    /// Where the key stands in these events.
    pub key: Vec<String>,
}

/// What a rule emits: the event that set it off, as another type, with a word about why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emit {
    pub kind: String,
    /// The member of the data that says why.
    pub member: String,
}
