//! What the configuration says of one endpoint, and the bucket of its rate limit.

use std::time::Duration;

use relay::model::endpoint::Endpoint;
use relay::model::time::Timestamp;

/// The longest wait that a receiver can ask for, and how far it can stretch a delay.
const WAIT_ASKED_MAX: Duration = Duration::from_secs(24 * 3600);
const STRETCH_MAX: u32 = 4;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    pub(super) schedule: Vec<Duration>,
    pub(super) jitter: f64,
    pub(super) concurrency: usize,
    /// So many in such a span.
    pub(super) rate: Option<(u32, Duration)>,
    /// How long a delivery waits for others to go with.
    pub(super) together: Duration,
}

impl Terms {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            schedule: endpoint.retry.schedule.clone(),
            jitter: endpoint.retry.jitter,
            concurrency: endpoint.concurrency.get() as usize,
            rate: endpoint.rate_limit.map(|limit| (limit.count.get(), limit.per)),
            together: endpoint.batch.map_or(Duration::ZERO, |batch| batch.wait),
        }
    }

    /// The shortest and the longest wait after failed attempt number `attempts`, if the schedule
    /// has one.
    pub(super) fn wait(&self, attempts: u32, asked: Option<Duration>) -> Option<(Duration, Duration)> {
        let slot = *self.schedule.get(attempts as usize - 1)?;
        let Some(asked) = asked else {
            return Some((slot.mul_f64(1.0 - self.jitter), slot.mul_f64(1.0 + self.jitter)));
        };
        let longest = (slot * STRETCH_MAX).min(WAIT_ASKED_MAX).max(slot);
        Some((asked.clamp(slot, longest), longest))
    }

    /// The longest wait between two attempts.
    pub(super) fn wait_max(&self) -> Duration {
        let slot = self.schedule.iter().max().copied().unwrap_or_default();
        (slot * STRETCH_MAX)
            .min(WAIT_ASKED_MAX)
            .max(slot.mul_f64(1.0 + self.jitter))
            + self.together
    }

    /// How long so many deliveries take at the rate limit.
    pub(super) fn drain(&self, deliveries: usize) -> Duration {
        let each = self.rate.map_or(Duration::ZERO, |(count, per)| per / count);
        each * u32::try_from(deliveries).unwrap_or(u32::MAX)
    }
}

/// As many tokens as the burst has requests, filling evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    count: u32,
    per: Duration,
    tokens: f64,
    filled_at: Timestamp,
}

impl Bucket {
    pub(super) fn full((count, per): (u32, Duration), now: Timestamp) -> Self {
        Self {
            count,
            per,
            tokens: f64::from(count),
            filled_at: now,
        }
    }

    /// Takes a token; false if there is none.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let span = now.since(self.filled_at).as_secs_f64() / self.per.as_secs_f64();
        self.tokens = (self.tokens + span * f64::from(self.count)).min(f64::from(self.count));
        self.filled_at = now;
        self.tokens -= 1.0;
        // What is lost to rounding to milliseconds.
        self.tokens > -0.05
    }
}
