//! A deterministic simulation of the whole relay.
//!
//! The relay's own code runs, from the accepted post to the recorded attempt: flow, queue,
//! recorder, decisions, recovery, retention, reload, start and stop. What it stands on is
//! replaced: time passes only when everybody waits ([`clock`]), the store is in memory and fails,
//! dawdles and crashes ([`store`]), receivers follow a script instead of listening on sockets
//! ([`receivers`]). One seed draws it all ([`plan`]), so the same seed gives the same run to the
//! last byte of its trace. The [`ledger`] knows what was promised and compares.
//!
//! Left out are sockets, SQLite and plugins, whose time is bounded by a thread of their own: other
//! suites have them.

use std::time::Duration;

mod clock;
mod fate;
mod ledger;
mod panics;
mod plan;
mod receivers;
mod run;
mod runner;
mod script;
mod sender;
mod store;
mod terms;
mod trace;
mod world;

pub use run::run;
pub use runner::{Sum, all, main};

/// A fault put into the ground that the relay stands on, to prove that the simulation finds such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// The store says of some events that they are durable, and forgets them.
    ForgetsEvents,
    /// The store says of some outcomes that they are durable, and forgets them.
    ForgetsOutcomes,
    /// Outcomes are durable only some time after the store said so.
    AnswersBeforeCommit,
    /// The store gives deliveries back before they are due.
    ReadsEarly,
    /// The store gives deliveries back that are in memory already.
    ReadsTwice,
    /// The store takes the checkpoint to be further than it was told.
    ChecksTooFar,
    /// The steady clock follows the wall clock when that is set.
    FollowsTheWallClock,
}

/// What a run came to that kept every promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// A digest of the whole trace.
    pub digest: u64,
    /// Simulated time.
    pub span: Duration,
    pub events: u64,
    pub attempts: u64,
    /// Attempts that went in a request with another one, and not first.
    pub together: u64,
    /// Timers of rules that emitted their event.
    pub timers: u64,
    pub crashes: u64,
    pub clock_jumps: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub seed: u64,
    /// Simulated time since the start.
    pub at: Duration,
    pub promise: String,
    /// The end of the trace.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        let at = trace::shown(self.at);
        writeln!(f, "seed {} broke at {at}: {}", self.seed, self.promise)?;
        write!(f, "run it again: make simulate SEED={}", self.seed)
    }
}
