//! What an attempt says of its receiver, and what that has changed in how it is treated, for counting
//! and for the log.

use std::time::Duration;

use crate::directory::Target;
use crate::metrics::Change;
use crate::model::attempt::Outcome;
use crate::queue::health::Verdict;
use crate::queue::{Sign, Turn, Turned};

/// What an outcome says of the receiver. One that the guard does not let through is as good as
/// one that does not answer.
pub(super) fn sign(outcome: &Outcome) -> Sign {
    match outcome {
        outcome if outcome.is_success() => Sign::Took,
        Outcome::Responded {
            status: 429 | 503,
            retry_after_ms,
            by_mail: false,
            ..
        } => Sign::Busy(Duration::from_millis(retry_after_ms.unwrap_or(0))),
        Outcome::Responded { status: 410, .. } => Sign::Gone,
        Outcome::Responded { .. } => Sign::Declined,
        Outcome::Unreachable { .. } | Outcome::Refused { .. } => Sign::Silent,
        Outcome::Dropped { .. } | Outcome::PluginFault { .. } => Sign::Nothing,
    }
}

/// What has changed in how a receiver is treated.
pub(super) fn changes(turned: Turned) -> impl Iterator<Item = Change> {
    let breaker = turned.breaker.map(|turn| match turn {
        Turn::Opened => Change::BreakerOpened,
        Turn::Closed => Change::BreakerClosed,
    });
    let health = turned.health.map(|verdict| match verdict {
        Verdict::Failing { percent, .. } => Change::Failing { percent },
        Verdict::Failed(_) | Verdict::Gone => Change::Disabled,
        Verdict::Recovered(_) => Change::Recovered,
    });
    let slowed = turned.slowed.then_some(Change::Slowed);
    breaker.into_iter().chain(slowed).chain(health)
}

/// Tells the log of it.
pub(super) fn say(change: Change, target: &Target, turned: Turned, outcome: &Outcome) {
    let endpoint = target.endpoint.name.as_str();
    let reason = outcome.summary();
    match (change, turned.health) {
        (Change::BreakerOpened, _) => tracing::warn!(
            endpoint,
            reason,
            "the receiver does not answer; its deliveries wait while one at a time probes"
        ),
        (Change::BreakerClosed, _) => {
            tracing::info!(endpoint, "the receiver answers again; its deliveries go on");
        }
        // As often as a receiver likes: it is counted, and can be seen.
        (Change::Slowed, _) => {
            tracing::debug!(endpoint, reason, "the receiver asks for fewer");
        }
        (Change::Recovered, _) => tracing::info!(endpoint, "the receiver takes messages again"),
        (Change::Failing { percent }, Some(Verdict::Failing { failing, .. })) => tracing::warn!(
            endpoint,
            reason,
            percent,
            since = %failing.since,
            failures = failing.failures,
            "the receiver does nothing but fail; at 100 percent its endpoint is disabled"
        ),
        // What disables it says so with its reason.
        _ => {}
    }
}
