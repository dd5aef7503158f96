//! What the relay and its worker say to each other.
//!
//! What the relay says is believed. What the worker says is a stranger's: it is held against what
//! was asked and what is allowed, as the answers of a plugin are, before any of it counts.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::beyond::{Errand, Run};
use super::bytes_as_such;
use super::calls::{CallSent, DoneSent, FaultSent};
use crate::model::plugin::{Granted, Limits};
use crate::plugins::keys::{Work, Worked};
use crate::store::Named;

/// The relay's part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// Always first.
    Begin(Terms),
    /// Compiled code, before the first place that needs it.
    Code(Code),
    /// A plugin at its place.
    Place(Box<Place>),
    /// A place that nobody calls any more.
    Forget(u64),
    Call(Box<CallSent>),
    /// Nobody waits for this call any more.
    CallOff(u64),
    /// To what the worker has asked.
    Answer {
        ask: u64,
        answer: Answer,
    },
    Ping(u64),
}

/// The worker's part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// Always first. Whether the system keeps it from files and addresses.
    Ready {
        is_walled: bool,
    },
    Done(Box<Finished>),
    Ask {
        ask: u64,
        place: u64,
        what: Ask,
    },
    /// Nobody waits for this answer any more.
    Withdraw(u64),
    Pong(u64),
}

/// What a worker may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) instances_max: u32,
    pub(super) memory_bytes_max: usize,
    pub(super) fuel: bool,
}

/// Compiled code of a component with that digest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) digest: [u8; 32],
    #[serde(with = "bytes_as_such")]
    pub(super) code: Bytes,
}

/// All of a place but its secrets and whoever keeps its state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) place: u64,
    pub(super) digest: [u8; 32],
    pub(super) plugin: String,
    pub(super) tenant_name: String,
    pub(super) kind: Kind,
    pub(super) owner: String,
    pub(super) config: String,
    pub(super) granted: Granted,
    pub(super) limits: Limits,
    pub(super) may_wait: bool,
    pub(super) offered: Offered,
}

/// What the relay has for plugins, beyond the event in hand.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Offered {
    pub(super) http: bool,
    pub(super) judge: bool,
    pub(super) media: bool,
}

/// Whose place it is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Kind {
    Source,
    Endpoint,
    Other,
}

impl From<Named> for Kind {
    fn from(kind: Named) -> Self {
        match kind {
            Named::Source => Self::Source,
            Named::Endpoint => Self::Endpoint,
            _ => Self::Other,
        }
    }
}

impl From<Kind> for Named {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Source => Self::Source,
            Kind::Endpoint => Self::Endpoint,
            Kind::Other => Self::Rule,
        }
    }
}

/// The end of a call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) call: u64,
    pub(super) done: Result<DoneSent, FaultSent>,
    pub(super) log: Vec<String>,
    pub(super) waited: Duration,
    pub(super) waited_elsewhere: Duration,
}

/// What a plugin needs of what only the relay has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Keys {
        call: u64,
        name: String,
        work: Work,
        message: Vec<PieceSent>,
    },
    State(StateAsk),
    Errand(Errand),
}

impl Ask {
    /// Bytes of a body or file that comes along.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Errand(errand) => errand.bytes(),
            Self::Keys { .. } | Self::State(_) => 0,
        }
    }
}

/// A piece of a message; payloads of the call are where the relay has them already.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PieceSent {
    Held(u32),
    Given(#[serde(with = "bytes_as_such")] Bytes),
}

/// What is done with state; times are spans from now.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StateAsk {
    Value(String),
    Set {
        key: String,
        value: Vec<u8>,
        ttl: Option<Duration>,
    },
    Delete(String),
    Claim {
        key: String,
        ttl: Duration,
    },
    Add {
        key: String,
        delta: i64,
        ttl: Option<Duration>,
    },
    Swap {
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    },
    Keys {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
}

/// What the relay has to say to an [`Ask`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Keys(Option<Worked>),
    State(Result<StateAnswer, StateTrouble>),
    Errand(Run),
    /// It was not to be asked.
    Refused,
}

/// What came of work with state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StateAnswer {
    Value(Option<Vec<u8>>),
    Done,
    Verdict(bool),
    Sum(i64),
    Keys(Vec<String>),
    QuotaExceeded,
}

/// Why nothing came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StateTrouble {
    Unavailable(String),
    Full(String),
    Corrupt(String),
}
