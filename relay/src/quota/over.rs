//! Too much at once, or altogether: what a sender is told.

use std::time::Duration;

use http::{HeaderValue, Response, header};

use crate::http::answer::{self, Body};
use crate::http::problem::Problem;

/// How soon to come back where only retention makes room.
const RETRY_BYTES: Duration = Duration::from_secs(600);

/// Why events of a tenant are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    #[error("more events at once than events_per_second of its tenant allows")]
    Rate { wait: Duration },
    #[error("a batch of {events} events, of which events_per_second of its tenant allows {max} at once")]
    Batch { events: usize, max: u32 },
    #[error("{used} of {max} events of this day are used up")]
    Day { used: u64, max: u64, wait: Duration },
    #[error("{used} of {max} bytes are stored, and these events have {more}")]
    Bytes { used: u64, max: u64, more: u64 },
}

impl Over {
    /// What the sender is told, and when to come back.
    pub fn response(&self) -> Response<Body> {
        let mut response = answer::problem(&self.problem());
        if let Some(span) = self.retry_after() {
            let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }

    /// The machine's word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate_limited",
            Self::Batch { .. } => "batch_too_large",
            Self::Day { .. } | Self::Bytes { .. } => "quota_reached",
        }
    }

    fn problem(&self) -> Problem {
        let (status, title) = match self {
            Self::Rate { .. } => (429, "Too many events"),
            Self::Batch { .. } => (413, "Batch too large"),
            Self::Day { .. } => (429, "Quota reached"),
            Self::Bytes { .. } => (507, "Quota reached"),
        };
        Problem::new(status, self.code(), title, self.to_string())
    }

    /// When to come back, if that makes a difference.
    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rate { wait } | Self::Day { wait, .. } => Some(*wait),
            Self::Bytes { .. } => Some(RETRY_BYTES),
            Self::Batch { .. } => None,
        }
    }
}
