//! Whatever is refused is counted, and told in the log once, at a rate that no flood exceeds.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::StatusCode;

use crate::http::connection::Closed;
use crate::metrics::Metrics;
use crate::model::schema::Mismatch;

/// Lines about refusals that are written at once; what comes beyond is counted alone.
const BURST: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// Lines about refusals in a second from then on: under 200 MB a day, whatever comes.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// See the module.
#[derive(Debug)]
pub struct Refusals {
    metrics: Arc<Metrics>,
    lines: DefaultDirectRateLimiter,
    /// Refusals since the last line that have none of their own.
    untold: AtomicU64,
}

impl Refusals {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        Self {
            metrics,
            lines: RateLimiter::direct(quota),
            untold: AtomicU64::new(0),
        }
    }

    /// A request was answered with a problem of this code. The reason is for the log alone.
    pub fn refused(
        &self,
        door: &str,
        peer: SocketAddr,
        status: StatusCode,
        code: &'static str,
        reason: &dyn Display,
    ) {
        self.metrics.refused(status.as_u16(), code);
        let Some(untold) = self.line() else { return };
        tracing::info!(door, peer = %peer.ip(), status = status.as_u16(), code, %reason, untold, "refused");
    }

    /// An event was taken although it does not satisfy the schema of its type.
    pub fn taken_anyway(&self, door: &str, event_type: &str, first: Option<&Mismatch>) {
        let Some(untold) = self.line() else { return };
        let (pointer, problem) = first.map_or(("", ""), |first| (&first.pointer, &first.problem));
        tracing::warn!(
            door,
            event_type,
            pointer,
            problem,
            untold,
            "does not satisfy its schema"
        );
    }

    /// A connection was closed.
    pub fn closed(&self, peer: SocketAddr, why: Closed) {
        let reason = why.as_str();
        self.metrics.closed(reason);
        if why == Closed::Idle {
            tracing::debug!(peer = %peer.ip(), reason, "connection closed");
            return;
        }
        let Some(untold) = self.line() else { return };
        tracing::info!(peer = %peer.ip(), reason, untold, "connection closed");
    }

    /// Whether there is room for a line, and how many refusals had none since the last one.
    fn line(&self) -> Option<u64> {
        if self.lines.check().is_ok() {
            return Some(self.untold.swap(0, Ordering::Relaxed));
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_but_not_written_down() {
        let refusals = Refusals::new(Arc::new(Metrics::default()));
        let lines = (0..10_000).filter_map(|_| refusals.line()).count();
        // However slow this machine is, far fewer lines than refusals; the rest is remembered.
        assert!((100..5_000).contains(&lines), "{lines}");
        assert!(refusals.untold.load(Ordering::Relaxed) > 0);
    }
}
