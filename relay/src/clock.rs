//! The time, passed in so that tests can hold it.
//!
//! There are two. The *wall clock* is what people and other machines read: ids, signatures and
//! the log go by it, and it may be set at any moment. The *steady clock* is what deliveries wait
//! by: it passes as time does, also while the machine sleeps, and nobody can set it. So a wall
//! clock set forward by a day makes no day of retries due at once, and one set back holds none
//! up for a day. Waiting itself goes through `tokio::time`, which a test can pause and move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::time::Timestamp;

/// By how much the two clocks may differ before it counts, in milliseconds: daemons that keep the
/// time step by less, and reading two clocks takes a moment.
pub const AHEAD_MIN_MS: i64 = 1000;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock's time.
    fn now(&self) -> Timestamp;

    /// The steady clock's time: as the wall clock's was at first, and from then on nobody sets it.
    fn steady(&self) -> Timestamp;

    /// By how many milliseconds the wall clock is ahead of the steady one; negative if it is
    /// behind.
    fn ahead_ms(&self) -> i64 {
        self.now().as_millis() - self.steady().as_millis()
    }

    /// What the wall clock shows when the steady one shows `steady`, unless it is set again.
    fn shown(&self, steady: Timestamp) -> Timestamp {
        match self.ahead_ms() {
            ahead if ahead.abs() < AHEAD_MIN_MS => steady,
            ahead => Timestamp::from_millis(steady.as_millis().saturating_add(ahead)),
        }
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Timestamp {
        /// What the wall clock showed when the machine started, by its first reading.
        static STARTED_MS: LazyLock<i64> = LazyLock::new(|| SystemClock.now().as_millis() - running_ms());
        Timestamp::from_millis(*STARTED_MS + running_ms())
    }
}

/// For how long the machine has been running, in milliseconds; on Linux asleep or awake.
fn running_ms() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let running = rustix::time::clock_gettime(clock);
    running.tv_sec * 1000 + running.tv_nsec / 1_000_000
}

/// A clock whose steady time goes on where an earlier run left it, so that what waits in the
/// store waits on.
#[derive(Debug, Clone)]
pub struct Resumed {
    clock: Arc<dyn Clock>,
    by_ms: i64,
}

impl Resumed {
    /// `ahead_ms` is by how much the wall clock was ahead of the steady one at the end of the
    /// earlier run; what the wall clock did since then counts as time that passed.
    pub fn new(clock: Arc<dyn Clock>, ahead_ms: i64) -> Self {
        Self {
            by_ms: clock.ahead_ms().saturating_sub(ahead_ms),
            clock,
        }
    }
}

impl Clock for Resumed {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn steady(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.steady().as_millis().saturating_add(self.by_ms))
    }
}

/// The time that tokio waits by, which a test can pause, for rate limits.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock;

impl governor::clock::Clock for TokioClock {
    type Instant = std::time::Instant;

    fn now(&self) -> Self::Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub struct ManualClock {
    steady: Arc<AtomicI64>,
    ahead_ms: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self {
            steady: Arc::new(AtomicI64::new(start.as_millis())),
            ahead_ms: Arc::default(),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.steady.fetch_add(
            i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }

    /// Sets the wall clock forward, or with a negative number back; no time passes.
    pub fn set_forward_ms(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let steady = self.steady.load(Ordering::SeqCst);
        Timestamp::from_millis(steady.saturating_add(self.ahead_ms.load(Ordering::SeqCst)))
    }

    fn steady(&self) -> Timestamp {
        Timestamp::from_millis(self.steady.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY_MS: i64 = 24 * 3600 * 1000;

    #[test]
    fn the_machines_clocks_go_together() {
        assert!(SystemClock.ahead_ms().abs() < AHEAD_MIN_MS);
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_steady_one() {
        let clock = ManualClock::starting_at(START);
        clock.set_forward_ms(DAY_MS);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.steady(), START + Duration::from_secs(5));
        assert_eq!(clock.ahead_ms(), DAY_MS);
        assert_eq!(clock.shown(START).as_millis(), START.as_millis() + DAY_MS);
    }

    #[test]
    fn a_resumed_clock_goes_on_where_the_last_run_stopped() {
        let first = ManualClock::starting_at(START);
        first.set_forward_ms(DAY_MS);
        let stopped_at = first.steady();
        // The next process starts with both clocks alike, an hour later.
        let next = ManualClock::starting_at(first.now());
        next.advance(Duration::from_secs(3600));
        let resumed = Resumed::new(Arc::new(next.clone()), first.ahead_ms());
        assert_eq!(resumed.steady(), stopped_at + Duration::from_secs(3600));
        assert_eq!(resumed.now(), next.now());
        assert_eq!(resumed.ahead_ms(), DAY_MS);
    }
}
