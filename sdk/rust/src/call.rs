//! The call in progress: why the plugin runs.

use std::time::Duration;

use crate::host;

/// Why the plugin runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The tenant whose event it is.
    pub tenant: String,
    /// The name of the source the event came in by; `None` for events from the API.
    pub source: Option<String>,
    /// The name of the endpoint it goes to; `None` at ingest.
    pub endpoint: Option<String>,
    /// The delivery's id, the same on every attempt and so an idempotency key; `None` at ingest.
    pub delivery: Option<String>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What is left until the relay ends this call.
    pub budget: Duration,
}

/// The call in progress.
pub fn current() -> Context {
    host::current()
}
