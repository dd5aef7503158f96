//! An alert: a rule that tells when something is wrong, and when it is well again.

use std::time::Duration;

use super::event_type::Pattern;
use super::id::{AlertId, TenantId};

/// One alert, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    pub tenant: TenantId,
    pub name: String,
    pub when: When,
    /// Names or ids of the endpoints that it looks at; empty: all.
    pub endpoints: Vec<String>,
    /// Event types that it looks at; empty: all.
    pub event_types: Vec<Pattern>,
    /// Name of the one source whose events it counts; `None`: all, and the API.
    pub source: Option<String>,
    /// How often it is told again while it fires; `None`: once.
    pub repeat_every: Option<Duration>,
    pub enabled: bool,
}

/// What is wrong, if it is so.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// An endpoint's receiver has failed so many times in a row.
    ConsecutiveFailures(u64),
    /// Less than that share of an endpoint's attempts succeed.
    SuccessRateBelow { share: f64, window: Window },
    /// Attempts of these types fail so often.
    FailedType {
        types: Vec<Pattern>,
        count: u64,
        window: Duration,
    },
    /// The slowest twentieth of an endpoint's attempts takes longer.
    P95Above { span: Duration, window: Window },
    /// More or fewer events come in than so many.
    Volume {
        is_above: bool,
        limit: VolumeLimit,
        window: Duration,
    },
    /// More deliveries wait for an endpoint.
    PendingAbove(u64),
    /// The oldest delivery that waits for an endpoint waits for longer.
    OldestPendingAbove(Duration),
    /// More than that share of one of the tenant's limits is used.
    QuotaAbove { share: f64, limits: Limits },
}

/// What is looked at, and how much of it there has to be to say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub span: Duration,
    /// Attempts.
    pub min_count: u64,
}

/// How many events are too many, or too few.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VolumeLimit {
    Events(u64),
    /// So many times the average of the same hour of the last days.
    Factor(f64),
}

/// Which limits of a quota are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limits {
    /// All that last: a rate is used up for a moment, and there again in the next.
    Lasting,
    /// Those of these names.
    Named(Vec<String>),
}

impl Limits {
    /// Whether the limit of that name is looked at.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Lasting => name != "events_per_second",
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }
}

impl When {
    /// The key by which it is written.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ConsecutiveFailures(_) => "consecutive_failures",
            Self::SuccessRateBelow { .. } => "success_rate_below",
            Self::FailedType { .. } => "failed_type",
            Self::P95Above { .. } => "p95_above",
            Self::Volume { is_above, limit, .. } => match (is_above, limit) {
                (true, VolumeLimit::Events(_)) => "volume_above",
                (false, VolumeLimit::Events(_)) => "volume_below",
                (true, VolumeLimit::Factor(_)) => "volume_above_factor",
                (false, VolumeLimit::Factor(_)) => "volume_below_factor",
            },
            Self::PendingAbove(_) => "pending_above",
            Self::OldestPendingAbove(_) => "oldest_pending_above",
            Self::QuotaAbove { .. } => "quota_above",
        }
    }

    /// Whether it is held against each endpoint, rather than against the whole tenant.
    pub const fn is_of_endpoints(&self) -> bool {
        !matches!(self, Self::Volume { .. } | Self::QuotaAbove { .. })
    }
}
